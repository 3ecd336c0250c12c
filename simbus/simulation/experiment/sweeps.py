"""Several designs on common random numbers: a grid of factors, or scenarios that have names; and what tells them apart.

All designs share the random streams of their parties, so that they differ by design and not by luck. ``sweep`` simulates every
one of them; who looks for one among many, and need not see all, is in ``solving``.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simbus.analysis import bundles, objectives, shown
from simbus.analysis.comparison import compare
from simbus.analysis.costs import cost
from simbus.analysis.estimates import LIMITS
from simbus.analysis.precision import shared_out
from simbus.analysis.results import Result
from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import check_scenario, simulate
from simbus.simulation.experiment.progress import Progress, telling
from simbus.simulation.forecast.growth import growing
from simbus.simulation.scenario import Scenario

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import Dataset

    from simbus.analysis.plots import Responses

DESIGN = "design"  # the factor of scenarios that have names
_UNITS = {"time": "s", "rate": "1/s", "share": "1", "count": "1"}


@dataclass(frozen=True)
class Point:
    """One design of a sweep: its factors and what came of it.

    ``overloaded`` names the groups of consumers that cannot keep up, retries counted, and whose queue no limit stops early in the
    run. However short the run and small its waits, such a design has no steady state.
    """

    factors: dict[str, Any]
    result: Result
    overloaded: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Point {self.factors}{f', overloaded: {self.overloaded}' if self.overloaded else ''}>"


@dataclass(frozen=True)
class Sweep:
    """The results of several designs, run with common random numbers."""

    factors: tuple[str, ...]
    points: tuple[Point, ...]

    def __repr__(self) -> str:
        return f"<Sweep of {', '.join(self.factors)}: {len(self.points)} designs>"

    @property
    def plot(self) -> "Responses":
        """Plots of the designs: ``response(what)`` over a factor or two, ``heat(what)`` as a map over two."""
        from simbus.analysis.plots import Design, Responses

        return Responses(self.factors, tuple(Design(each.factors, each.result, each.overloaded) for each in self.points))

    def frame(self, *metrics: str) -> "DataFrame":
        """A row per design: a column per factor, and mean, low and high of each metric, in SI units.

        Args:
            metrics: paths such as ``payments.wait.p99``; by default those that the scenario has expectations of.
        """
        from pandas import DataFrame

        rows = []
        for point in self.points:
            estimates = {metric: point.result.estimate(metric) for metric in self._metrics(metrics)}
            numbers = {f"{m}.{name}": e.told[name] for m, e in estimates.items() for name in LIMITS}
            rows.append(point.factors | numbers)
        return DataFrame(rows)

    def _metrics(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """Those given, or those that are expected to hold."""
        asked = self.points[0].result.expectations if self.points else ()
        return given or tuple(dict.fromkeys(each.target.key for each in asked))

    def to_xarray(self, *metrics: str) -> "Dataset":
        """The same as a labelled grid: a dimension per factor, and one called ``statistic`` with mean, low and high.

        ``sizes.to_xarray()["payments.wait.p99"].sel({"consumers.charge.count": 8, "statistic": "high"})``. Every variable has its
        unit and its meaning with it; values that are no numbers are labelled by their text.

        Args:
            metrics: as in :meth:`frame`.
        """
        from xarray import Dataset

        names, settings = self._metrics(metrics), self.points[0].result.settings
        coordinates = {factor: self._values(factor) for factor in self.factors}
        shape, frame = [len(each) for each in coordinates.values()], self.frame(*names)
        grids = {
            name: (
                (*self.factors, "statistic"),
                frame[[f"{name}.{limit}" for limit in LIMITS]].to_numpy().reshape(*shape, len(LIMITS)),
                self._described(name),
            )
            for name in names
        }
        facts = {"scenario": self.points[0].result.scenario, "seed": settings.seed, "confidence": settings.confidence}
        return Dataset(grids, {**coordinates, "statistic": list(LIMITS)}, facts)

    def _values(self, factor: str) -> list[Any]:
        """What was tried of a factor, each once, in its order."""
        found: dict[str, Any] = {str(point.factors[factor]): point.factors[factor] for point in self.points}
        return [value if isinstance(value, int | float | str) else text for text, value in found.items()]

    def _described(self, metric: str) -> dict[str, str]:
        what = self.points[0].result.resolve(metric).metric
        return {"units": _UNITS[what.unit], "long_name": what.meaning}

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
                f"{what}.{name}": getattr(getattr(found, what), name) for what in ("difference", "ratio") for name in LIMITS
            }
            rows.append(point.factors | numbers | {"outcome": found.outcome, "variance_reduction": found.variance_reduction})
        return DataFrame(rows)

    def _point(self, factors: Mapping[str, Any] | None) -> Point:
        for point in self.points:
            if factors is None or point.factors == dict(factors):
                return point
        raise ScenarioError("to", f"{factors!r} is none of {len(self.points)} designs; the first is {self.points[0].factors}")

    def cost(self, **prices: Any) -> "DataFrame":
        """A row per design: what a million messages cost, in all with its interval, and of which the parts.

        Args:
            prices: as in :func:`simbus.cost`.
        """
        from pandas import DataFrame

        rows = []
        for point in self.points:
            found = cost(point.result, **prices)
            limits = {f"cost.{name}": getattr(found.total, name) for name in LIMITS}
            rows.append(point.factors | limits | {name: part.mean for name, part in found.parts.items()})
        return DataFrame(rows)

    def smallest(self, where: str | None = None) -> Point:
        """The first design, by its factors in the order given, for which an objective holds.

        Its confidence limit must hold, not its mean; and its consumers must be able to keep up, unless the arrivals end.

        Args:
            where: an expectation, ``"payments.wait.p99 < 5s"``, or several with ``and`` between them; by default all that the
                scenario has.

        Raises:
            ScenarioError: when it holds nowhere; widen the range of the factors.
        """
        for point in self.points:
            steady = not point.overloaded or point.result.settings.duration is None
            outcome = objectives.together(each.outcome for each in objectives.verdicts(point.result, where))
            if steady and outcome == "holds":
                return point
        asked = "all that is expected" if where is None else repr(where)
        raise ScenarioError("where", f"{asked} holds for none of {len(self.points)} designs; widen the range of the factors")

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it to a file, ``sizes.save("sizes.sweep")``, that :meth:`load` reads: all numbers, and what made them.

        Seed, scenario and versions are in it for each design, and nothing that has to be executed. Values of factors that were
        built, such as distributions, come back as their text.

        Raises:
            ScenarioError: the file cannot be written; one that was there is as it was.
        """
        points = [{"factors": each.factors, "overloaded": each.overloaded} for each in self.points]
        return bundles.save(path, "Sweep", {"factors": self.factors, "points": points}, [each.result for each in self.points])

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Sweep":
        """The sweep that :meth:`save` wrote: ``Sweep.load("sizes.sweep")``.

        Raises:
            ScenarioError: the file cannot be read, is damaged, no saved sweep, or written by a newer simbus.
        """

        def made(said: dict[str, Any], results: list[Result]) -> Sweep:
            pairs = zip(said["points"], results, strict=True)
            return cls(
                tuple(said["factors"]), tuple(Point(each["factors"], result, tuple(each["overloaded"])) for each, result in pairs)
            )

        return bundles.load(path, "Sweep", Result, made)

    def _repr_html_(self) -> str:
        return shown.fragment(repr(self), self.frame())


