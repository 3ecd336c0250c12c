"""The delayed-message exchange, as its plug-in's documentation and source say; no real broker that has it was asked."""

import pytest

from simbus.effects import Confirmed, Enqueued, Published
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.effects import Delayed, Returned
from simbus.rabbitmq.errors import RabbitMQError
from simbus.rabbitmq.fields import Byte, Long
from simbus.rabbitmq.properties import Properties
from simbus.units import MILLISECOND
from tests.brokers import declare, new_channel, ready, walk

DELAYED = "x-delayed-message"
DIGITS = "7" * 5000  # more than Python reads


@pytest.fixture
def delayed(channel):
    """A channel with the durable exchange ``x``, direct with delays, and the queue q that is bound to it with k."""
    declare(channel, "q")
    declare_delayed(channel)
    channel.queue_bind("q", "x", "k")
    channel.vhost.node.effects.clear()
    return channel


def declare_delayed(channel, type="direct", **arguments):
    channel.exchange_declare("x", DELAYED, durable=True, arguments={"x-delayed-type": type, **arguments})


def publish(channel, delay, body="1", key="k", mandatory=False, **headers):
    channel.publish("x", key, body.encode(), Properties(headers={"x-delay": delay, **headers}), mandatory=mandatory)


def test_a_transaction_s_message_is_kept_from_the_commit_on(broker, delayed):
    delayed.tx_select()
    publish(delayed, 5000)
    walk(broker, 3000)
    delayed.tx_commit()
    walk(broker, 4999)
    assert ready(delayed, "q") == ""
    walk(broker, 1)
    assert ready(delayed, "q") == "1"
    broker.check()


def test_a_message_is_routed_when_its_delay_is_over(broker, delayed):
    publish(delayed, 5000)
    walk(broker, 4999)
    assert ready(delayed, "q") == ""
    walk(broker, 1)
    assert ready(delayed, "q") == "1"
    broker.check()


def test_shorter_delays_overtake_longer_ones_and_equal_ones_stay_in_order(broker, delayed):
    for body, delay in (("a", 3000), ("b", 1000), ("c", 3000), ("d", 2000)):
        publish(delayed, delay, body)
        broker.check()
    walk(broker, 1500)
    assert ready(delayed, "q") == "b"
    walk(broker, 1500)
    assert ready(delayed, "q") == "b d a c"


def test_the_header_is_negated_and_the_rest_stays_as_it_is(broker, delayed):
    publish(delayed, 10, first=1, CC=["other"])
    walk(broker, 10)
    [copy] = delayed.vhost.queues["q"].ready
    assert copy.message.headers == {"x-delay": -10, "first": 1, "CC": ["other"]}
    assert (copy.message.exchange, copy.message.routing_key) == ("x", "k")


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [(7, 7), (Long(7), 7), ("7", 7), ("+7", 7), (b"7", 7), (7.9, 7), (2**32 - 1, 2**32 - 1)],
)
def test_a_delay_is_a_number_or_a_text_of_digits(broker, delayed, value, milliseconds):
    publish(delayed, value)
    assert ready(delayed, "q") == ""
    assert broker.next_deadline == milliseconds * MILLISECOND
    walk(broker, milliseconds)
    assert delayed.vhost.queues["q"].ready[0].message.headers["x-delay"] == -milliseconds


@pytest.mark.parametrize("value", [0, -1, -5000, 2**32, "0", "-7", DIGITS, f"-{DIGITS}", None, True, Byte(7), [7], 0.9])
def test_any_other_delay_is_none(delayed, value):
    publish(delayed, value)
    [copy] = delayed.vhost.queues["q"].ready
    assert copy.message.headers == {"x-delay": value}


def test_a_message_without_the_header_is_routed_at_once(delayed):
    delayed.publish("x", "k", b"1")
    assert ready(delayed, "q") == "1"


@pytest.mark.parametrize("value", ["soon", "", "1.5", "1 ", "٣", b"\xff"])
def test_the_plugin_stumbles_over_a_text_that_is_no_number(delayed, value):
    with pytest.raises(RabbitMQError) as refusal:
        publish(delayed, value)
    assert str(refusal.value) == "541 INTERNAL_ERROR"


def test_whatever_is_bound_when_the_time_has_come_gets_the_message(broker, delayed):
    publish(delayed, 10)
    delayed.queue_unbind("q", "x", "k")
    declare(delayed, "late")
    delayed.queue_bind("late", "x", "k")
    walk(broker, 10)
    assert (ready(delayed, "q"), ready(delayed, "late")) == ("", "1")


@pytest.mark.parametrize(("type", "key", "reaches"), [("topic", "k.1", True), ("fanout", "any", True), ("direct", "k.1", False)])
def test_it_routes_as_the_type_that_it_is_told(broker, channel, type, key, reaches):
    declare(channel, "q")
    declare_delayed(channel, type)
    channel.queue_bind("q", "x", "k.*")
    publish(channel, 10, key=key)
    walk(broker, 10)
    assert ready(channel, "q") == ("1" if reaches else "")


def test_it_may_have_a_memory(broker, channel):
    declare(channel, "q")
    declare_delayed(channel, "x-recent-history")
    publish(channel, 10)
    walk(broker, 10)
    channel.queue_bind("q", "x")
    assert ready(channel, "q") == "1"


