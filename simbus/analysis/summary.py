"""From what was observed to a replication's numbers: means, quantiles, shares and curves.

Pure functions of ``Observed``. What a number means is written in ``metrics``; intervals over
replications are made in ``estimates``. Times become seconds here and nowhere before.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.batches import of_level, of_observations
from simbus.analysis.column import Integers
from simbus.analysis.metrics import quantile_name
from simbus.analysis.observed import GroupObserved, Observed, QueueObserved
from simbus.analysis.replication import BINS, PROBABILITIES, SPANS, Replication
from simbus.units import SECOND

Floats = NDArray[np.float64]
T = TypeVar("T")
_USUAL = (0.5, 0.95, 0.99)


def summarise(seen: Observed, index: int, quantiles: Iterable[float], trace_hash: str, *, batched: bool = False) -> Replication:
    """The replication with that index; ``quantiles`` are probabilities asked for beside the usual ones.

    With ``batched`` it has batches of itself too, for an interval from this run alone.
    """
    wanted = sorted({*_USUAL, *quantiles})
    closed = np.append(_seconds(seen.windows.values()), np.full(seen.never_closing, math.inf))
    still_open = (seen.end - np.array(seen.open_since, dtype=np.float64)) / SECOND
    values = _of_messages(seen) | _prefixed("window", _of_windows(closed, still_open, wanted))
    for queue in seen.queues.values():
        values |= _prefixed(queue.name, _of_queue(seen, queue, wanted))
        for path, times in _of_classes(queue).items():
            values |= _prefixed(path, _spread(times, wanted))
        for name, each in queue.classes.items():
            values[f"{queue.name}[{name}].loss"] = _ratio(each.lost, each.obligations)
            values[f"{queue.name}[{name}].loss.n"] = float(each.obligations)
    for group in seen.groups.values():
        values |= _prefixed(f"consumers.{group.name}", _of_group(seen, group))
    curves = _curves(seen) | {"window.quantiles": survival_quantiles(closed, still_open, PROBABILITIES)}
    curves["window.seen.times"], curves["window.seen.shares"] = thinned(*survival(closed, still_open))
    if batched:
        curves |= {f"{key}.batches": means for key, means in _batches(seen, closed, wanted) if len(means)}
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


def _of_windows(closed: Floats, still_open: Floats, wanted: Sequence[float]) -> dict[str, float]:
    n = len(closed) + len(still_open)
    never = int(np.isinf(closed).sum())
    quantiles = survival_quantiles(closed, still_open, np.array(wanted))
    return {
        **_by_percent(wanted, quantiles),
        "mean": math.inf if never else _mean(closed),
        "max": float(closed.max()) if len(closed) else math.nan,
        "n": float(n),
        "never": _ratio(never, n),
        "open": _ratio(len(still_open), n),
    }


def _of_queue(seen: Observed, queue: QueueObserved, wanted: Sequence[float]) -> dict[str, float]:
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
    return values | _losses(queue) | _times(queue, wanted)


def _of_classes(queue: QueueObserved) -> dict[str, Floats]:
    """The times that were observed of the classes of messages in a queue, in seconds: ``payments[gold].wait``."""
    return {
        f"{queue.name}[{name}].{what}": _seconds(column.values())
        for name, each in queue.classes.items()
        for what, column in (("wait", each.waits), ("service", each.services), ("residence", each.residences))
    }


def _losses(queue: QueueObserved) -> dict[str, float]:
    return {
        "loss": _ratio(sum(queue.lost.values()), queue.obligations),
        "loss.n": float(queue.obligations),
        "waiting": _ratio(queue.waiting, queue.obligations),
        **{f"loss.{cause}": _ratio(count, queue.obligations) for cause, count in queue.lost.items()},
    }


def _times(queue: QueueObserved, wanted: Sequence[float]) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, column in _columns(queue).items():
        values |= _prefixed(name, _spread(column, wanted))
    return values


def _columns(queue: QueueObserved) -> dict[str, Floats]:
    """The times that were observed of a queue, in seconds."""
    columns = {
        "wait": queue.waits,
        "first_wait": queue.first_waits,
        "service": queue.services.values(),
        "residence": queue.residences.values(),
    }
    return {name: _seconds(column) for name, column in columns.items()}


def _spread(values: Floats, wanted: Sequence[float]) -> dict[str, float]:
    return {
        **_by_percent(wanted, _quantiles(values, np.array(wanted))),
        "mean": _mean(values),
        "max": float(values.max()) if len(values) else math.nan,
        "n": float(len(values)),
    }


def _by_percent(probabilities: Sequence[float], quantiles: Floats) -> dict[str, float]:
    return {quantile_name(p): float(value) for p, value in zip(probabilities, quantiles, strict=True)}


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
        for name, column in (("wait", queue.waits), ("residence", queue.residences.values())):
            curves[f"{queue.name}.{name}.quantiles"] = _quantiles(_seconds(column), PROBABILITIES)
        for path, times in _of_classes(queue).items():
            curves[f"{path}.quantiles"] = _quantiles(times, PROBABILITIES)
    for group in seen.groups.values():
        curves[f"consumers.{group.name}.on_duty.over_time"] = over_time(group.on_duty.at_edges)
    return curves | {f"outages.{name}.over_time": over_time(level.at_edges) for name, level in seen.outages.items()}


def _waits_over_time(queue: QueueObserved, bins: Sequence[int]) -> dict[str, Floats]:
    """Quantiles of the waits that ended in each span of time, which is several bins; nan where none did."""
    spans, waits = np.array(queue.started_at_edges)[bins][:: BINS // SPANS], queue.waits
    quantiles = np.full((SPANS, len(_USUAL)), math.nan)
    for place in np.flatnonzero(np.diff(spans)):
        quantiles[place] = np.quantile(waits[spans[place] : spans[place + 1]], _USUAL)
    return {f"wait.{quantile_name(p)}": column / SECOND for p, column in zip(_USUAL, quantiles.T, strict=True)}


def _batches(seen: Observed, closed: Floats, wanted: Sequence[float]) -> Iterator[tuple[str, Floats]]:
    """Of every mean and quantile that can be told from batches of one run, its path and its values in them."""
    if not seen.never_closing:
        yield from _prefixed("window", of_observations(closed, wanted)).items()
    for queue in seen.queues.values():
        for name, column in _columns(queue).items():
            yield from _prefixed(f"{queue.name}.{name}", of_observations(column, wanted)).items()
        for path, column in _of_classes(queue).items():
            yield from _prefixed(path, of_observations(column, wanted)).items()
        ready, unacked = (_level(seen, areas) for areas in (queue.depth.ready_at_edges, queue.depth.unacked_at_edges))
        levels = {"ready.mean": ready, "unacked.mean": unacked, "depth.mean": ready + unacked}
        yield from _prefixed(queue.name, levels).items()
    for group in seen.groups.values():
        yield f"consumers.{group.name}.utilisation", _level(seen, group.busy.at_edges) / group.servers


def _level(seen: Observed, at_edges: Sequence[int]) -> Floats:
    begin = seen.edges.index(seen.warmup)
    return of_level(at_edges[begin:], seen.edges[begin:])


def _seconds(column: Integers) -> Floats:
    return column / SECOND


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _quantiles(values: Floats, probabilities: Floats) -> Floats:
    """Quantiles by linear interpolation (type 7 of Hyndman and Fan 1996); nan without values."""
    return np.quantile(values, probabilities) if len(values) else np.full(len(probabilities), math.nan)


def survival_quantiles(closed: Floats, still_open: Floats, probabilities: Floats) -> Floats:
    """Quantiles of times of which some are infinite and some only known to exceed an age.

    The p-quantile is the first time at which at least p have ended, by :func:`survival`. Beyond what was observed the answer is
    infinite: nobody has seen it end.

    Args:
        closed: times that ended, and ``inf`` for those that never will.
        still_open: ages of those that may still end.
        probabilities: of the quantiles.
    """
    times, share_ended = survival(closed, still_open)
    if not len(times):
        return np.full(len(probabilities), math.nan)
    first = np.searchsorted(share_ended, probabilities - 1e-12)
    return np.where(first < len(times), times[np.minimum(first, len(times) - 1)], math.inf)


def survival(closed: Floats, still_open: Floats) -> tuple[Floats, Floats]:
    """Times in order, and which share has ended by each of them: the product-limit estimate (Kaplan and Meier 1958).

    Args:
        closed: times that ended, and ``inf`` for those that never will.
        still_open: ages of those that may still end.
    """
    times = np.concatenate([closed, still_open])
    ended = np.concatenate([np.isfinite(closed), np.zeros(len(still_open), dtype=bool)])
    order = np.lexsort((~ended, times))  # at equal times, what ended comes first
    times, ended = times[order], ended[order]
    at_risk = np.arange(len(times), 0, -1)
    share_ended = 1 - np.cumprod(np.where(ended, 1 - 1 / at_risk, 1.0), dtype=np.float64)
    return times, share_ended


def thinned(times: Floats, share_ended: Floats) -> tuple[Floats, Floats]:
    """The same steps, but only so many that what has not ended is known to half a percent of itself; never too little."""
    if not len(times):
        return times, share_ended
    left = np.maximum(1 - share_ended, 1e-9)
    step = np.floor(-np.log(left) / 0.005)
    first = np.flatnonzero(np.diff(step, prepend=-1.0))
    return times[first], share_ended[first]
