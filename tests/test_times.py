"""Quantiles of observed times: those of NumPy, from an order that is found once."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simbus.analysis.times import Times, Windows, quantiles
from simbus.units import SECOND

PROBABILITIES = np.array([0.0, 0.01, 0.25, 0.5, 0.95, 0.99, 0.999, 1.0])
TIMES = st.lists(st.integers(0, 10**15), min_size=1, max_size=40)


@given(TIMES)
def test_quantiles_of_what_is_in_order_are_those_of_numpy_to_the_bit(times):
    seconds = np.array(times) / SECOND
    assert quantiles(np.sort(seconds), PROBABILITIES).tolist() == np.quantile(seconds, PROBABILITIES).tolist()


@given(TIMES)
def test_times_are_told_as_numpy_tells_them(times):
    seconds, told = np.array(times) / SECOND, Times(np.array(times)).told((0.5, 0.99))
    assert told == {
        "p50": np.quantile(seconds, 0.5),
        "p99": np.quantile(seconds, 0.99),
        "mean": seconds.mean(),
        "max": seconds.max(),
        "n": len(times),
    }


def test_of_nothing_nothing_is_told():
    told = Times(np.empty(0, dtype=np.int64)).told((0.5,))
    assert told["n"] == 0
    assert all(math.isnan(told[name]) for name in ("p50", "mean", "max"))


@given(st.lists(st.integers(1, 6), max_size=12), st.integers(0, 3), st.lists(st.integers(1, 6), max_size=12))
def test_what_has_ended_is_the_product_of_those_who_survived_each_end(closed, never, still_open):
    """By the definition of Kaplan and Meier: of those who are as old, which share ends then."""
    windows = Windows(np.array(closed + [math.inf] * never, dtype=float), np.array(still_open, dtype=float))
    ages = closed + still_open
    for time in range(7):
        left = 1.0
        for end in sorted(set(closed)):
            at_risk = sum(age >= end for age in ages) + never
            left *= 1 - closed.count(end) / at_risk if end <= time else 1.0
        place = int(np.searchsorted(windows.times, time, side="right"))
        assert math.isclose(windows.share_ended[place - 1] if place else 0.0, 1 - left, abs_tol=1e-12)
