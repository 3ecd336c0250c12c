"""How modelled handlers fail, and what is done about it: failure probabilities, retries, back-off.

These are descriptions; the draws and the waiting are the driver's. Faults that a test injects into
the world are another matter and do not live here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from shlex import quote
from typing import Any, Literal

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.distributions import LONGEST
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.words import unknown
from simbus.units import MILLISECOND, duration_text, number_text

_MOST_DELAYS = 32  # delay queues of one group of consumers


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
    - ``linear``: base * attempt, at most ``limit`` nanoseconds (None: no limit).
    - ``exponential``: base * factor**(attempt - 1), at most ``limit`` nanoseconds (None: no limit).

    ``jitter`` j (0 to 1) shortens each of them at random, evenly between (1 - j) times and once the delay.
    """

    kind: Literal["exponential", "linear", "fixed", "none"] = "none"
    base: int = 0
    factor: float = 2.0
    limit: int | None = None
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in BACKOFFS:
            raise UnitError(unknown("back-off", str(self.kind), BACKOFFS))
        if self.kind != "none":
            units.positive(self.base, "base")
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
            delay = self.base * (attempt if self.kind == "linear" else self.factor ** (attempt - 1))
        except OverflowError:
            delay = math.inf
        return min(delay, LONGEST if self.limit is None else self.limit)

    def __str__(self) -> str:
        if self.kind == "none":
            return "none"
        words = [self.kind, duration_text(self.base)]
        if self.kind == "exponential":
            words.append(f"factor={number_text(self.factor)}")
        if self.kind != "fixed" and self.limit is not None:
            words.append(f"limit={duration_text(self.limit)}")
        return " ".join([*words, f"jitter={number_text(self.jitter)}"] if self.jitter else words)


@dataclass(frozen=True)
class Budget:
    """How many retries there may be: a token bucket, as Finagle and gRPC have it for their clients.

    Every first attempt puts ``share`` of a token in, every retry takes one out, and where there is none left the message is
    rejected at once. The bucket is full at first and holds ``reserve`` tokens at most. A group of consumers shares one.
    """

    share: float
    reserve: int = 10

    def __post_init__(self) -> None:
        units.share(self.share, "share")
        units.count(self.reserve, "reserve")

    def __str__(self) -> str:
        return f"{number_text(self.share)}+{self.reserve}"


_TOKEN = 1_000_000  # counted in millionths, so that five fifths are a whole


class Tokens:
    """The bucket of a :class:`Budget`."""

    def __init__(self, budget: Budget) -> None:
        self._left = self._most = budget.reserve * _TOKEN
        self._part = round(budget.share * _TOKEN)

    def put(self) -> None:
        """A first attempt is made."""
        self._left = min(self._most, self._left + self._part)

    def take(self) -> bool:
        """A retry is wanted: whether it may be."""
        if self._left < _TOKEN:
            return False
        self._left -= _TOKEN
        return True


