"""The network between a party and the broker: latency, loss of packets, and what a partition does to them.

A connection is TCP's: what is sent arrives in order, or not at all once the connection is gone. A packet that is lost is sent
again after a retransmission time-out of 200 ms, doubled for each loss of the same packet (RFC 6298, section 5.5, with the least
time-out that Linux has in place of the RFC's second), and what was sent after it waits for it. Each message, acknowledgement or
confirm is one packet. To connect and to begin to consume takes no time.

Draws come from the streams ``network.<party>``, purposes ``latency there``, ``loss there``, ``latency back`` and ``loss back``.
Parties without a network talk to the broker at once, and pay nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Any

from simbus.dialect import Subscription
from simbus.simulation.model.distributions import Distribution
from simbus.simulation.model.networks import NetworkSpec
from simbus.simulation.model.streams import Streams, draws
from simbus.simulation.replication.driver import Driver, Entry, Receiver
from simbus.units import MILLISECOND

RETRANSMISSION = 200 * MILLISECOND
Step = Callable[[], object]


class Wire(Entry):
    """One direction of a connection: what is sent arrives in order, later. Its own calendar entry.

    Args:
        driver: of the replication.
        delays: how long each packet takes.
        to_broker: whether what arrives is a verb of the broker, or something for the party.
    """

    __slots__ = ("_armed", "_blocked", "_driver", "_gone", "_last", "_next_delay", "_sent", "_to_broker")

    def __init__(self, driver: Driver, delays: Iterator[int], *, to_broker: bool) -> None:
        super().__init__()
        self._driver, self._next_delay, self._to_broker = driver, delays.__next__, to_broker
        self._sent: deque[tuple[int, Step]] = deque()
        self._last = 0
        self._armed = self._gone = False
        self._blocked = False

    def send(self, step: Step) -> None:
        """Let it happen on the other side, once it has arrived there."""
        if self._gone:
            return
        self._last = max(self._last, self._driver.time + self._next_delay())
        self._sent.append((self._last, step))
        self._arm()

    def block(self, blocked: bool) -> None:
        """Nothing passes, and all is kept; or it passes again."""
        self._blocked = blocked
        self._arm()

    def break_off(self) -> list[Step]:
        """The connection is gone: what is on its way is lost, and answered."""
        self._gone, lost = True, [step for _, step in self._sent]
        self._sent.clear()
        return lost

    def _arm(self) -> None:
        if self._sent and not self._armed and not self._blocked:
            self._armed = True
            self._driver.enter(self, max(0, self._sent[0][0] - self._driver.time))

    def fire(self) -> None:
        """What is due arrives."""
        self._armed = False
        now = self._driver.time
        while self._sent and self._sent[0][0] <= now and not self._blocked:
            step = self._sent.popleft()[1]
            if self._to_broker:
                self._driver.now()
                step()
                self._driver.react()
            else:
                step()
        self._arm()


class Link:
    """A connection: two wires."""

    def __init__(self, there: Wire, back: Wire) -> None:
        self.there, self.back = there, back
        self.ended = self.broken = False

    def block(self, blocked: bool) -> None:
        """As of both wires."""
        self.there.block(blocked)
        self.back.block(blocked)

    def break_off(self) -> list[Step]:
        """Both directions end at once; what is lost of what was on its way to the broker."""
        self.ended = self.broken = True
        self.back.break_off()
        return self.there.break_off()


class Far(Receiver):
    """A receiver at the other end of a wire."""

    def __init__(self, receiver: Receiver, wire: Wire) -> None:
        self.receiver, self._wire = receiver, wire

    def receive(self, effect: Any) -> None:
        """It is on its way."""
        self._wire.send(partial(self.receiver.receive, effect))


class Remote:
    """A subscription at the other end of a network (:class:`simbus.dialect.Subscription`)."""

    def __init__(self, link: Link, inner: Subscription) -> None:
        self._link, self._inner = link, inner
        self.channel = inner.channel

    def accept(self, delivery_tag: int, multiple: bool = False) -> None:
        """The acknowledgement is on its way."""
        self._link.there.send(partial(self._inner.accept, delivery_tag, multiple))

    def reject(self, delivery_tag: int) -> None:
        """See ``accept``."""
        self._link.there.send(partial(self._inner.reject, delivery_tag))

    def requeue(self, delivery_tag: int) -> None:
        """See ``accept``."""
        self._link.there.send(partial(self._inner.requeue, delivery_tag))

    def cancel(self) -> None:
        """See ``accept``."""
        self._link.there.send(self._inner.cancel)

    def close(self) -> None:
        """The last that the broker hears; this end hears nothing more. If the connection is broken, it ends at once."""
        if self._link.broken:
            self._inner.close()
        else:
            self._link.there.send(self._end)
            self._link.back.break_off()

    def _end(self) -> None:
        self._inner.close()
        self._link.ended = True


class LostAcks:
    """Decides which acknowledgements of a group are lost, while there are outages that lose some.

    Args:
        uniform: a draw for each acknowledgement, and for each outage.
    """

    def __init__(self, uniform: Iterator[float]) -> None:
        self.shares: list[float] = []
        self._uniform = uniform

    def loses(self) -> bool:
        """Whether the next one is."""
        return any(next(self._uniform) < share for share in self.shares)


class Lossy:
    """A subscription whose acknowledgements may be lost: the broker then takes the delivery for unsettled, and gives it again.

    That stands for a connection that breaks with just this acknowledgement on its way.
    """

    def __init__(self, inner: Subscription, lost: LostAcks) -> None:
        self._inner, self._lost = inner, lost
        self.channel = inner.channel
        self.reject, self.requeue = inner.reject, inner.requeue
        self.cancel, self.close = inner.cancel, inner.close

    def accept(self, delivery_tag: int, multiple: bool = False) -> None:
        """It arrives, or not."""
        if self._lost.loses():
            self._inner.requeue(delivery_tag)
        else:
            self._inner.accept(delivery_tag, multiple)


class Network:
    """What lies between one party and the broker.

    Args:
        driver: of the replication.
        name: of the party.
        spec: its latency and loss; None: neither.
        streams: of the replication.
    """

    def __init__(self, driver: Driver, name: str, spec: NetworkSpec | None, streams: Streams) -> None:
        self._driver = driver
        self._delays = {way: _delays(name, spec, streams, way) for way in ("there", "back")}
        self._links: list[Link] = []
        self._blocked = 0

    def connect(self) -> Link:
        """A new connection."""
        there, back = (Wire(self._driver, self._delays[way], to_broker=way == "there") for way in ("there", "back"))
        link = Link(there, back)
        link.block(self._blocked > 0)
        self._links = [*(each for each in self._links if not each.ended), link]
        return link

    def subscribe(self, begin: Callable[[], Subscription]) -> Subscription:
        """A consumer that begins at the other end."""
        link, inner = self.connect(), begin()
        self._driver.route(inner.channel, partial(Far, wire=link.back))
        return Remote(link, inner)

    def block(self) -> None:
        """A partition: nothing passes, and what is on its way waits."""
        self._blocked += 1
        for link in self._links:
            link.block(True)

    def unblock(self) -> None:
        """It is over."""
        self._blocked -= 1
        for link in self._links:
            link.block(self._blocked > 0)

    def break_off(self) -> None:
        """All connections end without a word."""
        for link in self._links:
            link.break_off()


def _delays(name: str, spec: NetworkSpec | None, streams: Streams, way: str) -> Iterator[int]:
    """How long each packet takes that way."""
    latency: Distribution | None = None if spec is None else spec.latency
    latencies = repeat(0) if latency is None else draws(streams.generator(f"network.{name}", f"latency {way}"), latency.sample)
    if spec is None or not spec.loss:
        return latencies
    return _with_losses(latencies, spec.loss, streams.uniforms(f"network.{name}", f"loss {way}"))


def _with_losses(latencies: Iterator[int], loss: float, uniform: Iterator[float]) -> Iterator[int]:
    for latency in latencies:
        delay, timeout = latency, RETRANSMISSION
        while next(uniform) < loss:
            delay += timeout
            timeout *= 2
        yield delay
