"""Counts per minute as arrivals: Poisson with the counts as expected numbers, or just as many as counted."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simbus import Scenario, counts, simulate
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.antithetic import Inverse
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.workloads import ARRIVALS, Workload
from simbus.units import MINUTE, SECOND


def stream(seed):
    return np.random.Generator(np.random.PCG64DXSM(seed))


def per_minute(epochs, minutes):
    return np.bincount(np.array(list(epochs), dtype=np.int64) // MINUTE, minlength=minutes)


def file(tmp_path, text):
    (tmp_path / "counts.csv").write_text(text)
    return tmp_path / "counts.csv"


@given(values=st.lists(st.integers(0, 50), min_size=1, max_size=30).filter(any), seed=st.integers(0, 99))
def test_exact_counts_are_kept_in_every_interval(values, seed):
    epochs = list(counts(values, spread="exact").epochs(stream(seed)))
    assert per_minute(epochs, len(values)).tolist() == values
    assert all(one <= other for one, other in pairwise(epochs))


def test_within_an_interval_exact_counts_come_at_uniform_instants(seed):
    epochs = np.array(list(counts([0, 5_000], spread="exact").epochs(stream(seed))))
    assert stats.kstest(epochs / MINUTE - 1, "uniform").pvalue > 1e-4
    gaps = np.diff(epochs) / MINUTE * 5_001  # of many uniform instants they are as good as exponential
    assert stats.kstest(gaps, "expon").pvalue > 1e-4


def test_poisson_counts_have_the_counts_as_mean_and_variance(seed):
    arrivals, runs = counts([30, 0, 90, 4]), 2_000
    found = np.array([per_minute(arrivals.epochs(stream(seed + run)), 4) for run in range(runs)])
    expected = np.array([30, 0, 90, 4])
    assert (np.abs(found.mean(axis=0) - expected) <= 4.5 * np.sqrt(expected / runs)).all()
    assert found.var(axis=0, ddof=1) == pytest.approx(expected, rel=4.5 * np.sqrt(2 / runs) * 1.2)
    assert not found[:, 1].any()
    neighbours = np.corrcoef(found[:, 0], found[:, 2])[0, 1]
    assert abs(neighbours) < 4.5 / np.sqrt(runs)


def test_the_gaps_of_poisson_counts_are_those_of_a_poisson_process_in_its_own_time(seed):
    values = [6_000, 200, 12_000]
    epochs = np.array(list(counts(values).epochs(stream(seed))), dtype=float)
    in_its_time = np.interp(epochs, np.arange(4) * MINUTE, np.concatenate([[0], np.cumsum(values)]))
    assert stats.kstest(np.diff(in_its_time), "expon").pvalue > 1e-4


def test_a_factor_makes_it_so_many_times_as_many(seed):
    arrivals = counts([1_000] * 20, factor=1.5)
    assert len(list(arrivals.epochs(stream(seed)))) == pytest.approx(30_000, rel=4.5 / np.sqrt(30_000))
    assert arrivals.total == 30_000
    assert arrivals.rate == 25


def test_an_antithetic_run_mirrors_the_number_of_arrivals(seed):
    arrivals = counts([400] * 5)
    pairs = [
        [len(list(arrivals.epochs(Inverse(stream(seed + run), mirrored=mirrored)))) for mirrored in (0, 1)] for run in range(40)
    ]
    assert np.corrcoef(np.array(pairs).T)[0, 1] < -0.5


@given(
    values=st.lists(st.integers(0, 10**6), min_size=1, max_size=5).filter(any),
    every=st.integers(1, 10**6),
    factor=st.floats(0.01, 100),
)
def test_counts_read_back_their_own_text(values, every, factor):
    one = counts(values, every=timedelta(microseconds=every), factor=factor)
    assert parse(str(one), ARRIVALS, "publishers.web.arrivals", kind=Workload) == one


@pytest.mark.parametrize("values", [[12, 30, 25], (12, 30, 25), np.array([12, 30, 25]), pd.Series([12, 30, 25]), "12,30,25"])
def test_counts_come_as_lists_arrays_series_and_text(values):
    assert counts(values).values == (12, 30, 25)


def test_counts_come_from_a_file_beside_the_scenario(tmp_path):
    file(tmp_path, "orders\n12\n30\n")
    text = "counts file=counts.csv column=orders every=1min spread=exact"
    found = parse(text, ARRIVALS, "publishers.web.arrivals", tmp_path, Workload)
    assert found == counts([12, 30], spread="exact")
    assert str(found) == text


def test_rows_that_say_when_they_begin_may_be_missing_and_out_of_order(tmp_path):
    path = file(tmp_path, "begin,n\n3600,9\n3480,7\n3780,1\n")
    assert counts(file=path, column="n", at="begin").values == (7, 0, 9, 0, 0, 1)
    assert str(counts(file=path, column="n", at="begin")) == f"counts file={path} column=n at=begin every=1min spread=poisson"


@pytest.mark.parametrize("rows", ["0,1\n61,2\n", "0,1\n60,2\n60,3\n"])
def test_intervals_that_overlap_are_refused(tmp_path, rows):
    with pytest.raises(ScenarioError, match="an interval of 1min cannot begin at 6"):
        counts(file=file(tmp_path, f"begin,n\n{rows}"), column="n", at="begin")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "give counts or a file, not both"),
        ({"values": [1], "file": "x.csv"}, "give counts or a file, not both"),
        ({"values": []}, "need one above 0"),
        ({"values": [0, 0]}, "need one above 0"),
        ({"values": [1, -1]}, "number 1, counted from 0, is -1, which is no whole number"),
        ({"values": [1.5]}, "number 0, counted from 0, is 1.5"),
        ({"values": [float("nan")]}, "is nan, which is no whole number"),
        ({"values": "twelve"}, "are not numbers"),
        ({"values": [1], "every": "0s"}, "is not a positive time"),
        ({"values": [1], "spread": "even"}, "is neither poisson nor exact"),
        ({"values": [1], "spread": "exact", "factor": 2}, "exact counts are what was counted"),
    ],
)
def test_what_is_no_counts_is_refused(arguments, problem):
    with pytest.raises(UnitError, match=problem):
        counts(**arguments)


def test_a_run_ends_with_its_counts():
    shop = Scenario("a day")
    shop.queue("orders")
    shop.publisher("web", to="orders", arrivals=counts([3, 0, 5], spread="exact"))
    shop.consumer("clerk", queue="orders", service="constant 1ms")
    result = simulate(shop, replications=2)
    assert [each.values["messages.n"] for each in result.replications] == [8, 8]
    assert shop.publishers["web"].arrivals.rate == pytest.approx(8 * SECOND / (3 * MINUTE))
