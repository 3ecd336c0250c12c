"""Columns of a CSV or Parquet file, numbers and texts, with errors that name the file and the line.

What they mean (arrival times, service times) is decided by who reads them.
"""

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from simbus.errors import MissingExtra, ScenarioError, UnitError
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

    A file whose name ends in ``.parquet`` is read as such. A relative ``file`` is looked up in ``folder``, by default the current
    one. The columns in ``whole`` must hold whole numbers; those in ``texts`` hold texts, and those in ``filled`` must not be
    empty.

    Raises:
        ScenarioError: no such file or column, a value that is not such a number, no row at all.
    """
    path = Path(folder or "", str(file))
    try:
        kinds = dict.fromkeys(texts, _text) | dict.fromkeys(filled, _filled)
        rows = list(_rows(path, columns, kinds, whole))
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
    table = _parquet if path.suffix == ".parquet" else _csv
    for place, row in table(path, columns):
        try:
            yield [
                texts[column](cell, column) if column in texts else _number(cell, column, column in whole)
                for column, cell in zip(columns, row, strict=True)
            ]
        except UnitError as error:
            raise ScenarioError(place, str(error), str(path)) from None


def _csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, list[str | None]]]:
    """Where a row stands, and its cells."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, restkey="")
        _check_columns("line 1", columns, reader.fieldnames or [], path)
        for row in reader:
            yield f"line {reader.line_num}", [row[column] for column in columns]


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, list[str | None]]]:
    """The same of a Parquet file, whose rows count from 1."""
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise MissingExtra(path.name, "parquet", "pyarrow") from None
    with path.open("rb") as file:
        try:
            document = parquet.ParquetFile(file)
            _check_columns("", columns, document.schema_arrow.names, path)
            cells = [document.read([column])[column].to_pylist() for column in columns]
        except (ArrowException, OSError) as error:
            raise ScenarioError("file", f"is not a Parquet file ({error})", str(path)) from None
    for number, row in enumerate(zip(*cells, strict=True), start=1):
        yield f"row {number}", [None if cell is None else str(cell) for cell in row]


def _check_columns(place: str, columns: Sequence[str], known: Sequence[str], path: Path) -> None:
    for column in columns:
        if column not in known:
            raise ScenarioError(place, unknown("column", column, known), str(path))


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
