"""What a publisher has told of a message: that it may publish it again, or waits until every subscriber has applied it.

A message that is published again is a new one for the broker, with an id of its own, and the same one for whoever counts losses,
duplicates and consistency windows. ``Telling`` is that part of the recorder, and nobody else uses it; of most messages nothing is
told, and they do not come here.
"""

from collections.abc import Callable
from typing import Any

from simbus.analysis.observed import Observed


class Told:
    """One message, however often it is published.

    Args:
        message_id: the id that it had when it first reached the broker.
        sent_at: when its publisher first sent it, in nanoseconds.
        held: whether it may be published again, so that what is lost of it is not lost yet.
    """

    __slots__ = ("_done", "ended", "firsts", "held", "message_id", "parked", "pending", "resting", "sent_at", "window")

    def __init__(self, message_id: int, sent_at: int, held: bool) -> None:
        self.message_id, self.sent_at, self.held = message_id, sent_at, held
        self.firsts: dict[str, Any] = {}
        """By queue, the first copy of each of its obligations."""
        self.ended: dict[str, str] = {}
        """By queue, why an obligation was lost; an empty text where it was finished."""
        self.resting: dict[str, int] = {}
        """By queue, how many copies of an obligation have come to where no consumer will see them."""
        self.parked: set[str] = set()
        """The queues of which all copies are there."""
        self.window: Any = None
        self.pending = -1  # subscribers that have neither applied nor lost it; negative before it has reached the broker
        self._done: Callable[[], None] | None = None

    def follow(self, done: Callable[[], None]) -> None:
        """Call ``done`` once every subscriber has applied or lost it."""
        self._done = done

    def reach(self, subscribers: int) -> None:
        """It has reached the broker, which sends it to so many."""
        self.pending = subscribers
        self._look()

    def one_less(self) -> None:
        """A subscriber has applied it, or will never do so."""
        self.pending -= 1
        self._look()

    def rest(self, first: Any) -> None:
        """A copy has come to where no consumer will see it."""
        name = first.queue.name
        self.resting[name] = self.resting.get(name, 0) + 1
        self.look_at(first)

    def look_at(self, first: Any) -> None:
        """Where all copies of an obligation have come to rest, its subscriber will never apply it."""
        name = first.queue.name
        if self.resting.get(name) == first.live and name not in self.parked and name not in self.ended:
            self.parked.add(name)
            if first.queue.served and not first.applied:
                self.one_less()

    def _look(self) -> None:
        if not self.pending and self._done is not None:
            self._done()


class Telling:
    """The part of a recorder that publishers talk to; whatever they tell comes before the effects of the publish are taken.

    A copy is the recorder's, and what is done with it here is written there.
    """

    _seen: Observed
    _warmup: int

    def __init__(self) -> None:
        self._to_come: dict[int, Told] = {}  # by the id of a message that is about to be seen as published
        self._told: Told | None = None  # of the message that was published last
        self._undecided: dict[Any, str] = {}  # obligations that are lost, unless the publisher tries again; and why

    def _end_obligation(self, first: Any, cause: str) -> None:
        raise NotImplementedError

    def sent(self, message_id: int, sent_at: int, held: bool = False) -> Told:
        """A message reaches the broker that was sent at ``sent_at``; while it is ``held`` it may be published again."""
        told = self._to_come[message_id] = Told(message_id, sent_at, held)
        return told

    def sent_again(self, message_id: int, told: Told) -> None:
        """It reaches the broker again, as another message."""
        self._to_come[message_id] = told

    def follow(self, told: Told, done: Callable[[], None]) -> None:
        """Call ``done``, which may publish nothing at once, when every subscriber has applied it, or lost it."""
        told.follow(done)

    def answered(self, told: Told) -> None:
        """It will not be published again: what is lost of it now is lost."""
        told.held = False
        for first in told.firsts.values():
            if first in self._undecided:
                self._end_obligation(first, self._undecided.pop(first))

    def unsent(self, sent_at: int, times: int = 1) -> None:
        """A message that was sent at ``sent_at`` never reaches the broker; -1 times: it has after all."""
        if sent_at >= self._warmup:
            self._seen.unsent += times

    def _take_told(self, told: Told, queues: tuple[str, ...], window: Any, subscribers: int) -> None:
        measured = told.sent_at >= self._warmup
        if told.pending >= 0:
            self._seen.republished += measured
            return
        self._seen.published += measured
        self._seen.unroutable += measured and not queues
        told.window = window
        told.reach(subscribers)

    def _begin_told(self, copy: Any, told: Told) -> None:
        """A first copy of a message that was told of: its obligation begins, or goes on."""
        queue, first = copy.queue, told.firsts.get(copy.queue.name)
        if first is not None:
            copy.first = first
            first.live += 1
            self._undecided.pop(first, None)
            return
        told.firsts[queue.name], copy.told = copy, told
        copy.message_id, copy.published_at = told.message_id, told.sent_at
        measured = told.sent_at >= self._warmup
        queue.obligations += measured
        if copy.of is not None:
            copy.of.obligations += measured
        if queue.served:
            copy.window = told.window

    def _has_ended(self, first: Any, told: Told, cause: str) -> bool:
        """Whether an obligation need not be counted as it ends: it may go on, or it has ended before."""
        name = first.queue.name
        if told.held and not first.acked:
            self._undecided[first] = cause
            return True
        if name in told.ended:
            if first.acked and told.ended[name]:
                self._not_lost(first, told.ended[name])
                told.ended[name] = ""
            return True
        told.ended[name] = "" if first.acked else cause
        if not first.applied and first.queue.served and name not in told.parked:
            told.one_less()
        return False

    def _not_lost(self, first: Any, cause: str) -> None:
        """A copy of a message that its publisher had given up came late, and was acknowledged."""
        if first.published_at >= self._warmup:
            first.queue.lost[cause] -= 1
            if first.of is not None:
                first.of.lost -= 1
            if first.window is None and first.queue.served:
                self._seen.never_closing -= 1
