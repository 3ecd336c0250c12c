"""The management API of a simbus in memory, for programs that ask it: no client of its own, no sockets, no names of nodes."""

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from simbus.effects import Effect
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.management.api import respond
from simbus.rabbitmq.management.driver import Client, Listener
from simbus.rabbitmq.management.http import Request
from tests.wire import Wire

_HEADERS = {"authorization": f"Basic {b64encode(b'guest:guest').decode()}", "content-type": "application/json"}


class Operator:
    """Who drives the broker, as the API sees it; connections are not shown to it."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self.broker = wire, wire.broker

    def ask(self, vhost: str, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and body of the answer, after which everything has happened that follows."""
        target = path.replace("{vhost}", quote(vhost, ""))
        octets = b"" if body is None else json.dumps(body).encode()
        response = respond(self, Request(method, target, _HEADERS, octets))
        self.observe()
        text = response.body.decode()
        return response.status, json.loads(text) if text[:1] in ("{", "[") else text

    def clients(self) -> Sequence[Client]:
        return ()

    def listeners(self) -> Sequence[Listener]:
        return ()

    def force_close(self, closed: Sequence[Connection], text: str) -> None:
        for session in self._wire.sessions:
            if session.connection in closed:
                session.force_close(text)

    def listen(self, channel: int, listener: Callable[[Effect], None]) -> None:
        self._wire.listen(channel, listener)

    def detach(self, channel: int) -> None:
        self._wire.detach(channel)

    def observe(self) -> None:
        self._wire.observe()
