"""How much goes along each way of a result's chart, as it was measured, with intervals.

What publishers published, consumers attempted and queues handed on was counted; what comes to a queue along its last way follows
from what arrived there. Where several ways are left over, nothing is said of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.chart import Way
from simbus.analysis.estimates import Estimate, student_t
from simbus.analysis.findings import Findings
from simbus.units import SECOND

Floats = NDArray[np.float64]


def flows(found: Findings) -> dict[Way, Estimate]:
    """Messages a second along the ways of which it can be told; attempts a second from a queue to its consumers."""
    arriving = {f"queues.{queue}": _observed(found, f"queues.{queue}.arrival_rate") for queue in found.queues}
    balanced = found.chart.balanced(dict(_counted(found)), arriving)
    return {way: student_t(rates.tolist(), found.settings.confidence) for way, rates in balanced.items()}


def _counted(found: Findings) -> Iterator[tuple[Way, Floats]]:
    ways = found.chart.ways
    for way in ways:
        alone = sum(each.source == way.source and each.kind == way.kind for each in ways) == 1
        sort, _, name = way.source.partition(".")
        if way.kind == "consumed":
            attempts = _observed(found, f"{way.target}.attempts")
            yield way, attempts / _seconds(found)
        elif way.kind == "dead" and alone:
            yield way, _observed(found, f"{way.source}.handed_on")
        elif sort == "publishers" and alone and (published := _published(found, name)) is not None:
            yield way, published


def _published(found: Findings, name: str) -> Floats | None:
    """Of the only publisher, what was measured; of others, what they drew, the warm-up included; None where that is not known."""
    if [place.name for place in found.chart.places if place.sort == "publishers"] == [name]:
        return _observed(found, "messages.rate")
    drawn = [each.controls.get(f"publishers.{name}.arrivals") for each in found.replications]
    numbers = np.array([each[0] for each in drawn if each is not None])
    if len(numbers) < len(drawn) or found.settings.duration is None:
        return None
    rates: Floats = numbers * SECOND / (found.settings.duration + found.settings.warmup)
    return (rates[::2] + rates[1::2]) / 2 if found.settings.antithetic else rates


def _seconds(found: Findings) -> Floats | float:
    """The measured time; of runs that end with their arrivals, of each of them."""
    if found.settings.duration is not None:
        return found.settings.duration / SECOND
    time = found.curves("time")
    return time[:, 0] + time[:, -1] if time.size else np.nan


def _observed(found: Findings, path: str) -> Floats:
    return np.array(found.observations(path), dtype=np.float64)
