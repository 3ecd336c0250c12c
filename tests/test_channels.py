"""What RabbitMQ refuses, word for word, and what becomes of a channel's work when it or its connection ends."""

import pickle

import pytest

from simbus.effects import Requeued, Settled
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.effects import ConsumerCancelled
from simbus.rabbitmq.errors import ChannelError, ConnectionError, RabbitMQError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.properties import Properties
from simbus.rabbitmq.unacked import Unacked
from simbus.rabbitmq.versions import V4_0
from tests.brokers import TYPES, consumer, declare, delivered, get, new_channel, publish, ready, removed, snapshot, tags_of, walk

both_types = pytest.mark.parametrize("type", TYPES)
LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally declared on "
    "another connection or the exclusive property value does not match that of the original declaration."
)
INVALID = "PRECONDITION_FAILED - invalid arg '{}' for queue 'new' in vhost '/': {}"
OF_TYPE = "PRECONDITION_FAILED - invalid arg '{}' for queue 'new' in vhost '/' of queue type rabbit_{}_queue"
UNEQUAL = "PRECONDITION_FAILED - inequivalent arg '{}' for queue '{}' in vhost '/': received {}"
UNEQUAL_EXCHANGE = "PRECONDITION_FAILED - inequivalent arg '{}' for exchange 'x' in vhost '/': received {}"

OFFSET = (
    "406 PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'quorum' in vhost '/' of queue type rabbit_quorum_queue"
)
NO_FLAGS = (
    "540 NOT_IMPLEMENTED - cannot delete queue 'quorum' in vhost '/'. queue.delete operations with if-{} flag set are not "
    "supported by quorum queues"
)


@pytest.fixture
def world(broker):
    """A broker with some of everything, and a fresh channel on another connection."""
    owner = new_channel(broker)
    owner.exchange_declare("x", "direct", arguments={"alternate-exchange": "amq.fanout"})
    owner.exchange_declare("inside", "fanout", internal=True)
    owner.queue_declare("mine", exclusive=True)
    owner.queue_bind("mine", "x", "mine")
    declare(owner, "q", message_ttl=60_000)
    owner.queue_bind("q", "x", "k")
    declare(owner, "quorum", "quorum", delivery_limit=3)
    declare(owner, "used")
    owner.qos(1)
    owner.consume("used", "holder", exclusive=True)
    publish(owner, "used", "1 2")
    publish(owner, "q", "3 4")
    get(owner, "q", 1)
    return new_channel(broker)


def declaring(**arguments):
    """Declare ``new`` with these AMQP arguments: ``max_length`` is ``x-max-length``; durable, unless told otherwise."""
    table = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    return lambda c: c.queue_declare("new", durable=True, arguments=table)


