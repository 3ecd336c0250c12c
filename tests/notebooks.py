"""``python -m tests.notebooks [NAME ...]``: notebooks/*.ipynb with what they show, from notebooks/*.py.

The sources are scripts in jupytext's percent format, which read and diff well; the notebooks are what a reader opens. Each is
executed from an empty kernel, in its own folder. ``--check`` executes them and compares instead. Seeds make every number exact,
so texts and tables have to be the same, word for word; of a picture only that there is one, because fonts and matplotlib draw
differently. What a picture shows stands in its cell's first line, ``# %% alt="..."``, for who cannot see it.
"""

import argparse
import difflib
import html
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

HERE = Path(__file__).resolve().parent.parent
FOLDER = HERE / "notebooks"
_KEPT = ("text/plain", "text/html", "image/png")  # forms of an output; others are of no use to a page
_KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
_NO_TEXT = re.compile(r"<style.*?</style>|<(?!/tr)[^>]*>", re.DOTALL)  # the end of a table's row ends a line


def names() -> list[str]:
    return sorted(source.stem for source in FOLDER.glob("*.py"))


def built(name: str) -> Any:
    """The notebook of a source, without outputs; its cells are numbered, so that it is the same whenever it is built."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    notebook.metadata = nbformat.from_dict(_KERNEL)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({key: text for key, text in cell.metadata.items() if key == "alt"})
    return notebook


def executed(name: str) -> Any:
    """The notebook with its outputs."""
    notebook = built(name)
    folder = {"metadata": {"path": str(FOLDER)}}
    with TemporaryDirectory() as sockets:  # of files, not of ports, where others could listen
        config = Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"})
        client = NotebookClient(
            notebook, timeout=120, resources=folder, config=config, record_timing=False, coalesce_streams=True
        )
        client.execute(env={key: value for key, value in os.environ.items() if key != "MPLBACKEND"})  # pictures are to be shown
    for cell in code(notebook):
        cell.outputs = [tidied(output, cell.metadata.get("alt", "")) for output in cell.outputs if not passing(output)]
    return notebook


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def passing(output: Any) -> bool:
    """Whether it was seen only while the cell ran: a bar of progress leaves nothing, and does so on slow machines only."""
    return "data" in output and output.data.get("text/html") == ""


def tidied(output: Any, alt: str) -> Any:
    """An output in the forms that are kept, a picture with the text of its cell."""
    if "data" in output:
        output.data = {form: shown for form, shown in output.data.items() if form in _KEPT}
        output.metadata = nbformat.from_dict({"image/png": {"alt": alt}} if "image/png" in output.data else {})
    return output


def stored(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def said(notebook: Any) -> list[str]:
    """What a reader is told, line by line: the code, the texts and tables that it answers, and a line for each picture."""
    lines = list[str]()
    for cell in notebook.cells:
        lines += cell.source.splitlines()
        for output in cell.get("outputs", ()):
            lines += answers(output)
    return lines


def answers(output: Any) -> list[str]:
    """The lines of one output; of a picture its form, of a page the text, of a warning or another stream all."""
    forms = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in forms:
        return ["picture"]
    page = html.unescape(_NO_TEXT.sub(" ", forms.get("text/html", "")).replace("\n", " ")).replace("</tr>", "\n")
    return [" ".join(line.split()) for text in (forms["text/plain"], page) for line in text.splitlines() if line.strip()]


def differences(name: str, before: Any, after: Any) -> Iterator[str]:
    """Lines of a unified diff; none when both say the same."""
    return difflib.unified_diff(said(before), said(after), f"{name}.ipynb", f"{name}, executed", lineterm="", n=0)


def write(name: str) -> None:
    nbformat.write(executed(name), FOLDER / f"{name}.ipynb")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="by default all")
    parser.add_argument("--check", action="store_true", help="execute them, and say where they differ from what is stored")
    given = parser.parse_args()
    found = list[str]()
    for name in given.names or names():
        if given.check:
            found += differences(name, stored(name), executed(name))
        else:
            write(name)
    sys.stdout.write("\n".join([*found, f"{len(found)} lines of difference\n" if given.check else ""]))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
