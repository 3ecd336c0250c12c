"""How a metric answers to factors: one of them along x with theory and objective, two of them as a map.

What designs are is known to those who simulate them: sweeps, and searches for a value or a rate. Here they are factors with what
came of them; whether a design keeps to an objective is asked of its result, by its confidence limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simbus.analysis import formats
from simbus.analysis.expectations import Expectation, Outcome, Target
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import Unit
from simbus.analysis.plots.drawing import Floats, time_ticks
from simbus.analysis.style import COLOURS, DASHES, ink, legend, new_axes, short
from simbus.errors import ScenarioError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = 20.0  # of the largest number by the smallest: from there on a logarithmic axis shows more
_MARKERS = "osD^vP"
_MARKS: Mapping[Outcome, str] = {"holds": "✓", "fails": "✗", "undecided": "?"}
_LABELLED = 80  # cells of a map that have their number in words
_DARK = 0.55  # of a shade's luminance, below which words on it are white
_LETTERS = 10  # of the words in a cell
_PART = 0.8  # of the axes that a colour bar leaves
_ROOM = 1.12
_BESIDE = 0.06


@dataclass(frozen=True)
class Design:
    """One design: the values of its factors, what came of it (None where it was not simulated), and who cannot keep up."""

    factors: Mapping[str, Any]
    result: Findings | None
    overloaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Responses:
    """The plots of several designs; every method takes ``ax`` and returns the axes it drew on.

    Args:
        factors: the paths of what differs.
        designs: in the order of their factors.
        units: what a factor is counted in, for its axis.
        answer: between which values of a factor the answer lies that was looked for, and what it says.
    """

    factors: tuple[str, ...]
    designs: tuple[Design, ...]
    units: Mapping[str, str] = field(default_factory=dict)
    answer: tuple[float, float, str] | None = None

    def response(self, what: str | None = None, ax: Axes | None = None) -> Axes:
        """A metric with its interval over one factor, with a line for each value of a second one.

        Where the factor is the arrivals of a publisher, x is the rate at which messages reach the broker. Crosses are what theory
        says of a design, where it says anything; hollow are designs that cannot keep up, whose numbers grow with their run.

        Args:
            what: a metric such as ``payments.wait.p99``, or an expectation, ``"payments.wait.p99 < 5s"``, which is a dashed line;
                by default the first that the scenario has.
            ax: where to draw.

        Raises:
            ScenarioError: for an unknown metric, or when there are more than two factors.
        """
        if len(self.factors) > 2:
            raise ScenarioError("plot", f"{len(self.factors)} factors are more than a line has room for; sweep one or two")
        question = self._question(what)
        axes = new_axes(ax)
        _Lines(axes, self, question).draw()
        return axes

    def heat(self, what: str | None = None, ax: Axes | None = None) -> Axes:
        """A metric over two factors as a map, in words and shades; a line runs round the designs that keep to an objective.

        ✓ holds by the confidence limit, ✗ fails, ? is undecided; what cannot keep up grows with its run, and fails.

        Args:
            what: as in :meth:`response`.
            ax: where to draw.

        Raises:
            ScenarioError: for an unknown metric, or when there are not two factors.
        """
        if len(self.factors) != 2:
            raise ScenarioError("plot", f"a map needs two factors, not {len(self.factors)}; plot.response() shows one")
        question = self._question(what)
        axes = new_axes(ax)
        _Map(axes, self, question).draw()
        return axes

    def _question(self, what: str | None) -> _Question:
        simulated = [each.result for each in self.designs if each.result is not None]
        if not simulated:
            raise ScenarioError("plot", "none of the designs was simulated, since none can keep up; look for smaller loads")
        found = simulated[0]
        if what is None:
            if not found.expectations:
                raise ScenarioError("plot", 'the scenario expects nothing; name a metric, such as "payments.wait.p99"')
            return _Question(found.expectations[0].target, found.expectations[0])
        if any(sign in what for sign in "<>"):
            expectation = found.verdict(what).expectation
            return _Question(expectation.target, expectation)
        target = found.resolve(what)
        return _Question(target, next((each for each in found.expectations if each.target.key == target.key), None))


@dataclass(frozen=True)
class _Question:
    """What is asked of all designs: a metric, and perhaps an expectation of it."""

    target: Target
    expectation: Expectation | None

    @property
    def unit(self) -> Unit:
        return self.target.metric.unit

    @property
    def label(self) -> str:
        return self.target.key + {"rate": " (per second)", "share": " (%)", "time": "", "count": ""}[self.unit]

    @property
    def objective(self) -> str:
        assert self.expectation is not None, "only asked where there is one"
        name = self.target.name.rpartition(".")[2]
        return f"{name} {self.expectation.operator} {formats.value(self.expectation.limit, self.unit)}"

    def outcome(self, design: Design) -> Outcome | None:
        if self.expectation is None:
            return None
        if design.result is None or (design.overloaded and design.result.settings.duration is not None):
            return "fails"
        return self.expectation.outcome(design.result.estimate(self.target.key))

    def exact(self, design: Design) -> float:
        if design.result is None:
            return math.nan
        return next((each.value for each in design.result.exact if each.metric == self.target.key), math.nan)


class _Lines:
    """The response over one factor."""

    def __init__(self, axes: Axes, responses: Responses, question: _Question) -> None:
        self._axes, self._all, self._question = axes, responses, question
        self._handles: dict[str, Any] = {}
        self._points: list[tuple[float, float]] = []

    def draw(self) -> None:
        factor, question = self._all.factors[0], self._question
        groups: dict[str, list[Design]] = {}
        for design in self._all.designs:
            groups.setdefault(_said(design.factors[self._all.factors[-1]]) if len(self._all.factors) == 2 else "", []).append(
                design
            )
        where = _positions(factor, self._all.designs)
        for place, (name, designs) in enumerate(groups.items()):
            self._line(name, [each for each in designs if each.result is not None], where, place % len(COLOURS))
        self._finish(factor, where)
        if question.expectation is not None:
            self._objective(question.expectation.limit)
        if self._all.answer is not None and not where.names:
            self._answer(*self._all.answer)
        if any(each.overloaded and each.result is not None for each in self._all.designs):
            hollow: dict[str, Any] = {"color": ink(self._axes), "mfc": "none", "ms": 5}
            self._handles["cannot keep up"] = self._axes.plot([], [], "o", **hollow)[0]
        if "theory" in self._handles:
            self._handles["theory"] = self._handles.pop("theory")
        legend(self._axes, self._handles)

    def _line(self, name: str, designs: Sequence[Design], where: _Positions, place: int) -> None:
        colour, marker = COLOURS[place], _MARKERS[place]
        estimates = [each.result.estimate(self._question.target.key) for each in designs if each.result is not None]
        x, y = np.array([where.of(each) for each in designs]), np.array([each.mean for each in estimates])
        order = np.argsort(x, kind="stable")
        known = [at for at in order if math.isfinite(y[at])]
        self._axes.plot(x[known], y[known], color=colour, lw=1.4, ls=DASHES[place])
        for at in known:
            low, high = max(0.0, estimates[at].low), estimates[at].high
            if math.isfinite(high):
                self._axes.plot((x[at], x[at]), (low, high), color=colour, marker="_", ms=6, lw=1.4)
            self._points.append((float(x[at]), float(y[at])))
            face = "none" if designs[at].overloaded else colour
            self._axes.plot(x[at], y[at], marker, color=colour, mfc=face, ms=5)
        label = f"{self._all.factors[-1]} = {name}" if name else "simulated, with interval"
        self._handles[label] = self._axes.plot([], [], color=colour, marker=marker, ms=5, lw=1.4, ls=DASHES[place])[0]
        exact = np.array([self._question.exact(designs[at]) for at in order])
        if np.isfinite(exact).any():
            style: dict[str, Any] = {"color": ink(self._axes), "marker": "x", "ms": 6, "lw": 0.9, "ls": ":"}
            self._handles["theory"] = self._axes.plot(x[order], exact, **style)[0]

    def _objective(self, limit: float) -> None:
        """A line, whose name stands where the response is far from it."""
        axes, right = self._axes, self._farther_on_the_right(limit)
        axes.axhline(limit, color=COLOURS[1], lw=1.2, ls="--")
        axes.annotate(
            self._question.objective,
            (0.99 if right else 0.01, limit),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize="small",
            ha="right" if right else "left",
        )

    def _farther_on_the_right(self, limit: float) -> bool:
        """Whether the last design that is seen is farther from a limit than the first."""
        seen = sorted(self._seen)
        if not seen:
            return False
        heights = self._axes.transData.transform([*seen, (seen[0][0], limit)])[:, 1]
        return abs(float(heights[-2] - heights[-1])) > abs(float(heights[0] - heights[-1]))

    def _answer(self, low: float, high: float, text: str) -> None:
        """Where it lies, as a line, or as a stretch where it is known to lie in one."""
        style: dict[str, Any] = {"color": COLOURS[2], "alpha": 0.3, "lw": 2, "zorder": 0}
        self._handles[text] = self._axes.axvspan(low, high if math.isfinite(high) else low, **style)

    def _finish(self, factor: str, where: _Positions) -> None:
        axes, unit = self._axes, self._question.unit
        axes.set_xlabel(where.label or f"{factor}{self._all.units.get(factor, '')}", parse_math=False)
        axes.set_ylabel(self._question.label, parse_math=False)
        drawn = np.concatenate([np.ravel(np.asarray(line.get_ydata(), dtype=np.float64)) for line in axes.lines])
        limit = self._question.expectation.limit if self._question.expectation is not None else math.nan
        _upwards(axes, np.append(drawn, limit), unit)
        if where.names:
            axes.set_xticks(range(len(where.names)), where.names, parse_math=False)
        else:
            self._across()

    def _across(self) -> None:
        """Numbers along x: as far as there is something to be seen, logarithmic where they are far apart."""
        from matplotlib.ticker import MaxNLocator

        axes, seen = self._axes, [x for x, _ in self._seen]
        if all(x.is_integer() for x, _ in self._points):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not seen:
            return
        low, high = min(seen), max(seen)
        if low > 0 and high > _WIDE * low:
            axes.set(xscale="log", xlim=(low / 1.1, high * 1.1))
            axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}")
        elif high > low:
            axes.set_xlim(low - _BESIDE * (high - low), high + _BESIDE * (high - low))

    @property
    def _seen(self) -> list[tuple[float, float]]:
        """The points that the axes have room for: a logarithmic one has none for 0."""
        return [point for point in self._points if point[1] > 0 or self._axes.get_yscale() != "log"]


@dataclass(frozen=True)
class _Positions:
    """Where designs stand along an axis: at numbers, or in the order of the names of their values."""

    factor: str
    names: tuple[str, ...] = ()
    rates: bool = False
    label: str = ""

    def of(self, design: Design) -> float:
        if self.rates:
            return design.result.estimate("messages.rate").mean if design.result is not None else math.nan
        value = design.factors[self.factor]
        return float(self.names.index(_said(value))) if self.names else float(value)


def _positions(factor: str, designs: Sequence[Design]) -> _Positions:
    values = [each.factors[factor] for each in designs]
    if factor.startswith("publishers.") and factor.endswith(".arrivals"):
        return _Positions(factor, rates=True, label="messages that reach the broker (per second)")
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return _Positions(factor)
    return _Positions(factor, tuple(dict.fromkeys(map(_said, values))))


def _said(value: object) -> str:
    return short(f"{value:.4g}" if isinstance(value, float) else str(value))


def _upwards(axes: Axes, numbers: Floats, unit: Unit) -> None:
    """The y axis of a metric: logarithmic where numbers are far apart."""
    known = numbers[np.isfinite(numbers) & (numbers > 0)]
    if len(known) and known.max() > _WIDE * known.min():
        low, high = max(known.min() / 1.4, known.max() / 1e5), known.max() * 1.4
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(low, high)
        if unit == "time":
            time_ticks(axes.yaxis, low, high)
    else:
        axes.set_ylim(0, _ROOM * known.max() if len(known) else 1)
    if unit in ("time", "share"):
        axes.yaxis.set_major_formatter(lambda number, _: formats.value(number, unit))


class _Map:
    """The response over two factors."""

    def __init__(self, axes: Axes, responses: Responses, question: _Question) -> None:
        self._axes, self._all, self._question = axes, responses, question
        values = [list(dict.fromkeys(_said(each.factors[factor]) for each in responses.designs)) for factor in responses.factors]
        self._x, self._y = values
        self._cells = {self._cell(each): each for each in responses.designs}

    def _cell(self, design: Design) -> tuple[int, int]:
        x, y = (_said(design.factors[factor]) for factor in self._all.factors)
        return self._x.index(x), self._y.index(y)

    def draw(self) -> None:
        axes, grid = self._axes, np.full((len(self._y), len(self._x)), math.nan)
        for (x, y), design in self._cells.items():
            mean = design.result.estimate(self._question.target.key).mean if design.result is not None else math.nan
            grid[y, x] = mean if math.isfinite(mean) else math.nan
        self._shades(grid)
        for (x, y), design in self._cells.items():
            self._words(x, y, design, grid)
        if self._question.expectation is not None:
            self._contour()
            axes.set_title(f"✓ {self._question.objective}", fontsize="medium", parse_math=False)
        axes.grid(False)
        axes.set_xticks(range(len(self._x)), self._x, parse_math=False)
        axes.set_yticks(range(len(self._y)), self._y, parse_math=False)
        axes.tick_params(length=0)
        across, up = (f"{factor}{self._all.units.get(factor, '')}" for factor in self._all.factors)
        axes.set_xlabel(across, parse_math=False)
        axes.set_ylabel(up, parse_math=False)

    def _shades(self, grid: Floats) -> None:
        from matplotlib.colors import LogNorm, Normalize

        known = grid[np.isfinite(grid)]
        low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
        self._norm = LogNorm(low, high) if low > 0 and high > _WIDE * low else Normalize(low, high)
        edges = [np.arange(n + 1) - 0.5 for n in grid.shape[::-1]]
        shades = self._axes.pcolormesh(*edges, grid, cmap="cividis", norm=self._norm, lw=0)
        bar = self._axes.figure.colorbar(shades, ax=self._axes, pad=0.02)
        bar.set_label(self._question.label, parse_math=False)
        bar.outline.set_visible(False)
        if self._question.unit == "time" and isinstance(self._norm, LogNorm):
            time_ticks(bar.ax.yaxis, low, high)
        elif self._question.unit in ("time", "share"):
            bar.ax.yaxis.set_major_formatter(lambda number, _: formats.value(number, self._question.unit))

    def _words(self, x: int, y: int, design: Design, grid: Floats) -> None:
        if len(self._cells) > _LABELLED:
            return
        outcome, lines = self._question.outcome(design), []
        if design.result is not None:
            estimate, unit = design.result.estimate(self._question.target.key), self._question.unit
            lines = [formats.value(estimate.mean, unit)]
            lines += [f"± {formats.value(estimate.half_width, unit)}"] if math.isfinite(estimate.half_width) else []
        lines = ([*lines[:1], "grows"] if design.overloaded else lines) or [""]
        lines[0] = f"{_MARKS[outcome] if outcome else ''} {lines[0]}".strip()
        colour = ink(self._axes) if math.isnan(grid[y, x]) else self._legible(float(grid[y, x]))
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": self._font, "parse_math": False, "clip_on": True}
        self._axes.text(x, y, "\n".join(lines), color=colour, **look)

    @property
    def _font(self) -> float:
        """A size at which a cell's words fit into it."""
        width = self._axes.get_window_extent().width / self._axes.figure.dpi * 72 / len(self._x)
        return float(min(9.0, max(4.0, _PART * width / (_LETTERS * 0.62))))

    def _legible(self, number: float) -> str:
        from matplotlib import colormaps

        red, green, blue, _ = colormaps["cividis"](self._norm(number))
        return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < _DARK else "black"

    def _contour(self) -> None:
        """Between designs that keep to the objective and those that do not, or not surely."""
        holds = {cell: self._question.outcome(design) == "holds" for cell, design in self._cells.items()}
        for (x, y), inside in holds.items():
            for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1)) if inside else ():
                if not holds.get((x + across, y + up), True):
                    middle, along = (x + across / 2, y + up / 2), (abs(up) / 2, abs(across) / 2)
                    self._wall((middle[0] - along[0], middle[0] + along[0]), (middle[1] - along[1], middle[1] + along[1]))

    def _wall(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """White on black, which is seen on any shade."""
        for colour, width in (("black", 5.0), ("white", 2.2)):
            self._axes.plot(
                x, y, color=colour, lw=width, solid_capstyle="projecting", clip_on=False, zorder=2 + (colour == "white")
            )
