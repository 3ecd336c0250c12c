"""What a test looks at: a queue, and the messages that were published or returned.

Views read and never keep: a ``QueueView`` shows the queue as it is now. What they may do besides
(purge, get) goes through the front, like every verb.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar, overload

from simbus.rabbitmq.consumers import Consumer
from simbus.rabbitmq.delays import DelayRouter
from simbus.rabbitmq.errors import not_found
from simbus.rabbitmq.fake.messages import Message, PublishedMessage, ReturnedMessage
from simbus.rabbitmq.fields import compared_as_number
from simbus.rabbitmq.headers import headers_match
from simbus.rabbitmq.messages import Copy
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.topics import topic_matches
from simbus.rabbitmq.virtual_host import VirtualHost
from simbus.trace import elapsed

M = TypeVar("M", PublishedMessage, ReturnedMessage)


class Verbs(Protocol):
    """What a queue's view asks of the front."""

    def purge(self, queue: str, /) -> int:
        """Remove what is ready."""

    def get(self, queue: str, /, *, no_ack: bool) -> Message | None:
        """Take the head."""

    def looking(self) -> AbstractContextManager[None]:
        """Nothing changes meanwhile, in no thread."""


class QueueView(Sequence[Message]):
    """A queue, as a read-only sequence of its ready messages, the head first; equal to a list of them.

    Of a stream it shows all that the stream holds, whoever has read it; ``unacked`` is what its consumers have not settled.

    Attributes:
        name: the queue's name.
    """

    def __init__(self, name: str, vhost: VirtualHost, verbs: Verbs) -> None:
        self.name = name
        self._vhost = vhost
        self._verbs = verbs
        self._queue()

    @property
    def ready(self) -> int:
        """How many messages wait to be delivered."""
        with self._verbs.looking():
            return len(self._queue().ready)

    @property
    def unacked(self) -> int:
        """How many are delivered and not yet settled."""
        with self._verbs.looking():
            return self._queue().unsettled

    @property
    def depth(self) -> int:
        """Ready and unacked together."""
        with self._verbs.looking():
            return self._queue().depth

    @property
    def messages(self) -> list[Message]:
        """The ready messages, as a list that no longer changes."""
        return list(self)

    def get(self, *, no_ack: bool = False) -> Message | None:
        """Take the head, or None when nothing is ready.

        It stays unacked until its ``ack()``, ``nack()`` or ``reject()``; with ``no_ack`` it is settled at once.
        """
        return self._verbs.get(self.name, no_ack=no_ack)

    def purge(self) -> int:
        """Remove the ready messages, without dead-lettering; their number."""
        return self._verbs.purge(self.name)

    def __len__(self) -> int:
        return self.ready

    @overload
    def __getitem__(self, index: int) -> Message: ...

    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...

    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return list(self)[index]

    def __iter__(self) -> Iterator[Message]:
        with self._verbs.looking():
            copies = list(self._queue().ready)
        return (looked_at(copy, self.name) for copy in copies)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, list | tuple | QueueView) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        with self._verbs.looking():
            if self.name not in self._vhost.queues:
                return f"<queue {self.name}: gone>"
            unacked = f", {self.unacked} unacked" if self.unacked else ""
            return f"<queue {self.name}: {self.ready} ready{unacked} {list(self)!r}>"

    def _queue(self) -> Queue:
        if self.name not in self._vhost.queues:
            raise not_found(f"no queue '{self.name}' in vhost '{self._vhost.name}'")
        return self._vhost.queues[self.name]


def looked_at(copy: Copy, queue: str) -> Message:
    """A message that lies in a queue."""
    return Message(copy.message, queue, copy.attempts > 0, copy.delivery_count, copy.id)


def table(vhost: VirtualHost) -> list[str]:
    """The queues of a virtual host, a row each, in aligned columns."""
    rows = [("queue", "type", "ready", "unacked", "consumers")]
    for queue in vhost.queues.values():
        consumers = ", ".join(_about(consumer) for consumer in queue.consumers)
        rows.append((queue.name, queue.options.type, str(len(queue.ready)), str(queue.unsettled), consumers or "–"))
    wide = [max(len(row[column]) for row in rows) for column in range(4)]
    return [f"{n:<{wide[0]}}  {t:<{wide[1]}}  {r:>{wide[2]}}  {u:>{wide[3]}}  {c}" for n, t, r, u, c in rows]


