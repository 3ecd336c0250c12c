"""Relative precision: how wide an interval is beside its mean, and whether that is what was asked for.

Several metrics are judged together: their intervals hold at once with the run's confidence (Bonferroni). When to stop is the
business of the simulation's ``stopping``.
"""

import math
from dataclasses import dataclass

from simbus.analysis.estimates import Estimate


@dataclass(frozen=True, slots=True)
class Precision:
    """A metric whose interval was asked to be narrow beside its mean.

    Args:
        metric: its path.
        wanted: the largest half-width that is narrow enough, as a share of the mean.
        estimate: with an interval that holds together with those of the other metrics.
        each: replications to an observation.
        decided: whether its mean is 0 and all that is expected of it is decided even so: then no share of it is needed.
    """

    metric: str
    wanted: float
    estimate: Estimate
    each: int = 1
    decided: bool = False

    @property
    def found(self) -> float:
        """The half-width as a share of the mean; inf as long as nothing is known, or while the mean is 0 and need not be."""
        half, mean = self.estimate.half_width, abs(self.estimate.mean)
        if half == 0:
            return 0.0
        return half / mean if 0 < mean < math.inf and math.isfinite(half) else math.inf

    @property
    def reached(self) -> bool:
        """Whether the interval is as narrow as was asked for, or needs not be."""
        return self.decided or self.found <= self.wanted

    @property
    def shortfall(self) -> str:
        """What was asked and what came of it, in a sentence for a reader who did not get it."""
        asked = f"{self.metric}: not within {100 * self.wanted:.3g} % of its mean, as was asked"
        if math.isfinite(self.found):
            needed = math.ceil(self.estimate.n * (self.found / self.wanted) ** 2) * self.each
            return f"{asked}: ± {100 * self.found:.3g} % when the replications were used up; about {needed:,} would do."
        why = "it was 0 throughout" if self.estimate.mean == 0 else "a mean is not known or not finite"
        return f"{asked}: {why}, so that no share of it can be; ask for another metric."


def shared_out(confidence: float, metrics: int) -> float:
    """The confidence of each of several intervals that hold all at once with the given one (Bonferroni's inequality)."""
    return 1 - (1 - confidence) / max(1, metrics)
