"""What no client can ask of the broker, and a fake, a plan of faults or a test can: moves that happen by themselves elsewhere."""

import pytest

from simbus.effects import ChannelTimedOut, Confirmed, Removed
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.effects import ConsumerCancelled
from simbus.units import MILLISECOND, MINUTE
from tests.brokers import TYPES, consumer, declare, delivered, get, new_channel, publish, ready, walk

both_types = pytest.mark.parametrize("type", TYPES)


def test_a_publish_that_the_broker_loses_is_nacked_under_its_number(broker, channel):
    channel.lose_publish()
    assert broker.take_effects() == []  # without confirms nobody hears of it
    channel.confirm_select()
    channel.publish("", "nobody", b"1")
    broker.take_effects()
    channel.lose_publish()
    assert broker.take_effects() == [Confirmed(0, 0, 1, 2, ack=False)]
    broker.check()


@both_types
def test_a_delivery_that_the_client_was_not_told_of_goes_back_even_in_a_transaction(broker, channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1 2")
    holder = new_channel(broker)
    holder.tx_select()
    get(holder, "q", 2)
    holder.take_back(1)
    assert ready(channel, "q") == "1*"
    assert list(holder.unacked) == [2]
    holder.take_back(1)  # it is no longer there
    assert ready(channel, "q") == "1*"
    broker.check()


def test_a_message_can_be_there_twice_unless_its_queue_is_gone(broker, channel):
    declare(channel, "dead")
    declare(channel, "q", max_length=2, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "1")
    message = channel.vhost.queues["q"].ready[0].message
    channel.vhost.duplicate("q", message)
    assert ready(channel, "q") == "1 1"
    channel.vhost.duplicate("q", message)
    assert ready(channel, "q") == "1 1"
    assert ready(channel, "dead") == "1"
    channel.vhost.duplicate("nobody", message)
    assert len({copy.id for name in ("q", "dead") for copy in channel.vhost.queues[name].ready}) == 3
    broker.check()


def test_a_queue_may_be_deleted_or_have_gone_already(broker, channel):
    declare(channel, "q")
    channel.vhost.delete_if_there("q")
    assert "q" not in channel.vhost.queues
    channel.vhost.delete_if_there("q")
    broker.check()


@both_types
def test_a_broker_cancels_one_consumer_or_all_of_a_channel(broker, channel, type):
    for queue in ("q", "p"):
        declare(channel, queue, type)
    for tag in ("a", "b", "c"):
        channel.consume("p" if tag == "c" else "q", tag)
    broker.take_effects()
    channel.cancel_by_broker("a")
    channel.cancel_by_broker("nobody")
    assert broker.take_effects() == [ConsumerCancelled(0, 1, "a", "q")]
    assert not channel.vhost.queues["p"].deserted
    channel.cancel_by_broker()
    assert broker.take_effects() == [ConsumerCancelled(0, 1, "b", "q"), ConsumerCancelled(0, 1, "c", "p")]
    assert channel.consumers == {}
    broker.check()


def test_a_queue_is_deserted_while_a_consumer_that_was_not_cancelled_by_its_client_is_missing(broker, channel):
    declare(channel, "q")
    queue = channel.vhost.queues["q"]
    for leave in (lambda c: c.close(), lambda c: c.cancel_by_broker("A")):
        other = consumer(broker, "q", "A", prefetch=1)
        assert queue.deserted is False
        leave(other)
        assert queue.deserted is True
    other = consumer(broker, "q", "A", prefetch=1)
    other.cancel("A")
    assert queue.deserted is False


@both_types
def test_what_is_emptied_is_purged_also_of_what_clients_hold(broker, channel, type):
    broker.advance(7 * MILLISECOND)
    declare(channel, "q", type)
    publish(channel, "q", "1 2 3")
    get(channel, "q", 2)
    broker.take_effects()
    broker.empty()
    assert broker.take_effects() == [Removed(7 * MILLISECOND, n, n, "q", "purged", ()) for n in (3, 1, 2)]
    queue = channel.vhost.queues["q"]
    assert (queue.ledger.purged, queue.depth) == (3, 0)
    broker.check()
    channel.ack(1)
    channel.nack(2)
    assert broker.take_effects() == []
    broker.check()


def test_a_deleted_queue_of_any_order_leaves_nothing(broker, channel):
    for name, arguments in {"priorities": {"max_priority": 5}, "quorum": {"type": "quorum"}, "plain": {}}.items():
        declare(channel, name, **arguments)
        publish(channel, name, "1 2 3 4", priority=3)
        tags = get(channel, name, 3)
        for body in "213":
            channel.nack(tags[body])
        queue = channel.vhost.queues[name]
        assert channel.queue_delete(name) == 4
        assert (list(queue.ready), len(queue.ready)) == ([], 0)
    broker.check()


def test_a_channel_that_is_closed_for_its_silence_says_whose_it_was():
    broker = Broker()
    channel = broker.open_connection(name="billing").open_channel()
    declare(channel, "q")
    publish(channel, "q", "1")
    get(channel, "q", 1)
    walk(broker, 30 * MINUTE // MILLISECOND)
    (effect,) = [effect for effect in broker.take_effects() if isinstance(effect, ChannelTimedOut)]
    assert (effect.at, effect.channel, effect.connection) == (30 * MINUTE, channel.number, "billing")


def test_what_waited_for_a_consumer_is_delivered_to_one_that_comes_back(broker, channel):
    declare(channel, "q")
    first = consumer(broker, "q", "A", prefetch=1)
    publish(channel, "q", "1")
    first.cancel_by_broker("A")
    broker.take_effects()
    first.close()
    consumer(broker, "q", "A", prefetch=1)
    assert delivered(broker.take_effects()) == "A1"
