"""The files that a run leaves beside what it prints: the report, estimates, Markdown, test cases.

A new one is a line in ``OUTPUTS`` and a method of the result that writes it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from simbus.commands.shared import FILE, BadInput, check_writable, one_line, write

if TYPE_CHECKING:
    from simbus.analysis.overview import Run

Command = TypeVar("Command", bound=Callable[..., Any])

OUTPUTS = {
    "html": ("the report", "Write the report to FILE, a self-contained page."),
    "json": ("the estimates", "Write every estimate to FILE."),
    "markdown": ("Markdown", "Write verdicts and tables to FILE, for the comment on a pull request."),
    "junit": ("test cases", "Write the verdicts to FILE as JUnit XML, for CI."),
    "save": ("the result", "Save the result to FILE, for `simbus compare` and simbus.load."),
}
_ALSO = {"html": ("--report",)}


def output_options(*keys: str) -> Callable[[Command], Command]:
    """Give a command an option for each of these outputs; it receives a path, or None, for each."""

    def add(command: Command) -> Command:
        for key in reversed(keys):
            command = click.option(f"--{key}", *_ALSO.get(key, ()), key, type=FILE, metavar="FILE", help=OUTPUTS[key][1])(command)
        return command

    return add


def check_outputs(paths: Mapping[str, Path | None], inputs: Sequence[Path]) -> None:
    """Find out before an hour of simulation what could not be written; BadInput."""
    seen = dict[Path, str]()
    for key, path in paths.items():
        if path is None:
            continue
        if path in seen:
            raise BadInput(f"{path}: cannot hold both {OUTPUTS[seen[path]][0]} and {OUTPUTS[key][0]}; name two files")
        seen[path] = key
        for each in inputs:
            check_writable(path, each)


def check_one_saved(path: Path | None, inputs: Sequence[Path]) -> None:
    """Refuse to save several results in one file; BadInput."""
    if path and len(inputs) > 1:
        raise BadInput(f"{path}: a saved result is of one scenario, not {len(inputs)}; run each for its own")


def write_outputs(paths: Mapping[str, Path | None], runs: Sequence["Run"], undecided: str | None) -> None:
    """Write what was asked for, and say so on the standard error; of several results the estimates are a list."""
    from simbus.analysis.junit import junit
    from simbus.analysis.markdown import markdown
    from simbus.analysis.saved import packed

    results = [run.result for run in runs if run.result]
    writers: dict[str, Callable[[], str | bytes]] = {
        "html": lambda: _page(runs),
        "json": lambda: _json([each.to_json() for each in results]),
        "markdown": lambda: markdown(results),
        "junit": lambda: junit(results, "fail" if undecided == "fail" else "skip"),
        "save": lambda: packed(results[0]),
    }
    write_texts(paths, writers)


def _page(runs: Sequence["Run"]) -> str:
    """The report of one run, or what is said of several."""
    from simbus.analysis.overview_page import render

    return runs[0].result.to_html() if len(runs) == 1 and runs[0].result else render(runs)


def write_texts(paths: Mapping[str, Path | None], writers: Mapping[str, Callable[[], str | bytes]]) -> None:
    """Write what was asked for, each by its writer, and say so on the standard error."""
    for key, path in paths.items():
        if path is not None:
            write(path, writers[key]())
            click.echo(one_line(f"simbus: wrote {path}"), err=True)


def _json(documents: list[dict[str, Any]]) -> str:
    return json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False) + "\n"
