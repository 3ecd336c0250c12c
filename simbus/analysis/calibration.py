"""How far a simulation is from what was observed: ``calibrate`` in plain numbers.

The observed system is one run. So it is held against single replications, and not against their mean: were the scenario right,
the observation would be as one more replication. Two things follow from that.

- A statistic of one more run lies in its prediction interval: mean +- t * s * sqrt(1 + 1/n) of n replications (Hahn and Meeker,
  *Statistical Intervals*, 1991).
- The distance of a run from all others together is as good as any other run's, so the share of runs that are at least as far off
  as the observation, itself included, is an exact p-value (Barnard 1963; Besag and Diggle 1977). It holds although successive
  waits depend on each other, where the tables of Kolmogorov and Smirnov would refuse the true model as well.

The distance is Wasserstein's: by how much times, or depths, differ on average, in their own unit; Kolmogorov and Smirnov's is
told besides. Both come from SciPy, on as many equally likely points of each distribution. What is observed over time is compared
in the same stretches of time as the simulated curve, as averages.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from simbus.analysis import formats
from simbus.analysis.estimates import student_t
from simbus.analysis.expectations import Target
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import quantile_name
from simbus.analysis.replication import PROBABILITIES
from simbus.analysis.tables import Cell, Table
from simbus.errors import ScenarioError
from simbus.units import SECOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

Floats = NDArray[np.float64]
Unit = Literal["time", "count"]
_POINTS = 1_000  # of a distribution, equally likely
_TIMES = (0.5, 0.9, 0.95, 0.99)
_LEVELS = {0.5: "p50", 0.9: "p90", 1.0: "max"}
_FEWEST = 2  # stretches of time
_FEW = 10  # observations beyond a quantile, without which it says little
_UNLIKE = 1.25  # times as many observations as in a replication, or as few, are another experiment


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number of the observation, and what one more replication would have with the run's confidence.

    Args:
        name: ``mean``, ``p99``, ``max``.
        observed: in SI units.
        simulated: the mean over the replications.
        low: the lower limit of the prediction interval for one run.
        high: its upper limit.
    """

    name: str
    observed: float
    simulated: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Whether one more replication could well have it."""
        return self.low <= self.observed <= self.high


@dataclass(frozen=True)
class Calibration:
    """What :func:`simbus.calibrate` found.

    Args:
        metric: as it was asked for.
        unit: of all numbers: seconds or messages.
        statistics: the numbers that were compared.
        distance: Wasserstein's, of the observation from all replications together.
        usual: the same of each replication from all other runs.
        ks: Kolmogorov and Smirnov's distance, as a share; nan for what is compared over time.
        p: the share of runs, the observed one included, that are at least as far from the others as it is.
        confidence: of the intervals and the outcome.
        observed: the curve of the observation: its quantiles, or its level over time.
        simulated: the same of each replication, a row each.
        at: the probabilities, or the seconds since the start of the run.
        over_time: whether the curves are over time.
        cautions: what to know before this is trusted, a sentence each.
    """

    metric: str
    unit: Unit
    statistics: tuple[Statistic, ...]
    distance: float
    usual: tuple[float, ...]
    ks: float
    p: float
    confidence: float
    observed: Floats = field(repr=False)
    simulated: Floats = field(repr=False)
    at: Floats = field(repr=False)
    over_time: bool = False
    cautions: tuple[str, ...] = ()

    @property
    def outcome(self) -> Literal["inside", "outside", "undecided"]:
        """Whether the observation could be one more replication.

        It is outside when fewer runs are as far off as the confidence leaves; undecided when it is the farthest of so few that
        this would say nothing.
        """
        least, alpha = 1 / (1 + len(self.usual)), 1 - self.confidence
        if self.p <= alpha + 1e-12:
            return "outside"
        return "undecided" if self.p <= least + 1e-12 else "inside"

    def table(self) -> "DataFrame":
        """A row for each statistic: observed, simulated, low, high, inside, and by which share the simulation is off."""
        from pandas import DataFrame as Frame

        rows = [
            (each.name, each.observed, each.simulated, each.low, each.high, each.inside, _off(each)) for each in self.statistics
        ]
        return Frame(rows, columns=["statistic", "observed", "simulated", "low", "high", "inside", "off"]).set_index("statistic")

    def as_text(self) -> Table:
        """The same for a terminal."""
        headings = ("", "observed", "simulated", "one more run", "off")
        return Table(f"{self.metric}, observed and simulated", headings, tuple(self._row(each) for each in self.statistics))

    def _row(self, each: Statistic) -> tuple[Cell, ...]:
        low, high = formats.value(each.low, self.unit), formats.value(each.high, self.unit)
        range_ = f"{'✓' if each.inside else '✗'} {low} to {high}"
        off = formats.NOTHING if math.isnan(_off(each)) else f"{_off(each):+.1%}"
        numbers = (formats.value(each.observed, self.unit), formats.value(each.simulated, self.unit))
        return tuple(map(Cell, (each.name, *numbers, range_, off)))

    def __str__(self) -> str:
        away, usual = formats.value(self.distance, self.unit), formats.value(float(np.median(self.usual)), self.unit)
        far = sum(each >= self.distance for each in self.usual)
        ranks = f"{far} of {len(self.usual)} as far or farther, p = {self.p:.2g}"
        ks = "" if math.isnan(self.ks) else f"; shares of it differ by {self.ks:.1%} at most (Kolmogorov-Smirnov)"
        return f"{self.metric}: {self.outcome}: {away} off on average, when replications are {usual} off ({ranks}){ks}"

    def _repr_html_(self) -> str:
        from html import escape

        notes = "".join(f"<p>{escape(each)}</p>" for each in self.cautions)
        return f"<p>{escape(str(self))}</p>{self.table().to_html(float_format='{:.4g}'.format)}{notes}"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Observed quantiles against simulated ones, or the level over time; the band is that of one more replication."""
        from simbus.analysis.plots.calibration import Curves, draw_over_time, draw_quantiles

        band = np.array([_predicted(column, self.confidence) for column in self.simulated.T]).T
        drawn = Curves(self.metric, self.unit, self.confidence, self.at, self.observed, band)
        return (draw_over_time if self.over_time else draw_quantiles)(drawn, ax)


