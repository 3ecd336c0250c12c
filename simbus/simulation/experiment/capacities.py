"""``capacity``: the largest rate of arrivals that holds an objective, by bisection under common random numbers.

The row of designs has a rate each, in steps of the tolerance, the highest first; where to look is decided in ``search``, and what
is seen kept in ``tries``.
"""

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simbus import units
from simbus.analysis import formats
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.experiment.experiment import check_scenario
from simbus.simulation.experiment.progress import Progress
from simbus.simulation.experiment.tries import Answer, try_in_row
from simbus.simulation.forecast.load import utilisation
from simbus.simulation.model.scaling import scaled
from simbus.simulation.model.specs import dotted
from simbus.simulation.model.words import unknown
from simbus.simulation.scenario import Scenario

if TYPE_CHECKING:
    from pandas import DataFrame

    from simbus.analysis.plots import Responses

_LEAST = 1 / 64  # of today's arrivals: the lowest rate that is looked at, unless the caller says which
_MOST = 64.0  # times as much: the highest, where arrivals load nobody
_BUSY = 4.0  # the utilisation at which it surely breaks: the highest rate, where they do


@dataclass(frozen=True)
class Capacity(Answer):
    """The largest rate that holds an objective, and what was tried.

    Args:
        tries: what was looked at, the highest rate first.
        publishers: whose arrivals were scaled.
        today: messages per second that they publish in the scenario as it is.
    """

    publishers: tuple[str, ...]
    today: float

    @property
    def rate(self) -> float:
        """Messages per second: the largest of the rates looked at whose confidence limit holds; nan where none does."""
        return math.nan if self.tries.first is None else float(self.tries.first.value)

    @property
    def low(self) -> float:
        """As ``rate``: the lower end of the interval in which the capacity lies."""
        return self.rate

    @property
    def high(self) -> float:
        """The upper end: the least rate that surely fails; infinite where none was seen to."""
        bounds = [each.value for each in (*self.tries.undecided, self.tries.first) if each is not None]
        failed = [each.value for each in self.tries.each if each.outcome == "fails"]
        return min((rate for rate in failed if rate > max(bounds, default=0.0)), default=math.inf)

    @property
    def factor(self) -> float:
        """How many times today's arrivals that is."""
        return self.rate / self.today

    def _none(self) -> ScenarioError:
        least = formats.value(self.tries.each[-1].value, "rate")
        return ScenarioError("capacity", f"{self.tries.where!r} holds at no rate that was looked at, down to {least}")

    @property
    def plot(self) -> "Responses":
        """Plots of what was looked at: ``response(what)``, a metric over the rate with theory, objective and the capacity."""
        answer = None if math.isnan(self.rate) else (self.low, self.high, f"holds up to {formats.value(self.rate, 'rate')}")
        return self.tries.plot("rate", " (messages per second)", answer)

    def frame(self) -> "DataFrame":
        """A row per rate that was looked at: its outcome, and mean, low and high of each metric in SI units."""
        return self.tries.frame("rate")

    def cautions(self) -> list[str]:
        """What to know before trusting the answer, a sentence each; those of the result at that rate are among them."""
        said = self.tries.cautions("rate")
        if self.tries.first is self.tries.each[0]:
            said.insert(0, "it holds even at the highest rate that was looked at; widen over to find where it breaks.")
        return said

    def __repr__(self) -> str:
        notes = [f"{len(self.tries.each)} of {self.tries.among} rates looked at", *([] if self.monotone else ["not monotone"])]
        if self.tries.first is None:
            return f"<Capacity: no rate holds {self.tries.where}; {'; '.join(notes)}>"
        beyond = "" if math.isinf(self.high) else f", {formats.value(self.high, 'rate')} does not"
        found = f"{formats.value(self.rate, 'rate')} ({self.factor:.3g} times today's) holds {self.tries.where}{beyond}"
        return f"<Capacity: {found}; {'; '.join(notes)}>"


