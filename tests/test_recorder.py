"""The recorder on random scenarios, against an independent ledger and against the obvious way to compute each number."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND, duration
from tests.identities import check_identities
from tests.naive import Naive, Run, watched
from tests.small import arriving

TTLS = st.sampled_from([None, None, "40ms", "300ms", "1s"])
SERVICES = st.sampled_from(
    [
        "exponential 20ms",
        "lognormal mean=40ms cv=1",
        "constant 30ms",
        "gamma mean=15ms cv=0.5",
        "empirical 0ms,60ms",
        "hyperexponential mean=25ms cv=3",
        "pareto alpha=1.5 low=5ms high=2s",
    ]
)
BACKOFFS = st.sampled_from(["none", "fixed 50ms", "fixed 80ms jitter=50%", "exponential 20ms factor=2 limit=100ms jitter=1"])
ACKNOWLEDGED = st.sampled_from(["manual", "manual", {"multiple": 3, "within": "90ms"}])
ARRIVALS = st.sampled_from(
    [
        "poisson 40/s",
        "poisson 90/s",
        "constant_rate 50/s",
        "bursts size=15 every=300ms",
        "renewal 'gamma mean=20ms cv=2'",
        "batches 60/s size=4 spread=geometric",
        "sinusoid 50/s swing=0.9 period=700ms",
        "schedule 200ms:90/s,300ms:0/s",
        "markov_modulated 300ms:10/s,100ms:200/s",
    ]
)


@st.composite
def scenarios(draw):
    """One to four queues behind an exchange, with delay queues and dead-letter queues; ``(scenario, served, ttls)``."""
    scenario = Scenario("random")
    names = [f"q{number}" for number in range(draw(st.integers(1, 4)))]
    add_dead_letters(draw, scenario)
    scenario.exchange("in", type=draw(st.sampled_from(["topic", "fanout", "headers"])))
    for name in names:
        scenario.queue(name, **draw(options(names, name)))
        pattern = draw(st.sampled_from(["order.*", "#", "order.placed", "other"]))
        scenario.bind(name, "in", pattern, {"x-match": "all-with-x"})
    how_many = {"dead": [0, 0, 0, 1], "dead.seen": [0, 1]}
    for name in [*names, "dead", "dead.seen"]:
        for number in range(draw(st.sampled_from(how_many.get(name, [0, 1, 1, 2])))):
            scenario.consumer(f"{name}.group{number}", queue=name, **draw(groups()))
    add_publishers(draw, scenario, names)
    scenario = draw_run(draw, scenario)
    served = {each.queue for each in scenario.consumers.values()}
    served |= {f"{name}.delay" for name in names if f"{name}.delay" in scenario.topology.queues and name in served}
    # A queue whose copies expire into one that is consumed is a delay queue too, whatever it is called.
    for _ in range(4):
        served |= {name for name in names if set(after_expiry(scenario, name)) & served}
    served |= {name for name in scenario.topology.queues if ".retry." in name}
    ttls = {name: duration(each["message_ttl"]) for name, each in scenario.topology.queues.items() if each.get("message_ttl")}
    return scenario, served, ttls


def add_dead_letters(draw, scenario):
    """Where dead letters may go: one queue, or an exchange that copies them into two."""
    scenario.queue("dead", message_ttl=draw(TTLS), max_length=draw(st.sampled_from([None, None, 3])))
    limits = draw(st.sampled_from([{}, {}, {"max_length": 2, "overflow": "reject-publish"}]))
    scenario.queue("dead.seen", message_ttl=draw(TTLS), **limits)
    scenario.exchange("dlx", type="fanout")
    for queue in ("dead", "dead.seen"):
        scenario.bind(queue, "dlx")


@st.composite
def options(draw, names, name):
    kind = draw(st.sampled_from(["classic", "quorum"]))
    overflows = ["drop-head", "reject-publish", *(["reject-publish-dlx"] if kind == "classic" else [])]
    found = {"type": kind, "message_ttl": draw(TTLS), "max_length": draw(st.sampled_from([None, None, 1, 2, 6]))}
    if found["max_length"]:
        found["overflow"] = draw(st.sampled_from(overflows))
    if kind == "quorum":
        found["delivery_limit"] = draw(st.sampled_from([None, 0, 1, 3]))
    target = draw(st.sampled_from([None, "dead", "exchange", "delay", *names]))
    if target == "exchange":
        return {**found, "dead_letter_exchange": "dlx"}
    key = {None: None, "delay": f"{name}.delay"}.get(target, target)
    return found if key is None else {**found, "dead_letter_exchange": "", "dead_letter_routing_key": key}


@st.composite
def groups(draw):
    """Few messages are rejected, so that chains of dead letters come to an end; one group in two has ways of its own."""
    retry = {"how": draw(st.sampled_from(["in-handler", "requeue"])), "backoff": draw(BACKOFFS)}
    if (attempts := draw(st.sampled_from([None, 1, 2, 3]))) is not None:
        retry["attempts"] = attempts
    plain = {
        "count": draw(st.integers(1, 3)),
        "concurrency": draw(st.integers(1, 3)),
        "prefetch": draw(st.sampled_from(["unlimited", 1, 2, 5])),
        "service": draw(SERVICES),
        "failure": {"transient": draw(st.sampled_from([0, 0.1, 0.4])), "permanent": draw(st.sampled_from([0, 0.05, 0.2]))},
        "retry": retry,
        "acknowledge": draw(ACKNOWLEDGED),
        "priority": draw(st.sampled_from([0, 0, 1])),
    }
    return with_ways(draw, plain) if draw(st.booleans()) else plain


def with_ways(draw, group):
    """A group that does something else than take one delivery after the other."""
    match draw(st.sampled_from(["batch", "auto", "detour", "shifts", "memory", "budget"])):
        case "batch":
            batch = {"size": draw(st.integers(1, 6)), "within": draw(st.sampled_from(["0s", "30ms"])), "each": "exponential 2ms"}
            return group | {"batch": batch, "retry": group["retry"] | {"how": "requeue"}}
        case "auto":
            group = {key: value for key, value in group.items() if key not in ("prefetch", "retry")}
            return group | {"acknowledge": "auto"}
        case "detour":
            return group | {"retry": {"how": "delay-queue", "attempts": 3, "backoff": "exponential 40ms"}}
        case "shifts":
            del group["count"]
            return group | {"shifts": draw(st.sampled_from(["300ms:3,200ms:1", "100ms:0,400ms:2"]))}
        case "memory":
            return group | {
                "deduplication": draw(st.sampled_from(["idempotent", {"window": "200ms", "size": 5, "lookup": "1ms"}]))
            }
    return group | {"retry": group["retry"] | {"budget": {"share": 0.1, "reserve": 2}}}


def add_publishers(draw, scenario, names):
    """With the delay queues, of which only now is known that someone dead-letters to them."""
    for name in names:
        if scenario.topology.queues[name].get("dead_letter_routing_key") == f"{name}.delay":
            scenario.queue(f"{name}.delay", message_ttl="200ms", dead_letter_exchange="", dead_letter_routing_key=name)
    keys = st.sampled_from(["order.placed", "order.placed", "order.paid", "nothing"])
    scenario.publisher("web", exchange="in", routing_key=draw(keys), arrivals=draw(ARRIVALS))
    if draw(st.booleans()):
        scenario.publisher("batch", to=names[-1], arrivals=draw(ARRIVALS))


def draw_run(draw, scenario):
    """A run of some seconds with or without warm-up, or a terminating one."""
    if draw(st.integers(0, 3)):
        return scenario.with_("run.duration", "1500ms").with_("run.warmup", draw(st.sampled_from(["0s", "400ms", "777ms"])))
    times = sorted(draw(st.lists(st.integers(0, 1500), min_size=1, max_size=60)))
    for name in scenario.publishers:
        scenario = scenario.with_(f"publishers.{name}.arrivals", arriving(times))
    return scenario


def after_expiry(scenario, name):
    options = scenario.topology.queues[name]
    if options.get("message_ttl") is None or "dead_letter_exchange" not in options:
        return []
    return ["dead", "dead.seen"] if options["dead_letter_exchange"] == "dlx" else [options["dead_letter_routing_key"]]


def run(scenario, seed, ttls=None):
    """One replication, its tape and its numbers."""
    with watched(ttls) as runs:
        replication = run_replication(scenario, seed, 0)
    return replication, runs[0]


def differences(numbers, values):
    """The numbers that the recorder sees otherwise."""
    wrong = {}
    for name, number in numbers.items():
        same = math.isnan(number) and math.isnan(values[name])
        if not same and values[name] != pytest.approx(number, rel=1e-12, abs=1e-12):
            wrong[name] = (number, values[name])
    return wrong


random_scenarios = settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.slow
@random_scenarios
@given(drawn=scenarios(), seed=st.integers(0, 2**32))
def test_on_random_scenarios_every_number_is_that_of_the_obvious_computation(drawn, seed):
    """The books of the independent ledger balance too, to the message: ``watched`` checks both identities and the broker."""
    scenario, served, ttls = drawn
    replication, tape = run(scenario, seed, ttls)
    reached = {effect.queue for effect in tape.effects("Enqueued")}  # a delay queue that nothing is published to serves nobody
    assert set(tape.served) & reached == served & reached
    assert differences(Naive(tape, served).values(), replication.values) == {}
    check_identities(tape, replication.values)
    check_paths(scenario, tape)


def check_paths(scenario, tape: Run):
    """What holds on every path, to the message and to the nanosecond."""
    check_buffers(tape)
    for name, options in scenario.topology.queues.items():
        groups = [group for group in scenario.consumers.values() if group.queue == name]
        check_order(name, tape)
        check_levels(name, options, groups, tape)
        check_attempts(name, options, groups, tape)
    assert tape.armed <= len(scenario.topology.queues), "wake-ups pile up in the calendar"


def check_buffers(tape):
    """A consumer starts on its deliveries in the order in which it got them."""
    channel: dict[int, int] = {}
    waiting: dict[int, list[int]] = {}
    for entry in tape.tape:
        if type(entry).__name__ == "Delivered":
            channel[entry.copy_id] = entry.channel
            waiting.setdefault(entry.channel, []).append(entry.copy_id)
        elif isinstance(entry, tuple) and entry[0] == "started":
            assert waiting[channel[entry[2]]].pop(0) == entry[2]


def check_order(queue, tape):
    """Without requeues a queue is first in, first out."""
    if any(effect.queue == queue for effect in tape.effects("Requeued")):
        return
    delivered = [effect.copy_id for effect in tape.effects("Delivered") if effect.queue == queue]
    enqueued = [effect.copy_id for effect in tape.effects("Enqueued") if effect.queue == queue]
    assert delivered == [copy for copy in enqueued if copy in set(delivered)]


def check_levels(queue, options, groups, tape):
    """After every take: unacked <= prefetch x consumers, and ready <= max_length.

    A queue that refuses what is published too much takes back what it had delivered, however much that is.
    """
    unlimited = any(g.prefetch is None or not g.constant for g in groups)
    prefetch = math.inf if unlimited else sum(g.count * g.prefetch for g in groups)
    limited = options.get("type") == "classic" or options.get("overflow") != "reject-publish"
    limit = (options.get("max_length") or math.inf) if limited else math.inf
    refuses, returned = options.get("overflow") == "reject-publish", set[int]()
    ready = unacked = 0
    steps = {"Enqueued": (1, 0), "Delivered": (-1, 1), "Requeued": (1, -1), "Settled": (0, -1)}
    delivered: set[int] = set()
    ends = set(tape.takes)
    for place, entry in enumerate(tape.tape, start=1):
        kind = type(entry).__name__
        if kind in steps and entry.queue == queue:
            ready, unacked = ready + steps[kind][0], unacked + steps[kind][1]
            (delivered.add if kind == "Delivered" else delivered.discard)(entry.copy_id)
        elif kind == "Removed" and entry.queue == queue:
            ready, unacked = ready - (entry.copy_id not in delivered), unacked - (entry.copy_id in delivered)
        assert unacked <= prefetch
        if refuses and getattr(entry, "queue", None) == queue:
            (returned.add if kind == "Requeued" else returned.discard)(entry.copy_id)
        assert ready - len(returned) <= limit or place not in ends


def check_attempts(queue, options, groups, tape):
    """No copy is delivered more often than its delivery limit and its consumers' attempts allow."""
    allowed = math.inf if options.get("delivery_limit") is None else options["delivery_limit"] + 1
    if options.get("type") == "quorum" and options.get("delivery_limit") is None:
        allowed = 21
    if groups and all(g.retry.attempts is not None and g.retry.how == "requeue" for g in groups):
        allowed = min(allowed, max(g.retry.attempts for g in groups))
    assert all(effect.attempt <= allowed for effect in tape.effects("Delivered") if effect.queue == queue)