def of_times(found: Findings, metric: str, seconds: Floats) -> Calibration:
    """Hold observed times against those of a queue or of the consistency window.

    Args:
        found: the replications.
        metric: ``payments.wait``, ``payments[gold].residence``, ``window``.
        seconds: the times, in any order.

    Raises:
        ScenarioError: there is no such metric of times, or not enough replications that are independent.
    """
    target = _target(found, metric)
    curves = _curves(found, target, "quantiles", metric)
    known = np.array(np.isfinite(curves).all(axis=0))
    at, curves = PROBABILITIES[known], curves[:, known]
    if not len(at):
        raise ScenarioError(metric, "no replication observed any such time; simulate for longer")
    observed = np.quantile(seconds, at)
    means = [each for each in found.observations(f"{metric}.mean") if not math.isnan(each)]
    statistics = [_statistic("mean", float(seconds.mean()), means, found)]
    statistics += [
        _statistic(quantile_name(p), float(np.quantile(seconds, p)), curves[:, at == p][:, 0], found) for p in _TIMES if p in at
    ]
    numbers = [n for n in found.observations(f"{metric}.n") if not math.isnan(n)]
    cautions = (*_unlike(len(seconds), float(np.mean(numbers)), "observations"), *_tail(len(seconds)), *_cut(known))
    return _compared(found, metric, "time", statistics, observed, curves, at, cautions, over_time=False)


