"""What will not work, said before anything is simulated.

A scenario that cannot run is an error, and ``Scenario.validate`` raises it. Here are the sentences about one that can run and
will disappoint: what reaches no one, what grows without end, what no run of this length can answer. Those about dead letters
and prefetch are in files of their own; the numbers are from ``load``.
"""

import math
from collections.abc import Iterator, Sequence

from simbus import dialect as dialects
from simbus.analysis.expectations import Expectation
from simbus.analysis.findings import Offered
from simbus.analysis.metrics import quantile
from simbus.simulation.forecast import availability, dead_letters, prefetch
from simbus.simulation.forecast.cautions import Caution
from simbus.simulation.forecast.load import Load, at_work, capacity, load, utilisation
from simbus.simulation.forecast.questions import expected, wanted
from simbus.simulation.model.specs import ConsumerSpec, dotted
from simbus.simulation.model.system import System
from simbus.units import SECOND, format_duration

__all__ = ["cautions", "offered_loads", "utilisation", "warnings"]

_ENOUGH_BEYOND = 10  # observations beyond a quantile, below which it is hardly an estimate
_ENOUGH_SERVICES = 100  # times E[S] / (1 - utilisation)**2: what a queue needs to forget how it began
_NEEDS_A_CONSUMER = {"wait", "first_wait", "service", "residence", "attempts", "utilisation", "throughput", "duplicates"}


def warnings(scenario: System) -> list[str]:
    """What will not work as it is meant, a line each that names the place and the remedy.

    Raises:
        ScenarioError: when the scenario cannot run at all.
    """
    scenario.validate()
    return [str(each) for each in cautions(scenario, load(scenario))]


def cautions(scenario: System, offered: Load) -> list[Caution]:
    """The same of a scenario that validates and is offered that load, with place, problem and remedy apart."""
    asked = expected(scenario)
    wanted(scenario, asked)
    return [
        *_unroutable(scenario, offered),
        *_idle(scenario, offered),
        *_overloaded(scenario, offered),
        *_without_consumer(scenario, offered),
        *dead_letters.cautions(scenario),
        *prefetch.cautions(scenario, offered),
        *_unheard(scenario),
        *_taken_back(scenario),
        *availability.cautions(scenario, offered),
        *_never(scenario),
        *_unanswerable(scenario, asked),
        *_too_short(scenario, asked, offered),
    ]


def offered_loads(scenario: System) -> tuple[Offered, ...]:
    """The load of each consumed queue, and how long a run has to be for it."""
    offered, kind = load(scenario), dialects.load(scenario.dialect)
    broker = kind.build(scenario.topology)
    rules = {queue: kind.discipline(broker, queue) for queue in _by_queue(scenario)}
    bounded = {queue: each.max_length is not None or each.ttl is not None for queue, each in rules.items()}
    loads = ((queue, groups, offered.steady[next(iter(groups))]) for queue, groups in _by_queue(scenario).items())
    return tuple(Offered(queue, busy, _to_settle(groups, busy), bounded[queue]) for queue, groups, busy in loads)


def _unroutable(scenario: System, offered: Load) -> Iterator[Caution]:
    for name, kind in offered.unroutable:
        lost = "every message" if kind.share == 1 else "every such message"
        problem = f"{kind.key!r} reaches no queue from exchange {scenario.publishers[name].exchange!r}, so {lost} is lost"
        yield Caution(f"{dotted('publishers', name)}.routing_key", problem, "bind a queue to it")


def _idle(scenario: System, offered: Load) -> Iterator[Caution]:
    for name, consumer in scenario.consumers.items():
        if not offered.arrivals.get(consumer.queue):
            at = f"{dotted('consumers', name)}.queue"
            yield Caution(at, f"nothing reaches {consumer.queue!r}", "bind it, or publish to it")


def _overloaded(scenario: System, offered: Load) -> Iterator[Caution]:
    finite = scenario.run.duration is None and all(each.arrivals.finite for each in scenario.publishers.values())
    end = "until the arrivals end" if finite else "until a limit or a TTL stops it"
    for queue, groups in _by_queue(scenario).items():
        busy, arriving = offered.steady[next(iter(groups))], offered.arrivals.get(queue, 0.0)
        if busy >= 1 and arriving < math.inf:  # a whole trace at one instant has no rate
            finished = sum(capacity(group) for name, group in at_work(scenario).items() if name in groups)
            problem = (
                f"utilisation {busy:.2f}, retries counted: {arriving:.3g} messages arrive a second "
                f"and {', '.join(groups)} can finish {finished:.3g}, so it grows {end}"
            )
            yield Caution(dotted("queues", queue), problem, "add consumers, or make them faster")


