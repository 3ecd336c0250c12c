"""Numbers as people read them: three significant digits, a unit, an interval.

Text only. Tables, plots and the report all write their numbers through here, so that one value
reads the same everywhere; what the numbers mean lives in ``metrics``.
"""

import math

from simbus.analysis.estimates import Estimate
from simbus.analysis.metrics import Unit

NOTHING = "–"
NEVER = "never"

_SCALES: dict[Unit, tuple[tuple[float, str], ...]] = {
    "time": ((172_800, " d"), (3_600, " h"), (60, " min"), (1, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns")),
    "rate": ((1, " /s"), (1 / 60, " /min"), (1 / 3_600, " /h")),
    "share": ((0.01, " %"),),
    "count": ((1, ""),),
}


def value(number: float, unit: Unit) -> str:
    """One number with its unit: ``1.23 s``, ``0.12 %``, ``20 /s``, ``never``, or a dash for nan."""
    if math.isnan(number):
        return NOTHING
    if math.isinf(number):
        return NEVER
    scale, suffix = _scale(number, unit)
    text = f"{number / scale:,.{_decimals(number / scale)}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + suffix


def interval(estimate: Estimate, unit: Unit) -> str:
    """A mean with the half-width of its interval in the same unit: ``1.23 ± 0.04 s``.

    ``0 (< 0.3 %)`` is a share of which no event was seen; ``± ?`` says that one replication gives
    no interval; ``(n=17)`` that only so many replications observed it.
    """
    text = _interval(estimate, unit)
    return f"{text} (n={estimate.n})" if estimate.n and estimate.missing else text


def limits(estimate: Estimate, unit: Unit) -> str:
    """An interval from end to end and how many observations it rests on: ``1.48 s to 2.5 s, n = 12``; nothing of nothing."""
    if not estimate.n:
        return ""
    low, high = (value(each, unit) if math.isfinite(each) else "?" for each in (estimate.low, estimate.high))
    high = NEVER if estimate.mean == math.inf else high
    return f"{low} to {high}, n = {estimate.n}"


def _interval(estimate: Estimate, unit: Unit) -> str:
    mean, half = estimate.mean, estimate.half_width
    if math.isnan(mean):
        return NOTHING
    if math.isinf(mean):
        return f"{value(estimate.low, unit)} to {NEVER}" if math.isfinite(estimate.low) else NEVER
    if mean == 0 and estimate.high > 0:
        return f"0 (< {value(estimate.high, unit)})" if math.isfinite(estimate.high) else "0 ± ?"
    if mean == half == 0:
        return value(mean, unit)
    scale, suffix = _scale(mean, unit)
    if math.isinf(half):
        return f"{mean / scale:,.{_decimals(mean / scale)}f} ± ?{suffix}"
    digits = _decimals(max(abs(mean), half) / scale, half / scale)
    return f"{mean / scale:,.{digits}f} ± {half / scale:,.{digits}f}{suffix}"


def _scale(number: float, unit: Unit) -> tuple[float, str]:
    """The largest unit that the number fills."""
    scales = _SCALES[unit]
    usual = (1, " s") if unit == "time" else scales[0]
    return next((each for each in scales if abs(number) >= each[0]), scales[-1]) if number else usual


def _decimals(number: float, half_width: float = 0.0) -> int:
    """Three significant digits of the number, and one or two more where the half-width would else read 0."""
    digits, wanted = _places(number, 2), _places(half_width, 0)
    return wanted if digits < wanted <= digits + 2 else digits


def _places(number: float, after_first: int) -> int:
    return min(9, max(0, after_first - math.floor(math.log10(abs(number))))) if number else 0
