"""The load of a scenario by arithmetic: how much arrives at each queue, and how busy its consumers are.

Nothing is simulated. Where messages go is found by sending one of each kind through a real broker, rejecting it
wherever it is consumed and letting it expire elsewhere; how many go there is a balance of flows.
Losses by limits and TTLs of consumed queues are left out: this is the load that is *offered*.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from simbus import dialect as dialects
from simbus.dialect import Broker, Dialect, Subscription
from simbus.effects import Delivered, Enqueued
from simbus.simulation.forecast.remembered import remembered
from simbus.simulation.model.delay_queues import delay_queues
from simbus.simulation.model.failures import Retry
from simbus.simulation.model.messages import Kind
from simbus.simulation.model.specs import ConsumerSpec
from simbus.simulation.model.system import System
from simbus.simulation.model.workloads import ClosedLoop
from simbus.units import SECOND

_ROUNDS = 1_000  # of the balance of flows; one in which 99 % come round again is then exact to 0.005 %
_MOST_ATTEMPTS = 100_000  # that are added one by one; the rest is negligible, or the load is far beyond 1 anyway
_FOLLOWED = 100  # kinds of messages of one publisher that are sent one by one
_SILENT = 100  # deadlines that pass without a copy moving before a message counts as at rest


@dataclass(frozen=True)
class Load:
    """What is offered.

    Args:
        arrivals: copies per second that arrive at each queue, dead letters included.
        published: those of them that come straight from publishers.
        passing: queues that pass copies on when they expire.
        sources: by queue, the publishers of those.
        unroutable: publishers and those of their kinds of messages that reach no queue.
        utilisation: by group of consumers: arrivals at its queue over what all groups of that queue can finish. A closed
            loop that waits for its messages to be applied counts with the most that it can offer (see :func:`load`).
        steady: the same without such loops: they slow down by themselves, so that only the rest can make a queue grow.
        onward: by queue, those to which its dead letters go.
    """

    arrivals: dict[str, float]
    published: dict[str, float]
    passing: set[str]
    sources: dict[str, list[str]]
    unroutable: list[tuple[str, Kind]]
    utilisation: dict[str, float]
    steady: dict[str, float]
    onward: dict[str, set[str]]


@remembered
def load(scenario: System) -> Load:
    """The offered load of a scenario that validates.

    At a utilisation of 1 or above the queue grows without end. For retries in the handler it is exact, and so is it for
    retries by requeue as long as back-offs leave prefetch free; else it is a lower bound, and so is it where deliveries that are
    done wait for an acknowledgement that is for several.

    A closed loop whose tokens wait until their messages are applied offers at most its window over the time that a token thinks,
    and no more than its slowest consumers can finish (the asymptotic bounds of Denning and Buzen 1978).
    """
    arrivals, published, steady = (defaultdict[str, float](float) for _ in range(3))
    sources = defaultdict[str, dict[str, None]](dict)
    paths = [(name, path) for name in scenario.publishers for path in _paths(scenario, name)]
    rates = {name: _rate(scenario, name, [path for other, path in paths if other == name]) for name in scenario.publishers}
    for name, path in paths:
        rate, closed = path.share * rates[name], _waits(scenario, name)
        for queue in path.first:
            published[queue] += rate
            sources[queue][name] = None
        for queue, arriving in _balance(scenario, path, rate).items():
            arrivals[queue] += arriving
            steady[queue] += 0.0 if closed else arriving
    onward = defaultdict[str, set[str]](set)
    for _, path in paths:
        for queue, targets in path.onward.items():
            onward[queue].update(targets)
    unroutable = [(name, kind) for name, path in paths if not path.first for kind in path.kinds]
    named = {queue: list(names) for queue, names in sources.items()}
    busy = _utilisation(scenario, arrivals), _utilisation(scenario, steady)
    return Load(dict(arrivals), dict(published), set(onward), named, unroutable, *busy, dict(onward))


def utilisation(scenario: System) -> dict[str, float]:
    """The utilisation of each group of consumers, retries and back-off counted; see :func:`load`."""
    return load(scenario).utilisation


def overloaded(scenario: System) -> tuple[str, ...]:
    """The groups of consumers that cannot keep up, retries counted: their queues grow without end."""
    return tuple(name for name, busy in load(scenario).steady.items() if busy >= 1)


@remembered
def at_work(scenario: System) -> dict[str, ConsumerSpec]:
    """The groups of consumers as they are served.

    Of a queue with a single active consumer, one group has one consumer and the others stand by: their ``count`` is 0 here. The
    broker itself is asked who is the active one. Where classes or sizes of messages matter to a group, it knows its ``mix``: of
    what comes straight from publishers.
    """
    kind = dialects.load(scenario.dialect)
    broker = kind.build(scenario.topology)
    limits = {each.queue: kind.discipline(broker, each.queue).deliveries for each in scenario.consumers.values()}
    groups = {
        name: _limited(each, limits[each.queue]).served(mix=_mix(scenario, kind, broker, each))
        for name, each in scenario.consumers.items()
    }
    for queue in dict.fromkeys(each.queue for each in scenario.consumers.values()):
        if kind.discipline(broker, queue).alone:
            names = [name for name, each in groups.items() if each.queue == queue]
            active = _active(kind, broker, queue, [groups[name] for name in names])
            groups |= {name: groups[name].served(alone=name == active, mix=groups[name].mix) for name in names}
    return groups


def _limited(consumer: ConsumerSpec, deliveries: int | None) -> ConsumerSpec:
    """A group whose attempts end, where the queue takes what failed back only so often."""
    retry = consumer.retry
    if retry.how != "requeue" or deliveries is None or (retry.attempts is not None and retry.attempts <= deliveries):
        return consumer
    return consumer.model_copy(update={"retry": replace(retry, attempts=deliveries)})


def _mix(scenario: System, kind: Dialect, broker: Broker, consumer: ConsumerSpec) -> Iterator[tuple[float, str, float]]:
    if not consumer.classes and consumer.bandwidth is None:
        return
    for publisher in scenario.publishers.values():
        for each in publisher.kinds:
            if consumer.queue in kind.destinations(broker, each.address):
                yield each.share * publisher.arrivals.rate, each.name, float(each.address.get("size", 0))


def _active(kind: Dialect, broker: Broker, queue: str, groups: Sequence[ConsumerSpec]) -> str:
    """The group that gets a message when one consumer of each has come, in order."""
    channels = {}
    for each in groups:
        probe = kind.subscription(broker, f"probe {each.name}", queue, each.prefetch, priority=each.priority)
        channels[probe.channel] = each.name
    kind.publisher(broker, "probe").verb({"to": queue})()
    got = [effect.channel for effect in broker.take_effects() if isinstance(effect, Delivered)]
    return channels[got[0]] if got else groups[0].name


@remembered
def served(scenario: System) -> set[str]:
    """The queues whose copies a consumer will see: those with consumers, and delay queues that lead to one."""
    kind = dialects.load(scenario.dialect)
    found = {consumer.queue for consumer in scenario.consumers.values()}
    found |= {queue for consumer in scenario.consumers.values() for queue in delay_queues(kind, consumer)}
    onward = [step for name in scenario.publishers for path in _paths(scenario, name) for step in path.onward.items()]
    while more := {queue for queue, targets in onward if queue not in found and not found.isdisjoint(targets)}:
        found |= more
    return found


def waiting_places(scenario: System) -> dict[str, tuple[str, ...]]:
    """By consumed queue, the delay queues in which its consumers have messages wait until they are tried again."""
    kind, found = dialects.load(scenario.dialect), defaultdict[str, dict[str, None]](dict)
    for consumer in scenario.consumers.values():
        found[consumer.queue].update(dict.fromkeys(delay_queues(kind, consumer)))
    return {queue: tuple(places) for queue, places in found.items() if places}


@dataclass(frozen=True)
class Work:
    """What one message asks of a group of consumers, on average; times in seconds.

    Args:
        attempts: how often it is handled.
        rejected: the probability that it ends rejected.
        server: how long it keeps a server busy, back-off inside the handler included.
        slot: how long it fills a place of the prefetch, its wait for a server left out.
    """

    attempts: float
    rejected: float
    server: float
    slot: float


def work(consumer: ConsumerSpec) -> Work:
    """The mean work of one message, of the mix that the group gets where that is known.

    With probabilities p of a transient and r of a permanent failure per attempt, and n attempts at most, attempt k is
    made with probability p**(k-1). So there are A = (1 - p**n) / (1 - p) of them, the message is rejected with
    probability r*A + p**n, and the back-off b(k) that precedes attempt k+1 is waited with probability p**k.

    Batches are full here, as they are where the load is high. A budget lets its share of the first attempts be retried at most.
    What the broker let go of is never rejected. Memory does not make work less, since how much comes twice is not known.
    """
    mix = consumer.mix or ((1.0, "", 0.0),)
    total = math.fsum(rate for rate, _, _ in mix)
    parts = [(rate / total, _work(consumer, kind, size)) for rate, kind, size in mix]
    return Work(*(sum(share * getattr(part, each.name) for share, part in parts) for each in fields(Work)))


def _work(consumer: ConsumerSpec, kind: str, size: float) -> Work:
    """Of a message of that class and so many bytes."""
    failure, n, retry = consumer.failure_of(kind), _attempts(consumer), consumer.retry
    p = failure.transient
    exhausted = 0.0 if n is None else p**n
    attempts = (1 - exhausted) / (1 - p) if p < 1 else math.inf if n is None else float(n)
    if retry.budget is not None and attempts > 1 + retry.budget.share:
        attempts = 1 + retry.budget.share
        exhausted = 1 - attempts * (1 - p)  # those whom these attempts have not helped
    each, whole = _handling(consumer, kind, size)
    lookups = _lookup(consumer) and (1 if retry.how == "in-handler" else attempts) * _lookup(consumer)
    waiting = 0.0 if retry.by_broker else _backoff(retry, n, p)
    rejected = min(1.0, exhausted + (failure.permanent * attempts if failure.permanent else 0.0))
    server = attempts * each + lookups + waiting * (retry.how == "in-handler")
    return Work(attempts, 0.0 if consumer.acknowledge.auto else rejected, server, attempts * whole + lookups + waiting)


def _attempts(consumer: ConsumerSpec) -> int | None:
    """How many there may be at most; what the broker let go of can only be tried again inside the handler."""
    return 1 if consumer.acknowledge.auto and consumer.retry.how != "in-handler" else consumer.retry.attempts


def _handling(consumer: ConsumerSpec, kind: str, size: float) -> tuple[float, float]:
    """Seconds of a server that an attempt takes, and how long it lasts: the same, unless several are handled at once."""
    batch, service = consumer.batch, consumer.service_of(kind).mean / SECOND
    sent = size / consumer.bandwidth if consumer.bandwidth is not None else 0.0
    if batch is None:
        return service + sent, service + sent
    several = batch.size if consumer.prefetch is None else min(batch.size, consumer.prefetch)
    whole = service + several * (sent + (0.0 if batch.each is None else batch.each.mean / SECOND))
    return whole / several, whole


def _lookup(consumer: ConsumerSpec) -> float:
    return consumer.deduplication.lookup / SECOND if consumer.deduplication is not None else 0.0


def capacity(consumer: ConsumerSpec) -> float:
    """Messages per second that the group can finish: its servers limit it, and so does its prefetch."""
    need = work(consumer)
    slots = math.inf if consumer.prefetch is None else consumer.on_duty * consumer.prefetch
    return min(consumer.on_duty * consumer.servers_each / need.server, slots / need.slot)


def _backoff(retry: Retry, most: int | None, p: float) -> float:
    """The mean back-off of a message in seconds; jitter is even, so its mean is that of the middle draw."""
    total, attempt, reached = 0.0, 1, p
    while (most is None or attempt < most) and reached > 1e-15 and attempt < _MOST_ATTEMPTS:
        total += reached * retry.delay(attempt, 0.5)
        attempt, reached = attempt + 1, reached * p
    return total / SECOND


def _waits(scenario: System, publisher: str) -> bool:
    """Whether a publisher slows down with those who consume what it publishes."""
    arrivals = scenario.publishers[publisher].arrivals
    return isinstance(arrivals, ClosedLoop) and arrivals.until == "applied"


def _rate(scenario: System, publisher: str, paths: Sequence["_Path"]) -> float:
    """Messages per second of a publisher; of a closed loop at most."""
    most = scenario.publishers[publisher].arrivals.rate
    if not _waits(scenario, publisher):
        return most
    visits = defaultdict[str, float](float)
    for path in paths:
        for queue, often in _balance(scenario, path, path.share).items():
            visits[queue] += often
    finished = _finished(scenario)
    return min([most, *(finished[queue] / often for queue, often in visits.items() if queue in finished and often)])


def _finished(scenario: System) -> dict[str, float]:
    """By queue that is consumed, the messages per second that its consumers can finish."""
    finished = defaultdict[str, float](float)
    for consumer in at_work(scenario).values():
        finished[consumer.queue] += capacity(consumer)
    return finished


def _utilisation(scenario: System, arrivals: Mapping[str, float]) -> dict[str, float]:
    finished = _finished(scenario)
    return {name: _ratio(arrivals.get(each.queue, 0.0), finished[each.queue]) for name, each in scenario.consumers.items()}


def _ratio(arriving: float, finished: float) -> float:
    return arriving / finished if finished else math.inf if arriving else 0.0


@dataclass
class _Path:
    """Where some of a publisher's messages go: first, and onward from each queue once they are rejected or expired there."""

    kinds: Sequence[Kind]
    first: tuple[str, ...]
    onward: dict[str, dict[str, None]]  # a dict as an ordered set

    @property
    def share(self) -> float:
        """Of the publisher's messages."""
        return math.fsum(kind.share for kind in self.kinds)


