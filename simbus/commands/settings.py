"""``--set PATH=VALUE``: a value of a scenario file that the command line overrides, and the paths that a shell completes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from simbus.commands.shared import BadInput, complaints, complaints_about, scenario_in
from simbus.errors import ScenarioError, SimbusError

if TYPE_CHECKING:
    from simbus.simulation.scenario import Scenario

Command = TypeVar("Command", bound=Callable[..., Any])


def setting_option(command: Command) -> Command:
    """Give a command the option; it receives ``settings``, the texts as they were given."""
    told = "Another value than the file's, as TOML: --set consumers.charge.count=8. May be given several times."
    return click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help=told, shell_complete=_completed)(command)


def scenario_with(file: Path, settings: Sequence[str]) -> "Scenario":
    """The scenario in a file with what the command line overrides; BadInput."""
    from simbus.simulation.file import with_setting

    with complaints():
        scenario = scenario_in(file)
    for text in settings:
        try:
            scenario = with_setting(scenario, text)
        except ScenarioError as error:
            problem = error.problem if text.startswith(error.place) else f"{error.place}: {error.problem}"
            raise BadInput(f"--set {text}: {problem}") from None
    return scenario


@contextmanager
def complaints_with(file: Path, settings: Sequence[str]) -> Iterator[None]:
    """As :func:`complaints_about`; what is wrong because of a setting is told of that, and not of the file's line."""
    with complaints_about(file):
        try:
            yield
        except ScenarioError as error:
            for text in settings:
                if error.place and text.startswith(error.place):
                    raise BadInput(f"--set {text}: {error.problem}") from None
            raise


def _completed(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The paths that begin so, in the file that stands before."""
    files = [context.params.get("file"), *(context.params.get("files") or ()), *context.args]  # args: what is not parsed yet
    try:
        paths = scenario_in(next(Path(file) for file in files if file)).paths
    except (SimbusError, StopIteration):
        return []
    return [CompletionItem(f"{path}=") for path in paths if path.startswith(incomplete)]
