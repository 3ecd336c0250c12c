"""``simbus fit``: a distribution for measured times."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simbus.commands.shared import FILE, BadInput, check_writable, complaints, print_table, warn

if TYPE_CHECKING:
    from simbus.simulation.forecast.fitting import Fit

_EPILOG = """\b
Exit code:
  0  a distribution is proposed; where no family fits, the samples themselves
  2  bad input: each mistake in a line with file, place and remedy

\b
Examples:
  simbus fit times.csv
  simbus fit trace.csv --column handler_ms --unit ms --plot fit.png
"""


@click.command(epilog=_EPILOG, short_help="Propose a distribution for measured times.")
@click.argument("file", type=FILE)
@click.option("--column", default="seconds", show_default=True, help="The column of FILE that holds the times, a row for each.")
@click.option("--unit", default="s", show_default=True, help="What its numbers are: s, ms, us, ...")
@click.option("--plot", type=FILE, metavar="FILE", help="Draw samples and distributions to FILE, a picture.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, metavar="N", help="Of the bootstrap.")
def fit(file: Path, column: str, unit: str, plot: Path | None, seed: int) -> None:
    """Propose a distribution for the times measured in FILE, a CSV file with a header.

    Prints a row for each family of distributions, the likeliest first, with the p-value of its fit: below 0.01 it does not fit.
    The last line is what to write in a scenario file.
    """
    from simbus.simulation.forecast.fitting import fit

    if plot:
        check_writable(plot, file)
    with complaints():
        found = fit(file=file, column=column, unit=unit, seed=seed)
    warn(file, found.warnings)
    click.echo(f"{file}: {len(found.samples):,} times\n")
    print_table(found.as_text())
    click.echo(f"\nservice = {json.dumps(str(found), ensure_ascii=False)}")
    if plot:
        _draw(found, plot)


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