def _paths(scenario: System, publisher: str) -> list[_Path]:
    """A path for each kind of message; of very many (a trace names a key for each customer) one for those that begin alike."""
    kinds = scenario.publishers[publisher].kinds
    if len(kinds) <= _FOLLOWED:
        return [_path(scenario, publisher, [kind]) for kind in kinds]
    dialect, alike = dialects.load(scenario.dialect), defaultdict[tuple[str, ...], list[Kind]](list)
    broker = dialect.build(scenario.topology)
    for kind in kinds:
        alike[tuple(dialect.destinations(broker, kind.address))].append(kind)
    return [_path(scenario, publisher, group) for group in alike.values()]


def _path(scenario: System, publisher: str, kinds: Sequence[Kind]) -> _Path:
    """Send one message through a broker; only what it says it did is used."""
    dialect, address = dialects.load(scenario.dialect), kinds[0].address
    broker = dialect.build(scenario.topology)
    queues = dict.fromkeys(each.queue for each in scenario.consumers.values())
    consumers = {each.channel: each for each in (dialect.subscription(broker, f"probe {queue}", queue, None) for queue in queues)}
    path = _Path(kinds, tuple(dialect.destinations(broker, address)), {})
    broker.take_effects()
    dialect.publisher(broker, publisher).verb(address)()
    _follow(broker, consumers, path)
    return path


