"""Virtual time, and the one walker of it.

A broker is told the time; here is who tells it. A ``VirtualClock`` is the one driver of one broker:
it alone calls ``take_effects``, shows every effect to the observers and hands those of a channel to
whoever is attached to it. It goes from deadline to deadline and lets everyone act at each: jumping
to the target instead would let handlers act too late (a retry through a 10 s delay queue, jumped
to 60 s, loses its third attempt).

Receivers may call the broker's verbs. What follows from that is queued and never recursion: it is
handed out after the receiver has returned. No dialect is named here; nothing here reads a wall clock.
"""

from collections import deque
from collections.abc import Callable, Sequence

from simbus.dialect import Broker
from simbus.effects import Effect
from simbus.errors import HandlerRunning
from simbus.units import format_duration

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other

Observer = Callable[[Sequence[Effect]], None]
Receiver = Callable[[Effect], None]


class VirtualClock:
    """The clock of one broker, which stands still until it is told to run.

    Args:
        broker: no one else may take its effects or advance it.
        observers: called with every take, in order; they only look.
    """

    def __init__(self, broker: Broker, *observers: Observer) -> None:
        self._broker = broker
        self._observers = observers
        self._receivers: dict[int, Receiver] = {}
        self._due: deque[Effect] = deque()
        self._acting = False

    @property
    def now(self) -> int:
        """Nanoseconds of virtual time."""
        return self._broker.now

    @property
    def acting(self) -> bool:
        """Whether a receiver is at work right now."""
        return self._acting

    def attach(self, channel: int, receiver: Receiver) -> None:
        """Hand the effects that concern this channel to ``receiver``, one at a time."""
        self._receivers[channel] = receiver

    def detach(self, channel: int) -> None:
        """Hand out no more of them; what is due already is dropped."""
        self._receivers.pop(channel, None)
        self._due = deque(effect for effect in self._due if _channel_of(effect) != channel)

    def observe(self) -> None:
        """Take what happened and show it to the observers; receivers get theirs when they act."""
        effects = self._broker.take_effects()
        if effects:
            for observer in self._observers:
                observer(effects)
            self._due.extend(effect for effect in effects if _channel_of(effect) in self._receivers)

    def settle(self) -> None:
        """Let receivers act until nothing is left to do at this instant.

        Called by a receiver, it only notes the work. An exception of a receiver leaves at once; the
        rest stays due, and the next call goes on with it.
        """
        self.observe()
        if self._acting:
            return
        self._acting = True
        try:
            while self._due:
                effect = self._due.popleft()
                self._receivers[_channel_of(effect)](effect)
                self.observe()
        finally:
            self._acting = False
            self.observe()  # what a receiver did before it failed has happened too

    def run_until(self, target: int) -> None:
        """Go to ``target``, deadline by deadline, and let receivers act at each.

        Raises:
            ValueError: when ``target`` is in the past.
            HandlerRunning: when a receiver asks for it: it would act while it acts.
        """
        if self._acting:
            raise HandlerRunning("a handler cannot advance the clock; return first, and let the test advance it")
        if target < self.now:
            raise ValueError(f"time cannot run backwards: {format_duration(self.now - target)} into the past")
        self.settle()
        while (deadline := self._broker.next_deadline) is not None and deadline <= target:
            self._broker.advance(deadline)
            self.settle()
        self._broker.advance(target)
        self.settle()


def _channel_of(effect: Effect) -> int:
    """The broker-wide number of the channel that an effect is meant for; 0 for none."""
    channel: int = getattr(effect, "channel", 0)
    return channel
