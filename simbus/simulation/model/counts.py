"""Counts: how many messages arrived in each minute, as arrivals.

A monitoring system keeps counts and no instants. Two things can be made of them:

- ``poisson``: a Poisson process whose rate is constant within each interval, with the count as its expected number. Another day
  with the same curve: numbers vary from replication to replication, by their square roots. It is the usual model of independent
  customers (Kim and Whitt, *Are call center and hospital arrivals well modeled by nonhomogeneous Poisson processes?*, 2014),
  drawn by the inverse of the cumulative rate (Cinlar, *Introduction to Stochastic Processes*, 1975).
- ``exact``: that very day: as many in each interval as were counted, at independent uniform instants, which is what a Poisson
  process looks like whose counts are known (Cox and Lewis, *The Statistical Analysis of Series of Events*, 1966).

Neither knows what happened within an interval: arrivals in batches look like independent ones, so the intervals should be shorter
than a queue takes to fill or empty.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.random import Generator

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.columns import read_columns
from simbus.simulation.model.measured import whole_numbers
from simbus.simulation.model.streams import BLOCK
from simbus.units import SECOND, duration_text, number_text

_LONGEST = 10_000_000  # intervals: nineteen years of minutes


@dataclass(frozen=True)
class Counts:
    """So many messages in each interval of ``every`` nanoseconds, one after the other; then no more.

    Args:
        values: the counts.
        every: nanoseconds of an interval.
        spread: ``poisson`` or ``exact``.
        factor: of ``poisson``, so many times as many.
        source: how the text form names counts that came from a file.
    """

    values: tuple[int, ...] = field(repr=False)
    every: int
    spread: str = "poisson"
    factor: float = 1.0
    source: str = field(default="", compare=False)
    finite = True

    def __post_init__(self) -> None:
        units.positive(self.every, "every", "1min")
        if self.spread not in ("poisson", "exact"):
            raise UnitError(f"spread: {self.spread!r} is neither poisson nor exact")
        if self.spread == "exact" and self.factor != 1:
            raise UnitError("factor: exact counts are what was counted; leave it out, or write spread=poisson")
        if not any(self.values) or len(self.values) > _LONGEST:
            raise UnitError(f"values: {len(self.values):,} counts, of at most {_LONGEST:,}, need one above 0")

    @property
    def total(self) -> float:
        """How many messages are to be expected."""
        return sum(self.values) * self.factor

    @property
    def rate(self) -> float:
        """Mean messages per second."""
        return self.total * SECOND / (len(self.values) * self.every)

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants."""
        return self._exact(generator) if self.spread == "exact" else self._poisson(generator)

    def _exact(self, generator: Generator) -> Iterator[int]:
        for place, count in enumerate(self.values):
            yield from np.sort((generator.random(count) * self.every).astype(np.int64) + place * self.every).tolist()

    def _poisson(self, generator: Generator) -> Iterator[int]:
        """Arrivals at rate 1, each moved to where the cumulative rate is as large."""
        expected = np.concatenate([[0.0], np.cumsum(np.array(self.values) * self.factor)])
        edges, passed = np.arange(len(expected)) * float(self.every), 0.0
        while passed < expected[-1]:
            at = passed + np.cumsum(generator.standard_exponential(BLOCK))
            passed = float(at[-1])
            yield from np.interp(at[at < expected[-1]], expected, edges).astype(np.int64).tolist()

    def __str__(self) -> str:
        what = self.source or ",".join(map(str, self.values))
        factor = f" factor={number_text(self.factor)}" if self.factor != 1 else ""
        return f"counts {what} every={duration_text(self.every)} spread={self.spread}{factor}"


def counts(
    values: Any = None,
    every: str | timedelta = "1min",
    file: str | Path | None = None,
    column: str = "count",
    at: str | None = None,
    spread: str = "poisson",
    factor: float = 1,
    folder: Path | None = None,
) -> Counts:
    """Arrivals from counts: ``counts([310, 295, 402], every="1min")``, ``counts(file="orders.csv", column="orders")``.

    Args:
        values: the counts of intervals that follow each other: numbers, an array, a Series, or text: ``"310,295,402"``.
        every: how long an interval is.
        file: instead, a CSV or Parquet file with a row for each interval.
        column: the column of that file with the counts.
        at: the column with the second at which each interval begins; those that are missing count 0. Without it, rows follow
            each other.
        spread: ``"poisson"``, at random with the counts as expected numbers; or ``"exact"``, just as many as counted.
        factor: of ``"poisson"``, so many times as many: 1.5 for half as many again.
        folder: where a relative ``file`` is looked up, by default the current folder.

    Raises:
        UnitError: no counts, or both values and a file, or a value that cannot be.
        ScenarioError: the file, a column or a number in it cannot be read, or intervals overlap; names the file.
    """
    if (values is None) == (file is None):
        raise UnitError('values: give counts or a file, not both; write "counts 12,30 every=1min" or "counts file=orders.csv"')
    length = units.positive(units.duration(every, "every"), "every", "1min")
    source = ""
    if file is not None:
        source = f"file={quote(str(file))} column={quote(str(column))}{f' at={quote(str(at))}' if at is not None else ''}"
        values = _read(file, str(column), None if at is None else str(at), length, folder)
    return Counts(whole_numbers(values, "values"), length, spread, units.number(factor, "factor"), source)


def _read(file: str | Path, column: str, at: str | None, every: int, folder: Path | None) -> list[int]:
    if at is None:
        return [int(count) for [count] in read_columns(file, [column], folder, whole=[column])]
    rows = sorted(read_columns(file, [at, column], folder, whole=[column]))
    found: dict[int, int] = {}
    for second, count in rows:
        place = (second - rows[0][0]) * SECOND / Decimal(every)
        if place % 1 or place in found or place >= _LONGEST:
            problem = f"an interval of {duration_text(every)} cannot begin at {second}, when another begins at {rows[0][0]}"
            raise ScenarioError(at, f"{problem}; write every= as in the file, and one row for each interval", str(file))
        found[int(place)] = int(count)
    return [found.get(place, 0) for place in range(max(found) + 1)]
