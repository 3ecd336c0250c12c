"""From what was observed to a replication's numbers: means, quantiles, shares and curves.

Pure functions of ``Observed``. What a number means is written in ``metrics``; intervals over
replications are made in ``estimates``. Times become seconds here and nowhere before.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.batches import of_level, of_observations
from simbus.analysis.metrics import quantile_name
from simbus.analysis.observed import ClassObserved, GroupObserved, Observed, QueueObserved
from simbus.analysis.replication import BINS, PROBABILITIES, SPANS, Replication
from simbus.analysis.times import Times, Windows, quantiles
from simbus.units import SECOND

Floats = NDArray[np.float64]
T = TypeVar("T")
_USUAL = (0.5, 0.95, 0.99)


def summarise(seen: Observed, index: int, asked: Iterable[float], trace_hash: str, *, batched: bool = False) -> Replication:
    """The replication with that index; ``asked`` are probabilities of quantiles beside the usual ones.

    With ``batched`` it has batches of itself too, for an interval from this run alone.
    """
    wanted = sorted({*_USUAL, *asked})
    times, windows = _times(seen), _windows(seen)
    values = _of_messages(seen) | _prefixed("window", windows.told(wanted))
    for queue in seen.queues.values():
        values |= _prefixed(queue.name, _of_queue(seen, queue))
        for name, some in queue.classes.items():
            values[f"{queue.name}[{name}].loss"] = _ratio(some.lost, some.obligations)
            values[f"{queue.name}[{name}].loss.n"] = float(some.obligations)
    for path, each in times.items():
        values |= _prefixed(path, each.told(wanted))
    for group in seen.groups.values():
        values |= _prefixed(f"consumers.{group.name}", _of_group(seen, group))
    curves = _curves(seen) | {f"{path}.quantiles": each.quantiles(PROBABILITIES) for path, each in times.items()}
    curves["window.quantiles"] = windows.quantiles(PROBABILITIES)
    curves["window.seen.times"], curves["window.seen.shares"] = windows.thinned()
    if batched:
        curves |= {f"{key}.batches": means for key, means in _batches(seen, windows, times, wanted) if len(means)}
    return Replication(index, values, curves, trace_hash)


def _prefixed(prefix: str, values: Mapping[str, T]) -> dict[str, T]:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def _of_messages(seen: Observed) -> dict[str, float]:
    return {
        "messages.rate": seen.published * SECOND / (seen.end - seen.warmup),
        "messages.n": float(seen.published + seen.unsent),
        "messages.unroutable": _ratio(seen.unroutable, seen.published + seen.unsent),
        "messages.unsent": _ratio(seen.unsent, seen.published + seen.unsent),
        "messages.republished": _ratio(seen.republished, seen.published + seen.unsent),
    }


def _windows(seen: Observed) -> Windows:
    closed = np.append(seen.windows.values() / SECOND, np.full(seen.never_closing, math.inf))
    return Windows(closed, (seen.end - np.array(seen.open_since, dtype=np.float64)) / SECOND)


def _times(seen: Observed) -> dict[str, Times]:
    """What was observed of queues and of the classes of messages in them: ``payments.wait``, ``payments[gold].wait``."""
    found = {}
    for queue in seen.queues.values():
        waits, firsts = queue.waits, queue.first_waits
        found[f"{queue.name}.wait"] = wait = Times(waits)
        found[f"{queue.name}.first_wait"] = wait if len(firsts) == len(waits) else Times(firsts)
        found |= _prefixed(queue.name, _work(queue))
        for name, each in queue.classes.items():
            found |= _prefixed(f"{queue.name}[{name}]", {"wait": Times(each.waits.values())} | _work(each))
    return found


def _work(seen: QueueObserved | ClassObserved) -> dict[str, Times]:
    return {"service": Times(seen.services.values()), "residence": Times(seen.residences.values())}


def _of_queue(seen: Observed, queue: QueueObserved) -> dict[str, float]:
    seconds = (seen.end - seen.warmup) / SECOND
    ready = _average(seen, queue.depth.ready_at_edges)
    unacked = _average(seen, queue.depth.unacked_at_edges)
    values = {
        "arrival_rate": queue.enqueued / seconds,
        "throughput": queue.acked / seconds,
        "handed_on": queue.handed_on / seconds,
        "utilisation": _utilisation(seen, [group for group in seen.groups.values() if group.queue == queue.name]),
        "depth.mean": ready + unacked,
        "depth.max": float(max(queue.depth.most, queue.depth.ready + queue.depth.unacked)),
        "ready.mean": ready,
        "unacked.mean": unacked,
        "attempts.mean": _ratio(queue.attempts, len(queue.residences)),
        "deliveries.mean": _ratio(queue.deliveries, len(queue.residences)),
        "duplicates": _ratio(queue.repeated, queue.applied),
        "duplicates.n": float(queue.applied),
    }
    return values | _losses(queue)


def _losses(queue: QueueObserved) -> dict[str, float]:
    return {
        "loss": _ratio(sum(queue.lost.values()), queue.obligations),
        "loss.n": float(queue.obligations),
        "waiting": _ratio(queue.waiting, queue.obligations),
        **{f"loss.{cause}": _ratio(count, queue.obligations) for cause, count in queue.lost.items()},
    }


def _of_group(seen: Observed, group: GroupObserved) -> dict[str, float]:
    on_duty = _average(seen, group.on_duty.at_edges)
    return {
        "utilisation": _utilisation(seen, [group]),
        "attempts": float(group.attempts),
        "failures": float(group.failures),
        "interrupted": float(group.interrupted),
        "suppressed": float(group.suppressed),
        "on_duty.mean": on_duty,
        "on_duty.max": float(group.on_duty.most),
        "on_duty.total": on_duty * (seen.end - seen.warmup) / SECOND,
    }


def _utilisation(seen: Observed, groups: Sequence[GroupObserved]) -> float:
    servers = sum(_servers(seen, group) for group in groups)
    return sum(_average(seen, group.busy.at_edges) for group in groups) / servers if servers else math.nan


def _servers(seen: Observed, group: GroupObserved) -> float:
    """How many are on duty, on average over the measured time."""
    return group.servers * (1 if group.alone else _average(seen, group.on_duty.at_edges))


def _average(seen: Observed, at_edges: Sequence[int]) -> float:
    """The average over the measured time of what has this integral at the edges."""
    return (at_edges[-1] - at_edges[seen.edges.index(seen.warmup)]) / (seen.end - seen.warmup)


def _curves(seen: Observed) -> dict[str, Floats]:
    bins = [seen.edges.index(seen.end * i // BINS) for i in range(BINS + 1)]
    edges = np.array(seen.edges, dtype=np.float64)[bins]
    curves: dict[str, Floats] = {"time": (edges[:-1] + edges[1:]) / 2 / SECOND}

    def over_time(areas: Sequence[int]) -> Floats:
        means: Floats = np.diff(np.array(areas, dtype=np.float64)[bins]) / np.diff(edges)
        return means

    for queue in seen.queues.values():
        means = {"ready": over_time(queue.depth.ready_at_edges), "unacked": over_time(queue.depth.unacked_at_edges)}
        means["depth"] = means["ready"] + means["unacked"]
        away = {"backing_off": queue.backing_off.at_edges, "kept_back": queue.kept_back.at_edges}
        means |= {name: over_time(areas) for name, areas in away.items() if areas[-1]}
        means |= _waits_over_time(queue, bins)
        curves |= {f"{queue.name}.{name}.over_time": mean for name, mean in means.items()}
    for group in seen.groups.values():
        curves[f"consumers.{group.name}.on_duty.over_time"] = over_time(group.on_duty.at_edges)
    return curves | {f"outages.{name}.over_time": over_time(level.at_edges) for name, level in seen.outages.items()}


def _waits_over_time(queue: QueueObserved, bins: Sequence[int]) -> dict[str, Floats]:
    """Quantiles of the waits that ended in each span of time, which is several bins; nan where none did."""
    spans, waits, usual = np.array(queue.started_at_edges)[bins][:: BINS // SPANS], queue.waits, np.array(_USUAL)
    found = [quantiles(np.sort(waits[begin:end]), usual) for begin, end in pairwise(spans)]
    return {f"wait.{quantile_name(p)}": column / SECOND for p, column in zip(_USUAL, np.transpose(found), strict=True)}


def _batches(
    seen: Observed, windows: Windows, times: Mapping[str, Times], wanted: Sequence[float]
) -> Iterator[tuple[str, Floats]]:
    """Of every mean and quantile that can be told from batches of one run, its path and its values in them."""
    observed = {path: each.values for path, each in times.items()} | ({} if seen.never_closing else {"window": windows.closed})
    for path, values in observed.items():
        yield from _prefixed(path, of_observations(values, wanted)).items()
    for queue in seen.queues.values():
        ready, unacked = (_level(seen, areas) for areas in (queue.depth.ready_at_edges, queue.depth.unacked_at_edges))
        levels = {"ready.mean": ready, "unacked.mean": unacked, "depth.mean": ready + unacked}
        yield from _prefixed(queue.name, levels).items()
    for group in seen.groups.values():
        yield f"consumers.{group.name}.utilisation", _level(seen, group.busy.at_edges) / group.servers


def _level(seen: Observed, at_edges: Sequence[int]) -> Floats:
    begin = seen.edges.index(seen.warmup)
    return of_level(at_edges[begin:], seen.edges[begin:])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
