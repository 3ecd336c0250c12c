"""How long a run takes to forget how it began: what to cut off, and a picture to judge it by.

Nothing is cut off here: the warm-up of a run is said before it, and the metrics leave it out. Here is what it should have been.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BATCH = 5


def mser5(series: Floats) -> int | None:
    """How many observations to cut off at the beginning, by MSER-5; None when the series gives no answer.

    Of batch means of five, so many are cut off that the squared standard error of the mean of the rest is smallest
    (White 1997; White, Cobb and Spratt 2000), up to half of them. Beyond, the few that are left agree by chance: looked at as
    well, they would win in every third run that is in its steady state from the start. Where half of them would go, the
    rule is no guide: the series may still be on its way, and longer ones are needed.

    Args:
        series: observations at equal distances, such as averages over equal spans of time.
    """
    batches = series[: len(series) // _BATCH * _BATCH].reshape(-1, _BATCH).mean(axis=1)
    if len(batches) < 2 or not np.isfinite(batches).all():
        return None
    left = np.arange(len(batches), 0, -1)
    totals, squares = np.cumsum(batches[::-1])[::-1], np.cumsum(batches[::-1] ** 2)[::-1]
    errors = (squares - totals**2 / left) / left.astype(np.float64) ** 2
    half = len(batches) // 2
    cut = int(np.argmin(np.maximum(errors[: half + 1], 0)))
    return None if cut == half else cut * _BATCH


def welch(curves: Floats, reach: int) -> Floats:
    """The mean of several runs, smoothed by a moving average that reaches so many points to both sides (Welch 1983).

    Near the ends it reaches as far as there are points on both sides.

    Args:
        curves: a row for each run.
        reach: how far.
    """
    mean = curves.mean(axis=0)
    return np.array([mean[at - width : at + width + 1].mean() for at, width in _widths(len(mean), reach)])


def _widths(length: int, reach: int) -> list[tuple[int, int]]:
    return [(at, min(reach, at, length - 1 - at)) for at in range(length)]
