"""``simbus compare``: two results side by side, each simulated from its scenario file or saved before."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simbus.commands.outputs import check_outputs, output_options, write_texts
from simbus.commands.shared import FILE, complaints, complaints_about, jobs_option, print_table, scenario_in, warn

if TYPE_CHECKING:
    from simbus.analysis.results import Result
    from simbus.analysis.versus import Versus

_EPILOG = """\b
Exit code:
  0  both were compared, whatever came of it; `simbus run` judges expectations
  2  bad input: each mistake in a line with file, place and remedy

\b
Examples:
  simbus compare before.toml after.toml --html change.html
  simbus compare main.npz branch.toml --markdown comment.md
"""


@click.command(epilog=_EPILOG, short_help="Hold two designs or two results against each other.")
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="What all random numbers of both derive from.")
@click.option("--replications", type=click.IntRange(min=1), metavar="N", help="Independent runs of each.")
@output_options("html", "json", "markdown")
@jobs_option
def compare(first: Path, second: Path, seed: int | None, replications: int | None, jobs: int, **outputs: Path | None) -> None:
    """Hold the SECOND result against the FIRST: verdicts, differences with their intervals, and what is written differently.

    Each is a scenario file (.toml), which is simulated, or a result that was saved. Where only one has to be simulated it takes
    seed and replications of the other. Results of one seed, equally many and equally long, have met the same arrivals and
    services, so that small differences show; others are compared as independent runs.
    """
    check_outputs(outputs, [first, second])
    given = {"seed": seed, "replications": replications}
    results = [None if path.suffix == ".toml" else _loaded(path) for path in (first, second)]
    saved = next((result for result in results if result is not None), None)
    if saved is not None:
        given = {"seed": seed or saved.settings.seed, "replications": replications or len(saved.replications)}
    one, other = (result or _simulated(path, given, jobs) for result, path in zip(results, (first, second), strict=True))
    versus = _versus(one, other, (first.name, second.name))
    write_texts(outputs, {"html": lambda: _page(versus), "json": lambda: _json(versus), "markdown": lambda: _markdown(versus)})
    _show(versus)


def _loaded(path: Path) -> "Result":
    from simbus.analysis.results import load

    with complaints(path):
        return load(path)


def _simulated(path: Path, given: dict[str, Any], jobs: int) -> "Result":
    from simbus.simulation.experiment.experiment import simulate

    with complaints():
        scenario = scenario_in(path)
    with complaints_about(path):
        scenario.validate()
        warn(path, scenario.check().warnings)
        return simulate(scenario, **given, jobs=jobs)


def _versus(first: "Result", second: "Result", names: tuple[str, str]) -> "Versus":
    from simbus.analysis.versus import Versus

    return Versus(first, second, names)


def _page(versus: "Versus") -> str:
    from simbus.analysis.versus_page import render

    return render(versus)


def _json(versus: "Versus") -> str:
    return json.dumps(versus.to_json(), indent=2, ensure_ascii=False) + "\n"


def _markdown(versus: "Versus") -> str:
    from simbus.analysis.markdown import compared

    return compared(versus)


def _show(versus: "Versus") -> None:
    click.echo(f"{versus.called[1]} against {versus.called[0]}. {versus.how()}\n")
    print_table(versus.changed(versus.changes, "Differences"))
    if versus.verdicts:
        click.echo()
        print_table(versus.judged())
    click.echo(f"\n{versus.headline()}")
