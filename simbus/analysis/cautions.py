"""What a careful reader should know before trusting the numbers of a result, a sentence each.

Said after a run, from what was run and seen; what can be said beforehand is in the simulation's ``check``.
"""

import math
from collections.abc import Iterator

from simbus.analysis.expectations import Target
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import quantile, sample
from simbus.units import format_duration

_ENOUGH_BEYOND = 10
_ENOUGH_REPLICATIONS = 10
_SATURATED = 0.98  # of the servers' time, observed
_BUSY = 0.9  # by arithmetic: below, saturation is the work of a closed loop, an outage or a batch


def cautions(found: Findings) -> list[str]:
    """The sentences, the gravest not first: in the order of what they are about."""
    return [*_tails(found), *_loads(found), *_beginnings(found), *_repetitions(found), *_losses(found)]


def _tails(found: Findings) -> Iterator[str]:
    """Quantiles that rest on a handful: the p99 of waits, which every table shows, and what is asked for by name."""
    few = [queue for queue in found.queues if 0 < _beyond(found, queue, "wait.p99") < _ENOUGH_BEYOND]
    if few:
        yield f"{', '.join(few)}: p99 rests on fewer than {_ENOUGH_BEYOND} waits in a replication."
    for target in found.asked:
        beyond = _beyond(found, target.entity, target.name)
        if 0 < beyond < _ENOUGH_BEYOND and not (target.entity in few and target.name == "wait.p99"):
            yield f"{target.path}: rests on {beyond:.2g} observations beyond it in a replication, not {_ENOUGH_BEYOND} or more."


def _beyond(found: Findings, entity: str, name: str) -> float:
    """How many observations of a replication lie beyond a quantile, on average; nan for what is none."""
    probability = quantile(name)
    if probability is None or probability == 1:
        return math.nan
    return found.mean(f"{entity}.{sample(name)}") * (1 - probability)


def _loads(found: Findings) -> Iterator[str]:
    """Queues without a steady state, or that look like it."""
    for each in found.offered:
        if each.utilisation >= 1 and found.settings.duration and not each.bounded:
            busy = f"{each.queue}: utilisation {each.utilisation:.2f}, retries counted"
            yield f"{busy}: no steady state; what is seen depends on its length."
    explained = {each.queue for each in found.offered if not _BUSY <= each.utilisation < 1}  # a closed loop slows down by itself
    full = [queue for queue in found.queues if queue not in explained and found.mean(f"{queue}.utilisation") >= _SATURATED]
    if full:
        yield f"{', '.join(full)}: the servers may be saturated; waits then grow until a limit, a TTL or the run's end."


def _beginnings(found: Findings) -> Iterator[str]:
    """Runs too short to forget how they began."""
    duration = found.settings.duration
    if duration is None:
        return
    for each in found.offered:
        length, needed = format_duration(duration), format_duration(each.to_settle)
        if each.utilisation < 1 and duration < each.to_settle:
            yield f"{each.queue}: {length} are short at a utilisation of {each.utilisation:.2f}; make them {needed} or more."
        elif each.utilisation < 1 and math.isinf(found.suggested_warmup(each.queue)):
            names = [name for name, queues in found.outages.items() if each.queue in queues]
            if names:
                within = f"{each.queue}: with {' and '.join(names)} in the run"
                yield f"{within}, MSER-5 cannot tell whether it had settled before; see plot.warmup()."
                continue
            yield f"{each.queue}: by MSER-5 it has not settled in the first half of the run; see warmup(), and make it longer."


def _repetitions(found: Findings) -> Iterator[str]:
    """How often it was run, and what was asked of that."""
    n = len(found.replications)
    if n == 1 and any(path.endswith(".batches") for path in found.replications[0].curves):
        yield "1 replication: intervals are batch means, which hold a little less often than they say; replications are safer."
        yield from filter(None, (_without_interval(found, target) for target in found.asked))
    elif (n := n // found.settings.to_observe) < _ENOUGH_REPLICATIONS:
        few = f"{n} {'pair' if found.settings.antithetic else 'replication'}{'s are' if n > 1 else ' is'} few"
        yield f"{few}: intervals are wide, and trustworthy from about {_ENOUGH_REPLICATIONS} on."
    yield from (each.shortfall for each in found.precisions() if not each.reached)


def _without_interval(found: Findings, target: Target) -> str:
    """Why the only replication gives no interval of a metric; nothing where it does."""
    if math.isfinite(found.estimate(target.path).half_width):
        return ""
    if found.batches(target) is None:
        return f"{target.path}: of one replication there is no interval for it, or too few observations; replicate it."
    return f"{target.path}: no interval, for the batches of this replication are correlated; make it longer, or replicate it."


def _losses(found: Findings) -> Iterator[str]:
    lost = found.mean("messages.unroutable")
    if lost > 0:
        yield f"{100 * lost:.3g} % of the messages reach no queue and are lost; no queue's loss counts them."
