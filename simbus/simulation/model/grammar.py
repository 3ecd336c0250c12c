"""One grammar for text, tables and Python: ``"name value key=value"`` = ``{name = {key = value}}`` = ``name(value, key=value)``.

What names exist and what their values mean is in the tables that are handed in: the names map to
ordinary functions, whose signatures are the grammar's parameters. Nothing about any one name lives here.

In text, words are split as a shell splits them (quotes allowed, no escapes), values without a key go to the first
parameters, and what looks like a number becomes one. A parameter called ``folder`` is not the
user's: it receives the folder in which relative file names are looked up.
"""

import inspect
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.words import unknown

T = TypeVar("T")
_FOLDER = "folder"
_NUMBER = re.compile(r"[+-]?(\d[\d_]*(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_KEY = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


def parse(
    spec: object,
    table: Mapping[str, Callable[..., T]],
    place: str,
    base: Path | None = None,
    kind: type[Any] | None = None,
) -> T:
    """The object that ``spec`` describes, by the factory of that name in ``table``.

    Args:
        spec: text, a table with one name in it, or an object that is already built.
        table: the known names and their factories.
        place: where ``spec`` stands, for errors: ``consumers.charge.service``.
        base: the folder in which relative file names are looked up, by default the current one.
        kind: what an already built object must be an instance of (a class or a runtime protocol).

    Raises:
        ScenarioError: an unknown name or parameter, a missing or doubled one, or a value that the
            factory refuses. It names the place; a place inside is joined with a dot.
    """
    if isinstance(spec, str):
        name, values, named = _read_text(spec, place)
    elif isinstance(spec, Mapping):
        name, values, named = _read_table(spec, table, place)
    else:
        return cast(T, _already_built(spec, table, place, kind))
    if name not in table:
        raise ScenarioError(place, _nameless(spec, table) if name[:1].isdecimal() else unknown("name", name, table))
    arguments = _arguments(name, table[name], values, named, place)
    if _FOLDER in inspect.signature(table[name]).parameters:
        arguments[_FOLDER] = base
    return _build(table[name], arguments, place)


def _nameless(spec: object, table: Mapping[str, object]) -> str:
    """What is wrong with a bare ``30ms``."""
    first = next(iter(table))
    return f'{spec!r} has no name in front; write for example "{first} {spec}"; known: {", ".join(table)}'


def fill(name: str, factory: Callable[..., T], table: Mapping[Any, Any], place: str, base: Path | None = None) -> T:
    """What ``factory`` makes of a table of its parameters: ``{ size = 20, within = "100ms" }``; as :func:`parse`.

    Raises:
        ScenarioError: an unknown or missing parameter, or a value that the factory refuses; names the place.
    """
    arguments = _arguments(name, factory, [], {str(key): value for key, value in table.items()}, place)
    if _FOLDER in inspect.signature(factory).parameters:
        arguments[_FOLDER] = base
    return _build(factory, arguments, place)


def opened(spec: object, table: Mapping[str, Callable[..., Any]]) -> dict[str, dict[str, object]] | None:
    """Text, or what was built, as the table that says the same; None for what is not of that table."""
    text = spec if isinstance(spec, str) else str(spec)
    if not table or spec is None or text.split(" ", 1)[0] not in table:
        return None
    name, values, named = _read_text(text, "")
    return {name: {**dict(zip(_parameters(table[name]), values, strict=False)), **named}}


def _parameters(factory: Callable[..., object]) -> dict[str, inspect.Parameter]:
    return {key: value for key, value in inspect.signature(factory).parameters.items() if key != _FOLDER}


def _read_text(text: str, place: str) -> tuple[str, list[object], dict[str, object]]:
    words = _words(text, place)
    if not words:
        raise ScenarioError(place, 'is empty; write a name and its values, for example "exponential 30ms"')
    values: list[object] = []
    named: dict[str, object] = {}
    for word in words[1:]:
        pair = _KEY.fullmatch(word)
        if pair is None and named:
            raise ScenarioError(place, f"{word!r} comes after {list(named)[-1]}=; values without a key come first")
        if pair is None:
            values.append(_value(word))
        elif pair[1] in named:
            raise ScenarioError(place, f"{pair[1]} is given twice")
        else:
            named[pair[1]] = _value(pair[2])
    return words[0], values, named


def _words(text: str, place: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""  # a backslash belongs to a file's name
    try:
        return list(lexer)
    except ValueError as error:
        raise ScenarioError(place, f"{text!r} cannot be read ({error}); close the quote") from None


def _value(word: str) -> object:
    if not _NUMBER.fullmatch(word):
        return word
    digits = word.replace("_", "")
    return int(digits) if digits.lstrip("+-").isdecimal() else float(digits)


def _read_table(spec: Mapping[Any, Any], table: Mapping[str, object], place: str) -> tuple[str, list[object], dict[str, object]]:
    if len(spec) != 1:
        raise ScenarioError(place, f"a table holds one name and its values, not {len(spec)} names; known: {', '.join(table)}")
    [(name, named)] = spec.items()
    if not isinstance(named, Mapping):
        raise ScenarioError(place, f'{name} = {named!r} names no parameter; write "{name} {named}" or {{ {name} = {{ ... }} }}')
    return str(name), [], {str(key): value for key, value in named.items()}


def _already_built(spec: object, table: Mapping[str, object], place: str, kind: type[Any] | None) -> object:
    plain = spec is None or isinstance(spec, (bool, int, float, list, tuple, set, bytes)) or callable(spec)
    if plain or (kind is not None and not isinstance(spec, kind)):
        raise ScenarioError(place, f"{spec!r} is neither text, a table nor a built object; start with one of: {', '.join(table)}")
    return spec


def _arguments(
    name: str, factory: Callable[..., object], values: list[object], named: dict[str, object], place: str
) -> dict[str, object]:
    parameters = _parameters(factory)
    if len(values) > len(parameters):
        raise ScenarioError(place, f"{values[len(parameters)]!r} is one value too many; {name} takes {_list(parameters)}")
    arguments = dict(zip(parameters, values, strict=False))
    for key, value in named.items():
        if key not in parameters:
            raise ScenarioError(place, unknown("parameter", key, parameters))
        if key in arguments:
            raise ScenarioError(place, f"{key} is given twice, once without its key")
        arguments[key] = value
    missing = [key for key, value in parameters.items() if value.default is value.empty and key not in arguments]
    if missing:
        raise ScenarioError(place, f"{name} needs {_list(missing)}; write {name} {' '.join(f'{key}=...' for key in missing)}")
    return arguments


def _build(factory: Callable[..., T], arguments: dict[str, object], place: str) -> T:
    try:
        return factory(**arguments)
    except UnitError as error:
        raise ScenarioError(place, str(error)) from None
    except ScenarioError as error:
        if error.file:  # the fault is in a file that the scenario names
            raise ScenarioError(place, str(error)) from None
        raise ScenarioError(f"{place}.{error.place}", error.problem) from None


def _list(names: Mapping[str, object] | list[str]) -> str:
    return ", ".join(names) or "no values"