def _follow(broker: Broker, consumers: Mapping[int, Subscription], path: _Path) -> None:
    """Reject every copy once in each queue, let time pass, and note which queue each new copy came from."""
    home: dict[int, str] = {}
    rejected: set[str] = set()
    silent = 0
    while silent < _SILENT:
        effects = broker.take_effects()
        for effect in effects:
            if isinstance(effect, Enqueued):
                home[effect.copy_id] = effect.queue
                if effect.parent_id in home:
                    path.onward.setdefault(home[effect.parent_id], {})[effect.queue] = None
            elif isinstance(effect, Delivered):
                verb = consumers[effect.channel].accept if effect.queue in rejected else consumers[effect.channel].reject
                rejected.add(effect.queue)
                verb(effect.delivery_tag)
        silent = 0 if effects else silent + 1
        if not effects and broker.next_deadline is None:
            return
        if not effects and broker.next_deadline is not None:
            broker.advance(broker.next_deadline)


def _balance(scenario: System, path: _Path, rate: float) -> dict[str, float]:
    """Arrivals per second at each queue: from the publisher, and from other queues by the share that leaves them onward."""
    shares = shares_rejected(scenario)
    leaving = {queue: shares.get(queue, 1.0) for queue in path.onward}
    steps = [(queue, target, share) for queue, share in leaving.items() if share for target in path.onward[queue]]
    rates = base = dict.fromkeys(path.first, rate)
    for _ in range(_ROUNDS):
        following = defaultdict[str, float](float, base)
        for queue, target, share in steps:
            following[target] += rates.get(queue, 0.0) * share
        if all(following[queue] == rates.get(queue) for queue in following):
            return dict(following)
        rates = dict(following)
    return rates


@remembered
def shares_rejected(scenario: System) -> dict[str, float]:
    """By consumed queue, the share of its messages that end rejected; groups share a queue by their capacity."""
    rejected, capacities = defaultdict[str, float](float), defaultdict[str, float](float)
    for consumer in at_work(scenario).values():
        weight = capacity(consumer)
        rejected[consumer.queue] += weight * work(consumer).rejected
        capacities[consumer.queue] += weight
    return {queue: rejected[queue] / capacities[queue] if capacities[queue] else 0.0 for queue in rejected}
