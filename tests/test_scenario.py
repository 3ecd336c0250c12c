"""A scenario checks each part when it is given, and that the parts fit together before it runs."""

import pickle
from datetime import timedelta
from typing import Any

import pytest

from simbus.dialect import load
from simbus.errors import ScenarioError
from simbus.rabbitmq import modelled
from simbus.simulation.model.distributions import Constant, Exponential, Lognormal, exponential, lognormal
from simbus.simulation.model.failures import Backoff, Failure, Retry, in_handler
from simbus.simulation.model.replays import Replay
from simbus.simulation.model.workloads import ConstantRate, Poisson, poisson
from simbus.simulation.scenario import Scenario
from simbus.units import HOUR, MILLISECOND, MINUTE, SECOND


@pytest.fixture
def shop():
    """The scenario of the README."""
    shop = Scenario("Black Friday")
    shop.queue("payments", max_length=50_000, overflow="reject-publish")
    shop.publisher("web", to="payments", arrivals=poisson("120/s"))
    shop.consumer("charge", queue="payments", count=8, prefetch=20, service=lognormal(mean="55ms", cv=0.8), failure=0.02)
    shop.expect("payments.wait.p99 < 5s")
    return shop


def refusal(call, *arguments, **named):
    """The error of a call, as the one line that a user reads."""
    with pytest.raises(ScenarioError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_said_is_what_is_there(shop):
    assert shop.name == "Black Friday"
    assert shop.topology.queues == {"payments": {"max_length": 50_000, "overflow": "reject-publish"}}
    assert shop.publishers["web"].arrivals == Poisson(120.0)
    assert shop.publishers["web"].kinds[0].address == {"to": "payments", "size": 1_000}
    charge = shop.consumers["charge"]
    assert (charge.queue, charge.count, charge.concurrency, charge.prefetch) == ("payments", 8, 1, 20)
    assert (charge.service, charge.failure) == (Lognormal(55 * MILLISECOND, 0.8), Failure(transient=0.02))
    assert shop.expectations == ["payments.wait.p99 < 5s"]


def test_what_was_not_said_has_the_usual_value(shop):
    shop.consumer("audit", queue="payments", service="constant 2ms")
    audit = shop.consumers["audit"]
    assert (audit.count, audit.concurrency, audit.prefetch, audit.failure, audit.retry) == (1, 1, None, Failure(), Retry())
    assert (shop.run.duration, shop.run.warmup, shop.run.replications, shop.run.seed) == (None, 0, 10, 1)
    assert shop.run.confidence == 0.95


def test_text_a_table_and_python_say_the_same():
    shop = Scenario("three ways")
    forms = [
        {"service": "exponential 30ms", "retry": "in-handler attempts=3 backoff='exponential 1s'", "failure": "0.5%"},
        {
            "service": {"exponential": {"mean": "30ms"}},
            "retry": {"how": "in-handler", "attempts": 3, "backoff": "exponential 1s"},
            "failure": {"transient": 0.005},
        },
        {"service": exponential("30ms"), "retry": in_handler(3, Backoff("exponential", SECOND)), "failure": Failure(0.005)},
    ]
    for number, form in enumerate(forms):
        shop.consumer(f"c{number}", queue="q", prefetch="unlimited", **form)
    text, table, python = (dict(each) | {"name": "c"} for each in shop.consumers.values())
    assert text == table == python


def test_run_settings_are_read_with_their_units():
    run = Scenario("x", run={"duration": "4h", "warmup": timedelta(minutes=20), "confidence": "99%"}).run
    assert (run.duration, run.warmup, run.confidence) == (4 * HOUR, 20 * MINUTE, 0.99)


def test_a_scenario_can_be_sent_to_another_process(shop):
    twin = pickle.loads(pickle.dumps(shop))  # noqa: S301 - our own bytes
    assert (twin.consumers, twin.publishers, twin.topology, twin.run) == (
        shop.consumers,
        shop.publishers,
        shop.topology,
        shop.run,
    )
    assert twin.with_("consumers.charge.count", 9).consumers["charge"].count == 9


def test_the_order_of_calls_is_free():
    shop = Scenario("backwards", run={"duration": "1min"})
    shop.consumer("charge", queue="payments", service="exponential 30ms")
    shop.publisher("web", exchange="shop", routing_key="paid", arrivals="poisson 1/s")
    shop.bind("payments", "shop", "paid")
    shop.exchange("shop", "topic")
    shop.queue("payments")
    shop.validate()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("count", 0, "consumers.c.count: 0 is not a whole number from 1; write for example 3"),
        ("count", True, "consumers.c.count: True is not a whole number from 1"),
        ("concurrency", 1.5, "consumers.c.concurrency: 1.5 is not a whole number from 1"),
        ("prefetch", 0, 'consumers.c.prefetch: 0 is not a whole number from 1; write for example 10, or "unlimited"'),
        ("queue", 7, 'consumers.c.queue: 7 is not text; write it in quotes: "7"'),
        ("service", 30, "consumers.c.service: 30 is neither text, a table nor a built object; start with one of: constant"),
        ("service", "lognormal 30ms", "consumers.c.service: lognormal needs cv; write lognormal cv=..."),
        ("service", "lognormal maen=30ms cv=1", "consumers.c.service: unknown parameter 'maen'; did you mean 'mean'?"),
        ("service", "exponential 30", 'consumers.c.service: mean: 30 has no unit; write "30s"'),
        ("service", poisson("1/s"), "consumers.c.service: Poisson(rate=1.0) is neither"),
        ("failure", 1.5, "consumers.c.failure: transient: 1.5 is not between 0 and 1"),
        ("failure", {"often": 1}, "consumers.c.failure: unknown kind of failure 'often'; known: transient, permanent"),
        ("retry", {"attempts": 3}, "consumers.c.retry: how is missing; write how = one of: in-handler, requeue"),
        ("retry", "requeue backoff='cubic 1s'", "consumers.c.retry.backoff: unknown name 'cubic'"),
    ],
)
def test_a_consumer_that_cannot_be_is_refused_at_once(key, value, problem):
    given = {"queue": "q", "service": "constant 1ms", key: value}
    assert refusal(Scenario("x").consumer, "c", **given).startswith(problem)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"arrivals": "poisson 120"}, 'publishers.p.arrivals: rate: 120 is not a rate; write for example "120/s"'),
        ({"arrivals": "poison 120/s"}, "publishers.p.arrivals: unknown name 'poison'; did you mean 'poisson'?"),
        ({"arrivals": "replay nowhere.csv"}, "publishers.p.arrivals: nowhere.csv: file: cannot be read (No such file"),
        ({"size": "1 gross"}, "publishers.p.size: '1 gross' is not a size; write for example \"50MB\""),
        ({"exchange": "shop"}, 'publishers.p: needs an address, one of two: exchange = "orders", or to = "payments"'),
        ({"to": None}, "publishers.p: needs an address, one of two"),
        ({"routing_key": "k"}, "publishers.p.routing_key: to already names the queue"),
    ],
)
def test_a_publisher_that_cannot_be_is_refused_at_once(given, problem):
    assert refusal(Scenario("x").publisher, "p", **{"to": "q", "arrivals": "poisson 1/s", **given}).startswith(problem)


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ({"duration": 60}, 'run.duration: 60 has no unit; write "60s"'),
        ({"duration": "0s"}, "run.duration: '0s' is too short to measure anything"),
        ({"replications": 0}, "run.replications: 0 is not a whole number from 1"),
        ({"seed": -1}, "run.seed: -1 is not a whole number from 0"),
        ({"confidence": 1}, 'run.confidence: 1 is not between 0.5 and 0.9999; write for example 0.95 or "99%"'),
        ({"sed": 1}, "run.sed: unknown key 'sed'; did you mean 'seed'?"),
    ],
)
def test_run_settings_that_cannot_be_are_refused_at_once(run, problem):
    assert refusal(Scenario, "x", run=run).startswith(problem)


