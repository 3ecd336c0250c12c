"""Verdicts as JUnit XML, which every CI shows beside its tests: a suite for each result, a case for each expectation.

The elements and attributes are those that Ant, Jenkins and GitLab agree on. Nothing in it depends on when or where it was
written, so equal runs give equal files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from simbus.analysis import formats
from simbus.analysis.expectations import Verdict
from simbus.analysis.findings import Findings
from simbus.analysis.tables import setting, to_decide
from simbus.errors import printable

_KINDS = {"holds": "passed", "fails": "failures", "undecided": "skipped"}


def junit(results: Sequence[Findings], undecided: Literal["skip", "fail"] = "skip") -> str:
    """The results as one document.

    Args:
        results: in the order of the suites.
        undecided: what an undecided expectation is: a test that was skipped, neither passed nor failed, or one that failed.
    """
    kinds = _KINDS | ({"undecided": "failures"} if undecided == "fail" else {})
    root = Element("testsuites", name="simbus")
    for result in results:
        root.append(_suite(result, kinds))
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, 0)) for suite in root)))
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suite(result: Findings, kinds: dict[str, str]) -> Element:
    verdicts, name = result.verdicts(), printable(result.scenario)
    counts = Counter(kinds[verdict.outcome] for verdict in verdicts)
    shown = {count: str(counts[count]) for count in ("failures", "errors", "skipped")}
    suite = Element("testsuite", {"name": name, "tests": str(len(verdicts)), **shown, "time": "0"})
    properties = SubElement(suite, "properties")
    for key, value in {"run": setting(result), "trace hash": result.trace_hash, **result.versions}.items():
        SubElement(properties, "property", name=key, value=value)
    for verdict in verdicts:
        _case(SubElement(suite, "testcase", classname=f"simbus.{name}", time="0"), verdict, kinds[verdict.outcome], result)
    return suite


def _case(case: Element, verdict: Verdict, kind: str, result: Findings) -> None:
    text = printable(verdict.expectation.text)
    case.set("name", text)
    found = formats.interval(verdict.estimate, verdict.expectation.target.metric.unit)
    share = formats.value(result.settings.confidence, "share")
    said = f"{verdict.outcome}: expected {text}; found {found}, {share} interval"
    if kind == "failures":
        more = [to_decide(result)] if verdict.outcome == "undecided" else []
        SubElement(case, "failure", message=said, type=verdict.outcome).text = " ".join(filter(None, [said, *more]))
    elif kind == "skipped":
        SubElement(case, "skipped", message=said)
