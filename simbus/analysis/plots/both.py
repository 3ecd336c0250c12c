"""Two results in one plot, a line for each with its interval: waits, windows, depths over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from simbus.analysis import formats
from simbus.analysis.estimates import band
from simbus.analysis.findings import Findings
from simbus.analysis.plots.drawing import line_in_band, logarithmic_times, lower_left_is_free, sideways, time_scale
from simbus.analysis.plots.tails import tail
from simbus.analysis.replication import PROBABILITIES
from simbus.analysis.style import COLOURS, DASHES, legend, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Both = Mapping[str, Findings]  # by the names of the legend


def draw_waits(results: Both, queue: str, ax: Axes | None = None) -> Axes:
    """Share of attempts that wait longer than t in a queue."""
    axes, lines = new_axes(ax), {}
    for (name, result), colour, dash in zip(results.items(), COLOURS, DASHES, strict=False):
        lines[name] = tail(axes, result, queue, colour, dash)
    axes.set(yscale="log", xlabel="wait t", ylabel="share that waits longer than t")
    axes.set_ylim(top=1.3)
    logarithmic_times(axes)
    axes.yaxis.set_major_formatter(lambda share, _: formats.value(share, "share"))
    legend(axes, lines, loc="lower left" if lower_left_is_free(axes) else "best")
    return axes


def draw_windows(results: Both, ax: Axes | None = None) -> Axes:
    """Share of messages that every subscriber has applied within t of their publish."""
    axes, lines = new_axes(ax), {}
    for (name, result), colour, dash in zip(results.items(), COLOURS, DASHES, strict=False):
        curves = result.curves("window.quantiles")
        if curves.size:
            middle, low, high = band(curves, result.settings.confidence)
            drawn = np.isfinite(middle) & (middle > 0)
            lines[name] = sideways(axes, middle[drawn], low[drawn], high[drawn], 100 * PROBABILITIES[drawn], colour, ls=dash)
    if lines:
        logarithmic_times(axes)
    axes.set(xlabel="time t since publish", ylabel="messages applied everywhere by t (%)", ylim=(0, 103))
    legend(axes, lines, loc="upper left")
    return axes


def draw_depths(results: Both, queue: str, ax: Axes | None = None) -> Axes:
    """Copies in a queue over time, ready and unacked together."""
    axes, lines = new_axes(ax), {}
    times = {name: result.curves("time") for name, result in results.items()}
    scale, unit = time_scale(max((float(time.max()) for time in times.values() if time.size), default=1.0))
    for (name, result), colour, dash in zip(results.items(), COLOURS, DASHES, strict=False):
        curves = result.curves(f"{queue}.depth.over_time")
        if curves.size and times[name].size:
            at = times[name].mean(axis=0) / scale
            lines[name] = line_in_band(axes, at, curves, colour, result.settings.confidence, ls=dash)
    axes.set(xlabel=f"time ({unit})", ylabel="depth (ready + unacked)")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    legend(axes, lines)
    return axes
