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
    """A look at a channel: ``number`` orders the channels, ``at`` is when, and ``sweep`` what is done then.

    ``since`` is when it began to count the minutes, ``changed`` when a policy may last have changed the timeouts of queues.
    """

    number: int
    sweep: Callable[[], None]
    at: int | None = None
    since: int = 0
    changed: int = 0

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

    def next(self, unacked: Mapping[int, Any], now: int) -> int:
        """The first sweep from now on that may find one of these overdue."""
        return min(self.first(entry.copy.delivered_at + entry.queue.patience, now) for entry in unacked.values())


def timed_out(channel: int, timeout: int) -> str:
    """What RabbitMQ says to a channel of which a delivery has waited for too long; its number is the client's."""
    return (
        f"delivery acknowledgement on channel {channel} timed out. Timeout value used: {timeout // MILLISECOND} ms. "
        "This timeout value can be configured, see consumers doc guide to learn more"
    )
