"""Workloads: Poisson arrivals against theory, constant rates without drift, bursts, and recorded traces."""

import math
from fractions import Fraction
from itertools import islice, pairwise, takewhile
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.distributions import Gamma
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.replays import replay
from simbus.simulation.model.workloads import (
    ARRIVALS,
    Batches,
    Bursts,
    ConstantRate,
    MarkovModulated,
    Poisson,
    Renewal,
    Schedule,
    Sinusoid,
    Workload,
    batches,
    bursts,
    constant_rate,
    markov_modulated,
    poisson,
    renewal,
    schedule,
    sinusoid,
)
from simbus.units import SECOND

SHOP = Path(__file__).parents[1] / "scenarios" / "online-retail-orders.csv"
SIGMAS = 4.5  # a fair test errs once in 150,000

rates = st.floats(min_value=1e-6, max_value=1e7)
workloads = st.one_of(
    st.builds(Poisson, rates),
    st.builds(ConstantRate, rates),
    st.builds(Bursts, st.integers(min_value=1, max_value=1000), st.integers(min_value=1, max_value=10**15)),
    st.builds(Renewal, st.just(Gamma(10**7, 0.5))),
    st.builds(Batches, st.floats(1e-3, 1e5), st.integers(1, 100).map(float), st.sampled_from(["fixed", "geometric"])),
    st.builds(Sinusoid, st.floats(1e-3, 1e5), st.floats(0, 1), st.integers(10**9, 10**14)),
    st.just(Schedule(((SECOND, 20.0), (2 * SECOND, 0.0), (SECOND, 120.0)))),
    st.just(MarkovModulated(((5 * SECOND, 20.0), (SECOND, 200.0)))),
)


def stream(seed=1):
    return np.random.Generator(np.random.PCG64DXSM(seed))


@pytest.fixture
def generator(request):
    """A stream of its own for each test, the same in every run."""
    return stream(crc32(request.node.originalname.encode()))


def written(folder, text):
    (folder / "trace.csv").write_text(text)
    return folder / "trace.csv"


def test_the_gaps_of_poisson_arrivals_are_exponential(generator):
    epochs = list(islice(poisson("120/s").epochs(generator), 20_000))
    gaps = np.diff([0, *epochs])
    assert stats.kstest(gaps, stats.expon(scale=SECOND / 120).cdf).pvalue > 1e-4


