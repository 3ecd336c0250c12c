"""The judge of drawn programs: runs each on a real broker too, keeps what diverges, and makes it small.

A divergence counts when it repeats three times out of three, with more patience, at the same step with the same answers; what
does not is dropped as unstable, and counted. One that counts is made small: steps are left out as long as it stays.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.differential.client import Unanswered
from tests.differential.differences import differences, first_difference
from tests.differential.normalise import normal
from tests.differential.octets import Json
from tests.differential.play import Observed, Player, run
from tests.differential.worlds import Oracle, Simbus

SHORT = 400  # milliseconds: the times to live and leases that a wait is meant to end
PATIENCE = 0.3  # seconds without news in which what is expected may still come
AGAIN = 2.5  # the same when it has to repeat itself: a busy broker answers late
LATE = 0.7  # of SHORT: a real broker that takes longer from wait to wait may rightly answer otherwise


@dataclass
class Tally:
    """What came out.

    Attributes:
        programs: how many were run, and of how many steps together.
        unstable: how many divergences were dropped because they did not repeat.
        late: how many because the run was so slow that short times ended before they were meant to.
        unmodelled: how many programs met what simbus does not model, and were cut there.
        heard: how often which method was heard from simbus, as a witness that programs do something.
        divergences: what was found, as small programs and both answers.
    """

    programs: int = 0
    steps: int = 0
    unstable: int = 0
    late: int = 0
    unmodelled: int = 0
    heard: Counter[str] = field(default_factory=Counter)
    divergences: list[str] = field(default_factory=list)


class Late(Exception):
    """The broker, or this machine, was too slow for a program with short times."""


def was_late(steps: list[Json], began: list[float]) -> bool:
    """Whether from the first step that says a short time, or from a wait, to the next wait or the end it took too long.

    ``began`` is when each step began, and after them when the last was answered.
    """
    since: float | None = None
    for step, at in zip([*steps, {}], began, strict=True):
        if since is not None and at - since > LATE * SHORT / 1000:
            return True
        if "wait" in step or (since is None and str(SHORT) in str(step)):
            since = at + step.get("wait", 0) / 1000
    return False


def _patience(steps: list[Json]) -> float:
    """With what has to repeat itself; where something ends in a short time, no more than otherwise."""
    return PATIENCE if any(str(SHORT) in str(step) for step in steps) else AGAIN


@dataclass
class Judge:
    """Runs programs on the real broker too; ``without`` is what they are not to have, ``themes`` what they are about (all)."""

    version: str
    oracle: Oracle
    say: Callable[[str], Any] = print
    without: frozenset[str] = frozenset()
    themes: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)

    def hopeless(self, expected: Observed) -> bool:
        """Whether there is no point in going on with a program."""
        return bool(expected) and "simbus does not model" in str(expected[-1])

    def judge(self, steps: list[Json], expected: Observed) -> None:
        """Run it, and keep what diverges."""
        tally = self.tally
        if self.hopeless(expected):
            tally.unmodelled += 1
            steps, expected = steps[:-1], expected[:-1]
        if not steps:
            return
        tally.programs += 1
        tally.steps += len(steps)
        tally.heard.update(event.get("method", "") for events in expected for event in events)
        try:
            told = self._divergence(steps, expected)
        except Late:
            tally.late += 1
            return
        except (Unanswered, OSError) as error:
            told = ""
            self.say(f"{self.version}, program {tally.programs}: {error!r}")
        if told is None:
            return
        if not told:
            tally.unstable += 1
            return
        tally.divergences.append(told)
        self.say(f"divergence {len(tally.divergences)} of {self.version}, in program {tally.programs}:\n{told}")

    def _divergence(self, steps: list[Json], expected: Observed) -> str | None:
        """How it diverges, made small; nothing to tell when it does so only now and then, None when it does not."""
        if self._diverges(steps, expected) is None:
            return None
        if not self.repeats(steps, expected):
            return ""
        return self._told(self._small(steps)) or self._told(steps)

    def _diverges(self, steps: list[Json], expected: Observed, patience: float = PATIENCE) -> tuple[int, Json] | None:
        """At which step the real broker says something else, and what."""
        player = Player(self.oracle.world(), patience)
        try:
            observed = player.play(steps, expected)
        finally:
            player.close()
        at = first_difference(expected, observed)
        if at is not None and was_late(steps[: at + 1], [*player.began, player.answered]):
            raise Late
        return None if at is None else (at, normal(observed[at]))

    def repeats(self, steps: list[Json], expected: Observed) -> bool:
        """Whether three runs of three diverge in the same way."""
        patience = _patience(steps)
        first = self._diverges(steps, expected, patience)
        return first is not None and all(self._diverges(steps, expected, patience) == first for _ in range(2))

    def _small(self, steps: list[Json]) -> list[Json]:
        """As few steps as still diverge."""
        steps = self._until_it_diverges(steps)
        size = max(1, len(steps) // 2)
        while True:
            at, left = 0, len(steps)
            while at < len(steps):
                fewer = steps[:at] + steps[at + size :]
                if fewer and self._still(fewer):
                    steps = fewer
                else:
                    at += size
            if size == 1 and len(steps) == left:
                return steps
            size = max(1, size // 2)

    def _until_it_diverges(self, steps: list[Json]) -> list[Json]:
        found = self._diverges(steps, run(Simbus(self.version), steps))
        return steps if found is None else steps[: found[0] + 1]

    def _still(self, steps: list[Json]) -> bool:
        """Whether the last step, and none before it, diverges."""
        expected = run(Simbus(self.version), steps)
        try:
            found = self._diverges(steps, expected)
            return found is not None and found[0] == len(steps) - 1 and self._diverges(steps, expected) == found
        except Late:
            return False

    def _told(self, steps: list[Json]) -> str:
        ours = run(Simbus(self.version), steps)
        theirs = run(self.oracle.world(), steps, ours, _patience(steps))
        return differences(steps, theirs, ours, (f"RabbitMQ {self.oracle.release}", "simbus"))
