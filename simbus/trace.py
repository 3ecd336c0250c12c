"""What happened, kept for a person to read: the ring of effects, and timelines drawn from it.

The trace keeps the latest effects of a broker within two limits (how many, and how many bytes of
bodies they hold) and counts what fell out. A timeline shows the effects of each message on the
virtual clock, as text; what an effect says is its own ``describe()``. Nothing here measures:
statistics belong to the analysis.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from simbus.effects import Effect
from simbus.units import DAY, HOUR, MINUTE, SECOND, format_duration

MOST_EFFECTS = 100_000
MOST_BODY_BYTES = 64_000_000

# How much a timeline shows before it leaves out the middle: (the first, the last).
_EFFECTS_SHOWN = (12, 8)
_MESSAGES_SHOWN = (8, 12)
_BODY_SHOWN = 60


class Trace:
    """A ring of effects.

    Args:
        origin: the time, in nanoseconds, from which timelines count.
        most_effects: older ones fall out.
        most_body_bytes: of the bodies that the kept effects hold, each counted once.
    """

    def __init__(self, origin: int = 0, *, most_effects: int = MOST_EFFECTS, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        self.origin = origin
        self.dropped = 0
        self._most_effects = most_effects
        self._most_body_bytes = most_body_bytes
        self._effects: deque[Effect] = deque()
        self._holders: dict[int, int] = {}  # id of a body: the number of kept effects that hold it
        self._body_bytes = 0

    def __len__(self) -> int:
        return len(self._effects)

    def __iter__(self) -> Iterator[Effect]:
        return iter(self._effects)

    def record(self, effects: Iterable[Effect]) -> None:
        """Keep these, and let the oldest fall out when that is too much."""
        for effect in effects:
            self._effects.append(effect)
            message = getattr(effect, "message", None)
            if message is not None and message.body:
                self._hold(message.body)
        while len(self._effects) > self._most_effects or self._body_bytes > self._most_body_bytes:
            self._release(_body_of(self._effects.popleft()))
            self.dropped += 1

    def clear(self) -> None:
        """Forget everything, as if it had not happened."""
        self._effects.clear()
        self._holders.clear()
        self.dropped = self._body_bytes = 0

    def timeline(self, *message_ids: int) -> str:
        """The histories of these messages, or of all, grouped by message, in the order of publishing."""
        groups: dict[int, list[Effect]] = {}
        for effect in self._effects:
            if not message_ids or effect.message_id in message_ids:
                groups.setdefault(effect.message_id, []).append(effect)
        texts = [self._group(number, effects) for number, effects in sorted(groups.items())]
        return "\n\n".join([*self._what_fell_out(), *_shortened(texts, _MESSAGES_SHOWN, "messages")]) or "nothing has happened"

    def _what_fell_out(self) -> list[str]:
        return [f"{self.dropped:,} older effects fell out of the trace"] if self.dropped else []

    def _group(self, message_id: int, effects: Sequence[Effect]) -> str:
        labels = ["" if i and effects[i - 1].at == effect.at else self._label(effect) for i, effect in enumerate(effects)]
        width = max(map(len, labels))
        rows = [f"  {label:>{width}}  {effect.describe()}" for label, effect in zip(labels, effects, strict=True)]
        return "\n".join([_title(message_id, effects), *_shortened(rows, _EFFECTS_SHOWN, "effects", indent=width + 4)])

    def _label(self, effect: Effect) -> str:
        return f"+{elapsed(effect.at - self.origin)}"

    def _hold(self, body: bytes) -> None:
        holders = self._holders.get(id(body), 0)
        self._holders[id(body)] = holders + 1
        if not holders:
            self._body_bytes += len(body)

    def _release(self, body: bytes) -> None:
        if body:
            self._holders[id(body)] -= 1
            if not self._holders[id(body)]:
                del self._holders[id(body)]
                self._body_bytes -= len(body)


def elapsed(nanoseconds: int) -> str:
    """A time since the beginning, unit by unit, so that two times that differ look different: ``1 h 10 s``."""
    parts = []
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        whole, nanoseconds = divmod(nanoseconds, unit)
        if whole:
            parts.append(f"{whole} {name}")
    if nanoseconds >= SECOND:
        parts.append(f"{nanoseconds / SECOND:.6f}".rstrip("0").rstrip(".") + " s")
    elif nanoseconds or not parts:
        parts.append(format_duration(nanoseconds))
    return " ".join(parts)


def _title(message_id: int, effects: Sequence[Effect]) -> str:
    if not message_id:
        return "the broker"
    message = next((found for effect in effects if (found := _message_of(effect)) is not None), None)
    return f"message {message_id}" + ("" if message is None else f" to {message.address}: {_preview(message.body)}")


def _preview(body: Any) -> str:
    """The beginning of a body, as text when it is one."""
    try:
        text = body.decode()
    except (AttributeError, UnicodeDecodeError):
        text = repr(body)
    text = " ".join(text.split())
    if not text.isprintable():
        text = repr(body)
    return text if len(text) <= _BODY_SHOWN else f"{text[:_BODY_SHOWN]}… ({len(body):,} bytes)"


def _message_of(effect: Effect) -> Any:
    return getattr(effect, "message", None)


def _body_of(effect: Effect) -> bytes:
    message = _message_of(effect)
    return b"" if message is None else message.body


def _shortened(texts: Sequence[str], shown: tuple[int, int], what: str, *, indent: int = 0) -> list[str]:
    """The first and the last, with a count of what was left out in between."""
    first, last = shown
    left_out = len(texts) - first - last
    if left_out <= 1:
        return list(texts)
    return [*texts[:first], f"{' ' * indent}… {left_out:,} more {what} …", *texts[-last:]]
