"""What faults can befall: the operations of a connection by name, and the scene of one that is about to happen.

An operation is a method that the client sends, by AMQP's name, or one that the server sends; where both send one of
that name, the server's is ``server basic.ack``. Beside them are ``connect`` (a socket was accepted),
``protocol-header``, and ``heartbeat`` in both directions. What befalls them is in ``actions``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from simbus.effects import Delivered
from simbus.rabbitmq.amqp.errors import ProtocolError
from simbus.rabbitmq.amqp.line import Line
from simbus.rabbitmq.amqp.methods import CLIENT, EITHER, METHODS, SERVER, Method
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel

CONNECT, PROTOCOL_HEADER = "connect", "protocol-header"
HEARTBEAT_OF_CLIENT, HEARTBEAT_OF_SERVER = "heartbeat", "server heartbeat"


def name_when_said(method: Method) -> str:
    """The operation of a method that the server sends."""
    return f"server {method.name}" if method.sent_by == EITHER else method.name


ASKED = {CONNECT, PROTOCOL_HEADER, HEARTBEAT_OF_CLIENT, *(m.name for m in METHODS if m.sent_by in {CLIENT, EITHER})}
NAMES_A_QUEUE = {"basic.deliver", *(m.name for m in METHODS if m.sent_by == CLIENT and ("queue", "shortstr") in m.arguments)}
SAID = {HEARTBEAT_OF_SERVER, *(name_when_said(m) for m in METHODS if m.sent_by in {SERVER, EITHER})}


class Driver(Protocol):
    """What actions ask of the broker's driver, who holds the lock."""

    broker: Broker

    def soon(self, act: Callable[[], None], nanoseconds: int = 0) -> None:
        """Run ``act`` in a turn of its own, after that much of the transport's time."""

    def observe(self) -> None:
        """Take what verbs have caused, and tell the listeners."""

    def restart(self) -> None:
        """Restart the broker; only from ``soon``."""


@dataclass(slots=True)
class Scene:
    """An operation that is about to happen on one connection.

    Attributes:
        operation: its name.
        go_on: lets it happen: serves what was asked, or says what was to be said.
        line: the way to the client.
        driver: of the broker.
        hang_up: ends the session; only from ``soon``.
        settle: says everything that has happened until now.
        refuse: answers what was asked with a reply code and a text; ProtocolError when that ends the connection.
        forget_confirm: what ``go_on`` made to be confirmed is not.
        channel: the model's, where there is one.
        queue: the name of the queue that it names or that it comes from.
        delivered: the delivery, when it is one.
        consumer_tag: of the consumer that it concerns.
    """

    operation: str
    go_on: Callable[[], None]
    line: Line
    driver: Driver
    hang_up: Callable[[], None]
    settle: Callable[[], None]
    refuse: Callable[[ProtocolError], None] | None = None
    forget_confirm: Callable[[], None] | None = None
    channel: Channel | None = None
    queue: str = ""
    delivered: Delivered | None = None
    consumer_tag: str = ""

    @property
    def asked(self) -> bool:
        """Whether the client asks it, rather than the server saying it."""
        return self.refuse is not None

    def soon(self, act: Callable[[], None]) -> None:
        """Do this in a turn of its own; of what the client has sent, nothing more is served before."""

        def acted() -> None:
            act()
            self.driver.observe()
            self.line.release()

        self.line.stall(None)
        self.driver.soon(acted)
