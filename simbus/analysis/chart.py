"""A topology as a chart: places, the ways between them, and how much goes along each.

What a scenario's chart is, is told by the forecast; here it is plain data, with the flows that follow from what was measured. How
it is drawn is decided in ``plots/topology``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sort = Literal["publishers", "exchanges", "queues", "consumers"]


@dataclass(frozen=True)
class Place:
    """A publisher, an exchange, a queue or a group of consumers; ``detail`` says what kind of it, or how many."""

    sort: Sort
    name: str
    detail: str = ""

    @property
    def key(self) -> str:
        """No other place of a chart has it."""
        return f"{self.sort}.{self.name}"


@dataclass(frozen=True)
class Way:
    """One way that messages take.

    Args:
        source: the key of a place.
        target: the key of another.
        kind: whether they are ``routed``, ``consumed``, dead letters (``dead``), or published anew to be tried again (``retry``).
        text: the routing keys of a binding.
        rate: messages a second by arithmetic; None where it cannot be told.
    """

    source: str
    target: str
    kind: Literal["routed", "consumed", "dead", "retry"]
    text: str = ""
    rate: float | None = None


@dataclass(frozen=True)
class Chart:
    """All places, and all ways between them; at most one of a kind from one place to another."""

    places: tuple[Place, ...] = ()
    ways: tuple[Way, ...] = ()

    def balanced(self, known: Mapping[Way, Floats], arriving: Mapping[str, Floats]) -> dict[Way, Floats]:
        """The flows that are known, and those that follow: what arrives at a queue comes by the ways that lead there.

        Args:
            known: messages a second along a way, one number for each replication.
            arriving: copies a second that enter a queue, by the key of its place.
        """
        found = dict(known)
        into = {key: [way for way in self.ways if way.target == key] for key in arriving}
        for key, ways in into.items():
            unknown = [way for way in ways if way not in found]
            if len(unknown) == 1:
                rest = arriving[key] - sum((found[way] for way in ways if way in found), np.zeros(1))
                found[unknown[0]] = np.maximum(rest, 0.0)
        return found
