"""The topology as a graph: publishers, exchanges, queues and consumers from left to right, and how much goes along each way.

Ways are drawn as thick as they are busy, dead letters and retries in dashes of other colours. Where places stand is computed in
``layers``, how much goes where is told by a scenario's arithmetic (``Way.rate``) or measured (``flows``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from simbus.analysis import formats
from simbus.analysis.chart import Chart, Place, Way
from simbus.analysis.estimates import Estimate
from simbus.analysis.plots.layers import Layout, Point, lay_out
from simbus.analysis.style import COLOURS, ink, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"publishers": "", "exchanges": COLOURS[4], "queues": COLOURS[0], "consumers": COLOURS[2]}
_TINT = 0.22
_WAYS: dict[str, tuple[str | None, Any, str]] = {
    "routed": (None, "-", "messages"),
    "consumed": (None, "-", "messages"),
    "dead": (COLOURS[1], (0, (4, 2)), "dead letters"),
    "retry": (COLOURS[3], (0, (1, 1.5)), "published anew, to be tried again"),
}
Ends = tuple[Point, Point]
_WIDTH, _HEIGHT = 0.5, 0.56  # of a place; neighbours stand 1 apart
_LETTERS = 14  # of a line of a name
_THIN, _THICK = 0.9, 2.6  # points
_HALF = 0.5
_SLOT = 0.06  # of a queue's width
_CORNER, _LANE, _ASIDE = 0.08, 0.22, 0.025  # of ways back: how round, and how far apart
_LEVEL = 0.6  # of the distance between two places: how far a way is level
_SHORT = 2 * _LETTERS  # of what stands beside a way
_LETTER = 0.62  # of the font's size: how wide one is
_SMALLEST, _LARGEST = 3.5, 9.0


def draw_topology(axes: Axes, chart: Chart, flows: Mapping[Way, str], rates: Mapping[Way, float]) -> None:
    """Draw a chart.

    Args:
        axes: where.
        chart: the places and ways.
        flows: what to write along a way.
        rates: messages a second along it, which make it thick.
    """
    layout = _laid_out(chart)
    _frame(axes, layout)
    size = _font(axes)
    busiest = max((rate for rate in rates.values() if math.isfinite(rate)), default=0.0)
    handles: dict[str, Any] = {}
    ends = _ends(chart, layout)
    lowest = max((y for _, y in layout.places.values()), default=0.0) + _HEIGHT
    backward = [way for way in chart.ways if _bends(layout, way) is None]
    for way in chart.ways:
        share = rates.get(way, 0.0) / busiest if busiest else 0.0
        thick = (_THIN + (_THICK - _THIN) * math.sqrt(share)) * max(_HALF, size / _LARGEST)
        text = "\n".join(line if len(line) <= _SHORT else f"{line[:_SHORT]}…" for line in (way.text, flows.get(way, "")) if line)
        bends = _bends(layout, way)
        if bends is None:
            number = backward.index(way)
            lane = lowest + number * _LANE
            path = _back(ends[way], number, lane)
            _say(axes, text, ((ends[way][0][0] + ends[way][1][0]) / 2, lane), (0, 2), size, ha="center", va="bottom")
        else:
            path = _onward(ends[way], bends)
            fewer = sum(each.source == way.source for each in chart.ways) < sum(each.target == way.target for each in chart.ways)
            _write(axes, text, ends[way], bends, size, at_source=fewer)
        handles[_WAYS[way.kind][2]] = _draw_way(axes, way.kind, path, thick)
    for place in chart.places:
        _draw_place(axes, place, layout.places[place.key], size)
    if len(handles) > 1:
        legend(axes, handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(handles), fontsize=size)


def new_graph(ax: Axes | None, chart: Chart) -> Axes:
    """The caller's axes, or new ones of a size at which the chart can be read."""
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=size_of(chart), layout="constrained")[1]
    return ax


