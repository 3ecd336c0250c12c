"""Human units to integers, and back.

The one place that reads ``"30s"``, ``"120/s"``, ``"50MB"`` and ``"0.1%"``. Inside simbus time is
an ``int`` of nanoseconds and a size an ``int`` of bytes; text with units is read here, at the
door, and nowhere else: the readers take any object and refuse what they cannot read. A time without a
unit is refused: ``60000`` is a minute to one reader and 60 microseconds to the next.
"""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from simbus.errors import UnitError

MICROSECOND = 1_000
MILLISECOND = 1_000 * MICROSECOND
SECOND = 1_000 * MILLISECOND
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NEVER = 1 << 61
"""Nanoseconds: later than anything in a run, and no more than a machine word holds when it is compiled."""

_DURATIONS = {
    "ns": 1,
    "us": MICROSECOND,
    "µs": MICROSECOND,  # the micro sign; the Greek letter that looks the same is on the next line
    "\u03bcs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "sec": SECOND,
    "m": MINUTE,
    "min": MINUTE,
    "h": HOUR,
    "d": DAY,
}
_SIZES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_PART = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z\u00b5\u03bc]+)")


def _pattern(*units: Mapping[str, int]) -> str:
    """Texts of such amounts, with a slash between those of different units, for tools that know regular expressions only."""
    first, *others = ("|".join(each) for each in units)
    amounts = rf"(\s*([0-9][0-9_]*(\.[0-9]+)?|\.[0-9]+)\s*({first}))+\s*"
    return "^" + amounts + "".join(rf"/\s*({other})\s*" for other in others) + "$"


DURATION_PATTERN = _pattern(_DURATIONS)
SIZE_PATTERN = _pattern(_SIZES)
BANDWIDTH_PATTERN = _pattern(_SIZES, _DURATIONS)
RATE_PATTERN = rf"^\s*[0-9._+]+([eE][+-]?[0-9]+)?\s*/\s*({'|'.join(_DURATIONS)})\s*$"


class Nanoseconds(int):
    """A time as a whole number whose unit is known: what code of users may hand over as a number.

    Sums and differences of two, and whole multiples of one, are again one; everything else is a plain number, which has no unit.
    """

    __slots__ = ()

    def __add__(self, other: Any) -> int:
        """Of two times: a time."""
        return _as(other, int(self) + int(other)) if isinstance(other, int) else NotImplemented

    def __sub__(self, other: Any) -> int:
        """Of two times: a time."""
        return _as(other, int(self) - int(other)) if isinstance(other, int) else NotImplemented

    def __mul__(self, factor: Any) -> int:
        """A whole number of times: a time."""
        if isinstance(factor, Nanoseconds):
            return int(self) * int(factor)
        product = int(self) * factor
        return Nanoseconds(product) if isinstance(factor, int) else product

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return duration_text(int(self))


def _as(other: int, result: int) -> int:
    return Nanoseconds(result) if isinstance(other, Nanoseconds) else result


def duration(value: object, what: str = "a duration") -> int:
    """Nanoseconds in ``"500ms"``, ``"1.5h"``, ``"1h30min"``, a :class:`~datetime.timedelta` or :class:`Nanoseconds`.

    Raises:
        UnitError: for a bare number, an unknown unit, a negative time or a fraction of a nanosecond.
    """
    if isinstance(value, Nanoseconds):
        if value < 0:
            raise UnitError(f"{what}: {int(value)} ns is negative; time only runs forward")
        return int(value)
    if isinstance(value, timedelta):
        nanoseconds = (value.days * 86_400 + value.seconds) * SECOND + value.microseconds * MICROSECOND
        if nanoseconds < 0:
            raise UnitError(f"{what}: {value!r} is negative; time only runs forward")
        return nanoseconds
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise UnitError(f'{what}: {value!r} has no unit; write "{value}s", "{value}ms" or a timedelta')
    total = _sum_of_parts(value, _DURATIONS) if isinstance(value, str) else None
    if total is None:
        raise UnitError(f'{what}: {value!r} is not a time; write for example "500ms", "30s", "1h30min" or "24h"')
    if total != int(total):
        raise UnitError(f"{what}: {value!r} is finer than a nanosecond")
    return int(total)


def unit_scale(unit: object, what: str = "unit") -> int:
    """Nanoseconds in one ``"ms"``: what plain numbers are to be multiplied by. UnitError for what is no unit of time."""
    if unit not in _DURATIONS:
        raise UnitError(f'{what}: {unit!r} is no unit of time; write for example "s" or "ms"')
    return _DURATIONS[str(unit)]


def rate(value: object, what: str = "a rate") -> float:
    """Events per second in ``"120/s"``, ``"7/min"`` or ``"40_000/h"``; positive.

    Raises:
        UnitError: when the text has another form or the rate is zero.
    """
    number, _, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
    try:  # in decimals, so that "0.1/s" is exactly the float 0.1 and so that reading back what was written is exact
        per_second = float(Decimal(number) * SECOND / _DURATIONS[unit.strip()])
    except (ArithmeticError, ValueError, KeyError):
        per_second = math.nan
    if not 0 < per_second < math.inf:
        raise UnitError(f'{what}: {value!r} is not a rate; write for example "120/s", "7/min" or "0.5/h"')
    return per_second


