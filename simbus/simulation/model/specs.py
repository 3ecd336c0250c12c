"""The parts of a scenario as checked data: consumers, bindings and run settings; publishers are in ``publications``.

How a part is read is the business of ``parts``, and what it may refer to that of ``scenario``; everyone else finds them here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.acknowledgements import ACKNOWLEDGE, MANUAL, Acknowledge, parse_acknowledge
from simbus.simulation.model.distributions import Distribution
from simbus.simulation.model.failures import Failure, Retry, parse_failure, parse_retry
from simbus.simulation.model.parts import Count, Part, Table, Text, Times, dotted, flag, keys, parser, read, reader
from simbus.simulation.model.practices import (
    AUTOSCALE,
    BATCH,
    CLASSES,
    DEDUPLICATION,
    Autoscale,
    Batch,
    ClassRule,
    Deduplication,
    Shifts,
    parse_autoscale,
    parse_batch,
    parse_classes,
    parse_deduplication,
    parse_shifts,
)
from simbus.simulation.model.publications import MessageSpec, PublisherSpec
from simbus.simulation.model.shapes import (
    BANDWIDTH,
    COUNT,
    FAILURE,
    FLAG,
    FROM_0,
    LIST,
    RETRIES,
    SHARE,
    TIME,
    WHOLE,
    either,
    one_of,
    tables,
)

__all__ = [
    "Binding",
    "ConsumerSpec",
    "MessageSpec",
    "Part",
    "PublisherSpec",
    "RunSpec",
    "Text",
    "dotted",
    "keys",
    "read",
]


def _prefetch(value: object, what: str) -> int | None:
    if value is None or value == "unlimited":
        return None
    try:
        return units.count(value, what)
    except UnitError:
        raise UnitError(f'{what}: {value!r} is not a whole number from 1; write for example 10, or "unlimited"') from None


def _rank(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnitError(f"{what}: {value!r} is not a whole number; write for example 10")
    return value


def _seed(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UnitError(f"{what}: {value!r} is not a whole number from 0; write for example 1")
    return value


def _length(value: object, what: str) -> int | None:
    nanoseconds = None if value is None else units.duration(value, what)
    if nanoseconds is not None and nanoseconds < units.MILLISECOND:
        raise UnitError(f'{what}: {value!r} is too short to measure anything; write for example "4h"')
    return nanoseconds


def _precision(value: object, what: str) -> float | dict[str, float] | None:
    """One share for all expectations' metrics, or one for each path."""
    if isinstance(value, Mapping):
        return {str(path): _relative(each, str(path)) for path, each in value.items()}
    return None if value is None else _relative(value, what)


def _relative(value: object, what: str) -> float:
    try:
        part = units.share(value, what)
    except UnitError:
        part = 0.0
    if not 0.0001 <= part < 1:
        raise UnitError(f'{what}: {value!r} is not a share between 0.01% and 100%; write for example "5%"')
    return part


def _warmup(value: object, what: str) -> int | Literal["auto"]:
    return "auto" if value == "auto" else units.duration(value, what)


def _confidence(value: object, what: str) -> float:
    try:
        level = units.share(value, what)
    except UnitError:
        level = 0.0
    if not 0.5 <= level <= 0.9999:
        raise UnitError(f'{what}: {value!r} is not between 0.5 and 0.9999; write for example 0.95 or "99%"')
    return level


