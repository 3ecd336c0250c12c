"""What must not change a number, and what may change it in one direction only, with the same random numbers in both designs.

Each relation is pathwise: it holds of every message, not on average. Some more of them stand in ``test_simulation``, by the
example that made them worth having.
"""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.model.replays import Replay
from simbus.simulation.scenario import Scenario
from simbus.units import MILLISECOND, SECOND
from tests.naive import watched

SERVICES = ["exponential 30ms", "constant 30ms", "lognormal mean=30ms cv=1", "hyperexponential mean=30ms cv=2"]
ARRIVALS = [
    "poisson 30/s",
    "constant_rate 36/s",
    "renewal 'gamma mean=33ms cv=2'",
    "batches 30/s size=4",
    "bursts size=9 every=300ms",
]


def shop(arrivals="poisson 30/s", service="exponential 30ms", options=None, **group):
    """One queue and one group."""
    scenario = Scenario("shop", run={"duration": "20s"})
    scenario.queue("work", **(options or {}))
    scenario.publisher("web", to="work", arrivals=arrivals)
    scenario.consumer("stock", queue="work", service=service, **group)
    return scenario


def taped(scenario, seed):
    with watched() as runs:
        values = run_replication(scenario, seed, 0).values
    return values, runs[0]


def waits(scenario, seed):
    """How long each message of the only queue waited for its first start, by its number; of those that started."""
    _, run = taped(scenario, seed)
    enqueued = {effect.copy_id: effect for effect in run.effects("Enqueued")}
    found: dict[int, int] = {}
    for _, _, copy, now in run.notices("started"):
        found.setdefault(enqueued[copy].message_id, now - enqueued[copy].at)
    return found


def no_longer(shorter, longer):
    """Whether nobody waits longer, of those that started in both, and at least one waits less."""
    both = shorter.keys() & longer.keys()
    assert len(both) > 100
    return all(shorter[n] <= longer[n] for n in both) and any(shorter[n] < longer[n] for n in both)


def texts(values):
    """So that nan equals nan."""
    return {name: repr(value) for name, value in values.items()}


# More capacity, less load: nobody waits longer


@pytest.mark.parametrize("arrivals", ARRIVALS)
@pytest.mark.parametrize("service", SERVICES)
def test_one_more_consumer_lets_nobody_wait_longer(arrivals, service, seed):
    """Kiefer and Wolfowitz (1955): with a prefetch of 1, in order of arrival."""
    fewer, more = (waits(shop(arrivals, service, count=count, prefetch=1), seed) for count in (1, 2))
    assert no_longer(more, fewer)


@pytest.mark.parametrize("group", [{"prefetch": 1}, {"count": 2, "prefetch": 1}, {"concurrency": 2}])
def test_faster_handlers_let_nobody_wait_longer(group, seed):
    slow, fast = (waits(shop("poisson 50/s", f"exponential {mean}ms", **group), seed) for mean in (30, 27))
    assert no_longer(fast, slow)


def test_messages_that_come_closer_together_wait_no_less(seed):
    """Lindley (1952): the same gaps, all a tenth shorter."""
    sparse, dense = (waits(shop(f"poisson {rate}/s", prefetch=1), seed) for rate in (27, 30))
    assert no_longer(sparse, dense)


times = st.lists(st.integers(0, 3000), min_size=120, max_size=200).map(sorted)


@settings(max_examples=15)
@given(times=times, without=st.integers(0, 119), count=st.integers(1, 3))
def test_a_message_that_does_not_come_keeps_nobody_waiting(times, without, count):
    """With services of one length."""

    def of(trace):
        arrivals = Replay("x", 1.0, "order", tuple(at * MILLISECOND for at in trace))
        return waits(shop(arrivals, "constant 21ms", count=count, prefetch=1).with_("run.duration", "60s"), 1)

    everyone, others = of(times), of(times[:without] + times[without + 1 :])
    assert len(others) == len(everyone) - 1
    assert all(others[n] <= everyone[n if n <= without else n + 1] for n in others)


def test_a_longer_prefetch_leads_from_one_line_to_a_line_for_each(seed):
    """Of the same work, in the same order of arrival: who is dealt to a busy consumer cannot be taken by an idle one."""
    means = [sum(waits(shop("poisson 110/s", count=4, prefetch=n), seed).values()) for n in (1, 2, 4, 16, "unlimited")]
    assert means == sorted(means)
    assert means[0] < means[-1]


