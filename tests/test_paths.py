"""Truths that hold pathwise: every start of every handler, to the nanosecond, is that of a recursion of a few lines.

The recursions (Lindley 1952 for one server, Kiefer and Wolfowitz 1955 for several) get the draws of a replication from its
streams, know neither broker nor calendar, and must agree with them on each message. What the draws themselves are like is the
business of ``test_distributions`` and ``test_workloads``; the long run, of ``test_truth``.
"""

import heapq
from collections import deque
from itertools import islice, takewhile

import pytest

from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.model.streams import Streams, draws
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND
from tests.naive import watched

END = 900 * SECOND
ARRIVALS = [
    "poisson 0.8/s",
    "constant_rate 0.8/s",
    "renewal 'gamma mean=1250ms cv=2'",
    "batches 0.8/s size=3 spread=geometric",
    "bursts size=20 every=25s",
    "sinusoid 0.8/s swing=0.9 period=1min",
    "schedule 30s:1.6/s,30s:0/s",
    "markov_modulated 50s:0.4/s,10s:2/s",
]
SERVICES = [
    "exponential 1s",
    "constant 1s",
    "lognormal mean=1s cv=2",
    "hyperexponential mean=1s cv=3",
    "weibull mean=1s cv=0.5",
    "pareto alpha=1.5 low=300ms high=1min",
    "empirical 0ms,2s",
]


def one_queue(arrivals="poisson 0.8/s", service="exponential 1s", options=None, **consumer):
    scenario = Scenario("one queue", run={"duration": "15min"})
    scenario.queue("work", **(options or {}))
    scenario.publisher("source", to="work", arrivals=arrivals)
    scenario.consumer("server", queue="work", service=service, **consumer)
    return scenario


class Draws:
    """What a replication draws, from the streams that its contract names."""

    def __init__(self, scenario, seed):
        self.scenario, self.streams = scenario, Streams(seed, 0)

    @property
    def arrivals(self):
        return self.arrivals_of("source")

    def arrivals_of(self, publisher):
        workload = self.scenario.publishers[publisher].arrivals
        epochs = workload.epochs(self.streams.generator(f"publishers.{publisher}", "arrivals"))
        return list(takewhile(lambda at: at <= END, epochs))

    def services(self, group="server"):
        return draws(self.streams.generator(f"consumers.{group}", "service"), self.scenario.consumers[group].service.sample)

    def outcomes(self, group="server"):
        return draws(self.streams.generator(f"consumers.{group}", "failure"), lambda generator, n: generator.random(n))


def starts(scenario, seed, group="server"):
    """When a handler of the group began, for each message by its number; only of those that began."""
    with watched() as runs:
        run_replication(scenario, seed, 0)
    run = runs[0]
    message = {effect.copy_id: effect.message_id for effect in run.effects("Enqueued")}
    found: dict[int, int] = {}
    for _, name, copy, now in run.notices("started"):
        if name == group:
            found.setdefault(message[copy], now)
    return found


def by_number(times):
    """The naive starts that the run was long enough to see, by number of the message from 1; None for those never served."""
    return {n: at for n, at in enumerate(times, start=1) if at is not None and at <= END}


def in_order(arrivals, services, servers=1):
    """Whoever is free first takes the next (Kiefer and Wolfowitz)."""
    free = [0] * servers
    for arrival in arrivals:
        start = max(arrival, heapq.heappop(free))
        heapq.heappush(free, start + next(services))
        yield start


@pytest.mark.parametrize("arrivals", ARRIVALS)
@pytest.mark.parametrize("prefetch", [1, "unlimited"])
def test_one_consumer_serves_as_lindley_says_whatever_the_arrivals(arrivals, prefetch, seed):
    scenario = one_queue(arrivals, prefetch=prefetch)
    drawn = Draws(scenario, seed)
    assert starts(scenario, seed) == by_number(in_order(drawn.arrivals, drawn.services()))


