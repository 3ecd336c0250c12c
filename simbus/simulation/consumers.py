"""Modelled consumers: a subscription, a buffer for its prefetch, servers, and what may befall them.

A consumer's prefetch is a buffer, its concurrency the number of its servers: a delivery waits in the buffer until a server is
free. What a server does with it is the business of ``servers``; when outages come, of ``disruptions``.
"""

from collections import deque
from collections.abc import Callable
from math import prod

from simbus.dialect import Subscription
from simbus.effects import Delivered
from simbus.simulation.driver import Driver
from simbus.simulation.servers import Handler, Server


class Offline:
    """In place of a subscription where there is no connection: no delivery has come on its channel."""

    channel = 0

    def accept(self, delivery_tag: int, multiple: bool = False) -> None:
        """Nobody hears it."""

    def reject(self, delivery_tag: int) -> None:
        """Nobody hears it."""

    def requeue(self, delivery_tag: int) -> None:
        """Nobody hears it."""

    def cancel(self) -> None:
        """There is nothing to cancel."""

    def close(self) -> None:
        """It is."""


OFFLINE = Offline()


class Consumer:
    """A modelled consumer: deliveries wait in its buffer, in order, until one of its servers is free.

    Outages may overlap: what two of them have stopped goes on when both are over.

    Args:
        driver: of the replication.
        handler: what its servers do.
        subscribe: begins to consume, on a channel of its own.
    """

    __slots__ = (
        "_buffer", "_cut", "_dead", "_failing", "_held", "_idle", "_pace", "_parked", "_servers", "_subscribe", "_usual",
        "driver", "handler", "subscription",
    )  # fmt: skip

    def __init__(self, driver: Driver, handler: Handler, subscribe: Callable[[], Subscription]) -> None:
        self.driver, self.handler, self._subscribe = driver, handler, subscribe
        self._buffer: deque[Delivered] = deque()
        self._servers = [Server(self) for _ in range(handler.concurrency)]
        self._idle = list(self._servers)
        self._parked: list[Server] = []  # idle ones, while all are held
        self._usual = handler
        self._held = self._cut = self._dead = self._failing = 0  # by how many outages
        self._pace: list[float] = []  # the factors of those that make it slow
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

    @property
    def busy(self) -> list[Server]:
        """The servers that are at work, also those that are held."""
        idle = {*self._idle, *self._parked}
        return [server for server in self._servers if server not in idle]

    # Its servers stop, or are slow, or in vain

    def hold(self) -> None:
        """Its servers stop where they are, and begin nothing new."""
        self._held += 1
        if self._held == 1:
            for server in self.busy:
                server.hold()
            self._idle, self._parked = [], self._idle

    def go_on(self) -> None:
        """They go on from there."""
        self._held -= 1
        if not self._held:
            for server in self.busy:
                server.go_on()
            self._unpark()

    def _unpark(self) -> None:
        self._idle, self._parked = self._parked, []
        while self._idle and self._buffer:
            self._start()

    def slow_down(self, factor: float) -> None:
        """Attempts take ``factor`` times as long; of one that is under way, what is left."""
        before = prod(self._pace)
        self._pace.append(factor)
        self._change_pace(prod(self._pace) / before)

    def speed_up(self, factor: float) -> None:
        """No longer."""
        before = prod(self._pace)
        self._pace.remove(factor)
        self._change_pace(prod(self._pace) / before)

    def _change_pace(self, by: float) -> None:
        self._hinder()
        self.hold()
        for server in self.busy:
            server.stretch(by)
        self.go_on()

    def fail(self) -> None:
        """Every attempt that ends from now on is a transient failure."""
        self._failing += 1
        self._hinder()

    def succeed(self) -> None:
        """No longer."""
        self._failing -= 1
        self._hinder()

    def _hinder(self) -> None:
        self.handler = self._usual.hindered(prod(self._pace), self._failing > 0)
        for server in self._servers:
            server.work_by(self.handler)

    # Its connection ends, alone or with its process. The caller has told the broker the time, and reacts.

    def cancel(self) -> None:
        """Receive no more, so that of several who end at once none is sent what another gives back."""
        self.subscription.cancel()

    def disconnect(self) -> None:
        """What its servers are at work on they finish, and nobody hears of it; what is in the buffer is gone."""
        self._cut += 1
        if self._cut == 1:
            for server in self.busy:
                server.lose()
            self._buffer.clear()
            self.subscription.close()
            self.driver.detach(self.subscription.channel)
            self.subscription = OFFLINE

    def reconnect(self) -> None:
        """Begin to consume again."""
        self._cut -= 1
        if not self._cut:
            self.subscription = self._subscribe()
            self.driver.attach(self.subscription.channel, self)

    def crash(self, applied: Callable[[], bool]) -> None:
        """The process dies.

        Args:
            applied: asked for each attempt that is under way: whether its side effect has taken place already.
        """
        self._dead += 1
        for server in self.busy:
            if applied():
                server.apply()
            server.abandon()
        self._servers, self._idle, self._parked = [], [], []
        self.disconnect()

    def start_again(self) -> None:
        """A new process, with nothing of the old one's."""
        self._dead -= 1
        if not self._dead:
            self._servers = [Server(self) for _ in range(self.handler.concurrency)]
            self._parked = list(self._servers)
            if not self._held:
                self._unpark()
        self.reconnect()


class Watched(Consumer):
    """A consumer that tells when it may have become busy or idle; what is told to is called in order."""

    __slots__ = ("watchers",)

    def __init__(self, driver: Driver, handler: Handler, subscribe: Callable[[], Subscription]) -> None:
        self.watchers: list[Callable[[], None]] = []
        super().__init__(driver, handler, subscribe)

    def receive(self, delivery: Delivered) -> None:
        """A delivery comes from the broker."""
        super().receive(delivery)
        self._tell()

    def release(self, server: Server) -> None:
        """A server is free again."""
        super().release(server)
        self._tell()

    def _tell(self) -> None:
        for watcher in self.watchers:
            watcher()
