"""Workloads: at which instants a publisher publishes.

How long anything takes is the business of ``distributions``; what is published, of ``messages``; traces are read in ``replays``,
numbers per minute in ``counts``.

Every workload offers what :class:`Workload` lists. Instants are Python ints of nanoseconds since the start of
the replication and never drift: Poisson gaps are rounded one by one and summed as integers, so that the n-th
arrival is exactly the sum of its gaps and does not depend on the size of a block of draws (for a gap
of 100 ns or more the rounding shifts the rate by less than 1 part in 200,000); arrivals at a constant rate are
computed from their number, not from the arrival before.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import heapreplace
from itertools import accumulate, count, cycle, repeat
from shlex import quote
from typing import Protocol, runtime_checkable

from numpy.random import Generator

from simbus import units
from simbus.errors import UnitError
from simbus.simulation.model.counts import counts
from simbus.simulation.model.distributions import SERVICES, Distribution, Times, whole
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.replays import replay
from simbus.simulation.model.streams import draws
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
        units.positive(self.every, "every", "1min")

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
class Renewal:
    """Independent gaps of any distribution: more even than Poisson below a cv of 1, more clumped above."""

    gaps: Distribution
    finite = False

    def __post_init__(self) -> None:
        _check_rate(self.rate)

    @property
    def rate(self) -> float:
        """Mean messages per second."""
        return SECOND / self.gaps.mean

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants; the first comes after one gap."""
        return accumulate(draws(generator, self.gaps.sample))

    def __str__(self) -> str:
        return f"renewal {quote(str(self.gaps))}"


@dataclass(frozen=True)
class Batches:
    """Batches at random instants, as a Poisson process of ``rate`` messages per second in all.

    A batch has ``size`` messages on average: always (``spread`` fixed), or geometrically distributed from 1 (geometric).
    """

    rate: float
    size: float
    spread: str = "fixed"
    finite = False

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        if self.spread not in ("fixed", "geometric"):
            raise UnitError(f"spread: {self.spread!r} is neither fixed nor geometric")
        if self.size < 1 or (self.spread == "fixed" and self.size != int(self.size)):
            raise UnitError(f"size: {self.size!r} is not a number of messages; write for example 5")

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants, each as often as its batch is large."""
        now = 0
        for gap, place in draws(generator, lambda generator, n: generator.random((n, 2))):
            now += round(-math.log1p(-gap) * SECOND * self.size / self.rate)
            yield from repeat(now, self._size(place))

    def _size(self, uniform: float) -> int:
        if self.spread == "fixed" or self.size == 1:
            return int(self.size)
        return 1 + int(math.log1p(-uniform) / math.log1p(-1 / self.size))

    def __str__(self) -> str:
        return f"batches {number_text(self.rate)}/s size={number_text(self.size)} spread={self.spread}"


@dataclass(frozen=True)
class Sinusoid:
    """Poisson arrivals whose rate swings: rate * (1 + swing * sin(2 pi t / period)); ``swing`` from 0 to 1."""

    rate: float
    swing: float
    period: int
    finite = False

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        units.positive(self.period, "period", "24h")

    def rate_at(self, time: float) -> float:
        """Messages per second, so many nanoseconds after the start."""
        return self.rate * (1 + self.swing * math.sin(2 * math.pi * time / self.period))

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants, by thinning of a Poisson process of the highest rate (Lewis and Shedler 1979)."""
        return _thinned(generator, self.rate_at, self.rate * (1 + self.swing))

    def __str__(self) -> str:
        return f"sinusoid {number_text(self.rate)}/s swing={number_text(self.swing)} period={duration_text(self.period)}"


