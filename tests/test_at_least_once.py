"""Dead letters that must arrive: a quorum queue keeps them until they have, as 4.0.5 and 3.10.8 were observed to."""

import pytest

from simbus.effects import Enqueued, Removed
from tests.brokers import declare, publish, ready, refused, removed, walk

MINUTES = 60_000


@pytest.fixture
def source(channel):
    """The quorum queue q, whose dead letters must arrive in dead."""
    declare_source(channel)
    return channel


def declare_source(channel, overflow="reject-publish", **arguments):
    to = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead", "dead_letter_strategy": "at-least-once"}
    declare(channel, "q", "quorum", **{"overflow": overflow, **to, **arguments})


def die(channel, *bodies):
    for body in bodies:
        channel.publish("", "q", body.encode())
        channel.reject(channel.get("q").delivery.delivery_tag, requeue=False)


def test_a_dead_letter_arrives_at_once_where_it_can(broker, source):
    declare(source, "dead")
    die(source, "1", "2")
    assert ready(source, "dead") == "1 2"
    assert removed(broker.take_effects()) == ["rejected", "rejected"]
    broker.check()


def test_without_a_queue_it_is_kept_unseen_and_tried_again_every_three_minutes(broker, source):
    die(source, "1", "2")
    assert source.queue_declare("q", passive=True).message_count == 0
    assert source.queue_purge("q") == 0
    walk(broker, 3 * MINUTES)
    broker.check()
    declare(source, "dead")
    walk(broker, 3 * MINUTES - 1)
    assert ready(source, "dead") == ""
    assert removed(broker.take_effects()) == []
    walk(broker, 1)
    assert ready(source, "dead") == "1 2"
    broker.check()


def test_a_queue_that_refuses_it_is_asked_again(broker, source):
    declare(source, "dead", max_length=1, overflow="reject-publish")
    die(source, "1", "2", "3")
    source.get("dead", no_ack=True)
    walk(broker, 3 * MINUTES)
    assert ready(source, "dead") == "2"
    source.get("dead", no_ack=True)
    walk(broker, 3 * MINUTES)
    assert ready(source, "dead") == "3"
    broker.check()


def test_what_is_kept_counts_for_the_limit(broker, channel):
    declare_source(channel, max_length=2)
    channel.confirm_select()
    die(channel, "1", "2")
    for body in (b"3", b"4"):
        channel.publish("", "q", body)
    assert ready(channel, "q") == "3"
    broker.check()


def test_without_reject_publish_a_dead_letter_is_lost_as_ever(broker, channel):
    declare_source(channel, "drop-head")
    die(channel, "1")
    assert [effect.children for effect in broker.take_effects() if isinstance(effect, Removed)] == [()]


def test_a_cycle_without_a_reject_ends(broker, channel):
    declare(channel, "dead", dead_letter_exchange="", dead_letter_routing_key="q", message_ttl=100)
    declare_source(channel, message_ttl=100)
    channel.publish("", "q", b"1")
    walk(broker, 1000)
    assert (ready(channel, "q"), ready(channel, "dead")) == ("", "")
    broker.check()


def test_a_queue_that_is_deleted_takes_what_it_keeps_with_it(broker, source):
    die(source, "1")
    source.queue_delete("q")
    assert removed(broker.take_effects()) == ["deleted"]
    walk(broker, 10 * MINUTES)
    broker.check()


def test_what_arrived_is_noted_with_the_copies_that_it_became(broker, channel):
    broker.advance(7)
    declare_source(channel, dead_letter_exchange="amq.fanout")
    for name in ("dead", "buried"):
        declare(channel, name)
        channel.queue_bind(name, "amq.fanout")
    publish(channel, "q", "1")
    channel.get("q")
    broker.take_effects()
    channel.reject(1, requeue=False)
    assert broker.take_effects() == [
        Enqueued(7, 1, 2, "dead", 1),
        Enqueued(7, 1, 3, "buried", 1),
        Removed(7, 1, 1, "q", "rejected", (2, 3)),
    ]
    publish(channel, "q", "2")
    assert broker.take_effects()[1] == Enqueued(7, 2, 4, "q", 0)
    broker.check()


def test_one_queue_that_takes_it_does_not_get_it_again_for_one_that_refuses(broker, channel):
    declare_source(channel, dead_letter_exchange="amq.fanout")
    declare(channel, "dead")
    declare(channel, "full", max_length=0, overflow="reject-publish")
    for name in ("dead", "full"):
        channel.queue_bind(name, "amq.fanout")
    die(channel, "1")
    walk(broker, 9 * MINUTES)
    assert ready(channel, "dead") == "1"
    assert removed(broker.take_effects()) == []
    channel.queue_unbind("full", "amq.fanout")
    walk(broker, 3 * MINUTES)
    assert removed(broker.take_effects()) == ["rejected"]
    broker.check()


