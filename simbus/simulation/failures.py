"""How modelled handlers fail, and what is done about it: failure probabilities, retries, back-off.

These are descriptions; the draws and the waiting are the driver's. Faults that a test injects into
the world are another matter and do not live here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from shlex import quote
from typing import Literal

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.distributions import LONGEST
from simbus.simulation.grammar import parse
from simbus.simulation.words import unknown
from simbus.units import duration_text, number_text


@dataclass(frozen=True)
class Failure:
    """The probabilities, for each attempt, that a handler fails.

    ``transient``: another attempt may succeed. ``permanent``: the message is rejected at once, without another attempt.
    If dead-lettering brings it back, it meets the same chances again: what is drawn is the attempt, not the message.
    """

    transient: float = 0.0
    permanent: float = 0.0

    def __post_init__(self) -> None:
        units.share(self.transient, "transient")
        units.share(self.permanent, "permanent")
        if self.transient + self.permanent > 1:
            raise UnitError(f"transient {self.transient} and permanent {self.permanent} add up to more than 1; lower one of them")


@dataclass(frozen=True)
class Backoff:
    """How long to wait after a failed attempt before the next one.

    - ``none``: not at all.
    - ``fixed``: ``base`` nanoseconds.
    - ``exponential``: base * factor**(attempt - 1), at most ``limit`` nanoseconds (None: no limit).

    ``jitter`` j (0 to 1) shortens each of them at random, evenly between (1 - j) times and once the delay.
    """

    kind: Literal["exponential", "fixed", "none"] = "none"
    base: int = 0
    factor: float = 2.0
    limit: int | None = None
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("exponential", "fixed", "none"):
            raise UnitError(unknown("back-off", str(self.kind), BACKOFFS))
        if self.kind != "none" and self.base <= 0:
            raise UnitError('base: not a positive time; write for example "1s", or the back-off "none"')
        if units.number(self.factor, "factor") < 1:
            raise UnitError(f"factor: {self.factor!r} would make delays shrink; write 1 or more, for example 2")
        if self.limit is not None and self.limit < self.base:
            raise UnitError(f"limit: {duration_text(self.limit)} is below the first delay, {duration_text(self.base)}; raise it")
        units.share(self.jitter, "jitter")

    def delay(self, attempt: int, u: float) -> int:
        """Nanoseconds to wait after failed attempt number ``attempt`` (from 1); ``u`` is a uniform draw in [0, 1).

        Raises:
            ValueError: when ``attempt`` is below 1.
        """
        if attempt < 1:
            raise ValueError(f"attempts count from 1, not from {attempt}")
        if self.kind == "none":
            return 0
        return round(self._full(attempt) * (1 - self.jitter * u))

    def _full(self, attempt: int) -> float:
        if self.kind == "fixed":
            return self.base
        try:
            delay = self.base * self.factor ** (attempt - 1)
        except OverflowError:
            delay = math.inf
        return min(delay, LONGEST if self.limit is None else self.limit)

    def __str__(self) -> str:
        if self.kind == "none":
            return "none"
        words = [self.kind, duration_text(self.base)]
        if self.kind == "exponential":
            words.append(f"factor={number_text(self.factor)}")
        if self.kind == "exponential" and self.limit is not None:
            words.append(f"limit={duration_text(self.limit)}")
        return " ".join([*words, f"jitter={number_text(self.jitter)}"] if self.jitter else words)


@dataclass(frozen=True)
class Retry:
    """What follows a transient failure.

    - ``in-handler``: the handler waits and tries again while it holds the delivery and its server.
    - ``requeue``: the delivery goes back to its queue after the back-off.

    ``attempts`` counts all attempts, the first included; after the last one the message is rejected. None:
    no end of attempts.
    """

    how: Literal["in-handler", "requeue"] = "requeue"
    attempts: int | None = None
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        if self.how not in ("in-handler", "requeue"):
            raise UnitError(unknown("way to retry", str(self.how), RETRIES))
        if self.attempts is not None:
            units.count(self.attempts, "attempts")

    def __str__(self) -> str:
        attempts = "" if self.attempts is None else f" attempts={self.attempts}"
        return f"{self.how}{attempts} backoff={quote(str(self.backoff))}"


def exponential_backoff(
    base: str | timedelta, factor: float = 2, limit: str | timedelta | None = None, jitter: str | float = 0
) -> Backoff:
    """Delays that grow: ``exponential_backoff("1s", factor=2, limit="30s", jitter="20%")``.

    Raises:
        UnitError: a time, a share or a factor that cannot be.
    """
    return Backoff(
        "exponential",
        units.duration(base, "base"),
        units.number(factor, "factor"),
        None if limit is None else units.duration(limit, "limit"),
        units.share(jitter, "jitter"),
    )


def fixed_backoff(base: str | timedelta, jitter: str | float = 0) -> Backoff:
    """The same delay every time: ``fixed_backoff("1s")``. UnitError when it is not a positive time."""
    return Backoff("fixed", units.duration(base, "base"), jitter=units.share(jitter, "jitter"))


def no_backoff() -> Backoff:
    """The next attempt follows at once."""
    return Backoff()


BACKOFFS: Mapping[str, Callable[..., Backoff]] = {"exponential": exponential_backoff, "fixed": fixed_backoff, "none": no_backoff}


def in_handler(attempts: int | None = None, backoff: object = "none") -> Retry:
    """Retry inside the handler: ``in_handler(attempts=3, backoff="exponential 1s")``.

    Raises:
        UnitError: ``attempts`` is not a whole number from 1.
        ScenarioError: ``backoff`` cannot be read.
    """
    return Retry("in-handler", attempts, parse(backoff, BACKOFFS, "backoff", kind=Backoff))


def requeue(attempts: int | None = None, backoff: object = "none") -> Retry:
    """Retry by giving the message back to its queue: ``requeue(attempts=5)``. Errors as for :func:`in_handler`."""
    return Retry("requeue", attempts, parse(backoff, BACKOFFS, "backoff", kind=Backoff))


RETRIES: Mapping[str, Callable[..., Retry]] = {"in-handler": in_handler, "requeue": requeue}


def parse_failure(spec: object, place: str) -> Failure:
    """A failure from ``0.02`` or ``"2%"`` (transient), ``{transient = 0.01, permanent = "0.1%"}``, a Failure or None (never).

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    if spec is None or isinstance(spec, Failure):
        return spec or Failure()
    shares = spec if isinstance(spec, Mapping) else {"transient": spec}
    for key in shares:
        if key not in ("transient", "permanent"):
            raise ScenarioError(place, unknown("kind of failure", str(key), ("transient", "permanent")))
    try:
        return Failure(**{str(key): units.share(value, str(key)) for key, value in shares.items()})
    except UnitError as error:
        raise ScenarioError(place, str(error)) from None


def parse_retry(spec: object, place: str) -> Retry:
    """A retry from ``{how = "in-handler", attempts = 3, backoff = "exponential 1s"}``, text, a Retry or None.

    The text form is ``"in-handler attempts=3 backoff='exponential 1s'"``; None requeues at once without an end.

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    if spec is None:
        return Retry()
    if isinstance(spec, Mapping) and not set(spec) & set(RETRIES):
        if "how" not in spec:
            raise ScenarioError(place, f"how is missing; write how = one of: {', '.join(RETRIES)}")
        spec = {str(spec["how"]): {key: value for key, value in spec.items() if key != "how"}}
    return parse(spec, RETRIES, place, kind=Retry)
