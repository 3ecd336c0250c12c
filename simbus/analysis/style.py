"""How all plots look: colours, axes, and names as they are. What they show is decided elsewhere.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; shades of amount are cividis, which they and a printer in
grey see rising. What is black on paper is drawn in the colour of the axes' own text, so that a dark page has it light.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
SHADE = 0.2
_LONGEST_NAME = 36


def new_axes(ax: Axes | None) -> Axes:
    """The caller's axes, or new ones, without what distracts from the data."""
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(6, 3.6), layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, alpha=SHADE, lw=0.6)
    ax.set_axisbelow(True)
    return ax


def ink(axes: Axes) -> Any:
    """The colour of the axes' text, dark on a light page and light on a dark one."""
    return axes.xaxis.label.get_color()


def short(name: str) -> str:
    """A name, of which the middle is left out when it is long."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2]}…{name[-_LONGEST_NAME // 2 + 1 :]}"


def legend(axes: Axes, handles: Mapping[str, Any], **where: Any) -> None:
    """The names as they are: a dollar sign starts no formula, an underscore hides nothing."""
    if handles:
        look = {"frameon": False, "fontsize": "small", **where}
        drawn = axes.legend(list(handles.values()), [short(name) for name in handles], **look)
        for text in drawn.get_texts():
            text.set_parse_math(False)