@dataclass(frozen=True)
class Retry:
    """What follows a transient failure.

    - ``in-handler``: the handler waits and tries again while it holds the delivery and its server.
    - ``requeue``: the delivery goes back to its queue after the back-off, and is unacked meanwhile.
    - ``delay-queue``: the handler publishes the message to a queue whose time to live is the back-off and whose dead letters go
      back, and acknowledges the delivery. There is one such queue for each length of the back-off.
    - ``delayed-exchange``: the same by way of an exchange that keeps messages back, for any time.

    ``attempts`` counts all attempts, the first included; after the last one the message is rejected. None:
    no end of attempts. ``budget`` limits retries further.
    """

    how: Literal["in-handler", "requeue", "delay-queue", "delayed-exchange"] = "requeue"
    attempts: int | None = None
    backoff: Backoff = field(default_factory=Backoff)
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if self.how not in RETRIES:
            raise UnitError(unknown("way to retry", str(self.how), RETRIES))
        if self.attempts is not None:
            units.count(self.attempts, "attempts")
        if self.by_broker and self.backoff.kind == "none":
            raise UnitError('backoff: what waits in the broker needs a time; write backoff = "fixed 5s", or how = "requeue"')
        if self.how == "delay-queue":
            self._check_delay_queues()

    def _check_delay_queues(self) -> None:
        if self.backoff.jitter:
            problem = "a queue has one time to live, so there is no jitter"
            raise UnitError(f'backoff: {problem}; leave jitter out, or write how = "delayed-exchange"')
        if self.delays is None:
            remedy = 'write attempts, or limit the back-off: "exponential 1s limit=1min"'
            raise UnitError(f"backoff: more than {_MOST_DELAYS} lengths, and each needs a queue of its own; {remedy}")

    @property
    def by_broker(self) -> bool:
        """Whether a message waits in the broker for its next attempt, and is then another message."""
        return self.how in ("delay-queue", "delayed-exchange")

    @cached_property
    def delays(self) -> tuple[int, ...] | None:
        """The lengths of the back-off, each once, in nanoseconds; None when they are too many for queues."""
        found: dict[int, None] = {}
        for attempt in range(1, min(self.attempts or LONGEST, _MOST_DELAYS + 2)):
            delay = self.delay(attempt, 0.0)
            if delay in found:
                break
            found[delay] = None
        return tuple(found) if len(found) <= _MOST_DELAYS else None

    def delay(self, attempt: int, u: float) -> int:
        """Nanoseconds to wait after failed attempt number ``attempt``; a broker counts milliseconds, and rounds up."""
        delay = self.backoff.delay(attempt, u)
        return -(-delay // MILLISECOND) * MILLISECOND if self.by_broker else delay

    def __str__(self) -> str:
        attempts = "" if self.attempts is None else f" attempts={self.attempts}"
        budget = "" if self.budget is None else f" budget={quote(str(self.budget))}"
        return f"{self.how}{attempts} backoff={quote(str(self.backoff))}{budget}"


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


def linear_backoff(base: str | timedelta, limit: str | timedelta | None = None, jitter: str | float = 0) -> Backoff:
    """Delays that grow by the first one: ``linear_backoff("1s", limit="30s")``. UnitError when a time or a share cannot be."""
    longest = None if limit is None else units.duration(limit, "limit")
    return Backoff("linear", units.duration(base, "base"), limit=longest, jitter=units.share(jitter, "jitter"))


def fixed_backoff(base: str | timedelta, jitter: str | float = 0) -> Backoff:
    """The same delay every time: ``fixed_backoff("1s")``. UnitError when it is not a positive time."""
    return Backoff("fixed", units.duration(base, "base"), jitter=units.share(jitter, "jitter"))


def no_backoff() -> Backoff:
    """The next attempt follows at once."""
    return Backoff()


BACKOFFS: Mapping[str, Callable[..., Backoff]] = {
    "exponential": exponential_backoff,
    "linear": linear_backoff,
    "fixed": fixed_backoff,
    "none": no_backoff,
}


def in_handler(attempts: int | None = None, backoff: object = "none", budget: object = None) -> Retry:
    """Retry inside the handler: ``in_handler(attempts=3, backoff="exponential 1s")``.

    Raises:
        UnitError: ``attempts`` is not a whole number from 1, or the budget cannot be.
        ScenarioError: ``backoff`` cannot be read.
    """
    return _retry("in-handler", attempts, backoff, budget)


def requeue(attempts: int | None = None, backoff: object = "none", budget: object = None) -> Retry:
    """Retry by giving the message back to its queue: ``requeue(attempts=5)``. Errors as for :func:`in_handler`."""
    return _retry("requeue", attempts, backoff, budget)


def delay_queue(attempts: int | None = None, backoff: object = "none", budget: object = None) -> Retry:
    """Retry by way of delay queues: ``delay_queue(attempts=5, backoff="exponential 5s")``. Errors as for :func:`in_handler`.

    Raises:
        UnitError: also when there is no back-off, one with jitter, or one of more lengths than there should be queues.
    """
    return _retry("delay-queue", attempts, backoff, budget)


def delayed_exchange(attempts: int | None = None, backoff: object = "none", budget: object = None) -> Retry:
    """Retry by way of an exchange that keeps messages back: ``delayed_exchange(attempts=5, backoff="fixed 5s jitter=50%")``.

    Raises:
        UnitError: also when there is no back-off.
        ScenarioError: ``backoff`` cannot be read.
    """
    return _retry("delayed-exchange", attempts, backoff, budget)


def _retry(how: Any, attempts: int | None, backoff: object, budget: object) -> Retry:
    return Retry(how, attempts, parse(backoff, BACKOFFS, "backoff", kind=Backoff), _budget(budget))


def _number(word: str) -> float | str:
    """A number if it is one; what is none is refused by who knows what it is for."""
    try:
        return int(word) if word.isdecimal() else float(word)
    except ValueError:
        return word


def _budget(spec: Any) -> Budget | None:
    """A budget from ``"20%"`` or 0.2, ``"20%+50"`` or ``{share = "20%", reserve = 50}``, a Budget or None."""
    if spec is None or isinstance(spec, Budget):
        return spec
    if isinstance(spec, str) and "+" in spec:
        share, _, reserve = spec.partition("+")
        spec = {"share": share if "%" in share else _number(share), "reserve": _number(reserve)}
    given = dict(spec) if isinstance(spec, Mapping) else {"share": spec}
    for key in given:
        if key not in ("share", "reserve"):
            raise UnitError(f"budget: {unknown('key', str(key), ('share', 'reserve'))}")
    return Budget(units.share(given.get("share"), "budget"), given.get("reserve", 10))


RETRIES: Mapping[str, Callable[..., Retry]] = {
    "in-handler": in_handler,
    "requeue": requeue,
    "delay-queue": delay_queue,
    "delayed-exchange": delayed_exchange,
}


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
