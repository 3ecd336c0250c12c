"""The parts of a scenario as a document, which ``writing`` renders: what a file in a certain folder would say.

Which parts there are is known to ``scenario``. What was given is written as it was given, so that a text stays the text that
its author chose; that it reads back as the same part is made sure of.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from simbus.dialect import Topology
from simbus.errors import ScenarioError
from simbus.simulation.files.writing import plain
from simbus.simulation.model.parts import dotted, read

_NAMED = ("exchanges", "queues")


def of_topology(declared: Topology, imported: Sequence[tuple[object, Topology]]) -> dict[str, Any]:
    """What is declared beside the one file of definitions, if that can stay as it is, or else everything.

    Args:
        declared: all of it.
        imported: definitions as a file says them, or their content, and what each of them declares.

    Raises:
        ScenarioError: part of it only a file of definitions can say, and there is none.
    """
    found = {key: plain(getattr(declared, key), key) for key in (*_NAMED, "bindings")}
    if not imported:
        return found
    [(source, added), *more] = imported
    file = source.get("file") if isinstance(source, Mapping) else source
    if isinstance(file, str | PathLike) and not more and not _changed(declared, added):
        left = {key: {name: options for name, options in found[key].items() if name not in getattr(added, key)} for key in _NAMED}
        return {
            "definitions": {**source, "file": str(file)} if isinstance(source, Mapping) else str(file),
            **left,
            "bindings": [each for each in found["bindings"] if each not in added.bindings],
        }
    if declared.policies or any("to_exchange" in binding for binding in declared.bindings):
        problem = "hold policies or bindings between exchanges, which only a file of definitions can say; read one such file"
        raise ScenarioError("definitions", problem)
    return found


def _changed(declared: Topology, added: Topology) -> bool:
    """Whether anything is not as the definitions said."""
    return any(getattr(declared, key)[name] != options for key in _NAMED for name, options in getattr(added, key).items())


def of_parts(
    section: str,
    model: type[BaseModel],
    parts: Mapping[str, BaseModel],
    tables: Mapping[str, Any],
    folder: Path | None,
    *,
    check: bool = True,
) -> dict[str, Any]:
    """Publishers, consumers and their like, by name.

    Args:
        section: where they stand.
        model: what reads them.
        parts: as they were read, by name.
        tables: as they were given, by place.
        folder: of the file that would say so, where files that it names have to be.
        check: whether to make sure that it reads back, which reads such files again.

    Raises:
        ScenarioError: one is code, has no words, or would read back as something else; names the place.
    """
    found = {}
    for name, part in parts.items():
        at = dotted(section, name)
        found[name] = plain(tables[at], at)
        if check and read(model, at, {"name": name, **found[name]}, folder) != part:
            raise ScenarioError(at, "would read back as something else; give text or tables in place of objects of your own")
    return found
