"""Which closed form is said to apply to which queue, and that the observed values are near it."""

import pytest

from simbus.analysis.exact import z_score
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.forecast.exact import exact_values, inexact
from simbus.simulation.scenario import Scenario

RUN = {"duration": "1h", "warmup": "5min"}


def scenario(arrivals="poisson 0.8/s", options=None, run=RUN, **consumer):
    made = Scenario("one queue", run=run)
    made.queue("work", **(options or {}))
    made.publisher("source", to="work", arrivals=arrivals)
    made.consumer("server", queue="work", **({"service": "exponential 1s"} | consumer))
    return made


def reasons(scenario):
    return inexact(scenario, exact_values(scenario))


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
        ("M/G/3/3", {"options": {"max_length": 0}, "count": 3, "prefetch": 1, "service": "constant 1s"}),
        ("M/M/1 with priorities", {"options": {"max_priority": 3}, "prefetch": 1}),
        ("M/G/1 with priorities", {"options": {"max_priority": 3}, "prefetch": 1, "service": "constant 1s"}),
        ("M/M/2//9", {"arrivals": "closed_loop window=9 think='constant 5s' until=applied", "concurrency": 2}),
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
        {"options": {"max_priority": 3}},  # what is in the buffer is served in order of arrival
        {"options": {"max_priority": 3}, "count": 2, "prefetch": 1, "service": "constant 1s"},
        {"options": {"max_length": 0, "overflow": "reject-publish"}, "prefetch": 1},  # it refuses all
        {"options": {"max_length": 0, "message_ttl": "5s"}, "prefetch": 1},
        {"arrivals": "closed_loop window=9 think='constant 5s'"},  # confirmed at once: nothing slows it down
        {"arrivals": "closed_loop window=9 think='constant 5s' until=applied", "service": "constant 1s"},
        {"options": {"max_length": 4}},  # what is in the buffer of the consumer does not count for the limit
        {"failure": 0.1, "count": 2},
        {"run": {}},  # it ends with its arrivals
    ],
)
def test_where_no_form_holds_exactly_nothing_is_said(parts):
    assert exact_values(scenario(**parts)) == ()


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"run": {}, "arrivals": "counts 5,5 every=1min"}, "a run that ends with its arrivals has no steady state"),
        ({"arrivals": "poisson 1.2/s"}, "at a utilisation of 1.20 it has no steady state"),
        ({"batch": {"size": 2}, "prefetch": 4}, "its consumers do more than take one message after the other"),
        ({"options": {"type": "quorum"}}, "its type or its limits have no form"),
        ({"count": 3, "prefetch": 2}, "no form is known of these arrivals, service times and prefetch together"),
    ],
)
def test_where_no_form_holds_it_is_said_why(parts, why):
    assert reasons(scenario(**parts)) == {"work": why}


def test_what_is_known_needs_no_reason():
    assert reasons(scenario()) == {}


@pytest.mark.parametrize("party", ["server", "source"])
def test_a_network_leaves_other_queues_what_they_are(party):
    two = scenario()
    two.queue("beside")
    two.publisher("neighbour", to="beside", arrivals="poisson 0.5/s")
    two.consumer("other", queue="beside", service="exponential 1s")
    two.network(party, latency="exponential 5ms")
    assert {each.metric.partition(".")[0] for each in exact_values(two)} == {"beside"}
    assert reasons(two) == {"work": "no form knows of the network of those who publish to it or consume it"}


def test_the_empty_table_says_why():
    result = simulate(scenario(options={"type": "quorum"}), duration="1min", replications=2, seed=1)
    assert result.theory().empty
    assert result.theory().attrs["why"] == {"work": "its type or its limits have no form"}


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


