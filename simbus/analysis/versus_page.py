"""Two results on one page, in the look of ``report``: verdicts, changes, pictures of both, and the texts' difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from simbus.analysis import formats
from simbus.analysis.comparison import Comparison
from simbus.analysis.drawings import Drawing, Gauge, draw
from simbus.analysis.findings import Findings
from simbus.analysis.plots.both import draw_depths, draw_waits, draw_windows
from simbus.analysis.report import again, glossary, template
from simbus.analysis.tables import setting
from simbus.analysis.versus import Versus

_MOST = 6  # queues that are drawn
_FURTHEST = 1.0  # a change by more than its own size is drawn as one by its size


def render(versus: Versus) -> str:
    """The page."""
    told = [change for change in versus.changes if change.outcome != "undecided"]
    rest = [change for change in versus.changes if change.outcome == "undecided"]
    tables = {title: versus.changed(found, title) for title, found in (("What changed", told), ("Not told apart", rest)) if found}
    written, reach = versus.written(), _reach(versus.changes)
    contents = ["Verdicts", *tables, "Pictures", *(["What is written differently"] if written else [])]
    facts: dict[str, Any] = {
        "versus": versus,
        "names": versus.called,
        "settings": [setting(result) for result in (versus.first, versus.second)],
        "confidence": formats.value(versus.first.settings.confidence, "share"),
        "judged": versus.judged(),
        "tables": tables,
        "gauges": {"What changed": _gauges(told, reach), "Not told apart": _gauges(rest, reach)},
        "figures": list(_figures(versus)),
        "written": written,
        "glossary": glossary([versus.judged(), *tables.values()]),
        "contents": dict.fromkeys([*contents, "What the numbers mean", "How to get it again"], ()),
        "again": [
            (name, result, again(result)) for name, result in zip(versus.called, (versus.first, versus.second), strict=True)
        ],
    }
    return template("versus.html.j2").render(facts)


def _sides(versus: Versus) -> dict[str, Findings]:
    return dict(zip(versus.called, (versus.first, versus.second), strict=True))


def _reach(changes: Sequence[Comparison]) -> float:
    """How far the axis of all ratios goes to both sides of 1."""
    finite = [abs(x - 1) for change in changes for x in (change.ratio.low, change.ratio.high) if math.isfinite(x)]
    return min(_FURTHEST, max(finite, default=_FURTHEST)) or _FURTHEST


def _gauges(changes: Sequence[Comparison], reach: float) -> list[Gauge | None]:
    return [_gauge(change, reach) for change in changes]


def _gauge(change: Comparison, reach: float) -> Gauge | None:
    if not math.isfinite(change.ratio.mean + change.ratio.low + change.ratio.high):
        return None
    low, mean, high = (
        50 + 50 * min(1.0, max(-1.0, (x - 1) / reach)) for x in (change.ratio.low, change.ratio.mean, change.ratio.high)
    )
    return Gauge(low, mean, high, 50, below=True)


def _figures(versus: Versus) -> Iterator[Drawing]:
    """Windows, and waits and depths of what was asked about, else of the first queues."""
    results = _sides(versus)
    shared = [queue for queue in versus.second.queues if queue in versus.first.queues]
    asked = {target.entity for result in results.values() for target in result.asked}
    queues = [queue for queue in shared if queue in asked] or shared
    told = " and ".join(versus.called)
    yield draw(
        "Consistency window", "Share of messages that every subscriber has applied by then.", told, partial(draw_windows, results)
    )
    for queue in queues[:_MOST]:
        yield draw(f"Wait in {queue}", "Share of attempts that wait longer than t.", told, partial(draw_waits, results, queue))
        yield draw(f"Depth of {queue}", "Copies in the queue over time.", told, partial(draw_depths, results, queue))
