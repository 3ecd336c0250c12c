"""Transactions: what waits for the commit, and what does not (observed on RabbitMQ 4.0.5)."""

import pytest

from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import ChannelError
from tests.brokers import TYPES, consumer, declare, delivered, get, new_channel, publish, ready, removed, tags_of

both_types = pytest.mark.parametrize("type", TYPES)
PARTIAL = "406 PRECONDITION_FAILED - partial tx completion"


@pytest.fixture
def admin(broker):
    """A channel without a transaction."""
    return new_channel(broker)


@pytest.fixture
def channel(broker):
    channel = new_channel(broker)
    channel.tx_select()
    return channel


def refusal_of(verb, *args):
    with pytest.raises(ChannelError) as caught:
        verb(*args)
    return str(caught.value)


@both_types
def test_publishes_wait_for_the_commit(broker, admin, channel, type):
    declare(admin, "q", type)
    broker.take_effects()
    assert channel.publish("", "q", b"1") == 0
    publish(channel, "q", "2")
    assert broker.take_effects() == []
    assert ready(admin, "q") == ""
    channel.tx_commit()
    assert ready(admin, "q") == "1 2"
    assert admin.publish("", "q", b"3") == 3
    broker.check()


def test_a_rollback_forgets_the_publishes(broker, admin, channel):
    declare(admin, "q")
    broker.take_effects()
    publish(channel, "q", "1")
    channel.tx_rollback()
    channel.tx_commit()
    assert broker.take_effects() == []


def test_selecting_twice_keeps_what_waits(admin, channel):
    declare(admin, "q")
    publish(channel, "q", "1")
    channel.tx_select()
    channel.tx_commit()
    assert ready(admin, "q") == "1"


def test_a_message_is_routed_when_it_is_published(admin, channel):
    declare(admin, "bound")
    declare(admin, "late")
    admin.queue_bind("bound", "amq.direct", "k")
    channel.publish("amq.direct", "k", b"1")
    admin.queue_unbind("bound", "amq.direct", "k")
    admin.queue_bind("late", "amq.direct", "k")
    channel.tx_commit()
    assert (ready(admin, "bound"), ready(admin, "late")) == ("1", "")


def test_returns_come_at_the_commit(broker, admin, channel):
    channel.publish("", "nosuch", b"1", mandatory=True)
    assert broker.take_effects() == []
    declare(admin, "nosuch")  # too late
    channel.tx_commit()
    assert [e.channel for e in broker.take_effects() if isinstance(e, Returned)] == [channel.number]
    assert ready(admin, "nosuch") == ""


def test_an_exchange_that_is_deleted_before_the_commit_makes_no_difference(admin, channel):
    declare(admin, "q")
    admin.exchange_declare("x", "fanout")
    admin.queue_bind("q", "x")
    channel.publish("x", "", b"1")
    admin.exchange_delete("x")
    channel.tx_commit()
    assert ready(admin, "q") == "1"


def test_a_queue_that_is_deleted_before_the_commit_makes_it_partial_and_nothing_is_returned(broker, admin, channel):
    declare(admin, "q")
    channel.publish("", "q", b"1", mandatory=True)
    admin.queue_delete("q")
    assert refusal_of(channel.tx_commit) == PARTIAL
    assert not any(isinstance(e, Returned) for e in broker.take_effects())
    broker.check()


def test_a_refused_message_makes_the_commit_partial_and_the_rest_is_done(broker, admin, channel):
    declare(admin, "full", max_length=1, overflow="reject-publish")
    declare(admin, "q")
    publish(admin, "q", "0")
    channel.ack(get(channel, "q", 1)["0"])
    publish(channel, "full", "1 2")
    publish(channel, "q", "3")
    assert refusal_of(channel.tx_commit) == PARTIAL
    assert (ready(admin, "full"), ready(admin, "q")) == ("1", "3")
    assert admin.vhost.queues["q"].ledger.acked == 1
    broker.check()


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        (lambda c: c.publish("nosuch", ""), "404 NOT_FOUND - no exchange 'nosuch' in vhost '/'"),
        (
            lambda c: c.publish("amq.rabbitmq.trace", ""),
            "403 ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
        ),
        (lambda c: c.ack(1), "406 PRECONDITION_FAILED - unknown delivery tag 1"),
        (lambda c: c.nack(1), "406 PRECONDITION_FAILED - unknown delivery tag 1"),
    ],
)
def test_errors_do_not_wait(channel, verb, text):
    assert refusal_of(verb, channel) == text


