"""What will not work is said before it is simulated, and the arithmetic behind it is that of the simulation."""

import math

import pytest

from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.forecast.availability import share_left
from simbus.simulation.forecast.check import utilisation, warnings
from simbus.simulation.forecast.load import capacity, load, work
from simbus.simulation.model.replays import Replay
from simbus.simulation.model.specs import ConsumerSpec, read
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND


def consumer(**given):
    return read(ConsumerSpec, "consumers.c", {"name": "c", "queue": "orders", "service": "constant 100ms", **given})


def bookstore(**inventory):
    """An order flow with dead-lettering: 20 orders a second to one consumer of 30 ms."""
    shop = Scenario("Bookstore", run={"duration": "4h", "warmup": "20min"})
    shop.exchange("shop", "topic")
    shop.queue("orders", dead_letter_exchange="", dead_letter_routing_key="dead")
    shop.queue("dead")
    shop.bind("orders", "shop", "order.*")
    shop.publisher("web", exchange="shop", routing_key="order.placed", arrivals="poisson 20/s")
    shop.consumer("inventory", **{"queue": "orders", "prefetch": 1, "service": "lognormal mean=30ms cv=1", **inventory})
    return shop


IN_HANDLER = {"how": "in-handler", "attempts": 3, "backoff": "exponential 1s"}


# The work of one message


def test_without_failures_a_message_is_one_service():
    need = work(consumer())
    assert (need.attempts, need.rejected, need.server, need.slot) == (1, 0, 0.1, 0.1)


def test_retries_in_the_handler_hold_the_server_for_service_and_back_off():
    need = work(consumer(failure={"transient": 0.1, "permanent": 0.01}, retry=IN_HANDLER))
    assert need.attempts == pytest.approx(1 + 0.1 + 0.01)
    assert need.server == pytest.approx(0.1 * 1.11 + 1 * 0.1 + 2 * 0.01)
    assert need.rejected == pytest.approx(0.01 * 1.11 + 0.1**3)
    assert need.slot == need.server


def test_retries_by_requeue_leave_the_server_free_in_the_back_off_but_hold_the_prefetch():
    need = work(consumer(failure=0.1, retry={**IN_HANDLER, "how": "requeue"}))
    assert need.server == pytest.approx(0.1 * 1.11)
    assert need.slot == pytest.approx(0.1 * 1.11 + 1 * 0.1 + 2 * 0.01)


def test_the_outcomes_of_a_message_enumerated_one_by_one_give_the_same_work():
    p, r, backoffs = 0.3, 0.05, (1.0, 2.0, 4.0)
    need = work(consumer(failure={"transient": p, "permanent": r}, retry={**IN_HANDLER, "attempts": 4}))
    busy = rejected = 0.0
    for attempts in range(1, 5):  # the message ends with this attempt
        reached = p ** (attempts - 1)
        ends = 1.0 if attempts == 4 else 1 - p
        busy += reached * ends * (0.1 * attempts + sum(backoffs[: attempts - 1]))
        rejected += reached * (r + (p if attempts == 4 else 0))
    assert need.server == pytest.approx(busy)
    assert need.rejected == pytest.approx(rejected)


def test_endless_retries_take_a_geometric_number_of_attempts():
    need = work(consumer(failure=0.2))
    assert need.attempts == pytest.approx(1.25)
    assert need.rejected == 0
    assert work(consumer(failure=1)).attempts == math.inf
    assert capacity(consumer(failure=1)) == 0
    assert work(consumer(failure=1, retry="requeue attempts=3")).attempts == 3


def test_jitter_shortens_back_offs_by_half_of_it_on_average():
    plain = work(consumer(failure=0.1, retry="in-handler attempts=2 backoff='fixed 1s'"))
    jittered = work(consumer(failure=0.1, retry="in-handler attempts=2 backoff='fixed 1s jitter=0.4'"))
    assert plain.server - jittered.server == pytest.approx(0.1 * 0.2)


