"""The chart of a scenario: who publishes where, what leads to which queue, who consumes it, and where its dead letters go.

Rates are those of ``load``: offered, by arithmetic, limits and times to live of consumed queues left out. The chart itself is
plain data of the analysis (``chart``), so that a result can have it too.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from simbus import dialect as dialects
from simbus.analysis.chart import Chart, Place, Way
from simbus.dialect import Topology
from simbus.simulation.forecast.dead_letters import steps
from simbus.simulation.forecast.load import Load, at_work, capacity, load, shares_rejected, work
from simbus.simulation.model.delay_queues import delay_queues
from simbus.simulation.model.system import System


def chart(scenario: System) -> Chart:
    """Of a scenario that validates. The exchange without a name is none: it leads to the queue that is meant."""
    topology, offered = scenario.topology, load(scenario)
    letters, bound = list(_handed_on(scenario, offered)), list(_bound(topology))
    known = {(way.source, way.target) for way in bound}
    routed = [way for way in _routed(scenario, letters) if (way.source, way.target) in known]
    ways = _merged([*_published(scenario), *bound, *routed, *letters, *_tried_again(scenario), *_consumed(scenario, offered)])
    exchanges = dict.fromkeys((*topology.exchanges, *_named(ways, "exchanges")))
    return Chart(
        (
            *(Place("publishers", name) for name in scenario.publishers),
            *(Place("exchanges", name, topology.exchanges.get(name, {}).get("type", "direct")) for name in exchanges),
            *(Place("queues", name) for name in topology.queues),
            *(Place("consumers", name, _how_many(each.on_duty)) for name, each in scenario.consumers.items()),
        ),
        ways,
    )


def _named(ways: Iterable[Way], sort: str) -> Iterator[str]:
    for way in ways:
        for key in (way.source, way.target):
            if key.startswith(f"{sort}."):
                yield key.removeprefix(f"{sort}.")


def _how_many(consumers: float) -> str:
    return f"× {consumers:.3g}"


def _merged(ways: Iterable[Way]) -> tuple[Way, ...]:
    """One way of a kind from one place to another: rates add up, and routing keys stand side by side."""
    alike = defaultdict[tuple[str, str, Any], list[Way]](list)
    for way in ways:
        alike[way.source, way.target, way.kind].append(way)
    found = []
    for (source, target, kind), group in alike.items():
        texts = dict.fromkeys(way.text for way in group if way.text)
        rates = [way.rate for way in group if way.rate is not None]
        found.append(Way(source, target, kind, ", ".join(texts), math.fsum(rates) if len(rates) == len(group) else None))
    return tuple(found)


def _published(scenario: System) -> Iterator[Way]:
    """From publishers, to an exchange or past it straight to a queue."""
    kind = dialects.load(scenario.dialect)
    broker = kind.build(scenario.topology)
    for name, publisher in scenario.publishers.items():
        for each in publisher.kinds:
            rate = each.share * publisher.arrivals.rate
            for target in _targets(each.address, kind.destinations(broker, each.address)):
                yield Way(f"publishers.{name}", target, "routed", rate=_finite(rate))


def _targets(address: Mapping[str, Any], destinations: Iterable[str]) -> list[str]:
    """Where an address leads to: its exchange, or where that has no name, the queues that it means."""
    exchange = "" if address.get("to") is not None else address.get("exchange", "")
    return [f"exchanges.{exchange}"] if exchange else [f"queues.{queue}" for queue in destinations]


def _bound(topology: Topology) -> Iterator[Way]:
    """Bindings, so far without messages; where exchanges lead to exchanges, nobody says which way messages come to a queue."""
    plain = not any("to_exchange" in each for each in topology.bindings)
    for each in topology.bindings:
        target = f"exchanges.{each['to_exchange']}" if "to_exchange" in each else f"queues.{each['queue']}"
        text = str(each.get("routing_key", ""))
        yield Way(f"exchanges.{each['exchange']}", target, "routed", text, 0.0 if plain else None)


def _routed(scenario: System, letters: Iterable[Way]) -> Iterator[Way]:
    """From exchanges to queues: what is published there, and dead letters."""
    kind = dialects.load(scenario.dialect)
    broker = kind.build(scenario.topology)
    for publisher in scenario.publishers.values():
        for each in publisher.kinds:
            for queue in kind.destinations(broker, each.address):
                rate = each.share * publisher.arrivals.rate
                yield Way(f"exchanges.{each.address.get('exchange')}", f"queues.{queue}", "routed", rate=_finite(rate))
    rates = {way.source: way.rate for way in letters}
    reached = defaultdict[tuple[str, str], set[tuple[str, ...]]](set)
    for step in steps(scenario):
        reached[step.queue, step.address["exchange"]].add(step.targets)
    for (origin, exchange), ends in reached.items():
        for queue in dict.fromkeys(name for names in sorted(ends) for name in names):
            told = rates[f"queues.{origin}"] if len(ends) == 1 else None  # else it depends on their routing keys
            yield Way(f"exchanges.{exchange}", f"queues.{queue}", "routed", rate=told)


def _finite(rate: float) -> float | None:
    return rate if math.isfinite(rate) else None


def _handed_on(scenario: System, offered: Load) -> Iterator[Way]:
    """Dead letters: of a queue that is consumed, those that are rejected; of others, all that arrives and expires."""
    rejected = shares_rejected(scenario)
    found = defaultdict[str, dict[str, None]](dict)
    for step in steps(scenario):
        found[step.queue].update(dict.fromkeys(_targets(step.address, step.targets)))
    for queue, targets in found.items():
        for target in targets:
            rate = offered.arrivals.get(queue, 0.0) * rejected.get(queue, 1.0)
            yield Way(f"queues.{queue}", target, "dead", rate=rate if len(targets) == 1 else None)


def _tried_again(scenario: System) -> Iterator[Way]:
    """Retries by way of the broker: from consumers to where messages wait, and back to their queue."""
    kind = dialects.load(scenario.dialect)
    for name, consumer in scenario.consumers.items():
        for queue in delay_queues(kind, consumer):
            yield Way(f"consumers.{name}", f"queues.{queue}", "retry")
            yield Way(f"queues.{queue}", f"queues.{consumer.queue}", "dead")
        if consumer.retry.how == "delayed-exchange":
            yield Way(f"consumers.{name}", f"exchanges.{kind.delaying_exchange(consumer.queue)[0]}", "retry")


def _consumed(scenario: System, offered: Load) -> Iterator[Way]:
    """From queues to their consumers: attempts, of which groups take their part by what they can do."""
    groups = at_work(scenario)
    capacities = defaultdict[str, float](float)
    for each in groups.values():
        capacities[each.queue] += capacity(each)
    for name, each in groups.items():
        part = capacity(each) / capacities[each.queue] if capacities[each.queue] else 0.0
        rate = part * offered.arrivals.get(each.queue, 0.0) * work(each).attempts
        yield Way(f"queues.{each.queue}", f"consumers.{name}", "consumed", rate=_finite(rate))
