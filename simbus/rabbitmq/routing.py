"""Exchanges: which queues a message reaches.

An exchange knows its bindings and nothing of what its queues hold. Routing is a pure function of
the bindings and the message; its answer is remembered per routing key, because a publisher uses
few keys and a topic's patterns are slow to match. Queues are answered in the order of their
declaration, so that the order of binding cannot be seen.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simbus.rabbitmq.arguments import field_type
from simbus.rabbitmq.errors import precondition_failed
from simbus.rabbitmq.queues import Queue

# Answers remembered for one exchange; beyond it the memory starts anew (a limit for keys like order.<uuid>).
MOST_REMEMBERED_KEYS = 10_000

ALTERNATE_EXCHANGE = "alternate-exchange"

_MATCHES = ("all", "any", "all-with-x", "any-with-x")


class Route(NamedTuple):
    """The queues that a message reaches, and their names."""

    queues: tuple[Queue, ...]
    names: tuple[str, ...]


NOWHERE = Route((), ())


@dataclass(slots=True)
class Binding:
    """From an exchange to a queue; two bindings are one when all four of its parts are equal."""

    queue: Queue
    routing_key: str
    arguments: Mapping[str, Any]

    def identity(self) -> tuple[str, str, object]:
        """What makes two bindings of one exchange the same."""
        return self.queue.name, self.routing_key, frozen(self.arguments)


@dataclass(slots=True)
class Exchange:
    """An exchange of one vhost and the bindings of which it is the source."""

    name: str
    type: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bindings: dict[tuple[str, str, object], Binding] = field(default_factory=dict)
    _remembered: dict[str, Route] = field(default_factory=dict)

    def bind(self, binding: Binding) -> None:
        """Add a binding; a second equal one changes nothing."""
        self.bindings.setdefault(binding.identity(), binding)
        self._remembered.clear()

    def unbind(self, binding: Binding) -> bool:
        """Remove a binding; False when there was none."""
        self._remembered.clear()
        return self.bindings.pop(binding.identity(), None) is not None

    def unbind_queue(self, queue: Queue) -> bool:
        """Remove every binding to a queue that goes away; False when there was none."""
        self._remembered.clear()
        gone = [identity for identity, binding in self.bindings.items() if binding.queue is queue]
        for identity in gone:
            del self.bindings[identity]
        return bool(gone)

    def route(self, routing_key: str, headers: Mapping[str, Any]) -> Route:
        """The queues that a message with this key and these headers reaches, each once."""
        if self.type == "headers":  # headers are no key to remember an answer by
            return self._match(routing_key, headers)
        route = self._remembered.get(routing_key)
        if route is None:
            if len(self._remembered) >= MOST_REMEMBERED_KEYS:
                self._remembered.clear()
            route = self._remembered[routing_key] = self._match(routing_key, headers)
        return route

    def _match(self, routing_key: str, headers: Mapping[str, Any]) -> Route:
        matches = MATCHERS[self.type]
        return route_to(b.queue for b in self.bindings.values() if matches(b, routing_key, headers))


def route_to(queues: Iterable[Queue]) -> Route:
    """A route to these queues, each once, in the order of declaration."""
    distinct = {queue.index: queue for queue in queues}
    ordered = tuple(distinct[index] for index in sorted(distinct))
    return Route(ordered, tuple(queue.name for queue in ordered))


def _fanout(binding: Binding, routing_key: str, headers: Mapping[str, Any]) -> bool:  # noqa: ARG001 - one signature for the table
    return True


def _direct(binding: Binding, routing_key: str, headers: Mapping[str, Any]) -> bool:  # noqa: ARG001 - one signature for the table
    return binding.routing_key == routing_key


def _topic(binding: Binding, routing_key: str, headers: Mapping[str, Any]) -> bool:  # noqa: ARG001 - one signature for the table
    return topic_matches(binding.routing_key, routing_key)


def _headers(binding: Binding, routing_key: str, headers: Mapping[str, Any]) -> bool:  # noqa: ARG001 - one signature for the table
    return headers_match(binding.arguments, headers)


MATCHERS: dict[str, Callable[[Binding, str, Mapping[str, Any]], bool]] = {
    "direct": _direct,
    "fanout": _fanout,
    "topic": _topic,
    "headers": _headers,
}


def words(key: str) -> list[str]:
    """The words of a topic key; the empty key has none, ``a.`` has ``a`` and an empty one."""
    return key.split(".") if key else []


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether a topic pattern matches: ``*`` is exactly one word, ``#`` any number, none included.

    Walks the key once with the set of positions in the pattern that may come next, so that
    many ``#`` cannot make it slow (AMQP 0-9-1, section 3.1.3.3).
    """
    steps = words(pattern)
    reached = _past_hashes({0}, steps)
    for word in words(routing_key):
        moved = {at + 1 for at in reached if at < len(steps) and steps[at] in ("*", word) and steps[at] != "#"}
        reached = _past_hashes(moved | {at for at in reached if at < len(steps) and steps[at] == "#"}, steps)
    return len(steps) in reached


def _past_hashes(positions: set[int], steps: list[str]) -> set[int]:
    """The positions, and those behind each ``#`` that stands there, since ``#`` may match nothing."""
    result = set(positions)
    for at in range(len(steps)):
        if at in result and steps[at] == "#":
            result.add(at + 1)
    return result


def check_match_argument(arguments: Mapping[str, Any]) -> None:
    """Refuse an x-match that a headers exchange cannot use (406)."""
    match = arguments.get("x-match", "all")
    if not isinstance(match, str):
        raise precondition_failed(f"Invalid x-match field type {field_type(match)} (value {match}); expected longstr")
    if match not in _MATCHES:
        raise precondition_failed(f'Invalid x-match field value <<"{match}">>; expected all, any, all-with-x, or any-with-x')


def headers_match(arguments: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Whether a message's headers fulfil a binding's arguments (RabbitMQ's guide to headers exchanges).

    Keys that start with ``x-`` count only in the ``-with-x`` modes; a void value asks for presence.
    """
    match = arguments.get("x-match", "all")
    with_x = match.endswith("-with-x")
    wanted = {k: v for k, v in arguments.items() if k != "x-match" and (with_x or not k.startswith("x-"))}
    found = (key in headers and (value is None or same_field(value, headers[key])) for key, value in wanted.items())
    return any(found) if match.startswith("any") else all(found)


def same_field(one: Any, other: Any) -> bool:
    """Equality of two field-table values: types must agree, integers of any width are equal."""
    return bool(frozen(one) == frozen(other))


def frozen(value: Any) -> object:
    """A hashable image of a field-table value that keeps booleans, integers, floats and text apart."""
    if isinstance(value, Mapping):
        return "table", tuple(sorted((key, frozen(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return "array", tuple(frozen(item) for item in value)
    if isinstance(value, bytes):
        return "longstr", value
    if isinstance(value, str):
        return "longstr", value.encode()
    return "integer" if type(value) is int else type(value).__name__, value
