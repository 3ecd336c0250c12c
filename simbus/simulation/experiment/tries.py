"""Designs in a row, of which some are simulated until it is known where an objective begins to hold, and what came of it.

What the row is made of is the business of ``solving`` (values) and ``capacities`` (rates); where to look, of ``search``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from simbus.analysis import bundles, objectives, shown
from simbus.analysis.comparison import compare, paired
from simbus.analysis.estimates import LIMITS
from simbus.analysis.expectations import Outcome, Verdict
from simbus.analysis.precision import shared_out
from simbus.analysis.results import Result
from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.experiment.progress import Progress, telling
from simbus.simulation.experiment.search import Found, first_that_holds
from simbus.simulation.experiment.sweeps import with_run
from simbus.simulation.forecast.growth import growing
from simbus.simulation.forecast.questions import expected
from simbus.simulation.scenario import Scenario

if TYPE_CHECKING:
    from pandas import DataFrame

    from simbus.analysis.plots import Responses


_MANY = 10_000  # replications: of more nobody needs to be told


@dataclass(frozen=True)
class Try:
    """A design that was looked at.

    Args:
        value: of the factor, or a rate per second.
        scenario: the design; None where it came from a file.
        outcome: of the objective; ``fails`` where it is overloaded.
        verdicts: on each of its expectations, none where it is overloaded.
        result: None where it is overloaded, and was not simulated.
        overloaded: the groups of consumers that cannot keep up, as in a :class:`~simbus.simulation.experiment.sweeps.Point`.
    """

    value: Any
    scenario: Scenario | None
    outcome: Outcome
    verdicts: tuple[Verdict, ...] = ()
    result: Result | None = None
    overloaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tries:
    """What was looked at, in the order of the row.

    Args:
        where: the objective.
        each: the designs that were looked at.
        first: the one that is the answer, None where none holds.
        undecided: those before it that are not ruled out; all that are not, where none holds.
        in_order: whether no outcome is worse than that of an earlier design.
        among: how many designs the row has.
    """

    where: str
    each: tuple[Try, ...]
    first: Try | None
    undecided: tuple[Try, ...]
    in_order: bool
    among: int

    def frame(self, name: str) -> "DataFrame":
        """A row per design that was looked at: its value, the outcome, and mean, low and high of each metric of the objective."""
        from pandas import DataFrame

        rows = []
        for each in self.each:
            found = {verdict.expectation.target.key: verdict.estimate for verdict in each.verdicts}
            numbers = {f"{metric}.{limit}": it.told[limit] for metric, it in found.items() for limit in LIMITS}
            n = 0 if each.result is None else len(each.result.replications)
            rows.append({name: each.value, "outcome": each.outcome, **numbers, "overloaded": each.overloaded, "replications": n})
        return DataFrame(rows)

    def said(self) -> dict[str, Any]:
        """All but the results, as plain data."""
        places = {id(each): place for place, each in enumerate(self.each)}
        tries = [
            {"value": each.value, "outcome": each.outcome, "overloaded": each.overloaded, "simulated": each.result is not None}
            for each in self.each
        ]
        first = None if self.first is None else places[id(self.first)]
        undecided = [places[id(each)] for each in self.undecided]
        rest = {"where": self.where, "in_order": self.in_order, "among": self.among}
        return {"tries": tries, "first": first, "undecided": undecided, **rest}

    @classmethod
    def made(cls, said: Mapping[str, Any], results: Iterable[Result]) -> "Tries":
        """What was said, with the results of those that were simulated."""
        left = iter(results)
        each = tuple(_try_again(one, next(left) if one["simulated"] else None, said["where"]) for one in said["tries"])
        first = None if said["first"] is None else each[said["first"]]
        undecided = tuple(each[place] for place in said["undecided"])
        return cls(said["where"], each, first, undecided, said["in_order"], said["among"])

    def plot(self, name: str, unit: str = "", answer: tuple[float, float, str] | None = None) -> "Responses":
        """Plots of what was looked at; ``answer`` is where the answer lies, in words too."""
        from simbus.analysis.plots import Design, Responses

        designs = tuple(Design({name: each.value}, each.result, each.overloaded) for each in self.each)
        return Responses((name,), designs, {name: unit} if unit else {}, answer)

    @property
    def turning(self) -> tuple[str, ...]:
        """The metrics that were seen to rise somewhere and to fall elsewhere, beyond what luck explains.

        By pairs of replications of successive designs, whose intervals hold all at once with the run's confidence (Bonferroni).
        """
        done = [each for each in self.each if each.result is not None]
        metrics = dict.fromkeys(verdict.expectation.target.key for each in done for verdict in each.verdicts)
        return tuple(metric for metric in metrics if {"lower", "higher"} <= _changes([each.result for each in done], metric))

    @property
    def monotone(self) -> bool:
        """Whether what was looked at gives no reason to doubt that the response only rises, or only falls."""
        return self.in_order and not self.turning

    def cautions(self, name: str) -> list[str]:
        """What to know before trusting the answer, a sentence each."""
        said = [self._out_of_order(name)] if not self.in_order else []
        remedy = "what was not looked at may hold as well; sweep the range"
        said += [f"{metric} rises and falls with {name}: {remedy}." for metric in self.turning]
        said += [self._undecided(name)] if self.undecided else []
        return said + (self.first.result.cautions() if self.first is not None and self.first.result is not None else [])

    def _out_of_order(self, name: str) -> str:
        worse = next(after for before, after in pairwise(self.each) if _worse(after.outcome, before.outcome))
        remedy = "the response is not monotone, and what was not looked at may hold as well; sweep the range"
        return f"{name} = {number(worse.value)} {_said(worse.outcome)}, though a design before it does better: {remedy}."

    def _undecided(self, name: str) -> str:
        last = self.undecided[-1]
        more = max((verdict.more or 0 for verdict in last.verdicts), default=0)
        values = ", ".join(number(each.value) for each in self.undecided)
        hint = f"; about {more} more replications would probably decide {number(last.value)}" if 0 < more <= _MANY else ""
        return f"undecided at {name} = {values}, which may hold too{hint}."


def _try_again(said: Mapping[str, Any], result: Result | None, where: str) -> Try:
    judged = () if result is None else objectives.verdicts(result, where)
    return Try(said["value"], None, said["outcome"], judged, result, tuple(said["overloaded"]))


@dataclass(frozen=True)
class Answer(ABC):
    """What is asked of a row of designs; ``tries`` is what was looked at."""

    tries: Tries

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it to a file that ``load`` of its class reads: the answer, and all that was looked at.

        Raises:
            ScenarioError: the file cannot be written; one that was there is as it was.
        """
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "tries"}
        results = [each.result for each in self.tries.each if each.result is not None]
        return bundles.save(path, type(self).__name__, {"own": own, **self.tries.said()}, results)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The answer that :meth:`save` wrote; of the designs it has the text, ``found.result.text``.

        Raises:
            ScenarioError: the file cannot be read, is damaged, no such answer, or written by a newer simbus.
        """
        return bundles.load(path, cls.__name__, Result, cls._made)

    @classmethod
    def _made(cls, said: dict[str, Any], results: list[Result]) -> Self:
        own = {name: tuple(value) if isinstance(value, list) else value for name, value in said["own"].items()}
        return cls(**own, tries=Tries.made(said, results))

    @property
    def monotone(self) -> bool:
        """Whether what was looked at gives no reason to doubt that the response only rises, or only falls, along the row."""
        return self.tries.monotone

    @property
    def result(self) -> Result:
        """What was simulated of the design that is the answer; ScenarioError where none holds."""
        found = self._first.result
        assert found is not None, "an overloaded design does not hold"
        return found

    @property
    def scenario(self) -> Scenario:
        """The design that is the answer; ScenarioError where none holds, or where it came from a file."""
        if (design := self._first.scenario) is None:
            raise ScenarioError("scenario", "an answer from a file has the text of its design only; read found.result.text")
        return design

    @property
    def _first(self) -> Try:
        if self.tries.first is None:
            raise self._none()
        return self.tries.first

    @abstractmethod
    def _none(self) -> ScenarioError:
        """That no design holds, and the remedy."""

    @abstractmethod
    def frame(self) -> "DataFrame":
        """A row per design that was looked at."""

    @abstractmethod
    def cautions(self) -> list[str]:
        """What to know before trusting the answer, a sentence each."""

    def _repr_html_(self) -> str:
        return shown.fragment(repr(self), self.frame(), self.cautions())


def number(value: Any) -> str:
    """A value as a reader wants it: of a float four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _worse(one: Outcome, other: Outcome) -> bool:
    order = ("fails", "undecided", "holds")
    return order.index(one) < order.index(other)


