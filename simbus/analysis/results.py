"""What a user holds after an experiment: data frames, plots, verdicts and plain data.

The face of the analysis; it computes nothing itself. Estimates come from ``findings``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from simbus.analysis.cautions import cautions
from simbus.analysis.estimates import Estimate, student_t
from simbus.analysis.exact import z_score
from simbus.analysis.findings import Findings, Settings
from simbus.analysis.metrics import CAUSES
from simbus.analysis.rows import Listed
from simbus.errors import ScenarioError
from simbus.units import SECOND, duration, duration_text

if TYPE_CHECKING:
    from pathlib import Path

    from pandas import DataFrame

    from simbus.analysis.plots import Plots

__all__ = ["Result", "Settings", "load"]

_SPREAD = ("mean", "p50", "p95", "p99")
_TIMES = (f"{name}.{statistic}" for name in ("wait", "first_wait", "residence") for statistic in _SPREAD)
_SUMMARY = ("throughput", "utilisation", "depth.mean", *_TIMES, "loss", "duplicates")
_LEVELS = ("ready", "unacked", "depth")
_WINDOW = (*_SPREAD, "never", "open")


class Result(Findings):
    """The result of an experiment; every number is an estimate over independent replications.

    ``estimate(path)`` gives any metric, ``verdict(text)`` judges any expectation.
    """

    def __repr__(self) -> str:
        seed = f"seed {self.settings.seed}"
        return f"<Result of {self.scenario}: {len(self.replications)} replications, {seed}, trace {self.trace_hash[:12]}>"

    def summary(self) -> DataFrame:
        """A row per queue; the columns are metric by mean, half_width, low and high, in SI units.

        The last three are nan where there is no interval, as of most metrics after a single replication.
        """
        return self._frame(_SUMMARY)

    def loss(self) -> DataFrame:
        """Shares of delivery obligations lost, in all and by cause, as in :meth:`summary`."""
        return self._frame(("loss", *(f"loss.{cause}" for cause in CAUSES), "waiting"))

    def window(self) -> DataFrame:
        """The consistency window of a message, a row per statistic, times in seconds."""
        from pandas import DataFrame as Frame

        return Frame({name: self.estimate(f"window.{name}").told for name in _WINDOW}).T

    def seen(self, after: str | timedelta) -> Estimate:
        """The probability that a read so long after the publish sees a message applied by every subscriber.

        Windows that were still open at the end count as such (Kaplan and Meier); the expectation is
        ``window.seen(500ms) > 99%``.

        Args:
            after: the time, such as ``"500ms"``.

        Raises:
            UnitError: it is no time.
        """
        return self.estimate(f"window.seen({duration_text(duration(after, 'after'))})")

    def theory(self) -> DataFrame:
        """A row for each metric of which a closed form is known: model, exact value, estimate, z-score and source.

        The z-score says how many standard errors the estimate is off; beyond 3 either the run did not reach its steady state
        (too short, or no warm-up cut off), or something is wrong.
        ``theory().attrs["why"]`` says why no form applies to the other consumed queues.
        """
        from pandas import DataFrame as Frame

        rows = []
        for each in self.exact:
            found = self.estimate(each.path)
            z = z_score(self.observations(each.path), each.value)
            rows.append((each.metric, each.model, each.value, found.mean, found.low, found.high, z, each.source))
        columns = ["metric", "model", "exact", "mean", "low", "high", "z", "source"]
        frame = Frame(rows, columns=columns).set_index("metric")
        frame.attrs["why"] = dict(self.inexact)
        return frame

    def warmup(self) -> DataFrame:
        """A row per queue: the warm-up that MSER-5 suggests from its depth, and the one that was used, in seconds.

        ``suggested`` is infinite where no such point is found in the first half of the run: make it longer, or look whether the
        queue has a steady state at all. Only for runs with a duration; ``plot.warmup(queue)`` shows it.
        """
        from pandas import DataFrame as Frame

        used = self.settings.warmup / SECOND
        rows = [(self.suggested_warmup(queue), used) for queue in self.queues]
        frame = Frame(rows, index=list(self.queues), columns=["suggested", "used"]).rename_axis("queue")
        return frame.assign(enough=frame["suggested"] <= frame["used"])

    def controls(self) -> DataFrame:
        """A row for each draw with a known mean: by which share more than expected was drawn, over all replications.

        Messages that publishers publish and work that consumers begin, the warm-up included; the mean is 0 but for luck.
        """
        from pandas import DataFrame as Frame

        names = list(self.replications[0].controls) if self.replications else []
        rows = [_limits(student_t(self._excess(name), self.settings.confidence)) for name in names]
        return Frame(rows, index=names, columns=["mean", "half_width", "low", "high"]).rename_axis("control")

    def _excess(self, name: str) -> list[float]:
        pairs = (each.controls[name] for each in self.replications)
        return self._paired([realised / expected - 1 if expected else math.nan for realised, expected in pairs])

    @property
    def messages(self) -> DataFrame:
        """The messages of the first replication, a row each; see :class:`~simbus.analysis.rows.Listed`.

        It is run again for that, once and in this process: it is the same whenever it is run. ``again(3)`` is another one.
        """
        return self._first.messages

    @property
    def deliveries(self) -> DataFrame:
        """The deliveries of the first replication, a row each; as :attr:`messages`."""
        return self._first.deliveries

    @property
    def depth(self) -> DataFrame:
        """How full queues were: a row for each replication, queue and stretch of time, warm-up included.

        ``time`` is the middle of the stretch in seconds since the start; ``ready``, ``unacked`` and ``depth`` are averages in it.
        """
        from pandas import DataFrame as Frame
        from pandas import concat

        curves = ((each, queue) for each in self.replications for queue in self.queues)
        columns = ["replication", "queue", "time", *_LEVELS]
        frames = [
            Frame(
                {"replication": each.index, "queue": queue, "time": each.curves["time"]}
                | {name: each.curves[f"{queue}.{name}.over_time"] for name in _LEVELS}
            )
            for each, queue in curves
        ]
        return concat(frames, ignore_index=True) if frames else Frame(columns=columns)

    @cached_property
    def _first(self) -> Listed:
        return self.again(0)

    def again(self, replication: int = 0) -> Listed:
        """Run a replication again, and list its messages and deliveries; their columns ``replication`` say which it was.

        Args:
            replication: which, from 0.

        Raises:
            ScenarioError: there is no such replication, or the result came from a file or another process: then it has
                numbers, and not what was simulated.
        """
        if self.lister is None:
            problem = f"a result from a file has numbers only; simulate its scenario again, with seed {self.settings.seed}"
            raise ScenarioError("again", problem)
        if replication not in range(len(self.replications)):
            raise ScenarioError("again", f"{replication!r} is none of {len(self.replications)} replications; they count from 0")
        return self.lister(replication)

    def cautions(self) -> list[str]:
        """What a careful reader should know before trusting the numbers, a sentence each."""
        return cautions(self)

    def precision(self) -> DataFrame:
        """A row for each metric of which a relative precision was asked: what was, what came of it, and whether that is enough.

        ``found`` is the half-width as a share of the mean. The intervals of all rows hold at once with the run's confidence
        (Bonferroni), so each is a little wider than that of :meth:`estimate`.
        """
        from pandas import DataFrame as Frame

        rows = [(each.metric, each.wanted, each.found, each.estimate.n, each.reached) for each in self.precisions()]
        return Frame(rows, columns=["metric", "wanted", "found", "n", "reached"]).set_index("metric")

    @property
    def plot(self) -> Plots:
        """Plots of this result.

        ``latency(queue)``, ``percentiles(queue)``, ``depth(queue)``, ``loss()``, ``attempts()``, ``window()``, ``utilisation()``,
        ``on_duty(group)`` and ``warmup(queue)``; docs/plots.md shows them.
        """
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
            "antithetic": self.settings.antithetic,
            "precision": [
                {"metric": each.metric, "wanted": each.wanted, "found": _number(each.found, never=False)}
                for each in self.precisions()
            ],
            "trace_hash": self.trace_hash,
            "versions": dict(self.versions),
            "expectations": [
                {"expect": each.expectation.text, "outcome": each.outcome, "estimate": _plain(each.estimate)}
                for each in self.verdicts()
            ],
            "cautions": self.cautions(),
            "estimates": {path: _plain(self.estimate(path)) for path in self._paths()},
        }

    def to_html(self, against: Findings | None = None) -> str:
        """The report: one page that needs nothing but itself; both results on it where this one is held ``against`` another."""
        from simbus.analysis import report, versus, versus_page

        return report.render(self) if against is None else versus_page.render(versus.Versus(against, self))

    def to_markdown(self, against: Findings | None = None) -> str:
        """Verdicts and tables for the comment on a pull request, in GitHub's Markdown; or what changed ``against`` another."""
        from simbus.analysis import markdown, versus

        return markdown.markdown([self]) if against is None else markdown.compared(versus.Versus(against, self))

    def to_junit(self, undecided: Literal["skip", "fail"] = "skip") -> str:
        """A test case for each expectation, as JUnit XML for CI; one that is undecided was skipped, or failed."""
        from simbus.analysis.junit import junit

        return junit([self], undecided)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it to a file, ``result.save("shop.npz")``, that :func:`simbus.load` reads: all numbers, and what made them.

        Seed, scenario and the versions of Python and the libraries are in it, and nothing that has to be executed.

        Raises:
            ScenarioError: the file cannot be written; one that was there is as it was.
        """
        from simbus.analysis.saved import save

        return save(self, path)

    def _repr_html_(self) -> str:
        from simbus.analysis.report import fragment

        return fragment(self)

    def _frame(self, names: Sequence[str]) -> DataFrame:
        from pandas import DataFrame as Frame
        from pandas import MultiIndex

        columns = MultiIndex.from_product([names, ["mean", "half_width", "low", "high"]], names=["metric", "statistic"])
        estimates = [[self.estimate(f"queues.{queue}.{name}") for name in names] for queue in self.queues]
        rows = [[number for each in row for number in each.told.values()] for row in estimates]
        return Frame(rows, index=list(self.queues), columns=columns).rename_axis("queue")

    def _paths(self) -> list[str]:
        """Every key of the values in full form, so that none is ambiguous."""
        keys = dict.fromkeys(key for each in self.replications for key in each.values)
        shared = ("consumers.", "messages.", "window.")
        return [key if key.startswith(shared) else f"queues.{key}" for key in keys]


def load(path: str | PathLike[str]) -> Result:
    """A result that :meth:`Result.save` wrote: the same numbers, plots and report.

    Raises:
        ScenarioError: the file cannot be read, is damaged, no saved result, or written by a newer simbus.
    """
    from simbus.analysis.saved import load

    return load(path, Result)


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
