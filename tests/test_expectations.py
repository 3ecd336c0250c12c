"""Expectations are read against the declared names and judged by the limit of their interval."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.analysis.estimates import Estimate
from simbus.analysis.expectations import Verdict, parse, resolve
from simbus.analysis.metrics import quantile
from simbus.errors import ScenarioError

QUEUES = ("order.inventory.queue", "order", "payments", "queue with < and spaces")
CONSUMERS = ("charge", "payments")


def read(text):
    return parse(text, QUEUES, CONSUMERS)


@pytest.mark.parametrize(
    ("text", "key", "operator", "limit"),
    [
        ("payments.wait.p99 < 5s", "payments.wait.p99", "<", 5.0),
        ("payments.wait.p99<=1min30s", "payments.wait.p99", "<=", 90.0),
        ("payments.wait.p99.9 < 250 ms", "payments.wait.p99.9", "<", 0.25),
        ("order.inventory.queue.loss < 0.1%", "order.inventory.queue.loss", "<", 0.001),
        ("payments.loss.delivery_limit < 0.002", "payments.loss.delivery_limit", "<", 0.002),
        ("payments.throughput > 120/s", "payments.throughput", ">", 120.0),
        ("payments.throughput >= 7_200/h", "payments.throughput", ">=", 2.0),
        ("payments.depth.max < 50_000", "payments.depth.max", "<", 50_000.0),
        ("charge.utilisation < 80 %", "consumers.charge.utilisation", "<", 0.8),
        ("consumers.payments.utilisation < 80%", "consumers.payments.utilisation", "<", 0.8),
        ("queues.payments.utilisation < 80%", "payments.utilisation", "<", 0.8),
        ("window.p95 < 2s", "window.p95", "<", 2.0),
        ("window.never < 1%", "window.never", "<", 0.01),
        ("messages.rate > 1/s", "messages.rate", ">", 1.0),
        ("queue with < and spaces.wait.mean < 1s", "queue with < and spaces.wait.mean", "<", 1.0),
    ],
)
def test_an_expectation_is_a_path_an_operator_and_a_limit_with_a_unit(text, key, operator, limit):
    expectation = read(text)
    assert (expectation.target.key, expectation.operator, expectation.text) == (key, operator, text)
    assert expectation.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("payments.wait.p99", "write for example"),
        ("payments.wait.p99 = 5s", "write for example"),
        ("< 5s", "write for example"),
        ("payments.wait.p99 < 5", "the limit of payments.wait.p99"),
        ("payments.loss < 5", "between 0 and 1"),
        ("payments.loss < 5s", "between 0 and 1"),
        ("payments.throughput > 120", "is not a rate"),
        ("payments.depth.max < 5s", "is not a number"),
        ("order.inventroy.queue.wait.p99 < 5s", "did you mean 'order.inventory.queue.wait.p99'?"),
        ("payments.weight.p99 < 5s", "did you mean 'payments.wait.p99'?"),
        ("payments.wait < 5s", "did you mean 'payments.wait.p99'?"),
        ("wait.p99 < 5s", "did you mean 'order.inventory.queue.wait.p99'?"),
        ("payments.wait.p101 < 5s", "unknown metric 'payments.wait.p101'"),
        ("nowhere < 5s", "queues: order.inventory.queue, order, payments"),
        ("payments.utilisation < 80%", "write queues.payments.utilisation or consumers.payments.utilisation"),
    ],
)
def test_what_cannot_be_read_names_the_remedy_in_one_line(text, remedy):
    with pytest.raises(ScenarioError) as caught:
        read(text)
    assert caught.value.place == "expect"
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def test_of_two_queues_that_fit_the_longer_name_counts():
    assert resolve("a.loss.n", ("a", "a.loss"), ()).key == "a.loss.n"
    target = resolve("orders.wait.wait.p50", ("orders", "orders.wait"), ())
    assert (target.entity, target.name) == ("orders.wait", "wait.p50")


@pytest.mark.parametrize(
    ("name", "probability"), [("wait.p50", 0.5), ("wait.p99.9", 0.999), ("p29", 0.29), ("wait.mean", None), ("window.max", None)]
)
def test_a_quantile_is_read_from_its_name(name, probability):
    assert quantile(name) == probability


@pytest.mark.parametrize(
    ("text", "low", "high", "outcome"),
    [
        ("payments.wait.p99 < 5s", 3.0, 4.9, "holds"),
        ("payments.wait.p99 < 5s", 4.0, 5.1, "undecided"),  # though the mean is below
        ("payments.wait.p99 < 5s", 5.1, 9.0, "fails"),
        ("payments.wait.p99 < 5s", 5.0, 5.0, "fails"),
        ("payments.wait.p99 <= 5s", 5.0, 5.0, "holds"),
        ("payments.wait.p99 < 5s", -math.inf, math.inf, "undecided"),
        ("payments.wait.p99 < 5s", 1.0, math.inf, "undecided"),
        ("payments.wait.p99 < 5s", math.inf, math.inf, "fails"),
        ("payments.throughput > 10/s", 11.0, 12.0, "holds"),
        ("payments.throughput > 10/s", 9.0, 12.0, "undecided"),
        ("payments.throughput > 10/s", 8.0, 9.0, "fails"),
        ("payments.throughput > 10/s", 10.0, 10.0, "fails"),
        ("payments.throughput >= 10/s", 10.0, 10.0, "holds"),
    ],
)
def test_the_confidence_limit_decides_and_not_the_mean(text, low, high, outcome):
    assert read(text).outcome(Estimate((low + high) / 2, low, high, n=20)) == outcome


def test_what_was_never_observed_is_undecided():
    assert read("payments.wait.p99 < 5s").outcome(Estimate(math.nan, -math.inf, math.inf, 0, missing=20)) == "undecided"


def verdict(text, low, high, n=20):
    estimate = Estimate((low + high) / 2, low, high, n)
    return Verdict(read(text), estimate, read(text).outcome(estimate))


def test_how_many_more_replications_would_decide_follows_from_the_square_root():
    assert verdict("payments.wait.p99 < 5s", 2.0, 6.0).more == 60  # half a width of 2 must become 1
    assert verdict("payments.throughput > 10/s", 9.0, 12.0).more == 160
    assert verdict("payments.wait.p99 < 5s", 3.0, 5.0).more == 1


@pytest.mark.parametrize(
    ("low", "high", "n", "more"),
    [(3.0, 4.0, 20, 0), (6.0, 7.0, 20, 0), (4.0, 6.0, 20, None), (-math.inf, math.inf, 1, None), (1.0, math.inf, 20, None)],
)
def test_what_is_decided_needs_no_more_and_of_some_nobody_can_tell(low, high, n, more):
    assert verdict("payments.wait.p99 < 5s", low, high, n).more == more


@given(st.floats(0.1, 100), st.floats(0.01, 100), st.integers(2, 1000))
def test_the_interval_is_narrow_enough_then(mean, half_width, n):
    undecided = verdict("payments.wait.p99 < 5s", mean - half_width, mean + half_width, n)
    if undecided.more:
        assert half_width * math.sqrt(n / (n + undecided.more)) <= abs(mean - 5) * (1 + 1e-9)


@pytest.mark.parametrize("text", ["payments.wait.p99 << 5s", "payments.loss == 0", "payments.loss => 1%"])
def test_an_operator_that_does_not_exist_is_answered_by_those_that_do(text):
    with pytest.raises(ScenarioError, match="one of < <= > >="):
        parse(text, ["payments"])
