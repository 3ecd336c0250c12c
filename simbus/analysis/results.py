"""The result of an experiment: replications in, estimates, data frames and verdicts out.

Plain data with questions to ask of it; it can be pickled. Intervals are computed in ``estimates``,
drawn in ``plots`` and written in ``tables`` and ``report``.
"""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from simbus.analysis.estimates import Estimate, share, student_t
from simbus.analysis.expectations import Expectation, Target, Verdict, parse, resolve
from simbus.analysis.metrics import CAUSES, quantile
from simbus.analysis.replication import PROBABILITIES, Replication

if TYPE_CHECKING:
    from pandas import DataFrame

    from simbus.analysis.plots import Plots

_SUMMARY = ("throughput", "utilisation", "depth.mean", "wait.mean", "wait.p50", "wait.p95", "wait.p99")
_SUMMARY += ("residence.mean", "residence.p50", "residence.p95", "residence.p99", "loss", "duplicates")
_WINDOW = ("mean", "p50", "p95", "p99", "never", "open")
_ENOUGH_BEYOND = 10
_SATURATED = 0.98


@dataclass(frozen=True, slots=True)
class Settings:
    """How the replications were run.

    Args:
        seed: what every random stream derives from.
        duration: measured time of a replication in nanoseconds, None for until the arrivals end.
        warmup: time before that, which the metrics leave out, in nanoseconds.
        confidence: of every interval, between 0 and 1.
    """

    seed: int
    duration: int | None = None
    warmup: int = 0
    confidence: float = 0.95


