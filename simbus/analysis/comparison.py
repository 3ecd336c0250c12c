"""Two designs compared on common random numbers: the interval of their difference, replication by replication.

Results of one seed have met the same arrivals and the same service times, so that luck cancels in the difference of each pair
of replications, and far fewer of them tell two designs apart. What a single result says is in ``findings``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import variance
from typing import Literal

from simbus.analysis import formats
from simbus.analysis.estimates import Estimate, critical, more_needed, student_t
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import Unit
from simbus.errors import ScenarioError

Change = Literal["lower", "higher", "undecided"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one metric of a second design differs from that of a first one.

    Args:
        metric: its path.
        unit: of both means and of their difference.
        first: the mean of the first design and its interval, as if it stood alone.
        second: that of the second design.
        difference: second minus first, Student's t interval over the pairs of replications.
        ratio: second by first, with Fieller's interval (1954) for the ratio of two means that go together; -inf to inf where the
            first mean cannot be told from 0.
        variance_reduction: how many times as many replications it would take with independent random numbers.
        each: replications to an observation.
    """

    metric: str
    unit: Unit
    first: Estimate
    second: Estimate
    difference: Estimate
    ratio: Estimate
    variance_reduction: float
    each: int = 1

    @property
    def outcome(self) -> Change:
        """Whether the second design's metric is lower or higher than that of the first, or the interval leaves it open."""
        if self.difference.high < 0:
            return "lower"
        return "higher" if self.difference.low > 0 else "undecided"

    @property
    def more(self) -> int | None:
        """How many more replications of both would probably decide it; 0 when it is decided, None when nobody can tell."""
        return 0 if self.outcome != "undecided" else more_needed(self.difference, abs(self.difference.mean), self.each)

    def __str__(self) -> str:
        by, ratio = formats.interval(self.difference, self.unit), self.ratio
        known = math.isfinite(ratio.mean + ratio.low + ratio.high)  # of two that are 0, or of the first, there is none
        times = f", {ratio.mean:.3g} times ({ratio.low:.3g} to {ratio.high:.3g})" if known else ""
        return f"{self.metric}: {self.outcome}, by {by}{times}"


def compare(
    first: Findings, second: Findings, metric: str, confidence: float | None = None, *, paired: bool = True
) -> Comparison:
    """What a second design does to a metric, by pairs of replications with common random numbers.

    Both have to be simulated with one seed, as often and as long. Parties of one name in both designs meet the same draws.

    Args:
        first: the result of one design.
        second: that of the other.
        metric: a path such as ``payments.wait.p99``, that both have.
        confidence: of the intervals, by default that of the first result.
        paired: False for results that share no random numbers: then the difference is Welch's (1947), and its interval wider.

    Raises:
        ScenarioError: for an unknown path, results that do not pair, or a metric that is infinite ("never") in a replication.
    """
    if paired:
        _check_pairs(first, second)
    confidence = confidence or first.settings.confidence
    unit = first.resolve(metric).metric.unit
    one, other = first.observations(metric), second.observations(metric)
    if math.inf in one or math.inf in other:
        raise ScenarioError(metric, "is infinite in a replication, so that no difference can be; compare a share instead")
    together = _together(one, other, confidence) if paired else _apart(one, other, confidence)
    before, after = (result.estimate(metric, confidence=confidence) for result in (first, second))
    return Comparison(metric, unit, before, after, *together, first.settings.to_observe)


def pairs(first: Findings, second: Findings) -> bool:
    """Whether two results have met the same random numbers, as often and as long, so that :func:`compare` can pair them."""
    try:
        _check_pairs(first, second)
    except ScenarioError:
        return False
    return True


