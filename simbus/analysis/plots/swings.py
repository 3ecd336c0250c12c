"""Sensitivity as a tornado: how a metric changes when one factor after the other takes its first and its second value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simbus.analysis import formats
from simbus.analysis.estimates import Estimate
from simbus.analysis.metrics import Unit
from simbus.analysis.style import COLOURS, ink, legend, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 0.62
Words = tuple[str, float, int, bool]  # beside the end of a bar: where it is, its row, and whether on its right
_ENDS = (("at the first value", COLOURS[5], ""), ("at the second value", COLOURS[4], "///"))
_LETTER = 4.8  # points that one takes
_PART = 0.8  # of the axes that names of factors leave
_ROUNDS = 8
_TICKS = 5
_APART = 5.5  # points up and down, for two texts beside one bar
_MOST = 0.35  # of the axes for words on one side


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
    ordered, bars = sorted(swings, key=lambda each: each.width(base.mean)), {}
    words: list[Words] = []
    for row, each in enumerate(ordered):
        for place, (name, colour, hatch) in enumerate(_ENDS):
            found, other = (each.low, each.high) if place == 0 else (each.high, each.low)
            if not math.isfinite(found.mean):
                continue
            style: dict[str, Any] = {"color": colour, "hatch": hatch, "ec": "#FFFFFF80", "lw": 0}
            bars[name] = axes.barh(row, found.mean - base.mean, left=base.mean, height=_HEIGHT, **style)
            if math.isfinite(found.half_width):
                axes.plot((max(0.0, found.low), found.high), (row, row), color=ink(axes), marker="|", lw=1.0, ms=6)
            text = short(each.high_text if place else each.low_text)
            right = found.mean > base.mean or (found.mean == base.mean and other.mean < base.mean)
            end = found.mean
            if math.isfinite(found.half_width):
                end = found.high if right else max(0.0, found.low)
            words.append((text, end, row, right))
    axes.axvline(base.mean, color=ink(axes), lw=1)
    if math.isfinite(base.half_width):
        axes.axvspan(base.low, base.high, color="gray", alpha=0.2, lw=0, zorder=0)
    _write(axes, words)
    axes.set_yticks(range(len(ordered)), [short(each.factor) for each in ordered], parse_math=False)
    axes.grid(False, axis="y")
    axes.set_xlabel(metric + (" (per second)" if unit == "rate" else ""), parse_math=False)
    if unit in ("time", "share"):
        axes.xaxis.set_major_formatter(lambda number, _: formats.value(number, unit) if number >= 0 else "")
    legend(axes, bars, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)


def _write(axes: Axes, words: Sequence[Words]) -> None:
    """The values in words, beyond the ends of their bars and intervals, for which the axis becomes longer."""
    width = axes.get_window_extent().width / axes.figure.dpi * 72 * _PART
    least, most = low, high = axes.get_xlim()
    for _ in range(_ROUNDS):  # what is written takes its part of an axis that it makes longer
        parts = [(end, min(_MOST, _LETTER * (len(text) + 1) / width) * (high - low), right) for text, end, _, right in words]
        low = min([least, *(end - part for end, part, right in parts if not right)])
        high = max([most, *(end + part for end, part, right in parts if right)])
    axes.set_xlim(low, high)
    axes.locator_params(axis="x", nbins=_TICKS)
    sides = Counter((row, right) for _, _, row, right in words)
    for place, (text, end, row, right) in enumerate(words):
        shift = 0 if sides[row, right] == 1 else _APART * (1 if place % 2 == 0 else -1)  # both values lead to the same side
        side: dict[str, Any] = {"xytext": (5 if right else -5, shift), "ha": "left" if right else "right"}
        axes.annotate(text, (end, row), textcoords="offset points", va="center", fontsize="small", parse_math=False, **side)
