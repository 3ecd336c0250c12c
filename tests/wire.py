"""A client in memory, for tests of the session: pamqp on its side, a real broker on the other.

Every byte that the session reads was written by pamqp or by hand, and every byte it writes is read by pamqp, so that a
mistake of simbus's codec cannot hide behind its twin.

    client = Wire().connect()
    client.call(1, Queue.Declare(queue="a")).queue
    client.publish(1, "", "a", b"7")
    client.expect("Basic.Ack", delivery_tag=1)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pamqp import body, commands, frame, header
from pamqp.base import Frame
from pamqp.commands import Basic, Channel, Connection

from simbus.clock import VirtualClock
from simbus.effects import Effect
from simbus.faults import Fault, Occurrences, Plan
from simbus.rabbitmq.amqp.faults import Injector
from simbus.rabbitmq.amqp.session import Session
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.effects import Unblocked
from simbus.units import SECOND

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CAPABILITIES = {
    "publisher_confirms": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "exchange_exchange_bindings": True,
    "authentication_failure_close": True,
}


class Wire:
    """A broker, its driver, and the sessions of its clients; the transport's clock is a number."""

    def __init__(self, **broker: Any) -> None:
        self.broker = Broker(**broker)
        self.seen: list[Effect] = []
        self.clock = VirtualClock(self.broker, self._tell_all, self.seen.extend)
        self.now = 0
        self.sessions: list[Session] = []
        self._later: list[tuple[int, Callable[[], None]]] = []
        self.faults: Injector | None = None
        self.listen, self.detach, self.observe = self.clock.listen, self.clock.detach, self.clock.observe
        self.note = self.clock.note

    def open_connection(self, vhost: str, user: str, name: str):
        return self.broker.open_connection(vhost, user, name)

    def _tell_all(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Unblocked):
                for session in self.sessions:
                    session.unblock()

    def session(self) -> Session:
        self.sessions.append(Session(self, self.now))
        return self.sessions[-1]

    def connect(self, **options: Any) -> "Client":
        """A client that has shaken hands."""
        client = Client(self)
        client.shake_hands(**options)
        return client

    def soon(self, act: Callable[[], None], nanoseconds: int = 0) -> None:
        self._later.append((self.now + nanoseconds, act))

    def restart(self) -> None:
        closed = self.broker.restart()
        for session in self.sessions:
            if session.connection is None or session.connection in closed:
                session.shut_down()

    def inject(self, *faults: Fault, legal: bool = True) -> Occurrences:
        """Put a plan into force."""
        self.faults = Injector(Plan(*faults), legal=legal, note=lambda _fault, _scene: None)
        self.occurrences = self.faults.occurrences
        return self.occurrences

    def end(self) -> None:
        """The plan is in force no more."""
        assert self.faults is not None
        self.faults.end()
        self.faults = None

    def wait(self, seconds: float = 0) -> None:
        """Let the transport's time pass, from deadline to deadline as a transport does."""
        target = self.now + int(seconds * SECOND)
        while due := [at for at in self._deadlines() if at <= target]:
            self._go_to(max(self.now, min(due)))
        self._go_to(target)

    def _deadlines(self) -> list[int]:
        waiting = [at for session in self.sessions if (at := session.next_deadline) is not None]
        return [*waiting, *(at for at, _ in self._later)]

    def _go_to(self, now: int) -> None:
        self.now = now
        due = [act for at, act in self._later if at <= now]
        self._later = [(at, act) for at, act in self._later if at > now]
        for act in due:
            act()
        for session in self.sessions:
            session.advance(now)
        self.observe()


@dataclass
class Said:
    """What a server said: a method with its channel, and a content when it has one."""

    channel: int
    method: Any
    properties: Any = None
    body: bytes = b""

    @property
    def name(self) -> str:
        return str(self.method.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.method, name)


