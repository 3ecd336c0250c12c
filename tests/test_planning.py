"""``scenario.check()``: load and headroom, ways of dead letters, and the prefetch rule, against theory and the simulation."""

import math
from typing import Any

import pytest

from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.forecast.dead_letters import Cycle
from simbus.simulation.forecast.load import load
from simbus.simulation.forecast.planning import Group
from simbus.simulation.forecast.prefetch import needed
from simbus.simulation.model.specs import ConsumerSpec, read
from simbus.simulation.scenario import Scenario


def station(rate: str = "2.4/s", **consumer: Any) -> Scenario:
    """One queue and one group of consumers."""
    made = Scenario("station", run={"duration": "24h"})
    made.queue("work")
    made.publisher("source", to="work", arrivals=f"poisson {rate}")
    said = {"queue": "work", "service": "exponential 1s", "count": 4, "prefetch": 1, **consumer}
    made.consumer("server", **{key: value for key, value in said.items() if value is not None})
    return made


def group(scenario: Scenario) -> Group:
    [found] = scenario.check().groups
    return found


# Load and headroom


def test_retries_amplify_the_load_as_in_the_truth_table():
    """Row 13: four servers, 2.4/s, p = 0.2 and three retries give 1.248 deliveries for each message."""
    found = group(station(failure=0.2, retry="in-handler attempts=4"))
    assert found.attempts == found.amplification == pytest.approx(1.248)
    assert found.utilisation == pytest.approx(2.4 * 1.248 / 4)
    assert found.headroom == pytest.approx(1 - 2.9952 / 4)


def test_what_comes_round_by_dead_lettering_amplifies_it_too():
    found = group(loop(failure={"permanent": 0.2}))
    assert found.arrivals == pytest.approx(10 / 0.8)
    assert found.attempts == 1
    assert found.amplification == pytest.approx(1 / 0.8)


def test_with_one_consumer_lost_the_others_have_its_work():
    assert group(station(count=4)).less_one == pytest.approx(2.4 / 3)
    assert group(station(count=4)).headroom_less_one == pytest.approx(0.2)
    assert group(station("0.5/s", count=1)).less_one == math.inf


def test_groups_of_one_queue_help_each_other_out():
    shared = station("0.5/s", count=1)
    shared.consumer("second", queue="work", service="constant 500ms")
    first, second = shared.check().groups
    assert first.utilisation == second.utilisation == pytest.approx(0.5 / 3)
    assert (first.less_one, second.less_one) == pytest.approx((0.5 / 2, 0.5 / 1))


def test_a_scenario_is_stable_while_every_group_keeps_up():
    assert station("3.9/s").check().stable
    assert not station("4/s").check().stable
    assert station("3.9/s").check().table().loc["server", "stable"]


def test_publishers_that_wait_for_their_messages_overload_nobody():
    closed = station().with_("publishers.source.arrivals", "closed_loop window=50 think='constant 1s' until=applied")
    found = closed.check()
    assert group(closed).utilisation == pytest.approx(1)
    assert (found.stable, found.warnings) == (True, [])


def test_a_single_active_consumer_is_one_server_and_another_takes_over():
    alone = Scenario("alone", run={"duration": "24h"})
    alone.queue("work", single_active_consumer=True)
    alone.publisher("source", to="work", arrivals="poisson 0.5/s")
    alone.consumer("server", queue="work", count=3, service="exponential 1s")
    found = group(alone)
    assert found.servers == 1
    assert (found.utilisation, found.less_one) == pytest.approx((0.5, 0.5))
    assert alone.check().warnings == []


def test_shifts_count_with_those_on_duty():
    found = group(station("2/s", count=None, shifts="8h:2,4h:8,12h:2"))
    assert found.servers == 3
    assert (found.utilisation, found.less_one) == pytest.approx((2 / 3, 1))


def test_of_a_handler_that_is_code_nobody_knows_how_busy_it_is():
    found = station(service=None, handler=lambda _env, _message: "3ms").check()
    assert math.isnan(found.groups[0].utilisation)
    assert found.stable
    assert str(found).splitlines()[1].split()[-3:] == ["–", "–", "–"]


