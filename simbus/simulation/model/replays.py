"""Replays: a recorded trace as arrivals, and what it says of each message.

Other arrivals are in ``workloads``; how a file of columns is read, in ``columns``.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from shlex import quote
from typing import Any

from numpy.random import Generator

from simbus import units
from simbus.errors import ScenarioError
from simbus.simulation.model.columns import read_columns
from simbus.simulation.model.messages import Mark
from simbus.units import SECOND, number_text

_SAID = ("key", "size", "type")


@dataclass(frozen=True)
class Replay:
    """A recorded trace, played once; ``times`` are the instants of its messages, the first at 0.

    ``marks`` are what the trace says of each message, empty when it has times only. ``file``, ``speed``, ``per`` and ``columns``
    say where they came from.
    """

    file: str
    speed: float
    per: str
    times: tuple[int, ...] = field(repr=False)
    marks: tuple[Mark, ...] = field(repr=False, default=())
    columns: tuple[tuple[str, str], ...] = ()
    finite = True

    @property
    def total(self) -> float:
        """How many messages there are."""
        return len(self.times)

    @property
    def rate(self) -> float:
        """Messages per second over the length of the trace; infinite when all come at one instant."""
        return len(self.times) * SECOND / self.times[-1] if self.times[-1] else math.inf

    def epochs(self, _generator: Generator) -> Iterator[int]:
        """The instants; the stream is left alone."""
        return iter(self.times)

    def __str__(self) -> str:
        said = "".join(f" {what}={quote(column)}" for what, column in self.columns)
        return f"replay {quote(self.file)} speed={number_text(self.speed)} per={quote(self.per)}{said}"


def replay(
    file: str | Path,
    speed: float = 1,
    per: str = "order",
    folder: Path | None = None,
    *,
    key: str | None = None,
    size: str | None = None,
    type: str | None = None,
) -> Replay:
    """The arrivals recorded in a CSV or Parquet file with a column ``seconds``: ``replay("orders.csv", speed=360)``.

    Rows need not be in order: they are sorted, because traces merged from several sources seldom are. The earliest becomes 0;
    those of one instant stay in the order of the file.

    Args:
        file: the CSV file, with a header, or Parquet file.
        speed: 360 plays six hours in a minute.
        per: ``"order"`` publishes one message a row; any other name is a column of whole numbers, and that
            many messages are published at the row's instant.
        folder: where a relative ``file`` is looked up, by default the current folder.
        key: the column with the routing key of each row's messages, if there is one.
        size: the column with their size in whole bytes.
        type: the column with their class, which the publisher may describe under ``messages``.

    Raises:
        ScenarioError: the file, a column or a number in it cannot be read, or nothing arrives; names file and line.
        UnitError: the speed is not a positive number.
    """
    factor, per = Decimal(SECOND) / Decimal(units.number(speed, "speed")), str(per)
    columns = {what: str(column) for what, column in zip(_SAID, (key, size, type), strict=True) if column is not None}
    rows = _rows(file, per, columns, folder)
    if not rows:
        raise ScenarioError(per, "adds up to no message; write at least one whole number above 0", str(file))
    origin, known = rows[0][0], dict[Mark, Mark]()
    times, marks = list[int](), list[Mark]()
    for seconds, copies, said in rows:
        times += [round((seconds - origin) * factor)] * copies
        mark = _mark(dict(zip(columns, said, strict=True)))
        marks += [known.setdefault(mark, mark)] * copies
    return Replay(str(file), float(speed), per, tuple(times), tuple(marks) if columns else (), tuple(columns.items()))


def _rows(file: str | Path, per: str, columns: dict[str, str], folder: Path | None) -> list[tuple[Decimal, int, Sequence[Any]]]:
    """Instant in seconds, number of messages and what is said of them, a row each, in order of time; rows of none left out."""
    counted = [] if per == "order" else [per]
    whole = [*counted, *(column for what, column in columns.items() if what == "size")]
    texts = [column for what, column in columns.items() if what != "size"]
    filled = [column for what, column in columns.items() if what == "type"]
    read = read_columns(file, ["seconds", *counted, *columns.values()], folder, whole=whole, texts=texts, filled=filled)
    rows = [(row[0], int(row[1]) if counted else 1, row[1 + len(counted) :]) for row in read]
    return sorted((row for row in rows if row[1]), key=lambda row: row[0])


def _mark(said: dict[str, Any]) -> Mark:
    size = said.get("size")
    return Mark(said.get("key"), None if size is None else int(size), said.get("type"))
