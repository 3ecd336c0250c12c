"""The simulation's side: what simbus says of each experiment, and how that compares with what was measured.

Two comparisons. The *interval*: the mean of R real runs against N replications with other draws. If simbus is right, real
runs and replications are samples of one distribution, and the mean of R real ones lies, with the probability of the level,
within t * s * sqrt(1/R + 1/N) of the replications' mean (Student's prediction interval). The *pairs*: real run i against
replication i, which met the very same arrivals and service times, so that luck cancels and what differs is the model.

``python -m tests.validation.compare`` simulates and writes simulated.json; ten minutes of two cores.
"""

import argparse
import json
import math
import os
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from simbus.simulation.experiment.assembly import run_replication
from tests.validation.costs import Costs, corrected, with_costs
from tests.validation.experiments import EXPERIMENTS, SEED, Experiment
from tests.validation.observed import Values

FOLDER = Path(__file__).resolve().parent
MEASURED, SIMULATED = FOLDER / "measured.json", FOLDER / "simulated.json"
REPLICATIONS = 50
FALSE_ALARM = 0.05  # the probability that chance alone puts any number of the page outside: each has its share of it
_LISTS = re.compile(r"\[[^][{}]*\]")


def stored(path: Path) -> dict[str, Any]:
    """What was measured or simulated, by experiment."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def store(path: Path, found: dict[str, Any]) -> None:
    """Write that, a list a line."""
    text = _LISTS.sub(lambda match: " ".join(match[0].split()), json.dumps(found, indent=1))
    path.write_text(f"{text}\n", "utf-8")


def rounded(value: float) -> float:
    """Six digits: more than any of these numbers deserves."""
    return float(f"{value:.6g}")


def replicate(experiment: Experiment, costs: Costs | None, index: int) -> Values:
    """What replication ``index`` says, by metric; with ``costs``, what clients who lose so much time would measure."""
    scenario = experiment.scenario if costs is None else with_costs(experiment.scenario, costs)
    values = run_replication(scenario, SEED, index).values
    found = values if costs is None else corrected(values, scenario, costs)
    return {metric: found[metric] for metric in experiment.metrics}


def simulate(experiment: Experiment, measured: dict[str, Any], pool: ProcessPoolExecutor) -> dict[str, Any]:
    """As written and with clients' costs: replications with the draws of the real runs, and mean and deviation of others."""
    costs = Costs(**{name: spans["mean"] for name, spans in measured["costs"].items()})
    runs = len(measured["runs"][experiment.metrics[0]])
    found = {}
    for variant, given in (("as_written", None), ("with_costs", costs)):
        all_values = list(pool.map(partial(replicate, experiment, given), range(runs + REPLICATIONS)))
        found[variant] = {metric: _summary([values[metric] for values in all_values], runs) for metric in experiment.metrics}
    return found


def _summary(values: list[float], runs: int) -> dict[str, Any]:
    others = np.array(values[runs:])
    return {
        "paired": [rounded(value) for value in values[:runs]],
        "mean": rounded(float(others.mean())),
        "deviation": rounded(float(others.std(ddof=1))),
    }


@dataclass(frozen=True)
class Row:
    """One number of one experiment.

    Args:
        metric: its path.
        measured: mean of the real runs.
        low, high: the simulated interval for that mean, as the scenario is written.
        low_with_costs, high_with_costs: the same with clients' costs.
        paired, paired_with_costs: mean of measured minus simulated, run by run with the same draws.
        error: half-width of the 95 % interval of ``paired_with_costs``.
    """

    metric: str
    measured: float
    low: float
    high: float
    low_with_costs: float
    high_with_costs: float
    paired: float
    paired_with_costs: float
    error: float

    @property
    def as_written(self) -> bool:
        """Whether the scenario as written holds."""
        return self.low <= self.measured <= self.high

    @property
    def with_costs(self) -> bool:
        """Whether it holds with clients' costs."""
        return self.low_with_costs <= self.measured <= self.high_with_costs


def rows(name: str) -> list[Row]:
    """The comparison of one experiment, a row a metric."""
    measured, simulated = stored(MEASURED)[name]["runs"], stored(SIMULATED)[name]
    return [
        _row(metric, measured[metric], simulated["as_written"][metric], simulated["with_costs"][metric]) for metric in measured
    ]


def _row(metric: str, runs: list[float], as_written: dict[str, Any], with_costs: dict[str, Any]) -> Row:
    intervals = (*_interval(as_written, len(runs)), *_interval(with_costs, len(runs)))
    difference = np.array(runs) - np.array(with_costs["paired"])
    error = stats.t.ppf(0.975, len(runs) - 1) * difference.std(ddof=1) / math.sqrt(len(runs))
    paired = float(np.mean(np.array(runs) - np.array(as_written["paired"])))
    return Row(metric, float(np.mean(runs)), *intervals, paired, float(difference.mean()), float(error))


def _interval(simulated: dict[str, Any], runs: int) -> tuple[float, float]:
    level = 1 - FALSE_ALARM / sum(len(each.metrics) for each in EXPERIMENTS)
    t = stats.t.ppf((1 + level) / 2, REPLICATIONS - 1)
    half = t * simulated["deviation"] * math.sqrt(1 / runs + 1 / REPLICATIONS)
    return simulated["mean"] - half, simulated["mean"] + half


def main() -> None:
    """Simulate what was measured, or only the experiments that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.validation.compare")
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="by name; all, when none is named")
    names = parser.parse_args().experiments
    measured, found = stored(MEASURED), stored(SIMULATED)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for experiment in EXPERIMENTS:
            if experiment.name in measured and (not names or experiment.name in names):
                found[experiment.name] = simulate(experiment, measured[experiment.name], pool)
                store(SIMULATED, {each.name: found[each.name] for each in EXPERIMENTS if each.name in found})


if __name__ == "__main__":
    main()
