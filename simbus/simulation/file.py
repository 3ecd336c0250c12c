"""Scenario files: TOML in, a :class:`~simbus.simulation.scenario.Scenario` out.

Only the shape of the file is known here: its sections and the mistakes that TOML invites. What the values mean
and which of them can be is the business of ``scenario``. Every error names the file, the place and the remedy, in one line.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any

from simbus.dialect import DEFAULT
from simbus.errors import ScenarioError
from simbus.simulation.files.finding import located
from simbus.simulation.files.loading import load
from simbus.simulation.files.settings import parse_setting
from simbus.simulation.model.mistakes import Mistakes
from simbus.simulation.model.specs import dotted
from simbus.simulation.model.words import unknown
from simbus.simulation.scenario import SECTIONS, Scenario

KEYS = (
    "name",
    "question",
    "answer",
    "include",
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
_TEXTS = {  # with an example
    "question": "How long is a reader out of date?",
    "answer": "Half a second at most, for 99 of 100 messages.",
    "dialect": DEFAULT,
    "version": "3.10",
}
_CODE = {"consumers": ("handler", "service"), "publishers": ("source", "arrivals")}  # and what a file has instead
_OF_DEFINITIONS: dict[str, tuple[type, str]] = {
    "file": (str, 'the name of a file; write for example "bookstore.definitions.json"'),
    "vhost": (str, 'the name of a virtual host; write for example "/"'),
    "without": (list, 'a list of what to leave out; write for example ["queues.events"]'),
}
_BY_DIALECT = ("exchanges", "queues")
_QUOTED = re.compile(r"'([^']+)'")
_OF_PARTIES = ("unknown publisher", "unknown group", "unknown class", "unknown metric")
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
        ScenarioError: the file cannot be read, or what it says cannot be; names the file, the line, the place and the remedy.
            Its ``mistakes`` are all that could be found.
    """
    loaded = load(Path(path), str(path))
    try:
        scenario = _scenario(loaded.document, Path(path).parent)
    except ScenarioError as error:
        raise located(error, loaded.root) from None
    scenario.written(_as_written(loaded.texts))
    return scenario


def _as_written(texts: Mapping[str, str]) -> str:
    """One text as it is; of several, each below its name."""
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "\n".join(f"# {name}\n\n{text}" for name, text in texts.items())


def with_setting(scenario: Scenario, text: str) -> Scenario:
    """A copy in which one value is another, as the command line says it: ``consumers.charge.count=8``.

    Raises:
        ScenarioError: there is no such path, or the value cannot be; names the path that is nearest.
    """
    path, value = parse_setting(text)
    changed = scenario.with_(path, value)
    changed.written(f"# With {path} = {value!r}\n\n{changed.text or scenario.text}")
    return changed


def with_place(error: ScenarioError, path: str | PathLike[str]) -> ScenarioError:
    """An error about a scenario that was read from a file, with file, line and column."""
    return located(error, load(Path(path), str(path)).root)


def _scenario(document: Mapping[str, Any], folder: Path) -> Scenario:
    """What a document says; all mistakes that can be found are told together."""
    mistakes = Mistakes()
    scenario = _begun(document, folder, mistakes)
    for section in SECTIONS:
        with mistakes.noted():
            for name, table in _table(document, section).items():
                _declare(scenario, section, name, table, mistakes)
    with mistakes.noted():
        for binding in _list(document, "bindings", "write [[bindings]] with queue and exchange below"):
            with mistakes.noted():
                scenario.bind_table(binding)
    with mistakes.noted():
        for text in _list(document, "expect", 'write expect = ["payments.wait.p99 < 5s"]'):
            with mistakes.noted():
                scenario.expect(text)
    _check_names(scenario, mistakes)
    mistakes.told()
    return scenario


def _begun(document: Mapping[str, Any], folder: Path, mistakes: Mistakes) -> Scenario:
    """A scenario with what stands at the top; what of that cannot be is left out, so that more mistakes can be looked for."""
    for key in document:
        if key not in KEYS:
            mistakes.found.append(ScenarioError(key if key.isidentifier() else "", unknown("key", key, KEYS)))
    if "name" not in document and not mistakes.found:
        mistakes.found.append(ScenarioError("name", 'is missing; write name = "Bookstore" at the top'))
    sound: dict[str, Any] = {"name": "no name", "folder": folder}
    for key in ("name", *_TEXTS, "run"):
        with mistakes.noted():
            given = {key: _at_the_top(document, key)} if key in document else {}
            Scenario(**sound | given)
            sound |= given
    scenario = Scenario(**sound)
    with mistakes.noted():
        if "definitions" in document:
            scenario.definitions(**_definitions(document["definitions"]))
    return scenario


def _declare(scenario: Scenario, section: str, name: str, table: object, mistakes: Mistakes) -> None:
    """Add an entity; what cannot be of an exchange or a queue is left out, so that others may refer to it."""
    try:
        _check_code(section, name, table)
        _check_quotes(section, name, table)
        scenario.declare(section, name, table)
    except ScenarioError as error:
        mistakes.found += error.mistakes
        rest = _without(table, error.problem) if section in _BY_DIALECT and isinstance(table, dict) else None
        if rest is not None:
            _declare(scenario, section, name, rest, mistakes)


def _without(table: dict[str, Any], problem: str) -> dict[str, Any] | None:
    """A table without the key that a dialect complains of; None when there is none."""
    words = [problem.partition(":")[0], *_QUOTED.findall(problem)]
    wrong = [key for key, value in table.items() if key in words or value in words]
    return {key: value for key, value in table.items() if key != wrong[0]} if wrong else None


def _check_names(scenario: Scenario, mistakes: Mistakes) -> None:
    """Look whether names fit together, except for parties, of which some may be missing because of what they say."""
    lost = any(mistake.place.startswith(("publishers", "consumers", "queues")) for mistake in mistakes.found)
    with mistakes.noted():
        try:
            scenario.validate(run=False)
        except ScenarioError as error:
            found = [each for each in error.mistakes if not (lost and each.problem.startswith(_OF_PARTIES))]
            if found:
                raise ScenarioError.of(found) from None


def _at_the_top(document: Mapping[str, Any], key: str) -> object:
    if key == "run":
        return _table(document, key)
    value = document[key]
    if key in _TEXTS and not isinstance(value, str):
        raise ScenarioError(key, f'{value!r} is not text; write for example "{_TEXTS[key]}"')
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


def _definitions(value: object) -> dict[str, Any]:
    """A file's name, or a table of what ``Scenario.definitions`` takes, whose source is called ``file``."""
    table = value if isinstance(value, dict) else {"file": value}
    for key in table:
        if key not in _OF_DEFINITIONS:
            raise ScenarioError(f"definitions.{key}", unknown("key", key, _OF_DEFINITIONS))
    for key, (kind, example) in _OF_DEFINITIONS.items():
        if not isinstance(table.get(key, kind()), kind) or (key == "file" and key not in table):
            at = "definitions" if table is not value else f"definitions.{key}"
            raise ScenarioError(at, f"{table.get(key)!r} is not {example}")
    return {"source" if key == "file" else key: each for key, each in table.items()}


def _check_code(section: str, name: str, table: object) -> None:
    """Refuse what only Python can hold."""
    key, instead = _CODE.get(section, ("", ""))
    if key and isinstance(table, dict) and key in table:
        method = f'scenario.{section.removesuffix("s")}("{name}", {key}=...)'
        problem = f"is no key of a file, because it is code; write {instead} here, or {method} in Python"
        raise ScenarioError(dotted(section, name, key), problem)


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
