"""The commands of the command line: ``simbus run``, ``simbus check`` and ``simbus serve``.

They read, call and print; every number and every sentence about a result comes from ``simulation`` and ``analysis``, and
what is served from ``serve``. Each command imports what it needs when it runs: click is enough for ``simbus serve``.
Results go to the standard output, progress and complaints to the standard error, a complaint in one line.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simbus.errors import SimbusError

if TYPE_CHECKING:
    from rich.console import Console

    from simbus.analysis.results import Result
    from simbus.analysis.tables import Table
    from simbus.simulation.forecast.fitting import Fit
    from simbus.simulation.scenario import Scenario

HOLDS, FAILS, BAD_INPUT, UNDECIDED = 0, 1, 2, 3
_FILE = click.Path(path_type=Path, readable=False)  # whoever reads it says better why it cannot be read
_WIDE = 160  # columns of a table that no terminal limits

_RUN_EPILOG = """\b
Exit code:
  0  every expectation of the file holds: its confidence limit, not its mean
  1  one fails
  2  bad input; one line names the file, the place and the remedy
  3  none fails, but one is undecided; --undecided decides

\b
Examples:
  simbus run scenarios/bookstore.toml --html report.html
  simbus run shop.toml --replications 40 --seed 7
  simbus run shop.toml --precision 5%
  simbus run shop.toml --json shop.json --undecided=fail
"""
_CHECK_EPILOG = """\b
Exit code:
  0  every file can be run, with or without warnings
  2  bad input; one line names the file, the place and the remedy