def sweep(
    scenario: Scenario | Mapping[str, Scenario],
    factors: Mapping[str, Iterable[Any]] | None = None,
    *,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | bool = True,
    **run: Any,
) -> Sweep:
    """Simulate every combination of some factors: ``sweep(shop, {"consumers.charge.count": range(6, 15)}, seed=1)``.

    Or several scenarios by name, ``sweep({"requeue": one, "delay queue": other}, seed=1)``: their factor is called ``design``.
    All share the random streams of parties of one name (common random numbers), so that they differ by design and not by luck.

    Args:
        scenario: the design to vary; or several by name.
        factors: values by path, in the order in which they are tried; not needed where there are several scenarios.
        jobs: as in :func:`simulate`.
        executor: as in :func:`simulate`.
        progress: as in :func:`simulate`, of designs.
        run: ``duration``, ``warmup``, ``replications``, ``seed``, ``confidence``, ``precision``, ``max_replications`` and
            ``antithetic`` as in :func:`simulate`.

    Raises:
        ScenarioError: for a factor that does not exist or a value that cannot be.
    """
    designs = _designs(scenario, factors or {})
    points: list[Point] = []
    with telling(progress, "designs", len(designs), long=False) as tell:
        for values, design in designs:
            result = simulate(design, jobs=jobs, executor=executor, progress=False, **run)
            points.append(Point(values, result, growing(with_run(design, run))))
            if tell is not None:
                tell(len(points), len(designs))
    return Sweep(tuple(designs[0][0]), tuple(points))


def with_run(scenario: Scenario, run: Mapping[str, Any]) -> Scenario:
    """The scenario with these settings of its run; those that are None are left as they are."""
    for key, value in run.items():
        scenario = scenario if value is None else scenario.with_(f"run.{key}", value)
    return scenario


def _designs(
    given: Scenario | Mapping[str, Scenario], factors: Mapping[str, Iterable[Any]]
) -> list[tuple[dict[str, Any], Scenario]]:
    """Each scenario with each combination of values."""
    for path, tried in factors.items():
        check_values(path, tried)
    named = [({DESIGN: name}, each) for name, each in given.items()] if isinstance(given, Mapping) else [({}, given)]
    values = {path: tuple(tried) for path, tried in factors.items()}
    designs = [design for name, scenario in named for design in _varied(name, scenario, values)]
    if not designs or not designs[0][0]:
        raise ScenarioError(
            "factors", 'there is no design to simulate; write for example {"consumers.charge.count": range(6, 15)}'
        )
    return designs


def check_values(path: str, tried: object) -> None:
    """Refuse what is no list of values to try."""
    if isinstance(tried, str) or not isinstance(tried, Iterable):
        raise ScenarioError(path, f"{tried!r} is no list of values to try; write for example [{tried!r}]")


def _varied(
    name: dict[str, Any], scenario: Scenario, factors: Mapping[str, tuple[Any, ...]]
) -> Iterator[tuple[dict[str, Any], Scenario]]:
    check_scenario(scenario)
    for values in itertools.product(*factors.values()):
        design, chosen = scenario, dict(zip(factors, values, strict=True))
        for path, value in chosen.items():
            design = design.with_(path, value)
        yield name | chosen, design
