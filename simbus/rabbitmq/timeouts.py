"""The delivery acknowledgement timeout: how long a consumer may hold a delivery, and when a channel is looked at for that.

"If a consumer does not ack its delivery for more than the timeout value (30 minutes by default), its channel will be closed with
a PRECONDITION_FAILED channel exception" (Consumers, Delivery Acknowledgement Timeout). RabbitMQ looks once a minute, and only at
the delivery that a channel has held for longest, by the timeout of that one's queue; it begins to count the minutes when an idle
channel gets something (observed on 4.0.5 and 3.10.8, as that a delivery that a transaction has settled counts no more).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simbus.units import MILLISECOND, MINUTE

CONSUMER_TIMEOUT = 30 * MINUTE
NEVER = 1 << 62
"""The timeout where there is none: longer than any clock runs."""
SWEEP = MINUTE


@dataclass(slots=True, eq=False)
class Watch:
    """A look at a channel: ``index`` orders the channels, ``wake_at`` is when, and ``sweep`` what is done then.

    ``patience`` is the shortest timeout of what the channel holds, or longer than that: what comes with a shorter one has to
    ``begin`` the watch. ``since`` is when it began to count the minutes, ``changed`` when a policy may last have changed the
    timeouts of queues.
    """

    index: int
    sweep: Callable[[], None]
    wake_at: int | None = None
    patience: int = NEVER
    since: int = 0
    changed: int = 0

    def begin(self, patience: int, now: int) -> int:
        """When to look after a delivery has come with a shorter timeout than all others."""
        if self.patience == NEVER:
            self.since = now
        self.patience = patience
        return self.first(now + patience, now)

    def again(self, unacked: Mapping[int, Any], now: int) -> int | None:
        """When to look next, at all that is held; never when nothing has a timeout."""
        patience = min((entry.queue.patience for entry in unacked.values()), default=NEVER)
        if patience == NEVER:
            self.patience = NEVER
            return None
        self.begin(patience, now)
        return min(self.first(entry.copy.delivered_at + entry.queue.patience, now) for entry in unacked.values())

    def overdue(self, unacked: Mapping[int, Any], now: int) -> int | None:
        """The timeout of the oldest delivery, when it is to be found overdue now."""
        if not unacked:
            return None
        oldest = next(iter(unacked.values()))
        timeout: int = oldest.queue.patience
        return timeout if self.due(oldest) <= now else None

    def first(self, overdue: int, after: int) -> int:
        """The first sweep after a time that finds overdue what is so from ``overdue`` on.

        What is so at the very first sweep is not found by it, and at a later one is: each comes a moment late (observed).
        """
        overdue += overdue == self.since + SWEEP
        minutes = -(-(max(overdue, after + 1) - self.since) // SWEEP)
        return self.since + minutes * SWEEP

    def due(self, entry: Any) -> int:
        """The sweep that will find a delivery overdue."""
        delivered_at: int = entry.copy.delivered_at
        return self.first(delivered_at + entry.queue.patience, max(delivered_at, self.changed))


def found_overdue(timeout: int) -> int:
    """How long after it has come to an idle channel a delivery is found overdue."""
    return Watch(0, lambda: None).first(timeout, 0)


def timed_out(channel: int, timeout: int) -> str:
    """What RabbitMQ says to a channel of which a delivery has waited for too long; its number is the client's."""
    return (
        f"delivery acknowledgement on channel {channel} timed out. Timeout value used: {timeout // MILLISECOND} ms. "
        "This timeout value can be configured, see consumers doc guide to learn more"
    )
