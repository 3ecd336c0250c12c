"""Heartbeats in both directions, as RabbitMQ 4.0.5 keeps them; on the transport's clock.

AMQP 0-9-1, section 4.2.7: "Heartbeat frames tell the recipient that the sender is still alive." A server
with an agreed interval of h looks every h/2 whether it has sent anything since it looked last, and else
sends a heartbeat; it looks every h whether it has heard anything, and hangs up when it has not for the
second time in a row. So a client that falls silent at once is cut at 3h (observed).
"""


class Heartbeats:
    """What is due, and when; ``heard`` and ``said`` are set by the session, ``said`` for anything but a heartbeat.

    Args:
        interval: nanoseconds that both sides agreed on, more than 0.
        now: when they agreed.
    """

    __slots__ = ("_first", "_interval", "_look_at", "_send_at", "_silent", "heard", "said")

    def __init__(self, interval: int, now: int) -> None:
        self._interval = interval
        self._send_at = now + interval // 2
        self._look_at = now + interval
        self._silent = 0
        self.heard = True
        self.said = False
        self._first = True

    @property
    def next_deadline(self) -> int:
        """When :meth:`advance` wants to be called."""
        return min(self._send_at, self._look_at)

    def advance(self, now: int) -> bool:
        """Whether a heartbeat is to be sent now."""
        if now < self._send_at:
            return False
        self._send_at = now + self._interval // 2
        due = self._first or not self.said  # the first is sent whatever was said before (observed)
        self._first = self.said = False
        return due

    def lost(self, now: int) -> bool:
        """Whether the peer has been silent for too long."""
        if now < self._look_at:
            return False
        self._look_at = now + self._interval
        self._silent = 0 if self.heard else self._silent + 1
        self.heard = False
        return self._silent >= 2

    def pause(self, now: int) -> None:
        """Nothing is read from the peer, so its silence means nothing."""
        self._look_at = now + self._interval
        self._silent, self.heard = 0, True