def test_the_table_has_the_load_of_each_group():
    scenario = station(failure=0.2, retry="in-handler attempts=4")
    table = scenario.check().table()
    busy = load(scenario).utilisation["server"]
    assert list(table.index) == ["server"]
    assert (table.loc["server", "utilisation"], table.loc["server", "headroom"]) == (busy, 1 - busy)
    assert table.loc["server", "servers"] == 4


def test_what_cannot_run_is_an_error():
    broken = station()
    broken.expect("wrok.wait.p99 < 5s")
    with pytest.raises(ScenarioError, match=r"did you mean 'work.wait.p99'"):
        broken.check()
    with pytest.raises(ScenarioError, match=r"consumers.server.queue: unknown queue 'wrok'"):
        station(queue="wrok").check()


def test_a_check_needs_no_duration_because_simulate_may_be_given_one():
    endless = Scenario("endless")
    endless.queue("work")
    endless.publisher("source", to="work", arrivals="poisson 2/s")
    endless.consumer("server", queue="work", service="constant 1s")
    [warning] = endless.check().warnings
    assert "so it grows until a limit or a TTL stops it" in warning


# Dead letters


def loop(ttl="2s", **consumer):
    """A queue whose rejected messages come back to it through a delay queue."""
    made = Scenario("loop", run={"duration": "24h"})
    made.queue("work", dead_letter_exchange="", dead_letter_routing_key="later")
    made.queue("later", message_ttl=ttl, dead_letter_exchange="", dead_letter_routing_key="work")
    made.publisher("source", to="work", arrivals="poisson 10/s")
    made.consumer("server", **{"queue": "work", "service": "constant 10ms", **consumer})
    return made


def test_a_scenario_without_dead_letters_has_no_cycle():
    assert station().check().cycles == ()
    assert loop().check().cycles == ()  # nothing is rejected, so nothing comes round
    assert station().check().warnings == []


def test_a_delay_queue_for_retries_comes_round_until_it_is_accepted():
    found = loop(failure={"permanent": 0.2}).check()
    assert found.cycles == (Cycle(("work", "later"), "accepted", pytest.approx(0.2)),)
    assert str(found.cycles[0]) == "work → later → work: dead letters come round until they are accepted, 1.25 times on average"
    assert found.warnings == []


def test_the_simulation_comes_round_as_often_as_the_check_says(seed):
    scenario = loop("100ms", failure={"permanent": 0.4})
    [cycle] = scenario.check().cycles
    rate = simulate(scenario, duration="20min", warmup="10s", replications=5, seed=seed, confidence=0.999).estimate(
        "work.arrival_rate"
    )
    assert rate.low <= 10 / (1 - cycle.again) <= rate.high


def test_a_message_that_is_always_rejected_goes_round_for_ever():
    found = loop(failure={"permanent": 1}).check()
    assert [cycle.ending for cycle in found.cycles] == ["never"]
    [caution] = [each for each in found.cautions if "for ever" in each.problem]
    assert caution.place == "queues.work"
    assert caution.problem == "every message is rejected and goes round for ever: work → later → work"
    assert caution.remedy == "let its way end, by a limit of deliveries or in a queue that no one rejects from"


def expiring():
    """Two queues without consumers that lead to each other."""
    made = Scenario("expiring", run={"duration": "24h"})
    for name, other in (("a", "b"), ("b", "a")):
        made.queue(name, message_ttl="1s", dead_letter_exchange="", dead_letter_routing_key=other)
    made.publisher("source", to="a", arrivals="poisson 10/s")
    return made


def test_a_cycle_without_a_rejection_drops_what_comes_round():
    found = expiring().check()
    assert [(cycle.queues, cycle.ending) for cycle in found.cycles] == [(("a", "b"), "dropped")]
    assert (
        "queues.a: dead letters go round, a → b → a, and no consumer rejects them there, so the broker drops" in found.warnings[0]
    )


