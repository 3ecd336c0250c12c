"""A long run: ``python -m tests.differential --programs 5000 --version 4.0 [--seed N] [--steps 50] [--jobs 4]``.

Prints what diverges as it is found, and in the end seed, counts and time. ``--record`` adds the run as a line to runs.json,
from which docs/fidelity.md tells of it. The exit code is the number of divergences, 100 at most; 101 when of more than half the
programs nothing can be said, because the broker did not answer, or too late, or not the same again.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture.engine import ConjectureRunner
from hypothesis.stateful import run_state_machine_as_test

from tests.differential.judge import Judge, Tally
from tests.differential.machine import THEMES, Programs
from tests.differential.worlds import RELEASES, VARIABLES, oracles

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


def share(asked: argparse.Namespace, programs: int, number: int) -> Tally:
    """A share of a run, in a process of its own."""
    oracle = oracles()[asked.version]
    judge = Judge(asked.version, oracle, lambda text: print(text, flush=True), frozenset(asked.without), tuple(asked.themes))  # noqa: T201 - a program
    try:
        draw(judge, programs, asked.steps, number)
    finally:
        oracle.close()
    return judge.tally


def summary(asked: argparse.Namespace, tallies: list[Tally], seconds: float) -> dict[str, Any]:
    """What a run says of itself."""
    heard: Counter[str] = sum((tally.heard for tally in tallies), Counter())
    return {
        "release": RELEASES[asked.version],
        "programs": sum(tally.programs for tally in tallies),
        "steps": sum(tally.steps for tally in tallies),
        "seed": asked.seed,
        "jobs": asked.jobs,
        "divergences": sum(len(tally.divergences) for tally in tallies),
        "unstable": sum(tally.unstable for tally in tallies),
        "late": sum(tally.late for tally in tallies),
        "unmodelled": sum(tally.unmodelled for tally in tallies),
        "seconds": round(seconds),
        "heard": {name: count for name, count in heard.most_common() if name},
        "on": datetime.now(UTC).date().isoformat(),
    }


def main() -> int:
    """Run programs."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description="Programs of AMQP, on simbus and RabbitMQ.")
    parser.add_argument("--programs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=50, help="the most that a program has")
    parser.add_argument("--version", choices=list(RELEASES), default="4.0")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31), help="of the first job")
    parser.add_argument("--jobs", type=int, default=1, help="processes; each mostly waits for the broker")
    parser.add_argument("--record", action="store_true", help=f"add the run to {RUNS.name}")
    parser.add_argument("--without", nargs="*", default=[], help="what programs are not to have, such as: quorum")
    parser.add_argument(
        "--themes", nargs="*", default=[], choices=sorted(THEMES), help="what programs are about; all if none is said"
    )
    asked = parser.parse_args()
    if asked.version not in oracles():
        parser.error(f"no RabbitMQ to ask: set {VARIABLES[asked.version]}")
    return _run(asked)


def _run(asked: argparse.Namespace) -> int:
    began = time.monotonic()
    each = -(-asked.programs // asked.jobs)
    with ProcessPoolExecutor(asked.jobs) as pool:
        shares = [pool.submit(share, asked, each, asked.seed + job) for job in range(asked.jobs)]
    told = summary(asked, [done.result() for done in shares], time.monotonic() - began)
    sys.stdout.write(json.dumps(told) + "\n")
    if asked.record:
        with RUNS.open("a", encoding="utf-8") as runs:
            runs.write(json.dumps(told) + "\n")
    if 2 * (told["unstable"] + told["late"]) > told["programs"]:
        sys.stdout.write("of more than half the programs nothing can be said\n")
        return 101
    return min(100, int(told["divergences"]))


if __name__ == "__main__":
    sys.exit(main())
