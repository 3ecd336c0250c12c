"""A scenario file and those that it includes, put together to one document.

    include = ["topology.toml", "load/christmas.toml"]

Included files have the same keys, and their names are relative to the scenario's folder, which they do not leave, by no ``..``
and no link. What the file itself says stands above what it includes, and a later file above an earlier one: tables of the same
entity are put together key by key, the value of a key is taken as a whole, and lists of bindings and expectations are
joined. A file that is named again is read once.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simbus.errors import ScenarioError, Spot
from simbus.simulation.files.finding import located
from simbus.simulation.files.places import Node, Source, tree

_JOINED = ("bindings", "expect")
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_DEPTH = 2  # tables of tables, such as [consumers.charge]; what is in them is taken as a whole
_REMEDY = "texts stand in quotes, sections in [brackets]"
_EXAMPLE = 'write for example include = ["topology.toml"]'


@dataclass
class Loaded:
    """What files say: the document, the places of its keys, and the texts by the names of their files."""

    document: dict[str, Any]
    root: Node
    texts: dict[str, str]


def load(path: Path, name: str) -> Loaded:
    """What a file and all that it includes say.

    Args:
        path: of the file.
        name: what errors call it.

    Raises:
        ScenarioError: a file cannot be read, is not TOML, or is included where it must not be; names it, with line and column.
    """
    loading = _Loading(path.absolute().parent.resolve(), Path(name).parent)
    root = loading.read(path, name, ())
    loading.root.source = root.source
    return Loaded(loading.document, loading.root, loading.texts)


class _Loading:
    """Files on their way to one document; ``folder`` is the scenario's, and ``shown`` what errors call it."""

    def __init__(self, folder: Path, shown: Path) -> None:
        self._folder, self._shown = folder, shown
        self._seen: set[Path] = set()
        self.document: dict[str, Any] = {}
        self.root = Node(Source("", ""))
        self.texts: dict[str, str] = {}

    def read(self, path: Path, name: str, above: tuple[Path, ...]) -> Node:
        """Put a file over what it includes, and both over what was read before; the places of its own keys."""
        document, root = _parsed(_text(path, name), name)
        self.texts[name] = root.source.text
        self._seen.add(path.resolve())
        try:
            for place, include in self._includes(document.pop("include", [])):
                target = self._target(place, include)
                _check_cycle(place, target, (*above, path.resolve()))
                if target not in self._seen:
                    self.read(target, str(self._shown / include), (*above, path.resolve()))
        except ScenarioError as error:
            raise located(error, root) from None
        _put_over(self.document, document, self.root, root, _DEPTH)
        return root

    def _includes(self, names: object) -> Iterator[tuple[str, str]]:
        if not isinstance(names, list):
            raise ScenarioError("include", f"{names!r} is not a list of files; {_EXAMPLE}")
        for number, name in enumerate(names):
            if not isinstance(name, str) or not name or not name.isprintable():
                raise ScenarioError(f"include[{number}]", f"{name!r} is not the name of a file; {_EXAMPLE}")
            yield f"include[{number}]", name

    def _target(self, place: str, name: str) -> Path:
        """The file that is meant, which has to be in the scenario's folder, whatever links lead there."""
        target = (self._folder / name).resolve()
        if Path(name).is_absolute() or not target.is_relative_to(self._folder):
            raise ScenarioError(place, f"{name!r} leads out of the scenario's folder; copy the file into it")
        if not target.is_file():
            raise ScenarioError(place, f"{name!r} is no file beside the scenario; looked for {target}")
        return target


def _text(file: Path, name: str) -> str:
    try:
        return file.read_text("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ScenarioError("", f"there is no such file; looked for {file.absolute()}", name) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ScenarioError("", f"cannot be read: {reason}; name a TOML file", name) from None


def _parsed(text: str, name: str) -> tuple[dict[str, Any], Node]:
    try:
        return tomllib.loads(text), tree(Source(name, text))
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError("", f"is not TOML: {_AT.sub('', str(error))}; {_REMEDY}", name, _spot(text, str(error))) from None
    except RecursionError:
        raise ScenarioError("", f"is not TOML: brackets are nested too deeply; {_REMEDY}", name) from None


def _spot(text: str, problem: str) -> Spot:
    """Where the parser gave up; it says so in words only."""
    said, lines = _AT.search(problem), text.split("\n")
    line, column = (int(said[1]), int(said[2])) if said and said[1] else (len(lines), len(lines[-1]) + 1)
    return Spot(line, column, 1, lines[line - 1])


def _check_cycle(place: str, target: Path, above: tuple[Path, ...]) -> None:
    if target in above:
        way = " → ".join(path.name for path in (*above[above.index(target) :], target))
        raise ScenarioError(place, f"goes round: {way}; leave one of them out")


def _put_over(below: dict[str, Any], above: dict[str, Any], under: Node, over: Node, depth: int) -> None:
    """Change ``below``, and the places ``under`` it, to what they are with ``above`` on top."""
    for key, value in above.items():
        old, place = below.get(key), over.children[key]
        if depth and isinstance(old, dict) and isinstance(value, dict):
            under.children[key].key = place.key
            _put_over(old, value, under.children[key], place, 0 if key == "run" else depth - 1)
        elif depth == _DEPTH and key in _JOINED and isinstance(old, list) and isinstance(value, list):
            for number in range(len(value)):
                under.children[key].children[len(old) + number] = place.children[number]
            below[key] = [*old, *value]
        else:
            below[key], under.children[key] = value, place
