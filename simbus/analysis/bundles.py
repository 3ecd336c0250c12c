"""Several results in one file, with what is said of them: a sweep, or what was tried on the way to an answer.

The file is a ZIP archive: ``about.json`` says of which form and version it is and all that is no result; ``0.npz``, ``1.npz``
and so on are the results, each as ``saved`` writes one. Nothing is pickled. Who saves them knows what there is to say.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from zipfile import ZipFile, ZipInfo

from pydantic import ConfigDict, TypeAdapter

from simbus.analysis.findings import versions
from simbus.analysis.saved import VERSION, Found, check_size, check_version, packed, refusing, unpacked, write

Made = TypeVar("Made")
_ABOUT = "about.json"


@dataclass(frozen=True, kw_only=True)
class About:
    """What stands in ``about.json``; ``said`` is what the kind of bundle has to say."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="constants")

    format: str
    said: dict[str, Any]
    version: int = VERSION
    versions: dict[str, str] = field(default_factory=versions)


_FORM = TypeAdapter(About)


def save(path: str | os.PathLike[str], kind: str, said: Mapping[str, Any], results: Sequence[Found]) -> Path:
    """Write results, and what is to be said of them, to a file, which is replaced once all is written; the file's path.

    Raises:
        ScenarioError: the file cannot be written.
    """
    content = BytesIO()
    about = About(format=f"simbus {kind}", said={name: plain(value) for name, value in said.items()})
    with ZipFile(content, "w") as archive:
        archive.writestr(ZipInfo(_ABOUT), _FORM.dump_json(about))
        for place, result in enumerate(results):
            archive.writestr(ZipInfo(_member(place)), packed(result))
    return write(Path(path), content.getvalue())


def load(
    path: str | os.PathLike[str], kind: str, of: Callable[..., Found], made: Callable[[dict[str, Any], list[Found]], Made]
) -> Made:
    """What :func:`save` wrote.

    Args:
        path: of the file.
        kind: what it has to be.
        of: what to make of a result.
        made: what to make of what is said, and of all results.

    Raises:
        ScenarioError: it cannot be read, is damaged, of another kind or of a newer version; nothing in it is executed.
    """
    with refusing(path, kind), Path(path).open("rb") as file, ZipFile(file) as archive:
        check_size(archive)
        about = archive.read(_ABOUT)
        check_version(about, f"simbus {kind}")
        results = [unpacked(BytesIO(archive.read(_member(place))), of) for place in range(len(archive.namelist()) - 1)]
        return made(_FORM.validate_json(about).said, results)


def _member(place: int) -> str:
    return f"{place}.npz"


def plain(value: Any) -> Any:
    """A value as JSON can say it; what was built, such as a distribution, becomes its text."""
    if hasattr(value, "tolist"):  # an array, or one number of it
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
