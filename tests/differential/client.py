"""One client of both brokers, at the level of frames: it sends what it is told to and notes every frame that comes.

A ``Client`` is one connection over a ``Line``, which is a real socket or a session in memory; it decides nothing except
what the protocol asks of every client: it answers channel.close and connection.close. What a broker says is an event, a
dict: ``{"on": "1.2", "method": "basic.deliver", ...}`` with all the method's arguments and the content's properties and
body. The end of the socket is ``{"on": "1.0", "end": true}``.
"""

from typing import Protocol

from tests.differential.octets import (
    BODY,
    BY_NAME,
    HEADER,
    METHOD,
    PROTOCOL_HEADER,
    WITH_CONTENT,
    Json,
    frames_of,
    header_of,
    method_of,
    take_frames,
)

CAPABILITIES = (
    *("publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked"),
    *("authentication_failure_close",),
)
BARRIER, PASSED = "access.request", "access.request-ok"
ASIDE = 0.01  # seconds to look for what nobody asked for
PATIENCE = 10.0  # seconds for an answer that must come
ANSWERED = 0.5  # seconds for one that may not come


class Unanswered(Exception):
    """A broker did not answer what it always answers."""


class Line(Protocol):
    """The way to a broker and back."""

    ended: bool

    def send(self, octets: bytes) -> None:
        """Send; harmless when the other end is gone."""

    def receive(self, seconds: float) -> bytes:
        """What has come, waiting for something at most so long; nothing when there is nothing, or at the end."""

    def close(self) -> None:
        """Drop the line without a word."""


