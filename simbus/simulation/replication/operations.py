"""What a controller of a user's may see and do while a simulation runs: an operator's console."""

from collections.abc import Collection
from typing import Any

from simbus.dialect import Levels
from simbus.errors import ScenarioError
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.specs import read
from simbus.simulation.model.streams import Streams
from simbus.simulation.model.words import unknown
from simbus.simulation.replication.disruptions import Parties, disrupt
from simbus.simulation.replication.staffing import Staff


class Operations:
    """Levels of queues, the number of consumers, and outages on demand.

    Args:
        place: of the controller in the scenario, for errors.
        parties: of the run.
        streams: of the replication.
    """

    def __init__(self, place: str, parties: Parties, streams: Streams) -> None:
        self._place, self._parties, self._streams = place, parties, streams
        self._outages = 0

    def ready(self, queue: str) -> int:
        """How many copies wait in a queue; ScenarioError when there is none of that name."""
        return self._of(queue).ready

    def unacked(self, queue: str) -> int:
        """How many copies of a queue are with consumers."""
        return self._of(queue).unacked

    def depth(self, queue: str) -> int:
        """Both together."""
        levels = self._of(queue)
        return levels.ready + levels.unacked

    def consumers(self, group: str) -> int:
        """How many consumers of a group are on duty, or called."""
        return self._group(group).wanted

    def scale(self, group: str, count: Any) -> None:
        """Have so many consumers of a group: begin some, or let the last ones finish what they hold and go."""
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ScenarioError(self._place, f"{count!r} is not a number of consumers; write for example 3")
        staff = self._group(group)
        self._parties.driver.now()
        staff.change(count)
        self._parties.driver.react()

    def outage(self, what: str, **options: Any) -> None:
        """Begin an outage now: ``outage("crash", whom=["charge"], lasting="30s")``; options as of ``Scenario.outage``.

        Raises:
            ScenarioError: it cannot be, or wants something prepared: ``lost-acks``, ``partition`` and what befalls publishers
                are said in the scenario.
        """
        self._outages += 1
        place = f"{self._place}.outage"
        spec = read(OutageSpec, place, {"name": f"{self._place}.{self._outages}", "what": what, **options})
        parties = self._parties
        known: dict[str, Collection[str]] = {"consumers": parties.groups, "queues": parties.topology.queues}
        known["parties"] = [*parties.groups, *parties.lines]
        spec.check_names(place, known)
        ready: dict[str, Collection[str]] = {"lost-acks": parties.lost_acks, "partition": parties.networks}
        if spec.clock == "busy" or any(name not in ready.get(what, spec.whom) for name in spec.whom):
            raise ScenarioError(place, f"{what} wants something prepared; say it in the scenario, with scenario.outage(...)")
        disrupt(spec, parties, self._streams, None)

    def _of(self, queue: str) -> Levels:
        if queue not in self._parties.topology.queues:
            raise ScenarioError(self._place, unknown("queue", queue, self._parties.topology.queues))
        return self._parties.kind.levels(self._parties.driver.broker, queue)

    def _group(self, name: str) -> Staff:
        if name not in self._parties.staff:
            raise ScenarioError(self._place, unknown("group of consumers", name, self._parties.staff))
        return self._parties.staff[name]
