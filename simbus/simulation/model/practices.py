"""What a group of consumers may do besides taking one delivery after the other by one law.

Batches, shifts and autoscaling, deduplication, and what differs for a class of messages.

Descriptions only, each with its reader from a table or text. They are carried out in ``batching``, ``staffing`` and ``servers``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.distributions import SERVICES, Distribution
from simbus.simulation.model.failures import Failure, parse_failure
from simbus.simulation.model.grammar import fill, parse
from simbus.simulation.model.shapes import either, one_of, parameters, tables
from simbus.simulation.model.words import unknown
from simbus.units import SECOND

Time = str | timedelta


@dataclass(frozen=True)
class Batch:
    """Several deliveries handled at once.

    Args:
        size: the most.
        within: nanoseconds that a free server waits for a full batch, from its first delivery on.
        each: time that every message takes besides the batch's service time; None for none.
    """

    size: int
    within: int = 0
    each: Distribution | None = None


def _batch(size: int, within: Time = "0s", each: object = None, folder: Path | None = None) -> Batch:
    law = None if each is None else parse(each, SERVICES, "each", folder, Distribution)
    return Batch(units.count(size, "size"), units.duration(within, "within"), law)


BATCH = parameters(_batch)


def parse_batch(spec: object, place: str, folder: Path | None = None) -> Batch | None:
    """A batch from ``{size = 20, within = "100ms", each = "exponential 1ms"}``, a Batch or None.

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    if spec is None or isinstance(spec, Batch):
        return spec
    return fill("batch", _batch, _table(spec, place, '{ size = 20, within = "100ms" }'), place, folder)


@dataclass(frozen=True)
class Shifts:
    """How many consumers of a group are on duty, one stretch of time after the other, and then again from the beginning.

    ``steps`` are pairs of a length in nanoseconds and a number of consumers.
    """

    steps: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.steps or any(length <= 0 for length, _ in self.steps):
            raise UnitError('shifts: each is a time and how many; write for example "8h:2,4h:8,12h:2"')
        if not self.most:
            raise UnitError("shifts: nobody is ever on duty; raise one of the numbers")

    @property
    def most(self) -> int:
        """On duty at once."""
        return max(count for _, count in self.steps)

    @property
    def mean(self) -> float:
        """On duty, averaged over time."""
        return sum(length * count for length, count in self.steps) / sum(length for length, _ in self.steps)


