"""The result as tables of text, and the same tables in a terminal.

Which columns there are and in which order is decided here once, for the terminal, the notebook and
the page. Numbers become text in ``formats``; they are computed in ``results``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simbus.analysis import formats
from simbus.analysis.cautions import cautions
from simbus.analysis.estimates import Estimate
from simbus.analysis.expectations import Target
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import CAUSES, term
from simbus.errors import printable
from simbus.units import format_duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable


_QUANTILES = (("p50", "p50"), ("p95", "p95"), ("p99", "p99"))
_LOAD = (("throughput", "throughput"), ("utilisation", "utilisation"), ("depth, mean", "depth.mean"), ("deepest", "depth.max"))
_LOSS = (("lost", "loss"), ("still waiting", "waiting"), ("duplicates", "duplicates"))
_HOPELESS = 1_000  # times the replications that were run
_COLOURS = {"holds": "green", "fails": "red", "undecided": "yellow", "input": "red"}
MARKS = {"holds": "✓", "fails": "✗", "undecided": "?"}


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table.

    Args:
        text: a name, a word, or a number as people read it.
        metric: the name of the metric that it is a number of, such as ``wait.p99``.
        term: the word of ``metrics.GLOSSARY`` that explains it.
        limits: the interval from end to end, and what it rests on.
    """

    text: str
    metric: str = ""
    term: str = ""
    limits: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells under headings; the first column names the row, unless it is not ``named``; of ``verdicts`` it is the outcome."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    named: bool = True
    verdicts: bool = False

    @classmethod
    def of_text(cls, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
        """A table of which all cells are mere text."""
        return cls(title, tuple(headings), tuple(tuple(Cell(printable(text)) for text in row) for row in rows))

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """The rows as mere text."""
        return [tuple(each.text for each in row) for row in self.rows]


def tables(result: Findings) -> list[Table]:
    """Load, wait, residence and loss, a row per queue, the consistency window of a message, and the precision asked for."""
    wait, first = _times(result, "Wait", "wait"), _times(result, "Wait of the first attempt", "first_wait")
    everything = [
        _per_queue(result, "Load and depth", _LOAD),
        wait,
        *([] if first.texts == wait.texts else [first]),  # without redeliveries every attempt is the first
        _times(result, "Residence", "residence"),
        _per_queue(result, "Loss and duplicates", _LOSS),
        _by_cause(result),
        _by_class(result),
        _window(result),
        _precision(result),
    ]
    return [table for table in everything if table.rows]


def expectations(result: Findings) -> Table:
    """A row per expectation: the outcome, the text, and the interval it was held against."""
    rows = tuple(
        (
            Cell(f"{MARKS[verdict.outcome]} {verdict.outcome}"),
            Cell(printable(verdict.expectation.text)),
            number(verdict.estimate, verdict.expectation.target),
        )
        for verdict in result.verdicts()
    )
    found = f"found, {formats.value(result.settings.confidence, 'share')} interval"
    return Table("Expectations", ("", "expected", found), rows, verdicts=True)


def to_decide(result: Findings) -> str:
    """What it would probably take to decide what is undecided, in a sentence; nothing when all is decided or nobody can tell."""
    known = [verdict.more for verdict in result.verdicts() if verdict.outcome == "undecided" and verdict.more is not None]
    if not known:
        return ""
    most = max(known)
    if most > _HOPELESS * len(result.replications):
        return f"A mean is almost at its limit: it would take more than {most:,} more replications to tell them apart."
    return f"About {most:,} more replication{'s' if most > 1 else ''} would probably decide."


def introduction(result: Findings) -> list[str]:
    """The question that the scenario asks, and its author's answer, as far as they are written; a paragraph each."""
    return [printable(" ".join(said.split())) for said in (result.question, result.answer) if said]


def overall(result: Findings) -> str:
    """The outcome of all expectations together: the worst of them; ``none`` where there are none."""
    outcomes = {verdict.outcome for verdict in result.verdicts()}
    return next((each for each in ("fails", "undecided", "holds") if each in outcomes), "none")


def headline(result: Findings) -> str:
    """One sentence: ``3 of 4 expectations hold, 1 is undecided``."""
    outcomes = Counter(verdict.outcome for verdict in result.verdicts())
    total = outcomes.total()
    if not total:
        return "The scenario states no expectation."
    if outcomes["holds"] == total:
        return "The expectation holds." if total == 1 else f"All {total} expectations hold."
    if total == 1:
        return "The expectation fails." if outcomes["fails"] else "The expectation is undecided."
    parts = [f"{outcomes['holds']} of {total} expectations hold"]
    parts += [f"{n} {'fails' if n == 1 else 'fail'}" for n in (outcomes["fails"],) if n]
    parts += [f"{n} {'is' if n == 1 else 'are'} undecided" for n in (outcomes["undecided"],) if n]
    return f"{', '.join(parts)}."


def setting(result: Findings) -> str:
    """How it was run: ``20 replications of 4 h after a warm-up of 20 min, seed 1``."""
    settings, n = result.settings, len(result.replications)
    text = f"{n} replication{'s' if n != 1 else ''}"
    text += " until the arrivals end" if settings.duration is None else f" of {format_duration(settings.duration)}"
    text += f" after a warm-up of {format_duration(settings.warmup)}" if settings.warmup else ""
    text += ", in antithetic pairs" if settings.antithetic else ""
    return f"{text}, seed {settings.seed}"


def show(result: Findings, console: Console | None = None) -> None:
    """Print the tables in a terminal; without colour where NO_COLOR is set, as rich does."""
    from rich.console import Console as Terminal

    console = console or Terminal()
    console.print(f"{printable(result.scenario)}: {setting(result)}\n", markup=False, highlight=False)
    for said in introduction(result):
        console.print(f"{said}\n", markup=False, highlight=False)
    for table in tables(result):
        console.print(as_grid(table), "")
    for caution in cautions(result):
        console.print(f"note: {printable(caution)}\n", markup=False, highlight=False)
    if result.expectations:
        console.print(as_grid(expectations(result)), "")
        console.print(headline(result), markup=False, highlight=False)
        if said := to_decide(result):
            console.print(said, markup=False, highlight=False)


def _times(result: Findings, title: str, name: str) -> Table:
    return _per_queue(result, title, [(heading, f"{name}.{quantile}") for heading, quantile in _QUANTILES])


def _per_queue(result: Findings, title: str, columns: Sequence[tuple[str, str]]) -> Table:
    """A row for each queue of which at least one number was observed."""
    rows = ((_name(queue), *(cell(result, f"queues.{queue}.{name}") for _, name in columns)) for queue in result.queues)
    return Table(title, ("queue", *(heading for heading, _ in columns)), _observed(rows))


def _by_cause(result: Findings) -> Table:
    """A column for each cause that was seen at least once in any queue; a zero's limit is that of the total."""
    seen = [cause for cause in CAUSES if any(result.estimate(f"queues.{q}.loss.{cause}").mean > 0 for q in result.queues)]
    rows = ((_name(queue), *(_cause(result, queue, cause) for cause in seen)) for queue in result.queues)
    return Table("Loss by cause", ("queue", *(cause.replace("_", " ") for cause in seen)), _observed(rows))


def _observed(rows: Iterable[tuple[Cell, ...]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(row for row in rows if any(each.text != formats.NOTHING for each in row[1:]))


def _by_class(result: Findings) -> Table:
    """A row for each class of messages in each queue that has seen it."""
    columns = {"wait, p50": "wait.p50", "wait, p99": "wait.p99", "residence, p99": "residence.p99", "lost": "loss"}
    seen = [each for each in result.classes if result.mean(f"{each}.loss.n") > 0 or result.mean(f"{each}.wait.n") > 0]
    rows = tuple((_name(each), *(cell(result, f"queues.{each}.{name}") for name in columns.values())) for each in seen)
    return Table("Classes of messages", ("queue[class]", *columns), rows)


def _precision(result: Findings) -> Table:
    """A row for each metric that was to be precise: the half-width as a share of the mean, asked for and found."""
    rows = tuple(
        (each.metric, formats.value(each.wanted, "share"), formats.value(each.found, "share").replace(formats.NEVER, "?"))
        for each in result.precisions()
    )
    return Table.of_text("Precision: half-widths as shares of their means", ("metric", "asked for", "found"), rows)


def _window(result: Findings) -> Table:
    columns = {"p50": "p50", "p95": "p95", "p99": "p99", "never": "never closes", "open": "still open"}
    row = tuple(cell(result, f"window.{name}") for name in columns)
    return Table("Consistency window of a message", tuple(columns.values()), (row,), named=False)


def _name(text: str) -> Cell:
    return Cell(printable(text))


def cell(result: Findings, path: str) -> Cell:
    """The cell of the metric with that path."""
    return number(result.estimate(path), result.resolve(path))


def _cause(result: Findings, queue: str, cause: str) -> Cell:
    """The share lost for a cause; the limit of a zero is that of the total, and not said again."""
    found = cell(result, f"queues.{queue}.loss.{cause}")
    return replace(found, text=found.text.split(" (<")[0])


def number(estimate: Estimate, target: Target) -> Cell:
    """The cell of a metric's estimate."""
    unit = target.metric.unit
    return Cell(formats.interval(estimate, unit), target.name, term(target.entity, target.name), formats.limits(estimate, unit))


def as_grid(table: Table) -> RichTable:
    """The table as rich prints it."""
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    for column, heading in enumerate(table.headings):
        left = column == 0 or table.verdicts
        grid.add_column(Text(heading), justify="left" if left else "right", overflow="fold")
    for row in table.rows:
        style = _COLOURS.get(row[0].text.rpartition(" ")[2], "") if table.verdicts else ""
        grid.add_row(Text(row[0].text, style=style), *(Text(each.text) for each in row[1:]))
    return grid
