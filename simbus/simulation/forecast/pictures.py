"""The pictures of a scenario before anything is simulated, by name."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simbus.simulation.forecast.charting import chart
from simbus.simulation.model.system import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Pictures:
    """Of one scenario; every method takes ``ax`` and returns the axes it drew on."""

    scenario: System

    def topology(self, ax: "Axes | None" = None) -> "Axes":
        """Publishers, exchanges, queues and consumers as a graph, and the messages a second along each way, by arithmetic.

        From a queue to its consumers these are attempts. Rates are those that are offered: limits and times to live of consumed
        queues are left out, and nothing stands where it cannot be told.

        Raises:
            ScenarioError: the scenario does not fit together.
        """
        from simbus.analysis.plots.topology import draw_topology, new_graph, told

        self.scenario.validate(run=False)
        found = chart(self.scenario)
        axes = new_graph(ax, found)
        draw_topology(axes, found, *told(found))
        return axes
