"""``simbus serve``: a broker for clients."""

import sys
from pathlib import Path

import click

from simbus.commands.shared import FILE, complaints

_EPILOG = """\b
Exit code:
  0  stopped by Ctrl-C or SIGTERM
  2  bad input, or a port that is taken; a line names the remedy

\b
Examples:
  simbus serve
  simbus serve --port 0 --definitions definitions.json
  simbus serve --host 0.0.0.0 --quiet
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=5672, show_default=True, help="Where to listen; 0 for a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at; 0.0.0.0 lets the network in.")
@click.option("--management-port", type=click.IntRange(0, 65_535), help="Offer the management API too, at this port.")
@click.option("--definitions", type=FILE, metavar="FILE", help="Begin with what FILE defines, the export of a real broker.")
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

    with complaints(definitions):
        document = None if definitions is None else read_document(definitions)
        out, err = sys.stdout, sys.stderr
        serve(host, port, document, management_port=management_port, version=rabbitmq_version, quiet=quiet, out=out, err=err)
