"""Distributions of times: how long a handler works, how long a link takes.

Parameters are mean and cv (coefficient of variation = standard deviation / mean) of the distribution
itself, because that is what a planner measures. Random streams come from ``streams``; when messages arrive
is the business of ``workloads``.

Times are nanoseconds inside, texts with units at the factories. Every distribution offers what
:class:`Distribution` lists, and ``str()`` gives the text that the scenario grammar reads back. Here are the factories,
which are that grammar; the distributions themselves are in ``laws`` and ``composites``, and everyone else finds them here.
"""

import shlex
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from shlex import quote
from typing import Any

from simbus.errors import UnitError
from simbus.simulation.model.columns import read_columns
from simbus.simulation.model.composites import Empirical, Mixture, PhaseType
from simbus.simulation.model.laws import (
    LONGEST,
    Constant,
    Distribution,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Pareto,
    Times,
    Weibull,
    whole,
)
from simbus.simulation.model.measured import each_of, times
from simbus.units import duration, number, unit_scale

__all__ = [
    "LONGEST",
    "SERVICES",
    "Constant",
    "Distribution",
    "Duration",
    "Empirical",
    "Exponential",
    "Gamma",
    "Hyperexponential",
    "Lognormal",
    "Mixture",
    "Pareto",
    "PhaseType",
    "Times",
    "Weibull",
    "constant",
    "empirical",
    "exponential",
    "gamma",
    "hyperexponential",
    "lognormal",
    "mixture",
    "pareto",
    "phase_type",
    "weibull",
    "whole",
]

Duration = str | timedelta


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
    rows = onward.split(";") if isinstance(onward, str) else each_of(onward)
    return PhaseType(_numbers(start), tuple(duration(mean, "means") for mean in each_of(means)), tuple(map(_numbers, rows)))


def mixture(shares: object, parts: object) -> Mixture:
    """Different sorts of work: ``mixture(shares=[0.9, 0.1], parts=["exponential 10ms", "lognormal mean=1s cv=2"])``.

    Raises:
        UnitError: when there is not one share for each part, or they do not add up to 1.
        ScenarioError: for a part that is no distribution.
    """
    from simbus.simulation.model.grammar import parse

    texts = shlex.split(parts) if isinstance(parts, str) else each_of(parts)
    return Mixture(_numbers(shares), tuple(parse(part, SERVICES, "parts", None, Distribution) for part in texts))


def empirical(
    values: Any = None,
    file: str | Path | None = None,
    column: str = "seconds",
    unit: str | None = None,
    folder: Path | None = None,
) -> Empirical:
    """Measured times, drawn with replacement: ``empirical(["30ms", "42ms"])`` or ``empirical(file="handler.csv")``.

    Args:
        values: the times, or one text with commas between them: ``"30ms,42ms"``; or numbers, an array or a Series, with a
            ``unit``, or of timedeltas.
        file: instead, a CSV or Parquet file; the times are plain numbers.
        column: the column of that file.
        unit: of plain numbers, ``"ms"``; those of a file are seconds unless it says otherwise.
        folder: where a relative ``file`` is looked up, by default the current folder.

    Raises:
        UnitError: no values, or both values and a file, or a value that is no time.
        ScenarioError: the file, its column or a number in it cannot be read; names file and line.
    """
    if (values is None) == (file is None):
        raise UnitError('values: give values or a file, not both; write "empirical 30ms,42ms" or "empirical file=times.csv"')
    if file is not None:
        scale, rows = unit_scale(unit or "s"), read_columns(file, [str(column)], folder)
        source = f"file={quote(str(file))} column={quote(str(column))}{f' unit={unit}' if unit not in (None, 's') else ''}"
        return Empirical(tuple(round(number * scale) for [number] in rows), source)
    return Empirical(times(values, unit))


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


def _numbers(values: object) -> tuple[float, ...]:
    """Numbers, also as text with commas between them."""
    try:
        return tuple(float(part) for part in each_of(values))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UnitError(f"{values!r} is not a list of numbers; write for example 0.9,0.1") from None
