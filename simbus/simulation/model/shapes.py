"""What values look like, as JSON Schema (draft 7): the shape that stands beside each reader, for editors and other tools.

A shape tells the kind of a value, not whether it can be: that ``high`` is above ``low`` is the reader's business. Shapes of what
is said by name (``"lognormal mean=55ms cv=0.8"``) come from the table of names and the signatures that ``grammar`` reads with.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from simbus import units
from simbus.errors import SimbusError
from simbus.simulation.model.grammar import parse

Shape = Mapping[str, Any]

ANY: Shape = {}
TEXT: Shape = {"type": "string"}
FLAG: Shape = {"type": "boolean"}
WHOLE: Shape = {"type": "integer"}
FROM_0: Shape = {"type": "integer", "minimum": 0}
COUNT: Shape = {"type": "integer", "minimum": 1}
NUMBER: Shape = {"type": "number", "exclusiveMinimum": 0}
TABLE: Shape = {"type": "object"}
TIME: Shape = {"type": "string", "pattern": units.DURATION_PATTERN, "examples": ["30ms", "10s", "1h30min"]}
RATE: Shape = {"type": "string", "pattern": units.RATE_PATTERN, "examples": ["20/s", "7/min"]}
BANDWIDTH: Shape = {"type": "string", "pattern": units.BANDWIDTH_PATTERN, "examples": ["10MB/s"]}


def either(*shapes: Shape) -> Shape:
    """A value of one of several shapes."""
    return {"anyOf": [dict(each) for each in shapes]}


def one_of(words: Iterable[str]) -> Shape:
    """One of some words."""
    return {"enum": list(words)}


def listed(shape: Shape) -> Shape:
    """A list of such values."""
    return {"type": "array", "items": dict(shape)}


def tables(shape: Shape) -> Shape:
    """Such values by names that are the user's."""
    return {"type": "object", "additionalProperties": dict(shape)}


def table(properties: Mapping[str, Shape], required: Iterable[str] = ()) -> Shape:
    """A table with these keys and no others."""
    shapes = {key: dict(each) for key, each in properties.items()}
    return {"type": "object", "properties": shapes, "required": list(required), "additionalProperties": False}


SHARE = either({"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "examples": ["2%"]})
SIZE = either({"type": "integer", "minimum": 0}, {"type": "string", "pattern": units.SIZE_PATTERN, "examples": ["2kB"]})
LIST = either(TEXT, {"type": "array"})
TIMES, ARRIVALS, SIZES, BACKOFFS, RETRIES, FAILURE = (
    {"$ref": f"#/definitions/{name}"} for name in ("times", "arrivals", "sizes", "backoffs", "retries", "failure")
)

_BY_KIND: Mapping[Any, Shape] = {  # of a parameter that says what it takes
    str | timedelta: TIME,
    str | timedelta | None: TIME,
    str | int: SIZE,
    str | float: SHARE,
    float: NUMBER,
    int: COUNT,
    int | None: COUNT,
}
_BY_WORD: Mapping[str, Shape] = {  # of one that takes more than a kind can say; a word has one sense everywhere
    **dict.fromkeys(("each", "gaps", "service", "think"), TIMES),
    **dict.fromkeys(("means", "onward", "parts", "shares", "start", "states", "steps", "values"), LIST),
    "backoff": BACKOFFS,
    "failure": FAILURE,
    "min": FROM_0,
    "rate": RATE,
}
_TEXTS = (str, str | None, str | int | None)


def parameters(factory: Callable[..., Any], more: Mapping[str, Shape] | None = None) -> Shape:
    """The table of a factory's parameters, those without a default required."""
    signature = {key: value for key, value in inspect.signature(factory).parameters.items() if key != "folder"}
    shapes = {key: _parameter(key, value.annotation) for key, value in signature.items()}
    needed = [key for key, value in signature.items() if value.default is value.empty]
    return table({**(more or {}), **shapes}, [*(more or {}), *needed])


def _parameter(name: str, annotation: object) -> Shape:
    if name in _BY_WORD:
        return _BY_WORD[name]
    return TEXT if annotation in _TEXTS else _BY_KIND.get(annotation, ANY)


def named(factories: Mapping[str, Callable[..., Any]]) -> Shape:
    """What ``grammar`` reads: text that begins with a name, or a table that holds one; texts to begin with come first."""
    text = {"type": "string", "pattern": rf"^\s*({'|'.join(factories)})(\s|$)"}
    by_name = table({name: parameters(factory) for name, factory in factories.items()})
    examples = [text for name, factory in factories.items() for text in _examples(name, factory, factories)]
    return either(one_of(examples), text, {**by_name, "minProperties": 1, "maxProperties": 1})


def _examples(name: str, factory: Callable[..., Any], factories: Mapping[str, Callable[..., Any]]) -> Iterator[str]:
    """``lognormal mean=30ms cv=1``, if something can be shown for all that it needs and the reader takes it."""
    shape = parameters(factory)
    left = {key: iter(values) for key, values in _SHOWN.items()}
    values = {key: next(left.get(str(shape["properties"][key]), iter(())), "") for key in shape["required"]}
    text = " ".join([name, *(values.values() if len(values) == 1 else (f"{key}={value}" for key, value in values.items()))])
    if all(values.values()):
        with suppress(SimbusError):
            parse(text, factories, name)
            yield text


_SHOWN = {  # values to begin with, by the shape of what takes them
    str(TIME): ("30ms", "10s"),
    str(RATE): ("20/s",),
    str(SIZE): ("2kB", "1MB"),
    str(SHARE): ("50%",),
    str(NUMBER): ("1", "2"),
    str(COUNT): ("10",),
    str(TIMES): ("'exponential 50ms'",),
}
