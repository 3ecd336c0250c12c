"""The parts of a scenario as checked data: publishers, consumers, bindings and run settings.

Each part is a pydantic model that knows its own keys and reads human units; what a part may refer to is the
business of ``scenario``. Whatever is wrong leaves here as one :class:`ScenarioError` of one line.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, ValidationInfo, model_validator

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.distributions import SERVICES, Distribution
from simbus.simulation.failures import Failure, Retry, parse_failure, parse_retry
from simbus.simulation.grammar import parse
from simbus.simulation.words import unknown
from simbus.simulation.workloads import ARRIVALS, Workload

M = TypeVar("M", bound=BaseModel)


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


def _confidence(value: object, what: str) -> float:
    try:
        level = units.share(value, what)
    except UnitError:
        level = 0.0
    if not 0.5 <= level <= 0.9999:
        raise UnitError(f'{what}: {value!r} is not between 0.5 and 0.9999; write for example 0.95 or "99%"')
    return level


Text = Annotated[str, _reader(_text)]
Table = Annotated[dict[str, Any], _reader(_table)]
Count = Annotated[int, _reader(units.count)]


class Part(BaseModel):
    """What all parts share: no unknown key, no change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PublisherSpec(Part):
    """A publisher: where its messages go, when, and how big they are (``size`` in bytes)."""

    name: Text
    arrivals: Annotated[Workload, _parser(lambda spec, place, folder: parse(spec, ARRIVALS, place, folder, Workload))]
    exchange: Text | None = None
    routing_key: Text | None = None
    to: Text | None = None
    size: Annotated[int, _reader(units.size)] = 1_000

    @model_validator(mode="after")
    def _has_one_address(self, info: ValidationInfo) -> Self:
        place = info.context["place"] if info.context else self.name
        if (self.to is None) == (self.exchange is None):
            raise ScenarioError(place, 'needs an address, one of two: exchange = "orders", or to = "payments"')
        if self.to is not None and self.routing_key is not None:
            raise ScenarioError(f"{place}.routing_key", "to already names the queue; leave one of the two out")
        return self

    @property
    def address(self) -> dict[str, Any]:
        """What a dialect reads: ``to``, or ``exchange`` and ``routing_key``, and the ``size`` of a message."""
        if self.to is not None:
            return {"to": self.to, "size": self.size}
        return {"exchange": self.exchange, "routing_key": self.routing_key or "", "size": self.size}


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

    @property
    def servers(self) -> int:
        """How many messages the group can handle at a time."""
        return self.count * (self.concurrency if self.prefetch is None else min(self.concurrency, self.prefetch))


class RunSpec(Part):
    """How long and how often a scenario is run; times in nanoseconds, ``duration`` None until the arrivals end.

    With a ``precision`` the replications are only the first ones: see ``stopping``.
    """

    duration: Annotated[int | None, _reader(_length)] = None
    warmup: Annotated[int, _reader(units.duration)] = 0
    replications: Count = 10
    seed: Annotated[int, _reader(_seed)] = 1
    confidence: Annotated[float, _reader(_confidence)] = 0.95
    precision: Annotated[float | dict[str, float] | None, _reader(_precision)] = None
    max_replications: Count = 200


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
