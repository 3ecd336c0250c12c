"""Idle: whether anything is still going on, and in whose hands; and whether anyone has come who will do something.

A broker is idle when nothing is unacked, nothing is ready in a queue that is consumed (or was, by someone who
went without basic.cancel and may come back), and nothing is on its way between clients and the broker. What a
client does in its own process between two messages no one can see from here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from time import monotonic_ns

from simbus.clock import VirtualClock
from simbus.errors import NoConsumer, NotIdle
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.fake.handlers import in_event_loop
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.virtual_host import VirtualHost
from simbus.units import SECOND, format_duration

__tracebackhide__ = True  # pytest shows the test's line

_LOOK_AGAIN = 0.02  # seconds after which bytes on their way are looked at again, if nothing happens before


def wait_until_idle(
    clock: VirtualClock,
    settle: Callable[[], None],
    busy: Callable[[], Sequence[str]],
    broker: Broker,
    vhost: VirtualHost,
    watched: Sequence[str],
    timeout: int,
) -> bool:
    """Wait until nothing is left to do; True.

    Args:
        clock: tells when something has happened.
        settle: lets the test's own handlers act.
        busy: what is on its way between clients and the broker, in words.
        broker: what clock drives.
        vhost: where the queues are that have names.
        watched: names of the queues that matter; all of the broker's when empty.
        timeout: nanoseconds of the wall's time.

    Raises:
        NotIdle: when the time is over; it says what is going on.
    """
    give_up_at = monotonic_ns() + timeout
    while True:
        settle()
        with clock.lock:
            clock.catch_up()
            clock.observe()
            takes, reasons = clock.takes, _reasons(broker, vhost, watched)
        reasons += busy()
        if not reasons and clock.takes == takes:  # else something has happened since the queues were looked at
            return True
        left = give_up_at - monotonic_ns()
        if left <= 0:
            raise NotIdle(_explained(reasons, timeout))
        clock.wait(min(left / SECOND, _LOOK_AGAIN))


def wait_for_consumer(clock: VirtualClock, vhost: VirtualHost, name: str, timeout: int) -> None:
    """Wait until someone consumes a queue, which need not be there yet.

    Args:
        clock: tells when something has happened.
        vhost: where the queue is.
        name: the queue's.
        timeout: nanoseconds of the wall's time.

    Raises:
        NoConsumer: when the time is over.
    """
    queues = vhost.queues
    give_up_at = monotonic_ns() + timeout
    with clock.lock:  # no consumer can come unseen between a look and the wait
        while name not in queues or not queues[name].consumers:
            left = give_up_at - monotonic_ns()
            if left <= 0:
                problem = f"nobody consumes queue '{name}'" if name in queues else f"there is no queue '{name}'"
                lines = [f"{problem} after {format_duration(timeout)}", *_standing_still(f"wait_for_consumer, {name!r}")]
                raise NoConsumer("\n  ".join(lines))
            clock.wait(left / SECOND)


def _standing_still(call: str) -> list[str]:
    """What to do instead of waiting in the event loop that is waited for."""
    remedy = f"await asyncio.to_thread(rabbitmq.{call})"
    return [f"clients in the event loop that the test runs in stand still: {remedy}"] if in_event_loop() else []


def _explained(reasons: Sequence[str], timeout: int) -> str:
    lines = [*(reasons or ["messages keep coming and going"]), *_standing_still("wait_until_idle")]
    return "\n  ".join([f"not idle after {format_duration(timeout)}:", *lines])


def _reasons(broker: Broker, vhost: VirtualHost, watched: Sequence[str]) -> list[str]:
    everywhere = [queue for name in broker.vhost_names for queue in broker.vhost(name).queues.values()]
    queues = [vhost.queues[name] for name in watched if name in vhost.queues] if watched else everywhere
    return [reason for queue in queues for reason in (*_held(broker, queue), *_waiting(queue))]


def _held(broker: Broker, queue: Queue) -> Iterable[str]:
    """Who holds what is unacked."""
    holders: Counter[str] = Counter()
    if queue.unsettled:
        for connection in broker.connections:
            entries = [entry for channel in connection.channels.values() for entry in channel.held.values()]
            for entry in entries:
                if entry.queue is queue and (queue.is_stream or entry.copy.id in queue.unacked):
                    by = "a get" if entry.consumer is None else f"consumer {entry.consumer.tag}"
                    holders[f"{by} of {connection.name}"] += 1
    return [f"queue '{queue.name}': {count:,} unacked, held by {holder}" for holder, count in holders.items()]


def _waiting(queue: Queue) -> Iterable[str]:
    """Why what is ready ought to be consumed. A stream's consumers hold what they can, and what it stores is no work."""
    if queue.is_stream:
        return
    if queue.ready and queue.consumers:
        who = ", ".join(f"{consumer.tag} of {consumer.channel.connection.name}" for consumer in queue.consumers)
        yield f"queue '{queue.name}': {len(queue.ready):,} ready for consumer {who}"
    elif queue.ready and queue.deserted:
        yield f"queue '{queue.name}': {len(queue.ready):,} ready, and its consumer has gone without basic.cancel, not to return"
