"""Whose turn it is: priorities of consumers, the single active one, and who is counted; as observed on 4.0.5 and 3.10.8.

Most of it stands as transcripts, in ``tests/transcripts/queues``; here are the rows of the versions, and what a transcript
does not show.
"""

import pytest

from simbus import RabbitMQ
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import ChannelError
from tests.brokers import declare, delivered, get, new_channel, publish, ready, steps
from tests.versions import on_both


def consumer(broker, tag, prefetch, priority=0, queue="q"):
    channel = new_channel(broker)
    channel.qos(prefetch)
    channel.consume(queue, tag, arguments={"x-priority": priority})
    return channel


@on_both("quorum_elects_by_priority", {"4.0": "E1 D1 B1", "3.10": "B1 D1 E1"})
def test_who_is_active_next_in_a_quorum_queue(version, expected):
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, "q", "quorum", single_active_consumer=True)
    channels = {tag: consumer(broker, tag, 1, priority) for tag, priority in (("A", 9), ("B", -1), ("D", 0), ("E", 3))}
    publish(channel, "q", "1")
    turns = []
    broker.take_effects()
    tag = "A"
    for _ in range(3):
        channels[tag].close()
        turns.append(delivered(broker.take_effects()))
        tag = turns[-1][0]
        broker.check()
    assert " ".join(turns) == expected


@pytest.mark.parametrize("type", ["classic", "quorum"])
def test_a_consumer_of_a_higher_priority_is_served_as_long_as_it_may_hold_more(broker, channel, type):
    declare(channel, "q", type)
    low, high = consumer(broker, "low", 0), consumer(broker, "high", 2, priority=10)
    publish(channel, "q", "1 2 3 4")
    assert delivered(broker.take_effects()) == "high1 high2 low3 low4"
    high.ack(2)
    publish(channel, "q", "5 6")
    assert delivered(broker.take_effects()) == "high5 low6"
    low.ack(0, multiple=True)
    broker.check()


def test_a_handler_may_have_a_priority(rabbitmq):
    rabbitmq.declare_queue("q")
    usual = rabbitmq.consumer("q")(lambda _message: None)
    first = rabbitmq.consumer("q", priority=5)(lambda _message: None)
    rabbitmq.publish("", "q")
    assert (usual.attempts, first.attempts) == (0, 1)


@pytest.mark.parametrize("type", ["classic", "quorum"])
def test_equal_priorities_take_turns_and_a_newcomer_joins_behind_them(broker, channel, type):
    declare(channel, "q", type)
    for tag, priority in (("A", 1), ("B", 1), ("L", 0)):
        consumer(broker, tag, 0, priority)
    publish(channel, "q", "1 2 3")
    consumer(broker, "D", 0, priority=1)
    publish(channel, "q", "4 5 6")
    assert delivered(broker.take_effects()) == "A1 B2 A3 B4 A5 D6"
    broker.check()


def test_what_a_cancelled_consumer_holds_stays_its_own_while_the_next_is_active(broker, channel):
    declare(channel, "q", single_active_consumer=True)
    old = consumer(broker, "A", 2)
    consumer(broker, "B", 1)
    publish(channel, "q", "1 2 3")
    old.cancel("A")
    assert delivered(broker.take_effects()) == "A1 A2 B3"
    old.nack(1)
    assert ready(channel, "q") == "1*"
    broker.check()


def test_a_consumer_cancelled_by_the_broker_hands_on_too(broker, channel):
    declare(channel, "q", single_active_consumer=True)
    old = consumer(broker, "A", 1)
    consumer(broker, "B", 1)
    publish(channel, "q", "1 2")
    old.cancel_by_broker()
    assert delivered(broker.take_effects()) == "A1 B2"
    broker.check()


