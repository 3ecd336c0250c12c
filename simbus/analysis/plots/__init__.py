"""Plots of results, sweeps, sensitivities and topologies, each on axes of the caller's or on new ones.

Every axis names its unit, every estimate shows its interval, and the look is that of ``style``. Numbers come from results;
nothing is computed here that is not also in a table. What a user calls is :class:`~simbus.analysis.plots.of_result.Plots` and
its like; each picture is drawn in the file of what it shows.
"""

from simbus.analysis.plots.of_result import Plots
from simbus.analysis.plots.responses import Design, Responses
from simbus.analysis.plots.swings import Swing, draw_swings

__all__ = ["Design", "Plots", "Responses", "Swing", "draw_swings"]
