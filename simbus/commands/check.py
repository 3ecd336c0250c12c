"""``simbus check``: what can be told of scenario files before they run."""

from collections.abc import Sequence
from pathlib import Path

import click

from simbus.commands.settings import complaints_with, scenario_with, setting_option
from simbus.commands.shared import BAD_INPUT, FILE, HOLDS, BadInput, warn

_EPILOG = """\b
Exit code:
  0  every file can be run, with or without warnings
  2  bad input: each mistake in a line with file, place and remedy

\b
Examples:
  simbus check scenarios/*.toml
  simbus check shop.toml --set consumers.charge.count=8
"""


@click.command(epilog=_EPILOG)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@setting_option
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...], settings: tuple[str, ...]) -> None:
    """Validate scenario files, and warn of what will not work.

    For each FILE a table says how busy its consumers will be, retries counted, and what is left when one of them is lost.
    Warnings tell of a routing key that reaches no queue, of consumers that cannot keep up, of dead letters that reach no queue or
    go round, of a prefetch that is too small or too large, and of runs too short to answer what is expected.
    """
    bad = False
    for file in files:
        try:
            _check(file, settings)
        except BadInput as error:
            error.show()
            bad = True
    context.exit(BAD_INPUT if bad else HOLDS)


def _check(file: Path, settings: Sequence[str]) -> None:
    scenario = scenario_with(file, settings)
    with complaints_with(file, settings):
        scenario.validate()
        found = scenario.check()
    click.echo(f"{file}: can be run")
    for line in found.lines():
        click.echo(f"  {line}")
    warn(file, found.warnings)
