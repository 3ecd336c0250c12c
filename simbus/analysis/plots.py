"""Plots of a result, each on axes of the caller's or on new ones, with intervals across replications.

Every axis names its unit; the look is that of ``style``.
Estimates come from the result; nothing is computed here that is not also in a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simbus.analysis import formats
from simbus.analysis.estimates import band
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import CAUSES, quantile
from simbus.analysis.replication import PROBABILITIES
from simbus.analysis.style import COLOURS, SHADE, new_axes
from simbus.analysis.warmup import welch
from simbus.errors import ScenarioError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


_BY_CAUSE = dict(zip(CAUSES, (*COLOURS, "#F0E442", "#000000", "#332288", "#999999"), strict=True))
_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800)
_DECADES = 3.5
_BARS = 12
_LONGEST_NAME = 36
_ENOUGH_BEYOND = 5


@dataclass(frozen=True, slots=True)
class Plots:
    """The plots of one result; every method takes ``ax`` and returns the axes it drew on."""

    result: Findings

    def latency(self, queue: str | None = None, ax: Axes | None = None) -> Axes:
        """Share of attempts that wait longer than t, a line per queue, both axes logarithmic.

        A line ends where a replication has fewer than five longer waits: beyond, it would show chance.
        Diamonds are the scenario's expectations: a line should pass below and left of its diamond.
        """
        self._check("queue", queue, self.result.queues)
        axes = new_axes(ax)
        lines = {}
        for name, colour in zip((queue,) if queue else self._ranked("wait.p99", len(COLOURS)), COLOURS, strict=False):
            lines[name] = self._tail(axes, name, colour)
            self._limits(axes, name, colour)
        axes.set(yscale="log", xlabel="wait t", ylabel="share that waits longer than t")
        axes.set_ylim(top=1.3)
        _times(axes)
        axes.yaxis.set_major_formatter(lambda share, _: formats.value(share, "share"))
        _legend(axes, lines)
        return axes

    def depth(self, queue: str, ax: Axes | None = None) -> Axes:
        """Copies in a queue over time, ready and unacked: mean over replications and its interval."""
        self._check("queue", queue, self.result.queues)
        return self._over_time(new_axes(ax), f"{queue}.depth.over_time", queue, "depth (ready + unacked)")

    def on_duty(self, group: str, ax: Axes | None = None) -> Axes:
        """Consumers of a group on duty over time: mean over replications and its interval."""
        self._check("group of consumers", group, self.result.consumers)
        return self._over_time(new_axes(ax), f"consumers.{group}.on_duty.over_time", group, "consumers on duty")

    def _check(self, what: str, name: str | None, known: Sequence[str]) -> None:
        if name is not None and name not in known:
            raise ScenarioError("plot", f"unknown {what} {name!r}; known: {', '.join(known) or 'none'}")

    def _over_time(self, axes: Axes, path: str, title: str, label: str) -> Axes:
        time, curves = self.result.curves("time"), self.result.curves(path)
        if time.size and curves.size:  # runs that end with their arrivals differ in length: bins are shares of the run
            scale, unit = _time_scale(float(time.max()))
            _band(axes, time.mean(axis=0) / scale, curves, COLOURS[0], self.result.settings.confidence)
            self._warmup(axes, scale)
            axes.set_xlabel(f"time ({unit})")
        axes.set_ylabel(label)
        axes.set_title(title, parse_math=False)
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        return axes

    def warmup(self, queue: str, ax: Axes | None = None) -> Axes:
        """Depth over time, the mean of all replications and its moving average (Welch 1983), with the warm-up used and suggested.

        The warm-up is long enough where the moving average has come to its level before it ends.
        """
        self._check("queue", queue, self.result.queues)
        axes = new_axes(ax)
        time, curves = self.result.curves("time"), self.result.curves(f"{queue}.depth.over_time")
        if time.size and curves.size:
            scale, unit = _time_scale(float(time.max()))
            at = time.mean(axis=0) / scale
            axes.plot(at, curves.mean(axis=0), color=COLOURS[5], lw=0.8, label="mean of the replications")
            axes.plot(at, welch(curves, len(at) // 20), color=COLOURS[0], lw=1.6, label="moving average")
            self._warmup(axes, scale)
            suggested = self.result.suggested_warmup(queue)
            if suggested < math.inf:
                axes.axvline(suggested / scale, color=COLOURS[1], ls="--", lw=1.2, label="suggested by MSER-5")
            axes.set_xlabel(f"time ({unit})")
            axes.legend(frameon=False)
        axes.set_ylabel("depth (ready + unacked)")
        axes.set_title(queue, parse_math=False)
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        return axes

    def loss(self, ax: Axes | None = None) -> Axes:
        """Delivery obligations lost, by cause, a bar per queue; the whisker is the interval of the sum.

        Of many queues, the dozen that lose the largest share.
        """
        axes = new_axes(ax)
        queues = self._ranked("loss", _BARS)[::-1]
        left, bars = np.zeros(len(queues)), {}
        for cause, colour in _BY_CAUSE.items():
            shares = np.array([self._percent(q, f"loss.{cause}") for q in queues])
            if (shares > 0).any():
                bars[cause.replace("_", " ")] = axes.barh(range(len(queues)), shares, left=left, height=0.55, color=colour)
                left = left + np.nan_to_num(shares)
        self._whiskers(axes, queues)
        axes.set_yticks(range(len(queues)), [_short(queue) for queue in queues], parse_math=False)
        axes.set(xlabel="share of obligations lost (%)", ylim=(-0.6, max(len(queues), 1) - 0.4))
        axes.set_xlim(left=0)
        axes.grid(False, axis="y")
        _legend(axes, bars)
        return axes

    def window(self, ax: Axes | None = None) -> Axes:
        """Share of messages that every subscriber has applied within t of their publish."""
        axes = new_axes(ax)
        curves = self.result.curves("window.quantiles")
        if curves.size:
            middle, low, high = band(curves, self.result.settings.confidence)
            drawn = np.isfinite(middle) & (middle > 0)
            _sideways(axes, middle[drawn], low[drawn], high[drawn], 100 * PROBABILITIES[drawn], COLOURS[0])
            _times(axes)
        axes.set(xlabel="time since publish", ylabel="messages applied everywhere (%)", ylim=(0, 103))
        never = self.result.estimate("window.never")
        if never.mean > 0:
            text = f"never: {formats.interval(never, 'share')}"
            axes.annotate(text, (0.97, 0.06), xycoords="axes fraction", ha="right", fontsize="small")
        return axes

    def deepest(self) -> list[str]:
        """The dozen queues that hold most, in the scenario's order."""
        return self._ranked("depth.mean", _BARS)

    def _ranked(self, name: str, most: int) -> list[str]:
        """The queues where a metric was observed and is largest, in the scenario's order."""
        means = {queue: self.result.estimate(f"queues.{queue}.{name}").mean for queue in self.result.queues}
        ranked = sorted((queue for queue, mean in means.items() if not math.isnan(mean)), key=lambda queue: -means[queue])
        return [queue for queue in self.result.queues if queue in ranked[:most]]

    def _tail(self, axes: Axes, queue: str, colour: str) -> Line2D:
        curves = self.result.curves(f"{queue}.wait.quantiles")
        if not curves.size:
            curves = np.full((1, len(PROBABILITIES)), math.nan)
        middle, low, high = band(curves, self.result.settings.confidence)
        observed = self.result.estimate(f"queues.{queue}.wait.n").mean
        beyond = math.inf if math.isnan(observed) else observed * (1 - PROBABILITIES)
        drawn = np.isfinite(middle) & (middle > 0) & (PROBABILITIES < 1) & (beyond >= _ENOUGH_BEYOND)
        return _sideways(axes, middle[drawn], low[drawn], high[drawn], 1 - PROBABILITIES[drawn], colour)

    def _limits(self, axes: Axes, queue: str, colour: str) -> None:
        """Expectations such as ``wait.p99 < 5s`` as a diamond at 5 s and 1 %."""
        for each in self.result.expectations:
            probability = quantile(each.target.name)
            if each.target.key.startswith(f"{queue}.wait.p") and probability and "<" in each.operator:
                axes.plot(each.limit, 1 - probability, marker="D", mfc="none", mec=colour, ms=6, mew=1.4, ls="none")

    def _warmup(self, axes: Axes, scale: float) -> None:
        if self.result.settings.warmup:
            end = self.result.settings.warmup / 1e9 / scale
            axes.axvspan(0, end, color="gray", alpha=SHADE / 2, lw=0)
            axes.annotate(
                "warm-up", (end, 0.97), xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points", va="top"
            )

    def _percent(self, queue: str, name: str) -> float:
        return 100 * self.result.estimate(f"queues.{queue}.{name}").mean

    def _whiskers(self, axes: Axes, queues: list[str]) -> None:
        for row, queue in enumerate(queues):
            estimate = self.result.estimate(f"queues.{queue}.loss")
            if math.isfinite(estimate.high):
                ends = (100 * max(0.0, estimate.low), 100 * estimate.high)
                axes.plot(ends, (row, row), color=axes.xaxis.label.get_color(), marker="|", lw=1.2, ms=7)


