"""What several plots draw alike: lines in their intervals, axes of times, spans. What a plot shows is decided in its own file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simbus.analysis import formats
from simbus.analysis.estimates import band
from simbus.analysis.style import SHADE, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.lines import Line2D

Floats = NDArray[np.float64]
_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800)
_FINE_TICKS = (*(tick * each for tick in _TICKS[:7] for each in (1, 2, 5)), 10, 20, 60, 120, 300, 600, 1_200, 1_800, *_TICKS[10:])
_DECADES = 3.5
_FEWEST_TICKS = 3
_CORNER = (0.35, 0.35)  # of the axes' width and height: what a legend of a few names takes


def line_in_band(axes: Axes, x: Floats, curves: Floats, colour: str, confidence: float, **style: Any) -> Line2D:
    """The mean of curves, one a row, in its interval at each x."""
    middle, low, high = band(curves, confidence)
    known = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(x, np.maximum(low, 0), high, where=known.tolist(), color=colour, alpha=SHADE, lw=0)
    return axes.plot(x, middle, color=colour, **{"lw": 1.6, **style})[0]


def sideways(axes: Axes, middle: Floats, low: Floats, high: Floats, y: Floats, colour: str, **style: Any) -> Line2D:
    """A line whose interval lies along x, where time is."""
    known = np.isfinite(low) & np.isfinite(high)
    least = middle.min() if middle.size else 0
    axes.fill_betweenx(y, np.maximum(low, least), high, where=known.tolist(), color=colour, alpha=SHADE, lw=0)
    return axes.plot(middle, y, color=colour, **{"lw": 1.8, **style})[0]


def logarithmic_times(axes: Axes) -> None:
    """A logarithmic x axis of a few decades with ticks that people say: 10 ms, 1 s, 1 min, 1 h."""
    drawn = [float(x) for line in axes.lines for x in np.atleast_1d(line.get_xdata()) if 0 < x < np.inf] or [1.0]
    high = 1.25 * max(drawn)
    low = max(0.8 * min(drawn), high / 10**_DECADES)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    time_ticks(axes.xaxis, low, high)


def time_ticks(axis: Axis, low: float, high: float) -> None:
    """On a logarithmic axis from ``low`` to ``high`` seconds, ticks that people say."""
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    if len(ticks) < _FEWEST_TICKS:
        ticks = [tick for tick in _FINE_TICKS if low <= tick <= high]
    axis.set_ticks(ticks or [low, high])
    axis.set_ticks([], minor=True)
    axis.set_major_formatter(lambda seconds, _: formats.value(seconds, "time"))


def time_scale(seconds: float) -> tuple[float, str]:
    """In which unit a linear axis of so many seconds counts, and what it is called."""
    scales = ((172_800.0, 86_400.0, "days"), (7_200.0, 3_600.0, "hours"), (120.0, 60.0, "minutes"))
    return next(((scale, unit) for least, scale, unit in scales if seconds >= least), (1.0, "seconds"))


def shade(axes: Axes, begin: float, end: float, colour: str, alpha: float, name: str = "", *, wide: bool = False) -> None:
    """Shade a stretch of time and write its name, if any, upright inside its end or, where it is ``wide``, across its top."""
    axes.axvspan(begin, end, color=colour, alpha=alpha, lw=0, zorder=0)
    where: dict[str, Any] = {"ha": "center"} if wide else {"ha": "right", "rotation": "vertical"}
    if name:
        axes.annotate(
            short(name),
            ((begin + end) / 2 if wide else end, 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(0 if wide else -1, 0),
            textcoords="offset points",
            va="top",
            fontsize="small",
            parse_math=False,
            **where,
        )


def lower_left_is_free(axes: Axes) -> bool:
    """Whether a legend in that corner would hide no line, as far as limits and scales are set."""
    to_axes = axes.transData + axes.transAxes.inverted()
    places = np.concatenate([to_axes.transform(line.get_xydata()) for line in axes.lines] or [np.empty((0, 2))])
    return not (places < _CORNER).all(axis=1).any()