def test_capacity_is_limited_by_servers_and_by_prefetch():
    assert capacity(consumer(count=2, concurrency=3)) == pytest.approx(60)
    assert capacity(consumer(count=2, concurrency=3, prefetch=1)) == pytest.approx(20)
    waits = {"failure": 0.5, "retry": "requeue attempts=2 backoff='fixed 2s'"}  # 150 ms of service, 1 s of back-off
    assert capacity(consumer(**waits)) == pytest.approx(1 / 0.15)
    assert capacity(consumer(**waits, prefetch=1)) == pytest.approx(1 / 1.15)


# The load of a scenario


def test_the_bookstores_inventory_is_busy_for_seven_tenths_of_its_time():
    shop = bookstore(failure={"transient": 0.005, "permanent": 0.0005}, retry=IN_HANDLER)
    assert utilisation(shop) == {"inventory": pytest.approx(20 * (0.030 * 1.005025 + 1 * 0.005 + 2 * 0.000025))}


def test_dead_letters_arrive_where_the_broker_sends_them():
    shop = bookstore(failure={"permanent": 0.1})
    assert load(shop).arrivals == {"orders": 20, "dead": pytest.approx(2)}
    shop.consumer("undertaker", queue="dead", service="constant 100ms")
    assert utilisation(shop)["undertaker"] == pytest.approx(0.2)


def test_messages_that_come_back_through_a_delay_queue_arrive_again():
    shop = Scenario("x")
    shop.queue("work", dead_letter_exchange="", dead_letter_routing_key="later")
    shop.queue("later", message_ttl="10s", dead_letter_exchange="", dead_letter_routing_key="work")
    shop.publisher("web", to="work", arrivals="poisson 9/s")
    shop.consumer("worker", queue="work", service="constant 10ms", failure=0.1, retry="requeue attempts=1")
    assert load(shop).arrivals == {"work": pytest.approx(10), "later": pytest.approx(1)}
    assert utilisation(shop) == {"worker": pytest.approx(0.1)}


def test_groups_of_one_queue_share_its_load():
    shop = bookstore(count=1)
    shop.consumer("second", queue="orders", service="constant 60ms")
    assert utilisation(shop) == pytest.approx({"inventory": 20 / 50, "second": 20 / 50})


def test_every_queue_that_a_message_reaches_gets_a_copy():
    shop = bookstore()
    shop.queue("audit")
    shop.bind("audit", "shop", "#")
    shop.publisher("admin", exchange="shop", routing_key="stock.counted", arrivals="constant_rate 5/s")
    assert load(shop).arrivals == {"orders": 20, "audit": 25}


@pytest.mark.parametrize(
    ("retry", "failure"),
    [
        (IN_HANDLER, {"transient": 0.1, "permanent": 0.02}),
        ({"how": "in-handler", "attempts": 4, "backoff": "exponential 50ms factor=3 limit=200ms jitter=0.5"}, 0.3),
        ({"how": "requeue", "attempts": 3}, {"transient": 0.2, "permanent": 0.02}),
        ({"how": "requeue"}, 0.3),
    ],
    ids=["in the handler", "in the handler, limit and jitter", "by requeue", "by requeue without an end"],
)
def test_the_simulation_is_as_busy_as_the_arithmetic_says(seed, retry, failure):
    shop = bookstore(count=4, failure=failure, retry=retry).with_("publishers.web.arrivals", "poisson 8/s")
    result = simulate(shop, duration="4min", warmup="30s", replications=10, seed=seed, confidence=0.999)
    busy, dead = result.estimate("consumers.inventory.utilisation"), result.estimate("dead.arrival_rate")
    assert busy.low <= utilisation(shop)["inventory"] <= busy.high
    assert dead.low <= load(shop).arrivals.get("dead", 0.0) <= dead.high


# The warnings


def test_a_scenario_that_works_gives_no_warning():
    assert warnings(bookstore()) == []


def test_a_routing_key_that_reaches_no_queue():
    [lost, idle] = warnings(bookstore().with_("publishers.web.routing_key", "stock.counted"))
    assert lost == (
        "publishers.web.routing_key: 'stock.counted' reaches no queue from exchange 'shop', "
        "so every message is lost; bind a queue to it"
    )
    assert idle == "consumers.inventory.queue: nothing reaches 'orders'; bind it, or publish to it"