REFUSALS = {
    # name: (verb, error, reply code, text)
    "unknown queue": (lambda c: c.get("nosuch"), ChannelError, "404 NOT_FOUND - no queue 'nosuch' in vhost '/'"),
    "consume from nothing": (lambda c: c.consume("nosuch"), ChannelError, "404 NOT_FOUND - no queue 'nosuch' in vhost '/'"),
    "purge nothing": (lambda c: c.queue_purge("nosuch"), ChannelError, "404 NOT_FOUND - no queue 'nosuch' in vhost '/'"),
    "passive": (
        lambda c: c.queue_declare("nosuch", passive=True),
        ChannelError,
        "404 NOT_FOUND - no queue 'nosuch' in vhost '/'",
    ),
    "passive without a name": (
        lambda c: c.queue_declare("", passive=True),
        ChannelError,
        "404 NOT_FOUND - no queue '' in vhost '/'",
    ),
    "no last queue, get": (lambda c: c.get(""), ChannelError, "404 NOT_FOUND - no previously declared queue"),
    "no last queue, delete": (lambda c: c.queue_delete(""), ChannelError, "404 NOT_FOUND - no previously declared queue"),
    "no last queue, purge": (lambda c: c.queue_purge(""), ChannelError, "404 NOT_FOUND - no previously declared queue"),
    "no last queue, unbind": (
        lambda c: c.queue_unbind("", "x", "k"),
        ChannelError,
        "404 NOT_FOUND - no previously declared queue",
    ),
    "no last queue, bind": (
        lambda c: c.queue_bind("", "nosuch", "k"),
        ChannelError,
        "404 NOT_FOUND - no previously declared queue",
    ),
    "bind both missing": (
        lambda c: c.queue_bind("nosuch", "nox"),
        ChannelError,
        "404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    "bind queue missing": (lambda c: c.queue_bind("nosuch", "x"), ChannelError, "404 NOT_FOUND - no queue 'nosuch' in vhost '/'"),
    "publish": (lambda c: c.publish("nox", "k"), ChannelError, "404 NOT_FOUND - no exchange 'nox' in vhost '/'"),
    "passive exchange": (
        lambda c: c.exchange_declare("nox", passive=True),
        ChannelError,
        "404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    # 403
    "internal": (
        lambda c: c.publish("inside", ""),
        ChannelError,
        "403 ACCESS_REFUSED - cannot publish to internal exchange 'inside' in vhost '/'",
    ),
    "reserved queue": (
        lambda c: c.queue_declare("amq.foo"),
        ChannelError,
        "403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
    ),
    "reserved exchange": (
        lambda c: c.exchange_declare("amq.foo"),
        ChannelError,
        "403 ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
    ),
    "system exchange": (
        lambda c: c.exchange_delete("amq.direct"),
        ChannelError,
        "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    ),
    "exclusive use": (
        lambda c: c.consume("used"),
        ChannelError,
        "403 ACCESS_REFUSED - queue 'used' in vhost '/' in exclusive use",
    ),
    # 406
    "unknown type": (
        lambda c: c.exchange_declare("new", "nosuch"),
        ChannelError,
        "406 PRECONDITION_FAILED - unknown exchange type 'nosuch'",
    ),
    "empty type": (lambda c: c.exchange_declare("new", ""), ChannelError, "406 PRECONDITION_FAILED - invalid exchange type ''"),
    "type before name": (
        lambda c: c.exchange_declare("", "nosuch"),
        ChannelError,
        "406 PRECONDITION_FAILED - unknown exchange type 'nosuch'",
    ),
    "exchange in use": (
        lambda c: c.exchange_delete("x", if_unused=True),
        ChannelError,
        "406 PRECONDITION_FAILED - exchange 'x' in vhost '/' in use",
    ),
    "queue in use": (
        lambda c: c.queue_delete("used", if_unused=True),
        ChannelError,
        "406 PRECONDITION_FAILED - queue 'used' in vhost '/' in use",
    ),
    "not empty": (
        lambda c: c.queue_delete("q", if_empty=True),
        ChannelError,
        "406 PRECONDITION_FAILED - queue 'q' in vhost '/' not empty",
    ),
    "user": (
        lambda c: c.publish("", "q", b"", Properties(user_id="bob")),
        ChannelError,
        "406 PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
    ),
    "expiration before user": (
        lambda c: c.publish("", "q", b"", Properties(user_id="bob", expiration="abc")),
        ChannelError,
        "406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
    ),
    "size before exchange": (
        lambda c: c.publish("nox", "q", bytes(V4_0.max_message_size + 1)),
        ChannelError,
        "406 PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216",
    ),
    "ack": (lambda c: c.ack(42), ChannelError, "406 PRECONDITION_FAILED - unknown delivery tag 42"),
    "ack nothing": (lambda c: c.ack(0), ChannelError, "406 PRECONDITION_FAILED - unknown delivery tag 0"),
    "ack many": (lambda c: c.ack(42, multiple=True), ChannelError, "406 PRECONDITION_FAILED - unknown delivery tag 42"),
    "nack": (lambda c: c.nack(42), ChannelError, "406 PRECONDITION_FAILED - unknown delivery tag 42"),
    "reject": (lambda c: c.reject(42), ChannelError, "406 PRECONDITION_FAILED - unknown delivery tag 42"),
    "exchange bind, both missing": (
        lambda c: c.exchange_bind("nosuch", "nox"),
        ChannelError,
        "404 NOT_FOUND - no exchange 'nox' in vhost '/'",
    ),
    "exchange bind, destination missing": (
        lambda c: c.exchange_bind("nosuch", "x"),
        ChannelError,
        "404 NOT_FOUND - no exchange 'nosuch' in vhost '/'",
    ),
    "exchange bind, bad match": (
        lambda c: c.exchange_bind("x", "amq.headers", "", {"x-match": "some"}),
        ChannelError,
        '406 PRECONDITION_FAILED - Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
    ),
    "consumer priority": (
        lambda c: c.consume("q", arguments={"x-priority": "5"}),
        ChannelError,
        "406 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
    ),
    "consumer priority, void": (
        lambda c: c.consume("quorum", arguments={"x-priority": None}),
        ChannelError,
        "406 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'quorum' in vhost '/': \"expected integer, got void\"",
    ),
    "offset": (
        lambda c: c.consume("quorum", arguments={"x-stream-offset": "first", "x-priority": "5"}),
        ChannelError,
        OFFSET,
    ),
    "commit": (lambda c: c.tx_commit(), ChannelError, "406 PRECONDITION_FAILED - channel is not transactional"),
    # 540
    "immediate": (
        lambda c: c.publish("nox", "q", immediate=True),
        ConnectionError,
        "540 NOT_IMPLEMENTED - immediate=true",
    ),
    "flow": (lambda c: c.flow(active=False), ConnectionError, "540 NOT_IMPLEMENTED - active=false"),
    "recover": (lambda c: c.recover(requeue=False), ConnectionError, "540 NOT_IMPLEMENTED - requeue=false"),
    "prefetch size": (
        lambda c: c.qos(1, prefetch_size=10),
        ConnectionError,
        "540 NOT_IMPLEMENTED - prefetch_size!=0 (10)",
    ),
    "if-unused": (lambda c: c.queue_delete("quorum", if_unused=True), ConnectionError, NO_FLAGS.format("unused")),
    "if-empty": (lambda c: c.queue_delete("quorum", if_empty=True), ConnectionError, NO_FLAGS.format("empty")),
}


def refusal_of(verb, channel):
    with pytest.raises(RabbitMQError) as caught:
        verb(channel)
    return caught.value


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_verb_says_what_rabbitmq_says_and_changes_nothing(broker, world, name):
    verb, error, text = REFUSALS[name]
    before = snapshot(broker)
    refusal = refusal_of(verb, world)
    assert type(refusal) is error
    assert str(refusal) == text
    assert f"{refusal.reply_code} {refusal.reply_text}" == text
    assert snapshot(broker) == before
    broker.check()


@pytest.mark.parametrize(
    "verb",
    [
        lambda c: c.exchange_declare(""),
        lambda c: c.exchange_declare("", passive=True),
        lambda c: c.exchange_delete(""),
        lambda c: c.queue_bind("q", ""),
        lambda c: c.queue_unbind("q", ""),
        lambda c: c.exchange_bind("", "x"),
        lambda c: c.exchange_bind("x", ""),
        lambda c: c.exchange_unbind("", "x"),
        lambda c: c.exchange_unbind("nosuch", ""),
    ],
)
def test_the_default_exchange_is_not_to_be_touched(broker, world, verb):
    before = snapshot(broker)
    assert str(refusal_of(verb, world)) == "403 ACCESS_REFUSED - operation not permitted on the default exchange"
    assert snapshot(broker) == before


@pytest.mark.parametrize(
    "verb",
    [
        lambda c: c.queue_declare("mine"),
        lambda c: c.queue_declare("mine", exclusive=True),
        lambda c: c.queue_declare("mine", passive=True),
        lambda c: c.get("mine"),
        lambda c: c.consume("mine"),
        lambda c: c.queue_bind("mine", "x", "k"),
        lambda c: c.queue_unbind("mine", "x", "mine"),
        lambda c: c.queue_purge("mine"),
        lambda c: c.queue_delete("mine"),
    ],
)
def test_an_exclusive_queue_is_locked_for_other_connections(broker, world, verb):
    before = snapshot(broker)
    refusal = refusal_of(verb, world)
    assert (refusal.reply_code, refusal.reply_text) == (405, LOCKED)
    assert snapshot(broker) == before


def test_others_may_publish_to_an_exclusive_queue_and_unbind_what_is_not_bound(world):
    publish(world, "mine", "1")
    world.queue_unbind("mine", "x", "other")
    assert ready(world, "mine") == "1"


def test_an_exclusive_queue_goes_with_its_connection_and_not_with_its_channel(broker, channel):
    channel.queue_declare("mine", exclusive=True, durable=True)
    sibling = channel.connection.open_channel()
    sibling.queue_declare("mine", exclusive=True)
    channel.close()
    assert sibling.queue_declare("mine", passive=True).queue == "mine"
    assert refusal_of(lambda c: c.queue_declare("mine"), sibling).reply_text == LOCKED
    publish(new_channel(broker), "mine", "1")
    sibling.connection.close()
    assert removed(broker.take_effects()) == ["deleted"]
    assert new_channel(broker).queue_declare("mine").queue == "mine"


def test_a_shared_queue_cannot_become_exclusive(channel):
    channel.queue_declare("mine")
    assert refusal_of(lambda c: c.queue_declare("mine", exclusive=True), channel).reply_text == LOCKED


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"message_ttl": -1}, INVALID.format("x-message-ttl", "{value_negative,-1}")),
        ({"message_ttl": "1s"}, INVALID.format("x-message-ttl", '"expected integer, got longstr"')),
        ({"message_ttl": 315_360_000_001}, INVALID.format("x-message-ttl", "{value_too_large,315360000001}")),
        ({"expires": 0}, INVALID.format("x-expires", "{value_zero,0}")),
        ({"expires": -1}, INVALID.format("x-expires", "{value_negative,-1}")),
        ({"expires": "1"}, INVALID.format("x-expires", '"expected integer, got longstr"')),
        ({"expires": 315_360_000_001}, INVALID.format("x-expires", "{value_too_large,315360000001}")),
        ({"max_length": -1}, INVALID.format("x-max-length", "{value_negative,-1}")),
        ({"max_length": True}, INVALID.format("x-max-length", '"expected integer, got bool"')),
        ({"max_length_bytes": "5"}, INVALID.format("x-max-length-bytes", '"expected integer, got longstr"')),
        ({"max_priority": 256}, INVALID.format("x-max-priority", "{max_value_exceeded,256}")),
        ({"overflow": "drop-tail"}, INVALID.format("x-overflow", "invalid_overflow")),
        ({"overflow": 1}, INVALID.format("x-overflow", "{unacceptable_type,signedint}")),
        ({"overflow": True}, INVALID.format("x-overflow", "{unacceptable_type,bool}")),
        (
            {"dead_letter_exchange": 5, "message_ttl": -1},
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'new' in vhost '/'",
        ),
        (
            {"dead_letter_routing_key": "k", "max_length": -1},
            INVALID.format("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined"),
        ),
        (
            {"dead_letter_routing_key": 1, "dead_letter_exchange": ""},
            INVALID.format("x-dead-letter-routing-key", "{unacceptable_type,signedint}"),
        ),
        ({"max_length": -1, "message_ttl": -1}, INVALID.format("x-message-ttl", "{value_negative,-1}")),
        ({"queue_mode": "foo"}, INVALID.format("x-queue-mode", "\"unsupported queue mode 'foo'\"")),
        ({"queue_version": 3}, INVALID.format("x-queue-version", "\"unsupported queue version '3'\"")),
        ({"queue_version": "2"}, INVALID.format("x-queue-version", '"expected integer, got longstr"')),
        ({"message_ttl": -1, "queue_type": "foo"}, INVALID.format("x-queue-type", "\"unsupported queue type 'foo'\"")),
        ({"queue_type": 1}, INVALID.format("x-queue-type", "{unacceptable_type,signedint}")),
        ({"single_active_consumer": "yes"}, INVALID.format("x-single-active-consumer", "{unacceptable_type,longstr}")),
        (
            {"queue_type": "quorum", "dead_letter_strategy": "foo"},
            INVALID.format("x-dead-letter-strategy", "invalid_dlx_strategy"),
        ),
        ({"delivery_limit": 1}, OF_TYPE.format("x-delivery-limit", "classic")),
        ({"delivery_limit": 1, "max_length": -1}, INVALID.format("x-max-length", "{value_negative,-1}")),
        ({"max_in_memory_length": 1}, OF_TYPE.format("x-max-in-memory-length", "classic")),
        ({"dead_letter_strategy": "at-least-once"}, OF_TYPE.format("x-dead-letter-strategy", "classic")),
        ({"queue_type": "quorum", "max_priority": 3}, OF_TYPE.format("x-max-priority", "quorum")),
        ({"queue_type": "quorum", "queue_mode": "lazy"}, OF_TYPE.format("x-queue-mode", "quorum")),
        ({"queue_type": "quorum", "queue_master_locator": "min-masters"}, OF_TYPE.format("x-queue-master-locator", "quorum")),
        ({"queue_type": "quorum", "max_age": "1h"}, OF_TYPE.format("x-max-age", "quorum")),
    ],
)
def test_a_bad_argument_is_refused_in_rabbitmq_s_words(broker, channel, arguments, text):
    refusal = refusal_of(declaring(**arguments), channel)
    assert (refusal.reply_code, refusal.reply_text) == (406, text)
    assert "new" not in broker.vhost().queues


