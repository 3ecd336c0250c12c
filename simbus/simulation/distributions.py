"""Distributions of times: how long a handler works, how long a link takes.

Parameters are mean and cv (coefficient of variation = standard deviation / mean) of the distribution
itself, because that is what a planner measures. Random streams come from ``streams``; when messages arrive
is the business of ``workloads``.

Times are nanoseconds inside, texts with units at the factories. Every distribution offers what
:class:`Distribution` lists, and ``str()`` gives the text that the scenario grammar reads back.
"""

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simbus.errors import UnitError
from simbus.simulation.columns import read_columns
from simbus.units import SECOND, duration, duration_text, number, number_text

Duration = str | timedelta
Times = NDArray[np.int64]
LONGEST = 2**62  # nanoseconds, 146 years: sums of two still fit into an int64


@runtime_checkable
class Distribution(Protocol):
    """What the simulation asks of a distribution of times; write your own by offering the same."""

    @property
    def mean(self) -> float:
        """The mean, in nanoseconds."""

    @property
    def scv(self) -> float:
        """The squared coefficient of variation, variance / mean**2."""

    def sample(self, generator: Generator, n: int, /) -> Times:
        """``n`` independent draws, whole nanoseconds from 0; they do not depend on how draws are split into calls."""


@dataclass(frozen=True)
class Constant:
    """Always the same time, in nanoseconds."""

    value: int
    scv = 0.0

    def __post_init__(self) -> None:
        _check_time(self.value, "value")

    @property
    def mean(self) -> float:
        """The mean, in nanoseconds."""
        return float(self.value)

    def sample(self, _generator: Generator, n: int) -> Times:
        """``n`` times the value; the stream is left alone."""
        return np.full(n, self.value, dtype=np.int64)

    def __str__(self) -> str:
        return f"constant {duration_text(self.value)}"


@dataclass(frozen=True)
class Exponential:
    """The memoryless distribution: ``mean`` in nanoseconds, cv 1."""

    mean: int
    scv = 1.0

    def __post_init__(self) -> None:
        _check_time(self.mean, "mean")

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws in nanoseconds."""
        return whole(generator.standard_exponential(n) * self.mean)

    def __str__(self) -> str:
        return f"exponential {duration_text(self.mean)}"


@dataclass(frozen=True)
class _MeanAndCv:
    """What distributions have in common that are given by mean (nanoseconds) and coefficient of variation."""

    mean: int
    cv: float

    def __post_init__(self) -> None:
        _check_time(self.mean, "mean")
        _check_cv(self.cv)

    @property
    def scv(self) -> float:
        """The squared coefficient of variation."""
        return self.cv**2


@dataclass(frozen=True)
class Lognormal(_MeanAndCv):
    """The logarithm is normal: the usual fit for handlers, with a long upper tail.

    ``mean`` (nanoseconds) and ``cv`` are those of the times themselves, not of their logarithms: with
    s**2 = ln(1 + cv**2) the logarithm has mean ln(mean) - s**2 / 2 and standard deviation s.
    """

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws in nanoseconds."""
        variance = math.log1p(self.scv)
        return whole(generator.lognormal(math.log(self.mean) - variance / 2, math.sqrt(variance), n))

    def __str__(self) -> str:
        return f"lognormal mean={duration_text(self.mean)} cv={number_text(self.cv)}"


@dataclass(frozen=True)
class Gamma(_MeanAndCv):
    """Shape 1/cv**2 and scale mean*cv**2: cv 1 is exponential, cv 1/sqrt(k) is Erlang with k stages."""

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws in nanoseconds."""
        return whole(generator.gamma(1 / self.scv, self.mean * self.scv, n))

    def __str__(self) -> str:
        return f"gamma mean={duration_text(self.mean)} cv={number_text(self.cv)}"


@dataclass(frozen=True)
class Weibull(_MeanAndCv):
    """Times whose end comes nearer (cv below 1) or recedes (above 1) the longer they last: lives, and failures."""

    @cached_property
    def shape(self) -> float:
        """The k for which gamma(1 + 2/k) / gamma(1 + 1/k)**2 = 1 + cv**2; it falls as the cv rises."""
        from scipy.optimize import brentq
        from scipy.special import gammaln

        wanted = math.log1p(self.scv)
        return float(brentq(lambda k: gammaln(1 + 2 / k) - 2 * gammaln(1 + 1 / k) - wanted, 0.05, 5_000))

    @cached_property
    def _scale(self) -> float:
        return self.mean / math.gamma(1 + 1 / self.shape)

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws in nanoseconds."""
        return whole(generator.weibull(self.shape, n) * self._scale)

    def __str__(self) -> str:
        return f"weibull mean={duration_text(self.mean)} cv={number_text(self.cv)}"