def _without_consumer(scenario: System, offered: Load) -> Iterator[Caution]:
    """Only queues that publishers reach: a dead-letter queue without a consumer is what one expects."""
    served = _by_queue(scenario)
    for queue, rate in offered.published.items():
        if queue not in served and queue not in offered.passing:
            problem = f"{rate:.3g} messages arrive a second and no one consumes them, so they count as lost (unconsumed)"
            yield Caution(dotted("queues", queue), problem, "add a consumer if that is not meant")


def _unheard(scenario: System) -> Iterator[Caution]:
    """Priorities of messages that no queue they reach looks at."""
    kind = dialects.load(scenario.dialect)
    broker = kind.build(scenario.topology)
    for name, publisher in scenario.publishers.items():
        kinds = [each for each in publisher.kinds if each.address.get("priority")]
        reached = dict.fromkeys(queue for each in kinds for queue in kind.destinations(broker, each.address))
        if reached and not any(kind.discipline(broker, queue).priorities for queue in reached):
            queues = " and ".join(map(repr, reached))
            yield Caution(
                f"{dotted('publishers', name)}.priority",
                f"means nothing in {queues}, where messages wait in order of arrival",
                "declare the queue with max_priority = 10, or leave priority out",
            )


def _taken_back(scenario: System) -> Iterator[Caution]:
    """Deliveries that are held for longer than their queue has patience, by a handler or in the buffer before it."""
    kind = dialects.load(scenario.dialect)
    broker = kind.build(scenario.topology)
    for name, consumer in at_work(scenario).items():
        patience = kind.discipline(broker, consumer.queue).patience
        full = max(1.0, (consumer.prefetch or 1) / consumer.concurrency)
        held = consumer.service.mean * full
        if patience is not None and held > patience and not consumer.acknowledge.auto:
            what, smaller = ("a full prefetch", "take a smaller prefetch, ") if full > 1 else ("a delivery", "")
            takes, waits = format_duration(held), format_duration(patience)
            problem = f"{what} is held for {takes} on average, and after {waits} its queue takes it back, to be handled again"
            yield Caution(dotted("consumers", name), problem, f"{smaller}make handlers faster, or let the queue wait for longer")


def _never(scenario: System) -> Iterator[Caution]:
    """Outages that begin when the run is over."""
    end = None if scenario.run.duration is None else scenario.run.cut + scenario.run.duration
    for name, outage in scenario.outages.items():
        if end is not None and outage.at is not None and outage.at >= end:
            problem = f"{format_duration(outage.at)} is no earlier than the end of the run, so it never comes"
            yield Caution(f"{dotted('outages', name)}.at", problem, f"write less than {format_duration(end)}, warm-up included")


def _unanswerable(scenario: System, asked: Sequence[Expectation]) -> Iterator[Caution]:
    unserved = scenario.topology.queues.keys() - _by_queue(scenario).keys()
    for each in asked:
        if each.target.entity in unserved and each.target.name.partition(".")[0] in _NEEDS_A_CONSUMER:
            problem = f"{each.text!r} can never be decided, because {each.target.entity!r} has no consumer"
            yield Caution("expect", problem, "add one")


def _too_short(scenario: System, asked: Sequence[Expectation], offered: Load) -> Iterator[Caution]:
    """A replayed trace is as long as it is, so this is about runs with a duration only."""
    if scenario.run.duration is None:
        return
    for each in asked:
        needed = _for_quantile(each, offered)
        if needed > scenario.run.duration:
            few = f"fewer than {_ENOUGH_BEYOND} observations beyond the quantile in a replication"
            yield Caution("run.duration", f"too short for {each.text!r}, {few}", _longer(needed))
    for queue, groups in _by_queue(scenario).items():
        busy = offered.steady[next(iter(groups))]
        needed = _to_settle(groups, busy)
        if needed > scenario.run.duration:
            yield Caution("run.duration", f"too short for {queue!r} to settle at utilisation {busy:.2f}", _longer(needed))


def _for_quantile(each: Expectation, offered: Load) -> float:
    """Nanoseconds until enough observations beyond the quantile can be expected."""
    probability, rate = quantile(each.target.name), offered.arrivals.get(each.target.entity, 0.0)
    if probability in (None, 1.0) or not rate:
        return 0.0
    return _ENOUGH_BEYOND / (rate * (1 - probability)) * SECOND


def _to_settle(groups: dict[str, ConsumerSpec], busy: float) -> float:
    """Nanoseconds that a queue takes to forget how it began (relaxation time of M/M/1, generously)."""
    longest = max(group.service.mean for group in groups.values())
    return _ENOUGH_SERVICES * longest / (1 - busy) ** 2 if 0 < busy < 1 else 0.0


def _longer(needed: float) -> str:
    return f"make it {format_duration(needed)} or longer"


def _by_queue(scenario: System) -> dict[str, dict[str, ConsumerSpec]]:
    queues: dict[str, dict[str, ConsumerSpec]] = {}
    for name, consumer in scenario.consumers.items():
        queues.setdefault(consumer.queue, {})[name] = consumer
    return queues