def _band(axes: Axes, x: NDArray[np.float64], curves: NDArray[np.float64], colour: str, confidence: float) -> None:
    middle, low, high = band(curves, confidence)
    known = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(x, np.maximum(low, 0), high, where=known.tolist(), color=colour, alpha=SHADE, lw=0)
    axes.plot(x, middle, color=colour, lw=1.6)


def _sideways(
    axes: Axes,
    middle: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    y: NDArray[np.float64],
    colour: str,
) -> Line2D:
    """A line whose interval lies along x, where time is."""
    known = np.isfinite(low) & np.isfinite(high)
    least = middle.min() if middle.size else 0
    axes.fill_betweenx(y, np.maximum(low, least), high, where=known.tolist(), color=colour, alpha=SHADE, lw=0)
    return axes.plot(middle, y, color=colour, lw=1.8)[0]


def _times(axes: Axes) -> None:
    """A logarithmic x axis of a few decades with ticks that people say: 10 ms, 1 s, 1 min, 1 h."""
    drawn = [float(x) for line in axes.lines for x in np.atleast_1d(line.get_xdata()) if x > 0] or [1.0]
    high = 1.25 * max(drawn)
    low = max(0.8 * min(drawn), high / 10**_DECADES)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_ticks([tick for tick in _TICKS if low <= tick <= high])
    axes.xaxis.set_ticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda seconds, _: formats.value(seconds, "time"))


def _time_scale(seconds: float) -> tuple[float, str]:
    scales = ((172_800.0, 86_400.0, "days"), (7_200.0, 3_600.0, "hours"), (120.0, 60.0, "minutes"))
    return next(((scale, unit) for least, scale, unit in scales if seconds >= least), (1.0, "seconds"))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2]}…{name[-_LONGEST_NAME // 2 + 1 :]}"


def _legend(axes: Axes, handles: Mapping[str, Any]) -> None:
    """The names as they are: a dollar sign starts no formula, an underscore hides nothing."""
    if handles:
        legend = axes.legend(list(handles.values()), [_short(name) for name in handles], frameon=False, fontsize="small")
        for text in legend.get_texts():
            text.set_parse_math(False)