def test_a_retry_inside_the_handler_is_an_attempt_too(seed):
    scenario = Scenario("retries", run={"duration": "20s"})
    scenario.queue("work")
    scenario.publisher("web", to="work", arrivals="constant_rate 10/s")
    retry = {"how": "in-handler", "attempts": 3}
    scenario.consumer("c", queue="work", service="constant 10ms", failure=1, retry=retry)
    values = run_replication(scenario, seed, 0).values
    assert values["work.attempts.mean"] == 3
    assert values["work.deliveries.mean"] == 1
    assert values["consumers.c.failures"] == values["consumers.c.attempts"] >= 3 * 199
    assert values["work.loss.rejected"] == pytest.approx(1, abs=0.01)


def test_the_most_that_a_queue_held_is_within_its_limit():
    """A message that pushes out another was never held beside it."""
    scenario = Scenario("full", run={"duration": "10s"})
    scenario.queue("work", max_length=3)
    scenario.publisher("web", to="work", arrivals="constant_rate 10/s")
    values = run_replication(scenario, 1, 0).values
    assert values["work.depth.max"] == 3
    assert values["work.loss.maxlen"] == pytest.approx(97 / 100)


@pytest.mark.parametrize("consumed", [True, False])
def test_a_dead_letter_that_its_queue_refuses_is_lost_because_of_that(consumed, seed):
    scenario = Scenario("full", run={"duration": "10s"})
    scenario.queue("dead", max_length=1, overflow="reject-publish")
    scenario.queue("work", dead_letter_exchange="", dead_letter_routing_key="dead")
    scenario.publisher("web", to="work", arrivals="constant_rate 10/s")
    scenario.consumer("c", queue="work", service="constant 1ms", failure={"permanent": 1})
    if consumed:
        scenario.consumer("late", queue="dead", service="constant 20s", prefetch=1)
    values = run_replication(scenario, seed, 0).values
    waiting = 2 if consumed else 0
    assert values["work.loss.refused"] == pytest.approx((100 - (waiting or 1) - 1) / 100)  # the hundredth is being handled
    assert values["work.waiting"] == pytest.approx((waiting + 1) / 100)


