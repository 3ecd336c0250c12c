"""Batch means: the interval that one long run gives of itself, cut into stretches that hardly depend on each other.

Neighbouring messages share their luck, the means of long stretches hardly. Where they still do, the run is too short, and no
interval is given. Independent replications are the rule (``estimates``); this is for a run that is too long to repeat.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.estimates import Estimate, student_t
from simbus.analysis.metrics import quantile_name

Floats = NDArray[np.float64]
BATCHES = 20
_FEWEST = 10  # observations of a batch, or beyond its quantile
_CRITICAL = 1.645  # of the standard normal distribution: 5 % of independent batches are taken for correlated


def of_observations(values: Floats, probabilities: Sequence[float]) -> dict[str, Floats]:
    """By statistic, its value in each of twenty equally large batches; of few observations, those that can be told.

    Args:
        values: in the order in which they were observed. What does not fill the batches is left out at the beginning.
        probabilities: of the quantiles.
    """
    size = len(values) // BATCHES
    if size < _FEWEST:
        return {}
    table = values[len(values) - size * BATCHES :].reshape(BATCHES, size)
    told = [p for p in probabilities if size * (1 - p) >= _FEWEST]
    quantiles = np.quantile(table, told, axis=1) if told else ()
    return {"mean": table.mean(axis=1)} | {quantile_name(p): row for p, row in zip(told, quantiles, strict=True)}


def of_level(areas: Sequence[int], edges: Sequence[int]) -> Floats:
    """The average over time in each of twenty equally long batches, of what has these integrals at these edges; empty for few.

    Edges are at equal distances, but for the first. Those that do not fill the batches are left out at the beginning.
    """
    each = (len(edges) - 1) // BATCHES
    if not each:
        return np.empty(0)
    picked = slice(len(edges) - 1 - each * BATCHES, None, each)
    return np.diff(np.array(areas[picked], dtype=np.float64)) / np.diff(np.array(edges[picked], dtype=np.float64))


def batch_means(value: float, means: Floats, confidence: float) -> Estimate:
    """An interval round what one run observed, from the spread of its batches; without limits where these are correlated.

    Args:
        value: of the whole run.
        means: of the batches, in their order.
        confidence: of the interval.
    """
    half = math.inf if correlated(means) else student_t(means, confidence).half_width
    return Estimate(value, value - half, value + half, 1)


def correlated(means: Floats) -> bool:
    """Whether neighbouring batches are more alike than independent ones would be in nineteen of twenty cases.

    Fewer and longer batches would pass more often, but not because they are less dependent: too few show no dependence.

    By the ratio of von Neumann (1941): of n independent batches, 1 less half the sum of squared steps by the sum of squared
    deviations is about normal with variance (n - 2) / (n**2 - 1). But for its ends it is the correlation of neighbours (lag 1).
    """
    n, deviations = len(means), means - means.mean()
    squares = float(deviations @ deviations)
    if not squares:
        return False
    statistic = 1 - float(np.square(np.diff(means)).sum()) / (2 * squares)
    return statistic > _CRITICAL * math.sqrt((n - 2) / (n**2 - 1))
