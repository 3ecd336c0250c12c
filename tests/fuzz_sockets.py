"""Fuzzing the server: crowds of bad clients on real sockets, and then a good one.

They send programs and spoilt ones, in pieces, and noise, with and without TLS; some never read, some close one half,
some reset. When a crowd has gone, nothing of it may be left: no connection, no session, no listener, no descriptor, no
thread, nothing in the log, and the good client is served. ``fuzz_wire`` is the command.
"""

import gc
import logging
import socket
import struct
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from weakref import WeakSet

import pika

from simbus import RabbitMQ
from simbus.rabbitmq.amqp.codec import encode_content, encode_method
from simbus.rabbitmq.amqp.methods import BY_NAME
from simbus.rabbitmq.amqp.session import Session
from tests import fuzz_programs

PATIENCE = 30  # seconds for what takes milliseconds
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST
_AT_ONCE = 30
_GROWTH = 10_000  # objects in all rounds: what is remembered on purpose, such as texts and routes, is less


@dataclass
class Stranger:
    """A socket and what it has still to say."""

    socket: socket.socket
    unsaid: list[bytes]
    reads: bool

    def go_on(self, random: Random) -> bool:
        """Say a piece, hear something, or leave; False when it is done."""
        try:
            if self.reads:
                with suppress(BlockingIOError):
                    self.socket.recv(100_000)
            if self.unsaid:
                sent = self.socket.send(self.unsaid[0])
                self.unsaid[0] = self.unsaid[0][sent:]
                if not self.unsaid[0]:
                    del self.unsaid[0]
        except BlockingIOError:
            return random.random() < 0.7
        except OSError:
            return False
        return bool(self.unsaid)

    def leave(self, random: Random) -> None:
        """Close both halves, or one, or reset."""
        how = random.choice(("close", "reset", "half", "stay"))
        with suppress(OSError):
            if how == "reset":
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if how == "half":
                self.socket.shutdown(socket.SHUT_WR)
            elif how != "stay":
                self.socket.close()


def _greedy() -> list[bytes]:
    """A client that asks for one large message again and again."""
    publish = encode_content(1, BY_NAME["basic.publish"], (0, "", "g", False, False), b"\0\0", bytes(400_000), 131_072)
    return [
        *(*fuzz_programs.good_handshake(), encode_method(1, BY_NAME["channel.open"], "")),
        encode_method(1, BY_NAME["queue.declare"], 0, "g", False, False, False, False, False, {}),
        *(publish, encode_method(1, BY_NAME["basic.consume"], 0, "g", "", False, False, False, False, {})),
        *[encode_method(1, BY_NAME["basic.recover"], True)] * 500,
    ]


def _what_is_said(random: Random) -> list[bytes]:
    kind = random.random()
    if kind < 0.1:
        return [random.randbytes(random.randrange(1, 3000))]
    if kind < 0.13:
        return [b"".join(_greedy())]
    said = fuzz_programs.program(random, random.choice((1, 5, 20)))
    fuzz_programs.spoil(random, said, random.choice((0, 1, 3)))
    return fuzz_programs.pieces(random, b"".join(said))