def versions() -> dict[str, str]:
    """What a run's numbers depend on: Python and the libraries that draw and drive."""
    found = {"python": platform.python_version()}
    for package in ("simbus", "simpy", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@dataclass(frozen=True)
class Result:
    """What an experiment found; every number is an estimate over independent replications.

    Args:
        scenario: its name.
        settings: seed, duration, warm-up and confidence.
        replications: in the order of their index.
        queues: names in the order in which they are shown.
        consumers: names of the consumer groups.
        expectations: what the scenario expects.
        text: the scenario as it was written, for the record.
        versions: of Python and the libraries, by name.
    """

    scenario: str
    settings: Settings
    replications: tuple[Replication, ...]
    queues: tuple[str, ...]
    consumers: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    text: str = ""
    versions: dict[str, str] = field(default_factory=versions)

    def resolve(self, path: str) -> Target:
        """What a path such as ``payments.wait.p99`` means here; ScenarioError when it means nothing."""
        return resolve(path, self.queues, self.consumers)

    def estimate(self, path: str) -> Estimate:
        """Mean and confidence interval of a metric over the replications.

        Raises:
            ScenarioError: for a path that is unknown or ambiguous.
        """
        target = self.resolve(path)
        observed = self._observed(target)
        if not target.metric.trials:
            return student_t(observed, self.settings.confidence)
        trials = self._values(f"{target.entity}.{target.metric.trials}")
        return share(observed, trials, self.settings.confidence)

    def curves(self, path: str) -> NDArray[numpy.float64]:
        """A curve of every replication, one a row; nan where a replication has none."""
        found = [each.curves.get(path) for each in self.replications]
        length = max((len(curve) for curve in found if curve is not None), default=0)
        return numpy.array([numpy.full(length, math.nan) if curve is None else curve for curve in found]).reshape(-1, length)

    def verdict(self, expectation: Expectation | str) -> Verdict:
        """Hold an expectation, also a new one in text, against its confidence interval."""
        if isinstance(expectation, str):
            expectation = parse(expectation, self.queues, self.consumers)
        estimate = self.estimate(expectation.target.key)
        return Verdict(expectation, estimate, expectation.outcome(estimate))

    def verdicts(self) -> list[Verdict]:
        """One for each expectation of the scenario, in its order."""
        return [self.verdict(expectation) for expectation in self.expectations]

    def cautions(self) -> list[str]:
        """What a careful reader should know before trusting the numbers, a sentence each."""
        few = [q for q in self.queues if 0 < self.estimate(f"queues.{q}.wait.n").mean * 0.01 < _ENOUGH_BEYOND]
        full = [q for q in self.queues if self.estimate(f"queues.{q}.utilisation").mean >= _SATURATED]
        found = [f"{', '.join(few)}: p99 rests on fewer than {_ENOUGH_BEYOND} waits in a replication."] if few else []
        if full:
            found += [f"{', '.join(full)}: the servers may be saturated; waits then grow with the length of the run."]
        if len(self.replications) < 10:
            found += [f"{len(self.replications)} replications are few: intervals are wide, and trustworthy from about 10 on."]
        return found

    @property
    def trace_hash(self) -> str:
        """One hash over the traces of all replications: equal hashes, equal runs."""
        return hashlib.sha256("\n".join(each.trace_hash for each in self.replications).encode()).hexdigest()

    def summary(self) -> DataFrame:
        """A row per queue; the columns are metric by mean, half_width, low and high, in SI units."""
        return self._frame(_SUMMARY)

    def loss(self) -> DataFrame:
        """Shares of delivery obligations lost, in all and by cause, as in :meth:`summary`."""
        return self._frame(("loss", *(f"loss.{cause}" for cause in CAUSES), "waiting"))

    def window(self) -> DataFrame:
        """The consistency window of a message, a row per statistic, times in seconds."""
        from pandas import DataFrame as Frame

        return Frame({name: _limits(self.estimate(f"window.{name}")) for name in _WINDOW}).T

    @property
    def plot(self) -> Plots:
        """Plots of this result: ``depth(queue)``, ``latency(queue)``, ``loss()`` and ``window()``."""
        from simbus.analysis.plots import Plots

        return Plots(self)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data that ``json.dumps`` takes: unknown is None, infinite is ``never``."""
        return {
            "scenario": self.scenario,
            "seed": self.settings.seed,
            "replications": len(self.replications),
            "duration_ns": self.settings.duration,
            "warmup_ns": self.settings.warmup,
            "confidence": self.settings.confidence,
            "trace_hash": self.trace_hash,
            "versions": dict(self.versions),
            "expectations": [
                {"expect": each.expectation.text, "outcome": each.outcome, "estimate": _plain(each.estimate)}
                for each in self.verdicts()
            ],
            "cautions": self.cautions(),
            "estimates": {path: _plain(self.estimate(path)) for path in self._paths()},
        }

    def _repr_html_(self) -> str:
        from simbus.analysis.report import fragment

        return fragment(self)

    def _frame(self, names: Iterable[str]) -> DataFrame:
        from pandas import DataFrame as Frame
        from pandas import MultiIndex

        rows = [[number for name in names for number in _limits(self.estimate(f"queues.{q}.{name}")).values()] for q in self.queues]
        columns = MultiIndex.from_product([list(names), ["mean", "half_width", "low", "high"]], names=["metric", "statistic"])
        return Frame(rows, index=list(self.queues), columns=columns).rename_axis("queue")

    def _paths(self) -> list[str]:
        """Every key of the values in full form, so that none is ambiguous."""
        keys = dict.fromkeys(key for each in self.replications for key in each.values)
        shared = ("consumers.", "messages.", "window.")
        return [key if key.startswith(shared) else f"queues.{key}" for key in keys]

    def _values(self, key: str) -> list[float]:
        return [each.values.get(key, math.nan) for each in self.replications]

    def _observed(self, target: Target) -> list[float]:
        """The recorded values, or for a quantile that was not recorded its point on the quantile curve."""
        probability = quantile(target.name)
        if probability is None or any(target.key in each.values for each in self.replications):
            return self._values(target.key)
        curves = self.curves(f"{target.key.rpartition('.p')[0]}.quantiles")
        at = numpy.flatnonzero(probability == PROBABILITIES)
        return [float(curve[at[0]]) for curve in curves] if len(at) and curves.size else self._values(target.key)


def _limits(estimate: Estimate) -> dict[str, float]:
    return {"mean": estimate.mean, "half_width": estimate.half_width, "low": estimate.low, "high": estimate.high}


def _plain(estimate: Estimate) -> dict[str, float | str | None]:
    never = estimate.mean == math.inf
    numbers = {name: _number(number, never) for name, number in _limits(estimate).items()}
    return {**numbers, "n": estimate.n, "missing": estimate.missing}


def _number(number: float, never: bool) -> float | str | None:
    if math.isfinite(number):
        return number
    return "never" if never and number == math.inf else None