@pytest.mark.parametrize("service", SERVICES)
def test_one_consumer_serves_as_lindley_says_whatever_the_services(service, seed):
    scenario = one_queue(service=service, prefetch=3)
    drawn = Draws(scenario, seed)
    assert starts(scenario, seed) == by_number(in_order(drawn.arrivals, drawn.services()))


@pytest.mark.parametrize(
    "group",
    [
        {"count": 3, "prefetch": 1},
        {"concurrency": 3},
        {"concurrency": 3, "prefetch": 3},
        {"count": 2, "concurrency": 3, "prefetch": 3},
        {"concurrency": 9, "prefetch": 2},
    ],
)
def test_consumers_that_hold_no_more_than_they_handle_share_one_line(group, seed):
    scenario = one_queue("poisson 2.2/s", **group)
    servers = scenario.consumers["server"].servers
    drawn = Draws(scenario, seed)
    assert starts(scenario, seed) == by_number(in_order(drawn.arrivals, drawn.services(), servers))


def dealt(arrivals, services, consumers):
    """A line for each consumer, to which arrivals go in turn; services are drawn in order of starts."""
    everyone = list(enumerate(arrivals, start=1))
    lines = [deque(everyone[number::consumers]) for number in range(consumers)]
    free, found = [0] * consumers, {}
    while any(lines):
        start, number = min((max(free[i], line[0][1]), i) for i, line in enumerate(lines) if line)
        message, _ = lines[number].popleft()
        found[message] = start
        free[number] = start + next(services)
    return {message: at for message, at in found.items() if at <= END}


@pytest.mark.parametrize("consumers", [2, 5])
def test_unlimited_prefetch_makes_a_line_for_each_consumer(consumers, seed):
    scenario = one_queue(f"poisson {0.7 * consumers}/s", count=consumers)
    drawn = Draws(scenario, seed)
    assert starts(scenario, seed) == dealt(drawn.arrivals, drawn.services(), consumers)


def most_urgent_first(arrivals, services, servers):
    """A server that becomes free takes the oldest of the most urgent; ``arrivals`` are instants and priorities."""
    free, waiting, found = [0] * servers, list[tuple[int, int]](), {}
    coming = deque((at, priority, number) for number, (at, priority) in enumerate(sorted(arrivals), start=1))
    while coming or waiting:
        now = heapq.heappop(free)
        if not waiting:
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            _, priority, number = coming.popleft()
            heapq.heappush(waiting, (-priority, number))
        found[heapq.heappop(waiting)[1]] = now
        heapq.heappush(free, now + next(services))
    return {message: at for message, at in found.items() if at <= END}


def with_classes(servers):
    """Two publishers of one queue, one in four messages urgent."""
    scenario = one_queue(f"poisson {0.6 * servers}/s", options={"max_priority": 5}, count=servers, prefetch=1)
    scenario.publisher("urgent", to="work", arrivals=f"poisson {0.2 * servers}/s", priority=5)
    return scenario


@pytest.mark.parametrize("servers", [1, 4])
def test_a_consumer_that_holds_one_message_takes_the_most_urgent_next(servers, seed):
    scenario = with_classes(servers)
    drawn = Draws(scenario, seed)
    arrivals = [(at, 0) for at in drawn.arrivals] + [(at, 5) for at in drawn.arrivals_of("urgent")]
    assert starts(scenario, seed) == most_urgent_first(arrivals, drawn.services(), servers)


def test_at_unlimited_prefetch_priorities_come_too_late(seed):
    """What has been delivered is out of the queue's hands: one line in order of arrival."""
    scenario = with_classes(1).with_("consumers.server.prefetch", "unlimited")
    drawn = Draws(scenario, seed)
    arrivals = sorted([*drawn.arrivals, *drawn.arrivals_of("urgent")])
    assert starts(scenario, seed) == by_number(in_order(arrivals, drawn.services()))


