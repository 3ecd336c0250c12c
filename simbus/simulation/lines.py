"""The connections of publishers, which may end and come back.

A line stands between a modelled publisher and the dialect's; without outages there is none. While it is cut, what is
published gets nowhere: the verb answers 0, and no confirm will come. What then follows is the publisher's business.
"""

from collections.abc import Callable, Mapping
from typing import Any

from simbus.dialect import Publisher, Verb
from simbus.simulation.driver import Driver


class _Verb:
    """Publishes where its line leads at the moment."""

    __slots__ = ("act", "address")

    def __init__(self, address: Mapping[str, Any], act: Verb) -> None:
        self.address, self.act = address, act

    def __call__(self, size: int | None = None, expiration: int | None = None) -> int:
        return self.act(size, expiration)


class Line:
    """A publisher of the dialect (:class:`simbus.dialect.Publisher`), connected anew when it was cut.

    Args:
        driver: of the replication; whoever is attached to the channel hears of the new channel too.
        connect: opens a connection.
        tells: whether to tell the observer of what gets nowhere, for a publisher that does not care.
    """

    def __init__(self, driver: Driver, connect: Callable[[], Publisher], *, tells: bool) -> None:
        self._driver, self._connect, self._tells = driver, connect, tells
        self._publisher = connect()
        self._verbs: list[_Verb] = []
        self._cut = 0
        self.channel = self._publisher.channel

    def verb(self, address: Mapping[str, Any]) -> Verb:
        """See :meth:`simbus.dialect.Publisher.verb`."""
        verb = _Verb(address, self._publisher.verb(address))
        self._verbs.append(verb)
        return verb

    def close(self) -> None:
        """See :meth:`simbus.dialect.Publisher.close`."""
        self._publisher.close()

    def disconnect(self) -> None:
        """The connection ends. The caller has told the broker the time, and reacts."""
        self._cut += 1
        if self._cut == 1:
            self._publisher.close()
            for verb in self._verbs:
                verb.act = self._to_nobody

    def reconnect(self) -> None:
        """A new connection, with a channel of its own."""
        self._cut -= 1
        if not self._cut:
            self._publisher = self._connect()
            self._driver.move(self.channel, self._publisher.channel)
            self.channel = self._publisher.channel
            for verb in self._verbs:
                verb.act = self._publisher.verb(verb.address)

    def _to_nobody(self, size: int | None = None, expiration: int | None = None) -> int:
        if self._tells:
            self._driver.observer.unsent(self._driver.env.now)
        return 0
