"""``simbus schema``: the format of scenario files, for editors."""

import json

import click

_EPILOG = """\b
Exit code:
  0  always

\b
Example:
  simbus schema > scenario.schema.json
"""


@click.command(epilog=_EPILOG)
def schema() -> None:
    """Print the JSON Schema of scenario files.

    An editor that knows it completes keys, tells what they mean, and marks mistakes while you type. Save it, and begin a scenario
    file with the line "#:schema ./scenario.schema.json", which taplo and Even Better TOML for VS Code understand.
    """
    from simbus.simulation.schema import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
