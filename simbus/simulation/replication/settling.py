"""What a server does with a delivery that is done: acknowledge it by itself, not at all, or together with others.

Which of these a scenario says in its model's ``acknowledgements``; when a delivery is done is known to ``servers``.
"""

from collections.abc import Callable
from typing import NamedTuple

from simbus.dialect import Subscription
from simbus.simulation.model.acknowledgements import Acknowledge
from simbus.simulation.replication.driver import Alarm, Driver


class Verbs(NamedTuple):
    """What a server does with a delivery whose handler is done, by its delivery tag.

    ``flush`` acknowledges what still waits to be, before a consumer ends; ``forget``, after its connection has ended.
    """

    accept: Callable[[int], None]
    reject: Callable[[int], None]
    requeue: Callable[[int], None]
    flush: Callable[[], None]
    forget: Callable[[], None]


def verbs(driver: Driver, subscription: Subscription, mode: Acknowledge) -> Verbs:
    """The verbs of one consumer, for as long as its subscription lasts."""
    if mode.auto:
        return Verbs(_done_already, _done_already, _done_already, _nothing, _nothing)
    if mode.multiple > 1:
        several = Several(driver, subscription, mode)
        return Verbs(several.accept, several.reject, several.requeue, several.flush, several.forget)
    return Verbs(subscription.accept, subscription.reject, subscription.requeue, _nothing, _nothing)


def _done_already(_: int) -> None:
    """The broker has let go of it when it sent it."""


def _nothing() -> None:
    """No acknowledgement waits."""


class Several:
    """Acknowledges several deliveries of one consumer at once.

    With ``multiple`` a broker takes all earlier deliveries as done too, so only those are acknowledged before which none is still
    being handled, or waits to go back to its queue. Delivery tags of a channel count from 1.
    """

    __slots__ = ("_alarm", "_done", "_driver", "_mode", "_next", "_subscription", "_waiting")

    def __init__(self, driver: Driver, subscription: Subscription, mode: Acknowledge) -> None:
        self._driver, self._subscription, self._mode = driver, subscription, mode
        self._alarm = Alarm(driver, self._time_is_up)
        self._next = 1  # the first tag that is neither done nor settled
        self._done: dict[int, bool] = {}  # from there on: True waits for its acknowledgement, False is settled
        self._waiting: list[int] = []  # tags that one acknowledgement can be for

    def accept(self, delivery_tag: int) -> None:
        """Its handler is done with it."""
        self._move_on(delivery_tag, True)
        if len(self._waiting) >= self._mode.multiple:
            self.flush()

    def reject(self, delivery_tag: int) -> None:
        """Settled by itself, at once."""
        self._subscription.reject(delivery_tag)
        self._move_on(delivery_tag, False)

    def requeue(self, delivery_tag: int) -> None:
        """Settled by itself, at once."""
        self._subscription.requeue(delivery_tag)
        self._move_on(delivery_tag, False)

    def flush(self) -> None:
        """Acknowledge what can be."""
        self._alarm.stop()
        if self._waiting:
            self._subscription.accept(self._waiting[-1], multiple=True)
            self._waiting.clear()

    def forget(self) -> None:
        """The broker takes back what waits."""
        self._alarm.stop()
        self._waiting.clear()

    def _move_on(self, delivery_tag: int, waits: bool) -> None:
        self._done[delivery_tag] = waits
        while (waits_too := self._done.pop(self._next, None)) is not None:
            if waits_too:
                if not self._waiting:
                    self._alarm.set(self._mode.within)
                self._waiting.append(self._next)
            self._next += 1

    def _time_is_up(self) -> None:
        self._driver.now()
        self.flush()
        self._driver.react()