# The same system in other words


SAME = {
    "consumers of one server each, and one consumer with as many": (
        {"count": 3, "prefetch": 1},
        {"concurrency": 3, "prefetch": 3},
    ),
    "a buffer of its own or the queue, for one consumer": ({"prefetch": 1}, {}),
    "several servers and a buffer, or the queue": ({"concurrency": 3, "prefetch": 3}, {"concurrency": 3}),
    "servers that the prefetch leaves idle": ({"prefetch": 2, "concurrency": 2}, {"prefetch": 2, "concurrency": 7}),
    "two halves": ({"count": 4, "prefetch": 1}, {"count": 2, "concurrency": 2, "prefetch": 2}),
}


@pytest.mark.parametrize("relation", SAME)
@pytest.mark.parametrize("service", SERVICES)
def test_two_ways_to_say_the_same_servers_let_everyone_wait_as_long(relation, service, seed):
    one, other = (waits(shop("poisson 80/s", service, **group), seed) for group in SAME[relation])
    assert one == other


@pytest.mark.parametrize(
    "options",
    [
        {"max_length": 100_000},
        {"max_length": 100_000, "overflow": "reject-publish"},
        {"max_length_bytes": 10**9},
        {"message_ttl": "1h"},
        {"expires": "1h"},
        {"type": "quorum", "delivery_limit": 1_000_000},
        {"dead_letter_exchange": "", "dead_letter_routing_key": "nowhere"},
        {"max_priority": 9},
        {"single_active_consumer": True},
    ],
)
def test_a_limit_that_is_never_reached_changes_no_number(options, seed):
    plain = run_replication(shop(failure=0.1), seed, 0).values
    assert texts(run_replication(shop(options=options, failure=0.1), seed, 0).values) == texts(plain)


@pytest.mark.parametrize(
    "parts", [{"prefetch": 60_000}, {"failure": 0, "retry": "in-handler attempts=5 backoff='fixed 1s'"}, {"failure": 0.0}]
)
def test_what_never_comes_into_play_leaves_the_trace_as_it_is(parts, seed):
    plain, other = run_replication(shop(), seed, 0), run_replication(shop(**parts), seed, 0)
    assert other.trace_hash == plain.trace_hash
    assert texts(other.values) == texts(plain.values)


def test_the_size_of_messages_does_not_matter_to_a_queue_without_a_limit_of_bytes(seed):
    hashes = {run_replication(shop().with_("publishers.web.size", size), seed, 0).trace_hash for size in (1, "1MB")}
    assert len(hashes) == 1


ADDRESSES = {
    "the default exchange": (None, "work", None),
    "direct": ("direct", "paid", "paid"),
    "topic": ("topic", "order.paid", "order.*"),
    "fanout": ("fanout", "whatever", ""),
}


def test_the_way_that_leads_to_a_queue_does_not_matter(seed):
    found = {}
    for name, (kind, routing_key, pattern) in ADDRESSES.items():
        scenario = Scenario(name, run={"duration": "20s"})
        scenario.queue("work")
        if kind is None:
            scenario.publisher("web", to=routing_key, arrivals="poisson 30/s")
        else:
            scenario.exchange("in", type=kind)
            scenario.bind("work", "in", pattern)
            scenario.publisher("web", exchange="in", routing_key=routing_key, arrivals="poisson 30/s")
        scenario.consumer("stock", queue="work", service="exponential 30ms")
        found[name] = run_replication(scenario, seed, 0).trace_hash
    assert len(set(found.values())) == 1, found


# The order of declarations