def test_the_simulation_drops_it_too(seed):
    """RabbitMQ's documentation, Dead Letter Exchanges: dropped if there were no rejections in the entire cycle."""
    result = simulate(expiring(), duration="1min", warmup="5s", replications=2, seed=seed)
    assert result.estimate("a.loss.expired").mean > 0.95
    assert result.estimate("a.arrival_rate").mean == pytest.approx(10, rel=0.2)  # none comes back


@pytest.mark.parametrize(("declared", "bound"), [(False, False), (True, False), (True, True)])
def test_a_dead_letter_exchange_that_leads_nowhere_is_said(declared, bound):
    scenario = station()
    scenario.queue("orders", max_length=10, dead_letter_exchange="dlx")
    scenario.queue("dead")
    scenario.publisher("shop", to="orders", arrivals="poisson 1/s")
    scenario.consumer("clerk", queue="orders", service="constant 10ms")
    if declared:
        scenario.exchange("dlx", "direct")
    if bound:
        scenario.bind("dead", "dlx", "orders")
    lost = (
        "queues.orders: its dead letters go to exchange 'dlx' with routing key 'orders', which reach no queue: they are lost; "
        "declare that exchange, and bind a queue to it"
    )
    assert scenario.check().warnings == ([] if bound else [lost])


def test_dead_letters_keep_the_key_that_the_last_dead_letter_exchange_gave_them():
    """RabbitMQ's documentation: without x-dead-letter-routing-key the message's own routing keys are used."""
    scenario = station()
    scenario.exchange("x", "direct")
    scenario.queue("first", message_ttl="1s", dead_letter_exchange="", dead_letter_routing_key="second")
    scenario.queue("second", message_ttl="1s", dead_letter_exchange="x")
    scenario.queue("third")
    scenario.publisher("shop", to="first", arrivals="poisson 1/s")
    scenario.bind("third", "x", "first")
    assert "with routing key 'second', which reach no queue" in "".join(scenario.check().warnings)
    scenario.bind("third", "x", "second")
    assert "reach no queue" not in "".join(scenario.check().warnings)


def test_what_policies_say_of_dead_letters_counts():
    scenario = station()
    document = {
        "queues": [{"name": "orders", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}],
        "policies": [
            {"name": "p", "vhost": "/", "pattern": "orders", "priority": 0, "definition": {"dead-letter-exchange": "gone"}}
        ],
    }
    scenario.definitions(document)
    scenario.publisher("shop", to="orders", arrivals="poisson 1/s")
    scenario.consumer("clerk", queue="orders", service="constant 10ms")
    [warning] = scenario.check().warnings
    assert "queues.orders: its dead letters go to exchange 'gone'" in warning


# The prefetch rule


def consumer(**given):
    return read(ConsumerSpec, "consumers.c", {"name": "c", "queue": "q", "service": "constant 4ms", **given})


def test_the_prefetch_that_is_needed_is_that_of_the_round_trip_and_the_service():
    """Row 22: 104 ms of round trip at 4 ms of service are 26 messages on their way, and one is handled."""
    assert needed(consumer(), 104_000_000) == 27
    assert needed(consumer(concurrency=3), 104_000_000) == 81
    assert needed(consumer(), 0) == 1


@pytest.mark.parametrize(
    ("consumers", "waits"), [(2, "2.84 s on average instead of 1.78 s"), (4, "2.27 s on average instead of 746 ms")]
)
def test_an_unlimited_prefetch_costs_what_the_truth_table_says(consumers, waits):
    """Rows 2 and 6, at a utilisation of 0.8."""
    [caution] = station(f"{0.8 * consumers}/s", count=consumers, prefetch=None).check().cautions
    assert caution.place == "consumers.server.prefetch"
    assert f"unlimited lets messages wait in one consumer while another is idle: about {waits}" in caution.problem
    assert caution.remedy == "make it 2, which is enough for a round trip of 1 ms"
    [caution] = station(f"{0.8 * consumers}/s", count=consumers, prefetch=20).check().cautions
    assert f"20 lets messages wait in one consumer while another is idle: up to {waits}" in caution.problem


