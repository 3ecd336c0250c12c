"""Closed forms that look beyond one queue in its steady work: consistency windows over several, and a consumer that breaks down.

Which queues are M/M/c and nothing else is decided in ``exact``; here is what follows from that.
"""

import math
from collections.abc import Collection, Iterator, Mapping

from simbus import theory
from simbus.analysis.exact import Exact
from simbus.simulation.forecast.load import Load
from simbus.simulation.model.distributions import Exponential
from simbus.simulation.model.outages import OutageSpec
from simbus.theory import MMc
from simbus.units import SECOND

Queues = Mapping[str, MMc]  # those that are M/M/c and nothing else, by name


def windows(offered: Load, queues: Queues, consumed: Collection[str], published: float) -> Iterator[Exact]:
    """The mean consistency window, where every message goes to one queue of several, or to both of two alike.

    Args:
        offered: the load.
        queues: as far as they are M/M/c.
        consumed: the names of queues with consumers.
        published: messages per second in all.
    """
    reached = [queue for queue, rate in offered.published.items() if rate]
    if not reached or offered.passing or not set(reached) <= set(consumed) & queues.keys():
        return
    found = [queues[queue] for queue in reached]
    if math.isclose(sum(queue.rate for queue in found), published):
        mean = sum(queue.rate * queue.mean_sojourn for queue in found) / published
        model = f"M/M/{found[0].servers}" if len(found) == 1 else "M/M/c, side by side"
        yield Exact("window.mean", mean, model, "Erlang 1917")
    elif len(found) == 2 and found[0] == found[1] and found[0].servers == 1 and math.isclose(found[0].rate, published):
        mean = theory.fork_join_of_two(found[0].rate, found[0].mu)
        yield Exact("window.mean", mean, "fork and join of two M/M/1", "Flatto and Hahn 1984")


def only_breakdown(outages: Collection[OutageSpec]) -> OutageSpec | None:
    """The one outage of a scenario, if it is a breakdown of one group at exponential times; else there is no form."""
    if len(outages) != 1:
        return None
    outage = next(iter(outages))
    at_random = isinstance(outage.mtbf, Exponential) and isinstance(outage.mttr, Exponential)
    return outage if outage.what == "breakdown" and at_random and len(outage.whom) == 1 else None


def broken_down(outage: OutageSpec, name: str, queue: MMc) -> Iterator[Exact]:
    """A queue called ``name``, whose only server breaks down so."""
    if queue.servers != 1 or outage.mtbf is None or outage.mttr is None:
        return
    failures, repairs = SECOND / outage.mtbf.mean, SECOND / outage.mttr.mean
    if outage.clock == "busy":
        service, sojourn = theory.breakdowns_while_working(queue.rate, queue.mu, failures, repairs)
        model, source, values = "M/G/1 with breakdowns while working", "Avi-Itzhak and Naor 1963", {"service.mean": service}
    else:
        sojourn = theory.breakdowns_mean_number(queue.rate, queue.mu, failures, repairs) / queue.rate
        model, source, values = "M/M/1 with breakdowns", "White and Christie 1958", {}
    if math.isfinite(sojourn):
        values |= {"residence.mean": sojourn, "depth.mean": queue.rate * sojourn}
        for metric, value in values.items():
            yield Exact(f"{name}.{metric}", value, model, source)
