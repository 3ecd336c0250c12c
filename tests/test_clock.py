"""Virtual time: who is woken when, and in which order things happen."""

import threading

import pytest

from simbus.clock import VirtualClock
from simbus.effects import Delivered, Effect, Removed
from simbus.errors import HandlerRunning
from simbus.rabbitmq.broker import Broker
from simbus.units import SECOND


class World:
    """A broker, its clock, and everything that an observer saw."""

    def __init__(self):
        self.broker = Broker()
        self.seen: list[Effect] = []
        self.clock = VirtualClock(self.broker, self.seen.extend)
        self.channel = self.broker.open_connection().open_channel()

    def consume(self, queue, act):
        """Start a consumer that acks each delivery after ``act``."""
        channel = self.broker.open_connection().open_channel()

        def receive(effect):
            act(effect)
            channel.ack(effect.delivery_tag)

        self.clock.attach(channel.number, receive)
        channel.consume(queue)
        return channel


@pytest.fixture
def world():
    return World()


def test_the_clock_goes_where_it_is_told(world):
    world.clock.run_until(5 * SECOND)
    assert world.clock.now == world.broker.now == 5 * SECOND


def test_time_never_runs_backwards(world):
    world.clock.run_until(5 * SECOND)
    with pytest.raises(ValueError, match="backwards"):
        world.clock.run_until(4 * SECOND)


def test_each_deadline_is_met_at_its_own_time(world):
    for seconds in (30, 10, 20):
        world.channel.queue_declare(f"q{seconds}", arguments={"x-message-ttl": 1000 * seconds})
        world.channel.publish("", f"q{seconds}")
    world.clock.run_until(60 * SECOND)
    assert [effect.at for effect in world.seen if isinstance(effect, Removed)] == [10 * SECOND, 20 * SECOND, 30 * SECOND]


def test_a_deadline_at_the_target_is_met(world):
    world.channel.queue_declare("q", arguments={"x-message-ttl": 10_000})
    world.channel.publish("", "q")
    world.clock.run_until(10 * SECOND)
    assert [effect.at for effect in world.seen if isinstance(effect, Removed)] == [10 * SECOND]


def test_a_retry_through_a_delay_queue_takes_its_third_attempt_in_one_run(world):
    delay = {"x-message-ttl": 10_000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "work"}
    world.channel.queue_declare("delay", arguments=delay)
    world.channel.queue_declare("work")
    attempts = []

    def fail(delivered):
        attempts.append(delivered.at)
        if len(attempts) < 3:
            world.channel.publish("", "delay", delivered.message.body)

    world.consume("work", fail)
    world.channel.publish("", "work", b"task")
    world.clock.run_until(60 * SECOND)
    assert attempts == [0, 10 * SECOND, 20 * SECOND]


def test_what_a_receiver_causes_is_handed_out_after_it_returned(world):
    world.channel.queue_declare("q")
    began: list[int] = []
    ended: list[int] = []

    def publish_another(delivered):
        began.append(delivered.message.id)
        assert began[:-1] == ended
        if delivered.message.id < 5000:  # deeper than any stack
            world.channel.publish("", "q")
            world.clock.settle()
        ended.append(delivered.message.id)

    world.consume("q", publish_another)
    world.channel.publish("", "q")
    world.clock.settle()
    assert ended == list(range(1, 5001))


def test_observers_see_what_happened_while_a_receiver_acts(world):
    world.channel.queue_declare("q")
    world.channel.queue_declare("log")
    counts = []

    def act(_delivered):
        before = len(world.seen)
        world.channel.publish("", "log")
        world.clock.settle()
        counts.append(len(world.seen) - before)

    world.consume("q", act)
    world.channel.publish("", "q")
    world.clock.settle()
    assert counts == [2]  # Published, Enqueued


def test_a_receiver_that_fails_leaves_the_rest_due(world):
    world.channel.queue_declare("q")
    handled = []

    def act(delivered):
        handled.append(delivered.message.id)
        if delivered.message.id == 1:
            raise KeyError("first")

    world.consume("q", act)
    for _ in range(3):
        world.channel.publish("", "q")
    with pytest.raises(KeyError, match="first"):
        world.clock.settle()
    assert handled == [1]
    world.clock.settle()
    assert handled == [1, 2, 3]


