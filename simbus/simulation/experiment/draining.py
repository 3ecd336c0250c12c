"""``drain_time``: how long the backlog of an outage takes to drain, simulated, with the fluid answer beside it.

A queue has drained at the first moment after the outage at which it holds no more than on average without one, or than its
consumers can handle at once, whichever is more. The fluid answer is arithmetic on means (Newell, *Applications of Queueing
Theory*, 1982): arrivals add up as long as it lasts, and then leave with what consumers have to spare.
"""

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from simbus import units
from simbus.analysis import formats, shown
from simbus.analysis.comparison import Comparison, compare
from simbus.analysis.estimates import LIMITS, Estimate, student_t
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result
from simbus.analysis.tape import Tape, Taped
from simbus.effects import Effect, Enqueued, Removed, Settled
from simbus.errors import ScenarioError
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.experiment.experiment import check_scenario, replicate
from simbus.simulation.experiment.local import default_jobs
from simbus.simulation.experiment.pilot import warmed_up
from simbus.simulation.experiment.progress import Progress
from simbus.simulation.experiment.sweeps import with_run
from simbus.simulation.forecast.load import at_work, capacity, load
from simbus.simulation.model.words import unknown
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND, duration_text, format_duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_KINDS = ("breakdown", "crash", "connection-loss")
_ENOUGH = 4  # times the fluid answer: how long is looked, unless the caller says
_LEAST = 60 * SECOND
_NAME = "drain_time"  # of the outage


@dataclass(frozen=True)
class Fluid:
    """What arithmetic on means says.

    Args:
        backlog: messages that are there when the outage is over, beyond those that always are.
        time: seconds until they are gone; infinite where consumers cannot keep up.
    """

    backlog: float
    time: float


