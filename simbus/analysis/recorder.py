"""The recorder: watches one replication and notes what is worth counting.

The driver hands it every effect of the broker, in order, and tells it when a handler starts, ends
and applies; ``replication()`` sums up. It changes nothing, draws nothing, and knows no dialect.
What a number means is written in ``metrics``, how it is computed in ``summary``.

What is measured belongs to the measured time, from ``warmup`` to ``end``: averages over time cover
exactly it, waits and residences the copies that became ready in it, losses and windows the
messages published in it. A terminating run goes on after its ``end``, the last arrival, until all
is settled, and that still counts for the messages of the measured time. Open copies and messages
are kept only while they are open, so memory grows with eight bytes an observation.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simbus.analysis.observed import Busy, Depth, GroupObserved, Observed, QueueObserved, column
from simbus.analysis.replication import BINS, Replication
from simbus.analysis.summary import summarise
from simbus.effects import Delivered, Effect, Enqueued, Published, Refused, Removed, Requeued, Settled

_HASHED_AT_ONCE = 60_000


@dataclass(slots=True, eq=False)
class _Obligation:
    """To bring one message through one of the queues that it first reached."""

    queue: QueueObserved
    message: "_Message | None"
    measured: bool
    live: int = 1
    acked: bool = False
    applied: bool = False


@dataclass(slots=True, eq=False)
class _Message:
    """A message whose consistency window is open: how many subscribers have yet to apply it."""

    published_at: int
    pending: int


@dataclass(slots=True, eq=False)
class _Copy:
    """A copy that is in a queue, ready or unacked."""

    message_id: int
    queue: QueueObserved
    obligation: _Obligation
    enqueued_at: int
    ready_at: int
    cause: str
    unacked: bool = False
    started_at: int = -1
    deliveries: int = 0
    attempts: int = 0


class Recorder:
    """Watches one replication.

    Args:
        queues: names of all queues, in the order in which they are shown.
        served: those whose copies a consumer will see, at once or after their time in a delay queue is over.
        groups: consumer groups: name to its queue and its number of servers.
        warmup: nanoseconds before which nothing is measured.
        end: nanoseconds at which averages over time end.
    """

    def __init__(
        self,
        queues: Sequence[str],
        served: Collection[str],
        groups: Mapping[str, tuple[str, int]],
        warmup: int,
        end: int,
    ) -> None:
        self._queues = {name: QueueObserved(name, name in served) for name in queues}
        self._groups = {name: GroupObserved(name, queue, servers) for name, (queue, servers) in groups.items()}
        self._warmup, self._end = warmup, end
        edges = sorted({warmup, *(end * i // BINS for i in range(BINS + 1))})
        self._seen = Observed(warmup, end, edges, self._queues, self._groups)
        self._passed = 0
        self._next_edge: float = self._seen.edges[0]
        self._copies: dict[int, _Copy] = {}
        self._inherited: dict[int, tuple[_Obligation, str]] = {}
        self._routed: tuple[_Message | None, bool] = (None, False)
        self._tape = column()
        self._hash = hashlib.sha256()
        self._levels: list[Busy | Depth] = [
            *(q.depth for q in self._queues.values()),
            *(group.busy for group in self._groups.values()),
        ]

        # By type of effect: its code in the trace, and what it means for the numbers.
        self._handlers: dict[type, tuple[int, Callable[[Any], None]]] = {
            Published: (1, self._take_published),
            Enqueued: (2, self._take_enqueued),
            Refused: (3, self._take_refused),
            Delivered: (4, self._take_delivered),
            Settled: (5, self._take_settled),
            Requeued: (6, self._take_requeued),
            Removed: (7, self._take_removed),
        }

    # What the broker did

    def take(self, effects: Sequence[Effect]) -> None:
        """The effects of one moment, in order; all effects of one take share one time."""
        if not effects:
            return
        tape, handlers, at = self._tape, self._handlers, effects[0].at
        if at >= self._next_edge:
            self._pass_edges(at)
        tape.append(at)
        for effect in effects:
            code, handle = handlers.get(type(effect), _OTHER)
            tape.append(effect.copy_id << 4 | code)
            handle(effect)
        if len(tape) > _HASHED_AT_ONCE:
            self._hash_tape()

    def _pass_edges(self, now: float) -> None:
        """Note every integral at the edges up to now."""
        edges = self._seen.edges
        while self._passed < len(edges) and edges[self._passed] <= now:
            for level in self._levels:
                level.mark(edges[self._passed], self._warmup)
            self._passed += 1
        self._next_edge = edges[self._passed] if self._passed < len(edges) else math.inf

    def _hash_tape(self) -> None:
        self._hash.update(self._tape.tobytes())
        del self._tape[:]

    def _take_published(self, effect: Published) -> None:
        measured = effect.at >= self._warmup
        if measured:
            self._seen.published += 1
            self._seen.unroutable += not effect.queues
        subscribers = sum(self._queues[queue].served for queue in effect.queues)
        message = _Message(effect.at, subscribers) if measured and subscribers else None
        self._routed = (message, measured)

    def _obligation(self, effect: Enqueued | Refused, queue: QueueObserved) -> tuple[_Obligation, str]:
        """The obligation that a copy belongs to, and the cause that made the copy: inherited, or new for a first copy."""
        if effect.parent_id:
            return self._inherited.pop(effect.copy_id)
        message, measured = self._routed  # first copies follow the publish of their message
        queue.obligations += measured
        return _Obligation(queue, message if queue.served else None, measured), ""

    def _take_enqueued(self, effect: Enqueued) -> None:
        queue, at = self._queues[effect.queue], effect.at
        obligation, cause = self._obligation(effect, queue)
        self._copies[effect.copy_id] = _Copy(effect.message_id, queue, obligation, at, at, cause)
        queue.depth.change(1, 0, at)
        queue.enqueued += self._warmup <= at <= self._end

    def _take_refused(self, effect: Refused) -> None:
        obligation, _ = self._obligation(effect, self._queues[effect.queue])
        self._leave(obligation, effect.children, "maxlen" if effect.children else "refused")

    def _take_delivered(self, effect: Delivered) -> None:
        copy = self._copies[effect.copy_id]
        copy.unacked = True
        copy.deliveries = effect.attempt
        copy.queue.depth.change(-1, 1, effect.at)

    def _take_settled(self, effect: Settled) -> None:
        copy = self._close(effect.copy_id, effect.at)
        if self._warmup <= effect.at <= self._end:
            copy.queue.acked += 1
        self._record_end(copy, effect.at)
        copy.obligation.acked = True
        self._leave(copy.obligation, (), copy.cause)

    def _take_requeued(self, effect: Requeued) -> None:
        copy = self._copies[effect.copy_id]
        copy.unacked = False
        copy.ready_at = effect.at
        copy.queue.depth.change(1, -1, effect.at)

    def _take_removed(self, effect: Removed) -> None:
        copy = self._close(effect.copy_id, effect.at)
        if copy.deliveries:
            self._record_end(copy, effect.at)
        self._leave(copy.obligation, effect.children, effect.cause)

    def _close(self, copy_id: int, at: int) -> _Copy:
        copy = self._copies.pop(copy_id)
        if copy.unacked:
            copy.queue.depth.change(0, -1, at)
        else:
            copy.queue.depth.change(-1, 0, at)
        return copy

    def _record_end(self, copy: _Copy, at: int) -> None:
        """A copy that was delivered at least once is done with in this queue."""
        if copy.enqueued_at >= self._warmup:
            copy.queue.residences.append(at - copy.enqueued_at)
            copy.queue.settled += 1
            copy.queue.attempts += copy.attempts

    def _leave(self, obligation: _Obligation, children: Sequence[int], cause: str) -> None:
        """A copy is gone, perhaps into children; with the last one the obligation is finished or lost."""
        obligation.live += len(children) - 1
        for child in children:
            self._inherited[child] = (obligation, cause)
        if not obligation.live:
            self._end_obligation(obligation, cause)

    def _end_obligation(self, obligation: _Obligation, cause: str) -> None:
        if obligation.measured:
            if obligation.acked:
                obligation.queue.finished += 1
            else:
                lost = obligation.queue.lost
                lost[cause] = lost.get(cause, 0) + 1
        if not obligation.applied:
            self._window_never_closes(obligation)

    def _window_never_closes(self, obligation: _Obligation) -> None:
        message = obligation.message
        if message is not None and message.pending >= 0:
            message.pending = -1
            self._seen.never_closing += 1

    # What the modelled consumers did

    def started(self, group: str, copy_id: int, now: int) -> None:
        """A handler starts on a delivered copy: the attempt's wait is over."""
        copy, consumers = self._copies[copy_id], self._groups[group]
        if now >= self._next_edge:
            self._pass_edges(now)
        copy.started_at = now
        consumers.busy.change(1, now)
        if copy.ready_at >= self._warmup:
            copy.queue.waits.append(now - copy.ready_at)
            if copy.deliveries == 1:
                copy.queue.first_waits.append(now - copy.ready_at)

    def ended(self, group: str, copy_id: int, now: int) -> None:
        """The handler is done with the copy, one way or another; told before the copy is settled."""
        copy = self._copies[copy_id]
        if now >= self._next_edge:
            self._pass_edges(now)
        self._groups[group].busy.change(-1, now)
        if copy.ready_at >= self._warmup:
            copy.queue.services.append(now - copy.started_at)

    def failed(self, group: str, copy_id: int) -> None:
        """An attempt failed, transiently or for good; a retry inside the handler is an attempt too."""
        copy = self._copies[copy_id]
        copy.attempts += 1
        if copy.ready_at >= self._warmup:
            self._groups[group].attempts += 1
            self._groups[group].failures += 1

    def applied(self, group: str, copy_id: int, now: int) -> None:
        """An attempt succeeded: the handler's side effect took place."""
        copy = self._copies[copy_id]
        copy.attempts += 1
        if copy.ready_at >= self._warmup:
            self._groups[group].attempts += 1
        queue, message_id = copy.queue, copy.message_id
        seen = queue.applied_messages
        if message_id >= len(seen):
            seen.extend(bytes(message_id + 1024 - len(seen)))
        if copy.obligation.measured:
            queue.applied += 1
            queue.repeated += seen[message_id]
        seen[message_id] = 1
        if not copy.obligation.applied:
            copy.obligation.applied = True
            self._close_window(copy.obligation.message, now)

    def _close_window(self, message: _Message | None, now: int) -> None:
        if message is None or message.pending < 0:
            return
        message.pending -= 1
        if not message.pending:
            self._seen.windows.append(now - message.published_at)

    # The end

    def replication(self, index: int, quantiles: Iterable[float] = ()) -> Replication:
        """Sum up; nothing more may be recorded.

        Args:
            index: of the replication.
            quantiles: probabilities that are asked for beside the usual ones.
        """
        self._pass_edges(math.inf)
        self._hash_tape()
        self._end_open_obligations()
        messages = {id(copy.obligation.message): copy.obligation.message for copy in self._copies.values()}
        self._seen.open_since = [message.published_at for message in messages.values() if message and message.pending > 0]
        return summarise(self._seen, index, quantiles, self._hash.hexdigest())

    def _end_open_obligations(self) -> None:
        """What is still in a queue waits, or is lost where no consumer will ever see it."""
        open_obligations: dict[_Obligation, list[_Copy]] = {}
        for copy in self._copies.values():
            open_obligations.setdefault(copy.obligation, []).append(copy)
        for obligation, copies in open_obligations.items():
            if any(copy.queue.served for copy in copies):
                obligation.queue.waiting += obligation.measured
            else:
                self._end_obligation(obligation, copies[-1].cause or "unconsumed")


def _ignore(_: Effect) -> None:
    """A dialect's own effect: part of the trace, and nothing to measure."""


_OTHER: tuple[int, Callable[[Any], None]] = (0, _ignore)
