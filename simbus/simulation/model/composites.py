"""Distributions of times that are made of parts: phases one after the other, a mixture of others, measured values.

The laws that a few parameters describe are in ``laws``, how all of them are said in ``distributions``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from shlex import quote

import numpy as np
from numpy.random import Generator

from simbus.errors import UnitError
from simbus.simulation.model.laws import LONGEST, Distribution, Times, check_time, whole
from simbus.units import duration_text, number_text


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
            check_time(value, "means")
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