def parse_shifts(spec: object, place: str) -> Shifts | None:
    """Shifts from ``"8h:2,4h:8,12h:2"`` or ``[["8h", 2], ["4h", 8]]``, a Shifts or None.

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    if spec is None or isinstance(spec, Shifts):
        return spec
    parts: Any = [part.split(":") for part in spec.split(",")] if isinstance(spec, str) else spec
    try:
        return Shifts(tuple((units.duration(length, "shifts"), _how_many(count)) for length, count in parts))
    except UnitError as error:
        raise ScenarioError(place, str(error)) from None
    except (TypeError, ValueError):
        problem = f'{spec!r} are not pairs of a time and how many consumers; write for example "8h:2,4h:8,12h:2"'
        raise ScenarioError(place, problem) from None


def _how_many(value: Any) -> int:
    whole = int(value)
    if isinstance(value, bool | float) or whole < 0:
        raise ValueError(value)
    return whole


@dataclass(frozen=True)
class Autoscale:
    """A rule for the number of consumers of a group, looked at again and again.

    - ``depth``, ``ready``: as many as need be for ``target`` copies each, ready and unacked or ready alone (KEDA).
    - ``lag``: in proportion to how much longer than ``target`` nanoseconds what is ready will take (Kubernetes' autoscaler).

    Args:
        by: what is looked at.
        target: copies for each consumer, or the lag in nanoseconds.
        least: consumers at least.
        most: consumers at most.
        every: nanoseconds between two looks.
        cooldown: nanoseconds in which no look may have wanted more, before consumers are dismissed.
        startup: nanoseconds that a consumer needs until it consumes.
    """

    by: Literal["depth", "ready", "lag"]
    target: int
    least: int
    most: int
    every: int
    cooldown: int
    startup: int

    def wanted(self, current: int, ready: int, unacked: int, rate: float) -> int:
        """How many consumers there should be.

        Args:
            current: those there are, or are starting.
            ready: copies of the queue.
            unacked: copies of the queue.
            rate: at which copies were acknowledged since the last look, per second.
        """
        if self.by != "lag":
            copies = ready if self.by == "ready" else ready + unacked
            return self._within(-(-copies // self.target))
        if not ready:
            return self.least
        lag = ready / rate * SECOND if rate else math.inf
        wanted = max(current, 1) * lag / self.target
        return self.most if wanted >= self.most else self._within(math.ceil(wanted))

    def _within(self, wanted: int) -> int:
        return max(self.least, min(self.most, wanted))


def _autoscale(
    by: str,
    target: Any,
    max: int,
    min: int = 1,
    every: Time = "30s",
    cooldown: Time = "5min",
    startup: Time = "0s",
) -> Autoscale:
    if by not in ("depth", "ready", "lag"):
        raise UnitError(f"by: {unknown('measure', str(by), ('depth', 'ready', 'lag'))}")
    aim = units.duration(target, "target") if by == "lag" else units.count(target, "target")
    least = 0 if min == 0 and not isinstance(min, bool) else units.count(min, "min")
    if units.count(max, "max") < least:
        raise UnitError(f"max: {max} is less than min, {least}; raise it")
    rhythm = units.duration(every, "every")
    if not (aim and rhythm):
        raise UnitError('target and every: a time must be positive; write for example every = "30s"')
    return Autoscale(by, aim, least, max, rhythm, units.duration(cooldown, "cooldown"), units.duration(startup, "startup"))  # type: ignore[arg-type]


AUTOSCALE = parameters(_autoscale)


def parse_autoscale(spec: object, place: str) -> Autoscale | None:
    """A rule from ``{by = "depth", target = 100, min = 1, max = 20, every = "30s", cooldown = "5min"}``, an Autoscale or None.

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    if spec is None or isinstance(spec, Autoscale):
        return spec
    return fill("autoscale", _autoscale, _table(spec, place, '{ by = "depth", target = 100, max = 20 }'), place)


@dataclass(frozen=True)
class Deduplication:
    """What a group remembers of the messages that it has applied, in order not to apply them again.

    Args:
        window: nanoseconds for which a message is remembered; None for ever, as consumers do that are idempotent by nature.
        size: how many messages are remembered, at most; None for no limit.
        lookup: nanoseconds that looking a message up takes, before its service time or instead of it.
    """

    window: int | None = None
    size: int | None = None
    lookup: int = 0


def _deduplication(window: Time | None = None, size: int | None = None, lookup: Time = "0s") -> Deduplication:
    kept = None if window is None else units.duration(window, "window")
    return Deduplication(kept, None if size is None else units.count(size, "size"), units.duration(lookup, "lookup"))


DEDUPLICATION = either(one_of(["idempotent"]), parameters(_deduplication))


def parse_deduplication(spec: object, place: str) -> Deduplication | None:
    """It from ``{window = "10min", size = 100_000, lookup = "1ms"}``, ``"idempotent"``, a Deduplication or None.

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    if spec is None or isinstance(spec, Deduplication):
        return spec
    if spec == "idempotent":
        return Deduplication()
    return fill("deduplication", _deduplication, _table(spec, place, '{ window = "10min" }, or "idempotent"'), place)


@dataclass(frozen=True)
class ClassRule:
    """What differs for one class of messages; None where nothing does."""

    service: Distribution | None = None
    failure: Failure | None = None


def _class(service: object = None, failure: object = None, folder: Path | None = None) -> ClassRule:
    law = None if service is None else parse(service, SERVICES, "service", folder, Distribution)
    return ClassRule(law, None if failure is None else parse_failure(failure, "failure"))


CLASSES = tables(parameters(_class))


def parse_classes(spec: object, place: str, folder: Path | None = None) -> Mapping[str, ClassRule]:
    """Rules by class from ``{gold = {service = "exponential 20ms", failure = 0.01}}``, or None (no rules).

    Raises:
        ScenarioError: it is neither; names the place.
    """
    if spec is None:
        return {}
    example = '{ gold = { service = "exponential 20ms" } }'
    classes = _table(spec, place, example)
    return {str(name): _rule(rule, f"{place}.{name}", folder) for name, rule in classes.items()}


def _rule(spec: object, place: str, folder: Path | None) -> ClassRule:
    if isinstance(spec, ClassRule):
        return spec
    return fill("a class", _class, _table(spec, place, '{ service = "exponential 20ms" }'), place, folder)


def _table(spec: object, place: str, example: str) -> Mapping[Any, Any]:
    if not isinstance(spec, Mapping):
        raise ScenarioError(place, f"{spec!r} is not a table; write for example {example}")
    return spec
