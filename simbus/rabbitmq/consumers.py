"""Consumers of a queue: what limits one, and which of them is the single active one where there may be only one.

Whose turn it is among those that may get something is the queue's business; here no copy is looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Limiter:
    """The prefetch that the consumers of a channel share (basic.qos with ``global``), and what they hold.

    Consumers that need not acknowledge hold nothing, and get nothing while it is full. A queue that tried in vain to deliver to
    one of its consumers is ``suspended``: the others get nothing from it either until they are told to go on (rabbit_limiter,
    rabbit_queue_consumers, and observed).
    """

    limit: int
    held: int = 0
    last_resumed: str = ""
    suspended: set[Any] = field(default_factory=set)

    def release(self, groups: Sequence[Sequence[Any]]) -> None:
        """Deliveries were settled: those to consumers make room, also to such as it does not limit (rabbit_limiter)."""
        if self.held:
            self.held -= sum(entry.consumer is not None for group in groups for entry in group)

    @property
    def full(self) -> bool:
        """Whether no more may be held."""
        return self.held >= self.limit

    def holds_back(self, consumer: "Consumer") -> bool:
        """Whether this consumer may get no delivery now."""
        return self.held >= self.limit or consumer.queue in self.suspended


@dataclass(slots=True, eq=False)
class Consumer:
    """A consumer of one queue; ``prefetch`` 0 is unlimited. A ``limiter`` limits it together with others.

    ``limit`` is how much it may hold, 0 for no limit: its prefetch, but that of a quorum queue there is always a limit.
    Its ``number`` tells its age.
    ``active`` while it is in the rotation of its queue, which it leaves when its limit is reached: in
    a quorum queue at once, in a classic queue when its turn comes (observed on 4.0.5); ``left`` tells who did so first.
    One that ``waits`` is kept out of the rotation until it is the single active one.
    """

    tag: str
    channel: Any
    queue: Any
    number: int = 0
    prefetch: int = 0
    no_ack: bool = False
    exclusive: bool = False
    priority: int = 0
    limit: int = 0
    unacked: int = 0
    active: bool = False
    left: int = 0
    waits: bool = False
    cancelled: bool = False
    limiter: Limiter | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether it may get no delivery now."""
        return self.unacked >= self.limit > 0 or (self.limiter is not None and self.limiter.holds_back(self))

    @property
    def ready(self) -> bool:
        """Whether it belongs into the rotation and is not there."""
        return not (self.active or self.waits or self.cancelled or self.full)


@dataclass(slots=True, eq=False)
class SingleActive:
    """The one consumer that a queue with ``x-single-active-consumer`` serves.

    The first is active until it ends; then comes the one of the highest priority, and of those the eldest. A quorum queue of 3.10
    knows no priorities here. One of 4.0 prefers, among those of a priority, who may hold most; and there one that comes with a
    higher priority takes over: at once, or as soon as the active one, which gets no more, has settled what it holds. If that one
    requeues it, nobody is active until something is acknowledged, or a consumer comes or goes (all observed on both versions).

    ``consumers`` is the queue's list, in the order of their coming; ``join`` and ``leave`` are of its rotation.
    """

    consumers: Sequence[Consumer]
    join: Callable[[Consumer], None]
    leave: Callable[[Consumer], None]
    by_priority: bool
    displaces: bool
    active: Consumer | None = None

    def add(self, consumer: Consumer) -> None:
        """A consumer came."""
        consumer.waits = True
        self._activate()

    def remove(self, consumer: Consumer) -> None:
        """A consumer has ended, and is no longer among the queue's."""
        if consumer is self.active:
            self.active = None
        self._activate()

    def settled(self, *, requeued: bool = False) -> None:
        """The queue's consumers hold less: an active one that was to step down, and holds nothing now, does so.

        As long as one is active no other may take over that could not do so before.
        """
        if not self.displaces:
            return
        active = self.active
        if active is not None and active.waits and not active.unacked:
            self.active = None
        if not requeued and self.active is None:
            self._activate()

    def _activate(self) -> None:
        waiting = [consumer for consumer in self.consumers if consumer.waits and consumer is not self.active]
        if not waiting:
            return
        best, active = min(waiting, key=self._rank), self.active
        if active is None:
            self._start(best)
        elif self.displaces and best.priority > active.priority:
            self.leave(active)
            active.waits = True
            if not active.unacked:
                self._start(best)

    def _start(self, consumer: Consumer) -> None:
        self.active = consumer
        consumer.waits = False
        if consumer.ready:
            self.join(consumer)

    def _rank(self, consumer: Consumer) -> tuple[int, int]:
        return -consumer.priority if self.by_priority else 0, -consumer.limit if self.displaces else 0
