"""Several runs on one page, in the look of ``report``: verdicts of all first, then each in words and tables, without pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote
from typing import Any

from simbus.analysis.overview import Run, overview, total
from simbus.analysis.reasons import reasons
from simbus.analysis.report import again, facts, template
from simbus.analysis.results import Result
from simbus.analysis.tables import Table
from simbus.errors import printable


def render(runs: Sequence[Run]) -> str:
    """The page; a file that could not be run has its row among the verdicts, and nothing more."""
    titles = [f"{place}. {printable(run.result.scenario)}" if run.result else "" for place, run in enumerate(runs, 1)]
    parts = {title: _part(title, run.file, run.result) for title, run in zip(titles, runs, strict=True) if run.result}
    shown: dict[str, Any] = {
        "headline": total(runs),
        "outcome": _worst(runs),
        "rows": list(zip(runs, titles, overview(runs).rows, strict=True)),
        "parts": parts,
        "confidence": " or ".join(dict.fromkeys(part["confidence"] for part in parts.values())),
        "glossary": {word: meaning for part in parts.values() for word, meaning in part["glossary"].items()},
        "contents": dict.fromkeys(["Verdicts", *parts, "What the numbers mean"], ()),
    }
    return template("overview.html.j2").render(shown)


def _part(title: str, file: str, result: Result) -> dict[str, Any]:
    said = facts(result)
    tables = [(table.title, _named(table, title)) for table in said["tables"]]
    apart = {"expectations": _named(said["expectations"], title), "tables": tables}
    command = again(result, quote(printable(file)))
    return said | apart | {"file": printable(file), "reasons": reasons(result), "again": f"{command} --html report.html"}


def _named(table: Table, title: str) -> Table:
    """A table whose name on the page no other has."""
    return replace(table, title=f"{table.title} of {title}")


def _worst(runs: Sequence[Run]) -> str:
    found = {"fails" if run.result is None else run.outcome for run in runs}
    return next((each for each in ("fails", "undecided", "none") if each in found), "holds")
