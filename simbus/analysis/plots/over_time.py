"""What happens in the course of a run: depths, percentiles of waits, consumers on duty, and how a run begins.

Curves are those of ``replication``, each the time average in a bin; runs that end with their arrivals differ in length, so
that bins are shares of the run. The warm-up and outages are shaded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from simbus.analysis import formats
from simbus.analysis.findings import Findings
from simbus.analysis.plots.drawing import Floats, line_in_band, shade, time_scale, time_ticks
from simbus.analysis.plots.tails import objectives
from simbus.analysis.replication import SPANS
from simbus.analysis.style import COLOURS, DASHES, SHADE, ink, legend, short
from simbus.analysis.warmup import welch
from simbus.units import SECOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_LEVELS = {"unacked": COLOURS[0], "waiting for retry": COLOURS[4], "ready": COLOURS[5]}
_QUANTILES = {"p99": COLOURS[1], "p95": COLOURS[2], "p50": COLOURS[0]}
_WIDE = 20.0  # of the largest number by the smallest: from there on a logarithmic axis shows more
_DARKEST = 0.3
_FREE = 0.15  # of the axes' height: where the names of outages are written
_LETTER = 0.02  # of the axes' width: what a letter of such a name takes
_OUTAGES = (COLOURS[1], COLOURS[3], COLOURS[2], "#999999")
_STEPS = 10  # of a shade, which says how often an outage was in force


def draw_depth(axes: Axes, result: Findings, queue: str) -> None:
    """Messages over time, stacked by where they are; the line on top is their sum, with its interval."""
    levels, time = _levels(result, queue), result.curves("time")
    handles: dict[str, Any] = {}
    if time.size and levels:
        at, base = _along(axes, result, time, queue), np.zeros(time.shape[1])
        for name, curves in levels.items():
            top, colour = base + curves.mean(axis=0), _LEVELS.get(name, COLOURS[5])
            style: dict[str, Any] = {"hatch": "////", "ec": "#FFFFFFA0"} if name == "waiting for retry" else {}
            handles[name] = axes.fill_between(at, base, top, fc=colour, alpha=0.8, lw=0, label=name, **style)
            base = top
        total = np.sum(list(levels.values()), axis=0)
        handles["together"] = line_in_band(axes, at, total, ink(axes), result.settings.confidence, lw=0.9)
        handles = dict(reversed(handles.items()))
    _finish(axes, queue, "messages of the queue")
    legend(axes, handles)


def draw_percentiles(axes: Axes, result: Findings, queue: str) -> None:
    """Percentiles of the waits that ended in each span of the run, with intervals; dashed, what is expected of the whole."""
    time = result.curves("time")
    if time.size:
        at = _along(axes, result, time, queue).reshape(SPANS, -1).mean(axis=1)
        for (name, colour), dash in zip(_QUANTILES.items(), DASHES, strict=False):
            curves = result.curves(f"{queue}.wait.{name}.over_time")
            if curves.size:
                line = line_in_band(axes, at, curves, colour, result.settings.confidence, ls=dash)
                _name_end(axes, line, name, colour)
        for each in objectives(result, f"{queue}.wait"):
            name = each.target.name.rpartition(".")[2]
            _level(
                axes, each.limit, f"{name} {each.operator} {formats.value(each.limit, 'time')}", _QUANTILES.get(name, ink(axes))
            )
    _finish(axes, queue, "wait", least=None)
    _time_upwards(axes)


def draw_on_duty(axes: Axes, result: Findings, group: str) -> None:
    """Consumers of a group on duty over time: mean over replications and its interval."""
    time, curves = result.curves("time"), result.curves(f"consumers.{group}.on_duty.over_time")
    if time.size and curves.size:
        line_in_band(axes, _along(axes, result, time, _consumed(result, group)), curves, COLOURS[0], result.settings.confidence)
    _finish(axes, group, "consumers on duty")


def draw_warmup(axes: Axes, result: Findings, queue: str) -> None:
    """Depth over time, its moving average (Welch 1983), and the warm-up that was used and that is suggested."""
    time, curves = result.curves("time"), result.curves(f"{queue}.depth.over_time")
    if time.size and curves.size:
        at = _along(axes, result, time, queue)
        mean = line_in_band(axes, at, curves, COLOURS[5], result.settings.confidence, lw=0.8)
        handles = {"mean of the replications": mean}
        handles["moving average"] = axes.plot(at, welch(curves, len(at) // 20), color=COLOURS[0], lw=1.8)[0]
        suggested = result.suggested_warmup(queue)
        if suggested < math.inf:
            scale = time_scale(float(time.max()))[0]
            handles["suggested by MSER-5"] = axes.axvline(suggested / scale, color=COLOURS[1], ls="--", lw=1.4)
        legend(axes, handles)
    _finish(axes, queue, "depth (ready + unacked)")


def _levels(result: Findings, queue: str) -> dict[str, Floats]:
    """Where a queue's messages are, over time, one replication a row; what waits for its retry may do so in other queues."""
    ready, unacked = (result.curves(f"{queue}.{what}.over_time") for what in ("ready", "unacked"))
    if not ready.size:
        depth = result.curves(f"{queue}.depth.over_time")
        return {"ready or unacked": depth} if depth.size else {}
    held = np.nan_to_num(_or_zeros(result.curves(f"{queue}.backing_off.over_time"), like=ready))
    elsewhere = [f"{queue}.kept_back.over_time", *(f"{each}.depth.over_time" for each in result.delays.get(queue, ()))]
    away = held + sum(np.nan_to_num(_or_zeros(result.curves(path), like=ready)) for path in elsewhere)
    levels = {"unacked": unacked - held, "waiting for retry": away, "ready": ready}
    return {name: curves for name, curves in levels.items() if name != "waiting for retry" or curves.any()}