@pytest.mark.parametrize(
    "arguments",
    [
        {"message_ttl": 0},
        {"message_ttl": 315_360_000_000},
        {"expires": 1},
        {"expires": 315_360_000_000},
        {"max_length": 0},
        {"dead_letter_exchange": "nosuch"},
        {"queue_mode": "lazy"},
        {"queue_version": 2},
        {"queue_leader_locator": "balanced"},
        {"queue_master_locator": 5},
        {"unknown": object()},
        {"queue_type": "quorum", "overflow": "reject-publish-dlx"},
        {"queue_type": "quorum", "delivery_limit": "abc"},
    ],
)
def test_these_arguments_are_accepted(channel, arguments):
    assert declaring(**arguments)(channel).queue == "new"


@pytest.mark.parametrize("passive", [True, False])
def test_the_name_for_direct_replies_can_be_declared_at_any_time(broker, channel, passive):
    """FastStream does so when it starts."""
    assert channel.queue_declare("amq.rabbitmq.reply-to", passive=passive) == ("amq.rabbitmq.reply-to", 0, 1)
    assert broker.vhost().queues == {}


@pytest.mark.parametrize(
    ("properties", "wrong"),
    [
        ({"durable": False}, "non-durable"),
        ({"durable": True, "exclusive": True}, "exclusive-owner"),
        ({"durable": False, "exclusive": True}, "exclusive-owner"),
        ({"durable": True, "auto_delete": True}, "auto-delete"),
        ({"auto_delete": True, "exclusive": True}, "auto-delete"),
    ],
)
def test_a_quorum_queue_must_be_durable_shared_and_lasting(channel, properties, wrong):
    refusal = refusal_of(lambda c: c.queue_declare("new", arguments={"x-queue-type": "quorum"}, **properties), channel)
    assert refusal.reply_text == f"PRECONDITION_FAILED - invalid property '{wrong}' for queue 'new' in vhost '/'"


