"""A client's connection, sans-IO: bytes in, verbs on the model, effects to bytes, timers on the transport's clock.

    header -> starting -> tuning -> opening -> running -> closed -> hung up
                 `---- what is wrong here is answered by silence: deaf -'

``_served``, at the end, says which methods channel 0 takes at which stage. In ``closed`` one side has said
connection.close and only its end is awaited; a ``deaf`` session reads nothing and hangs up after a grace period,
which is how RabbitMQ slows down those who guess. Frames of other channels go to their ``ChannelSession``.

Nothing that a client may send makes a session raise: what is wrong comes as a ProtocolError from below and is
answered in one place, ``_refuse``, by the stage. Memory is bounded by the frames and contents that are not whole
yet, and by ``MOST_OWED``: a client that takes no answers is served no further. Nor is one that publishes while the broker
is short of resources. Meanwhile ``reading`` asks the transport to take nothing more in. Stages, texts and times are
those of RabbitMQ 4.0.5 (rabbit_reader), as observed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from simbus.rabbitmq.amqp import handshake, refusals
from simbus.rabbitmq.amqp.channel_session import ChannelSession, Driver, Link
from simbus.rabbitmq.amqp.codec import (
    BODY,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    FrameReader,
    decode_header,
    decode_method,
    encode_method,
)
from simbus.rabbitmq.amqp.errors import ProtocolError, hung_up, internal_error, unexpected_frame, unknown_frame
from simbus.rabbitmq.amqp.heartbeats import Heartbeats
from simbus.rabbitmq.amqp.line import Line
from simbus.rabbitmq.amqp.methods import BY_NAME, Method
from simbus.rabbitmq.amqp.operations import (
    CONNECT,
    HEARTBEAT_OF_CLIENT,
    HEARTBEAT_OF_SERVER,
    PROTOCOL_HEADER,
    Scene,
    name_when_said,
)
from simbus.rabbitmq.amqp.particulars import Particulars
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.effects import ConnectionClosed, ConnectionOpened, ConnectionRefused
from simbus.rabbitmq.errors import RabbitMQError
from simbus.units import SECOND

HANDSHAKE_TIMEOUT = 10 * SECOND
GRACE = 3 * SECOND  # rabbit_reader's SILENT_CLOSE_DELAY
_CONNECTION_FORCED = 320
CLOSING_TIMEOUT = 30 * SECOND  # how long a close-ok, or the client's end of the socket, is awaited

MOST_OWED = 1 << 20  # octets of messages that wait to be sent while more is served; what others publish comes on top

_START, _START_OK = BY_NAME["connection.start"], BY_NAME["connection.start-ok"]
_TUNE, _TUNE_OK = BY_NAME["connection.tune"], BY_NAME["connection.tune-ok"]
_OPEN, _OPEN_OK = BY_NAME["connection.open"], BY_NAME["connection.open-ok"]
_CLOSE, _CLOSE_OK = BY_NAME["connection.close"], BY_NAME["connection.close-ok"]
_BLOCKED, _UNBLOCKED = BY_NAME["connection.blocked"], BY_NAME["connection.unblocked"]
_UPDATE_SECRET, _UPDATE_SECRET_OK = BY_NAME["connection.update-secret"], BY_NAME["connection.update-secret-ok"]

_HEADER, _STARTING, _TUNING, _OPENING = "header", "starting", "tuning", "opening"
_RUNNING, _CLOSED, _DEAF = "running", "closed", "deaf"


class Session:
    """The server's side of one connection.

    Args:
        driver: of the broker.
        now: the transport's time, in nanoseconds.
        peer: the client's address, for people.
        here: the address that the client came to, as ``host:port``.

    Attributes:
        closed: the transport is to be closed, once everything has been sent.
        awaited: whether the client may have waited for what was last to be sent.
        name: the client's address and, once known, what it calls itself.
        connection: the broker's, from connection.open on.
        particulars: what the client has said of itself, and what was agreed with it.
    """

    def __init__(self, driver: Driver, now: int, peer: str = "", here: str = "") -> None:
        self.closed = False
        self.awaited = True
        self.name = peer
        self.connection: Connection | None = None
        self.particulars = Particulars(peer, here)
        self._driver = driver
        self._version = driver.broker.version
        self._now = now
        self._stage = _HEADER
        self._protocol = (0, 0)  # of AMQP, once it is known
        self._frames = FrameReader()
        self._line = Line()
        self._user = ""
        self._capabilities: frozenset[str] = frozenset()
        self._channel_max = handshake.CHANNEL_MAX
        self._heartbeat = 0
        self._heartbeats: Heartbeats | None = None
        self._channels: dict[int, ChannelSession] = {}
        self._link: Link | None = None
        self._serving = False
        self._blocked = False
        self._full = False
        self._resume = False
        self._ended = False
        self._hang_up_at: int | None = now + HANDSHAKE_TIMEOUT
        self._unless_refused(lambda: self._meet(CONNECT, lambda: None, self._cut))

    # The transport's side

    @property
    def reading(self) -> bool:
        """Whether the transport should read on: not from who is blocked or is owed too much, nor on a stalled line."""
        return not (self._blocked or self._full or self._line.stalled)

    @property
    def was_cut(self) -> bool:
        """Whether the transport is to be cut, once ``closed``, with what it has not sent yet, as by a network that fails."""
        return self._line.was_cut

    @property
    def delayed(self) -> bool:
        """Whether something is held back that will be served or said without anyone's doing."""
        return self._line.stalled

    @property
    def unserved(self) -> bool:
        """Whether it has received what it has not served yet: what it holds back, or half a frame."""
        return self._frames.pending > 0

    def receive(self, data: bytes) -> None:
        """Bytes arrived, in any pieces."""
        if self.closed or self._stage is _DEAF:
            return
        self._frames.feed(data)
        if self._heartbeats is not None:
            self._heartbeats.heard = True
        self._serve_frames()

    def bytes_to_send(self) -> bytes:
        """What is to be sent, which is then forgotten here; nothing while frames are being served.

        A transport that cannot send it yet does not ask for it.
        """
        if self._serving:
            return b""
        if self._link is not None:
            self._link.say_confirms()
            if self._line.out:  # not for every session at every turn: it looks at every channel
                self.awaited = self._link.is_awaited()
            self._link.owed = 0
        self._resume |= self._full
        self._full = False
        data = self._line.take() if self._line.out else b""
        if data and self._heartbeats is not None and data != HEARTBEAT_FRAME:
            self._heartbeats.said = True
        return data

    def connection_lost(self) -> None:
        """The peer is gone: what it held is requeued, its consumers and exclusive queues end. Twice is harmless."""
        said_nothing = self._stage is _HEADER  # as a load balancer does, which only looks whether the port is open
        self._hang_up("" if said_nothing else "the client hung up without connection.close")

    @property
    def next_deadline(self) -> int | None:
        """When to call :meth:`advance`, on the transport's clock; None if never."""
        if self.closed:
            return None
        if self._resume or (self._link is not None and self._link.stumbled):
            return self._now
        beat = None if self._heartbeats is None else self._heartbeats.next_deadline
        if self._hang_up_at is None and not self._line.stalled:  # the usual case: every turn asks every session
            return beat
        goes_on = self._line.deadline(self._now) if self._line.stalled else None
        return min((at for at in (self._hang_up_at, beat, goes_on) if at is not None), default=None)

    def advance(self, now: int) -> None:
        """The transport's time: heartbeats, time-outs, and what waited for the broker or for the client's ear."""
        self._now = now
        if self.closed:
            return
        if self._hang_up_at is not None and now >= self._hang_up_at:
            self._hang_up(f"no handshake within {HANDSHAKE_TIMEOUT // SECOND} s")
            return
        if self._heartbeats is not None:
            self._beat(self._heartbeats, now)
        if self._link is not None and self._link.stumbled:
            self._refuse(internal_error())
        if self._line.stalled and self._line.goes_on(now):
            self._resume = True
        if self._resume:
            self._resume = False
            self._serve_frames()

    def _beat(self, heartbeats: Heartbeats, now: int) -> None:
        if not self.reading:
            heartbeats.pause(now)
        if heartbeats.advance(now):
            self._send(HEARTBEAT_OF_SERVER, HEARTBEAT_FRAME)
        if heartbeats.lost(now):
            self._hang_up(f"no heartbeat from the client for two intervals of {self._heartbeat} s")

    # The broker's side

    def unblock(self) -> None:
        """No alarm is left in the broker. Effects of channels come to their listeners, see ``Driver.listen``."""
        if self._blocked:
            self._blocked = False
            self._resume = True  # no verb is called from here: what was held back is served by advance
            if "connection.blocked" in self._capabilities:
                self._say(_UNBLOCKED)

    @property
    def open(self) -> bool:
        """Whether the client may call verbs."""
        return self._stage is _RUNNING

    @property
    def blocked(self) -> bool:
        """Whether an alarm of the broker's holds it up."""
        return self._blocked

    @property
    def channels(self) -> Mapping[int, Channel]:
        """The broker's channels by the client's numbers."""
        return {number: model for number, channel in self._channels.items() if (model := channel.model) is not None}

    def shut_down(self, reason: str = "shutdown") -> None:
        """The broker stops: the client is told, and its close-ok awaited."""
        self.force_close(f"broker forced connection closure with reason '{reason}'")

    def force_close(self, text: str) -> None:
        """An operator ends the connection, and says why: the client is told, and its close-ok awaited."""
        if self._stage is _RUNNING:
            self._close_with(ProtocolError(_CONNECTION_FORCED, f"CONNECTION_FORCED - {text}"))
        elif self._stage is not _CLOSED:
            self._hang_up("the broker shuts down")

    # Frames

    def _serve_frames(self) -> None:
        """Serve what has arrived, unless the client has to wait; then say what it caused."""
        if not self.reading or self._serving:
            return
        self._serving = True
        try:
            while self._unless_refused(self._serve_all):
                pass
            self._settle()
        finally:
            self._serving = False

    def _unless_refused(self, act: Callable[[], None]) -> bool:
        """Answer what is wrong; whether it was, and there may be more to serve."""
        try:
            act()
        except ProtocolError as error:
            self._refuse(error)
            return not self.closed and self._stage is not _DEAF
        return False

    def _serve_all(self) -> None:
        if (delayed := self._line.take_then()) is not None:
            delayed()
        if self._stage is _HEADER:
            self._take_header()
        if self._stage is _HEADER or not self.reading:
            return
        channels = self._channels
        for type, number, payload in self._frames:
            channel = channels.get(number)
            if channel is None:
                self._serve(type, number, payload)
            else:
                channel.receive(type, payload)
            if type == HEADER and self._driver.broker.blocked is not None:
                self._block(self._driver.broker.blocked)
            if self._link is not None and self._link.owed > MOST_OWED:
                self._full = True
            if self._blocked or self._full or self._line.stalled or self.closed or self._stage is _DEAF:
                return

    def _serve(self, type: int, number: int, payload: bytes) -> None:
        """A frame of no channel that the client has used yet: of channel 0, or of a new one."""
        if number == 0:
            self._serve_connection(type, payload)
        elif self._stage is _RUNNING:
            self._new_channel(number).receive(type, payload)
        elif self._stage is not _CLOSED:
            raise unexpected_frame(type, payload)

    def _new_channel(self, number: int) -> ChannelSession:
        """Whatever comes first on a number makes a channel, which then wants channel.open."""
        assert self._link is not None
        if len(self._channels) >= self._channel_max:
            raise refusals.too_many_channels(self._channel_max)
        try:
            self._link.connection.admit()
        except RabbitMQError as error:
            raise refusals.of_verb(error, 0, 0) from None
        channel = self._channels[number] = ChannelSession(number, self._link)
        return channel

    def _block(self, reason: str) -> None:
        """AMQP extension connection.blocked: one that publishes is read no further, and told if it understands."""
        self._blocked = True
        if "connection.blocked" in self._capabilities:
            self._say(_BLOCKED, reason)

    # Channel 0

    def _serve_connection(self, type: int, payload: bytes) -> None:
        if type == METHOD:
            method, arguments = self._decoded(payload)
            served = self._served[self._stage].get(method)
            if served is not None:
                self._meet(method.name, partial(served, self, arguments), partial(self._refuse_by_fault, method, arguments))
            elif self._stage is not _CLOSED:
                raise refusals.wrong_state(self._stage, method.class_id, method.method_id)
        elif type == HEADER:
            decode_header(payload)
            raise unexpected_frame(type, payload)
        elif type == BODY:
            raise unexpected_frame(type, payload)
        elif type != HEARTBEAT or payload:
            raise unknown_frame(type, payload)
        else:
            self._meet(HEARTBEAT_OF_CLIENT, lambda: None, _raise)

    def _decoded(self, payload: bytes) -> tuple[Method, tuple[Any, ...]]:
        """RabbitMQ words only on other channels what is wrong with the form of arguments (observed)."""
        try:
            return decode_method(0, payload)
        except ProtocolError as error:
            raise internal_error() if "cannot decode" in error.reply_text else error from None

    def _take_header(self) -> None:
        header = self._frames.take_protocol_header()
        if header is None:
            return
        refuse = partial(self._refuse_header, header)
        protocol = handshake.protocol_of(header, self._version)
        if protocol is None:
            refuse()
        else:
            self._protocol = protocol
            self._meet(PROTOCOL_HEADER, self._start, lambda _refusal: refuse())

    def _refuse_header(self, header: bytes) -> None:
        self._line.out.append(handshake.refused_header(header, self._version))
        self._hang_up(f"it asked for another protocol than AMQP 0-9-1: {header!r}")

    def _start(self) -> None:
        self._stage = _STARTING
        properties = handshake.server_properties(self._version, self._protocol)
        mechanisms = " ".join(self._version.mechanisms)
        self._say(_START, *self._protocol, properties, mechanisms.encode(), handshake.LOCALES.encode())

    def _start_ok(self, arguments: tuple[Any, ...]) -> None:
        client_properties, mechanism, response, _locale = arguments
        self._capabilities = handshake.announced(client_properties)
        self.particulars.mechanism, self.particulars.client_properties = mechanism, client_properties
        self.name = handshake.name_of(self.name, client_properties)
        claimed = handshake.credentials(mechanism, response, self._version)
        if claimed is None:
            self._fall_silent(f"its login by mechanism {mechanism} cannot be read")
        elif self._driver.broker.authenticate(claimed.user, claimed.password):
            self._user = claimed.user
            self._stage = _TUNING
            self._say(_TUNE, handshake.CHANNEL_MAX, handshake.FRAME_MAX, handshake.HEARTBEAT)
        else:
            self._note_end(f"user '{claimed.user}' is unknown or has another password")
            self._refuse_login(refusals.login_refused(mechanism))

    def _refuse_login(self, refusal: ProtocolError) -> None:
        if "authentication_failure_close" in self._capabilities:
            self._close_with(refusal)
            self._hang_up_at = self._now + GRACE
        else:
            self._fall_silent(str(refusal))

    def _tune_ok(self, arguments: tuple[Any, ...]) -> None:
        self._channel_max, frame_max, self._heartbeat = arguments
        if not handshake.acceptable(self._channel_max, frame_max):
            self._fall_silent(f"it wants channel_max {self._channel_max} and frame_max {frame_max}, more than was offered")
            return
        self._stage = _OPENING
        self._frames.frame_max = frame_max
        self.particulars.agree(self._channel_max, frame_max, self._heartbeat)
        if self._heartbeat:
            self._heartbeats = Heartbeats(self._heartbeat * SECOND, self._now)

    def _open(self, arguments: tuple[Any, ...]) -> None:
        vhost, _capabilities, _insist = arguments
        if self._protocol == handshake.AMQP_0_8:
            raise refusals.amqp_0_8(_OPEN.class_id, _OPEN.method_id)
        try:
            self.connection = self._driver.open_connection(vhost, self._user, self.name)
        except RabbitMQError as error:
            raise refusals.of_verb(error, _OPEN.class_id, _OPEN.method_id) from None
        frame_max = self._frames.frame_max
        line, channels, capabilities = self._line, self._channels, self._capabilities
        self._link = Link(self._driver, self.connection, capabilities, frame_max, line, channels, self._hang_up)
        self._stage = _RUNNING
        self.particulars.since = self._driver.broker.now
        self._hang_up_at = None
        self._say(_OPEN_OK, "")
        self._driver.note(ConnectionOpened(self._driver.broker.now, self.name, vhost, self._user))

    def _update_secret(self, _arguments: tuple[Any, ...]) -> None:
        self._say(_UPDATE_SECRET_OK)

    def _close(self, _arguments: tuple[Any, ...]) -> None:
        """The client's connection.close: it is to close the socket too, and has as long as RabbitMQ gives it."""
        self._end("the client closed it", orderly=True)
        self._await_the_end()
        self._say(_CLOSE_OK)

    def _close_across(self, _arguments: tuple[Any, ...]) -> None:
        """A connection.close that crossed the server's, or a second one."""
        self._say(_CLOSE_OK)

    def _closed_by_client(self, _arguments: tuple[Any, ...]) -> None:
        self._hang_up("closed")

    # Ends

    def _refuse(self, error: ProtocolError) -> None:
        """What is wrong is answered by the stage; this is all that becomes of errors."""
        said = refusals.as_said(error, self._version)
        unsayable = said.reply_code != error.reply_code
        if said.silent or (unsayable and self._stage is _OPENING):
            self._hang_up(str(error))
        else:
            self._answer(said)

    def _answer(self, error: ProtocolError) -> None:
        stumbles = self._stage is _OPENING and error.reply_code == refusals.INTERNAL_ERROR
        if self._stage in self._answering and not stumbles:
            self._close_with(error)
        elif self._stage is not _CLOSED:
            self._fall_silent(str(error))
        if error.fatal:
            self._fall_silent(str(error))

    def _close_with(self, error: ProtocolError) -> None:
        error = refusals.as_said(error, self._version)
        self._end(str(error), orderly=error.reply_code == _CONNECTION_FORCED)
        self._await_the_end()
        self._say(_CLOSE, error.reply_code, error.reply_text, error.class_id, error.method_id)

    def _await_the_end(self) -> None:
        """RabbitMQ waits half a minute for the client's end, or for one heartbeat's time if that is less."""
        self._stage = _CLOSED
        wait = self._heartbeat * SECOND
        self._hang_up_at = self._now + (wait if 0 < wait < CLOSING_TIMEOUT else CLOSING_TIMEOUT)

    def _fall_silent(self, why: str) -> None:
        self._end(why)
        self._frames.end()
        self._stage = _DEAF
        self._hang_up_at = self._now + GRACE

    def _hang_up(self, why: str = "a fault hangs up") -> None:
        self._end(why)
        self._frames.end()
        self._stage = _CLOSED
        self.closed = True

    def _end(self, why: str, *, orderly: bool = False) -> None:
        """The broker's connection ends, and everyone else hears of that; what came before is still said."""
        self._resume |= self._blocked or self._full  # what is held back may be the client's close
        self._blocked = self._full = False
        link, self._link = self._link, None
        if link is not None:
            link.observe()
            for channel in list(self._channels.values()):
                channel.detach()
            self._channels.clear()
            link.connection.close()
            self._driver.observe()
        self._note_end(why, orderly=orderly)

    def _note_end(self, why: str, *, orderly: bool = False) -> None:
        """Tell whoever watches why the connection has ended; the first reason counts."""
        if self._ended or not why:
            return
        self._ended = True
        now, connection = self._driver.broker.now, self.connection
        if connection is None:
            self._driver.note(ConnectionRefused(now, self.name, why))
        else:
            self._driver.note(ConnectionClosed(now, connection.name, why, orderly))

    def _say(self, method: Method, *arguments: Any) -> None:
        self._send(name_when_said(method), encode_method(0, method, *arguments))

    def _send(self, operation: str, octets: bytes) -> None:
        self._meet(operation, partial(self._line.out.append, octets))

    # Where a plan of faults is in force

    def _meet(self, operation: str, go_on: Callable[[], None], refuse: Callable[[ProtocolError], None] | None = None) -> None:
        """Let an operation of channel 0 happen, as the plan has it if there is one."""
        if self._driver.faults is None:
            go_on()
        else:
            self._driver.faults.meet(
                Scene(operation, go_on, self._line, self._driver, self._hang_up, self._settle, refuse=refuse)
            )

    def _settle(self) -> None:
        if self._link is not None:
            self._link.observe()

    def _cut(self, _refusal: ProtocolError) -> None:
        """A connection that is refused before it is accepted."""
        self._line.cut()
        raise hung_up("a fault refuses the connection")

    def _refuse_by_fault(self, method: Method, arguments: tuple[Any, ...], refusal: ProtocolError) -> None:
        if method is _START_OK:
            self._capabilities = handshake.announced(arguments[0])
            self._refuse_login(refusal)
            return
        refusal.class_id, refusal.method_id = method.class_id, method.method_id
        raise refusal

    # The tables

    _served: ClassVar[Mapping[str, Mapping[Method, Callable[["Session", tuple[Any, ...]], None]]]] = {
        _STARTING: {_START_OK: _start_ok},
        _TUNING: {_TUNE_OK: _tune_ok},
        _OPENING: {_OPEN: _open},
        _RUNNING: {_CLOSE: _close, _UPDATE_SECRET: _update_secret},
        _CLOSED: {_CLOSE: _close_across, _CLOSE_OK: _closed_by_client},
    }
    # Where a fault is answered with connection.close. Before, the client is not trusted with an answer; after, it has one.
    _answering: ClassVar[Sequence[str]] = (_OPENING, _RUNNING)


def _raise(refusal: ProtocolError) -> None:
    raise refusal
