"""``simbus calibrate``: a scenario held against what was observed of the real system."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from simbus.commands.settings import complaints_with, scenario_with, setting_option
from simbus.commands.shared import (
    FAILS,
    FILE,
    HOLDS,
    UNDECIDED,
    BadInput,
    check_writable,
    complaints,
    jobs_option,
    print_table,
    say,
    seed_option,
    warn,
)

if TYPE_CHECKING:
    from simbus.analysis.calibration import Calibration

_CODES = {"inside": HOLDS, "outside": FAILS, "undecided": UNDECIDED}
_EPILOG = """\b
Exit code:
  0  inside: what was observed could be one more replication
  1  outside: hardly any replication is as far from the others
  2  bad input: each mistake in a line with file, place and remedy
  3  undecided: it is the farthest of too few to say more

\b
Examples:
  simbus calibrate shop.toml handled.csv --metric payments.wait --unit ms
  simbus calibrate shop.toml depth.csv --metric payments.depth
  simbus calibrate shop.toml depth.csv --metric payments.depth --plot d.png
"""


@click.command(epilog=_EPILOG, short_help="Hold a scenario against what was observed.")
@click.argument("file", type=FILE)
@click.argument("observed", type=FILE)
@click.option(
    "--metric", required=True, metavar="PATH", help="Times, such as payments.wait, or a level over time, such as payments.depth."
)
@click.option("--column", metavar="NAME", help="The column of OBSERVED: seconds for times, depth and so on for levels.")
@click.option("--unit", metavar="UNIT", help="What plain times are: s, ms, us, ...; by default s.")
@click.option("--at", metavar="NAME", help="For levels, the column with the second of each; by default seconds.")
@setting_option
@click.option("--replications", type=click.IntRange(min=2), metavar="N", help="Independent runs, instead of the file's number.")
@seed_option
@click.option("--plot", type=FILE, metavar="FILE", help="Draw observed and simulated to FILE, a picture.")
@jobs_option
@click.pass_context
def calibrate(
    context: click.Context,
    file: Path,
    observed: Path,
    metric: str,
    column: str | None,
    unit: str | None,
    at: str | None,
    settings: tuple[str, ...],
    replications: int | None,
    seed: int | None,
    plot: Path | None,
    jobs: int,
) -> None:
    """Simulate the scenario in FILE and say how far it is from OBSERVED.

    OBSERVED, a CSV or Parquet file, is one run of the real system, so a run of the scenario should be as long. It is held against
    single replications: each number beside the interval in which one more replication would have it, and how far the whole is
    off, on average, beside how far replications are from each other.
    """
    from simbus.analysis.expectations import resolve
    from simbus.simulation.experiment.calibrating import observation
    from simbus.simulation.experiment.experiment import simulate

    if plot:
        check_writable(plot, file)
    scenario = scenario_with(file, settings)
    with complaints():
        names = tuple(scenario.topology.queues), tuple(scenario.consumers), scenario.classes_in_queues
        resolve(f"{metric}.mean", *names, place="metric")
        seen = observation(metric, file=observed, column=column, unit=unit, at=at)
    with complaints_with(file, settings):
        result = simulate(scenario, replications=replications, seed=seed, jobs=jobs)
    with complaints():
        found = seen(result)
    warn(file, found.cautions)
    print_table(found.as_text())
    click.echo(f"\n{found}")
    if plot:
        _draw(found, plot)
    context.exit(_CODES[found.outcome])


def _draw(found: "Calibration", file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    found.plot(figure.subplots())
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: cannot be drawn ({error}); name a file such as fit.png") from None
    say(f"simbus: wrote {file}")
