"""What theory says of a metric, and how far from it an experiment came.

Which closed form applies is decided where the scenario is known; here the two numbers stand side by side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exact:
    """The exact value of a metric in the long run, by a closed form.

    Args:
        metric: its path, ``work.wait.mean``.
        value: in the metric's unit.
        model: in Kendall's notation, ``M/M/3``.
        source: who found the form.
    """

    metric: str
    value: float
    model: str
    source: str

    @property
    def path(self) -> str:
        """Of the metric, with its section in front: a group of consumers may have the queue's name."""
        return self.metric if self.metric == "window.mean" else f"queues.{self.metric}"


def z_score(observed: Sequence[float], exact: float) -> float:
    """How many standard errors the mean over replications is off; nan for fewer than two, or without any spread."""
    n = len(observed)
    if n < 2:
        return math.nan
    mean = math.fsum(observed) / n
    variance = math.fsum((value - mean) ** 2 for value in observed) / (n - 1)
    return (mean - exact) / math.sqrt(variance / n) if variance else math.nan
