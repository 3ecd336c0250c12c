"""Two designs on common random numbers: the interval of their difference, what pairing is worth, and what does not pair."""

import math
from dataclasses import replace

import numpy as np
import pytest

from simbus import compare, simulate, sweep
from simbus.analysis.estimates import student_t
from simbus.analysis.findings import Settings
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result
from simbus.errors import ScenarioError
from simbus.simulation.scenario import Scenario

RUN = {"duration": "5min", "warmup": "30s", "replications": 6, "seed": 3}


def result(values, path="a.wait.mean", **settings):
    runs = tuple(Replication(index, {path: value}, {}, "") for index, value in enumerate(values))
    return Result("made up", Settings(**{"seed": 1, **settings}), runs, ("a",))


@pytest.fixture(scope="module")
def shop():
    made = Scenario("shop")
    made.queue("orders")
    made.publisher("web", to="orders", arrivals="poisson 16/s")
    made.consumer("clerk", queue="orders", prefetch=1, service="exponential 50ms")
    return made


def test_the_difference_is_the_t_interval_over_pairs_of_replications():
    found = compare(result([1.0, 2.0, 4.0]), result([1.5, 2.4, 4.6]), "a.wait.mean")
    assert found.difference.mean == pytest.approx(0.5)
    assert found.difference.half_width == pytest.approx(student_t([0.5, 0.4, 0.6]).half_width)
    assert found.first == student_t([1.0, 2.0, 4.0])
    assert found.outcome == "higher"
    assert compare(result([1.5, 2.4, 4.6]), result([1.0, 2.0, 4.0]), "a.wait.mean").outcome == "lower"


def test_fiellers_interval_is_where_the_mean_of_second_less_r_times_first_may_be_0():
    x, y = [1.0, 2.0, 4.0, 3.0], [1.6, 2.4, 4.6, 4.0]
    ratio = compare(result(x), result(y), "a.wait.mean").ratio
    assert ratio.mean == pytest.approx(sum(y) / sum(x))
    for r in (ratio.low, ratio.high):
        rest = student_t([b - r * a for a, b in zip(x, y, strict=True)])
        assert abs(rest.mean) == pytest.approx(rest.half_width)


def test_a_ratio_to_what_may_be_0_has_no_limits():
    ratio = compare(result([-1.0, 1.0, 2.0]), result([1.0, 1.0, 2.0]), "a.wait.mean").ratio
    assert (ratio.low, ratio.high) == (-math.inf, math.inf)


def test_what_pairing_is_worth_follows_from_the_correlation(seed):
    """Of two columns of equal variance with correlation r the difference has 2 (1 - r) instead of 2 variances."""
    x, e = np.random.default_rng(seed).normal(10, 1, (2, 20_000))
    found = compare(result(x), result(10 + 0.8 * (x - 10) + 0.6 * (e - 10)), "a.wait.mean")
    assert found.variance_reduction == pytest.approx(1 / (1 - 0.8), rel=0.1)


def test_equal_designs_do_not_differ_at_all():
    found = compare(result([1.0, 2.0]), result([1.0, 2.0]), "a.wait.mean")
    assert (found.difference.mean, found.difference.half_width) == (0, 0)
    assert (found.outcome, found.more, found.variance_reduction) == ("undecided", None, math.inf)


def test_two_that_are_0_have_no_ratio_in_words():
    assert str(compare(result([0.0, 0.0]), result([0.0, 0.0]), "a.wait.mean")) == "a.wait.mean: undecided, by 0 s"
    assert "nan" not in str(compare(result([0.0, 0.0]), result([1.0, 2.0]), "a.wait.mean"))
    assert "inf" not in str(compare(result([1.0]), result([2.0]), "a.wait.mean"))


def test_one_pair_decides_nothing():
    found = compare(result([1.0]), result([2.0]), "a.wait.mean")
    assert found.outcome == "undecided"
    assert math.isnan(found.variance_reduction)


def test_pairs_without_an_observation_are_left_out():
    found = compare(result([1.0, math.nan, 3.0]), result([2.0, 2.0, 4.5]), "a.wait.mean")
    assert found.difference == student_t([1.0, 1.5])


def test_how_many_more_replications_would_decide_is_said():
    found = compare(result([1.0, 2.0, 3.0]), result([1.5, 2.1, 3.9]), "a.wait.mean")
    d = found.difference
    assert found.outcome == "undecided"
    assert found.more == math.ceil(3 * (d.half_width / d.mean) ** 2) - 3


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (result([1.0]), r"run\.replications: 2 and 1: only runs that agree in it"),
        (result([1.0, 2.0], seed=2), r"run\.seed: 1 and 2"),
        (result([1.0, 2.0], duration=10**9), r"run\.duration: None and 1000000000"),
        (result([1.0, 2.0], warmup=5), r"run\.warmup: 0 and 5"),
        (result([1.0, math.inf]), r"a\.wait\.mean: is infinite in a replication"),
    ],
)
def test_what_does_not_pair_is_refused(other, problem):
    with pytest.raises(ScenarioError, match=problem):
        compare(result([1.0, 2.0]), other, "a.wait.mean")


def test_faster_service_is_seen_at_once_on_common_random_numbers(shop):
    """Two per cent faster: the intervals of the two designs overlap, that of their difference is far from 0."""
    slow, fast = (simulate(shop.with_("consumers.clerk.service", f"exponential {ms}ms"), **RUN) for ms in (50, 49))
    found = compare(slow, fast, "orders.wait.mean")
    assert found.outcome == "lower"
    assert found.second.high > found.first.low
    assert found.ratio.high < 1
    assert found.variance_reduction > 3
    assert str(found).startswith("orders.wait.mean: lower, by -")


def test_all_designs_of_a_sweep_are_compared_to_one_of_them_at_once(shop):
    sizes = sweep(shop, {"consumers.clerk.count": [1, 2, 3]}, **RUN)
    table = sizes.compare("orders.wait.mean", to={"consumers.clerk.count": 2})
    assert list(table["consumers.clerk.count"]) == [1, 3]
    assert list(table["outcome"]) == ["higher", "lower"]
    two, three = sizes.points[1].result, sizes.points[2].result
    paired = compare(two, three, "orders.wait.mean", confidence=0.975)
    assert table["difference.low"][1] == paired.difference.low
    assert list(sizes.compare("orders.wait.mean")["consumers.clerk.count"]) == [2, 3]
    with pytest.raises(ScenarioError, match="is none of 3 designs"):
        sizes.compare("orders.wait.mean", to={"consumers.clerk.count": 9})


def test_designs_that_were_run_to_a_precision_do_not_pair(shop):
    first = simulate(shop, **RUN)
    with pytest.raises(ScenarioError, match=r"run\.replications: 6 and 5"):
        compare(first, replace(first, replications=first.replications[:5]), "orders.wait.mean")
