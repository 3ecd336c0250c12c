"""One row for each queue or group of consumers: what is lost and why, how often messages are handled, how busy servers are.

The whiskers are the intervals of the numbers beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simbus.analysis import formats
from simbus.analysis.estimates import Estimate
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import CAUSES
from simbus.analysis.style import COLOURS, ink, legend, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BY_CAUSE = dict(zip(CAUSES, (*COLOURS, "#F0E442", "#882255", "#332288", "#999999"), strict=True))
_HATCHES = ("", "///", "", "\\\\\\", "", "...", "", "///", "", "\\\\\\")
_HEIGHT = 0.55
_FULL = 100
_FREE = 0.4


def draw_loss(axes: Axes, result: Findings, queues: Sequence[str]) -> None:
    """Delivery obligations lost, by cause, a bar per queue; the whisker is the interval of the sum."""
    queues = queues[::-1]
    left, bars = np.zeros(len(queues)), {}
    for (cause, colour), hatch in zip(_BY_CAUSE.items(), _HATCHES, strict=True):
        shares = np.array([_FULL * result.estimate(f"queues.{queue}.loss.{cause}").mean for queue in queues])
        if (shares > 0).any():
            style: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "#FFFFFF80", "lw": 0}
            bars[cause.replace("_", " ")] = axes.barh(range(len(queues)), shares, left=left, height=_HEIGHT, **style)
            left = left + np.nan_to_num(shares)
    for row, queue in enumerate(queues):
        _whisker(axes, row, _percent(result.estimate(f"queues.{queue}.loss")))
    _rows(axes, queues)
    axes.set_xlabel("share of obligations lost (%)")
    axes.set_xlim(left=0)
    legend(axes, bars)


def draw_attempts(axes: Axes, result: Findings, queues: Sequence[str]) -> None:
    """How often a copy is delivered and attempted and a message applied, and which share is duplicates; a row per queue."""
    queues, handles = queues[::-1], {}
    kinds: Mapping[str, tuple[Callable[[str], Estimate], str, str]] = {
        "deliveries": (lambda queue: result.estimate(f"queues.{queue}.deliveries.mean"), "s", COLOURS[5]),
        "attempts": (lambda queue: result.estimate(f"queues.{queue}.attempts.mean"), "o", COLOURS[0]),
        "applications": (lambda queue: _times_applied(result.estimate(f"queues.{queue}.duplicates")), "D", COLOURS[1]),
    }
    for place, (name, (estimate, marker, colour)) in enumerate(kinds.items()):
        rows = [row + 0.22 * (1 - place) for row in range(len(queues))]
        found = [estimate(queue) for queue in queues]
        for row, each in zip(rows, found, strict=True):
            _whisker(axes, row, each, colour)
        handles[name] = axes.plot([each.mean for each in found], rows, marker, color=colour, ms=6, mew=0)[0]
    for row, queue in enumerate(queues):
        _beside(axes, row, result.estimate(f"queues.{queue}.duplicates"))
    _rows(axes, queues)
    axes.axvline(1, color=ink(axes), lw=0.8)
    left, right = axes.get_xlim()
    axes.set_xlim(right=right + _FREE * (right - left))  # where the duplicates are written
    axes.set_xlabel("times per copy (1 is once)")
    look: dict[str, Any] = {"xycoords": "axes fraction", "ha": "right", "va": "top", "fontsize": "small"}
    axes.annotate("duplicates", (1.0, 0.99), **look)  # below the legend, which may need all of the width
    legend(axes, handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), borderaxespad=0)


def draw_utilisation(axes: Axes, result: Findings) -> None:
    """How busy the servers of each group are, a bar per group; the tick is what arithmetic says they are offered."""
    groups = result.consumers[::-1]
    handles: dict[str, Any] = {}
    offered = {each.queue: each.utilisation for each in result.offered}
    for row, group in enumerate(groups):
        found = _percent(result.estimate(f"consumers.{group}.utilisation"))
        axes.barh(row, found.mean if math.isfinite(found.mean) else 0, height=_HEIGHT, color=COLOURS[5])
        _whisker(axes, row, found)
        for queue, load in offered.items():
            if f"consumers.{group}" in result.parties.get(queue, ()) and math.isfinite(load):
                ends = (row - _HEIGHT / 2, row + _HEIGHT / 2)
                axes.plot(
                    (_FULL * load,) * 2, ends, color=COLOURS[1], lw=2.2, label="offered, retries counted", solid_capstyle="butt"
                )
    _rows(axes, groups)
    axes.axvline(_FULL, color=ink(axes), lw=0.8, ls="--")
    axes.set_xlabel("time that servers on duty are busy (%)")
    axes.set_xlim(0, max(_FULL * 1.02, axes.get_xlim()[1]))
    legend(axes, handles)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [short(name) for name in names], parse_math=False)
    axes.set_ylim(-0.6, max(len(names), 1) - 0.4)
    axes.grid(False, axis="y")


def _whisker(axes: Axes, row: float, estimate: Estimate, colour: Any = None) -> None:
    if math.isfinite(estimate.high):
        ends = (max(0.0, estimate.low), estimate.high)
        axes.plot(ends, (row, row), color=colour or ink(axes), marker="|", lw=1.2, ms=7)


def _beside(axes: Axes, row: float, share: Estimate) -> None:
    """An estimate in words, right of its row."""
    text, place = formats.interval(share, "share"), (1.0, row)
    axes.annotate(text, place, xycoords=axes.get_yaxis_transform(), ha="right", va="center", fontsize="small")


def _percent(share: Estimate) -> Estimate:
    return Estimate(_FULL * share.mean, _FULL * share.low, _FULL * share.high, share.n, share.missing)


def _times_applied(duplicates: Estimate) -> Estimate:
    """Applications for each message that is applied at all: of n applications, a share of d repeats an earlier one."""
    mean, low, high = (1 / (1 - d) if d < 1 else math.inf for d in (duplicates.mean, duplicates.low, duplicates.high))
    return Estimate(mean, low, high, duplicates.n, duplicates.missing)
