"""The prefetch rule, told before anything runs.

A consumer needs as many deliveries at hand as it handles, and as many again as it handles while an acknowledgement and the next
delivery are on their way: concurrency * (1 + round trip / service). With fewer, servers wait; with many more, each consumer has
a private queue, in which messages wait while another consumer is idle: instead of one queue for all (M/M/c) each has its own, to
which the broker deals in turn (E_c/M/1).
"""

import math
from collections import Counter
from collections.abc import Iterator

from simbus.simulation.forecast.cautions import Caution
from simbus.simulation.forecast.load import Load, at_work, work
from simbus.simulation.model.specs import ConsumerSpec, dotted
from simbus.simulation.model.system import System
from simbus.theory import MMc, round_robin
from simbus.units import MILLISECOND, SECOND, format_duration

ROUND_TRIP = MILLISECOND  # between broker and consumer in one network, where nothing else is known
_SEVERAL = 10  # places beside that of a delivery in its back-off
_COSTLY = 0.5  # of a service time, more of mean wait: what is worth a word


def needed(consumer: ConsumerSpec, round_trip: float = ROUND_TRIP) -> int:
    """The smallest prefetch of one consumer at which its servers do not wait for the network."""
    return consumer.concurrency * (1 + math.ceil(round_trip / consumer.service.mean))


def cautions(scenario: System, offered: Load) -> Iterator[Caution]:
    """Prefetches that leave servers idle, or messages waiting beside an idle one."""
    working = at_work(scenario)
    groups = Counter(consumer.queue for consumer in scenario.consumers.values())
    for name, consumer in working.items():
        if math.isnan(consumer.service.mean):  # a handler that is code
            continue
        at, trip = f"{dotted('consumers', name)}.prefetch", _round_trip(scenario, name)
        enough = needed(consumer, trip or ROUND_TRIP)
        if problem := _too_few(consumer, trip, enough):
            yield Caution(at, problem, f"make it {enough}")
        elif (together := _together(consumer)) and consumer.prefetch is not None and consumer.prefetch < together[1]:
            problem = (
                f"{consumer.prefetch} is below {together[0]} = {together[1]}, so what is handled or acknowledged together never "
            )
            yield Caution(at, f"{problem}is complete, and every delivery waits out the time", f"make it {together[1]} or more")
        elif stands := _stands_still(consumer):
            yield Caution(at, stands, f'make it {_SEVERAL * consumer.concurrency}, or write retry.how = "delay-queue"')
        elif groups[consumer.queue] == 1 and offered.steady[name] == offered.utilisation[name]:  # no closed loop
            yield from _unbalanced(at, consumer, offered.arrivals.get(consumer.queue, 0.0), enough, trip or ROUND_TRIP)


def _too_few(consumer: ConsumerSpec, trip: float, enough: int) -> str:
    """What is wrong with a prefetch that leaves servers without work; nothing of one that does not."""
    prefetch, handlers, service = consumer.prefetch, consumer.concurrency, consumer.service.mean
    if prefetch is None or (prefetch >= handlers and (prefetch >= enough or not trip)):
        return ""
    if prefetch < handlers:
        return f"{prefetch} leaves {handlers - prefetch} of the {handlers} handlers of each consumer without work for ever"
    busy = prefetch / handlers * service / (service + trip)
    return f"{prefetch} is too few for a round trip of {format_duration(trip)}: handlers are busy for {busy:.0%} at most"


def _stands_still(consumer: ConsumerSpec) -> str:
    """What is wrong where a delivery that waits for its next attempt holds the place of one that could be handled meanwhile."""
    retry, few = consumer.retry, consumer.prefetch is not None and consumer.prefetch <= consumer.concurrency
    fails = any(failure.transient for failure in (consumer.failure, *map(consumer.failure_of, consumer.classes)))
    if not few or not fails or retry.how != "requeue" or retry.backoff.kind == "none" or retry.attempts == 1:
        return ""
    waits = format_duration(retry.delay(1, 0.5))
    return f"a delivery keeps its place in a back-off of {waits} or more, so with {consumer.prefetch} a server stands still then"


def _together(consumer: ConsumerSpec) -> tuple[str, int] | None:
    """How many deliveries one handles, or acknowledges, together, where it waits for them; and the word for it."""
    if consumer.batch is not None and consumer.batch.within:
        return "batch.size", consumer.batch.size
    return ("acknowledge.multiple", consumer.acknowledge.multiple) if consumer.acknowledge.multiple > 1 else None


def _round_trip(scenario: System, name: str) -> float:
    """Nanoseconds to the broker and back on average, as far as the scenario says."""
    latency = scenario.networks[name].latency if name in scenario.networks else None
    return 0.0 if latency is None else 2 * latency.mean


def _unbalanced(at: str, consumer: ConsumerSpec, rate: float, enough: int, trip: float) -> Iterator[Caution]:
    """What a private queue for each consumer costs, at most; for consumers of one server, of which there is a closed form."""
    mu = 1 / work(consumer).server if work(consumer).server else math.inf
    few = consumer.prefetch is not None and consumer.prefetch <= enough
    known = consumer.plain and consumer.concurrency == 1 < consumer.count
    if few or not known or not 0 < rate < consumer.count * mu < math.inf:
        return
    shared, private = MMc(rate, mu, consumer.count).mean_wait, round_robin(rate, mu, consumer.count).mean_wait
    if private - shared > _COSTLY / mu:
        said, most = ("unlimited", "about") if consumer.prefetch is None else (str(consumer.prefetch), "up to")
        waits = f"{format_duration(private * SECOND)} on average instead of {format_duration(shared * SECOND)}"
        problem = f"{said} lets messages wait in one consumer while another is idle: {most} {waits}, were times exponential"
        yield Caution(at, problem, f"make it {enough}, which is enough for a round trip of {format_duration(trip)}")
