"""What the management API is told by the one that drives the broker, and what it asks of that one.

Addresses, client properties and listeners are the transport's; the model does not know them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from simbus.effects import Effect
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.connections import Connection


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Listener(NamedTuple):
    """Where the broker, or this API, listens; the protocol in RabbitMQ's words."""

    protocol: str
    address: Address


@dataclass(frozen=True, slots=True)
class Client:
    """A client's connection, with what its session knows; ``since`` in nanoseconds since the epoch.

    ``channels`` are the broker's by the client's numbers; ``close`` ends the connection for a reason.
    """

    connection: Connection
    peer: Address
    here: Address
    tls: bool
    mechanism: str
    properties: Mapping[str, Any]
    channel_max: int
    frame_max: int
    heartbeat: int
    since: int
    blocked: bool
    channels: Mapping[int, Channel]
    close: Callable[[str], None]

    @property
    def name(self) -> str:
        """What RabbitMQ calls it: both ends."""
        return f"{self.peer} -> {self.here}"


class Driver(Protocol):
    """The broker's driver, who holds its lock whenever the API is asked."""

    broker: Broker

    def clients(self) -> Sequence[Client]:
        """Those that are connected, in the order of their connecting."""

    def listeners(self) -> Sequence[Listener]:
        """Where anyone listens."""

    def force_close(self, closed: Sequence[Connection], text: str) -> None:
        """Tell the clients of connections that an operator has ended why."""

    def listen(self, channel: int, listener: Callable[[Effect], None]) -> None:
        """Tell ``listener`` of this channel's effects whenever they are observed."""

    def detach(self, channel: int) -> None:
        """The channel is closed."""

    def observe(self) -> None:
        """Take what the last verb caused."""
