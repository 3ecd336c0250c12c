"""``simbus compare``: two results side by side, each simulated from its scenario file or saved before."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simbus.commands.outputs import check_outputs, output_options, write_texts
from simbus.commands.settings import complaints_with, scenario_with, setting_option
from simbus.commands.shared import FILE, BadInput, complaints, jobs_option, print_table, warn

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
  simbus compare shop.toml --set consumers.charge.count=8
"""


@click.command(epilog=_EPILOG, short_help="Hold two designs or two results against each other.")
@click.argument("first", type=FILE)
@click.argument("second", type=FILE, required=False)
@setting_option
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="What all random numbers of both derive from.")
@click.option("--replications", type=click.IntRange(min=1), metavar="N", help="Independent runs of each.")
@output_options("html", "json", "markdown")
@jobs_option
def compare(
    first: Path,
    second: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    replications: int | None,
    jobs: int,
    **outputs: Path | None,
) -> None:
    """Hold the SECOND result against the FIRST: verdicts, differences with their intervals, and what is written differently.

    Each is a scenario file (.toml), which is simulated, or a result that was saved. With --set the second has other values than
    its file; without a SECOND it is the first with them. Where only one has to be simulated it takes
    seed and replications of the other. Results of one seed, equally many and equally long, have met the same arrivals and
    services, so that small differences show; others are compared as independent runs.
    """
    sides = (_Side(first), _Side(second or first, settings))
    _check_sides(first, second, settings)
    check_outputs(outputs, [first, sides[1].file])
    given = {"seed": seed, "replications": replications}
    results = [side.loaded() for side in sides]
    saved = next((result for result in results if result is not None), None)
    if saved is not None:
        given = {"seed": seed or saved.settings.seed, "replications": replications or len(saved.replications)}
    one, other = (
        result or _simulated(side, given, jobs, rendered=bool(settings)) for result, side in zip(results, sides, strict=True)
    )
    versus = _versus(one, other, (sides[0].name, sides[1].name))
    write_texts(outputs, {"html": lambda: _page(versus), "json": lambda: _json(versus), "markdown": lambda: _markdown(versus)})
    _show(versus)


@dataclass(frozen=True)
class _Side:
    """A file, and what is set in it."""

    file: Path
    settings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.file.name} with {', '.join(self.settings)}" if self.settings else self.file.name

    @property
    def written(self) -> bool:
        """Whether it is a scenario, to be simulated."""
        return self.file.suffix == ".toml"

    def loaded(self) -> "Result | None":
        from simbus.analysis.results import load

        with complaints(self.file):
            return None if self.written else load(self.file)


def _check_sides(first: Path, second: Path | None, settings: Sequence[str]) -> None:
    """BadInput where there is nothing to compare with, or nothing to set a value in."""
    if second is None and not settings:
        raise BadInput(f"{first}: is alone; name a second file, or write --set consumers.charge.count=8")
    if settings and not _Side(second or first).written:
        raise BadInput(f"{second or first}: is a saved result, in which nothing can be set; name its scenario file")


def _simulated(side: _Side, given: dict[str, Any], jobs: int, *, rendered: bool) -> "Result":
    """Its result; ``rendered`` where texts are to differ by what is set alone, and not by how a person wrote the file."""
    from simbus.simulation.experiment.experiment import simulate

    scenario = scenario_with(side.file, side.settings)
    if rendered:
        scenario.written("")
    with complaints_with(side.file, side.settings):
        scenario.validate()
        warn(side.file, scenario.check().warnings)
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
