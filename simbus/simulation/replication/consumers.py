"""Modelled consumers: a subscription, a buffer for its prefetch, servers, and what may befall them.

A consumer's prefetch is a buffer, its concurrency the number of its servers: a delivery waits in the buffer until a server is
free. What a server does with it is the business of ``servers``; when outages come, of ``disruptions``.
"""

from collections import deque
from collections.abc import Callable
from math import prod

from simbus.dialect import Subscription
from simbus.effects import Delivered
from simbus.simulation.replication.driver import Driver, Entry
from simbus.simulation.replication.servers import Handler, Owner, Server
from simbus.simulation.replication.settling import verbs


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


class Consumer(Owner):
    """A modelled consumer: deliveries wait in its buffer, in order, until one of its servers is free.

    Outages may overlap: what two of them have stopped goes on when both are over.

    Args:
        driver: of the replication.
        handler: what its servers do.
        subscribe: begins to consume, on a channel of its own.
    """

    __slots__ = (
        "_buffer", "_cut", "_dead", "_deferred", "_failing", "_gone", "_held", "_idle", "_pace", "_parked", "_servers",
        "_stopping", "_subscribe", "_usual", "subscription",
    )  # fmt: skip

    def __init__(self, driver: Driver, handler: Handler, subscribe: Callable[[], Subscription]) -> None:
        self.driver, self.handler, self._subscribe = driver, handler, subscribe
        self._buffer: deque[Delivered] = deque()
        self._servers = self._new_servers()
        self._idle = list(self._servers)
        self._parked: list[Server] = []  # idle ones, while all are held
        self._usual = handler
        self._held = self._cut = self._dead = self._failing = 0  # by how many outages
        self._pace: list[float] = []  # the factors of those that make it slow
        self._deferred = 0  # deliveries that wait without a server
        self._stopping = self._gone = False
        self._connect(subscribe())
        driver.observer.staffed(handler.group, 1, driver.time)

    def _new_servers(self) -> list[Server]:
        return [Server(self) for _ in range(self.handler.concurrency)]

    def _connect(self, subscription: Subscription) -> None:
        self.subscription, self.channel = subscription, subscription.channel
        self.verbs = verbs(self.driver, subscription, self._usual.acknowledge)
        if subscription.channel:
            self.driver.attach(subscription.channel, self, self.hang_up)

    def _disconnect(self) -> None:
        self.verbs.forget()
        self.subscription.close()
        self.driver.detach(self.subscription.channel)
        self._connect(OFFLINE)

    def receive(self, delivery: Delivered) -> None:
        """A delivery comes from the broker."""
        self._buffer.append(delivery)
        self._start()

    def release(self, server: Server) -> None:
        """A server is free again."""
        self._idle.append(server)
        self._start()
        if self._stopping:
            self._go_when_done()

    def _start(self) -> None:
        if self._idle and self._buffer:
            self._idle.pop().start(self._buffer.popleft())

    @property
    def busy(self) -> list[Server]:
        """The servers that are at work, also those that are held."""
        idle = {*self._idle, *self._parked}
        return [server for server in self._servers if server not in idle]

    # Off duty. The caller has told the broker the time, and reacts.

    def stop(self) -> None:
        """Take no more, finish what it holds, and go."""
        self._stopping = True
        self.subscription.cancel()
        self._go_when_done()

    def defer(self) -> None:
        """A delivery waits without a server, to be settled later."""
        self._deferred += 1

    def deferred(self) -> None:
        """That was done."""
        self._deferred -= 1
        if self._stopping:
            self._go_when_done()

    def _go_when_done(self) -> None:
        if self._gone or self._buffer or self._deferred or self.busy:
            return
        self._gone = True
        if not self._cut:
            self.verbs.flush()
            self._disconnect()
        self.driver.observer.staffed(self.handler.group, -1, self.driver.time)

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
            self._lose_buffer()
            if not self._gone:
                self._disconnect()
        if self._stopping:
            self._go_when_done()

    def _lose_buffer(self) -> None:
        if self.handler.acknowledge.auto:
            for delivery in self._buffer:
                self.driver.observer.dropped(delivery.copy_id)
        self._buffer.clear()

    def reconnect(self) -> None:
        """Begin to consume again."""
        self._cut -= 1
        if not self._cut and not self._stopping:
            self._connect(self._subscribe())

    def hang_up(self) -> None:
        """The broker has closed its channel; it begins to consume again at once, on a new one, with its servers as they are.

        Called before it is seen that what was held goes back. Who is behind a network hears of it at once, too.
        """
        self.disconnect()
        self.driver.enter(Entry(self._come_back), 0)

    def _come_back(self) -> None:
        self.driver.now()
        self.reconnect()
        self.driver.react()

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
            self._servers = self._new_servers()
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