class ConsumerSpec(Part):
    """A group of ``count`` equal consumers of one queue.

    Each has its own channel with ``prefetch`` deliveries at most (None: no limit) and handles ``concurrency`` of them at a time.
    """

    name: Text
    queue: Text
    service: Times
    count: Count = 1
    concurrency: Count = 1
    prefetch: Annotated[int | None, reader(_prefetch, either(COUNT, one_of(["unlimited"])))] = None
    failure: Annotated[Failure, parser(lambda spec, place, _: parse_failure(spec, place), FAILURE)] = Failure()
    retry: Annotated[Retry, parser(lambda spec, place, _: parse_retry(spec, place), RETRIES)] = Retry()
    acknowledge: Annotated[Acknowledge, parser(lambda spec, place, _: parse_acknowledge(spec, place), ACKNOWLEDGE)] = MANUAL
    priority: Annotated[int, reader(_rank, WHOLE)] = 0

    batch: Annotated[Batch | None, parser(parse_batch, BATCH)] = None
    shifts: Annotated[Shifts | None, parser(lambda spec, place, _: parse_shifts(spec, place), LIST)] = None
    autoscale: Annotated[Autoscale | None, parser(lambda spec, place, _: parse_autoscale(spec, place), AUTOSCALE)] = None
    classes: Annotated[Mapping[str, ClassRule], parser(parse_classes, CLASSES)] = Field(default_factory=dict)
    bandwidth: Annotated[float | None, reader(units.bandwidth, BANDWIDTH)] = None
    deduplication: Annotated[
        Deduplication | None, parser(lambda spec, place, _: parse_deduplication(spec, place), DEDUPLICATION)
    ] = None

    _alone: bool = PrivateAttr(default=False)
    _mix: tuple[tuple[float, str, float], ...] = PrivateAttr(default=())

    @property
    def alone(self) -> bool:
        """Whether its queue serves one consumer at a time, and this is how the group is served then."""
        return self._alone

    @property
    def mix(self) -> tuple[tuple[float, str, float], ...]:
        """What it gets, if that matters and is known: messages per second, class and mean size."""
        return self._mix

    def served(self, *, alone: bool | None = None, mix: Iterable[tuple[float, str, float]] = ()) -> "ConsumerSpec":
        """The same as it is served: with a mix of messages, and of a single active consumer with that one (``alone``) or none."""
        one = {"shifts": None, "autoscale": None, "count": int(bool(alone))}
        twin = self.model_copy(update={} if alone is None else one)
        twin._alone, twin._mix = alone is not None, tuple(mix)  # noqa: SLF001 - one of our own
        return twin

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        place = info.context["place"] if info.context else self.name
        for wrong, key, problem in self._contradictions():
            if wrong:
                raise ScenarioError(f"{place}.{key}", problem)
        return self

    def _contradictions(self) -> Iterator[tuple[bool, str, str]]:
        given, auto, how = self.model_fields_set, self.acknowledge.auto, self.retry.how
        yield auto and self.prefetch is not None, "prefetch", 'limits nothing when acknowledge = "auto"; leave one of the two out'
        remedy = 'write how = "in-handler", or acknowledge = "manual"'
        yield auto and "retry" in given and how != "in-handler", "retry", f"the broker has let go of the message; {remedy}"
        problem = 'a batch is not tried again as a whole; write how = "requeue" or "delay-queue"'
        yield self.batch is not None and how == "in-handler", "retry", problem
        timed = any(rule.service is not None for rule in self.classes.values())
        yield self.batch is not None and timed, "classes", "a batch has one service time; leave service out, or batch"
        yield self.shifts is not None and self.autoscale is not None, "autoscale", "shifts say how many; leave one of the two out"
        yield "count" in given and not self.constant, "count", "shifts or autoscale say how many; leave one of the two out"

    @property
    def plain(self) -> bool:
        """Whether as many as ever take one delivery after the other, settle each when it is done, and remember nothing."""
        extras = (self.batch, self.shifts, self.autoscale, self.deduplication, self.retry.budget, self.bandwidth)
        return self.acknowledge == MANUAL and not self.classes and all(extra is None for extra in extras)

    def service_of(self, kind: str) -> Distribution:
        """Of messages of a class."""
        return (self.classes[kind].service if kind in self.classes else None) or self.service

    def failure_of(self, kind: str) -> Failure:
        """Of messages of a class."""
        return (self.classes[kind].failure if kind in self.classes else None) or self.failure

    @property
    def constant(self) -> bool:
        """Whether the group has as many consumers at any time."""
        return self.shifts is None and self.autoscale is None

    @property
    def on_duty(self) -> float:
        """How many consumers there are: on average with shifts, at most with autoscaling."""
        if self.shifts is not None:
            return self.shifts.mean
        return self.count if self.autoscale is None or not self.count else self.autoscale.most

    @property
    def servers_each(self) -> int:
        """How many messages, or batches, one consumer can handle at a time."""
        return self.concurrency if self.prefetch is None else min(self.concurrency, self.prefetch)

    @property
    def servers(self) -> int:
        """How many messages the group can handle at a time, at most."""
        return max(self.count, *self._most) * self.servers_each

    @property
    def _most(self) -> tuple[int, int]:
        """Consumers that shifts and autoscaling call at most."""
        return 0 if self.shifts is None else self.shifts.most, 0 if self.autoscale is None else self.autoscale.most


class RunSpec(Part):
    """How long and how often a scenario is run; times in nanoseconds, ``duration`` None until the arrivals end.

    With a ``precision`` the replications are only the first ones: see ``stopping``; ``auto`` as ``warmup`` means a ``pilot``.
    """

    duration: Annotated[int | None, reader(_length, TIME)] = None
    warmup: Annotated[int | Literal["auto"], reader(_warmup, either(one_of(["auto"]), TIME))] = 0
    replications: Count = 10
    seed: Annotated[int, reader(_seed, FROM_0)] = 1
    confidence: Annotated[float, reader(_confidence, SHARE)] = 0.95
    precision: Annotated[float | dict[str, float] | None, reader(_precision, either(SHARE, tables(SHARE)))] = None
    max_replications: Count = 200
    antithetic: Annotated[bool, reader(flag, FLAG)] = False

    @property
    def cut(self) -> int:
        """What is left out at the beginning; nothing as long as it is to be found out."""
        return 0 if self.warmup == "auto" else self.warmup


class Binding(Part):
    """A binding from an exchange to a queue, in the dialect's words."""

    queue: Text
    exchange: Text
    routing_key: Text = ""
    arguments: Table | None = None
