"""How an answer looks in a notebook: a sentence, a table, and what to know before trusting it; every text escaped."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


def fragment(sentence: str, table: "DataFrame | None" = None, notes: Sequence[str] = ()) -> str:
    """A piece of HTML.

    Args:
        sentence: the answer.
        table: what it was made of; numbers have four digits.
        notes: a paragraph each, below.
    """
    shown = "" if table is None or table.empty else table.to_html(float_format="{:.4g}".format, na_rep="–")
    return "".join([_paragraph(sentence), shown, *map(_paragraph, notes)])


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"
