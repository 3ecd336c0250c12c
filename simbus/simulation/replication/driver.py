"""The SimPy driver: modelled publishers and consumers round one real broker, on SimPy's clock.

The driver is the broker's only driver: it tells it the time, takes its effects, shows them to the recorder and hands deliveries
and confirms to the modelled parties, which live in ``publishers`` and ``consumers``. SimPy's calendar is the walker of time; the
broker's next deadline is an entry in it.

There is no process and no Timeout per message: publishers and servers are themselves slotted
calendar entries that are used again and again (8.8 against 1 times the speed of a process per
customer, measured on M/M/1). A wake-up for the broker is armed only when its deadline is earlier than
every wake-up that is armed already, because SimPy cannot cancel: re-arming at every change left 190,000 entries.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import NORMAL

from simbus.analysis.recorder import Recorder
from simbus.dialect import Broker
from simbus.effects import ChannelTimedOut, Confirmed, Delivered, Effect
from simbus.units import NEVER

LAST = NORMAL + 1
"""The priority of what is to see all else of its instant."""


_NO_MORE: list[Effect] = []


class Receiver:
    """Who hears of one channel: a modelled consumer of its deliveries, a modelled publisher of its confirms."""

    __slots__ = ()

    def receive(self, effect: Any) -> None:
        """A delivery or a confirm, at the instant of the broker's verb or wake-up that caused it."""
        raise NotImplementedError


class _Nobody(Receiver):
    """In place of a receiver that has hung up."""

    def receive(self, effect: Any) -> None:
        """It comes too late."""


NOBODY = _Nobody()


def _idle() -> None:
    """What a cancelled entry does."""


