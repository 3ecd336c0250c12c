"""``solve``: the least value of a factor that holds an objective, by bisection under common random numbers.

The row of designs has a value each; where to look is decided in ``search``, and what is seen kept in ``tries``.
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simbus.analysis import formats
from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import check_scenario
from simbus.simulation.experiment.progress import Progress
from simbus.simulation.experiment.sweeps import check_values
from simbus.simulation.experiment.tries import Answer, number, try_in_row
from simbus.simulation.scenario import Scenario

if TYPE_CHECKING:
    from pandas import DataFrame

    from simbus.analysis.plots import Responses


@dataclass(frozen=True)
class Solved(Answer):
    """The least value of a factor that holds an objective, and what was tried.

    Args:
        tries: what was looked at.
        factor: its path.
    """

    factor: str

    @property
    def value(self) -> Any:
        """The first value, in the order given, whose confidence limit holds; None where none of those looked at does."""
        return None if self.tries.first is None else self.tries.first.value

    @property
    def undecided(self) -> tuple[Any, ...]:
        """The values before it that may hold as well: their intervals contain the limit."""
        return tuple(each.value for each in self.tries.undecided)

    def _none(self) -> ScenarioError:
        looked = f"{len(self.tries.each)} values looked at, of {self.tries.among}"
        return ScenarioError(self.factor, f"{self.tries.where!r} holds for none of {looked}; widen the range")

    @property
    def plot(self) -> "Responses":
        """Plots of what was looked at: ``response(what)``, a metric over the factor with the objective and the value found."""
        value = self.value
        number = isinstance(value, int | float)
        return self.tries.plot(self.factor, answer=(value, value, f"{value} is the answer") if number else None)

    def frame(self) -> "DataFrame":
        """A row per value that was looked at: its outcome, and mean, low and high of each metric in SI units."""
        return self.tries.frame(self.factor)

    def cautions(self) -> list[str]:
        """What to know before trusting the answer, a sentence each; those of the result at the value found are among them."""
        return self.tries.cautions(self.factor)

    def __repr__(self) -> str:
        looked = f"{len(self.tries.each)} of {self.tries.among} looked at"
        notes = [looked] if self.monotone else [looked, "not monotone"]
        notes += [f"undecided: {', '.join(map(number, self.undecided))}"] if self.undecided else []
        if self.tries.first is None:
            return f"<Solved: no {self.factor} holds {self.tries.where}; {'; '.join(notes)}>"
        means = [formats.interval(each.estimate, each.expectation.target.metric.unit) for each in self.tries.first.verdicts]
        answer = f"{self.factor} = {number(self.value)} holds {self.tries.where}: {' and '.join(means)}"
        return f"<Solved: {answer}; {'; '.join(notes)}>"


def solve(
    scenario: Scenario,
    factor: str,
    over: Iterable[Any],
    where: str | None = None,
    *,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | bool = True,
    **run: Any,
) -> Solved:
    """The least value that holds an objective: ``solve(shop, "consumers.charge.count", over=range(1, 65), seed=1)``.

    A value holds by its upper confidence limit (for ``<``; else its lower one), not by its mean, and its consumers must be able
    to keep up. Values are tried by bisection, all with common random numbers, so of 64 some ten are simulated. That supposes a
    monotone response; whether it was one is looked at and said: by the ends of the range, by the neighbours of the answer, and by
    the differences between all values that were tried. ``cautions()`` says what to doubt.

    Args:
        scenario: the design to vary.
        factor: a path such as ``consumers.charge.count``.
        over: values in the order of preference, the first that holds is the answer: ``range(1, 65)`` for the least,
            ``range(64, 0, -1)`` for the largest.
        where: an expectation, ``"payments.wait.p99 < 5s"``, or several with ``and`` between them; by default all that the
            scenario has.
        jobs: as in :func:`simulate`.
        executor: as in :func:`simulate`.
        progress: as in :func:`simulate`, of designs.
        run: ``duration``, ``warmup``, ``replications``, ``seed``, ``confidence``, ``precision``, ``max_replications`` and
            ``antithetic`` as in :func:`simulate`.

    Raises:
        ScenarioError: for a factor that does not exist, a value that cannot be, or an objective that cannot; nothing has been
            simulated then.
    """
    check_scenario(scenario)
    check_values(factor, over)
    designs = [(value, scenario.with_(factor, value)) for value in over]
    if not designs:
        raise ScenarioError(factor, "there is no value to try; write for example over=range(1, 65)")
    tries = try_in_row(designs, where, jobs=jobs, executor=executor, progress=progress, run=run)
    return Solved(tries, factor)
