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
from contextlib import AbstractContextManager, contextmanager
from threading import Thread, get_ident
from time import monotonic_ns
from typing import Any

from simbus.dialect import Session
from simbus.errors import SimbusError
from simbus.units import SECOND

_STOPPING = 5.0  # seconds that the loop has to end


class CannotListen(SimbusError, OSError):
    """The address is taken, or is not this machine's."""


class Server:
    """Listens on one address, in a thread of its own, from construction until :meth:`close`.

    Args:
        open_session: makes the session of a new connection; given the transport's time in nanoseconds.
        lock: held whenever a session is called.
        settle: called, under the lock, after a session was called: hands effects to other sessions.
            Answers after how many nanoseconds it wants to be called again, or None.
        host: where to listen; loopback unless someone asks for more.
        port: 0 for a free one.

    Raises:
        CannotListen: at construction.
    """

    def __init__(
        self,
        open_session: Callable[[int], Session],
        lock: AbstractContextManager[Any],
        settle: Callable[[], int | None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.open_session = open_session
        self._lock, self._settle = lock, settle
        self._connections: set[_Connection] = set()
        self._flush_is_due = False
        self._wake: asyncio.TimerHandle | None = None
        listener = _listen(host, port)
        self.host: str
        self.port: int
        self.host, self.port = listener.getsockname()[:2]
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, args=(listener,), name=f"simbus server on port {self.port}", daemon=True)
        self._thread.start()

    def _run(self, listener: socket.socket) -> None:
        asyncio.set_event_loop(self._loop)
        start = self._loop.create_server(lambda: _Connection(self), sock=listener, backlog=128)
        server = self._loop.run_until_complete(start)
        try:
            self._loop.run_forever()
        finally:
            server.close()
            self._loop.run_until_complete(asyncio.sleep(0))  # closing takes a turn of the loop
            self._loop.close()

    def close(self) -> None:
        """Drop every connection and end the thread; nothing is left behind. Twice is harmless."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop)
            self._thread.join(_STOPPING)

    def _abort_all(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    def _stop(self) -> None:
        self._abort_all()
        self._loop.call_soon(self._loop.call_soon, self._loop.stop)

    # What the driver's side asks for

    def flush(self) -> None:
        """Send what sessions have to say, soon; called with the lock held, from any thread."""
        if get_ident() != self._thread.ident and not self._flush_is_due:  # a turn of the loop's thread ends with it anyway
            self._flush_is_due = True
            self._loop.call_soon_threadsafe(self._flush)

    def drop_connections(self) -> None:
        """Cut every connection without a word, as a network does, and wait until that is done."""
        self._in_loop(self._abort_all)
        self._in_loop(lambda: None)  # the loop reports lost connections in its next turn

    def _in_loop(self, act: Callable[[], object]) -> None:
        """Run in the loop's thread and wait for it; the caller does not hold the lock."""

        async def run() -> None:
            await asyncio.sleep(0)
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(_STOPPING)

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
        self._connections.add(connection)

    def left(self, connection: "_Connection") -> None:
        """A connection is gone."""
        self._connections.discard(connection)

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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._server.turn() as now:
            self._session = self._server.open_session(now)
            self._server.joined(self)

    def data_received(self, data: bytes) -> None:
        with self._server.turn() as now:
            self._session.advance(now)
            self._session.receive(data)

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
        """The peer reads again."""
        self._drained = True
        self._read_when_wanted()

    def _read_when_wanted(self) -> None:
        """Read while the peer takes what it is sent and the session wants more."""
        wanted = self._drained and self._session.reading
        if wanted != self._reads and not self._transport.is_closing():
            self._reads = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def send(self) -> None:
        """Write what the session has to say, close when it is done, and meet its next deadline."""
        data = self._session.bytes_to_send()
        if data:
            self._transport.write(data)
        self._read_when_wanted()
        if self._session.closed:
            self._transport.close()
        elif self._session.next_deadline != self._timer_at:
            self._arm(self._session.next_deadline)

    def _arm(self, at: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = None if at is None else self._server.call_later(max(0, at - monotonic_ns()), self._wake)

    def _wake(self) -> None:
        self._timer = self._timer_at = None
        with self._server.turn() as now:
            self._session.advance(now)


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), backlog=128)
    except OSError as error:
        remedy = "choose another port, or 0 for a free one" if port else "name an address of this machine"
        raise CannotListen(f"cannot listen on {host}:{port} ({error.strerror}); {remedy}") from error
    listener.setblocking(False)
    return listener
