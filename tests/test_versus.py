"""Two results side by side: which verdicts changed, which numbers did, and what was written differently."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from scipy import stats

from simbus.analysis.comparison import compare, pairs
from simbus.analysis.findings import Settings
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result
from simbus.analysis.versus import Versus
from simbus.cli import main
from simbus.errors import printable
from tests.bookstore_result import EXPECTATIONS, bookstore
from tests.hostile import NAMES, hostile

SHOP = """
name   = "Shop"
run    = {{ duration = "1min", warmup = "1s", replications = 4, seed = 1 }}
expect = ["work.wait.p99 < 5s"]
[queues.work]
[publishers.web]
to       = "work"
arrivals = "poisson 20/s"
[consumers.worker]
queue   = "work"
service = "exponential {service}"
"""


def of(values, seed=1):
    runs = tuple(Replication(index, {"a.wait.mean": value}, {}, "") for index, value in enumerate(values))
    return Result("made up", Settings(seed=seed), runs, ("a",))


def slowed(result, queue, factor):
    """The same replications, where all times of one queue are so many times as long."""
    runs = tuple(
        replace(run, values={key: each * factor if key.startswith(f"{queue}.wait") else each for key, each in run.values.items()})
        for run in result.replications
    )
    return replace(result, replications=runs)


@pytest.fixture(scope="module")
def before():
    return replace(bookstore(), text='name = "Bookstore"\nservice = "30ms"\n')


@pytest.fixture(scope="module")
def after(before):
    return replace(slowed(before, "order.email.queue", 0.5), text='name = "Bookstore"\nservice = "15ms"\n')


def test_a_verdict_that_changed_stands_in_the_headline(before, after):
    versus = Versus(before, after)
    assert versus.headline().startswith("order.email.queue.wait.p99 < 100ms now holds. ")
    assert (versus.outcome, Versus(after, before).outcome) == ("holds", "fails")
    assert Versus(before, before).headline().startswith("Every verdict is as it was. Of ")
    assert Versus(before, before).outcome == "none"


def test_only_what_differs_is_told_apart(before, after):
    told = {change.metric: change for change in Versus(before, after).changes if change.outcome != "undecided"}
    assert set(told) == {"order.email.queue.wait.p99"}
    assert told["order.email.queue.wait.p99"].ratio.mean == pytest.approx(0.5)


def test_results_of_one_seed_are_paired_and_others_are_independent(before, after):
    other = replace(after, settings=replace(after.settings, seed=2))
    assert pairs(before, after)
    assert not pairs(before, other)
    paired, apart = (Versus(before, each).changes[0].difference for each in (after, other))
    assert paired.mean == pytest.approx(apart.mean)


def test_independent_results_differ_by_welchs_interval(seed):
    """Welch (1947), with Satterthwaite's degrees of freedom, as scipy has it."""
    draw = np.random.default_rng(seed)
    one, other = draw.normal(5, 1, 12), draw.normal(6, 3, 7)
    found = compare(of(one), of(other, seed=2), "a.wait.mean", 0.9, paired=False)
    low, high = stats.ttest_ind(other, one, equal_var=False).confidence_interval(0.9)
    assert [found.difference.low, found.difference.high] == pytest.approx([low, high])
    for ratio in (found.ratio.low, found.ratio.high):
        t = stats.t.ppf(0.95, stats.ttest_ind(other, one, equal_var=False).df)
        error = math.sqrt(other.var(ddof=1) / 7 + ratio**2 * one.var(ddof=1) / 12)
        assert abs(other.mean() - ratio * one.mean()) == pytest.approx(t * error)


def test_too_few_independent_results_leave_the_difference_open():
    found = compare(of([1.0]), of([2.0, 3.0], seed=2), "a.wait.mean", paired=False)
    assert found.outcome == "undecided"
    assert found.difference.mean == 1.5


def test_a_queue_that_only_one_has_is_left_out(before):
    other = replace(before, queues=before.queues[:1], expectations=before.expectations[:1])
    assert [text for text, *_ in Versus(before, other).verdicts] == [*EXPECTATIONS[:2], EXPECTATIONS[3]]
    assert not [change for change in Versus(before, other).changes if "audit" in change.metric]


