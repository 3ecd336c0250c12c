"""The recorder: watches one replication and notes what is worth counting.

The driver hands it every effect of the broker, in order, and tells it when a handler starts, ends
and applies; ``replication()`` sums up. It changes nothing, draws nothing, and knows no dialect.
What a number means is written in ``metrics``, how it is computed in ``summary``.

What is measured belongs to the measured time, from ``warmup`` to ``end``: averages over time cover
exactly it, waits and residences the copies that became ready in it, losses and windows the
messages published in it. A terminating run goes on after its ``end``, the last arrival, until all
is settled, and that still counts for the messages of the measured time. Open copies are kept only while
they are open, so memory grows with the columns alone: three numbers a delivery, packed (``column``).

Every microsecond here is paid for every delivery, so it is built like this, and to be added to like this:

- A copy is one object. That of a first copy is its obligation, too; what a feature needs to know of a copy is one more slot of
  ``_Copy``. (Not an attribute of the class that few copies set anew: to read it would take CPython 3.11 five times as long.)
- An obligation goes on in the children of its copies by ``_inherited``. A party that carries one on in a message published anew
  says so by the message's id, which it has before the effects are taken; the place to see it is ``_take_published``,
  which the first copies follow.
- Levels are counted as in ``observed``: the number, and its moment. What has to be looked at when time has passed sets
  ``_next_look``; there is no look at the clock otherwise.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from simbus.analysis.observed import Busy, ClassObserved, Depth, GroupObserved, Observed, QueueObserved
from simbus.analysis.replication import BINS, Replication
from simbus.analysis.summary import summarise
from simbus.analysis.told import Telling, Told
from simbus.effects import Delivered, Effect, Enqueued, Published, Refused, Removed, Requeued, Settled
from simbus.units import NEVER

_HASHED_AT_ONCE: Final = 60_000


class _Window:
    """The consistency window of a message with several subscribers: how many of them have yet to apply it."""

    __slots__ = ("pending",)

    def __init__(self, pending: int) -> None:
        self.pending = pending


class _Copy:
    """A copy that is in a queue, ready or unacked; the *first* copy of its tree is the obligation, too.

    The obligation is to bring one message through one of the queues that it first reached. It lives as long as any copy of the
    tree: ``live`` counts them, ``acked`` and ``applied`` are true once one of them is. Most trees are a single copy, so one
    object does for both.

    ``first`` is the first copy of the tree, None of itself; ``cause`` tells why the copy left that this one descends from;
    ``of`` is the class of its message, in this queue, and ``told``, of a first copy, what the publisher has told of its message;
    it is ``given`` while the broker is done with it and its consumer is not.
    """

    __slots__ = (
        "acked",
        "applied",
        "attempts",
        "cause",
        "deliveries",
        "enqueued_at",
        "first",
        "given",
        "live",
        "message_id",
        "of",
        "published_at",
        "queue",
        "ready_at",
        "started_at",
        "told",
        "unacked",
        "window",
    )

    def __init__(self, queue: QueueObserved, message_id: int, at: int) -> None:
        self.queue, self.message_id = queue, message_id
        self.published_at = self.enqueued_at = self.ready_at = at
        self.started_at = -1
        self.deliveries = self.attempts = 0
        self.cause = ""
        self.first: _Copy | None = None
        self.window: _Window | None = None
        self.of: ClassObserved | None = None
        self.told: Told | None = None
        self.live = 1
        self.acked = self.applied = self.unacked = self.given = False

    def twin(self) -> "_Copy":
        """Another one like it."""
        twin = _Copy(self.queue, self.message_id, self.enqueued_at)
        twin.published_at, twin.ready_at, twin.started_at = self.published_at, self.ready_at, self.started_at
        twin.deliveries, twin.attempts, twin.cause = self.deliveries, self.attempts, self.cause
        twin.first, twin.window, twin.of, twin.told = self.first, self.window, self.of, self.told
        twin.live, twin.acked, twin.applied = self.live, self.acked, self.applied
        twin.unacked, twin.given = self.unacked, self.given
        return twin


class Recorder(Telling):
    """Watches one replication.

    Args:
        queues: names of all queues, in the order in which they are shown.
        served: those whose copies a consumer will see, at once or after their time in a delay queue is over.
        groups: consumer groups: name to its queue, the servers of each consumer, and whether it serves one of them at a time.
        warmup: nanoseconds before which nothing is measured.
        end: nanoseconds at which averages over time end.
        classes: of messages that are looked at for themselves, too.
    """

    def __init__(
        self,
        queues: Sequence[str],
        served: Collection[str],
        groups: Mapping[str, tuple[str, int, bool]],
        warmup: int,
        end: int,
        classes: Collection[str] = (),
    ) -> None:
        self._queues = {name: QueueObserved(name, name in served) for name in queues}
        for queue in self._queues.values():
            queue.classes = {name: ClassObserved(name) for name in classes}
        self._has_classes, self._type = bool(classes), ""  # the class of the message that was published last
        self._groups = {name: GroupObserved(name, *group) for name, group in groups.items()}
        super().__init__()
        self._warmup, self._end = warmup, end
        edges = sorted({warmup, *(end * i // BINS for i in range(BINS + 1))})
        self._seen = Observed(warmup, end, edges, self._queues, self._groups)
        self._passed = 0
        self._next_look = edges[0]
        self._counts = False  # whether now is measured time
        self._risen: list[Depth] = []  # those that may just have reached their most
        self._copies: dict[int, _Copy] = {}
        self._orphans = 0
        self._inherited: dict[int, tuple[_Copy, str]] = {}
        self._carried: dict[int, _Copy] = {}  # by the message that carries an obligation on
        self._coming_back: dict[int, Busy] = {}  # copies that back off and messages kept back, and where they are counted
        self._subscribers: dict[tuple[str, ...], int] = {}  # by the queues of a route: few routes, many messages
        self._window: _Window | None = None
        self._tape: list[int] = []
        self._hash = hashlib.sha256()
        self._levels: list[Busy | Depth | QueueObserved] = [
            *(level for q in self._queues.values() for level in (q, q.depth, q.backing_off, q.kept_back)),
            *(level for group in self._groups.values() for level in (group.busy, group.on_duty)),
        ]

    # What the broker did

    def take(self, effects: list[Effect]) -> None:
        """The effects of one moment, in order; all effects of one take share one time."""
        if not effects:
            return
        at = effects[0].at
        if at >= self._next_look:
            self._look(at)
        self._tape.append(at)
        for effect in effects:
            self._take_one(effect)
        if len(self._tape) > _HASHED_AT_ONCE:
            self._hash_tape()

    def _take_one(self, effect: Effect) -> None:
        """What an effect means for the numbers; each notes itself in the trace, with a code of its own."""
        if isinstance(effect, Enqueued):
            self._take_enqueued(effect)
        elif isinstance(effect, Delivered):
            self._take_delivered(effect)
        elif isinstance(effect, Settled):
            self._take_settled(effect)
        elif isinstance(effect, Published):
            self._take_published(effect)
        elif isinstance(effect, Requeued):
            self._take_requeued(effect)
        elif isinstance(effect, Removed):
            self._take_removed(effect)
        elif isinstance(effect, Refused):
            self._take_refused(effect)
        else:
            self._take_other(effect)

    def _look(self, now: int) -> None:
        """Time has passed, up to now: note who has reached its most, and every integral at the edges."""
        for depth in self._risen:
            depth.most = max(depth.most, depth.ready + depth.unacked)
        self._risen.clear()
        edges = self._seen.edges
        while self._passed < len(edges) and edges[self._passed] <= now:
            for level in self._levels:
                level.mark(edges[self._passed], self._warmup)
            self._passed += 1
        self._counts = self._warmup <= now <= self._end
        past_the_end = self._end + 1 if now <= self._end else NEVER
        self._next_look = edges[self._passed] if self._passed < len(edges) else past_the_end

    def _hash_tape(self) -> None:
        self._hash.update(np.fromiter(self._tape, "<i8", len(self._tape)).tobytes())
        self._tape.clear()
        self._seen.pack()

    def _take_published(self, effect: Published) -> None:
        self._tape.append(1)
        queues = effect.queues
        if self._has_classes:
            self._type = effect.message.type
        subscribers = self._subscribers.get(queues)
        if subscribers is None:
            subscribers = self._subscribers[queues] = sum(self._queues[queue].served for queue in queues)
        if self._to_come or self._told is not None:
            self._told = self._to_come.pop(effect.message_id, None)
            if self._told is not None:
                self._take_told(self._told, queues, _Window(subscribers) if subscribers > 1 else None, subscribers)
                return
        if effect.at >= self._warmup and effect.message_id not in self._carried:
            self._seen.published += 1
            if not queues:
                self._seen.unroutable += 1
        self._window = _Window(subscribers) if subscribers > 1 else None

    def _take_enqueued(self, effect: Enqueued) -> None:
        at, copy_id, queue = effect.at, effect.copy_id, self._queues[effect.queue]
        self._tape.append(copy_id << 4 | 2)
        copy = self._copies[copy_id] = _Copy(queue, effect.message_id, at)
        if effect.parent_id:
            copy.first, copy.cause = self._inherited.pop(copy_id)
            if copy.first.of is not None:
                copy.of = queue.classes[copy.first.of.name]
            if copy.first.told is not None and not queue.served:
                copy.first.told.rest(copy.first)
        else:
            self._begin(copy, at)
        if self._counts:
            queue.enqueued += 1
        depth = queue.depth
        depth.ready += 1
        depth.ready_moment += at
        if depth.ready + depth.unacked > depth.most:
            self._risen.append(depth)  # what comes and goes at one instant is never held: see when time has passed
            self._next_look = at + 1

    def _begin(self, copy: _Copy, at: int) -> None:
        """A first copy: an obligation begins. First copies follow the publish of their message."""
        if self._type:
            copy.of = copy.queue.classes.get(self._type)
        if copy.message_id in self._carried:
            copy.first = self._carried.pop(copy.message_id)
            self._comes_back(-copy.message_id, at)
            return
        if self._told is not None:
            self._begin_told(copy, self._told)
            return
        if at >= self._warmup:
            copy.queue.obligations += 1
            if copy.of is not None:
                copy.of.obligations += 1
        if copy.queue.served:
            copy.window = self._window

    def _take_refused(self, effect: Refused) -> None:
        self._tape.append(effect.copy_id << 4 | 3)
        if effect.parent_id:
            first, _ = self._inherited.pop(effect.copy_id)
        else:
            first = _Copy(self._queues[effect.queue], effect.message_id, effect.at)
            self._begin(first, effect.at)
            first = first.first or first
        if effect.children and self._counts:
            self._queues[effect.queue].handed_on += 1
        self._leave(first, effect.children, "maxlen" if effect.children else "refused")

    def _take_delivered(self, effect: Delivered) -> None:
        at, copy_id = effect.at, effect.copy_id
        self._tape.append(copy_id << 4 | 4)
        copy = self._copies[copy_id]
        copy.unacked = True
        copy.deliveries = effect.attempt
        depth = copy.queue.depth
        depth.ready -= 1
        depth.ready_moment -= at
        depth.unacked += 1
        depth.unacked_moment += at

    def _take_settled(self, effect: Settled) -> None:
        at, copy_id = effect.at, effect.copy_id
        self._tape.append(copy_id << 4 | 5)
        copy = self._copies.pop(copy_id)
        queue, depth = copy.queue, copy.queue.depth
        depth.unacked -= 1
        depth.unacked_moment -= at
        if self._counts:
            queue.acked += 1
        if copy.enqueued_at >= self._warmup:
            self._record_end(copy, at)
        if copy.started_at < 0:
            self._give(copy_id, copy)
            return
        if copy.applied and copy.first is None and copy.live == 1 and copy.told is None:
            copy.live = 0
            return  # the usual way: the only copy of its tree, applied and acked
        first = copy.first or copy
        first.acked = True
        self._leave(first, (), copy.cause)

    def _give(self, copy_id: int, copy: _Copy) -> None:
        """The broker counts a copy as done that it has only just sent: whether it is applied is still to be seen."""
        copy.given = True
        copy.attempts = 0  # those before are counted
        self._copies[copy_id] = copy

    def _take_requeued(self, effect: Requeued) -> None:
        at, copy_id = effect.at, effect.copy_id
        self._tape.append(copy_id << 4 | 6)
        copy = self._copies[copy_id]
        copy.unacked = False
        copy.ready_at, copy.started_at = at, -1
        if self._coming_back:
            self._comes_back(copy_id, at)
        depth = copy.queue.depth
        depth.ready += 1
        depth.ready_moment += at
        depth.unacked -= 1
        depth.unacked_moment -= at

    def _take_removed(self, effect: Removed) -> None:
        at, copy_id = effect.at, effect.copy_id
        self._tape.append(copy_id << 4 | 7)
        copy = self._copies.pop(copy_id)
        if self._coming_back:
            self._comes_back(copy_id, at)
        depth = copy.queue.depth
        if copy.unacked:
            depth.unacked -= 1
            depth.unacked_moment -= at
        else:
            depth.ready -= 1
            depth.ready_moment -= at
        if copy.deliveries and copy.enqueued_at >= self._warmup:
            self._record_end(copy, at)
        if effect.children and self._counts:
            copy.queue.handed_on += 1
        self._leave(copy.first or copy, effect.children, effect.cause)

    def _record_end(self, copy: _Copy, at: int) -> None:
        """A copy that was delivered at least once is done with in this queue."""
        copy.queue.residences.new.append(at - copy.enqueued_at)
        if copy.of is not None:
            copy.of.residences.new.append(at - copy.enqueued_at)
        copy.queue.attempts += copy.attempts
        copy.queue.deliveries += copy.deliveries

    def _take_other(self, effect: Effect) -> None:
        """A dialect's own effect: part of the trace, and nothing to measure."""
        self._tape.append(effect.copy_id << 4)

    def _leave(self, first: _Copy, children: Sequence[int], cause: str) -> None:
        """A copy is gone, perhaps into children; with the last one the obligation ends."""
        first.live += len(children) - 1
        for child in children:
            self._inherited[child] = (first, cause)
        if not first.live:
            self._end_obligation(first, cause)
        elif first.told is not None:
            first.told.look_at(first)

    def _end_obligation(self, first: _Copy, cause: str) -> None:
        queue = first.queue
        if first.told is not None and self._has_ended(first, first.told, cause):
            return
        if first.published_at >= self._warmup:
            if not first.acked:
                queue.lost[cause] = queue.lost.get(cause, 0) + 1
                if first.of is not None:
                    first.of.lost += 1
            if not first.applied and queue.served:
                self._never_closes(first.window)

    def _never_closes(self, window: _Window | None) -> None:
        """The window of a message that one of its subscribers, or its only one, will never apply."""
        if window is None:
            self._seen.never_closing += 1
        elif window.pending >= 0:
            window.pending = -1
            self._seen.never_closing += 1

    # What the modelled parties did

    def staffed(self, group: str, change: int, now: int) -> None:
        """So many consumers of a group have begun, or (negative) ended."""
        if now >= self._next_look:
            self._look(now)
        self._groups[group].on_duty.change(change, now)

    def started(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        """A handler starts on a delivered copy: the attempt's wait is over. ``servers`` are 0 for another copy of a batch."""
        copy, busy = self._copies[copy_id], self._groups[group].busy
        if now >= self._next_look:
            self._look(now)
        copy.started_at = now
        if servers:
            busy.value += 1
            busy.moment += now
        if copy.ready_at >= self._warmup:
            copy.queue.starts.new.append((now - copy.ready_at) << 1 | (copy.deliveries == 1))
            if copy.of is not None:
                copy.of.waits.new.append(now - copy.ready_at)

    def ended(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        """The handler is done with the copy, one way or another; told before the copy is settled. As :meth:`started`."""
        copy, busy = self._copies[copy_id], self._groups[group].busy
        if now >= self._next_look:
            self._look(now)
        if servers:
            busy.value -= 1
            busy.moment -= now
        if copy.ready_at >= self._warmup:
            copy.queue.services.new.append(now - copy.started_at)
            if copy.of is not None:
                copy.of.services.new.append(now - copy.started_at)
        if copy.given:
            self._end_given(copy_id, copy)

    def _end_given(self, copy_id: int, copy: _Copy) -> None:
        """Its consumer is done too; what it has not applied is lost."""
        del self._copies[copy_id]
        first = copy.first or copy
        if copy.enqueued_at >= self._warmup:
            copy.queue.attempts += copy.attempts
        first.acked = first.acked or first.applied
        self._leave(first, (), "failed")

    def interrupted(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        """The handler was stopped in the middle of an attempt; told before the copy goes back to its queue."""
        copy, consumers = self._copies[copy_id], self._groups[group]
        if now >= self._next_look:
            self._look(now)
        consumers.busy.value -= servers
        consumers.busy.moment -= servers * now
        consumers.interrupted += copy.ready_at >= self._warmup
        if copy.given:
            self._end_given(copy_id, copy)

    def dropped(self, copy_id: int) -> None:
        """A consumer has lost a copy, on which it had not started, and of which the broker had let go."""
        self._end_given(copy_id, self._copies[copy_id])

    def orphaned(self, copy_id: int) -> int:
        """A handler goes on with a copy that the broker takes back, which may soon be handled elsewhere too, or be gone.

        Returns:
            The id by which the handler's attempt will be told of from now on; negative.
        """
        self._orphans += 1
        orphan = self._copies[-self._orphans] = self._copies[copy_id].twin()
        orphan.first = orphan.first or self._copies[copy_id]
        return -self._orphans

    def let_go(self, orphan: int) -> None:
        """The attempt on it is over."""
        del self._copies[orphan]

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
        queue, first = copy.queue, copy.first or copy
        again = self._has_applied(queue, first.message_id)
        if first.published_at >= self._warmup:
            queue.applied += 1
            queue.repeated += again
        if not first.applied:
            self._apply(first, now)

    def _apply(self, first: _Copy, now: int) -> None:
        """An obligation is met for the first time."""
        if first.live and first.published_at >= self._warmup:  # else an orphan applies what was lost meanwhile
            self._applied_first(first, now)
        if first.told is not None and first.queue.served and first.queue.name not in first.told.ended:
            first.told.one_less()
        first.applied = True

    def disrupted(self, outage: str, change: int, now: int) -> None:
        """An outage begins, or (negative) ends."""
        if now >= self._next_look:
            self._look(now)
        if outage not in self._seen.outages:
            self._seen.outages[outage] = level = Busy(at_edges=[0] * self._passed)
            self._levels.append(level)
        self._seen.outages[outage].add(change, now)

    def suppressed(self, group: str, copy_id: int, now: int) -> None:
        """An attempt ended at once, because its group has applied the message before, and remembers."""
        copy, consumers = self._copies[copy_id], self._groups[group]
        copy.attempts += 1
        if copy.ready_at >= self._warmup:
            consumers.attempts += 1
            consumers.suppressed += 1
        first = copy.first or copy
        if not first.applied:
            self._apply(first, now)

    def backs_off(self, copy_id: int, now: int) -> None:
        """A delivery waits, unacked, to be given back."""
        self._goes_away(copy_id, self._copies[copy_id].queue.backing_off, now)

    def _goes_away(self, key: int, level: Busy, now: int) -> None:
        if now >= self._next_look:
            self._look(now)
        level.add(1, now)
        self._coming_back[key] = level

    def _comes_back(self, key: int, at: int) -> None:
        """A copy, or a message by its negative id, that may have been away to be tried again."""
        if (level := self._coming_back.pop(key, None)) is not None:
            level.add(-1, at)

    def carried(self, copy_id: int, message_id: int, now: int) -> None:
        """A handler has published a copy's message anew, to come back later: its obligation goes on there.

        Told before the effects of the publish are taken; the copy itself may be settled then, which ends nothing.
        """
        copy = self._copies[copy_id]
        self._carried[message_id] = copy.first or copy
        self._goes_away(-message_id, copy.queue.kept_back, now)
        rest = self._copies[copy_id] = _Copy(copy.queue, copy.message_id, copy.enqueued_at)
        rest.published_at = -1  # nobody's obligation
        rest.ready_at, rest.started_at, rest.unacked = copy.ready_at, copy.started_at, copy.unacked
        rest.deliveries, rest.attempts, rest.cause = copy.deliveries, copy.attempts, copy.cause

    def _has_applied(self, queue: QueueObserved, message_id: int) -> int:
        """Whether a message was applied from this queue before; from now on it was."""
        seen = queue.applied_messages
        try:
            again = seen[message_id]
        except IndexError:
            seen.extend(bytes(message_id + 1024 - len(seen)))
            again = 0
        seen[message_id] = 1
        return again

    def _applied_first(self, first: _Copy, now: int) -> None:
        """A subscriber has applied a message; with the last of them its window closes."""
        window = first.window
        if window is not None:
            window.pending -= 1
            if window.pending:  # or negative: it never closes
                return
        if first.queue.served:
            self._seen.windows.new.append(now - first.published_at)

    # The end

    def replication(self, index: int, quantiles: Iterable[float] = (), *, batched: bool = False) -> Replication:
        """Sum up; nothing more may be recorded.

        Args:
            index: of the replication.
            quantiles: probabilities that are asked for beside the usual ones.
            batched: whether the replication will be the only one, and has to give intervals by itself.
        """
        self._look(NEVER)
        self._hash_tape()
        self._end_open_obligations()
        return summarise(self._seen, index, quantiles, self._hash.hexdigest(), batched=batched)

    def _end_open_obligations(self) -> None:
        """What is still in a queue waits, or is lost where no consumer will ever see it."""
        self._copies = {copy_id: copy for copy_id, copy in self._copies.items() if copy_id > 0}  # without orphans
        open_obligations: dict[_Copy, list[_Copy]] = {}
        for copy in self._copies.values():
            open_obligations.setdefault(copy.first or copy, []).append(copy)
        for first in list(open_obligations):
            if first.told is not None and (first.acked or first.queue.name in first.told.ended):  # a duplicate is left of it
                self._end_obligation(first, "")
                del open_obligations[first]
        waiting = [first for first, copies in open_obligations.items() if any(copy.queue.served for copy in copies)]
        kept = [first for first in self._carried.values() if first not in waiting]  # in no queue, and on its way to one
        waiting += kept
        waiting += self._undecided  # their publishers have not given up
        open_obligations |= {first: [] for first in self._undecided}
        for first in waiting:
            first.queue.waiting += first.published_at >= self._warmup
        for first in open_obligations.keys() - set(waiting):
            self._end_obligation(first, open_obligations[first][-1].cause or "unconsumed")
        self._find_open_windows([*open_obligations, *kept], waiting)

    def _find_open_windows(self, unfinished: Iterable[_Copy], waiting: Iterable[_Copy]) -> None:
        """When the messages were published that not all subscribers have applied, and still may, each once."""
        several = {first.window: first.published_at for first in unfinished if first.window is not None}
        since = [at for window, at in several.items() if window.pending > 0]
        since += [first.published_at for first in waiting if first.window is None and first.queue.served and not first.applied]
        self._seen.open_since = [at for at in since if at >= self._warmup]
