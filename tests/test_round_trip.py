"""A scenario of Python, written to a file, reads back as the same scenario; what no file can hold is refused."""

import json
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simbus.errors import ScenarioError
from simbus.simulation.file import read_scenario
from simbus.simulation.model.distributions import (
    constant,
    empirical,
    exponential,
    gamma,
    hyperexponential,
    lognormal,
    mixture,
    pareto,
    phase_type,
    weibull,
)
from simbus.simulation.model.failures import delay_queue, exponential_backoff, fixed_backoff, in_handler, linear_backoff, requeue
from simbus.simulation.model.workloads import (
    batches,
    bursts,
    closed_loop,
    constant_rate,
    markov_modulated,
    poisson,
    renewal,
    schedule,
    sinusoid,
)
from simbus.simulation.scenario import Scenario
from simbus.units import Nanoseconds

SCENARIOS = sorted((Path(__file__).resolve().parent.parent / "scenarios").glob("*.toml"))
NAMES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=6).filter(str.isprintable)
TIMES = (
    st.integers(1, 10**13).map(lambda n: f"{n}ns")
    | st.sampled_from(["30ms", "1h30min"])
    | st.timedeltas(timedelta(microseconds=1), timedelta(days=9))
)
CVS = st.floats(0.01, 90)
SHARES = st.floats(0, 0.5) | st.sampled_from(["2%", "0.1%"])
RATES = st.floats(1e-3, 1e6).map(lambda rate: f"{rate}/s") | st.just("7/min")
SERVICES = st.one_of(
    st.builds(constant, TIMES),
    st.builds(exponential, TIMES),
    st.builds(lognormal, TIMES, CVS),
    st.builds(gamma, TIMES, CVS),
    st.builds(weibull, TIMES, CVS),
    st.builds(hyperexponential, TIMES, st.floats(1.01, 50)),
    st.builds(lambda alpha: pareto(alpha, "5ms", "1min"), st.floats(0.5, 3)),
    st.builds(lambda share: mixture([share, 1 - share], ["exponential 10ms", "lognormal mean=1s cv=2"]), st.floats(0.1, 0.9)),
    st.builds(lambda again: phase_type([1, 0], ["10ms", "1s"], [[0, again], [0, 0]]), st.floats(0, 0.9)),
    st.builds(empirical, st.lists(st.integers(1, 10**9).map(lambda n: f"{n}us"), min_size=1, max_size=4)),
    st.builds(lambda mean, cv: {"lognormal": {"mean": mean, "cv": cv}}, TIMES, CVS),
    st.just("lognormal mean=55ms cv=0.8"),
)
ARRIVALS = st.one_of(
    st.builds(poisson, RATES),
    st.builds(constant_rate, RATES),
    st.builds(bursts, st.integers(1, 99), TIMES),
    st.builds(batches, RATES, st.integers(1, 9)),
    st.builds(sinusoid, RATES, SHARES, TIMES),
    st.builds(lambda rate: schedule([["8h", "20/s"], ["4h", rate]]), RATES),
    st.builds(lambda rate: markov_modulated(f"50s:20/s,10s:{rate}"), RATES),
    st.builds(lambda window, think: closed_loop(window, think, "applied"), st.integers(1, 9), SERVICES),
    st.just(renewal("gamma mean=10ms cv=0.5")),
    st.just("poisson 120/s"),
)
BACKOFFS = st.one_of(
    st.builds(exponential_backoff, TIMES, st.floats(1, 4), st.just("9d") | st.none(), SHARES),
    st.builds(linear_backoff, TIMES),
    st.builds(fixed_backoff, TIMES, SHARES),
)
RETRIES = st.one_of(
    st.builds(in_handler, st.integers(1, 9), BACKOFFS, st.none() | st.just("20%+50")),
    st.builds(requeue, st.none() | st.integers(1, 9), BACKOFFS),
    st.just(delay_queue(attempts=3, backoff="fixed 5s")),
    st.just({"how": "requeue", "attempts": 4}),
)
CONSUMERS = st.fixed_dictionaries(
    {"service": SERVICES},
    optional={
        "count": st.integers(1, 99),
        "prefetch": st.integers(1, 99) | st.sampled_from(["unlimited", None]),
        "failure": SHARES | st.builds(lambda a, b: {"transient": a, "permanent": b}, SHARES, SHARES),
        "retry": RETRIES,
        "acknowledge": st.sampled_from(["manual", {"multiple": 10, "within": timedelta(seconds=1)}]),
        "priority": st.integers(-9, 9),
        "bandwidth": st.just("10MB/s"),
        "deduplication": st.sampled_from(["idempotent", {"window": "10min", "size": 100_000, "lookup": "1ms"}]),
    },
)
CLASSES = st.sampled_from(
    [None, {"gold": {"share": 0.2, "size": "lognormal mean=2kB cv=1"}, 'the "rest"': {"expiration": timedelta(seconds=30)}}]
)
PUBLISHERS = st.fixed_dictionaries(
    {"arrivals": ARRIVALS, "messages": CLASSES},
    optional={
        "size": st.integers(0, 10**6) | st.sampled_from(["2kB", "exponential 2kB"]),
        "priority": st.integers(0, 255),
        "expiration": TIMES | st.just("exponential 2s"),
        "headers": st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4), st.integers() | st.floats(-9, 9)
        ),
        "persistent": st.booleans(),
        "confirms": st.sampled_from([True, {"timeout": "5s", "attempts": 3, "backoff": fixed_backoff("1s"), "window": None}]),
    },
)


