"""Columns of a CSV file, numbers and texts, with errors that name the file and the line.

What they mean (arrival times, service times) is decided by who reads them.
"""

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.words import unknown


def read_columns(
    file: str | Path,
    columns: Sequence[str],
    folder: Path | None = None,
    whole: Collection[str] = (),
    texts: Collection[str] = (),
    filled: Collection[str] = (),
) -> list[list[Any]]:
    """The rows of a CSV file with a header, only these columns: finite, non-negative numbers (Decimal), exactly as written.

    A relative ``file`` is looked up in ``folder``, by default the current one. The columns in ``whole`` must
    hold whole numbers; those in ``texts`` hold texts, and those in ``filled`` must not be empty.

    Raises:
        ScenarioError: no such file or column, a value that is not such a number, no row at all.
    """
    path = Path(folder or "", str(file))
    try:
        rows = list(_rows(path, columns, dict.fromkeys(texts, _text) | dict.fromkeys(filled, _filled), whole))
    except OSError as error:
        raise ScenarioError("file", f"cannot be read ({error.strerror}); looked for {path.absolute()}", str(file)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError("file", f"is not CSV text in UTF-8 ({error})", str(file)) from None
    if not rows:
        raise ScenarioError("file", "has no row below its header; write one row per observation", str(file))
    return rows


def _rows(
    path: Path, columns: Sequence[str], texts: Mapping[str, Callable[[str | None, str], str]], whole: Collection[str]
) -> Iterator[list[Any]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, restkey="")
        for column in columns:
            if column not in (reader.fieldnames or []):
                raise ScenarioError("line 1", unknown("column", column, reader.fieldnames or []), str(path))
        for row in reader:
            try:
                yield [
                    texts[column](row[column], column) if column in texts else _number(row[column], column, column in whole)
                    for column in columns
                ]
            except UnitError as error:
                raise ScenarioError(f"line {reader.line_num}", str(error), str(path)) from None


def _text(text: str | None, _column: str) -> str:
    return text or ""


def _filled(text: str | None, column: str) -> str:
    if not text or not text.isprintable():
        raise UnitError(f"{column}: {text or ''!r} is not a name; write printable letters")
    return text


def _number(text: str | None, column: str, whole: bool) -> Decimal:
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        value = Decimal("nan")
    if not (value.is_finite() and value >= 0 and not (whole and value % 1)):
        wanted = "a whole number from 0; write for example 7" if whole else "a number from 0; write for example 1.5"
        raise UnitError(f"{column}: {text or ''!r} is not {wanted}")
    return value
