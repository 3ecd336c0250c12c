"""Batch means: the interval of one long run, and when there is none. How often it holds is in ``test_intervals``."""

import math

import numpy as np
import pytest

from simbus.analysis.batches import batch_means, correlated, of_level, of_observations
from simbus.analysis.estimates import student_t
from simbus.simulation.experiment.experiment import simulate
from tests.small import orders


@pytest.fixture
def shop():
    return orders()


def test_batches_are_equally_large_and_the_rest_is_left_out_at_the_beginning():
    batches = of_observations(np.array([1e9, *np.arange(200.0)]), [0.5])
    assert batches["mean"].tolist() == [4.5 + 10 * k for k in range(20)]
    assert "p50" not in batches  # only five of ten lie beyond it
    assert of_observations(np.arange(400.0), [0.5])["p50"][0] == 9.5
    assert of_observations(np.arange(199.0), [0.5]) == {}


def test_a_quantile_needs_ten_observations_beyond_it_in_each_batch():
    assert set(of_observations(np.zeros(20_000), [0.5, 0.99, 0.999])) == {"mean", "p50", "p99"}


def test_batches_of_a_level_are_averages_over_equal_times():
    edges = [5, *range(10, 460, 10)]  # the warm-up ends within a bin; 44 whole ones follow
    levels = [99, *range(44)]
    areas = np.cumsum([0, 5 * levels[0], *(10 * level for level in levels[1:])]).tolist()
    assert of_level(areas, edges).tolist() == [4.5 + 2 * k for k in range(20)]  # two bins each, without the first four
    assert len(of_level([0, 1], [0, 1])) == 0


def test_independent_batches_are_seldom_taken_for_correlated_and_dependent_ones_mostly(seed):
    generator, trials = np.random.default_rng(seed), 2_000
    noise = generator.normal(size=(trials, 21))
    falsely = sum(correlated(row[1:]) for row in noise) / trials
    assert falsely == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / trials))
    rightly = sum(correlated(row[1:] + 1.5 * row[:-1]) for row in noise) / trials  # neighbours correlate by 0.46
    assert rightly > 0.6


def test_the_interval_is_that_of_the_batches_round_what_the_run_observed(seed):
    means = np.random.default_rng(seed).normal(3, 1, 20)
    found = batch_means(3.1, means, 0.95)
    assert (found.mean, found.n) == (3.1, 1)
    assert found.half_width == pytest.approx(student_t(means).half_width)


def test_correlated_batches_give_no_interval():
    assert batch_means(5.0, np.arange(20.0), 0.95).half_width == math.inf
    alternating = np.resize([1.0, 2.0], 20)  # the other way round, the interval is rather too wide
    assert batch_means(1.5, alternating, 0.95).half_width == pytest.approx(student_t(alternating).half_width)


def test_one_long_run_gives_intervals_by_itself(shop):
    found = simulate(shop, duration="10min", warmup="30s", replications=1, seed=1)
    run = found.replications[0]
    wait, depth = found.estimate("orders.wait.mean"), found.estimate("orders.depth.mean")
    assert 0 < wait.half_width < wait.mean
    assert wait.mean == run.values["orders.wait.mean"]
    assert run.curves["orders.wait.mean.batches"].mean() == pytest.approx(wait.mean, rel=0.01)
    assert run.curves["orders.depth.mean.batches"].mean() == pytest.approx(depth.mean, rel=0.05)
    assert found.estimate("consumers.clerk.utilisation").half_width < 0.1
    assert found.verdict("orders.wait.mean < 10s").outcome == "holds"
    assert found.cautions()[-1].startswith("1 replication: intervals are batch means")


def test_several_replications_have_no_batches(shop):
    found = simulate(shop, duration="1min", replications=2, seed=1)
    assert not any(path.endswith(".batches") for each in found.replications for path in each.curves)


def test_what_one_run_cannot_tell_is_said(shop):
    shop.expect("orders.loss < 1%")  # none was lost, so the rule of three limits it
    shop.expect("orders.throughput > 1/s")
    shop.expect("orders.wait.p99.9 < 1s")
    found = simulate(shop, duration="10min", warmup="30s", replications=1, seed=1)
    assert found.verdict("orders.wait.p99.9 < 1s").outcome == "undecided"
    said = [caution for caution in found.cautions() if "of one replication there is no interval for it" in caution]
    assert [caution.partition(":")[0] for caution in said] == ["orders.throughput", "orders.wait.p99.9"]


def test_correlated_batches_of_a_short_run_are_said(shop):
    busy = shop.with_("consumers.clerk.service", "exponential 110ms")  # the queue grows
    found = simulate(busy, duration="5min", replications=1, seed=1)
    assert found.estimate("orders.wait.mean").half_width == math.inf
    assert any("the batches of this replication are correlated" in caution for caution in found.cautions())
