"""Replications and what they were runs of: every metric with its interval, every expectation with its outcome.

Plain data with questions to ask of it, for plots, tables and the report; it can be pickled. What a
user holds is ``results.Result``, which adds those on top. The statistics are in ``estimates``.
"""

import hashlib
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.batches import batch_means
from simbus.analysis.chart import Chart
from simbus.analysis.controls import controlled
from simbus.analysis.estimates import Estimate, share, student_t
from simbus.analysis.exact import Exact
from simbus.analysis.expectations import Expectation, Target, Verdict, parse, resolve
from simbus.analysis.metrics import quantile, seen_after
from simbus.analysis.precision import Precision, shared_out
from simbus.analysis.replication import PROBABILITIES, Replication
from simbus.analysis.rows import Listed
from simbus.analysis.warmup import mser5
from simbus.errors import ScenarioError
from simbus.units import SECOND

_SPARE = 3  # observations that controls leave: two degrees of freedom, beside the mean


@dataclass(frozen=True, slots=True)
class Settings:
    """How the replications were run.

    Args:
        seed: what every random stream derives from.
        duration: measured time of a replication in nanoseconds, None for until the arrivals end.
        warmup: time before that, which the metrics leave out, in nanoseconds.
        confidence: of every interval, between 0 and 1.
        precision: the relative precision that was asked for, by the metric's path.
        antithetic: whether replications 2k and 2k + 1 are a pair of which one mirrors the other: one observation.
    """

    seed: int
    duration: int | None = None
    warmup: int = 0
    confidence: float = 0.95
    precision: tuple[tuple[str, float], ...] = ()
    antithetic: bool = False

    @property
    def to_observe(self) -> int:
        """How many replications make an independent observation."""
        return 2 if self.antithetic else 1


@dataclass(frozen=True, slots=True)
class Offered:
    """What a consumed queue is offered, by arithmetic and not by observation.

    Args:
        queue: its name.
        utilisation: the arriving work by what its consumers can do, retries counted; at 1 and above it has no steady state.
        to_settle: nanoseconds that it takes to forget how it began.
        bounded: whether a limit or a time to live keeps it from growing without end.
    """

    queue: str
    utilisation: float
    to_settle: float
    bounded: bool = False


def versions() -> dict[str, str]:
    """What a run's numbers depend on: Python and the libraries that draw and drive."""
    return {"python": platform.python_version(), **{package: _version(package) for package in ("simbus", "simpy", "numpy")}}


