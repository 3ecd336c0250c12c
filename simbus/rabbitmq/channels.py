"""Connections and channels: AMQP's methods as verbs, and RabbitMQ's refusals.

A channel checks what a client asks, with RabbitMQ's wording, and then calls the moves of its
virtual host. A refused verb raises before anything changes; the caller then closes the channel
or the connection with the same verb as a client would, which requeues.

A verb names its arguments as AMQP does; arguments of queues are AMQP tables in RabbitMQ's units.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simbus.effects import Delivered
from simbus.rabbitmq.arguments import check_equivalent, check_exchange_name, compared_arguments, queue_options
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import (
    ChannelError,
    ConnectionError,  # noqa: A004 - AMQP's word
    access_refused,
    not_found,
    not_implemented,
    precondition_failed,
    resource_locked,
)
from simbus.rabbitmq.messages import NO_PROPERTIES, Copy, Message, Properties, ttl_of
from simbus.rabbitmq.queues import Consumer, Queue
from simbus.rabbitmq.routing import ALTERNATE_EXCHANGE, MATCHERS, Binding, Exchange, check_match_argument
from simbus.rabbitmq.virtual_host import VirtualHost

MAX_MESSAGE_SIZE = 16_777_216  # bytes; RabbitMQ 4.0's max_message_size
_NOTHING: Mapping[str, Any] = {}


class QueueDeclareOk(NamedTuple):
    """AMQP's answer to queue.declare; ``message_count`` is of ready messages."""

    queue: str
    message_count: int
    consumer_count: int


class GetOk(NamedTuple):
    """AMQP's answer to basic.get; ``message_count`` is what is left ready."""

    delivery: Delivered
    message_count: int


class Unacked(NamedTuple):
    """A delivery that waits for its acknowledgement; ``consumer`` is None after a get."""

    queue: Queue
    copy: Copy
    consumer: Consumer | None


@dataclass(slots=True, eq=False)
class Connection:
    """A client's connection to one vhost; exclusive queues live as long as it does."""

    vhost: VirtualHost
    user: str
    channels: dict[int, "Channel"] = field(default_factory=dict)
    closed: bool = False

    def open_channel(self) -> "Channel":
        """Open a channel; its ``number`` is unique in the whole broker."""
        if self.closed:
            raise ConnectionError(504, "the connection is closed")
        self.vhost.node.channels += 1
        channel = Channel(self, self.vhost, self.vhost.node.channels)
        self.channels[channel.number] = channel
        return channel

    def close(self) -> None:
        """Close every channel and delete the connection's exclusive queues."""
        self.closed = True
        for channel in list(self.channels.values()):
            channel.close()
        for queue in list(self.vhost.queues.values()):
            if queue.owner is self:
                self.vhost.delete(queue)


