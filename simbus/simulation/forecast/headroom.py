"""``headroom``: how much more there is room for, by arithmetic and not by simulation, from what ``scenario.check()`` finds."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simbus.analysis import formats, shown
from simbus.errors import ScenarioError
from simbus.simulation.forecast.planning import Group, check
from simbus.simulation.model.system import System

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Headroom:
    """The share of their time that consumers have left, with retries, and with one of them lost.

    Args:
        scenario: its name.
        groups: the groups of consumers, the busiest first.
    """

    scenario: str
    groups: tuple[Group, ...]

    @property
    def least(self) -> float:
        """That of the group that has least; 1 where there is none, nan where a handler is code and nobody can tell."""
        return self.groups[0].headroom if self.groups else 1.0

    @property
    def least_less_one(self) -> float:
        """The least of any group when it loses one consumer; -inf where that is its only one."""
        return min((each.headroom_less_one for each in self.groups), default=1.0)

    @property
    def growth(self) -> float:
        """How many times today's arrivals all groups could just keep up with; inf where nothing arrives."""
        busiest = 1 - self.least
        return math.nan if math.isnan(busiest) else 1 / busiest if busiest else math.inf

    def frame(self) -> "DataFrame":
        """A row per group, the busiest first: shares of time, and how many times today's arrivals it could just keep up with."""
        from pandas import DataFrame as Frame

        rows = [
            (each.group, each.queue, each.utilisation, each.headroom, each.headroom_less_one, _growth(each))
            for each in self.groups
        ]
        columns = ["group", "queue", "utilisation", "headroom", "headroom_less_one", "growth"]
        return Frame(rows, columns=columns).set_index("group")

    def __repr__(self) -> str:
        if not self.groups:
            return f"<Headroom of {self.scenario}: no consumers>"
        least = self.groups[0]
        less_one = "none left" if math.isinf(least.less_one) else formats.value(least.headroom_less_one, "share")
        return (
            f"<Headroom of {self.scenario}: {formats.value(least.headroom, 'share')} in {least.group}, with one lost {less_one}>"
        )

    def _repr_html_(self) -> str:
        return shown.fragment(repr(self), self.frame())


def headroom(scenario: System) -> Headroom:
    """1 - utilisation of each group of consumers, retries counted, and the same with one consumer lost: ``headroom(shop)``.

    It is arithmetic on means and needs no run. A wait grows without bounds as headroom goes to 0: how much of it an objective
    takes is a question for :func:`simbus.capacity`.

    Args:
        scenario: whose.

    Raises:
        ScenarioError: when it does not fit together.
    """
    if not hasattr(scenario, "validate"):
        raise ScenarioError("scenario", f'{scenario!r} is no Scenario; read a file with read_scenario("shop.toml")')
    found = check(scenario)
    order = sorted(found.groups, key=lambda each: (not math.isnan(each.utilisation), -each.utilisation))
    return Headroom(found.scenario, tuple(order))


def _growth(group: Group) -> float:
    return 1 / group.utilisation if group.utilisation else math.inf