@both_types
@pytest.mark.parametrize("settle", ["ack", "nack", "reject"])
def test_settlements_wait_for_the_commit_and_the_delivery_tag_is_used_up(broker, admin, channel, type, settle):
    declare(admin, "q", type)
    publish(admin, "q", "1 2")
    tag = get(channel, "q", 2)["1"]
    broker.take_effects()
    getattr(channel, settle)(tag)
    assert broker.take_effects() == []
    assert len(admin.vhost.queues["q"].unacked) == 2
    assert refusal_of(channel.ack, tag) == f"406 PRECONDITION_FAILED - unknown delivery tag {tag}"
    channel.tx_commit()
    assert ready(admin, "q") == ("" if settle == "ack" else "1*")
    broker.check()


def test_after_a_rollback_all_up_to_a_delivery_are_those_that_it_gave_back_too(broker, admin, channel):
    declare(admin, "q")
    publish(admin, "q", "1 2 3 4")
    get(channel, "q", 3)
    channel.ack(1)
    channel.tx_commit()
    channel.ack(2, multiple=True)
    channel.ack(0, multiple=True)
    channel.tx_rollback()
    broker.check()
    get(channel, "q", 1)
    channel.ack(3, multiple=True)
    channel.tx_commit()
    assert list(channel.unacked) == [4]
    channel.tx_rollback()
    channel.ack(0, multiple=True)
    channel.tx_commit()
    assert list(channel.unacked) == []
    broker.check()


def test_a_rollback_makes_settled_deliveries_unacked_again(broker, admin, channel):
    declare(admin, "q")
    publish(admin, "q", "1 2 3")
    tags = get(channel, "q", 3)
    channel.ack(tags["2"])
    channel.nack(tags["1"])
    channel.tx_rollback()
    assert list(channel.unacked) == [1, 2, 3]
    channel.ack(tags["3"], multiple=True)
    channel.tx_commit()
    assert admin.vhost.queues["q"].ledger.acked == 3
    broker.check()


def test_a_recover_does_not_wait_and_leaves_settled_deliveries_alone(broker, admin, channel):
    declare(admin, "q")
    publish(admin, "q", "1 2 3")
    channel.ack(get(channel, "q", 3)["1"])
    channel.recover()
    assert ready(admin, "q") == "2* 3*"
    channel.tx_commit()
    assert ready(admin, "q") == "2* 3*"
    broker.check()


def test_a_consumer_gets_its_credit_back_at_the_commit(broker, admin, channel):
    declare(admin, "q")
    publish(admin, "q", "1 2")
    channel.qos(1)
    channel.consume("q", "A")
    channel.ack(tags_of(broker.take_effects())["A1"])
    assert delivered(broker.take_effects()) == ""
    channel.tx_commit()
    assert delivered(broker.take_effects()) == "A2"
    broker.check()


def test_publishes_come_before_settlements_and_equal_settlements_are_one_command(broker, admin, channel):
    declare(admin, "q")
    publish(admin, "q", "1 2 3")
    tags = get(channel, "q", 3)
    broker.take_effects()
    channel.nack(tags["3"], requeue=False)
    channel.nack(tags["1"], requeue=False)
    publish(channel, "q", "4")
    channel.tx_commit()
    effects = broker.take_effects()
    assert [type(e).__name__ for e in effects] == ["Published", "Enqueued", "Removed", "Removed"]
    assert [e.copy_id for e in effects[2:]] == [1, 3]


@pytest.mark.parametrize("whole_connection", [False, True])
def test_a_close_forgets_the_transaction_and_requeues_what_was_settled_in_it(broker, admin, channel, whole_connection):
    declare(admin, "q")
    publish(admin, "q", "1 2")
    channel.ack(get(channel, "q", 2)["1"])
    publish(channel, "q", "3")
    (channel.connection if whole_connection else channel).close()
    assert ready(admin, "q") == "1* 2*"
    broker.check()


def test_settlements_of_a_queue_that_is_gone_are_accepted_at_the_commit(broker, admin, channel):
    declare(admin, "q")
    worker = consumer(broker, "q", "A", 2)
    worker.tx_select()
    publish(admin, "q", "1 2")
    tags = tags_of(broker.take_effects())
    worker.ack(tags["A1"])
    worker.nack(tags["A2"])
    admin.queue_delete("q")
    worker.tx_commit()
    assert removed(broker.take_effects()) == ["deleted", "deleted"]
    broker.check()


@pytest.mark.parametrize("verb", ["tx_commit", "tx_rollback"])
def test_a_channel_without_a_transaction_has_none_to_end(admin, verb):
    assert refusal_of(getattr(admin, verb)) == "406 PRECONDITION_FAILED - channel is not transactional"