@dataclass(frozen=True)
class Schedule:
    """Poisson arrivals at rates that change at set times, as a day's or a week's curve; it begins anew at its end.

    ``steps`` are pairs of a length in nanoseconds and a rate in messages per second.
    """

    steps: tuple[tuple[int, float], ...]
    finite = False

    def __post_init__(self) -> None:
        if not self.steps or any(length <= 0 for length, _ in self.steps):
            raise UnitError('steps: each is a time and a rate; write for example "8h:20/s,4h:120/s"')
        _check_rate(self.rate)

    @property
    def _length(self) -> int:
        return sum(length for length, _ in self.steps)

    @property
    def rate(self) -> float:
        """Mean messages per second."""
        return _mean_rate(self.steps)

    def rate_at(self, time: float) -> float:
        """Messages per second, so many nanoseconds after the start."""
        left = time % self._length
        for length, rate in self.steps:
            if left < length:
                return rate
            left -= length
        return self.steps[-1][1]

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants, by thinning (Lewis and Shedler 1979)."""
        return _thinned(generator, self.rate_at, max(rate for _, rate in self.steps))

    def __str__(self) -> str:
        return f"schedule {_steps_text(self.steps)}"


@dataclass(frozen=True)
class MarkovModulated:
    """Poisson arrivals whose rate depends on a state that changes at random: quiet, then busy, and so on in turn.

    ``states`` are pairs of a mean length in nanoseconds (exponential) and a rate in messages per second; the first begins.
    """

    states: tuple[tuple[int, float], ...]
    finite = False

    def __post_init__(self) -> None:
        if len(self.states) < 2 or any(length <= 0 for length, _ in self.states):
            raise UnitError('states: two or more, each a mean time and a rate; write for example "50s:20/s,10s:200/s"')
        _check_rate(self.rate)

    @property
    def rate(self) -> float:
        """Mean messages per second, in the long run."""
        return _mean_rate(self.states)

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants."""
        exponential = draws(generator, lambda generator, n: generator.standard_exponential(n)).__next__
        now = 0.0
        for length, rate in cycle(self.states):
            end = now + exponential() * length
            while rate and (now := now + exponential() * SECOND / rate) < end:
                yield round(now)
            now = end

    def __str__(self) -> str:
        return f"markov_modulated {_steps_text(self.states)}"


@dataclass(frozen=True)
class ClosedLoop:
    """A window of messages: each of ``window`` tokens thinks, publishes, and thinks again once its message is done with.

    It is done with when the broker has confirmed it (``until`` is ``confirmed``), or when every subscriber has applied or
    lost it (``applied``), as a client that waits for the response. So a system that is slow is offered less.
    """

    window: int
    think: Distribution
    until: str = "confirmed"
    finite = False

    def __post_init__(self) -> None:
        units.count(self.window, "window")
        if self.until not in ("confirmed", "applied"):
            raise UnitError(f"until: {self.until!r} is neither confirmed nor applied")

    @property
    def rate(self) -> float:
        """Messages per second at most: those of a system that takes no time."""
        return self.window * SECOND / self.think.mean

    def thoughts(self, generator: Generator) -> Iterator[int]:
        """How long tokens think, in nanoseconds, as they come to it."""
        return draws(generator, self.think.sample)

    def epochs(self, generator: Generator) -> Iterator[int]:
        """The instants in a system that takes no time; in another one they depend on it."""
        thoughts = self.thoughts(generator)
        times = sorted(next(thoughts) for _ in range(self.window))
        while True:
            now = heapreplace(times, times[0] + next(thoughts))
            yield now

    def __str__(self) -> str:
        return f"closed_loop window={self.window} think={quote(str(self.think))} until={self.until}"


def poisson(rate: str) -> Poisson:
    """Poisson arrivals: ``poisson("120/s")``. UnitError when it is no rate or beyond 10 million a second."""
    return Poisson(units.rate(rate, "rate"))


def constant_rate(rate: str) -> ConstantRate:
    """Evenly spaced arrivals: ``constant_rate("120/s")``. UnitError as for :func:`poisson`."""
    return ConstantRate(units.rate(rate, "rate"))


def bursts(size: int, every: str | timedelta) -> Bursts:
    """Batches of arrivals: ``bursts(size=50, every="1min")``. UnitError when one of them is not positive."""
    return Bursts(size, units.duration(every, "every"))


