"""The connections of publishers: they may end and come back, lie behind a network, and wait for confirms of a queue that is away.

A line stands between a modelled publisher and the dialect's; where nothing is to happen there is none. While it is cut, what is
published gets nowhere: the verb answers 0, and no confirm will come. What then follows is the publisher's business.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from simbus.dialect import Publisher, Verb
from simbus.effects import Confirmed
from simbus.simulation.replication.driver import Driver, Receiver
from simbus.simulation.replication.network import Far, Link, Network, Step


def _nothing() -> None:
    """A publisher that does not care."""


class _Verb:
    """Publishes where its line leads at the moment."""

    __slots__ = ("act", "address", "line")

    def __init__(self, line: "Line", address: Mapping[str, Any], act: Verb) -> None:
        self.line, self.address, self.act = line, address, act

    def __call__(self, size: int | None = None, expiration: int | None = None) -> int:
        message_id = self.act(size, expiration)
        if self.line.away and message_id:
            self.line.note(message_id, self.address)
        return message_id


class _Gate(Receiver):
    """Lets confirms through, but for those that have to wait."""

    def __init__(self, line: "Line", receiver: Receiver) -> None:
        self._line, self._receiver = line, receiver

    def receive(self, confirm: Confirmed) -> None:
        """The broker answers."""
        if confirm.message_id in self._line.waiting:
            self._line.waiting[confirm.message_id] = partial(self._receiver.receive, confirm)
        else:
            self._receiver.receive(confirm)


class Line:
    """A publisher of the dialect (:class:`simbus.dialect.Publisher`), connected anew when it was cut.

    Args:
        driver: of the replication; whoever is attached to the channel hears of the new channel too.
        connect: opens a connection.
        reaches: the queues that an address reaches.
        network: what lies between, if anything does.
        tells: whether to tell the observer of what gets nowhere, for a publisher that does not care.
    """

    def __init__(
        self,
        driver: Driver,
        connect: Callable[[], Publisher],
        reaches: Callable[[Mapping[str, Any]], Collection[str]],
        network: Network | None = None,
        *,
        tells: bool,
    ) -> None:
        self._driver, self._connect, self._reaches = driver, connect, reaches
        self._network, self._tells = network, tells
        self._verbs: list[_Verb] = []
        self._cut = 0
        self.away: list[str] = []
        """Queues that have no leader now; one that is twice among them is twice away."""
        self.waiting: dict[int, Step | None] = {}
        """By message, the confirm that is held back, once it has come."""
        self.when_cut: Step = _nothing
        """What the publisher does about it."""
        self._open()

    def _open(self) -> None:
        self._publisher = self._connect()
        self.channel = self._publisher.channel
        self._link: Link | None = None if self._network is None else self._network.connect()
        self._driver.route(self.channel, self._through)

    def _through(self, receiver: Receiver) -> Receiver:
        return _Gate(self, receiver if self._link is None else Far(receiver, self._link.back))

    def verb(self, address: Mapping[str, Any]) -> Verb:
        """See :meth:`simbus.dialect.Publisher.verb`."""
        verb = _Verb(self, address, self._publisher.verb(address))
        self._verbs.append(verb)
        return verb

    def again(self, message: Any, address: Mapping[str, Any], attempts: int, delay: int | None = None) -> int:
        """See :meth:`simbus.dialect.Publisher.again`."""
        return self._publisher.again(message, address, attempts, delay)

    def close(self) -> None:
        """See :meth:`simbus.dialect.Publisher.close`."""
        self._publisher.close()

    def carry(self, step: Step) -> None:
        """Bring a step to the broker: at once where there is no network, or no connection; else later, and perhaps never."""
        if self._link is None or self._cut:
            step()
        else:
            self._link.there.send(step)

    def disconnect(self) -> None:
        """The connection ends, and what is on its way is lost. The caller has told the broker the time, and reacts."""
        self._cut += 1
        if self._cut > 1:
            return
        self._publisher.close()
        self.waiting.clear()
        for verb in self._verbs:
            verb.act = self._to_nobody
        for step in () if self._link is None else self._link.break_off():
            step()
        self.when_cut()

    def reconnect(self) -> None:
        """A new connection, with a channel of its own."""
        self._cut -= 1
        if not self._cut:
            before = self.channel
            self._open()
            self._driver.move(before, self.channel)
            for verb in self._verbs:
                verb.act = self._publisher.verb(verb.address)

    def _to_nobody(self, size: int | None = None, expiration: int | None = None) -> int:
        if self._tells:
            self._driver.observer.unsent(self._driver.time)
        return 0

    # Queues without a leader

    def lose(self, queues: Collection[str]) -> None:
        """What is published to them is confirmed only when they are back."""
        self.away += queues

    def find(self, queues: Collection[str]) -> None:
        """They are back; what has waited for them all is confirmed."""
        for queue in queues:
            self.away.remove(queue)
        if not self.away:
            held, self.waiting = self.waiting, {}
            for confirm in held.values():
                if confirm is not None:
                    confirm()

    def note(self, message_id: int, address: Mapping[str, Any]) -> None:
        """A message was published while queues are away."""
        if not set(self.away).isdisjoint(self._reaches(address)):
            self.waiting[message_id] = None
