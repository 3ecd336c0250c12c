"""``scenario.check()``: what can be told of a scenario before it runs, in one object.

The numbers are from ``load``, the sentences from ``check``, ``dead_letters`` and ``prefetch``.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simbus.simulation import check as checks
from simbus.simulation.cautions import Caution
from simbus.simulation.dead_letters import Cycle, cycles
from simbus.simulation.load import Load, at_work, capacity, load, work
from simbus.simulation.specs import ConsumerSpec
from simbus.simulation.system import System

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
        servers: handlers of the group.
        utilisation: arrivals over what all groups of the queue can finish, retries counted; at 1 and above it cannot keep up.
        less_one: the same with one consumer of the group lost; infinite when it was the only one.
        stable: whether its queue comes to rest: publishers that wait for their messages never overload it.
    """

    group: str
    queue: str
    arrivals: float
    attempts: float
    amplification: float
    servers: int
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
    groups = tuple(_group(name, scenario, offered) for name in scenario.consumers)
    return Check(scenario.name, groups, tuple(checks.cautions(scenario, offered)), tuple(cycles(scenario)))


def _group(name: str, scenario: System, offered: Load) -> Group:
    groups = at_work(scenario)
    spec = groups[name]
    arrivals, published = offered.arrivals.get(spec.queue, 0.0), offered.published.get(spec.queue, 0.0)
    attempts = work(spec).attempts
    return Group(
        group=name,
        queue=spec.queue,
        arrivals=arrivals,
        attempts=attempts,
        amplification=arrivals * attempts / published if 0 < published < math.inf else math.nan,
        servers=spec.servers,
        utilisation=offered.utilisation[name],
        less_one=_without_one(spec, [each for each in groups.values() if each.queue == spec.queue], arrivals),
        stable=offered.steady[name] < 1,
    )


def _without_one(spec: ConsumerSpec, groups: Iterable[ConsumerSpec], arrivals: float) -> float:
    """Of a single active consumer, that is taken over by one that stands by."""
    share = 1.0 if spec.alone else max(0.0, 1 - 1 / spec.on_duty)
    left = sum(capacity(each) * (share if each is spec else 1) for each in groups)
    return arrivals / left if left else math.inf


def _cells(group: Group) -> tuple[str, ...]:
    less_one = f"{group.headroom_less_one:.0%}" if group.less_one < math.inf else "none left"
    return (
        group.group,
        group.queue,
        f"{group.arrivals:.3g} /s",
        f"{group.attempts if math.isnan(group.amplification) else group.amplification:.3g}",
        f"{group.servers}",
        f"{group.utilisation:.2f}",
        f"{group.headroom:.0%}",
        less_one,
    )


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
