"""The exchanges of a virtual host and their bindings: declared, bound, walked, and deleted.

``Exchanges`` is that part of a virtual host which says what a message reaches; it looks at nothing that queues hold. How one
exchange answers is in ``routing``, and how messages move in ``virtual_host``.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simbus.rabbitmq.exchange_types import router_for
from simbus.rabbitmq.messages import Message
from simbus.rabbitmq.node import Node
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routing import NOWHERE, Binding, Exchange, Identity, Keeper, Route, route_to

NO_ARGUMENTS: Mapping[str, Any] = {}

# Bindings to one destination: by the name of the source and what makes two of one source the same.
Leading = dict[tuple[str, Identity], tuple[Exchange, Binding]]

_PREDECLARED = {
    "": "direct",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
}


@dataclass(slots=True)
class Exchanges:
    """The exchanges of one vhost, what binds them, and the queues that they lead to."""

    name: str
    node: Node
    exchanges: dict[str, Exchange] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    _leading_to: dict[Queue | Exchange, Leading] = field(default_factory=dict, kw_only=True)
    _by_name: dict[str, Route] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        """Every vhost is born with the default exchange and the ``amq.`` ones."""
        for name, kind in _PREDECLARED.items():
            self.add_exchange(name, kind, internal=name == "amq.rabbitmq.trace")

    # Routing

    def route(self, exchange: Exchange, message: Message) -> Route:
        """The queues that a message reaches."""
        if exchange.leads_on or message.more_keys is not None:
            return self._walk(exchange, message)
        return self._step(exchange, message)

    def _step(self, exchange: Exchange, message: Message) -> Route:
        """Where one exchange leads; the default exchange is bound to every queue by its name."""
        if exchange.name:
            return exchange.router.route(message)
        if message.more_keys is not None:
            return route_to(self.queues[key] for key in message.routing_keys if key in self.queues)
        return self._by_name.get(message.routing_key) or self._route_by_name(message.routing_key)

    def _route_by_name(self, name: str) -> Route:
        """What the default exchange answers, remembered until the queue is gone."""
        queue = self.queues.get(name)
        if queue is None:
            return NOWHERE
        route = self._by_name[name] = Route((queue,), (name,))
        return route

    def found_again(self, message: Message, route: Route) -> Route:
        """Where the names lead by now that a message was routed to before: the default exchange takes any for a queue's."""
        names = route.names if message.exchange else message.routing_keys
        return route_to((self.queues[name] for name in names if name in self.queues), route.keepers)

    def _walk(self, first: Exchange, message: Message) -> Route:
        """Go on from exchange to exchange, once to each; paths can be circular.

        An exchange from which no binding leads on hands the message to its alternate exchange; the default
        exchange, as an alternate one, routes nothing (both observed on 4.0.5).
        """
        seen, work = {first.name, ""}, deque([first])
        queues: list[Queue] = []
        keepers: list[Keeper] = []
        while work:
            exchange = work.popleft()
            route = self._step(exchange, message)
            queues += route.queues
            keepers += route.keepers
            further = route.exchanges if route.queues or route.exchanges else self._alternate(exchange)
            work += [other for other in further if other.name not in seen]
            seen.update(other.name for other in further)
        return route_to(queues, tuple(keepers))

    def _alternate(self, exchange: Exchange) -> tuple[Exchange, ...]:
        other = self.exchanges.get(exchange.alternate or "")
        return () if other is None else (other,)

    # Declaring and binding

    def add_exchange(
        self,
        name: str,
        type: str,
        durable: bool = True,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Mapping[str, Any] = NO_ARGUMENTS,
    ) -> Exchange:
        """A new exchange, which has been checked."""
        router = router_for(name, type, arguments, self.name, self.node)
        exchange = Exchange(name, type, router, durable, auto_delete, internal, dict(arguments))
        self.exchanges[name] = exchange
        return exchange

    def bindings_to(self, destination: Queue | Exchange) -> Leading:
        """The bindings to a queue or an exchange with their sources, by the source's name and what makes them one."""
        return self._leading_to.get(destination, {})

    def _add_binding(self, source: Exchange, binding: Binding) -> bool:
        """False when there is an equal one."""
        if binding.identity in source.bindings:
            return False
        source.bind(binding)
        self._leading_to.setdefault(binding.destination, {})[source.name, binding.identity] = source, binding
        return True

    def unbind(self, source: Exchange, binding: Binding) -> None:
        """Remove a binding that there is, and nothing else."""
        source.unbind(binding)
        leading = self._leading_to[binding.destination]
        del leading[source.name, binding.identity]
        if not leading:
            del self._leading_to[binding.destination]

    def delete_exchange(self, exchange: Exchange) -> None:
        """Delete an exchange, with the bindings from it and those to it."""
        del self.exchanges[exchange.name]
        for binding in list(exchange.bindings.values()):
            self.unbind(exchange, binding)
        self._unbind_from_all(exchange)

    def after_unbind(self, exchange: Exchange) -> None:
        """An auto-delete exchange goes with its last binding, and those that were bound to it alone follow."""
        if exchange.auto_delete and not exchange.bindings:
            self.delete_exchange(exchange)

    def _unbind_from_all(self, destination: Queue | Exchange) -> None:
        """Remove every binding to what is gone; a chain of auto-delete exchanges can be long."""
        work: deque[Queue | Exchange] = deque([destination])
        while work:
            for source, binding in list(self.bindings_to(work.popleft()).values()):
                self.unbind(source, binding)
                if source.auto_delete and not source.bindings:
                    del self.exchanges[source.name]
                    work.append(source)
