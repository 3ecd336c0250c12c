"""Publisher confirms: how a publisher waits for the broker's answer, and what it does without a good one. A description only.

What is done with it is the business of ``publishers``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.failures import BACKOFFS, Backoff
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.shapes import BACKOFFS as BACKOFF
from simbus.simulation.model.shapes import COUNT, FLAG, TIME, either, table
from simbus.simulation.model.words import unknown

_SHAPES = {"timeout": TIME, "attempts": COUNT, "backoff": BACKOFF, "window": COUNT}
_KEYS = tuple(_SHAPES)
CONFIRMS = either(FLAG, table(_SHAPES))


@dataclass(frozen=True)
class Confirms:
    """What a publisher does about confirms.

    Args:
        timeout: nanoseconds that it waits for one; None: for ever.
        attempts: how often it publishes a message at most, the first time included. It does so again, as a new message, when the
            broker refuses one or has not answered in time. After the last attempt it gives up.
        backoff: how long it waits before.
        window: how many messages may be unconfirmed at a time; what comes meanwhile waits in the publisher. None: no limit.
    """

    timeout: int | None = None
    attempts: int = 1
    backoff: Backoff = field(default_factory=Backoff)
    window: int | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None:
            units.positive(self.timeout, "timeout", "5s")
        units.count(self.attempts, "attempts")
        if self.window is not None:
            units.count(self.window, "window")


def parse_confirms(spec: object, place: str) -> Confirms | None:
    """Confirms from ``{timeout = "5s", attempts = 3}``, ``true`` (wait for ever and do nothing), as built, or None or ``false``.

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    if spec is None or isinstance(spec, bool):
        return Confirms() if spec else None
    if isinstance(spec, Confirms):
        return spec
    if not isinstance(spec, Mapping):
        raise ScenarioError(place, f'{spec!r} is not a table; write for example {{ timeout = "5s", attempts = 3 }}')
    for key in spec:
        if key not in _KEYS:
            raise ScenarioError(place, unknown("key", str(key), _KEYS))
    given = {str(key): value for key, value in spec.items()}
    try:
        if "timeout" in given:
            given["timeout"] = units.duration(given["timeout"], "timeout")
        if "backoff" in given:
            given["backoff"] = parse(given["backoff"], BACKOFFS, f"{place}.backoff", kind=Backoff)
        return Confirms(**given)
    except UnitError as error:
        raise ScenarioError(place, str(error)) from None
