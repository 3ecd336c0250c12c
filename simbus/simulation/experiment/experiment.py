"""The front door of the simulation: a scenario goes in, a ``Result`` comes out.

``simulate`` runs independent replications. One depends on the scenario, the seed and its index alone, so they may run in any
process and in any order; what travels back are numbers and curves, not traces. Several designs are the business of ``sweeps`` and
of whoever searches among them.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import timedelta
from functools import partial

from simbus.analysis.expectations import Expectation
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result, Settings
from simbus.errors import ScenarioError
from simbus.simulation.experiment import stopping
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.experiment.controls import borne, related
from simbus.simulation.experiment.local import WORTH, default_jobs, messages
from simbus.simulation.experiment.pilot import warmed_up
from simbus.simulation.experiment.progress import Progress, telling
from simbus.simulation.experiment.runners import Task, run_waves
from simbus.simulation.experiment.tracing import listed
from simbus.simulation.forecast.charting import chart
from simbus.simulation.forecast.check import offered_loads
from simbus.simulation.forecast.exact import exact_values, inexact
from simbus.simulation.forecast.load import waiting_places
from simbus.simulation.forecast.questions import expected, wanted
from simbus.simulation.scenario import Scenario


def simulate(
    scenario: Scenario,
    *,
    duration: str | timedelta | None = None,
    warmup: str | timedelta | None = None,
    replications: int | None = None,
    seed: int | None = None,
    confidence: float | None = None,
    precision: str | float | Mapping[str, str | float] | None = None,
    max_replications: int | None = None,
    antithetic: bool | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | bool = True,
) -> Result:
    """Run independent replications of a scenario.

    Args:
        scenario: what to run; its own ``run`` settings hold where an argument is left out.
        duration: measured time of a replication, ``"4h"``; none for a terminating run, which ends with its arrivals.
        warmup: time before that, which is simulated and not measured; ``"auto"`` for what MSER-5 suggests after a pilot of ten
            replications, which also refuses a run whose queues have not settled in its first half.
        replications: how many; with a ``precision``, how many to begin with.
        seed: what every random stream derives from.
        confidence: of every interval, between 0 and 1.
        precision: adds replications until intervals are narrow: ``"5%"`` for a half-width of at most 5 % of the mean, of all
            metrics that the scenario has expectations of, or ``{"payments.wait.p99": "5%"}``. Several hold at once.
        max_replications: where that ends in any case, 200 unless said otherwise; ``result.precision()`` tells what was reached.
        antithetic: whether every other replication mirrors the random numbers of the one before, so that bad luck is followed by
            good and their mean varies less. A pair is one observation. The number of replications has to be even.
        jobs: processes of this machine to run them in; the result is the same for any number. By default one for each core
            where that is quicker and safe (:mod:`simbus.simulation.experiment.local` says where), else this process alone.
        executor: instead of them, whoever runs them: any ``concurrent.futures.Executor``, such as that of a cluster. It gets the
            scenario, the seed and an index for each replication, answers numbers and curves, and is left open.
        progress: whether to show a bar, in a terminal or in Jupyter, when it takes longer than a second; or what is called
            instead, with the replications done and their number, which a ``precision`` raises as it learns.

    Raises:
        ScenarioError: when the scenario cannot run; nothing has been simulated then.
    """
    given = {
        "duration": duration,
        "warmup": warmup,
        "replications": replications,
        "seed": seed,
        "confidence": confidence,
        "precision": precision,
        "max_replications": max_replications,
        "antithetic": antithetic,
    }
    check_scenario(scenario)
    for key, value in given.items():
        scenario = scenario if value is None else scenario.with_(f"run.{key}", value)
    return replicate(scenario, run_replication, jobs=jobs, executor=executor, progress=progress)


def replicate(
    scenario: Scenario,
    work: Callable[[Scenario, int, int], Replication],
    *,
    jobs: int | None,
    executor: Executor | None,
    progress: Progress | bool,
) -> Result:
    """As :func:`simulate`, of a scenario with its settings; ``work`` runs the replication of a seed with an index.

    Raises:
        ScenarioError: when the scenario cannot run; nothing has been simulated then.
    """
    scenario.validate()
    asked = expected(scenario)
    wanted(scenario, asked)
    jobs = default_jobs(scenario) if jobs is None else jobs
    scenario = warmed_up(scenario, jobs, executor)
    blank, run = _blank(scenario, asked), scenario.run

    def more(found: Sequence[Replication]) -> list[Task]:
        total = stopping.needed(replace(blank, replications=tuple(found)), run.replications, run.max_replications)
        return [(scenario, run.seed, index) for index in range(len(found), total)]

    with telling(progress, "replications", run.replications, long=messages(scenario) > WORTH) as tell:
        return replace(blank, replications=tuple(run_waves(work, more, jobs, executor, tell)))


def check_scenario(scenario: object) -> None:
    """Refuse what is no scenario, such as the name of its file."""
    if not isinstance(scenario, Scenario):
        raise ScenarioError("scenario", f'{scenario!r} is no Scenario; read a file with read_scenario("shop.toml")')


def _blank(scenario: Scenario, asked: tuple[Expectation, ...]) -> Result:
    """The result as it is before any replication."""
    run, exact = scenario.run, exact_values(scenario)
    return Result(
        scenario=scenario.name,
        settings=Settings(run.seed, run.duration, run.cut, run.confidence, wanted(scenario, asked), run.antithetic),
        replications=(),
        queues=tuple(scenario.topology.queues),
        consumers=tuple(scenario.consumers),
        classes=scenario.classes_in_queues,
        expectations=asked,
        text=scenario.text,
        question=scenario.question,
        answer=scenario.answer,
        exact=exact,
        inexact=inexact(scenario, exact),
        offered=offered_loads(scenario),
        parties=related(scenario),
        delays=waiting_places(scenario),
        chart=chart(scenario),
        outages=borne(scenario),
        lister=partial(listed, scenario.with_("run.seed", run.seed)),  # a copy, which nobody changes
    )