def test_a_queue_option_is_judged_by_the_broker(shop):
    assert "queues.refunds: a queue has no option 'max_lenght'; did you mean 'max_length'?" in refusal(
        shop.queue, "refunds", max_lenght=5
    )
    assert "PRECONDITION_FAILED" in refusal(shop.queue, "refunds", max_length=-1)
    assert "overflow: 'explode' is none of drop-head" in refusal(shop.queue, "refunds", overflow="explode")
    assert "refunds" not in shop.topology.queues


def test_an_exchange_is_judged_by_the_broker(shop):
    assert refusal(shop.exchange, "shop", "topical").startswith("exchanges.shop: ")


@pytest.mark.parametrize("name", ["", 7, None, "a\nb"])
def test_a_name_is_printable_text(shop, name):
    assert "is not a name" in refusal(shop.queue, name)


def test_a_name_is_used_once(shop):
    assert refusal(shop.queue, "payments") == "queues.payments: queues.payments is declared already; choose another name"
    with_own = {"queue": "payments", "service": "constant 1ms"}
    assert "consumers.web: publishers.web is declared already" in refusal(shop.consumer, "web", **with_own)


def test_an_unknown_dialect_is_refused():
    assert refusal(Scenario, "x", dialect="carrier pigeon").startswith("dialect: unknown dialect 'carrier pigeon'; known: ")


