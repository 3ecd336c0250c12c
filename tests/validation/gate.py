"""``python -m tests.validation.gate --url amqp://...``: a short form of the experiments on a real RabbitMQ, judged at once.

Three experiments of 20 s, side by side, each against the replication that met the very same arrivals, service times and
failures. The bounds are wide enough for a machine that does other work meanwhile, and narrow enough for the claim: simulated
with another prefetch, without its nacks or without its limit, each of these experiments is outside. What fails is run once more
before it is called a failure, since a machine may stall; exit code 1 then.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from tests.validation.compare import replicate
from tests.validation.costs import mean_costs, spans
from tests.validation.experiments import Experiment, named
from tests.validation.observed import Observed, Values
from tests.validation.real import run

SECONDS = 20
GATED = ("prefetch-1", "delay-queue", "limit-reject")
# How far measured and simulated may be apart, as a share of the simulated value; what is not listed is not judged.
BOUNDS = {
    "wait.mean": 0.2,
    "residence.mean": 0.15,
    "depth.mean": 0.15,
    "service.mean": 0.05,
    "utilisation": 0.05,
    "throughput": 0.03,
    "arrival_rate": 0.03,
    "deliveries.mean": 0.03,
    "loss.refused": 0.15,
    "window.mean": 0.1,
}


def outside(measured: Values, simulated: Values) -> set[str]:
    """The metrics that are too far apart."""
    bounds = ((path, bound) for path in measured for name, bound in BOUNDS.items() if path in (name, f"work.{name}"))
    apart = ((path, measured[path] - simulated[path], bound * simulated[path]) for path, bound in bounds)
    return {path for path, distance, most in apart if abs(distance) > most}


def judge(experiment: Experiment, url: str) -> bool:
    """Run it once; say how it went, and whether that is within the bounds."""
    seen = Observed(experiment.scenario, run(experiment, url, 0))
    costs = mean_costs(spans(seen))
    measured = {path: value for path, value in seen.values().items() if path in experiment.metrics}
    simulated = replicate(experiment, costs, 0)
    bad = outside(measured, simulated)
    for path, value in measured.items():
        mark = "  outside" if path in bad else ""
        _say(f"{experiment.name:20} {path:24} measured {value:9.4g}  simulated {simulated[path]:9.4g}{mark}")
    lost = ", ".join(f"{name} {nanoseconds / 1e6:.2f} ms" for name, nanoseconds in asdict(costs).items())
    _say(f"{experiment.name:20} clients' costs: {lost}")
    return not bad


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def failing(experiments: Sequence[Experiment], url: str) -> list[Experiment]:
    """Run them side by side; those that are outside."""
    with ThreadPoolExecutor(len(experiments)) as pool:
        good = list(pool.map(lambda experiment: judge(experiment, url), experiments))
    return [experiment for experiment, held in zip(experiments, good, strict=True) if not held]


def main() -> int:
    """Read the command line and judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.validation.gate")
    parser.add_argument("--url", required=True, help="of a RabbitMQ 4.0 with its management API")
    url = parser.parse_args().url
    left = failing([named(name).lasting(f"{SECONDS}s") for name in GATED], url)
    if left:
        _say(f"once more: {', '.join(each.name for each in left)}")
        left = failing(left, url)
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
