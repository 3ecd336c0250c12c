"""Several runs at a glance: which files hold what is expected, which do not and why, and how long each took.

For one result alone see ``tables``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from simbus.analysis import formats
from simbus.analysis.results import Result
from simbus.analysis.tables import MARKS, Cell, Table, expectations, headline, overall
from simbus.errors import printable

BAD_INPUT = "bad input"
_MARKS = {**MARKS, BAD_INPUT: "✗", "none": "·"}
_COUNTED = {  # the outcomes of files, the worst first, and how a sentence says them of one and of several
    BAD_INPUT: ("is bad input", "are bad input"),
    "fails": ("fails", "fail"),
    "undecided": ("is undecided", "are undecided"),
    "none": ("states no expectation", "state no expectation"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A file that was to be run, what came of it (None: it could not be run), and how many seconds that took."""

    file: str
    result: Result | None
    seconds: float

    @property
    def outcome(self) -> str:
        """``holds``, ``fails``, ``undecided``, ``none`` without any expectation, or ``bad input``."""
        return BAD_INPUT if self.result is None else overall(self.result)


def overview(runs: Sequence[Run]) -> Table:
    """A row for each file: its outcome, what is said of its expectations, and how long it took."""
    return Table("Scenarios", ("", "file", "expectations", "time"), tuple(map(_row, runs)), verdicts=True)


def _row(run: Run) -> tuple[Cell, ...]:
    said = "–" if run.result is None else headline(run.result)
    texts = (f"{_MARKS[run.outcome]} {run.outcome}", printable(run.file), said, formats.value(round(run.seconds, 1), "time"))
    return tuple(map(Cell, texts))


def unmet(runs: Sequence[Run]) -> Table:
    """A row for each expectation that does not hold, with its file."""
    results = ((printable(run.file), run.result) for run in runs if run.result)
    rows = tuple(
        (row[0], Cell(file), *row[1:])
        for file, result in results
        for verdict, row in zip(result.verdicts(), expectations(result).rows, strict=True)
        if verdict.outcome != "holds"
    )
    return Table("What does not hold", ("", "file", "expected", "found"), rows, verdicts=True)


def total(runs: Sequence[Run]) -> str:
    """One sentence: ``11 of 12 scenarios hold, 1 is undecided``."""
    outcomes = Counter(run.outcome for run in runs)
    if outcomes["holds"] == len(runs):
        return f"All {len(runs)} scenarios hold."
    others = [f"{outcomes[each]} {words[outcomes[each] > 1]}" for each, words in _COUNTED.items() if outcomes[each]]
    return f"{outcomes['holds']} of {len(runs)} scenarios hold, {', '.join(others)}."
