"""Workloads: at which instants a publisher publishes.

How long anything takes is the business of ``distributions``; what is published, of the scenario.

Every workload offers what :class:`Workload` lists. Instants are Python ints of nanoseconds since the start of
the replication and never drift: Poisson gaps are rounded one by one and summed as integers, so that the n-th
arrival is exactly the sum of its gaps and does not depend on the size of a block of draws (for a gap
of 100 ns or more the rounding shifts the rate by less than 1 part in 200,000); arrivals at a constant rate are
computed from their number, not from the arrival before.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate, chain, count, repeat
from pathlib import Path
from shlex import quote
from typing import Protocol, runtime_checkable

from numpy.random import Generator

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.columns import read_columns
from simbus.simulation.distributions import Times, whole
from simbus.simulation.streams import draws
from simbus.units import SECOND, duration_text, number_text

FASTEST = 1e7  # per second: beyond it, whole nanoseconds are too coarse for a gap


@runtime_checkable
class Workload(Protocol):
    """What the simulation asks of a workload; write your own by offering the same."""

    @property
    def rate(self) -> float:
        """Mean messages per second."""

    @property
    def finite(self) -> bool:
        """Whether the arrivals end by themselves."""

    def epochs(self, generator: Generator, /) -> Iterator[int]:
        """The instants of publishing in nanoseconds, non-decreasing; one message each."""


@dataclass(frozen=True)
class Poisson:
    """Independent publishers without memory: exponential gaps, ``rate`` messages per second."""

    rate: float
    finite = False

    def __post_init__(self) -> None:
        _check_rate(self.rate)

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants; the first comes after one gap."""
        return accumulate(draws(generator, self._gaps))

    def _gaps(self, generator: Generator, n: int) -> Times:
        return whole(generator.standard_exponential(n) * (SECOND / self.rate))

    def __str__(self) -> str:
        return f"poisson {number_text(self.rate)}/s"


@dataclass(frozen=True)
class ConstantRate:
    """One message every 1/rate seconds, as a load generator sends them."""

    rate: float
    finite = False

    def __post_init__(self) -> None:
        _check_rate(self.rate)

    def epochs(self, _generator: Generator) -> Iterator[int]:
        """The n-th instant, n from 1, is n/rate, rounded; the stream is left alone."""
        return (round(n * SECOND / self.rate) for n in count(1))

    def __str__(self) -> str:
        return f"constant_rate {number_text(self.rate)}/s"


@dataclass(frozen=True)
class Bursts:
    """``size`` messages at one instant, every ``every`` nanoseconds, as a scheduled job publishes them."""

    size: int
    every: int
    finite = False

    def __post_init__(self) -> None:
        units.count(self.size, "size")
        if self.every <= 0:
            raise UnitError(f'every: {self.every!r} ns is not a positive time; write for example "1min"')

    @property
    def rate(self) -> float:
        """Mean messages per second."""
        return self.size * SECOND / self.every

    def epochs(self, _generator: Generator) -> Iterator[int]:
        """The instants; the first burst comes after one interval. The stream is left alone."""
        return (n * self.every for n in count(1) for _ in range(self.size))

    def __str__(self) -> str:
        return f"bursts size={self.size} every={duration_text(self.every)}"


@dataclass(frozen=True)
class Replay:
    """A recorded trace, played once; ``times`` are the instants of its messages, the first at 0.

    ``file``, ``speed`` and ``per`` say where they came from.
    """

    file: str
    speed: float
    per: str
    times: tuple[int, ...] = field(repr=False)
    finite = True

    @property
    def rate(self) -> float:
        """Messages per second over the length of the trace; infinite when all come at one instant."""
        return len(self.times) * SECOND / self.times[-1] if self.times[-1] else math.inf

    def epochs(self, _generator: Generator) -> Iterator[int]:
        """The instants; the stream is left alone."""
        return iter(self.times)

    def __str__(self) -> str:
        return f"replay {quote(self.file)} speed={number_text(self.speed)} per={quote(self.per)}"


def poisson(rate: str) -> Poisson:
    """Poisson arrivals: ``poisson("120/s")``. UnitError when it is no rate or beyond 10 million a second."""
    return Poisson(units.rate(rate, "rate"))


def constant_rate(rate: str) -> ConstantRate:
    """Evenly spaced arrivals: ``constant_rate("120/s")``. UnitError as for :func:`poisson`."""
    return ConstantRate(units.rate(rate, "rate"))


def bursts(size: int, every: str | timedelta) -> Bursts:
    """Batches of arrivals: ``bursts(size=50, every="1min")``. UnitError when one of them is not positive."""
    return Bursts(size, units.duration(every, "every"))


def replay(file: str | Path, speed: float = 1, per: str = "order", folder: Path | None = None) -> Replay:
    """The arrivals recorded in a CSV file with a header and a column ``seconds``: ``replay("orders.csv", speed=360)``.

    Rows need not be in order: they are sorted, because traces merged from several sources seldom are and
    only the instants count. The earliest becomes 0.

    Args:
        file: the CSV file.
        speed: 360 plays six hours in a minute.
        per: ``"order"`` publishes one message a row; any other name is a column of whole numbers, and that
            many messages are published at the row's instant.
        folder: where a relative ``file`` is looked up, by default the current folder.

    Raises:
        ScenarioError: the file, a column or a number in it cannot be read, or nothing arrives; names file and line.
        UnitError: the speed is not a positive number.
    """
    factor, per = Decimal(SECOND) / Decimal(units.number(speed, "speed")), str(per)
    arrivals = [row for row in _arrivals(file, per, folder) if row[1]]
    if not arrivals:
        raise ScenarioError(per, "adds up to no message; write at least one whole number above 0", str(file))
    origin = arrivals[0][0]
    times = chain.from_iterable(repeat(round((seconds - origin) * factor), copies) for seconds, copies in arrivals)
    return Replay(str(file), float(speed), per, tuple(times))


def _arrivals(file: str | Path, per: str, folder: Path | None) -> list[tuple[Decimal, int]]:
    """Instant in seconds and number of messages, a row each, in order of time."""
    if per == "order":
        return sorted((seconds, 1) for [seconds] in read_columns(file, ["seconds"], folder))
    rows = read_columns(file, ["seconds", per], folder, whole=[per])
    return sorted((seconds, int(copies)) for seconds, copies in rows)


ARRIVALS: Mapping[str, Callable[..., Workload]] = {
    "poisson": poisson,
    "constant_rate": constant_rate,
    "bursts": bursts,
    "replay": replay,
}


def _check_rate(rate: float) -> None:
    if not units.number(rate, "rate") <= FASTEST:
        raise UnitError(f'rate: {rate!r} a second is beyond 10_000_000/s, too fast for a clock of nanoseconds; write "120/s"')
