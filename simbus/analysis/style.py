"""How all plots look: colours, axes, and a logarithmic axis of times. What they show is decided elsewhere.

Colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHADE = 0.2


def new_axes(ax: Axes | None) -> Axes:
    """The caller's axes, or new ones, without what distracts from the data."""
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(6, 3.6), layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, alpha=SHADE, lw=0.6)
    ax.set_axisbelow(True)
    return ax
