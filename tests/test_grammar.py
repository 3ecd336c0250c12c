"""One grammar for text, tables and Python: the three forms agree, and errors name place and remedy."""

import math

import pytest

from simbus.errors import ScenarioError
from simbus.simulation.model.distributions import SERVICES, Distribution, Empirical, constant, exponential, lognormal
from simbus.simulation.model.failures import BACKOFFS, exponential_backoff, no_backoff
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.workloads import ARRIVALS, poisson

KNOWN = ", ".join(SERVICES)

PLACE = "consumers.charge.service"


def service(spec):
    return parse(spec, SERVICES, PLACE, kind=Distribution)


@pytest.mark.parametrize(
    "spec",
    [
        "lognormal mean=30ms cv=1",
        "lognormal cv=1.0 mean=30ms",
        "lognormal 30ms 1",
        "lognormal 30ms cv=1",
        "  lognormal   mean='30 ms'  cv=1e0 ",
        {"lognormal": {"mean": "30ms", "cv": 1}},
        lognormal("30ms", 1),
    ],
    ids=str,
)
def test_text_table_and_python_mean_the_same(spec):
    assert service(spec) == lognormal(mean="30ms", cv=1)


def test_every_vocabulary_is_read_by_the_same_grammar():
    assert parse("poisson 20/s", ARRIVALS, "arrivals") == poisson("20/s")
    assert parse("exponential 1s factor=3", BACKOFFS, "backoff") == exponential_backoff("1s", factor=3)
    assert parse("none", BACKOFFS, "backoff") == no_backoff()
    assert parse({"none": {}}, BACKOFFS, "backoff") == no_backoff()


def test_a_table_may_hold_lists():
    assert service({"empirical": {"values": ["30ms", "1s"]}}) == Empirical((30_000_000, 1_000_000_000))


def test_what_looks_like_a_number_is_one():
    seen = parse(
        "echo 1 -2 1_000 .5 1.5e3 2% inf 30ms ''", {"echo": lambda a, b, c, d, e, f, g, h, i: [a, b, c, d, e, f, g, h, i]}, "x"
    )
    assert seen == [1, -2, 1000, 0.5, 1500.0, "2%", "inf", "30ms", ""]
    assert [type(value) for value in seen[:4]] == [int, int, int, float]


def test_quotes_hold_words_together_and_backslashes_stand_for_themselves():
    echo = {"echo": lambda *, file, column: (file, column)}
    assert parse(r"echo file='my files/a.csv' column=C:\times", echo, "x") == ("my files/a.csv", r"C:\times")


def test_files_are_looked_up_in_the_base_folder(tmp_path):
    (tmp_path / "t.csv").write_text("seconds\n0.5\n")
    assert parse("empirical file=t.csv", SERVICES, PLACE, tmp_path) == Empirical((500_000_000,))


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            "lognormall 30ms",
            "unknown name 'lognormall'; did you mean 'lognormal'? known: " + KNOWN,
        ),
        (
            "zipf 3",
            "unknown name 'zipf'; known: " + KNOWN,
        ),
        ("lognormal maen=30ms cv=1", "unknown parameter 'maen'; did you mean 'mean'? known: mean, cv"),
        ({"lognormal": {"mean": "30ms", "cvs": 1}}, "unknown parameter 'cvs'; did you mean 'cv'? known: mean, cv"),
        ("lognormal 30ms", "lognormal needs cv; write lognormal cv=..."),
        ("lognormal", "lognormal needs mean, cv; write lognormal mean=... cv=..."),
        ("lognormal 30ms 1 2", "2 is one value too many; lognormal takes mean, cv"),
        ("lognormal 30ms mean=30ms cv=1", "mean is given twice, once without its key"),
        ("lognormal mean=1s mean=2s cv=1", "mean is given twice"),
        ("lognormal cv=1 30ms", "'30ms' comes after cv=; values without a key come first"),
        ("lognormal 'oops", '"lognormal \'oops" cannot be read (No closing quotation); close the quote'),
        ("empirical 1s folder=/tmp", "unknown parameter 'folder'; did you mean 'file'? known: values, file, column, unit"),
        ("", 'is empty; write a name and its values, for example "exponential 30ms"'),
        (
            {},
            "a table holds one name and its values, not 0 names; known: " + KNOWN,
        ),
        (
            {"exponential": "30ms"},
            "exponential = '30ms' names no parameter; write \"exponential 30ms\" or { exponential = { ... } }",
        ),
        ("exponential 30", 'mean: 30 has no unit; write "30s", "30ms" or a timedelta'),
        ("empirical 30", 'values: 30 has no unit; write "30s", "30ms" or a timedelta'),
        ("lognormal 30ms cv=high", "cv: 'high' is not a positive number; write for example 2 or 0.5"),
    ],
    ids=str,
)
def test_a_fault_is_named_with_its_place_and_remedy_in_one_line(spec, problem):
    with pytest.raises(ScenarioError) as caught:
        service(spec)
    assert (caught.value.place, caught.value.problem) == (PLACE, problem)
    assert "\n" not in str(caught.value)


def kind(value):
    """An id without an address, which would differ from process to process."""
    return type(value).__name__


NO_DISTRIBUTIONS = [None, 30, 0.5, True, math.nan, ["exponential"], exponential, poisson("1/s"), object()]


@pytest.mark.parametrize("spec", NO_DISTRIBUTIONS, ids=kind)
def test_what_is_no_distribution_is_refused(spec):
    with pytest.raises(ScenarioError, match="is neither text, a table nor a built object; start with one of: constant"):
        service(spec)


def test_a_distribution_of_ones_own_is_taken_as_it_is():
    class Own:
        mean, scv = 1.0, 0.0

        def sample(self, generator, n):
            return constant("1ns").sample(generator, n)

    own = Own()
    assert service(own) is own


def test_a_fault_inside_a_fault_has_the_whole_path_as_its_place():
    def retry(backoff):
        return parse(backoff, BACKOFFS, "backoff")

    with pytest.raises(ScenarioError) as caught:
        parse({"retry": {"backoff": "exponentail 1s"}}, {"retry": retry}, "consumers.charge")
    assert caught.value.place == "consumers.charge.backoff"
    assert "did you mean 'exponential'" in caught.value.problem