def bandwidth(value: object, what: str = "a bandwidth") -> float:
    """Bytes per second in ``"10MB/s"`` or ``"64KiB/ms"``; positive.

    Raises:
        UnitError: when the text has another form or the bandwidth is zero.
    """
    amount, _, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
    total = _sum_of_parts(amount, _SIZES) if amount else None
    if not total or unit.strip() not in _DURATIONS:
        raise UnitError(f'{what}: {value!r} is not a bandwidth; write for example "10MB/s"')
    return float(total * SECOND / _DURATIONS[unit.strip()])


def size(value: object, what: str = "a size") -> int:
    """Bytes in ``"50MB"`` (10**6), ``"64KiB"`` (2**10) or a whole number of bytes.

    Raises:
        UnitError: when it is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    total = _sum_of_parts(value, _SIZES) if isinstance(value, str) else None
    if total is None or total != int(total):
        raise UnitError(f'{what}: {value!r} is not a size; write for example "50MB", "64KiB" or a whole number of bytes')
    return int(total)


def share(value: object, what: str = "a share") -> float:
    """A number between 0 and 1, given as such or as ``"2%"``.

    Raises:
        UnitError: when it is not a number or lies outside.
    """
    try:
        if isinstance(value, str) and value.endswith("%"):
            part = float(Decimal(value[:-1]) / 100)
        else:
            part = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, ArithmeticError):
        part = math.nan
    if not 0 <= part <= 1:
        raise UnitError(f'{what}: {value!r} is not between 0 and 1; write for example 0.02 or "2%"')
    return part


def number(value: object, what: str = "a number") -> float:
    """A positive, finite number without a unit, such as a speed or a coefficient of variation.

    Raises:
        UnitError: when it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise UnitError(f"{what}: {value!r} is not a positive number; write for example 2 or 0.5")
    return float(value)


def positive(nanoseconds: int, what: str, example: str = "1s") -> int:
    """A time that :func:`duration` has read, if it is one to wait for.

    Raises:
        UnitError: when it is 0.
    """
    if nanoseconds <= 0:
        raise UnitError(f'{what}: {duration_text(nanoseconds)} is not a positive time; write for example "{example}"')
    return nanoseconds


def count(value: object, what: str = "a count") -> int:
    """A whole number from 1.

    Raises:
        UnitError: when it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UnitError(f"{what}: {value!r} is not a whole number from 1; write for example 3")
    return value


def duration_text(nanoseconds: int) -> str:
    """The text that :func:`duration` reads back as exactly this time: ``30ms``, ``54.8ms``, ``90min``."""
    for unit in ("d", "h", "min"):
        if nanoseconds and nanoseconds % _DURATIONS[unit] == 0:
            return f"{nanoseconds // _DURATIONS[unit]}{unit}"
    for unit in ("s", "ms", "us"):
        whole, rest = divmod(nanoseconds, _DURATIONS[unit])
        if whole and rest % (_DURATIONS[unit] // 1_000) == 0:  # no more than three decimals
            return f"{(Decimal(nanoseconds) / _DURATIONS[unit]).normalize():f}{unit}"
    return f"{nanoseconds}ns"


def size_text(octets: int) -> str:
    """The text that :func:`size` reads back as exactly this size: ``2kB``, ``1500B``."""
    for unit in ("GB", "MB", "kB"):
        if octets and octets % _SIZES[unit] == 0:
            return f"{octets // _SIZES[unit]}{unit}"
    return f"{octets}B"


def number_text(value: float) -> str:
    """The shortest text that ``float`` reads back as exactly this number: ``20``, ``0.8``."""
    return repr(float(value)).removesuffix(".0")


def format_duration(nanoseconds: float) -> str:
    """The shortest usual way to say a time: ``250 ms``, ``1.5 s``, ``2 h``; three significant digits."""
    if math.isnan(nanoseconds):
        return "–"
    if math.isinf(nanoseconds):
        return "never"
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (MILLISECOND, "ms"), (MICROSECOND, "µs")):
        text = _three_digits(nanoseconds / unit)
        if abs(float(text)) >= 1:  # asked of the rounded number, or 999.9 ms would read "1000 ms"
            return f"{text} {name}"
    return f"{_three_digits(nanoseconds)} ns" if nanoseconds else "0 s"


def _three_digits(number: float) -> str:
    """Three significant digits, without an exponent and without trailing zeros."""
    digits = max(0, 2 - math.floor(math.log10(abs(number)))) if number else 0
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _sum_of_parts(text: str, units: dict[str, int]) -> Decimal | None:
    """The sum of ``1h30min``-like parts in the smallest unit; None when the text has another form."""
    total, position = Decimal(0), 0
    while position < len(text.rstrip()):
        part = _PART.match(text, position)
        if part is None or part[2] not in units:
            return None
        total += Decimal(part[1].replace("_", "")) * units[part[2]]
        position = part.end()
    return total if position else None
