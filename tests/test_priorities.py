"""Queues with priorities: what RabbitMQ 4.0.5 and 3.10.8 were observed to do, which is the same unless a test says otherwise.

A body's digits are its priority: ``a5`` was published with 5, ``c`` without any.
"""

from random import Random

import pytest

from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import ChannelError
from simbus.rabbitmq.properties import Properties
from tests.brokers import consumer, declare, delivered, get, new_channel, ready, removed, walk


@pytest.fixture(params=["4.0", "3.10"])
def version(request):
    return request.param


@pytest.fixture
def broker(version):
    return Broker(version=version)


def publish(channel, queue, bodies, **properties):
    for body in bodies.split():
        digits = body[1:].split("_")[0]
        sent = Properties(priority=int(digits) if digits else None, **properties)
        channel.publish("", queue, body.encode(), sent)


def ranked(channel, most=5, **arguments):
    declare(channel, "q", max_priority=most, **arguments)
    return channel


def taken(channel, queue="q"):
    """The bodies that gets find, until nothing is ready."""
    bodies = []
    while (got := channel.get(queue, no_ack=True)) is not None:
        bodies.append(got.delivery.message.body.decode())
    return " ".join(bodies)


# Classic queues


def test_the_highest_priority_comes_first_and_in_it_the_oldest(broker, channel):
    publish(ranked(channel), "q", "a1 b5 c d9 e3 f5 g0 h255 i1")
    assert ready(channel, "q") == "b5 d9 f5 h255 e3 a1 i1 c g0"
    broker.check()
    assert taken(channel) == "b5 d9 f5 h255 e3 a1 i1 c g0"


def test_a_maximum_of_zero_is_one_level_or_two(channel, version):
    publish(ranked(channel, most=0), "q", "a1 b5 c d9")
    assert taken(channel) == {"4.0": "a1 b5 d9 c", "3.10": "a1 b5 c d9"}[version]


def test_without_a_maximum_priorities_mean_nothing(channel):
    declare(channel, "q")
    publish(channel, "q", "a1 b5 c")
    assert ready(channel, "q") == "a1 b5 c"


def test_what_comes_back_has_its_old_place_in_its_level(broker, channel):
    publish(ranked(channel), "q", "a1 b1 c5 d5 e1 f5")
    tags = get(channel, "q", 5)
    publish(channel, "q", "g5 h1")
    for body in ("d5", "b1", "c5", "a1"):
        channel.nack(tags[body])
        broker.check()
    assert ready(channel, "q") == "c5* d5* g5 a1* b1* e1 h1"


def test_the_end_of_a_channel_gives_every_level_its_copies_back(broker, channel):
    publish(ranked(channel), "q", "a1 b1 c5 d5")
    other = new_channel(broker)
    get(other, "q", 3)
    other.close()
    assert ready(channel, "q") == "c5* d5* a1* b1"
    broker.check()


def test_an_expired_message_of_low_priority_waits_behind_a_live_one_of_high_priority(broker, channel):
    declare(channel, "dead")
    ranked(channel, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "a5 b5")
    publish(channel, "q", "c1 d1", expiration="50")
    publish(channel, "q", "e3", expiration="50")
    publish(channel, "q", "f3")
    walk(broker, 300)
    assert channel.queue_declare("q", passive=True).message_count == 6
    assert channel.get("q", no_ack=True).message_count == 5
    assert ready(channel, "dead") == ""
    assert taken(channel) == "b5 f3"
    assert ready(channel, "dead") == "e3 c1 d1"
    broker.check()


@pytest.mark.parametrize("bodies", ["a1 b1 c5"])
def test_when_the_highest_expires_all_that_have_expired_below_go_too(broker, channel, bodies):
    declare(channel, "dead")
    ranked(channel, message_ttl=300, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "a1 b1")
    walk(broker, 200)
    publish(channel, "q", "c5")
    walk(broker, 200)
    assert channel.queue_declare("q", passive=True).message_count == len(bodies.split())
    walk(broker, 200)
    assert ready(channel, "q") == ""
    assert ready(channel, "dead") == "c5 a1 b1"


def test_expiry_goes_from_level_to_level_and_stops_at_the_first_live_head_only(broker, channel):
    declare(channel, "dead")
    ranked(channel, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "a5", expiration="400")
    publish(channel, "q", "b1", expiration="100")
    publish(channel, "q", "c1")
    publish(channel, "q", "d3", expiration="200")
    walk(broker, 300)
    assert len(channel.vhost.queues["q"].ready) == 4
    walk(broker, 300)
    assert ready(channel, "q") == "c1"
    assert ready(channel, "dead") == "a5 d3 b1"


def test_a_message_of_ttl_zero_that_overtakes_is_at_the_head_only_in_its_turn(broker, channel):
    declare(channel, "dead")
    ranked(channel, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "a5")
    publish(channel, "q", "b1", expiration="0")
    publish(channel, "q", "c5", expiration="0")
    publish(channel, "q", "d7 e3")
    publish(channel, "q", "f5", expiration="0")
    assert channel.queue_declare("q", passive=True).message_count == 6
    assert taken(channel) == "a5 d7 e3"
    assert ready(channel, "dead") == "c5 f5 b1"
    broker.check()