@pytest.mark.parametrize(
    ("queue", "properties", "text"),
    [
        ("q", {"durable": False}, UNEQUAL.format("durable", "q", "'false' but current is 'true'")),
        ("q", {"auto_delete": True}, UNEQUAL.format("auto_delete", "q", "'true' but current is 'false'")),
        ("q", {}, UNEQUAL.format("x-message-ttl", "q", "none but current is the value '60000' of type 'signedint'")),
        ("q", {"arguments": {"x-message-ttl": 2000}}, UNEQUAL.format("x-message-ttl", "q", "'2000' but current is '60000'")),
        ("q", {"arguments": {"x-message-ttl": -1}}, UNEQUAL.format("x-message-ttl", "q", "'-1' but current is '60000'")),
        (
            "q",
            {"arguments": {"x-message-ttl": 60_000, "x-overflow": "abc", "x-max-length": 2**40}},
            UNEQUAL.format("x-max-length", "q", f"the value '{2**40}' of type 'long' but current is none"),
        ),
        (
            "q",
            {"arguments": {"x-message-ttl": 60_000, "x-dead-letter-exchange": "{0}"}},
            UNEQUAL.format("x-dead-letter-exchange", "q", "the value '{0}' of type 'longstr' but current is none"),
        ),
        (
            "q",
            {"arguments": {"x-message-ttl": 60_000, "x-single-active-consumer": False}},
            UNEQUAL.format("x-single-active-consumer", "q", "the value 'false' of type 'bool' but current is none"),
        ),
        (
            "q",
            {"arguments": {"x-message-ttl": 60_000, "x-queue-type": "quorum"}},
            UNEQUAL.format("x-queue-type", "q", "'quorum' but current is 'classic'"),
        ),
        (
            "quorum",
            {"arguments": {"x-queue-type": "quorum", "x-delivery-limit": 4}},
            UNEQUAL.format("x-delivery-limit", "quorum", "'4' but current is '3'"),
        ),
    ],
)
def test_a_queue_cannot_be_declared_again_otherwise(broker, world, queue, properties, text):
    before = snapshot(broker)
    refusal = refusal_of(lambda c: c.queue_declare(queue, **{"durable": True} | properties), world)
    assert (refusal.reply_code, refusal.reply_text) == (406, text)
    assert snapshot(broker) == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-message-ttl": 60_000},
        {"x-message-ttl": 60_000, "x-queue-type": "classic"},
        {"x-message-ttl": 60_000, "unknown": 1, "x-delivery-limit": 3, "x-max-age": "1h"},
    ],
)
def test_a_queue_can_be_declared_again_with_equal_properties_and_any_argument_of_other_types(world, arguments):
    answer = world.queue_declare("q", durable=True, arguments=arguments)
    assert (answer.queue, answer.message_count, answer.consumer_count) == ("q", 1, 0)


