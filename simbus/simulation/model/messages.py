"""What a publisher publishes: its kinds of messages, as data.

A *kind* is a class of messages under one routing key. How classes are said is read in ``specs``; which message comes next is
drawn in ``content``; when it is published is the business of ``workloads``, and what happens then, of the dialect.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simbus.simulation.model.distributions import Distribution
from simbus.simulation.model.sizes import Sizes


@dataclass(frozen=True)
class Kind:
    """Messages of one class under one routing key.

    Args:
        name: of the class; empty for a publisher without classes.
        share: of the publisher's messages.
        address: what a dialect reads: where to, and the properties. Where sizes and expirations are drawn, it has the means.
        sizes: what sizes are drawn from, if they are.
        expirations: what times to live are drawn from, if they are.
    """

    name: str
    share: float
    address: Mapping[str, Any]
    sizes: Sizes | None = None
    expirations: Distribution | None = None

    @property
    def alike(self) -> bool:
        """Whether its messages are all the same, as far as a broker can tell."""
        return self.sizes is None and self.expirations is None

    @property
    def key(self) -> str:
        """The routing key; empty for a publisher to a queue."""
        key: str = self.address.get("routing_key", "")
        return key


class Mark(NamedTuple):
    """What a replayed trace says of one message; None where it says nothing."""

    key: str | None = None
    size: int | None = None
    type: str | None = None


@dataclass(frozen=True)
class Class:
    """A class of messages as it was said.

    Args:
        share: of the publisher's messages.
        keys: shares by routing key; None for a publisher to a queue.
        properties: by the names of :class:`~simbus.dialect.Publisher`'s addresses; a size or an expiration may be a distribution.
    """

    share: float
    keys: Mapping[str, float] | None
    properties: Mapping[str, Any]


def kinds(where: Mapping[str, str], classes: Mapping[str, Class], marks: Sequence[Mark]) -> Iterator[Kind]:
    """What a publisher publishes; the shares add up to 1.

    Args:
        where: ``to``, or ``exchange``.
        classes: by name; a publisher without classes has one without a name.
        marks: of a trace, whose classes and keys, as often as they come, stand for those that are said.
    """
    counted = Counter((mark.type, mark.key) for mark in marks)
    for name, said in classes.items():
        own = {key: n for (type_, key), n in counted.items() if type_ in (None, name)}
        total = sum(own.values())
        share = total / len(marks) if any(type_ is not None for type_, _ in counted) else said.share
        keys = {key: n / total for key, n in own.items() if key is not None} or said.keys
        drawn: dict[str, Any] = {key: law for key, law in said.properties.items() if isinstance(law, Sizes | Distribution)}
        laws = drawn.get("size"), drawn.get("expiration")
        means = {key: round(law.mean) for key, law in drawn.items()}
        content = {**where, **({"type": name} if name else {}), **said.properties, **means}
        if keys is None:
            yield Kind(name, share, content, *laws)
        for key, part in (keys or {}).items():
            yield Kind(name, share * part, {**content, "routing_key": key}, *laws)
