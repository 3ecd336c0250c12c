"""Results as Markdown, for the comment on a pull request: verdicts at once, tables folded.

Written for GitHub's dialect. Names come from files and messages, so they stand in code, where nothing is a link, a mention or
HTML; in sentences that hold names every letter that could be markup is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from simbus.analysis.cautions import cautions
from simbus.analysis.findings import Findings
from simbus.analysis.tables import MARKS, Table, expectations, headline, introduction, overall, setting, tables, to_decide
from simbus.analysis.versus import Versus
from simbus.errors import printable

_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~&$!]|(?<=:)//|(?<=www)\.")


def markdown(results: Sequence[Findings]) -> str:
    """A section for each result: its headline, its verdicts, what to doubt, and the tables in a fold."""
    return "\n".join(_section(result) for result in results)


def compared(versus: Versus) -> str:
    """Two results: what became of the verdicts, what changed, and what was written differently, in a fold."""
    mark = MARKS.get(versus.outcome, "·")
    first, second = map(code, versus.called)
    lines = [f"### {mark} {second} against {first}: {prose(versus.headline())}", "", versus.how(), ""]
    if versus.verdicts:
        lines += [*_grid(versus.judged(), (code, prose)), ""]
    told = [change for change in versus.changes if change.outcome != "undecided"]
    if told:
        lines += [*_grid(versus.changed(told, "What changed"), (code, prose)), ""]
    lines += _folded_difference(versus.written())
    return "\n".join([*lines, f"{setting(versus.first)}; {setting(versus.second)}", ""])


def _folded_difference(written: Sequence[str]) -> list[str]:
    """Between fences that are longer than any in it."""
    if not written:
        return []
    fence = "`" * max(3, 1 + max(len(run) for run in re.findall("`*", "\n".join(written))))
    return [
        "<details>",
        "<summary>What is written differently</summary>",
        "",
        f"{fence}diff",
        *written,
        fence,
        "",
        "</details>",
        "",
    ]


def code(text: str) -> str:
    """A name as code: between backticks, or as ``<code>`` where a backtick or a bar in it would end that, or the cell."""
    text = printable(text)
    if text.strip() and text == text.strip() and not set(text) & set("`|"):
        return f"`{text}`"
    return f"<code>{re.sub(r'[^0-9A-Za-z ]', _entities, text)}</code>"


def prose(text: str) -> str:
    """A sentence that may hold names: none of its letters is markup, and it calls no person or team by ``@``."""
    return _MARKUP.sub(_entities, printable(text)).replace("@", "@\u200b")


def _entities(found: re.Match[str]) -> str:
    return "".join(f"&#{ord(letter)};" for letter in found[0])


def _section(result: Findings) -> str:
    mark = MARKS.get(overall(result), "·")
    lines = [f"### {mark} {prose(result.scenario)}: {headline(result)}", ""]
    lines += [f"{prose(said)}\n" for said in introduction(result)]
    if result.expectations:
        lines += [*_grid(expectations(result), (str, code, prose)), ""]
    lines += [f"{said}\n" for said in (to_decide(result),) if said]
    lines += [f"> {prose(caution)}\n" for caution in cautions(result)]
    for table in tables(result):
        first = code if table.named else prose
        lines += ["<details>", f"<summary>{table.title}</summary>", "", *_grid(table, (first, prose)), "", "</details>", ""]
    return "\n".join([*lines, f"{setting(result)}; simbus {result.versions['simbus']}, trace `{result.trace_hash[:12]}`", ""])


def _grid(table: Table, columns: Sequence[Callable[[str], str]]) -> list[str]:
    """The table's lines; ``columns`` write the cells, the last of them also those further right."""
    writers = [columns[min(place, len(columns) - 1)] for place in range(len(table.headings))]
    left = len(columns) - 1 if table.named else 0
    rules = [":--" if place < left else "--:" for place in range(len(table.headings))]
    rows = [[write(cell.text) for write, cell in zip(writers, row, strict=True)] for row in table.rows]
    return [f"| {' | '.join(row)} |" for row in ([prose(each) for each in table.headings], rules, *rows)]