@dataclass(frozen=True)
class Hyperexponential(_MeanAndCv):
    """Either of two exponentials: mostly short, now and then long; ``cv`` is above 1.

    Of the mixtures with that mean and cv it is the one with balanced means: both sorts take the same share of the time.
    """

    def __post_init__(self) -> None:
        """Below a cv of 1 no mixture of exponentials can be."""
        super().__post_init__()
        if self.cv <= 1:
            raise UnitError(f"cv: {self.cv!r} is not above 1; write gamma or lognormal for times that vary less")

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws in nanoseconds, by inversion from two uniform numbers each."""
        often = (1 + math.sqrt((self.scv - 1) / (self.scv + 1))) / 2
        kind, uniform = generator.random((n, 2)).T
        means = np.where(kind < often, self.mean / (2 * often), self.mean / (2 * (1 - often)))
        return whole(-np.log1p(-uniform) * means)

    def __str__(self) -> str:
        return f"hyperexponential mean={duration_text(self.mean)} cv={number_text(self.cv)}"


@dataclass(frozen=True)
class Pareto:
    """The bounded Pareto distribution: a heavy tail of exponent ``alpha`` between ``low`` and ``high`` nanoseconds.

    Its density is proportional to x**-(alpha + 1) there (Harchol-Balter 2013, section 20.3).
    """

    alpha: float
    low: int
    high: int

    def __post_init__(self) -> None:
        _check_time(self.low, "low")
        _check_time(self.high, "high")
        if not 0.01 <= number(self.alpha, "alpha") <= 100:
            raise UnitError(f"alpha: {self.alpha!r} is not between 0.01 and 100; real handlers have 1 to 2")
        if self.low >= self.high:
            raise UnitError(f"high: {duration_text(self.high)} is not above low, {duration_text(self.low)}")

    @property
    def mean(self) -> float:
        """The mean, in nanoseconds."""
        return self._moment(1)

    @property
    def scv(self) -> float:
        """The squared coefficient of variation."""
        return self._moment(2) / self._moment(1) ** 2 - 1

    def _moment(self, power: int) -> float:
        """E x**power, by integration of the density."""
        ratio, alpha, rest = self.low / self.high, self.alpha, power - self.alpha
        constant = alpha * self.low**alpha / (1 - ratio**alpha)
        area = math.log(1 / ratio) if abs(rest) < 1e-9 else (self.high**rest - self.low**rest) / rest
        return float(constant * area)

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws in nanoseconds, by inversion."""
        ratio = (self.low / self.high) ** self.alpha
        return whole(self.low * (1 - generator.random(n) * (1 - ratio)) ** (-1 / self.alpha))

    def __str__(self) -> str:
        return f"pareto alpha={number_text(self.alpha)} low={duration_text(self.low)} high={duration_text(self.high)}"


