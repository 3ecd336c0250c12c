"""Plots of measured times beside the distributions that were fitted to them, on axes of the caller's or on new ones.

Plain numbers come in: the samples in seconds, sorted, and for each distribution its text and its share up to a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simbus.analysis import formats
from simbus.analysis.style import COLOURS, SHADE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Shares = Mapping[str, Callable[[Floats], Floats]]
_WIDE = 20.0  # of the times between the 1st and the 99th percentile: from there on a logarithmic axis shows more
_GRID = 2_000
_DECADES = 3  # that have ticks at 1, 2 and 5
_CONFIDENCE = 0.95
_DARK = "0.25"


def draw_shares(seconds: Floats, laws: Shares, ax: Axes | None = None) -> Axes:
    """The share of samples up to t, within its band, and the same of each distribution, the first one in front.

    The band is that of Dvoretzky, Kiefer and Wolfowitz (Massart 1990): 95 % of sets of samples have the whole curve of their
    distribution in it.
    """
    axes = new_axes(ax)
    steps = np.arange(len(seconds) + 1) / len(seconds)
    at = np.concatenate(([seconds[0]], seconds))
    off = math.sqrt(math.log(2 / (1 - _CONFIDENCE)) / (2 * len(seconds)))
    axes.fill_between(at, np.maximum(steps - off, 0), np.minimum(steps + off, 1), step="post", color="gray", alpha=SHADE, lw=0)
    axes.step(at, steps, where="post", color=_DARK, lw=1.2, label=f"{len(seconds):,} samples")
    grid = _grid(seconds)
    for place, (name, share) in reversed(list(enumerate(laws.items()))):
        front = place == 0
        style = "-" if front else (0, (4, 2))
        axes.plot(
            grid, share(grid), color=COLOURS[place], lw=2.0 if front else 1.1, ls=style, label=name, zorder=3 if front else 2
        )
    axes.set(xlabel="time t", ylabel="share of times up to t", ylim=(-0.02, 1.02), xlim=(grid[0], grid[-1]))
    axes.yaxis.set_major_formatter(lambda share, _: formats.value(share, "share"))
    _time_axes(axes, seconds, "x")
    handles, names = axes.get_legend_handles_labels()
    order = [0, *range(len(names) - 1, 0, -1)]
    axes.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        frameon=False,
        fontsize="small",
        loc="upper left" if _is_wide(seconds) else "lower right",  # where no curve is: on a linear axis it rises at the left
    )
    return axes


def draw_quantiles(seconds: Floats, laws: Shares, ax: Axes | None = None) -> Axes:
    """Each sample against the time that the distribution has in its place; what fits lies on the diagonal."""
    axes = new_axes(ax)
    ends = (float(seconds[0]), float(seconds[-1]))
    for place, (name, share) in enumerate(laws.items()):
        expected = _quantiles(share, seconds)
        ends = (min(ends[0], expected[0]), max(ends[1], expected[-1]))
        axes.plot(expected, seconds, "o", color=COLOURS[place], ms=3, alpha=0.5, mew=0, label=name)
        axes.set_xlabel(f"quantiles of {name}")
    axes.axline((ends[0], ends[0]), (ends[1], ends[1]), color=_DARK, lw=1)
    axes.set_ylabel(f"{len(seconds):,} samples, sorted")
    _time_axes(axes, seconds, "xy")
    return axes


def _quantiles(share: Callable[[Floats], Floats], seconds: Floats) -> Floats:
    """The times at which the share is (i - 1/2)/n, between points of a fine grid."""
    low, high = max(float(seconds[0]), seconds[-1] * 1e-9) / 100, float(seconds[-1]) * 100
    grid = np.geomspace(low, high, 20 * _GRID)
    shares = share(grid)
    rising = np.concatenate(([True], np.diff(np.maximum.accumulate(shares)) > 0))
    return np.interp((np.arange(len(seconds)) + 0.5) / len(seconds), shares[rising], grid[rising])


def _is_wide(seconds: Floats) -> bool:
    low, high = np.quantile(seconds, (0.01, 0.99))
    return bool(low > 0 and high / low > _WIDE)


def _grid(seconds: Floats) -> Floats:
    if _is_wide(seconds):
        return np.geomspace(max(seconds[0], seconds[-1] / 1e6) * 0.9, seconds[-1] * 1.1, _GRID)
    low, high = float(seconds[0]), float(seconds[-1])
    return np.linspace(1e-9 * high if low < 0.3 * high else 0.95 * low, 1.03 * high, _GRID)


def _time_axes(axes: Axes, seconds: Floats, which: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    for letter, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if letter in which and _is_wide(seconds):
            axes.set(**{f"{letter}scale": "log"})
            decades = math.log10(seconds[-1] / max(seconds[0], seconds[-1] / 1e6))
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < _DECADES else (1,), numticks=8))
            axis.set_minor_locator(NullLocator())
        if letter in which:
            axis.set_major_formatter(lambda value, _: formats.value(value, "time"))
