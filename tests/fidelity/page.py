"""The page's template, and what is put into it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from tests.differential.__main__ import RUNS
from tests.differential.transcripts import Transcript, all_transcripts
from tests.differential.worlds import RELEASES
from tests.fidelity.limits import DIFFERENT, NOT_MODELLED
from tests.management.comparison import DIFFERENCES
from tests.mutants import all_mutants
from tests.mutation import RESULTS
from tests.versions import Row, rows

FOLDER = Path(__file__).resolve().parent
RECORDED = FOLDER.parent / "management" / "recorded"
PAGE = FOLDER.parent.parent / "docs" / "fidelity.md"


class Behaviour(NamedTuple):
    """A sentence, and the releases that it was recorded from."""

    sentence: str
    releases: list[str]


def rendered() -> str:
    """The whole page."""
    environment = Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - Markdown
    template = environment.from_string((FOLDER / "page.md.j2").read_text("utf-8"))
    transcripts = all_transcripts()
    return template.render(
        transcripts=transcripts,
        by_area=_by_area(transcripts),
        version_rows=list(_version_rows()),
        different=DIFFERENT,
        not_modelled=NOT_MODELLED,
        suites=_stored("client_suites.json"),
        runs=_runs(),
        requests=_requests(),
        statistics=sorted({difference.reason for difference in DIFFERENCES}),
        mutants=all_mutants(),
        mutation=json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else None,
    )


def _runs() -> list[dict[str, Any]]:
    """The long runs that were recorded, a line each."""
    return [json.loads(line) for line in RUNS.read_text("utf-8").splitlines()] if RUNS.exists() else []


def _requests() -> int:
    """How many requests to the management API of a real RabbitMQ were recorded, of all versions."""
    return sum(len(json.loads(path.read_text("utf-8"))) for path in RECORDED.glob("*/*.json"))


def _stored(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def _by_area(transcripts: list[Transcript]) -> dict[str, list[Behaviour]]:
    areas: dict[str, list[Behaviour]] = {}
    for transcript in transcripts:
        releases = [RELEASES[version] for version in transcript.versions if transcript.observed(version) is not None]
        areas.setdefault(transcript.path.parent.name, []).append(Behaviour(_cell(transcript.behaviour), releases))
    return areas


def _version_rows() -> Iterator[Row]:
    """The rows of the table of versions, as they are shown."""
    for row in rows():
        v4_0, v3_10 = map(_shown, _apart(row.v4_0, row.v3_10))
        yield Row(row.name, _cell(row.meaning), v4_0, v3_10)


def _apart(one: Any, other: Any) -> tuple[Any, Any]:
    """Both values; of collections only what the other has not."""
    if isinstance(one, Mapping):
        keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
        pairs = {key: _apart(one.get(key, ()), other.get(key, ())) for key in keys}
        return {key: pair[0] for key, pair in pairs.items()}, {key: pair[1] for key, pair in pairs.items()}
    if isinstance(one, tuple | frozenset):
        return sorted(set(one) - set(other)), sorted(set(other) - set(one))
    return one, other


def _shown(value: object) -> str:
    """A value for people: yes and no, none, code for text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_shown(item)}" for key, item in value.items() if item not in ((), [])) or "none"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "no others"
    return _cell(f"`{value}`" if isinstance(value, str) else str(value or "none"))


def _cell(text: str) -> str:
    """What cannot end a table's cell."""
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")
