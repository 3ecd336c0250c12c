"""``tornado``: which factor matters most, by paired differences when one after the other takes a low and a high value."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simbus.analysis import formats, shown
from simbus.analysis.comparison import Comparison, compare
from simbus.analysis.estimates import LIMITS, Estimate
from simbus.analysis.metrics import Unit
from simbus.analysis.precision import shared_out
from simbus.analysis.results import Result
from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import check_scenario, simulate
from simbus.simulation.experiment.progress import Progress, telling
from simbus.simulation.experiment.sweeps import Point, with_run
from simbus.simulation.forecast.growth import growing
from simbus.simulation.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_EACH = 3  # intervals of a factor: low and high against the design as it is, and against each other


@dataclass(frozen=True)
class Bar:
    """One factor.

    Args:
        factor: its path.
        points: the designs with its low and with its high value.
        low: how the metric changes from the design as it is to the low value.
        high: how it changes to the high value.
        swing: how it changes from the low to the high value.
    """

    factor: str
    points: tuple[Point, Point]
    low: Comparison
    high: Comparison
    swing: Comparison

    @property
    def values(self) -> tuple[Any, Any]:
        """The low and the high value."""
        low, high = (point.factors[self.factor] for point in self.points)
        return low, high

    @property
    def width(self) -> float:
        """How far the metric goes, from the least to the largest of the three designs."""
        ends = (0.0, self.low.difference.mean, self.high.difference.mean)
        return max(ends) - min(ends)


@dataclass(frozen=True)
class Tornado:
    """How a metric answers to each of several factors.

    Args:
        metric: its path.
        unit: of the metric and of all differences.
        result: of the design as it is.
        bars: a factor each, the one that moves the metric most first.
    """

    metric: str
    unit: Unit
    result: Result
    bars: tuple[Bar, ...]

    @property
    def base(self) -> Estimate:
        """The metric of the design as it is."""
        return self.result.estimate(self.metric)

    def frame(self) -> "DataFrame":
        """A row per factor, the widest first: its values, and by how much each changes the metric, in SI units.

        ``low.*`` and ``high.*`` are differences from the design as it is, ``swing.*`` those of high from low; ``outcome`` says
        whether the swing can be told from 0. All intervals hold at once with the run's confidence (Bonferroni).
        """
        from pandas import DataFrame

        return DataFrame([self._row(bar) for bar in self.bars])

    def _row(self, bar: Bar) -> dict[str, Any]:
        low, high = bar.values
        parts = {"low": bar.low, "high": bar.high, "swing": bar.swing}
        numbers = {f"{name}.{limit}": getattr(part.difference, limit) for name, part in parts.items() for limit in LIMITS}
        slow = tuple(dict.fromkeys(name for point in bar.points for name in point.overloaded))
        return {"factor": bar.factor, "from": low, "to": high, **numbers, "outcome": bar.swing.outcome, "overloaded": slow}

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """A bar for each factor, the widest on top, from the metric as it is to what it becomes; intervals are of the change."""
        from simbus.analysis.plots import Swing, draw_swings
        from simbus.analysis.style import new_axes

        axes = new_axes(ax)
        texts = [tuple(map(str, bar.values)) for bar in self.bars]
        changed = [(self._changed(bar.low), self._changed(bar.high)) for bar in self.bars]
        swings = [
            Swing(bar.factor, first, low, second, high)
            for bar, (first, second), (low, high) in zip(self.bars, texts, changed, strict=True)
        ]
        draw_swings(axes, self.metric, self.unit, self.base, swings)
        return axes

    def _changed(self, change: Comparison) -> Estimate:
        """The metric after a change, with the interval of the change: that of the pairs, which is the narrower one."""
        by, mean = change.difference, self.base.mean
        return Estimate(mean + by.mean, mean + by.low, mean + by.high, by.n, by.missing)

    def cautions(self) -> list[str]:
        """What to know before trusting it, a sentence each; those of the design as it is are among them."""
        slow = [(bar.factor, point) for bar in self.bars for point in bar.points if point.overloaded]
        said = [
            f"{factor} = {point.factors[factor]}: {', '.join(point.overloaded)} cannot keep up, so the change grows with the run."
            for factor, point in slow
        ]
        return said + self.result.cautions()

    def __repr__(self) -> str:
        first = self.bars[0]
        swing = formats.interval(first.swing.difference, self.unit)
        return f"<Tornado of {self.metric}, {formats.interval(self.base, self.unit)}: most by {first.factor}, {swing}>"

    def _repr_html_(self) -> str:
        return shown.fragment(repr(self), self.frame(), self.cautions())


def tornado(
    scenario: Scenario,
    factors: Mapping[str, Sequence[Any]],
    metric: str,
    *,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | bool = True,
    **run: Any,
) -> Tornado:
    """How sensitive a metric is: ``tornado(shop, {"consumers.charge.count": (7, 9), ...}, metric="payments.wait.p99", seed=1)``.

    One factor after the other takes its low and its high value while all others stay as they are, all with common random numbers.
    What two factors do together is for :func:`sweep`.

    Args:
        scenario: the design as it is.
        factors: a low and a high value by path, as sure or unsure as you are of it.
        metric: a path such as ``payments.wait.p99``.
        jobs: as in :func:`simulate`.
        executor: as in :func:`simulate`.
        progress: as in :func:`simulate`, of designs.
        run: as in :func:`simulate`; a ``precision`` is refused, because replications have to pair.

    Raises:
        ScenarioError: for a factor that does not exist, values that cannot be, or an unknown metric.
    """
    check_scenario(scenario)
    if run.get("precision") is not None or scenario.run.precision is not None:
        raise ScenarioError("run.precision", "designs that are run to a precision do not pair; say how many replications instead")
    designs = [(path, value, scenario.with_(path, value)) for path, values in _checked(factors) for value in values]
    results: list[Result] = []
    with telling(progress, "designs", len(designs) + 1, long=False) as tell:
        for design in (scenario, *(each for _, _, each in designs)):
            results.append(simulate(design, jobs=jobs, executor=executor, progress=False, **run))
            unit = results[0].resolve(metric).metric.unit
            if tell is not None:
                tell(len(results), len(designs) + 1)
    base, others = results[0], results[1:]
    points = [
        Point({path: value}, result, growing(with_run(design, run)))
        for (path, value, design), result in zip(designs, others, strict=True)
    ]
    confidence = shared_out(base.settings.confidence, _EACH * len(factors))
    pairs = zip(factors, points[::2], points[1::2], strict=True)
    bars = [_bar(factor, base, (low, high), metric, confidence) for factor, low, high in pairs]
    return Tornado(metric, unit, base, tuple(sorted(bars, key=lambda bar: -bar.width)))


def _checked(factors: Mapping[str, Sequence[Any]]) -> list[tuple[str, Sequence[Any]]]:
    if not factors:
        raise ScenarioError("factors", 'there is nothing to vary; write for example {"consumers.charge.count": (7, 9)}')
    for path, values in factors.items():
        if not _are_two(values):
            raise ScenarioError(path, f"{values!r} is not a low and a high value; write for example (7, 9)")
    return list(factors.items())


def _are_two(values: object) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str) and len(values) == 2


def _bar(factor: str, base: Result, points: tuple[Point, Point], metric: str, confidence: float) -> Bar:
    low, high = (point.result for point in points)
    changes = (compare(one, other, metric, confidence) for one, other in ((base, low), (base, high), (low, high)))
    return Bar(factor, points, *changes)
