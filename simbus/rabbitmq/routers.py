"""How exchanges of AMQP's own types route: direct, fanout, topic and headers.

Those that look at the routing key alone remember their answers, because a publisher uses few keys; a binding that comes
or goes makes them forget. What a binding costs does not depend on how many there are.
"""

from abc import abstractmethod
from collections.abc import Iterable

from simbus.rabbitmq.headers import Image, Wanted, frozen_headers
from simbus.rabbitmq.messages import Message
from simbus.rabbitmq.routing import Binding, Identity, Route, Router, route_to
from simbus.rabbitmq.topics import Patterns

# Answers remembered for one exchange; beyond it the memory starts anew (a limit for keys like order.<uuid>).
MOST_REMEMBERED_KEYS = 10_000


class KeyRouter(Router):
    """One that looks at nothing but routing keys."""

    __slots__ = ("_remembered",)

    def __init__(self) -> None:
        self._remembered: dict[str, Route] = {}

    @abstractmethod
    def matching(self, routing_key: str) -> Iterable[Binding]:
        """The bindings that one key takes."""

    def route(self, message: Message) -> Route:
        """By the one key from memory, by several anew."""
        key = message.routing_key
        if message.more_keys is not None:
            return route_to(binding.destination for key in message.routing_keys for binding in self.matching(key))
        route = self._remembered.get(key)
        if route is None:
            if len(self._remembered) >= MOST_REMEMBERED_KEYS:
                self._remembered.clear()
            route = self._remembered[key] = route_to(binding.destination for binding in self.matching(key))
        return route


class DirectRouter(KeyRouter):
    """To the bindings of an equal key."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        super().__init__()
        self._by_key: dict[str, dict[Identity, Binding]] = {}

    def add(self, binding: Binding) -> None:
        """File it under its key."""
        self._by_key.setdefault(binding.routing_key, {})[binding.identity] = binding
        self._remembered.clear()

    def remove(self, binding: Binding) -> None:
        """Take it out of the file."""
        of_key = self._by_key[binding.routing_key]
        del of_key[binding.identity]
        if not of_key:
            del self._by_key[binding.routing_key]
        self._remembered.clear()

    def matching(self, routing_key: str) -> Iterable[Binding]:
        """Those under this key."""
        return self._by_key.get(routing_key, {}).values()


class TopicRouter(KeyRouter):
    """To the bindings whose pattern matches."""

    __slots__ = ("_patterns",)

    def __init__(self) -> None:
        super().__init__()
        self._patterns = Patterns()

    def add(self, binding: Binding) -> None:
        """Put its pattern into the tree."""
        self._patterns.add(binding)
        self._remembered.clear()

    def remove(self, binding: Binding) -> None:
        """Take its pattern out of the tree."""
        self._patterns.remove(binding)
        self._remembered.clear()

    def matching(self, routing_key: str) -> Iterable[Binding]:
        """Those at the places in the tree to which the key leads."""
        return self._patterns.matching(routing_key)


class FanoutRouter(Router):
    """To all bindings."""

    __slots__ = ("_bindings", "_route")

    def __init__(self) -> None:
        self._bindings: dict[Identity, Binding] = {}
        self._route: Route | None = None

    def add(self, binding: Binding) -> None:
        """One more."""
        self._bindings[binding.identity] = binding
        self._route = None

    def remove(self, binding: Binding) -> None:
        """One less."""
        del self._bindings[binding.identity]
        self._route = None

    def route(self, message: Message) -> Route:
        """The same for every message, until a binding comes or goes."""
        if self._route is None:
            self._route = route_to(binding.destination for binding in self._bindings.values())
        return self._route


class HeadersRouter(Router):
    """To the bindings whose arguments a message's headers fulfil; each is looked at, for each message."""

    __slots__ = ("_image", "_wanted")

    def __init__(self, image: Image) -> None:
        self._image = image
        self._wanted: dict[Identity, tuple[Wanted, Binding]] = {}

    def add(self, binding: Binding) -> None:
        """Read what it asks for."""
        self._wanted[binding.identity] = Wanted(binding.arguments, self._image), binding

    def remove(self, binding: Binding) -> None:
        """Ask for it no more."""
        del self._wanted[binding.identity]

    def route(self, message: Message) -> Route:
        """By the headers; routing keys mean nothing here."""
        headers = frozen_headers(message.headers, self._image)
        return route_to(binding.destination for wanted, binding in self._wanted.values() if wanted.met_by(headers))
