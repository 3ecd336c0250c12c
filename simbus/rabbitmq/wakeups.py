"""Who wants to be woken when: a heap of which entries may be forgotten.

An entry that counts no more stays where it is until it comes to the head, or until such entries are more than half of the heap,
which is then made anew: so forgetting is cheap, and what was forgotten does not stay in memory.
"""

from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar


class Sleeper(Protocol):
    """What asks to be woken; ``index`` is its alone, and tells who is woken first of those that are due at one instant."""

    wake_at: int | None

    @property
    def index(self) -> int:
        """Unique among those in one heap."""


S = TypeVar("S", bound=Sleeper)


class Wakeups(Generic[S]):
    """At most one wake-up per sleeper, whose ``wake_at`` it is; ``asleep`` counts them. The first entry always counts.

    ``next`` is when the first wants to be woken, kept because every verb is preceded by a look at it.
    """

    __slots__ = ("asleep", "entries", "next")

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, S]] = []
        self.asleep = 0
        self.next: int | None = None

    def wake(self, sleeper: S, at: int) -> None:
        """Wake it no later than ``at``: a wake-up that comes earlier stays, because an early one just asks again."""
        if sleeper.wake_at is not None:
            if sleeper.wake_at <= at:
                return
            self.forget(sleeper)
        sleeper.wake_at = at
        self.asleep += 1
        heappush(self.entries, (at, sleeper.index, sleeper))
        self.next = self.entries[0][0]

    def forget(self, sleeper: S) -> None:
        """Wake it no more."""
        if sleeper.wake_at is not None:
            sleeper.wake_at = None
            self.asleep -= 1
            self._tidy()

    def due(self, now: int) -> S | None:
        """The next whose time has come, or None."""
        if not self.entries or self.entries[0][0] > now:
            return None
        sleeper = heappop(self.entries)[2]
        sleeper.wake_at = None
        self.asleep -= 1
        self._tidy()
        return sleeper

    def _tidy(self) -> None:
        if len(self.entries) > 2 * self.asleep:
            self.entries = list(dict.fromkeys(entry for entry in self.entries if entry[2].wake_at == entry[0]))
            heapify(self.entries)
        while self.entries and self.entries[0][2].wake_at != self.entries[0][0]:
            heappop(self.entries)
        self.next = self.entries[0][0] if self.entries else None

    def check(self) -> None:
        """Assert that it knows each sleeper's wake-up, and not much else."""
        living = {sleeper.index for at, _, sleeper in self.entries if sleeper.wake_at == at}
        assert len(living) == self.asleep, "one wake-up per sleeper"
        assert len(self.entries) <= 2 * self.asleep, "what is forgotten is not kept"
        first = next(iter(self.entries), None)
        assert self.next == (first and first[0]), "the next wake-up is the first"
        assert first is None or first[2].wake_at == first[0], "the first wake-up counts"
