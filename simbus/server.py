"""Real loopback sockets round any dialect's sessions.

A session is sans-IO: bytes in, bytes out, and timers on the transport's clock, which here is the wall's.
The server owns one thread with one event loop; it calls sessions under the lock of the broker's
driver and never runs a test's handlers. It knows no dialect and decides nothing about a protocol.

    test's thread: verb -> effects -> session -> flush() ->|           event loop: transport.write
    event loop: data_received -> session -> verb -> effects -> sessions -> transport.write
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from ssl import SSLContext
from struct import Struct
from threading import Thread, get_ident
from time import monotonic_ns
from typing import Any, TypeVar

from simbus.dialect import Session
from simbus.errors import SimbusError
from simbus.units import MILLISECOND, SECOND

T = TypeVar("T")

_STOPPING = 5.0  # seconds that the loop has to end
_BACKLOG = 128
_NO_LINGER = Struct("ii").pack(1, 0)  # closing resets the connection, as a broker's listener does that spares its ports
_LINGER = 3 * SECOND  # how long a peer may take to read the last words

# Reads in a row that caused no answer, after which no one seems to wait for one; and nanoseconds until the next read. A
# client's stream of publishes then arrives by dozens and not by fours, and each side wakes the other less often: with both in
# one interpreter that takes 29 (pika) to 83 % (aio-pika) of the time (docs/speed.md). Who asks at its end waits 1 ms once.
_STREAM = 8
_REST = MILLISECOND


class CannotListen(SimbusError, OSError):
    """The address is taken, or is not this machine's."""


class Server:
    """One thread with one event loop, from construction until :meth:`close`; it listens where it is told to.

    Args:
        open_session: makes the session of a new connection; given the transport's time in nanoseconds, the peer's address
            and the address that it came to.
        lock: held whenever a session is called.
        settle: called, under the lock, after a session was called: hands effects to other sessions.
            Answers after how many nanoseconds it wants to be called again, or None.
    """

    def __init__(
        self,
        open_session: Callable[[int, str, str], Session],
        lock: AbstractContextManager[Any],
        settle: Callable[[], int | None],
    ) -> None:
        self.open_session = open_session
        self._lock, self._settle = lock, settle
        self._connections: dict[_Connection, None] = {}  # in their order, so that all hear in the same order in every run
        self._empty = asyncio.Event()
        self._flush_is_due = False
        self._wake: asyncio.TimerHandle | None = None
        self._listeners: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="simbus server", daemon=True)
        self._thread.start()

    def listen(self, host: str = "127.0.0.1", port: int = 0, tls: SSLContext | None = None) -> tuple[str, int]:
        """Accept connections at an address, under TLS when a context is given; the host and the port that it got.

        Args:
            host: loopback unless someone asks for more.
            port: 0 for a free one.
            tls: the server's side, with its certificate.

        Raises:
            CannotListen: the address is taken, or is not this machine's.
        """
        listener = listening_socket(host, port)
        address: tuple[str, int] = listener.getsockname()[:2]

        async def accept() -> None:
            self._listeners.append(
                await self._loop.create_server(lambda: _Connection(self), sock=listener, backlog=_BACKLOG, ssl=tls)
            )

        asyncio.run_coroutine_threadsafe(accept(), self._loop).result(_STOPPING)
        return address

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._end())
        finally:
            self._loop.close()

    async def _end(self) -> None:
        """Nothing is left behind: no listener, no connection, and none that is still in TLS's handshake."""
        for listener in self._listeners:
            listener.close()
        await _turns()  # who has been accepted becomes a connection, or begins to shake hands
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        self._abort_all()
        await _turns()  # and then it is told that it is lost

    def close(self) -> None:
        """Drop every connection and end the thread; nothing is left behind. Twice is harmless."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOPPING)

    def retire(self, seconds: float) -> None:
        """Accept no one any more, and wait until every client has hung up, at most so long; without the lock."""

        async def emptied() -> None:
            for listener in self._listeners:
                listener.close()
            if self._connections:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._empty.wait(), seconds)

        asyncio.run_coroutine_threadsafe(emptied(), self._loop).result()

    def _abort_all(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    # What the driver's side asks for

    def flush(self) -> None:
        """Send what sessions have to say, and heed the broker's next deadline, soon; called with the lock held, in any thread."""
        if get_ident() != self._thread.ident and not self._flush_is_due:  # a turn of the loop's thread ends with it anyway
            self._flush_is_due = True
            self._loop.call_soon_threadsafe(self._wake_up)

    def drop_connections(self) -> None:
        """Cut every connection without a word, as a network does, and wait until that is done."""
        self._in_loop(self._abort_all)
        self._in_loop(lambda: None)  # the loop reports lost connections in its next turn

    def busy(self) -> list[str]:
        """Who has sent bytes that no session has read yet, or is owed some, in words; the caller does not hold the lock."""
        return self._in_loop(lambda: [said for connection in list(self._connections) if (said := connection.busy())])

    def soon(self, act: Callable[[], None], nanoseconds: int = 0) -> None:
        """Run ``act`` in a turn of its own, after a time of the wall's; from any thread, with the lock held or not."""

        def turn() -> None:
            with self.turn():
                act()

        if nanoseconds:
            self._loop.call_soon_threadsafe(self._loop.call_later, nanoseconds / SECOND, turn)
        else:
            self._loop.call_soon_threadsafe(turn)

    def _in_loop(self, act: Callable[[], T]) -> T:
        """Run in the loop's thread, once it has served what is there, and wait for it; the caller does not hold the lock."""

        async def run() -> T:
            await _turns()  # who has just connected is a connection by then
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_STOPPING)

    # In the loop's thread

    @contextmanager
    def turn(self) -> Iterator[int]:
        """The lock, and the transport's time; afterwards everyone is told what happened."""
        with self._lock:
            self._settle()
            yield monotonic_ns()
            self._again_in(self._settle())
            self._flush()

    def _again_in(self, nanoseconds: int | None) -> None:
        """Meet the broker's next deadline, when it runs on the wall clock."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if nanoseconds is not None:
            self._wake = self._loop.call_later(nanoseconds / SECOND, self._wake_up)

    def _wake_up(self) -> None:
        with self.turn():
            pass

    def _flush(self) -> None:
        with self._lock:
            self._flush_is_due = False
            for connection in list(self._connections):
                connection.send()

    def joined(self, connection: "_Connection") -> None:
        """A connection was made."""
        self._connections[connection] = None
        self._empty.clear()

    def left(self, connection: "_Connection") -> None:
        """A connection is gone."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._empty.set()

    def call_later(self, nanoseconds: int, act: Callable[[], None]) -> asyncio.TimerHandle:
        """A timer of the transport."""
        return self._loop.call_later(nanoseconds / SECOND, act)