def test_consumers_may_have_the_name_of_their_queue(seed):
    twins = Scenario("one name")
    twins.queue("work")
    twins.publisher("source", to="work", arrivals="poisson 4/s")
    twins.consumer("work", queue="work", prefetch=1, service="exponential 100ms")
    table = simulate(twins, duration="20s", replications=2, seed=seed).theory()
    assert table.loc["work.utilisation", "exact"] == pytest.approx(0.4)


def test_a_wrong_theory_stands_out():
    assert z_score([3.9, 4.1, 4.0, 4.05], 4) == pytest.approx(0.29, abs=0.01)
    assert z_score([3.9, 4.1, 4.0, 4.05], 5) < -20


def shop(messages, arrivals="poisson 0.8/s"):
    made = Scenario("classes", run=RUN)
    made.queue("work", max_priority=5)
    made.publisher("source", to="work", arrivals=arrivals, messages=messages)
    made.consumer("server", queue="work", service="exponential 1s", prefetch=1)
    return made


def test_each_class_has_the_wait_of_its_priority():
    gold = {"gold": {"share": 0.25, "priority": 9}, "silver": {"share": 0.25, "priority": 2}, "lead": {"priority": 2}}
    found = {each.metric: each.value for each in exact_values(shop(gold))}
    assert [found[f"work[{name}].wait.mean"] for name in gold] == pytest.approx([1, 5, 5])
    assert found["work.wait.mean"] == pytest.approx(4)


def test_times_to_live_are_patience_when_all_are_drawn_from_one_law():
    alike = {"a": {"share": 0.5, "expiration": "exponential 10s"}, "b": {"expiration": "exponential 10s"}}
    scenario = shop(alike).with_("queues.work.max_priority", None)
    assert models(scenario) == {"M/M/1+M"}
    assert models(scenario.with_("consumers.server.failure", 0.1)) == set()
    for other in ("exponential 5s", "10s"):
        assert models(scenario.with_("publishers.source.messages.b.expiration", other)) == set()


def test_a_closed_loop_that_waits_for_two_queues_is_no_simple_one():
    both = scenario("closed_loop window=9 think='constant 5s' until=applied")
    assert models(both)
    both.exchange("all", type="fanout")
    both.queue("copy")
    for queue in ("work", "copy"):
        both.bind(queue, "all")
    both.consumer("clerk", queue="copy", service="exponential 1s")
    loop = {"exchange": "all", "arrivals": "closed_loop window=9 think='constant 5s' until=applied"}
    del both.publishers["source"]
    both.publisher("source", **loop)
    assert models(both) == set()


def several(keys=("a", "b"), service="exponential 1s", exchange="fanout", **consumer):
    """Queues behind one exchange, with a consumer each; to a direct one messages go by their key."""
    made = Scenario("several", run=RUN)
    made.exchange("in", type=exchange)
    for key in keys:
        made.queue(key)
        made.bind(key, "in", key)
        made.consumer(f"of {key}", queue=key, service=service, **consumer)
    made.publisher("source", exchange="in", routing_key={key: 1 / len(keys) for key in keys}, arrivals="poisson 0.8/s")
    return made


def windows(scenario):
    return [(each.model, each.value) for each in exact_values(scenario) if each.metric == "window.mean"]


def test_the_window_of_two_queues_alike_is_that_of_fork_and_join():
    assert windows(several()) == [("fork and join of two M/M/1", pytest.approx(7))]
    assert windows(several(keys=("a",))) == [("M/M/1", pytest.approx(5))]


def test_the_window_of_messages_that_go_to_one_of_several_queues_is_a_mean_of_sojourns():
    assert windows(several(exchange="direct")) == [("M/M/c, side by side", pytest.approx(1 / 0.6))]


@pytest.mark.parametrize(
    "scenario",
    [
        several(keys=("a", "b", "c")),
        several(service="constant 1s"),
        several(concurrency=2),
        several().with_("consumers.of a.service", "exponential 900ms"),
        several().with_("consumers.of a.failure", {"permanent": 0.1}),
        several().with_("queues.a.message_ttl", "1h"),
    ],
)
def test_of_other_windows_nothing_is_known(scenario):
    assert windows(scenario) == []