class Entry:
    """A calendar entry that calls back, or whose kind says what it does, and can be entered again."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None] = _idle) -> None:
        self.callback = callback

    def fire(self) -> None:
        """Its time has come."""
        self.callback()

    def cancel(self) -> None:
        """Do nothing when its time comes; it may not be entered again. The calendar keeps it until then."""
        self.callback = _idle


class Calendar(simpy.Environment):
    """SimPy's calendar, by the driver's clock; it also tells how many entries are in it."""

    def __init__(self, driver: "Driver") -> None:
        self._driver = driver
        super().__init__()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def _now(self) -> int:
        return self._driver.time

    @_now.setter
    def _now(self, time: int) -> None:
        self._driver.time = time


class Driver:
    """One broker on one calendar.

    Args:
        broker: as built by the dialect, with nothing published yet.
        observer: sees every effect, in order.

    Attributes:
        time: nanoseconds, as the calendar's.
    """

    def __init__(self, broker: Broker, observer: Recorder) -> None:
        self.broker = broker
        self.observer = observer
        self.time = 0
        env: Any = Calendar(self)  # Any: SimPy types its clock as a float and its entries as Events; ours are neither
        self.env = env
        self._queue: list[tuple[int, int, int, Any]] = env._queue  # noqa: SLF001 - the calendar is ours
        self._next_number: Callable[[], int] = self.env._eid.__next__  # noqa: SLF001
        self._receivers: dict[int, Receiver] = {}
        self._attached: dict[int, Receiver] = {}
        self._routes: dict[int, Callable[[Receiver], Receiver]] = {}
        self._ends: dict[int, Callable[[], None]] = {}
        self._due = False  # whether time alone may have caused something
        self._armed: list[int] = []  # when wake-ups will come, the next one last
        self._originals: dict[int, int] = {}  # of messages that were published again
        self._until: int | None = None
        self.standing = 0  # entries of those who look again and again, and give nobody else anything to do

    def enter(self, entry: Entry, delay: int, priority: int = NORMAL) -> None:
        """Put an entry into the calendar, ``delay`` nanoseconds ahead; of one instant the lowest ``priority`` comes first."""
        heappush(self._queue, (self.time + delay, priority, self._next_number(), entry))  # as env.schedule

    def is_again(self, message_id: int, earlier: int) -> None:
        """A message is an earlier one, published again: to whoever remembers messages they are the same."""
        self._originals[message_id] = self.key(earlier)

    def key(self, message_id: int) -> int:
        """What tells a message from all others, also when it was published again."""
        return self._originals.get(message_id, message_id)

    @property
    def quiet(self) -> bool:
        """Whether nothing is left to happen in a run that ends by itself, except that someone looks again."""
        return self._until is None and len(self.env) <= self.standing

    def route(self, channel: int, through: Callable[[Receiver], Receiver]) -> None:
        """Who will be attached to a channel is behind something; ``through`` makes it of them."""
        self._routes[channel] = through

    def attach(self, channel: int, receiver: Receiver, ended: Callable[[], None] | None = None) -> None:
        """Hand what the broker sends on a channel to ``receiver``, and call ``ended`` when the broker closes it."""
        through = self._routes.get(channel)
        if ended is not None:
            self._ends[channel] = ended
        self._attached[channel] = receiver
        self._receivers[channel] = receiver if through is None else through(receiver)

    def move(self, channel: int, to: int) -> None:
        """Whoever heard of ``channel``, which is closed, hears of another one in its place."""
        if channel in self._attached:
            self.attach(to, self._attached[channel])
            self.detach(channel)

    def detach(self, channel: int) -> None:
        """A channel is closed at this end: what may still come on it nobody hears."""
        self._receivers[channel] = NOBODY
        self._attached.pop(channel, None)
        self._routes.pop(channel, None)
        self._ends.pop(channel, None)

    def now(self) -> int:
        """Tell the broker the calendar's time, and answer it."""
        if self.broker.advance(self.time):
            self._due = True
        return self.time

    def react(self) -> None:
        """Take what the last verb caused: record it, hand out deliveries and confirms, arm the wake-up."""
        broker = self.broker
        effects = broker.take_effects()
        while effects:
            later = self._from_next_end(effects) if self._due else _NO_MORE
            self.observer.take(effects)
            for effect in effects:
                if isinstance(effect, Delivered) or isinstance(effect, Confirmed):  # noqa: SIM101 - a tuple is slower, compiled
                    self._receivers[effect.channel].receive(effect)
            effects = later
        deadline = broker.next_deadline
        if deadline is not None and (not self._armed or deadline < self._armed[-1]):
            self._armed.append(deadline)
            self.enter(Entry(self._wake), deadline - self.time)

    def _from_next_end(self, effects: list[Effect]) -> list[Effect]:
        """Cut effects off before the next channel that the broker has closed, and answer with the rest.

        Whose channel they begin with hears of it before what comes of that is seen.
        """
        first = effects[0]
        if isinstance(first, ChannelTimedOut) and first.channel in self._ends:
            self._ends[first.channel]()
        for place in range(1, len(effects)):
            if isinstance(effects[place], ChannelTimedOut):
                later = effects[place:]
                del effects[place:]
                return later
        self._due = False
        return []

    def _wake(self) -> None:
        self._armed.pop()
        self.now()
        self.react()

    def run(self, until: int | None) -> None:
        """Run the calendar to ``until`` nanoseconds, or (None) until nothing is left to happen."""
        self._until = until
        self.react()  # what setting up has caused
        self._walk(NEVER if until is None else until)
        if until is not None:
            self.time = until  # as env.run leaves it

    def _walk(self, until: int) -> None:
        """As ``env.run``, whose steps are a call each: with them written out a run takes a twelfth less."""
        queue, pop = self._queue, heappop
        while queue and queue[0][0] < until:
            self.time, _, _, entry = pop(queue)
            if isinstance(entry, Entry):
                entry.fire()
            else:
                _process(entry)


def _process(event: Any) -> None:
    """As ``env.step``, of an event of SimPy's: there are some where a user's code is."""
    callbacks, event.callbacks = event.callbacks, None
    for callback in callbacks:
        callback(event)
    if not event._ok and not hasattr(event, "_defused"):  # noqa: SLF001
        raise event._value  # noqa: SLF001 - of an event that failed, and that nobody looked after


class Alarm(Entry):
    """Rings once at the end of the instant for which it is set, unless it is stopped or set for a later one before.

    SimPy cannot cancel, so an entry that comes too early is entered again: there is never more than one in the calendar.

    Args:
        driver: of the replication.
        ring: what is to be done then.
    """

    __slots__ = ("_driver", "_due", "_entered", "_ring")

    def __init__(self, driver: Driver, ring: Callable[[], None]) -> None:
        super().__init__()
        self._driver, self._ring = driver, ring
        self._due: int | None = None
        self._entered = False

    def set(self, delay: int) -> None:
        """Ring ``delay`` nanoseconds ahead, which is not before the instant for which it was set last."""
        self._due = self._driver.time + delay
        if not self._entered:
            self._entered = True
            self._driver.enter(self, delay, LAST)

    def stop(self) -> None:
        """Do not ring."""
        self._due = None

    def fire(self) -> None:
        """Ring, unless it is too early."""
        self._entered = False
        if self._due is None:
            return
        left = self._due - self._driver.time
        if left > 0:
            self.set(left)
        else:
            self._due = None
            self._ring()
