"""Intervals against textbooks, and their coverage against what they promise."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.analysis.estimates import band, share, student_t

NEVER, NOTHING = math.inf, math.nan


@pytest.mark.parametrize(
    ("degrees", "confidence", "critical"),
    [(1, 0.95, 12.706), (4, 0.95, 2.776), (9, 0.95, 2.262), (19, 0.95, 2.093), (19, 0.99, 2.861), (29, 0.90, 1.699)],
)
def test_the_half_width_is_that_of_the_t_tables(degrees, confidence, critical):
    n = degrees + 1
    values = np.arange(n)
    estimate = student_t(values, confidence)
    assert estimate.half_width == pytest.approx(critical * values.std(ddof=1) / math.sqrt(n), rel=3e-4)
    assert estimate.mean == pytest.approx(degrees / 2)
    assert (estimate.low + estimate.high) / 2 == pytest.approx(estimate.mean)
    assert (estimate.n, estimate.missing) == (n, 0)


@pytest.mark.parametrize("confidence", [0.80, 0.95, 0.99])
def test_intervals_hold_the_true_mean_as_often_as_they_say(seed, confidence):
    experiments = 4_000
    draws = np.random.default_rng(seed).normal(loc=3, scale=2, size=(experiments, 10))
    estimates = [student_t(row, confidence) for row in draws]
    covered = sum(each.low <= 3 <= each.high for each in estimates) / experiments
    assert covered == pytest.approx(confidence, abs=4 * math.sqrt(confidence * (1 - confidence) / experiments))


def test_one_replication_gives_no_interval():
    estimate = student_t([2.5])
    assert (estimate.mean, estimate.low, estimate.high, estimate.n) == (2.5, -math.inf, math.inf, 1)
    assert estimate.half_width == math.inf


def test_no_observation_gives_no_mean():
    estimate = student_t([NOTHING, NOTHING])
    assert math.isnan(estimate.mean)
    assert math.isnan(estimate.half_width)
    assert (estimate.low, estimate.high, estimate.n, estimate.missing) == (-math.inf, math.inf, 0, 2)


def test_replications_without_an_observation_are_left_out_and_counted():
    estimate = student_t([1.0, NOTHING, 2.0, 3.0])
    assert estimate == replace(student_t([1.0, 2.0, 3.0]), missing=1)


def test_a_quantile_that_is_never_in_some_replications_has_no_upper_limit():
    estimate = student_t([1.0, 2.0, 3.0, NEVER])
    assert (estimate.mean, estimate.high, estimate.n) == (NEVER, NEVER, 4)
    assert estimate.low == student_t([1.0, 2.0, 3.0]).low


def test_a_quantile_that_is_never_in_all_replications_is_never():
    estimate = student_t([NEVER, NEVER])
    assert (estimate.mean, estimate.low, estimate.high) == (NEVER, NEVER, NEVER)


def test_a_single_never_is_no_certainty():
    assert student_t([NEVER]).low == student_t([NEVER, 1.0]).low == -math.inf


def test_without_any_event_the_rule_of_three_limits_the_share():
    estimate = share([0.0, 0.0], [400.0, 600.0])
    assert (estimate.mean, estimate.low) == (0, 0)
    assert estimate.high == pytest.approx(3 / 1_000, rel=0.002)


def test_the_rule_of_three_generalises_to_other_confidences():
    # The share at which n trials pass without an event with probability 1 - confidence, to first order.
    estimate = share([0.0], [10_000.0], confidence=0.99)
    assert (1 - estimate.high) ** 10_000 == pytest.approx(0.01, rel=0.01)


def test_trials_of_a_replication_without_a_share_do_not_count():
    assert share([0.0, NOTHING], [100.0, NOTHING]).high == share([0.0], [100.0]).high


def test_no_event_in_no_trial_says_nothing():
    assert share([0.0], [0.0]).high == 1


def test_a_share_with_events_has_wilsons_interval():
    """From Newcombe (1998, table I): 15 of 148 gives 0.0624 to 0.1605 with a normal quantile."""
    estimate = share([15 / 148] * 200, [148 / 200] * 200)
    assert (estimate.low, estimate.high) == pytest.approx((0.0624, 0.1605), abs=6e-4)


def test_a_band_is_the_interval_at_every_point():
    curves = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    middle, low, high = band(curves)
    assert list(middle) == [2.0, 5.0]
    assert (low[0], high[0]) == (student_t([1.0, 2.0, 3.0]).low, student_t([1.0, 2.0, 3.0]).high)
    assert low[1] == high[1] == 5.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(50, 500)), min_size=2, max_size=12))
def test_an_interval_for_a_share_holds_it_and_stays_between_nothing_and_all(replications):
    shares, trials = [events / of for events, of in replications], [float(of) for _, of in replications]
    estimate = share(shares, trials)
    assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1


@pytest.mark.parametrize("bunch", [1, 5])
def test_intervals_for_rare_losses_hold_the_truth_as_often_as_they_say(bunch, seed):
    """Ten replications of 2,000 messages of which 0.5 % are lost, singly or in bunches of five."""
    generator = np.random.default_rng(seed)
    held, experiments, lost, of = 0, 2_000, 0.005, 2_000
    for _ in range(experiments):
        shares = generator.binomial(of // bunch, lost, size=10) * bunch / of
        estimate = share(shares.tolist(), [float(of)] * 10)
        held += estimate.low <= lost <= estimate.high
    assert held / experiments > 0.95 - 4 * math.sqrt(0.95 * 0.05 / experiments) - 0.01