def _about(consumer: Consumer) -> str:
    """``charge (prefetch 10, priority 5)``."""
    notes = [f"{what} {number}" for what in ("prefetch", "priority") if (number := getattr(consumer, what))]
    if consumer.waits:
        notes.append("waits to be the single active one")
    return consumer.tag + (f" ({', '.join(notes)})" if notes else "")


def kept_back(vhost: VirtualHost) -> list[str]:
    """What no row of the table shows: messages that exchanges delay, and dead letters that no queue takes."""
    lines = [*_delayed(vhost), *_dying(vhost)]
    return ["", *lines] if lines else []


def _delayed(vhost: VirtualHost) -> Iterator[str]:
    for exchange in vhost.exchanges.values():
        router = exchange.router
        if isinstance(router, DelayRouter) and router.next_due is not None:
            wait = elapsed(router.next_due - vhost.node.now)
            yield f"exchange {exchange.name} delays {router.kept}; the next goes on in {wait}"


def _dying(vhost: VirtualHost) -> Iterator[str]:
    for queue in vhost.queues.values():
        if queue.next_try is not None:
            wait = elapsed(queue.next_try - vhost.node.now)
            yield f"queue {queue.name} keeps {len(queue.dying)} that no dead-letter queue takes; tried again in {wait}"


class Messages(Sequence[M], Generic[M]):
    """Messages in the order in which they were published or returned; call it to pick some of them."""

    def __init__(self, messages: Sequence[M]) -> None:
        self._messages: Sequence[M] = messages

    def __call__(
        self,
        *,
        exchange: str | None = None,
        routing_key: str | None = None,
        queue: str | None = None,
        headers: Mapping[str, object] | None = None,
        where: Callable[[M], object] | None = None,
    ) -> "Messages[M]":
        """Those for which everything that is given holds.

        Args:
            exchange: the exchange's name.
            routing_key: a topic pattern, whatever the exchange's type: ``*`` is one word, ``#`` any number.
            queue: the name of a queue that it was routed to.
            headers: headers that it has, among others; a value of None asks for presence only.
            where: any condition, such as ``lambda message: message.json()["order"] == 7``.
        """
        conditions: list[Callable[[M], object]] = [] if where is None else [where]
        if exchange is not None:
            conditions.append(lambda message: message.exchange == exchange)
        if routing_key is not None:
            conditions.append(lambda message: topic_matches(routing_key, message.routing_key))
        if queue is not None:
            conditions.append(lambda message: queue in getattr(message, "queues", ()))
        if headers is not None:
            wanted = {"x-match": "all-with-x", **headers}
            conditions.append(lambda message: headers_match(wanted, message.headers, compared_as_number))
        return Messages([message for message in self._messages if all(holds(message) for holds in conditions)])

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> M: ...

    @overload
    def __getitem__(self, index: slice) -> list[M]: ...

    def __getitem__(self, index: int | slice) -> M | list[M]:
        return list(self._messages[index]) if isinstance(index, slice) else self._messages[index]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, list | tuple | Messages) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return repr(list(self._messages))


class Noted(Sequence[M], Generic[M]):
    """Effects of one kind, each shown as a message when someone looks.

    A test may cause thousands and look at one; making the messages at once took a seventh of the server's time for a publish.

    Args:
        shown: makes a message of an effect.
    """

    def __init__(self, shown: Callable[[Any], M]) -> None:
        self._shown: Callable[[Any], M] = shown
        self.effects: list[Any] = []

    def clear(self) -> None:
        """Forget them."""
        self.effects.clear()

    def __len__(self) -> int:
        return len(self.effects)

    @overload
    def __getitem__(self, index: int) -> M: ...

    @overload
    def __getitem__(self, index: slice) -> list[M]: ...

    def __getitem__(self, index: int | slice) -> M | list[M]:
        found = self.effects[index]
        return [self._shown(effect) for effect in found] if isinstance(found, list) else self._shown(found)