@pytest.mark.parametrize(("version", "name"), [("", "4.0"), ("4.0", "4.0"), ("3.10", "3.10")])
def test_a_scenario_and_its_variants_are_of_a_version_of_the_broker(version, name):
    scenario = Scenario("x", version=version)
    for one in (scenario, scenario.with_("run.seed", 7)):
        assert modelled.build(one.topology).version.name == name


def test_an_expectation_is_text(shop):
    assert "expect: 5 is not text" in refusal(shop.expect, 5)


def test_a_consumer_of_a_queue_that_does_not_exist_is_found(shop):
    shop.consumer("refund", queue="payment", service="constant 1ms")
    problem = "consumers.refund.queue: unknown queue 'payment'; did you mean 'payments'? known: payments"
    assert refusal(shop.validate) == problem


def test_a_publisher_to_what_does_not_exist_is_found(shop):
    shop.exchange("orders")
    one, other = shop.with_("publishers.web.to", "payment"), shop
    assert refusal(one.validate).startswith("publishers.web.to: unknown queue 'payment'; did you mean 'payments'?")
    other.publisher("phone", exchange="order", arrivals="poisson 1/s")
    assert refusal(other.validate).startswith("publishers.phone.exchange: unknown exchange 'order'; did you mean 'orders'?")


def test_a_binding_of_what_does_not_exist_is_found(shop):
    shop.bind("payments", "ordres", "k")
    shop.exchange("orders")
    assert refusal(shop.validate).startswith("bindings[0].exchange: unknown exchange 'ordres'; did you mean 'orders'?")
    shop.topology.bindings[0]["queue"] = "payment"
    assert refusal(shop.validate).startswith("bindings[0].queue: unknown queue 'payment'; did you mean 'payments'?")


def test_a_message_that_the_broker_refuses_is_found(shop):
    assert "publishers.web: 406 PRECONDITION_FAILED - message size" in refusal(shop.with_("publishers.web.size", "20MB").validate)


def test_a_run_needs_an_end(shop):
    assert refusal(shop.validate) == (
        "run.duration: is missing, and the arrivals of publishers.web never end; "
        'write duration = "4h", or replay a recorded trace'
    )
    shop.validate(run=False)
    shop.with_("run.duration", "1h").validate()


def test_a_replayed_trace_is_an_end_and_has_no_warm_up(shop):
    trace = shop.with_("publishers.web.arrivals", Replay("orders.csv", 1, "order", (0, SECOND)))
    trace.validate()
    assert refusal(trace.with_("run.warmup", "1min").validate).startswith(
        "run.warmup: 1min, but a run that ends with its arrivals"
    )


def test_a_run_needs_a_publisher():
    assert refusal(Scenario("x").validate).startswith("publishers: nothing publishes; add ")


def test_a_variant_differs_in_one_value_and_leaves_the_original_alone(shop):
    bigger = shop.with_("consumers.charge.count", 9)
    assert (bigger.consumers["charge"].count, shop.consumers["charge"].count) == (9, 8)
    assert bigger.with_("consumers.charge.count", 8).consumers == shop.consumers
    assert shop.with_("publishers.web.arrivals", "constant_rate 5/s").publishers["web"].arrivals == ConstantRate(5.0)
    assert shop.with_("queues.payments.max_length", 7).topology.queues["payments"] == {
        "max_length": 7,
        "overflow": "reject-publish",
    }
    assert shop.with_("run.seed", 5).run.seed == 5
    assert shop.topology.queues["payments"]["max_length"] == 50_000


def test_a_variant_reaches_into_tables(shop):
    shop.consumer("slow", queue="payments", service={"gamma": {"mean": "1s", "cv": 1}}, retry={"how": "requeue", "attempts": 3})
    slow = shop.with_("consumers.slow.service.gamma.mean", "2s").with_("consumers.slow.retry.attempts", 4).consumers["slow"]
    assert (slow.service.mean, slow.retry.attempts) == (2 * SECOND, 4)
    assert shop.consumers["slow"].service.mean == SECOND


