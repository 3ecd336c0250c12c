"""One page that says it all: verdicts, tables, plots and how to get them again.

The page needs nothing but itself: no network, no script; a content security policy says so to the
browser. Plots are inline drawings that take the page's colours, light or dark. Words and numbers
come from ``tables`` and ``metrics``; the look lives in ``templates``.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from simbus.analysis import metrics
from simbus.analysis.cautions import cautions
from simbus.analysis.findings import Findings
from simbus.analysis.formats import value
from simbus.analysis.plots import Plots
from simbus.analysis.tables import expectations, headline, overall, setting, tables, to_decide

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_INK = "#010203"  # drawn in this colour, shown in the page's own
_SIZE = (5.6, 3.4)


def render(result: Findings) -> str:
    """The whole report as one HTML page."""
    facts = _facts(result) | {"figures": _figures(result), "meanings": _meanings(), "result": result}
    return _template("report.html.j2").render(facts)


def fragment(result: Findings) -> str:
    """Verdicts and tables alone, for a notebook."""
    return _template("tables.html.j2").render(_facts(result))


def _template(name: str) -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("simbus.analysis", "templates")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return page.get_template(name)


def _facts(result: Findings) -> dict[str, Any]:
    return {
        "scenario": result.scenario,
        "setting": setting(result),
        "headline": headline(result),
        "to_decide": to_decide(result),
        "outcome": overall(result),
        "expectations": expectations(result),
        "tables": tables(result),
        "cautions": cautions(result),
        "confidence": value(result.settings.confidence, "share"),
    }


def _meanings() -> list[tuple[str, str]]:
    """Every metric and its meaning; a time's statistics share one."""
    causes = [(f"loss, {cause.replace('_', ' ')}", metrics.QUEUE[f"loss.{cause}"].meaning) for cause in metrics.CAUSES]
    plain = [
        (name.replace(".", ", ").replace("_", " "), metric.meaning)
        for name, metric in metrics.QUEUE.items()
        if metric.unit != "time"
    ]
    kept = [(name, text) for name, text in plain if "loss, " not in name and not name.endswith(", n")]
    times = [(name.replace("_", " "), text) for name, text in metrics.TIMES.items()]
    return [*times, *kept, *causes, ("consistency window", metrics.WINDOW_MEANING)]


def _figures(result: Findings) -> list[dict[str, str]]:
    """Plots with a title, a caption and a text for those who cannot see them."""
    plot = Plots(result)
    queues = plot.deepest()
    over_time = "Copies in the queue over time."
    if len(queues) < len(result.queues):
        over_time += f" The {len(queues)} deepest of {len(result.queues)} queues are drawn."
    return [
        _figure("Wait", "Share of attempts that wait longer than t; diamonds are limits.", plot.latency),
        _figure("Consistency window", "Share of messages that every subscriber has applied by then.", plot.window),
        _figure("Loss by cause", "Share of delivery obligations that end lost.", plot.loss),
        *(_figure(f"Depth of {queue}", over_time, partial(plot.depth, queue)) for queue in queues),
    ]


def _figure(title: str, caption: str, draw: Callable[..., Axes]) -> dict[str, str]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 10}
    style |= dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK)
    with rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has the fonts
        figure = Canvas(figsize=_SIZE, layout="constrained")
        draw(ax=figure.subplots()).set_title("")
        return {"title": title, "caption": caption, "svg": _svg(figure)}


def _svg(figure: Figure) -> str:
    """The drawing to stand inside a page: no prologue, no metadata, ink in the page's colour."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue()[out.getvalue().index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1)
    return text.replace(_INK, "currentColor")
