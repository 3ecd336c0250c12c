"""Where failed messages wait in the broker until they are tried again: delay queues, and the delayed exchange.

The handler publishes the message anew, with the number of attempts in a header, and acknowledges the delivery; after the back-off
the broker brings it back to its queue, as a new message that carries on the obligation of the old one. What has to be declared
for that is part of the scenario's topology and stands in reports beside the queues that its author declared, because messages
are really there: a queue for each length of the back-off, or one exchange.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from simbus.dialect import Dialect, Publisher, Topology
from simbus.effects import Delivered
from simbus.simulation.driver import Driver
from simbus.simulation.specs import ConsumerSpec


class InBroker:
    """Sends failed messages of one group round by the broker (:class:`simbus.simulation.servers.Keeper`).

    Args:
        driver: of the replication.
        kind: of its broker.
        publisher: on which they are published.
        spec: of the group.
    """

    def __init__(self, driver: Driver, kind: Dialect, publisher: Publisher, spec: ConsumerSpec) -> None:
        self._driver, self._kind, self._publisher = driver, kind, publisher
        self._queues = {delay: kind.delay_queue(spec.queue, delay)[0] for delay in delays(spec)}
        self._exchange = {"exchange": kind.delaying_exchange(spec.queue)[0], "routing_key": spec.queue}

    def attempts(self, delivery: Delivered) -> int:
        """How many attempts were made before the message was published as this one."""
        return self._kind.attempts(delivery.message)

    def keep(self, delivery: Delivered, attempts: int, delay: int) -> None:
        """Publish it anew after so many attempts, to come back in ``delay`` nanoseconds."""
        if self._queues:
            message_id = self._publisher.again(delivery.message, {"to": self._queues[delay]}, attempts)
        else:
            message_id = self._publisher.again(delivery.message, self._exchange, attempts, delay)
        self._driver.is_again(message_id, delivery.message_id)
        self._driver.observer.carried(delivery.copy_id, message_id)


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
