"""Drawings that stand inside a page: plots as SVG in the page's own colours, and where an interval lies beside its limit.

A drawing holds no script, no style sheet and no address. Names in it are text, escaped by who writes the SVG.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simbus.analysis.estimates import Estimate
from simbus.analysis.style import COLOURS
from simbus.errors import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_INK = "#010203"  # drawn in this colour, shown in the page's own
_SIZE = (6.0, 3.7)
_DECIMALS = re.compile(r"(\d\.\d\d)\d+")
_ROOM = 1.12  # the axis of a gauge goes on so far beyond what it shows


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot with its words.

    Args:
        title: what it shows.
        caption: how to read it.
        told: what it shows, for those who cannot see it.
        svg: the plot.
        wide: whether it needs the whole width of the page.
    """

    title: str
    caption: str
    told: str
    svg: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Gauge:
    """An interval beside a limit on an axis from 0 to 100.

    Args:
        low: where the interval begins.
        mean: where its middle is.
        high: where it ends.
        limit: where the limit is.
        below: whether the good side is the lower one.
    """

    low: float
    mean: float
    high: float
    limit: float
    below: bool


def gauge(estimate: Estimate, limit: float, *, below: bool) -> Gauge | None:
    """The interval of a number that is not negative, beside its limit; None where nothing was observed."""
    if math.isnan(estimate.mean):
        return None
    finite = [x for x in (estimate.mean, estimate.high, limit) if math.isfinite(x)]
    scale = 100 / (_ROOM * (max(finite) or 1))
    low, mean, high = (min(100.0, max(0.0, x * scale)) for x in (estimate.low, estimate.mean, estimate.high))
    return Gauge(low, mean, high, limit * scale, below)


def draw(title: str, caption: str, told: str, plot: Callable[..., Axes], size: tuple[float, float] | None = None) -> Drawing:
    """What ``plot`` draws on the axes that it is given as ``ax``; of a ``size`` in inches it is wide."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 10}
    style |= dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK)
    with rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has the fonts
        figure = Canvas(figsize=size or _SIZE, layout="constrained")
        plot(ax=figure.subplots()).set_title("")
        return Drawing(printable(title), printable(caption), printable(told), _svg(figure), size is not None)


def _svg(figure: Figure) -> str:
    """The drawing to stand inside a page: no prologue, no metadata, no style sheet, colours by the page's names for them."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", out.getvalue()[out.getvalue().index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1)
    for place, colour in enumerate(COLOURS):
        text = text.replace(f": {colour.lower()}", f": var(--plot-{place})")
    text = re.sub(f": ({_INK}|#000000)", ": currentColor", text)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the next drawing has the same ones
    text = re.sub(r' d="[^"]*"', lambda path: _DECIMALS.sub(r"\1", path[0]), text)
    return "\n".join(map(printable, text.splitlines()))
