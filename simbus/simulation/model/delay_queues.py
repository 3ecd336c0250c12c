"""What has to be declared in the broker where failed messages wait until they are tried again: delay queues, a delayed exchange.

It is part of the scenario's topology and stands in reports beside the queues that its author declared, because messages are
really there: a queue for each length of the back-off, or one exchange. The replication's ``keepers`` send messages there.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from simbus.dialect import Dialect, Topology
from simbus.simulation.model.specs import ConsumerSpec


def delays(spec: ConsumerSpec) -> tuple[int, ...]:
    """The lengths of a group's delay queues, in nanoseconds."""
    return (spec.retry.delays or ()) if spec.retry.how == "delay-queue" else ()


def delay_queues(kind: Dialect, spec: ConsumerSpec) -> dict[str, dict[str, Any]]:
    """A group's delay queues: names to options."""
    return dict(kind.delay_queue(spec.queue, delay) for delay in delays(spec))


def with_keepers(kind: Dialect, topology: Topology, groups: Iterable[ConsumerSpec]) -> Topology:
    """A topology and what the retries of some groups need besides; itself when they need nothing."""
    round_about = [spec for spec in groups if spec.retry.by_broker]
    if not round_about:
        return topology
    exchanges: dict[str, dict[str, Any]] = {}
    queues: dict[str, dict[str, Any]] = {}
    bindings = []
    for spec in round_about:
        queues |= delay_queues(kind, spec)
        if spec.retry.how == "delayed-exchange":
            name, options, binding = kind.delaying_exchange(spec.queue)
            bindings += [] if name in exchanges else [binding]
            exchanges[name] = options
    return replace(
        topology,
        exchanges={**topology.exchanges, **exchanges},
        queues={**topology.queues, **queues},
        bindings=[*topology.bindings, *bindings],
    )
