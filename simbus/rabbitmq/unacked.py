"""Deliveries that wait for their acknowledgement, and the groups in which RabbitMQ settles them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from simbus.rabbitmq.consumers import Consumer
from simbus.rabbitmq.messages import Copy
from simbus.rabbitmq.queues import Queue


@dataclass(slots=True, eq=False)
class Unacked:
    """A delivery that waits for its acknowledgement; ``consumer`` is None after a get."""

    queue: Queue
    copy: Copy
    consumer: Consumer | None


Held = dict[int, Unacked]  # by delivery tag


def settled_together(held: Mapping[int, Unacked]) -> Sequence[Sequence[Unacked]]:
    """RabbitMQ settles queue by queue: each get by itself, then the consumers in the order of their tags (observed)."""
    groups: dict[tuple[str, int, int, str], list[Unacked]] = {}
    for tag, entry in held.items():
        by = (tag, "") if entry.consumer is None else (sys.maxsize, entry.consumer.tag)
        groups.setdefault((*_queue_of(entry), *by), []).append(entry)
    return [groups[name] for name in sorted(groups)]


def queue_by_queue(held: Mapping[int, Unacked], *, by_age: bool) -> Sequence[Sequence[Unacked]]:
    """The end of a channel gives back all that it held of a queue at once; to a quorum queue consumer by consumer.

    The consumers stand by age there, and the gets come last; or all by tag, a get being its number (both as observed).
    """
    groups: dict[tuple[str, int], list[tuple[tuple[int, int, str], Unacked]]] = {}
    for tag, entry in held.items():
        groups.setdefault(_queue_of(entry), []).append((_rank(tag, entry, by_age), entry))
    for group in groups.values():
        if group[0][1].queue.is_quorum:
            group.sort(key=itemgetter(0))
    return [[entry for _, entry in groups[name]] for name in sorted(groups)]


def _rank(tag: int, entry: Unacked, by_age: bool) -> tuple[int, int, str]:
    consumer = entry.consumer
    if consumer is None:
        return int(by_age), 0, str(tag)
    return 0, consumer.number if by_age else 0, consumer.tag


def _queue_of(entry: Unacked) -> tuple[str, int]:
    """A queue's name and number: one that was deleted may have a successor of the same name."""
    return entry.queue.name, entry.queue.index
