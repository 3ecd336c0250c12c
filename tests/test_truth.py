"""Truths of queueing theory that the simulation has to meet, whole: scenario, broker, recorder.

One entry for each row of the truth table, by its meaning for a broker. The numbers are those of the literature, computed to six
digits in ``test_theory``, with a mean service of one second where nothing else is said; beside them an entry claims all that
``result.theory()`` says of it. ``truths`` tells how long they run and when they hold.

What holds pathwise, to the nanosecond, is in ``test_paths``; what holds of every scenario, in ``test_recorder``.

``pytest tests/test_truth.py --fresh-seeds`` repeats them with other draws.
"""

import math
from typing import Any

import pytest
import simpy

from simbus.analysis.estimates import student_t
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.forecast.exact import exact_values
from simbus.simulation.replication.usercode import MICROSECOND
from simbus.simulation.scenario import Scenario
from tests.truths import Truth, judge


def one_queue(arrivals="poisson 0.8/s", service="exponential 1s", options=None, **consumer):
    """A queue, a publisher and a group of consumers."""
    scenario = Scenario("one queue")
    scenario.queue("work", **(options or {}))
    scenario.publisher("source", to="work", arrivals=arrivals)
    scenario.consumer("server", queue="work", service=service, **consumer)
    return scenario


def pooled(servers, arrivals, **parts):
    """Whoever is free takes the next."""
    return one_queue(arrivals, count=servers, prefetch=1, **parts)


def limited(places, arrivals="poisson 0.8/s", servers=1, overflow="reject-publish", **parts):
    """With so many places in all, those in service included."""
    options = {"max_length": places - servers, "overflow": overflow}
    return one_queue(arrivals, options=options, count=servers, prefetch=1, **parts)


def loss_system(servers, arrivals, service="exponential 1s"):
    """Nobody may wait: what finds all consumers busy is dropped."""
    return limited(servers, arrivals, servers, overflow="drop-head", service=service)


def partitions(rate, shares):
    """One publisher, whose keys go to a queue each: Poisson arrivals that are marked at random are Poisson for every mark."""
    scenario = Scenario("partitions")
    scenario.exchange("by key", type="direct")
    keys = {f"key{number}": share for number, share in enumerate(shares)}
    scenario.publisher("source", exchange="by key", routing_key=keys, arrivals=f"poisson {rate}/s")
    for number, key in enumerate(keys):
        scenario.queue(f"part{number}")
        scenario.bind(f"part{number}", "by key", key)
        scenario.consumer(f"server{number}", queue=f"part{number}", service="exponential 1s", prefetch=1)
    return scenario


def tandem(rate, services):
    """Every message is handed on to the next queue, as a dead letter of the first."""
    scenario = Scenario("tandem")
    scenario.queue("stage0")
    scenario.publisher("source", to="stage0", arrivals=f"poisson {rate}/s")
    for number, mean in enumerate(services):
        last = number + 1 == len(services)
        onward = {} if last else {"dead_letter_exchange": "", "dead_letter_routing_key": f"stage{number + 1}"}
        if number:
            scenario.queue(f"stage{number}", **onward)
        else:
            scenario = scenario.with_("queues.stage0.dead_letter_exchange", "")
            scenario = scenario.with_("queues.stage0.dead_letter_routing_key", "stage1")
        failure = {"permanent": 0 if last else 1}
        scenario.consumer(f"server{number}", queue=f"stage{number}", service=f"exponential {mean}", failure=failure, prefetch=1)
    return scenario


def fan_out(queues, rate=0.8):
    """A message goes to all of several equal queues."""
    scenario = Scenario("fan-out")
    scenario.exchange("all", type="fanout")
    scenario.publisher("source", exchange="all", arrivals=f"poisson {rate}/s")
    for number in range(queues):
        scenario.queue(f"copy{number}")
        scenario.bind(f"copy{number}", "all")
        scenario.consumer(f"server{number}", queue=f"copy{number}", service="exponential 1s", prefetch=1)
    return scenario


def unreliable(kind, arrivals="poisson 0.6/s", mtbf="exponential 20s", mttr="exponential 2s", **outage):
    """One consumer with outages at random."""
    scenario = one_queue(arrivals, prefetch=1)
    scenario.outage("trouble", kind, whom="server", mtbf=mtbf, mttr=mttr, **outage)
    return scenario


