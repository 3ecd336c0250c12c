"""Which message a publisher publishes next: draws among its kinds, or reads it from a trace.

What is always the same draws nothing. When it is published is the business of ``workloads``.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, repeat
from typing import NamedTuple

from simbus.dialect import Publisher, Verb
from simbus.simulation.model.distributions import Distribution
from simbus.simulation.model.messages import Kind, Mark
from simbus.simulation.model.sizes import Sizes
from simbus.simulation.model.streams import Streams, draws


class Drawn(NamedTuple):
    """One message: its place among the kinds, and the size (bytes) and time to live (nanoseconds) of its own."""

    place: int
    size: int | None
    expiration: int | None


class Content:
    """The messages of one publisher in one replication, one after the other, and the verbs that publish them.

    Drawn are the kind, from the stream ``messages``, and the ``size`` and ``expiration`` of what has none of its own; those of a
    class from ``gold.size`` and ``gold.expiration``.

    Args:
        name: of the publisher.
        kinds: of its messages.
        marks: what a trace says of each of them, if one does.
        streams: of the replication.
    """

    def __init__(self, name: str, kinds: Sequence[Kind], marks: Sequence[Mark], streams: Streams) -> None:
        self._kinds, self._verbs = kinds, list[Verb]()
        self._alike = len(kinds) == 1 and kinds[0].alike and not any(mark.size is not None for mark in marks)
        self._messages = repeat(_ALIKE) if self._alike else _drawn(f"publishers.{name}", kinds, marks, streams)
        self.next = self._messages.__next__

    def connect(self, client: Publisher) -> Callable[[], int]:
        """Publish through ``client`` from now on: the verb that publishes the next message, and answers its id."""
        self._verbs = [client.verb(kind.address) for kind in self._kinds]
        return self._verbs[0] if self._alike else lambda: self.publish(self.next())

    def publish(self, message: Drawn) -> int:
        """Publish one that ``next`` has answered, or publish it again; its id."""
        place, size, expiration = message
        return self._verbs[place](size, expiration)


_ALIKE = Drawn(0, None, None)


def _drawn(entity: str, kinds: Sequence[Kind], marks: Sequence[Mark], streams: Streams) -> Iterator[Drawn]:
    """The messages of a publisher; as many as there are marks, or without end."""

    def stream(kind: Kind, what: str, law: Sizes | Distribution | None) -> Callable[[], int | None]:
        purpose = f"{kind.name}.{what}" if kind.name else what
        if purpose not in found:
            found[purpose] = _nothing if law is None else draws(streams.generator(entity, purpose), law.sample).__next__
        return found[purpose]

    found: dict[str, Callable[[], int | None]] = {}
    sizes = [stream(kind, "size", kind.sizes) for kind in kinds]
    expirations = [stream(kind, "expiration", kind.expirations) for kind in kinds]
    uniform = streams.uniforms(entity, "messages").__next__
    groups = _groups(kinds)
    among = {said: _Among(groups[said]) for said in dict.fromkeys((mark.type, mark.key) for mark in marks or [Mark()])}
    for mark in marks or repeat(Mark()):
        place = among[mark.type, mark.key].place(uniform)
        yield Drawn(place, sizes[place]() if mark.size is None else mark.size, expirations[place]())


def _groups(kinds: Sequence[Kind]) -> dict[tuple[str | None, str | None], list[tuple[int, float]]]:
    """By what a mark may say of class and key, the places and shares of the kinds that it leaves open."""
    groups = defaultdict[tuple[str | None, str | None], list[tuple[int, float]]](list)
    for place, kind in enumerate(kinds):
        for said in ((kind.name, kind.key), (kind.name, None), (None, kind.key), (None, None)):
            groups[said].append((place, kind.share))
    return groups


class _Among:
    """Some kinds, by their shares."""

    def __init__(self, group: Sequence[tuple[int, float]]) -> None:
        self._places = [place for place, _ in group]
        self._limits = list(accumulate(share for _, share in group))
        self._only = self._places[0] if len(group) == 1 else None

    def place(self, uniform: Callable[[], float]) -> int:
        """The place of one of them; nothing is drawn when there is one only."""
        if self._only is not None:
            return self._only
        return self._places[min(bisect_right(self._limits, uniform() * self._limits[-1]), len(self._places) - 1)]


def _nothing() -> None:
    """What is not drawn."""
