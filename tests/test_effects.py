"""What is noted of a thing that happened: when, where, and to which message and copy, field by field.

Traces, logs, reports and what clients are told are made of effects, so each field has to be right, also where no client looks.
"""

import pytest

from simbus.effects import Confirmed, Delivered, Enqueued, Published, Refused, Removed, Requeued, Settled
from simbus.rabbitmq.effects import (
    ConsumerCancelled,
    ConsumerEnded,
    ConsumerStarted,
    QueueDeclared,
    QueueDeleted,
    Returned,
)
from simbus.rabbitmq.properties import Properties
from simbus.units import MILLISECOND
from tests.brokers import declare, new_channel

NOW = 7 * MILLISECOND


@pytest.fixture
def channel(broker):
    """A channel of a client called billing, at 7 ms; its number is 1."""
    broker.advance(NOW)
    return broker.open_connection(name="billing").open_channel()


def noted(broker):
    effects = broker.take_effects()
    broker.check()
    return effects


def test_a_message_from_its_publish_to_its_acknowledgement(broker, channel):
    declare(channel, "q")
    channel.confirm_select()
    channel.qos(5)
    channel.consume("q", "c")
    channel.publish("", "q", b"1")
    channel.nack(1)
    channel.ack(2)
    published, *rest = noted(broker)[2:]
    message = published.message
    assert published == Published(NOW, 1, ("q",), message)
    assert rest == [
        Enqueued(NOW, 1, 1, "q", 0),
        Delivered(NOW, 1, 1, "q", 1, "c", 1, 1, message),
        Confirmed(NOW, 1, 1, 1, ack=True),
        Requeued(NOW, 1, 1, "q"),
        Delivered(NOW, 1, 1, "q", 1, "c", 2, 2, message),
        Settled(NOW, 1, 1, "q"),
    ]


def test_a_message_that_goes_nowhere(broker, channel):
    channel.publish("", "nobody", b"1", mandatory=True)
    published, returned = noted(broker)
    assert published == Published(NOW, 1, (), published.message)
    assert returned == Returned(NOW, 1, 1, published.message)


def test_a_message_that_is_refused_and_dead_lettered(broker, channel):
    declare(channel, "dead")
    declare(channel, "q", max_length=0, overflow="reject-publish-dlx", dead_letter_exchange="", dead_letter_routing_key="dead")
    noted(broker)
    channel.publish("", "q", b"1")
    channel.publish("", "q", b"2")
    _published, refused, enqueued, *second = noted(broker)
    assert refused == Refused(NOW, 1, 1, "q", 0, (2,))
    assert enqueued == Enqueued(NOW, 1, 2, "dead", 1)
    assert second[1:] == [Refused(NOW, 2, 3, "q", 0, (4,)), Enqueued(NOW, 2, 4, "dead", 3)]
    assert channel.vhost.queues["q"].ledger.refused == 2


def test_a_dead_letter_that_is_refused_names_the_copy_that_it_descends_from(broker, channel):
    declare(channel, "dead", max_length=0, overflow="reject-publish")
    declare(channel, "q", dead_letter_exchange="", dead_letter_routing_key="dead")
    channel.publish("", "q", b"1")
    channel.get("q")
    noted(broker)
    channel.reject(1, requeue=False)
    removed, refused = noted(broker)
    assert removed == Removed(NOW, 1, 1, "q", "rejected", (2,))
    assert refused == Refused(NOW, 1, 2, "dead", 1, ())


def test_a_direct_reply(broker, channel):
    channel.consume("amq.rabbitmq.reply-to", "replies", no_ack=True)
    declare(channel, "q")
    channel.publish("", "q", b"request", Properties(reply_to="amq.rabbitmq.reply-to"))
    name = channel.get("q", no_ack=True).delivery.message.properties.reply_to
    noted(broker)
    service = new_channel(broker)
    service.publish("", name, b"reply")
    published, delivered = noted(broker)
    assert delivered == Delivered(NOW, 2, 0, name, 1, "replies", 2, 1, published.message)


def test_a_queue_and_its_consumers_from_beginning_to_end(broker, channel):
    declare(channel, "q", "quorum")
    channel.qos(3)
    for tag in ("a", "b"):
        channel.consume("q", tag)
    channel.cancel("a")
    channel.queue_delete("q")
    assert noted(broker) == [
        QueueDeclared(NOW, "/", "q", "quorum", durable=True, connection="billing"),
        ConsumerStarted(NOW, "/", "q", "a", 3, "billing"),
        ConsumerStarted(NOW, "/", "q", "b", 3, "billing"),
        ConsumerEnded(NOW, "/", "q", "a"),
        ConsumerCancelled(NOW, 1, "b", "q"),
        QueueDeleted(NOW, "/", "q", "deleted"),
    ]


def test_a_deleted_queue_counts_what_it_held(broker, channel):
    declare(channel, "q")
    for body in (b"1", b"2", b"3"):
        channel.publish("", "q", body)
    channel.get("q")
    queue = channel.vhost.queues["q"]
    noted(broker)
    assert channel.queue_delete("q") == 2
    *removed, deleted = noted(broker)
    assert removed == [Removed(NOW, number, number, "q", "deleted", ()) for number in (2, 3, 1)]
    assert deleted == QueueDeleted(NOW, "/", "q", "deleted")
    assert (queue.ledger.deleted, queue.ledger.enqueued, queue.ready_bytes) == (3, 3, 0)
