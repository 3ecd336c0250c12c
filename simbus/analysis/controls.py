"""Control variates: luck that is known is taken out of an estimate.

A replication whose consumers happened to draw more work than was to be expected has longer waits for that reason. How much of a
metric goes with such excesses is a regression over the replications; at no excess it says what the mean would have been
(Lavenberg and Welch 1981). The price is a degree of freedom for each control.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.estimates import Estimate, critical

Floats = NDArray[np.float64]


def controlled(values: Sequence[float], excesses: Floats, confidence: float) -> Estimate:
    """The mean of independent observations at no excess of their controls, and its interval.

    It is the constant of a least-squares fit, with n - q - 1 degrees of freedom for n observations and q controls that vary; the
    observations are taken for normal, given their controls. With fewer than two degrees left the limits are infinite.

    Args:
        values: finite, or nan for what was not observed.
        excesses: realised less expected, a row per observation and a column per control.
        confidence: of the interval.
    """
    seen = ~np.isnan(values)
    y, x = np.array(values, dtype=np.float64)[seen], excesses[seen]
    x = x[:, np.ptp(x, axis=0) > 0] if len(y) else x
    n, columns = len(y), np.column_stack([np.ones(len(y)), x / x.std(axis=0)]) if x.size else np.ones((len(y), 1))
    missing, degrees = len(values) - n, n - columns.shape[1]
    if degrees < 2:
        return Estimate(float(y.mean()) if n else math.nan, -math.inf, math.inf, n, missing)
    inverse = np.linalg.pinv(columns.T @ columns)
    fitted = inverse @ columns.T @ y
    variance = float(np.square(y - columns @ fitted).sum()) / degrees * float(inverse[0, 0])
    half, mean = critical(degrees, confidence) * math.sqrt(variance), float(fitted[0])
    return Estimate(mean, mean - half, mean + half, n, missing)
