"""Networks between parties and the broker: latency, retransmissions, partitions and lost acknowledgements, worked out by hand."""

import pytest

from simbus import Scenario, simulate
from simbus.errors import ScenarioError
from simbus.simulation.file import read_scenario
from simbus.simulation.model.networks import NetworkSpec
from simbus.simulation.model.streams import Streams
from simbus.simulation.replication.network import RETRANSMISSION, _delays
from tests.small import moments, played, small

# Latency


def test_deliveries_and_acknowledgements_take_the_latency_of_their_way():
    scenario = small(prefetch=1)
    scenario.network("c", latency="constant 30ms")
    values, run = played(scenario)
    assert moments(run, "started") == [30, 190, 350]  # 30 there, 100 of work, 30 back
    assert [effect.at // 10**6 for effect in run.effects("Settled")] == [160, 320, 480]
    assert values["work.service.max"] == pytest.approx(0.1)


def test_a_deep_prefetch_hides_the_latency():
    scenario = small(prefetch=10)
    scenario.network("c", latency="constant 30ms")
    _, run = played(scenario)
    assert moments(run, "started") == [30, 130, 230]


def test_a_publish_takes_the_latency_of_its_way():
    scenario = small(times=(0, 10))
    scenario.network("web", latency="constant 25ms")
    _, run = played(scenario)
    assert [effect.at // 10**6 for effect in run.effects("Published")] == [25, 35]


def test_throughput_saturates_at_a_prefetch_of_round_trip_over_service():
    """100 ms of round trip and 4 ms of work: 104/4 = 26 deliveries keep a consumer busy (RabbitMQ's blog, 2012)."""
    throughput = {}
    for prefetch in (13, 25, 26, 40):
        scenario = Scenario("sizing", run={"duration": "10s", "warmup": "1s", "replications": 1})
        scenario.queue("work")
        scenario.publisher("web", to="work", arrivals="constant_rate 400/s")
        scenario.consumer("c", queue="work", prefetch=prefetch, service="constant 4ms")
        scenario.network("c", latency="constant 50ms")
        throughput[prefetch] = simulate(scenario).estimate("work.throughput").mean
    assert throughput[13] == pytest.approx(13 / 0.104, rel=0.01)
    assert throughput[25] == pytest.approx(25 / 0.104, rel=0.01)
    assert throughput[26] == pytest.approx(250, rel=0.002)
    assert throughput[40] == pytest.approx(250, rel=0.002)


def test_nothing_overtakes_on_a_connection():
    scenario = small(times=range(0, 2000, 5), service="constant 1ms", prefetch=20)
    for party in ("web", "c"):
        scenario.network(party, latency="lognormal mean=20ms cv=2", loss="5%")
    values, run = played(scenario)
    published = [effect.message_id for effect in run.effects("Published")]
    assert published == sorted(published)
    copies = [copy_id for _, _, copy_id, _ in run.notices("started")]
    assert copies == sorted(copies)
    assert len(copies) == 400
    assert values["work.loss"] == 0


def test_a_lost_packet_comes_after_the_retransmission_time_out_and_twice_lost_after_three():
    delays = _delays("c", NetworkSpec(name="c", loss=0.5), Streams(1, 0), "there")
    seen = [next(delays) // RETRANSMISSION for _ in range(2000)]
    assert {0, 1, 3, 7} <= set(seen) <= {2**n - 1 for n in range(20)}
    assert seen.count(0) == pytest.approx(1000, abs=120)
    assert seen.count(1) == pytest.approx(500, abs=100)


def test_what_follows_a_lost_packet_waits_for_it(seed):
    scenario = small(times=range(0, 1000, 10), service="constant 1ms")
    scenario.network("web", loss="10%")
    _, run = played(scenario, seed)
    late = [effect.at // 10**6 - 10 * number for number, effect in enumerate(run.effects("Published"))]
    assert max(late) >= 200
    assert late.count(0) < 90 * 0.9  # many more than the lost ones are late


def test_a_crash_is_heard_of_by_the_broker_after_the_latency_and_acknowledgements_on_their_way_arrive():
    scenario = small(times=(0, 0), prefetch=1)
    scenario.network("c", latency="constant 30ms")
    scenario.outage("deploy", "crash", whom="c", at="140ms", lasting="1s")
    values, run = played(scenario)
    assert [effect.at // 10**6 for effect in run.effects("Settled")] == [160, 1140 + 30 + 100 + 30]
    assert [effect.at // 10**6 for effect in run.effects("Requeued")] == [170]  # what was sent at 160 nobody has received
    assert moments(run, "interrupted") == []
    assert values["work.duplicates"] == 0


# Partitions


def test_a_short_partition_only_delays():
    scenario = small(times=(0, 0, 500, 3000), prefetch=1)
    scenario.outage("switch", "partition", whom=["web", "c"], at="50ms", lasting="2s")
    values, run = played(scenario)
    assert moments(run, "started") == [0, 2050, 2150, 3000]  # the acknowledgement of 100 arrives at 2050
    assert moments(run, "ended") == [100, 2150, 2250, 3100]
    assert [effect.at // 10**6 for effect in run.effects("Published")] == [0, 0, 2050, 3000]
    assert values["work.duplicates"] == 0


def test_a_long_partition_loses_the_connection_at_the_heartbeat_and_what_was_not_acknowledged_comes_again():
    scenario = small(times=(0, 500, 5000), prefetch=1)
    scenario.outage("switch", "partition", whom=["web", "c"], at="50ms", lasting="3s", heartbeat="1s")
    values, run = played(scenario)
    assert [effect.at // 10**6 for effect in run.effects("Requeued")] == [1050]
    assert moments(run, "started") == [0, 3050, 5000]
    assert values["work.duplicates"] == pytest.approx(1 / 3)
    assert values["messages.unsent"] == pytest.approx(1 / 3)  # on its way when the connection was given up


# Lost acknowledgements


def test_a_lost_acknowledgement_makes_a_duplicate():
    scenario = small(times=(0,), prefetch=1)
    scenario.outage("tcp", "lost-acks", whom="c", at="0s", lasting="350ms", share=1)
    values, run = played(scenario)
    assert moments(run, "applied") == [100, 200, 300, 400]
    assert values["work.duplicates"] == pytest.approx(3 / 4)
    assert values["work.loss"] == 0


# Queues without a leader


def test_when_a_node_is_lost_its_queues_wait_for_the_fail_over_and_what_was_held_comes_again():
    scenario = small(times=(0, 0, 100), prefetch=1, queue={"type": "quorum"})
    scenario.queue("other")
    scenario.consumer("d", queue="other", service="constant 10ms")
    scenario.outage("rack", "node-loss", whom=["work"], at="50ms", lasting="1s")
    values, run = played(scenario)
    assert moments(run, "started") == [0, 1050, 1150, 1250]
    assert values["work.duplicates"] == pytest.approx(1 / 4)
    assert values["work.loss"] == 0
    assert [effect.consumer_tag for effect in run.effects("ConsumerEnded")] == ["c.1"]


# How it is said


def test_networks_are_said_in_the_same_words_in_python_and_in_a_file(tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text(
        """
        name = "small"
        run = { duration = "10s" }
        [queues.work]
        [publishers.web]
        to = "work"
        arrivals = "poisson 5/s"
        [consumers.c]
        queue = "work"
        service = "exponential 50ms"
        [networks.c]
        latency = { lognormal = { mean = "2ms", cv = 0.5 } }
        loss    = "1%"
        [outages.switch]
        what = "partition"
        whom = ["c", "web"]
        at   = "1s"
        lasting = "2s"
        heartbeat = "10s"
        """,
        "utf-8",
    )
    scenario = small()
    scenario.network("c", latency="lognormal mean=2ms cv=0.5", loss="1%")
    scenario.outage("switch", "partition", whom=["c", "web"], at="1s", lasting="2s", heartbeat="10s")
    assert read_scenario(file).networks == scenario.networks
    assert read_scenario(file).outages == scenario.outages


@pytest.mark.parametrize(
    ("section", "name", "table", "message"),
    [
        ("networks", "d", {"latency": "constant 1ms"}, "networks.d: unknown publisher or group of consumers 'd'; known: web, c"),
        ("networks", "c", {"latency": "1ms"}, "networks.c.latency: '1ms' has no name in front; write for example"),
        ("networks", "c", {}, 'networks.c: says nothing; write latency = "constant 2ms", or loss = "1%"'),
        ("networks", "c", {"loss": 1}, "networks.c.loss: with 1 nothing would ever arrive"),
        ("networks", "c", {"loss": "x"}, "networks.c.loss: 'x'"),
        ("outages", "o", {"what": "lost-acks", "whom": "c"}, "outages.o.share: is missing"),
        ("outages", "o", {"what": "lost-acks", "whom": "c", "share": 1, "each": True}, "outages.o.each: lost-acks does not"),
        ("outages", "o", {"what": "node-loss", "whom": "c"}, "outages.o.whom: unknown queue 'c'; known: work"),
        ("outages", "o", {"what": "partition", "whom": "c", "clock": "busy"}, "outages.o.clock: goes with mtbf"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_that_names_the_place(section, name, table, message):
    scenario = small()
    with pytest.raises(ScenarioError) as caught:
        said(scenario, section, name, table)
    assert str(caught.value).startswith(message)


def said(scenario, section, name, table):
    scenario.declare(section, name, table)
    scenario.validate()


# Confirms


def confirming(**outage):
    """A publisher with one unconfirmed message at a time, which thinks for 10 ms."""
    scenario = Scenario("loop", run={"duration": "1s"})
    scenario.queue("work", type="quorum")
    scenario.publisher("web", to="work", arrivals="closed_loop window=1 think='constant 10ms'")
    scenario.consumer("c", queue="work", service="constant 1ms")
    if outage:
        scenario.outage("rack", **outage)
    return scenario


def published(run):
    return [effect.at // 10**6 for effect in run.effects("Published")]


def test_a_confirm_comes_back_after_the_latency():
    scenario = confirming()
    scenario.network("web", latency="constant 20ms")
    values, run = played(scenario)
    assert published(run)[:4] == [30, 80, 130, 180]
    assert values["window.p50"] == pytest.approx(0.021)  # from sending it


def test_what_is_published_to_a_queue_without_a_leader_is_confirmed_after_the_fail_over():
    _, run = played(confirming(what="node-loss", whom=["work"], at="35ms", lasting="500ms"))
    assert published(run)[:5] == [10, 20, 30, 40, 545]


def test_a_message_that_is_lost_on_its_way_is_published_again_by_who_waits_for_its_confirm():
    scenario = confirming(what="connection-loss", whom=["web"], at="35ms", lasting="100ms")
    scenario.network("web", latency="constant 20ms")
    scenario = scenario.with_("publishers.web.confirms", {"timeout": "200ms", "attempts": 3})
    values, run = played(scenario)
    assert published(run)[:2] == [30, 230]  # its confirm was on its way back
    assert values["work.duplicates"] > 0
