"""One replication once more, with a full trace: for whoever wants to see what happened in it."""

from functools import partial
from typing import TYPE_CHECKING, Any

from simbus.analysis.rows import Listed, Listing
from simbus.analysis.tape import Tape, Taped
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.experiment.pilot import warmed_up
from simbus.simulation.scenario import Scenario

if TYPE_CHECKING:
    from pandas import DataFrame


def trace_of(scenario: Scenario, replication: int = 0) -> "DataFrame":
    """Everything that the broker did in one replication of ``simulate``, which is the same whenever it is run.

    Args:
        scenario: with its ``run`` settings: another seed is ``scenario.with_("run.seed", 7)``.
        replication: which, from 0.

    Returns:
        A row for each effect, in order: its ``time`` since the start, the warm-up included, to the nanosecond; ``effect``, such
        as Enqueued or Settled; ``queue``, empty where none is concerned; the number of the ``message`` and of its ``copy`` in
        a queue, 0 for none. While it runs this takes less than 60 bytes a delivery.

    Raises:
        ScenarioError: when the scenario cannot run, or there is no such replication.
    """
    scenario.validate()
    tape = Tape()
    scenario = warmed_up(scenario, 1, None)
    run_replication(scenario, scenario.run.seed, replication, partial(Taped, tape))
    return tape.frame()


def listed(scenario: Scenario, replication: int) -> Listed:
    """The messages and deliveries of one replication of a scenario that has been simulated, by running that one again."""
    made: list[Listing] = []

    def record(**given: Any) -> Listing:
        made.append(Listing(**given))
        return made[0]

    run_replication(scenario, scenario.run.seed, replication, record)
    return made[0].listed(replication)
