"""Named mutants: simbus with one sentence about RabbitMQ or about queues broken, which the tests have to notice.

    python -m tests.mutants            # all of them
    python -m tests.mutants priority   # those whose name holds this text

``mutants.toml`` is the list for the model of the broker, ``wrong_models.toml`` that for the simulation round it. Each is made in
a copy of the package and the tests in a temporary folder, and the tests that should catch it are run there until one fails. The
exit status is 1 when a mutant survives, when its old text does not stand exactly once in its file any more, or when the tests
fail without any mutant, for then they would catch everything.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
LISTS = ("mutants.toml", "wrong_models.toml")
PARTS = ("simbus", "tests", "scenarios", "docs", "README.md", "conftest.py", "pyproject.toml")
PROCESSES = 2
PATIENCE = 120  # seconds after which a mutant that goes on for ever is caught

PASSED, FAILED = 0, 1  # pytest's exit codes; any other is trouble with the mutant itself


class Mutant(NamedTuple):
    """One change of the source: what it breaks, and the test files or tests (``test_file.py::test_name``) that are to notice.

    ``says`` is the sentence that does not hold in it.
    """

    name: str
    says: str
    file: str
    old: str
    new: str
    tests: list[str]

    @property
    def places(self) -> int:
        """How often its old text stands in its file."""
        path = PROJECT / self.file
        return path.read_text("utf-8").count(self.old) if path.exists() else 0


class Outcome(NamedTuple):
    """What became of a mutant: the test that caught it, or why none did."""

    mutant: Mutant
    caught: bool
    text: str


def all_mutants() -> list[Mutant]:
    """The lists, in their order."""
    told = [entry for name in LISTS for entry in tomllib.loads((PROJECT / "tests" / name).read_text("utf-8"))["mutant"]]
    return [Mutant(**{**entry, "tests": [f"tests/{name}" for name in entry["tests"].split()]}) for entry in told]


def misplaced(mutants: Iterable[Mutant]) -> list[str]:
    """A line for each whose old text is not found exactly once."""
    return [
        f"{mutant.name}: its old text stands {mutant.places} times in {mutant.file}; adapt it in its list"
        for mutant in mutants
        if mutant.places != 1
    ]


def run(folder: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    """Pytest's exit code and output with the copy in this folder; None when it did not end."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        *tests,
    ]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


def tried(mutant: Mutant, folder: Path) -> Outcome:
    """Make the mutant in a copy, run its tests, and put the copy right again."""
    path = folder / mutant.file
    source = path.read_text("utf-8")
    path.write_text(source.replace(mutant.old, mutant.new), "utf-8")
    try:
        code, said = run(folder, mutant.tests)
    finally:
        path.write_text(source, "utf-8")
    if code is None:
        return Outcome(mutant, caught=True, text=f"does not end within {PATIENCE} s")
    if code == FAILED and (failure := re.search(r"^FAILED (\S+)", said, re.MULTILINE)):
        return Outcome(mutant, caught=True, text=failure[1])
    return Outcome(mutant, caught=False, text="SURVIVED" if code == PASSED else f"pytest ended with {code}:\n{said[-2000:]}")


def copies(parent: Path) -> "SimpleQueue[Path]":
    """A copy of the project for each process."""
    folders: SimpleQueue[Path] = SimpleQueue()
    for number in range(PROCESSES):
        folder = parent / str(number)
        folder.mkdir()
        for part in PARTS:
            source = PROJECT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
        folders.put(folder)
    return folders


def unspoilt(folder: Path, mutants: Iterable[Mutant]) -> str:
    """What is wrong without any mutant; empty when the tests pass, and with the package in the copy."""
    found = subprocess.run(
        [sys.executable, "-c", "import simbus; print(simbus.__file__)"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    if not Path(found).is_relative_to(folder.resolve()):
        return f"the tests would import {found}"
    code, said = run(folder, sorted({test for mutant in mutants for test in mutant.tests}))
    return "" if code == PASSED else said[-2000:]


def say(*lines: str) -> None:
    """At once, for whoever waits."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main(wanted: str = "") -> int:
    """Try each, print what became of it, judge."""
    mutants = [mutant for mutant in all_mutants() if wanted in mutant.name]
    if not mutants:
        say(f"no mutant's name holds {wanted!r}; the names are in mutants.toml and wrong_models.toml")
        return 2
    say(*(wrong := misplaced(mutants)))
    with TemporaryDirectory() as parent:
        folders = copies(Path(parent).resolve())

        def attempt(mutant: Mutant) -> Outcome:
            folder = folders.get()
            try:
                return tried(mutant, folder)
            finally:
                folders.put(folder)

        folder = folders.get()
        if spoilt := unspoilt(folder, mutants):
            say("without any mutant:", spoilt)
            return 1
        folders.put(folder)
        survived = 0
        with ThreadPoolExecutor(PROCESSES) as pool:
            for outcome in pool.map(attempt, [mutant for mutant in mutants if mutant.places == 1]):
                survived += not outcome.caught
                say(f"{'caught' if outcome.caught else 'NOT CAUGHT':11s}{outcome.mutant.name:52s}{outcome.text}")
    say(f"{len(mutants) - len(wrong) - survived} of {len(mutants)} mutants were caught")
    return 1 if wrong or survived else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
