"""The full trace of a replication: what the recorder saw, to the last effect, and small."""

import tracemalloc

import pytest

from simbus import Scenario, simulate, trace_of
from simbus.analysis.tape import Tape
from simbus.errors import ScenarioError
from simbus.simulation.experiment.assembly import run_replication
from tests.naive import watched


@pytest.fixture
def shop():
    """Retries, dead letters and expiry, and a queue that an exchange copies to."""
    scenario = Scenario("shop")
    scenario.exchange("orders", type="fanout")
    scenario.queue("dead")
    for name in ("stock", "mail"):
        scenario.queue(name, message_ttl="1s", dead_letter_exchange="", dead_letter_routing_key="dead")
        scenario.bind(name, "orders")
    for name in ("stock", "mail"):
        scenario.consumer(name, queue=name, prefetch=3, service="exponential 20ms", failure=0.1)
    scenario.publisher("web", exchange="orders", arrivals="poisson 30/s")
    return scenario.with_("run.duration", "20s").with_("run.seed", 5)


def test_a_trace_has_every_effect_in_order(shop):
    with watched() as runs:
        run_replication(shop, 5, 2)
    effects = [each for each in runs[0].tape if not isinstance(each, tuple)]
    trace = trace_of(shop, 2)
    assert trace["time"].astype("int64").tolist() == [each.at for each in effects]
    assert trace["effect"].tolist() == [type(each).__name__ for each in effects]
    assert trace["queue"].tolist() == [getattr(each, "queue", "") for each in effects]
    assert trace["message"].tolist() == [each.message_id for each in effects]
    assert trace["copy"].tolist() == [each.copy_id for each in effects]


def test_a_trace_is_that_of_the_replication_with_its_number(shop):
    results = simulate(shop, replications=2)
    for number in (0, 1):
        settled = trace_of(shop, number).query("effect == 'Settled' and queue == 'stock'")
        assert len(settled) == round(results.replications[number].values["stock.throughput"] * 20)


@pytest.mark.parametrize("replication", [-1, 1.5, "0"])
def test_there_is_no_such_replication(shop, replication):
    with pytest.raises(ScenarioError, match="is not a whole number from 0"):
        trace_of(shop, replication)


@pytest.mark.slow
def test_a_full_trace_takes_less_than_sixty_bytes_a_delivery(shop):
    with watched() as runs:
        run_replication(shop.with_("run.duration", "10min"), 5, 0)
    effects = [each for each in runs[0].tape if not isinstance(each, tuple)]
    tape = Tape()
    tracemalloc.start()
    for effect in effects:
        tape.take([effect])
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held / len(runs[0].effects("Delivered")) < 60
