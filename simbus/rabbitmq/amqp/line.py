"""The way from a session to its client: what waits to be sent, and what faults have done to it.

    open --stall--> stalled --its time, or release--> open
    open --mute--> mute          open --cut--> cut

A stalled line says and serves nothing for a while, a mute one says nothing ever again, and of one that was cut only
what came before is still sent. A line without faults is open, and then it is a list. It knows no methods.
"""

from collections.abc import Callable


class Line:
    """What one session has to say.

    Attributes:
        out: octets in their order; whoever has something to say appends it.
        was_cut: the transport is to be cut, and what it has not sent yet is lost.
        stalled: nothing is to be served either.
    """

    __slots__ = ("_dead", "_kept", "_then", "_until", "_wait", "out", "stalled", "was_cut")

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.stalled = self.was_cut = self._dead = False
        self._kept: int | None = None  # how many of ``out`` may be sent; None: all
        self._wait: int | None = None  # how long to stall, until someone says what time it is
        self._until: int | None = None
        self._then: Callable[[], None] | None = None

    def take(self) -> bytes:
        """What may be sent now, which is then forgotten here."""
        if self._kept is None:
            data = b"".join(self.out)
            self.out.clear()
            return data
        data = b"".join(self.out[: self._kept])
        del self.out[: None if self._dead else self._kept]  # a line that never speaks again keeps nothing
        self._kept = 0
        return data

    def mute(self) -> None:
        """Say nothing from here on."""
        self._hold()
        self._dead = True

    def cut(self) -> None:
        """Say nothing from here on, and reset the transport."""
        self.mute()
        self.was_cut, self.stalled = True, False

    def stall(self, nanoseconds: int | None, then: Callable[[], None] | None = None) -> None:
        """Serve and say nothing for a time, or until :meth:`release`; afterwards ``then`` comes first."""
        self._hold()
        if nanoseconds is not None or not self.stalled:  # else it waits already, and longer
            self._wait, self._until = nanoseconds, None
        self.stalled, self._then = True, then or self._then

    def release(self, *, early: bool = False) -> None:
        """End a stall that has no end of its own, or any, the next time that anyone tells the time."""
        if early or (self._until is None and self._wait is None):
            self._wait = 0

    def deadline(self, now: int) -> int | None:
        """When a stalled line wants to know the time; None for one that waits to be released."""
        return self._until if self._wait is None else now

    def goes_on(self, now: int) -> bool:
        """Whether a stalled line goes on at this time, which it does then."""
        if self._wait is not None:
            self._until, self._wait = now + self._wait, None
        if self._until is None or now < self._until:
            return False
        self.stalled, self._until = False, None
        if not self._dead:
            self._kept = None
        return True

    def take_then(self) -> Callable[[], None] | None:
        """What was to come first, once."""
        then, self._then = self._then, None
        return then

    def _hold(self) -> None:
        if self._kept is None:
            self._kept = len(self.out)