def test_consumers_that_cannot_keep_up_retries_counted():
    assert warnings(bookstore(service="constant 49ms")) == []
    [warning] = warnings(bookstore(service="constant 49ms", failure=0.05))
    assert warning.startswith(
        "queues.orders: utilisation 1.03, retries counted: 20 messages arrive a second and inventory can finish "
    )
    assert warning.endswith("so it grows until a limit or a TTL stops it; add consumers, or make them faster")


def test_a_prefetch_that_is_full_of_messages_in_back_off():
    slow = {"failure": 0.05, "retry": "requeue attempts=2 backoff='fixed 1s'"}
    assert warnings(bookstore(**slow, prefetch=10)) == []
    [warning, _] = warnings(bookstore(**slow, prefetch=1))
    assert "queues.orders: utilisation 1.63" in warning


def test_a_consumer_that_stands_still_while_its_only_delivery_waits_for_its_next_attempt():
    failing = {"failure": 0.01, "retry": "requeue attempts=2 backoff='fixed 1s'"}
    assert warnings(bookstore(**failing, prefetch=10)) == []
    [warning] = warnings(bookstore(**failing, prefetch=1))
    assert warning == (
        "consumers.inventory.prefetch: a delivery keeps its place in a back-off of 1 s or more, so with 1 a server stands still "
        'then; make it 10, or write retry.how = "delay-queue"'
    )
    assert warnings(bookstore(failure=0.01, prefetch=1)) == []  # back at once


def test_a_priority_in_a_queue_that_knows_none():
    shop = bookstore().with_("publishers.web.priority", 5)
    [warning] = warnings(shop)
    assert warning == (
        "publishers.web.priority: means nothing in 'orders', where messages wait in order of arrival; "
        "declare the queue with max_priority = 10, or leave priority out"
    )
    assert warnings(shop.with_("queues.orders.max_priority", 10)) == []
    assert warnings(shop.with_("publishers.web.priority", 0)) == []


@pytest.mark.parametrize("version", ["4.0", "3.10"])
def test_a_quorum_queue_tells_two_levels_of_priority_apart_in_4_0(version):
    shop = bookstore().with_("publishers.web.priority", 5).with_("version", version).with_("queues.orders.type", "quorum")
    assert len(warnings(shop)) == (version == "3.10")


def test_attempts_end_where_a_quorum_queue_takes_no_message_back():
    shop = bookstore(failure=0.5).with_("queues.orders.type", "quorum").with_("queues.orders.delivery_limit", 3)
    assert utilisation(shop)["inventory"] == pytest.approx(20 * 0.03 * (1 + 1 / 2 + 1 / 4 + 1 / 8))
    assert load(shop).arrivals["dead"] == pytest.approx(20 / 2**4)
    always = shop.with_("consumers.inventory.failure", 1.0).with_("consumers.inventory.service", "constant 10ms")
    assert utilisation(always)["inventory"] == pytest.approx(20 * 0.01 * 4)


def test_the_simulation_makes_as_many_attempts_as_a_quorum_queue_lets_it(seed):
    shop = bookstore(failure=1.0, service="constant 10ms", prefetch=5)
    shop = shop.with_("queues.orders.type", "quorum").with_("queues.orders.delivery_limit", 3)
    found = simulate(shop, duration="20s", warmup="1s", replications=2, seed=seed)
    assert found.estimate("orders.attempts.mean").mean == 4


def test_a_run_without_a_duration_ends_where_the_queue_makes_an_end_of_attempts():
    shop = Scenario("Finite")
    shop.queue("orders", type="quorum")
    shop.publisher("web", to="orders", arrivals="counts 5,5 every=1min")
    shop.consumer("inventory", queue="orders", service="constant 1ms", failure=1.0)
    shop.validate()
    for path, value in (("queues.orders.type", "classic"), ("version", "3.10")):
        with pytest.raises(ScenarioError, match="attempts have no end"):
            shop.with_(path, value).validate()


def test_outages_that_leave_a_group_too_little_time():
    shop = bookstore(service="constant 40ms")  # 80 % busy
    shop.outage("flaky", "breakdown", whom="inventory", mtbf="exponential 60s", mttr="exponential 20s")
    [warning] = warnings(shop)
    assert warning == (
        "queues.orders: flaky leaves inventory 75% of its time, so its utilisation is 1.07, not 0.80: it grows; "
        "add consumers, or make outages shorter"
    )
    assert warnings(shop.with_("outages.flaky.mttr", "exponential 10s")) == []


