"""From the notes of a real run to simbus's metrics, which are defined here once more, in plain words of lists.

Nothing of the simulation is used but the names of its metrics. A run ends at its length: what had not happened by then
does not count, in the simulation as here. What clients cannot see is left out: when the broker sent what a busy consumer
keeps in its buffer, for one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from simbus.simulation.scenario import Scenario
from simbus.units import SECOND, duration

Values = dict[str, float]


@dataclass
class Attempt:
    """A handler at work on a delivery; instants in nanoseconds, ``ended`` None when that was not seen.

    ``fresh``: the message came straight from its publisher. ``drawn`` None: its process was killed before it ended.
    """

    consumer: str
    ready: int
    started: int
    redelivered: bool
    fresh: bool
    drawn: int | None = None
    ended: int | None = None


@dataclass
class Copy:
    """A message in one queue; ``first`` when it came straight from its publisher. ``left`` None: still there."""

    queue: str
    message: str
    first: bool
    enqueued: int
    ready: int
    attempts: list[Attempt] = field(default_factory=list)
    left: int | None = None
    end: str = ""


class Observed:
    """All that was seen of one run.

    Args:
        scenario: that was run.
        lines: of its parties, in order of time; see ``parties``.
    """

    def __init__(self, scenario: Scenario, lines: Iterable[list[str]]) -> None:
        self.scenario = scenario
        self.length = scenario.run.duration or 0
        self.published: dict[str, int] = {}
        self.copies: list[Copy] = []
        self.ready: dict[str, list[int]] = defaultdict(list)
        self._killed = 0
        self._open: dict[str, Copy] = {}  # by message: every experiment's messages are in one queue at a time
        self._first = {name: spec.to or "" for name, spec in scenario.publishers.items()}
        for kind, at, *words in lines:
            if int(at) <= self.length:
                getattr(self, f"_take_{kind}")(int(at), *words)

    def _take_p(self, at: int, message: str) -> None:
        self.published[message] = at
        self._enter(Copy(self._first[message.rpartition("-")[0]], message, first=True, enqueued=at, ready=at))

    def _enter(self, copy: Copy) -> None:
        self.copies.append(copy)
        self._open[copy.message] = copy

    def _leave(self, message: str, at: int, end: str) -> Copy:
        copy = self._open[message]
        copy.left, copy.end = at, end
        return copy

    def _take_x(self, at: int, message: str) -> None:
        self._leave(message, at, "refused")

    def _take_s(self, at: int, consumer: str, _queue: str, message: str, redelivered: str) -> None:
        """What a consumer held that was killed, in its buffer or at work, is ready since then, and marked as redelivered."""
        copy = self._open[message]
        if redelivered == "1":
            copy.ready = max(copy.ready, self._killed)
        fresh = copy.first and redelivered == "0"
        copy.attempts.append(Attempt(consumer, copy.ready, at, redelivered == "1", fresh))

    def _take_e(self, at: int, _consumer: str, queue: str, message: str, verdict: str, drawn: str) -> None:
        copy = self._open[message]
        attempt = copy.attempts[-1]
        attempt.ended, attempt.drawn = at, int(drawn)
        if verdict == "requeue":
            copy.ready = at
        elif verdict == "ack":
            self._leave(message, at, "acked")
        else:
            self._leave(message, at, "rejected")
            back = self._comes_back(queue)
            if back is not None:
                self._enter(Copy(back[0], message, first=False, enqueued=at + back[1], ready=at + back[1]))

    def _comes_back(self, queue: str) -> tuple[str, int] | None:
        """Where what is rejected goes next when it is a delay queue: the queue after that, and nanoseconds until then."""
        target = self.scenario.topology.queues[queue].get("dead_letter_routing_key")
        delay = self.scenario.topology.queues.get(target or "", {})
        if "message_ttl" not in delay:
            return None
        return delay["dead_letter_routing_key"], duration(delay["message_ttl"], "message_ttl")

    def _take_d(self, at: int, message: str, cause: str) -> None:
        """Dead letters come a moment after they left: after their last attempt, if there was one."""
        attempts = self._open[message].attempts
        left = attempts[-1].ended if attempts else at
        self._leave(message, at if left is None else left, cause)

    def _take_k(self, at: int, group: str) -> None:
        self._killed = at
        for copy in self._open.values():
            for attempt in copy.attempts[-1:]:
                if attempt.ended is None and attempt.consumer.startswith(f"{group}."):
                    attempt.ended = at

    def _take_r(self, _at: int, queue: str, ready: str) -> None:
        self.ready[queue].append(int(ready))

    # What is made of it

    def attempts(self, queue: str) -> Iterator[Attempt]:
        """All attempts on copies of a queue."""
        return (attempt for copy in self.of(queue) for attempt in copy.attempts)

    def of(self, queue: str) -> list[Copy]:
        """The copies that were in a queue by the end of the run."""
        return [copy for copy in self.copies if copy.queue == queue and copy.enqueued <= self.length]

    def values(self) -> Values:
        """The metrics, by path, in SI units."""
        values = {"window.mean": self._mean_window()}
        for queue, samples in self.ready.items():
            values[f"{queue}.ready.mean"] = float(np.mean(samples))
        for queue in {spec.queue for spec in self.scenario.consumers.values()}:
            values |= {f"{queue}.{name}": value for name, value in self._of_queue(queue).items()}
        return values

    def _mean_window(self) -> float:
        ended = [
            copy.left - self.published[copy.message] for copy in self.copies if copy.end == "acked" and copy.left is not None
        ]
        return float(np.mean(ended)) / SECOND

    def _of_queue(self, queue: str) -> Values:
        copies, attempts = self.of(queue), list(self.attempts(queue))
        settled = [copy for copy in copies if copy.left is not None and copy.attempts]
        entered = [copy for copy in copies if copy.end != "refused"]
        seconds, acked = self.length / SECOND, sum(copy.end == "acked" for copy in settled)
        return {
            **_spread("wait", [each.started - each.ready for each in attempts]),
            **_spread("service", [each.ended - each.started for each in attempts if each.ended and each.drawn is not None]),
            **_spread("residence", [copy.left - copy.enqueued for copy in settled if copy.left is not None]),
            "depth.mean": sum((self.length if c.left is None else c.left) - c.enqueued for c in entered) / self.length,
            "utilisation": self._busy(attempts) / self._servers(queue),
            "throughput": acked / seconds,
            "arrival_rate": len(entered) / seconds,
            "deliveries.mean": sum(map(_deliveries, settled)) / len(settled),
            **self._losses(copies),
        }

    def _busy(self, attempts: Iterable[Attempt]) -> float:
        ends = ((each.started, self.length if each.ended is None else each.ended) for each in attempts)
        return sum(ended - started for started, ended in ends) / self.length

    def _servers(self, queue: str) -> int:
        return sum(spec.servers for spec in self.scenario.consumers.values() if spec.queue == queue)

    def _losses(self, copies: list[Copy]) -> Values:
        ends = [copy.end for copy in copies if copy.first]
        causes = ("refused", "maxlen", "delivery_limit")
        return {f"loss.{cause}": ends.count(cause) / len(ends) for cause in causes}


def _deliveries(copy: Copy) -> int:
    """Those that handlers saw, and one more if the first of these was marked as redelivered already."""
    return len(copy.attempts) + copy.attempts[0].redelivered


def _spread(name: str, times: list[int]) -> Values:
    seconds = np.array(times) / SECOND
    quantiles = {f"{name}.p{percent}": float(np.quantile(seconds, percent / 100)) for percent in (50, 95, 99)}
    return {f"{name}.mean": float(seconds.mean()), **quantiles}
