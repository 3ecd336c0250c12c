"""How an answer looks in a notebook: a sentence, a table, and what to know before trusting it; every text escaped."""

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simbus.analysis.estimates import LIMITS
from simbus.analysis.formats import NOTHING

if TYPE_CHECKING:
    from pandas import DataFrame

_DIGITS = "{:.4g}"


def fragment(sentence: str, table: "DataFrame | None" = None, notes: Sequence[str] = ()) -> str:
    """A piece of HTML.

    Args:
        sentence: the answer.
        table: what it was made of; numbers have four digits, and an estimate is one column: its mean, with its limits behind.
        notes: a paragraph each, below.
    """
    shown = "" if table is None or table.empty else _table(table)
    return "".join([_paragraph(sentence), shown, *map(_paragraph, notes)])


def _table(table: "DataFrame") -> str:
    from pandas import RangeIndex

    names = not isinstance(table.index, RangeIndex)  # the numbers of rows tell nothing
    return folded(table).to_html(float_format=_DIGITS.format, na_rep=NOTHING, index=names)


def folded(table: "DataFrame") -> "DataFrame":
    """The same with one column, ``0.69 [0.52, 0.85]``, for each three that end in mean, low and high."""
    for name in [str(column) for column in table.columns]:
        parts = [name.removesuffix("mean") + limit for limit in LIMITS]
        if parts[0] == name and set(parts) <= set(table.columns):
            texts = [_estimate(*row) for row in table[parts].itertuples(index=False)]
            table = table.assign(**{name: texts}).drop(columns=parts[1:]).rename(columns={name: name.removesuffix(".mean")})
    return table


def _estimate(mean: float, low: float, high: float) -> str:
    if math.isnan(mean) or math.isnan(low):
        return NOTHING if math.isnan(mean) else f"{_DIGITS.format(mean)} [?]"
    return f"{_DIGITS} [{_DIGITS}, {_DIGITS}]".format(mean, low, high)


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"
