"""Recorded truth: programs, with what real brokers were seen to answer, one a file.

    tests/transcripts/<area>/<name>.json
    {
     "behaviour": "a sentence about the domain",
     "program": [step, ...],
     "observed": {"4.0.5": [[event, ...] a step, ...], "3.10.8": [...]}
    }

Further keys: ``"only": "4.0"`` with ``"because"``, for what one version alone has; ``"pending": "reason"`` for what simbus
cannot do yet, or ``{"3.10": "reason"}`` if it can as the other version. That is a strict xfail: whoever makes it pass
deletes the key.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.differential.octets import Json
from tests.differential.programs import program
from tests.differential.worlds import RELEASES

FOLDER = Path(__file__).resolve().parent.parent / "transcripts"


@dataclass
class Transcript:
    """One file."""

    path: Path
    told: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Transcript":
        told = json.loads(path.read_text("utf-8"))
        told["program"] = program(told["program"])
        return cls(path, told)

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def behaviour(self) -> str:
        return str(self.told["behaviour"])

    @property
    def program(self) -> list[Json]:
        return list(self.told["program"])

    @property
    def versions(self) -> list[str]:
        """The versions that it speaks of."""
        return [self.told["only"]] if "only" in self.told else list(RELEASES)

    def pending(self, version: str) -> str | None:
        """Why simbus does not answer so yet."""
        pending = self.told.get("pending")
        return pending.get(version) if isinstance(pending, dict) else pending

    def observed(self, version: str) -> list[list[Json]] | None:
        """What was heard from the real one."""
        observed: list[list[Json]] | None = self.told.get("observed", {}).get(RELEASES[version])
        return observed

    def write(self) -> None:
        """Store it, a step or an event a line."""
        keys = [key for key in self.told if key not in ("program", "observed")]
        lines = ["{", *(f" {json.dumps(key)}: {json.dumps(self.told[key])}," for key in keys)]
        lines += [' "program": [', ",\n".join(f"  {json.dumps(step)}" for step in self.program), " ]" + self._comma()]
        if "observed" in self.told:
            lines += [' "observed": {', ",\n".join(map(self._release, sorted(self.told["observed"]))), " }"]
        self.path.write_text("\n".join([*lines, "}"]) + "\n", "utf-8")

    def _comma(self) -> str:
        return "," if "observed" in self.told else ""

    def _release(self, release: str) -> str:
        steps = self.told["observed"][release]
        return f"  {json.dumps(release)}: [\n" + ",\n".join(map(_events, steps)) + "\n  ]"


def _events(events: list[Json]) -> str:
    if not events:
        return "   []"
    return "   [\n" + ",\n".join(f"    {json.dumps(event)}" for event in events) + "\n   ]"


def all_transcripts() -> list[Transcript]:
    """Those of the repository, in the order of their names."""
    return [Transcript.read(path) for path in sorted(FOLDER.glob("*/*.json"))]
