"""What was measured, as Python hands it over: lists, arrays and Series become whole nanoseconds and whole counts.

Files are read in ``columns``.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from simbus.errors import UnitError
from simbus.simulation.model.laws import LONGEST
from simbus.units import duration, unit_scale


def each_of(values: object) -> Iterable[object]:
    """The values of a list, of a text with commas between them, or the only one."""
    if isinstance(values, str):
        return values.split(",")
    return values if isinstance(values, Iterable) else [values]


def times(values: Any, unit: str | None) -> tuple[int, ...]:
    """Nanoseconds of texts and timedeltas, which have units, or of plain numbers, which take ``unit``.

    Raises:
        UnitError: numbers without a unit, or a value that is no time.
    """
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if kind == "m":  # an array of NumPy's timedelta64, which brings its unit
        return _of_timedeltas(values)
    if unit is not None:
        return _of_numbers(values, unit_scale(unit))
    if all(_bare(values)) and any(_bare(values)):
        raise UnitError('unit: numbers need one; write for example unit="ms"')
    return tuple(duration(part, "values") for part in each_of(values))


def whole_numbers(values: Any, what: str) -> tuple[int, ...]:
    """Whole numbers from 0, also as text with commas between them; UnitError for anything else."""
    try:
        numbers = np.array([float(part) for part in each_of(values)])  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UnitError(f"{what}: {values!r} are not numbers; write for example 12,30,25") from None
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers < 2**53) & (numbers % 1 == 0)))
    if wrong.size:
        found = numbers[wrong[0]]
        raise UnitError(f"{what}: number {wrong[0]}, counted from 0, is {found:g}, which is no whole number from 0; mend it")
    return tuple(int(number) for number in numbers)


def _of_timedeltas(values: Any) -> tuple[int, ...]:
    found = np.asarray(values, "timedelta64[ns]")
    wrong = np.flatnonzero(np.isnat(found) | (found < np.timedelta64(0, "ns")))
    if wrong.size:
        raise UnitError(f"values: number {wrong[0]}, counted from 0, is missing or negative, which is no time; leave it out")
    return tuple(found.astype(np.int64).tolist())


def _bare(values: object) -> Iterator[bool]:
    """Of each value, whether it is a number without a unit."""
    among = values if isinstance(values, Iterable) and not isinstance(values, str) else ()
    return (isinstance(each, int | float | np.number) for each in among)


def _of_numbers(values: Any, scale: int) -> tuple[int, ...]:
    try:
        found = np.asarray(values, dtype=np.float64).ravel() * scale
    except (TypeError, ValueError):
        raise UnitError("values: not all of them are numbers; leave the unit out, or what is no number") from None
    wrong = np.flatnonzero(~((found >= 0) & (found <= LONGEST)))
    if wrong.size:
        raise UnitError(
            f"values: number {wrong[0]}, counted from 0, is {found[wrong[0]] / scale:g}, which is no time; leave it out"
        )
    return tuple(round(time) for time in found.tolist())
