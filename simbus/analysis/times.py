"""Times that a replication has observed, in seconds: sorted once and then asked for means, quantiles and what has ended by when.

Sorting costs most of summing up, and NumPy's functions would each do it anew. What the times are of is ``summary``'s concern.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.column import Integers
from simbus.analysis.metrics import quantile_name
from simbus.units import SECOND

Floats = NDArray[np.float64]


class Times:
    """Times that have all ended.

    Args:
        column: nanoseconds, in the order in which they were observed.
    """

    def __init__(self, column: Integers) -> None:
        self.values: Floats = column / SECOND
        self._ordered = np.sort(self.values)

    def quantiles(self, probabilities: Floats) -> Floats:
        """By linear interpolation (type 7 of Hyndman and Fan 1996); nan without values."""
        return quantiles(self._ordered, probabilities)

    def told(self, probabilities: Sequence[float]) -> dict[str, float]:
        """Quantiles, mean, maximum and number, by the names of metrics."""
        return {
            **by_percent(probabilities, self.quantiles(np.array(probabilities))),
            "mean": mean(self.values),
            "max": float(self._ordered[-1]) if len(self._ordered) else math.nan,
            "n": float(len(self.values)),
        }


class Windows:
    """Times of which some will never end, and some are only known to exceed an age.

    Which share has ended by each time is the product-limit estimate (Kaplan and Meier 1958).

    Args:
        closed: times that ended, and ``inf`` for those that never will, as they were observed.
        still_open: ages of those that may still end.
    """

    def __init__(self, closed: Floats, still_open: Floats) -> None:
        self.closed, self.still_open = closed, still_open
        times = np.concatenate([closed, still_open])
        order = np.argsort(times, kind="stable")  # at equal times, what ended comes first
        ended = np.isfinite(times[order]) & (order < len(closed))
        self.times = times[order]
        self.share_ended = 1 - np.cumprod(np.where(ended, 1 - 1 / np.arange(len(times), 0, -1), 1.0), dtype=np.float64)

    def quantiles(self, probabilities: Floats) -> Floats:
        """Of each, the first time at which at least that share has ended; ``inf`` where nobody has seen it, nan without times."""
        if not len(self.times):
            return np.full(len(probabilities), math.nan)
        first = np.searchsorted(self.share_ended, probabilities - 1e-12)
        return np.where(first < len(self.times), self.times[np.minimum(first, len(self.times) - 1)], math.inf)

    def told(self, probabilities: Sequence[float]) -> dict[str, float]:
        """Quantiles, mean, maximum, number and shares, by the names of metrics."""
        n, never = len(self.times), int(np.isinf(self.closed).sum())
        return {
            **by_percent(probabilities, self.quantiles(np.array(probabilities))),
            "mean": math.inf if never else mean(self.closed),
            "max": float(self.closed.max()) if len(self.closed) else math.nan,
            "n": float(n),
            "never": never / n if n else math.nan,
            "open": len(self.still_open) / n if n else math.nan,
        }

    def thinned(self) -> tuple[Floats, Floats]:
        """Times and shares, but only so many that what has not ended is known to half a percent of itself; never too little."""
        if not len(self.times):
            return self.times, self.share_ended
        left = np.maximum(1 - self.share_ended, 1e-9)
        step = np.floor(-np.log(left) / 0.005)
        first = np.flatnonzero(np.diff(step, prepend=-1.0))
        return self.times[first], self.share_ended[first]


def quantiles(ordered: NDArray[Any], probabilities: Floats) -> Floats:
    """Of ascending numbers, what ``numpy.quantile`` says, which would look for the order once more; nan where there are none."""
    if not len(ordered):
        return np.full(len(probabilities), math.nan)
    place = probabilities * (len(ordered) - 1)
    below = np.floor(place).astype(np.intp)
    share, low, high = place - below, ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)]
    found: Floats = np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
    return found


def by_percent(probabilities: Sequence[float], quantiles: Floats) -> dict[str, float]:
    """Quantiles by the names of metrics: ``p99``."""
    return {quantile_name(p): float(value) for p, value in zip(probabilities, quantiles, strict=True)}


def mean(values: Floats) -> float:
    """Their mean; nan where there are none."""
    return float(values.mean()) if len(values) else math.nan
