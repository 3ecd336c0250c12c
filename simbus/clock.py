"""Virtual time, and the one walker of it.

A broker is told the time; here is who tells it. A ``VirtualClock`` is the one driver of one broker:
it alone calls ``take_effects``, shows every effect to the observers and hands those of a channel to
whoever is attached to it. It goes from deadline to deadline and lets everyone act at each: jumping
to the target instead would let handlers act too late (a retry through a 10 s delay queue, jumped
to 60 s, loses its third attempt).

Two kinds of parties hear of a channel's effects. A *receiver* is a handler: it may call the broker's
verbs, and what follows from that is queued and never recursion. It runs in the thread that calls
``settle``, without the lock, so that it may wait for a client of this very broker. A *listener* is a
client's session: it turns effects into bytes, calls no verb, and hears at once in any thread.

The lock belongs here too: whoever calls a verb of the broker holds it, and observes before letting go.
On the wall clock, verbs are preceded by ``catch_up``, which meets the deadlines that have passed.
No dialect is named here.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, RLock, get_ident
from time import monotonic_ns, time_ns

from simbus.dialect import Broker
from simbus.effects import Effect
from simbus.errors import HandlerRunning
from simbus.units import format_duration

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other

Observer = Callable[[Sequence[Effect]], None]
Receiver = Callable[[Effect], None]


def wall_time() -> Callable[[], int]:
    """The wall clock, in nanoseconds since the epoch, as it goes on from now: setting the machine's time moves it no more."""
    ahead = time_ns() - monotonic_ns()
    return lambda: ahead + monotonic_ns()


class VirtualClock:
    """The clock of one broker, which stands still until it is told to run.

    Args:
        broker: no one else may take its effects or advance it.
        observers: called with every take, in order; they only look.
        wall: where the time comes from when it is not the caller's: a function that answers nanoseconds.

    Attributes:
        lock: held by whoever calls a verb of the broker or looks at several things at once.
        takes: how often something has happened.
    """

    def __init__(self, broker: Broker, *observers: Observer, wall: Callable[[], int] | None = None) -> None:
        self.lock = RLock()
        self.takes = 0
        self._happened = Condition(self.lock)
        self._awaited = 0
        self._broker = broker
        self._observers = list(observers)
        self._wall = wall
        self._receivers: dict[int, Receiver] = {}
        self._listeners: dict[int, Receiver] = {}
        self._due: deque[Effect] = deque()
        self._acting: int | None = None

    @property
    def now(self) -> int:
        """Nanoseconds of virtual time."""
        return self._broker.now

    @property
    def follows_the_wall(self) -> bool:
        """Whether time passes by itself."""
        return self._wall is not None

    @property
    def acting(self) -> bool:
        """Whether a receiver is at work right now in this thread."""
        return self._acting == get_ident()

    def watch(self, observer: Observer) -> None:
        """Show every effect from now on to ``observer``, after all others."""
        self._observers.append(observer)

    def attach(self, channel: int, receiver: Receiver) -> None:
        """Hand the effects that concern this channel to ``receiver``, one at a time."""
        self._receivers[channel] = receiver

    def listen(self, channel: int, listener: Receiver) -> None:
        """Tell ``listener`` of the effects that concern this channel as soon as they are taken."""
        self._listeners[channel] = listener

    def detach(self, channel: int) -> None:
        """Hand out no more of them; what is due already is dropped."""
        self._listeners.pop(channel, None)
        if self._receivers.pop(channel, None) is not None:
            self._due = deque(effect for effect in self._due if _channel_of(effect) != channel)

    def observe(self) -> None:
        """Take what happened: show it to the observers, tell the listeners, and keep what is due to receivers."""
        with self.lock:
            effects = self._broker.take_effects()
            if not effects:
                return
            self._show(effects)
            for effect in effects:
                channel = _channel_of(effect)
                listener = self._listeners.get(channel)
                if listener is not None:
                    listener(effect)
                elif channel in self._receivers:
                    self._due.append(effect)
            if self._awaited:
                self._happened.notify_all()

    def note(self, effect: Effect) -> None:
        """Show the observers what happened beside the broker, such as the end of a client's connection, in its order."""
        with self.lock:
            self.observe()
            self._show([effect])

    def _show(self, effects: Sequence[Effect]) -> None:
        self.takes += 1
        for observer in self._observers:
            observer(effects)

    def wait(self, seconds: float) -> None:
        """Wait until something happens in another thread, or for ``seconds`` of the wall's; not from inside a receiver."""
        with self._happened:
            self._awaited += 1
            self._happened.wait(seconds)
            self._awaited -= 1

    def settle(self) -> None:
        """Let receivers act until nothing is left to do at this instant.

        Called by a receiver, or while another thread's receivers act, it only notes the work. An exception of a
        receiver leaves at once; the rest stays due, and the next call goes on with it.
        """
        with self.lock:
            self.observe()
            if self._acting is not None:
                return
            self._acting = get_ident()
        try:
            while (due := self._next_due()) is not None:
                effect, receiver = due
                receiver(effect)
                self.observe()
        except BaseException:
            with self.lock:
                self._acting = None
                self.observe()  # what a receiver did before it failed has happened too
            raise

    def _next_due(self) -> tuple[Effect, Receiver] | None:
        """What to act upon next; with None this thread acts no more, before another can leave it work that it would not see."""
        with self.lock:
            if not self._due:
                self._acting = None
                return None
            effect = self._due.popleft()
            return effect, self._receivers[_channel_of(effect)]

    def run_until(self, target: int) -> None:
        """Go to ``target``, deadline by deadline, and let receivers act at each.

        Raises:
            ValueError: when ``target`` is in the past.
            HandlerRunning: when a receiver asks for it: it would act while it acts.
        """
        if self.acting:
            raise HandlerRunning("a handler cannot advance the clock; return first, and let the test advance it")
        if target < self.now:
            raise ValueError(f"time cannot run backwards: {format_duration(self.now - target)} into the past")
        self.settle()
        while self._step(target):
            self.settle()

    def _step(self, target: int) -> bool:
        """Advance to the next deadline or to ``target``; False once that is reached."""
        with self.lock:
            if self.now >= target:
                return False
            deadline = self._broker.next_deadline
            self._broker.advance(target if deadline is None else min(deadline, target))
            return True

    def catch_up(self) -> int | None:
        """On the wall clock, meet the deadlines that have passed; nanoseconds until the next one, or None.

        Receivers do not act here: it is called in a server's thread too.
        """
        if self._wall is None:
            return None
        with self.lock:
            now = self._wall()
            while self._step(now):
                self.observe()
            deadline = self._broker.next_deadline
            return None if deadline is None else max(0, deadline - self.now)


def _channel_of(effect: Effect) -> int:
    """The broker-wide number of the channel that an effect is meant for; 0 for none."""
    channel: int = getattr(effect, "channel", 0)
    return channel
