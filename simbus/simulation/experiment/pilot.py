"""``warmup="auto"``: how long a steady-state run takes to forget how it began, found out by a pilot.

The pilot is a few replications as long as the run is to be, with random numbers of their own, from an empty start. MSER-5 says
of each consumed queue's depth what to cut off; the longest of these becomes the warm-up. Where a queue has not settled in the
first half, the run is refused: no warm-up would help, it is too short, or has no steady state.
"""

import math
from collections.abc import Sequence
from concurrent.futures import Executor

from simbus.analysis.findings import Findings, Settings
from simbus.analysis.replication import Replication
from simbus.errors import ScenarioError
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.experiment.runners import Task, run_waves
from simbus.simulation.forecast.load import utilisation
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND, duration_text, format_duration

REPLICATIONS = 10
FIRST = 1_000_000  # the index of the first: far from those of the run, so that they do not share random numbers


def warmed_up(scenario: Scenario, jobs: int, executor: Executor | None) -> Scenario:
    """The scenario with the warm-up that a pilot found, when that was asked for.

    Raises:
        ScenarioError: when a queue has not settled in the first half of the pilot.
    """
    if scenario.run.warmup != "auto":
        return scenario
    found = _pilot(scenario, jobs, executor)
    queues = dict.fromkeys(each.queue for each in scenario.consumers.values())
    longest = max((_suggested(scenario, found, queue) for queue in queues), default=0.0)
    return scenario.with_("run.warmup", duration_text(round(longest * SECOND)))


def _pilot(scenario: Scenario, jobs: int, executor: Executor | None) -> Findings:
    pilot, run = scenario.with_("run.warmup", "0s"), scenario.run

    def once(found: Sequence[Replication]) -> list[Task]:
        return [] if found else [(pilot, run.seed, FIRST + index) for index in range(REPLICATIONS)]

    found = run_waves(run_replication, once, jobs, executor, None)
    return Findings(scenario.name, Settings(run.seed, run.duration), tuple(found), tuple(scenario.topology.queues))


def _suggested(scenario: Scenario, found: Findings, queue: str) -> float:
    seconds = found.suggested_warmup(queue)
    if math.isfinite(seconds):
        return seconds
    length = format_duration(scenario.run.duration or 0)
    busy = max(load for name, load in utilisation(scenario).items() if scenario.consumers[name].queue == queue)
    why = f"at a utilisation of {busy:.2f} it never will" if busy >= 1 else "make the duration longer"
    why += ", or give a time, since outages disturb it" if scenario.outages and busy < 1 else ""
    raise ScenarioError("run.warmup", f"auto: {queue!r} has not settled in the first half of a pilot of {length}; {why}")
