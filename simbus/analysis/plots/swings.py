"""Sensitivity as a tornado: how a metric changes when one factor after the other takes its first and its second value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simbus.analysis import formats
from simbus.analysis.estimates import Estimate
from simbus.analysis.metrics import Unit
from simbus.analysis.style import COLOURS, ink, legend, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 0.62
_ROOM = 0.2


@dataclass(frozen=True)
class Swing:
    """A factor, its two values in words, and the metric at each of them."""

    factor: str
    low_text: str
    low: Estimate
    high_text: str
    high: Estimate

    def width(self, base: float) -> float:
        """How far the metric goes, from the least to the largest of three: as it is, and at either value."""
        ends = (base, self.low.mean, self.high.mean)
        return max(ends) - min(ends)


def draw_swings(axes: Axes, metric: str, unit: Unit, base: Estimate, swings: Sequence[Swing]) -> None:
    """A bar for each factor, the widest on top: from the metric as it is to what it becomes, with intervals.

    Args:
        axes: where.
        metric: its path.
        unit: of the metric.
        base: the metric as it is.
        swings: of each factor.
    """
    ordered = sorted(swings, key=lambda each: each.width(base.mean))
    bars = {}
    for row, each in enumerate(ordered):
        for name, text, found, colour, hatch in (
            ("at the first value", each.low_text, each.low, COLOURS[5], ""),
            ("at the second value", each.high_text, each.high, COLOURS[4], "///"),
        ):
            if not math.isfinite(found.mean):
                continue
            bar = axes.barh(
                row, found.mean - base.mean, left=base.mean, height=_HEIGHT, color=colour, hatch=hatch, ec="#FFFFFF80", lw=0
            )
            bars[name] = bar
            if math.isfinite(found.half_width):
                axes.plot((max(0.0, found.low), found.high), (row, row), color=ink(axes), marker="|", lw=1.0, ms=6)
            _beside(axes, row, text, found, base)
    axes.axvline(base.mean, color=ink(axes), lw=1)
    if math.isfinite(base.half_width):
        axes.axvspan(base.low, base.high, color="gray", alpha=0.2, lw=0, zorder=0)
    left, right = axes.get_xlim()
    axes.set_xlim(left - _ROOM * (right - left), right + _ROOM * (right - left))
    axes.set_yticks(range(len(ordered)), [short(each.factor) for each in ordered], parse_math=False)
    axes.grid(False, axis="y")
    axes.set_xlabel(metric + (" (per second)" if unit == "rate" else ""), parse_math=False)
    if unit in ("time", "share"):
        axes.xaxis.set_major_formatter(lambda number, _: formats.value(number, unit))
    legend(axes, bars, loc="lower right")


def _beside(axes: Axes, row: int, text: str, found: Estimate, base: Estimate) -> None:
    """The value in words, beyond the end of its bar and interval."""
    right = found.mean >= base.mean
    end = (found.high if right else found.low) if math.isfinite(found.half_width) else found.mean
    axes.annotate(
        text,
        (end, row),
        xytext=(5 if right else -5, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        fontsize="small",
        parse_math=False,
    )