def test_what_is_written_differently_is_shown_line_by_line(before, after):
    lines = Versus(before, after).written()
    assert '-service = "30ms"' in lines
    assert '+service = "15ms"' in lines
    page = after.to_html(against=before)
    assert '<span class="added">+service = &#34;15ms&#34;</span>' in page
    assert "What is written differently" not in before.to_html(against=before)


def test_markdown_says_what_changed(before, after):
    text = after.to_markdown(against=before)
    assert text.startswith(
        "### ✓ `Bookstore (second)` against `Bookstore (first)`: order.email.queue.wait.p99 &#60; 100ms now holds"
    )
    assert "```diff\n--- Bookstore (first)\n" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_stays_text_everywhere(name):
    one, other = hostile(name), replace(hostile(name), text=f"# ```` {name}")
    page = other.to_html(against=one)
    assert escape(printable(name)) in page
    assert name not in page or escape(name) == name
    lines = other.to_markdown(against=one).splitlines()
    assert all(line.replace("\u200b", "").isprintable() for line in lines)
    assert [line for line in lines if line.startswith("`````")] == ["`````diff", "`````"]


@pytest.fixture
def shops(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, service in {"before": "30ms", "after": "10ms"}.items():
        Path(f"{name}.toml").write_text(SHOP.format(service=service), "utf-8")


@pytest.mark.usefixtures("shops")
def test_the_command_compares_two_scenario_files(capsys):
    code = main(["compare", "before.toml", "after.toml", "--jobs=1", "--html=c.html", "--json=c.json", "--markdown=c.md"])
    out, err = capsys.readouterr()
    assert code == 0
    assert "after.toml against before.toml. Both met the same random numbers" in out
    assert "↓ lower" in out
    assert err.splitlines() == ["simbus: wrote c.html", "simbus: wrote c.json", "simbus: wrote c.md"]
    found = json.loads(Path("c.json").read_text("utf-8"))
    assert found["paired"]
    assert {each["metric"]: each["outcome"] for each in found["differences"]}["work.wait.p99"] == "lower"


@pytest.mark.usefixtures("shops")
def test_a_saved_result_is_compared_with_a_scenario_that_is_run_like_it(capsys):
    from simbus import read_scenario, simulate

    simulate(read_scenario("before.toml"), seed=7, replications=3).save("before.npz")
    assert main(["compare", "before.npz", "after.toml", "--jobs=1"]) == 0
    assert "Both met the same random numbers" in capsys.readouterr()[0]


@pytest.mark.usefixtures("shops")
def test_a_scenario_is_compared_with_itself_under_another_value(capsys):
    value = "consumers.worker.service=exponential 20ms"
    assert main(["compare", "before.toml", "--set", value, "--jobs=1", "--html=c.html", "--json=c.json"]) == 0
    out, _ = capsys.readouterr()
    assert f"before.toml with {value} against before.toml. Both met the same random numbers" in out
    found = json.loads(Path("c.json").read_text("utf-8"))
    assert {each["metric"]: each["outcome"] for each in found["differences"]}["work.wait.p99"] == "lower"
    page = Path("c.html").read_text("utf-8")
    changed = page.partition("What is written differently</h2>")[2].partition("</section>")[0]
    assert changed.count('class="added"') == changed.count('class="removed"') == 2  # the line, and the name of either side


@pytest.mark.usefixtures("shops")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["before.toml"], "before.toml: is alone; name a second file, or write --set consumers.charge.count=8"),
        (["before.toml", "x.npz", "--set", "run.seed=2"], "x.npz: is a saved result, in which nothing can be set"),
        (["before.toml", "--set", "consumers.wroker.count=2"], "--set consumers.wroker.count=2: "),
    ],
)
def test_what_cannot_be_set_is_one_line(capsys, arguments, line):
    assert main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"simbus: {line}")


@pytest.mark.usefixtures("shops")
@pytest.mark.parametrize(("first", "line"), [("none.npz", "simbus: none.npz: "), ("none.toml", "simbus: none.toml: ")])
def test_what_cannot_be_read_is_one_line(capsys, first, line):
    assert main(["compare", first, "after.toml"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(line)
