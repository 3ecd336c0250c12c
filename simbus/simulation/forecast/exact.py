"""Theory beside observation: which closed forms apply to the queues of a scenario as it is configured.

Where none applies nothing is said: a form that holds approximately is not among them. The forms are in ``simbus.theory``;
they describe the steady state, so a run has to be long, and its warm-up cut off, to come near.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from simbus import dialect as dialects
from simbus.analysis.exact import Exact
from simbus.dialect import Discipline
from simbus.simulation.forecast.exact_systems import broken_down, only_breakdown, windows
from simbus.simulation.forecast.load import Load, at_work, load
from simbus.simulation.forecast.stations import Station
from simbus.simulation.model.distributions import Exponential
from simbus.simulation.model.specs import ConsumerSpec, PublisherSpec
from simbus.simulation.model.system import System
from simbus.simulation.model.workloads import ClosedLoop, Poisson
from simbus.units import SECOND


def exact_values(scenario: System) -> tuple[Exact, ...]:
    """All that is known exactly of a scenario that validates: queue by queue, and of its queues together."""
    if scenario.run.duration is None:
        return ()  # a run that ends with its arrivals has no steady state
    offered = load(scenario)
    stations = _stations(scenario, offered, _rules(scenario))
    return tuple(_with_breakdowns(scenario, stations) if scenario.outages else _undisturbed(scenario, offered, stations))


def inexact(scenario: System, known: Iterable[Exact]) -> dict[str, str]:
    """By consumed queue of which nothing is known exactly, why; ``known`` are its :func:`exact_values`."""
    metrics = [each.metric for each in known]
    consumed = dict.fromkeys(each.queue for each in scenario.consumers.values())
    left = [queue for queue in consumed if not any(each.startswith((f"{queue}.", f"{queue}[")) for each in metrics)]
    if not left:
        return {}
    offered, rules = load(scenario), _rules(scenario)
    fed = {each.queue for each in _stations(scenario, offered, rules)}
    return {queue: _why(scenario, queue, offered, rules[queue], fed=queue in fed) for queue in left}


def _why(scenario: System, queue: str, offered: Load, rule: Discipline, *, fed: bool) -> str:
    """The plainest reason that there is no closed form for a queue; ``fed`` by arrivals that a form may know."""
    groups = [each for each in scenario.consumers.values() if each.queue == queue]
    busy = max(offered.steady[each.name] for each in groups)
    reasons = {
        "a run that ends with its arrivals has no steady state": scenario.run.duration is None,
        "nothing reaches it": not offered.arrivals.get(queue),
        f"at a utilisation of {busy:.2f} it has no steady state": busy >= 1,
        "no form knows of the network of those who publish to it or consume it": _far(scenario, offered, queue),
        "of outages only the breakdown of one group at exponential times has a form": bool(scenario.outages),
        "several groups consume it": len(groups) > 1,
        "its consumers do more than take one message after the other": not all(each.plain for each in groups),
        "its handler is code": any(math.isnan(each.service.mean) for each in groups),
        "its type or its limits have no form": not rule.in_order,
        "what arrives is no process that a form knows": not fed,
    }
    otherwise = "no form is known of these arrivals, service times and prefetch together"
    return next((reason for reason, holds in reasons.items() if holds), otherwise)


def _rules(scenario: System) -> dict[str, Discipline]:
    kind = dialects.load(scenario.dialect)
    broker = kind.build(scenario.topology)
    return {queue: kind.discipline(broker, queue) for queue in scenario.topology.queues}


def _far(scenario: System, offered: Load, queue: str) -> bool:
    """Whether a network lies between a queue and those who publish to it or consume it."""
    parties = {each.name for each in scenario.consumers.values() if each.queue == queue}
    return not scenario.networks.keys().isdisjoint(parties.union(offered.sources.get(queue, ())))


def _undisturbed(scenario: System, offered: Load, stations: Sequence[Station]) -> Iterator[Exact]:
    for station in stations:
        yield from station.values()
    queues = {station.queue: station.simple for station in stations if station.simple is not None}
    published = sum(each.arrivals.rate for each in scenario.publishers.values())
    yield from windows(offered, queues, {each.queue for each in scenario.consumers.values()}, published)


def _with_breakdowns(scenario: System, stations: Sequence[Station]) -> Iterator[Exact]:
    """Of other outages, and of a breakdown of one group among several, nothing is known."""
    outage = only_breakdown(scenario.outages.values())
    if outage is None:
        return
    for station in stations:
        if station.consumer.name not in outage.whom:
            yield from station.values()
        elif station.simple is not None:
            yield from broken_down(outage, station.queue, station.simple)


def _stations(scenario: System, offered: Load, rules: Mapping[str, Discipline]) -> list[Station]:
    """Those to which publishers alone send, then those to which these hand on dead letters, and so on."""
    found: dict[str, Station] = {}
    more = dict.fromkeys(rules)
    while more:
        made = {queue: _station(scenario, offered, queue, rules[queue], found) for queue in rules if queue not in found}
        more = {queue: station for queue, station in made.items() if station is not None}
        found |= {queue: station for queue, station in made.items() if station is not None}
    return [found[queue] for queue in rules if queue in found]


def _station(scenario: System, offered: Load, queue: str, rules: Discipline, known: Mapping[str, Station]) -> Station | None:
    group, rate = _group(scenario, queue, rules), offered.published.get(queue, 0.0)
    if (
        group is None
        or _far(scenario, offered, queue)
        or not rules.in_order
        or not offered.arrivals.get(queue)
        or math.isnan(rate)
    ):
        return None
    publishers = [scenario.publishers[name] for name in offered.sources.get(queue, ())]
    patience, feeders = _patience(publishers), _feeders(offered, queue, known)
    if not all(_undivided(each) for each in publishers) or _elsewhere(publishers, offered) or math.isnan(patience):
        return None
    if not _independent(publishers, feeders) or not math.isclose(rate + _letters(feeders), offered.arrivals[queue]):
        return None
    return Station(
        queue,
        (*(each.arrivals for each in publishers), *(Poisson(each.letters) for each in feeders)),
        rate + _letters(feeders),
        group,
        replace(rules, alone=False),
        _classes(publishers, rate + _letters(feeders)),
        patience if math.isfinite(patience) else None,
        frozenset(each.name for each in publishers).union(*(each.origins for each in feeders)),
    )


def _group(scenario: System, queue: str, rules: Discipline) -> ConsumerSpec | None:
    """The only group that consumes the queue, if it does so plainly; of the code of users nothing is known."""
    groups = [each for each in scenario.consumers.values() if each.queue == queue]
    if not all(each.plain for each in groups):
        return None
    if rules.alone:
        groups = [each for each in at_work(scenario).values() if each.queue == queue and each.count]
    return groups[0] if len(groups) == 1 and not math.isnan(groups[0].service.mean) else None


def _feeders(offered: Load, queue: str, known: Mapping[str, Station]) -> list[Station]:
    """Stations whose dead letters go to the queue."""
    return [known[name] for name, targets in offered.onward.items() if queue in targets and name in known and known[name].letters]


def _letters(feeders: Sequence[Station]) -> float:
    return math.fsum(each.letters for each in feeders)


def _independent(publishers: Sequence[PublisherSpec], feeders: Sequence[Station]) -> bool:
    """Whether nothing links what comes together: no dead letters, or all without memory, and no publisher on two ways."""
    origins = [each.name for each in publishers] + [name for each in feeders for name in each.origins]
    alike = all(isinstance(each.arrivals, Poisson) for each in publishers) and all(each.reversible for each in feeders)
    return not feeders or (alike and len(set(origins)) == len(origins))


def _undivided(publisher: PublisherSpec) -> bool:
    """Whether its messages arrive as its workload says wherever some of them go.

    What is left of other than Poisson arrivals when only some classes or keys go to a queue is another process.
    """
    return len(publisher.kinds) == 1 or isinstance(publisher.arrivals, Poisson)


def _elsewhere(publishers: Sequence[PublisherSpec], offered: Load) -> bool:
    """Whether a closed loop waits for other queues, too."""
    loops = {each.name for each in publishers if isinstance(each.arrivals, ClosedLoop)}
    return any(sum(name in names for names in offered.sources.values()) > 1 for name in loops)


def _patience(publishers: Sequence[PublisherSpec]) -> float:
    """The mean time to live in seconds, if all messages draw theirs from one exponential law: inf without one, nan otherwise."""
    kinds = [kind for each in publishers for kind in each.kinds]
    if not any("expiration" in kind.address for kind in kinds):
        return math.inf
    laws = {kind.expirations for kind in kinds}
    law = laws.pop()
    return law.mean / SECOND if isinstance(law, Exponential) and not laws else math.nan


def _classes(publishers: Sequence[PublisherSpec], rate: float) -> dict[str, tuple[int, float]]:
    """By name, priority and rate; nothing where a class has several priorities, or some of it goes elsewhere."""
    found: dict[str, tuple[int, float]] = {}
    for each in publishers:
        for kind in each.kinds:
            priority = kind.address.get("priority") or 0
            before, part = found.get(kind.name, (priority, 0.0))
            if before != priority:
                return {}
            found[kind.name] = priority, part + each.arrivals.rate * kind.share
    return found if math.isclose(sum(part for _, part in found.values()), rate) else {}
