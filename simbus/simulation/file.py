"""Scenario files: TOML in, a :class:`~simbus.simulation.scenario.Scenario` out.

Only the shape of the file is known here: its sections and the mistakes that TOML invites. What the values mean
and which of them can be is the business of ``scenario``. Every error names the file, the place and the remedy, in one line.
"""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any

from simbus.dialect import DEFAULT
from simbus.errors import ScenarioError
from simbus.simulation.model.specs import dotted
from simbus.simulation.model.words import unknown
from simbus.simulation.scenario import SECTIONS, Scenario

_KEYS = (
    "name",
    "question",
    "answer",
    "dialect",
    "version",
    "definitions",
    "run",
    "expect",
    "exchanges",
    "queues",
    "bindings",
    "publishers",
    "consumers",
    "networks",
    "outages",
)
_TEXTS = (  # with what stands for them, and an example
    ("question", "", "How long is a reader out of date?"),
    ("answer", "", "Half a second at most, for 99 of 100 messages."),
    ("dialect", DEFAULT, ""),
    ("version", "", "3.10"),
)
_TABLES = {  # keys of an entity whose value may be a table
    *("arguments", "arrivals", "service", "failure", "retry", "mtbf", "mttr", "latency"),
    *("acknowledge", "batch", "shifts", "autoscale", "deduplication", "classes"),
    *("routing_key", "size", "expiration", "headers", "messages", "confirms"),
}


def read_scenario(path: str | PathLike[str]) -> Scenario:
    """The scenario in a TOML file; files that it names are looked up beside it.

    That its names fit together is checked too; whether a run of it would end is not, because ``simulate`` may
    be given a duration.

    Raises:
        ScenarioError: the file cannot be read, or what it says cannot be; names the file, the place and the remedy.
    """
    file = Path(path)
    try:
        text = _read(file)
        scenario = _scenario(_parse(text), file.parent)
        scenario.validate(run=False)
    except ScenarioError as error:
        raise error.within(str(path)) from None
    scenario.text = text
    return scenario


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ScenarioError("", f"there is no such file; looked for {file.absolute()}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ScenarioError("", f"cannot be read: {reason}; name a TOML file") from None


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError("", f"is not TOML: {error}; texts stand in quotes, sections in [brackets]") from None


def _scenario(document: Mapping[str, Any], folder: Path) -> Scenario:
    for key in document:
        if key not in _KEYS:
            raise ScenarioError(key if key.isidentifier() else "", unknown("key", key, _KEYS))
    if "name" not in document:
        raise ScenarioError("name", 'is missing; write name = "Bookstore" at the top')
    texts = {key: _optional(document, key, default, example) for key, default, example in _TEXTS}
    scenario = Scenario(document["name"], **texts, run=_table(document, "run"), folder=folder)
    if "definitions" in document:
        scenario.definitions(_text(document["definitions"], "definitions"))
    for section in SECTIONS:
        for name, table in _table(document, section).items():
            _check_quotes(section, name, table)
            scenario.declare(section, name, table)
    for binding in _list(document, "bindings", "write [[bindings]] with queue and exchange below"):
        scenario.bind_table(binding)
    for text in _list(document, "expect", 'write expect = ["payments.wait.p99 < 5s"]'):
        scenario.expect(text)
    return scenario


def _optional(document: Mapping[str, Any], key: str, default: str, example: str) -> str:
    value = document.get(key, default)
    if not isinstance(value, str):
        raise ScenarioError(key, f'{value!r} is not text; write for example "{example or default}"')
    return value


def _table(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        example = 'run = { duration = "4h", seed = 1 }' if key == "run" else f"[{key}.name] and its keys below"
        raise ScenarioError(key, f"{value!r} is not a table; write {example}")
    return value


def _list(document: Mapping[str, Any], key: str, remedy: str) -> list[Any]:
    value = document.get(key, [])
    if not isinstance(value, list):
        raise ScenarioError(key, f"{value!r} is not a list; {remedy}")
    return value


def _text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise ScenarioError(at, f'{value!r} is not the name of a file; write for example "bookstore.definitions.json"')
    return value


def _check_quotes(section: str, name: str, table: object) -> None:
    """Refuse ``[queues.a.queue.with.dots]``: without quotes TOML takes it for tables inside tables."""
    tail = list(_nested(table))
    if tail and not get_close_matches(tail[0], _TABLES):  # a misspelt key is better refused as such, with the right one
        whole = ".".join([name, *tail])
        remedy = f"a name with dots must be quoted, or TOML nests it; write [{dotted(section, whole)}]"
        raise ScenarioError(dotted(section, name, *tail), remedy)


def _nested(table: object) -> Iterator[str]:
    """The keys that lead to the innermost table, past those that an entity may have."""
    inner = {key: value for key, value in table.items() if key not in _TABLES} if isinstance(table, dict) else {}
    for key, value in inner.items():
        if isinstance(value, dict):
            yield key
            yield from _nested(value)
            return
