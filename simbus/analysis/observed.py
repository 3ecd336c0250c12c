"""What a recorder has seen, as columns and counts: the raw material of a replication's numbers.

Written by ``recorder``, read by ``summary``; nothing is computed here but integrals over time. Times
are whole nanoseconds, so an integral is exact and does not depend on the order of additions.
"""

from array import array
from dataclasses import dataclass, field

from simbus.analysis.metrics import CAUSES


def column() -> "array[int]":
    """An empty column of 64-bit numbers: eight bytes an observation."""
    return array("q")


@dataclass(slots=True)
class Busy:
    """A number of busy servers over time: its integral, in whole nanoseconds and so exact, and that integral at each edge."""

    value: int = 0
    area: int = 0
    since: int = 0
    at_edges: "array[int]" = field(default_factory=column)

    def change(self, by: int, now: int) -> None:
        """The number changes."""
        self.area += self.value * (now - self.since)
        self.since = now
        self.value += by

    def mark(self, edge: int, _: int) -> None:
        """Note the integral up to an edge."""
        self.at_edges.append(self.area + self.value * (edge - self.since))


@dataclass(slots=True)
class Depth:
    """A queue's ready and unacked copies over time, as :class:`Busy`; both at once, since most effects touch both."""

    ready: int = 0
    unacked: int = 0
    most: int = 0
    since: int = 0
    ready_area: int = 0
    unacked_area: int = 0
    ready_at_edges: "array[int]" = field(default_factory=column)
    unacked_at_edges: "array[int]" = field(default_factory=column)

    def change(self, ready: int, unacked: int, now: int) -> None:
        """So many more are ready and unacked."""
        passed = now - self.since
        if passed:
            if self.ready + self.unacked > self.most:  # what came and went at one instant was never held
                self.most = self.ready + self.unacked
            self.ready_area += self.ready * passed
            self.unacked_area += self.unacked * passed
            self.since = now
        self.ready += ready
        self.unacked += unacked

    def mark(self, edge: int, warmup: int) -> None:
        """Note the integrals up to an edge; the most is that of the measured time."""
        self.ready_at_edges.append(self.ready_area + self.ready * (edge - self.since))
        self.unacked_at_edges.append(self.unacked_area + self.unacked * (edge - self.since))
        if edge == warmup:
            self.most = self.ready + self.unacked


@dataclass(slots=True)
class QueueObserved:
    """What is seen of one queue."""

    name: str
    served: bool
    depth: Depth = field(default_factory=Depth)
    waits: "array[int]" = field(default_factory=column)
    first_waits: "array[int]" = field(default_factory=column)
    services: "array[int]" = field(default_factory=column)
    residences: "array[int]" = field(default_factory=column)
    enqueued: int = 0
    acked: int = 0
    settled: int = 0
    attempts: int = 0
    applied: int = 0
    repeated: int = 0
    applied_messages: bytearray = field(default_factory=bytearray)
    obligations: int = 0
    finished: int = 0
    waiting: int = 0
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))


@dataclass(slots=True)
class GroupObserved:
    """A group of modelled consumers."""

    name: str
    queue: str
    servers: int
    busy: Busy = field(default_factory=Busy)
    attempts: int = 0
    failures: int = 0


@dataclass(slots=True)
class Observed:
    """All that was seen of one replication.

    ``edges`` are the instants at which integrals were noted: the bins of the plots, and the warm-up's end. ``windows``
    holds closed consistency windows, ``never_closing`` counts those that cannot close any more, ``open_since`` has the
    publishing times of those still open.
    """

    warmup: int
    end: int
    edges: list[int]
    queues: dict[str, QueueObserved]
    groups: dict[str, GroupObserved]
    windows: "array[int]" = field(default_factory=column)
    never_closing: int = 0
    open_since: list[int] = field(default_factory=list)
    published: int = 0
    unroutable: int = 0