def classes(servers):
    """One message in four is urgent."""
    scenario = Scenario("priorities")
    scenario.queue("work", max_priority=5)
    messages = {"urgent": {"share": 0.25, "priority": 5}, "plain": {"priority": 1}}
    scenario.publisher("source", to="work", arrivals=f"poisson {0.8 * servers}/s", messages=messages)
    scenario.consumer("server", queue="work", service="exponential 1s", count=servers, prefetch=1)
    return scenario


def preempting(env, message):
    """One server for all, a microsecond for each byte; what someone more urgent interrupts goes on later where it was.

    Behind others of its class, which without memory is as good as before them.
    """
    server = env.shared.__dict__.setdefault("server", simpy.PreemptiveResource(env))
    left = message.size * MICROSECOND
    while True:
        with server.request(priority=message.type != "urgent") as turn:
            try:
                yield turn
                yield env.timeout(left)
            except simpy.Interrupt as interrupt:
                preempted: Any = interrupt.cause
                left -= env.now - preempted.usage_since
            else:
                return


def interrupting():
    """One message in four is urgent, and a handler that is code of a user's serves it at once: a broker interrupts nobody."""
    scenario = Scenario("preemptive priorities")
    scenario.queue("work")
    messages = {"urgent": {"share": 0.25}, "plain": {}}
    scenario.publisher("source", to="work", arrivals="poisson 0.8/s", messages=messages, size="exponential 1MB")
    scenario.consumer("server", queue="work", handler=preempting, concurrency=100)
    return scenario


def impatient(servers, arrivals, patience):
    """Each message has a time to live of its own, drawn."""
    scenario = Scenario("impatient")
    scenario.queue("work")
    scenario.publisher("source", to="work", arrivals=arrivals, expiration=f"exponential {patience}")
    scenario.consumer("server", queue="work", service="exponential 1s", count=servers, prefetch=1)
    return scenario


def interrupted(replication):
    """The share of attempts that a crash ends."""
    ended, cut = (replication.values[f"consumers.server.{name}"] for name in ("attempts", "interrupted"))
    return cut / (cut + ended)


def closed(window, thinking):
    """Tokens that think, publish, and think again when their message is done with."""
    return one_queue(f"closed_loop window={window} think='exponential {thinking}s' until=applied", prefetch=1)


def machine_repair(window, thinking):
    """Messages per second of M/M/1//N, by birth and death: the server rests when all tokens think."""
    weights = [1.0]
    for busy in range(window):
        weights.append(weights[-1] * (window - busy) / thinking)
    return 1 - weights[0] / sum(weights)


# Ten periods of 4 pi seconds, twenty of the 200 bins each; the mean over a bin or two, in all periods but the first.
PERIOD = 4 * math.pi


def swinging(first, last):
    """The mean number in service between two times of the period, in bins of a twentieth."""
    return lambda replication: float(replication.curves["work.unacked.over_time"].reshape(10, 20)[1:, first:last].mean())


def mean_swing(first, last):
    """Of Mt/M/inf with the rate 10 + 5 sin(t / 2): m(t) = 10 + 4 sin(t / 2) - 2 cos(t / 2), averaged over these bins."""
    area = [-2 * math.cos(t / 2) - math.sin(t / 2) for t in (first * PERIOD / 20, last * PERIOD / 20)]
    return 10 + 4 * (area[1] - area[0]) / ((last - first) * PERIOD / 20)


def unacknowledged(share):
    """The broker does not see some of the acknowledgements, and gives these messages again."""
    scenario = one_queue("poisson 0.5/s", prefetch=1)
    scenario.outage("losses", "lost-acks", whom="server", share=share)
    return scenario


def patient(timeout, concurrency):
    """A message an hour, so that it finds an idle channel, whose minutes begin with it; what is taken back finds another one."""
    service = "exponential 1min"
    return one_queue("constant_rate 1/h", service, {"consumer_timeout": timeout}, concurrency=concurrency)


def back_off(arrivals, failure, backoff, attempts=4, **parts):
    return one_queue(arrivals, failure=failure, retry=f"requeue attempts={attempts} backoff='{backoff}'", **parts)