class Crowd:
    """Bad clients of one broker, round after round; see :meth:`check` for what must hold after each."""

    def __init__(self, rabbitmq: RabbitMQ, *, tls: bool = True) -> None:
        self.rabbitmq = rabbitmq
        self.counts: Counter[str] = Counter()
        self._addresses = [(rabbitmq.host, rabbitmq.port)] * 9
        if tls:
            self._addresses.append(rabbitmq._network.address(rabbitmq._tls.server_context()))
        self._before: tuple[int, int] | None = None
        self._objects: list[int] = []
        self._of_others = WeakSet(_sessions())

    def round(self, random: Random, clients: int) -> None:
        """A crowd comes, some at once and others when those have gone, and leaves."""
        strangers = [self._stranger(random) for _ in range(min(clients, _AT_ONCE))]
        waiting, gone = clients - len(strangers), []
        while strangers:
            place = random.randrange(len(strangers))
            if not strangers[place].go_on(random):
                gone.append(strangers.pop(place))
                gone[-1].leave(random)
                if waiting:
                    waiting -= 1
                    strangers.append(self._stranger(random))
            if random.random() < 0.001:
                random.choice((self.rabbitmq.block, self.rabbitmq.unblock, self.rabbitmq.drop_connections))()
        self.rabbitmq.unblock()
        for stranger in gone:
            stranger.socket.close()
        self.counts["clients"] += clients

    def _stranger(self, random: Random) -> Stranger:
        client = socket.create_connection(random.choice(self._addresses), timeout=PATIENCE)
        client.setblocking(False)
        said = _what_is_said(random)
        self.counts["octets"] += sum(map(len, said))
        return Stranger(client, said, reads=random.random() < 0.7)

    def check(self) -> None:
        """Nothing of the crowd is left, and the broker serves."""
        self._wait_until_gone()
        serves(self.rabbitmq)
        self._wait_until_gone()
        self._forget()
        assert self.rabbitmq._clock._listeners == {}
        assert len(self.rabbitmq._broker.connections) == 1, "the test's own"
        self.rabbitmq._broker.check()
        self._check_memory()
        left = threading.active_count(), descriptors()
        self._before = self._before or left
        assert left == self._before, f"{left} threads and descriptors, and {self._before} before"

    def _wait_until_gone(self) -> None:
        server = self.rabbitmq._network._running
        assert server is not None
        give_up = monotonic() + PATIENCE
        while server._in_loop(lambda: len(server._connections)) or self.rabbitmq._broker.connections[1:]:
            assert monotonic() < give_up, f"still connected: {server._connections}"
            self.rabbitmq._clock.wait(0.01)

    def _forget(self) -> None:
        """What clients leave behind on purpose, and what the fake remembers for the test."""
        vhost = self.rabbitmq._broker.vhost()
        with self.rabbitmq._clock.lock:
            for queue in list(vhost.queues.values()):
                vhost.delete(queue)
            for exchange in list(vhost.exchanges.values()):
                for binding in list(exchange.bindings.values()):
                    vhost.unbind(exchange, binding)
                there = exchange.name in vhost.exchanges  # else it went with the last of its bindings
                if there and exchange.name and not exchange.name.startswith("amq."):
                    vhost.delete_exchange(exchange)
            self.rabbitmq._clock.observe()
        self.rabbitmq.reset()

    def _check_memory(self) -> None:
        gc.collect()
        kept = [session for session in _sessions() if session not in self._of_others]
        assert len(kept) <= 1, f"{len(kept)} sessions are kept"  # the last one, until another comes
        self._objects.append(len(gc.get_objects()))
        self.counts["objects more"] = self._objects[-1] - self._objects[0]
        assert self.counts["objects more"] < _GROWTH, f"objects round by round: {self._objects}"


def _sessions() -> list[Session]:
    return [each for each in gc.get_objects() if isinstance(each, Session)]


def serves(rabbitmq: RabbitMQ) -> None:
    """A good client declares, publishes with a confirm, gets, and closes."""
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.confirm_delivery()
        channel.basic_publish("", queue, b"7")
        assert channel.basic_get(queue, auto_ack=True)[2] == b"7"


def descriptors() -> int:
    """How many files and sockets this process has open, where that can be counted."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def stay_connected(rabbitmq: RabbitMQ, random: Random) -> list[socket.socket]:
    """Clients that are there when the server closes: in the middle of anything, TLS's handshake too."""
    address = rabbitmq.host, rabbitmq.port
    secure = rabbitmq._network.address(rabbitmq._tls.server_context())
    clients = [socket.create_connection(each) for each in (address, address, secure, secure)]
    clients[1].sendall(b"".join(fuzz_programs.program(random, 5)))
    clients[3].sendall(b"\x16\x03\x01")
    deaf = socket.create_connection(address)
    deaf.setblocking(False)
    with suppress(BlockingIOError):
        deaf.send(b"".join(_greedy()))
    return [*clients, deaf]


@contextmanager
def nothing_said() -> Iterator[None]:
    """Fail for what asyncio logs, for warnings, and for what cannot be raised."""
    said: list[str] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(self.format(record))

    def unraisable(what: Any) -> None:
        said.append(f"{what.err_msg}: {what.exc_value!r} {what.object!r}")

    handler, hook = Note(logging.WARNING), sys.unraisablehook
    logging.getLogger("asyncio").addHandler(handler)
    sys.unraisablehook = unraisable
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
            gc.collect()
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
        sys.unraisablehook = hook
    assert not said, "\n".join(said)


def fuzz_sockets(seed: int, until: Callable[[int], bool], clients: int = 200) -> Counter[str]:
    """Rounds until told to stop, then the end with clients still there; what was done. AssertionError when something is left."""
    random = Random(seed)  # noqa: S311 - no secret
    threads, files = threading.active_count(), descriptors()
    with nothing_said():
        with RabbitMQ() as rabbitmq:
            crowd = Crowd(rabbitmq)
            crowd.check()
            while not until(crowd.counts["rounds"]):
                crowd.round(random, clients)
                crowd.check()
                crowd.counts["rounds"] += 1
            staying = stay_connected(rabbitmq, random)
        for client in staying:
            client.close()
    assert (threading.active_count(), descriptors()) == (threads, files)
    return crowd.counts
