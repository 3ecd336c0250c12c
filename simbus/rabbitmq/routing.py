"""Exchanges: where a message goes on to from each.

An exchange knows its bindings and nothing of what its queues hold. Routing is a pure function of
the bindings and the message; an exchange remembers its own answer per routing key, because a
publisher uses few keys and a topic's patterns are slow to match. Queues are answered in the order of
their declaration, so that the order of binding cannot be seen. A walk over several exchanges is the
virtual host's: what one of them answers does not depend on the others.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simbus.rabbitmq.arguments import field_type
from simbus.rabbitmq.errors import precondition_failed
from simbus.rabbitmq.fields import name_in
from simbus.rabbitmq.policies import NOTHING, Applied, alternate_exchange
from simbus.rabbitmq.queues import Queue

# Answers remembered for one exchange; beyond it the memory starts anew (a limit for keys like order.<uuid>).
MOST_REMEMBERED_KEYS = 10_000

_MATCHES = ("all", "any", "all-with-x", "any-with-x")


@dataclass(slots=True)
class Route:
    """The queues that a message reaches, their names, and the exchanges that it goes on to."""

    queues: tuple[Queue, ...]
    names: tuple[str, ...]
    exchanges: tuple["Exchange", ...] = ()


NOWHERE = Route((), ())

# Kind and name of the destination, routing key, arguments: what makes two bindings of one exchange the same.
Identity = tuple[str, str, str, object]


@dataclass(slots=True)
class Binding:
    """From an exchange to a queue, or to another exchange; two are one when all their parts are equal."""

    destination: "Queue | Exchange"
    routing_key: str
    arguments: Mapping[str, Any]

    @property
    def to_exchange(self) -> bool:
        """Whether its destination is an exchange."""
        return isinstance(self.destination, Exchange)

    def identity(self) -> Identity:
        """What makes two bindings of one exchange the same."""
        kind = "exchange" if self.to_exchange else "queue"
        return kind, self.destination.name, self.routing_key, frozen(self.arguments)


@dataclass(slots=True, eq=False)
class Exchange:
    """An exchange of one vhost and the bindings of which it is the source.

    ``leads_on`` while a message may go on from here to another exchange, by a binding or as the alternate one.
    The name of that is ``alternate``, from its arguments or from a policy.
    """

    name: str
    type: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bindings: dict[Identity, Binding] = field(default_factory=dict)
    leads_on: bool = False
    applied: Applied = NOTHING
    alternate: str | None = None
    _to_exchanges: int = 0
    _remembered: dict[str, Route] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Know once whether more than its own bindings has to be looked at, since every message asks."""
        self.apply(NOTHING, {})

    def apply(self, applied: Applied, definition: Mapping[str, Any]) -> None:
        """Heed policies, whose effective definition this is."""
        self.applied = applied
        self.alternate = name_in(alternate_exchange(self.arguments, definition))
        self._changed(0)

    def bind(self, binding: Binding) -> None:
        """Add a binding; a second equal one changes nothing."""
        identity = binding.identity()
        if identity not in self.bindings:
            self.bindings[identity] = binding
            self._changed(binding.to_exchange)

    def unbind(self, binding: Binding) -> None:
        """Remove a binding that there is."""
        del self.bindings[binding.identity()]
        self._changed(-binding.to_exchange)

    def unbind_destination(self, destination: "Queue | Exchange") -> bool:
        """Remove every binding to what goes away; False when there was none."""
        gone = [binding for binding in self.bindings.values() if binding.destination is destination]
        for binding in gone:
            self.unbind(binding)
        return bool(gone)

    def _changed(self, to_exchanges: int) -> None:
        self._remembered.clear()
        self._to_exchanges += to_exchanges
        self.leads_on = self._to_exchanges > 0 or self.alternate is not None

    def route(self, routing_key: str, headers: Mapping[str, Any]) -> Route:
        """Where a message with this key and these headers goes from here, to each destination once."""
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
        return route_to(b.destination for b in self.bindings.values() if matches(b, routing_key, headers))


def route_to(destinations: "Iterable[Queue | Exchange]") -> Route:
    """A route to each of these once: queues in the order of declaration, exchanges in that of their names."""
    queues: dict[int, Queue] = {}
    exchanges: dict[str, Exchange] = {}
    for destination in destinations:
        if isinstance(destination, Queue):
            queues[destination.index] = destination
        else:
            exchanges[destination.name] = destination
    ordered = tuple(queues[index] for index in sorted(queues))
    return Route(ordered, tuple(queue.name for queue in ordered), tuple(exchanges[name] for name in sorted(exchanges)))


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
    if isinstance(value, float):
        return "float", value
    return "integer" if isinstance(value, int) and not isinstance(value, bool) else type(value).__name__, value
