"""Topic patterns: words between dots, ``*`` for exactly one, ``#`` for any number, none included (AMQP 0-9-1, section 3.1.3.3).

The patterns of an exchange share a tree of words, so that what does not match costs nothing. A key is walked once with
the places in the tree that may come next, so that many ``#`` cannot make it slow.
"""

from collections.abc import Iterable

from simbus.rabbitmq.routing import Binding, Identity

ONE, ANY = "*", "#"


def words(key: str) -> list[str]:
    """The words of a topic key; the empty key has none, ``a.`` has ``a`` and an empty one."""
    return key.split(".") if key else []


class Patterns:
    """A tree of patterns: a branch for each word, with the bindings whose pattern ends there.

    Behind ``#`` a place ``stays``: it takes any more words.
    """

    __slots__ = ("bindings", "branches", "stays")

    def __init__(self, word: str = "") -> None:
        self.branches: dict[str, Patterns] = {}
        self.bindings: dict[Identity, Binding] = {}
        self.stays = word == ANY

    def add(self, binding: Binding) -> None:
        """Put a binding where its key ends."""
        self.place(binding.routing_key).bindings[binding.identity] = binding

    def place(self, pattern: str) -> "Patterns":
        """Where a pattern ends, in a tree that grows to it."""
        place = self
        for word in words(pattern):
            if word not in place.branches:
                place.branches[word] = Patterns(word)
            place = place.branches[word]
        return place

    def remove(self, binding: Binding) -> None:
        """Take a binding away that there is, and the branches that nothing is left of."""
        path, steps = [self], words(binding.routing_key)
        for word in steps:
            path.append(path[-1].branches[word])
        del path[-1].bindings[binding.identity]
        for word in reversed(steps):
            branch = path.pop()
            if not branch.bindings and not branch.branches:
                del path[-1].branches[word]

    def matching(self, routing_key: str) -> list[Binding]:
        """The bindings whose pattern matches, each once."""
        return [binding for place in self.reached(routing_key) for binding in place.bindings.values()]

    def reached(self, routing_key: str) -> "dict[Patterns, None]":
        """The places to which a key leads."""
        reached = _past_any([self])
        for word in words(routing_key):
            staying = [place for place in reached if place.stays]
            moved = [place.branches[step] for place in reached for step in (word, ONE) if step in place.branches]
            reached = _past_any(staying + moved)
        return reached


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether one pattern matches."""
    patterns = Patterns()
    return patterns.place(pattern) in patterns.reached(routing_key)


def _past_any(places: Iterable[Patterns]) -> dict[Patterns, None]:
    """The places, and those behind each ``#`` that comes next, since it may take no word."""
    reached = dict.fromkeys(places)
    work = list(reached)
    while work:
        further = work.pop().branches.get(ANY)
        if further is not None and further not in reached:
            reached[further] = None
            work.append(further)
    return reached
