"""Where a program runs: a real RabbitMQ behind sockets, or simbus in memory on its virtual clock.

Both are a ``World``: it gives lines to its broker, lets time pass, and answers what is asked beside AMQP. Each program has
a world of its own; of a real broker that is a vhost, made and deleted over the management API, of which the next few are
kept ready. Real brokers are found through the environment:

    SIMBUS_ORACLE_URL_40, SIMBUS_ORACLE_URL_310   amqp://guest:guest@127.0.0.1:5674/; management answers on that port + 10000
    SIMBUS_ORACLE_CTL                             a command that is rabbitmqctl, such as ".ci/rabbitmq ctl {version}"
"""

import base64
import http.client
import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from simbus.units import MILLISECOND
from tests.differential.client import Line
from tests.differential.operated import Operator
from tests.wire import Wire

RELEASES = {"4.0": "4.0.5", "3.10": "3.10.8"}  # what is asked, by the name of simbus's version
VARIABLES = {"4.0": "SIMBUS_ORACLE_URL_40", "3.10": "SIMBUS_ORACLE_URL_310"}
AHEAD = 3  # vhosts that are kept ready
_SHORTAGES = {"disk": ["set_disk_free_limit", "1000GB"], "memory": ["set_vm_memory_high_watermark", "0"]}
_PLENTY = {"disk": ["set_disk_free_limit", "50MB"], "memory": ["set_vm_memory_high_watermark", "0.6"]}
EPOCH = 1_700_000_000 * 1_000_000_000


class Unmodelled(Exception):
    """simbus has no such door."""