@dataclass(frozen=True)
class Drain:
    """How long the backlog of an outage took to drain.

    Args:
        queue: which.
        whom: the groups of consumers that were gone.
        lasting: nanoseconds of the outage, which begins when the warm-up is over.
        within: nanoseconds after it that were looked at.
        level: the copies in the queue at which it counts as drained.
        fluid: the answer of arithmetic.
        normal: what was simulated without the outage, with the same random numbers.
        result: what was simulated with it.
    """

    queue: str
    whom: tuple[str, ...]
    lasting: int
    within: int
    level: int
    fluid: Fluid
    normal: Result
    result: Result

    @property
    def time(self) -> Estimate:
        """Seconds from the end of the outage until the queue had drained; infinite where it had not in a replication."""
        return self._estimate(0)

    @property
    def backlog(self) -> Estimate:
        """Copies in the queue at the end of the outage."""
        return self._estimate(1)

    def _estimate(self, column: int) -> Estimate:
        seen = self.result.curves(f"{self.queue}.drain")
        return student_t([float(each) for each in seen[:, column]], self.result.settings.confidence)

    @property
    def lost(self) -> Comparison:
        """How the loss of the queue differs from that without the outage."""
        return compare(self.normal, self.result, f"queues.{self.queue}.loss")

    def frame(self) -> "DataFrame":
        """The time until it had drained, in seconds, and the backlog: mean, low and high, and what the fluid answer is."""
        from pandas import DataFrame as Frame

        found = {"time": (self.time, self.fluid.time), "backlog": (self.backlog, self.fluid.backlog)}
        rows = [[*(getattr(estimate, limit) for limit in LIMITS), fluid] for estimate, fluid in found.values()]
        return Frame(rows, index=list(found), columns=[*LIMITS, "fluid"]).rename_axis("what")

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Depth over time, with the outage shaded."""
        return self.result.plot.depth(self.queue, ax)

    def cautions(self) -> list[str]:
        """What to know before trusting it, a sentence each."""
        seen = self.result.curves(f"{self.queue}.drain")[:, 0]
        late = int(np.isinf(seen).sum())
        if not late:
            return []
        looked = format_duration(self.within)
        return [f"{late} of {len(seen)} replications had not drained {looked} after the outage; look longer, with within=."]

    def __repr__(self) -> str:
        time, fluid = formats.interval(self.time, "time"), formats.value(self.fluid.time, "time")
        backlog = formats.interval(self.backlog, "count")
        gone = f"{format_duration(self.lasting)} without {', '.join(self.whom)}"
        return f"<Drain of {self.queue} after {gone}: {time} (fluid: {fluid}), backlog {backlog}>"

    def _repr_html_(self) -> str:
        return shown.fragment(repr(self), self.frame(), self.cautions())


def drain_time(
    scenario: Scenario,
    whom: str | Sequence[str],
    lasting: str | timedelta,
    *,
    what: str = "breakdown",
    queue: str | None = None,
    within: str | timedelta | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | bool = True,
    **run: Any,
) -> Drain:
    """How long the backlog of an outage takes to drain: ``drain_time(shop, "charge", lasting="20min", warmup="1min", seed=1)``.

    The outage begins when the warm-up is over. The scenario is simulated without it, which says how full the queue always is, and
    with it, on common random numbers.

    Args:
        scenario: the design; its own outages happen besides.
        whom: the group of consumers that is gone, or several.
        lasting: for how long.
        what: ``breakdown``, ``crash`` or ``connection-loss``, as in ``Scenario.outage``.
        queue: whose backlog; by default that which the first group consumes.
        within: how long after the outage to look; by default four times the fluid answer, and a minute at least.
        jobs: as in :func:`simulate`.
        executor: as in :func:`simulate`.
        progress: as in :func:`simulate`.
        run: as in :func:`simulate`, but for ``duration``, which follows from ``lasting`` and ``within``.

    Raises:
        ScenarioError: for a group, a queue or a kind of outage that does not exist, or consumers that cannot keep up, so that
            it never drains, when ``within`` is not said.
    """
    check_scenario(scenario)
    groups = (whom,) if isinstance(whom, str) else tuple(whom)
    queue = _checked(scenario, groups, what, queue)
    length, fluid = units.duration(lasting, "lasting"), _fluid(scenario, groups, queue, units.duration(lasting, "lasting"))
    after = _looked(fluid, queue, within)
    if "duration" in run:
        raise ScenarioError("run.duration", "follows from lasting and within; leave it out")
    timed = with_run(scenario, {**run, "duration": duration_text(length + after)})
    timed.validate()
    timed = warmed_up(timed, default_jobs(timed) if jobs is None else jobs, executor)
    disturbed = timed.with_("run.seed", timed.run.seed)  # a copy
    disturbed.outage(_NAME, what, whom=list(groups), at=duration_text(timed.run.cut), lasting=duration_text(length))
    normal = replicate(timed, run_replication, jobs=jobs, executor=executor, progress=progress)
    level = _level(normal, timed, queue)
    work = partial(_watched, queue, timed.run.cut + length, level)
    result = replicate(disturbed, work, jobs=jobs, executor=executor, progress=progress)
    return Drain(queue, groups, length, after, level, fluid, normal, result)


def _checked(scenario: Scenario, groups: Sequence[str], what: str, queue: str | None) -> str:
    """The queue that is looked at."""
    for name in groups:
        if name not in scenario.consumers:
            raise ScenarioError("whom", unknown("group of consumers", name, scenario.consumers))
    if not groups:
        raise ScenarioError("whom", f"names no group of consumers; known: {', '.join(scenario.consumers) or 'none'}")
    if what not in _KINDS:
        raise ScenarioError("what", unknown("kind of outage", what, _KINDS))
    if _NAME in scenario.outages:
        raise ScenarioError(f"outages.{_NAME}", "is the name that this outage takes; choose another one for that")
    if queue is not None and queue not in scenario.topology.queues:
        raise ScenarioError("queue", unknown("queue", queue, scenario.topology.queues))
    return scenario.consumers[groups[0]].queue if queue is None else queue


def _fluid(scenario: Scenario, groups: Sequence[str], queue: str, length: int) -> Fluid:
    scenario.validate(run=False)
    arriving = load(scenario).arrivals.get(queue, 0.0)
    able = {name: capacity(each) for name, each in at_work(scenario).items() if each.queue == queue}
    left = sum(rate for name, rate in able.items() if name not in groups)
    backlog, spare = max(0.0, arriving - left) * length / SECOND, sum(able.values()) - arriving
    return Fluid(backlog, backlog / spare if spare > 0 else math.inf)


def _looked(fluid: Fluid, queue: str, within: str | timedelta | None) -> int:
    if within is not None:
        return units.duration(within, "within")
    if not fluid.time < math.inf:  # nan too, where a handler is code
        problem = f"{queue!r} never drains by arithmetic, because its consumers have nothing to spare, or nobody can tell"
        raise ScenarioError("within", f'{problem}; add consumers, or say how long to look: within="1h"')
    return max(_LEAST, round(_ENOUGH * fluid.time * SECOND))


def _level(normal: Result, scenario: Scenario, queue: str) -> int:
    """What the queue holds anyway: its mean depth, and at least what its consumers can handle at once."""
    servers = sum(each.servers for each in at_work(scenario).values() if each.queue == queue)
    depth = normal.estimate(f"queues.{queue}.depth.mean").mean
    return max(servers, math.ceil(depth))


class _Watch(Tape):
    """When a queue came down to a level again, after an instant, and how much it held then."""

    def __init__(self, queue: str, since: int, level: int) -> None:
        super().__init__()
        self._queue, self._since, self._level, self._depth = queue, since, level, 0
        self.backlog: int | None = None
        self.drained: int | None = None

    def take(self, effects: list[Effect]) -> None:
        """Follow the depth; the effects are of one moment."""
        if not effects:
            return
        if effects[0].at > self._since and self.backlog is None:
            self.look()
        for effect in effects:
            if isinstance(effect, Enqueued | Settled | Removed) and effect.queue == self._queue:
                self._depth += 1 if isinstance(effect, Enqueued) else -1
        if self.backlog is not None and self.drained is None and self._depth <= self._level:
            self.drained = effects[0].at

    def look(self) -> None:
        """The outage is over, and nothing has happened since."""
        self.backlog = self._depth
        self.drained = self._since if self._depth <= self._level else None


def _watched(queue: str, since: int, level: int, scenario: Scenario, seed: int, index: int) -> Replication:
    """A replication with what was seen of the queue among its curves."""
    watch = _Watch(queue, since, level)
    found = run_replication(scenario, seed, index, partial(Taped, watch))
    if watch.backlog is None:
        watch.look()
    time = math.inf if watch.drained is None else (watch.drained - since) / SECOND
    found.curves[f"{queue}.drain"] = np.array([time, float(watch.backlog or 0)])
    return found
