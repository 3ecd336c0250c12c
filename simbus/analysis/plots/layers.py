"""Where the places of a directed graph stand: in layers from left to right, so that most ways lead to the right and few cross.

The method is that of Sugiyama, Tagawa and Toda (1981): ways that would close a circle lead back, a place stands one layer beyond
the last that leads to it, ways across several layers bend where they pass one, and the order in each layer follows the mean of
the neighbours. Nothing here draws, or knows what a place is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from networkx import DiGraph

_SWEEPS = 12
Point = tuple[float, float]
Bend = tuple[str, str, int]


@dataclass(frozen=True)
class Layout:
    """Where everything is: x is the layer, from 0; y is down the page, and neighbours in a layer are at least 1 apart.

    ``bends`` are the points that a way from place to place passes on layers between; of a way that leads back, None.
    """

    places: Mapping[str, Point]
    bends: Mapping[tuple[str, str], Sequence[Point] | None]


def lay_out(places: Sequence[str], ways: Sequence[tuple[str, str]]) -> Layout:
    """Lay out a graph; of ways that close a circle the later ones lead back, so the important ones come first."""
    graph, back = _without_circles(places, ways)
    layer = _layers(graph)
    rows: list[list[Any]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for place in places:
        rows[layer[place]].append(place)
    links: list[tuple[Any, Any]] = []
    bends: dict[tuple[str, str], list[Bend]] = {}
    for source, target in graph.edges:
        between: list[Bend] = [(source, target, each) for each in range(layer[source] + 1, layer[target])]
        for bend in between:
            rows[bend[2]].append(bend)
        chain = [source, *between, target]
        links += pairwise(chain)
        bends[source, target] = between
    y = _heights(rows, links)
    points = {each: (float(x), y[each]) for x, row in enumerate(rows) for each in row}
    found: dict[tuple[str, str], Sequence[Point] | None] = {way: [points[bend] for bend in each] for way, each in bends.items()}
    return Layout({place: points[place] for place in places}, found | dict.fromkeys(back))


def _without_circles(places: Sequence[str], ways: Sequence[tuple[str, str]]) -> tuple[DiGraph[str], list[tuple[str, str]]]:
    from networkx import DiGraph as Graph
    from networkx import has_path

    graph: DiGraph[str] = Graph()
    graph.add_nodes_from(places)
    back = []
    for source, target in ways:
        if source == target or has_path(graph, target, source):
            back.append((source, target))
        else:
            graph.add_edge(source, target)
    return graph, back


def _layers(graph: DiGraph[str]) -> dict[str, int]:
    """One beyond the last that leads there; where nothing leads, one before the first that it leads to."""
    from networkx import topological_generations

    layer = {place: number for number, row in enumerate(topological_generations(graph)) for place in row}
    for place in graph:
        if not graph.in_degree(place) and graph.out_degree(place):
            layer[place] = min(layer[each] for each in graph.successors(place)) - 1
    return layer


def _heights(rows: list[list[Any]], links: Sequence[tuple[Any, Any]]) -> dict[Any, float]:
    """Sweeps to the right and to the left, in which each layer is ordered by the mean height of its neighbours there."""
    before: dict[Any, list[Any]] = {each: [] for row in rows for each in row}
    after: dict[Any, list[Any]] = {each: [] for row in rows for each in row}
    for source, target in links:
        after[source].append(target)
        before[target].append(source)
    y = {each: float(number) for row in rows for number, each in enumerate(row)}
    for sweep in range(_SWEEPS):
        neighbours = after if sweep % 2 else before
        for row in rows[::-1] if sweep % 2 else rows:
            wanted = {each: fmean(y[other] for other in neighbours[each]) if neighbours[each] else y[each] for each in row}
            row.sort(key=wanted.__getitem__)
            y |= dict(zip(row, _apart([wanted[each] for each in row]), strict=True))
    return y


def _apart(wanted: Sequence[float]) -> list[float]:
    """Heights that are at least 1 apart and as near to the wanted ones, which rise, as that allows (least squares).

    Less their place, they need only not fall: neighbours that would are pooled at their mean (Ayer et al. 1955).
    """
    pools: list[list[float]] = []
    for place, height in enumerate(wanted):
        pools.append([height - place])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [[*pools[-2], *pools[-1]]]
    level = [fmean(pool) for pool in pools for _ in pool]
    return [each + place for place, each in enumerate(level)]
