"""Saved results: what replications left behind and what made them, in one file that can be loaded anywhere.

The file is a compressed NumPy archive with three members, and no pickle is ever written or read:

- ``about``: JSON in UTF-8, with the form of :class:`About`;
- ``values``: float64, a row for each replication and a column for each of ``about.values``; nan where it has none;
- ``curves``: float64, one curve after the other: those of the first path of ``about.curves`` in the order of replications, then
  those of the next. Beside each path stand their lengths, -1 where a replication has none.

Whoever changes this raises ``VERSION``, and goes on reading the older ones.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter

from simbus.analysis.chart import Chart
from simbus.analysis.exact import Exact
from simbus.analysis.expectations import parse
from simbus.analysis.findings import Findings, Offered, Settings
from simbus.analysis.replication import Replication
from simbus.errors import ScenarioError

Found = TypeVar("Found", bound=Findings)
Floats = NDArray[np.float64]
VERSION = 2
_FORMAT = "simbus result"
_LARGEST = 2**30  # octets of a file that is unpacked: more than ten thousand replications of a large scenario
_MEMBERS = ("about", "values", "curves")


@dataclass(frozen=True, kw_only=True)
class About:
    """All of a result but its numbers; names as in :class:`~simbus.analysis.findings.Findings`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="constants")

    scenario: str
    settings: Settings
    queues: tuple[str, ...]
    consumers: tuple[str, ...]
    text: str
    exact: tuple[Exact, ...]
    offered: tuple[Offered, ...]
    parties: dict[str, tuple[str, ...]]
    versions: dict[str, str]
    classes: tuple[str, ...]
    question: str
    answer: str
    delays: dict[str, tuple[str, ...]]
    chart: Chart
    outages: dict[str, tuple[str, ...]]
    inexact: dict[str, str] = field(default_factory=dict)  # from version 2 on

    expectations: tuple[str, ...]
    indices: tuple[int, ...]
    trace_hashes: tuple[str, ...]
    controls: tuple[dict[str, tuple[float, float]], ...]
    values: tuple[str, ...]
    curves: tuple[tuple[str, tuple[int, ...]], ...]
    format: str = _FORMAT
    version: int = VERSION


_ABOUT = TypeAdapter(About)
_ALIKE = [each.name for each in fields(About) if each.name in Findings.__dataclass_fields__ and each.name != "expectations"]


def save(found: Findings, path: str | os.PathLike[str]) -> Path:
    """Write a result to a file, which it replaces once all is written; the file's path.

    Raises:
        ScenarioError: the file cannot be written.
    """
    return write(Path(path), packed(found))


def packed(found: Findings) -> bytes:
    """What stands in such a file."""
    runs = found.replications
    values, curves = _paths(run.values for run in runs), _paths(run.curves for run in runs)
    about = About(
        **{name: getattr(found, name) for name in _ALIKE},
        expectations=tuple(each.text for each in found.expectations),
        indices=tuple(run.index for run in runs),
        trace_hashes=tuple(run.trace_hash for run in runs),
        controls=tuple(run.controls for run in runs),
        values=values,
        curves=tuple((each, tuple(len(run.curves[each]) if each in run.curves else -1 for run in runs)) for each in curves),
    )
    numbers = np.array([[run.values.get(each, np.nan) for each in values] for run in runs], dtype=np.float64)
    strung = [run.curves[each] for each in curves for run in runs if each in run.curves]
    archive = BytesIO()
    np.savez_compressed(
        archive,
        about=np.frombuffer(_ABOUT.dump_json(about), dtype=np.uint8),
        values=numbers.reshape(len(runs), len(values)),
        curves=np.concatenate([np.empty(0), *strung]),
    )
    return archive.getvalue()


def load(path: str | os.PathLike[str], kind: Callable[..., Found]) -> Found:
    """The result in a file that :func:`save` wrote.

    Args:
        path: of the file.
        kind: what to make of it: a kind of :class:`~simbus.analysis.findings.Findings`.

    Raises:
        ScenarioError: it cannot be read, is damaged, no saved result, or of a newer version; nothing in it is executed.
    """
    with refusing(path), Path(path).open("rb") as file:
        return unpacked(file, kind)


