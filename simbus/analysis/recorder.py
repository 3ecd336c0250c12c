"""The recorder: turns effects and the doings of modelled consumers into columns and numbers.

It watches one replication. The driver hands it every effect of the broker, in order, and tells it
when a handler starts, ends and applies; ``replication()`` sums up. It changes nothing, draws
nothing, and knows no dialect. What a number means is written in ``metrics``.

What is measured belongs to the measured time, from ``warmup`` to ``end``: averages over time cover
exactly it, waits and residences the copies that became ready in it, losses and windows the
messages published in it. A terminating run goes on after its ``end``, the last arrival, until all
is settled, and that still counts for the messages of the measured time. Open copies and messages are kept only while they are open, so memory
grows with eight bytes an observation and not with a record of every message.
"""

import hashlib
import math
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.metrics import CAUSES
from simbus.analysis.replication import BINS, PROBABILITIES, Replication
from simbus.effects import Delivered, Effect, Enqueued, Published, Refused, Removed, Requeued, Settled
from simbus.units import SECOND

_HASHED_AT_ONCE = 60_000


def _column() -> "array[int]":
    return array("q")


@dataclass(slots=True)
class _Busy:
    """A number of busy servers over time: its integral, in whole nanoseconds and so exact, and that integral at each edge."""

    value: int = 0
    area: int = 0
    since: int = 0
    at_edges: "array[int]" = field(default_factory=_column)

    def change(self, by: int, now: int) -> None:
        """The number changes."""
        self.area += self.value * (now - self.since)
        self.since = now
        self.value += by

    def mark(self, edge: int, _: int) -> None:
        """Note the integral up to an edge."""
        self.at_edges.append(self.area + self.value * (edge - self.since))


@dataclass(slots=True)
class _Depth:
    """A queue's ready and unacked copies over time, as :class:`_Busy`; both at once, since most effects move a copy between them."""

    ready: int = 0
    unacked: int = 0
    most: int = 0
    since: int = 0
    ready_area: int = 0
    unacked_area: int = 0
    ready_at_edges: "array[int]" = field(default_factory=_column)
    unacked_at_edges: "array[int]" = field(default_factory=_column)

    def change(self, ready: int, unacked: int, now: int) -> None:
        """So many more are ready and unacked."""
        passed = now - self.since
        if passed:
            self.ready_area += self.ready * passed
            self.unacked_area += self.unacked * passed
            self.since = now
        self.ready += ready
        self.unacked += unacked

    def mark(self, edge: int, warmup: int) -> None:
        """Note the integrals up to an edge; the most is that of the measured time."""
        self.ready_at_edges.append(self.ready_area + self.ready * (edge - self.since))
        self.unacked_at_edges.append(self.unacked_area + self.unacked * (edge - self.since))
        if edge == warmup:
            self.most = self.ready + self.unacked


@dataclass(slots=True)
class _Queue:
    """What is seen of one queue."""

    name: str
    served: bool
    depth: _Depth = field(default_factory=_Depth)
    waits: "array[int]" = field(default_factory=_column)
    first_waits: "array[int]" = field(default_factory=_column)
    services: "array[int]" = field(default_factory=_column)
    residences: "array[int]" = field(default_factory=_column)
    enqueued: int = 0
    acked: int = 0
    settled: int = 0
    attempts: int = 0
    applied: int = 0
    repeated: int = 0
    applied_messages: bytearray = field(default_factory=bytearray)
    obligations: int = 0
    finished: int = 0
    waiting: int = 0
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))


@dataclass(slots=True, eq=False)
class _Obligation:
    """To bring one message through one of the queues that it first reached."""

    queue: _Queue
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
    queue: _Queue
    obligation: _Obligation
    enqueued_at: int
    ready_at: int
    cause: str
    unacked: bool = False
    started_at: int = -1
    attempts: int = 0


