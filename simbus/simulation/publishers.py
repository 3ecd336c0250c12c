"""Modelled publishers: at each instant of its workload one publishes a message.

When that is, is the business of ``workloads``; what the verb does, of the dialect. A publisher is its own calendar entry, used
again and again.
"""

from collections.abc import Callable, Iterator

from simbus.simulation.driver import Driver, Entry


class Publisher(Entry):
    """Publishes at each of its instants.

    Args:
        driver: of the replication.
        epochs: the instants in nanoseconds, non-decreasing.
        publish: the verb; answers the message's id.
    """

    __slots__ = ("_driver", "_epochs", "_publish")

    def __init__(self, driver: Driver, epochs: Iterator[int], publish: Callable[[], int]) -> None:
        super().__init__(self._fire)
        self._driver, self._epochs, self._publish = driver, epochs, publish
        self._enter_next(0)

    def _enter_next(self, now: int) -> None:
        epoch = next(self._epochs, None)
        if epoch is not None:
            self._driver.enter(self, epoch - now)

    def _fire(self, _: Entry) -> None:
        driver = self._driver
        now = driver.now()
        self._publish()
        driver.react()
        self._enter_next(now)
