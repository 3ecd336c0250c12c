"""What a publisher has told of a message: that it may publish it again, or waits until every subscriber has applied it.

A message that is published again is a new one for the broker, with an id of its own, and the same one for whoever counts losses,
duplicates and consistency windows. Only the recorder uses this; of most messages nothing is told.
"""

from collections.abc import Callable
from typing import Any


class Told:
    """One message, however often it is published.

    Args:
        message_id: the id that it had when it first reached the broker.
        sent_at: when its publisher first sent it, in nanoseconds.
        held: whether it may be published again, so that what is lost of it is not lost yet.
    """

    __slots__ = ("_done", "ended", "firsts", "held", "message_id", "pending", "sent_at", "window")

    def __init__(self, message_id: int, sent_at: int, held: bool) -> None:
        self.message_id, self.sent_at, self.held = message_id, sent_at, held
        self.firsts: dict[str, Any] = {}
        """By queue, the first copy of each of its obligations."""
        self.ended: dict[str, str] = {}
        """By queue, why an obligation was lost; an empty text where it was finished."""
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

    def _look(self) -> None:
        if not self.pending and self._done is not None:
            self._done()
