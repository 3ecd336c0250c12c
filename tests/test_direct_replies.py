"""Direct reply-to: a client is answered without a queue, under a name that stands for itself (observed on RabbitMQ 4.0.5)."""

import pytest

from simbus.effects import Delivered
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import RabbitMQError
from simbus.rabbitmq.properties import Properties
from tests.brokers import declare, new_channel

COMMON = "amq.rabbitmq.reply-to"
REQUEST = Properties(reply_to=COMMON, correlation_id="7")


@pytest.fixture
def service(broker):
    """The channel that answers; requests come to its queue q."""
    service = new_channel(broker)
    declare(service, "q")
    return service


def request(channel, service):
    """Make a request; under which name the service is to answer."""
    channel.publish("", "q", b"request", REQUEST)
    return service.get("q", no_ack=True).delivery.message.properties.reply_to


def replies(broker):
    effects = [effect for effect in broker.take_effects() if isinstance(effect, Delivered) and effect.consumer_tag]
    return [(effect.consumer_tag, effect.delivery_tag, effect.message.body) for effect in effects]


def refusal_of(verb, *args, **options):
    with pytest.raises(RabbitMQError) as caught:
        verb(*args, **options)
    return str(caught.value)


def test_a_request_is_answered_on_the_channel_that_made_it(broker, channel, service):
    assert channel.consume(COMMON, "replies", no_ack=True) == "replies"
    name = request(channel, service)
    assert name.startswith(f"{COMMON}.")
    assert request(channel, service) == name
    broker.take_effects()
    service.publish("", name, b"first")
    service.publish("", name, b"second")
    assert replies(broker) == [("replies", 1, b"first"), ("replies", 1, b"second")]  # a reply uses up no tag
    broker.check()


def test_a_consumer_of_replies_without_a_tag_is_given_one(channel):
    assert channel.consume(COMMON, no_ack=True).startswith("amq.ctag-")


def test_a_reply_in_a_transaction_does_not_wait_for_the_commit(broker, channel, service):
    channel.consume(COMMON, "replies", no_ack=True)
    name = request(channel, service)
    service.tx_select()
    broker.take_effects()
    service.publish("", name, b"reply")
    service.publish("amq.fanout", name, b"no reply")
    assert replies(broker) == [("replies", 1, b"reply")]
    service.tx_commit()
    assert replies(broker) == []


def test_a_mandatory_reply_is_delivered_and_returned_as_well(broker, channel, service):
    channel.consume(COMMON, "replies", no_ack=True)
    name = request(channel, service)
    broker.take_effects()
    service.publish("", name, b"reply", mandatory=True)
    _published, returned, delivered = broker.take_effects()
    assert isinstance(delivered, Delivered)
    assert isinstance(returned, Returned)


def test_every_consumer_of_replies_has_a_name_of_its_own(broker, channel, service):
    channel.consume(COMMON, "replies", no_ack=True)
    first = request(channel, service)
    channel.cancel("replies")
    channel.consume(COMMON, "replies", no_ack=True)
    other = new_channel(broker)
    other.consume(COMMON, "replies", no_ack=True)
    assert len({first, request(channel, service), request(other, service)}) == 3


@pytest.mark.parametrize("end", [lambda channel: channel.cancel("replies"), lambda channel: channel.connection.close()])
def test_whoever_is_gone_is_answered_no_more(broker, channel, service, end):
    channel.consume(COMMON, "replies", no_ack=True)
    name = request(channel, service)
    assert service.queue_declare(name, passive=True) == (name, 0, 1)
    end(channel)
    broker.take_effects()
    service.publish("", name, b"late")
    assert replies(broker) == []
    assert refusal_of(service.queue_declare, name, passive=True) == f"404 NOT_FOUND - no queue '{name}' in vhost '/'"


def test_replies_are_consumed_once_and_not_acknowledged(channel):
    assert refusal_of(channel.consume, COMMON) == "406 PRECONDITION_FAILED - reply consumer cannot acknowledge"
    channel.consume(COMMON, no_ack=True)
    assert refusal_of(channel.consume, COMMON, no_ack=True) == "406 PRECONDITION_FAILED - reply consumer already set"


def test_a_request_without_a_consumer_of_replies_is_refused(channel):
    text = "406 PRECONDITION_FAILED - fast reply consumer does not exist"
    assert refusal_of(channel.publish, "", "q", b"", REQUEST) == text


def test_there_is_no_queue_behind_the_name(channel, service):
    channel.consume(COMMON, no_ack=True)
    for name in (COMMON, request(channel, service)):
        text = f"404 NOT_FOUND - no queue '{name}' in vhost '/'"
        assert refusal_of(service.get, name) == text
        assert refusal_of(service.queue_purge, name) == text
        assert refusal_of(service.queue_bind, name, "amq.direct", "k") == text
        assert service.queue_delete(name) == 0
    assert refusal_of(service.consume, name, no_ack=True) == text


def test_what_is_not_committed_yet_has_no_number(broker, channel, service):
    channel.consume(COMMON, "replies", no_ack=True)
    name = request(channel, service)
    service.tx_select()
    broker.take_effects()
    service.publish("", name)
    (delivered,) = broker.take_effects()
    assert (delivered.message_id, delivered.message.id, delivered.message.body) == (0, 0, b"")
