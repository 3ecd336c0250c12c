"""The delivery acknowledgement timeout, as 4.0.5 and 3.10.8 were observed to keep it."""

import gc

import pika
import pytest

from simbus import RabbitMQ
from simbus.effects import ChannelTimedOut
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.errors import ChannelError
from simbus.units import MINUTE, SECOND
from tests.brokers import consumer, declare, get, new_channel, publish, ready, walk
from tests.versions import on_both

TEXT = (
    "406 PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {} ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)


def seconds(broker, count):
    walk(broker, count * 1000)


def timed_out(broker):
    return [effect.reason for effect in broker.take_effects() if isinstance(effect, ChannelTimedOut)]


@pytest.mark.parametrize("version", ["4.0", "3.10"])
@pytest.mark.parametrize("type", ["classic", "quorum"])
def test_a_delivery_that_stays_unacked_for_half_an_hour_closes_its_channel_and_comes_back(version, type):
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, "q", type)
    holder = consumer(broker, "q", "A", prefetch=2)
    publish(channel, "q", "1 2 3")
    seconds(broker, 29 * 60)
    assert not holder.closed
    seconds(broker, 60)
    assert holder.closed
    assert timed_out(broker) == [TEXT.format(1_800_000)]
    assert ready(channel, "q") == "1* 2* 3"
    assert broker.next_deadline is None
    broker.check()


def test_a_delivery_got_is_watched_as_one_consumed(broker, channel):
    declare(channel, "q", consumer_timeout=1000)
    publish(channel, "q", "1")
    get(channel, "q", 1)
    seconds(broker, 59)
    assert not channel.closed
    seconds(broker, 1)
    assert channel.closed
    assert timed_out(broker) == [TEXT.format(1000)]


def test_a_channel_that_held_nothing_at_a_look_is_watched_again_when_it_gets_something(broker, channel):
    declare(channel, "q", consumer_timeout=1000)
    publish(channel, "q", "1 2")
    get(channel, "q", 1)
    channel.ack(1)
    seconds(broker, 90)
    assert broker.next_deadline is None
    get(channel, "q", 1)
    seconds(broker, 60)
    assert channel.closed
    broker.check()


def test_a_timeout_of_a_minute_is_met_at_the_second_look(broker, channel):
    """Observed: at the first the delivery is not older than that."""
    declare(channel, "q", consumer_timeout=60_000)
    publish(channel, "q", "1")
    get(channel, "q", 1)
    seconds(broker, 119)
    assert not channel.closed
    seconds(broker, 1)
    assert channel.closed


def test_only_the_delivery_that_is_held_for_longest_counts(broker, channel):
    """Observed: behind a delivery of a queue with a long timeout, one with a short timeout waits."""
    declare(channel, "long")
    declare(channel, "short", consumer_timeout=1000)
    for queue in ("long", "short"):
        publish(channel, queue, "1")
        get(channel, queue, 1)
    seconds(broker, 300)
    assert not channel.closed
    channel.ack(1)
    seconds(broker, 60)
    assert channel.closed
    assert timed_out(broker) == [TEXT.format(1000)]
    broker.check()


def test_an_acknowledgement_in_time_keeps_the_channel_open(broker, channel):
    declare(channel, "q", consumer_timeout=20_000)
    publish(channel, "q", "1 2")
    get(channel, "q", 1)
    seconds(broker, 50)
    get(channel, "q", 1)
    channel.ack(1)
    seconds(broker, 69)
    assert not channel.closed
    seconds(broker, 1)
    assert channel.closed


def test_what_a_transaction_has_settled_is_not_waited_for(broker, channel):
    declare(channel, "q", consumer_timeout=1000)
    publish(channel, "q", "1")
    channel.tx_select()
    channel.ack(get(channel, "q", 1)["1"])
    seconds(broker, 600)
    assert not channel.closed


