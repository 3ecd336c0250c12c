"""RabbitMQ as the simulation drives it: the functions of ``simbus.dialect.Dialect``.

Publishers and consumers of a scenario become verbs on channels of the very same broker that the
fake uses. Nothing is modelled here; the broker does what it does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, cast

from simbus import dialect
from simbus.errors import ScenarioError, SimbusError
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.chance import Draw
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.definitions import read_definitions
from simbus.rabbitmq.delays import DELAY
from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.imported import set_policies
from simbus.rabbitmq.messages import Message
from simbus.rabbitmq.options import declare_topology, words
from simbus.rabbitmq.outline import outline as outlined
from simbus.rabbitmq.properties import LONGEST_TTL_MS, Properties
from simbus.rabbitmq.timeouts import NEVER, found_overdue
from simbus.rabbitmq.versions import V4_0
from simbus.units import MILLISECOND, duration_text

__all__ = [
    "attempts",
    "build",
    "dead_letter_address",
    "declare",
    "delay_queue",
    "delaying_exchange",
    "destinations",
    "discipline",
    "levels",
    "outline",
    "publisher",
    "read_definitions",
    "restart",
    "subscription",
    "words",
]

_ATTEMPTS = "x-attempts"  # a header of our own, as applications have


class _Client:
    """Someone with a connection and a channel of its own, as parties have in separate processes."""

    __slots__ = ("_verbs", "channel")

    def __init__(self, channel: Channel) -> None:
        self._verbs = channel
        self.channel = channel.number

    def close(self) -> None:
        """connection.close, or a connection that breaks."""
        self._verbs.connection.close()


class Subscription(_Client):
    """One consumer. What it says on a channel that the broker closes at that very instant nobody hears."""

    __slots__ = ("_tag",)

    def __init__(self, channel: Channel, tag: str) -> None:
        super().__init__(channel)
        self._tag = tag

    def accept(self, delivery_tag: int, multiple: bool = False) -> None:
        """basic.ack."""
        if not self._verbs.closed:
            self._verbs.ack(delivery_tag, multiple=multiple)

    def reject(self, delivery_tag: int) -> None:
        """basic.reject without requeue: dead-lettered or discarded."""
        if not self._verbs.closed:
            self._verbs.reject(delivery_tag, requeue=False)

    def requeue(self, delivery_tag: int) -> None:
        """basic.nack with requeue."""
        if not self._verbs.closed:
            self._verbs.nack(delivery_tag)

    def cancel(self) -> None:
        """basic.cancel."""
        if not self._verbs.closed:
            self._verbs.cancel(self._tag)


class Publisher(_Client):
    """Someone who publishes. Which bytes messages have does not matter to a broker, only how many: zeros, shared by all."""

    __slots__ = ()

    def verb(self, address: Mapping[str, Any]) -> dialect.Verb:
        """basic.publish, as :meth:`simbus.dialect.Publisher.verb` says; persistent unless it says otherwise.

        A size beyond the largest that this version takes is that, when it is drawn, and refused when it is always so. RabbitMQ
        counts milliseconds: an expiration is rounded up to them, and one beyond ten years is ten years when it is drawn.
        """
        exchange, routing_key = _address(address)
        publish, vhost = self._verbs.publish, self._verbs.vhost
        if exchange not in vhost.exchanges:
            raise ScenarioError("exchange", f"there is no exchange {exchange!r}; declare it under exchanges")
        usual, largest = bytes(address.get("size", 0)), vhost.node.version.max_message_size
        properties = _properties(address, address.get("expiration"))

        def verb(size: int | None = None, expiration: int | None = None) -> int:
            if size is None and expiration is None:
                return publish(exchange, routing_key, usual, properties)
            body = usual if size is None else _zeros(largest)[: min(size, largest)]
            own = properties if expiration is None else _properties(address, min(expiration, LONGEST_TTL_MS * MILLISECOND))
            return publish(exchange, routing_key, body, own)

        return verb

    def again(self, message: Message, address: Mapping[str, Any], attempts: int, delay: int | None = None) -> int:
        """basic.publish with the properties and the body that were received; RabbitMQ counts a delay in milliseconds."""
        kept = {} if delay is None else {DELAY: Long(-(-delay // MILLISECOND))}
        headers = {**(message.properties.headers or {}), _ATTEMPTS: Long(attempts), **kept}
        return self._verbs.publish(*_address(address), message.body, replace(message.properties, headers=headers))


def build(topology: dialect.Topology, draw: Draw | None = None) -> Broker:
    """A broker with that topology; ScenarioError names the entity that it refuses, or an unknown version.

    A modelled handler may take its time, unless a queue or a policy says for how long.
    """
    try:
        broker = Broker(consumer_timeout=None, version=topology.version or V4_0.name, draw=draw)
    except ValueError as error:
        raise ScenarioError("", f'{error}; write for example version = "{V4_0.name}"') from None
    set_policies(broker, "/", topology.policies)
    declare_topology(broker.open_connection().open_channel(), topology)
    for queue in broker.vhost().queues.values():
        if queue.is_stream:
            problem = "is a stream, which keeps what was consumed; a simulation counts what leaves: use another type"
            raise ScenarioError(f"queues.{queue.name}", f"{queue.name} {problem}")
    return broker


def publisher(broker: dialect.Broker, name: str, *, confirms: bool = False) -> Publisher:
    """Open a connection and a channel to publish on, in confirm mode or not."""
    channel = cast(Broker, broker).open_connection(name=name).open_channel()
    if confirms:
        channel.confirm_select()
    return Publisher(channel)


def destinations(broker: dialect.Broker, address: Mapping[str, Any]) -> Sequence[str]:
    """The queues that an address reaches; none when the exchange does not exist."""
    exchange, routing_key = _address(address)
    vhost = cast(Broker, broker).vhost()
    source = vhost.exchanges.get(exchange)
    return () if source is None else vhost.route(source, Message(0, exchange, routing_key, Properties(), b"")).names


def dead_letter_address(broker: dialect.Broker, queue: str, address: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The queue's dead letter exchange, and its routing key or else the message's own."""
    options = cast(Broker, broker).vhost().queues[queue].options
    if options.dead_letter_exchange is None:
        return None
    own = options.dead_letter_routing_key
    rest = {key: value for key, value in address.items() if key != "to"}
    return {**rest, "exchange": options.dead_letter_exchange, "routing_key": _address(address)[1] if own is None else own}