def breaking(**outage):
    made = scenario("poisson 0.6/s", prefetch=1)
    made.outage("disk", **({"what": "breakdown", "whom": "server", "mtbf": "exponential 20s", "mttr": "exponential 2s"} | outage))
    return made


def test_breakdowns_at_exponential_times_are_known_at_any_time_and_while_working():
    found = {each.metric: each.value for each in exact_values(breaking())}
    assert found == {"work.depth.mean": pytest.approx(2.26203, rel=1e-5), "work.residence.mean": pytest.approx(3.77005, rel=1e-5)}
    busy = {each.metric: each.value for each in exact_values(breaking(clock="busy"))}
    assert (busy["work.service.mean"], busy["work.residence.mean"]) == pytest.approx((1.1, 3.58824), rel=1e-5)


@pytest.mark.parametrize(
    "outage", [{"mttr": "constant 2s"}, {"what": "crash"}, {"mtbf": "exponential 1s"}, {"mttr": None, "lasting": "2s"}]
)
def test_of_other_outages_nothing_is_known(outage):
    outage = {key: value for key, value in outage.items() if value is not None}
    base = {"what": "breakdown", "whom": "server", "mtbf": "exponential 20s"} | (
        {} if "lasting" in outage else {"mttr": "exponential 2s"}
    )
    made = scenario("poisson 0.6/s", prefetch=1)
    made.outage("disk", **(base | outage))
    assert exact_values(made) == ()


def test_a_breakdown_beside_leaves_a_queue_what_it_is():
    made = breaking()
    made.queue("other")
    made.publisher("another", to="other", arrivals="poisson 0.8/s")
    made.consumer("clerk", queue="other", service="exponential 1s")
    assert models(made) == {"M/M/1", "M/M/1 with breakdowns"}
    made.outage("power", "breakdown", whom="clerk", at="1min", lasting="1min")
    assert models(made) == set()


def tandem(**first):
    """Messages that the first consumer hands on, all or some, to a second queue."""
    made = scenario("poisson 0.8/s", prefetch=1, **({"failure": {"permanent": 1}} | first))
    made = made.with_("queues.work.dead_letter_exchange", "").with_("queues.work.dead_letter_routing_key", "next")
    made.queue("next")
    made.consumer("clerk", queue="next", service="exponential 800ms", prefetch=1)
    return made


def test_what_leaves_a_queue_without_memory_comes_so_to_the_next():
    found = {each.metric: each.value for each in exact_values(tandem())}
    assert (found["work.residence.mean"], found["next.residence.mean"]) == pytest.approx((5, 1 / 0.45))
    some = {each.metric: each.value for each in exact_values(tandem(failure={"permanent": 0.25}))}
    assert some["next.residence.mean"] == pytest.approx(1 / (1.25 - 0.2))


@pytest.mark.parametrize(
    "scenario",
    [
        tandem(service="constant 1s"),
        tandem(service="exponential 2s"),  # it has no steady state, and what leaves it is another process
        tandem(failure={"permanent": 0.2, "transient": 0.1}),
        tandem().with_("queues.work.max_length", 9),
    ],
)
def test_what_leaves_another_queue_does_not(scenario):
    assert not [each for each in exact_values(scenario) if each.metric.startswith("next.")]


def test_what_comes_on_two_ways_is_linked():
    both = tandem()
    both.publisher("straight", to="next", arrivals="poisson 0.1/s")
    assert [each for each in exact_values(both) if each.metric == "next.wait.mean"]
    both.exchange("all", type="fanout")
    for queue in ("work", "next"):
        both.bind(queue, "all")
    both.publisher("twice", exchange="all", arrivals="poisson 0.01/s")
    assert not [each for each in exact_values(both) if each.metric == "next.wait.mean"]
