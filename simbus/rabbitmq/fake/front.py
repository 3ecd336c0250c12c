"""``RabbitMQ``: the broker that a test holds, on a virtual clock or on the wall's.

The verbs are AMQP's, under short names; each lets everything happen that follows from it at this
instant, and only then returns. How the test and its handlers are clients of the broker is told in ``clients``,
what they look at in ``views`` and ``messages``, how real clients get here in ``network``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, Unpack

from simbus.clock import VirtualClock, wall_time
from simbus.effects import Effect, Published
from simbus.errors import HandlerRunning
from simbus.faults import Fault, Plan, plan_of
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.declarations import without_line_ends
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import NoSuch, RabbitMQError
from simbus.rabbitmq.exported import export_definitions
from simbus.rabbitmq.fake import addresses
from simbus.rabbitmq.fake.certificates import Certificate
from simbus.rabbitmq.fake.clients import Clients
from simbus.rabbitmq.fake.faults import Faults
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
from simbus.rabbitmq.fake.network import Network
from simbus.rabbitmq.fake.views import Messages, Noted, QueueView, table
from simbus.rabbitmq.imported import import_definitions
from simbus.rabbitmq.options import (
    ConsumerArguments,
    ExchangeArguments,
    OptionError,
    PolicyArguments,
    QueueArguments,
    consumer_arguments,
    declare_exchange,
    declare_queue,
    policy_definition,
)
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routing import Exchange
from simbus.rabbitmq.versions import V4_0
from simbus.trace import Trace, elapsed
from simbus.units import MICROSECOND, duration

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other

START = datetime(2000, 1, 1, tzinfo=UTC)


class RabbitMQ:
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
        self._faults: list[Faults] = []
        self._certificate: Certificate | None = None
        self._published, self._returned = Noted(published_message), Noted(returned_message)
        self._noted: dict[type[Effect], list[Any]] = {Published: self._published.effects, Returned: self._returned.effects}
        self._forgotten = 0  # messages that were published before the last reset
        self._declared: list[Queue | Exchange] = []  # by the test, which were not there before
        self._to_undo: list[Callable[[], None]] = []  # what the test has set as an operator

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
        self._management.close()
        self._network.close()
        self._clients.close()
        if self._certificate is not None:
            self._certificate.close()
            self._certificate = None

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
        for declared in reversed(self._declared):
            self._delete(declared)
        for undo in self._to_undo:
            with suppress(NoSuch):
                undo()
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
                ``dead_letter_routing_key=``, ``delivery_limit=``, ``max_priority=``; of a stream ``max_age="7d"``,
                ``stream_max_segment_size_bytes="100MB"``.

        Raises:
            OptionError: for an option that is unknown, given twice or of the wrong kind.
            UnitError: for a time without a unit, or finer than a millisecond.
            RabbitMQError: 403, 405, 406 or 540 as RabbitMQ refuses; 540 also for what simbus does not model yet.
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

    def queue(self, name: str) -> QueueView:
        """A queue, as a sequence of its ready messages; ChannelError 404 when there is none."""
        return QueueView(name, self._vhost, self)

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
            queues = table(self._vhost)
            kind = "time" if self._clock.follows_the_wall else "virtual time"
            time = f"{kind} {moment(self._clock.now):%Y-%m-%d %H:%M:%S} UTC, +{self._elapsed()} since the start"
        faults = [line for faults in self._faults for line in faults.summary()]
        return "\n".join([time, "", *queues, *([""] if raised else []), *raised, *([""] if faults else []), *faults])

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

    # The network

    @property
    def url(self) -> str:
        """Where real clients connect, as user guest with password guest unless there are ``users``; asked for first, it listens.

        Raises:
            CannotListen: when the port is taken.
        """
        return addresses.url("amqp", *self._network.address(), self._vhost.name, self._login)

    @property
    def host(self) -> str:
        """The address it listens on, which is loopback."""
        return self._network.address()[0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._network.address()[1]

    def env(self) -> dict[str, str]:
        """The environment variables from which services usually read where their broker is.

        ``subprocess.Popen(service, env={**os.environ, **rabbitmq.env()})``
        """
        return addresses.variables(*self._network.address(), self._vhost.name, self._login)

    @property
    def tls_url(self) -> str:
        """Where real clients connect under TLS, at a port of its own; clients have to trust :attr:`tls_ca_file`.

        Raises:
            MissingExtra: without ``simbus[tls]``.
        """
        host, port = self._network.address(self._tls.server_context())
        return addresses.url("amqps", host, port, self._vhost.name, self._login)

    @property
    def tls_ca_file(self) -> str:
        """The path of the test authority's certificate, made anew for every broker: what a client's ``cafile`` wants."""
        return self._tls.ca_file

    @property
    def _tls(self) -> Certificate:
        self._certificate = self._certificate or Certificate("localhost", "127.0.0.1")
        return self._certificate

    @property
    def management_url(self) -> str:
        """Where the management API is, for :attr:`url`'s user; asked for first, it listens. Paths begin with ``/api``.

        Raises:
            CannotListen: when the port is taken.
        """
        return addresses.web_url(*self._management.address(), self._login)

    @property
    def management_port(self) -> int:
        """The port that the management API listens on."""
        return self._management.address()[1]

    def set_permissions(self, user: str, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        """What a user may do in the test's virtual host: a regular expression for the names of each kind of operation.

        ``rabbitmq.set_permissions("shop", configure="^$", write="^orders", read=".*")``. Connections that are open heed it at
        once; the test's own verbs are guest's.

        Raises:
            OptionError: for an unknown user, or what is no regular expression.
        """
        with self.looking():
            try:
                self._broker.set_permissions(user, self._vhost.name, configure, write, read)
            except ValueError as error:
                raise OptionError(f"set_permissions: {error}") from None

    # What an operator does

    def set_policy(
        self,
        name: str,
        *,
        pattern: str = "",
        definition: Mapping[str, Any] | None = None,
        priority: float = 0,
        apply_to: str = "all",
        operator: bool = False,
        **options: Unpack[PolicyArguments],
    ) -> None:
        """Set a policy, which holds at once for the queues and exchanges of the test's virtual host that it matches.

        ``rabbitmq.set_policy("ttl", pattern="^shop", message_ttl="1min")``

        Args:
            name: the policy's name; one of that name is replaced.
            pattern: a regular expression, looked for anywhere in a name; the empty one matches all.
            definition: what it sets, in RabbitMQ's own keys and units: ``{"message-ttl": 60000}``.
            priority: of the policies that match, the highest applies, and no other.
            apply_to: ``all``, ``queues``, ``exchanges``, ``classic_queues``, ``quorum_queues`` or ``streams``.
            operator: whether it is an operator policy, which holds beside the other; of two limits the lower one counts.
            options: what it sets, as :meth:`declare_queue` and :meth:`declare_exchange` take it.

        Raises:
            OptionError: for an option that is unknown, given twice or of the wrong kind.
            ValidationFailed: as RabbitMQ refuses.
            ConnectionError: 540 for what simbus does not model.
        """
        vhost, sets = self._vhost.name, policy_definition(definition, options)
        more: dict[str, Any] = {"priority": priority, "apply_to": apply_to, "operator": operator}
        self._administer(Broker.set_policy, vhost, name, pattern, sets, **more)
        self._to_undo.append(partial(Broker.delete_policy, self._broker, vhost, name, operator=operator))

    def delete_policy(self, name: str, *, operator: bool = False) -> None:
        """Delete a policy; NoSuch when there is none of that name."""
        self._administer(Broker.delete_policy, self._vhost.name, name, operator=operator)

    def set_vhost_limits(self, *, max_connections: int | None = None, max_queues: int | None = None) -> None:
        """Limit the test's virtual host; None is no limit."""
        limits = {"max-connections": max_connections, "max-queues": max_queues}
        self._administer(Broker.set_vhost_limits, self._vhost.name, _given(limits))
        self._to_undo.append(partial(Broker.set_vhost_limits, self._broker, self._vhost.name, {}))

    def set_user_limits(self, user: str, *, max_connections: int | None = None, max_channels: int | None = None) -> None:
        """Limit a user; None is no limit. NoSuch for an unknown user."""
        limits = {"max-connections": max_connections, "max-channels": max_channels}
        self._administer(Broker.set_user_limits, user, _given(limits))
        self._to_undo.append(partial(Broker.set_user_limits, self._broker, user, {}))

    def add_user(self, user: str, password: str) -> None:
        """Add a user who may do everything in the test's virtual host, or change its password."""
        self._administer(Broker.add_user, user, password)
        self.set_permissions(user)

    def delete_user(self, user: str) -> None:
        """Delete a user: its clients are told and cut off. NoSuch when there is none."""
        with self._clock.lock:
            self._clock.catch_up()
            self._network.delete_user(user)
        self._clients.settle()

    def set_topic_permissions(self, user: str, exchange: str, *, write: str = ".*", read: str = ".*") -> None:
        """With which routing keys a user may publish to a topic exchange (write) and bind to it (read); errors as there."""
        self._administer(Broker.set_topic_permissions, user, self._vhost.name, exchange, write, read)

    def export_definitions(self) -> dict[str, Any]:
        """The broker as a definitions file, as RabbitMQ exports it: what ``GET /api/definitions`` answers."""
        with self.looking():
            return export_definitions(self._broker)

    def import_definitions(self, document: Mapping[str, Any]) -> None:
        """Take in what RabbitMQ has exported: what is not there yet is declared, and policies, users and permissions are set.

        Raises:
            ScenarioError: for an entry that is malformed, refused or not modelled; it names the place and the remedy.
        """
        self._administer(import_definitions, document)

    def _administer(self, verb: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """A verb of the operator's, and what follows from it: dead letters may reach consumers."""
        with self.looking():
            verb(self._broker, *arguments, **options)
            self._clock.observe()
        self._clients.settle()

    def drop_connections(self) -> None:
        """Cut the connections of all clients, as a failing network does: what they held is requeued."""
        self._network.drop_connections()
        self._clients.settle()

    def restart(self) -> None:
        """Restart the broker: clients are told and cut off, and what is not durable is lost.

        The test's own channel and handlers are clients too: handlers have to be declared anew.
        """
        with self._clock.lock:
            self._clock.catch_up()
            self._network.restart()
        self._clients.settle()

    def faults(self, *plan: Fault | Plan, legal: bool = True) -> Faults:
        """Let faults befall the operations of clients while the ``with`` block lasts.

            with rabbitmq.faults(Fault("basic.publish", 3, "nack")):
                shop.place_orders(5)

        Args:
            plan: entries, or whole plans.
            legal: refuse what no real broker may do, such as to lose one frame in the middle of a connection.

        Returns:
            A context manager. Leaving it fails for entries that never happened (FaultNotMet).

        Raises:
            FaultError: for an entry that means nothing, is not legal, or while another plan is in force.
        """
        faults = Faults(plan_of(plan), self._network, self._clock, self._trace, legal=legal)
        self._faults.append(faults)
        return faults

    def block(self, reason: str = "low on memory") -> None:
        """Raise an alarm: clients that publish are blocked, as by a broker that is short of memory or disk."""
        with self.looking():
            self._broker.block(reason)
            self._clock.observe()

    def unblock(self) -> None:
        """End every alarm."""
        with self.looking():
            self._broker.unblock()
            self._clock.observe()

    # What views ask for

    def purge(self, queue: str) -> int:
        """Remove what is ready in a queue, without dead-lettering; the number removed."""
        return self._clients.do(self._channel, Channel.queue_purge, queue)

    def get(self, queue: str, *, no_ack: bool = False) -> Message | None:
        """Take the head of a queue; see :meth:`QueueView.get`."""
        return self._clients.get(queue, no_ack=no_ack)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Nothing changes meanwhile, and all that is due by now has happened."""
        with self._clock.lock:
            self._clock.catch_up()
            self._clock.observe()
            yield

    # For the verbs above

    @property
    def _channel(self) -> Channel:
        return self._clients.channel

    def _delete(self, declared: Queue | Exchange) -> None:
        """Delete what the test declared, but nothing else that bears its name by now."""
        is_queue = isinstance(declared, Queue)
        if (self._vhost.queues if is_queue else self._vhost.exchanges).get(declared.name) is declared:
            with suppress(RabbitMQError):
                self._clients.do(self._channel, Channel.queue_delete if is_queue else Channel.exchange_delete, declared.name)

    def _note(self, effects: Sequence[Effect]) -> None:
        """Observe what the broker did."""
        for effect in effects:
            noted = self._noted.get(type(effect))
            if noted is not None:
                noted.append(effect)


def _given(limits: Mapping[str, int | None]) -> dict[str, int]:
    return {name: limit for name, limit in limits.items() if limit is not None}


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
