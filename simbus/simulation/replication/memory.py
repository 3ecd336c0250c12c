"""What consumers remember of the messages that they have applied, so as not to apply them again.

A group shares one memory, as its consumers share a table or a cache. Messages are told by whole numbers. A message is remembered
when it has been applied: two consumers that handle it at the same time both apply it, as where a lookup takes no lock.
"""

from collections import OrderedDict
from typing import Protocol

from simbus.simulation.model.practices import Deduplication


class Memory(Protocol):
    """Of one group."""

    def holds(self, key: int, now: int, /) -> bool:
        """Whether a message is remembered."""

    def add(self, key: int, now: int, /) -> None:
        """It was applied."""


def remembering(rule: Deduplication) -> Memory:
    """The memory that a rule asks for."""
    if rule.window is None and rule.size is None:
        return Endless()
    return Window(rule.window, rule.size)


class Endless:
    """Remembers everything, a byte for each message."""

    def __init__(self) -> None:
        self._applied = bytearray()

    def holds(self, key: int, _: int) -> bool:
        """See :class:`Memory`."""
        return key < len(self._applied) and bool(self._applied[key])

    def add(self, key: int, _: int) -> None:
        """See :class:`Memory`."""
        if key >= len(self._applied):
            self._applied.extend(bytes(key + 1024 - len(self._applied)))
        self._applied[key] = 1


class Window:
    """Remembers a message for ``window`` nanoseconds after it was applied, and at most ``size`` of them; None is no limit."""

    def __init__(self, window: int | None, size: int | None) -> None:
        self._window, self._size = window, size
        self._applied: OrderedDict[int, int] = OrderedDict()  # when, the longest ago first

    def holds(self, key: int, now: int) -> bool:
        """See :class:`Memory`."""
        self._forget(now)
        return key in self._applied

    def add(self, key: int, now: int) -> None:
        """See :class:`Memory`."""
        self._applied[key] = now
        self._applied.move_to_end(key)
        if self._size is not None and len(self._applied) > self._size:
            self._applied.popitem(last=False)

    def _forget(self, now: int) -> None:
        while self._window is not None and self._applied and next(iter(self._applied.values())) <= now - self._window:
            self._applied.popitem(last=False)