def test_a_passive_declaration_looks_at_nothing_but_the_name(world):
    assert world.queue_declare("used", passive=True, auto_delete=True, arguments={"x-max-length": 1}) == ("used", 1, 1)
    world.exchange_declare("x", "fanout", passive=True)


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"type": "fanout"}, UNEQUAL_EXCHANGE.format("type", "'fanout' but current is 'direct'")),
        ({"durable": True}, UNEQUAL_EXCHANGE.format("durable", "'true' but current is 'false'")),
        ({"auto_delete": True}, UNEQUAL_EXCHANGE.format("auto_delete", "'true' but current is 'false'")),
        ({"internal": True}, UNEQUAL_EXCHANGE.format("internal", "'true' but current is 'false'")),
        ({}, UNEQUAL_EXCHANGE.format("alternate-exchange", "none but current is the value 'amq.fanout' of type 'longstr'")),
        (
            {"arguments": {"alternate-exchange": "other"}},
            UNEQUAL_EXCHANGE.format("alternate-exchange", "'other' but current is 'amq.fanout'"),
        ),
    ],
)
def test_an_exchange_cannot_be_declared_again_otherwise(world, properties, text):
    refusal = refusal_of(lambda c: c.exchange_declare("x", **properties), world)
    assert (refusal.reply_code, refusal.reply_text) == (406, text)


