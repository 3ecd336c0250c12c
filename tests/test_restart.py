"""What a restart leaves, and resource alarms: what RabbitMQ 4.0.5 was observed to do."""

import pytest

from simbus.effects import Delivered, Requeued
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.effects import Blocked, ConsumerCancelled, Unblocked
from simbus.rabbitmq.properties import Properties
from tests.brokers import TYPES, consumer, declare, get, new_channel, publish, ready, removed, walk
from tests.ledger import Ledger

both_types = pytest.mark.parametrize("type", TYPES)


def restart(broker):
    """A channel on the restarted broker."""
    broker.restart()
    broker.check()
    return new_channel(broker)


def persistent_and_transient(channel, queue):
    for body, delivery_mode in zip("123456", (2, 1, 2, 1, 2, None), strict=True):
        channel.publish("", queue, body.encode(), Properties(delivery_mode=delivery_mode))


def test_a_durable_classic_queue_keeps_its_persistent_messages_in_order(broker, channel):
    declare(channel, "q")
    persistent_and_transient(channel, "q")
    get(channel, "q", 3)
    broker.take_effects()
    channel = restart(broker)
    assert ready(channel, "q") == "1* 3* 5"
    effects = broker.take_effects()
    assert sum(isinstance(e, Requeued) for e in effects) == 3
    assert removed(effects) == ["restart"] * 3
    ledger = channel.vhost.queues["q"].ledger
    assert (ledger.removed, ledger.discarded, ledger.dead_lettered) == ({"restart": 3}, 3, 0)


def test_a_quorum_queue_keeps_everything_and_counts_what_came_back(broker, channel):
    declare(channel, "q", "quorum")
    persistent_and_transient(channel, "q")
    get(channel, "q", 3)
    channel = restart(broker)
    assert ready(channel, "q") == "1* 2* 3* 4 5 6"
    assert [copy.delivery_count for copy in channel.vhost.queues["q"].ready] == [1, 1, 1, 0, 0, 0]


def test_coming_back_too_often_counts_at_a_restart_too(broker, channel):
    declare(channel, "dead")
    declare(channel, "q", "quorum", delivery_limit=0, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "1", delivery_mode=2)
    publish(channel, "q", "2", delivery_mode=2)
    get(channel, "q", 1)
    channel = restart(broker)
    assert (ready(channel, "q"), ready(channel, "dead")) == ("2", "1")


def test_queues_that_are_not_durable_are_gone_with_all_they_held(broker, channel):
    channel.queue_declare("transient")
    channel.queue_declare("mine", exclusive=True, durable=True)
    publish(channel, "transient", "1 2", delivery_mode=2)
    publish(channel, "mine", "3", delivery_mode=2)
    get(channel, "transient", 1)
    broker.take_effects()
    channel = restart(broker)
    assert channel.vhost.queues == {}
    assert removed(broker.take_effects()) == ["restart"] * 3


def test_an_auto_delete_queue_goes_with_its_consumer_and_else_survives(broker, channel):
    for queue in ("used", "unused"):
        channel.queue_declare(queue, durable=True, auto_delete=True)
        publish(channel, queue, "1", delivery_mode=2)
    consumer(broker, "used", "A", 1)
    consumer(broker, "used", "B", 1)
    assert list(restart(broker).vhost.queues) == ["unused"]


def test_durable_exchanges_survive_and_predeclared_ones(broker, channel):
    channel.exchange_declare("kept", "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"})
    channel.exchange_declare("lost", "topic")
    exchanges = restart(broker).vhost.exchanges
    assert "kept" in exchanges
    assert "lost" not in exchanges
    assert {"", "amq.direct", "amq.rabbitmq.trace"} <= exchanges.keys()


def test_a_binding_survives_when_both_of_its_ends_do(broker, channel):
    declare(channel, "q")
    channel.queue_declare("lost")
    for exchange, durable in (("x", True), ("y", True), ("gone", False)):
        channel.exchange_declare(exchange, "fanout", durable=durable)
        channel.queue_bind("q", exchange)
        channel.queue_bind("lost", exchange)
        channel.exchange_bind(exchange, "amq.fanout")
    exchanges = restart(broker).vhost.exchanges
    bindings = {name: [b.destination.name for b in exchanges[name].bindings.values()] for name in ("x", "y", "amq.fanout")}
    assert bindings == {"x": ["q"], "y": ["q"], "amq.fanout": ["x", "y"]}
    channel = new_channel(broker)
    channel.publish("amq.fanout", "", b"1")
    assert ready(channel, "q") == "1"


