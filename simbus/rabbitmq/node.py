"""What all virtual hosts of a broker share: its time, its effects, its counters, its wake-ups.

No semantics of AMQP live here. The node is told the time; it never reads a clock.
"""

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Protocol

from simbus.effects import Effect
from simbus.rabbitmq.chance import Draw, fixed_sequence
from simbus.rabbitmq.timeouts import CONSUMER_TIMEOUT, Watch
from simbus.rabbitmq.versions import V4_0, Version


class Sleeper(Protocol):
    """What asks to be woken: a queue, or an exchange that delays; ``index`` is its alone."""

    wake_at: int | None

    @property
    def index(self) -> int:
        """Who is woken first, of those that are due at one instant."""

    @property
    def vhost(self) -> str:
        """The name of its virtual host."""


@dataclass(slots=True)
class Node:
    """The state that verbs of every vhost write to.

    Ids and generated names come from counters, never from a uuid: equal inputs give equal effects
    in any process. Messages: published = unroutable + refused + routed.
    """

    name: str = "rabbit@localhost"
    now: int = 0
    version: Version = V4_0
    effects: list[Effect] = field(default_factory=list)
    messages: int = 0
    copies: int = 0
    channels: int = 0
    queues: int = 0
    consumers: int = 0
    names: int = 0
    unroutable: int = 0
    refused: int = 0
    routed: int = 0
    draw: Draw = field(default_factory=fixed_sequence)
    deadlines: list[tuple[int, int, Sleeper]] = field(default_factory=list)
    consumer_timeout: int = CONSUMER_TIMEOUT
    sweeps: list[tuple[int, int, Watch]] = field(default_factory=list)

    def new_name(self, prefix: str) -> str:
        """A server-generated name, as long as RabbitMQ's: ``amq.gen-`` and 22 characters."""
        self.names += 1
        return f"{prefix}-{self.names:022d}"

    def next_consumer(self) -> int:
        """A number for a consumer, by which their age is told."""
        self.consumers += 1
        return self.consumers

    def wake(self, sleeper: Sleeper, at: int) -> None:
        """Ask to be woken no later than ``at``.

        One entry per sleeper: an earlier one stays, because an early wake-up just asks again; a later
        one is replaced. That is rare (a requeue, or a shorter expiration) and may therefore cost O(sleepers).
        """
        if sleeper.wake_at is not None:
            if sleeper.wake_at <= at:
                return
            self.forget(sleeper)
        sleeper.wake_at = at
        heappush(self.deadlines, (at, sleeper.index, sleeper))

    def forget(self, sleeper: Sleeper) -> None:
        """Wake it no more."""
        if sleeper.wake_at is not None:
            self.deadlines = [entry for entry in self.deadlines if entry[2] is not sleeper]
            heapify(self.deadlines)
            sleeper.wake_at = None

    def forget_vhost(self, vhost: str) -> None:
        """Wake nobody there any more, exchanges that keep messages least of all."""
        for sleeper in [sleeper for _, _, sleeper in self.deadlines if sleeper.vhost == vhost]:
            self.forget(sleeper)

    def watch(self, watch: Watch, at: int) -> None:
        """Look at a channel's deliveries at that time; an earlier look that was asked for stands, and then asks again."""
        if watch.at is None or at < watch.at:
            watch.at = at
            heappush(self.sweeps, (at, watch.number, watch))

    @property
    def next_sweep(self) -> int | None:
        """When the first channel is to be looked at."""
        while self.sweeps and self.sweeps[0][2].at != self.sweeps[0][0]:  # it asked for an earlier look, or has ended
            heappop(self.sweeps)
        return self.sweeps[0][0] if self.sweeps else None

    def due_watch(self) -> Watch | None:
        """The next channel that is to be looked at now, or None."""
        at = self.next_sweep
        if at is None or at > self.now:
            return None
        watch = heappop(self.sweeps)[2]
        watch.at = None
        return watch

    def due(self) -> Sleeper | None:
        """The next whose time has come, or None."""
        if self.deadlines and self.deadlines[0][0] <= self.now:
            sleeper = heappop(self.deadlines)[2]
            sleeper.wake_at = None
            return sleeper
        return None