def test_a_path_finds_names_with_dots_the_longest_first(shop):
    shop.queue("a")
    shop.queue("a.b", max_length=1)
    changed = shop.with_("queues.a.b.max_length", 2).with_('queues."a.b".overflow', "drop-head")
    assert changed.topology.queues["a.b"] == {"max_length": 2, "overflow": "drop-head"}
    assert changed.topology.queues["a"] == {}


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("consumer.charge.count", 9, "unknown section 'consumer'; did you mean 'consumers'?"),
        ("consumers.chrage.count", 9, "unknown consumer 'chrage'; did you mean 'charge'?"),
        ("charge.count", 9, "; the nearest path is consumers.charge.count"),
        ("consumers.chrage.count", 9, "; the nearest path is consumers.charge.count"),
        ("consumers.charge.service.maen", "1s", "unknown parameter 'maen'; did you mean 'mean'?"),
        ("bindings[3].queue", "payments", "unknown section 'bindings[3]'"),
        ("version", "3.13", "version '3.13'"),
        ("expect", "a < 5s", "is not a list"),
        ("name", 5, "is not text"),
        ("consumers.charge", 9, "is a whole consumer; name one of its keys, as in consumers.charge.queue"),
        ("queues.payments", {}, "is a whole queue; name one of its keys, as in queues.payments."),
        ("consumers.charge.cuont", 9, "unknown key 'cuont'; did you mean 'count'?"),
        ("consumers.charge.count", 0, "0 is not a whole number from 1"),
        (
            "queues.payments.max_length.most",
            1,
            "max_length was not given as a table, so there is no 'most' in it; replace max_length as a whole",
        ),
        ("queues.payments.max_lenght", 5, "did you mean 'max_length'?"),
        ("run.durration", "1h", "unknown key 'durration'; did you mean 'duration'?"),
        ("run", 1, "unknown key ''"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(shop, path, value, problem):
    assert problem in refusal(shop.with_, path, value)


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("consumers.charge.service.mean", "1s", lambda shop: str(shop.consumers["charge"].service).split()[1] == "mean=1s"),
        ("consumers.charge.retry.attempts", 7, lambda shop: shop.consumers["charge"].retry.attempts == 7),
        ("consumers.charge.retry.backoff.base", "3s", lambda shop: shop.consumers["charge"].retry.backoff.base == 3 * SECOND),
        ("publishers.web.arrivals.rate", "7/s", lambda shop: shop.publishers["web"].arrivals == Poisson(7.0)),
        ("name", "Other", lambda shop: shop.name == "Other"),
        ("version", "3.10", lambda shop: shop.topology.version == "3.10"),
        ("expect", ["payments.loss < 1%"], lambda shop: shop.expectations == ["payments.loss < 1%"]),
        ("bindings[0].routing_key", "order.#", lambda shop: shop.topology.bindings[0]["routing_key"] == "order.#"),
    ],
)
@pytest.mark.parametrize("built", [False, True])
def test_a_path_leads_into_what_is_said_by_name_and_to_what_stands_at_the_top(path, value, found, built):
    retry = in_handler(attempts=3, backoff="exponential 1s") if built else "in-handler attempts=3 backoff='exponential 1s'"
    shop = Scenario("Shop")
    shop.queue("payments")
    shop.exchange("orders", "topic")
    shop.bind("payments", "orders", "order.*")
    shop.publisher("web", to="payments", arrivals=poisson("120/s") if built else "poisson 120/s")
    service = lognormal(mean="55ms", cv=0.8) if built else "lognormal mean=55ms cv=0.8"
    shop.consumer("charge", queue="payments", service=service, retry=retry)
    changed = shop.with_(path, value)
    assert found(changed)
    assert not found(shop)
    changed.validate(run=False)


def test_definitions_add_to_what_is_declared(shop):
    exported = {
        "queues": [{"name": "orders", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}],
        "exchanges": [],
        "bindings": [],
    }
    shop.definitions(exported)
    assert list(shop.topology.queues) == ["payments", "orders"]
    assert "queues.orders is declared already" in refusal(shop.definitions, exported)


def test_the_policies_of_definitions_hold_for_queues_that_the_scenario_declares_itself(shop):
    policy = {"name": "cap", "vhost": "/", "pattern": "^payments$", "definition": {"max-length": 10}, "priority": 0}
    shop.definitions({"policies": [policy]})
    for scenario in (shop, shop.with_("consumers.charge.count", 9)):
        broker: Any = load("rabbitmq").build(scenario.topology)
        assert broker.vhost().queues["payments"].options.max_length == 10


def test_definitions_that_cannot_be_are_refused(shop, tmp_path):
    file = tmp_path / "broken.json"
    assert "definitions: " in refusal(shop.definitions, {"queues": [{"name": 7}]})
    assert f"definitions: {file}: cannot be read (No such file" in refusal(shop.definitions, file)
    file.write_text("{")
    assert f"definitions: {file}: is not JSON" in refusal(shop.definitions, file)
    file.write_text("[]")
    assert f"definitions: {file}: holds no JSON object" in refusal(shop.definitions, file)
    assert "definitions: 7 is no file name" in refusal(shop.definitions, 7)


def test_servers_are_consumers_times_concurrency_within_the_prefetch():
    shop = Scenario("x")
    shop.consumer("wide", queue="q", count=3, concurrency=4, service=Constant(1))
    shop.consumer("narrow", queue="q", count=3, concurrency=4, prefetch=2, service=Exponential(1))
    assert (shop.consumers["wide"].servers, shop.consumers["narrow"].servers) == (12, 6)
