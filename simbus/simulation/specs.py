"""The parts of a scenario as checked data: publishers, consumers, bindings and run settings.

Each part is a pydantic model that knows its own keys and reads human units; what a part may refer to is the
business of ``scenario``. Whatever is wrong leaves here as one :class:`ScenarioError` of one line.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr, ValidationError, ValidationInfo, model_validator

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.confirms import Confirms, parse_confirms
from simbus.simulation.distributions import SERVICES, Distribution
from simbus.simulation.failures import Failure, Retry, parse_failure, parse_retry
from simbus.simulation.grammar import parse
from simbus.simulation.messages import Class, Kind, Mark, kinds
from simbus.simulation.practices import (
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
from simbus.simulation.replays import Replay
from simbus.simulation.settling import MANUAL, Acknowledge, parse_acknowledge
from simbus.simulation.sizes import Sizes, parse_size
from simbus.simulation.words import unknown
from simbus.simulation.workloads import ARRIVALS, Workload
from simbus.units import number_text

M = TypeVar("M", bound=BaseModel)
_ROUNDING = 1e-9
_HIGHEST_PRIORITY = 255  # one octet, in every protocol that has priorities


def _reader(read: Callable[[Any, str], Any]) -> PlainValidator:
    """A validator from one of the readers of ``units``: value and the key's name in, checked value out."""
    return PlainValidator(lambda value, info: read(value, info.field_name))


def _parser(read: Callable[[Any, str, Path | None], Any]) -> PlainValidator:
    """A validator from a reader that wants the whole place and the folder of relative files."""
    return PlainValidator(lambda value, info: read(value, _place(info), info.context["folder"]))


def _place(info: ValidationInfo) -> str:
    return f"{info.context['place']}.{info.field_name}" if info.context else str(info.field_name)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise UnitError(f'{what}: {value!r} is not text; write it in quotes: "{value}"')
    return value


