"""The ready copies of one queue, in the order in which they will leave: what a queue's type and arguments make of it.

Whatever it is, ``[0]`` is the head, ``append`` takes a new copy, ``popleft`` the head, and ``put_back`` what was delivered
and comes back; that one answers with what holds the copies from then on. No effect, no time and no consumer lives here.

A plain queue is a deque, because every message of it passes through here: it becomes something slower only when copies come
back out of order, and is a deque again when they have left.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush, merge
from itertools import chain
from operator import attrgetter
from typing import Any, Protocol

from simbus.rabbitmq.messages import Copy

HIGH = 5
"""The priority from which a quorum queue prefers a message, where the version has that."""
_WEIGHT = 2

_position = attrgetter("position")


class Ready(Protocol):
    """What every kind of queue offers."""

    def __len__(self) -> int:
        """How many copies are ready."""

    def __iter__(self) -> Iterator[Copy]:
        """The copies, head first."""

    def __getitem__(self, index: Any, /) -> Copy:
        """The head, at 0."""

    def append(self, copy: Copy, /) -> None:
        """A new copy, behind those that it does not outrank."""

    def popleft(self) -> Copy:
        """Take the head."""

    def put_back(self, copies: Sequence[Copy], /) -> "Ready":
        """Copies come back to where they belong; what holds all copies now."""

    def clear(self) -> None:
        """Forget all."""

    def check(self) -> None:
        """Assert the order."""


class Fifo(deque[Copy]):
    """A classic queue: copies stand in the order of their positions, and what comes back goes where it was."""

    __slots__ = ()

    def put_back(self, copies: Sequence[Copy], /) -> Ready:
        """Mostly they belong before all others, however many they are."""
        coming = sorted(copies, key=_position, reverse=True)
        if coming and self and coming[0].position > self[0].position:
            return Reordered(self, coming)
        self.extendleft(coming)
        return self

    def check(self) -> None:
        """Assert the order."""
        positions = [copy.position for copy in self]
        assert positions == sorted(positions), "ready copies stand in the order of enqueueing"


class Reordered:
    """A classic queue to which copies come back in any order: a heap of these beside the deque of the others.

    To insert into the middle of a deque would cost its length: a million copies that come back one by one, in any order, would
    take the better part of an hour.
    """

    __slots__ = ("_back", "_rest", "append")

    def __init__(self, rest: Fifo, back: Iterable[Copy]) -> None:
        self._rest = rest
        self._back = [(copy.position, copy) for copy in back]
        heapify(self._back)
        self.append: Callable[[Copy], None] = rest.append

    def __len__(self) -> int:
        return len(self._back) + len(self._rest)

    def __iter__(self) -> Iterator[Copy]:
        return merge((copy for _, copy in sorted(self._back)), self._rest, key=_position)

    def __getitem__(self, index: int, /) -> Copy:
        return self._back[0][1] if self._comes_from_back() else self._rest[index]

    def popleft(self) -> Copy:
        """Take the head."""
        return heappop(self._back)[1] if self._comes_from_back() else self._rest.popleft()

    def _comes_from_back(self) -> bool:
        return bool(self._back) and (not self._rest or self._back[0][0] < self._rest[0].position)

    def put_back(self, copies: Sequence[Copy], /) -> Ready:
        """Copies come back to their places."""
        if not self._back:
            return self._rest.put_back(copies)
        for copy in copies:
            heappush(self._back, (copy.position, copy))
        return self

    def clear(self) -> None:
        """Forget all."""
        self._back.clear()
        self._rest.clear()

    def check(self) -> None:
        """Assert the order."""
        self._rest.check()


class ByPriority:
    """A classic queue with ``x-max-priority``: a queue for each level, of which the highest that is not empty comes first.

    "Messages without a priority property are treated as if their priority were 0. Messages with a priority which is higher
    than the queue's maximum are treated as if they were published with the maximum priority." (Priority queue support)
    """

    __slots__ = ("_count", "_levels", "_most", "_used")

    def __init__(self, most: int) -> None:
        self._most = most
        self._levels: dict[int, Ready] = {}
        self._used: list[int] = []  # the levels that are not empty, negative: the highest comes first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Copy]:
        return chain.from_iterable(self._levels[-level] for level in self._used)

    def __getitem__(self, index: int, /) -> Copy:
        return self._levels[-self._used[index]][0]

    def _level(self, copy: Copy) -> int:
        return min(copy.message.properties.priority or 0, self._most)

    def append(self, copy: Copy, /) -> None:
        """A new copy, behind those of its level."""
        self._use(self._level(copy)).append(copy)
        self._count += 1

    def popleft(self) -> Copy:
        """Take the head of the highest level."""
        level = -self._used[0]
        copies = self._levels[level]
        copy = copies.popleft()
        self._count -= 1
        if not copies:
            del self._used[0]
        return copy

    def put_back(self, copies: Sequence[Copy], /) -> Ready:
        """Copies come back to their places, each in its level."""
        by_level: dict[int, list[Copy]] = {}
        for copy in copies:
            by_level.setdefault(self._level(copy), []).append(copy)
        for level, coming in by_level.items():
            self._levels[level] = self._use(level).put_back(coming)
        self._count += len(copies)
        return self

    def _use(self, level: int) -> Ready:
        """The copies of a level that is about to get one."""
        copies = self._levels.get(level)
        if copies is None:
            copies = self._levels[level] = Fifo()
        if not copies:
            insort(self._used, -level)
        return copies

    def clear(self) -> None:
        """Forget all."""
        self._levels.clear()
        self._used.clear()
        self._count = 0

    def check(self) -> None:
        """Assert the order."""
        assert self._used == sorted(-level for level, copies in self._levels.items() if copies), "levels that are not empty"
        assert self._count == sum(len(copies) for copies in self._levels.values()), "the levels' copies add up"
        for level, copies in self._levels.items():
            copies.check()
            assert all(self._level(copy) == level for copy in copies), "a copy stands in its level"


class Quorum:
    """A quorum queue: what came back stands before all others, in the order of its return (observed on both versions).

    With ``two_levels`` (4.0) those of priority 5 and more are taken before the others, but after two of them comes one of the
    others, if that is older than the next of the higher ones. (Observed on 4.0.5: of b5 c5 d1 e1 f5, after an earlier a5, the
    order is b5 c5 f5 d1 e1; that turn is counted also while there is nothing to choose from.)
    """

    __slots__ = ("_high", "_normal", "_returned", "_turn", "_two_levels")

    def __init__(self, *, two_levels: bool) -> None:
        self._returned: deque[Copy] = deque()
        self._high: deque[Copy] = deque()
        self._normal: deque[Copy] = deque()
        self._two_levels = two_levels
        self._turn = 0

    def __len__(self) -> int:
        return len(self._returned) + len(self._high) + len(self._normal)

    def __iter__(self) -> Iterator[Copy]:
        yield from self._returned
        high, normal, turn = deque(self._high), deque(self._normal), self._turn
        while high or normal:
            yield _next(high, normal, turn).popleft()
            turn = _after(turn)

    def __getitem__(self, index: int, /) -> Copy:
        return (self._returned or _next(self._high, self._normal, self._turn))[index]

    def append(self, copy: Copy, /) -> None:
        """A new copy, behind those of its level."""
        high = self._two_levels and (copy.message.properties.priority or 0) >= HIGH
        (self._high if high else self._normal).append(copy)

    def popleft(self) -> Copy:
        """Take the head."""
        if self._returned:
            return self._returned.popleft()
        copies = _next(self._high, self._normal, self._turn)
        self._turn = _after(self._turn)
        return copies.popleft()

    def put_back(self, copies: Sequence[Copy], /) -> Ready:
        """Copies come back before all that have not been delivered yet."""
        self._returned.extend(copies)
        return self

    def put_last(self, copies: Iterable[Copy]) -> None:
        """Copies come back as if they had just been published, but never as urgent ones."""
        self._normal.extend(copies)

    def clear(self) -> None:
        """Forget all, and whose turn it is (observed on 4.0.5)."""
        for copies in (self._returned, self._high, self._normal):
            copies.clear()
        self._turn = 0

    def check(self) -> None:
        """Assert the order."""
        for copies in (self._high, self._normal):
            positions = [copy.position for copy in copies]
            assert positions == sorted(positions), "copies that were not delivered stand in the order of enqueueing"


def _next(high: deque[Copy], normal: deque[Copy], turn: int) -> deque[Copy]:
    if not high or not normal:
        return high or normal
    return normal if turn == _WEIGHT and normal[0].position < high[0].position else high


def _after(turn: int) -> int:
    return 0 if turn == _WEIGHT else turn + 1
