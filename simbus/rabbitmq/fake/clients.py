"""The test and its handlers as clients of the broker: who calls verbs, and who is called.

The test is one client with one connection; every handler is another. A verb that the broker refuses
ends its channel, as in AMQP, and the next verb opens a new one. Everything that a verb causes happens before it
returns: handlers act in the thread that called it. What a test looks at is in ``front``, ``views`` and ``messages``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from simbus.clock import VirtualClock
from simbus.effects import Delivered, Effect, Published
from simbus.errors import HandlerFailed
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.effects import ConsumerCancelled
from simbus.rabbitmq.errors import ConnectionError, RabbitMQError, precondition_failed  # noqa: A004 - AMQP's word
from simbus.rabbitmq.fake.handlers import Coroutines, Handler, HandlerRaised, check_signature, leaves_at_once
from simbus.rabbitmq.fake.livelock import LivelockGuard, livelock
from simbus.rabbitmq.fake.messages import Message
from simbus.rabbitmq.virtual_host import VirtualHost
from simbus.trace import Trace

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Delivery:
    """A delivery to a handler or a get, which can settle it."""

    clients: "Clients"
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
        self.clients.do(self.channel, Channel.ack, self.tag)

    def nack(self, *, requeue: bool) -> None:
        self._check_channel()
        self.settled = True
        self.clients.do(self.channel, Channel.nack, self.tag, requeue=requeue)

    def _check_channel(self) -> None:
        """The end of its channel requeued the message: on any channel of today its tag means nothing.

        If the broker has closed the channel because the message was held for too long, the error says so.
        """
        if self.channel.closed:
            raise self.channel.closed_for or precondition_failed(f"unknown delivery tag {self.tag}")


class Clients:
    """The test's own channel, and one for each handler.

    Args:
        broker: whose clients they are.
        vhost: where they work.
        clock: its driver.
        trace: where what handlers raise is written down.
    """

    def __init__(self, broker: Broker, vhost: VirtualHost, clock: VirtualClock, trace: Trace) -> None:
        self._broker, self._vhost, self._clock, self._trace = broker, vhost, clock, trace
        self._channel_in_use = self._connect().open_channel()
        self._handlers: list[tuple[Handler, Channel]] = []
        self._in_hand: _Delivery | None = None  # the running handler's, or that of the handler which an exception left
        self._calls = 0
        self._guard = LivelockGuard()
        self._coroutines = Coroutines()
        clock.watch(self._note)

    @property
    def handlers(self) -> list[Handler]:
        """Every handler that the test has lent, in that order."""
        return [handler for handler, _ in self._handlers]

    @property
    def channel(self) -> Channel:
        """The test's own channel; a new one when the broker closed the last."""
        with self._clock.lock:
            if self._channel_in_use.connection.closed:
                self._channel_in_use = self._connect().open_channel()
            elif self._channel_in_use.closed:
                self._channel_in_use = self._channel_in_use.connection.open_channel()
            return self._channel_in_use

    def _connect(self, name: str = "the test") -> Connection:
        return self._broker.open_connection(self._vhost.name, name=name, counted=False)

    # Verbs

    def do(self, channel: Channel, verb: Callable[Concatenate[Channel, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A verb, and everything that follows from it at this instant."""
        try:
            with self._clock.lock:
                self._clock.catch_up()
                answer = verb(channel, *args, **kwargs)
                self._clock.observe()
        except RabbitMQError as error:
            self._close(channel.connection if isinstance(error, ConnectionError) else channel)
            self.settle()
            raise error.with_traceback(None)  # noqa: B904 - the broker's answer: where in the model it arose helps no test
        self.settle()
        return answer

    def get(self, queue: str, *, no_ack: bool) -> Message | None:
        """Take the head of a queue, or None when nothing is ready."""
        channel = self.channel
        got = self.do(channel, Channel.get, queue, no_ack=no_ack)
        if got is None:
            return None
        delivered = got.delivery
        delivery = None if no_ack else _Delivery(self, channel, delivered.delivery_tag, delivered.message_id)
        return _delivered(delivered, delivery)

    def settle(self) -> None:
        """Let handlers act until nothing is left to do at this instant."""
        if not self._clock.acting:
            self._give_back_in_hand()
            self._calls += 1
        self._clock.settle()

    def _give_back_in_hand(self) -> None:
        """What an exception made a handler leave goes back to its queue."""
        if self._in_hand is not None:
            left, self._in_hand = self._in_hand, None
            with self._clock.lock:
                if left.open:
                    left.channel.nack(left.tag)

    def _close(self, channel_or_connection: Channel | Connection) -> None:
        with self._clock.lock:
            channel_or_connection.close()
            self.forget_closed()

    # Handlers

    def consume(
        self,
        function: Callable[[Message], Any],
        *,
        queue: str,
        prefetch: int | None,
        raises: type[Exception] | tuple[type[Exception], ...],
        arguments: Mapping[str, Any],
    ) -> Handler:
        """Make a function a consumer; it is given what is ready at once."""
        check_signature(function)
        with self._clock.lock:
            channel = self._channel_for(queue, function)
            handler = Handler(function, queue, raises, partial(self._cancel, channel))
            self._handlers.append((handler, channel))
            self._clock.attach(channel.number, partial(self._receive, handler, channel))
            channel.qos(prefetch or 0)
        self.do(channel, Channel.consume, queue, handler.name, arguments=arguments)
        return handler

    def failures(self) -> list[HandlerFailed]:
        """Of each handler that raised what no one expected or read."""
        return [failure for handler in self.handlers if (failure := handler.failure()) is not None]

    def forget_closed(self) -> None:
        """Handlers whose channel has ended consume no more; called with the lock held."""
        for handler, channel in self._handlers:
            if channel.closed:
                handler.cancelled = True
                self._clock.detach(channel.number)

    def reset(self) -> None:
        """End every handler and forget it; called with the lock held."""
        self._in_hand = None
        for _, channel in self._handlers:
            if channel.connection is self._channel_in_use.connection:
                channel.close()
            else:
                channel.connection.close()
        self.forget_closed()
        self._handlers.clear()

    def close(self) -> None:
        """Release what async handlers used."""
        self._coroutines.close()

    def _channel_for(self, queue: str, function: Callable[[Message], Any]) -> Channel:
        """A channel for a handler: on a connection of its own, unless only the test's own may use the queue."""
        declared = self._vhost.queues.get(queue)
        exclusive = declared is not None and declared.owner is self.channel.connection
        connection = self.channel.connection if exclusive else self._connect(f"handler {getattr(function, '__name__', '')}")
        return connection.open_channel()

    def _cancel(self, channel: Channel, handler: Handler) -> None:
        """End a consumer. Inside a handler its channel stays open, so that the message in hand can be settled."""
        handler.cancelled = True
        self.do(channel, Channel.cancel, handler.name)
        if not self._clock.acting:
            self._close(channel)
            self.settle()

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

    # Going round for ever

    def _note(self, effects: Sequence[Effect]) -> None:
        """Observe what the running handler published."""
        if self._in_hand is not None:
            for effect in effects:
                if isinstance(effect, Published):
                    self._guard.published(effect.message_id, self._in_hand.message_id, self._instant(effect))

    def _instant(self, effect: Effect) -> int:
        """While virtual time stands still nothing ends what goes round; on the wall clock, while one call lasts."""
        return self._calls if self._clock.follows_the_wall else effect.at

    def _stop_a_livelock(self, handler: Handler, delivered: Delivered) -> None:
        problem = self._guard.delivered(delivered.message_id, self._instant(delivered))
        if problem is not None:
            raise livelock(problem, self._trace.timeline(delivered.message_id), handler.last_error) from handler.last_error


def _delivered(effect: Delivered, delivery: _Delivery | None) -> Message:
    """A message as its consumer or a get receives it."""
    count = effect.message.headers.get("x-delivery-count", 0)
    redelivered = effect.attempt > 1 or effect.message.redelivered
    return Message(effect.message, effect.queue, redelivered, count, effect.copy_id, delivery)