W = "work.wait.mean"
TRUTHS = {
    # 1, 1b: one consumer
    "M/M/1": Truth(
        one_queue(prefetch=1),
        {
            W: 4,
            "work.residence.mean": 5,
            "work.ready.mean": 3.2,
            "work.residence.p50": 3.4657,
            "work.residence.p99": 23.026,
            "window.mean": 5,
        },
        beyond={("work.residence", 5): math.exp(-1), ("work.wait", 10): 0.8 * math.exp(-2)},
        duration="2h",
        within=0.15,
    ),
    # 2: consumers that share a queue
    "M/M/3": Truth(
        pooled(3, "poisson 2.4/s"),
        {W: 1.07865, "work.wait.p95": 4.2677, "work.wait.p99": 6.9501},
        beyond={("work.wait", 1): 0.647191 * math.exp(-0.6)},
    ),
    "M/M/4": Truth(pooled(4, "poisson 3.2/s"), {W: 0.745541}, beyond={("work.wait", 1): 0.596432 * math.exp(-0.8)}),
    "M/M/10": Truth(
        pooled(10, "poisson 8/s"),
        {W: 0.20459},
        beyond={("work.wait", 0.5): 0.40918 * math.exp(-1)},
        duration="30min",
        warmup="2min",
        within=0.2,
    ),
    "M/M/4 of one consumer": Truth(one_queue("poisson 3.2/s", concurrency=4), {W: 0.745541}),
    # 3: handler times of any law
    "M/D/1, its mean": Truth(one_queue(service="constant 1s"), {W: 2}),
    "M/E2/1": Truth(one_queue(service="gamma mean=1s cv=0.7071067811865476"), {W: 3}),
    "M/LN/1 cv 1": Truth(one_queue(service="lognormal mean=1s cv=1"), {W: 4}, duration="2h"),
    "M/LN/1 cv 2": Truth(one_queue(service="lognormal mean=1s cv=2"), {W: 10}, duration="6h", within=0.4, warmup="30min"),
    "M/H2/1": Truth(one_queue("poisson 0.5/s", service="hyperexponential mean=1s cv=2"), {W: 2.5}),
    # 4: a constant handler time
    "M/D/1": Truth(
        one_queue(service="constant 1s", prefetch=1),
        beyond={("work.wait", t): 1 - f for t, f in ((2, 0.63452), (5, 0.899503), (10, 0.988343))},
    ),
    # 5: a publisher at a constant rate
    "D/M/1": Truth(one_queue("constant_rate 0.8/s"), {W: 1.69273, "work.residence.p99": 12.4005}),
    # 6: unlimited prefetch deals in turn
    "two dealt in turn": Truth(one_queue("poisson 1.6/s", count=2), {W: 2.84398}),
    "four dealt in turn": Truth(one_queue("poisson 3.2/s", count=4), {W: 2.26738}),
    # 7: a key decides which partition
    "equal keys": Truth(
        partitions(2.4, [1 / 3] * 3), {f"part{n}.wait.mean": 4 for n in range(3)} | {"window.mean": 5}, within=0.25
    ),
    "uneven keys": Truth(
        partitions(1.2, [0.6, 0.3, 0.1]),
        {f"part{n}.wait.mean": load / (1 - load) for n, load in enumerate((0.72, 0.36, 0.12))}
        | {"window.mean": 0.6 / 0.28 + 0.3 / 0.64 + 0.1 / 0.88},
        within=0.25,
    ),
    # 8, 8b: limits
    "M/M/1/5": Truth(limited(5), {"work.loss.refused": 0.0888195, "work.depth.mean": 1.86833}),
    "M/M/1/5, heads dropped": Truth(
        limited(5, overflow="drop-head"), {"work.loss.maxlen": 0.0888195, "work.depth.mean": 1.86833}
    ),
    "M/M/1/10": Truth(limited(10), {"work.loss.refused": 0.0234929}),
    "M/M/1/20": Truth(limited(20), {"work.loss.refused": 0.00232731}, duration="3h", within=0.3),
    "M/M/3/13": Truth(limited(13, "poisson 3/s", 3), {"work.loss.refused": 0.0775862, W: 1.54206}),
    "M/M/3/13 overloaded": Truth(limited(13, "poisson 4/s", 3), {"work.loss.refused": 0.256431}),
    # 9: nobody waits
    **{
        f"{law}: a loss system of {servers}": Truth(
            loss_system(servers, f"poisson {offered}/s", service),
            {"work.loss.maxlen": blocked},
            within=0.1,
            duration=f"{200 // servers}min",
            warmup="2min",
        )
        for law, service in {
            "M/M": "exponential 1s",
            "M/D": "constant 1s",
            "M/LN": "lognormal mean=1s cv=1",
            "M/H2": "hyperexponential mean=1s cv=2",
        }.items()
        for servers, offered, blocked in ((3, 2.4, 0.268406), (10, 8, 0.121661))
    },
    # 10: priorities, at a prefetch of 1; consumers that hold more are served in order of arrival
    "priorities": Truth(classes(1), {"work[urgent].wait.mean": 1, "work[plain].wait.mean": 5, W: 4}, duration="2h"),
    "priorities of four servers": Truth(
        classes(4), {"work[urgent].wait.mean": 0.186385, "work[plain].wait.mean": 0.931926}, duration="30min"
    ),
    # 10b: priorities that interrupt
    "preemptive priorities": Truth(
        interrupting(),
        {"work[urgent].residence.mean": 1.25, "work[plain].residence.mean": 6.25, "work.residence.mean": 5},
        within=0.25,
    ),
    # 11: a time to live
    "M/M/1+D": Truth(one_queue(options={"message_ttl": "5s"}, prefetch=1), {"work.loss.expired": 0.0769867}),
    "M/M/1+D overloaded": Truth(pooled(1, "poisson 1.2/s", options={"message_ttl": "5s"}), {"work.loss.expired": 0.223855}),
    "M/M/4+D": Truth(pooled(4, "poisson 3.6/s", options={"message_ttl": "2s"}), {"work.loss.expired": 0.0519433}),
    "M/M/4+D overloaded": Truth(pooled(4, "poisson 5/s", options={"message_ttl": "2s"}), {"work.loss.expired": 0.214451}),
    # 11b: a time to live of each message's own. What expires behind the head still lies there, so a queue is longer than Erlang's
    "Erlang A of three": Truth(
        impatient(3, "poisson 3/s", "10s"), {"work.loss.expired": 0.109806, "work.utilisation": 3 * (1 - 0.109806) / 3}
    ),
    "Erlang A of four": Truth(impatient(4, "poisson 5/s", "2s"), {"work.loss.expired": 0.259026}),
    # 12: requeued at once
    "feedback": Truth(one_queue("poisson 0.6/s", failure=0.2, prefetch=1), {"work.depth.mean": 3, "work.residence.mean": 5}),
    # 13: retries with back-off, then given up
    "retries of four servers": Truth(
        back_off("poisson 2.4/s", 0.2, "exponential 5s", concurrency=4),
        {"work.residence.mean": 3.43824, "work.loss.rejected": 0.0016, "work.attempts.mean": 1.248},
        duration="2h",
    ),
    **{
        f"retries by {how}": Truth(
            pooled(4, "poisson 2.4/s", failure=0.2, retry=f"{how} attempts=4 backoff='exponential 5s'"),
            {W: 0.505, "work.loss.rejected": 0.0016, "work.deliveries.mean": 1},
        )
        for how in ("delay-queue", "delayed-exchange")
    },
    "retries of one server": Truth(
        back_off("poisson 0.6/s", 0.25, "exponential 1s"), {"work.loss.rejected": 0.00390625}, duration="2h"
    ),
    # 14: from queue to queue
    "tandem": Truth(
        tandem(0.8, ["1s", "800ms"]),
        {"stage0.residence.mean": 5, "stage1.residence.mean": 1 / 0.45, "window.mean": 7.22222},
        duration="2h",
    ),
    # 15: batches
    "batches of two": Truth(one_queue("batches 0.8/s size=2"), {"work.residence.mean": 7.5}, duration="2h", warmup="12min"),
    "batches of five": Truth(
        one_queue("batches 0.8/s size=5"), {"work.depth.mean": 12, "work.residence.mean": 15}, duration="3h", warmup="20min"
    ),
    "geometric batches": Truth(
        one_queue("batches 0.8/s size=5 spread=geometric"),
        {"work.residence.mean": 25},
        duration="5h",
        warmup="40min",
    ),
    # 16, 16b: breakdowns at any time, or only while working; work goes on where it was
    "breakdowns": Truth(unreliable("breakdown"), {"work.depth.mean": 2.26203, "work.residence.mean": 3.77005}, duration="2h"),
    "breakdowns while working": Truth(
        unreliable("breakdown", clock="busy"), {"work.service.mean": 1.1, "work.residence.mean": 3.58824}, duration="2h"
    ),
    # 17: the window until all have seen a message
    "window of two": Truth(fan_out(2), {"window.mean": 7}, duration="2h"),
    # 18: as many servers as it takes
    **{
        f"{law}: in flight": Truth(
            one_queue("poisson 300/s", service, concurrency=100),
            {"work.unacked.mean": 3},
            within=0.03,
            duration="30s",
            warmup="1s",
        )
        for law, service in {
            "M/M": "exponential 10ms",
            "M/D": "constant 10ms",
            "M/LN": "lognormal mean=10ms cv=1",
            "M/H2": "hyperexponential mean=10ms cv=2",
        }.items()
    },
    # 18b: a rate that swings; at a quarter of the period, t = pi, there are 14 on average, and 6 half a period later
    "Mt/M/inf": Truth(
        one_queue(f"sinusoid 10/s swing=0.5 period={PERIOD:.9f}s", concurrency=200),
        seen={
            f"{name} of the period": (swinging(first, last), mean_swing(first, last))
            for name, first, last in (("a tenth", 4, 6), ("the next", 6, 8), ("the trough", 14, 16), ("all", 0, 20))
        },
        duration=f"{10 * PERIOD:.9f}s",
        warmup="0s",
        within=0.08,
    ),
    # 20: a closed loop of N tokens that think for Z: X = N / (Z + R)
    **{
        f"a closed loop of {window}": Truth(
            closed(window, thinking),
            {
                "work.throughput": machine_repair(window, thinking),
                "work.residence.mean": window / machine_repair(window, thinking) - thinking,
            },
            within=0.08,
            duration="30min",
            warmup="3min",
        )
        for window, thinking in ((1, 1), (5, 4), (20, 15))
    },
    # 21, 21b: an acknowledgement lost, with its connection or alone; a process that crashes: each attempt, with probability
    # g / (g + mu). Where a connection is lost, the longer attempts are the ones to be repeated: a message takes T of the server,
    # Exp(mu + g) and, each time that it is lost, Exp(mu) more: E T = 1.1 and E T**2 = 2.62 go into Pollaczek and Khinchine.
    **{
        f"{share} of acknowledgements lost": Truth(
            unacknowledged(share),
            {"work.deliveries.mean": 1 / (1 - q), "work.duplicates": q, "work.depth.mean": 0.5 / (1 - q - 0.5)},
            within=within,
            duration="2h",
        )
        for share, q, within in (("1%", 0.01, 0.3), ("20%", 0.2, 0.15))
    },
    "connections lost": Truth(
        unreliable("connection-loss", mtbf="exponential 10s", mttr="constant 1us"),
        {"work.duplicates": 1 / 11, "work.depth.mean": 0.66 + 0.6**2 * 2.62 / (2 * (1 - 0.66))},
        duration="2h",
    ),
    # 21b, a timeout of acknowledgements. The broker looks once a minute, so 90 s are two minutes to it. Where there are handlers
    # enough, each delivery is late with probability exp(-mu tau). One handler alone still has what is left of the last attempt to
    # do, which nobody will hear of: two exponential times have to be over, and are not with probability exp(-mu tau)(1 + mu tau).
    **{
        f"a timeout of {timeout}, seen after {minutes} min": Truth(
            patient(timeout, concurrency=20),
            {"work.deliveries.mean": 1 / (1 - math.exp(-minutes)), "work.duplicates": math.exp(-minutes)},
            within=within,
            duration="2000h",
            warmup="0s",
        )
        for timeout, minutes, within in (("90s", 2, 0.15), ("5min", 5, 0.3))
    },
    "a timeout of one handler": Truth(
        patient("90s", concurrency=1),
        {"work.deliveries.mean": 1 + math.exp(-2) / (1 - 3 * math.exp(-2))},
        within=0.05,
        duration="2000h",
        warmup="0s",
    ),
    "crashes": Truth(
        unreliable("crash", mtbf="exponential 10s", mttr="constant 1us"),
        {"work.utilisation": 0.6, "work.depth.mean": 1.5},
        seen={"interrupted": (interrupted, 1 / 11)},
        duration="2h",
    ),
}
FAMILY_OF_CLAIMS = sum(len(truth.claims()) for truth in TRUTHS.values())


