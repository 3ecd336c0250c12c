"""The plots of one result, by name. What each of them looks like is in the file of what it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simbus.analysis.findings import Findings
from simbus.analysis.flows import flows
from simbus.analysis.plots import bars, over_time, tails, topology
from simbus.analysis.style import COLOURS, new_axes
from simbus.errors import ScenarioError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 12


@dataclass(frozen=True, slots=True)
class Plots:
    """The plots of one result; every method takes ``ax`` and returns the axes it drew on."""

    result: Findings

    def latency(self, queue: str | None = None, ax: Axes | None = None) -> Axes:
        """Share of attempts that wait longer than t, a line per queue, both axes logarithmic.

        A line ends where a replication has fewer than five longer waits: beyond, it would show chance. What the scenario expects,
        such as ``payments.wait.p99 < 5s``, is a corner that the line of its queue has to stay out of: a diamond at 5 s and 1 %.
        """
        self._check("queue", queue, self.result.queues)
        axes = new_axes(ax)
        tails.draw_latency(axes, self.result, (queue,) if queue else self._ranked("wait.p99", len(COLOURS)))
        return axes

    def window(self, ax: Axes | None = None) -> Axes:
        """Share of messages that every subscriber has applied within t of their publish; diamonds are what is expected."""
        axes = new_axes(ax)
        tails.draw_window(axes, self.result)
        return axes

    def percentiles(self, queue: str, ax: Axes | None = None) -> Axes:
        """Median, 95th and 99th percentile of the waits that ended at a time of the run, each with its interval.

        Dashed is what is expected of them over the whole run; outages that bear on the queue are shaded.
        """
        self._check("queue", queue, self.result.queues)
        axes = new_axes(ax)
        over_time.draw_percentiles(axes, self.result, queue)
        return axes

    def depth(self, queue: str, ax: Axes | None = None) -> Axes:
        """Messages of a queue over time, stacked: with consumers (unacked), waiting to be tried again, and ready.

        The line is their sum with its interval; outages that bear on it are shaded, the darker the more replications have them.
        Those that wait to be tried again are unacked in a back-off before they go back, or are in the queues or the exchange that
        the retries of its consumers have in the broker; a back-off inside a handler is none of these, but service.
        """
        self._check("queue", queue, self.result.queues)
        axes = new_axes(ax)
        over_time.draw_depth(axes, self.result, queue)
        return axes

    def on_duty(self, group: str, ax: Axes | None = None) -> Axes:
        """Consumers of a group on duty over time: mean over replications and its interval."""
        self._check("group of consumers", group, self.result.consumers)
        axes = new_axes(ax)
        over_time.draw_on_duty(axes, self.result, group)
        return axes

    def warmup(self, queue: str, ax: Axes | None = None) -> Axes:
        """Depth over time, the mean of all replications and its moving average (Welch 1983), with the warm-up used and suggested.

        The warm-up is long enough where the moving average has come to its level before it ends.
        """
        self._check("queue", queue, self.result.queues)
        axes = new_axes(ax)
        over_time.draw_warmup(axes, self.result, queue)
        return axes

    def loss(self, ax: Axes | None = None) -> Axes:
        """Delivery obligations lost, by cause, a bar per queue; the whisker is the interval of the sum.

        Of many queues, the dozen that lose the largest share.
        """
        axes = new_axes(ax)
        bars.draw_loss(axes, self.result, self._ranked("loss", _ROWS))
        return axes

    def attempts(self, ax: Axes | None = None) -> Axes:
        """How often a copy is delivered, attempted and applied, a row per queue, and the share of duplicates in words.

        Beyond once these are redeliveries, retries and duplicates. A retry by way of a delay queue or a delayed exchange is
        another copy. Of many queues, the dozen whose messages are attempted most often.
        """
        axes = new_axes(ax)
        bars.draw_attempts(axes, self.result, self._ranked("attempts.mean", _ROWS))
        return axes

    def utilisation(self, ax: Axes | None = None) -> Axes:
        """How busy the servers of each group of consumers are, with intervals; ticks are what arithmetic says."""
        axes = new_axes(ax)
        bars.draw_utilisation(axes, self.result)
        return axes

    def topology(self, ax: Axes | None = None) -> Axes:
        """Publishers, exchanges, queues and consumers as a graph, and the messages a second along each way as they were measured.

        From a queue to its consumers these are attempts. Nothing stands where several ways could have brought what was counted.
        """
        axes = topology.new_graph(ax, self.result.chart)
        topology.draw_topology(axes, self.result.chart, *topology.measured(flows(self.result)))
        return axes

    def deepest(self) -> list[str]:
        """The dozen queues that hold most, in the scenario's order."""
        return self._ranked("depth.mean", _ROWS)

    def _check(self, what: str, name: str | None, known: Sequence[str]) -> None:
        if name is not None and name not in known:
            raise ScenarioError("plot", f"unknown {what} {name!r}; known: {', '.join(known) or 'none'}")

    def _ranked(self, name: str, most: int) -> list[str]:
        """The queues where a metric was observed and is largest, in the scenario's order."""
        means = {queue: self.result.estimate(f"queues.{queue}.{name}").mean for queue in self.result.queues}
        ranked = sorted((queue for queue, mean in means.items() if not math.isnan(mean)), key=lambda queue: -means[queue])
        return [queue for queue in self.result.queues if queue in ranked[:most]]
