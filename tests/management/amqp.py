"""What clients do over AMQP in the conversations with the management API, written with pika."""

from typing import Any
from urllib.parse import quote

import pika


class Clients:
    """One connection at a time, in the conversation's virtual host."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._channels: dict[int, Any] = {}
        self._bodies: list[bytes] = []
        self.learned: dict[str, str] = {}

    def connect(self, name: str) -> None:
        parameters = pika.URLParameters(self._url)
        parameters.client_properties = {"connection_name": name}
        self._connection = pika.BlockingConnection(parameters)
        here, there = self._ends()
        self.learned["connection"] = f"{here[0]}:{here[1]} -> {there[0]}:{there[1]}"

    def _ends(self) -> tuple[Any, Any]:
        socket = self._connection._impl._transport._sock
        return socket.getsockname(), socket.getpeername()

    def channel(self, number: int) -> None:
        self._channels[number] = self._connection.channel(number)

    def qos(self, number: int, prefetch: int) -> None:
        self._channels[number].basic_qos(prefetch_count=prefetch)

    def confirm(self, number: int) -> None:
        self._channels[number].confirm_delivery()

    def declare_exclusive(self, number: int, queue: str) -> None:
        self._channels[number].queue_declare(queue, exclusive=True)

    def consume(self, number: int, queue: str, tag: str, arguments: Any = None, exclusive: bool = False) -> None:
        self._channels[number].basic_consume(
            queue, lambda *got: self._bodies.append(got[3]), consumer_tag=tag, arguments=arguments, exclusive=exclusive
        )

    def expect(self, body: bytes) -> None:
        """The consumer gets just this message."""
        for _ in range(100):
            if self._bodies:
                break
            self._connection.process_data_events(0.1)
        assert self._bodies.pop(0) == body

    def closed(self) -> tuple[int, str]:
        """The connection is closed by the broker: with which code and text."""
        try:
            for _ in range(100):
                self._connection.process_data_events(0.1)
        except pika.exceptions.ConnectionClosedByBroker as closed:
            self._connection = None
            return closed.reply_code, closed.reply_text
        raise AssertionError("the broker does not close the connection")

    def close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    def fill(self, path: str) -> str:
        """A path with what has been learned in its places."""
        for name, value in self.learned.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return path
