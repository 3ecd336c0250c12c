"""What a test declares and binds, and how it goes again when the broker is reset.

The verbs are the test's own client's; a queue or exchange that an application had declared before is not the test's.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Unpack

from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.declarations import without_line_ends
from simbus.rabbitmq.errors import RabbitMQError
from simbus.rabbitmq.fake.parts import Part
from simbus.rabbitmq.fake.views import QueueView
from simbus.rabbitmq.options import ExchangeArguments, QueueArguments, declare_exchange, declare_queue
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routing import Exchange

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other


class Declaring(Part):
    """The verbs of exchanges, queues and bindings."""

    _declared: list[Queue | Exchange]  # by the test, which were not there before

    def declare_queue(
        self,
        name: str = "",
        *,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[QueueArguments],
    ) -> QueueView:
        """Declare a queue and look at it; without a name the broker gives one.

        Args:
            name: the queue's name.
            durable: True unless told otherwise, because a quorum queue must be.
            exclusive: the test's own: it goes when its connection ends.
            auto_delete: deleted when its last consumer goes.
            arguments: AMQP arguments in RabbitMQ's units, such as ``{"x-message-ttl": 60000}``.
            options: RabbitMQ's own keys with ``-`` as ``_`` and with units: ``type="quorum"``, ``message_ttl="30min"``,
                ``max_length=``, ``max_length_bytes="50MB"``, ``overflow=``, ``dead_letter_exchange=``,
                ``dead_letter_routing_key=``, ``delivery_limit=``, ``max_priority=``; of a stream ``max_age="7d"``,
                ``stream_max_segment_size_bytes="100MB"``.

        Raises:
            OptionError: for an option that is unknown, given twice or of the wrong kind.
            UnitError: for a time without a unit, or finer than a millisecond.
            RabbitMQError: 403, 405, 406 or 541 as RabbitMQ refuses.
        """
        name = without_line_ends(name)
        is_new = name not in self._vhost.queues
        declared = self._clients.do(
            self._channel,
            declare_queue,
            name,
            durable=durable,
            exclusive=exclusive,
            auto_delete=auto_delete,
            arguments=arguments,
            **options,
        )
        if is_new:
            self._declared.append(self._vhost.queues[declared.queue])
        return self.queue(declared.queue)

    def declare_exchange(
        self,
        name: str,
        type: str = "direct",
        *,
        durable: bool = True,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[ExchangeArguments],
    ) -> None:
        """Declare an exchange; errors as :meth:`declare_queue`.

        Types are ``direct``, ``fanout``, ``topic``, ``headers`` and those of RabbitMQ's plug-ins: ``x-consistent-hash``,
        ``x-modulus-hash``, ``x-random``, ``x-recent-history`` and ``x-delayed-message``; in 4.0 also ``x-local-random``. Options
        are ``alternate_exchange``, ``delayed_type``, ``hash_header``, ``hash_property`` and ``recent_history_length``.
        """
        name = without_line_ends(name)
        is_new = name not in self._vhost.exchanges
        self._clients.do(
            self._channel,
            declare_exchange,
            name,
            type=type,
            durable=durable,
            auto_delete=auto_delete,
            internal=internal,
            arguments=arguments,
            **options,
        )
        if is_new:
            self._declared.append(self._vhost.exchanges[name])

    def bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None) -> None:
        """Bind a queue to an exchange; ChannelError 404 when either is missing."""
        self._clients.do(self._channel, Channel.queue_bind, queue, exchange, routing_key, arguments or {})

    def unbind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None) -> None:
        """Remove a binding, all parts of which must match."""
        self._clients.do(self._channel, Channel.queue_unbind, queue, exchange, routing_key, arguments or {})

    def delete_queue(self, name: str, *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete a queue, without dead-lettering; the number of ready messages that it had."""
        return self._clients.do(self._channel, Channel.queue_delete, name, if_unused=if_unused, if_empty=if_empty)

    def delete_exchange(self, name: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and its bindings."""
        self._clients.do(self._channel, Channel.exchange_delete, name, if_unused=if_unused)

    def _undeclare(self) -> None:
        """Delete what the test declared, the last first."""
        for declared in reversed(self._declared):
            self._delete(declared)

    def _delete(self, declared: Queue | Exchange) -> None:
        """Delete what the test declared, but nothing else that bears its name by now."""
        is_queue = isinstance(declared, Queue)
        if (self._vhost.queues if is_queue else self._vhost.exchanges).get(declared.name) is declared:
            with suppress(RabbitMQError):
                self._clients.do(self._channel, Channel.queue_delete if is_queue else Channel.exchange_delete, declared.name)
