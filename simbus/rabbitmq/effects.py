"""The effects that only RabbitMQ has; those that all brokers share are in ``simbus.effects``.

The model leaves them, but for the last four: what happens to a client's connection on the wire its session notes.
"""

from dataclasses import dataclass
from typing import Any

from simbus.effects import OfNoCopy, OfNoMessage
from simbus.units import duration_text

NO_ROUTE = 312, "NO_ROUTE"
"""The reply code and text with which a message is returned (AMQP 0-9-1, section 1.1)."""


@dataclass(slots=True)
class Returned(OfNoCopy):
    """A mandatory message reached no queue and goes back to the channel that published it."""

    at: int
    message_id: int
    channel: int
    message: Any

    def describe(self) -> str:
        """``returned to its publisher: 312 NO_ROUTE``."""
        return f"returned to its publisher: {' '.join(map(str, NO_ROUTE))}"


@dataclass(slots=True)
class Delayed(OfNoCopy):
    """An exchange keeps a message back ``until`` a time (nanoseconds), when it routes it; it is in no queue meanwhile."""

    at: int
    message_id: int
    exchange: str
    until: int

    def describe(self) -> str:
        """``kept back by shop for 5 s``."""
        return f"kept back by {self.exchange} for {duration_text(self.until - self.at)}"


@dataclass(slots=True)
class ConsumerCancelled(OfNoMessage):
    """The broker ended a consumer because its queue is gone (basic.cancel sent by the server)."""

    at: int
    channel: int
    consumer_tag: str
    queue: str

    def describe(self) -> str:
        """``consumer c of a cancelled by the broker``."""
        return f"consumer {self.consumer_tag} of {self.queue} cancelled by the broker"


@dataclass(slots=True)
class Blocked(OfNoMessage):
    """The first resource alarm: connections that publish will wait (connection.blocked)."""

    at: int
    reason: str

    def describe(self) -> str:
        """``publishers blocked: low on memory``."""
        return f"publishers blocked: {self.reason}"


@dataclass(slots=True)
class Unblocked(OfNoMessage):
    """The last resource alarm is over."""

    at: int

    def describe(self) -> str:
        """``publishers unblocked``."""
        return "publishers unblocked"


@dataclass(slots=True)
class QueueDeclared(OfNoMessage):
    """A queue that did not exist before; ``connection`` is the name of whoever declared it."""

    at: int
    vhost: str
    queue: str
    type: str
    durable: bool
    connection: str

    def describe(self) -> str:
        """``queue a declared``."""
        return f"queue {self.queue} declared"


@dataclass(slots=True)
class QueueDeleted(OfNoMessage):
    """A queue is gone: ``cause`` is ``deleted``, ``expires``, or ``restart`` for one that is not durable."""

    at: int
    vhost: str
    queue: str
    cause: str

    def describe(self) -> str:
        """``queue a deleted``."""
        return f"queue {self.queue} deleted" + ("" if self.cause == "deleted" else f": {self.cause}")


@dataclass(slots=True)
class ConsumerStarted(OfNoMessage):
    """A client consumes a queue; ``prefetch`` 0 is unlimited."""

    at: int
    vhost: str
    queue: str
    consumer_tag: str
    prefetch: int
    connection: str

    def describe(self) -> str:
        """``consumer c of a started``."""
        return f"consumer {self.consumer_tag} of {self.queue} started"


@dataclass(slots=True)
class ConsumerEnded(OfNoMessage):
    """A client's consumer is no more: it was cancelled by the client, or its channel has ended."""

    at: int
    vhost: str
    queue: str
    consumer_tag: str

    def describe(self) -> str:
        """``consumer c of a ended``."""
        return f"consumer {self.consumer_tag} of {self.queue} ended"


@dataclass(slots=True)
class ConnectionOpened(OfNoMessage):
    """A client was let in; ``connection`` is its name."""

    at: int
    connection: str
    vhost: str
    user: str

    def describe(self) -> str:
        """``connection 127.0.0.1:40312 (billing) opened``."""
        return f"connection {self.connection} opened"


@dataclass(slots=True)
class ConnectionRefused(OfNoMessage):
    """A client was not let in: ``reason`` is an error's code and text, or what went wrong, in words."""

    at: int
    connection: str
    reason: str

    def describe(self) -> str:
        """``connection 127.0.0.1:40312 (billing) refused: 530 NOT_ALLOWED - vhost shop not found``."""
        return f"connection {self.connection} refused: {self.reason}"


@dataclass(slots=True)
class ConnectionClosed(OfNoMessage):
    """A connection that was open has ended; ``orderly`` when client or broker ended it in peace."""

    at: int
    connection: str
    reason: str
    orderly: bool

    def describe(self) -> str:
        """``connection 127.0.0.1:40312 (billing) closed: the client hung up``."""
        return f"connection {self.connection} closed: {self.reason}"


@dataclass(slots=True)
class ChannelClosed(OfNoMessage):
    """The broker closed a channel for a refused verb; ``number`` is the client's."""

    at: int
    connection: str
    number: int
    reason: str

    def describe(self) -> str:
        """``channel 1 of 127.0.0.1:40312 (billing) closed: 404 NOT_FOUND - no queue 'a' in vhost '/'``."""
        return f"channel {self.number} of {self.connection} closed: {self.reason}"
