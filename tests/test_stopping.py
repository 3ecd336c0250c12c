"""Stopping at a relative precision: when, at what cost, and what is said when it cannot be had."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.analysis.estimates import student_t
from simbus.analysis.findings import Settings
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result
from simbus.analysis.tables import tables
from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.experiment.stopping import needed
from simbus.simulation.file import read_scenario
from simbus.simulation.forecast.check import warnings
from tests.small import orders


def result(values, wanted, path="a.wait.mean"):
    runs = tuple(Replication(index, {path: value}, {}, "") for index, value in enumerate(values))
    return Result("made up", Settings(1, precision=((path, wanted),)), runs, ("a",))


@pytest.fixture
def shop():
    made = orders(duration="1min", warmup="1s", replications=4, seed=5)
    made.expect("orders.wait.p99 < 1s")
    return made


def by_hand(values, wanted):
    """One after the other: stop where all of the last six or more (a twentieth of them, if more) were narrow enough."""
    since = None
    for n in range(3, len(values) + 1):
        estimate = student_t(values[:n])
        since = (since or n) if estimate.half_width <= wanted * estimate.mean else None
        if since and n >= since + max(5, since // 20):
            return n
    return len(values)


@given(st.integers(0, 2**32), st.sampled_from([0.02, 0.05, 0.1, 0.3]))
def test_waves_of_replications_stop_where_adding_one_after_the_other_would(seed, wanted):
    values = np.random.default_rng(seed).gamma(4, 0.25, 150).tolist()
    n = 3
    while (more := needed(result(values[:n], wanted), 3, 150)) > n:
        n = more
    assert n == by_hand(values, wanted)


def test_a_first_narrow_interval_is_not_trusted_before_five_more_agree():
    values = [1.0, 1.01, 0.99]  # narrow by luck
    assert needed(result(values, 0.05), 3, 200) == 8
    assert needed(result([*values, 2.0, 1.0, 1.0, 1.0, 1.0], 0.05), 3, 200) == 8 + 1 + 5


def test_replications_are_added_until_every_expected_metric_is_precise(shop):
    found = simulate(shop, precision="20%")
    table = found.precision()
    assert list(table.index) == ["orders.wait.mean", "orders.wait.p99"]
    assert table["reached"].all()
    assert (table["found"] <= 0.2).all()
    assert 4 < len(found.replications) < 200
    assert found.cautions() == []
    [shown] = [each for each in tables(found) if each.title.startswith("Precision")]
    assert [row[:2] for row in shown.texts] == [("orders.wait.mean", "20 %"), ("orders.wait.p99", "20 %")]


def test_the_intervals_of_several_metrics_hold_at_once(shop):
    found = simulate(shop, precision={"orders.wait.mean": "50%", "clerk.utilisation": 0.5})
    each = [replication.values["orders.wait.mean"] for replication in found.replications]
    assert found.precisions()[0].estimate == student_t(each, confidence=0.975)
    assert found.estimate("orders.wait.mean") == student_t(each, confidence=0.95)


def test_who_runs_them_makes_no_difference_and_progress_is_told(shop):
    told = []
    alone = simulate(shop, precision="20%", progress=lambda done, of: told.append((done, of)))
    with ThreadPoolExecutor(3) as executor:
        elsewhere = simulate(shop, precision="20%", executor=executor)
    assert alone.to_json() == elsewhere.to_json()
    assert [done for done, _ in told] == list(range(1, len(alone.replications) + 1))
    assert told[0] == (1, 4)
    assert told[-1][0] == told[-1][1]


def test_the_first_replications_are_those_of_a_run_without_a_precision(shop):
    plain, precise = simulate(shop), simulate(shop, precision="20%")
    assert [each.trace_hash for each in precise.replications[:4]] == [each.trace_hash for each in plain.replications]


def test_at_the_maximum_it_says_what_was_reached_and_what_it_would_take(shop):
    found = simulate(shop, precision="1%", max_replications=6)
    assert len(found.replications) == 6
    said = [caution for caution in found.cautions() if "within 1 % of its mean" in caution]
    assert len(said) == 2
    assert "when the replications were used up; about" in said[0]
    assert not found.precision()["reached"].any()


def test_of_what_never_happens_no_share_of_the_mean_can_be_had(shop):
    found = simulate(shop, precision={"orders.loss": "10%"}, max_replications=4)
    assert any("orders.loss" in caution and "it was 0 throughout" in caution for caution in found.cautions())


def test_of_a_loss_that_never_happens_it_is_enough_that_what_is_expected_of_it_holds(shop):
    shop.expect("orders.loss < 1%")
    found = simulate(shop, precision="30%")
    assert found.precision()["reached"].all()
    assert len(found.replications) < 40
    shop.expect("orders.loss < 0.0001%")  # a million messages would tell
    assert len(simulate(shop, precision="30%", max_replications=12).replications) == 12


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ({"precision": "5"}, "run.precision: '5' is not a share"),
        ({"precision": 0}, "run.precision: 0 is not a share"),
        ({"precision": {"orders.wait.mean": "x%"}}, "run.precision: orders.wait.mean: 'x%' is not a share"),
        ({"precision": {"orders.weight.mean": "5%"}}, "run.precision: unknown metric 'orders.weight.mean'; did you mean"),
        ({"precision": {}}, "run.precision: names no metric"),
        ({"precision": "5%", "max_replications": 3}, "run.max_replications: 3 is below the 4 replications"),
        ({"max_replications": 0}, "run.max_replications: 0 is not a whole number"),
    ],
)
def test_a_precision_that_cannot_be_is_refused_before_anything_runs(shop, run, problem):
    with pytest.raises(ScenarioError, match=problem.replace("(", r"\(")):
        simulate(shop, **run)


def test_a_file_says_it_in_the_same_words(tmp_path):
    (tmp_path / "shop.toml").write_text(
        """
name   = "shop"
expect = ["orders.wait.mean < 1s"]

[run]
duration         = "1min"
warmup           = "auto"
replications     = 4
precision        = { "orders.wait.mean" = "30%", "clerk.utilisation" = 0.1 }
max_replications = 40
antithetic       = true

[queues.orders]
[publishers.web]
to       = "orders"
arrivals = "poisson 20/s"
[consumers.clerk]
queue   = "orders"
count   = 2
service = "exponential 60ms"
"""
    )
    found = simulate(read_scenario(tmp_path / "shop.toml"))
    assert found.settings.precision == (("orders.wait.mean", 0.3), ("clerk.utilisation", 0.1))
    assert found.settings.antithetic
    assert found.precision()["reached"].all()
    assert 4 <= len(found.replications) <= 40


def test_an_unknown_metric_is_found_by_check_too(shop):
    with pytest.raises(ScenarioError, match=r"run\.precision: unknown metric"):
        warnings(shop.with_("run.precision", {"orders.weight.mean": "5%"}))
