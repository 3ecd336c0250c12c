"""The closed forms give the numbers that are known of them, from tables, from other forms, and from independent simulations."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus import theory
from simbus.theory import MMc, MMcD, Retries

near = pytest.approx

LOADS = st.floats(0.05, 0.95)
SERVERS = st.integers(1, 30)


def near_to(value: float) -> object:
    return pytest.approx(value, rel=2e-5)


@pytest.mark.parametrize(
    ("servers", "rate", "blocked", "waiting", "wait"),
    [(3, 2.4, 0.268406, 0.647191, 1.07865), (4, 3.2, None, 0.596432, 0.745541), (10, 8, 0.121661, 0.40918, 0.20459)],
)
def test_erlangs_formulas(servers, rate, blocked, waiting, wait):
    if blocked is not None:
        assert theory.erlang_b(servers, rate) == near_to(blocked)
    assert theory.erlang_c(servers, rate) == near_to(waiting)
    assert MMc(rate, 1, servers).mean_wait == near_to(wait)


def test_one_server_has_exponential_sojourns():
    queue = MMc(0.8, 1)
    assert (queue.mean_wait, queue.mean_sojourn, queue.mean_waiting) == near_to((4, 5, 3.2))
    assert [queue.sojourn_quantile(p) for p in (0.5, 0.99, 0.999)] == near_to([3.4657, 23.026, 34.539])


def test_quantiles_of_the_wait_of_three_servers():
    queue = MMc(2.4, 1, 3)
    assert [queue.wait_quantile(p) for p in (0.95, 0.99)] == near_to([4.2677, 6.9501])


@given(LOADS, SERVERS, st.floats(0.01, 0.999))
def test_a_quantile_of_the_wait_is_exceeded_by_the_rest(load, servers, probability):
    queue = MMc(load * servers, 1, servers)
    at = queue.wait_quantile(probability)
    assert queue.wait_beyond(at) == near(1 - probability) or (at == 0 and queue.waiting_share <= 1 - probability + 1e-12)


@pytest.mark.parametrize(("cv", "wait"), [(0, 2), (math.sqrt(0.5), 3), (1, 4), (2, 10)])
def test_the_wait_grows_with_the_variation_of_services(cv, wait):
    assert theory.mg1_mean_wait(0.8, 1, cv) == near_to(wait)


@pytest.mark.parametrize(("time", "share"), [(0, 0.2), (2, 0.63452), (5, 0.899503), (10, 0.988343)])
def test_the_distribution_of_the_wait_for_constant_services(time, share):
    assert theory.md1_wait_cdf(0.8, 1, time) == near_to(share)


def test_a_constant_rate_waits_less():
    queue = theory.dm1(0.8, 1)
    assert (queue.sigma, queue.mean_wait, queue.sojourn_quantile(0.99)) == near_to((0.62863, 1.69273, 12.4005))


@pytest.mark.parametrize(("servers", "wait"), [(2, 2.84398), (4, 2.26738)])
def test_dealing_in_turn_costs_waiting_time(servers, wait):
    assert theory.round_robin(0.8 * servers, 1, servers).mean_wait == near_to(wait)
    assert wait > MMc(0.8 * servers, 1, servers).mean_wait


@given(LOADS)
def test_gaps_without_memory_are_a_special_case(load):
    assert theory.round_robin(load, 1, 1).mean_wait == near(MMc(load, 1).mean_wait, rel=1e-6)


@pytest.mark.parametrize(("places", "refused"), [(5, 0.0888195), (10, 0.0234929), (20, 0.00232731)])
def test_a_limit_refuses_a_share(places, refused):
    assert theory.full_share(0.8, 1, 1, places) == near_to(refused)


def test_limits_of_several_servers():
    assert theory.full_mean_number(0.8, 1, 1, 5) == near_to(1.86833)
    assert (theory.full_share(3, 1, 3, 13), theory.full_mean_wait(3, 1, 3, 13)) == near_to((0.0775862, 1.54206))
    assert theory.full_share(4, 1, 3, 13) == near_to(0.256431)


@given(st.floats(0.1, 40), SERVERS)
def test_without_room_to_wait_a_limit_is_a_loss_system(offered, servers):
    assert theory.full_share(offered, 1, servers, servers) == near(theory.erlang_b(servers, offered), rel=1e-9)


@pytest.mark.parametrize(
    ("servers", "rate", "patience", "expired"),
    [(1, 0.8, 5, 0.0769867), (1, 1.2, 5, 0.223855), (4, 3.6, 2, 0.0519433), (4, 5, 2, 0.214451)],
)
def test_a_time_to_live_loses_a_share(servers, rate, patience, expired):
    assert MMcD(rate, 1, servers, patience).expired_share == near_to(expired)


@given(LOADS, SERVERS)
def test_with_much_patience_nobody_leaves(load, servers):
    queue = MMcD(load * servers, 1, servers, 2000)
    assert queue.expired_share == near(0, abs=1e-12)
    assert queue.waiting_share == near(theory.erlang_c(servers, load * servers), rel=1e-6)


@pytest.mark.parametrize("servers", [1, 4, 300])
def test_with_much_patience_only_what_is_too_much_leaves(servers):
    """Of 1.5 times what can be served a third is too much, however long it waits first."""
    assert MMcD(1.5 * servers, 1, servers, 10_000).expired_share == near(1 / 3, rel=1e-3)


@given(st.floats(0.1, 3), SERVERS)
def test_without_patience_a_time_to_live_is_a_loss_system(load, servers):
    assert MMcD(load * servers, 1, servers, 0).expired_share == near(theory.erlang_b(servers, load * servers), rel=1e-9)


@pytest.mark.parametrize(
    ("servers", "rate", "theta", "left", "waiting"), [(3, 3, 0.1, 0.109806, 3.29417), (4, 5, 0.5, 0.259026, None)]
)
def test_impatience_without_memory(servers, rate, theta, left, waiting):
    found = theory.erlang_a(rate, 1, servers, theta)
    assert found[0] == near_to(left)
    assert waiting is None or found[1] == near_to(waiting)


def test_the_urgent_wait_less():
    assert theory.priority_waits(0.8, [0.2, 0.6]) == near_to([1, 5])
    several = theory.erlang_c(4, 3.2) / 4
    assert theory.priority_waits(several, [0.2, 0.6]) == near_to([0.186385, 0.931926])


@given(LOADS, st.floats(0.05, 0.95))
def test_priorities_only_share_the_waiting_out(load, share):
    loads = [load * share, load * (1 - share)]
    waits = theory.priority_waits(load, loads)
    assert sum(each * wait for each, wait in zip(loads, waits, strict=True)) == near(load * MMc(load, 1).mean_wait)


def test_who_is_interrupted_waits_for_those_who_are_more_urgent_too():
    assert theory.preemptive_sojourns(1, [0.2, 0.6]) == near_to([1.25, 6.25])
    assert theory.preemptive_sojourns(1, [0.2, 0.9]) == [pytest.approx(1.25), math.inf]


@given(LOADS, st.floats(0.05, 0.95), st.floats(0.1, 10))
def test_to_interrupt_services_without_memory_leaves_the_number_there_as_it_is(load, share, mu):
    """And the most urgent have the server for themselves."""
    rates = [load * mu * share, load * mu * (1 - share)]
    sojourns = theory.preemptive_sojourns(mu, rates)
    assert sojourns[0] == near(MMc(rates[0], mu).mean_sojourn)
    assert sum(rate * sojourn for rate, sojourn in zip(rates, sojourns, strict=True)) == near(load / (1 - load))


def test_requeueing_at_once_is_feedback():
    assert theory.feedback_mean_number(0.6, 1, 0.2) == near_to(3)


def test_retries_with_back_off():
    four = Retries(2.4, 1, 4, 0.2, [5, 10, 20])
    assert (four.station.rate, four.station.mean_sojourn) == near((2.9952, 1.505), rel=1e-3)
    assert (four.mean_to_success, four.mean_to_end) == near((3.37801, 3.43824), rel=1e-5)
    assert (four.given_up_share, four.attempts) == near_to((0.0016, 1.248))
    one = Retries(0.6, 1, 1, 0.25, [1, 2, 4])
    assert (one.mean_to_success, one.given_up_share) == near_to((6.89864, 0.00390625))


@pytest.mark.parametrize(("batch", "squared", "sojourn"), [(1, 1, 5), (2, 4, 7.5), (5, 25, 15), (5, 45, 25)])
def test_batches_wait_for_one_another(batch, squared, sojourn):
    assert theory.batch_mean_sojourn(0.8, 1, batch, squared) == near_to(sojourn)


def test_breakdowns():
    number = theory.breakdowns_mean_number(0.6, 1, 0.05, 0.5)
    assert (number, number / 0.6) == near_to((2.26203, 3.77005))
    assert theory.breakdowns_while_working(0.6, 1, 0.05, 0.5) == near_to((1.1, 3.58824))


def test_several_queues():
    assert theory.tandem_mean_sojourn(0.8, [1, 1.25]) == near_to(7.22222)
    assert theory.fork_join_of_two(0.8, 1) == near_to(7)
    assert theory.fork_join_bounds(0.8, 1, 5) == near((5, 11.417), rel=1e-4)
    assert theory.partitions_mean_wait(3.2, 1, [0.25] * 4) == near_to(4)


@given(LOADS, st.floats(0.01, 0.99))
def test_uneven_keys_wait_longer(load, share):
    assert theory.partitions_mean_wait(load, 1, [share, 1 - share]) >= theory.partitions_mean_wait(load, 1, [0.5, 0.5]) - 1e-12


def test_drains_losses_and_doublets():
    assert theory.drain_time(300, 400, 60) == near(180)
    assert theory.deliveries_with_lost_acks(0.01) == near_to(1.0101)
    assert theory.crashed_share(0.001, 1) == near_to(0.000999)
    assert theory.timed_out_share(1, 5) == near_to(0.00673795)


@given(st.integers(1, 50))
def test_a_window_without_thinking_keeps_the_server_busy(window):
    assert theory.window_throughput(1, window) == near(1)
    assert theory.window_throughput(1, window, thinking=1e6) == near(window / 1e6, rel=1e-3)


@given(st.integers(1, 50), st.floats(0.1, 50))
def test_a_closed_loop_is_what_mean_value_analysis_says(window, thinking):
    """An arrival finds what is there without it (Reiser and Lavenberg 1980)."""
    number = throughput = 0.0
    for population in range(1, window + 1):
        throughput = population / (thinking + 1 + number)
        number = throughput * (1 + number)
    assert theory.window_throughput(1, window, thinking) == near(throughput, rel=1e-9)


@given(st.integers(1, 50), SERVERS)
def test_as_many_servers_as_tokens_leave_nobody_waiting(window, servers):
    assert theory.window_throughput(1, window, 3, max(window, servers)) == near(window / 4)


@given(st.floats(1, 5), SERVERS)
def test_an_overload_has_no_steady_state(load, servers):
    assert MMc(load * servers, 1, servers).mean_wait == math.inf
    assert theory.mg1_mean_wait(load, 1, 1) == theory.feedback_mean_number(load, 1, 0.5) == math.inf


def test_the_variance_of_a_mean_wait_says_how_long_a_run_has_to_be():
    assert theory.variance_of_mean_wait(0.8) == near(1976)