def subscription(
    broker: dialect.Broker, name: str, queue: str, prefetch: int | None, *, auto: bool = False, priority: int = 0
) -> Subscription:
    """Start a consumer called ``name`` on a connection and channel of its own; ``prefetch`` None is unlimited."""
    channel = cast(Broker, broker).open_connection(name=name).open_channel()
    channel.qos(prefetch or 0)
    try:
        tag = channel.consume(queue, name, no_ack=auto, arguments={"x-priority": priority} if priority else {})
    except SimbusError as error:
        raise ScenarioError(f"consumers.{name}.queue", str(error)) from error
    return Subscription(channel, tag)


def attempts(message: Message) -> int:
    """The header in which :meth:`Publisher.again` counts."""
    return int(message.headers.get(_ATTEMPTS, 0))


def delay_queue(queue: str, delay: int) -> tuple[str, dict[str, Any]]:
    """A queue whose messages expire, and dead-letters them to ``queue`` by way of the default exchange."""
    options = {"message_ttl": duration_text(delay), "dead_letter_exchange": "", "dead_letter_routing_key": queue}
    return f"{queue}.retry.{duration_text(delay)}", options


def delaying_exchange(queue: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """An exchange of the plug-in rabbitmq_delayed_message_exchange."""
    name = f"{queue}.retry"
    options = {"type": "x-delayed-message", "delayed_type": "direct", "durable": True}
    return name, options, {"queue": queue, "exchange": name, "routing_key": queue}


def levels(broker: dialect.Broker, queue: str) -> dialect.Levels:
    """What the management API would tell."""
    found = cast(Broker, broker).vhost().queues[queue]
    return dialect.Levels(found.message_count, found.unsettled, found.ledger.acked)


def outline(document: Mapping[str, Any], vhost: str = "") -> dialect.Outline:
    """See :mod:`simbus.rabbitmq.outline`."""
    return outlined(document, vhost, build)


def restart(broker: dialect.Broker) -> None:
    """Stop and start it: see :meth:`simbus.rabbitmq.broker.Broker.restart`."""
    cast(Broker, broker).restart()


def declare(broker: dialect.Broker, topology: dialect.Topology) -> None:
    """Declare exchanges, queues and bindings; what is there already stays as it is."""
    connection = cast(Broker, broker).open_connection()
    declare_topology(connection.open_channel(), topology)
    connection.close()


def discipline(broker: dialect.Broker, queue: str) -> dialect.Discipline:
    """What its arguments and policies make of a queue."""
    found = cast(Broker, broker).vhost().queues[queue]
    options, patience = found.options, None if found.patience == NEVER else found_overdue(found.patience)
    special = (options.max_length_bytes, options.expires, options.delivery_limit, patience)
    return dialect.Discipline(
        max_length=options.max_length,
        refuses=options.overflow != "drop-head",
        ttl=options.message_ttl,
        in_order=options.type == "classic" and not any(special),
        alone=bool(options.single_active_consumer),
        priorities=options.max_priority or int(options.prefers_high),
        patience=patience,
        deliveries=None if options.delivery_limit is None else options.delivery_limit + 1,
    )


def _properties(address: Mapping[str, Any], expiration: int | None) -> Properties:
    return Properties(
        delivery_mode=2 if address.get("persistent", True) else 1,
        type=address.get("type"),
        priority=address.get("priority"),
        expiration=None if expiration is None else _milliseconds(expiration),
        headers=address.get("headers"),
    )


def _milliseconds(nanoseconds: int) -> str:
    return str(-(-nanoseconds // MILLISECOND))


@cache
def _zeros(size: int) -> memoryview:
    """So many octets to take slices of without copying, since nobody asks for more than their number.

    The operating system gives memory for what is looked at, and nobody looks.
    """
    return memoryview(bytes(size))


def _address(address: Mapping[str, Any]) -> tuple[str, str]:
    to = address.get("to")
    return ("", to) if to is not None else (address.get("exchange", ""), address.get("routing_key", ""))
