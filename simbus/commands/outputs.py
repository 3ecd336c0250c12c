"""The files that a run leaves beside what it prints: the report, estimates, Markdown, test cases.

A new one is a line in ``OUTPUTS`` and a method of the result that writes it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from simbus.commands.shared import FILE, BadInput, check_writable, write

if TYPE_CHECKING:
    from simbus.analysis.results import Result

Command = TypeVar("Command", bound=Callable[..., Any])

OUTPUTS = {
    "html": ("the report", "Write the report to FILE, a self-contained page."),
    "json": ("the estimates", "Write every estimate to FILE."),
    "markdown": ("Markdown", "Write verdicts and tables to FILE, for the comment on a pull request."),
    "junit": ("test cases", "Write the verdicts to FILE as JUnit XML, for CI."),
}
_ALSO = {"html": ("--report",)}


def output_options(command: Command) -> Command:
    """Give a command an option for each output; it receives a path, or None, for each key."""
    for key, (_, told) in reversed(OUTPUTS.items()):
        option = click.option(f"--{key}", *_ALSO.get(key, ()), key, type=FILE, metavar="FILE", help=told)
        command = option(command)
    return command


def check_outputs(paths: Mapping[str, Path | None], inputs: Iterable[Path]) -> None:
    """Find out before an hour of simulation what could not be written; BadInput."""
    inputs, seen = tuple(inputs), dict[Path, str]()
    for key, path in paths.items():
        if path is None:
            continue
        if path in seen:
            raise BadInput(f"{path}: cannot hold both {OUTPUTS[seen[path]][0]} and {OUTPUTS[key][0]}; name two files")
        seen[path] = key
        for each in inputs:
            check_writable(path, each)


def write_outputs(paths: Mapping[str, Path | None], result: "Result", undecided: str | None) -> None:
    """Write what was asked for, and say so on the standard error."""
    writers: dict[str, Callable[[], str]] = {
        "html": result.to_html,
        "json": lambda: json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n",
        "markdown": result.to_markdown,
        "junit": lambda: result.to_junit("fail" if undecided == "fail" else "skip"),
    }
    for key, path in paths.items():
        if path is not None:
            write(path, writers[key]())
            click.echo(f"simbus: wrote {path}", err=True)