def _said(outcome: Outcome) -> str:
    return {"fails": "fails", "undecided": "is undecided", "holds": "holds"}[outcome]


def _changes(results: Sequence[Result | None], metric: str) -> set[str]:
    """How a metric changes from one design to the next, where that can be told."""
    pairs = [(one, other) for one, other in pairwise(results) if one is not None and other is not None]
    comparable = [(one, other) for one, other in pairs if paired(one, other, metric)]
    confidence = shared_out(results[0].settings.confidence, len(pairs)) if results and results[0] is not None else 0.95
    return {compare(one, other, metric, confidence).outcome for one, other in comparable}


def try_in_row(
    designs: Sequence[tuple[Any, Scenario]],
    where: str | None,
    *,
    jobs: int | None,
    executor: Executor | None,
    progress: Progress | bool,
    run: Mapping[str, Any],
) -> Tries:
    """Simulate designs, all with common random numbers, until it is known which is the first that holds an objective.

    Designs whose consumers cannot keep up (``growth``) fail without being simulated, unless their arrivals end.

    Raises:
        ScenarioError: a design cannot run, or the objective cannot be.
    """
    asked = [(value, with_run(_asked(scenario, where), run)) for value, scenario in designs]
    asked[0][1].validate()
    expected(asked[0][1])
    seen: dict[int, Try] = {}
    likely = 2 * (len(designs) - 1).bit_length() + 3
    with telling(progress, "designs", likely, long=False) as tell:

        def look(place: int) -> Outcome:
            seen[place] = _try(*asked[place], where, jobs, executor)
            if tell is not None:
                tell(len(seen), max(likely, len(seen)))
            return seen[place].outcome

        found = first_that_holds(look, len(asked))
    said = " and ".join(asked[0][1].expectations if where is None else objectives.parts(where))
    return _summed_up(said, seen, found, len(asked))