@pytest.mark.parametrize(
    "given",
    [
        {"prefetch": 1},
        {"prefetch": 2},
        {"count": 1, "prefetch": None, "rate": "0.8/s"},  # nobody else is idle
        {"prefetch": None, "rate": "0.4/s"},  # hardly anyone waits at all
    ],
    ids=["one", "enough for the round trip", "one consumer", "little load"],
)
def test_a_prefetch_that_costs_little_is_not_spoken_of(given):
    assert station(given.pop("rate", "2.4/s"), **given).check().warnings == []


def test_a_prefetch_below_the_concurrency_leaves_handlers_idle():
    [warning] = station(concurrency=4, prefetch=3).check().warnings
    assert warning == "consumers.server.prefetch: 3 leaves 1 of the 4 handlers of each consumer without work for ever; make it 8"


def test_a_prefetch_that_does_not_cover_the_round_trip_is_said_with_what_it_leaves_undone():
    """Row 22 again: at 52 ms each way and 4 ms of service, a prefetch of 13 keeps a consumer busy for 13 of 27 parts."""
    far = station("10/s", count=1, service="constant 4ms", prefetch=13)
    assert far.check().warnings == []
    far.network("server", latency="constant 52ms")
    [warning] = far.check().warnings
    assert warning == (
        "consumers.server.prefetch: 13 is too few for a round trip of 104 ms: handlers are busy for 48% at most; make it 27"
    )
    assert far.with_("consumers.server.prefetch", 27).check().warnings == []


# What a user sees


def test_a_check_says_in_short_how_it_is():
    assert repr(station().check()) == "<Check of station: stable, busiest server 0.60, warnings: 0>"
    assert repr(station("5/s").check()).startswith("<Check of station: overloaded, busiest server 1.25, warnings: ")
    lonely = Scenario("lonely", run={"duration": "1h"})
    lonely.queue("work")
    lonely.publisher("source", to="work", arrivals="poisson 1/s")
    assert repr(lonely.check()) == "<Check of lonely: stable, no consumers, warnings: 1>"
    assert str(lonely.check()).startswith("warning: queues.work: 1 messages arrive a second and no one consumes them")


def test_a_check_prints_its_table_its_cycles_and_its_warnings():
    lines = str(loop(failure={"permanent": 0.2}, count=2, prefetch=1, service="constant 100ms").check()).splitlines()
    assert lines[0].split() == ["group", "queue", "arrivals", "attempts", "servers", "utilisation", "headroom", "one", "less"]
    assert lines[1].split() == ["server", "work", "12.5", "/s", "1.25", "2", "0.62", "38%", "-25%"]
    assert lines[2].startswith("cycle: work → later → work")


def test_a_check_is_shown_in_a_notebook_with_its_warnings():
    page = station(concurrency=4, prefetch=3).check()._repr_html_()
    assert "<table" in page
    assert "&lt;Check of station" in page
    assert "consumers.server.prefetch: 3 leaves 1" in page


@pytest.mark.parametrize(
    ("together", "place"),
    [
        ({"batch": {"size": 5, "within": "1s"}}, "batch.size = 5"),
        ({"acknowledge": {"multiple": 5, "within": "1s"}}, "multiple = 5"),
    ],
)
def test_a_prefetch_below_what_is_settled_together_is_warned_of(together, place):
    small, enough = (station("10/s", service="exponential 20ms", prefetch=prefetch, **together) for prefetch in (3, 5))
    assert any(place in warning for warning in small.check().warnings)
    assert not any(place in warning for warning in enough.check().warnings)


def test_an_outage_after_the_end_of_the_run_is_warned_of():
    scenario = station("10/s", service="exponential 20ms").with_("run.duration", "1min").with_("run.warmup", "10s")
    scenario.outage("early", "crash", whom=list(scenario.consumers), at="69s", lasting="1s")
    scenario.outage("late", "crash", whom=list(scenario.consumers), at="70s", lasting="1s")
    assert [warning.partition(":")[0] for warning in scenario.check().warnings if "never comes" in warning] == ["outages.late.at"]
