"""The management API beside the broker: its server, and what it is told of the network."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, cast

from simbus.clock import VirtualClock
from simbus.effects import Effect
from simbus.rabbitmq.amqp.session import Session
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.fake.network import Network
from simbus.rabbitmq.management.driver import Address, Client, Listener


class Management:
    """The API of a network's broker; nothing is opened before its address is asked for.

    Args:
        network: where the broker's clients are.
        clock: the broker's driver.
        port: where it listens; 0 for a free one.
        host: loopback unless someone asks for more.
    """

    def __init__(self, network: Network, clock: VirtualClock, port: int = 0, host: str = "127.0.0.1") -> None:
        self.broker = network.broker
        self._network, self._clock = network, clock
        self._wanted = host, port
        self._running: Any = None  # a WebServer, which not everyone needs, nor wants to wait for at the import
        self._changing = Lock()

    def address(self) -> tuple[str, int]:
        """Host and port, which it listens at when it is first asked for; CannotListen when the port is taken."""
        with self._changing:
            if self._running is None:
                self._network.address()  # health checks ask whether the node listens for AMQP, which a real one always does
                self._running = self._start()
                self._wanted = self._running.address  # the same again, when it is started anew
            return cast("tuple[str, int]", self._running.address)

    def _start(self) -> Any:
        from simbus.rabbitmq.management.api import broken, respond
        from simbus.rabbitmq.management.http import Request
        from simbus.web import Answer, WebServer

        def serve(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
            with self._turn():
                try:
                    response = respond(self, Request(method, target, headers, body))
                except Exception as defect:  # noqa: BLE001 - a client waits for an answer, whatever it was
                    _notice(defect)
                    response = broken(defect)
            return Answer(response.status, response.headers, response.body)

        return WebServer(serve, *self._wanted)

    def close(self) -> None:
        """Hang up and stop listening; twice is harmless."""
        with self._changing:
            running, self._running = self._running, None
        if running is not None:
            running.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One request at a time, as any verb: all that is due by now has happened before, and all hear what it causes."""
        with self._clock.lock:
            self._clock.catch_up()
            self._clock.observe()
            yield
            self._clock.observe()
            self._network.flush()

    # What the API may ask of the broker's driver; called with the lock held

    def clients(self) -> list[Client]:
        """Those that are connected."""
        tls = self._network.listening().get(True)
        return [self._client(session, tls) for session in self._network.sessions if session.connection is not None]

    def _client(self, session: Session, tls: tuple[str, int] | None) -> Client:
        assert session.connection is not None
        known = session.particulars
        here = _address(known.here)
        return Client(
            connection=session.connection,
            peer=_address(known.peer),
            here=here,
            tls=tls is not None and tls[1] == here.port,
            mechanism=known.mechanism,
            properties=known.client_properties,
            channel_max=known.channel_max,
            frame_max=known.frame_max,
            heartbeat=known.heartbeat,
            since=known.since,
            blocked=session.blocked,
            channels=session.channels,
            close=session.force_close,
        )

    def listeners(self) -> Sequence[Listener]:
        """Where the broker listens, and this API."""
        protocols = {False: "amqp", True: "amqp/ssl"}
        found = [Listener(protocols[tls], Address(*address)) for tls, address in self._network.listening().items()]
        return [*found, *([] if self._running is None else [Listener("http", Address(*self._running.address))])]

    def force_close(self, closed: Sequence[Connection], text: str) -> None:
        """Tell clients that an operator has ended their connections."""
        self._network.force_close(closed, text)

    def listen(self, channel: int, listener: Callable[[Effect], None]) -> None:
        """Tell ``listener`` of this channel's effects."""
        self._clock.listen(channel, listener)

    def detach(self, channel: int) -> None:
        """The channel is closed."""
        self._clock.detach(channel)

    def observe(self) -> None:
        """Take what the last verb caused."""
        self._clock.observe()


def _notice(defect: Exception) -> None:
    """As what ends any thread: on standard error, and pytest has a warning of it."""
    raised = type(defect), defect, defect.__traceback__, threading.current_thread()
    threading.excepthook(threading.ExceptHookArgs(raised))


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host, int(port or 0))
