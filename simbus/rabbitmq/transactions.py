"""A transaction of a channel: what waits for tx.commit.

Publishes are checked and routed at once, and enqueued at the commit; a message gets its id there. A
delivery that was settled is taken from the channel at once, and its queue hears of it at the commit:
until then it is unacked there and keeps its consumer's credit. (All observed on 4.0.5.)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from simbus.rabbitmq.messages import Message
from simbus.rabbitmq.routing import Route
from simbus.rabbitmq.unacked import Held

Settlement = Literal["ack", "requeue", "reject"]


class Publish(NamedTuple):
    """A message that waits for the commit."""

    message: Message
    route: Route
    mandatory: bool


@dataclass(slots=True, eq=False)
class Transaction:
    """What a channel has done since its last commit or rollback, in order."""

    publishes: list[Publish] = field(default_factory=list)
    settlements: list[tuple[Settlement, Held]] = field(default_factory=list)

    def settle(self, how: Settlement, held: Held) -> None:
        """Note deliveries; those settled in the same way one after the other are one command at the commit."""
        if self.settlements and self.settlements[-1][0] == how:
            self.settlements[-1][1].update(held)
        else:
            self.settlements.append((how, held))

    @property
    def overtaking(self) -> Held:
        """Acknowledgements to classic queues, which take them before the other settlements.

        A commit sends all at once, and they have the priority (rabbit_amqqueue_process, and observed); whether they overtake its
        publishes, too, is a race.
        """
        acks = [held for how, held in self.settlements if how == "ack"]
        return {tag: entry for held in acks for tag, entry in held.items() if entry.queue.is_classic}

    @property
    def behind(self) -> Iterator[tuple[Settlement, Held]]:
        """The other settlements, in order."""
        first = self.overtaking
        for how, held in self.settlements:
            yield how, {tag: entry for tag, entry in held.items() if tag not in first}

    @property
    def held(self) -> Held:
        """The deliveries that a rollback gives back to the channel."""
        return {tag: entry for _, held in self.settlements for tag, entry in held.items()}