@pytest.mark.parametrize("limit", [{"max_length": 2}, {"max_length_bytes": 4}])
def test_a_limit_drops_the_highest_priority_first_for_that_is_the_head(broker, channel, limit):
    declare(channel, "dead")
    ranked(channel, dead_letter_exchange="", dead_letter_routing_key="dead", **limit)
    publish(channel, "q", "a5 b1 c3 d1")
    assert ready(channel, "q") == "b1 d1"
    assert ready(channel, "dead") == "a5 c3"


def test_a_requeue_over_the_limit_drops_the_highest_too(channel):
    publish(ranked(channel, max_length=2), "q", "a5 b1")
    tag = get(channel, "q", 1)["a5"]
    publish(channel, "q", "c3")
    channel.nack(tag)
    assert ready(channel, "q") == "c3 b1"


def test_a_purge_removes_every_level_and_nothing_that_is_unacked(broker, channel):
    publish(ranked(channel), "q", "a5 b1 c3 d1")
    get(channel, "q", 1)
    assert channel.queue_purge("q") == 3
    assert ready(channel, "q") == ""
    broker.check()


def test_a_waiting_consumer_gets_what_comes_whatever_its_priority(broker, channel):
    ranked(channel)
    consumer(broker, "q", "A", prefetch=2)
    publish(channel, "q", "a1 b1 c1 d5")
    assert delivered(broker.take_effects()) == "Aa1 Ab1"
    assert ready(channel, "q") == "d5 c1"


def test_a_restart_keeps_the_levels(broker, channel):
    publish(ranked(channel), "q", "a1 b5 c1 d5", delivery_mode=2)
    publish(channel, "q", "e9")
    get(channel, "q", 3)
    broker.restart()
    channel = new_channel(broker)
    assert taken(channel) == "b5 d5 a1 c1"
    broker.check()


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ({"max_priority": 5}, {}, "none but current is the value '5' of type 'signedint'"),
        ({}, {"max_priority": 0}, "the value '0' of type 'signedint' but current is none"),
        ({"max_priority": 5}, {"max_priority": 6}, "'6' but current is '5'"),
        ({"max_priority": 0}, {}, "none but current is the value '0' of type 'signedint'"),
    ],
)
def test_the_number_of_priorities_belongs_to_the_queue(channel, first, second, why):
    declare(channel, "q", **first)
    with pytest.raises(ChannelError, match=f"inequivalent arg 'x-max-priority' for queue 'q' in vhost '/': received {why}"):
        declare(channel, "q", **second)


# Quorum queues


def test_a_quorum_queue_takes_two_urgent_messages_for_one_other_where_the_version_has_that(broker, channel, version):
    declare(channel, "q", "quorum")
    publish(channel, "q", "a b0 c4 d5 e9 f1 g255 h5 i3 j5 k5 l5")
    order = {"4.0": "d5 e9 a g255 h5 b0 j5 k5 c4 l5 f1 i3", "3.10": "a b0 c4 d5 e9 f1 g255 h5 i3 j5 k5 l5"}[version]
    assert ready(channel, "q") == order
    broker.check()
    assert taken(channel) == order


def test_the_turns_of_a_quorum_queue_are_counted_while_there_is_no_choice_too(channel, version):
    declare(channel, "q", "quorum")
    publish(channel, "q", "a5")
    assert taken(channel) == "a5"
    for _ in range(2):
        publish(channel, "q", "b5 c5 d1 e1 f5 g5 h1")
        assert taken(channel) == {"4.0": "b5 c5 f5 g5 d1 e1 h1", "3.10": "b5 c5 d1 e1 f5 g5 h1"}[version]
        publish(channel, "q", "a1 b1")
        assert taken(channel) == "a1 b1"


def test_what_comes_back_to_a_quorum_queue_stands_before_or_behind_all_others(broker, channel, version):
    declare(channel, "q", "quorum")
    publish(channel, "q", "a b0 c4 d5 e9 f1 g255")
    tags = list(get(channel, "q", 4).values())
    publish(channel, "q", "h5 i1")
    for number in (3, 1, 4, 2):
        channel.nack(tags[number - 1])
    assert (
        ready(channel, "q")
        == {
            "4.0": "a* d5* g255* e9* h5 b0 c4 f1 i1",
            "3.10": "e9 f1 g255 h5 i1 c4* a* d5* b0*",
        }[version]
    )
    broker.check()


def test_no_quorum_queue_has_a_maximum_of_priorities(channel):
    with pytest.raises(ChannelError, match=r"invalid arg 'x-max-priority' for queue 'q' .* of queue type rabbit_quorum_queue"):
        declare(channel, "q", "quorum", max_priority=5)


# Many copies


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"max_priority": 3}, {"type": "quorum"}])
def test_very_many_copies_come_back_in_any_order(broker, channel, seed, arguments):
    many = 100_000
    declare(channel, "q", **arguments)
    for number in range(many):
        channel.publish("", "q", b"%d" % number, Properties(priority=number % 3))
    tags = [channel.get("q").delivery.delivery_tag for _ in range(many)]
    Random(seed).shuffle(tags)  # noqa: S311 - for an order, not for a secret
    for tag in tags:
        channel.nack(tag)
    assert len(channel.vhost.queues["q"].ready) == many
    broker.check()
    assert channel.queue_purge("q") == many
    assert removed(broker.take_effects()) == ["purged"] * many