@pytest.mark.parametrize(
    ("what", "when", "left"),
    [
        ("crash", {"every": "1min", "lasting": "15s"}, 0.75),
        ("slow", {"every": "1min", "lasting": "30s", "factor": 2}, 0.75),
        ("slow", {"mtbf": "exponential 1min", "lasting": "1min", "factor": 4}, 0.625),
        ("crash", {"at": "1min", "lasting": "15s"}, 1),
        ("fail", {"every": "1min", "lasting": "15s"}, 1),
    ],
)
def test_what_outages_leave_of_the_time(what, when, left):
    shop = bookstore()
    shop.outage("trouble", what, whom="inventory", **when)
    assert share_left(shop, "inventory") == pytest.approx(left)


def test_a_queue_that_no_one_consumes_unless_it_holds_dead_letters():
    shop = bookstore(failure={"permanent": 0.1})
    shop.queue("audit")
    shop.bind("audit", "shop", "#")
    [warning] = warnings(shop)
    assert warning.startswith("queues.audit: 20 messages arrive a second and no one consumes them")


def test_a_delay_queue_needs_no_consumer():
    shop = Scenario("x", run={"duration": "4h"})
    shop.queue("later", message_ttl="10s", dead_letter_exchange="", dead_letter_routing_key="work")
    shop.queue("work")
    shop.publisher("web", to="later", arrivals="poisson 9/s")
    shop.consumer("worker", queue="work", service="constant 10ms")
    assert warnings(shop) == []


def test_an_expectation_that_can_never_be_decided():
    shop = bookstore(failure={"permanent": 0.1})
    shop.expect("dead.depth.max < 100")
    assert warnings(shop) == []
    shop.expect("dead.wait.p99 < 5s")
    [warning] = warnings(shop)
    assert warning == "expect: 'dead.wait.p99 < 5s' can never be decided, because 'dead' has no consumer; add one"


def test_a_run_that_is_too_short_for_its_quantile():
    shop = bookstore().with_("run.duration", "5min")
    shop.expect("orders.wait.p99 < 5s")
    assert warnings(shop) == []
    shop.expect("orders.wait.p99.9 < 5s")  # 6,000 waits, 6 of them beyond
    [warning] = warnings(shop)
    assert warning.startswith(
        "run.duration: too short for 'orders.wait.p99.9 < 5s', fewer than 10 observations beyond the quantile"
    )
    assert warning.endswith("make it 8.33 min or longer")


def test_a_run_that_is_too_short_to_settle():
    [warning] = warnings(bookstore(service="constant 49ms").with_("run.duration", "1h"))
    assert warning == "run.duration: too short for 'orders' to settle at utilisation 0.98; make it 3.4 h or longer"


def test_a_trace_is_as_long_as_it_is():
    shop = bookstore(service="constant 49ms")
    shop.expect("orders.wait.p99 < 5s")
    trace = shop.with_("publishers.web.arrivals", Replay("x.csv", 1, "order", (0, SECOND))).with_("run.duration", None)
    assert warnings(trace.with_("run.warmup", "0s")) == []
    at_once = trace.with_("publishers.web.arrivals", Replay("x.csv", 1, "order", (0, 0))).with_("run.warmup", "0s")
    assert (utilisation(at_once), warnings(at_once)) == ({"inventory": math.inf}, [])
    [warning] = warnings(trace.with_("consumers.inventory.service", "constant 2s").with_("run.warmup", "0s"))
    assert "utilisation 4.00" in warning
    assert "so it grows until the arrivals end" in warning


def test_what_cannot_run_is_an_error_and_no_warning():
    shop = bookstore()
    shop.expect("ordres.wait.p99 < 5s")
    with pytest.raises(ScenarioError, match=r"expect: unknown metric 'ordres.wait.p99'; did you mean 'orders.wait.p99'?"):
        warnings(shop)
    with pytest.raises(ScenarioError, match=r"consumers.inventory.queue: unknown queue 'order'"):
        warnings(bookstore(queue="order"))
