"""Which queues grow for all of a run: what is seen of them depends on its length, and says nothing of how it will be later.

Consumers that cannot keep up are known by arithmetic (``load``). Their queue still comes to rest where a limit or a time to live
stops it, and a run may show that if it is stopped early enough.
"""

import math

from simbus import dialect as dialects
from simbus.simulation.forecast.load import at_work, capacity, load, overloaded
from simbus.simulation.model.system import System
from simbus.units import SECOND

_EARLY = 0.1  # of a run, or its warm-up where that is longer


def growing(scenario: System) -> tuple[str, ...]:
    """The groups of consumers that cannot keep up, retries counted, unless a limit stops their queue early in the run."""
    busy = overloaded(scenario)
    if not busy:
        return ()
    arrivals, groups, run = load(scenario).arrivals, at_work(scenario), scenario.run
    soon = math.inf if run.duration is None else max(run.cut, _EARLY * (run.cut + run.duration))
    finished: dict[str, float] = {}
    for each in groups.values():
        finished[each.queue] = finished.get(each.queue, 0.0) + capacity(each)
    full = {queue: _stops(scenario, queue, arrivals[queue], finished[queue]) for queue in {groups[name].queue for name in busy}}
    return tuple(name for name in busy if full[groups[name].queue] > soon)


def _stops(scenario: System, queue: str, arriving: float, finished: float) -> float:
    """Nanoseconds until a limit or a time to live stops a queue that grows; infinite when none does."""
    kind = dialects.load(scenario.dialect)
    rule, surplus = kind.discipline(kind.build(scenario.topology), queue), max(0.0, arriving - finished)
    full = math.inf if rule.max_length is None else _reaches(rule.max_length, surplus, arriving)
    late = math.inf if rule.ttl is None else rule.ttl / SECOND + _reaches(finished * rule.ttl / SECOND, surplus, arriving)
    return min(full, late) * SECOND


def _reaches(length: float, surplus: float, arriving: float) -> float:
    """Seconds until a queue has that length: by what is too much, or where that is little, by chance (diffusion)."""
    return min(length / surplus if surplus else math.inf, length**2 / arriving)
