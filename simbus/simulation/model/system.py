"""What may be asked of a scenario by those who look at one and change nothing: its arithmetic, its checks, its stopping rule.

``Scenario`` is one; it stands above them, because its ``check`` calls them.
"""

from collections.abc import Callable
from typing import Any, Protocol

from simbus.dialect import Topology
from simbus.simulation.model.networks import NetworkSpec
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.specs import ConsumerSpec, PublisherSpec, RunSpec


class System(Protocol):
    """Publishers, queues and consumers; see :class:`~simbus.simulation.scenario.Scenario` for each."""

    name: str
    dialect: str
    publishers: dict[str, PublisherSpec]
    consumers: dict[str, ConsumerSpec]
    networks: dict[str, NetworkSpec]
    outages: dict[str, OutageSpec]
    controllers: dict[str, Callable[..., Any]]
    expectations: list[str]
    run: RunSpec

    @property
    def topology(self) -> Topology:
        """Exchanges, queues and bindings: those declared, and those that retries need."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of all classes of messages."""

    @property
    def classes_in_queues(self) -> tuple[str, ...]:
        """What stands in front of the metrics of a class in a queue."""

    def validate(self, *, run: bool = True) -> None:
        """Raise ScenarioError where it does not fit together."""
