"""Two runs of a client library's own tests, side by side: against RabbitMQ and against simbus.

A script, not a test, because it needs both: ``python -m tests.client_suites rabbitmq.xml simbus.xml``, with the files that
pytest's ``--junitxml`` wrote. It prints the counts of both runs and every test with another outcome; the number of
these is the exit code. How to run the suites is told in docs/fidelity.md.
"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

_OUTCOMES = {"error": "error", "failure": "failed", "skipped": "skipped"}


def outcomes(file: Path) -> dict[str, str]:
    """The outcome of every test. pytest has two entries for a test whose teardown fails: the worse of them counts."""
    found: dict[str, str] = {}
    for case in ET.parse(file).iter("testcase"):  # noqa: S314 - our own run's file
        name = f"{case.get('classname')}::{case.get('name')}"
        outcome = next((_OUTCOMES[child.tag] for child in case if child.tag in _OUTCOMES), "passed")
        if found.get(name, "passed") == "passed":
            found[name] = outcome
    return found


def differences(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Every test that did not end in the same way, in a line each; one that one side did not run is ``missing``."""
    both = ((name, theirs.get(name, "missing"), ours.get(name, "missing")) for name in sorted(ours | theirs))
    return [f"{name}: {their} with RabbitMQ, {our} with simbus" for name, their, our in both if their != our]


def main() -> int:
    """Compare; the number of differences is the exit code."""
    theirs, ours = (outcomes(Path(argument)) for argument in sys.argv[1:])
    for who, outcome in (("RabbitMQ", theirs), ("simbus", ours)):
        counts = ", ".join(f"{count} {word}" for word, count in sorted(Counter(outcome.values()).items()))
        sys.stdout.write(f"{who}: {counts}\n")
    different = differences(ours, theirs)
    sys.stdout.write("".join(f"  {line}\n" for line in different) + f"{len(theirs)} compared, {len(different)} different\n")
    return min(len(different), 255)


if __name__ == "__main__":
    sys.exit(main())
