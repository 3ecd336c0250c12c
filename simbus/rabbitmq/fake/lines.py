"""What a log of RabbitMQ says, line by line: the table from types of effects to words and texts.

Messages are numbered in the order of their publishing, so that ``#7`` can be followed from line to line. A line is for one
who develops a client: who did what with which queue, and what became of each message.
"""

from collections.abc import Callable, Mapping
from typing import Any

from simbus.effects import ChannelTimedOut, Delivered, Enqueued, Published, Refused, Removed, Requeued, Settled
from simbus.log import Line, Word
from simbus.rabbitmq.effects import (
    Blocked,
    ChannelClosed,
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    ConsumerCancelled,
    ConsumerEnded,
    ConsumerStarted,
    Delayed,
    QueueDeclared,
    QueueDeleted,
    Returned,
    Unblocked,
)

_DISCONNECTED, _LOST = Word("disconnected", "plain"), Word("disconnected", "bad")
_LONGEST_TAG, _HALF_TAG = 20, 9
_DEAD_LETTERED = Word("dead-lettered", "odd")


def _always(text: str, tone: str = "") -> Callable[[Any], Word]:
    word = Word(text, tone)
    return lambda _: word


def _in_vhost(effect: Any) -> str:
    """The vhost, where it is not the default one."""
    return "" if effect.vhost == "/" else f" in vhost {effect.vhost}"


def _tag(effect: Any) -> str:
    """A consumer tag; of a long one the beginning, which says who made it up, and the end, which tells it from others."""
    tag: str = effect.consumer_tag
    return tag if len(tag) <= _LONGEST_TAG else f"{tag[:_HALF_TAG]}…{tag[-_HALF_TAG:]}"


def _declared(effect: QueueDeclared) -> str:
    durability = "durable" if effect.durable else "not durable"
    return f"queue {effect.queue} ({effect.type}, {durability}){_in_vhost(effect)} by {effect.connection}"


def _deleted(effect: QueueDeleted) -> str:
    return f"queue {effect.queue}{_in_vhost(effect)}"


def _started(effect: ConsumerStarted) -> str:
    prefetch = f"prefetch {effect.prefetch}" if effect.prefetch else "no prefetch limit"
    return f"{effect.queue}{_in_vhost(effect)} by {_tag(effect)} of {effect.connection}, {prefetch}"


def _ended(effect: ConsumerEnded | ConsumerCancelled) -> str:
    return f"{_tag(effect)} of {effect.queue}"


def _published(effect: Published) -> str:
    size = len(effect.message.body)
    where = f"routed to {', '.join(effect.queues)}" if effect.queues else "reaches no queue"
    return f"#{effect.message_id} to {effect.message.address}, {size:,} byte{'' if size == 1 else 's'}, {where}"


def _to_address(effect: Published | Returned) -> str:
    return f"to {effect.message.address}"


def _delivered(effect: Delivered) -> str:
    to = "a get" if effect.consumer_tag is None else _tag(effect)
    return f"#{effect.message_id} from {effect.queue} to {to}" + (f", attempt {effect.attempt}" if effect.attempt > 1 else "")


def _removed(effect: Removed) -> str:
    return f"#{effect.message_id} in {effect.queue}, " + ("dead-lettered" if effect.children else "discarded")


def _in_queue(effect: Any) -> str:
    return f"in {effect.queue}"


def _message_in_queue(effect: Any) -> str:
    return f"#{effect.message_id} in {effect.queue}"


LINES: Mapping[type, Line] = {
    ConnectionOpened: Line(
        _always("connected", "good"),
        lambda effect: f"{effect.connection} as {effect.user} to vhost {effect.vhost}",
        lambda effect: f"as {effect.user} to vhost {effect.vhost}",
        essential=True,
    ),
    ConnectionRefused: Line(
        _always("refused", "bad"),
        lambda effect: f"{effect.connection}: {effect.reason}",
        lambda effect: effect.reason,
        essential=True,
    ),
    ConnectionClosed: Line(
        lambda effect: _DISCONNECTED if effect.orderly else _LOST,
        lambda effect: f"{effect.connection}: {effect.reason}",
        lambda effect: effect.reason,
        essential=True,
    ),
    **dict.fromkeys(
        (ChannelClosed, ChannelTimedOut),
        Line(
            _always("error", "bad"),
            lambda effect: f"{effect.reason} (channel {effect.number} of {effect.connection})",
            lambda effect: effect.reason,
            essential=True,
        ),
    ),
    Blocked: Line(_always("blocked", "bad"), Blocked.describe, Blocked.describe, essential=True),
    Unblocked: Line(_always("unblocked", "good"), Unblocked.describe, Unblocked.describe, essential=True),
    QueueDeclared: Line(_always("declared", "plain"), _declared, lambda _: "queues"),
    QueueDeleted: Line(_always("deleted", "plain"), _deleted, lambda _: "queues"),
    ConsumerStarted: Line(_always("consuming", "plain"), _started, lambda effect: f"from {effect.queue}"),
    ConsumerEnded: Line(_always("cancelled", "plain"), _ended, lambda effect: f"of {effect.queue}"),
    ConsumerCancelled: Line(_always("cancelled", "odd"), _ended, lambda effect: f"of {effect.queue}"),
    Published: Line(_always("published"), _published, _to_address),
    Returned: Line(
        _always("returned", "odd"), lambda effect: f"#{effect.message_id} to its publisher: 312 NO_ROUTE", _to_address
    ),
    Delayed: Line(
        _always("delayed"), lambda effect: f"#{effect.message_id} {effect.describe()}", lambda effect: f"by {effect.exchange}"
    ),
    Refused: Line(_always("refused", "odd"), lambda effect: f"#{effect.message_id} by {effect.queue}, which is full", _in_queue),
    Enqueued: Line(
        lambda effect: _DEAD_LETTERED if effect.parent_id else None,
        lambda effect: f"#{effect.message_id} to {effect.queue}",
        lambda effect: f"to {effect.queue}",
    ),
    Delivered: Line(_always("delivered"), _delivered, lambda effect: f"from {effect.queue}"),
    Settled: Line(_always("acked"), _message_in_queue, _in_queue),
    Requeued: Line(_always("requeued", "odd"), _message_in_queue, _in_queue),
    Removed: Line(lambda effect: Word(effect.cause.replace("_", " "), "odd"), _removed, _in_queue),
}