\b
Example:
  simbus check scenarios/*.toml
"""


_FIT_EPILOG = """\b
Exit code:
  0  a distribution is proposed; where no family fits, the samples themselves
  2  bad input; one line names the file, the place and the remedy

\b
Examples:
  simbus fit times.csv
  simbus fit trace.csv --column handler_ms --unit ms --plot fit.png
"""
_SERVE_EPILOG = """\b
Exit code:
  0  stopped by Ctrl-C or SIGTERM
  2  bad input, or a port that is taken; one line names the place and the remedy

\b
Examples:
  simbus serve
  simbus serve --port 0 --definitions definitions.json
  simbus serve --host 0.0.0.0 --quiet
"""


class BadInput(click.ClickException):
    """What a user can mend, in one line."""

    exit_code = BAD_INPUT

    def show(self, file: Any = None) -> None:
        """Print it to the standard error."""
        click.echo(_line(f"simbus: {self.message}"), file=file, err=file is None)


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments ask for; the exit code. KeyboardInterrupt when the user wants out."""
    try:
        code = simbus.main(arguments, prog_name="simbus", standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        BadInput(_with_hint(error)).show()
        return BAD_INPUT
    return code if isinstance(code, int) else HOLDS


def _with_hint(error: click.ClickException) -> str:
    """Click's complaint about the arguments, and where to read more."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{error.format_message()} Try: {context.command_path} --help" if context else error.format_message()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, invoke_without_command=True)
@click.version_option(package_name="simbus", prog_name="simbus", message="%(prog)s %(version)s")
@click.pass_context
def simbus(context: click.Context) -> None:
    """A message broker on a clock that you control.

    A scenario file describes a system of publishers, queues and consumers, and what is expected of it. CHECK tells whether it
    can be run and what will not work; RUN simulates it and tells whether the expectations hold. SERVE is a broker for clients.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@simbus.command(epilog=_RUN_EPILOG)
@click.argument("file", type=_FILE)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="What all random numbers derive from, instead of the file's."
)
@click.option("--replications", type=click.IntRange(min=1), metavar="N", help="Independent runs, instead of the file's number.")
@click.option(
    "--precision", metavar="SHARE", help='Add replications until what is expected is known so well: "5%" of each mean, both ways.'
)
@click.option(
    "--max-replications", type=click.IntRange(min=1), metavar="N", help="The most of them, instead of the file's number."
)
@click.option("--html", type=_FILE, metavar="FILE", help="Write the report to FILE, a self-contained page.")
@click.option("--json", "json_", type=_FILE, metavar="FILE", help="Write every estimate to FILE.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    metavar="N",
    show_default="one for each processor",
    help="Processes to run replications in; the result is the same for any number.",
)
@click.option(
    "--undecided",
    type=click.Choice(["fail", "pass"]),
    help="Exit with 1 or with 0 where an expectation is undecided, instead of 3.",
)
@click.pass_context
def run(
    context: click.Context,
    file: Path,
    seed: int | None,
    replications: int | None,
    precision: str | None,
    max_replications: int | None,
    html: Path | None,
    json_: Path | None,
    jobs: int,
    undecided: str | None,
) -> None:
    """Simulate the scenario in FILE and hold its expectations.

    Prints tables of load, waits, losses and the consistency window of a message, each number with its confidence interval, and
    one line for each expectation.
    """
    with _complaints():
        scenario = _scenario(file)
    if html and html == json_:
        raise BadInput(f"{html}: cannot hold both the report and the estimates; name two files")
    for path in filter(None, (html, json_)):
        _check_writable(path, file)
    with _complaints(file):
        scenario.validate()
        _warn(file, scenario.check().warnings)
        given = {"seed": seed, "replications": replications, "precision": precision, "max_replications": max_replications}
        result = _simulate(scenario, given, jobs)
    if html:
        _write(html, _page(result))
        click.echo(f"simbus: wrote {html}", err=True)
    if json_:
        _write(json_, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
    _show(result)
    context.exit(_exit_code(result, undecided))


@simbus.command(epilog=_CHECK_EPILOG)
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...]) -> None:
    """Validate scenario files, and warn of what will not work.

    For each FILE a table says how busy its consumers will be, retries counted, and what is left when one of them is lost.
    Warnings tell of a routing key that reaches no queue, of consumers that cannot keep up, of dead letters that reach no queue or
    go round, of a prefetch that is too small or too large, and of runs too short to answer what is expected.
    """
    bad = False
    for file in files:
        try:
            _check(file)
        except BadInput as error:
            error.show()
            bad = True
    context.exit(BAD_INPUT if bad else HOLDS)


@simbus.command(epilog=_FIT_EPILOG)
@click.argument("file", type=_FILE)
@click.option("--column", default="seconds", show_default=True, help="The column of FILE that holds the times, a row for each.")
@click.option("--unit", default="s", show_default=True, help="What its numbers are: s, ms, us, ...")
@click.option("--plot", type=_FILE, metavar="FILE", help="Draw samples and distributions to FILE, a picture.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, metavar="N", help="Of the bootstrap.")
def fit(file: Path, column: str, unit: str, plot: Path | None, seed: int) -> None:
    """Propose a distribution for the times measured in FILE, a CSV file with a header.

    Prints a row for each family of distributions, the likeliest first, with the p-value of its fit: below 0.01 it does not fit.
    The last line is what to write in a scenario file.
    """
    from simbus.simulation.forecast.fitting import fit

    if plot:
        _check_writable(plot, file)
    with _complaints():
        found = fit(file=file, column=column, unit=unit, seed=seed)
    _warn(file, found.warnings)
    click.echo(f"{file}: {len(found.samples):,} times\n")
    _print(found.as_text())
    click.echo(f"\nservice = {json.dumps(str(found), ensure_ascii=False)}")
    if plot:
        _draw(found, plot)


@simbus.command(epilog=_SERVE_EPILOG)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=5672, show_default=True, help="Where to listen; 0 for a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at; 0.0.0.0 lets the network in.")
@click.option("--management-port", type=click.IntRange(0, 65_535), help="Offer the management API too, at this port.")
@click.option("--definitions", type=_FILE, metavar="FILE", help="Begin with what FILE defines, the export of a real broker.")
@click.option("--rabbitmq-version", type=click.Choice(["4.0", "3.10"]), default="4.0", show_default=True, help="Which one to be.")
@click.option("--quiet", "-q", is_flag=True, help="Log connections and errors only.")
def serve(
    port: int, host: str, management_port: int | None, definitions: Path | None, rabbitmq_version: str, quiet: bool
) -> None:
    """Be a broker, for clients in any language, until Ctrl-C.

    It runs on the wall clock, keeps everything in memory, and logs what happens: a line for each connection, queue, consumer
    and message, and a line a second for messages in great number.
    """
    from simbus.documents import read_document
    from simbus.serve import serve

    with _complaints(definitions):
        document = None if definitions is None else read_document(definitions)
        out, err = sys.stdout, sys.stderr
        serve(host, port, document, management_port=management_port, version=rabbitmq_version, quiet=quiet, out=out, err=err)


def _check(file: Path) -> None:
    with _complaints():
        scenario = _scenario(file)
    with _complaints(file):
        scenario.validate()
        found = scenario.check()
    click.echo(f"{file}: can be run")
    for line in found.lines():
        click.echo(f"  {line}")
    _warn(file, found.warnings)


@contextmanager
def _complaints(file: Path | None = None) -> Iterator[None]:
    """Turn what simbus raises on purpose into one line; ``file`` stands in front of it where the error does not know its own."""
    try:
        yield
    except SimbusError as error:
        known = file is None or getattr(error, "file", None)
        raise BadInput(str(error) if known else f"{file}: {error}") from None


def _line(text: str) -> str:
    return " ".join(text.split())


def _scenario(file: Path) -> "Scenario":
    from simbus.simulation.file import read_scenario

    return read_scenario(file)


def _warn(file: Path, warnings: Sequence[str]) -> None:
    for warning in warnings:
        click.echo(_line(f"simbus: {file}: warning: {warning}"), err=True)


def _simulate(scenario: "Scenario", given: dict[str, Any], jobs: int) -> "Result":
    from simbus.simulation.experiment.experiment import simulate

    return simulate(scenario, **given, jobs=jobs)


def _show(result: "Result") -> None:
    from simbus.analysis.tables import show

    with suppress(SystemExit):  # rich's answer to a reader that hung up, as `head` does; the verdict stands all the same
        show(result, _console())


def _print(table: "Table") -> None:
    from simbus.analysis.tables import as_grid

    with suppress(SystemExit):
        _console().print(as_grid(table))


def _console() -> "Console":
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def _draw(found: "Fit", file: Path) -> None:
    """Both plots of a fit, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    found.plot(left)
    found.plot_quantiles(right)
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: cannot be drawn ({error}); name a file such as fit.png") from None
    click.echo(f"simbus: wrote {file}", err=True)


def _page(result: "Result") -> str:
    from simbus.analysis.report import render

    return render(result)


def _check_writable(path: Path, scenario: Path) -> None:
    """Find out before an hour of simulation that its report could not be written."""
    if path.exists() and path.samefile(scenario):
        raise BadInput(f"{path}: is the scenario itself; name another file")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"{path}: cannot be written, there is no folder {path.absolute().parent}; make it first")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise BadInput(f"{path}: cannot be written, permission denied; name another file")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); name another file") from None


def _exit_code(result: "Result", undecided: str | None) -> int:
    outcomes = Counter(verdict.outcome for verdict in result.verdicts())
    if outcomes["fails"]:
        return FAILS
    if outcomes["undecided"]:
        return {"fail": FAILS, "pass": HOLDS, None: UNDECIDED}[undecided]
    return HOLDS