def test_it_waits_for_its_exchange_too(broker, channel):
    declare_source(channel, dead_letter_exchange="later")
    die(channel, "1")
    declare(channel, "dead")
    channel.exchange_declare("later", "fanout")
    channel.queue_bind("dead", "later")
    walk(broker, 3 * MINUTES)
    assert ready(channel, "dead") == "1"
    broker.check()


def test_what_ends_in_a_cycle_is_kept_no_longer(broker, channel):
    declare(channel, "dead", dead_letter_exchange="", dead_letter_routing_key="q", message_ttl=100)
    declare_source(channel, message_ttl=100)
    channel.publish("", "q", b"1")
    walk(broker, 100)
    broker.take_effects()
    walk(broker, 1000)
    assert removed(broker.take_effects()).count("expired") >= 1
    assert not channel.vhost.queues["q"].dying
    assert broker.next_deadline is None


def test_publishers_go_on_when_what_was_kept_has_arrived(broker, channel):
    declare_source(channel, max_length=1)
    publish(channel, "q", "1 2 3 4", expiration="1000")
    assert refused(broker.take_effects()) == 2
    declare(channel, "dead")
    walk(broker, 3 * MINUTES + 1000)
    broker.check()
    assert (ready(channel, "q"), ready(channel, "dead")) == ("", "1 2")
    publish(channel, "q", "5")
    assert ready(channel, "q") == "5"


def test_publishers_go_on_when_what_was_kept_is_forgotten(broker, channel):
    declare_source(channel, max_length=1)
    publish(channel, "q", "1 2 3", expiration="1000")
    walk(broker, 1000)
    broker.empty()
    broker.check()
    publish(channel, "q", "4")
    assert ready(channel, "q") == "4"


def test_what_is_kept_counts_with_its_bytes_until_it_has_arrived(broker, channel):
    declare_source(channel, max_length_bytes=10)
    die(channel, "seven..", "eleven.....")
    queue = channel.vhost.queues["q"]
    assert queue.dying_bytes == 18
    publish(channel, "q", "1")
    assert refused(broker.take_effects()) == 1
    declare(channel, "dead")
    walk(broker, 3 * MINUTES)
    broker.check()
    assert queue.dying_bytes == 0
    publish(channel, "q", "2")
    assert ready(channel, "q") == "2"


def test_what_is_rejected_and_kept_stops_publishers_at_once(broker, channel):
    declare_source(channel, max_length=2)
    for _ in range(3):
        publish(channel, "q", "1")
        channel.get("q")
    channel.nack(0, multiple=True, requeue=False)
    publish(channel, "q", "2 3")
    assert refused(broker.take_effects()) == 2
    broker.check()


def test_what_expires_and_is_kept_lets_no_publisher_go_on(broker, channel):
    declare_source(channel, max_length=5)
    publish(channel, "q", "1 2 3 4 5 6 7", expiration="1000")
    assert refused(broker.take_effects()) == 1
    channel.get("q", no_ack=True)
    walk(broker, 1000)
    publish(channel, "q", "8 9")
    assert refused(broker.take_effects()) == 2
    broker.check()


def test_an_exchange_that_keeps_its_latest_messages_keeps_dead_letters_too(broker, channel):
    channel.exchange_declare("recent", "x-recent-history")
    declare_source(channel, dead_letter_exchange="recent")
    declare(channel, "dead")
    channel.queue_bind("dead", "recent")
    die(channel, "1")
    declare(channel, "late")
    channel.queue_bind("late", "recent")
    assert (ready(channel, "dead"), ready(channel, "late")) == ("1", "1")
    broker.check()


def test_a_letter_that_would_come_to_where_it_expired_is_done_with(broker, channel):
    declare_source(channel, dead_letter_routing_key="q", message_ttl=100)
    channel.publish("", "q", b"1")
    walk(broker, 200)
    assert removed(broker.take_effects()) == ["expired"]
    assert (ready(channel, "q"), broker.next_deadline) == ("", None)
    broker.check()


def test_a_letter_is_tried_again_in_time_although_the_queue_was_woken_for_its_head_meanwhile(broker, source):
    die(source, "1")
    source.queue_declare("q", passive=True)
    publish(source, "q", "2", expiration="60000")
    walk(broker, 2 * MINUTES)
    declare(source, "dead")
    walk(broker, MINUTES)
    assert ready(source, "dead").split()[0] == "1"
    broker.check()