@pytest.mark.slow
@pytest.mark.parametrize("row", TRUTHS)
def test_what_is_observed_is_what_theory_says(row, seed):
    verdicts = judge(TRUTHS[row], FAMILY_OF_CLAIMS, seed)
    assert all(verdict.holds for verdict in verdicts), "\n".join(map(str, verdicts))


@pytest.mark.parametrize("row", TRUTHS)
def test_the_table_of_truths_and_the_theory_beside_a_result_say_the_same(row):
    truth = TRUTHS[row]
    run = truth.scenario.with_("run.duration", "1h")
    both = {each.metric: each.value for each in exact_values(run) if each.metric in truth.exact}
    assert both == pytest.approx({name: truth.exact[name] for name in both}, rel=2e-5)


# 17, more than two queues: there are bounds, and no form


@pytest.mark.slow
def test_the_window_of_more_queues_grows_within_its_bounds(seed):
    """From one queue alone to as many independent ones (Nelson and Tantawi 1988): 5 and 5 times the harmonic number, here."""
    run = {"duration": "1h", "warmup": "5min", "replications": 16, "seed": seed, "jobs": 2}
    found = {queues: simulate(fan_out(queues), **run).replications for queues in (2, 5, 10)}
    window = {queues: student_t([each.values["window.mean"] for each in runs], 1 - 1e-6) for queues, runs in found.items()}
    assert 5 * 0.75 < window[2].mean < window[5].mean < window[10].mean, "pathwise, since the first queues are the same ones"
    assert window[5].low < 9.843 < window[5].high, "as another simulation found, to 0.2 %"
    assert window[10].high > 11.73, "what Nelson and Tantawi's approximation says is a little low"
    for queues in (5, 10):
        assert window[queues].low < 5 * sum(1 / k for k in range(1, queues + 1))
        assert window[queues].half_width < 0.3 * window[queues].mean