def renewal(gaps: object) -> Renewal:
    """Independent gaps: ``renewal("gamma mean=10ms cv=0.5")``. ScenarioError when that is no distribution."""
    return Renewal(parse(gaps, SERVICES, "gaps", None, Distribution))


def batches(rate: str, size: float, spread: str = "fixed") -> Batches:
    """Batches at random: ``batches("120/s", size=5)``, or ``spread="geometric"``. UnitError for a size below 1."""
    return Batches(units.rate(rate, "rate"), units.number(size, "size"), spread)


def sinusoid(rate: str, swing: str | float, period: str | timedelta) -> Sinusoid:
    """A rate that swings: ``sinusoid("120/s", swing=0.8, period="24h")``. UnitError for a swing beyond 1."""
    return Sinusoid(units.rate(rate, "rate"), units.share(swing, "swing"), units.duration(period, "period"))


def schedule(steps: object) -> Schedule:
    """A curve of rates: ``schedule("8h:20/s,4h:120/s,12h:0/s")``. UnitError when a step is not a time and a rate."""
    return Schedule(_steps(steps, "steps"))


def markov_modulated(states: object) -> MarkovModulated:
    """States with a mean length and a rate, in turn: ``markov_modulated("50s:20/s,10s:200/s")``. UnitError as above."""
    return MarkovModulated(_steps(states, "states"))


def closed_loop(window: int, think: object, until: str = "confirmed") -> ClosedLoop:
    """A window of messages at a time: ``closed_loop(window=10, think="exponential 100ms", until="applied")``.

    Raises:
        UnitError: the window is not a whole number from 1, or ``until`` another word.
        ScenarioError: ``think`` is no distribution of times.
    """
    return ClosedLoop(window, parse(think, SERVICES, "think", None, Distribution), until)


ARRIVALS: Mapping[str, Callable[..., Workload]] = {
    "poisson": poisson,
    "constant_rate": constant_rate,
    "bursts": bursts,
    "renewal": renewal,
    "batches": batches,
    "sinusoid": sinusoid,
    "schedule": schedule,
    "markov_modulated": markov_modulated,
    "replay": replay,
    "counts": counts,
    "closed_loop": closed_loop,
}


def _thinned(generator: Generator, rate_at: Callable[[float], float], most: float) -> Iterator[int]:
    """Of a Poisson process of ``most`` messages per second, those that a rate up to that keeps."""
    now = 0.0
    for gap, kept in draws(generator, lambda generator, n: generator.random((n, 2))):
        now += -math.log1p(-gap) * SECOND / most
        if kept * most < rate_at(now):
            yield round(now)


def _steps(steps: object, what: str) -> tuple[tuple[int, float], ...]:
    """Pairs of a time and a rate, from ``"8h:20/s,4h:120/s"`` or ``[["8h", "20/s"], ["4h", "120/s"]]``."""
    parts = [part.split(":") for part in steps.split(",")] if isinstance(steps, str) else steps
    try:
        return tuple((units.duration(length, what), _rate(rate, what)) for length, rate in parts)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        if isinstance(error, UnitError):
            raise
        raise UnitError(f'{what}: {steps!r} are not pairs of a time and a rate; write for example "8h:20/s,4h:120/s"') from None


def _steps_text(steps: Iterable[tuple[int, float]]) -> str:
    """The text that :func:`_steps` reads back."""
    return ",".join(f"{duration_text(length)}:{number_text(rate)}/s" for length, rate in steps)


def _mean_rate(steps: Sequence[tuple[int, float]]) -> float:
    """Of rates that hold for so long each."""
    return sum(length * rate for length, rate in steps) / sum(length for length, _ in steps)


def _rate(rate: object, what: str) -> float:
    """A rate that may be nothing."""
    return 0.0 if str(rate).strip() in ("0", "0/s", "0.0") else units.rate(rate, what)


def _check_rate(rate: float) -> None:
    if not units.number(rate, "rate") <= FASTEST:
        raise UnitError(f'rate: {rate!r} a second is beyond 10_000_000/s, too fast for a clock of nanoseconds; write "120/s"')
