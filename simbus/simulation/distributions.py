"""Distributions of times: how long a handler works, how long a link takes.

Parameters are mean and cv (coefficient of variation = standard deviation / mean) of the distribution
itself, because that is what a planner measures. Random streams come from ``streams``; when messages arrive
is the business of ``workloads``.

Times are nanoseconds inside, texts with units at the factories. Every distribution offers what
:class:`Distribution` lists, and ``str()`` gives the text that the scenario grammar reads back.
"""

import math
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


def _check_time(value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LONGEST:
        raise UnitError(f'{what}: {value!r} ns is not a time above 0 and below 146 years; write for example "30ms"')


def _check_cv(cv: object) -> None:
    if not 0.001 <= number(cv, "cv") <= 100:
        raise UnitError(f'cv: {cv!r} is not between 0.001 and 100; for times that do not vary write "constant 30ms"')