class Client:
    """One connection.

    Args:
        number: which of the program's connections it is.
        line: the way to the broker.

    Attributes:
        events: what was heard and not taken yet.
        channels: those that are open.
        ended: whether the connection is over.
        blocked: whether the broker, which is short of resources, takes nothing in.
        is_told_of_blocks: whether it hears of that.
    """

    def __init__(self, number: int, line: Line) -> None:
        self.number, self.events, self.ended = number, list[Json](), False
        self.channels: set[int] = set()
        self.blocked = False
        self.is_told_of_blocks = True
        self._line = line
        self._unread = b""
        self._contents: dict[int, tuple[Json, int]] = {}
        self._passed = 0
        self._closing: set[int] = set()

    def open(self, vhost: str, user: str = "guest", password: str = "guest", without: tuple[str, ...] = ()) -> "Client":  # noqa: S107 - everyone's
        """Shake hands; a refusal stays among the events."""
        self.is_told_of_blocks = "connection.blocked" not in without
        capabilities = {name: name not in without for name in CAPABILITIES}
        self._line.send(PROTOCOL_HEADER)
        login = {"mechanism": "PLAIN", "response": f"\0{user}\0{password}", "locale": "en_US"}
        said = {"capabilities": capabilities}
        self._after("connection.start", {"method": "connection.start-ok", "client_properties": said, **login})
        self._after("connection.tune", {"method": "connection.tune-ok", "channel_max": 2047, "frame_max": 131_072})
        self.send(0, {"method": "connection.open", "virtual_host": vhost})
        self.await_any(("connection.open-ok",))
        return self

    def _after(self, awaited: str, then: Json) -> None:
        if self.await_any((awaited,)):
            self.send(0, then)

    def open_channel(self, channel: int) -> None:
        """channel.open, with its answer taken away."""
        self.send(channel, {"method": "channel.open"})
        self.await_any(("channel.open-ok",))

    def send(self, channel: int, *steps: Json) -> None:
        """Send methods in one piece."""
        self._line.send(b"".join(frames_of(step, channel) for step in steps))
        for step in steps:
            if step["method"] == "channel.open":
                self.channels.add(channel)
            elif step["method"] in ("channel.close", "connection.close"):
                self.channels -= {channel} if channel else self.channels
                self._closing.add(channel)

    def drop(self) -> None:
        """Lose the connection."""
        self._line.close()
        self._end()

    # Waiting

    def await_answer(self, channel: int, step: Json) -> None:
        """Wait for a method's answer, and leave it among the events: a commit or a close takes nothing in before its answer."""
        answers, ons = BY_NAME[step["method"]].answers, (f"{self.number}.{channel}", f"{self.number}.0")
        if not answers or step.get("nowait") or step["method"] == "connection.close":
            return
        awaited = (*answers, "channel.close", "connection.close")
        while not self.ended and not any(e.get("method") in awaited and e["on"] in ons for e in self.events):
            if not self.hear(ANSWERED):  # as while the broker is blocked
                return

    def await_any(self, names: tuple[str, ...]) -> bool:
        """Wait for a method of these names and take it away; False when the connection ends instead."""
        while True:
            for at, event in enumerate(self.events):
                if event.get("method") in names:
                    del self.events[at]
                    return True
            if self.ended:
                return False
            if not self.hear(PATIENCE):
                raise Unanswered(f"connection {self.number} waited for {names} and heard {self.events}")

    def send_barriers(self) -> None:
        """Ask every open channel for an answer that comes after all that it has done; there is none while blocked."""
        if self.blocked:
            return
        self._passed = 0
        self._line.send(b"".join(frames_of({"method": BARRIER}, channel) for channel in sorted(self.channels)))

    def await_barriers(self) -> None:
        """Wait until every channel that is still open has passed, and what the client closes is closed."""
        if self.blocked or not self.channels:  # nothing is asked; something may be told
            self.hear(ASIDE)
        while (self._passed < len(self.channels) or self._closing) and not (self.ended or self.blocked):
            if not self.hear(PATIENCE):
                raise Unanswered(f"connection {self.number}: no barrier; heard {self.events}")

    def hear(self, seconds: float) -> bool:
        """Read what has come; whether anything has."""
        if self.ended:
            return False
        octets = self._line.receive(seconds)
        frames, self._unread = take_frames(self._unread + octets)
        for type, channel, payload in frames:
            self._read(type, channel, payload)
        if self._line.ended:
            self._end()
        return bool(octets) or self.ended

    # Reading

    def _read(self, type: int, channel: int, payload: bytes) -> None:
        if type == METHOD:
            self._heard(channel, {"on": f"{self.number}.{channel}", **method_of(payload)})
        elif type == HEADER:
            event, _ = self._contents[channel]
            size, event["properties"] = header_of(payload)
            self._content(channel, event, size)
        elif type == BODY:
            event, left = self._contents[channel]
            event["body"] += payload
            self._content(channel, event, left - len(payload))

    def _content(self, channel: int, event: Json, left: int) -> None:
        self._contents[channel] = event, left
        if left == 0:
            body = event["body"]
            event["body"] = body.decode("utf-8", "surrogateescape") if len(body) < 2000 else {"octets": len(body)}
            self.events.append(event)
            del self._contents[channel]

    def _heard(self, channel: int, event: Json) -> None:
        name = event["method"]
        if name == PASSED:
            self._passed += 1
        elif name in WITH_CONTENT:
            self._contents[channel] = event | {"properties": {}, "body": b""}, 0
        else:
            self.events.append(event)
            self._obey(channel, name)

    def _obey(self, channel: int, name: str) -> None:
        if name == "channel.close":
            self.channels.discard(channel)
            self._line.send(frames_of({"method": "channel.close-ok"}, channel))
        elif name == "channel.close-ok":
            self._closing.discard(channel)
        elif name == "connection.close":
            self._line.send(frames_of({"method": "connection.close-ok"}, 0))
            self._line.close()
            self._end()
        elif name in ("connection.blocked", "connection.unblocked"):
            self.blocked = name == "connection.blocked"
        elif name == "connection.close-ok":
            self._line.close()
            self._end()

    def _end(self) -> None:
        self.ended = True
        self.channels.clear()
