"""The log of a stream: copies in the order of their offsets, in segments; only whole segments leave it.

No effect, no consumer and no clock lives here. A copy's ``position`` is its offset. Sizes are those of bodies: RabbitMQ counts
what it writes to its files, which is a little more.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from simbus.rabbitmq.messages import Copy


@dataclass(slots=True, eq=False)
class Segment:
    """Copies at successive offsets from ``first``, each with the time at which it was stored.

    ``begins`` is the offset that the segment itself starts with; ``taken`` copies, the oldest, are no longer there.
    """

    begins: int
    first: int
    copies: list[Copy] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    size: int = 0
    taken: int = 0

    @property
    def held(self) -> Iterable[Copy]:
        """The copies that are there."""
        return islice(self.copies, self.taken, None)


class Log:
    """Segments, of which there is always one, the last, that is written to."""

    __slots__ = ("_count", "next_offset", "segments")

    def __init__(self) -> None:
        self.next_offset = 0
        self.segments = deque([Segment(0, 0)])
        self._count = 0

    # As the ready copies of any queue

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Copy]:
        return (copy for segment in self.segments for copy in segment.held)

    def __getitem__(self, index: int, /) -> Copy:
        """The oldest copy, at 0; there is no other way in than by offset."""
        return next(iter(self)) if index == 0 else list(self)[index]

    def append(self, copy: Copy, /) -> None:
        """Store a copy that nobody has dated, as if it were as old as time."""
        self.store(copy, 0)

    def popleft(self) -> Copy:
        """Take the oldest copy, which only a fake can do."""
        while self.segments[0].taken == len(self.segments[0].copies):
            self.segments.popleft()
        oldest = self.segments[0]
        copy = oldest.copies[oldest.taken]
        oldest.taken += 1
        oldest.size -= len(copy.message.body)
        self._count -= 1
        if not self._count:
            self.clear()
        return copy

    def put_back(self, copies: Sequence[Copy], /) -> "Log":
        """Nothing has left the log that could come back."""
        assert not copies
        return self

    def clear(self) -> None:
        """Forget every copy; offsets go on."""
        self.segments = deque([Segment(self.next_offset, self.next_offset)])
        self._count = 0

    def check(self) -> None:
        """Assert that offsets rise, and that copies and sizes are counted."""
        offsets = [copy.position for copy in self]
        assert offsets == sorted(set(offsets)), "a stream's offsets rise"
        assert not offsets or offsets[-1] < self.next_offset, "the next offset is a new one"
        assert self._count == len(offsets), "a stream's copies are counted"
        for segment in self.segments:
            assert segment.size == sum(len(copy.message.body) for copy in segment.held), "a segment's size"
            assert [copy.position - segment.first for copy in segment.copies] == list(range(len(segment.copies))), "no gaps"

    # Writing

    def store(self, copy: Copy, now: int) -> None:
        """Store a copy at the next offset."""
        last = self.segments[-1]
        copy.position = self.next_offset
        self.next_offset += 1
        last.copies.append(copy)
        last.times.append(now)
        last.size += len(copy.message.body)
        self._count += 1

    def roll(self) -> None:
        """Begin a new segment. RabbitMQ notes there how far its publishers are, which takes an offset (observed)."""
        self.segments.append(Segment(self.next_offset, self.next_offset + 1))
        self.next_offset += 1

    def beyond_size(self, most: int) -> int:
        """How many segments, the oldest, are too much together with all that are younger.

        Bodies of just as many bytes are too much, since RabbitMQ counts what is round them too.
        """
        left, kept = most - self.segments[-1].size, 1
        for segment in reversed(list(self.segments)[:-1]):
            left -= segment.size
            if left <= 0:
                break
            kept += 1
        return len(self.segments) - kept

    def older_than(self, time: int) -> int:
        """How many segments, the oldest, hold nothing that was stored since ``time``; the last one always stays."""
        count = 0
        for segment in list(self.segments)[:-1]:
            if segment.times and segment.times[-1] >= time:
                break
            count += 1
        return count

    def drop(self, count: int) -> Iterable[Copy]:
        """Remove so many segments, the oldest; their copies."""
        for _ in range(count):
            copies = list(self.segments.popleft().held)
            self._count -= len(copies)
            yield from copies

    # Reading

    def at(self, offset: int) -> Copy | None:
        """The copy at an offset, or the first after it; None when there is none yet."""
        for segment in self._from(offset):
            place = max(offset - segment.first, segment.taken)
            if place < len(segment.copies):
                return segment.copies[place]
        return None

    def _from(self, offset: int) -> Iterable[Segment]:
        """The segments in which an offset, or what follows it, can be; mostly the last one."""
        last = self.segments[-1]
        if offset >= last.first:
            return (last,)
        segments = list(self.segments)
        return segments[max(bisect_right([segment.first for segment in segments], offset) - 1, 0) :]

    def offset_at(self, time: int) -> int:
        """The offset of the first copy that was stored at this time or later; the next one when there is none."""
        for segment in self.segments:
            if segment.times and segment.times[-1] >= time:
                return segment.first + bisect_left(segment.times, time)
        return self.next_offset

    def extent_at(self, time: int) -> int:
        """How many offsets there were before a time, of those that there still are."""
        for segment in reversed(self.segments):
            if segment.times and segment.times[0] < time:
                return segment.first + bisect_left(segment.times, time) - self.segments[0].begins
        return 0