def capacity(
    scenario: Scenario,
    publishers: str | Iterable[str] | None = None,
    where: str | None = None,
    *,
    over: Sequence[str] | None = None,
    tolerance: str | float = "2%",
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | bool = True,
    **run: Any,
) -> Capacity:
    """The largest rate of arrivals that holds an objective: ``capacity(shop, where="payments.wait.p99 < 5s", seed=1)``.

    A rate holds by its upper confidence limit (for ``<``; else its lower one), and consumers must be able to keep up with it.
    ``found.low`` and ``found.high`` are the interval in which the capacity lies: the first holds, the second surely fails. Rates
    are tried by bisection, all with common random numbers: the same arrivals come more densely. Rates that follow the time of day
    keep their hours, bursts their size; batches, traces and gaps come faster.

    Args:
        scenario: the design as it is today.
        publishers: whose arrivals to scale, by path (``"publishers.web.arrivals"``) or name, or several of them; by default all.
        where: an expectation, ``"payments.wait.p99 < 5s"``, or several with ``and`` between them; by default all that the
            scenario has.
        over: the lowest and the highest rate to look at, in all, ``("10/s", "500/s")``. By default from a 64th of today's to four
            times what the consumers can finish.
        tolerance: how far apart, relatively, neighbouring rates are.
        jobs: as in :func:`simulate`.
        executor: as in :func:`simulate`.
        progress: as in :func:`simulate`, of rates.
        run: ``duration``, ``warmup``, ``replications``, ``seed``, ``confidence``, ``precision``, ``max_replications`` and
            ``antithetic`` as in :func:`simulate`.

    Raises:
        ScenarioError: for a publisher that does not exist or cannot be scaled, or an objective that cannot be; nothing has been
            simulated then.
        UnitError: for a rate or a tolerance that cannot be.
    """
    check_scenario(scenario)
    names = _names(scenario, publishers)
    today = sum(scenario.publishers[name].arrivals.rate for name in names)
    steps = _rates(_range(scenario, names, today, over), _tolerance(tolerance))
    designs = [(rate, _with_arrivals(scenario, names, rate / today)) for rate in steps]
    tries = try_in_row(designs, where, jobs=jobs, executor=executor, progress=progress, run=run)
    return Capacity(tries, names, today)


def _names(scenario: Scenario, publishers: str | Iterable[str] | None) -> tuple[str, ...]:
    asked = [publishers] if isinstance(publishers, str) else list(scenario.publishers if publishers is None else publishers)
    names = tuple(dict.fromkeys(_name(scenario, each) for each in asked))
    if not names:
        raise ScenarioError("publishers", "nothing publishes, so there is no rate to scale; add a publisher")
    return names


def _name(scenario: Scenario, path: str) -> str:
    for name in scenario.publishers:
        if path in (name, f"publishers.{name}", f"publishers.{name}.arrivals", dotted("publishers", name, "arrivals")):
            return name
    raise ScenarioError("publishers", unknown("publisher", path, scenario.publishers))


def _with_arrivals(scenario: Scenario, names: Sequence[str], factor: float) -> Scenario:
    for name in names:
        at = dotted("publishers", name, "arrivals")
        try:
            arrivals = scaled(scenario.publishers[name].arrivals, factor)
        except UnitError as error:
            raise ScenarioError(at, str(error)) from None
        scenario = scenario.with_(at, arrivals)
    return scenario


def _range(scenario: Scenario, names: Sequence[str], today: float, over: Sequence[str] | None) -> tuple[float, float]:
    if over is None:
        return today * _LEAST, today * _breaking(scenario, names)
    rates = [units.rate(each, "over") for each in ((over,) if isinstance(over, str) else over)]
    if len(rates) != 2 or not rates[0] < rates[1]:
        raise UnitError(f'over: {over!r} is not a lower and a higher rate; write for example ("10/s", "500/s")')
    return rates[0], rates[1]


def _breaking(scenario: Scenario, names: Sequence[str]) -> float:
    """How many times today's arrivals make the first group of consumers as busy as none can be."""
    once, twice = (utilisation(_with_arrivals(scenario, names, factor)) for factor in (1.0, 2.0))
    slopes = {name: twice[name] - busy for name, busy in once.items() if twice[name] > busy}
    return max(1.0, min((1 + (_BUSY - once[name]) / slope for name, slope in slopes.items()), default=_MOST))


def _tolerance(tolerance: str | float) -> float:
    step = units.share(tolerance, "tolerance")
    if not 0.001 <= step <= 0.5:
        raise UnitError(f'tolerance: {tolerance!r} is not between 0.1% and 50%; write for example "2%"')
    return step


def _rates(ends: tuple[float, float], step: float) -> list[float]:
    """From the highest to the lowest, in equal ratios of at most 1 + step."""
    lowest, highest = ends
    n = 1 + math.ceil(math.log(highest / lowest) / math.log1p(step))
    return [float(f"{rate:.4g}") for rate in np.geomspace(highest, lowest, n)]