def of_levels(found: Findings, metric: str, at: Floats, levels: Floats) -> Calibration:
    """Hold an observed number of messages in a queue against the simulated one.

    A run that ends with its arrivals is compared stretch by stretch of time, any other by how much of the time it is how deep.

    Args:
        found: the replications.
        metric: ``payments.depth``, ``.ready`` or ``.unacked``.
        at: seconds since the first observation, which is the start of the run.
        levels: messages at these instants.

    Raises:
        ScenarioError: there is no such metric of a level, or not enough replications that are independent.
    """
    curves = _curves(found, _target(found, metric), "over_time", metric)
    times = np.array([each.curves["time"] for each in found.replications]).mean(axis=0)
    step, over_time = float(times[1] - times[0]), found.settings.duration is None
    measured = times >= found.settings.warmup / SECOND
    times, curves = times[measured], curves[:, measured]
    averages = _averages(at, levels, step, len(times) if over_time else int(at[-1] // step) + 1)
    seen = ~np.isnan(averages)
    if seen.sum() < _FEWEST:
        raise ScenarioError(metric, f"observe for longer than {formats.value(step, 'time')}, which is one stretch of time")
    cautions = (*_unlike(float(at[-1] - at[0]), len(times) * step, "seconds"), *_coarse(len(levels) / float(seen.sum()), step))
    averages, curves = averages[seen], curves[:, seen] if over_time else curves
    statistics = _of_averages(averages, curves, found)
    if over_time:
        return _compared(found, metric, "count", statistics, averages, curves, times[seen], cautions, over_time=True)
    quantiles, curves = np.quantile(averages, PROBABILITIES), np.quantile(curves, PROBABILITIES, axis=1).T
    return _compared(found, metric, "count", statistics, quantiles, curves, PROBABILITIES, cautions, over_time=False)


def _of_averages(observed: Floats, simulated: Floats, found: Findings) -> list[Statistic]:
    """Of averages over stretches of time: their mean, which is that of the level, and how large they are for how long."""
    of_shares = [
        _statistic(_LEVELS[p], float(np.quantile(observed, p)), np.quantile(simulated, p, axis=1), found) for p in _LEVELS
    ]
    return [_statistic("mean", float(observed.mean()), simulated.mean(axis=1), found), *of_shares]


def _compared(
    found: Findings,
    metric: str,
    unit: Unit,
    statistics: list[Statistic],
    observed: Floats,
    curves: Floats,
    at: Floats,
    cautions: tuple[str, ...],
    *,
    over_time: bool,
) -> Calibration:
    runs = np.vstack([observed, curves])
    ks = math.nan
    if not over_time:
        runs = np.array([np.interp((np.arange(_POINTS) + 0.5) / _POINTS, at / at[-1], run) for run in runs])
        ks = _ks(runs[0], runs[1:].ravel())
    distances = list(_distances(runs, _apart if over_time else _wasserstein))
    p = sum(each >= distances[0] for each in distances) / len(distances)
    few = _few(len(curves), found.settings.confidence)
    return Calibration(
        metric=metric,
        unit=unit,
        statistics=tuple(statistics),
        distance=distances[0],
        usual=tuple(distances[1:]),
        ks=ks,
        p=p,
        confidence=found.settings.confidence,
        observed=observed,
        simulated=curves,
        at=at,
        over_time=over_time,
        cautions=(*cautions, *few),
    )


def _distances(runs: Floats, distance: Callable[[Floats, Floats], float]) -> Iterator[float]:
    """Of each run from all others together, the observed one among them."""
    for place in range(len(runs)):
        yield distance(runs[place], np.delete(runs, place, axis=0))


def _apart(run: Floats, others: Floats) -> float:
    return float(np.abs(run - others.mean(axis=0)).mean())


def _wasserstein(run: Floats, others: Floats) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(run, others.ravel()))


def _ks(run: Floats, others: Floats) -> float:
    from scipy.stats import ks_2samp

    return float(ks_2samp(run, others, method="asymp").statistic)


def _target(found: Findings, metric: str) -> Target:
    if found.settings.antithetic:
        raise ScenarioError(metric, "antithetic replications depend on each other, as real runs do not; simulate without")
    if len(found.replications) < 2:
        raise ScenarioError(metric, "one replication does not tell how far runs differ; simulate 19 or more")
    return found.resolve(f"{metric}.mean")


def _curves(found: Findings, target: Target, what: str, metric: str) -> Floats:
    path = f"{target.key.removesuffix('.mean')}.{what}"
    rows = [each.curves[path] for each in found.replications if path in each.curves]
    rows = [row for row in rows if not np.isnan(row).any()]
    if len(rows) < 2:
        known = "times of a queue, and window" if what == "quantiles" else "depth, ready and unacked of a queue"
        raise ScenarioError(metric, f"is not recorded, or was not observed; what can be compared are {known}")
    return np.array(rows)


def _statistic(name: str, observed: float, simulated: object, found: Findings) -> Statistic:
    mean, low, high = _predicted(np.asarray(simulated, dtype=np.float64), found.settings.confidence)
    return Statistic(name, observed, mean, low, high)


def _predicted(values: Floats, confidence: float) -> tuple[float, float, float]:
    """The mean, and the limits for one more; what is compared is never negative."""
    found = student_t(values.tolist(), confidence)
    half = found.half_width * math.sqrt(found.n + 1)
    return found.mean, max(0.0, found.mean - half), found.mean + half


def _averages(at: Floats, levels: Floats, step: float, count: int) -> Floats:
    """The mean of the observations in each stretch of time; nan where there is none."""
    place = ((at - at[0]) // step).astype(np.int64)
    inside = place < count
    totals = np.bincount(place[inside], weights=levels[inside], minlength=count)
    numbers = np.bincount(place[inside], minlength=count)
    means: Floats = np.divide(totals, numbers, out=np.full(count, math.nan), where=numbers > 0)
    return means


def _off(each: Statistic) -> float:
    return each.simulated / each.observed - 1 if each.observed else math.nan


def _unlike(observed: float, simulated: float, what: str) -> Iterator[str]:
    if not 1 / _UNLIKE <= observed / simulated <= _UNLIKE:
        problem = f"{observed:,.0f} {what}, and a replication has {simulated:,.0f}"
        yield f"{problem}: a longer run varies less and a shorter one more, so simulate as long as was observed"


def _tail(n: int) -> Iterator[str]:
    beyond = [quantile_name(p) for p in _TIMES if n * (1 - p) < _FEW]
    if beyond:
        yield f"fewer than {_FEW} of {n:,} observations lie beyond {beyond[0]}: from there on they say little"


def _cut(known: NDArray[Any]) -> Iterator[str]:
    if not known.all():
        share = PROBABILITIES[known][-1]
        yield f"some windows never close in a simulation: only the shortest {share:.2%} are compared"


def _coarse(per_stretch: float, step: float) -> Iterator[str]:
    if per_stretch < 3:
        length = formats.value(step, "time")
        yield f"{per_stretch:.1f} observations in each stretch of {length}: snapshots vary more than averages; observe more often"


def _few(n: int, confidence: float) -> Iterator[str]:
    needed = math.ceil(1 / (1 - confidence) - 1e-9) - 1
    if n < needed:
        yield f"{n} replications cannot refuse anything at a confidence of {confidence:.0%}: that takes {needed}"
