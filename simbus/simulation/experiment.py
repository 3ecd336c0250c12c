"""The front door of the simulation: a scenario goes in, a ``Result`` comes out.

``simulate`` runs independent replications, ``sweep`` runs them for every point of a grid, all with
common random numbers. A replication depends on the scenario, the seed and its index alone, so
they may run in any process and in any order; what travels back are numbers and curves, not traces.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from simbus import dialect
from simbus.analysis import expectations
from simbus.analysis.expectations import Expectation
from simbus.analysis.metrics import quantile
from simbus.analysis.recorder import Recorder
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result, Settings
from simbus.errors import ScenarioError
from simbus.simulation.driver import Driver, Handler
from simbus.simulation.exact import exact_values
from simbus.simulation.load import served, utilisation
from simbus.simulation.runners import Progress, run_all
from simbus.simulation.scenario import ConsumerSpec, PublisherSpec, RunSpec, Scenario
from simbus.simulation.streams import Streams, draws
from simbus.units import SECOND

if TYPE_CHECKING:
    from pandas import DataFrame


def simulate(
    scenario: Scenario,
    *,
    duration: str | timedelta | None = None,
    warmup: str | timedelta | None = None,
    replications: int | None = None,
    seed: int | None = None,
    confidence: float | None = None,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run independent replications of a scenario.

    Args:
        scenario: what to run; its own ``run`` settings hold where an argument is left out.
        duration: measured time of a replication, ``"4h"``; none for a terminating run, which ends with its arrivals.
        warmup: time before that, which is simulated and not measured.
        replications: how many.
        seed: what every random stream derives from.
        confidence: of every interval, between 0 and 1.
        jobs: processes of this machine to run them in; the result is the same for any number.
        executor: instead of them, whoever runs them: any ``concurrent.futures.Executor``, such as that of a cluster. It gets the
            scenario, the seed and an index for each replication, answers numbers and curves, and is left open.
        progress: called with the replications done and their number.

    Raises:
        ScenarioError: when the scenario cannot run; nothing has been simulated then.
    """
    given = {
        "duration": duration,
        "warmup": warmup,
        "replications": replications,
        "seed": seed,
        "confidence": confidence,
    }
    for key, value in given.items():
        scenario = scenario if value is None else scenario.with_(f"run.{key}", value)
    scenario.validate()
    asked = _expectations(scenario)
    run = scenario.run
    tasks = [(scenario, run.seed, index) for index in range(run.replications)]
    found = run_all(run_replication, tasks, jobs, executor, progress)
    return _result(scenario, run, asked, found)


def run_replication(scenario: Scenario, seed: int, index: int) -> Replication:
    """One replication: a broker, its modelled parties and a recorder, run to the end.

    Args:
        scenario: validated.
        seed: of the experiment.
        index: of the replication, from 0.
    """
    kind = dialect.load(scenario.dialect)
    run, streams = scenario.run, Streams(seed, index)
    broker = kind.build(scenario.topology, _chance(streams))
    end = run.warmup + run.duration if run.duration is not None else _last_arrival(scenario, streams)
    recorder = Recorder(
        queues=tuple(scenario.topology.queues),
        served=served(scenario),
        groups={name: (spec.queue, spec.servers) for name, spec in scenario.consumers.items()},
        warmup=run.warmup,
        end=end,
    )
    driver = Driver(broker, recorder)
    for name, spec in scenario.consumers.items():
        handler = _handler(name, spec, streams)
        for number in range(1, spec.count + 1):
            driver.add_consumer(kind.subscription(broker, f"{name}.{number}", spec.queue, spec.prefetch), handler)
    for name, publisher in scenario.publishers.items():
        driver.add_publisher(_epochs(name, publisher, streams), kind.publisher(broker, name, publisher.address))
    driver.run(end + 1 if run.duration is not None else None)
    broker.check()
    quantiles = (quantile(each.target.name) for each in _expectations(scenario))
    return recorder.replication(index, [probability for probability in quantiles if probability is not None])


def _chance(streams: Streams) -> Callable[[int], int]:
    """What the broker itself leaves to chance; most ask for nothing, and then there is no stream."""

    def uniforms() -> Iterator[float]:
        yield from draws(streams.generator("broker", "routing"), lambda generator, n: generator.random(n))

    uniform = uniforms()
    return lambda count: int(next(uniform) * count)


def _epochs(name: str, spec: PublisherSpec, streams: Streams) -> Iterator[int]:
    return spec.arrivals.epochs(streams.generator(f"publishers.{name}", "arrivals"))


