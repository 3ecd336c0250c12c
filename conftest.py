"""The examples in README.md and docs/ are tests.

Python blocks of one page run in order and share their names, from the root of the project. A block
that defines tests is handed to a pytest of its own instead, so that fixtures mean what they mean to
the reader; such a block must stand alone. A TOML block that describes a scenario must read as one. A text block that
opens with < is what one of the page's names shows.
Shell blocks are run by .ci/run.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

pytest_plugins = ["pytester"]  # the plugin's own tests run pytest inside pytest; only this conftest may ask for it

ROOT = Path(__file__).parent
run_here = PythonEvaluator()


def run_python(example: Example) -> None:
    """Run one block, or the tests in it."""
    if "def test_" in example.parsed:
        run_tests(example)
    else:
        run_here(example)


def run_tests(example: Example) -> None:
    """Run the block as a file of tests; its report is the failure."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "test_example.py")
        file.write_text("\n" * example.line + example.parsed, "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, str(file)]
        environment = {**os.environ, "PYTEST_ADDOPTS": ""}  # a --junitxml there is the outer run's
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


def read_scenario(example: Example) -> None:
    """Read the block as a scenario file, beside the files that come with the project's scenarios."""
    from simbus.simulation.file import read_scenario

    file = ROOT / "scenarios" / f".{example.path.rpartition('/')[2]}-{example.line}.toml"
    file.write_text(example.parsed, "utf-8")
    try:
        read_scenario(file)
    finally:
        file.unlink()


def compare_answer(example: Example) -> str | None:
    """Hold the block against what the page's examples have made."""
    answer = example.parsed.strip()
    shown = {repr(value) for value in example.namespace.values()} if answer.startswith("<") else {answer}
    return None if answer in shown else f"no name of this page shows {answer}"


def close_figures(_: object) -> None:
    """Of all that a page has drawn nothing stays open."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser("python", run_python),
        CodeBlockParser("toml", read_scenario),
        CodeBlockParser("text", compare_answer),
    ],
    patterns=["README.md", "docs/*.md"],
    teardown=close_figures,
).pytest()
