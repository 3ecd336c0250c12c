"""Expectations: ``payments.wait.p99 < 5s`` as text, and what an interval says about one.

Reads paths and limits against the declared names, and judges by a confidence limit, never by the
mean. Where the interval comes from is not decided here.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from simbus.analysis import metrics
from simbus.analysis.estimates import Estimate, more_needed
from simbus.analysis.metrics import Metric, Unit
from simbus.errors import ScenarioError, UnitError
from simbus.units import SECOND, duration, rate, share

Outcome = Literal["holds", "fails", "undecided"]

_FORM = re.compile(r"\s*(.*[^<>=\s])\s*([<>]=?)\s*([^<>=]+?)\s*$")
_PLACE = "expect"


@dataclass(frozen=True, slots=True)
class Target:
    """What a path means: the path as it was written, the key of the values, and the metric's name and nature."""

    path: str
    key: str
    name: str
    metric: Metric

    @property
    def entity(self) -> str:
        """The key without the metric's name."""
        return self.key.removesuffix(f".{self.name}")


@dataclass(frozen=True, slots=True)
class Expectation:
    """A metric that must stay on one side of a limit.

    Args:
        text: as it was written.
        target: the metric it is about.
        operator: ``<``, ``<=``, ``>`` or ``>=``.
        limit: in SI units: seconds, per second, a share from 0 to 1, a count.
    """

    text: str
    target: Target
    operator: str
    limit: float

    def outcome(self, estimate: Estimate) -> Outcome:
        """Whether the whole confidence interval lies on the right side, the wrong side, or neither."""
        sign = 1 if "<" in self.operator else -1
        limit, near, far = sign * self.limit, *sorted((sign * estimate.low, sign * estimate.high))
        strict = "=" not in self.operator
        if estimate.n == 0:
            return "undecided"
        if far < limit or (far == limit and not strict):
            return "holds"
        return "fails" if near > limit or (near == limit and strict) else "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An expectation, the estimate that it was held against, the outcome, and how many replications make an observation."""

    expectation: Expectation
    estimate: Estimate
    outcome: Outcome
    each: int = 1

    @property
    def more(self) -> int | None:
        """How many more replications would probably decide it; 0 when it is decided, None when nobody can tell."""
        if self.outcome != "undecided":
            return 0
        return more_needed(self.estimate, abs(self.estimate.mean - self.expectation.limit), self.each)


def parse(text: str, queues: Sequence[str], consumers: Sequence[str] = (), classes: Sequence[str] = ()) -> Expectation:
    """Read an expectation such as ``payments.wait.p99 < 5s`` against the declared names.

    Raises:
        ScenarioError: for another form, an unknown or ambiguous path, or a limit in the wrong unit.
    """
    found = _FORM.match(text)
    if found is None:
        raise ScenarioError(
            _PLACE, f'{text!r} is not a metric, one of < <= > >=, and a limit; write for example "payments.wait.p99 < 5s"'
        )
    path, operator, limit = found.groups()
    target = resolve(path, queues, consumers, classes)
    return Expectation(text.strip(), target, operator, _limit(limit, target.metric.unit, path))


def resolve(
    path: str, queues: Sequence[str], consumers: Sequence[str] = (), classes: Sequence[str] = (), *, place: str = _PLACE
) -> Target:
    """What a path means; of several declared names that fit, the longest counts.

    ``classes`` are those of messages in queues, ``payments[gold]``. ``queues.`` or ``consumers.`` may stand in front, and
    must where both have the name and the metric. ``place`` is where the path stands, for errors.

    Raises:
        ScenarioError: when nothing fits (the nearest path is named) or two things fit equally.
    """
    try:
        fits = _fits(path, queues, consumers, classes)
    except UnitError as error:
        raise ScenarioError(place, f"{path!r}: {error}") from None
    longest = [target for length, target in fits if length == max(length for length, _ in fits)]
    if not longest:
        raise ScenarioError(place, f"unknown metric {path!r}{_nearest(path, queues, consumers, classes)}")
    if len(longest) > 1:
        remedy = f"write queues.{path} or consumers.{path}"
        raise ScenarioError(place, f"{path!r} may mean {' or '.join(target.key for target in longest)}; {remedy}")
    return longest[0]


def _fits(path: str, queues: Iterable[str], consumers: Iterable[str], classes: Iterable[str]) -> list[tuple[int, Target]]:
    """All that a path may mean, with the length of the name in it."""
    return [
        (len(prefix), Target(path, f"{key}.{path[len(prefix) + 1 :]}", path[len(prefix) + 1 :], metric))
        for prefix, key, table in _entities(queues, consumers, classes)
        if path.startswith(f"{prefix}.") and (metric := metrics.find(table, path[len(prefix) + 1 :]))
    ]


def _entities(
    queues: Iterable[str], consumers: Iterable[str], classes: Iterable[str]
) -> Iterator[tuple[str, str, dict[str, Metric]]]:
    """What may stand in front of a metric: as written, as in the values' keys, and its metrics."""
    for each in classes:
        yield each, each, metrics.CLASS
        yield f"queues.{each}", each, metrics.CLASS
    for queue in queues:
        yield queue, queue, metrics.QUEUE
        yield f"queues.{queue}", queue, metrics.QUEUE
    for consumer in consumers:
        yield consumer, f"consumers.{consumer}", metrics.CONSUMER
        yield f"consumers.{consumer}", f"consumers.{consumer}", metrics.CONSUMER
    yield "messages", "messages", metrics.MESSAGES
    yield "window", "window", metrics.WINDOW


def _nearest(path: str, queues: Sequence[str], consumers: Sequence[str], classes: Sequence[str]) -> str:
    tables = [(prefix, table) for prefix, _, table in _entities(queues, consumers, classes)]
    known = [f"{prefix}.{name}" for prefix, table in tables for name in table]
    family = [name for name in known if name.startswith(f"{path}.") and name.endswith((".p99", ".mean"))]
    whole = [name for name in known if name.endswith(f".{path}")]
    near = [*whole, *reversed(family), *get_close_matches(path, known, n=1, cutoff=0.6)]
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; queues: {', '.join(queues) or 'none'}; metrics of a queue: wait.p99, residence.p95, loss, depth.max and others"


def _limit(text: str, unit: Unit, path: str) -> float:
    what = f"the limit of {path}"
    try:
        if unit == "time":
            return duration(text, what) / SECOND
        if unit == "share":
            return share(text.replace(" ", ""), what)
        return rate(text, what) if unit == "rate" else _count(text, what)
    except UnitError as problem:
        raise ScenarioError(_PLACE, str(problem)) from None


def _count(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise UnitError(f"{what}: {text!r} is not a number; write for example 50_000")
    return number
