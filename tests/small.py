"""Small scenarios whose every instant can be worked out by hand: messages that come when they are told to, and one group.

    scenario = small(times=(0, 200), service="constant 100ms", prefetch=1)
    values, run = played(scenario)
    assert moments(run, "started") == [0, 200]

What a run shows beside its numbers is a tape of all that happened (``naive.Run``).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from simbus.analysis.replication import Replication
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.model.replays import Replay
from simbus.simulation.scenario import Scenario
from simbus.units import MILLISECOND
from tests.naive import Run, watched


def arriving(times: Iterable[float], unit: int = MILLISECOND) -> Replay:
    """Arrivals at these times, in milliseconds if nothing else is said."""
    return Replay("x", 1.0, "order", tuple(round(time * unit) for time in times))


def small(
    times: Iterable[float] = (0, 0, 0),
    service: str = "constant 100ms",
    queue: Mapping[str, Any] | None = None,
    *,
    unit: int = MILLISECOND,
    lasting: str | None = "10s",
    **consumer: Any,
) -> Scenario:
    """Messages for the queue ``work`` at these times, and the group ``c``; ``service`` counts unless there is a ``handler``."""
    scenario = Scenario("small", run={"duration": lasting})
    scenario.queue("work", **(queue or {}))
    scenario.publisher("web", to="work", arrivals=arriving(times, unit))
    scenario.consumer("c", queue="work", **({"service": service, **consumer} if "handler" not in consumer else consumer))
    return scenario


def orders(**run: Any) -> Scenario:
    """Twenty orders a second and two clerks: something to look at results of. ``run`` has the settings of the run."""
    scenario = Scenario("shop", run=run)
    scenario.queue("orders")
    scenario.publisher("web", to="orders", arrivals="poisson 20/s")
    scenario.consumer("clerk", queue="orders", count=2, prefetch=1, service="exponential 60ms")
    scenario.expect("orders.wait.mean < 1s")
    return scenario


def taped(scenario: Scenario, seed: int = 1) -> tuple[Replication, Run]:
    """One replication and its tape; the broker and the ledger are checked on the way."""
    with watched() as runs:
        replication = run_replication(scenario, seed, 0)
    return replication, runs[0]


def played(scenario: Scenario, seed: int = 1) -> tuple[dict[str, float], Run]:
    """As :func:`taped`, of the replication its numbers alone."""
    replication, run = taped(scenario, seed)
    return replication.values, run


def moments(run: Run, what: str, unit: int = MILLISECOND) -> list[float]:
    """When handlers ``started``, ``ended``, ... (of notices), or copies were ``Settled``, ``Requeued``, ... (of effects)."""
    times = [now for _, _, _, now in run.notices(what)] if what.islower() else [effect.at for effect in run.effects(what)]
    return [time / unit for time in times]
