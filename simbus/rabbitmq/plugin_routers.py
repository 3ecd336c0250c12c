"""How the exchanges of RabbitMQ's plug-ins route: by a hash, by chance, to all with a memory, and with a delay.

Which destination a hash leads to is stable, and spread over the destinations as the plug-ins spread it; it is not the one
that they take, which Erlang's own hash decides. Chance is handed in: a function that answers a number below another.
"""

from abc import abstractmethod
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from itertools import accumulate
from operator import attrgetter
from typing import Any

from simbus.rabbitmq.chance import Draw
from simbus.rabbitmq.fields import frozen
from simbus.rabbitmq.messages import Message
from simbus.rabbitmq.numerals import whole
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routers import FanoutRouter
from simbus.rabbitmq.routing import NOWHERE, Binding, Exchange, Identity, Route, Router, route_to

HASH_HEADER, HASH_PROPERTY = "hash-header", "hash-property"
HISTORY_LENGTH, NO_STORE = "x-recent-history-length", "x-recent-history-no-store"
USUAL_HISTORY_LENGTH = 20

_MASK = 2**64 - 1


def stable_hash(value: object) -> int:
    """64 bits of a field-table value, the same in every process."""
    return int.from_bytes(blake2b(repr(frozen(value)).encode(), digest_size=8).digest())


def jump_hash(key: int, buckets: int) -> int:
    """The bucket of a key, such that one more bucket takes keys from all others alike (Lamping and Veach 2014)."""
    bucket, further = 0, 0
    while further < buckets:
        bucket = further
        key = (key * 2862933555777941757 + 1) & _MASK
        further = int((bucket + 1) * (2**31 / ((key >> 33) + 1)))
    return bucket


class ConsistentHashRouter(Router):
    """To one destination, by the hash of the first routing key, of a header or of a property.

    A destination has as many buckets as its first binding says; another binding to it means nothing, and takes all
    buckets with it when it goes (observed on 4.0.5 and 3.10.8). Messages without that header or property share a hash.
    """

    __slots__ = ("_buckets", "_read", "_ring")

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._buckets: dict[tuple[str, str], tuple[int, Queue | Exchange]] = {}
        self._ring: tuple[list[int], list[Route]] | None = None
        self._read = _hashed_part(arguments)

    def add(self, binding: Binding) -> None:
        """Give a new destination its buckets, behind all others."""
        self._buckets.setdefault(binding.identity[:2], (whole(binding.routing_key), binding.destination))
        self._ring = None

    def remove(self, binding: Binding) -> None:
        """Take all buckets from a destination."""
        self._buckets.pop(binding.identity[:2], None)
        self._ring = None

    def route(self, message: Message) -> Route:
        """To the destination whose bucket it is."""
        if not self._buckets:
            return NOWHERE
        if self._ring is None:
            ends = list(accumulate(weight for weight, _ in self._buckets.values()))
            self._ring = ends, [route_to([destination]) for _, destination in self._buckets.values()]
        ends, routes = self._ring
        return routes[bisect(ends, jump_hash(stable_hash(self._read(message)), ends[-1]))]


def _hashed_part(arguments: Mapping[str, Any]) -> Callable[[Message], object]:
    header, name = arguments.get(HASH_HEADER), arguments.get(HASH_PROPERTY)
    if header is not None:
        return lambda message: message.headers.get(header)
    if name is not None:
        return attrgetter(f"properties.{name}")
    return attrgetter("routing_key")


class OneOfAllRouter(Router):
    """One that picks one of its bindings, which stand in the order of their keys."""

    __slots__ = ("_bindings", "_routes")

    def __init__(self) -> None:
        self._bindings: dict[Identity, Binding] = {}
        self._routes: list[Route] | None = None

    def add(self, binding: Binding) -> None:
        """One more to pick from."""
        self._bindings[binding.identity] = binding
        self._routes = None

    def remove(self, binding: Binding) -> None:
        """One less to pick from."""
        del self._bindings[binding.identity]
        self._routes = None

    def route(self, message: Message) -> Route:
        """To the one that is picked."""
        if not self._bindings:
            return NOWHERE
        if self._routes is None:
            in_order = sorted(self._bindings.values(), key=lambda binding: (binding.routing_key, repr(binding.identity)))
            self._routes = [route_to([binding.destination]) for binding in in_order]
        return self._routes[self.pick(message, len(self._routes))]

    @abstractmethod
    def pick(self, message: Message, count: int) -> int:
        """Which of so many, from 0."""


class ModulusHashRouter(OneOfAllRouter):
    """To one binding, by the hash of all routing keys."""

    __slots__ = ()

    def pick(self, message: Message, count: int) -> int:
        """By the remainder."""
        return stable_hash(message.routing_keys) % count


class RandomRouter(OneOfAllRouter):
    """To one binding, by chance."""

    __slots__ = ("_draw",)

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self._draw = draw

    def pick(self, message: Message, count: int) -> int:
        """Whichever is drawn."""
        return self._draw(count)


class RecentHistoryRouter(FanoutRouter):
    """To all bindings; a new one gets the latest messages, however its destination would route them."""

    __slots__ = ("_history",)

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self._history: deque[Message] = deque(maxlen=arguments.get(HISTORY_LENGTH, USUAL_HISTORY_LENGTH))

    def route(self, message: Message) -> Route:
        """To all, and it is kept, unless its header forbids it."""
        route = super().route(message)
        return route if message.headers.get(NO_STORE) is True else replace(route, keepers=(self,))

    def keep(self, message: Message) -> None:
        """As the latest."""
        self._history.append(message)

    def greeting(self, binding: Binding) -> Iterator[Message]:
        """The latest messages: a queue gets them in their order, an exchange in the reverse one (observed)."""
        return reversed(self._history) if binding.to_exchange else iter(self._history)

    def forget(self) -> None:
        """What is kept is kept in memory."""
        self._history.clear()
