"""Which closed form is said to apply to which queue, and that the observed values are near it."""

import pytest

from simbus.analysis.exact import z_score
from simbus.simulation.exact import exact_values
from simbus.simulation.experiment import simulate
from simbus.simulation.scenario import Scenario

RUN = {"duration": "1h", "warmup": "5min"}


def scenario(arrivals="poisson 0.8/s", options=None, run=RUN, **consumer):
    made = Scenario("one queue", run=run)
    made.queue("work", **(options or {}))
    made.publisher("source", to="work", arrivals=arrivals)
    made.consumer("server", queue="work", **({"service": "exponential 1s"} | consumer))
    return made


def models(scenario):
    return {each.model for each in exact_values(scenario)}


@pytest.mark.parametrize(
    ("expected", "parts"),
    [
        ("M/M/1", {}),
        ("M/M/3", {"count": 3, "prefetch": 1}),
        ("M/M/3", {"concurrency": 3}),
        ("M/D/1", {"service": "constant 1s"}),
        ("M/G/1", {"service": "gamma mean=1s cv=0.5"}),
        ("D/M/1", {"arrivals": "constant_rate 0.8/s"}),
        ("M^[X]/M/1", {"arrivals": "batches 0.8/s size=5"}),
        ("E3/M/1, dealt in turn", {"count": 3}),
        ("M/M/1/5", {"options": {"max_length": 4, "overflow": "reject-publish"}, "prefetch": 1}),
        ("M/M/2+D", {"options": {"message_ttl": "5s"}, "count": 2, "prefetch": 1}),
        ("M/M/1 with feedback", {"failure": 0.1, "prefetch": 1}),
        ("M/M/2 with retries", {"failure": 0.1, "concurrency": 2, "retry": "requeue attempts=3 backoff='fixed 1s'"}),
    ],
)
def test_a_queue_is_recognised(expected, parts):
    assert models(scenario(**parts)) == {expected}


@pytest.mark.parametrize(
    "parts",
    [
        {"count": 3, "prefetch": 2},  # between pooled and dealt out
        {"count": 3, "prefetch": 1, "service": "constant 1s"},
        {"arrivals": "poisson 1.2/s"},  # no steady state
        {"arrivals": "sinusoid 0.5/s swing=0.5 period=1h"},
        {"options": {"max_priority": 3}},
        {"options": {"max_length": 4}},  # what is in the buffer of the consumer does not count for the limit
        {"failure": 0.1, "count": 2},
        {"run": {}},  # it ends with its arrivals
    ],
)
def test_where_no_form_holds_exactly_nothing_is_said(parts):
    assert exact_values(scenario(**parts)) == ()


def test_two_publishers_without_memory_are_one():
    both = scenario("poisson 0.3/s")
    both.publisher("other", to="work", arrivals="poisson 0.5/s")
    found = {each.metric: each.value for each in exact_values(both)}
    assert found["work.wait.mean"] == pytest.approx(4)


def test_a_queue_that_gets_dead_letters_is_no_simple_one():
    chain = scenario(failure={"permanent": 0.5})
    chain.queue("parked", max_length=5)
    chain = chain.with_("queues.work.dead_letter_exchange", "").with_("queues.work.dead_letter_routing_key", "parked")
    chain.consumer("clerk", queue="parked", service="exponential 100ms")
    assert {each.metric.partition(".")[0] for each in exact_values(chain)} == {"work"}


def test_the_table_sets_both_beside_each_other(seed):
    result = simulate(scenario(count=3, prefetch=1, arrivals="poisson 2.4/s"), replications=6, seed=seed)
    table = result.theory()
    assert list(table.columns) == ["model", "exact", "mean", "low", "high", "z", "source"]
    wait = table.loc["work.wait.mean"]
    assert (wait["model"], wait["exact"]) == ("M/M/3", pytest.approx(1.07865, rel=1e-5))
    assert wait["mean"] == result.estimate("work.wait.mean").mean
    assert abs(wait["z"]) < 6


def test_a_wrong_theory_stands_out():
    assert z_score([3.9, 4.1, 4.0, 4.05], 4) == pytest.approx(0.29, abs=0.01)
    assert z_score([3.9, 4.1, 4.0, 4.05], 5) < -20
