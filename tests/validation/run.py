"""``python -m tests.validation.run --url amqp://...``: run the experiments on a real RabbitMQ, and store what was measured.

All of them take about half an hour: ten runs of a minute each, some experiments side by side, which leaves two cores mostly
idle. Let nothing else run meanwhile, or give broker and clients precedence (as root, ``chrt --rr 4 python -m ...``): a
sleep that ends late is another service time. How late they ended is measured, and belongs to the result. The quorum queue
waits for the disk: start the broker with SIMBUS_ORACLE_IN_MEMORY=1 unless the disk is idle too.

``--notes FOLDER`` keeps what the parties noted. A run whose notes are there already is not repeated, so a session that was
broken off goes on, and metrics that were defined anew are computed from what was seen before.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.validation.compare import MEASURED, rounded, store, stored
from tests.validation.costs import spans
from tests.validation.experiments import EXPERIMENTS, RUNS, Experiment, named
from tests.validation.observed import Observed
from tests.validation.real import release, run

SIDE_BY_SIDE = 4


def noted(experiment: Experiment, url: str, index: int, notes: Path) -> Observed:
    """Run once, unless there are notes of it."""
    path = notes / f"{experiment.name}-{index}.json"
    if not path.exists():
        path.write_text(json.dumps(run(experiment, url, index)), "utf-8")
        sys.stderr.write(f"{experiment.name}, run {index}\n")
    return Observed(experiment.scenario, json.loads(path.read_text("utf-8")))


def measure(experiments: Sequence[Experiment], url: str, runs: int, notes: Path) -> None:
    """Run them, some at a time, and then store what each of them measured."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for first in range(0, len(experiments), SIDE_BY_SIDE):
            together = experiments[first : first + SIDE_BY_SIDE]
            for index in range(runs):
                list(pool.map(lambda experiment, index=index: noted(experiment, url, index, notes), together))
    found = stored(MEASURED)
    for experiment in experiments:
        seen = [noted(experiment, url, index, notes) for index in range(runs)]
        found[experiment.name] = {
            "release": release(url),
            "on": datetime.now(UTC).date().isoformat(),
            **summary(experiment, seen),
        }
    store(MEASURED, {each.name: found[each.name] for each in EXPERIMENTS if each.name in found})


def summary(experiment: Experiment, seen: Sequence[Observed]) -> dict[str, Any]:
    """What is stored of an experiment: every metric of every run, and clients' costs over all runs, in nanoseconds."""
    values = [each.values() for each in seen]
    costs: dict[str, list[int]] = {}
    for each in seen:
        for name, times in spans(each).items():
            costs.setdefault(name, []).extend(times)
    return {
        "messages": sum(len(each.published) for each in seen),
        "deliveries": sum(len(copy.attempts) for each in seen for copy in each.copies),
        "costs": {name: _spread(times) for name, times in costs.items()},
        "runs": {metric: [rounded(each[metric]) for each in values] for metric in experiment.metrics},
    }


def _spread(times: list[int]) -> dict[str, int]:
    return {"mean": round(float(np.mean(times))), "p50": round(np.median(times)), "p99": round(np.quantile(times, 0.99))}


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
    else:
        with TemporaryDirectory() as folder:
            yield Path(folder)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.validation.run")
    parser.add_argument("--url", required=True, help="of a RabbitMQ 4.0 with its management API: .ci/rabbitmq up 4.0 prints it")
    names = [each.name for each in EXPERIMENTS]
    parser.add_argument("--experiment", action="append", choices=names, help="only this one; again for more")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each experiment")
    parser.add_argument("--notes", type=Path, metavar="FOLDER", help="keep what was noted, and do not repeat it")
    asked = parser.parse_args()
    with _folder(asked.notes) as notes:
        measure([named(name) for name in asked.experiment] if asked.experiment else EXPERIMENTS, asked.url, asked.runs, notes)


if __name__ == "__main__":
    main()
