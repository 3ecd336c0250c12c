"""The fake's door to the network: the server that starts when its address is first asked for.

Here the broker's driver, the sessions of real clients and the sockets are put together. What a
session says is ``simbus.rabbitmq.amqp``'s business, how sockets are served is ``simbus.server``'s.
"""

from collections.abc import Callable, Sequence

from simbus.clock import VirtualClock
from simbus.effects import Effect
from simbus.rabbitmq.amqp.session import Session
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Connection
from simbus.rabbitmq.effects import Blocked, Unblocked
from simbus.server import Server


class Network:
    """A broker behind real sockets; nothing is opened before ``server`` is asked for.

    Args:
        broker: whose driver ``drive`` names, which observes for this network and so comes after it.
        host: where to listen.
        port: 0 for a free one.
    """

    def __init__(self, broker: Broker, host: str, port: int) -> None:
        self._broker = broker
        self._address = host, port
        self._clock: VirtualClock
        self._server: Server | None = None
        self._sessions: list[Session] = []

    def drive(self, clock: VirtualClock) -> None:
        """Know the broker's driver."""
        self._clock = clock

    def observe(self, effects: Sequence[Effect]) -> None:
        """Tell every session what concerns the whole broker."""
        for effect in effects:
            if isinstance(effect, Blocked | Unblocked):
                for session in self._sessions:
                    session.effect(effect)
                self._flush()

    @property
    def server(self) -> Server:
        """The server, started when it is first asked for."""
        if self._server is None:
            host, port = self._address
            self._server = Server(self._session, self._clock.lock, self._settle, host=host, port=port)
            self._address = host, self._server.port  # the same again, when it is started anew
        return self._server

    def close(self) -> None:
        """Drop every connection and stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def drop_connections(self) -> None:
        """Cut every connection, as a failing network does, and wait until the broker knows."""
        if self._server is not None:
            self._server.drop_connections()

    def shut_down(self, closed: Sequence[Connection]) -> None:
        """Tell the clients of connections that the broker closed, and hang up; called with the lock held."""
        for session in self._sessions:
            if session.connection in closed:
                session.shut_down()
        self._flush()

    def _settle(self) -> int | None:
        until = self._clock.catch_up()
        self._clock.observe()
        return until

    def _session(self, now: int) -> Session:
        self._sessions = [session for session in self._sessions if not session.closed]
        session = Session(_Gateway(self._broker, self._clock, self._flush), now)
        self._sessions.append(session)
        return session

    def _flush(self) -> None:
        if self._server is not None:
            self._server.flush()


class _Gateway:
    """What a session may ask of the broker's driver; called with the lock held."""

    def __init__(self, broker: Broker, clock: VirtualClock, flush: Callable[[], None]) -> None:
        self.broker = broker
        self._clock, self._flush = clock, flush

    def open_connection(self, vhost: str, user: str) -> Connection:
        """A connection of the broker; ConnectionError when the vhost refuses."""
        return self.broker.open_connection(vhost, user)

    def listen(self, channel: int, listener: Callable[[Effect], None]) -> None:
        """Tell the session of its channel's effects, and see to it that what it makes of them is sent."""

        def hear(effect: Effect) -> None:
            listener(effect)
            self._flush()

        self._clock.listen(channel, hear)

    def detach(self, channel: int) -> None:
        """The channel is closed."""
        self._clock.detach(channel)

    def observe(self) -> None:
        """Take what the last verb caused, so that it follows the verb's reply."""
        self._clock.observe()