def test_a_mandatory_message_is_returned_and_delivered_later_all_the_same(broker, delayed):
    delayed.confirm_select()
    publish(delayed, 10, mandatory=True)
    assert [type(effect) for effect in broker.take_effects()] == [Published, Delayed, Returned, Confirmed]
    walk(broker, 10)
    assert [type(effect) for effect in broker.take_effects()] == [Enqueued]


def test_an_alternate_exchange_gets_a_message_at_once_that_is_kept(broker, channel):
    declare(channel, "q")
    declare(channel, "rest")
    channel.exchange_declare("other", "fanout")
    channel.queue_bind("rest", "other")
    declare_delayed(channel, **{"alternate-exchange": "other"})
    channel.queue_bind("q", "x", "k")
    publish(channel, 10)
    assert (ready(channel, "q"), ready(channel, "rest")) == ("", "1")
    walk(broker, 10)
    assert (ready(channel, "q"), ready(channel, "rest")) == ("1", "1")


def test_messages_that_come_by_other_exchanges_or_have_died_are_kept_too(broker, delayed):
    delayed.exchange_declare("before", "fanout")
    delayed.exchange_bind("x", "before")
    declare(delayed, "dying", dead_letter_exchange="x", dead_letter_routing_key="k")
    delayed.publish("before", "k", b"1", Properties(headers={"x-delay": 10}))
    delayed.publish("", "dying", b"2", Properties(headers={"x-delay": 20}))
    delayed.reject(delayed.get("dying").delivery.delivery_tag, requeue=False)
    assert ready(delayed, "q") == ""
    walk(broker, 20)
    assert ready(delayed, "q") == "1 2"
    broker.check()


def test_a_transaction_counts_the_delay_from_its_commit(broker, delayed):
    delayed.tx_select()
    publish(delayed, 10)
    walk(broker, 5)
    delayed.tx_commit()
    walk(broker, 9)
    assert ready(delayed, "q") == ""
    walk(broker, 1)
    assert ready(delayed, "q") == "1"


def test_a_restart_keeps_what_is_delayed_persistent_or_not(broker, delayed):
    publish(delayed, 10)
    broker.restart()
    walk(broker, 10)
    assert ready(new_channel(broker), "q") == "1"
    broker.check()


@pytest.mark.parametrize("again", [True, False])
def test_messages_of_an_exchange_that_is_gone_go_by_the_next_of_its_name(broker, delayed, again):
    publish(delayed, 10)
    delayed.exchange_delete("x")
    if again:
        declare_delayed(delayed, "fanout")
        delayed.queue_bind("q", "x")
    walk(broker, 10)
    assert ready(delayed, "q") == ("1" if again else "")
    broker.check()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        ({"x-delayed-type": 5}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        ({"x-delayed-type": DELAYED}, "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"),
        ({"x-delayed-type": "nosuch"}, "unknown exchange type 'nosuch'"),
        (
            {"x-delayed-type": "x-recent-history", "x-recent-history-length": 0},
            "Invalid argument 0, 'x-recent-history-length' must be a positive integer",
        ),
    ],
)
def test_an_exchange_that_would_route_in_no_way_is_refused(channel, arguments, text):
    with pytest.raises(RabbitMQError) as refusal:
        channel.exchange_declare("x", DELAYED, arguments=arguments)
    assert refusal.value.reply_text == f"PRECONDITION_FAILED - {text}"


def test_bindings_are_checked_as_the_type_checks_them(channel):
    declare(channel, "q")
    declare_delayed(channel, "x-consistent-hash")
    with pytest.raises(RabbitMQError, match="The binding key must be an integer"):
        channel.queue_bind("q", "x", "k")


def test_a_kept_message_is_neither_unroutable_nor_in_a_queue(broker, delayed):
    publish(delayed, 1500)
    published, kept = broker.take_effects()
    assert published.queues == ()
    assert (kept.message_id, kept.until) == (published.message_id, 1500 * MILLISECOND)
    assert kept.describe() == "kept back by x for 1.5s"
    assert delayed.vhost.node.unroutable == 0


def test_one_broker_wakes_for_many_exchanges_and_queues(broker):
    channel = new_channel(broker)
    for number in range(3):
        declare(channel, f"q{number}", message_ttl=100 + number)
        channel.exchange_declare(f"x{number}", DELAYED, arguments={"x-delayed-type": "fanout"})
        channel.queue_bind(f"q{number}", f"x{number}")
        for delay in (30, 10, 20):
            channel.publish(f"x{number}", "", f"{delay}".encode(), Properties(headers={"x-delay": delay + number}))
        broker.check()
    walk(broker, 25)
    assert [ready(channel, f"q{number}") for number in range(3)] == ["10 20"] * 3
    walk(broker, 200)
    assert [ready(channel, f"q{number}") for number in range(3)] == [""] * 3
    assert broker.next_deadline is None
    broker.check()


@pytest.mark.parametrize("version", ["4.0", "3.10"])
def test_a_delayed_message_waits_for_its_commit_and_then_for_its_time(version):
    broker = Broker(version=version)
    channel = new_channel(broker)
    channel.exchange_declare("x", DELAYED, arguments={"x-delayed-type": "fanout"})
    declare(channel, "q")
    channel.queue_bind("q", "x")
    channel.tx_select()
    channel.publish("x", "", b"1", Properties(headers={"x-delay": 100}))
    walk(broker, 200)
    channel.tx_commit()
    walk(broker, 99)
    assert ready(channel, "q") == ""
    walk(broker, 1)
    assert ready(channel, "q") == "1"