def size_of(chart: Chart) -> tuple[float, float]:
    """How wide and high a chart has to be to be read, in inches."""
    places = _laid_out(chart).places.values()
    width = 1.9 * (1 + max((x for x, _ in places), default=0))
    return max(width, 5), 1.2 + 0.8 * len({y for _, y in places}) ** 0.5 * 1.6


def _laid_out(chart: Chart) -> Layout:
    """Dead letters and retries lead back, if any way does."""
    important = sorted(chart.ways, key=lambda way: way.kind in ("dead", "retry"))
    return lay_out([place.key for place in chart.places], [(way.source, way.target) for way in important])


def _frame(axes: Axes, layout: Layout) -> None:
    """Nothing but the graph: no axes to read numbers from. Ways back need room below."""
    bends = [point for each in layout.bends.values() for point in each or ()]
    x, y = zip(*(*layout.places.values(), *bends), strict=True) if layout.places else ((0.0,), (0.0,))
    back = sum(each is None for each in layout.bends.values())
    axes.set_axis_off()
    axes.set_xlim(min(x) - _WIDTH * 0.6, max(x) + _WIDTH * 0.6 + (_CORNER + back * _ASIDE if back else 0))
    axes.set_ylim(max(y) + (_HEIGHT + back * _LANE if back else 0.4), min(y) - 0.5)


def _font(axes: Axes) -> float:
    """A size at which a line of a name fits into its box."""
    width = axes.get_window_extent().width / axes.figure.dpi * 72
    left, right = axes.get_xlim()
    return min(_LARGEST, max(_SMALLEST, width * _WIDTH / (right - left) / (_LETTERS * _LETTER)))


def _draw_place(axes: Axes, place: Place, at: Point, size: float) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import FancyBboxPatch

    shape = "round,pad=0,rounding_size=0.15" if place.sort in ("publishers", "consumers") else "square,pad=0"
    corner, colour = (at[0] - _WIDTH / 2, at[1] - _HEIGHT / 2), _COLOURS[place.sort] or ink(axes)
    tint = to_rgba(colour, _TINT if _COLOURS[place.sort] else 0)
    axes.add_patch(FancyBboxPatch(corner, _WIDTH, _HEIGHT, boxstyle=shape, fc=tint, ec=colour, lw=1.4, zorder=3))
    for number in range(2 if place.sort == "queues" else 0):  # as queues are drawn: what waits stands in a row
        across = at[0] + _WIDTH / 2 - _WIDTH * _SLOT * (number + 1)
        axes.plot((across, across), (corner[1], corner[1] + _HEIGHT), color=colour, lw=1.0, zorder=3)
    lines = _lines(place.name)
    detail = {"fontsize": 0.85 * size, "style": "italic"}
    up = 0.6 * size if place.detail else 0.0
    for text, offset, style in (("\n".join(lines), up, {"fontsize": size}), (place.detail, -0.7 * size * len(lines), detail)):
        options: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 4, "parse_math": False, **style}
        axes.annotate(text, at, xytext=(0, offset), textcoords="offset points", **options)


def _lines(name: str) -> list[str]:
    """A name in up to three lines, broken at its dots and dashes where that is possible."""
    spaced = name.replace(".", ". ").replace("-", "- ").replace("_", "_ ")
    joined = [line.replace(". ", ".").replace("- ", "-").replace("_ ", "_") for line in wrap(spaced, _LETTERS)]
    return joined if len(joined) <= 3 else [*joined[:2], f"{joined[2][: _LETTERS - 1]}…"]


def _draw_way(axes: Axes, kind: str, path: Any, thick: float) -> Any:
    from matplotlib.patches import FancyArrowPatch

    colour, dash, _ = _WAYS[kind]
    style: dict[str, Any] = {"color": colour or ink(axes), "lw": thick, "ls": dash, "zorder": 2, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=6 + thick, capstyle="butt", **style))
    return axes.plot([], [], color=colour or ink(axes), ls=dash, lw=1.4)[0]