def refused(arrivals, services, servers, places):
    """With a limit: who finds all places taken is never served."""
    free, leave = [0] * servers, list[int]()
    for arrival in arrivals:
        while leave and leave[0] <= arrival:
            heapq.heappop(leave)
        if len(leave) == places:
            yield None
            continue
        start = max(arrival, heapq.heappop(free))
        heapq.heappush(free, end := start + next(services))
        heapq.heappush(leave, end)
        yield start


@pytest.mark.parametrize("service", SERVICES[:4])
@pytest.mark.parametrize(("servers", "places"), [(1, 2), (1, 5), (3, 5)])
def test_a_limit_refuses_who_finds_all_places_taken(servers, places, service, seed):
    options = {"max_length": places - servers, "overflow": "reject-publish"}
    scenario = one_queue(f"poisson {1.1 * servers}/s", service, options, count=servers, prefetch=1)
    drawn = Draws(scenario, seed)
    assert starts(scenario, seed) == by_number(refused(drawn.arrivals, drawn.services(), servers, places))


@pytest.mark.parametrize("service", SERVICES[:4])
def test_a_limit_without_a_place_to_wait_is_a_loss_system(service, seed):
    scenario = one_queue("poisson 2.4/s", service, {"max_length": 0}, count=3, prefetch=1)
    drawn = Draws(scenario, seed)
    assert starts(scenario, seed) == by_number(refused(drawn.arrivals, drawn.services(), 3, 3))


@pytest.mark.parametrize("places", [2, 5])
def test_a_limit_that_drops_heads_starts_at_the_same_instants_as_one_that_refuses(places, seed):
    """It loses as many, and others."""
    found = {}
    for overflow in ("reject-publish", "drop-head"):
        scenario = one_queue("poisson 1.1/s", options={"max_length": places - 1, "overflow": overflow}, prefetch=1)
        found[overflow] = starts(scenario, seed)
    assert sorted(found["drop-head"].values()) == sorted(found["reject-publish"].values())
    assert found["drop-head"] != found["reject-publish"]


def patient(arrivals, services, servers, patience):
    """Who would have to wait for that long leaves unserved."""
    free = [0] * servers
    for arrival in arrivals:
        start = max(arrival, free[0])
        if start - arrival >= patience:
            yield None
        else:
            heapq.heapreplace(free, start + next(services))
            yield start


@pytest.mark.parametrize("servers", [1, 4])
@pytest.mark.parametrize("arrivals", ["poisson", "batches size=4"])
def test_a_time_to_live_ends_the_wait_and_nothing_else(arrivals, servers, seed):
    kind, _, size = arrivals.partition(" ")
    scenario = one_queue(f"{kind} {1.1 * servers}/s {size}".strip(), options={"message_ttl": "2s"}, count=servers, prefetch=1)
    drawn = Draws(scenario, seed)
    assert starts(scenario, seed) == by_number(patient(drawn.arrivals, drawn.services(), servers, 2 * SECOND))


def tried_until_done(services, outcomes, failure, attempts=None, backoff=0):
    """What a message takes of a server that keeps it until it is done."""
    while True:
        took, tried = next(services), 1
        while next(outcomes) < failure and tried != attempts:
            took, tried = took + backoff + next(services), tried + 1
        yield took


def test_a_message_that_is_requeued_at_once_is_the_next_again(seed):
    scenario = one_queue("poisson 0.6/s", failure=0.2, prefetch=1)
    drawn = Draws(scenario, seed)
    services = tried_until_done(drawn.services(), drawn.outcomes(), 0.2)
    assert starts(scenario, seed) == by_number(in_order(drawn.arrivals, services))