def _last_arrival(scenario: Scenario, streams: Streams) -> int:
    """When the finite arrivals end; at least a second, so that there is time to average over."""
    return max(SECOND, *(max(_epochs(name, spec, streams), default=0) for name, spec in scenario.publishers.items()))


def _handler(name: str, spec: ConsumerSpec, streams: Streams) -> Handler:
    def uniform(purpose: str) -> Iterator[float]:
        return draws(streams.generator(f"consumers.{name}", purpose), lambda generator, n: generator.random(n))

    service = draws(streams.generator(f"consumers.{name}", "service"), spec.service.sample)
    return Handler(name, spec.concurrency, service, spec.failure, spec.retry, uniform("failure"), uniform("jitter"))


def _expectations(scenario: Scenario) -> tuple[Expectation, ...]:
    queues, consumers = tuple(scenario.topology.queues), tuple(scenario.consumers)
    return tuple(expectations.parse(text, queues, consumers) for text in scenario.expectations)


def _result(scenario: Scenario, run: RunSpec, asked: tuple[Expectation, ...], found: Sequence[Replication]) -> Result:
    return Result(
        scenario=scenario.name,
        settings=Settings(run.seed, run.duration, run.warmup, run.confidence),
        replications=tuple(found),
        queues=tuple(scenario.topology.queues),
        consumers=tuple(scenario.consumers),
        expectations=asked,
        text=scenario.text,
        exact=exact_values(scenario),
    )


@dataclass(frozen=True)
class Point:
    """One design of a sweep: its factors and what came of it.

    ``overloaded`` names the groups of consumers that cannot keep up, retries counted. However short its run and small
    its waits, such a design has no steady state.
    """

    factors: dict[str, Any]
    result: Result
    overloaded: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Point {self.factors}{f', overloaded: {self.overloaded}' if self.overloaded else ''}>"


@dataclass(frozen=True)
class Sweep:
    """The results of a grid of designs, run with common random numbers."""

    factors: tuple[str, ...]
    points: tuple[Point, ...]

    def frame(self, *metrics: str) -> "DataFrame":
        """A row per design: a column per factor, and mean, low and high of each metric, in SI units.

        Args:
            metrics: paths such as ``payments.wait.p99``; by default those that the scenario has expectations of.
        """
        from pandas import DataFrame

        if not metrics and self.points:
            metrics = tuple(dict.fromkeys(each.target.key for each in self.points[0].result.expectations))
        rows = []
        for point in self.points:
            estimates = {metric: point.result.estimate(metric) for metric in metrics}
            numbers = {f"{m}.{name}": getattr(e, name) for m, e in estimates.items() for name in ("mean", "low", "high")}
            rows.append(point.factors | numbers)
        return DataFrame(rows)

    def smallest(self, where: str) -> Point:
        """The first design, by its factors in the order given, for which an expectation holds.

        Its confidence limit must hold, not its mean; and its consumers must be able to keep up, unless the arrivals end.

        Args:
            where: an expectation, ``"payments.wait.p99 < 5s"``.

        Raises:
            ScenarioError: when it holds nowhere; widen the range of the factors.
        """
        for point in self.points:
            steady = not point.overloaded or point.result.settings.duration is None
            if steady and point.result.verdict(where).outcome == "holds":
                return point
        raise ScenarioError("where", f"{where!r} holds for none of {len(self.points)} designs; widen the range of the factors")


def sweep(
    scenario: Scenario,
    factors: Mapping[str, Iterable[Any]],
    *,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    **run: Any,
) -> Sweep:
    """Simulate every combination of some factors: ``sweep(shop, {"consumers.charge.count": range(6, 15)}, seed=1)``.

    All designs share the random streams of their parties (common random numbers), so that they differ by design
    and not by luck.

    Args:
        scenario: the design to vary.
        factors: values by path, in the order in which they are tried.
        jobs: as in :func:`simulate`.
        executor: as in :func:`simulate`.
        progress: called with the designs done and their number.
        run: ``duration``, ``warmup``, ``replications``, ``seed``, ``confidence`` as in :func:`simulate`.

    Raises:
        ScenarioError: for a factor that does not exist or a value that cannot be.
    """
    grid = [dict(zip(factors, values, strict=True)) for values in itertools.product(*factors.values())]
    designs = []
    for values in grid:
        design = scenario
        for path, value in values.items():
            design = design.with_(path, value)
        designs.append((values, design))
    points = []
    for values, design in designs:
        result = simulate(design, jobs=jobs, executor=executor, **run)
        points.append(Point(values, result, tuple(name for name, load in utilisation(design).items() if load >= 1)))
        if progress is not None:
            progress(len(points), len(designs))
    return Sweep(tuple(factors), tuple(points))
