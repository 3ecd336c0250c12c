"""One replication once more, with a row for each message and for each delivery: what its numbers are made of.

Nobody keeps rows in advance, because a replication depends on its scenario, seed and index alone. Whoever wants them has it run
again with this recorder, which notes at the very places at which the numbers are counted: so the mean of a column is the metric.
A row is noted for what is measured, from the end of the warm-up on, and takes some 150 bytes.
"""

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simbus.analysis.observed import QueueObserved
from simbus.analysis.recorder import Recorder
from simbus.effects import Delivered, Published, Removed, Requeued, Settled
from simbus.units import SECOND

if TYPE_CHECKING:
    from pandas import DataFrame

_NEVER = -2  # of a time; -1 is: not yet
_OPEN, _ACCEPTED, _REQUEUED = "open", "accepted", "requeued"
_MESSAGE = ("message", "type", "published", "queues", "lost", "window")
_DELIVERY = (
    *("message", "copy", "type", "queue", "consumer", "delivery", "attempts"),
    *("ready", "delivered", "started", "ended", "applied", "settled", "outcome"),
)
_TIMES = ("published", "window", "ready", "delivered", "started", "ended", "applied", "settled")
_NAMES = ("type", "queue", "consumer", "outcome")


@dataclass(frozen=True, eq=False)
class Listed:
    """One replication, message by message and delivery by delivery, from the end of its warm-up on.

    Times are in seconds since its start, warm-up included; nan for what has not happened, infinite for what never will.

    Args:
        replication: which, from 0.
        messages: a row for each message, by its number: its class (``type``), when it was ``published``, to how many
            ``queues`` it was routed, in how many of them it was ``lost``, and its consistency ``window``.
        deliveries: a row for each delivery of a ``copy`` to a ``consumer``, a group's name: how often it has been delivered
            (``delivery``, from 1), and how many ``attempts`` the handler made; when the copy became ``ready`` and was
            ``delivered``, when the handler ``started``, ``applied`` it and ``ended``, when the delivery was ``settled``; its
            ``outcome``: ``accepted``, ``requeued``, ``open``, or why the copy was removed, such as ``rejected``; and ``wait`` and
            ``service``, of which the queue's metrics are means and quantiles. What no handler started on has no consumer.
    """

    replication: int
    messages: "DataFrame"
    deliveries: "DataFrame"

    def __repr__(self) -> str:
        return f"<Replication {self.replication}: {len(self.messages):,} messages, {len(self.deliveries):,} deliveries>"


