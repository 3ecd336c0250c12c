"""Outages: small cases whose every instant is worked out by hand, and what must hold however many of them overlap."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simbus import Scenario, simulate
from simbus.errors import ScenarioError
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.file import read_scenario
from simbus.simulation.model.acknowledgements import MANUAL
from simbus.units import MILLISECOND, SECOND
from tests.identities import check_identities
from tests.small import arriving, moments, played, small

# One kind after the other


def test_in_a_breakdown_servers_hold_what_they_have_and_go_on_where_they_were():
    scenario = small()
    scenario.outage("disk", "breakdown", whom="c", at="150ms", lasting="1s")
    values, run = played(scenario)
    assert moments(run, "started") == [0, 100, 1200]  # the second one was half done
    assert moments(run, "ended") == [100, 1200, 1300]
    assert values["work.service.max"] == pytest.approx(1.1)
    assert values["work.duplicates"] == 0


def test_what_arrives_in_a_breakdown_waits_and_every_idle_server_goes_on():
    scenario = small(times=(200, 200, 300), concurrency=2)
    scenario.outage("disk", "breakdown", whom="c", at="100ms", lasting="400ms")
    _, run = played(scenario)
    assert moments(run, "started") == [500, 500, 600]


def test_an_outage_comes_again_every_so_often():
    scenario = small(times=(0,), service="constant 1s")
    scenario.outage("pauses", "breakdown", whom="c", at="100ms", every="300ms", lasting="100ms")
    _, run = played(scenario)
    # It works 100 ms, then 200 of every 300: the 900 ms that are left take 4 rounds of 200, and 100 more.
    assert moments(run, "ended") == [100 + 4 * 300 + 100 + 100]


def test_overlapping_breakdowns_are_over_when_both_are():
    scenario = small(times=(0,))
    scenario.outage("disk", "breakdown", whom="c", at="50ms", lasting="300ms")
    scenario.outage("power", "breakdown", whom="c", at="250ms", lasting="500ms")
    _, run = played(scenario)
    assert moments(run, "ended") == [800]


def test_a_crash_gives_back_all_that_was_held_and_the_attempt_under_way_begins_anew():
    scenario = small(prefetch=10)
    scenario.outage("deploy", "crash", whom="c", at="150ms", lasting="1s")
    values, run = played(scenario)
    assert moments(run, "started") == [0, 100, 1150, 1250]
    assert moments(run, "ended") == [100, 1250, 1350]
    assert moments(run, "interrupted") == [150]
    assert [effect.at for effect in run.effects("Requeued")] == [150 * MILLISECOND] * 2  # the buffer too
    assert values["consumers.c.interrupted"] == 1
    assert values["work.duplicates"] == 0
    assert values["work.loss"] == 0


def test_what_a_crashing_attempt_has_applied_already_is_applied_twice():
    scenario = small(prefetch=10)
    scenario.outage("deploy", "crash", whom="c", at="150ms", lasting="1s", applied=1)
    values, _ = played(scenario)
    assert values["work.duplicates"] == pytest.approx(1 / 4)


def test_when_a_group_crashes_none_of_it_is_sent_what_another_gives_back():
    scenario = small(times=(0, 0), count=2, prefetch=1)
    scenario.outage("deploy", "crash", whom="c", at="50ms", lasting="1s")
    _, run = played(scenario)
    assert moments(run, "started") == [0, 0, 1050, 1050]
    assert [effect.attempt for effect in run.effects("Delivered")] == [1, 1, 2, 2]


def test_without_acknowledgement_a_quorum_queue_counts_the_delivery_and_dead_letters_in_the_end():
    scenario = small(times=(0,), service="constant 1s", queue={"type": "quorum", "delivery_limit": 2})
    scenario.outage("poison", "crash", whom="c", at="500ms", every="1s", lasting="100ms")
    values, _ = played(scenario)
    assert values["work.loss.delivery_limit"] == 1
    assert values["consumers.c.interrupted"] == 3


def test_when_the_connection_is_lost_the_handler_goes_on_and_the_message_is_applied_twice():
    scenario = small(times=(0, 0), prefetch=10)
    scenario.outage("network", "connection-loss", whom="c", at="50ms", lasting="10ms")
    values, run = played(scenario)
    # The old attempt ends at 100; only then is a server free for that message again, and for the other, which was in the buffer.
    assert moments(run, "started") == [0, 100, 200]
    assert moments(run, "ended") == [100, 200, 300]
    assert values["work.duplicates"] == pytest.approx(1 / 3)
    assert values["work.duplicates.n"] == 3
    assert values["window.p50"] == pytest.approx(0.1)  # it was applied the first time


def test_a_lost_connection_and_two_servers_race_for_the_same_message():
    scenario = small(times=(0,), concurrency=2, prefetch=10)
    scenario.outage("network", "connection-loss", whom="c", at="50ms", lasting="10ms")
    values, run = played(scenario)
    assert moments(run, "started") == [0, 60]
    assert moments(run, "ended") == [100, 160]
    assert values["work.service.max"] == pytest.approx(0.1)
    assert values["work.duplicates"] == pytest.approx(1 / 2)


def test_what_a_publisher_without_a_connection_publishes_gets_nowhere():
    scenario = small(times=(0, 500, 1500))
    scenario.outage("network", "connection-loss", whom="web", at="100ms", lasting="1s")
    values, run = played(scenario)
    assert len(run.effects("Published")) == 2
    assert values["messages.n"] == 3
    assert values["messages.unsent"] == pytest.approx(1 / 3)


def test_slow_consumers_take_longer_also_with_what_they_have_begun():
    scenario = small()
    scenario.outage("gc", "slow", whom="c", at="150ms", lasting="250ms", factor=3)
    _, run = played(scenario)
    # Of the second attempt 50 ms are left, which take 150; the third has done 100/3 ms at 400, and the rest takes as usual.
    assert moments(run, "ended") == pytest.approx([100, 300, 400 + 200 / 3])


def test_two_ways_to_be_slow_multiply_and_both_end():
    scenario = small(times=(0, 2000))
    scenario.outage("gc", "slow", whom="c", at="0s", lasting="1s", factor=3)
    scenario.outage("disk", "slow", whom="c", at="0s", lasting="1s", factor=2)
    _, run = played(scenario)
    assert moments(run, "ended") == [600, 2100]


def test_while_a_dependency_is_down_every_attempt_fails_in_all_groups_and_then_none():
    scenario = small(times=(0,), retry={"how": "in-handler", "attempts": 5, "backoff": "fixed 100ms"})
    scenario.queue("other")
    scenario.publisher("more", to="other", arrivals=arriving([0]))
    scenario.consumer(
        "d", queue="other", service="constant 100ms", retry={"how": "requeue", "attempts": 5, "backoff": "fixed 50ms"}
    )
    scenario.outage("database", "fail", whom=["c", "d"], at="0s", lasting="350ms")
    values, run = played(scenario)
    assert moments(run, "applied") == [400, 500]  # d at 100, 250, 400; c at 100, 300, 500
    assert values["consumers.c.failures"] == 2
    assert values["consumers.d.failures"] == 2


# A restart of the broker


def restarted(queue, persistent=True):
    scenario = small(times=(0, 0, 200, 2000), queue=queue)
    scenario.outage("upgrade", "restart", at="150ms", lasting="1s")
    return scenario, persistent


def test_durable_messages_survive_a_restart_of_the_broker():
    scenario, _ = restarted({})
    values, run = played(scenario)
    assert values["work.loss"] == 0
    assert values["messages.unsent"] == 1 / 4
    assert len(run.effects("Settled")) == 3


def test_what_is_not_durable_does_not_and_clients_declare_it_again():
    scenario, _ = restarted({"durable": False})
    values, run = played(scenario)
    assert [effect.cause for effect in run.effects("Removed")] == ["restart"]  # the one under way; its handler ends all the same
    assert values["work.loss.restart"] == pytest.approx(1 / 3)
    assert len(run.effects("Settled")) == 2
    assert values["window.never"] == 1 / 3


# Chance


def test_each_consumer_has_breakdowns_of_its_own_and_one_more_changes_none_of_the_others():
    def ends(count):
        scenario = small(times=range(0, 5000, 50), count=count, prefetch=1)
        scenario.outage("disk", "crash", whom="c", mtbf="exponential 1s", mttr="exponential 100ms", each=True)
        _, run = played(scenario)
        return {(effect.at, effect.consumer_tag) for effect in run.effects("ConsumerEnded")}

    two, three = ends(2), ends(3)
    assert two == {(at, tag) for at, tag in three if tag != "c.3"}
    assert len({at for at, _ in two}) == len(two) > 4


def test_a_clock_of_failures_that_runs_only_while_busy_stands_still_in_between():
    scenario = small(times=(0, 1000), service="constant 300ms")
    scenario.outage("disk", "breakdown", whom="c", mtbf="constant 500ms", lasting="2s", clock="busy")
    _, run = played(scenario)
    assert moments(run, "ended") == [300, 3300]  # 300 ms of work, 200 more from 1000 on, and the last 100 after the breakdown


def test_an_outage_that_touches_nobody_changes_nothing():
    def trace(with_outage):
        scenario = small(
            times=range(0, 3000, 30), failure=0.1, retry={"how": "requeue", "attempts": 3, "backoff": "fixed 50ms jitter=50%"}
        )
        scenario.queue("idle")
        scenario.consumer("other", queue="idle", service="constant 1s")
        if with_outage:
            scenario.outage("disk", "crash", whom="other", mtbf="exponential 500ms", mttr="exponential 100ms")
        values, _ = played(scenario)
        return {name: value for name, value in values.items() if name.startswith(("work", "window"))}

    assert trace(False) == pytest.approx(trace(True), nan_ok=True)


def test_a_run_that_ends_with_its_arrivals_ends_in_spite_of_repeated_outages():
    scenario = small(times=range(0, 2000, 100)).with_("run.duration", None)
    scenario.outage("disk", "breakdown", whom="c", at="100ms", every="500ms", lasting="100ms")
    values, run = played(scenario)
    assert values["work.loss"] == 0
    assert len(run.effects("Settled")) == 20


# However many there are

KINDS = st.sampled_from(
    ["breakdown", "crash", "connection-loss", "slow", "fail", "restart", "node-loss", "partition", "lost-acks"]
)
OPTIONS: dict[str, dict[str, list[Any]]] = {
    "slow": {"factor": [0.5, 3]},
    "crash": {"applied": [0, 0.5]},
    "partition": {"heartbeat": [50, 200]},
    "lost-acks": {"share": [0.1, 0.5]},
}


@st.composite
def outages(draw, after):
    """What, and whom and how; when it comes is random."""
    what = draw(KINDS)
    options = {name: draw(st.sampled_from(values)) for name, values in OPTIONS.get(what, {}).items()}
    if "heartbeat" in options:
        options["heartbeat"] = after(options["heartbeat"])
    if what == "node-loss":
        options["whom"] = draw(st.sampled_from([["work"], ["dead"], ["work", "dead"]]))
    elif what != "restart":
        known = ["a", "b", "web"] if what in ("connection-loss", "partition") else ["a", "b"]
        options["whom"] = draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    if what in ("breakdown", "crash", "slow", "fail"):
        options["each"] = draw(st.booleans())
        options["clock"] = draw(st.sampled_from(["always", "busy"]))
    return what, options


def practices(after) -> list[dict[str, Any]]:
    return [
        {},
        {},
        {"acknowledge": {"multiple": 5, "within": after(50)}},
        {"acknowledge": "auto"},
        {"batch": {"size": 3, "within": after(30)}},
        {"autoscale": {"by": "depth", "target": 5, "min": 1, "max": 4, "every": after(100)}},
        {"deduplication": {"window": after(10_000)}},
    ]


@st.composite
def troubled(draw):
    """Two groups on one queue, one more behind it, and up to five outages of any kind.

    All within 3 s, or a thousand times as slow, so that deliveries may be held for longer than the queue has patience.
    """
    unit = draw(st.sampled_from([1, 1000]))

    def after(milliseconds):
        return f"{milliseconds * unit}ms"

    scenario = Scenario("troubled", run={"duration": after(3000), "warmup": draw(st.sampled_from(["0s", "0s", after(700)]))})
    rules = {"type": draw(st.sampled_from(["classic", "quorum"]))}
    if unit > 1:
        rules["consumer_timeout"] = draw(st.sampled_from(["10s", "1min", "90s"]))
    scenario.queue("dead")
    scenario.queue("work", dead_letter_exchange="", dead_letter_routing_key="dead", **rules)
    impatient = [{"timeout": after(100), "attempts": 3, "backoff": f"fixed {after(20)}"}, {"timeout": after(30)}]
    confirms = draw(st.sampled_from([None, True, {"window": 5}, *impatient]))
    arrivals = [f"poisson {60 / unit}/s", f"bursts size=20 every={after(400)}"]
    arrivals.append(f"closed_loop window=5 think='exponential {after(30)}'")
    scenario.publisher("web", to="work", arrivals=draw(st.sampled_from(arrivals)), confirms=confirms)
    for name, queue in (("a", "work"), ("b", "work"), ("undertaker", "dead")):
        retry = {
            "how": draw(st.sampled_from(["in-handler", "requeue"])),
            "backoff": draw(st.sampled_from(["none", f"fixed {after(30)}"])),
        }
        numbers = {key: draw(st.integers(1, 3)) for key in ("count", "concurrency")}
        failure = {"transient": draw(st.sampled_from([0, 0.2])), "permanent": draw(st.sampled_from([0, 0.1]))}
        prefetch = draw(st.sampled_from(["unlimited", 1, 5]))
        retry["attempts"] = 4
        practice = draw(st.sampled_from(practices(after)))
        if "batch" in practice:
            retry["how"] = "requeue"
        if "autoscale" in practice:
            del numbers["count"]
        options = {"prefetch": prefetch, "failure": failure, "retry": retry, **numbers, **practice}
        if practice.get("acknowledge") == "auto":
            del options["prefetch"], options["retry"]
        scenario.consumer(name, queue=queue, service=f"exponential {after(20)}", **options)
    for party in draw(st.lists(st.sampled_from(["a", "b", "web"]), unique=True)):
        scenario.network(party, latency=f"exponential {after(10)}", loss=draw(st.sampled_from([0, 0.1])))
    for number in range(draw(st.integers(1, 5))):
        what, options = draw(outages(after))
        if what == "lost-acks" and any(scenario.consumers[name].acknowledge != MANUAL for name in options["whom"]):
            continue
        scenario.outage(f"o{number}", what, mtbf=f"exponential {after(400)}", mttr=f"exponential {after(150)}", **options)
    return scenario


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(troubled(), st.integers(0, 2**32))
def test_whatever_goes_wrong_the_identities_hold_and_nothing_acknowledged_by_hand_is_lost_but_by_rejection(scenario, seed):
    values, run = played(scenario, seed)  # which checks the broker and an independent ledger
    check_identities(run, values)
    if values["work.loss.n"]:
        allowed = sum(values[f"work.loss.{cause}"] for cause in ("rejected", "delivery_limit"))
        if any(each.acknowledge.auto for each in scenario.consumers.values()):
            allowed += values["work.loss.failed"]  # of what the broker has let go of
        assert values["work.loss"] == pytest.approx(allowed)
    for name, group in scenario.consumers.items():  # what a prefetch leaves idle works beside handlers who are not heard any more
        assert 0 <= values[f"consumers.{name}.utilisation"] * group.servers_each <= group.concurrency
    starts, ends = len(run.notices("started")), len(run.notices("ended")) + len(run.notices("interrupted"))
    at_work = sum(each.on_duty * each.concurrency * (3 if each.batch else 1) for each in scenario.consumers.values())
    assert ends <= starts <= ends + 2 * at_work  # twice: who is off duty may still finish
    assert values["work.duplicates.n"] >= 0


def test_the_same_seed_gives_the_same_outages():
    scenario = small(times=range(0, 3000, 20), count=2, prefetch=3)
    scenario.outage("disk", "crash", whom="c", mtbf="exponential 300ms", mttr="exponential 100ms", each=True, applied=0.5)
    first, again, other = (run_replication(scenario, seed, 1) for seed in (7, 7, 8))
    assert first.trace_hash == again.trace_hash != other.trace_hash
    assert first.values == pytest.approx(again.values, rel=0, abs=0, nan_ok=True)


# How it is said

TOML = """
name = "shop"
run  = { duration = "10s" }
[queues.work]
[publishers.web]
to = "work"
arrivals = "poisson 5/s"
[consumers.c]
queue = "work"
service = "exponential 50ms"
[outages.deploy]
what    = "crash"
whom    = ["c"]
at      = "1s"
every   = "5s"
lasting = "500ms"
applied = "50%"
[outages.disk]
what  = "breakdown"
whom  = "c"
mtbf  = "exponential 2s"
mttr  = { lognormal = { mean = "100ms", cv = 1 } }
each  = true
clock = "busy"
"""


def test_outages_are_said_in_the_same_words_in_python_and_in_a_file(tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text(TOML, "utf-8")
    scenario = Scenario("shop", run={"duration": "10s"})
    scenario.queue("work")
    scenario.publisher("web", to="work", arrivals="poisson 5/s")
    scenario.consumer("c", queue="work", service="exponential 50ms")
    scenario.outage("deploy", "crash", whom=["c"], at="1s", every="5s", lasting="500ms", applied="50%")
    scenario.outage(
        "disk", "breakdown", whom="c", mtbf="exponential 2s", mttr="lognormal mean=100ms cv=1", each=True, clock="busy"
    )
    assert read_scenario(file).outages == scenario.outages
    assert run_replication(read_scenario(file), 1, 0).trace_hash == run_replication(scenario, 1, 0).trace_hash


def test_a_sweep_can_vary_an_outage():
    scenario = small(times=(0,))
    scenario.outage("disk", "breakdown", whom="c", at="50ms", lasting="1s")
    longer = scenario.with_("outages.disk.lasting", "2s")
    assert scenario.outages["disk"].lasting == SECOND
    assert longer.outages["disk"].lasting == 2 * SECOND


def said(scenario, table):
    scenario.declare("outages", "o", table)
    scenario.validate()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"what": "earthquake"}, "outages.o.what: unknown kind of outage 'earthquake'; known: breakdown"),
        ({"what": "crash"}, "outages.o.whom: is missing"),
        ({"what": "crash", "whom": ["d"]}, "outages.o.whom: unknown group of consumers 'd'; known: c"),
        ({"what": "crash", "whom": ["web"]}, "outages.o.whom: unknown group of consumers 'web'"),
        ({"what": "crash", "whom": [3]}, "outages.o.whom: [3] are no names"),
        ({"what": "crash", "whom": "c", "at": 10}, "outages.o.at: 10 has no unit"),
        ({"what": "crash", "whom": "c", "lasting": "0s"}, "outages.o.lasting: 0ns is not a positive time"),
        ({"what": "crash", "whom": "c", "factor": 2}, "outages.o.factor: says nothing about crash; leave it out"),
        ({"what": "crash", "whom": "c", "every": "1s", "lasting": "1s"}, "outages.o.lasting: 1s, and then it comes again"),
        ({"what": "crash", "whom": "c", "every": "1s"}, "outages.o.lasting: to the end, and then it comes again"),
        ({"what": "crash", "whom": "c", "mtbf": "exponential 1h"}, "outages.o.mttr: how long it lasts is said once"),
        (
            {"what": "crash", "whom": "c", "mtbf": "constant 0s", "lasting": "1s"},
            "outages.o.mtbf: value: 0 ns is not a time above 0",
        ),
        ({"what": "crash", "whom": "c", "mtbf": "exp 1h", "lasting": "1s"}, "outages.o.mtbf: unknown name 'exp'"),
        ({"what": "crash", "whom": "c", "at": "1s", "mtbf": "exponential 1h", "lasting": "1s"}, "outages.o.at: does not go with"),
        ({"what": "crash", "whom": "c", "clock": "busy"}, "outages.o.clock: goes with mtbf"),
        ({"what": "crash", "whom": "c", "clock": "lazy"}, "outages.o.clock: unknown clock 'lazy'"),
        ({"what": "crash", "whom": "c", "each": 1}, "outages.o.each: 1 is neither true nor false"),
        ({"what": "slow", "whom": "c"}, "outages.o.factor: is missing"),
        ({"what": "slow", "whom": "c", "factor": 0}, "outages.o.factor: 0 is not a positive number"),
        ({"what": "restart", "whom": "c"}, "outages.o.whom: restart befalls the broker itself; leave it out"),
        ({"what": "restart", "each": True}, "outages.o.each: restart does not befall consumers one by one"),
        ({"what": "crash", "whom": "c", "when": "1s"}, "outages.o.when: unknown key 'when'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_that_names_the_place(table, message):
    scenario = small()
    with pytest.raises(ScenarioError) as caught:
        said(scenario, table)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["auto", {"multiple": 5, "within": "1s"}])
def test_only_who_acknowledges_each_delivery_by_itself_can_lose_one(mode):
    scenario = small(acknowledge=mode)
    scenario.outage("o", "lost-acks", whom="c", share="1%")
    with pytest.raises(ScenarioError, match=r"^outages.o.whom: 'c' does not acknowledge each delivery by itself"):
        scenario.validate()


def test_what_the_broker_lets_go_of_when_it_sends_it_is_lost_in_a_crash():
    scenario = small(acknowledge="auto")
    scenario.outage("deploy", "crash", whom="c", at="150ms", lasting="1s")
    values, run = played(scenario)
    assert moments(run, "ended") == [100]
    assert values["work.loss.failed"] == pytest.approx(2 / 3)  # the one under way, and the one in the buffer


def test_theory_says_nothing_where_there_are_outages_that_it_does_not_know():
    scenario = Scenario("M/M/1", run={"duration": "20s", "replications": 2})
    scenario.queue("work")
    scenario.publisher("web", to="work", arrivals="poisson 5/s")
    scenario.consumer("c", queue="work", service="exponential 50ms")
    assert len(simulate(scenario).theory())
    scenario.outage("disk", "crash", whom="c", mtbf="exponential 2s", mttr="exponential 1s")
    assert not len(simulate(scenario).theory())