def _together(one: Sequence[float], other: Sequence[float], confidence: float) -> tuple[Estimate, Estimate, float]:
    """Difference, ratio, and what pairing was worth."""
    both = [(x, y) for x, y in zip(one, other, strict=True) if not math.isnan(x + y)]
    n = len(both)
    difference = student_t([y - x for x, y in both], confidence)
    if n < 2:
        return difference, Estimate(both[0][1] / both[0][0] if n and both[0][0] else math.nan, -math.inf, math.inf, n), math.nan
    x, y, xx, yy, xy = _moments(both)
    ratio = _fieller(x, y, (xx / n, yy / n, xy / n), critical(n - 1, confidence), n)
    return difference, ratio, _variance_reduction(xx, yy, xy)


def _apart(one: Sequence[float], other: Sequence[float], confidence: float) -> tuple[Estimate, Estimate, float]:
    """The same of independent results: Welch's interval, with Satterthwaite's degrees of freedom."""
    before, after = (student_t(values, confidence) for values in (one, other))
    n = min(before.n, after.n)
    if n < 2:
        unknown = Estimate(math.nan if n == 0 else after.mean - before.mean, -math.inf, math.inf, n)
        return unknown, replace(unknown, mean=after.mean / before.mean if before.mean else math.nan), 1.0
    xx, yy = (_variance_of_mean(values) for values in (one, other))
    spread = xx**2 / (before.n - 1) + yy**2 / (after.n - 1)
    degrees = (xx + yy) ** 2 / spread if spread else before.n + after.n - 2
    t = critical(degrees, confidence)
    mean, half = after.mean - before.mean, t * math.sqrt(xx + yy)
    return Estimate(mean, mean - half, mean + half, n), _fieller(before.mean, after.mean, (xx, yy, 0.0), t, n), 1.0


def _variance_of_mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return variance(known) / len(known)


def paired(first: Findings, second: Findings, metric: str) -> bool:
    """Whether :func:`compare` can tell a metric of two designs apart."""
    alike = all(here == there for here, there in _agreement(first, second).values())
    return alike and math.inf not in (*first.observations(metric), *second.observations(metric))


def _agreement(first: Findings, second: Findings) -> dict[str, tuple[object, object]]:
    """What both have to agree in: replications pair when they are equally many, equally long and of one seed."""
    one, other = first.settings, second.settings
    return {
        "replications": (len(first.replications), len(second.replications)),
        "seed": (one.seed, other.seed),
        "duration": (one.duration, other.duration),
        "warmup": (one.warmup, other.warmup),
        "antithetic": (one.antithetic, other.antithetic),
    }


def _check_pairs(first: Findings, second: Findings) -> None:
    for what, (here, there) in _agreement(first, second).items():
        if here != there:
            problem = f"{here} and {there}: only runs that agree in it can be compared in pairs; simulate both alike"
            raise ScenarioError(f"run.{what}", problem)


def _moments(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float, float, float]:
    """Means, variances and covariance of two columns."""
    n = len(pairs)
    x, y = (math.fsum(column) / n for column in zip(*pairs, strict=True))
    xx = math.fsum((a - x) ** 2 for a, _ in pairs) / (n - 1)
    yy = math.fsum((b - y) ** 2 for _, b in pairs) / (n - 1)
    return x, y, xx, yy, math.fsum((a - x) * (b - y) for a, b in pairs) / (n - 1)


def _variance_reduction(xx: float, yy: float, xy: float) -> float:
    """The variance of a difference of independent runs by that of the pairs."""
    together = xx + yy - 2 * xy
    return (xx + yy) / together if together > 0 else math.inf if xx + yy else math.nan


def _fieller(x: float, y: float, variances: tuple[float, float, float], t: float, n: int) -> Estimate:
    """The ratios r for which the mean of y - r x can be 0: between the roots of a r**2 - 2 b r + c.

    ``variances`` are those of both means and their covariance.
    """
    xx, yy, xy = variances
    a, b, c = x * x - t**2 * xx, x * y - t**2 * xy, y * y - t**2 * yy
    mean = y / x if x else math.nan
    if a <= 0:
        return Estimate(mean, -math.inf, math.inf, n)
    root = math.sqrt(max(0.0, b * b - a * c))
    return Estimate(mean, (b - root) / a, (b + root) / a, n)