class _Rows:
    """Rows of whole numbers, of which texts get one too."""

    def __init__(self, *columns: str) -> None:
        self.columns = {name: array("q") for name in columns}
        self._names: dict[str, int] = {"": 0}

    def add(self, *values: int) -> int:
        """One more; its place."""
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)
        return len(column) - 1

    def number(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def frame(self, replication: int) -> "DataFrame":
        """Times in seconds: nan for what has not happened, infinite for what never will."""
        import pandas as pd

        found: dict[str, Any] = {"replication": replication}
        for name, column in self.columns.items():
            numbers = np.array(column, dtype=np.int64)
            if name in _TIMES:
                found[name] = np.select([numbers >= 0, numbers == _NEVER], [numbers / SECOND, np.inf], np.nan)
            elif name in _NAMES:
                found[name] = pd.Categorical(np.array(list(self._names), dtype=object)[numbers])
            else:
                found[name] = numbers
        return pd.DataFrame(found)


class Listing(Recorder):
    """A recorder that also lists messages and deliveries."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._messages, self._deliveries = _Rows(*_MESSAGE), _Rows(*_DELIVERY)
        self._row_of_message: dict[int, int] = {}
        self._row_of: dict[int, int] = {}  # by the copy, or the orphan, that is delivered

    def listed(self, replication: int) -> Listed:
        """The rows of the replication with that index, once it has been run."""
        frame = self._deliveries.frame(replication)
        frame = frame.assign(wait=frame["started"] - frame["ready"], service=frame["ended"] - frame["started"])
        return Listed(replication, self._messages.frame(replication), frame)

    def _note(self, copy_id: int, column: str, value: int) -> None:
        place = self._row_of.get(copy_id)
        if place is not None:
            self._deliveries.columns[column][place] = value

    def _is_noted(self, copy_id: int, column: str) -> bool:
        place = self._row_of.get(copy_id)
        return place is not None and self._deliveries.columns[column][place] >= 0

    # Messages

    def _take_published(self, effect: Published) -> None:
        before = self._seen.published
        super()._take_published(effect)
        if self._seen.published > before:
            at = effect.at if self._told is None else self._told.sent_at
            kind = self._messages.number(effect.message.type)
            row = self._messages.add(effect.message_id, kind, at, len(effect.queues), 0, -1)
            self._row_of_message[effect.message_id] = row

    def _applied_first(self, first: Any, now: int) -> None:
        before = len(self._seen.windows)
        super()._applied_first(first, now)
        if len(self._seen.windows) > before:
            self._messages.columns["window"][self._row_of_message[first.message_id]] = now - first.published_at

    def _end_obligation(self, first: Any, cause: str) -> None:
        lost, never = _lost(first.queue), self._seen.never_closing
        super()._end_obligation(first, cause)
        row = self._row_of_message.get(first.message_id)
        if row is not None:
            self._messages.columns["lost"][row] += _lost(first.queue) - lost
            if self._seen.never_closing != never:
                self._messages.columns["window"][row] = _NEVER if self._seen.never_closing > never else -1

    # Deliveries

    def _take_delivered(self, effect: Delivered) -> None:
        super()._take_delivered(effect)
        copy = self._copies[effect.copy_id]
        if copy.ready_at >= self._warmup:
            number = self._deliveries.number
            of = number("" if copy.of is None else copy.of.name), number(effect.queue), 0
            times = copy.ready_at, effect.at, -1, -1, -1, -1
            message_id = (copy.first or copy).message_id
            self._row_of[effect.copy_id] = self._deliveries.add(
                message_id, effect.copy_id, *of, effect.attempt, 0, *times, number(_OPEN)
            )

    def _take_settled(self, effect: Settled) -> None:
        self._leaves(effect, _ACCEPTED, keep=not self._is_noted(effect.copy_id, "ended"))
        super()._take_settled(effect)

    def _take_requeued(self, effect: Requeued) -> None:
        self._leaves(effect, _REQUEUED)
        super()._take_requeued(effect)

    def _take_removed(self, effect: Removed) -> None:
        self._leaves(effect, effect.cause)
        super()._take_removed(effect)

    def _leaves(self, effect: Any, outcome: str, *, keep: bool = False) -> None:
        """The broker is done with a delivery; its consumer may not be, if it need not acknowledge it."""
        self._note(effect.copy_id, "settled", effect.at)
        self._note(effect.copy_id, "outcome", self._deliveries.number(outcome))
        if not keep:
            self._row_of.pop(effect.copy_id, None)

    def started(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        """As any recorder."""
        super().started(group, copy_id, now, servers)
        self._note(copy_id, "started", now)
        self._note(copy_id, "consumer", self._deliveries.number(group))

    def ended(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        """As any recorder."""
        self._note(copy_id, "ended", now)
        self._forget(copy_id)
        super().ended(group, copy_id, now, servers)

    def interrupted(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        """As any recorder; such an attempt has no end."""
        self._forget(copy_id)
        super().interrupted(group, copy_id, now, servers)

    def _forget(self, copy_id: int) -> None:
        """The consumer is done with a delivery: nothing more happens to it if the broker is, too."""
        if self._is_noted(copy_id, "settled"):
            del self._row_of[copy_id]

    def failed(self, group: str, copy_id: int) -> None:
        """As any recorder."""
        self._attempted(copy_id)
        super().failed(group, copy_id)

    def suppressed(self, group: str, copy_id: int, now: int) -> None:
        """As any recorder."""
        self._attempted(copy_id)
        super().suppressed(group, copy_id, now)

    def applied(self, group: str, copy_id: int, now: int) -> None:
        """As any recorder."""
        self._attempted(copy_id)
        self._note(copy_id, "applied", now)
        super().applied(group, copy_id, now)

    def _attempted(self, copy_id: int) -> None:
        if (place := self._row_of.get(copy_id)) is not None:
            self._deliveries.columns["attempts"][place] += 1

    def orphaned(self, copy_id: int) -> int:
        """As any recorder; its attempt stays in the row of the delivery that it began with."""
        orphan = super().orphaned(copy_id)
        if copy_id in self._row_of:
            self._row_of[orphan] = self._row_of[copy_id]
        return orphan

    def let_go(self, orphan: int) -> None:
        """As any recorder."""
        self._row_of.pop(orphan, None)
        super().let_go(orphan)


def _lost(queue: QueueObserved) -> int:
    return sum(queue.lost.values())
