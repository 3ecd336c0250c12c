"""Exchanges, queues and bindings: AMQP's methods that declare, bind, purge and delete them.

A ``Topology`` is that part of a channel. It checks what a client asks, with RabbitMQ's wording, and
then changes its virtual host; a refused verb raises before anything changes. RabbitMQ asks for
permission before it looks whether something exists. Messages are the rest of the channel's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from simbus.rabbitmq.access import Permissions
from simbus.rabbitmq.arguments import check_exchange_name, check_stream_arguments, queue_options
from simbus.rabbitmq.declarations import (
    check_equivalent_exchange,
    check_equivalent_queue,
    check_not_locked,
    check_replicated,
    without_line_ends,
)
from simbus.rabbitmq.effective import apply_to_exchange, apply_to_queue
from simbus.rabbitmq.effects import QueueDeclared
from simbus.rabbitmq.errors import ConnectionError, access_refused, not_found, not_implemented, precondition_failed  # noqa: A004 - AMQP's word
from simbus.rabbitmq.exchange_types import check_binding, check_exchange_arguments, check_exchange_type
from simbus.rabbitmq.exchanges import NO_ARGUMENTS
from simbus.rabbitmq.fields import name_in
from simbus.rabbitmq.limits import check_queues
from simbus.rabbitmq.policies import ALTERNATE_EXCHANGE
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routing import Binding, Exchange
from simbus.rabbitmq.streams import Stream, check_not_stream
from simbus.rabbitmq.virtual_host import DIRECT_REPLY_TO, VirtualHost


class QueueDeclareOk(NamedTuple):
    """AMQP's answer to queue.declare; ``message_count`` is of ready messages."""

    queue: str
    message_count: int
    consumer_count: int


