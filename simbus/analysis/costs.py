"""What a million messages cost, from prices that the user gives and quantities that were simulated.

Prices are plain numbers of one currency. Nothing is known here of what anything costs anywhere.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simbus.analysis import formats, shown
from simbus.analysis.estimates import Estimate, student_t
from simbus.analysis.findings import Findings
from simbus.analysis.replication import Replication
from simbus.errors import ScenarioError
from simbus.units import SECOND

if TYPE_CHECKING:
    from pandas import DataFrame

_MILLION = 1e6
_HOUR = 3_600
_Formula = Callable[[Replication], float]


@dataclass(frozen=True)
class Cost:
    """What a million messages cost; every number is an estimate over the replications, in the currency of the prices.

    Args:
        scenario: its name.
        total: of a million messages that were sent.
        parts: what it is made of: ``consumers``, ``broker``, ``messages``, ``lost`` and ``duplicates``, those that have a price.
        currency: what stands behind the numbers.
    """

    scenario: str
    total: Estimate
    parts: dict[str, Estimate]
    currency: str = ""

    def frame(self) -> "DataFrame":
        """A row per part and one for the total: mean, low, high, and its share of the total."""
        from pandas import DataFrame as Frame

        found = {**self.parts, "total": self.total}
        whole = self.total.mean or 1.0
        rows = [(each.mean, each.low, each.high, each.mean / whole) for each in found.values()]
        return Frame(rows, index=list(found), columns=["mean", "low", "high", "share"]).rename_axis("part")

    def __repr__(self) -> str:
        most = max(self.parts, key=lambda part: self.parts[part].mean)
        total = formats.interval(self.total, "count")
        return f"<Cost of {self.scenario}: {f'{total} {self.currency}'.strip()} for a million messages, most of it {most}>"

    def _repr_html_(self) -> str:
        return shown.fragment(repr(self), self.frame())


def cost(
    result: Findings,
    *,
    consumer_hour: float | Mapping[str, float] = 0.0,
    broker_hour: float = 0.0,
    message: float = 0.0,
    lost: float = 0.0,
    duplicate: float = 0.0,
    currency: str = "",
) -> Cost:
    """What a million messages cost in a design: ``cost(result, consumer_hour=0.05, broker_hour=0.8, lost=2, currency="EUR")``.

    Args:
        result: of ``simulate``.
        consumer_hour: an hour of one consumer on duty; or by group, ``{"charge": 0.05}``.
        broker_hour: an hour of the broker, all its nodes together.
        message: each message that is sent.
        lost: each delivery obligation that ends lost, and each message that reaches no queue or not even the broker. It is a
            message that one subscriber never gets.
        duplicate: each application of a message that repeats an earlier one.
        currency: a word for it.

    Raises:
        ScenarioError: a price is no number from 0, all of them are 0, or a group is unknown.
    """
    if not isinstance(result, Findings):
        raise ScenarioError("result", f"{result!r} is no result; simulate the scenario first: cost(simulate(shop, ...), lost=2)")
    by_group = consumer_hour if isinstance(consumer_hour, Mapping) else dict.fromkeys(result.consumers, consumer_hour)
    _check_prices(result, by_group, {"broker_hour": broker_hour, "message": message, "lost": lost, "duplicate": duplicate})
    formulas: dict[str, tuple[bool, _Formula]] = {
        "consumers": (any(by_group.values()), lambda one: sum(price * _hours(one, name) for name, price in by_group.items())),
        "broker": (broker_hour > 0, lambda one: broker_hour * _length(one, result.settings.warmup)),
        "messages": (message > 0, lambda one: message * one.values["messages.n"]),
        "lost": (lost > 0, lambda one: lost * _lost(one, result.queues)),
        "duplicates": (duplicate > 0, lambda one: duplicate * _events(one, "duplicates", result.queues)),
    }
    priced = {name: formula for name, (any_price, formula) in formulas.items() if any_price}
    parts = {name: _of_a_million(result, formula) for name, formula in priced.items()}
    total = _of_a_million(result, lambda one: sum(formula(one) for formula in priced.values()))
    return Cost(result.scenario, total, parts, currency)


def _check_prices(result: Findings, by_group: Mapping[str, float], others: Mapping[str, object]) -> None:
    for name in by_group:
        if name not in result.consumers:
            known = ", ".join(result.consumers) or "none"
            raise ScenarioError("consumer_hour", f"unknown group of consumers {name!r}; known: {known}")
    prices: dict[str, object] = {**{f"consumer_hour of {name!r}": price for name, price in by_group.items()}, **others}
    for name, price in prices.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
            raise ScenarioError("prices", f"{name}: {price!r} is not a number from 0; write for example 0.05")
    if not any(prices.values()):
        raise ScenarioError("prices", "all are 0; write for example consumer_hour=0.05")


def _of_a_million(result: Findings, formula: _Formula) -> Estimate:
    def once(one: Replication) -> float:
        messages = one.values["messages.n"]
        return _MILLION * formula(one) / messages if messages else math.nan

    return student_t(result.observed(once), result.settings.confidence)


def _hours(one: Replication, group: str) -> float:
    return one.values[f"consumers.{group}.on_duty.total"] / _HOUR


def _length(one: Replication, warmup: int) -> float:
    """The measured hours: the mid-points of the first and of the last bin are as far from the ends as from each other's ends."""
    time = one.curves["time"]
    return float(time[0] + time[-1] - warmup / SECOND) / _HOUR


def _lost(one: Replication, queues: tuple[str, ...]) -> float:
    nowhere = one.values["messages.unroutable"] + one.values["messages.unsent"] if one.values["messages.n"] else 0.0
    return _events(one, "loss", queues) + nowhere * one.values["messages.n"]


def _events(one: Replication, metric: str, queues: tuple[str, ...]) -> float:
    """How many events a share stands for, over all queues."""
    trials = {queue: one.values[f"{queue}.{metric}.n"] for queue in queues}
    return sum(one.values[f"{queue}.{metric}"] * n for queue, n in trials.items() if n)
