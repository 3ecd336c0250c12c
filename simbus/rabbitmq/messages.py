"""What flows: messages, and their copies in queues.

A ``Message`` is content: it never changes once it exists, so that queues, effects and traces may
share it. Dead-lettering makes a new content with the same id. A ``Copy`` is one message in one
queue, the unit of the ledger; it alone carries state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from simbus.rabbitmq.properties import Properties


class MoreKeys(NamedTuple):
    """The keys besides a message's routing key, those of CC first; ``hidden`` are those of BCC."""

    keys: tuple[str, ...]
    hidden: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Death:
    """One entry of x-death: how often a message died in ``queue`` for ``reason``.

    ``time`` is that of the first such death, in whole seconds; ``exchange`` and ``routing_keys``
    are those it was published with then, ``original_expiration`` the expiration it had.
    """

    queue: str
    reason: str
    count: int
    time: int
    exchange: str
    routing_keys: tuple[str, ...]
    original_expiration: str | None = None


@dataclass(slots=True)
class Message:
    """What a publisher sent, or what dead-lettering made of it; treat as immutable.

    ``id`` is the ledger's and comes from a counter (the AMQP property is ``properties.message_id``);
    ``ttl`` is ``properties.expiration`` in nanoseconds; ``more_keys`` are those of CC and BCC; ``deaths`` has the latest first.
    The ``body`` of a modelled one is a view of zeros that all share.
    ``failures`` and ``redelivered`` are what earlier quorum queues tell, see :class:`Copy`.
    """

    id: int
    exchange: str
    routing_key: str
    properties: Properties
    body: bytes | memoryview
    ttl: int | None = None
    more_keys: MoreKeys | None = None
    deaths: tuple[Death, ...] = ()
    first_death: Death | None = None
    failures: int = 0
    redelivered: bool = False

    @property
    def address(self) -> str:
        """Exchange and routing key for people: ``bookstore.exchange/order.placed``."""
        return f"{self.exchange or '(default exchange)'}/{self.routing_key}"

    @property
    def size(self) -> int:
        """Octets of the body."""
        return len(self.body)

    @property
    def type(self) -> str:
        """The property of that name: what sort of message it is, empty when it does not say."""
        return self.properties.type or ""

    @property
    def headers(self) -> Mapping[str, Any]:
        """The headers, empty when there are none."""
        return self.properties.headers or {}

    @property
    def routing_keys(self) -> tuple[str, ...]:
        """All keys that it is routed by, each once."""
        more = self.more_keys
        return (self.routing_key,) if more is None else tuple(dict.fromkeys((self.routing_key, *more.keys)))

    def with_headers(self, headers: Mapping[str, Any]) -> "Message":
        """The same message under other headers."""
        return replace(self, properties=replace(self.properties, headers=headers))


@dataclass(slots=True)
class Copy:
    """A message in one queue.

    ``position`` orders a queue's copies as they were enqueued; ``attempts`` counts deliveries,
    ``delivery_count`` unsuccessful ones (quorum queues); ``expires_at`` is fixed at the first enqueue, ``delivered_at`` is
    the latest delivery. ``failures`` counts what quorum queues of 4.0 tell one another when they dead-letter: rejections, and
    deliveries that were lost with their channel.
    """

    id: int
    message: Message
    parent_id: int = 0
    position: int = 0
    expires_at: int | None = None
    attempts: int = 0
    delivered_at: int = 0
    delivery_count: int = 0
    failures: int = 0


@dataclass(slots=True, eq=False)
class Dying:
    """A copy that is dead and stays in its queue until every queue that ``letter`` reaches has taken it (at-least-once).

    ``taken`` are the names of those that have, ``children`` the ids of their copies; ``next_try`` is in nanoseconds.
    """

    copy: Copy
    cause: str
    letter: Message | None
    next_try: int
    taken: set[str] = field(default_factory=set)
    children: tuple[int, ...] = ()