@dataclass(frozen=True)
class PhaseType:
    """The time through exponential phases until none follows (Neuts 1975): whatever is made of memoryless parts.

    Args:
        start: the probability to begin in each phase; they add up to 1.
        means: of each phase, in nanoseconds.
        onward: for each phase, the probability to go on to each; what is missing to 1 is the end.
    """

    start: tuple[float, ...]
    means: tuple[int, ...]
    onward: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for value in self.means:
            _check_time(value, "means")
        rows = (self.start, *self.onward)
        if len(self.onward) != len(self.means) or any(len(row) != len(self.means) for row in rows):
            raise UnitError(
                f"onward: needs a row for each of {len(self.means)} phases, and each row, as start, a number for each"
            )
        if any(share < 0 for row in rows for share in row) or any(sum(row) > 1 + 1e-9 for row in self.onward):
            raise UnitError("onward: probabilities are from 0 to 1, and those of a row add up to 1 at most")
        if abs(sum(self.start) - 1) > 1e-9:
            raise UnitError(f"start: {self.start!r} does not add up to 1")
        if abs(np.linalg.det(np.eye(len(self.means)) - np.array(self.onward))) < 1e-9:
            raise UnitError("onward: the phases never end; leave something to 1 in a row")

    @cached_property
    def _moments(self) -> tuple[float, float]:
        """First and second: start M 1 and 2 start M**2 1, with M the inverse of the negative generator (Neuts)."""
        until_end = np.linalg.solve(np.eye(len(self.means)) - np.array(self.onward), np.diag(self.means))
        start, ones = np.array(self.start), np.ones(len(self.means))
        return float(start @ until_end @ ones), float(2 * start @ until_end @ until_end @ ones)

    @property
    def mean(self) -> float:
        """The mean, in nanoseconds."""
        return self._moments[0]

    @property
    def scv(self) -> float:
        """The squared coefficient of variation."""
        return self._moments[1] / self._moments[0] ** 2 - 1

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws in nanoseconds, phase by phase, one after the other."""
        return whole(np.array([self._draw(generator) for _ in range(n)], dtype=np.float64))

    def _draw(self, generator: Generator) -> float:
        total, shares = 0.0, self.start
        while (phase := _pick(shares, generator.random())) is not None:
            total += generator.standard_exponential() * self.means[phase]
            shares = self.onward[phase]
        return total

    def __str__(self) -> str:
        rows = ";".join(",".join(map(number_text, row)) for row in self.onward)
        start, means = ",".join(map(number_text, self.start)), ",".join(map(duration_text, self.means))
        return f"phase_type start={start} means={means} onward={quote(rows)}"


def _pick(shares: Sequence[float], uniform: float) -> int | None:
    """The place that a uniform number falls into, None beyond all."""
    for place, share in enumerate(shares):
        uniform -= share
        if uniform < 0:
            return place
    return None


@dataclass(frozen=True)
class Mixture:
    """One of several distributions for each draw, by their shares, which add up to 1."""

    shares: tuple[float, ...]
    parts: tuple[Distribution, ...]

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.parts) or not self.parts:
            raise UnitError(f"parts: {len(self.shares)} shares for {len(self.parts)} distributions; give one for each")
        if any(share < 0 for share in self.shares) or abs(sum(self.shares) - 1) > 1e-9:
            raise UnitError(f"shares: {self.shares!r} are not from 0 to 1, or do not add up to 1")

    @property
    def mean(self) -> float:
        """The mean, in nanoseconds."""
        return sum(share * part.mean for share, part in zip(self.shares, self.parts, strict=True))

    @property
    def scv(self) -> float:
        """The squared coefficient of variation."""
        squares = (share * part.mean**2 * (1 + part.scv) for share, part in zip(self.shares, self.parts, strict=True))
        return sum(squares) / self.mean**2 - 1

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws in nanoseconds, one after the other."""
        return np.array([self._draw(generator) for _ in range(n)], dtype=np.int64)

    def _draw(self, generator: Generator) -> int:
        place = _pick(self.shares, generator.random())
        return int(self.parts[-1 if place is None else place].sample(generator, 1)[0])

    def __str__(self) -> str:
        parts = " ".join(quote(str(part)) for part in self.parts)
        return f"mixture shares={','.join(map(number_text, self.shares))} parts={quote(parts)}"