class Client:
    """The other end of a session."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.session = wire.session()
        self.frame_max = 131_072
        self._unread = b""
        self._content: Said | None = None
        self._left = 0

    # What it sends

    def raw(self, data: bytes) -> "Client":
        self.session.advance(self.wire.now)
        self.session.receive(data)
        return self

    def send(self, channel: int, *methods: Frame) -> "Client":
        return self.raw(b"".join(frame.marshal(method, channel) for method in methods))

    def publish(
        self, channel: int, exchange: str, routing_key: str, content: bytes = b"", properties: Any = None, **flags: bool
    ) -> "Client":
        return self.raw(published(channel, exchange, routing_key, content, properties, self.frame_max, **flags))

    def shake_hands(
        self,
        *,
        user: str = "guest",
        password: str = "guest",  # noqa: S107 - everyone's
        vhost: str = "/",
        capabilities: dict[str, bool] = CAPABILITIES,
        heartbeat: int = 0,
        channel_max: int = 2047,
        frame_max: int = 131_072,
        channels: int = 1,
    ) -> None:
        self.raw(PROTOCOL_HEADER)
        self.expect("Connection.Start")
        self.frame_max = frame_max
        self.send(0, start_ok(f"\0{user}\0{password}", capabilities=capabilities))
        self.expect("Connection.Tune")
        self.send(0, Connection.TuneOk(channel_max, frame_max, heartbeat), Connection.Open(vhost))
        self.expect("Connection.OpenOk")
        for channel in range(1, channels + 1):
            self.call(channel, Channel.Open())

    def call(self, channel: int, method: Frame) -> Said:
        """Send, and take the only answer."""
        self.send(channel, method)
        said = self.take()
        assert len(said) == 1, said
        return said[0]

    # What it hears

    def bytes(self) -> bytes:
        return self.session.bytes_to_send()

    def take(self) -> list[Said]:
        """All that was said and not taken yet."""
        said = []
        self._unread += self.bytes()
        while self._unread:
            size, channel, read = frame.unmarshal(self._unread)
            self._unread = self._unread[size:]
            one = self._read(channel, read)
            if one is not None:
                said.append(one)
        return said

    def _read(self, channel: int, read: Any) -> Said | None:
        if isinstance(read, Basic.Deliver | Basic.Return | Basic.GetOk):
            self._content = Said(channel, read)
            return None
        if not isinstance(read, header.ContentHeader | body.ContentBody):
            return Said(channel, read)
        content = self._content
        assert content is not None
        if isinstance(read, header.ContentHeader):
            content.properties = read.properties
            self._left = read.body_size
        else:
            content.body += read.value
            self._left -= len(read)
        return content if self._left == 0 else None

    def expect(self, name: str, **fields: Any) -> Said:
        """Take what was said: one thing, of this name and with these fields."""
        said = self.take()
        assert [one.name for one in said] == [name]
        for field, value in fields.items():
            assert getattr(said[0], field) == value
        return said[0]

    def names(self) -> list[str]:
        """What was said, as names."""
        return [one.name for one in self.take()]

    def silent(self) -> bool:
        return self.take() == []

    def lose(self) -> None:
        self.session.connection_lost()


def start_ok(response: str, *, mechanism: str = "PLAIN", capabilities: dict[str, bool] | None = CAPABILITIES) -> Frame:
    properties = {} if capabilities is None else {"capabilities": capabilities}
    return Connection.StartOk(client_properties=properties, mechanism=mechanism, response=response)


def published(
    channel: int,
    exchange: str,
    routing_key: str,
    content: bytes = b"",
    properties: Any = None,
    frame_max: int = 131_072,
    **flags: bool,
) -> bytes:
    """basic.publish with its content, as bytes."""
    largest = frame_max - 8
    pieces = [content[begin : begin + largest] for begin in range(0, len(content), largest)]
    return b"".join(
        [
            frame.marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, **flags), channel),
            frame.marshal(header.ContentHeader(0, len(content), properties or commands.Basic.Properties()), channel),
            *[frame.marshal(body.ContentBody(piece), channel) for piece in pieces],
        ]
    )
