"""A long run: ``python -m tests.differential --programs 5000 --version 4.0 [--seed N] [--steps 50] [--record]``.

Prints what diverges as it is found, and in the end seed, counts and time. ``--record`` adds the run as a line to runs.json,
from which docs/fidelity.md tells of it. The exit code is the number of divergences, 100 at most.
"""

import argparse
import json
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture.engine import ConjectureRunner
from hypothesis.stateful import run_state_machine_as_test

from tests.differential.judge import Judge
from tests.differential.machine import Programs
from tests.differential.worlds import RELEASES, VARIABLES, Oracle, oracles

RUNS = Path(__file__).with_name("runs.json")


def draw(judge: Judge, programs: int, steps: int, number: int) -> None:
    """Draw so many programs, of so many steps at most, from that seed, and have them judged."""

    class Judged(Programs):
        pass

    Judged.judge = judge
    # Five of six programs would be variations of the one before them, which find nothing new and whose shares nobody chose.
    ConjectureRunner.generate_mutations_from = _nothing  # type: ignore[method-assign]
    told = settings(
        max_examples=programs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(Judged), settings=told)


def _nothing(self: ConjectureRunner, data: object) -> None:
    """No variations."""


def summary(judge: Judge, number: int, seconds: float) -> dict[str, Any]:
    """What a run says of itself."""
    return {
        "release": RELEASES[judge.version],
        "programs": judge.programs,
        "steps": judge.steps,
        "seed": number,
        "divergences": len(judge.divergences),
        "unstable": judge.unstable,
        "unmodelled": judge.unmodelled,
        "seconds": round(seconds),
        "heard": {name: count for name, count in judge.heard.most_common() if name},
        "on": datetime.now(UTC).date().isoformat(),
    }


def main() -> int:
    """Run programs."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description="Programs of AMQP, on simbus and RabbitMQ.")
    parser.add_argument("--programs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=50, help="the most that a program has")
    parser.add_argument("--version", choices=list(RELEASES), default="4.0")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--record", action="store_true", help=f"add the run to {RUNS.name}")
    parser.add_argument("--without", nargs="*", default=[], help="what programs are not to have, such as: quorum")
    asked = parser.parse_args()
    oracle = oracles().get(asked.version)
    if oracle is None:
        parser.error(f"no RabbitMQ to ask: set {VARIABLES[asked.version]}")
    return min(100, _run(asked, oracle))


def _run(asked: argparse.Namespace, oracle: Oracle) -> int:
    judge = Judge(asked.version, oracle, lambda text: print(text, flush=True), frozenset(asked.without))  # noqa: T201 - a program
    began = time.monotonic()
    try:
        draw(judge, asked.programs, asked.steps, asked.seed)
    finally:
        told = json.dumps(summary(judge, asked.seed, time.monotonic() - began))
        sys.stdout.write(told + "\n")
        oracle.close()
    if asked.record:
        with RUNS.open("a", encoding="utf-8") as runs:
            runs.write(told + "\n")
    return len(judge.divergences)


if __name__ == "__main__":
    sys.exit(main())