def test_an_exchange_can_be_declared_again_and_its_other_arguments_are_not_compared(world):
    world.exchange_declare("x", arguments={"alternate-exchange": "amq.fanout", "foo": 1})
    world.exchange_declare("amq.direct", "direct", durable=True)


def test_an_alternate_exchange_must_be_text(channel):
    refusal = refusal_of(lambda c: c.exchange_declare("x", arguments={"alternate-exchange": 5}), channel)
    assert (
        refusal.reply_text
        == "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'"
    )


# Names


def test_server_generated_names_look_like_rabbitmq_s_and_never_repeat(channel):
    names = [channel.queue_declare("").queue for _ in range(3)]
    tags = [channel.consume(names[0]) for _ in range(3)]
    assert len({*names, *tags}) == 6
    assert all(name.startswith("amq.gen-") and len(name) == 30 for name in names)
    assert all(tag.startswith("amq.ctag-") and len(tag) == 31 for tag in tags)
    assert channel.queue_declare(names[0], passive=True).consumer_count == 3
    text = f"ACCESS_REFUSED - queue name '{names[0]}' contains reserved prefix 'amq.*'"
    assert refusal_of(lambda c: c.queue_declare(names[0]), channel).reply_text == text


def test_line_ends_are_stripped_from_names(channel):
    assert channel.queue_declare("a\r\nb").queue == "ab"
    channel.exchange_declare("x\r\ny")
    channel.exchange_declare("xy", passive=True)
    channel.queue_declare("ab\r\n", passive=True)
    channel.queue_bind("ab\n", "xy\r", "k")
    channel.exchange_bind("xy\n", "amq.fanout\n")
    channel.publish("xy", "k", b"1")
    assert ready(channel, "ab") == "1"
    with pytest.raises(ChannelError, match="404"):
        channel.get("ab\n")
    with pytest.raises(ChannelError, match="404"):
        channel.publish("xy\n", "k")
    channel.exchange_delete("xy\n")
    assert channel.queue_delete("ab\r\n") == 1


def test_an_empty_queue_name_is_the_last_queue_declared_on_this_channel(channel):
    name = channel.queue_declare("").queue
    channel.queue_bind("", "amq.direct")  # without a key, the key is the queue's name, too
    channel.publish("amq.direct", name, b"1")
    assert channel.get().delivery.message.body == b"1"
    channel.consume()
    assert channel.queue_purge() == 0
    assert channel.queue_delete() == 0
    assert refusal_of(lambda c: c.get(""), channel).reply_text == f"NOT_FOUND - no queue '{name}' in vhost '/'"


def test_a_consumer_tag_may_be_used_once_in_each_channel(broker, channel):
    declare(channel, "q")
    channel.consume("q", "t")
    new_channel(broker).consume("q", "t")
    refusal = refusal_of(lambda c: c.consume("nosuch", "t"), channel)
    assert isinstance(refusal, ConnectionError)
    assert str(refusal) == "530 NOT_ALLOWED - attempt to reuse consumer tag 't'"
    channel.cancel("t")
    assert channel.consume("q", "t") == "t"
    channel.cancel("nosuch")


