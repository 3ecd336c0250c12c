"""Objectives: expectations that are to hold together, ``payments.wait.p99 < 5s and payments.loss < 0.1%``.

An objective *holds* where each of its expectations holds, and fails where one fails. That needs no wider intervals: to claim that
all hold, each has to be shown at the level of the whole (the intersection-union test, Berger 1982).
"""

import re
from collections.abc import Iterable

from simbus.analysis.expectations import Outcome, Verdict
from simbus.analysis.findings import Findings
from simbus.errors import ScenarioError

_JOINED = re.compile(r"([<>]=?[^<>=]*?)\s+and\s+")  # names may hold the word, so it joins only after a limit


def parts(where: str | None) -> tuple[str, ...]:
    """The expectations of an objective, a text each; none when it is left to what the scenario expects.

    Raises:
        ScenarioError: it is no text.
    """
    if where is None:
        return ()
    if not isinstance(where, str):
        raise ScenarioError("where", f'{where!r} is not text; write for example "payments.wait.p99 < 5s"')
    return tuple(_JOINED.sub("\\1\n", where).split("\n"))


def verdicts(result: Findings, where: str | None) -> tuple[Verdict, ...]:
    """What is to be said of each expectation of an objective; of those of the scenario when it is None.

    Raises:
        ScenarioError: one of them cannot be, or there is none.
    """
    judged = tuple(map(result.verdict, parts(where))) if where is not None else tuple(result.verdicts())
    if not judged:
        raise ScenarioError("where", 'says nothing, and the scenario expects nothing; write where="payments.wait.p99 < 5s"')
    return judged


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of all of them: the worst."""
    found = set(outcomes)
    return "fails" if "fails" in found else "undecided" if "undecided" in found else "holds"