class World(Protocol):
    """A broker for one program."""

    vhost: str
    hurried: bool  # nothing happens here without being asked

    def connect(self) -> Line:
        """A new line to it."""

    def wait(self, milliseconds: float) -> None:
        """Let time pass."""

    def http(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Ask the management API; ``{vhost}`` in the path is the program's."""

    def ctl(self, arguments: Sequence[str]) -> None:
        """Ask what rabbitmqctl can do."""

    def restart(self, seconds: float) -> None:
        """Stop the broker and start it again; both take so many seconds, or as many as they take."""

    def alarm(self, resources: Sequence[str]) -> None:
        """Let it be short of ``disk``, of ``memory``, of both, or of nothing."""

    def close(self) -> None:
        """Nobody needs it any more."""


# simbus


class MemoryLine:
    """A session in memory."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._session = wire, wire.session()
        self.ended = False

    def send(self, octets: bytes) -> None:
        if not self.ended:
            self._session.advance(self._wire.now)
            self._session.receive(octets)

    def receive(self, seconds: float) -> bytes:
        """Whatever it has to say; with nothing to do, sessions get their turn as in a transport's loop."""
        self._session.advance(self._wire.now)
        self._wire.observe()
        octets = self._session.bytes_to_send()
        self.ended = self._session.closed and not octets
        return octets

    def close(self) -> None:
        if not self.ended:
            self._session.connection_lost()
            self.ended = True


class Simbus:
    """simbus as that version."""

    hurried = True
    vhost = "/"

    def __init__(self, version: str) -> None:
        self.wire = Wire(version=version, now=EPOCH)

    def connect(self) -> MemoryLine:
        return MemoryLine(self.wire)

    def wait(self, milliseconds: float) -> None:
        self.wire.clock.run_until(self.wire.clock.now + int(milliseconds * MILLISECOND))

    def http(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        return Operator(self.wire).ask(self.vhost, method, path, body)

    def ctl(self, arguments: Sequence[str]) -> None:
        raise Unmodelled("rabbitmqctl has nothing to ask here")

    def restart(self, seconds: float) -> None:
        self.wire.restart()
        self.wait(seconds * 1000)

    def alarm(self, resources: Sequence[str]) -> None:
        broker, reasons = self.wire.broker, {f"low on {resource}" for resource in resources}
        for reason in sorted(reasons - broker.alarms):
            broker.block(reason)
        for reason in sorted(broker.alarms - reasons):
            broker.unblock(reason)
        self.wire.observe()
        self.wire.wait()  # who was held back goes on

    def close(self) -> None:
        """Nothing is left of it."""


# RabbitMQ


class SocketLine:
    """A real connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.ended = False
        self._socket = socket.create_connection(address, 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, octets: bytes) -> None:
        try:
            self._socket.settimeout(10)
            self._socket.sendall(octets)
        except OSError:
            self.ended = True

    def receive(self, seconds: float) -> bytes:
        try:
            self._socket.settimeout(max(seconds, 0.000_001))
            octets = self._socket.recv(1 << 16)
        except TimeoutError:
            return b""
        except OSError:
            octets = b""
        self.ended |= not octets
        return octets

    def close(self) -> None:
        self.ended = True
        self._socket.close()


class Oracle:
    """A real RabbitMQ, and a stock of fresh vhosts.

    Args:
        version: which, by simbus's name for it.
        url: where it is.
    """

    def __init__(self, version: str, url: str) -> None:
        self.version, self.release = version, RELEASES[version]
        parts = urlsplit(url)
        self.address = parts.hostname or "127.0.0.1", parts.port or 5672
        self._login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self._names = count(1)
        self._prefix = f"differential-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
        self._helper = ThreadPoolExecutor(1)
        self._http: dict[str, http.client.HTTPConnection] = {}
        self._ready: list[Future[str]] = []

    def _make(self) -> str:
        name = f"{self._prefix}-{next(self._names)}"
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        for path, body in ((f"vhosts/{name}", {}), (f"permissions/{name}/guest", everything)):
            status, said = self.ask("PUT", f"/api/{path}", body, who="helper")
            if status >= 400:
                raise ConnectionError(f"the management API answers PUT {path} with {status}: {said}")
        return name

    def world(self) -> "RealWorld":
        """A world for one program."""
        while len(self._ready) < AHEAD:
            self._ready.append(self._helper.submit(self._make))
        return RealWorld(self, self._ready.pop(0).result())

    def forget(self, vhost: str) -> None:
        """Delete a vhost, some time."""
        self._helper.submit(self.ask, "DELETE", f"/api/vhosts/{vhost}", None, who="helper")

    def rest(self) -> None:
        """Make and delete no vhosts just now."""
        self._helper.submit(bool).result()

    def close(self) -> None:
        """Delete what was kept ready; a vhost that could not be made is nothing to end a run for."""
        for future in self._ready:
            with suppress(OSError):
                self.forget(future.result())
        self._helper.shutdown()

    def ask(self, method: str, path: str, body: Any, who: str = "program") -> tuple[int, Any]:
        """Ask the management API."""
        headers = {"Authorization": f"Basic {self._login}", "Content-Type": "application/json"}
        host, port = self.address
        for _attempt in range(2):
            try:
                connection = self._http.setdefault(who, http.client.HTTPConnection(host, port + 10_000, timeout=60))
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                said = answer.read()
            except (http.client.HTTPException, OSError):
                self._http.pop(who).close()
            else:
                return answer.status, json.loads(said) if said[:1] in (b"{", b"[") else said.decode()
        raise ConnectionError(f"the management API of {host}:{port + 10_000} does not answer {method} {path}")


class RealWorld:
    """A vhost of a real RabbitMQ."""

    hurried = False

    def __init__(self, oracle: Oracle, vhost: str) -> None:
        self._oracle, self.vhost = oracle, vhost
        self._short: set[str] = set()

    def connect(self) -> SocketLine:
        return SocketLine(self._oracle.address)

    def wait(self, milliseconds: float) -> None:
        time.sleep(milliseconds / 1000)

    def http(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        return self._oracle.ask(method, path.replace("{vhost}", quote(self.vhost, "")), body)

    def ctl(self, arguments: Sequence[str]) -> None:
        template = os.environ["SIMBUS_ORACLE_CTL"].format(version=self._oracle.version)
        filled = [argument.replace("{vhost}", self.vhost) for argument in arguments]
        subprocess.run([*shlex.split(template), *filled], check=True, capture_output=True)

    def restart(self, seconds: float) -> None:
        began = time.monotonic()
        self._oracle.rest()
        self.ctl(["stop_app"])
        self.ctl(["start_app"])
        self._oracle.ask("GET", "/api/overview", None)
        left = began + seconds - time.monotonic() if seconds else 0
        if left < 0:
            raise TimeoutError(f"the restart took {-left:.1f} s longer than the program allows")
        time.sleep(left)

    def alarm(self, resources: Sequence[str]) -> None:
        wanted = set(resources)
        for resource in sorted(wanted ^ self._short):
            self.ctl(_SHORTAGES[resource] if resource in wanted else _PLENTY[resource])
        self._short = wanted

    def close(self) -> None:
        self.alarm([])
        self._oracle.forget(self.vhost)


def oracles() -> dict[str, Oracle]:
    """The real brokers that the environment names, by version."""
    urls = {version: os.environ.get(variable, "") for version, variable in VARIABLES.items()}
    return {version: Oracle(version, url) for version, url in urls.items() if url}
