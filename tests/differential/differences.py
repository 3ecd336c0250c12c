"""Two observations of one program beside each other."""

import json
from collections.abc import Sequence

from tests.differential.normalise import normal
from tests.differential.octets import Json
from tests.differential.play import Observed
from tests.differential.programs import line_of


def first_difference(one: Observed, other: Observed) -> int | None:
    """The first step at which they differ; one may have stopped there."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if normal(left) != normal(right):
            return at
    return None


def differences(steps: Sequence[Json], one: Observed, other: Observed, names: tuple[str, str]) -> str:
    """What happened until they differ, for people; nothing if they do not."""
    at = first_difference(one, other)
    if at is None:
        return ""
    lines = [f"  {line_of(step)}" for step in steps[: at + 1]]
    return "\n".join([*lines, *_told(names[0], one[at]), *_told(names[1], other[at])])


def _told(name: str, events: list[Json]) -> list[str]:
    return [f"    {name}:", *(f"      {json.dumps(event)}" for event in events or [{"silence": True}])]
