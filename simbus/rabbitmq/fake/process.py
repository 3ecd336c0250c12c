"""RabbitMQ as a process of its own: what ``simbus.serve`` serves, on the wall clock.

There is no test here that looks at anything later, so nothing is kept that has happened: effects are shown to who
watches, and memory is what the broker's queues hold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from simbus.clock import VirtualClock, wall_time
from simbus.effects import Effect
from simbus.log import Line
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.fake import addresses
from simbus.rabbitmq.fake.lines import LINES
from simbus.rabbitmq.fake.management import Management
from simbus.rabbitmq.fake.network import Network
from simbus.rabbitmq.imported import import_broker
from simbus.rabbitmq.versions import V4_0

_PATIENCE = 1.0  # seconds that clients have to hang up


class Process:
    """A RabbitMQ node that is served; see :class:`simbus.dialect.Process`."""

    lines: ClassVar[Mapping[type, Line]] = LINES

    def __init__(
        self,
        host: str,
        port: int,
        definitions: Mapping[str, Any] | None = None,
        management_port: int | None = None,
        version: str = "",
    ) -> None:
        wall, version = wall_time(), version or V4_0.name
        self.title = f"RabbitMQ {version}"
        if definitions is None:
            self._broker = Broker(now=wall(), version=version)
        else:
            self._broker = import_broker(definitions, wall(), version=version)
        self._clock = VirtualClock(self._broker, wall=wall)
        self._network = Network(self._broker, self._clock, port, host)
        self._management = None if management_port is None else Management(self._network, self._clock, management_port, host)
        self._guest = self._broker.authenticate(*addresses.GUEST)
        self.open_to = (
            "and whoever reaches it may log in as guest with password guest"
            if self._guest
            else "and whoever reaches it may try to log in as a user of the definitions"
        )

    def watch(self, observer: Callable[[Sequence[Effect]], None]) -> None:
        """Show every effect to ``observer``."""
        self._clock.watch(observer)

    def listen(self) -> str:
        """Begin to listen; the URL, which names no user when guest is none."""
        host, port = self._network.address()
        names = self._broker.vhost_names
        vhost = addresses.VHOST if addresses.VHOST in names else names[0]
        return addresses.url("amqp", host, port, vhost, addresses.GUEST if self._guest else None)

    def listen_for_management(self) -> str | None:
        """The same for the management API, if it is wanted."""
        if self._management is None:
            return None
        return addresses.web_url(*self._management.address(), addresses.GUEST if self._guest else None)

    def close(self) -> None:
        """Close every connection as a broker that shuts down does, wait for the clients' answers, and stop."""
        if self._management is not None:
            self._management.close()
        with self._clock.lock:
            self._clock.catch_up()
            self._network.shut_down(self._broker.connections)
        self._network.await_the_end(_PATIENCE)
        self._network.close()
