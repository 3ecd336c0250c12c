"""The effects that only RabbitMQ has; those that all brokers share are in ``simbus.effects``."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(slots=True)
class Returned:
    """A mandatory message reached no queue and goes back to the channel that published it."""

    at: int
    message_id: int
    channel: int
    message: Any
    copy_id: ClassVar[int] = 0
    reply_code: ClassVar[int] = 312
    reply_text: ClassVar[str] = "NO_ROUTE"

    def describe(self) -> str:
        """``returned to its publisher: 312 NO_ROUTE``."""
        return f"returned to its publisher: {self.reply_code} {self.reply_text}"


@dataclass(slots=True)
class ConsumerCancelled:
    """The broker ended a consumer because its queue is gone (basic.cancel sent by the server)."""

    at: int
    channel: int
    consumer_tag: str
    queue: str
    message_id: ClassVar[int] = 0
    copy_id: ClassVar[int] = 0

    def describe(self) -> str:
        """``consumer c of a cancelled by the broker``."""
        return f"consumer {self.consumer_tag} of {self.queue} cancelled by the broker"


@dataclass(slots=True)
class Confirmed:
    """The broker answers for a message to the channel that published it in confirm mode.

    ``delivery_tag`` numbers the channel's messages from 1; ``ack`` is False when any queue refused it.
    Everything that the publish caused has come before: returns, deliveries, dead letters.
    """

    at: int
    message_id: int
    channel: int
    delivery_tag: int
    ack: bool
    copy_id: ClassVar[int] = 0

    def describe(self) -> str:
        """``confirmed to its publisher: ack 7``."""
        return f"confirmed to its publisher: {'ack' if self.ack else 'nack'} {self.delivery_tag}"


@dataclass(slots=True)
class Blocked:
    """The first resource alarm: connections that publish will wait (connection.blocked)."""

    at: int
    reason: str
    message_id: ClassVar[int] = 0
    copy_id: ClassVar[int] = 0

    def describe(self) -> str:
        """``publishers blocked: low on memory``."""
        return f"publishers blocked: {self.reason}"


@dataclass(slots=True)
class Unblocked:
    """The last resource alarm is over."""

    at: int
    message_id: ClassVar[int] = 0
    copy_id: ClassVar[int] = 0

    def describe(self) -> str:
        """``publishers unblocked``."""
        return "publishers unblocked"
