"""Exchanges: where a message goes on to from each.

An exchange knows its bindings and nothing of what its queues hold. Which of them a message takes is a router's
answer, of which there is one kind for each type of exchange (``routers``, ``plugin_routers``). Queues are answered in the
order of their declaration, so that the order of binding cannot be seen. A walk over several exchanges is the
virtual host's: what one of them answers does not depend on the others.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from simbus.rabbitmq.fields import frozen, name_in
from simbus.rabbitmq.messages import Message
from simbus.rabbitmq.policies import NOTHING, Applied, alternate_exchange
from simbus.rabbitmq.queues import Queue


@dataclass(slots=True)
class Route:
    """The queues that a message reaches, their names, and the exchanges that it goes on to.

    ``keepers`` keep the message for later, whatever else becomes of it.
    """

    queues: tuple[Queue, ...]
    names: tuple[str, ...]
    exchanges: tuple["Exchange", ...] = ()
    keepers: tuple["Keeper", ...] = ()


NOWHERE = Route((), ())

# Kind and name of the destination, routing key, arguments: what makes two bindings of one exchange the same.
Identity = tuple[str, str, str, object]


@dataclass(slots=True, eq=False)
class Binding:
    """From an exchange to a queue, or to another exchange; two are one when all their parts are equal."""

    destination: "Queue | Exchange"
    routing_key: str
    arguments: Mapping[str, Any]
    to_exchange: bool = field(init=False)
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        """Both are asked for more than once."""
        self.to_exchange = not isinstance(self.destination, Queue)
        kind = "exchange" if self.to_exchange else "queue"
        self.identity = kind, self.destination.name, self.routing_key, frozen(self.arguments)


class Router(ABC):
    """The bindings of one exchange, found by what a message is routed by. Asking changes nothing that can be seen."""

    __slots__ = ()

    @abstractmethod
    def add(self, binding: Binding) -> None:
        """There is a new binding."""

    @abstractmethod
    def remove(self, binding: Binding) -> None:
        """A binding that there was is gone."""

    @abstractmethod
    def route(self, message: Message) -> Route:
        """Where a message goes from here, to each destination once."""

    def greeting(self, binding: Binding) -> Iterator[Message]:
        """What the destination of a new binding gets at once."""
        return iter(())

    def forget(self) -> None:  # noqa: B027 - for those who keep messages
        """The broker restarts: what was kept in memory is gone."""

    def empty(self) -> None:
        """Every message is forgotten. No client can ask for this."""
        self.forget()


class Keeper(Protocol):
    """What keeps a message on its way for later."""

    def keep(self, message: Message, /) -> None:
        """A message that was routed here; it has its id now."""


@dataclass(slots=True, eq=False)
class Exchange:
    """An exchange of one vhost and the bindings of which it is the source.

    ``leads_on`` while a message may go on from here to another exchange, by a binding or as the alternate one.
    The name of that is ``alternate``, from its arguments or from a policy.
    """

    name: str
    type: str
    router: Router
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bindings: dict[Identity, Binding] = field(default_factory=dict)
    leads_on: bool = False
    applied: Applied = NOTHING
    alternate: str | None = None
    _to_exchanges: int = 0

    def __post_init__(self) -> None:
        """Know once whether more than its own bindings has to be looked at, since every message asks."""
        self.apply(NOTHING, {})

    def apply(self, applied: Applied, definition: Mapping[str, Any]) -> None:
        """Heed policies, whose effective definition this is."""
        self.applied = applied
        self.alternate = name_in(alternate_exchange(self.arguments, definition))
        self._changed(0)

    def bind(self, binding: Binding) -> None:
        """Add a binding that there is not yet."""
        self.bindings[binding.identity] = binding
        self.router.add(binding)
        self._changed(binding.to_exchange)

    def unbind(self, binding: Binding) -> None:
        """Remove a binding that there is."""
        self.router.remove(self.bindings.pop(binding.identity))
        self._changed(-binding.to_exchange)

    def _changed(self, to_exchanges: int) -> None:
        self._to_exchanges += to_exchanges
        self.leads_on = self._to_exchanges > 0 or self.alternate is not None


def route_to(destinations: Iterable[Queue | Exchange], keepers: tuple[Keeper, ...] = ()) -> Route:
    """A route to each of these once: queues in the order of declaration, exchanges in that of their names."""
    queues: dict[int, Queue] = {}
    exchanges: dict[str, Exchange] = {}
    for destination in destinations:
        if isinstance(destination, Queue):
            queues[destination.index] = destination
        else:
            exchanges[destination.name] = destination
    ordered = tuple(queues[index] for index in sorted(queues))
    names = tuple(queue.name for queue in ordered)
    return Route(ordered, names, tuple(exchanges[name] for name in sorted(exchanges)), keepers)
