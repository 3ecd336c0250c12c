"""What a replication draws whose mean is known: realised beside expected, to take luck out of its numbers.

Counted are the draws themselves and not what came of them, up to the moment at which the run ends: whether one more is made
depends on those before it alone, so that their sum has its expected value exactly (Wald 1944), however long the run. What is made
of it is in the analysis' ``controls``.
"""

import math

from simbus.simulation.forecast.load import load
from simbus.simulation.model.streams import Streams
from simbus.simulation.model.system import System
from simbus.simulation.model.workloads import Batches, Poisson, Schedule, Sinusoid, Workload
from simbus.units import SECOND


def outcomes(scenario: System, streams: Streams, end: int) -> dict[str, tuple[float, float]]:
    """By name, what was drawn and what was to be expected: messages until the end, and seconds of work. To be asked once."""
    found = {}
    for name, spec in scenario.publishers.items():
        drawn, expected = streams.drawn(arrivals := f"publishers.{name}.arrivals"), expected_arrivals(spec.arrivals, end)
        if drawn is not None and expected is not None:
            found[arrivals] = drawn - 1.0, expected  # one is drawn ahead
    for name, tally in streams.tallies.items():
        n, total = tally.taken()
        found[name] = total / SECOND, n * tally.law.mean / SECOND
    return found


def expected_arrivals(workload: Workload, time: float) -> float | None:
    """How many messages a Poisson process of any rate is expected to publish in so many nanoseconds; None for other workloads."""
    if isinstance(workload, Poisson | Batches):
        return workload.rate * time / SECOND
    if isinstance(workload, Sinusoid):
        turn = 2 * math.pi / workload.period
        return workload.rate * (time + workload.swing / turn * (1 - math.cos(turn * time))) / SECOND
    return _of_steps(workload.steps, time) / SECOND if isinstance(workload, Schedule) else None


def _of_steps(steps: tuple[tuple[int, float], ...], time: float) -> float:
    """The integral of rates that hold for so long each, again and again."""
    cycles, left = divmod(time, sum(length for length, _ in steps))
    total = cycles * sum(length * rate for length, rate in steps)
    for length, rate in steps:
        total += min(length, left) * rate
        left = max(0.0, left - length)
    return total


def related(scenario: System) -> dict[str, tuple[str, ...]]:
    """By queue, who bears on it directly: the publishers whose messages reach it first, and its consumers."""
    sources = load(scenario).sources
    found: dict[str, tuple[str, ...]] = {}
    for queue in scenario.topology.queues:
        publishers = [f"publishers.{name}" for name in dict.fromkeys(sources.get(queue, ()))]
        consumers = [f"consumers.{name}" for name, each in scenario.consumers.items() if each.queue == queue]
        found[queue] = (*publishers, *consumers)
    return found


def borne(scenario: System) -> dict[str, tuple[str, ...]]:
    """By outage, the queues that it bears on: of those whom it befalls, what they consume or publish to; all, of the broker's."""
    parties, found = related(scenario), {}
    for name, outage in scenario.outages.items():
        whom = {f"{sort}.{each}" for each in outage.whom for sort in ("publishers", "consumers")}
        everyone = not outage.whom
        found[name] = tuple(each for each, near in parties.items() if everyone or each in outage.whom or whom.intersection(near))
    return found
