"""What publishers publish: classes of messages, routing keys by share, sizes, times to live, priorities, and traces of them."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from simbus import Scenario, exponential, replay, simulate
from simbus.analysis.tables import tables
from simbus.errors import ScenarioError
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.file import read_scenario
from simbus.simulation.forecast.check import warnings
from simbus.simulation.forecast.load import load
from simbus.simulation.model.messages import Mark
from simbus.simulation.model.replays import Replay
from simbus.simulation.model.sizes import Sizes, lognormal
from simbus.units import MILLISECOND, SECOND
from tests.naive import watched

CHANCE = 1e-5  # of a false alarm


def shop(**publisher):
    """A publisher to the exchange of a shop, and a queue for all that it publishes."""
    scenario = Scenario("shop", run={"duration": "100s"})
    scenario.exchange("shop", type="topic")
    scenario.queue("all")
    scenario.bind("all", "shop", "#")
    scenario.publisher("web", **{"exchange": "shop", "arrivals": "poisson 50/s", **publisher})
    return scenario


def published(scenario, seed=1):
    """The messages that are published in one replication, in order."""
    with watched() as runs:
        run_replication(scenario, seed, 0)
    return [effect.message for effect in runs[0].effects("Published")]


def refusal(**publisher):
    with pytest.raises(ScenarioError) as caught:
        shop(**publisher).validate()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Shares


def test_classes_and_keys_come_by_their_shares(seed):
    gold = {"share": 0.2, "routing_key": {"order.gold.new": 0.5, "order.gold.again": 0.5}}
    messages = published(shop(messages={"gold": gold, "silver": {"routing_key": "order.silver"}}), seed)
    counts = Counter((message.type, message.routing_key) for message in messages)
    shares = {("gold", "order.gold.new"): 0.1, ("gold", "order.gold.again"): 0.1, ("silver", "order.silver"): 0.8}
    assert counts.keys() == shares.keys()
    expected = [share * len(messages) for share in shares.values()]
    assert stats.chisquare([counts[kind] for kind in shares], expected).pvalue > CHANCE


def test_whether_a_message_is_of_a_class_does_not_depend_on_the_one_before(seed):
    types = [message.type for message in published(shop(messages={"a": {"share": 0.5}, "b": {}}), seed)]
    pairs = Counter(pairwise(types))
    assert stats.chi2_contingency([[pairs[a, b] for b in "ab"] for a in "ab"]).pvalue > CHANCE


def test_who_has_one_kind_of_message_draws_nothing():
    plain = run_replication(shop(routing_key="k"), 1, 0).trace_hash
    assert run_replication(shop(routing_key="k", messages={"only": {}}), 1, 0).trace_hash == plain
    assert run_replication(shop(routing_key={"k": 1}), 1, 0).trace_hash == plain


def test_a_class_draws_the_same_whatever_other_classes_there_are():
    """Common random numbers: the sizes of gold come from a stream of its own."""
    gold = {"size": "lognormal mean=2kB cv=1"}
    alone = [message.size for message in published(shop(messages={"gold": gold}))]
    among = published(shop(messages={"gold": {"share": 0.3, **gold}, "silver": {"size": "exponential 1kB"}}))
    sizes = [message.size for message in among if message.type == "gold"]
    assert 1_000 < len(sizes) < len(alone)
    assert sizes == alone[: len(sizes)]


def test_shares_of_classes_can_be_swept():
    scenario = shop(messages={"gold": {"share": 0.2}, "silver": {}})
    assert [kind.share for kind in scenario.with_("publishers.web.messages.gold.share", 0.3).publishers["web"].kinds] == [
        0.3,
        0.7,
    ]


# What a message is like


def test_sizes_are_drawn_from_their_distribution_and_bodies_are_shared(seed):
    messages = published(shop(size="lognormal mean=2kB cv=1"), seed)
    scale = math.log(2)
    law = stats.lognorm(math.sqrt(scale), scale=2_000 * math.exp(-scale / 2))
    assert stats.kstest([message.size for message in messages], law.cdf).pvalue > CHANCE
    assert len({id(memoryview(message.body).obj) for message in messages}) == 1


def test_a_drawn_size_is_at_most_what_the_broker_takes():
    messages = published(shop(size="pareto alpha=0.02 low=1MB high=50MB", arrivals="constant_rate 1/s"))
    assert max(message.size for message in messages) == 16 * 2**20


def test_a_time_to_live_is_drawn_for_each_message_and_takes_effect(seed):
    scenario = shop(arrivals="constant_rate 0.01/s", expiration="exponential 2s").with_("run.duration", "100000s")
    with watched() as runs:
        run_replication(scenario, seed, 0)
    enqueued = {effect.copy_id: effect.at for effect in runs[0].effects("Enqueued")}
    waits = [
        (effect.at - enqueued[effect.copy_id]) / SECOND for effect in runs[0].effects("Removed") if effect.cause == "expired"
    ]
    assert len(waits) >= 998  # a second one in the queue would wait behind the first: 1 in e^50
    assert stats.kstest(waits, stats.expon(scale=2).cdf).pvalue > CHANCE


@pytest.mark.parametrize("expiration", ["250ms", exponential("250ms")])
def test_expirations_of_a_class_are_its_own(expiration):
    scenario = shop(messages={"offer": {"share": 0.5, "expiration": expiration}, "order": {}})
    with watched() as runs:
        run_replication(scenario, 1, 0)
    types = {effect.message_id: effect.message.type for effect in runs[0].effects("Published")}
    assert {types[effect.message_id] for effect in runs[0].effects("Removed")} <= {"offer"}


def test_the_broker_serves_higher_priorities_first():
    scenario = Scenario("priorities", run={"duration": "10s"})
    scenario.queue("work", max_priority=9)
    marks = tuple(Mark(type=name) for name in ("plain", "low", "high", "high", "low"))
    trace = Replay("x", 1.0, "order", (0,) * 5, marks)
    scenario.publisher("web", to="work", arrivals=trace, messages={"high": {"priority": 5}, "low": {"priority": 1}})
    scenario.consumer("c", queue="work", prefetch=1, service="constant 100ms")
    with watched() as runs:
        run_replication(scenario, 1, 0)
    assert [each.message.type for each in runs[0].effects("Delivered")] == ["plain", "high", "high", "low", "low"]


def test_headers_and_persistence_reach_the_broker():
    scenario = Scenario("headers", run={"duration": "10s"})
    scenario.exchange("shop", type="headers")
    for name in ("books", "toys"):
        scenario.queue(name)
        scenario.bind(name, "shop", arguments={"sort": name})
    classes = {"book": {"share": 0.5, "headers": {"sort": "books"}}, "toy": {"headers": {"sort": "toys"}, "persistent": False}}
    scenario.publisher("web", exchange="shop", arrivals="poisson 10/s", messages=classes)
    with watched() as runs:
        run_replication(scenario, 1, 0)
    found = {(each.message.type, each.queues, each.message.properties.delivery_mode) for each in runs[0].effects("Published")}
    assert found == {("book", ("books",), 2), ("toy", ("toys",), 1)}


# Traces that say more than times


TRACE = "seconds,customer,octets,sort\n1,order.b,20,gold\n0,order.a,10,gold\n1.5,order.a,0,silver\n1.5,order.c,40,silver\n"


@pytest.fixture
def trace(tmp_path):
    (tmp_path / "orders.csv").write_text(TRACE, "utf-8")
    return tmp_path / "orders.csv"


def test_a_trace_says_key_size_and_class_of_each_message(trace):
    arrivals = replay(trace, key="customer", size="octets", type="sort")
    messages = published(shop(arrivals=arrivals, messages={"gold": {"priority": 3}}))
    rows = [(each.type, each.routing_key, each.size, each.properties.priority) for each in messages]
    assert rows == [
        ("gold", "order.a", 10, 3),
        ("gold", "order.b", 20, 3),
        ("silver", "order.a", 0, None),
        ("silver", "order.c", 40, None),
    ]
    again = shop(arrivals=str(arrivals)).publishers["web"].arrivals
    assert again == arrivals


def test_what_a_trace_leaves_open_is_drawn_within_it(trace):
    scenario = shop(
        arrivals=replay(trace, type="sort"),
        messages={"gold": {"routing_key": {"x": 0.5, "y": 0.5}}, "silver": {"routing_key": "z"}},
    )
    for seed in range(20):
        keys = [message.routing_key for message in published(scenario, seed)]
        assert keys[2:] == ["z", "z"]
        assert set(keys[:2]) <= {"x", "y"}
    assert [kind.share for kind in scenario.publishers["web"].kinds] == [0.25, 0.25, 0.5]


def test_a_trace_of_many_keys_is_followed_by_where_they_lead():
    marks = tuple(Mark(key=f"customer.{number}") for number in range(1_000))
    scenario = shop(arrivals=Replay("x", 1.0, "order", tuple(range(0, 1_000 * SECOND, SECOND)), marks))
    offered = load(scenario)
    assert offered.published == {"all": pytest.approx(1_000 / 999)}


# The load


def test_the_load_of_a_queue_counts_the_shares_that_reach_it():
    scenario = shop(arrivals="poisson 100/s", routing_key={"order.new": 0.75, "stock.low": 0.25})
    scenario.queue("orders")
    scenario.bind("orders", "shop", "order.*")
    offered = load(scenario)
    assert offered.published == pytest.approx({"all": 100, "orders": 75})
    assert offered.sources == {"all": ["web"], "orders": ["web"]}


def test_a_class_that_reaches_no_queue_is_warned_of():
    scenario = Scenario("shop", run={"duration": "100s"})
    scenario.exchange("shop")
    scenario.queue("orders")
    scenario.bind("orders", "shop", "order")
    scenario.consumer("c", queue="orders", service="exponential 10ms")
    classes = {"order": {"share": 0.9, "routing_key": "order"}, "lost": {"routing_key": "los"}}
    scenario.publisher("web", exchange="shop", arrivals="poisson 10/s", messages=classes)
    [warning] = warnings(scenario)
    assert warning == (
        "publishers.web.routing_key: 'los' reaches no queue from exchange 'shop', "
        "so every such message is lost; bind a queue to it"
    )


@pytest.mark.parametrize(
    ("publisher", "known"),
    [
        ({"arrivals": "poisson 20/s"}, True),
        ({"arrivals": "poisson 20/s", "messages": {"a": {"share": 0.5}, "b": {}}}, True),  # thinned it is Poisson still
        ({"arrivals": "constant_rate 20/s"}, True),
        ({"arrivals": "constant_rate 20/s", "messages": {"a": {"share": 0.5}, "b": {}}}, False),  # a class is not constant
        ({"arrivals": "poisson 20/s", "expiration": "1s"}, False),
    ],
)
def test_theory_is_silent_where_classes_or_expirations_break_it(publisher, known):
    from simbus.simulation.forecast.exact import exact_values

    scenario = shop(**publisher)
    scenario.consumer("c", queue="all", prefetch=1, service="exponential 10ms")
    assert bool(exact_values(scenario)) is known


# How it is said


TOML = """
name = "Shop"
run  = { duration = "10s" }

