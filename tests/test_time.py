"""Time is told to the broker: never backwards, never past its deadline, and it asks for no more wake-ups than queues."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.wakeups import Wakeups
from simbus.units import MILLISECOND
from tests.brokers import consumer, declare, delivered, get, new_channel, publish, ready, removed, walk


def test_a_broker_without_work_wants_no_wake_up(broker, channel):
    declare(channel, "q", message_ttl=10)
    assert broker.next_deadline is None
    broker.advance(5)
    assert broker.now == 5


def test_a_clock_may_start_at_any_time():
    assert Broker(now=1_700_000_000_000_000_000).now == 1_700_000_000_000_000_000


def test_time_cannot_run_backwards(broker):
    broker.advance(10)
    broker.advance(10)
    with pytest.raises(ValueError, match="time cannot run backwards: 9 is before 10"):
        broker.advance(9)
    assert broker.now == 10


def test_time_cannot_skip_a_deadline(broker, channel):
    declare(channel, "q", message_ttl=1)
    publish(channel, "q", "1")
    with pytest.raises(ValueError, match="1000001 is past the next deadline 1000000"):
        broker.advance(MILLISECOND + 1)
    assert broker.now == 0
    assert ready(channel, "q") == "1"
    broker.advance(MILLISECOND)
    broker.advance(MILLISECOND + 1)


def test_what_a_wake_up_does_bears_its_time(broker, channel):
    declare(channel, "dead")
    declare(channel, "q", message_ttl=7, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "1")
    broker.take_effects()
    walk(broker, 100)
    assert [effect.at for effect in broker.take_effects()] == [7 * MILLISECOND] * 2


def test_queues_that_fall_due_together_are_served_in_the_order_of_their_declaration(broker, channel):
    for queue in ("b", "a", "c"):
        declare(channel, queue, message_ttl=7)
    for queue in ("c", "a", "b"):
        publish(channel, queue, "1")
    broker.take_effects()
    broker.advance(7 * MILLISECOND)
    assert [effect.queue for effect in broker.take_effects()] == ["b", "a", "c"]


def test_an_early_wake_up_does_nothing_but_ask_again(broker, channel):
    declare(channel, "q")
    publish(channel, "q", "1", expiration="5")
    publish(channel, "q", "2", expiration="50")
    channel.get("q", no_ack=True)
    broker.take_effects()
    assert broker.next_deadline <= 50 * MILLISECOND
    walk(broker, 49)
    assert broker.take_effects() == []
    assert ready(channel, "q") == "2"
    walk(broker, 1)
    assert removed(broker.take_effects()) == ["expired"]


def test_a_message_whose_time_was_over_behind_the_head_goes_with_it(broker, channel):
    declare(channel, "q")
    publish(channel, "q", "1")
    publish(channel, "q", "2", expiration="10")
    publish(channel, "q", "3")
    walk(broker, 20)
    broker.take_effects()
    consumer(broker, "q", "c", prefetch=1)
    effects = broker.take_effects()
    assert delivered(effects) == "c1"
    assert removed(effects) == ["expired"]
    assert ready(channel, "q") == "3"


def test_a_requeue_may_make_the_deadline_earlier(broker, channel):
    declare(channel, "q")
    publish(channel, "q", "1", expiration="50")
    publish(channel, "q", "2", expiration="500")
    tag = get(channel, "q", 1)["1"]
    walk(broker, 20)
    channel.nack(tag)
    assert broker.next_deadline == 50 * MILLISECOND


@pytest.mark.parametrize("end", ["queue_purge", "queue_delete"])
def test_nothing_is_due_when_nothing_is_left(broker, channel, end):
    declare(channel, "q", message_ttl=10)
    publish(channel, "q", "1 2")
    getattr(channel, end)("q")
    walk(broker, 100)
    assert "expired" not in removed(broker.take_effects())
    assert broker.next_deadline is None


def test_a_name_that_is_used_again_has_no_deadline_of_its_predecessor(broker, channel):
    declare(channel, "q", message_ttl=10)
    publish(channel, "q", "1")
    channel.queue_delete("q")
    declare(channel, "q")
    publish(channel, "q", "2")
    assert broker.next_deadline is None
    walk(broker, 100)
    assert ready(channel, "q") == "2"


steps = st.lists(
    st.tuples(st.sampled_from(["publish", "get", "nack", "purge", "wait"]), st.integers(0, 2), st.integers(1, 40)),
    max_size=60,
)


@given(steps)
def test_the_deadline_may_be_early_but_never_late_and_each_queue_has_one_entry_at_most(program):
    broker = Broker()
    channel = new_channel(broker)
    for queue in "012":
        declare(channel, queue, "quorum" if queue == "2" else "classic")
    for what, number, milliseconds in program:
        queue = str(number)
        if what == "publish":
            publish(channel, queue, "x", expiration=str(milliseconds))
        elif what == "get":
            channel.get(queue)
        elif what == "nack":
            channel.nack(0, multiple=True)
        elif what == "purge":
            channel.queue_purge(queue)
        else:
            walk(broker, milliseconds)
        assert_deadlines(broker)


def assert_deadlines(broker):
    queues = broker.vhost().queues.values()
    heads = [queue.ready[0].expires_at for queue in queues if queue.ready]
    assert all(expires_at > broker.now for expires_at in heads)
    if heads:
        assert broker.next_deadline is not None
        assert broker.now < broker.next_deadline <= min(heads)
    broker.vhost().node.deadlines.check()


def test_ten_thousand_messages_with_a_time_need_one_entry(broker, channel):
    declare(channel, "q", message_ttl=1000)
    for _ in range(10_000):
        channel.publish("", "q", b"")
        channel.get("q", no_ack=True)
        channel.publish("", "q", b"")
    assert len(broker.vhost().node.deadlines.entries) == 1


def test_the_walk_lets_a_retry_through_a_delay_queue_return_each_time(broker, channel):
    """Through work -rejected-> a wait of 10 s -expired-> work: a minute holds six attempts."""
    declare(channel, "wait", message_ttl=10_000, dead_letter_exchange="", dead_letter_routing_key="work")
    declare(channel, "work", dead_letter_exchange="", dead_letter_routing_key="wait")
    publish(channel, "work", "1")
    attempts = []
    target = 60_000 * MILLISECOND
    while True:
        while (answer := channel.get("work")) is not None:
            attempts.append(broker.now // (1000 * MILLISECOND))
            channel.reject(answer.delivery.delivery_tag, requeue=False)
        if broker.next_deadline is None or broker.next_deadline > target:
            break
        broker.advance(broker.next_deadline)
    assert attempts == [0, 10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("now", [1.5, 1.0, True, "1"])
def test_time_is_an_int_and_nothing_like_it(broker, now):
    with pytest.raises(TypeError, match="int of nanoseconds"):
        broker.advance(now)
    assert broker.now == 0


def test_what_waits_no_longer_is_kept_beside_as_many_that_do_at_most(broker, channel):
    names = [str(number) for number in range(1000)]
    for name in names:
        declare(channel, name, expires=1000 + int(name))
    for name in names[1:]:
        channel.queue_delete(name)
        broker.vhost().node.deadlines.check()
    assert len(broker.vhost().node.deadlines.entries) <= 2
    walk(broker, 1000)
    assert not broker.vhost().queues
    assert broker.next_deadline is None


@dataclass(eq=False)
class Sleeping:
    index: int
    wake_at: int | None = None


def test_a_wake_up_that_is_forgotten_and_asked_for_again_comes_once():
    """As that of an exchange which is emptied and keeps the like again."""
    sleepers = [Sleeping(index) for index in range(4)]
    wakeups: Wakeups[Sleeping] = Wakeups()
    for sleeper in sleepers:
        wakeups.wake(sleeper, 10 - sleeper.index)
    for at in (10, 20, 10, 5, 10):
        wakeups.forget(sleepers[0])
        wakeups.wake(sleepers[0], at)
        wakeups.check()
    woken = []
    while (due := wakeups.due(10)) is not None:
        woken.append(due.index)
        wakeups.check()
    assert woken == [3, 2, 1, 0]
    assert wakeups.entries == []
