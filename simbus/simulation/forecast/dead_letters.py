"""Where dead letters will go, told before anything runs: to queues, into nothing, or round and round.

The dialect says where a dead letter of a queue is published, the broker where that leads. Whether a queue ever has one follows
from its consumers, its time to live and its limit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simbus import dialect as dialects
from simbus.simulation.forecast.cautions import Caution
from simbus.simulation.forecast.load import shares_rejected
from simbus.simulation.model.specs import dotted
from simbus.simulation.model.system import System

Ending = Literal["dropped", "never", "accepted"]


@dataclass(frozen=True)
class Step:
    """One way that a dead letter takes: from a queue, by an address, to queues."""

    queue: str
    address: Mapping[str, Any]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Cycle:
    """Queues whose dead letters come round.

    Args:
        queues: in the order in which they are gone through, from one that publishers reach.
        ending: ``accepted``: as soon as a consumer does not reject it; ``never``: every consumer there rejects all; ``dropped``:
            by the broker when it comes round, because no consumer rejects it there.
        again: the share of messages that go round once more.
    """

    queues: tuple[str, ...]
    ending: Ending
    again: float

    def __str__(self) -> str:
        way = " → ".join((*self.queues, self.queues[0]))
        if self.ending == "accepted":
            return f"{way}: dead letters come round until they are accepted, {1 / (1 - self.again):.3g} times on average"
        return f"{way}: dead letters come round and are dropped" if self.ending == "dropped" else f"{way}: without an end"


def steps(scenario: System) -> list[Step]:
    """All ways that dead letters of published messages can take, whether or not there will be any."""
    kind = dialects.load(scenario.dialect)
    broker = kind.build(scenario.topology)
    found: dict[tuple[str, str, str], Step] = {}
    starts: list[Mapping[str, Any]] = [each.address for publisher in scenario.publishers.values() for each in publisher.kinds]
    waiting = [(queue, address) for address in starts for queue in kind.destinations(broker, address)]
    while waiting:
        queue, address = waiting.pop(0)
        onward = kind.dead_letter_address(broker, queue, address)
        if onward is not None and (known := (queue, onward["exchange"], onward["routing_key"])) not in found:
            found[known] = Step(queue, onward, tuple(kind.destinations(broker, onward)))
            waiting += [(target, onward) for target in found[known].targets]
    return list(found.values())


def cautions(scenario: System) -> Iterator[Caution]:
    """Dead letters that reach no queue, and those that come round and should not."""
    for queue, step in {each.queue: each for each in steps(scenario) if not each.targets}.items():
        address = f"exchange {step.address['exchange']!r} with routing key {step.address['routing_key']!r}"
        problem = f"its dead letters go to {address}, which reach no queue: they are lost"
        yield Caution(dotted("queues", queue), problem, "declare that exchange, and bind a queue to it")
    for cycle in cycles(scenario):
        way = " → ".join((*cycle.queues, cycle.queues[0]))
        place = dotted("queues", cycle.queues[0])
        if cycle.ending == "never":
            problem = f"every message is rejected and goes round for ever: {way}"
            yield Caution(place, problem, "let its way end, by a limit of deliveries or in a queue that no one rejects from")
        elif cycle.ending == "dropped":
            problem = f"dead letters go round, {way}, and no consumer rejects them there, so the broker drops what comes round"
            yield Caution(place, problem, "let a consumer take them on their way, or lead them elsewhere")


def cycles(scenario: System) -> list[Cycle]:
    """Where dead letters come round, as far as there can be any."""
    shares, leaving = shares_rejected(scenario), _leaving(scenario)
    ways: dict[str, dict[str, None]] = {}
    for step in steps(scenario):
        if step.queue in leaving:
            ways.setdefault(step.queue, {}).update(dict.fromkeys(step.targets))
    found: dict[frozenset[str], Cycle] = {}
    for queue in ways:
        if (round_trip := _shortest(ways, queue)) and frozenset(round_trip) not in found:
            found[frozenset(round_trip)] = _cycle(round_trip, shares)
    return list(found.values())


def _cycle(queues: tuple[str, ...], shares: Mapping[str, float]) -> Cycle:
    rejecting = [shares[queue] for queue in queues if shares.get(queue)]
    again = 1.0
    for share in rejecting:
        again *= share
    return Cycle(queues, "dropped" if not rejecting else "never" if again >= 1 else "accepted", again)


def _leaving(scenario: System) -> set[str]:
    """The queues that copies can leave as dead letters: rejected, expired, or too many."""
    kind, shares = dialects.load(scenario.dialect), shares_rejected(scenario)
    broker = kind.build(scenario.topology)
    rules = {queue: kind.discipline(broker, queue) for queue in scenario.topology.queues}
    limited = {queue for queue, each in rules.items() if each.ttl is not None or each.max_length is not None}
    return limited | {queue for queue, share in shares.items() if share}


def _shortest(ways: Mapping[str, Mapping[str, None]], queue: str) -> tuple[str, ...]:
    """The shortest way from a queue back to it; none where there is no such way."""
    waiting: list[tuple[str, ...]] = [(queue,)]
    seen = {queue}
    while waiting:
        way = waiting.pop(0)
        for target in ways.get(way[-1], ()):
            if target == queue:
                return way
            if target not in seen:
                seen.add(target)
                waiting.append((*way, target))
    return ()
