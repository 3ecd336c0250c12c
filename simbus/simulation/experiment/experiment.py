"""The front door of the simulation: a scenario goes in, a ``Result`` comes out.

``simulate`` runs independent replications, ``sweep`` runs them for every point of a grid, all with
common random numbers. A replication depends on the scenario, the seed and its index alone, so
they may run in any process and in any order; what travels back are numbers and curves, not traces.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from simbus.analysis.comparison import compare
from simbus.analysis.expectations import Expectation
from simbus.analysis.precision import shared_out
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result, Settings
from simbus.errors import ScenarioError
from simbus.simulation.experiment import stopping
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.experiment.controls import related
from simbus.simulation.experiment.local import WORTH, default_jobs, messages
from simbus.simulation.experiment.pilot import warmed_up
from simbus.simulation.experiment.progress import Progress, telling
from simbus.simulation.experiment.runners import Task, run_waves
from simbus.simulation.experiment.tracing import listed
from simbus.simulation.forecast.check import offered_loads
from simbus.simulation.forecast.exact import exact_values
from simbus.simulation.forecast.load import overloaded, waiting_places
from simbus.simulation.forecast.questions import expected, wanted
from simbus.simulation.scenario import Scenario

if TYPE_CHECKING:
    from pandas import DataFrame

_LIMITS = ("mean", "low", "high")


def simulate(
    scenario: Scenario,
    *,
    duration: str | timedelta | None = None,
    warmup: str | timedelta | None = None,
    replications: int | None = None,
    seed: int | None = None,
    confidence: float | None = None,
    precision: str | float | Mapping[str, str | float] | None = None,
    max_replications: int | None = None,
    antithetic: bool | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | bool = True,
) -> Result:
    """Run independent replications of a scenario.

    Args:
        scenario: what to run; its own ``run`` settings hold where an argument is left out.
        duration: measured time of a replication, ``"4h"``; none for a terminating run, which ends with its arrivals.
        warmup: time before that, which is simulated and not measured; ``"auto"`` for what MSER-5 suggests after a pilot of ten
            replications, which also refuses a run whose queues have not settled in its first half.
        replications: how many; with a ``precision``, how many to begin with.
        seed: what every random stream derives from.
        confidence: of every interval, between 0 and 1.
        precision: adds replications until intervals are narrow: ``"5%"`` for a half-width of at most 5 % of the mean, of all
            metrics that the scenario has expectations of, or ``{"payments.wait.p99": "5%"}``. Several hold at once.
        max_replications: where that ends in any case, 200 unless said otherwise; ``result.precision()`` tells what was reached.
        antithetic: whether every other replication mirrors the random numbers of the one before, so that bad luck is followed by
            good and their mean varies less. A pair is one observation. The number of replications has to be even.
        jobs: processes of this machine to run them in; the result is the same for any number. By default one for each core
            where that is quicker and safe (:mod:`simbus.simulation.experiment.local` says where), else this process alone.
        executor: instead of them, whoever runs them: any ``concurrent.futures.Executor``, such as that of a cluster. It gets the
            scenario, the seed and an index for each replication, answers numbers and curves, and is left open.
        progress: whether to show a bar, in a terminal or in Jupyter, when it takes longer than a second; or what is called
            instead, with the replications done and their number, which a ``precision`` raises as it learns.

    Raises:
        ScenarioError: when the scenario cannot run; nothing has been simulated then.
    """
    given = {
        "duration": duration,
        "warmup": warmup,
        "replications": replications,
        "seed": seed,
        "confidence": confidence,
        "precision": precision,
        "max_replications": max_replications,
        "antithetic": antithetic,
    }
    _check_scenario(scenario)
    for key, value in given.items():
        scenario = scenario if value is None else scenario.with_(f"run.{key}", value)
    scenario.validate()
    asked = expected(scenario)
    wanted(scenario, asked)
    jobs = default_jobs(scenario) if jobs is None else jobs
    scenario = warmed_up(scenario, jobs, executor)
    blank, run = _blank(scenario, asked), scenario.run

    def more(found: Sequence[Replication]) -> list[Task]:
        total = stopping.needed(replace(blank, replications=tuple(found)), run.replications, run.max_replications)
        return [(scenario, run.seed, index) for index in range(len(found), total)]

    with telling(progress, "replications", run.replications, long=messages(scenario) > WORTH) as tell:
        return replace(blank, replications=tuple(run_waves(run_replication, more, jobs, executor, tell)))


def _check_scenario(scenario: object) -> None:
    if not isinstance(scenario, Scenario):
        raise ScenarioError("scenario", f'{scenario!r} is no Scenario; read a file with read_scenario("shop.toml")')


def _blank(scenario: Scenario, asked: tuple[Expectation, ...]) -> Result:
    """The result as it is before any replication."""
    run = scenario.run
    return Result(
        scenario=scenario.name,
        settings=Settings(run.seed, run.duration, run.cut, run.confidence, wanted(scenario, asked), run.antithetic),
        replications=(),
        queues=tuple(scenario.topology.queues),
        consumers=tuple(scenario.consumers),
        classes=scenario.classes_in_queues,
        expectations=asked,
        text=scenario.text,
        question=scenario.question,
        answer=scenario.answer,
        exact=exact_values(scenario),
        offered=offered_loads(scenario),
        parties=related(scenario),
        delays=waiting_places(scenario),
        lister=partial(listed, scenario.with_("run.seed", run.seed)),  # a copy, which nobody changes
    )


@dataclass(frozen=True)
class Point:
    """One design of a sweep: its factors and what came of it.

    ``overloaded`` names the groups of consumers that cannot keep up, retries counted. However short its run and small
    its waits, such a design has no steady state.
    """

    factors: dict[str, Any]
    result: Result
    overloaded: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Point {self.factors}{f', overloaded: {self.overloaded}' if self.overloaded else ''}>"


@dataclass(frozen=True)
class Sweep:
    """The results of a grid of designs, run with common random numbers."""

    factors: tuple[str, ...]
    points: tuple[Point, ...]

    def frame(self, *metrics: str) -> "DataFrame":
        """A row per design: a column per factor, and mean, low and high of each metric, in SI units.

        Args:
            metrics: paths such as ``payments.wait.p99``; by default those that the scenario has expectations of.
        """
        from pandas import DataFrame

        if not metrics and self.points:
            metrics = tuple(dict.fromkeys(each.target.key for each in self.points[0].result.expectations))
        rows = []
        for point in self.points:
            estimates = {metric: point.result.estimate(metric) for metric in metrics}
            numbers = {f"{m}.{name}": getattr(e, name) for m, e in estimates.items() for name in _LIMITS}
            rows.append(point.factors | numbers)
        return DataFrame(rows)

    def compare(self, metric: str, to: Mapping[str, Any] | None = None) -> "DataFrame":
        """A row per design: how a metric differs from that of one of them, by pairs of replications.

        The intervals of all rows hold at once with the run's confidence (Bonferroni). ``variance_reduction`` says how many
        times as many replications it would take without common random numbers.

        Args:
            metric: a path such as ``payments.wait.p99``.
            to: the factors of the design that all others are compared to, by default the first.

        Raises:
            ScenarioError: for an unknown path or design, or when designs were not run equally often (as with a ``precision``).
        """
        from pandas import DataFrame

        one = self._point(to)
        others = [point for point in self.points if point is not one]
        confidence = shared_out(one.result.settings.confidence, len(others))
        rows = []
        for point in others:
            found = compare(one.result, point.result, metric, confidence)
            numbers = {
                f"{what}.{name}": getattr(getattr(found, what), name) for what in ("difference", "ratio") for name in _LIMITS
            }
            rows.append(point.factors | numbers | {"outcome": found.outcome, "variance_reduction": found.variance_reduction})
        return DataFrame(rows)

    def _point(self, factors: Mapping[str, Any] | None) -> Point:
        for point in self.points:
            if factors is None or point.factors == dict(factors):
                return point
        raise ScenarioError("to", f"{factors!r} is none of {len(self.points)} designs; the first is {self.points[0].factors}")

    def smallest(self, where: str) -> Point:
        """The first design, by its factors in the order given, for which an expectation holds.

        Its confidence limit must hold, not its mean; and its consumers must be able to keep up, unless the arrivals end.

        Args:
            where: an expectation, ``"payments.wait.p99 < 5s"``.

        Raises:
            ScenarioError: when it holds nowhere; widen the range of the factors.
        """
        for point in self.points:
            steady = not point.overloaded or point.result.settings.duration is None
            if steady and point.result.verdict(where).outcome == "holds":
                return point
        raise ScenarioError("where", f"{where!r} holds for none of {len(self.points)} designs; widen the range of the factors")


def sweep(
    scenario: Scenario,
    factors: Mapping[str, Iterable[Any]],
    *,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | bool = True,
    **run: Any,
) -> Sweep:
    """Simulate every combination of some factors: ``sweep(shop, {"consumers.charge.count": range(6, 15)}, seed=1)``.

    All designs share the random streams of their parties (common random numbers), so that they differ by design
    and not by luck.

    Args:
        scenario: the design to vary.
        factors: values by path, in the order in which they are tried.
        jobs: as in :func:`simulate`.
        executor: as in :func:`simulate`.
        progress: as in :func:`simulate`, of designs.
        run: ``duration``, ``warmup``, ``replications``, ``seed``, ``confidence``, ``precision``, ``max_replications`` and
            ``antithetic`` as in :func:`simulate`.

    Raises:
        ScenarioError: for a factor that does not exist or a value that cannot be.
    """
    designs = _designs(scenario, factors)
    points: list[Point] = []
    with telling(progress, "designs", len(designs), long=False) as tell:
        for values, design in designs:
            result = simulate(design, jobs=jobs, executor=executor, progress=False, **run)
            points.append(Point(values, result, overloaded(design)))
            if tell is not None:
                tell(len(points), len(designs))
    return Sweep(tuple(factors), tuple(points))


def _designs(scenario: Scenario, factors: Mapping[str, Iterable[Any]]) -> list[tuple[dict[str, Any], Scenario]]:
    """The scenario with each combination of values."""
    _check_scenario(scenario)
    for path, tried in factors.items():
        if isinstance(tried, str) or not isinstance(tried, Iterable):
            raise ScenarioError(path, f"{tried!r} is no list of values to try; write for example [{tried!r}]")
    designs = []
    for values in itertools.product(*factors.values()):
        design, chosen = scenario, dict(zip(factors, values, strict=True))
        for path, value in chosen.items():
            design = design.with_(path, value)
        designs.append((chosen, design))
    if not factors or not designs:
        raise ScenarioError(
            "factors", 'there is no design to simulate; write for example {"consumers.charge.count": range(6, 15)}'
        )
    return designs
