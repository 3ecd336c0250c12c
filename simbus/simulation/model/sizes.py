"""Sizes of messages: always the same, or drawn from a distribution.

The laws are those of times in ``distributions``, with a byte in place of a nanosecond; here is only how sizes are said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from numpy.random import Generator

from simbus import units
from simbus.errors import UnitError
from simbus.simulation.model import distributions
from simbus.simulation.model.columns import read_columns
from simbus.simulation.model.distributions import Distribution, Times
from simbus.simulation.model.grammar import parse
from simbus.units import number_text, size_text


@dataclass(frozen=True)
class Sizes:
    """A distribution of sizes in bytes; ``text`` is what the grammar reads back.

    What a draw exceeds the largest message of the broker by is cut off.
    """

    text: str
    law: Distribution

    @property
    def mean(self) -> int:
        """The mean in whole bytes."""
        return round(self.law.mean)

    def sample(self, generator: Generator, n: int) -> Times:
        """``n`` independent draws, whole bytes from 0."""
        return self.law.sample(generator, n)

    def __str__(self) -> str:
        return self.text


def exponential(mean: str | int) -> Sizes:
    """Exponential sizes: ``"exponential 2kB"``. UnitError when the mean is not a positive size."""
    law = distributions.exponential(_bytes(mean, "mean"))
    return Sizes(f"exponential {_text(mean)}", law)


def lognormal(mean: str | int, cv: float) -> Sizes:
    """Lognormal sizes: ``"lognormal mean=2kB cv=1"``. UnitError when mean or cv cannot be."""
    law = distributions.lognormal(_bytes(mean, "mean"), cv)
    return Sizes(f"lognormal mean={_text(mean)} cv={number_text(cv)}", law)


def gamma(mean: str | int, cv: float) -> Sizes:
    """Gamma sizes: ``"gamma mean=2kB cv=0.5"``. UnitError when mean or cv cannot be."""
    law = distributions.gamma(_bytes(mean, "mean"), cv)
    return Sizes(f"gamma mean={_text(mean)} cv={number_text(cv)}", law)


def pareto(alpha: float, low: str | int, high: str | int) -> Sizes:
    """Bounded heavy-tailed sizes: ``"pareto alpha=1.2 low=500B high=5MB"``. UnitError unless low is below high."""
    smallest, largest = _bytes(low, "low"), _bytes(high, "high")
    if units.size(low) >= units.size(high):
        raise UnitError(f"high: {high!r} is not above low, {low!r}")
    law = distributions.pareto(alpha, smallest, largest)
    return Sizes(f"pareto alpha={number_text(alpha)} low={_text(low)} high={_text(high)}", law)


def empirical(
    values: str | Sequence[str | int] | None = None, file: str | None = None, column: str = "size", folder: Path | None = None
) -> Sizes:
    """Measured sizes, drawn with replacement: ``"empirical 500B,2kB"``, or whole bytes in a file: ``"empirical file=sizes.csv"``.

    Raises:
        UnitError: no values, or both values and a file, or a value that is no size.
        ScenarioError: the file, its column or a number in it cannot be read; names file and line.
    """
    if (values is None) == (file is None):
        raise UnitError('values: give values or a file, not both; write "empirical 500B,2kB" or "empirical file=sizes.csv"')
    if file is not None:
        rows = read_columns(file, [str(column)], folder, whole=[str(column)])
        text = f"empirical file={quote(str(file))} column={quote(str(column))}"
        return Sizes(text, distributions.Empirical(tuple(int(size) for [size] in rows)))
    parts = values.split(",") if isinstance(values, str) else list(values or ())
    sizes = [units.size(part, "values") for part in parts]
    return Sizes(f"empirical {','.join(map(size_text, sizes))}", distributions.Empirical(tuple(sizes)))


SIZES: Mapping[str, Callable[..., Sizes]] = {
    "exponential": exponential,
    "lognormal": lognormal,
    "gamma": gamma,
    "pareto": pareto,
    "empirical": empirical,
}


def parse_size(spec: object, place: str, folder: Path | None) -> int | Sizes:
    """A size in bytes from ``"2kB"`` or ``2000``, or a distribution from ``"lognormal mean=2kB cv=1"``, its table or as built.

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    named = isinstance(spec, str) and spec.strip()[:1].isalpha()
    if not named and not isinstance(spec, Mapping | Sizes):
        return units.size(spec, place.rpartition(".")[2])
    return parse(spec, SIZES, place, folder, Sizes)


def _bytes(size: str | int, what: str) -> str:
    """A size as the time that ``distributions`` reads, a nanosecond for each byte."""
    if not (octets := units.size(size, what)):
        raise UnitError(f'{what}: {size!r} is no size above 0; write for example "2kB"')
    return f"{octets}ns"


def _text(size: str | int) -> str:
    return size_text(units.size(size))
