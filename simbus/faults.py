"""Plans of faults, as data: which operation, which occurrence of it, and what befalls it.

    Plan(
        Fault("basic.publish", 3, "nack"),
        Fault("basic.ack", 1, "reset", when="before"),
    )

A plan is indexed by operation and not by time, so that it means the same on every machine and on every clock. It
prints, is saved as JSON, and is replayed. What operations and actions there are is the business of a dialect, and
what an action does to a client is that of its wire; here is only what they are asked to do, and how often an
operation has been met. Nothing here draws lots or reads a clock.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, overload

from simbus.errors import SimbusError

__tracebackhide__ = True  # pytest shows the line of the test

EVERY: Literal["every"] = "every"
_COLUMNS = ("operation", "n", "action")


class FaultError(SimbusError, ValueError):
    """A plan that cannot be carried out as it is written; the text names the entry and the remedy."""


class FaultNotMet(SimbusError, AssertionError):
    """Entries of a plan never happened, because their operations did not."""


class Fault:
    """One entry of a plan.

    Args:
        operation: what it befalls, in the dialect's words: ``"basic.publish"``.
        n: which occurrence of the operation, counted from 1 since the plan came into force; or ``"every"``.
        action: what happens then: ``"reset"``.
        options: the action's, by name, each a text, a number or a bool: ``when="before"``.

    Raises:
        FaultError: when it has another form.
    """

    __slots__ = ("action", "n", "operation", "options")

    def __init__(self, operation: str, n: int | Literal["every"], action: str, **options: str | float | bool) -> None:
        self.operation, self.n, self.action, self.options = operation, n, action, options
        if n != EVERY and (type(n) is not int or n < 1):
            raise FaultError(f'{self!r}: {n!r} is not a whole number from 1, nor "every"')

    def __eq__(self, other: object) -> bool:
        return self.row() == other.row() if isinstance(other, Fault) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.operation, self.n, self.action))

    def __repr__(self) -> str:
        given = [repr(value) for value in (self.operation, self.n, self.action)]
        return f"Fault({', '.join(given + [f'{name}={value!r}' for name, value in self.options.items()])})"

    def __str__(self) -> str:
        """As a person says it: ``basic.publish, 3rd time: reset (when before)``."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.operation}, {_ordinal(self.n)}: {self.action}" + (f" ({options})" if options else "")

    def row(self) -> dict[str, Any]:
        """The entry as JSON has it: its options stand beside ``operation``, ``n`` and ``action``."""
        return {"operation": self.operation, "n": self.n, "action": self.action, **self.options}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Fault":
        """The entry again; FaultError for anything else."""
        if any(column not in row for column in _COLUMNS):
            raise FaultError(f"{row!r} is no entry of a plan: it needs {', '.join(_COLUMNS)}")
        return cls(**row)


class Plan(Sequence[Fault]):
    """Faults, as an immutable sequence; equal when they are the same.

    Args:
        faults: the entries; an operation that has an entry for its n-th time follows that one and not ``"every"``.

    Raises:
        FaultError: when two entries are for the same occurrence.
    """

    def __init__(self, *faults: Fault) -> None:
        self._faults = faults
        for fault in faults:
            if not isinstance(fault, Fault):
                raise FaultError(f'{fault!r} is no fault; write for example Fault("basic.publish", 3, "nack")')
        twice = [place for place, count in Counter((fault.operation, fault.n) for fault in faults).items() if count > 1]
        if twice:
            raise FaultError(f"two faults for {twice[0][0]}, {_ordinal(twice[0][1])}: one operation can have one only")

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The plan that :meth:`to_json` wrote; FaultError for anything else."""
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise FaultError(f"a plan is a JSON list of entries; this is none: {error}") from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise FaultError("a plan is a JSON list of entries, each an object with " + ", ".join(_COLUMNS))
        return cls(*map(Fault.from_row, rows))

    def to_json(self) -> str:
        """The plan as a JSON list, an entry a line."""
        rows = [f"  {json.dumps(fault.row(), ensure_ascii=False)}" for fault in self]
        return "\n".join(["[", ",\n".join(rows), "]"]) if rows else "[]"

    @overload
    def __getitem__(self, index: int) -> Fault: ...

    @overload
    def __getitem__(self, index: slice) -> "Plan": ...

    def __getitem__(self, index: int | slice) -> "Fault | Plan":
        return Plan(*self._faults[index]) if isinstance(index, slice) else self._faults[index]

    def __len__(self) -> int:
        return len(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def __eq__(self, other: object) -> bool:
        return self._faults == other._faults if isinstance(other, Plan) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._faults)

    def __repr__(self) -> str:
        return f"Plan({', '.join(map(repr, self))})"

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no faults"


class Occurrences:
    """A plan in force: how often each operation has been met, and which entries have befallen one.

    Args:
        plan: what is to happen.

    Attributes:
        met: operations by name, and how often each was met.
        happened: entries in the order in which they happened.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.met: Counter[str] = Counter()
        self.happened: list[Fault] = []
        self._entries = {(fault.operation, fault.n): fault for fault in plan}

    def meet(self, operation: str, impossible: Collection[str] = ()) -> Fault | None:
        """Count an operation; what is to befall it, if anything is that is possible here."""
        self.met[operation] += 1
        fault = self._entries.get((operation, self.met[operation])) or self._entries.get((operation, EVERY))
        if fault is None or fault.action in impossible:
            return None
        self.happened.append(fault)
        return fault

    @property
    def left(self) -> list[Fault]:
        """Entries that have befallen nothing yet."""
        return [fault for fault in self.plan if fault not in self.happened]

    def check(self) -> None:
        """Fail when an entry never happened.

        Raises:
            FaultNotMet: it names those entries, and what did happen.
        """
        if not self.left:
            return
        entries = [f"{fault} - {_often(fault.operation, self.met[fault.operation])}" for fault in self.left]
        met = ", ".join(f"{operation} {_times(count)}" for operation, count in self.met.items()) or "nothing"
        many = "a fault of the plan" if len(entries) == 1 else f"{len(entries)} faults of the plan"
        raise FaultNotMet("\n  ".join([f"{many} never happened:", *entries, f"what happened while it was in force: {met}"]))


def plan_of(faults: Iterable["Fault | Plan"]) -> Plan:
    """One plan from entries, or from whole plans."""
    return Plan(*[fault for given in faults for fault in (given if isinstance(given, Plan) else (given,))])


def _ordinal(n: int | str) -> str:
    if not isinstance(n, int):
        return "every time"
    suffix = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix} time"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _often(operation: str, count: int) -> str:
    return f"{operation} happened {_times(count)}" if count else f"{operation} did not happen at all"