def test_a_receiver_that_fails_stops_the_clock_where_it_failed(world):
    world.channel.queue_declare("q")
    world.channel.queue_declare(
        "delay", arguments={"x-message-ttl": 10_000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
    )

    def fail(_delivered):
        raise KeyError("late")

    world.consume("q", fail)
    world.channel.publish("", "delay")
    with pytest.raises(KeyError, match="late"):
        world.clock.run_until(60 * SECOND)
    assert world.clock.now == 10 * SECOND


def test_a_receiver_cannot_move_the_clock(world):
    world.channel.queue_declare("q")
    world.consume("q", lambda _delivered: world.clock.run_until(SECOND))
    world.channel.publish("", "q")
    with pytest.raises(HandlerRunning, match="let the test advance it"):
        world.clock.settle()


def test_a_detached_channel_gets_nothing_more(world):
    world.channel.queue_declare("q")
    channel = world.consume("q", lambda _delivered: pytest.fail("detached"))
    world.channel.publish("", "q")
    world.clock.observe()
    world.clock.detach(channel.number)
    world.clock.settle()
    assert [effect.channel for effect in world.seen if isinstance(effect, Delivered)] == [channel.number]


def test_on_the_wall_clock_deadlines_that_have_passed_are_met_in_turn():
    broker, wall = Broker(), [0]
    seen: list[Effect] = []
    clock = VirtualClock(broker, seen.extend, wall=lambda: wall[0])
    channel = broker.open_connection().open_channel()
    for seconds in (30, 10):
        channel.queue_declare(f"q{seconds}", arguments={"x-message-ttl": 1000 * seconds})
        channel.publish("", f"q{seconds}")
    assert clock.catch_up() == 10 * SECOND
    wall[0] = 12 * SECOND
    assert clock.catch_up() == 18 * SECOND
    assert [effect.at for effect in seen if isinstance(effect, Removed)] == [10 * SECOND]
    wall[0] = 60 * SECOND
    assert clock.catch_up() is None
    assert [effect.at for effect in seen if isinstance(effect, Removed)] == [10 * SECOND, 30 * SECOND]


def test_a_virtual_clock_has_nothing_to_catch_up_with(world):
    world.channel.queue_declare("q", arguments={"x-message-ttl": 1000})
    world.channel.publish("", "q")
    assert world.clock.catch_up() is None
    assert world.clock.now == 0


def test_a_listener_hears_at_once_and_a_receiver_when_it_acts(world):
    heard: list[Effect] = []
    received: list[Effect] = []
    for queue, attach, note in (("a", world.clock.listen, heard), ("b", world.clock.attach, received)):
        world.channel.queue_declare(queue)
        channel = world.broker.open_connection().open_channel()
        attach(channel.number, note.append)
        channel.consume(queue)
        world.channel.publish("", queue)
    world.clock.observe()
    assert [type(effect) for effect in heard] == [Delivered]
    assert received == []
    world.clock.settle()
    assert [type(effect) for effect in received] == [Delivered]


def test_while_one_thread_acts_another_only_leaves_work(world):
    order: list[str] = []

    def meanwhile():
        world.channel.publish("", "q")
        world.clock.settle()
        order.append("other thread is done")

    def act(_effect):
        order.append("handler")
        if len(order) == 1:
            other = threading.Thread(target=meanwhile)
            other.start()
            other.join()

    world.channel.queue_declare("q")
    world.consume("q", act)
    world.channel.publish("", "q")
    world.clock.settle()
    assert order == ["handler", "other thread is done", "handler"]


def test_work_that_another_thread_leaves_as_the_last_receiver_returns_is_done(world, monkeypatch):
    handled: list[Effect] = []
    world.channel.queue_declare("q")
    world.consume("q", handled.append)
    next_due = world.clock._next_due

    def meanwhile():
        monkeypatch.undo()
        world.channel.publish("", "q")
        world.clock.settle()

    def with_another_thread_behind_it():
        due = next_due()
        if due is None:
            other = threading.Thread(target=meanwhile)
            other.start()
            other.join()
        return due

    monkeypatch.setattr(world.clock, "_next_due", with_another_thread_behind_it)
    world.clock.settle()
    assert len(handled) == 1
