"""Intervals round the numbers: what independent replications say about a metric.

Each replication gives one observation, so that observations are independent although the messages
within a replication are not (an interval from 20,000 consecutive waits would hold the true mean
in one case of six instead of nineteen of twenty). Nothing here knows what a metric means.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LIMITS = ("mean", "low", "high")  # of an estimate, and the ends of its columns in tables


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over replications and its confidence interval.

    Args:
        mean: nan when nothing was observed, inf when a replication says "never".
        low: the lower confidence limit; -inf when unknown.
        high: the upper confidence limit; inf when unknown or when a replication says "never".
        n: the replications that observed the metric.
        missing: the replications that did not, and were left out.
    """

    mean: float
    low: float
    high: float
    n: int
    missing: int = 0

    @property
    def told(self) -> dict[str, float]:
        """What a table says of it: mean, half_width, low and high of what cannot be negative; nan where there is no interval."""
        unknown = self.low == -math.inf and self.mean < math.inf
        half = math.nan if unknown else self.half_width
        low, high = (math.nan, math.nan) if unknown else (max(0.0, self.low), self.high)
        return {"mean": self.mean, "half_width": half, "low": low, "high": high}

    @property
    def half_width(self) -> float:
        """Half the width of the interval; inf when it has no limits, nan when nothing was observed."""
        if not self.n:
            return math.nan
        return (self.high - self.low) / 2 if self.low < self.high else 0.0


def student_t(values: Iterable[float], confidence: float = 0.95) -> Estimate:
    """Student's t interval for the mean of independent replications.

    One replication gives no interval (-inf to inf). Where some replications are infinite, the mean
    and the upper limit are infinite, and the lower limit is that of the finite ones.
    """
    everything = [float(value) for value in values]
    observed = [value for value in everything if not math.isnan(value)]
    n, missing = len(observed), len(everything) - len(observed)
    finite = [value for value in observed if value < math.inf]
    if n > 1 and not finite:
        return Estimate(math.inf, math.inf, math.inf, n, missing)
    if not finite:
        return Estimate(math.inf if n else math.nan, -math.inf, math.inf, n, missing)
    mean, half = _mean_and_half_width(finite, confidence)
    if len(finite) < n:
        return Estimate(math.inf, mean - half, math.inf, n, missing)
    return Estimate(mean, mean - half, mean + half, n, missing)


def share(shares: Sequence[float], trials: Sequence[float], confidence: float = 0.95) -> Estimate:
    """An interval for a share of events, which stays between 0 and 1.

    Wilson's (1927), with the number of independent trials that would vary as much as the replications do (Korn and Graubard
    1998), at most as many as there were: losses come in bunches, and then a million messages say less than a million coins.
    Where no replication saw an event, what can be said is the rule of three: the share lies below ``-ln(1 - confidence) / n``,
    3/n at 95 %, for n independent trials (Hanley and Lippman-Hand 1983); losses in bunches can hide behind a larger one.
    """
    estimate = student_t(shares, confidence)
    pooled = math.fsum(n for value, n in zip(shares, trials, strict=True) if not math.isnan(value + n))
    if estimate.mean == 0:
        upper = min(1.0, -math.log(1 - confidence) / pooled) if pooled else 1.0
        return Estimate(0.0, 0.0, upper, estimate.n, estimate.missing)
    if estimate.n < 2 or not 0 < estimate.mean < 1 or not math.isfinite(estimate.half_width):
        return estimate
    return _wilson(estimate, pooled, critical(estimate.n - 1, confidence))


def _wilson(estimate: Estimate, pooled: float, t: float) -> Estimate:
    share, error = estimate.mean, estimate.half_width / t
    trials = min(pooled, share * (1 - share) / error**2) if error else pooled
    middle, weight = share + t**2 / (2 * trials), 1 + t**2 / trials
    reach = t * math.sqrt(share * (1 - share) / trials + t**2 / (4 * trials**2))
    return Estimate(share, (middle - reach) / weight, (middle + reach) / weight, estimate.n, estimate.missing)


def band(curves: NDArray[np.float64], confidence: float = 0.95) -> NDArray[np.float64]:
    """Mean, lower and upper limit (three rows) at every point of curves given a row per replication."""
    estimates = [student_t(column, confidence) for column in curves.T]
    return np.array([(each.mean, each.low, each.high) for each in estimates], dtype=np.float64).reshape(-1, 3).T


def more_needed(estimate: Estimate, distance: float, each: int = 1) -> int | None:
    """How many more replications would probably tell the mean from what is so far away; None when nobody can tell.

    A half-width shrinks with the square root of the number: where it is h with n replications and the mean is d away from the
    limit, n (h/d)**2 are needed. That is a guess from the mean so far, and a bad one where d is small beside h.
    ``each`` is how many replications make an observation.
    """
    if estimate.n < 2 or not 0 < distance < math.inf or not math.isfinite(estimate.half_width):
        return None
    return each * max(1, math.ceil(estimate.n * (estimate.half_width / distance) ** 2) - estimate.n)


def _mean_and_half_width(values: list[float], confidence: float) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.inf
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, critical(len(values) - 1, confidence) * math.sqrt(variance / len(values))


@lru_cache
def critical(degrees: float, confidence: float) -> float:
    """The value of Student's t that leaves ``(1 - confidence) / 2`` above it."""
    from scipy.special import stdtrit  # not scipy.stats, which takes most of a second to import

    return float(stdtrit(degrees, (1 + confidence) / 2))