@pytest.mark.parametrize("value", ["5", True])
def test_a_timeout_that_is_no_number_is_none(broker, channel, value):
    declare(channel, "q", consumer_timeout=value)
    channel.queue_declare("q", durable=True)  # nor is it compared
    publish(channel, "q", "1")
    get(channel, "q", 1)
    seconds(broker, 3600)
    assert not channel.closed


@on_both("queues_have_consumer_timeouts", {"4.0": MINUTE, "3.10": 30 * MINUTE})
def test_a_queue_may_have_a_timeout_of_its_own(version, expected):
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, "q", consumer_timeout=5000)
    publish(channel, "q", "1")
    get(channel, "q", 1)
    while not channel.closed:
        broker.advance(broker.next_deadline)
    assert broker.now == expected


def test_the_argument_of_a_consumer_means_nothing(broker, channel):
    declare(channel, "q")
    channel.consume("q", "A", arguments={"x-consumer-timeout": 1000})
    publish(channel, "q", "1")
    seconds(broker, 600)
    assert not channel.closed


def test_a_shorter_timeout_behind_a_longer_one_is_heeded_when_its_turn_comes(broker, channel):
    declare(channel, "short", consumer_timeout=30_000)
    declare(channel, "long")
    publish(channel, "short", "1 2")
    publish(channel, "long", "1")
    get(channel, "short", 1)
    get(channel, "long", 1)
    channel.ack(1)
    seconds(broker, 100)
    get(channel, "short", 1)
    channel.ack(2)
    seconds(broker, 79)
    assert not channel.closed
    seconds(broker, 1)
    assert channel.closed
    broker.check()


# In a test's hand


def test_a_message_that_the_test_holds_for_too_long_says_why_it_cannot_be_settled(rabbitmq):
    rabbitmq.declare_queue("q")
    rabbitmq.publish("", "q", b"1")
    message = rabbitmq.queue("q").get()
    rabbitmq.advance("30min")
    assert rabbitmq.queue("q").ready == 1
    with pytest.raises(ChannelError, match=r"delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms"):
        message.ack()
    rabbitmq.publish("", "q", b"2")
    assert rabbitmq.queue("q").ready == 2


def test_the_timeout_can_be_another_or_none():
    for timeout, ready_after in (("90s", 1), (None, 0)):
        with RabbitMQ(consumer_timeout=timeout) as rabbitmq:
            rabbitmq.declare_queue("q")
            rabbitmq.publish("", "q", b"1")
            rabbitmq.queue("q").get()
            rabbitmq.advance("1d")
            assert rabbitmq.queue("q").ready == ready_after


def test_a_client_is_told_on_the_wire(rabbitmq):
    rabbitmq.declare_queue("q", consumer_timeout="1s")
    rabbitmq.publish("", "q", b"1")
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel(7)
        assert channel.basic_get("q")[2] == b"1"
        rabbitmq.advance("60s")
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
            channel.queue_declare("q", passive=True)
        assert closed.value.reply_code == 406
        assert closed.value.reply_text.startswith("PRECONDITION_FAILED - delivery acknowledgement on channel 7 timed out.")
        assert connection.channel().basic_get("q")[0].redelivered
    assert "channel 7 of" in rabbitmq.timeline()


def test_the_clock_is_exact(broker, channel):
    declare(channel, "q", consumer_timeout=1000)
    publish(channel, "q", "1")
    broker.advance(5 * SECOND)
    get(channel, "q", 1)
    assert broker.next_deadline == 65 * SECOND


def test_a_channel_that_is_closed_is_not_kept_for_the_sake_of_what_it_held(broker, channel):
    declare(channel, "q")
    publish(channel, "q", "1 2")
    get(channel, "q", 1)
    for _ in range(100):
        holder = consumer(broker, "q", "A", prefetch=1)
        holder.connection.close()
        broker.check()
    broker.take_effects()
    gc.collect()
    there = [each for each in gc.get_objects() if isinstance(each, Channel) and each.vhost is channel.vhost]
    assert len(there) <= 3  # itself, the last, and one that may stand behind it
    assert broker.next_deadline == 30 * MINUTE
