"""Verdicts as JUnit XML: the shape that CIs agree on, read by another's parser as well."""

from xml.etree import ElementTree as ET

import pytest
from junitparser import Failure, JUnitXml, Skipped

from simbus.analysis.junit import junit
from simbus.errors import printable
from tests.bookstore_result import EXPECTATIONS, bookstore
from tests.hostile import NAMES, hostile

# Of every element: its attributes that must be and that may be, and its children in their order, as Ant and Jenkins agree on.
SHAPE = {
    "testsuites": ({"name", "tests", "failures", "errors", "skipped"}, set(), ["testsuite"]),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"timestamp", "hostname", "id", "package"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, set(), []),
    "testcase": ({"name", "classname", "time"}, {"file", "line"}, ["skipped", "error", "failure", "system-out", "system-err"]),
    "failure": ({"message", "type"}, set(), []),
    "skipped": ({"message"}, set(), []),
}


def root_of(text):
    return ET.fromstring(text.encode())  # noqa: S314 -- it is our own


def assert_shape(element):
    must, may, children = SHAPE[element.tag]
    assert must <= set(element.keys()) <= must | may, element.tag
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places), element.tag
    for child in element:
        assert_shape(child)


def outcomes(text):
    [suite] = JUnitXml.fromstring(text.encode())
    return [type(case.result[0]) if case.result else None for case in suite]


@pytest.mark.parametrize("result", [bookstore(), bookstore(replications=1), bookstore(expectations=())])
def test_it_has_the_shape_that_all_readers_expect(result):
    assert_shape(root_of(result.to_junit()))


def test_each_expectation_is_a_test_case_that_passed_or_failed():
    text = bookstore().to_junit()
    [suite] = JUnitXml.fromstring(text.encode())
    assert [case.name for case in suite] == list(EXPECTATIONS)
    assert outcomes(text) == [None, None, Failure, None]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 1, 0, 0)


def test_a_failure_says_what_was_expected_and_what_was_found():
    [suite] = JUnitXml.fromstring(bookstore().to_junit().encode())
    [failure] = [case.result[0] for case in suite if case.result]
    assert failure.message.startswith("fails: expected order.email.queue.wait.p99 < 100ms; found ")
    assert failure.message.endswith("95 % interval")


@pytest.mark.parametrize(("undecided", "kind"), [("skip", Skipped), ("fail", Failure)])
def test_what_is_undecided_did_not_pass(undecided, kind):
    assert outcomes(bookstore(replications=1).to_junit(undecided)) == [kind] * 4


def test_several_results_are_suites_whose_counts_add_up():
    root = root_of(junit([bookstore(), bookstore(replications=1)]))
    assert [root.get(count) for count in ("tests", "failures", "errors", "skipped")] == ["8", "1", "0", "4"]


def test_equal_runs_give_equal_files():
    assert bookstore().to_junit() == bookstore().to_junit()


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_stays_text(name):
    root = root_of(hostile(name).to_junit())
    assert_shape(root)
    assert root[0].get("name") == printable(name)
    assert root[0][1].get("name") == f"{printable(name)}.wait.p99 < 5s"
