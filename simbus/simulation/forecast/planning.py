"""``scenario.check()``: what can be told of a scenario before it runs, in one object.

The numbers are from ``load``, the sentences from ``check``, ``dead_letters`` and ``prefetch``.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simbus.simulation.forecast import check as checks
from simbus.simulation.forecast.cautions import Caution
from simbus.simulation.forecast.dead_letters import Cycle, cycles
from simbus.simulation.forecast.load import Load, at_work, capacity, load, work
from simbus.simulation.model.specs import ConsumerSpec
from simbus.simulation.model.system import System

if TYPE_CHECKING:
    from pandas import DataFrame

_NAMES = ("group", "queue")
_COLUMNS = ("arrivals", "attempts", "amplification", "servers", "utilisation", "headroom", "headroom_less_one")


@dataclass(frozen=True)
class Group:
    """A group of consumers and what is offered to it.

    Args:
        group: its name.
        queue: what it consumes.
        arrivals: messages a second at its queue, those that come back by dead-lettering counted, each time.
        attempts: how often a message is handled each time.
        amplification: attempts for each message that was published, which is what retries of all kinds make of it; nan where
            none is published to the queue.
        servers: handlers of the group that are at work; on average with shifts, at most with autoscaling.
        utilisation: arrivals over what all groups of the queue can finish, retries counted; at 1 and above it cannot keep up.
        less_one: the same with one consumer of the group lost; infinite when it was the only one.
        stable: whether its queue comes to rest: publishers that wait for their messages never overload it.
    """

    group: str
    queue: str
    arrivals: float
    attempts: float
    amplification: float
    servers: float
    utilisation: float
    less_one: float
    stable: bool

    @property
    def headroom(self) -> float:
        """The share of its time that it has left: 1 - utilisation, below 0 when it cannot keep up."""
        return 1 - self.utilisation

    @property
    def headroom_less_one(self) -> float:
        """The same with one consumer lost."""
        return 1 - self.less_one


@dataclass(frozen=True)
class Check:
    """What is known of a scenario before it runs; ``print`` shows all of it.

    Args:
        scenario: its name.
        groups: the groups of consumers.
        cautions: what will not work as it is meant: ``place``, ``problem`` and ``remedy`` of each.
        cycles: where dead letters come round.
    """

    scenario: str
    groups: tuple[Group, ...]
    cautions: tuple[Caution, ...]
    cycles: tuple[Cycle, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """The cautions, a line each."""
        return [str(each) for each in self.cautions]

    @property
    def stable(self) -> bool:
        """Whether all groups can keep up."""
        return all(each.stable for each in self.groups)

    def table(self) -> "DataFrame":
        """A row per group of consumers; :class:`Group` says what the columns are."""
        from pandas import DataFrame as Frame

        rows = [[getattr(each, column) for column in (*_NAMES, *_COLUMNS, "stable")] for each in self.groups]
        return Frame(rows, columns=[*_NAMES, *_COLUMNS, "stable"]).set_index("group")

    def __repr__(self) -> str:
        busiest = max(self.groups, key=lambda each: each.utilisation, default=None)
        load = f"busiest {busiest.group} {busiest.utilisation:.2f}" if busiest else "no consumers"
        return f"<Check of {self.scenario}: {'stable' if self.stable else 'overloaded'}, {load}, warnings: {len(self.cautions)}>"

    def __str__(self) -> str:
        return "\n".join([*self.lines(), *(f"warning: {each}" for each in self.warnings)])

    def lines(self) -> list[str]:
        """The table of groups and the cycles, as text for a terminal."""
        headings = ("group", "queue", "arrivals", "attempts", "servers", "utilisation", "headroom", "one less")
        shown = [headings, *(_cells(each) for each in self.groups)] if self.groups else []
        return [*_aligned(shown), *(f"cycle: {each}" for each in self.cycles)]

    def _repr_html_(self) -> str:
        table = self.table().to_html(float_format="{:.4g}".format) if self.groups else ""
        notes = [*(f"cycle: {each}" for each in self.cycles), *(f"warning: {each}" for each in self.warnings)]
        return f"<p>{html.escape(repr(self))}</p>{table}" + "".join(f"<p>{html.escape(note)}</p>" for note in notes)


def check(scenario: System) -> Check:
    """Look at a scenario without running it; how long it would run may still be open.

    Raises:
        ScenarioError: when it does not fit together.
    """
    scenario.validate(run=False)
    offered = load(scenario)
    working = at_work(scenario)
    groups = tuple(_group(name, scenario, working, offered) for name in scenario.consumers)
    return Check(scenario.name, groups, tuple(checks.cautions(scenario, offered)), tuple(cycles(scenario)))


def _group(name: str, scenario: System, working: Mapping[str, ConsumerSpec], offered: Load) -> Group:
    spec = working[name]
    arrivals, published = offered.arrivals.get(spec.queue, 0.0), offered.published.get(spec.queue, 0.0)
    attempts, busy = work(spec).attempts, offered.utilisation[name]
    return Group(
        group=name,
        queue=spec.queue,
        arrivals=arrivals,
        attempts=attempts,
        amplification=arrivals * attempts / published if 0 < published < math.inf else math.nan,
        servers=spec.on_duty * spec.servers_each,
        utilisation=busy,
        less_one=busy if _stands_by(spec.queue, scenario, working) else _without_one(name, working, arrivals),
        stable=not offered.steady[name] >= 1,  # nobody knows of a handler that is code
    )


def _stands_by(queue: str, scenario: System, working: Mapping[str, ConsumerSpec]) -> bool:
    """Whether another consumer takes over when the single active one is lost."""
    return any(each.count > working[name].count for name, each in scenario.consumers.items() if each.queue == queue)


def _without_one(name: str, working: Mapping[str, ConsumerSpec], arrivals: float) -> float:
    group = working[name]
    lost = capacity(group) * min(1.0, 1 / group.on_duty)
    left = sum(capacity(each) for each in working.values() if each.queue == group.queue) - lost
    return math.inf if left <= 1e-9 * lost else arrivals / left


def _cells(group: Group) -> tuple[str, ...]:
    less_one = "none left" if math.isinf(group.less_one) else _said(group.headroom_less_one, ".0%")
    return (
        group.group,
        group.queue,
        _said(group.arrivals, ".3g") + " /s",
        _said(group.attempts if math.isnan(group.amplification) else group.amplification, ".3g"),
        f"{group.servers:.3g}",
        _said(group.utilisation, ".2f"),
        _said(group.headroom, ".0%"),
        less_one,
    )


def _said(number: float, form: str) -> str:
    return "–" if math.isnan(number) else format(number, form)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of text, names to the left and numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    names = len(_NAMES)
    return [
        "  ".join(
            cell.ljust(width) if place < names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
