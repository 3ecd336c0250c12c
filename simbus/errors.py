"""What every room may raise.

Errors that all dialects and all front doors share live here. What only one dialect
says (a reply code, a broker's own wording) lives in that dialect's ``errors`` module.
Nothing here imports another simbus module.
"""


class SimbusError(Exception):
    """The root of everything that simbus raises on purpose."""


class UnitError(SimbusError, ValueError):
    """A duration, rate, size or share that cannot be read; the text names the remedy."""


class ScenarioError(SimbusError, ValueError):
    """A scenario that cannot run as it is written.

    Args:
        place: where it is, in the words of the file: ``consumers.charge.service``.
        problem: what is wrong and how to mend it.
        file: the file's name, when there is one.

    It is one line whatever stands in the names that it repeats: what cannot be printed is escaped.
    """

    def __init__(self, place: str, problem: str, file: str | None = None) -> None:
        self.place, self.problem, self.file = printable(place), printable(problem), file
        super().__init__(": ".join(part for part in (file, self.place, self.problem) if part))

    def __reduce__(self) -> tuple[type["ScenarioError"], tuple[str, str, str | None]]:
        """Errors cross process borders when replications run in parallel."""
        return type(self), (self.place, self.problem, self.file)

    def within(self, file: str) -> "ScenarioError":
        """The same error, with the name of the file that it was found in."""
        return ScenarioError(self.place, self.problem, file)


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
