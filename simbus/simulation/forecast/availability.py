"""What outages that come again and again leave of a group's time, told before anything runs.

A group that is at work for a share A of the time finishes A of what it could, so that its queue comes to rest below a utilisation
of A and not of 1. Outages at set times that do not come again are no matter of the long run, and those of queues and of the
broker stop who publishes as well.
"""

import math
from collections.abc import Iterator

from simbus.simulation.forecast.cautions import Caution
from simbus.simulation.forecast.load import Load
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.specs import dotted
from simbus.simulation.model.system import System

_STOPPING = ("breakdown", "crash", "connection-loss", "partition", "slow")


def cautions(scenario: System, offered: Load) -> Iterator[Caution]:
    """Groups that could keep up, were it not for their outages."""
    for name, consumer in scenario.consumers.items():
        left, busy = share_left(scenario, name), offered.steady[name]
        if busy < 1 <= busy / left:
            names = [each.name for each in scenario.outages.values() if name in each.whom and lost(each)]
            why = f"{' and '.join(names)} leave{'s' * (len(names) == 1)} {name} {left:.0%} of its time"
            problem = f"{why}, so its utilisation is {busy / left:.2f}, not {busy:.2f}"
            yield Caution(dotted("queues", consumer.queue), f"{problem}: it grows", "add consumers, or make outages shorter")


def share_left(scenario: System, name: str) -> float:
    """The share of its capacity that outages leave a group in the long run, each as if it came independently of the others."""
    return math.prod(1 - lost(each) for each in scenario.outages.values() if name in each.whom)


def lost(outage: OutageSpec) -> float:
    """The share of the capacity of those whom it befalls that an outage takes in the long run."""
    if outage.what not in _STOPPING:
        return 0.0
    return _down(outage) * (1 - 1 / outage.factor if outage.what == "slow" else 1.0)


def _down(outage: OutageSpec) -> float:
    """The share of the time that it lasts; of one whose clock runs with the work, were they always at work."""
    if outage.mtbf is not None:
        lasts = outage.mttr.mean if outage.mttr is not None else float(outage.lasting or 0)
        return lasts / (outage.mtbf.mean + lasts)
    return outage.lasting / outage.every if outage.every is not None and outage.lasting is not None else 0.0
