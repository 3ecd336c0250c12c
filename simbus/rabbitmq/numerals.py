"""Numbers that RabbitMQ reads out of texts: an expiration, a delay, a weight, and ages such as ``7D``.

Digits are those of ASCII. RabbitMQ reads as many of them as there are, Python refuses to read thousands; so a number of
more than twenty is none in particular here, but larger than any that a limit allows.
"""

import re

from simbus.units import SECOND

TOO_LARGE = 10**20

_WHOLE = re.compile(r"[+-]?[0-9]+")
_AGE = re.compile(r"([0-9]+)([YMDhms])")
_SECONDS = {"Y": 365 * 86_400, "M": 30 * 86_400, "D": 86_400, "h": 3_600, "m": 60, "s": 1}


def is_whole(text: str) -> bool:
    """Whether a text is a whole number, which may have a sign."""
    return _WHOLE.fullmatch(text) is not None


def whole(text: str) -> int:
    """The number in a text that is one; one that has more than twenty digits is ``TOO_LARGE``, or as far below zero."""
    digits = significant(text.lstrip("+-"))
    number = int(digits) if len(digits) <= 20 else TOO_LARGE
    return -number if text.startswith("-") else number


def significant(digits: str) -> str:
    """The same number without zeros in front, as RabbitMQ shows it."""
    return digits.lstrip("0") or "0"


def age(text: str) -> int | None:
    """The nanoseconds of a number with a unit, such as ``7D``; None for any other text, and for no time at all."""
    found = _AGE.fullmatch(text)
    return (whole(found[1]) * _SECONDS[found[2]] * SECOND or None) if found else None