@dataclass(slots=True, eq=False)
class Channel:
    """A channel of a connection: the verbs of AMQP 0-9-1."""

    connection: Connection
    vhost: VirtualHost
    number: int
    consumers: dict[str, Consumer] = field(default_factory=dict)
    unacked: dict[int, Unacked] = field(default_factory=dict)
    prefetch_count: int = 0
    closed: bool = False
    _delivery_tag: int = 0
    _last_queue: str = ""

    def close(self) -> None:
        """End its consumers and requeue what it holds; closing twice is harmless."""
        if self.closed:
            return
        self.closed = True
        del self.connection.channels[self.number]
        for queue in [self._end(consumer) for consumer in list(self.consumers.values())]:
            self._delete_when_unused(queue)  # before anything is requeued: what it held goes with it (observed on 4.0.5)
        held, self.unacked = self.unacked, {}
        for group in _grouped(held, _queue_of):
            self._give_back(group, requeue=True)

    # Exchanges

    def exchange_declare(
        self,
        exchange: str,
        type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Mapping[str, Any] = _NOTHING,
    ) -> None:
        """Declare an exchange, or check that it exists (``passive``); 403, 404 or 406 when refused."""
        self._check_open()
        exchange = _without_line_ends(exchange)
        if not passive and type not in MATCHERS:
            raise precondition_failed(f"{'unknown' if type else 'invalid'} exchange type '{type}'")
        self._check_not_default(exchange)
        if passive:
            self._exchange(exchange)
            return
        existing = self.vhost.exchanges.get(exchange)
        declared = Exchange(exchange, type, durable, auto_delete, internal, dict(arguments))
        if existing is not None:
            self._check_equivalent_exchange(existing, declared)
        elif exchange.startswith("amq."):
            raise access_refused(f"exchange name '{exchange}' contains reserved prefix 'amq.*'")
        else:
            check_exchange_name(ALTERNATE_EXCHANGE, arguments, f"exchange '{exchange}' in vhost '{self.vhost.name}'")
            self.vhost.exchanges[exchange] = declared

    def exchange_delete(self, exchange: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and its bindings; deleting a missing one is no error."""
        self._check_open()
        self._check_not_default(exchange)
        existing = self.vhost.exchanges.get(exchange)
        if existing is None:
            return
        if exchange.startswith("amq."):
            raise access_refused(f"deletion of system exchange '{exchange}' in vhost '{self.vhost.name}' not allowed")
        if if_unused and existing.bindings:
            raise precondition_failed(f"exchange '{exchange}' in vhost '{self.vhost.name}' in use")
        del self.vhost.exchanges[exchange]

    # Queues

    def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] = _NOTHING,
    ) -> QueueDeclareOk:
        """Declare a queue, or look at it (``passive``); an empty name asks for a generated one.

        Raises:
            ChannelError: 403 reserved name, 404 missing (passive), 405 another's exclusive queue, 406 other
                properties than it has, or bad arguments.
            ConnectionError: 540 for arguments that simbus does not model yet.
        """
        self._check_open()
        name = _without_line_ends(queue)
        existing = self.vhost.queues.get(name)
        if name.startswith("amq.") and not passive:  # even when there is one, with a generated name
            raise access_refused(f"queue name '{name}' contains reserved prefix 'amq.*'")
        if existing is None and passive:
            raise not_found(f"no queue '{name}' in vhost '{self.vhost.name}'")
        if existing is not None:
            self._check_not_locked(existing)
            if not passive:
                self._check_equivalent_queue(existing, durable, exclusive, auto_delete, arguments)
        else:
            existing = self._new_queue(name, durable, exclusive, auto_delete, arguments)
        self._last_queue = existing.name
        return QueueDeclareOk(existing.name, len(existing.ready), len(existing.consumers))

    def queue_bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] = _NOTHING) -> None:
        """Bind a queue to an exchange; binding it again in the same way changes nothing."""
        self._check_open()
        name = self._queue_name(queue)
        self._check_not_default(exchange)
        source = self._exchange(exchange)
        target = self._queue(name)
        if source.type == "headers":
            check_match_argument(arguments)
        source.bind(Binding(target, self._binding_key(queue, routing_key), dict(arguments)))

    def queue_unbind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] = _NOTHING) -> None:
        """Remove a binding, all parts of which must match; a missing one is no error."""
        self._check_open()
        name = self._queue_name(queue)
        self._check_not_default(exchange)
        source, target = self.vhost.exchanges.get(exchange), self.vhost.queues.get(name)
        if source is None or target is None:
            return
        binding = Binding(target, self._binding_key(queue, routing_key), dict(arguments))
        if binding.identity() in source.bindings:
            self._check_not_locked(target)
            source.unbind(binding)
            self.vhost.after_unbind(source)

    def queue_purge(self, queue: str = "") -> int:
        """Remove what is ready, without dead-lettering; the number removed."""
        return self.vhost.purge(self._queue(queue))

    def queue_delete(self, queue: str = "", *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete a queue; the number of ready messages it had, 0 when there is no such queue."""
        self._check_open()
        if self._queue_name(queue) not in self.vhost.queues:
            return 0
        existing = self._queue(queue)
        where = f"queue '{existing.name}' in vhost '{self.vhost.name}'"
        if existing.is_quorum and (if_unused or if_empty):
            flag = "if-unused" if if_unused else "if-empty"
            raise ConnectionError(
                540,
                f"cannot delete {where}. queue.delete operations with {flag} flag set are not supported by quorum queues",
            )
        if if_unused and existing.consumers:
            raise precondition_failed(f"{where} in use")
        if if_empty and existing.ready:
            raise precondition_failed(f"{where} not empty")
        return self.vhost.delete(existing)

    # Publishing

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes = b"",
        properties: Properties = NO_PROPERTIES,
        *,
        mandatory: bool = False,
    ) -> int:
        """Publish a message; its id in the ledger.

        Raises:
            ChannelError: 404 no such exchange, 403 internal exchange, 406 bad expiration, user_id or size.
            ConnectionError: 540 for a CC or BCC header, which simbus does not model yet.
        """
        if self.closed:
            self._check_open()
        vhost = self.vhost
        target = vhost.exchanges.get(exchange)
        if target is None or target.internal or len(body) > MAX_MESSAGE_SIZE:
            target = self._check_target(exchange, body)
        ttl = None if properties is NO_PROPERTIES else self._check_properties(properties)
        node = vhost.node
        node.messages += 1
        message = Message(node.messages, exchange, routing_key, properties, body, ttl)
        route = vhost.publish(target, message, self.number)
        if mandatory and not route.queues:
            node.effects.append(Returned(node.now, message.id, self.number, message))
        return message.id

    def _check_target(self, exchange: str, body: bytes) -> Exchange:
        if len(body) > MAX_MESSAGE_SIZE:
            raise precondition_failed(f"message size {len(body)} is larger than configured max size {MAX_MESSAGE_SIZE}")
        target = self._exchange(exchange)
        if target.internal:
            raise access_refused(f"cannot publish to internal exchange '{exchange}' in vhost '{self.vhost.name}'")
        return target

    def _check_properties(self, properties: Properties) -> int | None:
        """The nanoseconds of ``expiration``, if there is one."""
        ttl = None if properties.expiration is None else ttl_of(properties.expiration)
        if properties.user_id is not None and properties.user_id != self.connection.user:
            raise precondition_failed(
                f"user_id property set to '{properties.user_id}' but authenticated user was '{self.connection.user}'"
            )
        if properties.headers and ("CC" in properties.headers or "BCC" in properties.headers):
            raise not_implemented("simbus does not model the headers CC and BCC yet; publish once for each routing key")
        return ttl

    # Consuming

    def qos(self, prefetch_count: int) -> None:
        """The prefetch of consumers that start later on this channel; 0 is unlimited."""
        self._check_open()
        self.prefetch_count = prefetch_count

    def consume(self, queue: str = "", consumer_tag: str = "", *, no_ack: bool = False, exclusive: bool = False) -> str:
        """Start a consumer with the channel's prefetch; its tag.

        Raises:
            ChannelError: 404 no such queue, 405 another's exclusive queue, 403 in exclusive use.
            ConnectionError: 530 for a tag that this channel uses already.
        """
        if consumer_tag in self.consumers:
            raise ConnectionError(530, f"attempt to reuse consumer tag '{consumer_tag}'")
        source = self._queue(queue)
        in_exclusive_use = any(c.exclusive for c in source.consumers) or (exclusive and source.consumers)
        if in_exclusive_use and not source.is_quorum:
            raise access_refused(f"queue '{source.name}' in vhost '{self.vhost.name}' in exclusive use")
        tag = consumer_tag or self.vhost.node.new_name("amq.ctag")
        consumer = Consumer(tag, self, source, self.prefetch_count, no_ack, exclusive)
        self.consumers[tag] = consumer
        source.add_consumer(consumer)
        self.vhost.dispatch(source)
        return tag

    def cancel(self, consumer_tag: str) -> None:
        """End a consumer; what it holds stays unacked. An unknown tag is no error."""
        self._check_open()
        consumer = self.consumers.get(consumer_tag)
        if consumer is not None:
            self._delete_when_unused(self._end(consumer))

    def get(self, queue: str = "", *, no_ack: bool = False) -> GetOk | None:
        """Take one message, or None when nothing is ready."""
        source = self._queue(queue)
        delivery = self.vhost.get(source, self, no_ack=no_ack)
        return None if delivery is None else GetOk(delivery, len(source.ready))

    # Settling

    def ack(self, delivery_tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a delivery, or all up to it; 406 for an unknown tag."""
        vhost = self.vhost
        for group in self._take(delivery_tag, multiple):
            for queue, copy, consumer in group:
                if not queue.gone:
                    del queue.unacked[copy.id]
                    vhost.settle(queue, copy)
                if consumer is not None:
                    queue.give_credit(consumer)
            vhost.dispatch(group[0].queue)

    def nack(self, delivery_tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        """Give a delivery back, or reject it: dead-lettered or discarded; 406 for an unknown tag."""
        for group in self._take(delivery_tag, multiple):
            self._give_back(group, requeue=requeue)

    def reject(self, delivery_tag: int, *, requeue: bool = True) -> None:
        """As ``nack``, of one delivery."""
        self.nack(delivery_tag, requeue=requeue)

    def recover(self) -> None:
        """Requeue everything unacked on this channel."""
        self.nack(0, multiple=True)

    def _take(self, delivery_tag: int, multiple: bool) -> Sequence[Sequence[Unacked]]:
        """The deliveries meant by a tag, out of the unacked, in groups that are settled together."""
        self._check_open()
        if not multiple:
            entry = self.unacked.pop(delivery_tag, None)
            if entry is None:
                raise _unknown_delivery_tag(delivery_tag)
            return ((entry,),)
        if delivery_tag and delivery_tag not in self.unacked:
            raise _unknown_delivery_tag(delivery_tag)
        tags = [tag for tag in self.unacked if not delivery_tag or tag <= delivery_tag]
        return _grouped({tag: self.unacked.pop(tag) for tag in tags}, _settled_with)

    def _give_back(self, group: Sequence[Unacked], *, requeue: bool) -> None:
        vhost = self.vhost
        for queue, copy, consumer in group:
            if not queue.gone:
                del queue.unacked[copy.id]
                if requeue:
                    vhost.requeue(queue, copy)
                else:
                    vhost.remove(queue, copy, "rejected")
            if consumer is not None:
                queue.give_credit(consumer)
        vhost.trim(group[0].queue)
        vhost.dispatch(group[0].queue)

    # What the virtual host calls

    def track(self, queue: Queue, copy: Copy, consumer: Consumer | None) -> int:
        """Note a delivery as unacked; its delivery tag."""
        tag = self._delivery_tag = self._delivery_tag + 1
        self.unacked[tag] = Unacked(queue, copy, consumer)
        queue.unacked[copy.id] = copy
        return tag

    def next_tag(self) -> int:
        """The tag of a delivery that needs no acknowledgement."""
        self._delivery_tag += 1
        return self._delivery_tag

    def forget_consumer(self, consumer: Consumer) -> None:
        """The broker ended one of its consumers."""
        del self.consumers[consumer.tag]

    # Checks

    def _check_open(self) -> None:
        """A closed channel does nothing more; RabbitMQ's answer to a method on one."""
        if self.closed:
            raise ConnectionError(504, "expected 'channel.open'")

    def _exchange(self, name: str) -> Exchange:
        exchange = self.vhost.exchanges.get(name)
        if exchange is None:
            raise not_found(f"no exchange '{name}' in vhost '{self.vhost.name}'")
        return exchange

    def _queue(self, name: str) -> Queue:
        """The queue of that name, the empty name being the last one declared here; it must not be another's."""
        self._check_open()
        name = self._queue_name(name)
        queue = self.vhost.queues.get(name)
        if queue is None:
            raise not_found(f"no queue '{name}' in vhost '{self.vhost.name}'")
        self._check_not_locked(queue)
        return queue

    def _queue_name(self, name: str) -> str:
        if not name and not self._last_queue:
            raise not_found("no previously declared queue")
        return name or self._last_queue

    def _binding_key(self, queue: str, routing_key: str) -> str:
        """AMQP: with neither queue nor routing key, both are the last declared queue's name."""
        return self._last_queue if not queue and not routing_key else routing_key

    def _check_not_default(self, exchange: str) -> None:
        if not exchange:
            raise access_refused("operation not permitted on the default exchange")

    def _check_not_locked(self, queue: Queue) -> None:
        if queue.owner is not None and queue.owner is not self.connection:
            raise self._locked(queue.name)

    def _locked(self, queue: str) -> ChannelError:
        return resource_locked(
            f"cannot obtain exclusive access to locked queue '{queue}' in vhost '{self.vhost.name}'. It could be originally "
            "declared on another connection or the exclusive property value does not match that of the original declaration."
        )

    def _check_equivalent_exchange(self, current: Exchange, received: Exchange) -> None:
        for name in ("type", "durable", "auto_delete", "internal"):
            old, new = getattr(current, name), getattr(received, name)
            if old != new:
                raise self._inequivalent(name, "exchange", current.name, old, new)
        where = f"exchange '{current.name}' in vhost '{self.vhost.name}'"
        check_equivalent([ALTERNATE_EXCHANGE], current.arguments, received.arguments, where)

    def _check_equivalent_queue(
        self, queue: Queue, durable: bool, exclusive: bool, auto_delete: bool, arguments: Mapping[str, Any]
    ) -> None:
        if exclusive != (queue.owner is not None):
            raise self._locked(queue.name)
        for name, old, new in (
            ("durable", queue.durable, durable and not exclusive),
            ("auto_delete", queue.auto_delete, auto_delete),
        ):
            if old != new:
                raise self._inequivalent(name, "queue", queue.name, old, new)
        where = f"queue '{queue.name}' in vhost '{self.vhost.name}'"
        check_equivalent(compared_arguments(queue.options.type), queue.arguments, arguments, where)

    def _inequivalent(self, what: str, kind: str, name: str, old: object, new: object) -> ChannelError:
        received, current = (str(value).lower() if isinstance(value, bool) else value for value in (new, old))
        return precondition_failed(
            f"inequivalent arg '{what}' for {kind} '{name}' in vhost '{self.vhost.name}': "
            f"received '{received}' but current is '{current}'"
        )

    def _new_queue(self, name: str, durable: bool, exclusive: bool, auto_delete: bool, arguments: Mapping[str, Any]) -> Queue:
        node = self.vhost.node
        options = queue_options(arguments, name, self.vhost.name)
        if options.type == "quorum":
            self._check_quorum(name, durable, exclusive, auto_delete)
        node.queues += 1
        queue = Queue(
            name=name or node.new_name("amq.gen"),
            vhost=self.vhost.name,
            index=node.queues,
            options=options,
            arguments=dict(arguments),
            durable=durable and not exclusive,
            auto_delete=auto_delete,
            owner=self.connection if exclusive else None,
        )
        self.vhost.queues[queue.name] = queue
        return queue

    def _check_quorum(self, name: str, durable: bool, exclusive: bool, auto_delete: bool) -> None:
        for wrong, text in ((auto_delete, "auto-delete"), (exclusive, "exclusive-owner"), (not durable, "non-durable")):
            if wrong:
                raise precondition_failed(f"invalid property '{text}' for queue '{name}' in vhost '{self.vhost.name}'")

    def _end(self, consumer: Consumer) -> Queue:
        del self.consumers[consumer.tag]
        consumer.queue.remove_consumer(consumer)
        return consumer.queue

    def _delete_when_unused(self, queue: Queue) -> None:
        if queue.auto_delete and not queue.consumers and not queue.gone:
            self.vhost.delete(queue)


def _grouped(held: Mapping[int, Unacked], key: Callable[[int, Unacked], tuple[Any, ...]]) -> Sequence[Sequence[Unacked]]:
    groups: dict[tuple[Any, ...], list[Unacked]] = {}
    for tag, entry in held.items():
        groups.setdefault(key(tag, entry), []).append(entry)
    return [groups[name] for name in sorted(groups)]


def _settled_with(tag: int, entry: Unacked) -> tuple[str, int, int, str]:
    """RabbitMQ settles queue by queue: each get by itself, then the consumers in the order of their tags (observed)."""
    get, consumer_tag = (tag, "") if entry.consumer is None else (sys.maxsize, entry.consumer.tag)
    return *_queue_of(tag, entry), get, consumer_tag


def _queue_of(_tag: int, entry: Unacked) -> tuple[str, int]:
    """A queue's name and number: one that was deleted may have a successor of the same name."""
    return entry.queue.name, entry.queue.index


def _unknown_delivery_tag(tag: int) -> ChannelError:
    return precondition_failed(f"unknown delivery tag {tag}")


def _without_line_ends(name: str) -> str:
    """RabbitMQ strips CR and LF from the names of queues and exchanges."""
    return name.replace("\r", "").replace("\n", "")