def test_averages_over_time_of_a_path_that_can_be_drawn_by_hand():
    """Two messages at 1 s, one server, 2 s each; measured from 2 s to 6 s."""
    scenario = Scenario("by hand", run={"duration": "4s", "warmup": "2s"})
    scenario.queue("work")
    scenario.publisher("web", to="work", arrivals=arriving([1, 1], SECOND))
    scenario.consumer("c", queue="work", prefetch=1, service="constant 2s")
    values = run_replication(scenario, 1, 0).values
    assert values["work.ready.mean"] == 0.25  # the second one, until 3 s
    assert values["work.unacked.mean"] == values["work.utilisation"] == 0.75  # from 2 s to 5 s
    assert values["work.depth.mean"] == 1
    assert values["work.depth.max"] == 2
    assert values["work.throughput"] == 0.5
    assert values["work.arrival_rate"] == values["messages.n"] == values["work.wait.n"] == values["work.loss.n"] == 0
    assert math.isnan(values["work.wait.mean"])
    assert math.isnan(values["work.loss"])


def test_a_window_that_never_closes_and_one_that_is_still_open():
    """Of three messages at 0, 1 and 2 s the first is applied at 1.5 s, the second expires and the third still waits."""
    scenario = Scenario("windows", run={"duration": "2s"})
    scenario.queue("work", message_ttl="400ms")
    scenario.publisher("web", to="work", arrivals=arriving([0, 1, 2], SECOND))
    scenario.consumer("c", queue="work", prefetch=1, service="constant 1500ms")
    values = run_replication(scenario, 1, 0).values
    thirds = [values[name] for name in ("work.loss.expired", "work.waiting", "window.never", "window.open")]
    assert thirds == pytest.approx([1 / 3] * 4)
    assert (values["window.p50"], values["window.p95"]) == (1.5, math.inf)  # the open one left the risk set at once
    assert values["work.wait.n"] == 2


