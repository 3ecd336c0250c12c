"""Options as people write them, and topologies that the fake and the simulation share."""

from datetime import timedelta

import pytest

from simbus.dialect import Topology
from simbus.errors import ScenarioError, UnitError
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.options import OptionError, consumer_arguments, declare_topology, queue_arguments


@pytest.fixture
def channel():
    return Broker().open_connection().open_channel()


def test_options_become_arguments_in_rabbitmqs_names_and_units():
    options = {
        "type": "quorum",
        "message_ttl": "24h",
        "max_length": 50_000,
        "max_length_bytes": "50MB",
        "overflow": "reject-publish",
        "dead_letter_exchange": "dlx.exchange",
        "dead_letter_routing_key": "dead-letter",
        "delivery_limit": 2,
        "durable": True,  # a property of the declaration, not an argument
    }
    assert queue_arguments(options) == {
        "x-queue-type": "quorum",
        "x-message-ttl": 86_400_000,
        "x-max-length": 50_000,
        "x-max-length-bytes": 50_000_000,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "dlx.exchange",
        "x-dead-letter-routing-key": "dead-letter",
        "x-delivery-limit": 2,
    }


def test_none_is_absent():
    assert queue_arguments({"message_ttl": None, "type": None}) == {}


def test_a_word_without_a_likeness_is_answered_with_the_known_ones():
    with pytest.raises(OptionError, match=r"a queue has no option 'zzz'; known: .*max_length.*overflow"):
        queue_arguments({"zzz": 1})


def test_a_topology_is_declared_in_an_order_that_works(channel):
    topology = Topology(
        exchanges={"bookstore.exchange": {"type": "topic"}},
        queues={"audit.queue": {"message_ttl": "24h"}},
        bindings=[{"queue": "audit.queue", "exchange": "bookstore.exchange", "routing_key": "#"}],
    )
    declare_topology(channel, topology)
    channel.publish("bookstore.exchange", "order.placed")
    assert channel.queue_declare("audit.queue", passive=True).message_count == 1


@pytest.mark.parametrize(
    ("topology", "text"),
    [
        (Topology(queues={"a.b": {"mesage_ttl": "1s"}}), "queues.\"a.b\": a queue has no option 'mesage_ttl'; did you mean"),
        (Topology(queues={"q": {"message_ttl": 60}}), "queues.q: message_ttl: 60 has no unit"),
        (Topology(queues={"q": {"durable": "yes"}}), "queues.q: durable: 'yes' is not True or False"),
        (Topology(queues={"q": {"arguments": [1]}}), "queues.q: arguments: [1] is not a table of AMQP arguments"),
        (Topology(queues={"q": {"overflow": "never"}}), "queues.q: overflow: 'never' is none of drop-head, reject-publish"),
        (Topology(exchanges={"x": {"type": "topik"}}), "exchanges.x: 406 PRECONDITION_FAILED - unknown exchange type 'topik'"),
        (Topology(bindings=[{"queue": "q"}]), "bindings[0]: a binding needs exchange"),
        (Topology(bindings=[{"queue": "q", "exchange": "x", "key": "a"}]), "bindings[0]: a binding has no option 'key'"),
        (Topology(bindings=[{"queue": "q", "exchange": "x"}]), "bindings[0]: 404 NOT_FOUND - no exchange 'x'"),
    ],
)
def test_a_topology_that_cannot_be_names_the_entity_at_fault(channel, topology, text):
    with pytest.raises(ScenarioError) as error:
        declare_topology(channel, topology)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize(
    ("value", "offset"), [("first", "first"), (7, 7), ("1h", "1h"), ("30min", "1800s"), (timedelta(hours=2), "7200s")]
)
def test_a_stream_is_read_from_a_place_or_from_so_long_ago(value, offset):
    assert consumer_arguments(None, {"stream_offset": value}) == {"x-stream-offset": offset}


@pytest.mark.parametrize("value", ["frist", True, 1.5])
def test_what_is_no_place_in_a_stream_is_refused_with_those_that_are(value):
    with pytest.raises(UnitError, match=r'stream_offset: .*"first", "last" or "next", an offset, or a datetime'):
        consumer_arguments(None, {"stream_offset": value})


def test_a_consumer_s_priority_is_an_option():
    assert consumer_arguments(None, {"priority": 10}) == {"x-priority": 10}