def test_exclusive_use_is_refused_either_way_round_but_not_by_quorum_queues(channel):
    declare(channel, "q")
    channel.consume("q", "a")
    text = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"
    assert refusal_of(lambda c: c.consume("q", "b", exclusive=True), channel).reply_text == text
    channel.cancel("a")
    channel.consume("q", "b", exclusive=True)
    assert refusal_of(lambda c: c.consume("q", "a"), channel).reply_text == text
    publish(channel, "q", "1")
    assert channel.get("q") is None  # the exclusive consumer has it, but a get is allowed
    declare(channel, "quorum", "quorum")
    channel.consume("quorum", exclusive=True)
    channel.consume("quorum", exclusive=True)


@both_types
def test_a_consumer_may_have_any_other_argument_and_no_local_is_ignored(channel, type):
    declare(channel, "q", type)
    arguments = {"x-priority": 0, "x-cancel-on-ha-failover": "a", "unknown": 1}
    channel.consume("q", "t", no_local=True, arguments=arguments)
    publish(channel, "q", "1")
    assert list(channel.unacked) == [1]
    channel.flow(active=True)


# Settling


@both_types
def test_an_acknowledgement_of_several_settles_all_up_to_its_tag(broker, channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1 2 3 4")
    tags = get(channel, "q", 4)
    broker.take_effects()
    channel.ack(tags["2"])
    channel.ack(tags["3"], multiple=True)
    assert [e.copy_id for e in broker.take_effects() if isinstance(e, Settled)] == [2, 1, 3]
    assert list(channel.unacked) == [tags["4"]]
    for refused in (tags["2"], tags["3"]):
        assert refusal_of(lambda c, tag=refused: c.ack(tag, multiple=True), channel).reply_code == 406
    channel.ack(0, multiple=True)
    channel.ack(0, multiple=True)
    assert channel.vhost.queues["q"].ledger.acked == 4


def test_tags_belong_to_a_channel_and_gets_without_ack_use_one_up(broker, channel):
    declare(channel, "q")
    publish(channel, "q", "1 2")
    assert channel.get("q", no_ack=True).delivery.delivery_tag == 1
    assert refusal_of(lambda c: c.ack(1), channel).reply_code == 406
    assert channel.get("q").delivery.delivery_tag == 2
    assert refusal_of(lambda c: c.ack(2), new_channel(broker)).reply_code == 406
    channel.ack(2)
    assert refusal_of(lambda c: c.ack(2), channel).reply_code == 406


class Unwalked(dict[int, Unacked]):
    """Deliveries that nobody may walk over: a dict does not forget where those were that have left it."""

    def __iter__(self):
        raise AssertionError("walked over")


def test_who_acknowledges_all_up_to_each_delivery_does_not_walk_over_those_before(broker, channel):
    declare(channel, "q")
    publish(channel, "q", " ".join("1" * 20))
    channel.unacked = Unwalked()
    channel.get("q", no_ack=True)
    get(channel, "q", 18)
    for tag in range(2, 20, 3):
        channel.ack(tag, multiple=True)
    assert len(channel.unacked) == 2
    channel.get("q")
    channel.nack(0, multiple=True)
    assert len(channel.unacked) == 0
    assert ready(channel, "q") == "1* 1* 1*"


def test_a_multiple_nack_with_an_unknown_tag_settles_nothing(broker, channel):
    declare(channel, "q")
    publish(channel, "q", "1 2 3")
    tags = get(channel, "q", 3)
    channel.ack(tags["2"])
    before = snapshot(broker)
    assert refusal_of(lambda c: c.nack(tags["2"], multiple=True), channel).reply_code == 406
    assert snapshot(broker) == before


def test_acks_after_the_queue_is_gone_are_accepted(broker, channel):
    declare(channel, "q")
    worker = consumer(broker, "q", "A", 2)
    publish(channel, "q", "1 2")
    tags = tags_of(broker.take_effects())
    channel.queue_delete("q")
    cancelled = [e for e in broker.take_effects() if isinstance(e, ConsumerCancelled)]
    assert [(e.channel, e.consumer_tag, e.queue) for e in cancelled] == [(worker.number, "A", "q")]
    declare(channel, "q")
    worker.ack(tags["A1"])
    worker.nack(tags["A2"])
    worker.cancel("A")
    assert ready(channel, "q") == ""
    broker.check()


@pytest.mark.parametrize("end", ["close", "recover"])
def test_a_deleted_queue_and_its_successor_of_the_same_name_are_two(broker, channel, end):
    worker = new_channel(broker)
    for body in "12":
        channel.queue_delete("q")
        declare(channel, "q", message_ttl=100)
        publish(channel, "q", body)
        get(worker, "q", 1)
    walk(broker, 100)
    getattr(worker, end)()
    assert ready(channel, "q") == ""
    assert removed(broker.take_effects()) == ["deleted", "expired"]
    broker.check()


# The end of channels and connections


@both_types
@pytest.mark.parametrize("whole_connection", [False, True])
def test_a_close_requeues_what_is_unacked_in_its_order_and_ends_the_consumers(broker, channel, type, whole_connection):
    declare(channel, "q", type)
    worker = consumer(broker, "q", "A", 3)
    publish(channel, "q", "1 2 3 4")
    worker.ack(tags_of(broker.take_effects())["A2"])
    broker.take_effects()
    (worker.connection if whole_connection else worker).close()
    assert ready(channel, "q") == "1* 3* 4*"
    assert channel.queue_declare("q", passive=True).consumer_count == 0
    assert sum(isinstance(e, Requeued) for e in broker.take_effects()) == 3
    worker.close()
    broker.check()


@both_types
def test_what_a_closed_channel_held_goes_to_the_others(broker, channel, type):
    declare(channel, "q", type)
    first = consumer(broker, "q", "A", 2)
    publish(channel, "q", "1 2 3")
    consumer(broker, "q", "B", 0)
    broker.take_effects()
    first.close()
    assert delivered(broker.take_effects()) == "B1 B2"


def test_a_close_requeues_into_every_queue(broker, channel):
    for queue in ("a", "b"):
        declare(channel, queue)
        publish(channel, queue, "1 2")
    worker = new_channel(broker)
    for queue in ("b", "a", "b"):
        worker.get(queue)
    worker.close()
    assert (ready(channel, "a"), ready(channel, "b")) == ("1* 2", "1* 2*")
    broker.check()


def test_an_error_reads_well_and_survives_pickling():
    error = ChannelError(404, "no queue 'q' in vhost '/'")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (str(copy), copy.reply_code, copy.reason) == (str(error), 404, "no queue 'q' in vhost '/'")


@pytest.mark.parametrize("vhost", ["nosuch", ""])
def test_a_connection_to_an_unknown_vhost_is_refused(broker, vhost):
    with pytest.raises(ConnectionError) as caught:
        broker.open_connection(vhost)
    assert str(caught.value) == f"530 NOT_ALLOWED - vhost {vhost} not found"


def test_vhosts_share_nothing_but_time():
    broker = Broker(vhosts=["/", "other"])
    one, other = broker.open_connection("/").open_channel(), broker.open_connection("other").open_channel()
    declare(one, "q")
    assert refusal_of(lambda c: c.get("q"), other).reply_text == "NOT_FOUND - no queue 'q' in vhost 'other'"
    declare(other, "q")
    publish(one, "q", "1")
    assert (ready(one, "q"), ready(other, "q")) == ("1", "")
    broker.check()


@pytest.mark.parametrize(
    "verb",
    [
        lambda c: c.exchange_declare("x"),
        lambda c: c.exchange_delete("x"),
        lambda c: c.queue_declare("q"),
        lambda c: c.queue_bind("q", "amq.direct"),
        lambda c: c.queue_unbind("q", "amq.direct"),
        lambda c: c.queue_purge("q"),
        lambda c: c.queue_delete("q"),
        lambda c: c.qos(1),
        lambda c: c.consume("q"),
        lambda c: c.cancel("c"),
        lambda c: c.publish("", "q"),
        lambda c: c.get("q"),
        lambda c: c.ack(1),
        lambda c: c.nack(1),
        lambda c: c.recover(),
    ],
)
def test_a_closed_channel_does_nothing_more(broker, channel, verb):
    declare(channel, "q")
    closed = new_channel(broker)
    closed.close()
    before = snapshot(broker)
    with pytest.raises(ConnectionError, match=r"504 CHANNEL_ERROR - expected 'channel\.open'"):
        verb(closed)
    assert snapshot(broker) == before
    broker.check()


def test_a_closed_connection_opens_no_channel(broker):
    connection = broker.open_connection()
    connection.close()
    with pytest.raises(ConnectionError, match="504"):
        connection.open_channel()


def test_a_connection_that_is_closed_opens_no_channel(broker):
    connection = broker.open_connection()
    connection.close()
    with pytest.raises(ConnectionError, match=r"^504 .* - the connection is closed$"):
        connection.open_channel()
