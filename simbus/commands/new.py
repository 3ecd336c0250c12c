"""``simbus new``: a scenario to start from."""

from importlib.resources import files
from pathlib import Path
from shlex import quote

import click

from simbus.commands.shared import FILE, BadInput, say
from simbus.errors import printable

_TEMPLATES = ("queue", "retries", "fan-out")
_EPILOG = """\b
Templates:
  queue    one queue, its publisher and its consumers
  retries  delay queues, a parking queue and an outage
  fan-out  an event for several readers, and how long they disagree

\b
Exit code:
  0  the scenario was written
  2  bad input; one line names the file and the remedy

\b
Examples:
  simbus new shop.toml && simbus run shop.toml
  simbus new payments.toml --template retries
"""


@click.command(epilog=_EPILOG)
@click.argument("file", type=FILE, default="scenario.toml")
@click.option("--template", type=click.Choice(_TEMPLATES), default="queue", show_default=True, help="What to start from.")
def new(file: Path, template: str) -> None:
    """Write a scenario to start from to FILE, a new one.

    It is commented, and it can be run as it is. Without FILE it is called scenario.toml.
    """
    import tomlkit

    text = files("simbus.commands").joinpath("templates", f"{template}.toml").read_text("utf-8")
    name = tomlkit.string(printable(file.stem).replace("-", " ").replace("_", " ").capitalize() or "Scenario").as_string()
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text.replace("NAME", name).replace("FILE", quote(printable(str(file)))))
    except FileExistsError:
        raise BadInput(f"{file}: is there already; name a new file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{file}: cannot be written ({reason}); name another file") from None
    say(f"simbus: wrote {file}; next: simbus run {file}")
