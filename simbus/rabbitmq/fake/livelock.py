"""Going round for ever at one instant, and how it is noticed.

On a virtual clock nothing interrupts a message that is delivered, requeued and delivered again, nor
handlers that publish to each other without end: time only moves when nothing is left to do.
"""

from simbus.errors import Livelock

MOST_DELIVERIES = 1_000  # of one message at one instant
MOST_GENERATIONS = 10_000  # of messages, each published by the handler of the one before, at one instant

_REMEDY = (
    "Limit its deliveries (a quorum queue with delivery_limit), reject it into a dead letter exchange\n"
    "(message.reject(requeue=False)), or back off: send it through a queue with message_ttl and advance the clock."
)
_CHAIN_REMEDY = "Let the handler stop at some point, or back off: publish through a queue with message_ttl."


class LivelockGuard:
    """Counts deliveries and generations within one instant."""

    def __init__(self) -> None:
        self._at = -1
        self._deliveries: dict[int, int] = {}
        self._generations: dict[int, int] = {}

    def delivered(self, message_id: int, at: int) -> str | None:
        """Note a delivery; what is wrong and how to mend it, once there are too many."""
        self._begin(at)
        count = self._deliveries[message_id] = self._deliveries.get(message_id, 0) + 1
        if count >= MOST_DELIVERIES:
            return f"message {message_id} was delivered {count:,} times at one instant\n{_REMEDY}"
        if self._generations.get(message_id, 0) >= MOST_GENERATIONS:
            chain = f"handlers published {MOST_GENERATIONS:,} messages at one instant, each because of the one before"
            return f"{chain}\n{_CHAIN_REMEDY}"
        return None

    def published(self, message_id: int, cause: int, at: int) -> None:
        """Note that the handler of message ``cause`` published another."""
        self._begin(at)
        self._generations[message_id] = self._generations.get(cause, 0) + 1

    def _begin(self, at: int) -> None:
        if at != self._at:
            self._at = at
            self._deliveries.clear()
            self._generations.clear()


def livelock(problem: str, timeline: str, last_error: BaseException | None) -> Livelock:
    """The error to raise, with the message's history."""
    reason = "" if last_error is None else f"\nThe last error of its handler: {type(last_error).__name__}: {last_error}"
    return Livelock(f"{problem}{reason}\n\n{timeline}")
