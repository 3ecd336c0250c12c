"""Short words for tests of the broker's model: declare, publish, get, walk the clock, and read a queue.

A queue is written as the tables of RabbitMQ's observed behaviour write it: ``1* 2 3`` are the bodies
that are ready, head first, and ``*`` marks one that has been delivered before. Nothing here asserts.
"""

import sys
from collections.abc import Callable

from simbus.effects import Delivered, Refused, Removed
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.properties import Properties
from simbus.units import MILLISECOND

TYPES = ("classic", "quorum")


def new_channel(broker=None):
    return (broker or Broker()).open_connection().open_channel()


def declare(channel, queue, type="classic", **arguments):
    """Declare a durable queue; ``max_length=3`` is the argument ``x-max-length``, ``message_ttl`` is in ms."""
    table = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": type, **table})


def publish(channel, queue, bodies, **properties):
    for body in bodies.split():
        channel.publish("", queue, body.encode(), Properties(**properties))


def get(channel, queue, count):
    """Take ``count`` messages without acknowledging them; delivery tags by body."""
    deliveries = [channel.get(queue).delivery for _ in range(count)]
    return {delivery.message.body.decode(): delivery.delivery_tag for delivery in deliveries}


def ready(channel, queue):
    """``1* 2 3``."""
    copies = channel.vhost.queues[queue].ready
    return " ".join(copy.message.body.decode() + "*" * (copy.attempts > 0) for copy in copies)


def walk(broker, milliseconds):
    """Let time pass, deadline by deadline."""
    target = broker.now + milliseconds * MILLISECOND
    while (deadline := broker.next_deadline) is not None and deadline <= target:
        broker.advance(deadline)
    broker.advance(target)


def consumer(broker, queue, tag, prefetch):
    """A consumer on a connection and channel of its own; its channel."""
    channel = new_channel(broker)
    channel.qos(prefetch)
    channel.consume(queue, tag)
    return channel


def delivered(effects):
    """``A1 B2``: consumers with the bodies that they got, in order."""
    return " ".join(f"{e.consumer_tag}{e.message.body.decode()}" for e in effects if isinstance(e, Delivered))


def tags_of(effects):
    """Delivery tags by consumer and body: ``{"A1": 1}``."""
    return {f"{e.consumer_tag}{e.message.body.decode()}": e.delivery_tag for e in effects if isinstance(e, Delivered)}


def removed(effects):
    """The causes for which copies left, in order."""
    return [e.cause for e in effects if isinstance(e, Removed)]


def refused(effects):
    return sum(isinstance(e, Refused) for e in effects)


def snapshot(broker, vhost="/"):
    """All that a refused verb must leave as it was."""
    host = broker.vhost(vhost)
    queues = {
        name: (
            [copy.id for copy in queue.ready],
            sorted(queue.unacked),
            [(c.tag, c.unacked, c.active) for c in queue.consumers],
            [c.tag for c in queue.rotation],
            repr(queue.ledger),
        )
        for name, queue in host.queues.items()
    }
    exchanges = {name: (exchange.type, list(exchange.bindings)) for name, exchange in host.exchanges.items()}
    node = host.node
    return queues, exchanges, node.messages, node.copies, len(node.effects), broker.next_deadline


def steps(verb: Callable[[], object]) -> int:
    """How many lines Python comes by in it, in loops again and again: costs without a clock. What C does is not counted."""
    count, before = 0, sys.gettrace()

    def trace(*_):
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        verb()
    finally:
        sys.settrace(before)
    return count
