"""What was observed beside what was simulated: quantiles against each other, or a level over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simbus.analysis import formats
from simbus.analysis.plots.drawing import time_scale
from simbus.analysis.style import COLOURS, SHADE, ink, legend, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simbus.analysis.metrics import Unit

Floats = NDArray[np.float64]

_MARKED = (0.5, 0.9, 0.99, 0.999)
_WIDE = 30.0


@dataclass(frozen=True, slots=True)
class Curves:
    """What is drawn: of a metric, at each probability or second, what was observed, and mean and limits of what was simulated."""

    metric: str
    unit: Unit
    confidence: float
    at: Floats
    observed: Floats
    band: Floats


def draw_quantiles(found: Curves, ax: Axes | None = None) -> Axes:
    """Each observed quantile against the simulated one; the band is where those of one more replication would be."""
    axes = new_axes(ax)
    mean, low, high = found.band
    band = axes.fill_between(mean, low, high, color=COLOURS[0], alpha=SHADE, lw=0)
    (line,) = axes.plot(mean, mean, color=COLOURS[0], lw=1.2)
    (points,) = axes.plot(mean, found.observed, color=COLOURS[1], lw=1.6, marker="o", ms=3, mew=0)
    for share in _MARKED:
        _mark(axes, found, mean, share)
    positive = mean[mean > 0]
    if len(positive) and found.unit == "time" and positive[-1] / np.median(positive) > _WIDE:
        axes.set(xscale="log", yscale="log")
    names = {"observed": points, "simulated": line, f"one more replication ({found.confidence:.0%})": band}
    axes.set(xlabel=f"simulated quantiles of {found.metric}", ylabel="observed quantiles")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: formats.value(value, found.unit))
    axes.xaxis.label.set_parse_math(False)
    legend(axes, names, loc="upper left")
    return axes


def _mark(axes: Axes, found: Curves, mean: Floats, share: float) -> None:
    places = np.flatnonzero(np.isclose(found.at, share))
    if len(places):
        at = (mean[places[0]], found.observed[places[0]])
        axes.annotate(f"p{share * 100:g}", at, (5, -9), textcoords="offset points", fontsize="x-small", color=ink(axes))


def draw_over_time(found: Curves, ax: Axes | None = None) -> Axes:
    """The observed level over time, and the band in which one more replication would be at any single instant."""
    axes = new_axes(ax)
    scale, unit = time_scale(float(found.at[-1]))
    times, (mean, low, high) = found.at / scale, found.band
    band = axes.fill_between(times, low, high, color=COLOURS[0], alpha=SHADE, lw=0)
    (line,) = axes.plot(times, mean, color=COLOURS[0], lw=1.2)
    (seen,) = axes.plot(times, found.observed, color=COLOURS[1], lw=1.6)
    names = {"observed": seen, "simulated, mean": line, f"one more replication ({found.confidence:.0%})": band}
    axes.set(xlabel=f"{unit} since the start of the run", ylabel=f"{found.metric}, messages", ylim=(0, None))
    axes.yaxis.label.set_parse_math(False)
    legend(axes, names, loc="best")
    return axes
