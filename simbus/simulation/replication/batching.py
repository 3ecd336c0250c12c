"""Consumers that take several deliveries at once: a batch insert, a bulk request.

A server that is free waits for a full batch, for some time from its first delivery on, and then takes what there is. A batch has
one service time, and besides it one for every message if that is said; each message of it succeeds or fails by itself, and all
are settled when the batch ends.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from simbus.dialect import Subscription
from simbus.effects import Delivered
from simbus.simulation.model.practices import Batch
from simbus.simulation.replication.consumers import Watched
from simbus.simulation.replication.driver import Alarm, Driver
from simbus.simulation.replication.servers import Handler, Server


class BatchServer(Server):
    """A server that handles several deliveries in one go; what befalls it befalls all of them."""

    __slots__ = ("_batch", "_seen")

    def take(self, deliveries: list[Delivered]) -> None:
        """Begin a batch, of one delivery at least."""
        handler, driver, now = self._handler, self._driver, self._driver.time
        self._batch, self._delivery = deliveries, deliveries[0]
        for place, delivery in enumerate(deliveries):
            driver.observer.started(handler.group, delivery.copy_id, now, int(not place))  # one server for all of them
        self._seen = [handler.special and self._is_known(delivery) for delivery in deliveries]
        each = sum(handler.next_each() for _ in deliveries) if handler.next_each is not None else 0
        sent = round(handler.per_byte * sum(delivery.message.size for delivery in deliveries)) if handler.per_byte else 0
        service = handler.lookup * len(deliveries) + handler.next_service() + each + sent
        self._due = now + service
        driver.enter(self._entry, service)

    def _attempt_ends(self) -> None:
        observer, group, now = self._driver.observer, self._handler.group, self._driver.now()
        connected = self._connected
        for place, (delivery, known) in enumerate(zip(self._batch, self._seen, strict=True)):
            verb = self._outcome(delivery, now, known)
            observer.ended(group, delivery.copy_id, now, int(not place))
            assert verb is not None, "a batch is not tried again inside the handler"
            if connected:
                verb(delivery.delivery_tag)
            else:
                observer.let_go(delivery.copy_id)
        self._consumer.release(self)
        self._driver.react()

    def abandon(self) -> None:
        """See :meth:`Server.abandon`."""
        self._entry.cancel()
        observer, connected = self._driver.observer, self._connected
        for place, delivery in enumerate(self._batch):
            observer.interrupted(self._handler.group, delivery.copy_id, self._driver.time, int(not place))
            if not connected:
                observer.let_go(delivery.copy_id)

    def apply(self) -> None:
        """See :meth:`Server.apply`."""
        for delivery in self._batch:
            self._driver.observer.applied(self._handler.group, delivery.copy_id, self._driver.time)

    def lose(self) -> None:
        """See :meth:`Server.lose`."""
        if self._connected and not self._handler.acknowledge.auto:
            orphaned = self._driver.observer.orphaned
            self._batch = [replace(delivery, copy_id=orphaned(delivery.copy_id)) for delivery in self._batch]


class BatchConsumer(Watched):
    """A consumer whose servers take batches; see :class:`~simbus.simulation.replication.consumers.Consumer`."""

    __slots__ = ("_alarm", "_gathering", "_rule")

    def __init__(self, driver: Driver, handler: Handler, subscribe: Callable[[], Subscription]) -> None:
        self._rule = cast(Batch, handler.batch)
        self._alarm = Alarm(driver, self._time_is_up)
        self._gathering = False
        super().__init__(driver, handler, subscribe)

    def _new_servers(self) -> list[Server]:
        return [BatchServer(self) for _ in range(self.handler.concurrency)]

    def _start(self) -> None:
        """Take full batches, and wait for one; at least until this instant is over, since deliveries come one by one."""
        while self._idle and len(self._buffer) >= self._rule.size:
            self._take(self._rule.size)
        if self._idle and self._buffer and not self._gathering:
            self._gathering = True
            self._alarm.set(self._rule.within)

    def _unpark(self) -> None:
        self._idle, self._parked = self._parked, []
        self._start()

    def _take(self, size: int) -> None:
        self._gathering = False
        self._alarm.stop()
        cast(BatchServer, self._idle.pop()).take([self._buffer.popleft() for _ in range(size)])

    def _time_is_up(self) -> None:
        self._gathering = False
        if self._idle and self._buffer:
            self._take(min(self._rule.size, len(self._buffer)))
            self._start()
            self._tell()
