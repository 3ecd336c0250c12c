"""One page that says it all, in the order in which a reader asks: verdicts, why, detail, and how to get them again.

The page needs nothing but itself: no network, no script; a content security policy says so to the browser. Words and numbers
come from ``tables``, ``reasons`` and ``metrics``, plots from ``drawings``; the look lives in ``templates``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from simbus.analysis import formats, metrics
from simbus.analysis.cautions import cautions
from simbus.analysis.drawings import Drawing, draw, gauge
from simbus.analysis.findings import Findings
from simbus.analysis.plots import Plots
from simbus.analysis.plots.topology import size_of
from simbus.analysis.reasons import reasons
from simbus.analysis.tables import Cell, Table, expectations, headline, introduction, overall, setting, tables, to_decide
from simbus.errors import printable
from simbus.units import duration_text

if TYPE_CHECKING:
    from jinja2 import Environment, Template


def render(result: Findings) -> str:
    """The whole report as one HTML page."""
    return template("report.html.j2").render(
        facts(result)
        | {
            "contents": _contents(result),
            "reasons": reasons(result),
            "explaining": list(_explaining(result)),
            "in_time": list(_in_time(result)),
            "again": again(result),
            "result": result,
        }
    )


def fragment(result: Findings) -> str:
    """Verdicts and tables alone, for a notebook."""
    return template("fragment.html.j2").render(facts(result))


def template(name: str) -> Template:
    """A template of the folder ``templates``; what it shows is escaped, and what cannot be printed is written as an escape."""
    return _environment().get_template(name)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("simbus.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"slug": slug, "css": _css, "lines": _lines}
    return found


def facts(result: Findings) -> dict[str, Any]:
    """What the page and the notebook show of a result."""
    verdicts = result.verdicts()
    shown = [expectations(result), *tables(result)]
    return {
        "scenario": printable(result.scenario),
        "introduction": introduction(result),
        "setting": setting(result),
        "headline": headline(result),
        "to_decide": to_decide(result),
        "outcome": overall(result),
        "expectations": shown[0],
        "gauges": [gauge(each.estimate, each.expectation.limit, below="<" in each.expectation.operator) for each in verdicts],
        "tables": shown[1:],
        "cautions": [printable(caution) for caution in cautions(result)],
        "confidence": formats.value(result.settings.confidence, "share"),
        "glossary": glossary(shown, *(each.parts for each in reasons(result))),
    }


def _contents(result: Findings) -> dict[str, list[str]]:
    """The headings of the page, and below each those that can be jumped to."""
    end = {"What the numbers mean": [], "How to get it again": ["The scenario"] if result.text else []}
    doubt = ["What to doubt"] if cautions(result) else []
    return {"Verdicts": doubt, "Why": [], "In detail": [table.title for table in tables(result)], **end}


def again(result: Findings, file: str = "scenario.toml") -> str:
    """What to type for the same numbers; the scenario in its file, or in Python where it never was in one."""
    settings, n = result.settings, len(result.replications)
    times = {name: time for name, time in (("duration", settings.duration), ("warmup", settings.warmup)) if time}
    if result.text:
        said = "".join(f" --set run.{name}={duration_text(time)}" for name, time in times.items())
        return f"simbus run {file} --seed {settings.seed} --replications {n}{said}"
    written = "".join(f', {name}="{duration_text(time)}"' for name, time in times.items())
    return f"simulate(scenario{written}, replications={n}, seed={settings.seed})"


def glossary(shown: Iterable[Table], *others: Iterable[Cell]) -> dict[str, str]:
    """The words that explain the numbers of these tables and cells, and their meanings, in the order of ``metrics``."""
    cells = [each for table in shown for row in table.rows for each in row]
    used = {each.term for each in (*cells, *(each for cells in others for each in cells))}
    return {word: meaning for word, meaning in metrics.GLOSSARY.items() if word in used}


def slug(text: str) -> str:
    """A text as a name for the page's own use: of an anchor, of a class."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _css(text: str) -> str:
    """A text as the inside of a string in a style sheet."""
    return re.sub(r"[^\w .,;:()×’“”+-]", lambda found: f"\\{ord(found[0]):x} ", text)


def _lines(text: str) -> str:
    return "\n".join(printable(line.replace("\t", "    ")) for line in text.split("\n"))


def _explaining(result: Findings) -> Iterator[Drawing]:
    """The plots that answer why: where messages go, how busy and how long, what is lost, and what is done twice."""
    plot = Plots(result)
    if result.chart.places:
        ways, rates = "Messages a second along each way, as they were measured.", _told(result, "throughput")
        yield draw("Topology", ways, rates, plot.topology, size_of(result.chart))
    yield draw("Wait", "Share of attempts that wait longer than t; diamonds are limits.", _told(result, "wait.p99"), plot.latency)
    closed = f"99 % of the windows close within {_said(result, 'window.p99')}."
    yield draw("Consistency window", "Share of messages that every subscriber has applied by then.", closed, plot.window)
    busy = "How busy the servers of each group are; a tick is what arithmetic says."
    yield draw("Utilisation", busy, _told(result, "utilisation"), plot.utilisation)
    yield draw("Loss by cause", "Share of delivery obligations that end lost.", _told(result, "loss"), plot.loss)
    if any(result.mean(f"{queue}.attempts.mean") > 1 for queue in result.queues):
        yield draw("Attempts", "How often a message is tried and applied.", _told(result, "attempts.mean"), plot.attempts)


def _in_time(result: Findings) -> Iterator[Drawing]:
    """What each queue holds over time, and beside it the waits of those that are served."""
    plot = Plots(result)
    queues = plot.deepest()
    caption = "What the queue holds, over time."
    if len(queues) < len(result.queues):
        caption += f" The {len(queues)} deepest of {len(result.queues)} queues are drawn."
    for queue in queues:
        mean, most = (_said(result, f"queues.{queue}.depth.{name}") for name in ("mean", "max"))
        yield draw(f"Depth of {queue}", caption, f"On average {mean} copies, at most {most}.", partial(plot.depth, queue))


def _told(result: Findings, name: str) -> str:
    """One number of each queue, for those who cannot see a plot."""
    known = {queue: _said(result, f"queues.{queue}.{name}") for queue in result.queues}
    told = "; ".join(f"{queue} {number}" for queue, number in known.items() if number != formats.NOTHING)
    return f"{name} of the queues: {told or 'nothing observed'}."


def _said(result: Findings, path: str) -> str:
    return formats.interval(result.estimate(path), result.resolve(path).metric.unit)