@dataclass(slots=True)
class _Group:
    """A group of modelled consumers."""

    name: str
    queue: str
    servers: int
    busy: _Busy = field(default_factory=_Busy)
    attempts: int = 0
    failures: int = 0


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
        self._queues = {name: _Queue(name, name in served) for name in queues}
        self._groups = {name: _Group(name, queue, servers) for name, (queue, servers) in groups.items()}
        self._warmup, self._end = warmup, end
        # Averages over time are differences of integrals between edges: the bins of the plots, and the warm-up's end.
        self._edges = sorted({warmup, *(end * i // BINS for i in range(BINS + 1))})
        self._passed = 0
        self._next_edge: float = self._edges[0]
        self._copies: dict[int, _Copy] = {}
        self._inherited: dict[int, tuple[_Obligation, str]] = {}
        self._routed: tuple[_Message | None, bool] = (None, False)
        self._windows = _column()
        self._never = self._open = 0
        self._published = self._unroutable = 0
        self._tape = _column()
        self._hash = hashlib.sha256()
        self._levels: list[_Busy | _Depth] = [
            *(q.depth for q in self._queues.values()),
            *(group.busy for group in self._groups.values()),
        ]

    # What the broker did

    def take(self, effects: Iterable[Effect]) -> None:
        """The effects of one moment, in order."""
        tape = self._tape
        for effect in effects:
            at = effect.at
            if at >= self._next_edge:
                self._pass_edges(at)
            code, handle = _HANDLERS.get(type(effect), _UNSEEN)
            tape.append(at)
            tape.append(effect.copy_id << 4 | code)
            handle(self, effect)
        if len(tape) > _HASHED_AT_ONCE:
            self._hash_tape()

    def _pass_edges(self, now: float) -> None:
        """Note every integral at the edges up to now."""
        while self._next_edge <= now:
            edge = self._edges[self._passed]
            for level in self._levels:
                level.mark(edge, self._warmup)
            self._passed += 1
            self._next_edge = self._edges[self._passed] if self._passed < len(self._edges) else math.inf
            if self._next_edge == math.inf:
                return

    def _hash_tape(self) -> None:
        self._hash.update(self._tape.tobytes())
        del self._tape[:]

    def _take_published(self, effect: Published) -> None:
        measured = effect.at >= self._warmup
        if measured:
            self._published += 1
            self._unroutable += not effect.queues
        subscribers = sum(self._queues[queue].served for queue in effect.queues)
        message = _Message(effect.at, subscribers) if measured and subscribers else None
        self._routed = (message, measured)

    def _obligation(self, effect: Enqueued | Refused, queue: _Queue) -> tuple[_Obligation, str]:
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
        depth = queue.depth
        depth.change(1, 0, at)
        depth.most = max(depth.most, depth.ready + depth.unacked)
        queue.enqueued += self._warmup <= at <= self._end

    def _take_refused(self, effect: Refused) -> None:
        obligation, cause = self._obligation(effect, self._queues[effect.queue])
        self._leave(obligation, effect.children, "maxlen" if effect.children else cause or "refused")

    def _take_delivered(self, effect: Delivered) -> None:
        copy = self._copies[effect.copy_id]
        copy.unacked = True
        copy.attempts = effect.attempt
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
        if copy.attempts:
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
            self._never += 1

    # What the modelled consumers did

    def started(self, group: str, copy_id: int, now: int) -> None:
        """A handler starts on a delivered copy: the attempt's wait is over."""
        copy, consumers = self._copies[copy_id], self._groups[group]
        if now >= self._next_edge:
            self._pass_edges(now)
        copy.started_at = now
        consumers.busy.change(1, now)
        if copy.ready_at >= self._warmup:
            consumers.attempts += 1
            copy.queue.waits.append(now - copy.ready_at)
            if copy.attempts == 1:
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
        if self._copies[copy_id].ready_at >= self._warmup:
            self._groups[group].failures += 1

    def applied(self, copy_id: int, now: int) -> None:
        """The handler's side effect took place."""
        copy = self._copies[copy_id]
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
            self._windows.append(now - message.published_at)

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
        wanted = sorted({0.5, 0.95, 0.99, *quantiles})
        values: dict[str, float] = {}
        for queue in self._queues.values():
            values |= {f"{queue.name}.{key}": value for key, value in self._of_queue(queue, wanted).items()}
        for group in self._groups.values():
            values |= {f"consumers.{group.name}.{key}": value for key, value in self._of_group(group).items()}
        windows, censored = self._window_ages()
        values |= self._of_messages() | {f"window.{k}": v for k, v in self._of_windows(windows, censored, wanted).items()}
        curves = self._curves() | {"window.quantiles": _survival_quantiles(windows, censored, PROBABILITIES)}
        return Replication(index, values, curves, self._hash.hexdigest())

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

    def _window_ages(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Closed windows with the infinite ones, and the ages of those that are still open."""
        messages = {id(c.obligation.message): c.obligation.message for c in self._copies.values() if c.obligation.message}
        ages = [self._end - message.published_at for message in messages.values() if message.pending > 0]
        closed = np.append(_seconds(self._windows), np.full(self._never, math.inf))
        return closed, np.array(ages, dtype=np.float64) / SECOND

    def _mean(self, at_edges: "array[int]") -> float:
        """The average over the measured time of what has this integral at the edges."""
        return (at_edges[-1] - at_edges[self._edges.index(self._warmup)]) / (self._end - self._warmup)

    def _of_queue(self, queue: _Queue, wanted: Sequence[float]) -> dict[str, float]:
        seconds = (self._end - self._warmup) / SECOND
        ready, unacked = self._mean(queue.depth.ready_at_edges), self._mean(queue.depth.unacked_at_edges)
        values = {
            "arrival_rate": queue.enqueued / seconds,
            "throughput": queue.acked / seconds,
            "utilisation": self._utilisation([g for g in self._groups.values() if g.queue == queue.name]),
            "depth.mean": ready + unacked,
            "depth.max": float(queue.depth.most),
            "ready.mean": ready,
            "unacked.mean": unacked,
            "attempts.mean": _ratio(queue.attempts, queue.settled),
            "loss": _ratio(sum(queue.lost.values()), queue.obligations),
            "loss.n": float(queue.obligations),
            "waiting": _ratio(queue.waiting, queue.obligations),
            "duplicates": _ratio(queue.repeated, queue.applied),
            "duplicates.n": float(queue.applied),
        }
        values |= {f"loss.{cause}": _ratio(count, queue.obligations) for cause, count in queue.lost.items()}
        columns = {
            "wait": queue.waits,
            "first_wait": queue.first_waits,
            "service": queue.services,
            "residence": queue.residences,
        }
        for name, column in columns.items():
            values |= {f"{name}.{key}": value for key, value in _statistics(_seconds(column), wanted).items()}
        return values

    def _of_group(self, group: _Group) -> dict[str, float]:
        return {
            "utilisation": self._utilisation([group]),
            "attempts": float(group.attempts),
            "failures": float(group.failures),
        }

    def _utilisation(self, groups: Sequence[_Group]) -> float:
        servers = sum(group.servers for group in groups)
        return sum(self._mean(group.busy.at_edges) for group in groups) / servers if servers else math.nan

    def _of_messages(self) -> dict[str, float]:
        return {
            "messages.rate": self._published * SECOND / (self._end - self._warmup),
            "messages.n": float(self._published),
            "messages.unroutable": _ratio(self._unroutable, self._published),
        }

    def _of_windows(
        self, closed: NDArray[np.float64], censored: NDArray[np.float64], wanted: Sequence[float]
    ) -> dict[str, float]:
        n = len(closed) + len(censored)
        finite = closed[np.isfinite(closed)]
        quantiles = _survival_quantiles(closed, censored, np.array(wanted))
        values = {f"p{_percent(p)}": float(value) for p, value in zip(wanted, quantiles, strict=True)}
        return values | {
            "mean": math.inf if self._never else _mean_of(finite),
            "max": float(closed.max()) if len(closed) else math.nan,
            "n": float(n),
            "never": _ratio(self._never, n),
            "open": _ratio(len(censored), n),
        }

    def _curves(self) -> dict[str, NDArray[np.float64]]:
        bins = [self._edges.index(self._end * i // BINS) for i in range(BINS + 1)]
        edges = np.array(self._edges, dtype=np.float64)[bins]
        curves: dict[str, NDArray[np.float64]] = {"time": (edges[:-1] + edges[1:]) / 2 / SECOND}
        for queue in self._queues.values():
            levels = {"ready": queue.depth.ready_at_edges, "unacked": queue.depth.unacked_at_edges}
            means = {name: np.diff(np.array(areas, dtype=np.float64)[bins]) / np.diff(edges) for name, areas in levels.items()}
            means["depth"] = means["ready"] + means["unacked"]
            curves |= {f"{queue.name}.{name}.over_time": mean for name, mean in means.items()}
            for name, column in (("wait", queue.waits), ("residence", queue.residences)):
                curves[f"{queue.name}.{name}.quantiles"] = _quantiles(_seconds(column), PROBABILITIES)
        return curves


def _ignore(recorder: Recorder, effect: Effect) -> None:
    """A dialect's own effect: part of the trace, and nothing to measure."""


# By type of effect: its code in the trace, and what it means for the numbers.
_HANDLERS: dict[type, tuple[int, Any]] = {
    Published: (1, Recorder._take_published),
    Enqueued: (2, Recorder._take_enqueued),
    Refused: (3, Recorder._take_refused),
    Delivered: (4, Recorder._take_delivered),
    Settled: (5, Recorder._take_settled),
    Requeued: (6, Recorder._take_requeued),
    Removed: (7, Recorder._take_removed),
}
_UNSEEN = (0, _ignore)


def _seconds(column: "array[int]") -> NDArray[np.float64]:
    return np.frombuffer(column, dtype=np.int64) / SECOND if len(column) else np.empty(0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _mean_of(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _percent(probability: float) -> str:
    return f"{round(probability * 100, 6):g}"


def _quantiles(values: NDArray[np.float64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles by linear interpolation (type 7 of Hyndman and Fan 1996); nan without values."""
    return np.quantile(values, probabilities) if len(values) else np.full(len(probabilities), math.nan)


def _statistics(values: NDArray[np.float64], wanted: Sequence[float]) -> dict[str, float]:
    quantiles = _quantiles(values, np.array(wanted))
    return {
        "mean": _mean_of(values),
        **{f"p{_percent(p)}": float(value) for p, value in zip(wanted, quantiles, strict=True)},
        "max": float(values.max()) if len(values) else math.nan,
        "n": float(len(values)),
    }


def _survival_quantiles(
    closed: NDArray[np.float64], censored: NDArray[np.float64], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Quantiles of times of which some are infinite and some only known to exceed an age.

    The product-limit estimate (Kaplan and Meier 1958), of which the p-quantile is the first time at which
    at least p have ended. Beyond what was observed the answer is infinite: nobody has seen it end.
    """
    if not len(closed) + len(censored):
        return np.full(len(probabilities), math.nan)
    times = np.concatenate([closed, censored])
    ended = np.concatenate([np.isfinite(closed), np.zeros(len(censored), dtype=bool)])
    order = np.lexsort((~ended, times))  # at equal times, what ended comes first
    times, ended = times[order], ended[order]
    at_risk = np.arange(len(times), 0, -1)
    share_ended = 1 - np.cumprod(np.where(ended, 1 - 1 / at_risk, 1.0))
    first = np.searchsorted(share_ended, probabilities - 1e-12)
    return np.where(first < len(times), times[np.minimum(first, len(times) - 1)], math.inf)