def _or_zeros(curves: Floats, like: Floats) -> Floats:
    return curves if curves.size else np.zeros_like(like)


def _along(axes: Axes, result: Findings, time: Floats, queue: str) -> Floats:
    """The bins' mid-points in a unit that the axis says; the warm-up is shaded, and outages that bear on a queue are."""
    scale, unit = time_scale(float(time.max()))
    at: Floats = time.mean(axis=0) / scale
    axes.set_xlabel(f"time ({unit})")
    if result.settings.warmup:
        shade(axes, 0, result.settings.warmup / SECOND / scale, "gray", SHADE / 2, "warm-up")
    for name, colour in zip(_outages(result, queue), cycle(_OUTAGES), strict=False):
        _shade_outage(axes, result, name, at, colour)
    return at


def _shade_outage(axes: Axes, result: Findings, name: str, at: Floats, colour: str) -> None:
    """The darker, the more of the replications it was in force in at that time."""
    share = np.clip(np.nan_to_num(result.curves(f"outages.{name}.over_time")), 0, 1).mean(axis=0)
    half = at[0]  # a bin is as long before its mid-point as after it
    stretches = list(_stretches(np.ceil(share * _STEPS)))
    longest = max(stretches, key=lambda each: (each[1] - each[0] + 1) * each[2], default=None)
    for each in stretches:
        begin, end, depth = each
        alpha = _DARKEST * depth / _STEPS
        low, high = float(at[begin] - half), float(at[end] + half)
        wide = high - low > at[-1] * _LETTER * len(short(name))
        shade(axes, low, high, colour, alpha, name if each is longest else "", wide=wide)


def _outages(result: Findings, queue: str) -> list[str]:
    """Those that came, and bear on a queue; what code of users begins may bear on any."""
    keys = dict.fromkeys(key for each in result.replications for key in each.curves if key.startswith("outages."))
    names = (key.removeprefix("outages.").removesuffix(".over_time") for key in keys)
    return [name for name in names if queue in result.outages.get(name, (queue,))]


def _consumed(result: Findings, group: str) -> str:
    return next((queue for queue, parties in result.parties.items() if f"consumers.{group}" in parties), "")


def _stretches(shades: Floats) -> Iterator[tuple[int, int, float]]:
    """From which bin to which there is the same shade, where there is one."""
    ends = [*np.flatnonzero(np.diff(shades)), len(shades) - 1]
    for begin, end in zip([0, *(each + 1 for each in ends)], ends, strict=False):
        if shades[end]:
            yield begin, end, float(shades[end])


def _name_end(axes: Axes, line: Line2D, name: str, colour: str) -> None:
    """Write a line's name beside its end."""
    x, y = (np.asarray(data, dtype=np.float64) for data in line.get_data())
    known = np.flatnonzero(np.isfinite(y))
    if len(known):
        last = (float(x[known[-1]]), float(y[known[-1]]))
        axes.annotate(name, last, xytext=(4, 0), textcoords="offset points", va="center", color=colour, fontsize="small")


def _level(axes: Axes, limit: float, text: str, colour: Any) -> None:
    """An objective: a dashed line with what it says."""
    axes.axhline(limit, color=colour, lw=1, ls="--")
    place = (0.99, limit)
    axes.annotate(
        text,
        place,
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=colour,
        fontsize="small",
    )


def _finish(axes: Axes, title: str, label: str, *, least: float | None = 0.0) -> None:
    axes.set_ylabel(label)
    axes.set_title(title, parse_math=False)
    axes.margins(x=0, y=_FREE)
    if least is not None:
        axes.set_ylim(bottom=least)


def _time_upwards(axes: Axes) -> None:
    """Times on the y axis: logarithmic where they are far apart."""
    drawn = np.concatenate([np.ravel(np.asarray(line.get_ydata(), dtype=np.float64)) for line in axes.lines] or [np.empty(0)])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    if len(drawn) and drawn.max() > _WIDE * drawn.min():
        low, high = max(0.7 * drawn.min(), drawn.max() / 1e5), 1.5 * drawn.max()
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        time_ticks(axes.yaxis, low, high)
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda seconds, _: formats.value(seconds, "time"))
