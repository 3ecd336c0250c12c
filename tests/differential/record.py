"""Ask the real brokers: ``python -m tests.differential.record FILE...`` runs each file's program and writes down the answers.

The brokers are those that the environment names (see ``worlds``); what an earlier run heard from others stays. A program
is run three times on each, and what does not repeat is not recorded. ``--show`` prints simbus's answers beside them.
"""

import argparse
import sys
from pathlib import Path

from tests.differential.differences import differences
from tests.differential.play import Observed, run
from tests.differential.transcripts import Transcript
from tests.differential.worlds import RELEASES, VARIABLES, Oracle, Simbus, oracles

CALM = 0.3  # seconds; a loaded machine and its disk take their time
REPEATS = 3


def record(transcript: Transcript, version: str, oracle: Oracle) -> str:
    """Run it, and keep what was heard; what was wrong, or nothing."""
    runs: list[Observed] = [run(oracle.world(), transcript.program, calm=CALM) for _ in range(REPEATS)]
    for other in runs[1:]:
        if different := differences(transcript.program, runs[0], other, ("first", "again")):
            return f"it does not repeat itself:\n{different}"
    transcript.told.setdefault("observed", {})[RELEASES[version]] = runs[0]
    return ""


def beside(transcript: Transcript, version: str) -> str:
    """Where simbus differs from what is recorded."""
    observed = transcript.observed(version)
    assert observed is not None
    ours = run(Simbus(version), transcript.program)
    return differences(transcript.program, observed, ours, ("RabbitMQ", "simbus"))


def main() -> int:
    """Record files; the number of those that went wrong is the exit code."""
    parser = argparse.ArgumentParser(description="Record what the real brokers answer.")
    parser.add_argument("files", nargs="+", type=Path)
    brokers = oracles()
    if not brokers:
        parser.error(f"no broker to ask: set {' or '.join(VARIABLES.values())}")
    wrong = 0
    for path in parser.parse_args().files:
        transcript = Transcript.read(path)
        for version in [version for version in transcript.versions if version in brokers]:
            trouble = record(transcript, version, brokers[version]) or beside(transcript, version)
            wrong += bool(trouble)
            sys.stdout.write(f"{path} {RELEASES[version]}: {trouble or 'recorded, and simbus agrees'}\n")
        transcript.write()
    for oracle in brokers.values():
        oracle.close()
    return wrong


if __name__ == "__main__":
    sys.exit(main())
