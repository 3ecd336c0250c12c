"""The laws of times that a few parameters describe: constant, exponential, lognormal, gamma, Weibull, hyperexponential, Pareto.

Here too is what every distribution of times is held to: the protocol, and the range of a time. What is made of several
parts lives in ``composites``, how all of them are said in ``distributions``.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simbus.errors import UnitError
from simbus.units import duration_text, number, number_text

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
        check_time(self.value, "value")

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
        check_time(self.mean, "mean")

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
        check_time(self.mean, "mean")
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
        check_time(self.low, "low")
        check_time(self.high, "high")
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


def whole(times: NDArray[Any]) -> Times:
    """Rounded to whole nanoseconds; a draw beyond 146 years becomes 146 years instead of overflowing."""
    rounded: Times = np.rint(np.minimum(times, LONGEST)).astype(np.int64)
    return rounded


def check_time(value: object, what: str) -> None:
    """UnitError unless ``value`` is a whole number of nanoseconds above 0 and at most :data:`LONGEST`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LONGEST:
        raise UnitError(f'{what}: {value!r} ns is not a time above 0 and below 146 years; write for example "30ms"')


def _check_cv(cv: object) -> None:
    if not 0.001 <= number(cv, "cv") <= 100:
        raise UnitError(f'cv: {cv!r} is not between 0.001 and 100; for times that do not vary write "constant 30ms"')
