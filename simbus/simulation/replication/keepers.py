"""How failed messages wait in the broker until they are tried again.

The handler publishes the message anew, with the number of attempts in a header, and acknowledges the delivery; after the back-off
the broker brings it back to its queue, as a new message that carries on the obligation of the old one. What has to be declared
for that is in the model's ``delay_queues``.
"""

from simbus.dialect import Dialect, Publisher
from simbus.effects import Delivered
from simbus.simulation.model.delay_queues import delays
from simbus.simulation.model.specs import ConsumerSpec
from simbus.simulation.replication.driver import Driver


class InBroker:
    """Sends failed messages of one group round by the broker (:class:`simbus.simulation.replication.servers.Keeper`).

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
        self._driver.observer.carried(delivery.copy_id, message_id, self._driver.time)
