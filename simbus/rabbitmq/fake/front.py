"""``RabbitMQ``: the broker that a test holds, on a virtual clock or on the wall's.

The verbs are AMQP's, under short names; each lets everything happen that follows from it at this
instant, and only then returns. Here are publishing, consuming, looking and time; the other verbs are in the parts that
it inherits: ``declaring``, ``operating`` (what an operator does), ``doors`` (its addresses) and ``mishaps``. How the test
and its handlers are clients of the broker is told in ``clients``, what they look at in ``views`` and ``messages``, how real
clients get here in ``network``.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, Unpack

from simbus.clock import VirtualClock, wall_time
from simbus.effects import Effect, Published
from simbus.errors import HandlerRunning
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.fake import addresses
from simbus.rabbitmq.fake.clients import Clients
from simbus.rabbitmq.fake.declaring import Declaring
from simbus.rabbitmq.fake.doors import Doors
from simbus.rabbitmq.fake.handlers import Handler
from simbus.rabbitmq.fake.idle import wait_for_consumer, wait_until_idle
from simbus.rabbitmq.fake.management import Management
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
    published_message,
    returned_message,
)
from simbus.rabbitmq.fake.mishaps import Mishaps
from simbus.rabbitmq.fake.network import Network
from simbus.rabbitmq.fake.operating import Operating
from simbus.rabbitmq.fake.views import Messages, Noted, kept_back, table
from simbus.rabbitmq.options import (
    ConsumerArguments,
    OptionError,
    consumer_arguments,
)
from simbus.rabbitmq.versions import V4_0
from simbus.trace import Trace, elapsed
from simbus.units import MICROSECOND, duration

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other

START = datetime(2000, 1, 1, tzinfo=UTC)


class RabbitMQ(Declaring, Operating, Doors, Mishaps):
    """A RabbitMQ node in this process, on a clock that stands still until :meth:`advance`.

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
        start: where a virtual clock begins, with a time zone; fixed, so that every run is the same run.
        port: where it listens once :attr:`url` is asked for; 0 for a free port.
        management_port: the same for :attr:`management_url`.
        clock: ``"virtual"``, or ``"wall"`` for real time, which passes by itself.
        vhost: the virtual host in which the test works and to which :attr:`url` leads; the default one is there too.
        users: passwords by name, of users besides guest; :attr:`url` is for the first. All may do everything, until
            :meth:`set_permissions` says less.
        version: the RabbitMQ that it behaves as, ``"4.0"`` or ``"3.10"``; ValueError for another.
        consumer_timeout: how long a delivery may stay unacked until its channel is closed, as RabbitMQ does; None for ever.
    """

    def __init__(
        self,
        *,
        start: datetime | None = None,
        port: int = 0,
        management_port: int = 0,
        clock: Literal["virtual", "wall"] = "virtual",
        vhost: str = addresses.VHOST,
        users: Mapping[str, str] = MappingProxyType({}),
        version: str = V4_0.name,
        consumer_timeout: str | timedelta | None = "30min",
    ) -> None:
        wall = _wall(clock, start)
        now = _instant(start or START) if wall is None else wall()
        everyone = dict([addresses.GUEST, *users.items()])
        timeout = None if consumer_timeout is None else duration(consumer_timeout, "consumer_timeout")
        vhosts = dict.fromkeys((addresses.VHOST, vhost))
        self._broker = Broker(vhosts, now, users=everyone, version=version, consumer_timeout=timeout)
        self._vhost = self._broker.vhost(vhost)
        self._login = next(iter(users.items()), addresses.GUEST)
        self._trace = Trace(self._broker.now)
        self._clock = VirtualClock(self._broker, self._trace.record, self._note, wall=wall)
        self._clients = Clients(self._broker, self._vhost, self._clock, self._trace)
        self._network = Network(self._broker, self._clock, port, restarted=self._clients.forget_closed)
        self._management = Management(self._network, self._clock, management_port)
        self._faults = []
        self._published, self._returned = Noted(published_message), Noted(returned_message)
        self._noted: dict[type[Effect], list[Any]] = {Published: self._published.effects, Returned: self._returned.effects}
        self._forgotten = 0  # messages that were published before the last reset
        self._declared, self._to_undo = [], []

    @property
    def version(self) -> str:
        """The RabbitMQ that it behaves as: ``"4.0"`` or ``"3.10"``."""
        return self._broker.version.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        if error is None:
            self.check_handlers()

    def close(self) -> None:
        """Hang up on clients, and release what async handlers used. Leaving the ``with`` block, or the fixture, does so."""
        self._shut_doors()
        self._clients.close()

    def reset(self) -> None:
        """Begin anew for the next test, while applications stay connected; the clock goes on from where it stands.

        Every message is forgotten, also those that clients hold unacked. The test's handlers end, and the queues and exchanges
        that the test declared are deleted, and so are its policies and limits; what clients declared stays, and so do their
        connections and consumers.

        Raises:
            HandlerFailed: when a handler has raised what no one expected or read; everything is reset before.
        """
        failures = self._clients.failures()
        with self._clock.lock:
            self._clock.catch_up()
            self._broker.empty()
            self._broker.unblock()
            self._clients.reset()
            self._clock.observe()
        self._undeclare()
        self._undo()
        with self._clock.lock:
            self._forgotten += len(self._published)
            for record in (self._published, self._returned, self._declared, self._to_undo, self._faults, self._trace):
                record.clear()
        if failures:
            raise failures[0]

    def check_handlers(self) -> None:
        """Fail for what handlers raised and no one expected or read; the fixture and the ``with`` block end with it.

        Raises:
            HandlerFailed: from the first such exception.
            FaultError: for a plan of faults that was never put into force.
        """
        if failures := self._clients.failures():
            raise failures[0]
        for faults in self._faults:
            faults.check_entered()

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
        number = self._clients.do(
            self._channel, Channel.publish, exchange, routing_key, content, properties_of(given), mandatory=mandatory
        )
        return self._published[number - 1 - self._forgotten]

    def consumer(
        self,
        queue: str,
        *,
        prefetch: int | None = None,
        raises: type[Exception] | tuple[type[Exception], ...] = (),
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[ConsumerArguments],
    ) -> Callable[[Callable[[Message], Any]], Handler]:
        """Decorate a function, plain or ``async``, that consumes a queue: return is ack, raise is requeue.

        It is given what is ready at once. A message that the handler settles itself, with ``message.ack()``,
        ``.nack()`` or ``.reject()``, stays as it decided. A coroutine is run to its end before anything else.

        Args:
            queue: the queue's name.
            prefetch: how many messages it may hold unacked; unlimited when None.
            raises: exceptions that the handler is meant to raise; others fail the test in the end.
            arguments: AMQP arguments of basic.consume.
            options: RabbitMQ's own keys with ``-`` as ``_``. Of the consumers that have credit the one of the highest
                ``priority=`` is served first. Where to start in a stream, which needs a prefetch, says
                ``stream_offset="first"``.

        Raises:
            OptionError: for a function that cannot be called with a message, or an argument of another kind.
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
        table = consumer_arguments(arguments, options)
        return partial(self._clients.consume, queue=queue, prefetch=prefetch, raises=raises, arguments=table)

    # Looking
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
        """The broker's time, in UTC."""
        with self.looking():
            return moment(self._clock.now)

    def timeline(self, *messages: Message | PublishedMessage | ReturnedMessage) -> str:
        """What happened to these messages, or to all, on the virtual clock: text for people."""
        with self.looking():
            return self._trace.timeline(*(message._content.id for message in messages))  # noqa: SLF001 - a part of the fake

    def state(self) -> str:
        """The queues, their consumers and the time: text for people."""
        raised = [summary for handler in self._clients.handlers if (summary := handler.summary())]
        with self.looking():
            queues = [*table(self._vhost), *kept_back(self._vhost)]
            alarm = self._broker.blocked
            kind = "time" if self._clock.follows_the_wall else "virtual time"
            time = f"{kind} {moment(self._clock.now):%Y-%m-%d %H:%M:%S} UTC, +{self._elapsed()} since the start"
        faults = [line for faults in self._faults for line in faults.summary()]
        alarms = [] if alarm is None else [f"alarm: {alarm}; clients that publish are blocked"]
        return "\n".join([time, *alarms, "", *queues, *([""] if raised else []), *raised, *([""] if faults else []), *faults])

    def __repr__(self) -> str:
        with self.looking():
            queues = [f"{queue.name} {len(queue.ready)} ready" for queue in self._vhost.queues.values()]
            return f"<RabbitMQ at +{self._elapsed()}: {', '.join(queues) or 'no queues'}>"

    def _elapsed(self) -> str:
        return elapsed(self._clock.now - self._trace.origin)

    # Time

    def advance(self, time: str | timedelta) -> None:
        """Let time pass, ``"30min"`` or a timedelta: every deadline in between is met in turn.

        Raises:
            UnitError: for a number without a unit.
            OptionError: on the wall clock, where time passes by itself.
            HandlerRunning: when a handler asks for it.
            Livelock: when a message goes round for ever at one instant.
        """
        passing = duration(time, "advance")
        if self._clock.follows_the_wall:
            raise OptionError('advance: this broker follows the wall clock; leave out clock="wall" to move time yourself')
        if not self._clock.acting:
            self._clients.settle()
        self._clock.run_until(self._clock.now + passing)

    def wait_until_idle(self, *queues: str, timeout: str | timedelta = "10s") -> bool:
        """Wait, in real time, until clients and handlers have nothing left to do; the broker's clock is left alone.

        Idle means: nothing unacked; nothing ready in a queue that has a consumer, or has lost one otherwise than by
        basic.cancel; no handler running; no client that has sent or is owed bytes.

        Args:
            queues: the queues that matter; all when none is named.
            timeout: how long to wait at most.

        Returns:
            True.

        Raises:
            NotIdle: after ``timeout``; it names queue, consumer and connection.
            ChannelError: 404 for a queue that does not exist.
            HandlerRunning: when a handler asks for it.
        """
        if self._clock.acting:
            raise HandlerRunning("a handler cannot wait for its own end; return first, and let the test wait")
        watched = [self.queue(name).name for name in queues]
        patience = duration(timeout, "timeout")
        vhost = self._vhost
        return wait_until_idle(self._clock, self._clients.settle, self._network.busy, self._broker, vhost, watched, patience)

    def wait_for_consumer(self, queue: str, *, timeout: str | timedelta = "10s") -> None:
        """Wait, in real time, until someone consumes a queue, which a service may still have to declare.

        A service that starts, or comes back, takes a while; until then :meth:`wait_until_idle` has nothing to wait for.

        Args:
            queue: the queue's name.
            timeout: how long to wait at most.

        Raises:
            NoConsumer: after ``timeout``.
        """
        wait_for_consumer(self._clock, self._vhost, queue, duration(timeout, "timeout"))

    def _note(self, effects: Sequence[Effect]) -> None:
        """Observe what the broker did."""
        for effect in effects:
            noted = self._noted.get(type(effect))
            if noted is not None:
                noted.append(effect)


def _wall(clock: str, start: datetime | None) -> Callable[[], int] | None:
    """Where time comes from; None when it is the test's."""
    if clock not in ("virtual", "wall"):
        raise OptionError(f'clock: {clock!r} is not a clock; write "virtual", which is the default, or "wall"')
    if clock == "wall" and start is not None:
        raise OptionError("start: the wall clock begins now; leave out start, or clock")
    return wall_time() if clock == "wall" else None


def _instant(start: datetime) -> int:
    """Nanoseconds since the epoch."""
    if start.tzinfo is None:
        raise OptionError(f"start: {start!r} has no time zone; write for example datetime(2000, 1, 1, tzinfo=UTC)")
    return (start - EPOCH) // timedelta(microseconds=1) * MICROSECOND