@st.composite
def scenarios(draw):
    """A scenario of built objects, texts and tables."""
    queue, exchange, party, other = draw(st.lists(NAMES, min_size=4, max_size=4, unique=True))
    run = {
        "duration": draw(st.integers(10**6, 10**15).map(Nanoseconds)),
        "warmup": draw(st.sampled_from(["auto", "0s", timedelta(seconds=9)])),
        "seed": draw(st.integers(0)),
    }
    shop = Scenario(draw(NAMES), question=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=9)), run=run)
    shop.queue(
        queue, **draw(st.sampled_from([{}, {"max_length": 9, "message_ttl": timedelta(hours=1)}, {"max_length_bytes": "2kB"}]))
    )
    shop.exchange(exchange, draw(st.sampled_from(["direct", "topic", "fanout"])))
    shop.bind(queue, exchange, draw(st.text(max_size=4).filter(str.isprintable)))
    shop.publisher(
        party,
        **draw(st.sampled_from([{"to": queue}, {"exchange": exchange, "routing_key": {"a": 0.25, "b.#": 0.75}}])),
        **draw(PUBLISHERS),
    )
    shop.consumer(other, queue=queue, **draw(CONSUMERS))
    if draw(st.booleans()):
        shop.network(party, latency=draw(SERVICES), loss="1%")
        shop.outage("deploy", "crash", whom=[other], at=draw(TIMES), lasting="30s", applied=0.5)
        shop.expect(f"{queue}.wait.p99 < 5s")
    return shop


@settings(max_examples=100, deadline=None)
@given(shop=scenarios())
def test_a_scenario_reads_back_as_it_was_written(tmp_path_factory, shop):
    path = tmp_path_factory.mktemp("round") / "shop.toml"
    shop.write(path)
    again = read_scenario(path)
    assert again == shop
    assert again.to_toml() == shop.to_toml()


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name)
def test_a_scenario_of_the_project_reads_back_as_it_was_written(path):
    shop = read_scenario(path)
    again = path.with_name(f".{path.stem}-again.toml")
    try:
        shop.write(again)
        assert read_scenario(again) == shop
    finally:
        again.unlink()


def shop_of(**changes):
    shop = Scenario("Shop", run={"duration": "1h"})
    shop.queue("orders")
    shop.publisher("web", **{"to": "orders", "arrivals": "poisson 20/s"} | changes)
    shop.consumer("clerk", queue="orders", service="exponential 30ms")
    return shop


def test_what_is_written_is_a_file_that_people_like_to_read():
    shop = shop_of(
        messages={"gold": {"share": 0.2, "size": "lognormal mean=2kB cv=1", "headers": {"x": 1}}, "rest": {"priority": 5}}
    )
    shop.queue("order.email", message_ttl="24h")
    shop.expect("orders.wait.p99 < 5s")
    assert (
        shop.to_toml()
        == """\
name   = "Shop"
run    = { duration = "1h" }
expect = ["orders.wait.p99 < 5s"]

[queues.orders]

[queues."order.email"]
message_ttl = "24h"

[publishers.web]
arrivals   = "poisson 20/s"
to         = "orders"
persistent = true

[publishers.web.messages.gold]
share   = 0.2
size    = "lognormal mean=2kB cv=1"
headers = { x = 1 }

[publishers.web.messages.rest]
priority = 5

[consumers.clerk]
queue       = "orders"
service     = "exponential 30ms"
concurrency = 1
"""
    )


def test_scenarios_that_say_different_things_are_not_equal():
    assert shop_of() == shop_of()
    assert shop_of() != shop_of(arrivals="poisson 21/s")
    assert shop_of() != shop_of().with_("run.seed", 2)
    assert shop_of() != "Shop"


class Odd:
    """A workload of a user's own."""

    rate, finite = 1.0, True

    def epochs(self, _generator):
        return iter([0])


class Worded(Odd):
    def __str__(self):
        return "poisson 1/s"


def coded(**code):
    shop = shop_of()
    shop.consumer("own", queue="orders", **code)
    return shop