[exchanges.shop]
type = "topic"

[queues.all]

[[bindings]]
queue       = "all"
exchange    = "shop"
routing_key = "#"

[publishers.web]
exchange    = "shop"
arrivals    = "poisson 20/s"
routing_key = { "order.new" = 0.5, "order.again" = "50%" }
size        = { lognormal = { mean = "2kB", cv = 1 } }

[publishers.web.messages.gold]
share      = 0.2
priority   = 5
expiration = "exponential 10s"
headers    = { sort = "gold" }
persistent = false

[publishers.web.messages.silver]
routing_key = "order.silver"
size        = "500B"
"""


def test_the_file_and_python_say_the_same(tmp_path):
    (tmp_path / "shop.toml").write_text(TOML, "utf-8")
    python = Scenario("Shop", run={"duration": "10s"})
    gold = {"share": 0.2, "priority": 5, "expiration": exponential("10s"), "headers": {"sort": "gold"}, "persistent": False}
    python.publisher(
        "web",
        exchange="shop",
        arrivals="poisson 20/s",
        routing_key={"order.new": 0.5, "order.again": 0.5},
        size=lognormal(mean="2kB", cv=1),
        messages={"gold": gold, "silver": {"routing_key": "order.silver", "size": 500}},
    )
    read = read_scenario(tmp_path / "shop.toml").publishers["web"]
    assert read == python.publishers["web"]
    assert [(kind.name, kind.key, kind.share) for kind in read.kinds] == [
        ("gold", "order.new", 0.1),
        ("gold", "order.again", 0.1),
        ("silver", "order.silver", 0.8),
    ]


@pytest.mark.parametrize(
    ("publisher", "problem"),
    [
        (
            {"messages": {"a": {"share": 0.5}, "b": {"share": 0.4}}},
            "publishers.web.messages: shares of classes add up to 0.9",
        ),
        (
            {"messages": {"a": {"share": 0.7}, "b": {"share": 0.4}, "c": {}}},
            "publishers.web.messages: shares of classes add up to 1.1",
        ),
        ({"messages": {"a": {}, "b": {}}}, "publishers.web.messages.b.share: is missing, as that of 'a'; one may be"),
        ({"messages": {"a": {"shar": 1}}}, "publishers.web.messages.a.shar: unknown key 'shar'; did you mean 'share'?"),
        ({"messages": {"a[0]": {}}}, "publishers.web.messages: 'a[0]' is not the name of a class"),
        ({"messages": {"a": 1}}, "publishers.web.messages.a: 1 is not a table; its keys are share"),
        ({"messages": ["a"]}, "publishers.web.messages: ['a'] is not a table; write [publishers.web.messages.gold]"),
        ({"routing_key": {"a": 0.5}}, "publishers.web.routing_key: shares of keys add up to 0.5; they must add up to 1"),
        ({"routing_key": {"a": 2}}, "publishers.web.routing_key: a: 2 is not between 0 and 1"),
        ({"routing_key": 7}, "publishers.web.routing_key: 7 is neither a key nor shares by key"),
        ({"priority": 256}, "publishers.web.priority: 256 is not a whole number from 0 to 255; write for example 5"),
        ({"expiration": 10}, "publishers.web.expiration: 10 is neither text, a table nor a built object"),
        ({"expiration": "10"}, "publishers.web.expiration: '10' is not a time"),
        ({"expiration": "exponentil 1s"}, "publishers.web.expiration: unknown name 'exponentil'; did you mean 'exponential'?"),
        ({"size": "2kX"}, "publishers.web.size: '2kX' is not a size"),
        ({"size": "lognorml mean=2kB cv=1"}, "publishers.web.size: unknown name 'lognorml'; did you mean 'lognormal'?"),
        ({"size": "lognormal mean=2s cv=1"}, "publishers.web.size: mean: '2s' is not a size"),
        ({"size": "exponential 0B"}, "publishers.web.size: mean: '0B' is no size above 0"),
        ({"size": exponential("2s")}, "publishers.web.size: "),
        ({"size": "1GB"}, "publishers.web: 406 PRECONDITION_FAILED - message size 1000000000 is larger than"),
        ({"persistent": "no"}, "publishers.web.persistent: 'no' is neither true nor false"),
        ({"headers": "x"}, "publishers.web.headers: 'x' is not a table"),
        ({"expiration": "4000d"}, "publishers.web: 406 PRECONDITION_FAILED - invalid expiration"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(publisher, problem):
    assert refusal(**publisher).startswith(problem)


@pytest.mark.parametrize(
    ("columns", "publisher", "problem"),
    [
        ({"key": "customer"}, {"routing_key": "k"}, "publishers.web.routing_key: the replayed file names the keys"),
        (
            {"key": "customer"},
            {"messages": {"a": {"routing_key": "k"}}},
            "publishers.web.messages.a.routing_key: the",
        ),
        ({"size": "octets"}, {"size": 7}, "publishers.web.size: the replayed file says how big messages are"),
        (
            {"type": "sort"},
            {"messages": {"gold": {"share": 1}}},
            "publishers.web.messages.gold.share: the",
        ),
    ],
)
def test_a_trace_and_the_scenario_may_not_both_say_it(trace, columns, publisher, problem):
    arrivals = replay(trace, **columns)
    with pytest.raises(ScenarioError) as caught:
        shop(arrivals=arrivals, **publisher)
    assert str(caught.value).startswith(problem)
    shop(arrivals=arrivals)


@pytest.mark.parametrize(
    ("row", "problem"),
    [("2,k,1.5,gold", "line 2: octets: '1.5' is not a whole number"), ("2,k,1,", "line 2: sort: '' is not a name")],
)
def test_a_bad_row_of_a_trace_is_named(tmp_path, row, problem):
    (tmp_path / "bad.csv").write_text(f"seconds,customer,octets,sort\n{row}\n", "utf-8")
    with pytest.raises(ScenarioError, match=problem):
        replay("bad.csv", folder=tmp_path, key="customer", size="octets", type="sort")


@pytest.mark.parametrize(
    "text",
    [
        "exponential 2kB",
        "lognormal mean=2kB cv=1",
        "gamma mean=1500B cv=0.5",
        "pareto alpha=1.2 low=500B high=5MB",
        "empirical 1kB,3kB",
    ],
)
def test_a_distribution_of_sizes_reads_what_it_writes(text):
    sizes = shop(size=text).publishers["web"].size
    assert isinstance(sizes, Sizes)
    assert str(sizes) == text
    draws = sizes.sample(np.random.default_rng(1), 20_000)
    assert np.mean(draws) == pytest.approx(sizes.mean, rel=0.1)


def test_sizes_may_come_from_a_file(trace):
    sizes = shop(size=f"empirical file={trace} column=octets").publishers["web"].size
    assert sizes.mean == 70 // 4 + 1  # 17.5, rounded
    assert set(sizes.sample(np.random.default_rng(1), 1_000).tolist()) == {0, 10, 20, 40}


def test_an_expiration_is_rounded_up_to_what_the_broker_counts():
    [message, *_] = published(shop(expiration="1500us"))
    assert message.ttl == 2 * MILLISECOND


# The numbers of a class


def two_classes(**run):
    scenario = Scenario("classes", run={"duration": "100s", "warmup": "10s", **run})
    scenario.queue("work", max_priority=5, dead_letter_exchange="", dead_letter_routing_key="dead")
    scenario.queue("dead")
    scenario.publisher("web", to="work", arrivals="poisson 70/s", messages={"gold": {"share": 0.2, "priority": 5}, "silver": {}})
    scenario.publisher("other", to="work", arrivals="poisson 7/s")
    failure = {"transient": 0.05, "permanent": 0.1}
    scenario.consumer("c", queue="work", prefetch=1, service="exponential 10ms", failure=failure)
    scenario.consumer("d", queue="dead", service="exponential 1ms", failure=failure, retry={"how": "requeue", "attempts": 1})
    return scenario


def test_the_numbers_of_a_class_are_those_of_its_messages():
    """Against the tape: attempts by the class of their message, in the queue itself and where messages are dead-lettered to."""
    scenario = two_classes()
    with watched() as runs:
        values = run_replication(scenario, 1, 0).values
    run = runs[0]
    types = {effect.message_id: effect.message.type for effect in run.effects("Published")}
    copies = {effect.copy_id: effect for effect in run.effects("Enqueued")}
    ready: dict[int, int] = {}
    waits: dict[tuple[str, str], list[float]] = {}
    for entry in run.tape:
        if type(entry).__name__ in ("Enqueued", "Requeued"):
            ready[entry.copy_id] = entry.at
        elif isinstance(entry, tuple) and entry[0] == "started" and ready[entry[2]] >= 10 * SECOND:
            copy = copies[entry[2]]
            key = copy.queue, types[copy.message_id]
            waits.setdefault(key, []).append((entry[3] - ready[copy.copy_id]) / SECOND)
    for queue in ("work", "dead"):
        for name in ("gold", "silver"):
            assert values[f"{queue}[{name}].wait.n"] == len(waits[queue, name]) > 100
            assert values[f"{queue}[{name}].wait.mean"] == pytest.approx(np.mean(waits[queue, name]))
    published = Counter(effect.message.type for effect in run.effects("Published") if effect.at >= 10 * SECOND)
    for name in ("gold", "silver"):
        assert values[f"work[{name}].loss.n"] == published[name]
        assert math.isnan(values[f"dead[{name}].loss"])  # no obligation begins there
    lost = sum(values[f"work[{name}].loss"] * values[f"work[{name}].loss.n"] for name in ("gold", "silver"))
    assert 0 < lost < values["work.loss"] * values["work.loss.n"]  # the rest is of no class
    served = sum(values[f"work[{name}].residence.n"] for name in ("gold", "silver"))
    assert served < values["work.residence.n"] < 1.2 * served


def test_expectations_of_a_class_are_judged_and_shown():
    scenario = two_classes(replications=5)
    scenario.expect("work[gold].wait.p99 < 500ms")
    scenario.expect("queues.work[silver].loss < 50%")
    result = simulate(scenario)
    assert [verdict.outcome for verdict in result.verdicts()] == ["holds", "holds"]
    assert result.estimate("work[gold].wait.mean").high < result.estimate("work[silver].wait.mean").low
    assert result.estimate("work[gold].wait.p99.9").n == 5
    [table] = [each for each in tables(result) if each.title == "Classes of messages"]
    assert [row[0] for row in table.texts] == ["work[gold]", "work[silver]", "dead[gold]", "dead[silver]"]
    assert "queues.work[gold].wait.p99" in result.to_json()["estimates"]


def test_a_class_that_there_is_not_has_no_metrics():
    scenario = two_classes()
    scenario.expect("work[gould].wait.p99 < 1s")
    with pytest.raises(ScenarioError, match=r"unknown metric 'work\[gould\].wait.p99'; did you mean 'work\[gold\].wait.p99'"):
        simulate(scenario)


def test_classes_change_no_other_number():
    scenario = two_classes()
    with_classes = run_replication(scenario, 1, 0)
    plain = run_replication(scenario.with_("publishers.web.messages", {"only": {"priority": 5}}), 1, 0)
    assert {key for key in with_classes.values if "[" not in key} == {key for key in plain.values if "[" not in key}
    assert with_classes.values["messages.n"] == plain.values["messages.n"]
