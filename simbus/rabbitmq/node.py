"""What all virtual hosts of a broker share: its time, its effects, its counters, its wake-ups.

No semantics of AMQP live here. The node is told the time; it never reads a clock.
"""

from dataclasses import dataclass, field
from typing import Protocol

from simbus.effects import Effect
from simbus.rabbitmq.chance import Draw, fixed_sequence
from simbus.rabbitmq.timeouts import CONSUMER_TIMEOUT, Watch
from simbus.rabbitmq.versions import V4_0, Version
from simbus.rabbitmq.wakeups import Sleeper, Wakeups


class Dated(Sleeper, Protocol):
    """What asks to be woken: a queue, or an exchange that delays."""

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
    deadlines: Wakeups[Dated] = field(default_factory=Wakeups)
    consumer_timeout: int = CONSUMER_TIMEOUT
    sweeps: Wakeups[Watch] = field(default_factory=Wakeups)

    def new_name(self, prefix: str) -> str:
        """A server-generated name, as long as RabbitMQ's: ``amq.gen-`` and 22 characters."""
        self.names += 1
        return f"{prefix}-{self.names:022d}"

    def next_consumer(self) -> int:
        """A number for a consumer, by which their age is told."""
        self.consumers += 1
        return self.consumers

    def forget_vhost(self, vhost: str) -> None:
        """Wake nobody there any more, exchanges that keep messages least of all."""
        for sleeper in [sleeper for _, _, sleeper in self.deadlines.entries if sleeper.vhost == vhost]:
            self.deadlines.forget(sleeper)