def test_poisson_arrivals_in_a_span_have_mean_and_variance_rate_times_span(generator):
    spans, expected = 20_000, 6.0  # 120/s in spans of 50 ms
    epochs = np.array(list(islice(poisson("120/s").epochs(generator), int(spans * expected * 1.1))))
    counts = np.bincount(epochs // (SECOND // 20))[:spans]
    assert abs(counts.mean() - expected) < SIGMAS * math.sqrt(expected / spans)
    fourth_moment = expected * (1 + 3 * expected)
    assert abs(counts.var() - expected) < SIGMAS * math.sqrt((fourth_moment - expected**2) / spans)


def test_rounding_to_nanoseconds_does_not_shift_the_rate(generator):
    n, rate = 1_000_000, 1e6
    *_, last = islice(Poisson(rate).epochs(generator), n)
    assert abs(last - n * SECOND / rate) < SIGMAS * math.sqrt(n) * SECOND / rate


@given(rates, st.integers(min_value=1, max_value=10**9))
def test_the_nth_arrival_at_a_constant_rate_is_exact(rate, n):
    def nth(n):
        return next(islice(ConstantRate(rate).epochs(stream()), n - 1, None))

    n = n % 1000 + 1
    exact = n * SECOND / Fraction(rate)
    assert abs(nth(n) - exact) <= Fraction(1, 2) + exact / 2**52


def until(workload, generator, seconds):
    return np.array(list(takewhile(lambda at: at < seconds * SECOND, workload.epochs(generator))))


def test_the_gaps_of_renewal_arrivals_are_those_of_their_distribution(generator):
    gaps = np.diff([0, *islice(renewal("gamma mean=10ms cv=0.5").epochs(generator), 20_000)])
    assert stats.kstest(gaps, stats.gamma(a=4, scale=2.5e6).cdf).pvalue > 1e-4


def test_batches_of_one_size_come_whole(generator):
    epochs = until(batches("100/s", size=5), generator, 400)
    _, sizes = np.unique(epochs, return_counts=True)
    assert set(sizes) == {5}
    assert abs(len(sizes) - 8_000) < SIGMAS * math.sqrt(8_000)


def test_geometric_batches_are_geometric(generator):
    epochs = until(batches("100/s", size=4, spread="geometric"), generator, 800)
    _, sizes = np.unique(epochs, return_counts=True)
    expected = [len(sizes) * 0.25 * 0.75**k for k in range(10)]
    observed = [int((sizes == k + 1).sum()) for k in range(10)]
    tail = len(sizes) * 0.75**10
    assert stats.chisquare([*observed, int((sizes > 10).sum())], [*expected, tail]).pvalue > 1e-4


def test_a_rate_that_swings_does_so_at_its_period(generator):
    epochs = until(sinusoid("50/s", swing=0.8, period="10s"), generator, 1_000)
    quarters = np.bincount((epochs % (10 * SECOND)) // (5 * SECOND // 2), minlength=4)
    swing = 0.8 * 2 / math.pi  # the mean of a sine over a quarter
    expected = np.array([1 + swing, 1 + swing, 1 - swing, 1 - swing]) * 50 * 1_000 / 4
    assert (abs(quarters - expected) < SIGMAS * np.sqrt(expected)).all()


def test_a_schedule_holds_its_rates_and_begins_anew(generator):
    epochs = until(schedule("1s:20/s,2s:0/s,1s:120/s"), generator, 1_600)
    seconds = np.bincount((epochs // SECOND) % 4, minlength=4)
    expected = np.array([20, 0, 0, 120]) * 400
    assert (abs(seconds - expected) <= SIGMAS * np.sqrt(expected)).all()


def test_markov_modulated_arrivals_come_in_clumps(generator):
    """The index of dispersion tends to 1 + 2 a b (r - s)**2 / ((a + b)**2 (r b + s a)) (Heffes and Lucantoni 1986)."""
    workload = markov_modulated("5s:20/s,1s:200/s")
    leave_quiet, leave_busy = 1 / 5, 1.0
    both = leave_quiet + leave_busy
    limit = 1 + 2 * leave_quiet * leave_busy * 180**2 / (both**2 * (20 * leave_busy + 200 * leave_quiet))
    counts = np.bincount(until(workload, generator, 20_000) // (50 * SECOND), minlength=400)
    assert counts.mean() == pytest.approx(50 * workload.rate, rel=0.06)
    assert counts.var() / counts.mean() == pytest.approx(limit, rel=0.3)


def test_a_constant_rate_does_not_drift_over_a_million_arrivals():
    rate = 3.0  # a third of a second is no whole number of nanoseconds
    for n, epoch in enumerate(islice(ConstantRate(rate).epochs(stream()), 1_000_000), 1):
        if n % 3 == 0:
            assert epoch == n // 3 * SECOND


def test_bursts_arrive_together():
    workload = bursts(size=3, every="1min")
    assert list(islice(workload.epochs(stream()), 7)) == [60 * SECOND] * 3 + [120 * SECOND] * 3 + [180 * SECOND]
    assert workload.rate == 0.05


@given(workloads)
def test_instants_are_python_ints_that_never_go_back(workload):
    epochs = list(islice(workload.epochs(stream()), 3000))
    assert all(type(epoch) is int for epoch in epochs)
    assert all(earlier <= later for earlier, later in pairwise([0, *epochs]))


@given(workloads)
def test_the_text_of_a_workload_is_read_back_as_the_same_one(workload):
    assert parse(str(workload), ARRIVALS, "arrivals") == workload


def test_very_rare_arrivals_do_not_overflow():
    epochs = list(islice(poisson("0.001/d").epochs(stream()), 5000))
    assert epochs == sorted(epochs)
    assert epochs[-1] > 2**63


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: poisson("0/s"), "rate: '0/s' is not a rate"),
        (lambda: poisson(120), 'rate: 120 is not a rate; write for example "120/s"'),
        (lambda: poisson("20/us"), "beyond 10_000_000/s"),
        (lambda: Poisson(-1), "rate: -1 is not a positive number"),
        (lambda: constant_rate("-1/s"), "is not a rate"),
        (lambda: ConstantRate(math.inf), "rate: inf is not a positive number"),
        (lambda: bursts(0, "1min"), "size: 0 is not a whole number from 1"),
        (lambda: bursts(5, "0s"), "every: 0ns is not a positive time"),
        (lambda: replay(SHOP, speed=0), "speed: 0 is not a positive number"),
        (lambda: replay(SHOP, speed="fast"), "speed: 'fast' is not a positive number"),
    ],
)
def test_impossible_workloads_are_refused_with_the_remedy(build, message):
    with pytest.raises(UnitError, match=message):
        build()


def test_the_orders_of_the_shop_replay_from_zero():
    orders = replay(SHOP)
    assert len(orders.times) == 468
    assert orders.times[:4] == (0, 120 * SECOND, 480 * SECOND, 480 * SECOND)
    assert orders.times[-1] == (403_800 - 30_360) * SECOND
    assert list(orders.epochs(stream())) == list(orders.times)
    assert orders.rate == pytest.approx(468 / (403_800 - 30_360))
    assert orders.finite
    assert not poisson("1/s").finite


def test_a_trace_replays_faster_and_per_line():
    lines = replay(SHOP, speed=360, per="lines")
    assert len(lines.times) == 9811
    assert lines.times[:10] == (0,) * 7 + (SECOND // 3,) * 2 + (480 * SECOND // 360,)
    assert (
        str(replay("online-retail-orders.csv", 360, "lines", SHOP.parent))
        == "replay online-retail-orders.csv speed=360 per=lines"
    )


def test_a_trace_is_read_back_from_its_text():
    lines = replay(SHOP.name, speed=360, per="lines", folder=SHOP.parent)
    assert parse(str(lines), ARRIVALS, "arrivals", SHOP.parent) == lines


def test_a_trace_out_of_order_is_sorted(tmp_path):
    assert replay(written(tmp_path, "seconds\n7.5\n5\n6\n")).times == (0, SECOND, 5 * SECOND // 2)


def test_a_trace_in_seconds_since_1970_keeps_its_nanoseconds(tmp_path):
    assert replay(written(tmp_path, "seconds\n1700000000.000000001\n1700000000.000000003\n")).times == (0, 2)


def test_a_trace_of_one_instant_has_no_finite_rate(tmp_path):
    assert replay(written(tmp_path, "seconds\n5\n5\n")).rate == math.inf


def test_rows_without_messages_count_for_nothing(tmp_path):
    assert replay(written(tmp_path, "seconds,n\n5,0\n6,2\n7,1\n"), per="n").times == (0, 0, SECOND)


@pytest.mark.parametrize(
    ("text", "per", "message"),
    [
        ("second\n1\n", "order", "line 1: unknown column 'seconds'; did you mean 'second'"),
        ("seconds,lines\n1,2\n", "line", "line 1: unknown column 'line'; did you mean 'lines'"),
        ("", "order", "line 1: unknown column 'seconds'; there is none"),
        ("seconds\n", "order", "has no row below its header"),
        ("seconds\n1\n\nnoon\n", "order", "line 4: seconds: 'noon' is not a number from 0; write"),
        ("seconds\n-1\n", "order", "line 2: seconds: '-1' is not a number from 0"),
        ("seconds\nnan\n", "order", "line 2: seconds: 'nan' is not a number from 0"),
        ("seconds,n\n1\n", "n", "line 2: n: '' is not a whole number from 0"),
        ("seconds,n\n1,1.5\n", "n", "line 2: n: '1.5' is not a whole number from 0; write"),
        ("seconds,n\n1,0\n", "n", "n: adds up to no message; write"),
    ],
)
def test_a_faulty_trace_is_refused_with_file_line_and_remedy(tmp_path, text, per, message):
    with pytest.raises(ScenarioError, match=rf"trace\.csv: .*{message}"):
        replay(written(tmp_path, text), per=per)


def test_a_missing_trace_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(ScenarioError) as caught:
        parse("replay nowhere.csv", ARRIVALS, "publishers.web.arrivals", tmp_path)
    assert caught.value.place == "publishers.web.arrivals"
    assert str(tmp_path / "nowhere.csv") in str(caught.value)


def test_a_trace_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "trace.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="is not CSV text in UTF-8"):
        replay(tmp_path / "trace.csv")


def test_every_workload_offers_the_protocol():
    assert all(isinstance(built, Workload) for built in (poisson("1/s"), constant_rate("1/s"), bursts(1, "1s"), replay(SHOP)))