@cache
def _version(package: str) -> str:
    """Once a process: it is read from files."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@dataclass(frozen=True)
class Findings:
    """What an experiment found; every number is an estimate over independent replications.

    Args:
        scenario: its name.
        settings: seed, duration, warm-up and confidence.
        replications: in the order of their index.
        queues: names in the order in which they are shown.
        consumers: names of the consumer groups.
        expectations: what the scenario expects.
        text: the scenario as it was written, for the record.
        exact: what theory says of metrics, where a closed form applies.
        offered: the load of each consumed queue.
        parties: by queue, the publishers and consumers that bear on it.
        versions: of Python and the libraries, by name.
        classes: of messages in queues, ``payments[gold]``.
        question: what the scenario was made to answer.
        answer: what it says to that.
        delays: by queue, those in which its messages wait to be tried again.
        chart: the scenario's topology, with what goes where by arithmetic.
        outages: by name, the queues that an outage bears on.
        inexact: by consumed queue of which theory says nothing, why.
        lister: runs a replication again and lists what happened in it; left behind when a result is pickled or saved.
    """

    scenario: str
    settings: Settings
    replications: tuple[Replication, ...]
    queues: tuple[str, ...]
    consumers: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    text: str = ""
    exact: tuple[Exact, ...] = ()
    offered: tuple[Offered, ...] = ()
    parties: dict[str, tuple[str, ...]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    classes: tuple[str, ...] = ()
    question: str = ""
    answer: str = ""
    delays: dict[str, tuple[str, ...]] = field(default_factory=dict)
    chart: Chart = field(default_factory=Chart)
    outages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    inexact: dict[str, str] = field(default_factory=dict)
    lister: Callable[[int], Listed] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"lister": None}

    def resolve(self, path: str) -> Target:
        """What a path such as ``payments.wait.p99`` means here; ScenarioError when it means nothing."""
        return resolve(path, self.queues, self.consumers, self.classes, place="metric")

    def estimate(self, path: str, *, confidence: float | None = None, controls: bool | Sequence[str] = False) -> Estimate:
        """Mean and confidence interval of a metric over the replications; of a single one, by batch means.

        Args:
            path: such as ``payments.wait.p99``.
            confidence: of the interval, by default that of the run.
            controls: whether to take out the luck that is known (control variates): what publishers that reach the queue, and its
                consumers, happened to draw; or the names of such draws, of ``controls()``.

        Raises:
            ScenarioError: for a path that is unknown or ambiguous, or controls that are unknown or too many.
        """
        target = self.resolve(path)
        confidence = self.settings.confidence if confidence is None else confidence
        if not 0.5 <= confidence < 1:  # intervals that hold together are made at more than a run may ask for
            raise ScenarioError(path, f"confidence: {confidence!r} is not from 0.5 to below 1; write for example 0.95")
        return self._controlled(target, confidence, controls) if controls else self._estimate(target, confidence)

    def _controlled(self, target: Target, confidence: float, controls: bool | Sequence[str]) -> Estimate:
        names, observed = self._controls(target, controls), self._observed(target)
        if len(observed) < len(names) + _SPARE:
            problem = f"{len(names)} of them take {len(names) + _SPARE} observations, not {len(observed)}"
            raise ScenarioError(target.path, f"controls: {problem}; name fewer, or replicate it more often")
        if math.inf in observed:
            return self._estimate(target, confidence)
        excesses = [self._paired([x - y for x, y in (each.controls[name] for each in self.replications)]) for name in names]
        found = controlled(observed, np.array(excesses).T, confidence)
        low, high = (0.0, 1.0) if target.metric.unit == "share" else (-math.inf, math.inf)
        return replace(found, low=max(found.low, low), high=min(found.high, high))

    def _controls(self, target: Target, asked: bool | Sequence[str]) -> Sequence[str]:
        """The draws asked for; else those that bear on a queue or on consumers, or all where a metric is about neither."""
        known = self.replications[0].controls if self.replications else {}
        if isinstance(asked, bool):
            of = target.entity
            parties = next((who for queue, who in self.parties.items() if queue == of or of in who), ("publishers", "consumers"))
            asked = [name for name in known if name.startswith(tuple(f"{party}." for party in parties))]
        for name in asked:
            if name not in known:
                raise ScenarioError(target.path, f"controls: {name!r} is not drawn; known: {', '.join(known) or 'none'}")
        if not asked:
            raise ScenarioError(target.path, "controls: nothing that bears on it is drawn with a known mean; leave them out")
        return asked

    def observations(self, path: str) -> list[float]:
        """What each replication says of a metric, or the mean of each antithetic pair; nan where nothing was observed."""
        return self._observed(self.resolve(path))

    def observed(self, formula: Callable[[Replication], float]) -> list[float]:
        """What a formula says of each replication, or the mean of each antithetic pair."""
        return self._paired([formula(each) for each in self.replications])

    def batches(self, target: Target) -> NDArray[np.float64] | None:
        """A metric in the batches of the only replication; None where there are several, or no batches of it."""
        return self.replications[0].curves.get(f"{target.key}.batches") if len(self.replications) == 1 else None

    def precisions(self) -> list[Precision]:
        """How precise the metrics are of which a relative precision was asked, all of them at once at the run's confidence."""
        asked = self.settings.precision
        confidence = shared_out(self.settings.confidence, len(asked))
        return [self._precision(path, wanted, confidence) for path, wanted in asked]

    def _precision(self, path: str, wanted: float, confidence: float) -> Precision:
        target, estimate = self.resolve(path), self.estimate(path, confidence=confidence)
        outcomes = [each.outcome(estimate) for each in self.expectations if each.target.key == target.key]
        decided = estimate.mean == 0 and bool(outcomes) and "undecided" not in outcomes
        return Precision(path, wanted, estimate, self.settings.to_observe, decided)

    def _estimate(self, target: Target, confidence: float) -> Estimate:
        observed = self._observed(target)
        if (batches := self.batches(target)) is not None:
            return batch_means(observed[0], batches, confidence)
        if not target.metric.trials:
            return student_t(observed, confidence)
        trials = self._paired(self._values(f"{target.entity}.{target.metric.trials}"))
        return share(observed, [n * self.settings.to_observe for n in trials], confidence)

    def curves(self, path: str) -> NDArray[np.float64]:
        """A curve of every replication, or the mean of every antithetic pair, one a row; nan where there is none."""
        rows = self._rows(path)
        return (rows[::2] + rows[1::2]) / 2 if self.settings.antithetic else rows

    def _rows(self, path: str) -> NDArray[np.float64]:
        found = [each.curves.get(path) for each in self.replications]
        length = max((len(curve) for curve in found if curve is not None), default=0)
        return np.array([np.full(length, math.nan) if curve is None else curve for curve in found]).reshape(len(found), length)

    def suggested_warmup(self, queue: str) -> float:
        """The seconds to cut off, by MSER-5 on the queue's mean depth over time; inf when it finds no such point in half the run.

        Raises:
            ScenarioError: for a run that ends with its arrivals, which has no steady state to warm up to.
        """
        if self.settings.duration is None:
            raise ScenarioError("run.duration", "a run that ends with its arrivals has no warm-up; give it a duration")
        depth = self.curves(f"{queue}.depth.over_time")
        cut = mser5(depth.mean(axis=0)) if depth.size else None
        length = (self.settings.warmup + self.settings.duration) / SECOND
        return math.inf if cut is None else cut * length / depth.shape[1]

    def verdict(self, expectation: Expectation | str) -> Verdict:
        """Hold an expectation, also a new one in text, against its confidence interval."""
        if isinstance(expectation, str):
            expectation = parse(expectation, self.queues, self.consumers, self.classes)
        estimate = self._estimate(expectation.target, self.settings.confidence)
        return Verdict(expectation, estimate, expectation.outcome(estimate), self.settings.to_observe)

    def verdicts(self) -> list[Verdict]:
        """One for each expectation of the scenario, in its order."""
        return [self.verdict(expectation) for expectation in self.expectations]

    @property
    def asked(self) -> list[Target]:
        """The metrics that someone asked about: those of expectations, and those that were to be precise."""
        precise = (self.resolve(path) for path, _ in self.settings.precision)
        asked = {target.key: target for target in (*(each.target for each in self.expectations), *precise)}
        return list(asked.values())

    def mean(self, key: str) -> float:
        """The mean of a value over the replications, nan where it is not known."""
        return student_t(self._values(key)).mean

    @property
    def trace_hash(self) -> str:
        """One hash over the traces of all replications: equal hashes, equal runs."""
        return hashlib.sha256("\n".join(each.trace_hash for each in self.replications).encode()).hexdigest()

    def _values(self, key: str) -> list[float]:
        return [each.values.get(key, math.nan) for each in self.replications]

    def _paired(self, values: list[float]) -> list[float]:
        """The values of independent observations: the means of antithetic pairs, where there are some."""
        return [(x + y) / 2 for x, y in zip(values[::2], values[1::2], strict=True)] if self.settings.antithetic else values

    def _observed(self, target: Target) -> list[float]:
        return self._paired(self._recorded(target))

    def _recorded(self, target: Target) -> list[float]:
        """The recorded values, or for a quantile that was not recorded, or what is seen after a time, a point on a curve."""
        if (after := seen_after(target.name)) is not None:
            return [_seen(each, after) for each in self.replications]
        probability = quantile(target.name)
        if probability is None or any(target.key in each.values for each in self.replications):
            return self._values(target.key)
        curves = self._rows(f"{target.key.rpartition('.p')[0]}.quantiles")
        at = np.flatnonzero(probability == PROBABILITIES)
        return [float(curve[at[0]]) for curve in curves] if len(at) and curves.size else self._values(target.key)


def _seen(replication: Replication, after: int) -> float:
    """The share of consistency windows that have closed so many nanoseconds after the publish; nan where there are none."""
    times, shares = (replication.curves.get(f"window.seen.{what}", np.empty(0)) for what in ("times", "shares"))
    place = int(np.searchsorted(times, after / SECOND, side="right"))
    return float(shares[place - 1]) if place else 0.0 if len(times) else math.nan
