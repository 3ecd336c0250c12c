"""Arrivals that come so many times as often, and are otherwise as they were.

A rate that changes with the time of day keeps its hours; gaps and traces become shorter. Draws stay the same, so that two rates
can be compared on common random numbers. What a workload is, is in ``workloads``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.random import Generator

from simbus.errors import UnitError
from simbus.simulation.model.counts import Counts
from simbus.simulation.model.functions import Source
from simbus.simulation.model.replays import Replay
from simbus.simulation.model.workloads import (
    Batches,
    Bursts,
    ClosedLoop,
    ConstantRate,
    MarkovModulated,
    Poisson,
    Schedule,
    Sinusoid,
    Workload,
)
from simbus.units import number_text


@dataclass(frozen=True)
class Hurried:
    """Another workload's arrivals, with all its times divided by a factor."""

    workload: Workload
    factor: float

    @property
    def rate(self) -> float:
        """Mean messages per second."""
        return self.workload.rate * self.factor

    @property
    def finite(self) -> bool:
        """Whether the arrivals end by themselves."""
        return self.workload.finite

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants, in nanoseconds."""
        return (round(at / self.factor) for at in self.workload.epochs(generator))

    def __str__(self) -> str:
        return f"{self.workload}, {number_text(self.factor)} times as often"


def scaled(workload: Workload, factor: float) -> Workload:
    """The same arrivals, ``factor`` times as often.

    Raises:
        UnitError: they are decided by the system or by code, so that nobody can scale them, or would be too fast.
    """
    if isinstance(workload, ClosedLoop):
        raise UnitError("a closed loop slows down with the system, so it has no rate to scale; vary its window instead")
    if isinstance(workload, Source):
        raise UnitError("its arrivals are code of yours, so nobody else can scale them; give that code a parameter")
    scale = _SCALES.get(type(workload))
    return Hurried(workload, factor) if scale is None else scale(workload, factor)


def _rate(workload: Any, factor: float) -> Workload:
    changed: Workload = replace(workload, rate=workload.rate * factor)
    return changed


def _counts(counts: Counts, factor: float) -> Workload:
    if counts.spread == "exact" and factor != 1:
        raise UnitError("exact counts are what was counted, so they cannot be more; write spread=poisson instead")
    return replace(counts, factor=counts.factor * factor)


def _steps(steps: tuple[tuple[int, float], ...], factor: float) -> tuple[tuple[int, float], ...]:
    return tuple((length, rate * factor) for length, rate in steps)


def _replay(workload: Replay, factor: float) -> Workload:
    return replace(workload, speed=workload.speed * factor, times=tuple(round(at / factor) for at in workload.times))


_SCALES: Mapping[type, Callable[[Any, float], Workload]] = {
    Poisson: _rate,
    ConstantRate: _rate,
    Batches: _rate,
    Sinusoid: _rate,
    Bursts: lambda bursts, factor: replace(bursts, every=max(1, round(bursts.every / factor))),
    Schedule: lambda schedule, factor: replace(schedule, steps=_steps(schedule.steps, factor)),
    MarkovModulated: lambda modulated, factor: replace(modulated, states=_steps(modulated.states, factor)),
    Replay: _replay,
    Counts: _counts,
}