# 19: the backlog of an outage


def outage(arrivals, service):
    """Four consumers that can do 400 a second are gone for a minute."""
    scenario = one_queue(arrivals, service, count=4, prefetch=1)
    scenario.outage("deploy", "crash", whom="server", at="30s", lasting="60s")
    return scenario


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arrivals", "service", "within"),
    [("constant_rate 300/s", "constant 10ms", 0.001), ("poisson 300/s", "exponential 10ms", 0.1)],
)
def test_the_backlog_of_an_outage_is_worked_off_by_what_capacity_is_spare(arrivals, service, within, seed):
    """300 messages a second for 60 s are 18,000; 100 a second more than arrive are done, so that it takes 180 s.

    What waits grows and shrinks evenly: all in all 18,000 x 60 / 2 + 18,000 x 180 / 2 message-seconds. By chance the backlog is
    off by 0.7 % and the time by 2 %, one standard deviation each.
    """
    result = simulate(outage(arrivals, service), duration="400s", replications=1, seed=seed)
    values, ready = result.replications[0].values, result.replications[0].curves["work.ready.over_time"]
    assert values["work.depth.max"] == pytest.approx(18_000, rel=within)
    assert values["work.ready.mean"] * 400 == pytest.approx(18_000 * 60 / 2 + 18_000 * 180 / 2, rel=2 * within)
    last = 2 * max(n for n, waiting in enumerate(ready) if waiting > 300)
    assert last == pytest.approx(270, abs=6 + 180 * within)


# 22: how long a prefetch should be


@pytest.mark.parametrize(("prefetch", "rate"), [(1, 1 / 0.104), (13, 125), (26, 250), (27, 250), (52, 250)])
def test_a_consumer_is_busy_when_its_prefetch_is_the_round_trip_over_the_service(prefetch, rate):
    """100 ms there and back and 4 ms of work: 104 / 4 = 26 (RabbitMQ's article on prefetch, 2012)."""
    scenario = one_queue("constant_rate 400/s", "constant 4ms", prefetch=prefetch)
    scenario.network("server", latency="constant 50ms")
    values = simulate(scenario, duration="10s", warmup="1s", replications=1, seed=1).replications[0].values
    assert values["work.throughput"] == pytest.approx(rate, rel=0.01)
    assert values["work.utilisation"] == pytest.approx(rate / 250, rel=0.01)
