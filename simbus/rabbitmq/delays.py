"""The exchange of the plug-in rabbitmq_delayed_message_exchange: it keeps a message for the milliseconds in its header x-delay.

As the plug-in's documentation and source say; this exchange was not held against a real broker, which is not shipped with it.
A message that is kept reaches no queue yet: a mandatory one is returned, and an alternate exchange gets it at once.
When its time has come it is routed by the exchange of that name, whatever is bound to it then, with ``x-delay`` negated.
"""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import Any

from simbus.rabbitmq.effects import Delayed
from simbus.rabbitmq.errors import internal_error
from simbus.rabbitmq.fields import Byte, Long, Timestamp
from simbus.rabbitmq.messages import Message
from simbus.rabbitmq.node import Node
from simbus.rabbitmq.numerals import is_whole, whole
from simbus.rabbitmq.routing import Binding, Route, Router
from simbus.units import MILLISECOND

DELAY = "x-delay"
DELAYED_TYPE = "x-delayed-type"

LONGEST_DELAY_MS = 2**32 - 1


class DelayRouter(Router):
    """Routes as an exchange of another type, its ``inner`` router, once a message's time has come."""

    __slots__ = ("_due", "_keeping", "_kept", "_node", "exchange", "index", "inner", "vhost", "wake_at")

    def __init__(self, exchange: str, vhost: str, inner: Router, node: Node) -> None:
        node.queues += 1
        self.exchange, self.vhost, self.index = exchange, vhost, node.queues
        self.inner, self._node = inner, node
        self.wake_at: int | None = None
        self._due: list[tuple[int, int, Message]] = []
        self._kept = 0
        self._keeping = Route((), (), keepers=(self,))

    def add(self, binding: Binding) -> None:
        """Of the inner router."""
        self.inner.add(binding)

    def remove(self, binding: Binding) -> None:
        """Of the inner router."""
        self.inner.remove(binding)

    def route(self, message: Message) -> Route:
        """Nowhere yet, or as the inner router does."""
        return self._keeping if delay_of(message.headers) else self.inner.route(message)

    def keep(self, message: Message) -> None:
        """Until its time has come; those of one instant stay in order."""
        until = self._node.now + delay_of(message.headers) * MILLISECOND
        self._kept += 1
        heappush(self._due, (until, self._kept, message))
        self._node.effects.append(Delayed(self._node.now, message.id, self.exchange, until))
        self._node.deadlines.wake(self, until)

    def greeting(self, binding: Binding) -> Iterator[Message]:
        """Of the inner router."""
        return self.inner.greeting(binding)

    def forget(self) -> None:
        """Of the inner router; what is kept here is on disk."""
        self.inner.forget()

    def empty(self) -> None:
        """Here too."""
        self._node.deadlines.forget(self)
        self._due.clear()
        self.inner.empty()

    @property
    def kept(self) -> int:
        """How many messages it keeps."""
        return len(self._due)

    @property
    def next_due(self) -> int | None:
        """When the next message is to go on."""
        return self._due[0][0] if self._due else None

    def take_due(self) -> list[Message]:
        """The messages whose time has come, as they go on."""
        taken = []
        while self._due and self._due[0][0] <= self._node.now:
            message = heappop(self._due)[2]
            taken.append(message.with_headers({**message.headers, DELAY: Long(-delay_of(message.headers))}))
        if self._due:
            self._node.deadlines.wake(self, self._due[0][0])
        return taken


def delay_of(headers: Mapping[str, Any]) -> int:
    """The milliseconds for which a message is kept, 0 for none: also when x-delay is negative, too large, or no number.

    Raises:
        ConnectionError: 541 for a text that is no whole number, at which the plug-in stumbles.
    """
    value = headers.get(DELAY)
    if isinstance(value, str | bytes):
        value = _number_in(value)
    if not isinstance(value, int | float) or isinstance(value, bool | Byte | Timestamp):
        return 0
    return int(value) if 1 <= value <= LONGEST_DELAY_MS else 0


def _number_in(value: str | bytes) -> int:
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    if not is_whole(text):
        raise internal_error()
    return whole(text)
