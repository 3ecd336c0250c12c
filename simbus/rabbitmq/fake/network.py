"""The fake's door to the network: the server that starts when its address is first asked for.

Here the broker's driver, the sessions of real clients and the sockets are put together. What a
session says is ``simbus.rabbitmq.amqp``'s business, how sockets are served is ``simbus.server``'s.
"""

from collections.abc import Callable, Sequence
from ssl import SSLContext
from threading import Lock

from simbus.clock import VirtualClock
from simbus.effects import Effect
from simbus.rabbitmq.amqp.faults import Injector
from simbus.rabbitmq.amqp.session import Session
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.effects import Unblocked
from simbus.server import Server


class Network:
    """A broker behind real sockets; nothing is opened before an address is asked for.

    Args:
        broker: what sessions talk to.
        clock: the broker's driver.
        restarted: called after each restart of the broker, with the lock held.
        port: where it listens; 0 for a free one.
        host: loopback unless someone asks for more.

    Attributes:
        faults: what is to befall clients.
    """

    def __init__(
        self,
        broker: Broker,
        clock: VirtualClock,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        restarted: Callable[[], None] = lambda: None,
    ) -> None:
        self.faults: Injector | None = None
        self.broker, self._clock, self._restarted = broker, clock, restarted
        self._wanted = host, port
        self._running: Server | None = None
        self._addresses: dict[bool, tuple[str, int]] = {}  # with TLS, without
        self._sessions: list[Session] = []
        self._changing = Lock()  # starting and closing; never waited for by one who holds the broker's
        clock.watch(self._observe)

    def address(self, tls: SSLContext | None = None) -> tuple[str, int]:
        """Host and port of the listener, which starts when it is first asked for; that of TLS is another, on a free port.

        Raises:
            CannotListen: when the port is taken.
        """
        key = tls is not None
        with self._changing:
            if key not in self._addresses:
                host, port = self._wanted
                self._running = self._running or Server(self._session, self._clock.lock, self._settle)
                self._addresses[key] = self._running.listen(host, 0 if key else port, tls)
            return self._addresses[key]

    def close(self) -> None:
        """Drop every connection and stop listening; twice is harmless."""
        with self._changing:
            with self._clock.lock:  # whoever holds it may flush, which a closed server would refuse
                running, self._running = self._running, None
            if running is not None:
                running.close()
                self._wanted = self._addresses.get(False, self._wanted)  # the same again, when it is started anew
                self._addresses.clear()

    def drop_connections(self) -> None:
        """Cut every connection, as a failing network does, and wait until the broker knows."""
        if self._running is not None:
            self._running.drop_connections()

    def busy(self) -> list[str]:
        """Which clients have sent what is not read yet, or have not read what they were sent, in words."""
        return [] if self._running is None else self._running.busy()

    def shut_down(self, closed: Sequence[Connection]) -> None:
        """Tell the clients of connections that the broker closed, and hang up; called with the lock held.

        Clients that still shake hands, and so have no connection of the broker's, are cut off too.
        """
        for session in self._sessions:
            if session.connection is None or session.connection in closed:
                session.shut_down()
        self.flush()

    def delete_user(self, user: str) -> None:
        """Delete a user, whose clients are told and cut off; NoSuch when there is none. Called as ``restart`` is."""
        self.force_close(self.broker.delete_user(user), f"user '{user}' is deleted")

    def force_close(self, closed: Sequence[Connection], text: str) -> None:
        """Tell the clients of connections that an operator has ended why, and hang up; called with the lock held."""
        for session in self._sessions:
            if session.connection in closed:
                session.force_close(text)
        self.flush()

    def restart(self) -> None:
        """Restart the broker: its clients are told and cut off; called with the lock held, while no session is being served."""
        self.shut_down(self.broker.restart())
        self._restarted()

    def await_the_end(self, seconds: float) -> None:
        """Let no one in any more, and wait until all have hung up, at most so long."""
        if self._running is not None:
            self._running.retire(seconds)

    def _observe(self, effects: Sequence[Effect]) -> None:
        """Tell every session of what concerns the whole broker; on the wall clock, the server that a deadline may be nearer."""
        for effect in effects:
            if isinstance(effect, Unblocked):
                for session in self._sessions:
                    session.unblock()
                self.flush()
        if self._clock.follows_the_wall:
            self.flush()

    def _settle(self) -> int | None:
        until = self._clock.catch_up()
        self._clock.observe()
        return until

    @property
    def sessions(self) -> list[Session]:
        """Those of clients who may call verbs."""
        return [session for session in self._sessions if session.open]

    def listening(self) -> dict[bool, tuple[str, int]]:
        """Host and port of the listeners that have been asked for, that of TLS under True."""
        return dict(self._addresses)

    def _session(self, now: int, peer: str, here: str) -> Session:
        self._sessions = [session for session in self._sessions if not session.closed]
        session = Session(self, now, peer, here)
        self._sessions.append(session)
        return session

    def flush(self) -> None:
        """See to it that what sessions have to say is sent."""
        if self._running is not None:
            self._running.flush()

    # What a session may ask of the broker's driver; called with the lock held

    def open_connection(self, vhost: str, user: str, name: str) -> Connection:
        """A connection of the broker; ConnectionError when the vhost refuses."""
        return self.broker.open_connection(vhost, user, name)

    def listen(self, channel: int, listener: Callable[[Effect], None]) -> None:
        """Tell the session of its channel's effects, and see to it that what it makes of them is sent."""

        def hear(effect: Effect) -> None:
            listener(effect)
            self.flush()

        self._clock.listen(channel, hear)

    def detach(self, channel: int) -> None:
        """The channel is closed."""
        self._clock.detach(channel)

    def observe(self) -> None:
        """Take what the last verb caused, so that it follows the verb's reply."""
        self._clock.observe()

    def soon(self, act: Callable[[], None], nanoseconds: int = 0) -> None:
        """Run ``act`` when no session is being served, after a time of the transport's."""
        if self._running is not None:
            self._running.soon(act, nanoseconds)

    def note(self, effect: Effect) -> None:
        """Show the observers what happened to a connection."""
        self._clock.note(effect)
