"""``simbus import``: a scenario to fill in, from a broker's export."""

import os
from pathlib import Path

import click

from simbus.commands.shared import FILE, BadInput, check_writable, complaints, say, write

_EPILOG = """\b
Exit code:
  0  the scenario was written
  2  bad input: each mistake in a line with file, place and remedy

\b
Examples:
  rabbitmqctl export_definitions definitions.json
  simbus import definitions.json -o shop.toml
  simbus import definitions.json --vhost orders -o orders.toml
"""


@click.command("import", epilog=_EPILOG, short_help="Draft a scenario from a broker's definitions.")
@click.argument("file", type=FILE)
@click.option("--output", "-o", type=FILE, metavar="FILE", help="Write to FILE, a new one, and not to the standard output.")
@click.option("--vhost", default="", metavar="NAME", show_default="/, or the only one", help="The virtual host to import.")
def import_(file: Path, output: Path | None, vhost: str) -> None:
    """Draft a scenario from FILE, the definitions that a broker has exported.

    The scenario reads exchanges, queues, bindings and policies from FILE, and says in comments what they are and what of them is
    not simulated. It has a publisher for each exchange and consumers for each queue; what an export does not tell, such as how
    much arrives and how long handlers take, is left to be filled in.
    """
    from simbus.dialect import DEFAULT, load
    from simbus.documents import read_document
    from simbus.simulation.files.drafting import draft

    if output is not None:
        check_writable(output, file)
        if output.exists():
            raise BadInput(f"{output}: is there already, perhaps filled in; name a new file")
    with complaints(file):
        outline = load(DEFAULT).outline(read_document(file), vhost)
        folder = Path() if output is None else output.absolute().parent
        name = file.name.removesuffix(".json").removesuffix(".definitions")
        text = draft(outline, Path(os.path.relpath(file, folder)).as_posix(), name, str(output or "scenario.toml"))
    if output is None:
        click.echo(text, nl=False)
        return
    write(output, text)
    say(f"simbus: wrote {output}; fill it in, then: simbus check {output}")
