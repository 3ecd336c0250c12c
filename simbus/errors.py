"""What every room may raise.

Errors that all dialects and all front doors share live here. What only one dialect
says (a reply code, a broker's own wording) lives in that dialect's ``errors`` module.
Nothing here imports another simbus module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import combining, east_asian_width


class SimbusError(Exception):
    """The root of everything that simbus raises on purpose."""


class UnitError(SimbusError, ValueError):
    """A duration, rate, size or share that cannot be read; the text names the remedy."""


@dataclass(frozen=True)
class Spot:
    """Where in a text something is wrong: line and column, both from 1, how many letters from there, and the whole line."""

    line: int
    column: int
    width: int
    text: str

    def excerpt(self, most: int = 78) -> str:
        """The line with its number, and carets below what is wrong: two lines of ``most`` letters at most."""
        lead = f"{self.line:>5} | "
        room = most - len(lead)
        start = max(0, self.column - 1 - room // 2) if self.column + self.width > room else 0
        shown = "".join(letter if letter.isprintable() else " " for letter in self.text[start : start + room])
        before, marked = shown[: self.column - 1 - start], shown[self.column - 1 - start :][: self.width]
        return f"{lead}{shown}\n{'| ':>{len(lead)}}{' ' * _columns(before)}{'^' * max(1, _columns(marked))}"


def _columns(text: str) -> int:
    """How wide a text is in a terminal, where some letters of Asia take two columns and accents none."""
    wide = sum(east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(combining(letter) > 0 for letter in text)


class ScenarioError(SimbusError, ValueError):
    """A scenario that cannot run as it is written.

    Args:
        place: where it is, in the words of the file: ``consumers.charge.service``.
        problem: what is wrong and how to mend it.
        file: the file's name, when there is one.
        spot: where in the file, when that is known.

    It is one line whatever stands in the names that it repeats: what cannot be printed is escaped. Where a reader found more
    mistakes than this one, ``mistakes`` are all of them; a traceback shows them too.
    """

    def __init__(self, place: str, problem: str, file: str | None = None, spot: Spot | None = None) -> None:
        self.place, self.problem, self.file, self.spot = printable(place), printable(problem), file, spot
        self._others: tuple[ScenarioError, ...] = ()
        where = f"{file}:{spot.line}:{spot.column}" if file and spot else file
        super().__init__(": ".join(part for part in (where, self.place, self.problem) if part))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process borders when replications run in parallel."""
        return type(self), (self.place, self.problem, self.file, self.spot), {"_others": self._others}

    def within(self, file: str) -> "ScenarioError":
        """The same error, with the name of the file that it was found in."""
        return ScenarioError(self.place, self.problem, file, self.spot)

    @property
    def mistakes(self) -> tuple["ScenarioError", ...]:
        """This one and all others that were found with it, each without others."""
        return (self, *self._others)

    @staticmethod
    def of(mistakes: Sequence["ScenarioError"]) -> "ScenarioError":
        """The first of several mistakes, which knows the others."""
        first, *others = mistakes
        error = ScenarioError(first.place, first.problem, first.file, first.spot)
        error._others = tuple(others)
        for mistake in mistakes:
            shown = [str(mistake)] if mistake is not first else []
            shown += [mistake.spot.excerpt()] if mistake.spot else []
            if shown:
                error.add_note("\n".join(shown))
        return error


class MissingExtra(SimbusError, ImportError):
    """A front door needs libraries of an extra that is not installed."""

    def __init__(self, door: str, extra: str, library: str | None) -> None:
        super().__init__(f"{door} needs {library or 'a library'}, which is not installed: pip install 'simbus[{extra}]'")


class BrokerError(SimbusError):
    """A broker refused a verb; each dialect derives its own errors from this one."""


class Livelock(SimbusError):
    """One message was delivered too often at one instant of virtual time."""


class HandlerFailed(SimbusError):
    """A handler raised exceptions that the test neither named in ``raises=`` nor read."""


class HandlerRunning(SimbusError, RuntimeError):
    """What was asked for cannot be done from inside a handler."""


class NotIdle(SimbusError, AssertionError):
    """Something was still going on when the time to wait was over; the text says what, where and whose."""


class NoConsumer(SimbusError, AssertionError):
    """Nobody had begun to consume a queue when the time to wait was over."""


def printable(text: str) -> str:
    """A text with what cannot be printed escaped, so that it is one line and moves no cursor."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
