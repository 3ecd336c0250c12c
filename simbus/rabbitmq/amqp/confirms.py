"""Confirms that wait to be said, so that one acknowledgement can stand for many messages.

RabbitMQ: "the broker may also set the multiple field in basic.ack to indicate that all messages up to and
including the one with the sequence number have been handled" - so only where nothing lower is outstanding.
"""

from collections.abc import Iterator
from typing import NamedTuple


class Confirm(NamedTuple):
    """One basic.ack, or basic.nack, for a publisher."""

    ack: bool
    delivery_tag: int
    multiple: bool


class Confirms:
    """The confirms of one channel."""

    __slots__ = ("_complete", "_runs")

    def __init__(self) -> None:
        self._complete = 0  # up to here everything has been confirmed
        self._runs: list[tuple[bool, int, int]] = []  # ack, first and last tag

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, delivery_tag: int, ack: bool) -> None:
        """Note that a message was confirmed."""
        if self._runs:
            kind, first, last = self._runs[-1]
            if kind is ack and delivery_tag == last + 1:
                self._runs[-1] = (ack, first, delivery_tag)
                return
        self._runs.append((ack, delivery_tag, delivery_tag))

    def forget(self) -> None:
        """Never say those that wait; none that comes later can then stand for them."""
        self._runs.clear()

    def take(self) -> Iterator[Confirm]:
        """What is to be said now."""
        runs, self._runs = self._runs, []
        for ack, first, last in runs:
            if first == self._complete + 1:
                self._complete = last
                yield Confirm(ack, last, last > first or not ack)
            else:
                yield from [Confirm(ack, tag, False) for tag in range(first, last + 1)]
