"""How a part of a scenario is read and checked: what all parts share, and how their errors are said.

Each part is a pydantic model that knows its own keys and reads human units. The parts themselves are in ``specs`` and
``publications``. Whatever is wrong leaves here as one :class:`ScenarioError` of one line.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, PlainValidator, ValidationError, ValidationInfo

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.distributions import SERVICES, Distribution
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.shapes import COUNT, TABLE, TEXT, TIMES, Shape, table
from simbus.simulation.model.words import unknown

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, eq=False)  # annotations are hashed, and a shape has no hash
class Reading:
    """How a key's value is read, and the shape of what is taken; pydantic asks for the first, ``schema`` for the second."""

    validator: PlainValidator
    shape: Shape

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """That of the validator."""
        return self.validator.__get_pydantic_core_schema__(source, handler)


def reader(read: Callable[[Any, str], Any], shape: Shape) -> Reading:
    """A validator from one of the readers of ``units``: value and the key's name in, checked value out."""
    return Reading(PlainValidator(lambda value, info: read(value, info.field_name)), shape)


def parser(read: Callable[[Any, str, Path | None], Any], shape: Shape) -> Reading:
    """A validator from a reader that wants the whole place and the folder of relative files."""
    return Reading(PlainValidator(lambda value, info: read(value, _place(info), info.context["folder"])), shape)


def shapes(model: type[BaseModel]) -> dict[str, Shape]:
    """What the values of a part's keys look like, by key."""
    fields = model.model_fields
    return {key: _shape((fields[key].annotation, *fields[key].metadata)) for key in keys(model)}


def part_shape(model: type[BaseModel]) -> Shape:
    """What a part looks like: a table with its keys."""
    return table(shapes(model), _required(model))


def _shape(annotations: Iterable[Any]) -> Shape:
    """That of the reading among some annotations, or inside one: ``Text | None``."""
    for each in annotations:
        found = each.shape if isinstance(each, Reading) else _shape(get_args(each))
        if found:
            return found
    return {}


def _place(info: ValidationInfo) -> str:
    return f"{info.context['place']}.{info.field_name}" if info.context else str(info.field_name)


def text(value: object, what: str) -> str:
    """Text, and not a number that was meant as one; UnitError."""
    if not isinstance(value, str):
        raise UnitError(f'{what}: {value!r} is not text; write it in quotes: "{value}"')
    return value


def _table(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UnitError(f"{what}: {value!r} is not a table; write for example {{ key = 1 }}")
    return dict(value)


def flag(value: object, what: str) -> bool:
    """True or false, and nothing that only looks like it; UnitError."""
    if not isinstance(value, bool):
        raise UnitError(f"{what}: {value!r} is neither true nor false")
    return value


def times(value: object, place: str, folder: Path | None) -> Distribution:
    """A distribution of times, built or said as in a scenario file; ScenarioError."""
    return parse(value, SERVICES, place, folder, Distribution)


Text = Annotated[str, reader(text, TEXT)]
Table = Annotated[dict[str, Any], reader(_table, TABLE)]
Count = Annotated[int, reader(units.count, COUNT)]
Times = Annotated[Distribution, parser(times, TIMES)]


class Part(BaseModel):
    """What all parts share: no unknown key, no change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


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
    """Raise pydantic's complaints, without a key that is only missing because it was misspelt."""
    details = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    misspelt = {close for each in details if each["type"] == "extra_forbidden" for close in _meant(str(each["loc"][0]), model)}
    told = [each for each in details if each["type"] != "missing" or each["loc"][0] not in misspelt]
    raise ScenarioError.of([mistake for each in told for mistake in _mistakes(each, model, place)]) from None


def _meant(key: str, model: type[BaseModel]) -> list[str]:
    return get_close_matches(key, keys(model), n=1)


def _mistakes(detail: Any, model: type[BaseModel], place: str) -> tuple[ScenarioError, ...]:
    key = str(detail["loc"][0]) if detail["loc"] else ""
    cause = detail.get("ctx", {}).get("error")
    where = f"{place}.{dotted(key)}" if detail["loc"] else place
    if detail["type"] == "extra_forbidden":
        return (ScenarioError(where, unknown("key", key, keys(model))),)
    if detail["type"] == "missing":
        return (ScenarioError(where, f"is missing; {place} needs {', '.join(_required(model))}"),)
    if isinstance(cause, ScenarioError):
        return cause.mistakes
    return (ScenarioError(where, str(cause or detail["msg"]).removeprefix(f"{key}: ")),)


def _required(model: type[BaseModel]) -> list[str]:
    return [key for key in keys(model) if model.model_fields[key].is_required()]