def market(order):
    """Three queues with a group each, two exchanges and two publishers; ``order`` turns each list of declarations round."""
    scenario = Scenario("market", run={"duration": "15s", "warmup": "1s"})
    turned = (lambda parts: list(reversed(parts))) if order == "last first" else list
    for name, kind in turned([("in", "topic"), ("dead", "fanout")]):
        scenario.exchange(name, type=kind)
    queues = {"pay": {"dead_letter_exchange": "dead"}, "mail": {"message_ttl": "300ms"}, "morgue": {"max_length": 9}}
    for name, options in turned(list(queues.items())):
        scenario.queue(name, **options)
    bindings = [("pay", "in", "order.*"), ("mail", "in", "#"), ("mail", "in", "order.*"), ("morgue", "dead", "")]
    for queue, exchange, key in turned(bindings):
        scenario.bind(queue, exchange, key)
    for name, key, rate in turned([("web", "order.new", 20), ("app", "news", 15)]):
        scenario.publisher(name, exchange="in", routing_key=key, arrivals=f"poisson {rate}/s")
    groups = [("clerk", "pay", 2, 0.1), ("post", "mail", 2, 0.05), ("digger", "morgue", 1, 0)]
    for name, queue, count, permanent in turned(groups):
        failure = {"transient": 0.1, "permanent": permanent}
        scenario.consumer(name, queue=queue, count=count, prefetch=2, service="exponential 60ms", failure=failure)
    return scenario


def test_the_order_of_declarations_is_invisible(seed):
    """Only groups that share a queue would take turns in the order in which they came."""
    first, last = (run_replication(market(order), seed, 0).values for order in ("first first", "last first"))
    assert texts(first) == texts(last)
    assert first["morgue.wait.n"] > 10


@settings(max_examples=10)
@given(order=st.permutations(range(4)), seed=st.integers(0, 2**32))
def test_the_order_of_bindings_is_invisible(order, seed):
    bindings = [("a", "order.#"), ("b", "#"), ("a", "order.*"), ("c", "*.new")]

    def of(turns):
        scenario = Scenario("bindings", run={"duration": "4s"})
        scenario.exchange("in", type="topic")
        for queue in ("a", "b", "c"):
            scenario.queue(queue, message_ttl="500ms")
            scenario.consumer(queue, queue=queue, service="exponential 40ms", failure=0.1)
        for turn in turns:
            scenario.bind(bindings[turn][0], "in", bindings[turn][1])
        scenario.publisher("web", exchange="in", routing_key="order.new", arrivals="poisson 30/s")
        return texts(run_replication(scenario, seed, 0).values)

    assert of(order) == of(range(4))


# Time


def test_a_longer_run_begins_like_a_shorter_one(seed):
    _, short = taped(shop(failure=0.2), seed)
    _, long = taped(shop(failure=0.2).with_("run.duration", "40s"), seed)
    assert long.tape[: len(short.tape)] == short.tape
    assert len(long.tape) > len(short.tape)


def test_a_warm_up_changes_what_is_measured_and_not_what_happens(seed):
    whole = run_replication(shop(), seed, 0)
    cut = run_replication(shop().with_("run.duration", "12s").with_("run.warmup", "8s"), seed, 0)
    assert cut.trace_hash == whole.trace_hash
    assert cut.values["messages.n"] < whole.values["messages.n"]


@pytest.mark.parametrize("service", SERVICES)
def test_scaling_all_times_scales_all_waits_to_the_rounding(service, seed):
    """By a power of two, so that only the last nanosecond of each draw is rounded otherwise."""
    law, _, rest = service.partition(" ")
    scaled = f"{law} {rest.replace('30ms', '1920ms')}"
    once = waits(shop("poisson 32/s", service, prefetch=1), seed)
    later = waits(shop("poisson 0.5/s", scaled, prefetch=1).with_("run.duration", f"{20 * 64}s"), seed)
    both = once.keys() & later.keys()
    assert len(both) > 500
    assert all(later[n] == pytest.approx(64 * once[n], abs=64 * 2 * n) for n in both)


def test_a_trace_in_two_halves_is_the_trace(seed):
    """Of two publishers, and messages of one length of service: who published them does not matter."""
    trace = [int(1000 * (n + math.sin(n))) * 37_000 for n in range(400)]
    trace = sorted(at - min(trace) for at in trace)
    halves = trace[::2], trace[1::2]
    together = shop(Replay("x", 1.0, "order", tuple(trace)), "constant 30ms").with_("run.duration", "60s")
    apart = shop(Replay("x", 1.0, "order", tuple(halves[0])), "constant 30ms").with_("run.duration", "60s")
    apart.publisher("app", to="work", arrivals=Replay("x", 1.0, "order", tuple(halves[1])))
    assert sorted(waits(together, seed).values()) == sorted(waits(apart, seed).values())
    assert trace[-1] < 60 * SECOND
