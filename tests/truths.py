"""How a truth of queueing theory is held against the simulation: claims, lengths from power, and a level for the family.

A ``Truth`` is a scenario with what theory says of it: the numbers of the truth table, and whatever ``exact_values`` finds out
by itself. Each of them is one *claim*: that the mean over independent replications is the exact value. The claims of all
truths share one level by Bonferroni, so that in a fair run all hold but once in a hundred thousand runs; that is ten times
rarer than asked for, since the mean of a replication is a little skewed and Student's t supposes that it is not.

Tails are claimed as shares beyond a time, too: unlike a share, a quantile of one replication is biased, by a sixth at p99.9 of
11,500 waits, since neighbours in a queue share their luck.

How many replications are run is computed, not chosen: a pilot says how far replications lie apart, and then there are as
many as are needed for an error of ``within`` to be noticed almost surely. A verdict says what would have been noticed.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from simbus.analysis.metrics import quantile
from simbus.analysis.replication import PROBABILITIES, Replication
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.experiment.runners import Task, run_waves
from simbus.simulation.forecast.exact import exact_values
from simbus.simulation.scenario import Scenario

FAMILY = 1e-5  # of all claims together: a false alarm in a hundred thousand runs
POWER = 0.99  # that an error of ``within`` is noticed
PILOT, FEWEST, MOST = 12, 16, 600  # replications
JOBS = 2  # processes
RARE = 0.02

Observe = Callable[[Replication], float]


@dataclass(frozen=True)
class Claim:
    """That a number of a replication has this mean; a relative error of ``within`` has to be noticed."""

    name: str
    exact: float
    within: float
    observe: Observe


@dataclass(frozen=True)
class Truth:
    """A scenario and what is known of it.

    ``exact`` holds values by metric, ``beyond`` shares by a metric of time and seconds: ``{("work.wait", 5): 0.1}`` says that
    one wait in ten is longer than 5 s; ``seen`` is for whatever else a replication shows. ``within`` is for means; ``_looser``
    has by how much more quantiles and tails may be off.
    """

    scenario: Scenario
    exact: Mapping[str, float] = field(default_factory=dict)
    beyond: Mapping[tuple[str, float], float] = field(default_factory=dict)
    seen: Mapping[str, tuple[Observe, float]] = field(default_factory=dict)
    within: float = 0.2
    duration: str = "1h"
    warmup: str = "8min"

    @property
    def timed(self) -> Scenario:
        """The scenario, with how long a replication takes."""
        return self.scenario.with_("run.duration", self.duration).with_("run.warmup", self.warmup)

    def claims(self) -> list[Claim]:
        """All that is claimed, each once: the table's number goes before the one that the simulation says itself."""
        metrics = {each.metric: each.value for each in exact_values(self.timed)} | dict(self.exact)
        means = [Claim(name, value, self.within * _looser(name, value), metric(name)) for name, value in metrics.items()]
        tails = [
            Claim(f"{name} > {time} s", share, self.within * (4 if share < RARE else 2), beyond(name, time))
            for (name, time), share in self.beyond.items()
        ]
        others = [Claim(name, value, self.within, observe) for name, (observe, value) in self.seen.items()]
        return means + tails + others


def _looser(name: str, value: float) -> float:
    """How much wider than for a mean the error may be: what is rare is seen seldom."""
    probability = quantile(name)
    if probability is not None:
        return 2 if probability < 0.99 else 3
    return 2 if ".loss." in name and value < RARE else 1


def metric(name: str) -> Observe:
    """The value of that path."""
    return lambda replication: replication.values[name]


def beyond(name: str, seconds: float) -> Observe:
    """The share of times that are longer, from the curve of quantiles; exact but for the steps of that curve."""
    return lambda replication: 1 - float(np.interp(seconds, replication.curves[f"{name}.quantiles"], PROBABILITIES))


@dataclass(frozen=True)
class Verdict:
    """What became of a claim, ``z`` standard errors off; a relative error of ``noticed`` would almost surely have shown."""

    claim: Claim
    mean: float
    z: float
    noticed: float
    critical: float

    @property
    def holds(self) -> bool:
        """Whether the claim may be true, and would have been found out had it been false."""
        return abs(self.z) < self.critical and self.noticed <= self.claim.within

    def __str__(self) -> str:
        claim, mark = self.claim, " " if self.holds else "*"
        return (
            f"{mark} {claim.name:28} exact {claim.exact:10.6g}  mean {self.mean:10.6g}  z {self.z:6.2f} of {self.critical:.2f}  "
            f"shows {self.noticed:6.1%} of {claim.within:.0%}"
        )


def judge(truth: Truth, family: int, seed: int) -> list[Verdict]:
    """Simulate as long as it takes, and hold every claim against it; ``family`` is the number of claims of all truths."""
    scenario, claims, level = truth.timed, truth.claims(), FAMILY / family
    scenario.validate()

    def more(found: Sequence[Replication]) -> list[Task]:
        wanted = needed(claims, found, level) if found else PILOT
        return [(scenario, seed, index) for index in range(len(found), wanted)]

    found = run_waves(run_replication, more, JOBS, None, None)
    return [verdict(claim, [claim.observe(each) for each in found], level) for claim in claims]


def needed(claims: Iterable[Claim], found: Sequence[Replication], level: float) -> int:
    """The replications for an error of ``within`` to be noticed, of the claim that needs the most."""
    spread = max(np.std([claim.observe(each) for each in found], ddof=1) / (claim.within * claim.exact) for claim in claims)
    n = FEWEST
    while reach(n, level) * spread > math.sqrt(n) and n < MOST:
        n += 4
    return n


def reach(n: int, level: float) -> float:
    """How many standard errors an error must be to be noticed: the critical value and, for the power, some more."""
    return float(stdtrit(n - 1, 1 - level / 2) + stdtrit(n - 1, POWER))


def verdict(claim: Claim, observed: Sequence[float], level: float) -> Verdict:
    """By Student's t over the replications."""
    n = len(observed)
    mean, error = float(np.mean(observed)), float(np.std(observed, ddof=1)) / math.sqrt(n)
    critical = float(stdtrit(n - 1, 1 - level / 2))
    if not error:  # of what never happens
        return Verdict(claim, mean, 0.0 if math.isclose(mean, claim.exact, abs_tol=1e-12) else math.inf, 0.0, critical)
    return Verdict(claim, mean, (mean - claim.exact) / error, reach(n, level) * error / claim.exact, critical)
