"""Consumers that take several deliveries at once."""

import math

import pytest
from scipy.optimize import brentq

from simbus import Scenario, simulate
from simbus.errors import ScenarioError
from simbus.simulation.forecast.check import utilisation
from simbus.theory import GM1
from tests.small import moments, played, small


def batches(at=(0,), batch=None, **consumer):
    """Messages at the given milliseconds."""
    batch = batch or {"size": 3, "within": "500ms"}
    return small(at, lasting="60s", batch=batch, **{"service": "constant 1s", **consumer})


def starts(tape):
    """When batches begin, in milliseconds, and how many messages are in each."""
    times = moments(tape, "started")
    return [(at, times.count(at)) for at in sorted(set(times))]


def test_a_free_server_takes_a_full_batch_at_once_and_what_there_is_when_it_has_waited():
    values, tape = played(batches(at=(0, 0, 0, 0, 5000, 5100, 9000, 9100, 9200)))
    assert starts(tape) == [(0, 3), (1500, 1), (5500, 2), (9200, 3)]
    assert values["work.service.mean"] == 1
    assert values["work.utilisation"] == values["consumers.c.utilisation"] == pytest.approx(4 / 60)  # one server a batch


def test_without_a_time_a_batch_is_what_is_there_at_that_instant():
    """Three that come together are one batch, though the broker delivers them one by one."""
    assert starts(played(batches(at=(0, 0, 0, 100, 200), batch={"size": 10}))[1]) == [(0, 3), (1000, 2)]


def test_messages_of_a_batch_succeed_and_fail_by_themselves_and_are_settled_together(seed):
    made = batches(at=(0,) * 600, batch={"size": 20, "within": "1s"}, failure={"permanent": 0.5}, service="constant 100ms")
    values, tape = played(made, seed)
    assert values["work.loss.rejected"] == pytest.approx(0.5, abs=0.1)
    ends = [effect.at for kind in ("Settled", "Removed") for effect in tape.effects(kind)]
    assert all(ends.count(at) == 20 for at in ends)


def test_each_message_may_take_time_besides_that_of_the_batch():
    made = batches(at=(0, 0, 0, 0), batch={"size": 3, "each": "constant 200ms"})
    assert set(moments(played(made)[1], "ended")) == {1600, 2800}
    assert utilisation(made.with_("publishers.web.arrivals", "poisson 1/s")) == pytest.approx({"c": 1.6 / 3})


def test_a_prefetch_below_the_size_of_a_batch_makes_every_batch_wait_and_lessens_what_is_finished():
    made = batches(at=(0,) * 4, prefetch=2)
    assert starts(played(made)[1]) == [(500, 2), (2000, 2)]
    assert utilisation(made.with_("publishers.web.arrivals", "poisson 1/s")) == pytest.approx({"c": 0.5})


def test_what_cannot_be_is_refused_with_the_remedy():
    for batch, text in (
        (20, "not a table"),
        ({"within": "1s"}, "needs size"),
        ({"size": 0}, "not a whole number from 1"),
        ({"size": 2, "each": "quick 1s"}, "unknown name 'quick'"),
    ):
        with pytest.raises(ScenarioError, match=text):
            batches(batch=batch)
    with pytest.raises(ScenarioError, match="a batch is not tried again as a whole"):
        batches(retry={"how": "in-handler", "attempts": 3})


# Against theory


def observed_wait(rate, batch, seed):
    made = Scenario("theory", run={"duration": "40min", "warmup": "5min", "replications": 8, "seed": seed})
    made.queue("work")
    made.publisher("web", to="work", arrivals=f"poisson {rate}/s")
    made.consumer("c", queue="work", service="exponential 1s", batch=batch)
    return simulate(made).estimate("work.wait.mean")


def bulk_wait(rate, size):
    """Mean wait where a server takes up to ``size`` of those who wait, and who comes meanwhile waits for the next (Bailey 1954).

    With n waiting behind a busy server, P(n) = P(0) r**n, where r is the root of rate + r**(size + 1) = (rate + 1) r below 1; the
    server is idle with probability P(0) / rate, at a service rate of 1.
    """
    root = brentq(lambda r: rate + r ** (size + 1) - (rate + 1) * r, 1e-9, 1 - 1e-6)
    empty = 1 / (1 / (1 - root) + 1 / rate)
    return empty * root / (1 - root) ** 2 / rate


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "size"), [(0.8, 1), (3, 5), (8, 10)])
def test_whoever_takes_what_there_is_waits_as_the_theory_of_bulk_service_says(rate, size, seed):
    wait = observed_wait(rate, {"size": size}, seed)
    assert size > 1 or bulk_wait(rate, size) == pytest.approx(rate / (1 - rate))
    assert abs(wait.mean - bulk_wait(rate, size)) < 4 * wait.half_width / 2


@pytest.mark.slow
def test_whoever_waits_for_full_batches_is_served_as_batches_that_arrive_by_erlangs_law(seed):
    """A message waits for its batch, (size - 1) / 2 arrivals on average, and with it for the server: E_k/M/1."""
    rate, size = 3.0, 4
    root = brentq(lambda r: (rate / (rate + 1 - r)) ** size - r, 1e-9, 1 - 1e-6)
    batch = GM1(lambda s: (rate / (rate + s)) ** size, rate / size, 1.0)
    wait = observed_wait(rate, {"size": size, "within": "9999h"}, seed)
    assert abs(wait.mean - (size - 1) / (2 * rate) - batch.mean_wait) < 4 * wait.half_width / 2
    assert batch.mean_wait == pytest.approx(root / (1 - root))
    assert not math.isnan(wait.mean)
