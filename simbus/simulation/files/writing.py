"""A document as TOML that people like to read: sections with headers, and what is in an entity on a line each.

What cannot stand in a file is refused here; which document a scenario is, ``scenario`` knows.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from pathlib import PurePath
from typing import Any

import tomlkit

from simbus.errors import ScenarioError
from simbus.units import Nanoseconds, duration, duration_text

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 100  # letters of a table on one line
_MOST = 10_000  # values of one list


def plain(value: object, at: str) -> Any:
    """A value as a file can say it: text, number, list or table; what was built becomes its text, None in a table is left out.

    Raises:
        ScenarioError: it is code, or another thing that has no words.
    """
    if isinstance(value, Nanoseconds | timedelta):
        return duration_text(duration(value))
    if isinstance(value, Mapping):
        return {str(key): plain(each, f"{at}.{key}") for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        _check_length(value, at)
        return [plain(each, at) for each in value]
    if isinstance(value, str | bool | int | float | date | time):
        return value
    if hasattr(value, "tolist"):  # an array, a Series or one number of theirs
        return plain(value.tolist(), at)
    return _text(value, at)


def _text(value: object, at: str) -> str:
    if callable(value) or hasattr(value, "function"):
        raise ScenarioError(
            at, f"{value} is code, which a file does not hold; give a distribution, or keep the scenario in Python"
        )
    if not isinstance(value, PurePath) and type(value).__str__ is object.__str__:
        raise ScenarioError(at, f"{value!r} has no text that a file could hold; give it as text or as a table")
    if not getattr(value, "source", ""):
        _check_length(getattr(value, "values", ()), at)
    return str(value)


def _check_length(values: Any, at: str) -> None:
    if len(values) > _MOST:
        problem = f"{len(values):,} values are more than people read in a file; write them to a CSV file, and name that"
        raise ScenarioError(at, problem)


def render(document: Mapping[str, Any]) -> str:
    """A document of plain values as TOML: first what stands at the top, then the sections."""
    top = {key: value for key, value in document.items() if not _is_section(key, value)}
    blocks = ["".join(_lines(top))]
    for section, value in document.items():
        if section not in top and isinstance(value, list):
            blocks += ["\n".join([f"[[{_key(section)}]]", *_pairs(table)]) + "\n" for table in value]
        elif section not in top:
            blocks += [block for name, table in value.items() for block in _entity([section, name], table)]
    return "\n".join(blocks)


def _is_section(key: str, value: object) -> bool:
    """Whether it stands below a header of its own: tables by name, and lists of tables."""
    if isinstance(value, Mapping):
        return key not in ("run", "definitions")
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{line}\n" for line in _pairs(table))


def _pairs(table: Mapping[str, Any]) -> list[str]:
    keys = [_key(key) for key in table]
    width = max(map(len, keys), default=0)
    return [f"{key:{width}} = {_value(value)}" for key, value in zip(keys, table.values(), strict=True)]


def _entity(steps: list[str], table: Mapping[str, Any]) -> Iterator[str]:
    """A table with its header, and after it those inside that would be too long for a line."""
    long = {key: value for key, value in table.items() if _is_tables(value) and len(_value(value)) > _LONGEST}
    rest = {key: value for key, value in table.items() if key not in long}
    if rest or not long:
        yield "".join([f"[{'.'.join(map(_key, steps))}]\n", *_lines(rest)])
    for key, value in long.items():
        for name, inner in value.items():
            yield from _entity([*steps, key, name], inner)


def _is_tables(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(each, Mapping) for each in value.values())


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else tomlkit.string(name).as_string()


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(tomlkit.item(value).as_string())
