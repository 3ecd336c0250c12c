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
