"""One thing that will not work as it is meant, in the form that all of them have: where, what, and what helps.

Which there are is told in ``check``, ``dead_letters`` and ``prefetch``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caution:
    """A scenario can run, and will disappoint.

    Args:
        place: in the scenario: ``queues.payments``, ``run.duration``.
        problem: what will happen.
        remedy: what to do about it.
    """

    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}; {self.remedy}"