@dataclass(slots=True, eq=False)
class Topology:
    """The verbs of a channel that concern exchanges and queues; ``connection`` owns the exclusive queues."""

    connection: Any
    vhost: VirtualHost
    number: int
    permissions: Permissions
    closed: bool = field(default=False, kw_only=True)
    _last_queue: str = field(default="", kw_only=True)

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
        arguments: Mapping[str, Any] = NO_ARGUMENTS,
    ) -> None:
        """Declare an exchange, or check that it exists (``passive``); 403, 404, 406 or 503 when refused."""
        self._check_open()
        exchange = without_line_ends(exchange)
        if not passive:
            check_exchange_type(type, self.vhost.node.version)
        _check_not_default(exchange)
        if passive:
            self._exchange(exchange)
            return
        self.permissions.check("configure", "exchange", exchange)
        existing = self.vhost.exchanges.get(exchange)
        properties = {"type": type, "durable": durable, "auto_delete": auto_delete, "internal": internal}
        if existing is not None:
            check_equivalent_exchange(existing, properties, arguments, self.vhost.name)
        else:
            self._check_new_exchange(exchange, type, arguments)
            declared = self.vhost.add_exchange(exchange, type, durable, auto_delete, internal, arguments)
            apply_to_exchange(self.vhost, declared)

    def exchange_delete(self, exchange: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and its bindings; deleting a missing one is no error."""
        self._check_open()
        exchange = without_line_ends(exchange)
        _check_not_default(exchange)
        where = f"exchange '{exchange}' in vhost '{self.vhost.name}'"
        if exchange.startswith("amq."):
            raise access_refused(f"deletion of system {where} not allowed")
        self.permissions.check("configure", "exchange", exchange)
        existing = self.vhost.exchanges.get(exchange)
        if existing is None:
            return
        if if_unused and existing.bindings:
            raise precondition_failed(f"{where} in use")
        self.vhost.delete_exchange(existing)

    def exchange_bind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] = NO_ARGUMENTS
    ) -> None:
        """Bind an exchange to another, whose messages it gets then; binding it again in the same way changes nothing."""
        self._check_open()
        destination, source = self._check_ends("exchange", destination, source, routing_key)
        self._bind(self._exchange(source), self._exchange(destination), routing_key, arguments)

    def exchange_unbind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] = NO_ARGUMENTS
    ) -> None:
        """Remove a binding between exchanges, all parts of which must match; a missing one is no error."""
        self._check_open()
        destination, source = self._check_ends("exchange", destination, source, routing_key)
        self._unbind(source, self.vhost.exchanges.get(destination), routing_key, arguments)

    # Queues

    def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        nowait: bool = False,
        arguments: Mapping[str, Any] = NO_ARGUMENTS,
    ) -> QueueDeclareOk:
        """Declare a queue, or look at it (``passive``); an empty name asks for a generated one.

        With ``nowait`` nobody hears the answer, and to declare a queue again is no use of it (observed on both versions).

        Raises:
            ChannelError: 403 reserved name, 404 missing (passive), 405 another's exclusive queue, 406 other
                properties than it has, or bad arguments.
            ConnectionError: 541 for a master locator that RabbitMQ 3.10 stumbles over.
        """
        self._check_open()
        name = without_line_ends(queue)
        if name.startswith(DIRECT_REPLY_TO):
            return self._declare_direct_reply_to(name)
        if not passive:
            name = self._check_new_name(name)
            arguments = self._with_default_type(arguments, durable and not exclusive and not auto_delete)
        existing = self.vhost.queues.get(name)
        if existing is None and passive:
            raise not_found(f"no queue '{name}' in vhost '{self.vhost.name}'")
        if existing is not None:
            check_not_locked(existing, self.connection)
            if not passive:
                check_equivalent_queue(existing, durable, exclusive, auto_delete, arguments)
            if not nowait:  # RabbitMQ asks the queue for its counts, to answer with them
                self.vhost.after_declaring(existing)
        else:
            existing = self._new_queue(name, durable, exclusive, auto_delete, arguments)
        self._last_queue = existing.name
        return QueueDeclareOk(existing.name, existing.message_count, existing.consumer_count)

    def _with_default_type(self, arguments: Mapping[str, Any], permanent: bool) -> Mapping[str, Any]:
        """The arguments with the type that the vhost has for who names none; others than classic are for permanent queues."""
        if "x-queue-type" in arguments or not self.vhost.node.version.type_is_an_argument:
            return arguments
        return {**arguments, "x-queue-type": (self.vhost.default_queue_type if permanent else None) or "classic"}

    def _declare_direct_reply_to(self, name: str) -> QueueDeclareOk:
        """No queue is declared, whatever else is asked; and the common name is there even if nobody consumes (observed)."""
        if name != DIRECT_REPLY_TO and name not in self.vhost.requesters:
            raise not_found(f"no queue '{name}' in vhost '{self.vhost.name}'")
        self._last_queue = name
        return QueueDeclareOk(name, 0, 1)

    def queue_bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] = NO_ARGUMENTS) -> None:
        """Bind a queue to an exchange; binding it again in the same way changes nothing."""
        self._check_open()
        key = self._binding_key(queue, routing_key)
        name, source = self._check_ends("queue", self._queue_name(queue), exchange, key)
        self._bind(self._exchange(source), self._queue(name), key, arguments)

    def queue_unbind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] = NO_ARGUMENTS) -> None:
        """Remove a binding, all parts of which must match; a missing one is no error."""
        self._check_open()
        key = self._binding_key(queue, routing_key)
        name, source = self._check_ends("queue", self._queue_name(queue), exchange, key)
        self._unbind(source, self.vhost.queues.get(name), key, arguments)

    def queue_purge(self, queue: str = "") -> int:
        """Remove what is ready, without dead-lettering; the number removed."""
        source = self._readable_queue(queue)
        check_not_stream(source, "queue.purge")
        return self.vhost.purge(source)

    def queue_delete(self, queue: str = "", *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete a queue; the number of ready messages it had, 0 when there is no such queue."""
        self._check_open()
        name = self._queue_name(without_line_ends(queue))
        self.permissions.check("configure", "queue", name)
        if name not in self.vhost.queues:
            return 0
        existing = self._queue(name)
        where = f"queue '{existing.name}' in vhost '{self.vhost.name}'"
        if existing.is_quorum and (if_unused or if_empty):
            flag = "if-unused" if if_unused else "if-empty"
            raise not_implemented(
                f"cannot delete {where}. queue.delete operations with {flag} flag set are not supported by quorum queues"
            )
        if existing.is_stream:  # whatever the flags say, and without a count (observed)
            self.vhost.delete(existing)
            return 0
        if if_empty and existing.ready:
            raise precondition_failed(f"{where} not empty")
        if if_unused and existing.consumers:
            raise precondition_failed(f"{where} in use")
        return self.vhost.delete(existing)

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
        """The queue of that name, which must not be another connection's."""
        self._check_open()
        queue = self.vhost.queues.get(name)
        if queue is None:
            raise not_found(f"no queue '{name}' in vhost '{self.vhost.name}'")
        check_not_locked(queue, self.connection)
        return queue

    def _readable_queue(self, name: str) -> Queue:
        name = self._queue_name(name)
        self.permissions.check("read", "queue", name)
        return self._queue(name)

    def _queue_name(self, name: str) -> str:
        """The empty name is the last queue declared here."""
        if not name and not self._last_queue:
            raise not_found("no previously declared queue")
        return name or self._last_queue

    def _binding_key(self, queue: str, routing_key: str) -> str:
        """AMQP: with neither queue nor routing key, both are the last declared queue's name."""
        return self._last_queue if not queue and not routing_key else routing_key

    def _check_ends(self, kind: str, destination: str, source: str, routing_key: str) -> tuple[str, str]:
        """The names of a binding's ends: one is written to, the other is read."""
        destination, source = without_line_ends(destination), without_line_ends(source)
        self.permissions.check("write", kind, destination)
        _check_not_default(source)
        if kind == "exchange":
            _check_not_default(destination)
        self.permissions.check("read", "exchange", source)
        exchange = self.vhost.exchanges.get(source)
        if exchange is not None and exchange.type == "topic":
            self.permissions.check_topic("read", source, routing_key)
        return destination, source

    def _check_new_exchange(self, name: str, type: str, arguments: Mapping[str, Any]) -> None:
        if name.startswith("amq."):
            raise access_refused(f"exchange name '{name}' contains reserved prefix 'amq.*'")
        check_exchange_name(ALTERNATE_EXCHANGE, arguments, f"exchange '{name}' in vhost '{self.vhost.name}'")
        self._check_passes_on("exchange", name, name_in(arguments.get(ALTERNATE_EXCHANGE)))
        check_exchange_arguments(type, arguments, self.vhost.node.version)

    def _check_passes_on(self, kind: str, name: str, exchange: object) -> None:
        """What names an exchange to pass messages on to is read, and that exchange is written to."""
        if isinstance(exchange, str):
            self.permissions.check("read", kind, name)
            self.permissions.check("write", "exchange", exchange)

    def _check_new_name(self, name: str) -> str:
        """The name to declare a queue with."""
        if name.startswith("amq."):  # even when there is one, with a generated name
            raise access_refused(f"queue name '{name}' contains reserved prefix 'amq.*'")
        name = name or self.vhost.node.new_name("amq.gen")
        self.permissions.check("configure", "queue", name)
        return name

    def _check_limit(self, queue: str) -> None:
        if self.vhost.limits:
            check_queues(self.vhost.name, self.vhost.limits, queue, len(self.vhost.queues))

    # Changes

    def _bind(self, source: Exchange, destination: Queue | Exchange, routing_key: str, arguments: Mapping[str, Any]) -> None:
        check_binding(source, destination, routing_key, arguments)
        self.vhost.bind(source, Binding(destination, routing_key, dict(arguments)))

    def _unbind(
        self, exchange: str, destination: Queue | Exchange | None, routing_key: str, arguments: Mapping[str, Any]
    ) -> None:
        source = self.vhost.exchanges.get(exchange)
        if source is None or destination is None:
            return
        binding = Binding(destination, routing_key, dict(arguments))
        if binding.identity in source.bindings:
            if isinstance(destination, Queue):
                check_not_locked(destination, self.connection)
            self.vhost.unbind(source, binding)
            self.vhost.after_unbind(source)

    def _new_queue(self, name: str, durable: bool, exclusive: bool, auto_delete: bool, arguments: Mapping[str, Any]) -> Queue:
        node = self.vhost.node
        if node.version.queue_limit_is_checked_first:
            self._check_limit(name)
        self._check_passes_on("queue", name, name_in(arguments.get("x-dead-letter-exchange")))
        options = queue_options(arguments, name, self.vhost.name, node.version)
        self._check_limit(name)
        if options.type != "classic":
            check_replicated(name, self.vhost.name, durable, exclusive, auto_delete)
        if options.type == "stream":
            check_stream_arguments(arguments, node.version)
        node.queues += 1
        kind = Queue if options.type != "stream" else partial(Stream, node=node)
        queue = kind(
            name=name,
            vhost=self.vhost.name,
            index=node.queues,
            options=options,
            arguments=dict(arguments),
            durable=durable and not exclusive,
            auto_delete=auto_delete,
            owner=self.connection if exclusive else None,
            default_patience=node.consumer_timeout,
            published_to=self.vhost.published_to,
        )
        self.vhost.queues[queue.name] = queue
        client = self.connection.name
        node.effects.append(QueueDeclared(node.now, self.vhost.name, name, options.type, queue.durable, client))
        self.vhost.renew_lease(queue)
        apply_to_queue(self.vhost, queue)
        return queue


def _check_not_default(exchange: str) -> None:
    if not exchange:
        raise access_refused("operation not permitted on the default exchange")
