"""What several commands need: exit codes, complaints in one line, files to read and to write, the terminal.

Nothing here knows a command.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simbus.errors import SimbusError, printable

if TYPE_CHECKING:
    from rich.console import Console

    from simbus.analysis.tables import Table
    from simbus.simulation.scenario import Scenario

HOLDS, FAILS, BAD_INPUT, UNDECIDED = 0, 1, 2, 3
FILE = click.Path(path_type=Path, readable=False)  # whoever reads it says better why it cannot be read
_WIDE = 160  # columns of a table that no terminal limits


class BadInput(click.ClickException):
    """What a user can mend, in one line."""

    exit_code = BAD_INPUT

    def show(self, file: Any = None) -> None:
        """Print it to the standard error."""
        click.echo(_line(f"simbus: {self.message}"), file=file, err=file is None)


@contextmanager
def complaints(file: Path | None = None) -> Iterator[None]:
    """Turn what simbus raises on purpose into one line; ``file`` stands in front of it where the error does not know its own."""
    try:
        yield
    except SimbusError as error:
        known = file is None or getattr(error, "file", None)
        raise BadInput(str(error) if known else f"{file}: {error}") from None


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def scenario_in(file: Path) -> "Scenario":
    """The scenario in a file; ScenarioError."""
    from simbus.simulation.file import read_scenario

    return read_scenario(file)


def warn(file: Path, warnings: Sequence[str]) -> None:
    """Print warnings about a file to the standard error, a line for each."""
    for warning in warnings:
        click.echo(_line(f"simbus: {file}: warning: {warning}"), err=True)


def print_table(table: "Table") -> None:
    """Print a table to the standard output."""
    from simbus.analysis.tables import as_grid

    with suppress(SystemExit):
        console().print(as_grid(table))


def console() -> "Console":
    """The standard output for tables: as wide as the terminal, or wide enough for any table where there is none."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=_WIDE)


def check_writable(path: Path, scenario: Path) -> None:
    """Find out before an hour of simulation that its report could not be written."""
    if path.exists() and path.samefile(scenario):
        raise BadInput(f"{path}: is the scenario itself; name another file")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"{path}: cannot be written, there is no folder {path.absolute().parent}; make it first")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise BadInput(f"{path}: cannot be written, permission denied; name another file")


def write(path: Path, text: str) -> None:
    """Write an output that :func:`check_writable` found possible; BadInput when it is no longer."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); name another file") from None