def test_what_was_published_before_the_warm_up_was_over_is_no_measured_obligation_however_it_ends():
    """One message at 0 s is still handled at the end, one at 1 s expires unmeasured, one at 3 s waits."""
    scenario = Scenario("before", run={"duration": "4s", "warmup": "2s"})
    scenario.queue("work", message_ttl="5s")
    scenario.publisher("web", to="work", arrivals=arriving([0, 1, 3], SECOND))
    scenario.consumer("c", queue="work", prefetch=1, service="constant 30s")
    values = run_replication(scenario, 1, 0).values
    assert values["work.loss.n"] == values["work.waiting"] == values["window.n"] == values["window.open"] == 1
    assert values["work.loss"] == 0
    assert values["work.depth.mean"] == pytest.approx((4 + 4 + 3) / 4)


def test_a_dead_letter_that_is_applied_in_two_places_closes_the_window_of_one_subscriber_only():
    scenario = Scenario("twice", run={"duration": "4s"})
    for exchange, queues in (("in", ("work", "slow")), ("dlx", ("dead", "dead too"))):
        scenario.exchange(exchange, type="fanout")
        for queue in queues:
            scenario.queue(queue, **({"dead_letter_exchange": "dlx"} if queue == "work" else {}))
            scenario.bind(queue, exchange)
            service = "constant 30s" if queue == "slow" else "constant 10ms"
            scenario.consumer(f"of {queue}", queue=queue, service=service, failure={"permanent": int(queue == "work")})
    scenario.publisher("web", exchange="in", arrivals=arriving([1], SECOND))
    values = run_replication(scenario, 1, 0).values
    assert values["dead.duplicates.n"] == values["dead too.duplicates.n"] == values["window.open"] == values["window.n"] == 1
    assert values["work.loss"] == values["work.waiting"] == 0
    assert values["slow.waiting"] == 1