def _summed_up(where: str, seen: Mapping[int, Try], found: Found, among: int) -> Tries:
    end = among if found.first is None else found.first
    open_from = end if found.possible is None else found.possible
    undecided = [seen[place] for place in sorted(seen) if open_from <= place < end and seen[place].outcome == "undecided"]
    first = None if found.first is None else seen[found.first]
    return Tries(where, tuple(seen[place] for place in sorted(seen)), first, tuple(undecided), found.in_order, among)


def _asked(scenario: Scenario, where: str | None) -> Scenario:
    """The scenario that expects the objective too, before all else, so that it is measured and a ``precision`` goes for it."""
    texts = objectives.parts(where)
    if where is None and not scenario.expectations:
        raise ScenarioError("where", 'is missing, and the scenario expects nothing; write where="payments.wait.p99 < 5s"')
    return scenario.with_("expect", list(dict.fromkeys([*texts, *scenario.expectations])))


def _try(value: Any, scenario: Scenario, where: str | None, jobs: int | None, executor: Executor | None) -> Try:
    slow = () if scenario.run.duration is None else growing(scenario)
    if slow:
        return Try(value, scenario, "fails", overloaded=slow)
    result = simulate(scenario, jobs=jobs, executor=executor, progress=False)
    judged = objectives.verdicts(result, where)
    return Try(value, scenario, objectives.together(each.outcome for each in judged), judged, result)
