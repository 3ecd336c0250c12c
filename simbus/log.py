"""What happens in a broker, as lines for a person to read while it happens.

A ``Log`` observes a broker's driver. What a line says is a dialect's table of :class:`Line`; here it gets its time and its
columns. Of one kind no more than ``MOST_LINES`` are shown in a second: from then on, until it calms down, each second ends
with one line that counts the rest. It reads no clock: effects carry the time.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, NamedTuple

from simbus.effects import Effect
from simbus.errors import printable
from simbus.units import MILLISECOND, SECOND

MOST_LINES = 20  # of one kind in a second
_GROUPS_SHOWN = 3
_WORD = 16  # columns

_COLOURS = {"good": "32", "bad": "31", "odd": "33", "plain": "36"}
_DIM, _RESET = "\x1b[2m", "\x1b[0m"


class Word(NamedTuple):
    """What happened, in one word; its tone is good, bad, odd, plain or, for the daily round of messages, none."""

    text: str
    tone: str = ""


class Line(NamedTuple):
    """How a log shows effects of one type.

    ``word`` may answer None: this one is not worth a line. ``text`` says the rest, and ``group`` what many of them share,
    such as ``to shop/order.placed``. What is ``essential`` is shown in a quiet log too.
    """

    word: Callable[[Any], Word | None]
    text: Callable[[Any], str]
    group: Callable[[Any], str]
    essential: bool = False


class Log:
    """Lines about effects.

    Args:
        write: takes whole lines.
        lines: by type of effect; those of other types are not shown.
        quiet: show what is essential only.
        colour: for a terminal.

    Attributes:
        totals: how often each word was due, shown or not.
    """

    def __init__(
        self, write: Callable[[str], object], lines: Mapping[type, Line], *, quiet: bool = False, colour: bool = False
    ) -> None:
        self.totals: Counter[str] = Counter()
        self._write, self._lines, self._quiet, self._colour = write, lines, quiet, colour
        self._lock = Lock()  # effects come from the server's thread, the end of a second from another
        self._second = 0
        self._due: Counter[Word] = Counter()  # in this second, by word
        self._busy: frozenset[Word] = frozenset()  # the words of which too much was due in the last second
        self._left_out: dict[Word, Counter[str]] = {}  # by word and group
        self._out: list[str] = []

    def observe(self, effects: Sequence[Effect]) -> None:
        """Show what happened."""
        with self._lock:
            for effect in effects:
                line = self._lines.get(type(effect))
                if line is not None:
                    self._take(line, effect)
            self._flush()

    def tick(self, now: int) -> None:
        """The time, in nanoseconds since the epoch: a second may be over without anything that happens."""
        with self._lock:
            self._turn(now // SECOND)
            self._flush()

    def _take(self, line: Line, effect: Effect) -> None:
        word = line.word(effect)
        if word is None:
            return
        self.totals[word.text] += 1
        if self._quiet and not line.essential:
            return
        self._turn(effect.at // SECOND)
        self._due[word] += 1
        if self._due[word] <= MOST_LINES and word not in self._busy:
            self._say(effect.at, word, line.text(effect))
        else:
            self._left_out.setdefault(word, Counter())[line.group(effect)] += 1

    def _turn(self, second: int) -> None:
        """Say at the end of a second what was left out in it."""
        if second <= self._second:
            return
        words = list(self.totals)  # in the order in which they first came, so that every second's lines have the same order
        for word in sorted(self._left_out, key=lambda word: words.index(word.text)):
            text = _summary(self._left_out[word], all_of_them=word in self._busy)
            self._say((self._second + 1) * SECOND, word, text)
        too_much = frozenset(word for word, due in self._due.items() if due > MOST_LINES)
        self._busy = too_much if second == self._second + 1 else frozenset()
        self._second = second
        self._due.clear()
        self._left_out.clear()

    def _say(self, at: int, word: Word, text: str) -> None:
        seconds, rest = divmod(at, SECOND)
        time = f"{datetime.fromtimestamp(seconds).astimezone():%H:%M:%S}.{rest // MILLISECOND:03}"
        first, last = f"{word.text:<{_WORD}}", printable(text)
        if self._colour:
            time, first = f"{_DIM}{time}{_RESET}", f"\x1b[{_COLOURS.get(word.tone, '0')}m{first}{_RESET}"
        self._out.append(f"{time}  {first}{last}\n")

    def _flush(self) -> None:
        if self._out:
            self._write("".join(self._out))
            self._out.clear()


def _summary(groups: Counter[str], *, all_of_them: bool) -> str:
    """``… 12,345 more to shop/order.placed in the last second``."""
    total = f"… {groups.total():,}" + ("" if all_of_them else " more")
    if len(groups) == 1:
        return f"{total} {next(iter(groups))} in the last second"
    shown = groups.most_common(_GROUPS_SHOWN)
    others = groups.total() - sum(count for _, count in shown)
    parts = [f"{count:,} {group}" for group, count in shown] + ([f"{others:,} others"] if others else [])
    return f"{total} in the last second: {', '.join(parts)}"
