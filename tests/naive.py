"""A replication's numbers once more, the slow and obvious way: from the whole tape, with plain lists.

    with watched() as runs:
        replication = run_replication(scenario, seed, 0)
    naive = Naive(runs[0], served={"payments"})
    assert naive.values()["payments.wait.mean"] == ...

A ``Run`` is the tape of all effects and of all that handlers told, kept beside the recorder. ``Naive`` reads the
tape as the design defines the numbers ("The ledger") and shares nothing with the recorder: obligations are
trees of copies by parent, averages over time are sums of sojourns clipped to the measured time.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from simbus.analysis.recorder import Recorder
from simbus.analysis.told import Told
from simbus.simulation.experiment import assembly
from simbus.simulation.replication.driver import Driver
from simbus.units import SECOND
from tests.ledger import Ledger

CAUSES = ("refused", "rejected", "expired", "maxlen", "delivery_limit", "purged", "deleted", "restart", "failed", "unconsumed")
OUTCOMES = ("failed", "applied", "suppressed")
ENDS = ("Settled", "Removed", "Refused")


@dataclass
class Run:
    """What happened in one replication: ``tape`` holds effects and notices ``(what, group, copy, now)``, in order."""

    warmup: int
    end: int
    queues: Sequence[str]
    groups: Mapping[str, tuple[str, int, bool]]
    served: Collection[str]
    tape: list[Any] = field(default_factory=list)
    staff: list[tuple[str, int, int]] = field(default_factory=list)  # group, change in its consumers, when
    carried: dict[int, int] = field(default_factory=dict)  # messages that carry on the obligation of a copy
    again: dict[int, int] = field(default_factory=dict)  # messages that a publisher published before, under that id
    sent: dict[int, int] = field(default_factory=dict)  # when a message was sent whose publisher tells
    orphans: dict[int, int] = field(default_factory=dict)  # by the id of an attempt that nobody hears of, its copy
    joined: set[int] = field(default_factory=set)  # where on the tape a server takes or ends another copy of a batch
    takes: list[int] = field(default_factory=list)  # where on the tape each take of effects ends
    ledger: Ledger = field(default_factory=Ledger)
    drivers: list[Driver] = field(default_factory=list)
    armed: int = 0  # the most wake-ups that stood in the calendar at once

    def original(self, message: int) -> int:
        """The message that was published first, of one that carries it on or is it again."""
        while message in self.carried or message in self.again:
            message = self.again.get(message) or self.message_of(self.carried[message])
        return message

    def message_of(self, copy: int) -> int:
        """The message of a copy, or of the copy that an orphan was."""
        copy = self.orphans.get(copy, copy)
        message: int = next(effect.message_id for effect in self.effects("Enqueued") if effect.copy_id == copy)
        return message

    def effects(self, kind: str) -> list[Any]:
        return [entry for entry in self.tape if type(entry).__name__ == kind]

    def notices(self, what: str) -> list[Any]:
        return [entry for entry in self.tape if isinstance(entry, tuple) and entry[0] == what]


class Noted(Recorder):
    """A recorder that also notes what it is told by the modelled parties."""

    run: Run

    def _note(self, what: str, group: str, copy_id: int, now: int, servers: int) -> None:
        if not servers:
            self.run.joined.add(len(self.run.tape))
        self.run.tape.append((what, group, copy_id, now))

    def staffed(self, group: str, change: int, now: int) -> None:
        self.run.staff.append((group, change, now))
        super().staffed(group, change, now)

    def started(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        self._note("started", group, copy_id, now, servers)
        super().started(group, copy_id, now, servers)

    def ended(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        self._note("ended", group, copy_id, now, servers)
        super().ended(group, copy_id, now, servers)

    def interrupted(self, group: str, copy_id: int, now: int, servers: int = 1) -> None:
        self._note("interrupted", group, copy_id, now, servers)
        super().interrupted(group, copy_id, now, servers)

    def failed(self, group: str, copy_id: int) -> None:
        self.run.tape.append(("failed", group, copy_id, None))
        super().failed(group, copy_id)

    def applied(self, group: str, copy_id: int, now: int) -> None:
        self.run.tape.append(("applied", group, copy_id, now))
        super().applied(group, copy_id, now)

    def suppressed(self, group: str, copy_id: int, now: int) -> None:
        self.run.tape.append(("suppressed", group, copy_id, now))
        super().suppressed(group, copy_id, now)

    def carried(self, copy_id: int, message_id: int, now: int) -> None:
        self.run.carried[message_id] = copy_id
        super().carried(copy_id, message_id, now)

    def sent(self, message_id: int, sent_at: int, held: bool = False) -> Told:
        self.run.sent[message_id] = sent_at
        return super().sent(message_id, sent_at, held)

    def sent_again(self, message_id: int, told: Told) -> None:
        self.run.again[message_id] = told.message_id
        super().sent_again(message_id, told)

    def orphaned(self, copy_id: int) -> int:
        orphan = super().orphaned(copy_id)
        self.run.orphans[orphan] = copy_id
        return orphan


def _taped(runs: list[Run], message_ttl: Mapping[str, int]) -> type[Recorder]:
    """A recorder that keeps a tape beside, and adds it to ``runs``."""

    class Taped(Noted):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            names = ("warmup", "end", "queues", "groups", "served")
            self.run = Run(**{name: given[name] for name in names}, ledger=Ledger(message_ttl))
            runs.append(self.run)

        def take(self, effects: Sequence[Any]) -> None:
            assert len({effect.at for effect in effects}) <= 1, "all effects of one take share one time"
            self.run.tape += effects
            self.run.takes.append(len(self.run.tape))
            self.run.ledger.feed(effects)
            super().take(effects)

    return Taped


@contextmanager
def watched(message_ttl: Mapping[str, int] | None = None) -> Iterator[list[Run]]:
    """Every replication that is run inside leaves its tape; its calendar and its broker are watched at every step."""
    runs: list[Run] = []
    taped = _taped(runs, message_ttl or {})

    class WatchedDriver(Driver):
        def __init__(self, broker: Any, observer: Any) -> None:
            super().__init__(broker, observer)
            observer.run.drivers.append(self)

        def react(self) -> None:
            super().react()
            assert type(self.env.now) is int
            wakes = _wake_ups(self)
            run: Run = self.observer.run  # type: ignore[attr-defined]
            run.armed = max(run.armed, len(wakes))
            assert len(set(wakes)) == len(wakes), "two wake-ups for one instant"
            deadline = self.broker.next_deadline
            assert deadline is None or min(wakes) <= deadline, "the broker would be woken late"

    with patch.object(assembly, "Recorder", taped), patch.object(assembly, "Driver", WatchedDriver):
        yield runs
    for run in runs:
        run.ledger.check(run.drivers[0].broker)


def _wake_ups(driver: Driver) -> list[int]:
    """When the wake-ups for the broker that are in the calendar will come."""
    entries = ((at, getattr(entry, "callback", None)) for at, _, _, entry in driver.env._queue)
    return [at for at, callback in entries if callback == driver._wake]


class Naive:
    """The numbers of one replication; ``served`` are the queues whose copies a consumer will see."""

    def __init__(self, run: Run, served: Collection[str]) -> None:
        self.run, self.served = run, served
        self.warmup, self.end, self.seconds = run.warmup, run.end, (run.end - run.warmup) / SECOND
        self.last = max([run.end, *(_at(entry) for entry in run.tape if _at(entry) is not None)]) + 1
        self.copies: dict[int, Any] = {}
        for place, entry in enumerate(run.tape):
            self._read(place, entry)
        published = [e for e in run.effects("Published") if e.at >= run.warmup and e.message_id not in run.carried]
        self.published = {effect.message_id: effect for effect in published}
        self.trees = [self._tree(copy) for copy in self.copies.values() if copy.parent == 0 and copy.message in self.published]

    def _read(self, place: int, entry: Any) -> None:
        kind = entry[0] if isinstance(entry, tuple) else type(entry).__name__
        if kind in ("Enqueued", "Refused"):
            copy = SimpleNamespace(id=entry.copy_id, message=entry.message_id, queue=entry.queue, parent=entry.parent_id)
            copy.at, copy.story = entry.at, []
            if not copy.parent and copy.message in self.run.carried:
                copy.parent = self.run.carried[copy.message]
            if copy.parent in self.copies:
                copy.message = self.copies[copy.parent].message
            self.copies[copy.id] = copy
        if kind == "Published" or _copy(entry) == 0:
            return
        self.copies[_copy(entry)].story.append((place, kind, _at(entry), entry))

    # What is asked of a copy

    def _of(self, copy: Any, *kinds: str) -> list[Any]:
        return [step for step in copy.story if step[1] in kinds]

    def _is_open(self, copy: Any) -> bool:
        return not self._of(copy, *ENDS)

    def _stays(self, copy: Any) -> list[tuple[str, int, int]]:
        """``("ready", from, to)`` and ``("unacked", from, to)``, one after the other."""
        steps = self._of(copy, "Enqueued", "Delivered", "Requeued", "Settled", "Removed")
        ends = [*(step[2] for step in steps[1:]), self.last]
        where = {"Enqueued": "ready", "Requeued": "ready", "Delivered": "unacked"}
        return [(where[kind], at, to) for (_, kind, at, _), to in zip(steps, ends, strict=True) if kind in where]

    def _handled(self, copy: Any, *, alone: bool = False) -> list[tuple[str, int, int, int | None]]:
        """For each start of a handler: its group, when the copy had become ready, the start, and the end if it came.

        Where it counts ``alone``, of a batch only one copy.
        """
        ready, found = 0, []
        for number, (place, kind, at, entry) in enumerate(copy.story):
            if kind in ("Enqueued", "Requeued"):
                ready = at
            elif kind == "started" and not (alone and place in self.run.joined):
                ended = [step[2] for step in copy.story[number:] if step[1] == "ended"]
                found.append((entry[1], ready, at, ended[0] if ended else None))
        return found

    def _is_given(self, copy: Any) -> bool:
        """Whether the broker let go of it when it sent it."""
        kinds = [step[1] for step in copy.story]
        before = kinds[: kinds.index("Settled")][::-1] if "Settled" in kinds else ["started", "Delivered"]
        return "started" not in before[: before.index("Delivered")]

    def _gone_at(self, copy: Any) -> int:
        at: int = self._of(copy, *ENDS)[0][2]
        return at

    def _attempts(self, copy: Any) -> int:
        open_still = self._is_given(copy) and copy.story[-1][1] != "ended"
        gone = next(step[0] for step in copy.story if step[1] in ENDS)
        return sum(step[1] in OUTCOMES and (not open_still or step[0] < gone) for step in copy.story)

    # Obligations

    def _tree(self, root: Any) -> list[Any]:
        """A first copy and all that descends from it by dead-lettering."""
        tree = [root]
        for copy in tree:
            tree += [child for child in self.copies.values() if child.parent == copy.id]
        return sorted(tree, key=lambda copy: copy.id)

    def fate(self, tree: list[Any]) -> str:
        """``finished``, ``waiting``, or the cause of the loss."""
        tree = [copy for copy in tree if copy.id not in self.run.carried.values()]  # what goes on elsewhere ends nothing
        given = [copy for copy in tree if self._is_given(copy)]
        if any(copy.story[-1][1] not in ("ended", "interrupted") for copy in given):
            return "waiting"
        still_open = [copy for copy in tree if self._is_open(copy)]
        if any(copy.queue in self.served for copy in still_open):
            return "waiting"
        settled = [copy for copy in tree if self._of(copy, "Settled")]
        if any(copy not in given or self._applied_at(tree) is not None for copy in settled):
            return "finished"
        if still_open:
            parent = self.copies.get(still_open[-1].parent)
            return self._cause(parent) if parent else "unconsumed"
        return self._cause(max(tree, key=lambda copy: copy.story[-1][0]))

    def _cause(self, copy: Any) -> str:
        if self._is_given(copy):
            return "failed"
        _, kind, _, effect = copy.story[-1]
        if kind == "Refused":
            return "maxlen" if effect.children else "refused"
        return str(effect.cause)

    def fates(self, queue: str) -> "Counter[str]":
        return Counter(self.fate(tree) for tree in self.trees if tree[0].queue == queue)

    def windows(self) -> tuple[list[int], int, list[int]]:
        """The windows that closed, how many never will, and the ages of those still open, in nanoseconds."""
        closed, never, ages = [], 0, []
        for message, published in self.published.items():
            trees = [tree for tree in self.trees if tree[0].message == message and tree[0].queue in self.served]
            applied = [self._applied_at(tree) for tree in trees]
            if None not in applied:
                closed += [max(applied) - published.at] if trees else []
            elif any(at is None and self.fate(tree) != "waiting" for at, tree in zip(applied, trees, strict=True)):
                never += 1
            else:
                ages.append(self.end - published.at)
        return closed, never, ages

    def _applied_at(self, tree: list[Any]) -> Any:
        return min((step[2] for copy in tree for step in self._of(copy, "applied", "suppressed")), default=None)

    # The numbers

    def values(self) -> dict[str, float]:
        found = {
            "messages.n": len(self.published),
            "messages.rate": len(self.published) / self.seconds,
            "messages.unroutable": _ratio(sum(not effect.queues for effect in self.published.values()), len(self.published)),
        }
        for queue in self.run.queues:
            numbers = self._of_queue(queue) | self._of_obligations(queue) | self._of_times(queue)
            found |= {f"{queue}.{name}": number for name, number in numbers.items()}
        for group in self.run.groups:
            found |= {f"consumers.{group}.{name}": number for name, number in self._of_group(group).items()}
        return found | {f"window.{name}": number for name, number in self._of_windows().items()}

    def _in(self, queue: str) -> list[Any]:
        return [copy for copy in self.copies.values() if copy.queue == queue and not self._of(copy, "Refused")]

    def _of_queue(self, queue: str) -> dict[str, float]:
        copies, groups = self._in(queue), [name for name, (of, *_) in self.run.groups.items() if of == queue]
        stays = [stay for copy in copies for stay in self._stays(copy)]
        mean = {where: self._clipped((a, b) for kind, a, b in stays if kind == where) for where in ("ready", "unacked")}
        acked = [step for copy in copies for step in self._of(copy, "Settled") if self._measured(step[2])]
        return {
            "arrival_rate": sum(self._measured(copy.at) for copy in copies) / self.seconds,
            "throughput": len(acked) / self.seconds,
            "utilisation": self._busy(groups),
            "ready.mean": mean["ready"],
            "unacked.mean": mean["unacked"],
            "depth.mean": mean["ready"] + mean["unacked"],
            "depth.max": self._most([(a, b) for _, a, b in stays]),
            **self._of_applications(queue),
        }

    def _of_applications(self, queue: str) -> dict[str, float]:
        """In the order of the tape, whose message was applied here before."""
        steps = sorted((*step, copy.message) for copy in self._in(queue) for step in self._of(copy, "applied"))
        messages = [step[-1] for step in steps]
        repeats = [m in messages[:i] for i, m in enumerate(messages) if m in self.published]
        return {"duplicates": _ratio(sum(repeats), len(repeats)), "duplicates.n": len(repeats)}

    def _of_obligations(self, queue: str) -> dict[str, float]:
        fates = self.fates(queue)
        n, lost = fates.total(), {cause: fates[cause] for cause in CAUSES}
        assert fates["finished"] + fates["waiting"] + sum(lost.values()) == n
        shares = {f"loss.{cause}": _ratio(count, n) for cause, count in lost.items()}
        return {"loss": _ratio(sum(lost.values()), n), "loss.n": n, "waiting": _ratio(fates["waiting"], n), **shares}

    def _of_times(self, queue: str) -> dict[str, float]:
        copies = self._in(queue)
        handled = [(number, h) for copy in copies for number, h in enumerate(self._handled(copy)) if h[1] >= self.warmup]
        gone = [copy for copy in copies if copy.at >= self.warmup and self._of(copy, "Delivered") and not self._is_open(copy)]
        columns = {
            "wait": [start - ready for _, (_, ready, start, _) in handled],
            "first_wait": [start - ready for number, (_, ready, start, _) in handled if number == 0],
            "service": [end - start for _, (_, _, start, end) in handled if end is not None],
            "residence": [self._gone_at(copy) - copy.at for copy in gone],
        }
        found = {f"{name}.{what}": number for name, column in columns.items() for what, number in _spread(column).items()}
        found["attempts.mean"] = _ratio(sum(self._attempts(copy) for copy in gone), len(gone))
        found["deliveries.mean"] = _ratio(sum(len(self._of(copy, "Delivered")) for copy in gone), len(gone))
        return found

    def _of_group(self, group: str) -> dict[str, float]:
        outcomes = [
            kind
            for copy in self.copies.values()
            for place, kind, _, entry in copy.story
            if kind in OUTCOMES and entry[1] == group and self._ready_before(copy, place) >= self.warmup
        ]
        return {
            "utilisation": self._busy([group]),
            "attempts": len(outcomes),
            "failures": outcomes.count("failed"),
            "suppressed": outcomes.count("suppressed"),
            "on_duty.mean": self.on_duty(group),
        }

    def _ready_before(self, copy: Any, place: int) -> int:
        ready: int = max(step[2] for step in self._of(copy, "Enqueued", "Requeued") if step[0] < place)
        return ready

    def _of_windows(self) -> dict[str, float]:
        closed, never, ages = self.windows()
        n = len(closed) + never + len(ages)
        seconds = [each / SECOND for each in closed]
        return {
            "n": n,
            "never": _ratio(never, n),
            "open": _ratio(len(ages), n),
            "mean": math.inf if never else float(np.mean(seconds)) if seconds else math.nan,
            "max": math.inf if never else max(seconds, default=math.nan),
            **{f"p{percent}": _product_limit(closed, never, ages, percent / 100) for percent in (50, 95, 99)},
        }

    # Time

    def _measured(self, at: int) -> bool:
        return self.warmup <= at <= self.end

    def _clipped(self, stays: Any) -> float:
        """Sum of sojourns in the measured time, over its length."""
        spent: int = sum(max(0, min(to, self.end) - max(since, self.warmup)) for since, to in stays)
        return spent / (self.end - self.warmup)

    def _busy(self, groups: list[str]) -> float:
        handled = [each for copy in self.copies.values() for each in self._handled(copy, alone=True) if each[0] in groups]
        servers = sum(self.servers(group) for group in groups)
        spans = ((start, self.last if end is None else end) for _, _, start, end in handled)
        return _ratio(self._clipped(spans), servers)

    def on_duty(self, group: str) -> float:
        """Consumers on duty, on average over the measured time."""
        changes = [(change, at) for name, change, at in self.run.staff if name == group]
        return sum(change * self._clipped([(at, self.last)]) for change, at in changes)

    def servers(self, group: str) -> float:
        """Theirs; where one consumer is served at a time, its own."""
        _, each, alone = self.run.groups[group]
        return each * (1 if alone else self.on_duty(group))

    def _most(self, stays: list[tuple[int, int]]) -> int:
        """The most that were there for any length of time, from the end of the warm-up on."""
        instants = sorted({0, self.last, *(at for stay in stays for at in stay)})
        spans = [(a, b) for a, b in pairwise(instants) if b >= self.warmup]
        return max((sum(since <= a and b <= to for since, to in stays) for a, b in spans), default=0)


def _at(entry: Any) -> Any:
    return entry[3] if isinstance(entry, tuple) else entry.at


def _copy(entry: Any) -> Any:
    return entry[2] if isinstance(entry, tuple) else entry.copy_id


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _product_limit(closed: list[int], never: int, ages: list[int], p: float) -> float:
    """The first time, in seconds, by which at least a share p has closed (Kaplan and Meier 1958)."""
    still = 1.0
    for time in sorted(set(closed)):
        at_risk = never + sum(each >= time for each in [*closed, *ages])
        still *= 1 - closed.count(time) / at_risk
        if 1 - still >= p - 1e-12:
            return time / SECOND
    return math.inf if closed or never or ages else math.nan


def _spread(column: list[int]) -> dict[str, float]:
    seconds = sorted(each / SECOND for each in column)
    quantile: Callable[[float], float] = lambda p: float(np.quantile(seconds, p)) if seconds else math.nan  # noqa: E731
    return {
        "n": len(seconds),
        "mean": math.fsum(seconds) / len(seconds) if seconds else math.nan,
        "p50": quantile(0.5),
        "p95": quantile(0.95),
        "p99": quantile(0.99),
        "max": seconds[-1] if seconds else math.nan,
    }