class _Connection(asyncio.Protocol):
    """A socket and its session."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session: Session
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: int | None = None
        self._reads = self._drained = True
        self._unanswered = 0
        self._may_rest = self._rests = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._may_rest = transport.get_extra_info("sslcontext") is None  # what waits within TLS is not seen by ``busy``
        options = transport.get_extra_info("socket")
        options.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        options.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        peer, here = _end(transport, "peername"), _end(transport, "sockname")
        with self._server.turn() as now:
            self._session = self._server.open_session(now, peer, here)
            self._server.joined(self)

    def data_received(self, data: bytes) -> None:
        with self._server.turn() as now:
            self._session.advance(now)
            self._session.receive(data)
            self._unanswered += 1
        if self._unanswered > _STREAM and self._may_rest:
            self._rest()

    def _rest(self) -> None:
        """Let what no one waits for pile up for a moment."""
        self._rests = True
        self._read_when_wanted()
        self._server.call_later(_REST, self._go_on)

    def _go_on(self) -> None:
        self._rests = False
        self._read_when_wanted()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._server.turn():
            self._server.left(self)
            self._session.connection_lost()

    def pause_writing(self) -> None:
        """The peer does not read: read no more from it either, so that memory stays bounded."""
        self._drained = False
        self._read_when_wanted()

    def resume_writing(self) -> None:
        """The peer reads again: what it is owed is sent, and what it has asked for is served."""
        self._drained = True
        if not self._transport.is_closing():
            self._arm(monotonic_ns())

    def _read_when_wanted(self) -> None:
        """Read while the peer takes what it is sent and the session wants more."""
        wanted = self._drained and self._session.reading and not self._rests
        if wanted != self._reads and not self._transport.is_closing():
            self._reads = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def abort(self) -> None:
        """Cut the connection, and what was to be sent."""
        self._transport.abort()

    def busy(self) -> str | None:
        """What is on its way here or there, in words, if anything is."""
        with DefaultSelector() as selector:
            selector.register(self._transport.get_extra_info("socket"), EVENT_READ)
            unread = self._session.unserved or bool(selector.select(0))
        if self._session.delayed:
            return f"{self._session.name} is held up by a fault"
        if unread:
            why = "" if self._reads or self._rests else ", because it is blocked or does not read what it is sent"
            return f"{self._session.name} has sent bytes that are not read yet{why}"
        owed = self._transport.get_write_buffer_size()
        return f"{self._session.name} has not read {owed:,} bytes that it was sent" if owed else None

    def send(self) -> None:
        """Write what the session has to say, close when it is done, and meet its next deadline."""
        if self._transport.is_closing():
            return
        if self._drained or self._session.closed:
            data = self._session.bytes_to_send()
            if data:
                if self._session.awaited:
                    self._unanswered = 0
                self._transport.write(data)
        self._read_when_wanted()
        if self._session.closed and self._session.was_cut:
            self.abort()
        elif self._session.closed:
            self._close()
        elif self._session.next_deadline != self._timer_at:
            self._arm(self._session.next_deadline)

    def _close(self) -> None:
        """Hang up behind what was written last, which the peer may never read."""
        self._arm(None)
        self._timer = self._server.call_later(_LINGER, self.abort)
        self._transport.close()

    def _arm(self, at: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = None if at is None else self._server.call_later(max(0, at - monotonic_ns()), self._wake)

    def _wake(self) -> None:
        self._timer = self._timer_at = None
        with self._server.turn() as now:
            self._session.advance(now)


def _end(transport: asyncio.BaseTransport, which: str) -> str:
    """Host and port of one end; nothing, when the peer is gone already."""
    host, port = (*(transport.get_extra_info(which) or ()), "", "")[:2]
    return f"{host}:{port}"


async def _turns() -> None:
    """What the loop does in several steps has been done: a task, a transport and a protocol each take a turn."""
    for _ in range(4):
        await asyncio.sleep(0)


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens at an address, and does not block; CannotListen names the remedy."""
    try:
        listener = socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        remedy = "choose another port, or 0 for a free one" if port else "name an address of this machine"
        reason = str(error.strerror).partition(" (while")[0]  # Python adds the address, which is said already
        raise CannotListen(f"cannot listen on {host}:{port} ({reason}); {remedy}") from error
    listener.setblocking(False)
    return listener