def test_a_retry_in_the_handler_keeps_its_server(seed):
    retry = "in-handler attempts=3 backoff='fixed 500ms'"
    scenario = one_queue("poisson 0.4/s", failure=0.4, prefetch=1, retry=retry)
    drawn = Draws(scenario, seed)
    services = tried_until_done(drawn.services(), drawn.outcomes(), 0.4, attempts=3, backoff=SECOND // 2)
    assert starts(scenario, seed) == by_number(in_order(drawn.arrivals, services))


def tried_again(arrivals, drawn, servers, failure, backoffs):
    """All starts, in order: what fails comes back to the end of the line after its back-off, and is given up after the last."""
    services, outcomes = drawn.services(), drawn.outcomes()
    calendar = [(at, number, True, 1) for number, at in enumerate(arrivals, start=1)]
    line, idle, found = deque[tuple[int, int]](), servers, []
    while calendar:
        now, message, joins, attempt = heapq.heappop(calendar)
        if joins:
            line.append((message, attempt))
        else:
            idle += 1
            if next(outcomes) < failure and attempt <= len(backoffs):
                heapq.heappush(calendar, (now + backoffs[attempt - 1], message, True, attempt + 1))
        while idle and line:
            idle -= 1
            found.append((now, line[0][0]))
            heapq.heappush(calendar, (now + next(services), line[0][0], False, line.popleft()[1]))
    return [each for each in found if each[0] <= END]


@pytest.mark.parametrize("servers", [1, 4])
def test_what_fails_comes_back_after_its_back_off(servers, seed):
    retry = "requeue attempts=4 backoff='exponential 5s'"
    scenario = one_queue(f"poisson {0.6 * servers}/s", failure=0.2, concurrency=servers, retry=retry)
    with watched() as runs:
        run_replication(scenario, seed, 0)
    message = {effect.copy_id: effect.message_id for effect in runs[0].effects("Enqueued")}
    drawn = Draws(scenario, seed)
    expected = tried_again(drawn.arrivals, drawn, servers, 0.2, [5 * SECOND, 10 * SECOND, 20 * SECOND])
    assert [(now, message[copy]) for _, _, copy, now in runs[0].notices("started")] == expected


def test_what_one_queue_hands_on_arrives_at_the_next_when_its_handler_ends(seed):
    scenario = one_queue(
        failure={"permanent": 1}, options={"dead_letter_exchange": "", "dead_letter_routing_key": "next"}, prefetch=1
    )
    scenario.queue("next")
    scenario.consumer("clerk", queue="next", service="exponential 800ms", prefetch=1)
    drawn = Draws(scenario, seed)
    services = list(islice(drawn.services(), len(drawn.arrivals)))
    ends = [start + service for start, service in zip(in_order(drawn.arrivals, iter(services)), services, strict=True)]
    assert starts(scenario, seed, "clerk") == by_number(in_order(ends, drawn.services("clerk")))


def test_a_window_closes_when_the_last_subscriber_is_done(seed):
    scenario = Scenario("fan-out", run={"duration": "15min"})
    scenario.exchange("all", type="fanout")
    scenario.publisher("source", exchange="all", arrivals="poisson 0.8/s")
    for name in ("a", "b", "c"):
        scenario.queue(name)
        scenario.bind(name, "all")
        scenario.consumer(name, queue=name, service="exponential 1s")
    drawn = Draws(scenario, seed)
    arrivals, ends = drawn.arrivals, []
    for name in ("a", "b", "c"):
        services = list(islice(drawn.services(name), len(arrivals)))
        begun = in_order(arrivals, iter(services))
        ends.append([start + service for start, service in zip(begun, services, strict=True)])
    closed = [max(each) - at for at, *each in zip(arrivals, *ends, strict=True) if max(each) <= END]
    values = run_replication(scenario, seed, 0).values
    assert values["window.n"] * (1 - values["window.open"]) == pytest.approx(len(closed))
    assert values["window.max"] == max(closed) / SECOND
    assert values["window.mean"] == pytest.approx(sum(closed) / SECOND / len(closed), rel=1e-12)


# Breakdowns


def intervals(uptimes, downtimes):
    """From when to when the only server is broken."""
    now = 0
    while now <= END:
        begins = now + next(uptimes)
        now = begins + next(downtimes)
        yield begins, now


def interrupted(arrivals, services, broken):
    """One server that stops in the middle, goes on where it was, and begins nothing while it is broken."""
    free = 0
    for arrival in arrivals:
        now = max(arrival, free)
        start = next((end for begins, end in broken if begins <= now < end), now)
        yield start
        free, left = start, next(services)
        for begins, end in broken:
            if end > free:
                worked = min(left, max(0, begins - free))
                free, left = free + worked, left - worked
                if not left:
                    break
                free = max(free, end)
        free += left


def test_a_server_that_breaks_down_goes_on_where_it_was(seed):
    scenario = one_queue("poisson 0.6/s", prefetch=1)
    scenario.outage("disk", "breakdown", whom="server", mtbf="exponential 20s", mttr="exponential 2s")
    drawn, spec = Draws(scenario, seed), scenario.outages["disk"]
    times = [
        draws(drawn.streams.generator("outages.disk", p), law.sample)
        for p, law in (("uptimes", spec.mtbf), ("downtimes", spec.mttr))
    ]
    broken = list(intervals(*times))
    assert starts(scenario, seed) == by_number(interrupted(drawn.arrivals, drawn.services(), broken))


# What is measured of such a path


def attempts_of(arrivals, services, outcomes, failure):
    """For each message: when it came, and when each of its attempts began and ended, with one server and requeues at once."""
    free = 0
    for arrival in arrivals:
        now, spans = max(arrival, free), list[tuple[int, int]]()
        while not spans or next(outcomes) < failure:
            spans.append((now, now := now + next(services)))
        free = now
        yield arrival, spans


def clipped(spans, warmup):
    """Seconds of these spans that are in the measured time."""
    return sum(max(0, min(end, END) - max(start, warmup)) for start, end in spans) / SECOND


@pytest.mark.parametrize("warmup", ["0s", "5min"])
def test_what_is_recorded_of_a_path_is_what_the_recursion_says(warmup, seed):
    """An attempt's wait begins when its copy became ready, by a requeue once more; averages over time leave the warm-up out."""
    before = 0 if warmup == "0s" else 300 * SECOND
    scenario = one_queue("poisson 0.6/s", failure=0.2, prefetch=1)
    scenario = scenario.with_("run.duration", f"{(END - before) // SECOND}s").with_("run.warmup", warmup)
    drawn = Draws(scenario, seed)
    paths = list(attempts_of(drawn.arrivals, drawn.services(), drawn.outcomes(), 0.2))
    # When an attempt's copy became ready: the first on arrival, each other one when the attempt before it failed.
    ready = [at for came, spans in paths for at in (came, *(end for _, end in spans[:-1]))]
    begun = [start for _, spans in paths for start, _ in spans]
    waits = [start - at for at, start in zip(ready, begun, strict=True) if at >= before and start <= END]
    stays = [spans[-1][1] - came for came, spans in paths if came >= before and spans[-1][1] <= END]
    whole = [(came, spans[-1][1]) for came, spans in paths]
    measured = (END - before) / SECOND
    values = run_replication(scenario, seed, 0).values
    assert (values["work.wait.n"], values["work.residence.n"]) == (len(waits), len(stays))
    found = [values[f"work.{name}"] for name in ("wait.mean", "wait.max", "residence.mean", "depth.mean", "utilisation")]
    assert found == pytest.approx(
        [
            sum(waits) / len(waits) / SECOND,
            max(waits) / SECOND,
            sum(stays) / len(stays) / SECOND,
            clipped(whole, before) / measured,
            clipped([span for _, spans in paths for span in spans], before) / measured,
        ],
        rel=1e-12,
    )
