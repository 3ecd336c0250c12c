"""``RabbitMQ``: the broker that a test holds, driven by a virtual clock.

The verbs are AMQP's, under short names; each lets everything happen that follows from it at this
instant, and only then returns. The test is one client with one connection; every handler is another
client. A verb that the broker refuses ends its channel, as in AMQP, and the next verb opens a new one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from simbus.clock import VirtualClock
from simbus.effects import Delivered, Effect, Published
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.effects import ConsumerCancelled, Returned
from simbus.rabbitmq.errors import ConnectionError, RabbitMQError, precondition_failed  # noqa: A004 - AMQP's word
from simbus.rabbitmq.fake.handlers import Coroutines, Handler, HandlerRaised, leaves_at_once
from simbus.rabbitmq.fake.livelock import LivelockGuard, livelock
from simbus.rabbitmq.fake.messages import (
    EPOCH,
    PERSISTENT,
    Message,
    PropertyArguments,
    PublishedMessage,
    ReturnedMessage,
    encoded,
    moment,
    properties_of,
)
from simbus.rabbitmq.fake.network import Network
from simbus.rabbitmq.fake.views import Messages, QueueView
from simbus.rabbitmq.options import ExchangeArguments, OptionError, QueueArguments, declare_exchange, declare_queue
from simbus.trace import Trace, elapsed
from simbus.units import MICROSECOND, duration

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other

START = datetime(2000, 1, 1, tzinfo=UTC)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Delivery:
    """A delivery to a handler or a get, which can settle it."""

    front: "RabbitMQ"
    channel: Channel
    tag: int
    message_id: int
    settled: bool = False

    @property
    def open(self) -> bool:
        """Whether it still waits to be settled; the end of its channel requeued it."""
        return not (self.settled or self.channel.closed)

    def ack(self) -> None:
        self._check_channel()
        self.settled = True
        self.front._do(self.channel, Channel.ack, self.tag)  # noqa: SLF001 - the same module

    def nack(self, *, requeue: bool) -> None:
        self._check_channel()
        self.settled = True
        self.front._do(self.channel, Channel.nack, self.tag, requeue=requeue)  # noqa: SLF001 - the same module

    def _check_channel(self) -> None:
        """The end of its channel requeued the message: on any channel of today its tag means nothing."""
        if self.channel.closed:
            raise precondition_failed(f"unknown delivery tag {self.tag}")


class RabbitMQ:
    """A RabbitMQ 4.0 node in this process, on a clock that stands still until :meth:`advance`.

        with RabbitMQ() as rabbitmq:
            rabbitmq.declare_queue("offers", message_ttl="30min")
            rabbitmq.publish("", "offers", b"seat 12A")
            rabbitmq.advance("30min")
            assert rabbitmq.queue("offers") == []

    Handlers run inside the verb that causes a delivery. An AssertionError, an outcome of the test
    framework or a BaseException leaves that verb at once: what was published stays published, the
    handler's message stays unacked, and the next verb first gives it back to its queue and goes on
    with what was still due. Any other exception is a requeue, kept in ``handler.exceptions``.

    Real clients connect to :attr:`url`, from this process or another. What they cause happens at once; handlers of
    the test act when the test next calls the fake.

    Args:
        start: where the clock begins, with a time zone; fixed, so that every run is the same run.
        port: where it listens once :attr:`url` is asked for; 0 for a free port.
    """

    def __init__(self, *, start: datetime = START, port: int = 0) -> None:
        if start.tzinfo is None:
            raise OptionError(f"start: {start!r} has no time zone; write for example datetime(2000, 1, 1, tzinfo=UTC)")
        self._broker = Broker(now=(start - EPOCH) // timedelta(microseconds=1) * MICROSECOND)
        self._trace = Trace(self._broker.now)
        self._clock = VirtualClock(self._broker, self._trace.record, self._note)
        self._network = Network(self._broker, self._clock, port)
        self._channel_in_use = self._broker.open_connection().open_channel()
        self._published: list[PublishedMessage] = []
        self._returned: list[ReturnedMessage] = []
        self._handlers: list[tuple[Handler, Channel]] = []
        self._in_hand: _Delivery | None = None  # the running handler's, or that of the handler which an exception left
        self._guard = LivelockGuard()
        self._coroutines = Coroutines()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        if error is None:
            self.check_handlers()

    def close(self) -> None:
        """Hang up on clients, and release what async handlers used. Leaving the ``with`` block, or the fixture, does so."""
        self._network.close()
        self._coroutines.close()

    def check_handlers(self) -> None:
        """Fail for what handlers raised and no one expected or read; the fixture and the ``with`` block end with it.

        Raises:
            HandlerFailed: from the first such exception.
        """
        for handler, _ in self._handlers:
            failure = handler.failure()
            if failure is not None:
                raise failure

    # Declaring

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
                ``dead_letter_routing_key=``, ``delivery_limit=``.

        Raises:
            OptionError: for an option that is unknown, given twice or of the wrong kind.
            UnitError: for a time without a unit, or finer than a millisecond.
            RabbitMQError: 403, 405, 406 or 540 as RabbitMQ refuses; 540 also for what simbus does not model yet.
        """
        declared = self._do(
            self._channel,
            declare_queue,
            name,
            durable=durable,
            exclusive=exclusive,
            auto_delete=auto_delete,
            arguments=arguments,
            **options,
        )
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
        """Declare an exchange: direct, fanout, topic or headers; errors as :meth:`declare_queue`."""
        self._do(
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

    def bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None) -> None:
        """Bind a queue to an exchange; ChannelError 404 when either is missing."""
        self._do(self._channel, Channel.queue_bind, queue, exchange, routing_key, arguments or {})

    def unbind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None) -> None:
        """Remove a binding, all parts of which must match."""
        self._do(self._channel, Channel.queue_unbind, queue, exchange, routing_key, arguments or {})

    def delete_queue(self, name: str, *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete a queue, without dead-lettering; the number of ready messages that it had."""
        return self._do(self._channel, Channel.queue_delete, name, if_unused=if_unused, if_empty=if_empty)

    def delete_exchange(self, name: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and its bindings."""
        self._do(self._channel, Channel.exchange_delete, name, if_unused=if_unused)

    # Publishing and consuming

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | str | dict[str, Any] | list[Any] = b"",
        *,
        mandatory: bool = False,
        persistent: bool = False,
        **properties: Unpack[PropertyArguments],
    ) -> PublishedMessage:
        """Publish a message and let everything happen that follows at this instant.

        Inside a handler it only queues that work.

        Args:
            exchange: ``""`` is the default exchange, which routes to the queue named by the routing key.
            routing_key: the routing key.
            body: bytes; a text is sent as UTF-8, a dict or list as JSON with content type ``application/json``.
            mandatory: when it reaches no queue it is in :attr:`returned`.
            persistent: short for ``delivery_mode=2``.
            properties: AMQP's, by their names: ``headers={"attempt": 1}``, ``message_id="7"``, ``content_type=``, ...;
                ``expiration`` is ``"30s"``, a timedelta, or AMQP's own digits of milliseconds, ``"30000"``.

        Raises:
            ChannelError: 404 for a missing exchange, 403 for an internal one, 406 for a bad property.
            OptionError: for an unknown property, or a body of another kind.
            UnitError: for an expiration without a unit.
            Livelock: when a message goes round for ever at this instant.
        """
        content, content_type = encoded(body)
        given: dict[str, Any] = {"content_type": content_type, **properties}
        if persistent:
            given["delivery_mode"] = PERSISTENT
        number = self._do(
            self._channel, Channel.publish, exchange, routing_key, content, properties_of(given), mandatory=mandatory
        )
        return self._published[number - 1]

    def consumer(
        self,
        queue: str,
        *,
        prefetch: int | None = None,
        raises: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> Callable[[Callable[[Message], Any]], Handler]:
        """Decorate a function, plain or ``async``, that consumes a queue: return is ack, raise is requeue.

        It is given what is ready at once. A message that the handler settles itself, with ``message.ack()``,
        ``.nack()`` or ``.reject()``, stays as it decided. A coroutine is run to its end before anything else.

        Args:
            queue: the queue's name.
            prefetch: how many messages it may hold unacked; unlimited when None.
            raises: exceptions that the handler is meant to raise; others fail the test in the end.

        Raises:
            RabbitMQError: as basic.consume is refused: 404, 403 or 405.
        """
        if not isinstance(queue, str):
            raise OptionError(f'consumer: {queue!r} is not the name of a queue; write @rabbitmq.consumer("payments")')
        if prefetch is not None and (type(prefetch) is not int or prefetch < 1):
            raise OptionError(f"prefetch: {prefetch!r} is not a whole number from 1; leave it out for no limit")
        kinds: tuple[object, ...] = raises if isinstance(raises, tuple) else (raises,)
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise OptionError(f"raises: {kind!r} is not a class of exceptions; write for example raises=ValueError")
        return partial(self._consume, queue=queue, prefetch=prefetch, raises=raises)

    # Looking

    def queue(self, name: str) -> QueueView:
        """A queue, as a sequence of its ready messages; ChannelError 404 when there is none."""
        return QueueView(name, self._broker.vhost(), self)

    @property
    def published(self) -> Messages[PublishedMessage]:
        """Every message that anyone published, routed or not; call it to pick: ``published(routing_key="order.*")``."""
        return Messages(self._published)

    @property
    def returned(self) -> Messages[ReturnedMessage]:
        """Mandatory messages that reached no queue."""
        return Messages(self._returned)

    @property
    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return moment(self._clock.now)

    def timeline(self, *messages: Message | PublishedMessage | ReturnedMessage) -> str:
        """What happened to these messages, or to all, on the virtual clock: text for people."""
        with self._clock.lock:
            self._clock.observe()
            return self._trace.timeline(*(message._content.id for message in messages))  # noqa: SLF001 - a part of the fake

    def state(self) -> str:
        """The queues, their consumers and the time: text for people."""
        time = f"virtual time {self.now:%Y-%m-%d %H:%M:%S} UTC, +{elapsed(self._clock.now - self._trace.origin)} since the start"
        raised = [summary for handler, _ in self._handlers if (summary := handler.summary())]
        with self._clock.lock:
            table = self._table()
        return "\n".join([time, "", *table, *([""] if raised else []), *raised])

    def __repr__(self) -> str:
        queues = [f"{queue.name} {len(queue.ready)} ready" for queue in self._broker.vhost().queues.values()]
        return f"<RabbitMQ at +{elapsed(self._clock.now - self._trace.origin)}: {', '.join(queues) or 'no queues'}>"

    # Time

    def advance(self, time: str | timedelta) -> None:
        """Let time pass, ``"30min"`` or a timedelta: every deadline in between is met in turn.

        Raises:
            UnitError: for a number without a unit.
            HandlerRunning: when a handler asks for it.
            Livelock: when a message goes round for ever at one instant.
        """
        passing = duration(time, "advance")
        if not self._clock.acting:
            self._settle()
        self._clock.run_until(self._clock.now + passing)

    # The network

    @property
    def url(self) -> str:
        """Where real clients connect, as user guest with password guest; asked for first, it starts to listen.

        Raises:
            CannotListen: when the port is taken.
        """
        return f"amqp://guest:guest@{self.host}:{self.port}/"

    @property
    def host(self) -> str:
        """The address it listens on, which is loopback."""
        return self._network.address()[0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._network.address()[1]

    def drop_connections(self) -> None:
        """Cut the connections of all clients, as a failing network does: what they held is requeued."""
        self._network.drop_connections()
        self._settle()

    def restart(self) -> None:
        """Restart the broker: clients are told and cut off, and what is not durable is lost.

        The test's own channel and handlers are clients too: handlers have to be declared anew.
        """
        with self._clock.lock:
            self._network.shut_down(self._broker.restart())
            self._forget_closed()
        self._settle()

    def block(self, reason: str = "low on memory") -> None:
        """Raise an alarm: clients that publish are blocked, as by a broker that is short of memory or disk."""
        with self._clock.lock:
            self._broker.block(reason)
            self._clock.observe()

    def unblock(self) -> None:
        """End every alarm."""
        with self._clock.lock:
            self._broker.unblock()
            self._clock.observe()

    # What views ask for

    def purge(self, queue: str) -> int:
        """Remove what is ready in a queue, without dead-lettering; the number removed."""
        return self._do(self._channel, Channel.queue_purge, queue)

    def get(self, queue: str, *, no_ack: bool = False) -> Message | None:
        """Take the head of a queue; see :meth:`QueueView.get`."""
        channel = self._channel
        got = self._do(channel, Channel.get, queue, no_ack=no_ack)
        if got is None:
            return None
        delivered = got.delivery
        delivery = None if no_ack else _Delivery(self, channel, delivered.delivery_tag, delivered.message_id)
        return _delivered(delivered, delivery)

    # The test as a client

    @property
    def _channel(self) -> Channel:
        """The test's own channel; a new one when the broker closed the last."""
        with self._clock.lock:
            if self._channel_in_use.connection.closed:
                self._channel_in_use = self._broker.open_connection().open_channel()
            elif self._channel_in_use.closed:
                self._channel_in_use = self._channel_in_use.connection.open_channel()
            return self._channel_in_use

    def _do(self, channel: Channel, verb: Callable[Concatenate[Channel, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A verb, and everything that follows from it at this instant."""
        try:
            with self._clock.lock:
                answer = verb(channel, *args, **kwargs)
                self._clock.observe()
        except RabbitMQError as error:
            self._close(channel.connection if isinstance(error, ConnectionError) else channel)
            self._settle()
            raise error.with_traceback(None)  # noqa: B904 - the broker's answer: where in the model it arose helps no test
        self._settle()
        return answer

    def _close(self, channel_or_connection: Any) -> None:
        with self._clock.lock:
            channel_or_connection.close()
            self._forget_closed()

    def _forget_closed(self) -> None:
        """Handlers whose channel has ended consume no more."""
        for handler, channel in self._handlers:
            if channel.closed:
                handler.cancelled = True
                self._clock.detach(channel.number)

    def _settle(self) -> None:
        if self._in_hand is not None and not self._clock.acting:
            left, self._in_hand = self._in_hand, None
            with self._clock.lock:
                if left.open:
                    left.channel.nack(left.tag)
        self._clock.settle()

    def _note(self, effects: Sequence[Effect]) -> None:
        """Observe what the broker did."""
        for effect in effects:
            if isinstance(effect, Published):
                self._published.append(PublishedMessage(effect.message, list(effect.queues), moment(effect.at)))
                if self._in_hand is not None:
                    self._guard.published(effect.message_id, self._in_hand.message_id, effect.at)
            elif isinstance(effect, Returned):
                self._returned.append(ReturnedMessage(effect.message, moment(effect.at), effect.reply_code, effect.reply_text))

    # Handlers as clients

    def _consume(
        self,
        function: Callable[[Message], Any],
        *,
        queue: str,
        prefetch: int | None,
        raises: type[Exception] | tuple[type[Exception], ...],
    ) -> Handler:
        with self._clock.lock:
            channel = self._channel_for(queue)
            handler = Handler(function, queue, raises, partial(self._cancel, channel))
            self._handlers.append((handler, channel))
            self._clock.attach(channel.number, partial(self._receive, handler, channel))
            channel.qos(prefetch or 0)
        self._do(channel, Channel.consume, queue, handler.name)
        return handler

    def _channel_for(self, queue: str) -> Channel:
        """A channel for a handler: on a connection of its own, unless only the test's own may use the queue."""
        declared = self._broker.vhost().queues.get(queue)
        exclusive = declared is not None and declared.owner is self._channel.connection
        connection = self._channel.connection if exclusive else self._broker.open_connection()
        return connection.open_channel()

    def _cancel(self, channel: Channel, handler: Handler) -> None:
        """End a consumer. Inside a handler its channel stays open, so that the message in hand can be settled."""
        handler.cancelled = True
        self._do(channel, Channel.cancel, handler.name)
        if not self._clock.acting:
            self._close(channel)
            self._settle()

    def _receive(self, handler: Handler, channel: Channel, effect: Effect) -> None:
        if isinstance(effect, ConsumerCancelled):
            handler.cancelled = True
        elif isinstance(effect, Delivered):
            delivery = self._in_hand = _Delivery(self, channel, effect.delivery_tag, effect.message_id)
            self._handle(handler, delivery, effect)
            self._in_hand = None  # not in a finally: when an exception leaves, the next verb gives it back

    def _handle(self, handler: Handler, delivery: _Delivery, delivered: Delivered) -> None:
        if handler.cancelled and delivery.open:  # it cancelled itself and had been sent more
            delivery.nack(requeue=True)
            return
        message = _delivered(delivered, delivery)
        handler.messages.append(message)
        self._stop_a_livelock(handler, delivered)
        try:
            self._coroutines.finish(handler(message))
        except BaseException as error:
            self._note_raised(handler, delivered, error)
            if leaves_at_once(type(error)) or not isinstance(error, Exception):
                raise
            handler.keep(error)
            if delivery.open:
                delivery.nack(requeue=True)
        else:
            if delivery.open:
                delivery.ack()

    def _note_raised(self, handler: Handler, delivered: Delivered, error: BaseException) -> None:
        self._clock.observe()
        raised = HandlerRaised(delivered.at, delivered.message_id, delivered.copy_id, handler.name, error)
        self._trace.record([raised])

    def _stop_a_livelock(self, handler: Handler, delivered: Delivered) -> None:
        problem = self._guard.delivered(delivered.message_id, delivered.at)
        if problem is not None:
            raise livelock(problem, self._trace.timeline(delivered.message_id), handler.last_error) from handler.last_error

    def _table(self) -> list[str]:
        """The queues, a row each, in aligned columns."""
        rows = [("queue", "type", "ready", "unacked", "consumers")]
        for queue in self._broker.vhost().queues.values():
            consumers = ", ".join(c.tag + (f" (prefetch {c.prefetch})" if c.prefetch else "") for c in queue.consumers)
            rows.append((queue.name, queue.options.type, str(len(queue.ready)), str(len(queue.unacked)), consumers or "–"))
        wide = [max(len(row[column]) for row in rows) for column in range(4)]
        return [f"{n:<{wide[0]}}  {t:<{wide[1]}}  {r:>{wide[2]}}  {u:>{wide[3]}}  {c}" for n, t, r, u, c in rows]


def _delivered(effect: Delivered, delivery: _Delivery | None) -> Message:
    """A message as its consumer or a get receives it."""
    count = effect.message.headers.get("x-delivery-count", 0)
    return Message(effect.message, effect.queue, effect.attempt > 1, count, effect.copy_id, delivery)
