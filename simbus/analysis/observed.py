"""What a recorder has seen, as columns and counts: the raw material of a replication's numbers.

Written by ``recorder``, read by ``summary``; nothing is computed here but integrals over time. Times
are whole nanoseconds, so an integral is exact and does not depend on the order of additions.

The integral of a level up to T is level * T - sum(change * t) over its changes, each at its t: that sum is the level's
*moment*. So a change needs two additions and no look at when the last one was.
"""

from dataclasses import dataclass, field

from simbus.analysis.column import Column, Integers
from simbus.analysis.metrics import CAUSES


@dataclass(slots=True)
class Busy:
    """A number of busy servers over time: its value now, its moment, and its integral at each edge."""

    value: int = 0
    moment: int = 0
    at_edges: list[int] = field(default_factory=list)

    def add(self, number: int, now: int) -> None:
        """So many more, or (negative) fewer."""
        self.value += number
        self.moment += number * now

    def mark(self, edge: int, _: int) -> None:
        """Note the integral up to an edge."""
        self.at_edges.append(self.value * edge - self.moment)


@dataclass(slots=True)
class OnDuty(Busy):
    """A number of consumers over time, as :class:`Busy`; ``most`` is the most of the measured time."""

    most: int = 0

    def change(self, by: int, now: int) -> None:
        """So many more."""
        self.add(by, now)
        self.most = max(self.most, self.value)

    def mark(self, edge: int, warmup: int) -> None:
        """As :meth:`Busy.mark`."""
        self.at_edges.append(self.value * edge - self.moment)
        if edge == warmup:
            self.most = self.value


@dataclass(slots=True)
class Depth:
    """A queue's ready and unacked copies over time, as :class:`Busy`; ``most`` is the most that it held for any time at all."""

    ready: int = 0
    unacked: int = 0
    most: int = 0
    ready_moment: int = 0
    unacked_moment: int = 0
    ready_at_edges: list[int] = field(default_factory=list)
    unacked_at_edges: list[int] = field(default_factory=list)

    def mark(self, edge: int, warmup: int) -> None:
        """Note the integrals up to an edge; the most is that of the measured time."""
        self.ready_at_edges.append(self.ready * edge - self.ready_moment)
        self.unacked_at_edges.append(self.unacked * edge - self.unacked_moment)
        if edge == warmup:
            self.most = self.ready + self.unacked


@dataclass(slots=True)
class ClassObserved:
    """What is seen of one class of messages in one queue; ``lost`` are those of the obligations that began there."""

    name: str
    waits: Column = field(default_factory=Column)
    services: Column = field(default_factory=Column)
    residences: Column = field(default_factory=Column)
    obligations: int = 0
    lost: int = 0


@dataclass(slots=True)
class QueueObserved:
    """What is seen of one queue.

    ``starts`` holds waits, each doubled and with one added if it was its copy's first: of most copies it is, and so
    the first waits take no space of their own; ``started_at_edges`` says how many there were at each edge. ``backing_off`` are
    the unacked copies that wait to be given back and tried again, ``kept_back`` those that an exchange keeps back for that.
    """

    name: str
    served: bool
    depth: Depth = field(default_factory=Depth)
    backing_off: Busy = field(default_factory=Busy)
    kept_back: Busy = field(default_factory=Busy)
    started_at_edges: list[int] = field(default_factory=list)
    starts: Column = field(default_factory=Column)
    services: Column = field(default_factory=Column)
    residences: Column = field(default_factory=Column)
    enqueued: int = 0
    acked: int = 0
    handed_on: int = 0
    attempts: int = 0
    deliveries: int = 0
    applied: int = 0
    repeated: int = 0
    applied_messages: bytearray = field(default_factory=bytearray)
    obligations: int = 0
    waiting: int = 0
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    classes: dict[str, ClassObserved] = field(default_factory=dict)

    def mark(self, _: int, __: int) -> None:
        """Note how many have started by an edge."""
        self.started_at_edges.append(len(self.starts))

    @property
    def columns(self) -> tuple[Column, ...]:
        """All that grow."""
        of_classes = (column for each in self.classes.values() for column in (each.waits, each.services, each.residences))
        return self.starts, self.services, self.residences, *of_classes

    @property
    def waits(self) -> Integers:
        """Nanoseconds that each attempt's copy waited, in the order of starting."""
        return self.starts.values() >> 1

    @property
    def first_waits(self) -> Integers:
        """Those of first attempts."""
        starts = self.starts.values()
        first: Integers = starts[starts & 1 == 1] >> 1
        return first


@dataclass(slots=True)
class GroupObserved:
    """A group of modelled consumers; ``servers`` are those of each, and if ``alone`` only one consumer is served at a time."""

    name: str
    queue: str
    servers: int
    alone: bool
    busy: Busy = field(default_factory=Busy)
    on_duty: OnDuty = field(default_factory=OnDuty)
    attempts: int = 0
    failures: int = 0
    interrupted: int = 0
    suppressed: int = 0


@dataclass(slots=True)
class Observed:
    """All that was seen of one replication.

    ``edges`` are the instants at which integrals were noted: the bins of the plots, and the warm-up's end. ``windows``
    holds closed consistency windows, ``never_closing`` counts those that cannot close any more, ``open_since`` has the
    publishing times of those still open. ``outages`` are those in force, by name.
    """

    warmup: int
    end: int
    edges: list[int]
    queues: dict[str, QueueObserved]
    groups: dict[str, GroupObserved]
    outages: dict[str, Busy] = field(default_factory=dict)
    windows: Column = field(default_factory=Column)
    never_closing: int = 0
    open_since: list[int] = field(default_factory=list)
    published: int = 0
    unroutable: int = 0
    republished: int = 0
    unsent: int = 0

    def pack(self) -> None:
        """Let the columns take less space."""
        self.windows.pack()
        for queue in self.queues.values():
            for column in queue.columns:
                column.pack()
