"""What several commands need: exit codes, options, complaints in one line, files to read and to write, the terminal.

Nothing here knows a command.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simbus.errors import ScenarioError, SimbusError, printable

if TYPE_CHECKING:
    from rich.console import Console

    from simbus.analysis.tables import Table
    from simbus.simulation.scenario import Scenario

HOLDS, FAILS, BAD_INPUT, UNDECIDED = 0, 1, 2, 3
FILE = click.Path(path_type=Path, readable=False)  # whoever reads it says better why it cannot be read
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="What all random numbers derive from, instead of the file's."
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    metavar="N",
    show_default="one for each processor",
    help="Processes to run replications in; the result is the same for any number.",
)
_WIDE = 160  # columns of a table that no terminal limits


class BadInput(click.ClickException):
    """What a user can mend: a line for each mistake and, where it is known, the line of the file with a mark below."""

    exit_code = BAD_INPUT

    def __init__(self, message: str, mistakes: Sequence[ScenarioError] = ()) -> None:
        super().__init__(message)
        self._mistakes = mistakes

    def show(self, file: Any = None) -> None:
        """Print it to the standard error."""
        if not self._mistakes:
            say(one_line(f"simbus: {self.message}"), file)
        for mistake in self._mistakes:
            say(one_line(f"simbus: {mistake}"), file)
            if mistake.spot:
                line, marks = mistake.spot.excerpt().split("\n")
                say(f"{line}\n{marks.rstrip('^')}{click.style(marks.lstrip(' |'), fg='red')}", file)
        if len(self._mistakes) > 1:
            say(f"simbus: {len(self._mistakes)} mistakes", file)


@contextmanager
def complaints(file: Path | None = None) -> Iterator[None]:
    """Turn what simbus raises on purpose into a complaint; ``file`` stands in front where the error does not know its own."""
    try:
        yield
    except SimbusError as error:
        known = file is None or getattr(error, "file", None)
        mistakes = error.mistakes if isinstance(error, ScenarioError) and known else ()
        raise BadInput(str(error) if known else f"{file}: {error}", mistakes) from None


@contextmanager
def complaints_about(file: Path) -> Iterator[None]:
    """The same for what is wrong in a scenario file that could be read, with line and column."""
    from simbus.simulation.file import with_place

    with complaints(file):
        try:
            yield
        except ScenarioError as error:
            raise with_place(error, file) from None


def one_line(text: str) -> str:
    """A text without line breaks, whatever names it repeats."""
    return printable(" ".join(text.split()))


def say(text: str, file: Any = None) -> None:
    """Print to the standard error, with colours where they are wanted."""
    click.echo(text, file=file, err=file is None, color=coloured(file or sys.stderr))


def coloured(stream: Any) -> bool:
    """Whether a stream wants colours: not with NO_COLOR, else with FORCE_COLOR, else in a terminal that has them."""
    if os.environ.get("NO_COLOR"):
        return False
    dumb = os.environ.get("TERM") == "dumb"
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and not dumb)


def scenario_in(file: Path) -> "Scenario":
    """The scenario in a file; ScenarioError."""
    from simbus.simulation.file import read_scenario

    return read_scenario(file)


def warn(file: Path, warnings: Sequence[str]) -> None:
    """Print warnings about a file to the standard error, a line for each."""
    for warning in warnings:
        say(f"simbus: {one_line(str(file))}: {click.style('warning', fg='yellow')}: {one_line(warning)}")


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
    if path.exists() and scenario.exists() and path.samefile(scenario):
        raise BadInput(f"{path}: is the scenario itself; name another file")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"{path}: cannot be written, there is no folder {path.absolute().parent}; make it first")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise BadInput(f"{path}: cannot be written, permission denied; name another file")


def write(path: Path, content: str | bytes) -> None:
    """Write an output that :func:`check_writable` found possible; BadInput when it is no longer."""
    try:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); name another file") from None