def test_an_auto_delete_exchange_does_not_follow_the_bindings_that_a_restart_takes(broker, channel):
    channel.exchange_declare("x", "fanout", durable=True, auto_delete=True)
    channel.queue_declare("transient")
    channel.queue_bind("transient", "x")
    exchange = restart(broker).vhost.exchanges["x"]
    assert not exchange.bindings


def test_every_connection_is_closed_and_nothing_is_delivered_on_the_way_down(broker, channel):
    declare(channel, "q")
    workers = [consumer(broker, "q", tag, 1) for tag in "AB"]
    publish(channel, "q", "1 2 3", delivery_mode=2)
    workers[0].tx_select()
    publish(workers[0], "q", "4", delivery_mode=2)
    workers[0].ack(1)
    broker.take_effects()
    connections = broker.connections
    assert broker.restart() == connections == [c.connection for c in (channel, *workers)]
    assert broker.connections == []
    assert all(connection.closed for connection in connections)
    assert all(worker.closed and not worker.unacked for worker in workers)
    effects = broker.take_effects()
    assert not any(isinstance(e, Delivered | ConsumerCancelled) for e in effects)
    assert ready(new_channel(broker), "q") == "1* 2* 3"
    broker.check()


@both_types
def test_the_time_to_live_goes_on_over_a_restart(broker, channel, type):
    declare(channel, "dead")
    declare(channel, "q", type, message_ttl=100, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "1", delivery_mode=2)
    walk(broker, 60)
    channel = restart(broker)
    walk(broker, 39)
    assert ready(channel, "q") == "1"
    walk(broker, 1)
    assert (ready(channel, "q"), ready(channel, "dead")) == ("", "1")


def test_what_stood_behind_a_lost_message_expires_when_it_comes_to_the_head(broker, channel):
    declare(channel, "q")
    publish(channel, "q", "1")
    publish(channel, "q", "2", delivery_mode=2, expiration="10")
    publish(channel, "q", "3", delivery_mode=2, expiration="100")
    walk(broker, 20)
    channel = restart(broker)
    assert ready(channel, "q") == "3"
    walk(broker, 80)
    assert ready(channel, "q") == ""


def test_a_quorum_queue_forgets_whom_it_told_to_stop(broker, channel):
    declare(channel, "q", "quorum", max_length=1, overflow="reject-publish")
    publish(channel, "q", "1 2 3")
    channel = restart(broker)
    channel.queue_purge("q")
    publish(channel, "q", "4 5 6")
    assert ready(channel, "q") == "4 5"


def test_an_independent_ledger_balances_over_restarts(broker, channel):
    ledger = Ledger()
    for round_number in range(3):
        declare(channel, "q")
        declare(channel, "r", "quorum")
        channel.queue_declare("transient")
        for queue in ("q", "r", "transient"):
            persistent_and_transient(channel, queue)
            get(channel, queue, 2)
        channel = restart(broker)
        ledger.feed(broker.take_effects())
        ledger.check(broker)
        assert ledger.of("transient", "restart") == 6 * (round_number + 1)
        assert ledger.of("q", "restart") == 3 * (round_number + 1)


def test_every_vhost_restarts():
    broker = Broker(vhosts=["/", "other"])
    for vhost in ("/", "other"):
        channel = broker.open_connection(vhost).open_channel()
        channel.queue_declare("transient")
    assert len(broker.restart()) == 2
    assert broker.vhost().queues == broker.vhost("other").queues == {}


# Resource alarms


def test_an_alarm_is_told_once_and_its_end_when_none_is_left(broker):
    reasons = [broker.blocked]
    for verb, reason in (
        (broker.block, "low on memory"),
        (broker.block, "low on disk"),
        (broker.block, "low on disk"),
        (broker.unblock, "low on memory"),
        (broker.unblock, "low on memory"),
        (broker.unblock, "low on disk"),
        (broker.unblock, "low on disk"),
    ):
        verb(reason)
        reasons.append(broker.blocked)
    both = "low on disk & memory"
    assert reasons == [None, "low on memory", both, both, "low on disk", "low on disk", None, None]
    effects = broker.take_effects()
    assert [type(e) for e in effects] == [Blocked, Unblocked]
    assert effects[0].reason == "low on memory"


def test_all_alarms_can_be_cleared_at_once(broker):
    broker.block()
    broker.block("low on disk")
    broker.unblock()
    assert broker.blocked is None
    assert [e.describe() for e in broker.take_effects()] == ["publishers blocked: low on memory", "publishers unblocked"]