def _table(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UnitError(f"{what}: {value!r} is not a table; write for example {{ key = 1 }}")
    return dict(value)


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


def _whether(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise UnitError(f"{what}: {value!r} is neither true nor false")
    return value


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


def _routing_key(value: object, what: str) -> dict[str, float]:
    if isinstance(value, str):
        return {value: 1.0}
    if not isinstance(value, Mapping):
        raise UnitError(f'{what}: {value!r} is neither a key nor shares by key; write for example {{ "order.gold" = 0.2, ... }}')
    shares = {_text(key, what): units.share(share, dotted(key)) for key, share in value.items()}
    if abs(sum(shares.values()) - 1) > _ROUNDING:
        raise UnitError(f"{what}: shares of keys add up to {number_text(sum(shares.values()))}; they must add up to 1")
    return shares


def _check_shares(place: str, classes: Mapping[str, "MessageSpec"]) -> None:
    """The shares of classes add up to 1; one that has none gets what the others leave."""
    total = sum(each.share or 0.0 for each in classes.values())
    left = [name for name, each in classes.items() if each.share is None]
    if len(left) > 1:
        raise ScenarioError(f"{place}.messages.{dotted(left[1])}.share", f"is missing, as that of {left[0]!r}; one may be")
    if classes and (total > 1 + _ROUNDING or (not left and total < 1 - _ROUNDING)):
        raise ScenarioError(f"{place}.messages", f"shares of classes add up to {number_text(total)}; they must add up to 1")


def _messages(value: object, place: str, folder: Path | None) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ScenarioError(place, f"{value!r} is not a table; write [{place}.gold] and share = 0.2 below")
    for name in value:
        if not isinstance(name, str) or not name.isprintable() or not name or set(name) & set("[]"):
            raise ScenarioError(place, f"{name!r} is not the name of a class; write printable letters, and no brackets")
    return {name: read(MessageSpec, f"{place}.{dotted(name)}", table, folder) for name, table in value.items()}


def _priority(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _HIGHEST_PRIORITY:
        raise UnitError(f"{what}: {value!r} is not a whole number from 0 to {_HIGHEST_PRIORITY}; write for example 5")
    return value


def _expiration(value: object, place: str, folder: Path | None) -> int | Distribution:
    """A time, or a distribution of times, whose text begins with its name."""
    if isinstance(value, timedelta) or (isinstance(value, str) and not value.strip()[:1].isalpha()):
        return units.duration(value, "expiration")
    return parse(value, SERVICES, place, folder, Distribution)


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise UnitError(f"{what}: {value!r} is neither true nor false")
    return value


Text = Annotated[str, _reader(_text)]
Table = Annotated[dict[str, Any], _reader(_table)]
Count = Annotated[int, _reader(units.count)]
RoutingKey = Annotated[dict[str, float] | None, _reader(_routing_key)]


class Part(BaseModel):
    """What all parts share: no unknown key, no change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class MessageSpec(Part):
    """A class of a publisher's messages, with ``share`` of them, or what the others leave; None is as the publisher says.

    ``routing_key`` has shares by key; ``size`` in bytes and ``expiration`` in nanoseconds are always the same, or drawn.
    """

    share: Annotated[float | None, _reader(units.share)] = None
    routing_key: RoutingKey = None
    size: Annotated[int | Sizes | None, _parser(parse_size)] = None
    priority: Annotated[int | None, _reader(_priority)] = None
    expiration: Annotated[int | Distribution | None, _parser(_expiration)] = None
    headers: Table | None = None
    persistent: Annotated[bool | None, _reader(_flag)] = None


class PublisherSpec(Part):
    """A publisher: where its messages go, when, and what they are like, by class where there are ``messages``."""

    name: Text
    arrivals: Annotated[Workload, _parser(lambda spec, place, folder: parse(spec, ARRIVALS, place, folder, Workload))]
    exchange: Text | None = None
    routing_key: RoutingKey = None
    to: Text | None = None
    size: Annotated[int | Sizes, _parser(parse_size)] = 1_000
    priority: Annotated[int | None, _reader(_priority)] = None
    expiration: Annotated[int | Distribution | None, _parser(_expiration)] = None
    headers: Table | None = None
    persistent: Annotated[bool, _reader(_flag)] = True
    messages: Annotated[dict[str, MessageSpec], _parser(_messages)] = {}
    confirms: Annotated[Confirms | None, _parser(lambda spec, place, _: parse_confirms(spec, place))] = None

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        place = info.context["place"] if info.context else self.name
        if (self.to is None) == (self.exchange is None):
            raise ScenarioError(place, 'needs an address, one of two: exchange = "orders", or to = "payments"')
        if self.to is not None:
            self._leave_out(place, "routing_key", "to already names the queue; leave one of the two out")
        marks = self.marks[0] if self.marks else Mark()
        if marks.key is not None:
            self._leave_out(place, "routing_key", "the replayed file names the keys; leave one of the two out")
        if marks.key is not None and self.to is not None:
            raise ScenarioError(f"{place}.to", "the replayed file names routing keys; write exchange")
        if marks.size is not None:
            self._leave_out(place, "size", "the replayed file says how big messages are; leave one of the two out")
        if marks.type is not None:
            self._leave_out(place, "share", "the replayed file says of which class messages are; leave it out")
        else:
            _check_shares(place, self.messages)
        return self

    def _leave_out(self, place: str, key: str, why: str) -> None:
        """Refuse a key that was given, at the publisher or in a class."""
        parts = {place: self, **{f"{place}.messages.{dotted(name)}": each for name, each in self.messages.items()}}
        for at, part in parts.items():
            if key in part.model_fields_set:
                raise ScenarioError(f"{at}.{key}", why)

    @property
    def marks(self) -> Sequence[Mark]:
        """What a replayed trace says of each message."""
        return self.arrivals.marks if isinstance(self.arrivals, Replay) else ()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it publishes: a class and a routing key each, with shares that add up to 1."""
        where = {"to": self.to} if self.to is not None else {"exchange": str(self.exchange)}
        named = dict.fromkeys((mark.type for mark in self.marks if mark.type is not None), MessageSpec())
        said = {name: self.messages.get(name, each) for name, each in named.items()} or self.messages or {"": MessageSpec()}
        return tuple(kinds(where, {name: self._class(each) for name, each in said.items()}, self.marks))

    def _class(self, said: MessageSpec) -> Class:
        keys = self.routing_key if said.routing_key is None else said.routing_key
        named = {key: getattr(self, key) if getattr(said, key) is None else getattr(said, key) for key in _PROPERTIES}
        properties = {key: value for key, value in named.items() if value is not None and (key, value) != ("persistent", True)}
        left = 1 - sum(each.share or 0.0 for each in self.messages.values())
        return Class(left if said.share is None else said.share, None if self.to is not None else keys or {"": 1.0}, properties)


_PROPERTIES = ("size", "priority", "expiration", "headers", "persistent")


class ConsumerSpec(Part):
    """A group of ``count`` equal consumers of one queue.

    Each has its own channel with ``prefetch`` deliveries at most (None: no limit) and handles ``concurrency`` of them at a time.
    """

    name: Text
    queue: Text
    service: Annotated[Distribution, _parser(lambda spec, place, folder: parse(spec, SERVICES, place, folder, Distribution))]
    count: Count = 1
    concurrency: Count = 1
    prefetch: Annotated[int | None, _reader(_prefetch)] = None
    failure: Annotated[Failure, _parser(lambda spec, place, _: parse_failure(spec, place))] = Failure()
    retry: Annotated[Retry, _parser(lambda spec, place, _: parse_retry(spec, place))] = Retry()
    acknowledge: Annotated[Acknowledge, _parser(lambda spec, place, _: parse_acknowledge(spec, place))] = MANUAL
    priority: Annotated[int, _reader(_rank)] = 0

    batch: Annotated[Batch | None, _parser(parse_batch)] = None
    shifts: Annotated[Shifts | None, _parser(lambda spec, place, _: parse_shifts(spec, place))] = None
    autoscale: Annotated[Autoscale | None, _parser(lambda spec, place, _: parse_autoscale(spec, place))] = None
    classes: Annotated[Mapping[str, ClassRule], _parser(parse_classes)] = Field(default_factory=dict)
    bandwidth: Annotated[float | None, _reader(units.bandwidth)] = None
    deduplication: Annotated[Deduplication | None, _parser(lambda spec, place, _: parse_deduplication(spec, place))] = None

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

    duration: Annotated[int | None, _reader(_length)] = None
    warmup: Annotated[int | Literal["auto"], _reader(_warmup)] = 0
    replications: Count = 10
    seed: Annotated[int, _reader(_seed)] = 1
    confidence: Annotated[float, _reader(_confidence)] = 0.95
    precision: Annotated[float | dict[str, float] | None, _reader(_precision)] = None
    max_replications: Count = 200
    antithetic: Annotated[bool, _reader(_whether)] = False

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


def read(model: type[M], place: str, table: object, folder: Path | None = None) -> M:
    """The part that ``table`` describes.

    Args:
        model: which part.
        place: where the table stands, for errors: ``consumers.charge``.
        table: keys to values, as in the scenario file.
        folder: where relative files are looked up, by default the current one.

    Raises:
        ScenarioError: the table is none, or a key is unknown or missing, or a value cannot be; names the place, in one line.
    """
    if not isinstance(table, Mapping):
        raise ScenarioError(place, f"{table!r} is not a table; its keys are {', '.join(keys(model))}")
    try:
        return model.model_validate(dict(table), context={"place": place, "folder": folder})
    except ValidationError as error:
        _translate(error, model, place)


def dotted(*steps: str) -> str:
    """A place as the file writes it: ``queues.payments``, ``queues."order.email.queue"``."""
    return ".".join(_step(step) for step in steps)


def _step(name: str) -> str:
    plain = name and all(letter.isalnum() or letter in "-_" for letter in name)
    return name if plain and name.isprintable() else json.dumps(name, ensure_ascii=not name.isprintable())


def keys(model: type[BaseModel]) -> list[str]:
    """The keys that a part may have in the file; its name stands in front of them."""
    return [key for key in model.model_fields if key != "name"]


def _translate(error: ValidationError, model: type[BaseModel], place: str) -> NoReturn:
    """Raise pydantic's first complaint, an unknown key before all others: it is often why another one is missing."""
    details = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    first = details[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    cause = first.get("ctx", {}).get("error")
    where = f"{place}.{dotted(key)}" if first["loc"] else place
    if first["type"] == "extra_forbidden":
        raise ScenarioError(where, unknown("key", key, keys(model))) from None
    if first["type"] == "missing":
        raise ScenarioError(where, f"is missing; {place} needs {', '.join(_required(model))}") from None
    if isinstance(cause, ScenarioError):
        raise cause from None
    raise ScenarioError(where, str(cause or first["msg"]).removeprefix(f"{key}: ")) from None


def _required(model: type[BaseModel]) -> list[str]:
    return [key for key in keys(model) if model.model_fields[key].is_required()]