def controlled():
    shop = shop_of()
    shop.controller("ops", lambda _env, _operations: iter(()))
    return shop


@pytest.mark.parametrize(
    ("shop", "problem"),
    [
        (
            coded(handler=lambda _message: "30ms"),
            r"consumers.own.service: handler .* is code, which a file does not hold; give a distr",
        ),
        (
            shop_of(arrivals=None, source=lambda _env, _publish: iter(())),
            "publishers.web.arrivals: .* is code, which a file does not",
        ),
        (controlled(), "controllers: are code, which a file does not hold; keep the scenario in Python"),
        (
            shop_of(arrivals=Odd()),
            "publishers.web.arrivals: .*Odd object.* has no text that a file could hold; give it as text or",
        ),
        (
            shop_of(arrivals=Worded()),
            "publishers.web: would read back as something else; give text or tables in place of objects",
        ),
    ],
)
def test_what_no_file_can_hold_is_refused_with_the_remedy(tmp_path, shop, problem):
    with pytest.raises(ScenarioError, match=problem):
        shop.to_toml()
    with pytest.raises(ScenarioError, match=problem):
        shop.write(tmp_path / "shop.toml")
    assert list(tmp_path.iterdir()) == []


def test_more_values_than_people_read_belong_in_a_file_of_their_own():
    shop = shop_of()
    shop.consumer("own", queue="orders", service=empirical([f"{n}us" for n in range(1, 10_002)]))
    with pytest.raises(
        ScenarioError, match=r"consumers.own.service: 10,001 values are more than people read in a file; write them"
    ):
        shop.to_toml()
    assert shop.text == ""


def test_the_text_for_the_record_is_what_was_written_or_else_what_a_file_would_say(tmp_path):
    shop = shop_of()
    assert shop.text == shop.to_toml()
    (tmp_path / "shop.toml").write_text(f"# Ours.\n{shop.text}", "utf-8")
    again = read_scenario(tmp_path / "shop.toml")
    assert again.text == again.with_("run.seed", 7).text == f"# Ours.\n{shop.text}"
    assert again.with_("consumers.clerk.count", 3).text == shop.with_("consumers.clerk.count", 3).to_toml()
    again.expect("orders.loss < 1%")
    assert again.text == again.to_toml()
    assert coded(handler=lambda _message: "30ms").text == ""


def test_a_scenario_that_names_files_is_written_beside_them_only(tmp_path):
    (tmp_path / "times.csv").write_text("seconds\n0.5\n", "utf-8")
    (tmp_path / "elsewhere").mkdir()
    shop = Scenario("Shop", folder=tmp_path)
    shop.queue("orders")
    shop.publisher("web", to="orders", arrivals="poisson 1/s")
    shop.consumer("clerk", queue="orders", service="empirical file=times.csv")
    shop.write(tmp_path / "shop.toml")
    assert read_scenario(tmp_path / "shop.toml") == shop
    with pytest.raises(ScenarioError, match=r"consumers.clerk.service: times.csv: file: cannot be read"):
        shop.write(tmp_path / "elsewhere" / "shop.toml")


EXPORTED = {"queues": [{"name": "orders", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {"x-max-length": 9}}]}
POLICY = {"vhost": "/", "name": "all", "pattern": ".*", "apply-to": "queues", "definition": {"max-length": 5}, "priority": 0}


def defined(tmp_path, exported, source="shop.json"):
    (tmp_path / "shop.json").write_text(json.dumps(exported), "utf-8")
    shop = Scenario("Shop", folder=tmp_path)
    shop.definitions(exported if source is None else source)
    shop.queue("more")
    shop.publisher("web", to="orders", arrivals="poisson 1/s")
    return shop


def test_definitions_stay_in_their_file(tmp_path):
    shop = defined(tmp_path, EXPORTED | {"policies": [POLICY]})
    assert tomllib.loads(shop.to_toml())["definitions"] == "shop.json"
    assert list(tomllib.loads(shop.to_toml())["queues"]) == ["more"]
    shop.write(tmp_path / "shop.toml")
    assert read_scenario(tmp_path / "shop.toml") == shop


def test_definitions_that_were_changed_or_came_from_python_are_written_out(tmp_path):
    for shop in (defined(tmp_path, EXPORTED).with_("queues.orders.max_length", 3), defined(tmp_path, EXPORTED, None)):
        assert set(tomllib.loads(shop.to_toml())["queues"]) == {"orders", "more"}
        shop.write(tmp_path / "shop.toml")
        assert read_scenario(tmp_path / "shop.toml").topology.queues.keys() == shop.topology.queues.keys()


def test_policies_that_have_no_file_are_refused(tmp_path):
    with pytest.raises(ScenarioError, match="definitions: hold policies or bindings between exchanges, which only a file"):
        defined(tmp_path, EXPORTED | {"policies": [POLICY]}, None).to_toml()