def test_a_consumer_of_a_quorum_queue_without_a_prefetch_holds_two_thousand_at_most(broker, channel):
    declare(channel, "q", "quorum")
    holder = consumer(broker, "A", 0)
    for _ in range(2500):
        channel.publish("", "q", b"")
    assert len(holder.unacked) == 2000
    holder.ack(1)
    assert len(holder.unacked) == 2000
    new_channel(broker).consume("q", "B", no_ack=True)
    assert ready(channel, "q") == ""
    broker.check()


def test_a_get_holds_a_place_among_the_consumers_of_a_quorum_queue(broker, channel):
    declare(channel, "q", "quorum")
    publish(channel, "q", "1 2 3")
    tags = get(channel, "q", 2)
    assert channel.queue_declare("q", passive=True) == ("q", 1, 2)
    channel.ack(tags["1"])
    assert channel.queue_declare("q", passive=True) == ("q", 1, 1)
    channel.close()
    assert new_channel(broker).queue_declare("q", passive=True) == ("q", 2, 0)
    broker.check()


def test_nothing_is_got_from_a_quorum_queue_that_serves_a_single_active_consumer(channel):
    declare(channel, "q", "quorum", single_active_consumer=True)
    publish(channel, "q", "1")
    with pytest.raises(ChannelError) as refusal:
        channel.get("q")
    assert str(refusal.value) == (
        "405 RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. "
        "basic.get operations are not supported by quorum queues with single active consumer"
    )


@on_both("quorum_returns_by_age", {"4.0": "1* 3* 2* 4* 5* 6*", "3.10": "5* 6* 2* 4* 1* 3*"})
def test_the_end_of_a_channel_gives_back_consumer_by_consumer(version, expected):
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, "q", "quorum")
    holder = consumer(broker, "D", 2)
    holder.consume("q", "A")
    publish(channel, "q", "1 2 3 4 5 6")
    get(holder, "q", 2)
    holder.close()
    assert ready(channel, "q") == expected
    broker.check()


@on_both("quorum_serves_by_consumer", {"4.0": "D1 D3 A2 A4", "3.10": "D1 A2 D3 A4"})
def test_what_a_quorum_queue_has_for_its_consumers_comes_consumer_by_consumer(version, expected):
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, "q", "quorum")
    publish(channel, "q", "1 2 3 4")
    holder = new_channel(broker)
    holder.consume("q", "D")
    holder.consume("q", "A")
    broker.take_effects()
    holder.nack(0, multiple=True)
    assert delivered(broker.take_effects()) == expected
    broker.check()


@on_both("dead_letters_count_failures", {"4.0": [(True, 1), (True, 1)], "3.10": [(False, 0), (True, 1)]})
def test_a_message_that_a_quorum_queue_saw_rejected_has_been_delivered_before(version, expected):
    with RabbitMQ(version=version) as rabbitmq:
        parked = rabbitmq.declare_queue("parked", type="quorum")
        failing = rabbitmq.declare_queue("q", type="quorum", dead_letter_exchange="", dead_letter_routing_key="parked")
        rabbitmq.publish("", "q", b"1")
        taken = failing.get()
        assert taken is not None
        taken.reject(requeue=False)
        seen = []
        for _ in range(2):
            message = parked.get()
            assert message is not None
            seen.append((message.redelivered, message.delivery_count))
            message.nack(requeue=True)
    assert seen == expected


@on_both("delivery_limit_gives_credit", {"4.0": "A2 A3", "3.10": "A2 A3 A4"})
def test_how_much_a_consumer_may_hold_after_it_gave_back_a_message_once_too_often(version, expected):
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, "q", "quorum", delivery_limit=0)
    holder = consumer(broker, "A", 2)
    publish(channel, "q", "1")
    holder.reject(1)
    broker.take_effects()
    publish(channel, "q", "2 3 4 5")
    assert delivered(broker.take_effects()) == expected
    broker.check()


