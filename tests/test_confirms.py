"""Publisher confirms: which answer a message gets, and what has happened by then (observed on RabbitMQ 4.0.5)."""

import pytest

from simbus.effects import Confirmed, Delivered, Enqueued, Refused, Removed
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import ChannelError
from tests.brokers import TYPES, consumer, declare, new_channel, publish

both_types = pytest.mark.parametrize("type", TYPES)


@pytest.fixture
def channel(broker):
    channel = new_channel(broker)
    channel.confirm_select()
    return channel


def confirms(broker):
    """``1+ 2-``."""
    effects = [effect for effect in broker.take_effects() if isinstance(effect, Confirmed)]
    return " ".join(f"{effect.delivery_tag}{'+' if effect.ack else '-'}" for effect in effects)


def kinds(broker):
    return [type(effect) for effect in broker.take_effects()]


def test_messages_are_numbered_by_channel_from_the_selection_on(broker):
    channel, other = new_channel(broker), new_channel(broker)
    declare(channel, "q")
    publish(channel, "q", "before")
    channel.confirm_select()
    other.confirm_select()
    publish(channel, "q", "1 2")
    channel.confirm_select()  # twice is harmless
    publish(other, "q", "1")
    publish(channel, "q", "3")
    effects = [e for e in broker.take_effects() if isinstance(e, Confirmed)]
    assert [(e.channel, e.delivery_tag) for e in effects] == [
        (channel.number, 1),
        (channel.number, 2),
        (other.number, 1),
        (channel.number, 3),
    ]
    assert [e.message_id for e in effects] == [2, 3, 4, 5]


def test_a_channel_that_did_not_select_confirms_gets_none(broker):
    channel = new_channel(broker)
    declare(channel, "q")
    publish(channel, "q", "1")
    assert confirms(broker) == ""


def test_an_unroutable_message_is_acknowledged_and_returned_before(broker, channel):
    channel.publish("", "nosuch", b"")
    channel.publish("", "nosuch", b"", mandatory=True)
    effects = broker.take_effects()
    assert [type(e) for e in effects if not hasattr(e, "queues")] == [Confirmed, Returned, Confirmed]
    assert all(e.ack for e in effects if isinstance(e, Confirmed))


@both_types
def test_deliveries_precede_the_confirm_of_their_message(broker, channel, type):
    declare(channel, "q", type)
    channel.consume("q", "t")
    broker.take_effects()
    publish(channel, "q", "1")
    assert kinds(broker)[1:] == [Enqueued, Delivered, Confirmed]


def test_dead_letters_precede_the_confirm_too(broker, channel):
    declare(channel, "dead")
    declare(channel, "q", max_length=0, dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.take_effects()
    publish(channel, "q", "1")
    assert kinds(broker)[1:] == [Enqueued, Removed, Enqueued, Confirmed]


def test_a_full_classic_queue_gives_a_nack(broker, channel):
    declare(channel, "q", max_length=2, overflow="reject-publish")
    publish(channel, "q", "1 2 3 4")
    channel.get("q", no_ack=True)
    publish(channel, "q", "5 6")
    assert confirms(broker) == "1+ 2+ 3- 4- 5+ 6-"


def test_a_quorum_queue_takes_one_more_than_its_limit_from_a_publisher(broker, channel):
    declare(channel, "q", "quorum", max_length=2, overflow="reject-publish")
    publish(channel, "q", "1 2 3 4")
    assert confirms(broker) == "1+ 2+ 3+ 4-"


def test_dropping_the_head_is_no_refusal(broker, channel):
    declare(channel, "q", max_length=1)
    publish(channel, "q", "1 2")
    assert confirms(broker) == "1+ 2+"


def test_a_refused_message_that_is_dead_lettered_is_refused_all_the_same(broker, channel):
    declare(channel, "dead")
    declare(channel, "q", max_length=0, overflow="reject-publish-dlx", dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.take_effects()
    publish(channel, "q", "1")
    effects = broker.take_effects()
    assert [type(e) for e in effects[1:]] == [Refused, Enqueued, Confirmed]
    assert not effects[-1].ack


def test_one_full_queue_among_several_gives_a_nack_and_the_others_keep_their_copies(broker, channel):
    declare(channel, "full", max_length=0, overflow="reject-publish")
    declare(channel, "q")
    for queue in ("full", "q"):
        channel.queue_bind(queue, "amq.fanout")
    channel.publish("amq.fanout", "", b"1")
    assert confirms(broker) == "1-"
    assert len(channel.vhost.queues["q"].ready) == 1
    broker.check()


def test_a_publish_that_is_refused_with_an_error_uses_up_no_number(broker, channel):
    with pytest.raises(ChannelError):
        channel.publish("nosuch", "", b"")
    channel.publish("", "nosuch", b"")
    assert confirms(broker) == "1+"


def test_confirms_and_transactions_exclude_each_other(channel, broker):
    with pytest.raises(ChannelError) as refusal:
        channel.tx_select()
    assert str(refusal.value) == "406 PRECONDITION_FAILED - cannot switch from confirm to tx mode"
    other = new_channel(broker)
    other.tx_select()
    with pytest.raises(ChannelError) as refusal:
        other.confirm_select()
    assert str(refusal.value) == "406 PRECONDITION_FAILED - cannot switch from tx to confirm mode"


def test_a_confirm_waits_for_no_consumer(broker, channel):
    declare(channel, "q")
    worker = consumer(broker, "q", "A", 1)
    publish(channel, "q", "1 2")
    assert confirms(broker) == "1+ 2+"
    assert len(worker.unacked) == 1
