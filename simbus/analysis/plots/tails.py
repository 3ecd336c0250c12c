"""How long things take, as curves of shares: waits that are longer than t, windows that have closed by t.

An objective stands as a corner: a curve that enters it misses the objective. How an axis of times looks is in ``drawing``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simbus.analysis import formats
from simbus.analysis.estimates import band
from simbus.analysis.expectations import Expectation
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import quantile
from simbus.analysis.plots.drawing import logarithmic_times, lower_left_is_free, sideways
from simbus.analysis.replication import PROBABILITIES
from simbus.analysis.style import COLOURS, DASHES, SHADE, ink, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_ENOUGH_BEYOND = 5
_TOP = 1.3
_PERCENT = 103


def draw_latency(axes: Axes, result: Findings, queues: Sequence[str]) -> None:
    """Share of attempts that wait longer than t, a line per queue, both axes logarithmic."""
    lines, corners = {}, []
    for name, colour, dash in zip(queues, COLOURS, DASHES, strict=False):
        lines[name] = tail(axes, result, name, colour, dash)
        corners += [(each, colour) for each in objectives(result, f"{name}.wait")]
    axes.set(yscale="log", xlabel="wait t", ylabel="share that waits longer than t")
    axes.set_ylim(top=_TOP)
    for each, colour in corners:
        axes.plot(each.limit, 1 - (quantile(each.target.name) or 0), marker="D", mfc="none", mec=colour, ms=6, mew=1.4, ls="none")
    logarithmic_times(axes)
    for each, colour in corners:
        _corner(axes, each, colour, alone=len(corners) == 1)
    axes.yaxis.set_major_formatter(lambda share, _: formats.value(share, "share"))
    legend(axes, lines, loc="lower left" if lower_left_is_free(axes) else "best")


def draw_window(axes: Axes, result: Findings) -> None:
    """Share of messages that every subscriber has applied within t of their publish."""
    curves = result.curves("window.quantiles")
    wanted = objectives(result, "window") if curves.size else []
    if curves.size:
        middle, low, high = band(curves, result.settings.confidence)
        drawn = np.isfinite(middle) & (middle > 0)
        sideways(axes, middle[drawn], low[drawn], high[drawn], 100 * PROBABILITIES[drawn], COLOURS[0])
        for each in wanted:
            axes.plot(each.limit, 100 * (quantile(each.target.name) or 0), marker="D", mfc="none", mec=ink(axes), ms=6, ls="none")
        logarithmic_times(axes)
    axes.set(xlabel="time t since publish", ylabel="messages applied everywhere by t (%)", ylim=(0, _PERCENT))
    for each in wanted:
        _say(axes, each, (each.limit, 100 * (quantile(each.target.name) or 0)), above=False)
    never = result.estimate("window.never")
    if never.mean > 0:
        text = f"never: {formats.interval(never, 'share')}"
        axes.annotate(text, (0.97, 0.06), xycoords="axes fraction", ha="right", fontsize="small")


def objectives(result: Findings, of: str) -> list[Expectation]:
    """The expectations that put an upper limit on quantiles of something: of ``payments.wait``, ``payments.wait.p99 < 5s``."""
    return [
        each
        for each in result.expectations
        if each.target.key.startswith(f"{of}.p") and quantile(each.target.name) and "<" in each.operator
    ]


def tail(axes: Axes, result: Findings, queue: str, colour: str, dash: object) -> Line2D:
    """The line of one queue, as far as a replication has a few longer waits: beyond, it would show chance."""
    curves = result.curves(f"{queue}.wait.quantiles")
    if not curves.size:
        curves = np.full((1, len(PROBABILITIES)), math.nan)
    middle, low, high = band(curves, result.settings.confidence)
    observed = result.estimate(f"queues.{queue}.wait.n").mean
    beyond = math.inf if math.isnan(observed) else observed * (1 - PROBABILITIES)
    drawn = np.isfinite(middle) & (middle > 0) & (PROBABILITIES < 1) & (beyond >= _ENOUGH_BEYOND)
    return sideways(axes, middle[drawn], low[drawn], high[drawn], 1 - PROBABILITIES[drawn], colour, ls=dash)


def _corner(axes: Axes, each: Expectation, colour: str, *, alone: bool) -> None:
    """What lies beyond the limit and above the share that may: a curve should stay out of it."""
    share, right = 1 - (quantile(each.target.name) or 0), axes.get_xlim()[1]
    axes.plot([each.limit, each.limit, right], [_TOP, share, share], color=colour, lw=1, ls="--")
    if alone:
        axes.fill_between([each.limit, right], share, _TOP, color=colour, alpha=SHADE / 2, lw=0)
    _say(axes, each, (each.limit, share), above=True)


def _say(axes: Axes, each: Expectation, at: tuple[float, float], *, above: bool) -> None:
    """The objective in words, on that side of its diamond where there is room."""
    low, high = axes.get_xlim()
    left = math.log(at[0] / low) > math.log(high / at[0])
    text = f"{each.target.name.rpartition('.')[2]} {each.operator} {formats.value(each.limit, 'time')}"
    offset = (-7 if left else 7, 4 if above else -4)
    axes.annotate(
        text,
        at,
        xytext=offset,
        textcoords="offset points",
        ha="right" if left else "left",
        va="bottom" if above else "top",
        fontsize="small",
    )