@pytest.mark.parametrize("type", ["classic", "quorum"])
def test_the_single_active_consumer_acknowledges_without_a_look_at_those_who_wait(broker, channel, type):
    declare(channel, "q", type, single_active_consumer=True)
    active = consumer(broker, "active", 1)
    consumer(broker, "0", 1)
    publish(channel, "q", "1 2 3")
    active.ack(1)
    alone = steps(lambda: active.ack(2))
    for number in range(1, 50):
        consumer(broker, str(number), 1)
    publish(channel, "q", "4")
    assert 0 < steps(lambda: active.ack(3)) < alone + 40
    broker.check()


def test_a_shared_prefetch_for_which_nobody_waits_costs_no_more_than_a_look_at_each_consumer(broker):
    def costs(consumers):
        channel = new_channel(broker)
        channel.qos(consumers, global_=True)
        for _ in range(consumers):
            channel.consume(channel.queue_declare().queue)
        channel.publish("", channel.queue_declare().queue)
        channel.get()
        return steps(lambda: channel.ack(1))

    twenty, forty, eighty = costs(20), costs(40), costs(80)
    assert 0 < eighty - forty == 2 * (forty - twenty)
    broker.check()


def test_a_new_consumer_of_a_quorum_queue_does_not_inherit_what_another_left(broker, channel):
    declare(channel, "q", "quorum")
    holder = consumer(broker, "A", 1)
    publish(channel, "q", "1 2 3")
    holder.cancel("A")
    holder.qos(2)
    broker.take_effects()
    holder.consume("q", "B")
    assert delivered(broker.take_effects()) == "B2 B3"
    broker.check()


def test_a_consumer_does_not_go_on_where_its_tag_was_of_another_queue(broker, channel):
    for queue in ("p", "q"):
        declare(channel, queue, "quorum")
    holder = consumer(broker, "A", 1, queue="p")
    publish(channel, "p", "1")
    publish(channel, "q", "2 3")
    holder.cancel("A")
    holder.qos(2)
    broker.take_effects()
    holder.consume("q", "A")
    assert delivered(broker.take_effects()) == "A2 A3"
    broker.check()


def test_priorities_hold_where_nobody_has_none(broker, channel):
    declare(channel, "q")
    for tag, priority in (("high", 5), ("low", 1)):
        consumer(broker, tag, 0, priority)
    publish(channel, "q", "1 2 3")
    assert delivered(broker.take_effects()) == "high1 high2 high3"
    broker.check()


def test_without_a_prefetch_a_consumer_of_a_classic_queue_may_hold_any_number(broker, channel):
    declare(channel, "q")
    consumer(broker, "A", 0)
    publish(channel, "q", "1 " * 2_001)
    assert ready(channel, "q") == ""


def test_consumers_under_a_shared_prefetch_go_on_in_the_order_in_which_they_had_to_wait(broker, channel):
    declare(channel, "q")
    sharing = new_channel(broker)
    sharing.qos(1, global_=True)
    sharing.consume("q", "A")
    sharing.consume("q", "B")
    publish(channel, "q", "1 2")
    broker.take_effects()
    sharing.ack(1)
    assert delivered(broker.take_effects()) == "B2"
    broker.check()


def test_the_last_return_that_a_limit_allows_gives_credit_once_on_3_10():
    broker = Broker(version="3.10")
    channel = new_channel(broker)
    declare(channel, "q", "quorum", delivery_limit=1)
    holder = consumer(broker, "A", 1)
    publish(channel, "q", "1")
    holder.reject(1)
    publish(channel, "q", "2")
    assert ready(channel, "q") == "2"
    broker.check()


def test_under_a_shared_prefetch_queues_take_turns_whoever_has_acknowledged(broker, channel):
    for queue in "pq":
        declare(channel, queue)
    sharing = new_channel(broker)
    sharing.qos(1)
    sharing.consume("p", "A")
    sharing.consume("q", "B")
    sharing.qos(1, global_=True)
    publish(channel, "p", "1 2 3")
    publish(channel, "q", "4 5")
    broker.take_effects()
    turns = []
    for tag in (1, 2, 3, 4):
        sharing.ack(tag)
        turns.append(delivered(broker.take_effects()))
    assert turns == ["A2", "B4", "A3", "B5"]
    broker.check()
