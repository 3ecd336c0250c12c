"""Two results side by side: which verdicts changed, which numbers did, and what was written differently.

Each number is that of ``comparison``: by pairs of replications where both met the same random numbers, else as independent runs.
How it becomes a page, Markdown or lines in a terminal is decided elsewhere.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from functools import cached_property
from itertools import chain
from typing import Any

from simbus.analysis import formats
from simbus.analysis.comparison import Comparison, compare, pairs
from simbus.analysis.estimates import Estimate
from simbus.analysis.expectations import Target, Verdict
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import term
from simbus.analysis.tables import MARKS, Cell, Table, number
from simbus.errors import ScenarioError, printable

_OF_QUEUES = ("wait.p99", "residence.p99", "depth.mean", "utilisation", "throughput", "loss")
_OF_ALL = ("window.p99", "window.never")
_BETTER = ("fails", "undecided", "holds")
_SIGNS = {"lower": "↓ lower", "higher": "↑ higher", "undecided": "? undecided"}


@dataclass(frozen=True)
class Versus:
    """A first result and a second one that is held against it.

    Args:
        first: what was before.
        second: what is new.
        names: what they are called, by default after their scenarios.
    """

    first: Findings
    second: Findings
    names: tuple[str, str] = ("", "")

    @property
    def called(self) -> tuple[str, str]:
        """The names; of two that are alike, the first and the second."""
        given = self.names if all(self.names) else (self.first.scenario, self.second.scenario)
        one, other = (printable(name) for name in given)
        return (one, other) if one != other else (f"{one} (first)", f"{other} (second)")

    @cached_property
    def paired(self) -> bool:
        """Whether replications of both have met the same random numbers."""
        return pairs(self.first, self.second)

    @cached_property
    def verdicts(self) -> list[tuple[str, Verdict, Verdict]]:
        """Of every expectation of either that means something in both, its text and both verdicts."""
        texts = dict.fromkeys(each.text for result in (self.second, self.first) for each in result.expectations)
        found = ((text, self._verdict(self.first, text), self._verdict(self.second, text)) for text in texts)
        return [(text, one, other) for text, one, other in found if one and other]

    def _verdict(self, result: Findings, text: str) -> Verdict | None:
        known = next((each for each in result.expectations if each.text == text), text)
        try:
            return result.verdict(known)
        except ScenarioError:  # it is about a queue that the other has not
            return None

    @cached_property
    def changes(self) -> list[Comparison]:
        """What is asked of either, and the usual metrics of every queue that both have, where they are finite in both."""
        return [found for found in self._compared() if found.first.n and found.second.n]

    def _compared(self) -> Iterator[Comparison]:
        for path in self._paths():
            try:
                yield compare(self.first, self.second, path, paired=self.paired)
            except ScenarioError:  # it is infinite in one of them
                continue

    def _paths(self) -> list[str]:
        """Paths that both know, each metric once, in the form in which someone asked for it."""
        asked = (target.path for result in (self.second, self.first) for target in result.asked)
        usual = (f"queues.{queue}.{name}" for queue in self.second.queues for name in _OF_QUEUES)
        known: dict[str, str] = {}
        for path in chain(asked, _OF_ALL, usual):
            if (key := self._key(path)) is not None:
                known.setdefault(key, path)
        return list(known.values())

    def _key(self, path: str) -> str | None:
        try:
            one, other = (result.resolve(path).key for result in (self.first, self.second))
        except ScenarioError:
            return None
        return one if one == other else None

    @property
    def outcome(self) -> str:
        """``fails`` when a verdict became worse, ``holds`` when none did and one became better, else ``none``."""
        steps = {_BETTER.index(other.outcome) - _BETTER.index(one.outcome) for _, one, other in self.verdicts}
        return "fails" if min(steps, default=0) < 0 else "holds" if max(steps, default=0) > 0 else "none"

    def headline(self) -> str:
        """One or two sentences: which verdicts changed, and how many numbers."""
        changed = [f"{printable(text)} now {_now(other)}" for text, one, other in self.verdicts if one.outcome != other.outcome]
        verdicts = f"{'; '.join(changed)}. " if changed else "Every verdict is as it was. " if self.verdicts else ""
        counts = Counter(change.outcome for change in self.changes)
        told = ", ".join(f"{counts[kind]} {kind}" for kind in ("lower", "higher") if counts[kind]) or "none told apart"
        return f"{verdicts}Of {len(self.changes)} numbers, {told}."

    def how(self) -> str:
        """What the intervals of the differences are."""
        if self.paired:
            return "Both met the same random numbers, so that differences are taken replication by replication."
        return "They share no random numbers, so differences are those of independent runs (Welch), and less sharp."

    def judged(self) -> Table:
        """A row for each expectation: what it was, and what it is."""
        rows = [(Cell(printable(text)), *_judged(one), *_judged(other)) for text, one, other in self.verdicts]
        first, second = self.called
        return Table("Verdicts", ("expected", first, "found", second, "found"), tuple(rows))

    def changed(self, changes: Sequence[Comparison], title: str) -> Table:
        """A row for each of the comparisons."""
        return Table(title, ("metric", *self.called, "difference", "ratio", ""), tuple(map(self._row, changes)))

    def _row(self, change: Comparison) -> tuple[Cell, ...]:
        target = self.second.resolve(change.metric)
        return (
            Cell(printable(change.metric.removeprefix("queues."))),
            number(change.first, target),
            number(change.second, target),
            number(change.difference, target),
            _ratio(change, target),
            Cell(_SIGNS[change.outcome]),
        )

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data that ``json.dumps`` takes: what is unknown or infinite is None."""
        sides = {"first": self.first, "second": self.second}
        return {
            **{side: {"name": name, "trace_hash": sides[side].trace_hash} for side, name in zip(sides, self.called, strict=True)},
            "paired": self.paired,
            "verdicts": [{"expect": text, "first": one.outcome, "second": two.outcome} for text, one, two in self.verdicts],
            "differences": [
                {
                    "metric": change.metric,
                    "outcome": change.outcome,
                    **{name: _plain(getattr(change, name)) for name in ("first", "second", "difference", "ratio")},
                }
                for change in self.changes
            ],
        }

    def written(self) -> list[str]:
        """The lines that differ in the scenarios as they were written, each with + or - in front, and their neighbours."""
        one, other = (result.text.splitlines() for result in (self.first, self.second))
        return [printable(line) for line in unified_diff(one, other, *self.called, lineterm="", n=2)]


def _plain(estimate: Estimate) -> dict[str, float | None]:
    numbers = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()} | {"n": estimate.n}


def _now(verdict: Verdict) -> str:
    return "is undecided" if verdict.outcome == "undecided" else verdict.outcome


def _judged(verdict: Verdict) -> tuple[Cell, Cell]:
    return Cell(f"{MARKS[verdict.outcome]} {verdict.outcome}"), number(verdict.estimate, verdict.expectation.target)


def _ratio(change: Comparison, target: Target) -> Cell:
    ratio = change.ratio
    if not math.isfinite(ratio.mean) or not math.isfinite(ratio.half_width):
        return Cell(formats.NOTHING)
    limits = f"{ratio.low:.3g} to {ratio.high:.3g}, n = {ratio.n}"
    return Cell(f"× {ratio.mean:.3g}", target.name, term(target.entity, target.name), limits)
