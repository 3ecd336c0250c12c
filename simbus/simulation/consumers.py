"""Modelled consumers: a subscription, a buffer for its prefetch, and servers.

A consumer's prefetch is a buffer, its concurrency the number of its servers: a delivery waits in the buffer until a server is
free. What a server does with it is the business of ``servers``.
"""

from collections import deque
from collections.abc import Callable

from simbus.dialect import Subscription
from simbus.effects import Delivered
from simbus.simulation.driver import Driver
from simbus.simulation.servers import Handler, Server


class Consumer:
    """A modelled consumer: deliveries wait in its buffer, in order, until one of its servers is free.

    Args:
        driver: of the replication.
        handler: what its servers do.
        subscribe: begins to consume, on a channel of its own.
    """

    __slots__ = ("_buffer", "_idle", "driver", "handler", "subscription")

    def __init__(self, driver: Driver, handler: Handler, subscribe: Callable[[], Subscription]) -> None:
        self.driver, self.handler = driver, handler
        self._buffer: deque[Delivered] = deque()
        self._idle = [Server(self) for _ in range(handler.concurrency)]
        self.subscription = subscribe()
        driver.attach(self.subscription.channel, self)

    def receive(self, delivery: Delivered) -> None:
        """A delivery comes from the broker."""
        self._buffer.append(delivery)
        self._start()

    def release(self, server: Server) -> None:
        """A server is free again."""
        self._idle.append(server)
        self._start()

    def _start(self) -> None:
        if self._idle and self._buffer:
            self._idle.pop().start(self._buffer.popleft())