@dataclass(frozen=True)
class Empirical:
    """Measured times in nanoseconds, each equally likely, drawn with replacement.

    ``source`` is how the text form names the values when they came from a file.
    """

    values: tuple[int, ...] = field(repr=False)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.values:
            raise UnitError('values: an empirical distribution of no values; write for example "empirical 30ms,42ms"')
        if not all(0 <= value <= LONGEST for value in self.values) or not any(self.values):
            raise UnitError("values: times from 0 to 146 years, not all of them 0, in nanoseconds")

    @property
    def mean(self) -> float:
        """The mean of the values, in nanoseconds."""
        return sum(self.values) / len(self.values)

    @property
    def scv(self) -> float:
        """The squared coefficient of variation of the values, taken as the whole population."""
        return float(np.var(self._array / self.mean))

    @cached_property
    def _array(self) -> Times:
        return np.array(self.values, dtype=np.int64)

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws from the values."""
        return self._array[(generator.random(n) * len(self.values)).astype(np.int64)]

    def __str__(self) -> str:
        return f"empirical {self.source or ','.join(map(duration_text, self.values))}"


def constant(value: Duration) -> Constant:
    """Always ``value``: ``constant("30ms")``. UnitError when it is not a positive time."""
    return Constant(duration(value, "value"))


def exponential(mean: Duration) -> Exponential:
    """Exponential times: ``exponential("30ms")``. UnitError when the mean is not a positive time."""
    return Exponential(duration(mean, "mean"))


def lognormal(mean: Duration, cv: float) -> Lognormal:
    """Lognormal times with that mean and coefficient of variation: ``lognormal(mean="55ms", cv=0.8)``.

    Raises:
        UnitError: when the mean is not a positive time or the cv not between 0.001 and 100.
    """
    return Lognormal(duration(mean, "mean"), number(cv, "cv"))


def gamma(mean: Duration, cv: float) -> Gamma:
    """Gamma times with that mean and coefficient of variation: ``gamma(mean="55ms", cv=0.5)``.

    Raises:
        UnitError: when the mean is not a positive time or the cv not between 0.001 and 100.
    """
    return Gamma(duration(mean, "mean"), number(cv, "cv"))


def weibull(mean: Duration, cv: float) -> Weibull:
    """Weibull times with that mean and coefficient of variation: ``weibull(mean="1h", cv=0.5)``; UnitError as :func:`gamma`."""
    return Weibull(duration(mean, "mean"), number(cv, "cv"))


def hyperexponential(mean: Duration, cv: float) -> Hyperexponential:
    """A mixture of short and long exponential times: ``hyperexponential(mean="50ms", cv=3)``; UnitError for a cv up to 1."""
    return Hyperexponential(duration(mean, "mean"), number(cv, "cv"))


def pareto(alpha: float, low: Duration, high: Duration) -> Pareto:
    """Bounded heavy-tailed times: ``pareto(alpha=1.5, low="5ms", high="1min")``; UnitError unless low is below high."""
    return Pareto(number(alpha, "alpha"), duration(low, "low"), duration(high, "high"))


def phase_type(start: object, means: object, onward: object) -> PhaseType:
    """Exponential phases: ``phase_type(start=[1, 0], means=["10ms", "1s"], onward=[[0, 0.1], [0, 0]])``.

    As text, numbers are separated by commas and rows by semicolons: ``phase_type start=1,0 means=10ms,1s onward='0,0.1;0,0'``.

    Raises:
        UnitError: when sizes do not fit, probabilities cannot be, or the phases never end.
    """
    rows = onward.split(";") if isinstance(onward, str) else _parts(onward)
    return PhaseType(_numbers(start), tuple(duration(mean, "means") for mean in _parts(means)), tuple(map(_numbers, rows)))


def mixture(shares: object, parts: object) -> Mixture:
    """Different sorts of work: ``mixture(shares=[0.9, 0.1], parts=["exponential 10ms", "lognormal mean=1s cv=2"])``.

    Raises:
        UnitError: when there is not one share for each part, or they do not add up to 1.
        ScenarioError: for a part that is no distribution.
    """
    from simbus.simulation.grammar import parse

    texts = shlex.split(parts) if isinstance(parts, str) else _parts(parts)
    return Mixture(_numbers(shares), tuple(parse(part, SERVICES, "parts", None, Distribution) for part in texts))


def empirical(
    values: str | Sequence[Duration] | None = None,
    file: str | Path | None = None,
    column: str = "seconds",
    folder: Path | None = None,
) -> Empirical:
    """Measured times, drawn with replacement: ``empirical(["30ms", "42ms"])`` or ``empirical(file="handler.csv")``.

    Args:
        values: the times, or one text with commas between them: ``"30ms,42ms"``.
        file: instead, a CSV file with a header; the times are plain numbers of seconds.
        column: the column of that file.
        folder: where a relative ``file`` is looked up, by default the current folder.

    Raises:
        UnitError: no values, or both values and a file, or a value that is no time.
        ScenarioError: the file, its column or a number in it cannot be read; names file and line.
    """
    if (values is None) == (file is None):
        raise UnitError('values: give values or a file, not both; write "empirical 30ms,42ms" or "empirical file=times.csv"')
    if file is not None:
        rows = read_columns(file, [str(column)], folder)
        source = f"file={quote(str(file))} column={quote(str(column))}"
        return Empirical(tuple(round(seconds * SECOND) for [seconds] in rows), source)
    return Empirical(tuple(duration(part, "values") for part in _parts(values)))


SERVICES: Mapping[str, Callable[..., Distribution]] = {
    "constant": constant,
    "exponential": exponential,
    "lognormal": lognormal,
    "gamma": gamma,
    "weibull": weibull,
    "hyperexponential": hyperexponential,
    "pareto": pareto,
    "phase_type": phase_type,
    "mixture": mixture,
    "empirical": empirical,
}


def whole(times: NDArray[Any]) -> Times:
    """Rounded to whole nanoseconds; a draw beyond 146 years becomes 146 years instead of overflowing."""
    rounded: Times = np.rint(np.minimum(times, LONGEST)).astype(np.int64)
    return rounded


def _parts(values: object) -> Iterable[object]:
    if isinstance(values, str):
        return values.split(",")
    return values if isinstance(values, Iterable) else [values]


def _numbers(values: object) -> tuple[float, ...]:
    """Numbers, also as text with commas between them."""
    try:
        return tuple(float(part) for part in _parts(values))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UnitError(f"{values!r} is not a list of numbers; write for example 0.9,0.1") from None


def _check_time(value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LONGEST:
        raise UnitError(f'{what}: {value!r} ns is not a time above 0 and below 146 years; write for example "30ms"')


def _check_cv(cv: object) -> None:
    if not 0.001 <= number(cv, "cv") <= 100:
        raise UnitError(f'cv: {cv!r} is not between 0.001 and 100; for times that do not vary write "constant 30ms"')
