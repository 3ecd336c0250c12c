"""What came of a mutation run: the share of mutants that tests caught, and for each survivor why it may live.

    mutmut run                # makes the folder mutants/; pyproject.toml says what is mutated, and against which tests
    python -m tests.mutation

``survivors.toml`` explains those that no test can tell from the original, or that none should. The summary is written to
``mutation_results.json``. The exit status is 1 when fewer than nine in ten were caught, or a survivor is not explained.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = PROJECT / "tests" / "mutation_results.json"
WANTED = 0.9  # the share that tests have to catch

CAUGHT = ("killed", "timeout", "segfault", "caught by type check")
"""What mutmut says of a mutant that was noticed; one that goes on for ever is noticed too."""


class Mutant(NamedTuple):
    """One of mutmut's, and what became of it; ``place`` is ``queues.Queue.push``."""

    name: str
    status: str

    @property
    def place(self) -> str:
        """Where it is, without the package."""
        module, _, function = self.name.removeprefix("simbus.rabbitmq.").rpartition(".")
        function = re.sub(r"__mutmut_\d+$", "", function)
        return f"{module}.{function[1:].strip('ǁ').replace('ǁ', '.') if 'ǁ' in function else function.removeprefix('x_')}"

    @property
    def module(self) -> str:
        """The module's name, without the package."""
        return self.name.removeprefix("simbus.rabbitmq.").rpartition(".")[0]

    @property
    def caught(self) -> bool:
        """Whether a test noticed it."""
        return self.status in CAUGHT

    def change(self) -> str:
        """The lines that it changes, as they read in it."""
        shown = mutmut("show", self.name).splitlines()
        return " ".join(line[1:].strip() for line in shown if line.startswith("+") and not line.startswith("+++"))


class Explanation(NamedTuple):
    """Why these changes at a place make no difference that a test should notice."""

    place: str
    changes: list[str]
    why: str


def mutmut(*arguments: str) -> str:
    """What mutmut prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout


def all_mutants() -> list[Mutant]:
    """Those of the last run, which has to be complete."""
    found = re.findall(r"^\s+(\S+): (.+)$", mutmut("results", "--all", "true"), re.MULTILINE)
    mutants = [Mutant(*each) for each in found]
    if unfinished := sum(mutant.status == "not checked" for mutant in mutants):
        sys.exit(f"{unfinished} mutants were not tried yet: mutmut run")
    return mutants


def explanations() -> dict[tuple[str, str], Explanation]:
    """By place and change."""
    told = tomllib.loads((PROJECT / "tests" / "survivors.toml").read_text("utf-8"))["survivor"]
    return {(each["place"], change): Explanation(**each) for each in told for change in each["changes"]}


def by_module(mutants: Iterable[Mutant]) -> dict[str, dict[str, int]]:
    """How many there were of each module, and how many of them were caught."""
    total = Counter(mutant.module for mutant in mutants)
    caught = Counter(mutant.module for mutant in mutants if mutant.caught)
    return {module: {"mutants": total[module], "caught": caught[module]} for module in sorted(total)}


def summary(mutants: list[Mutant], explained: list[Explanation], unexplained: int) -> dict[str, object]:
    """The numbers, as they are kept."""
    caught = sum(mutant.caught for mutant in mutants)
    return {
        "tool": f"mutmut {version('mutmut')}",
        "commands": ["mutmut run", "python -m tests.mutation"],
        "mutants": len(mutants),
        "caught": caught,
        "share": round(caught / len(mutants), 4),
        "explained": len(mutants) - caught - unexplained,
        "unexplained": unexplained,
        "modules": by_module(mutants),
        "reasons": [{"place": each.place, "why": each.why} for each in explained],
    }


def lines_of(result: dict[str, object], modules: dict[str, dict[str, int]]) -> Iterator[str]:
    """The table, for people."""
    for module, counts in modules.items():
        yield f"{module:30s}{counts['caught']:6d} of {counts['mutants']:5d} caught{counts['caught'] / counts['mutants']:8.1%}"
    yield f"{result['caught']} of {result['mutants']} mutants were caught, {result['explained']} survivors are explained"


def main() -> int:
    """Match survivors with explanations, write the summary, judge."""
    mutants, known = all_mutants(), explanations()
    survivors = {mutant: (mutant.place, mutant.change()) for mutant in mutants if not mutant.caught}
    unexplained = {mutant: key for mutant, key in survivors.items() if key not in known}
    used = {id(known[key]): known[key] for key in survivors.values() if key in known}
    result = summary(mutants, list(used.values()), len(unexplained))
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    lines = [f"not explained, {mutant.status}: {mutant.name}\n    {change}" for mutant, (_, change) in unexplained.items()]
    idle = [f"explained, and caught or gone: {place}: {change}" for place, change in known.keys() - set(survivors.values())]
    sys.stdout.write("\n".join([*lines, *sorted(idle), *lines_of(result, by_module(mutants))]) + "\n")
    return 1 if unexplained or sum(mutant.caught for mutant in mutants) < WANTED * len(mutants) else 0


if __name__ == "__main__":
    sys.exit(main())