def _ends(chart: Chart, layout: Layout) -> dict[Way, Ends]:
    """Where ways begin and end: side by side, in the order of where they come from and lead to; ways back are the lowest."""
    found: dict[Way, list[Point]] = {way: [(0.0, 0.0)] * 2 for way in chart.ways}
    for place, (x, y) in layout.places.items():
        for side, here, there in ((1, "source", "target"), (-1, "target", "source")):
            ways = sorted((w for w in chart.ways if getattr(w, here) == place), key=partial(_next, layout, there=there))
            for number, way in enumerate(ways, start=1):
                found[way][side < 0] = (x + side * _WIDTH / 2, y + _HEIGHT * (number / (len(ways) + 1) - 0.5))
    return {way: (begin, end) for way, (begin, end) in found.items()}


def _bends(layout: Layout, way: Way) -> Sequence[Point] | None:
    return layout.bends[way.source, way.target]


def _next(layout: Layout, way: Way, there: str) -> float:
    """The height at which a way goes on from one of its places towards the other."""
    bends = _bends(layout, way)
    if bends is None:
        return math.inf
    points = bends or (layout.places[getattr(way, there)],)
    return points[0 if there == "target" else -1][1]


def _onward(ends: Ends, bends: Sequence[Point]) -> Any:
    """A smooth way, level where it begins and ends and past what lies between."""
    from matplotlib.path import Path

    begin, end = ends
    points = [begin, *((x + side * _WIDTH / 2, y) for x, y in bends for side in (-1, 1)), end]
    found = [points[0]]
    for (x, y), (u, v) in pairwise(points):
        found += [(x + _LEVEL * (u - x), y), (u - _LEVEL * (u - x), v), (u, v)]
    return Path(found, [Path.MOVETO, *[Path.CURVE4] * (len(found) - 1)])


def _back(ends: Ends, number: int, lane: float) -> Any:
    """A way back: down beside its place, along its own lane below everything, and up again; its corners are round."""
    from matplotlib.path import Path

    (x, y), (u, v) = ends
    right, left = x + _CORNER + number * _ASIDE, u - _CORNER - number * _ASIDE
    corners = [(x, y), (right, y), (right, lane), (left, lane), (left, v), (u, v)]
    found, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        found += [_toward(corner, before), corner, _toward(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*found, corners[-1]], [*codes, Path.LINETO])


def _toward(corner: Point, other: Point) -> Point:
    """Where a corner begins to be round."""
    across, down = other[0] - corner[0], other[1] - corner[1]
    return (
        corner[0] + math.copysign(min(_CORNER, abs(across)), across),
        corner[1] + math.copysign(min(_CORNER, abs(down)), down),
    )


def _write(axes: Axes, text: str, ends: Ends, bends: Sequence[Point], size: float, *, at_source: bool) -> None:
    """Beside one end of a way, on the side from which it does not come."""
    (x, y), (u, v) = ends
    other = (bends[0] if at_source else bends[-1])[1] if bends else v if at_source else y
    up = other >= (y if at_source else v) - 1e-9
    at, aside = ((x, y), 4) if at_source else ((u, v), -11)
    _say(axes, text, at, (aside, 2 if up else -3), size, ha="left" if at_source else "right", va="bottom" if up else "top")


def _say(axes: Axes, text: str, at: Point, offset: tuple[float, float], size: float, **how: Any) -> None:
    style: dict[str, Any] = {"fontsize": max(_SMALLEST, 0.9 * size), "parse_math": False, "textcoords": "offset points"}
    axes.annotate(text, at, xytext=offset, **style, **how)


def told(chart: Chart) -> tuple[dict[Way, str], dict[Way, float]]:
    """What arithmetic says of a chart's ways, in words and as rates."""
    rates = {way: way.rate for way in chart.ways if way.rate is not None}
    return {way: formats.value(rate, "rate") for way, rate in rates.items()}, rates


def measured(flows: Mapping[Way, Estimate]) -> tuple[dict[Way, str], dict[Way, float]]:
    """The same of what was measured, with intervals."""
    return {way: formats.interval(each, "rate") for way, each in flows.items()}, {way: each.mean for way, each in flows.items()}