def unpacked(file: BinaryIO, kind: Callable[..., Found]) -> Found:
    """The same from an open file; of one that is spoilt, errors of all kinds."""
    members = _members(file)
    check_version(bytes(members["about"]), _FORMAT)
    about = _ABOUT.validate_json(bytes(members["about"]))
    return kind(
        **{name: getattr(about, name) for name in _ALIKE},
        replications=tuple(_replications(about, members["values"], members["curves"])),
        expectations=tuple(parse(text, about.queues, about.consumers, about.classes) for text in about.expectations),
    )


@contextmanager
def refusing(path: str | os.PathLike[str], what: str = "result") -> Iterator[None]:
    """Whatever a damaged or foreign file may lead to, in one line."""
    try:
        yield
    except ScenarioError as error:
        raise error.within(str(path)) from None
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error}); name a file that {what}.save() wrote"
        raise ScenarioError("", problem, str(path)) from None
    except Exception as error:  # noqa: BLE001 - of a file that is spoilt, the libraries that read it raise all kinds
        problem = f"is damaged, or no saved {what} ({_first_line(error)}); save it again"
        raise ScenarioError("", problem, str(path)) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _members(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """The arrays in the archive; ValueError when they are others, or too large to be meant."""
    with ZipFile(file) as archive:
        names = archive.namelist()
        check_size(archive)
    if sorted(names) != sorted(f"{name}.npy" for name in _MEMBERS):
        raise ValueError("other members than about, values and curves; Sweep.load and the like read several results")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in _MEMBERS}
    if [found[name].dtype.str for name in _MEMBERS] != ["|u1", "<f8", "<f8"]:
        raise ValueError("members of another kind")
    return found


def check_size(archive: ZipFile) -> None:
    """ValueError when there is more in it than can be meant."""
    size = sum(each.file_size for each in archive.infolist())
    if size > _LARGEST:
        raise ValueError(f"{size:,} octets when unpacked, of at most {_LARGEST:,}")


def check_version(about: bytes, form: str) -> None:
    """That a file says that it is of this form, in a version that is known here."""
    known: dict[str, Any] = TypeAdapter(dict[str, Any]).validate_json(about)
    if known.get("format") != form or not isinstance(known.get("version"), int):
        raise ValueError(f"it does not say {form!r}")
    if known["version"] > VERSION:
        wrote = known.get("versions", {}).get("simbus", "a newer one")
        problem = f"has version {known['version']} of the format, and simbus here reads up to {VERSION}"
        raise ScenarioError("", f"{problem}; install simbus {wrote}, which wrote it, or newer")


def _replications(about: About, values: NDArray[Any], curves: NDArray[Any]) -> Iterator[Replication]:
    runs = len(about.indices)
    if values.shape != (runs, len(about.values)):
        raise ValueError("not as many numbers as it says")
    bundles = _unstrung(about, curves)
    rows = zip(about.indices, values.tolist(), about.trace_hashes, about.controls, strict=True)
    for place, (index, row, trace_hash, controls) in enumerate(rows):
        yield Replication(index, dict(zip(about.values, row, strict=True)), bundles[place], trace_hash, controls)


def _unstrung(about: About, curves: NDArray[Any]) -> list[dict[str, Floats]]:
    """The curves of each replication by path."""
    bundles: list[dict[str, Floats]] = [{} for _ in about.indices]
    begin = 0
    for path, lengths in about.curves:
        for bundle, length in zip(bundles, lengths, strict=True):
            if length >= 0:
                bundle[path] = curves[begin : begin + length]
                begin += length
    if curves.shape != (begin,):
        raise ValueError("not as many points of curves as it says")
    return bundles


def _paths(tables: Iterator[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for table in tables for path in table))


def write(path: Path, content: bytes) -> Path:
    """All of it or nothing: a file that is there already stays until its successor is whole."""
    if path.is_dir():
        raise ScenarioError("", "is a folder; name a file in it, such as shop.npz", str(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ScenarioError("", f"cannot be written ({error.strerror}); name another file", str(path)) from None
    return path
