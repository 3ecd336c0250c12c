"""Who of a group of consumers is on duty: shifts, and autoscaling by the state of the queue.

A consumer begins by subscribing and ends by cancelling: it finishes what it holds, and then its connection closes. Whoever came
last goes first. Rules are described in ``practices``; each controller is one calendar entry.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from itertools import cycle

from simbus.dialect import Levels
from simbus.simulation.model.practices import Autoscale, Shifts
from simbus.simulation.replication.consumers import Consumer
from simbus.simulation.replication.driver import Driver, Entry
from simbus.units import SECOND


class Staff:
    """The consumers of one group.

    Args:
        driver: of the replication.
        begin: makes the consumer of that number, from 1; numbers are not used again.

    Attributes:
        on_duty: who is, in the order of their coming.
        startup: nanoseconds from being called until a consumer consumes.
    """

    def __init__(self, driver: Driver, begin: Callable[[int], Consumer]) -> None:
        self._driver, self._begin = driver, begin
        self.startup = 0
        self.on_duty: list[Consumer] = []
        self._coming: list[Entry] = []
        self._number = 0

    @property
    def wanted(self) -> int:
        """How many are on duty, or will be."""
        return len(self.on_duty) + len(self._coming)

    def begin(self, count: int) -> None:
        """So many more, at once; the broker has been told the time, and its effects are taken by the caller."""
        for _ in range(count):
            self._number += 1
            self.on_duty.append(self._begin(self._number))

    def change(self, wanted: int) -> None:
        """Call or dismiss until so many are wanted; as :meth:`begin`."""
        for _ in range(wanted - self.wanted):
            self._call()
        for _ in range(self.wanted - wanted):
            if self._coming:
                self._coming.pop()
            else:
                self.on_duty.pop().stop()

    def _call(self) -> None:
        if self.startup:
            entry = Entry(lambda: self._arrive(entry))
            self._coming.append(entry)
            self._driver.enter(entry, self.startup)
        else:
            self.begin(1)

    def _arrive(self, entry: Entry) -> None:
        if entry in self._coming:  # it may have been told to stay away
            self._coming.remove(entry)
            self._driver.now()
            self.begin(1)
            self._driver.react()


class _Controller(Entry, ABC):
    """Looks again and again, as long as there is anything to look at."""

    __slots__ = ("_driver", "_levels", "_staff")

    def __init__(self, driver: Driver, staff: Staff, levels: Callable[[], Levels]) -> None:
        super().__init__()
        self._driver, self._staff, self._levels = driver, staff, levels

    def _wait(self, delay: int) -> None:
        self._driver.standing += 1
        self._driver.enter(self, delay)

    def fire(self) -> None:
        """Look."""
        driver = self._driver
        driver.standing -= 1
        now = driver.now()
        if not driver.quiet or self._levels().ready:
            self._decide(now)
            driver.react()

    @abstractmethod
    def _decide(self, now: int) -> None:
        """Change the staff if need be, and wait."""


class Roster(_Controller):
    """Carries out shifts."""

    __slots__ = ("_steps",)

    def __init__(self, driver: Driver, staff: Staff, levels: Callable[[], Levels], shifts: Shifts) -> None:
        super().__init__(driver, staff, levels)
        self._steps = cycle(shifts.steps)
        self._decide(0)

    def _decide(self, now: int) -> None:
        length, count = next(self._steps)
        self._staff.change(count)
        self._wait(length)


class Autoscaler(_Controller):
    """Carries out a rule: looks, and has at least as many consumers as any look of the cooldown wanted."""

    __slots__ = ("_acked", "_rule", "_wanted")

    def __init__(self, driver: Driver, staff: Staff, levels: Callable[[], Levels], rule: Autoscale) -> None:
        super().__init__(driver, staff, levels)
        self._rule, self._acked = rule, 0
        self._wanted: deque[tuple[int, int]] = deque()  # times and numbers, these falling: what may still hold back
        staff.startup = rule.startup
        staff.begin(rule.least)
        self._wait(rule.every)

    def _decide(self, now: int) -> None:
        levels, rule = self._levels(), self._rule
        rate = (levels.acked - self._acked) * SECOND / rule.every
        self._acked = levels.acked
        wanted = rule.wanted(self._staff.wanted, levels.ready, levels.unacked, rate)
        self._staff.change(max(wanted, min(self._staff.wanted, self._most_lately(now, wanted))))
        self._wait(rule.every)

    def _most_lately(self, now: int, wanted: int) -> int:
        """The most that was wanted within the cooldown."""
        while self._wanted and self._wanted[-1][1] <= wanted:
            self._wanted.pop()
        self._wanted.append((now, wanted))
        while self._wanted[0][0] <= now - self._rule.cooldown and len(self._wanted) > 1:
            self._wanted.popleft()
        return self._wanted[0][1]
