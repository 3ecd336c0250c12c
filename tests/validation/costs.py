"""What time real clients lose, measured in the very runs that are compared, and the simulation of the same scenario with it.

simbus's publishers, network and consumers take no time. Real ones do, a little: a sleep ends late, an ack and the next
delivery travel, a message takes a moment to its handler. These three means are measured where no queueing is in them, are
given to the simulation as constants, and nothing else is fitted. With them a server is busy for

    drawn time + lateness + turnaround,

a message becomes ready ``latency`` after its publish, and what is called wait, residence and so on is corrected for what
now lies before or behind it (``corrected``).
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from simbus.simulation.model.distributions import Distribution, Times
from simbus.simulation.model.workloads import Workload
from simbus.simulation.scenario import Scenario
from simbus.units import MILLISECOND, SECOND
from tests.validation.observed import Attempt, Observed, Values

CLEAR = 2 * MILLISECOND  # that a message was there before the handler's end, or came after it, and not at the same time


@dataclass(frozen=True)
class Costs:
    """Means in nanoseconds.

    Args:
        lateness: of a handler's sleep.
        turnaround: from a handler's end to the start of the next, when that message was ready long since.
        latency: from publishing to a handler's start, when its consumer was idle.
    """

    lateness: int
    turnaround: int
    latency: int


def spans(observed: Observed) -> dict[str, list[int]]:
    """The observations behind the costs, by name, in nanoseconds."""
    by_consumer = defaultdict[str, list[Attempt]](list)
    for copy in observed.copies:
        for attempt in copy.attempts:
            by_consumer[attempt.consumer].append(attempt)
    found: dict[str, list[int]] = {"lateness": [], "turnaround": [], "latency": []}
    for attempts in by_consumer.values():
        attempts.sort(key=lambda attempt: attempt.started)
        found["lateness"] += [
            each.ended - each.started - each.drawn for each in attempts if each.ended and each.drawn is not None
        ]
        for before, after in pairwise(attempts):
            if before.ended is None:
                continue
            if after.ready < before.ended - CLEAR:
                found["turnaround"].append(after.started - before.ended)
            elif after.ready > before.ended + CLEAR and after.fresh:
                found["latency"].append(after.started - after.ready)
    return found


@dataclass(frozen=True)
class _LateEnd:
    """A distribution of times with a constant added."""

    times: Distribution
    more: int

    @property
    def mean(self) -> float:
        return self.times.mean + self.more

    @property
    def scv(self) -> float:
        return self.times.scv * (self.times.mean / self.mean) ** 2

    def sample(self, generator: Generator, n: int) -> Times:
        return self.times.sample(generator, n) + self.more


@dataclass(frozen=True)
class _LateArrival:
    """A workload whose messages arrive a constant time later."""

    arrivals: Workload
    later: int

    @property
    def rate(self) -> float:
        return self.arrivals.rate

    @property
    def finite(self) -> bool:
        return self.arrivals.finite

    def epochs(self, generator: Generator) -> Iterator[int]:
        return (epoch + self.later for epoch in self.arrivals.epochs(generator))


def with_costs(scenario: Scenario, costs: Costs) -> Scenario:
    """The scenario with clients that lose as much time."""
    for name, consumer in scenario.consumers.items():
        longer = _LateEnd(consumer.service, costs.lateness + costs.turnaround)
        scenario = scenario.with_(f"consumers.{name}.service", longer)
    for name, publisher in scenario.publishers.items():
        scenario = scenario.with_(f"publishers.{name}.arrivals", _LateArrival(publisher.arrivals, costs.latency))
    return scenario


def corrected(values: Values, scenario: Scenario, costs: Costs) -> Values:
    """What clients would have measured in a replication of :func:`with_costs`.

    A first attempt has waited since its publish, ``latency`` before the simulated copy became ready, and a later one
    since the end of the handler before, a ``turnaround`` before the simulated server was free.
    A service ends before its turnaround.
    """
    turnaround, latency = costs.turnaround / SECOND, costs.latency / SECOND
    found, length = dict(values), (scenario.run.duration or 0) / SECOND
    for queue in {spec.queue for spec in scenario.consumers.values()}:
        servers = sum(spec.servers for spec in scenario.consumers.values() if spec.queue == queue)
        attempts = values[f"{queue}.wait.n"]
        first = values[f"{queue}.first_wait.n"] / attempts
        for name in ("mean", "p50", "p95", "p99"):
            found[f"{queue}.wait.{name}"] += latency * first + turnaround * (1 - first)
        found[f"{queue}.service.mean"] -= turnaround
        found[f"{queue}.residence.mean"] += latency - turnaround
        found[f"{queue}.depth.mean"] += values[f"{queue}.arrival_rate"] * (latency - turnaround)
        found[f"{queue}.utilisation"] -= attempts / length * turnaround / servers
    found["window.mean"] += latency - turnaround
    return found


def mean_costs(found: dict[str, list[int]]) -> Costs:
    """Their means."""
    return Costs(*(round(float(np.mean(found[name]))) for name in ("lateness", "turnaround", "latency")))
