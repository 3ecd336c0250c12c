"""The group of all commands, and how it is called: a code for the process, a line for each complaint.

A new command is a file of its own beside this one and a word in ``COMMANDS``, which is also the order of the help.
"""

from collections.abc import Sequence

import click

from simbus.commands import calibrate, check, compare, completion, fit, import_, new, run, schema, serve
from simbus.commands.shared import BAD_INPUT, HOLDS, BadInput

COMMANDS = (
    new.new,
    import_.import_,
    fit.fit,
    check.check,
    run.run,
    calibrate.calibrate,
    compare.compare,
    serve.serve,
    schema.schema,
    completion.completion,
)
_EPILOG = """\b
Examples:
  simbus new shop.toml
  simbus check shop.toml
  simbus run shop.toml --html report.html
  simbus run --help

\b
Exit code:
  0    all is well
  1    an expectation fails (run), or a simulation is outside (calibrate)
  2    bad input: each mistake in a line with file, place and remedy
  3    that is undecided (run, calibrate)
  130  interrupted by Ctrl-C

Results go to the standard output; progress, warnings and complaints to the standard error. Colours stay out where NO_COLOR is set
or where there is no terminal; FORCE_COLOR brings them in.
"""


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments ask for; the exit code. KeyboardInterrupt when the user wants out."""
    try:
        code = simbus.main(arguments, prog_name="simbus", standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        (error if isinstance(error, BadInput) else BadInput(_with_hint(error))).show()
        return BAD_INPUT
    return code if isinstance(code, int) else HOLDS


def _with_hint(error: click.ClickException) -> str:
    """Click's complaint about the arguments, and where to read more."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{error.format_message()} Try: {context.command_path} --help" if context else error.format_message()


class _Commands(click.Group):
    """Commands in the order in which one meets them."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """As they were added."""
        return list(self.commands)


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(package_name="simbus", prog_name="simbus", message="%(prog)s %(version)s")
@click.pass_context
def simbus(context: click.Context) -> None:
    """A message broker on a clock that you control.

    A scenario file describes a system of publishers, queues and consumers, and what is expected of it. NEW writes one to start
    from, CHECK tells whether it can be run and what will not work, RUN simulates it and tells whether the expectations hold,
    COMPARE holds two against each other. SERVE is a broker for clients in any language.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in COMMANDS:
    simbus.add_command(_command)
