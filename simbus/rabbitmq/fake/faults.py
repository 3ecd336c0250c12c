"""A plan of faults as a test holds it: in force while its ``with`` block lasts, and checked at its end.

What a plan says is in ``simbus.faults``, what its actions do to clients in ``simbus.rabbitmq.amqp.faults``. Faults
befall clients on the wire; the test's own verbs and handlers are spared.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from simbus.clock import VirtualClock
from simbus.faults import Fault, FaultError, Plan
from simbus.rabbitmq.amqp.faults import Injector
from simbus.rabbitmq.amqp.operations import Scene
from simbus.rabbitmq.fake.network import Network
from simbus.trace import Trace

__tracebackhide__ = True  # pytest shows the test's line


@dataclass(slots=True)
class FaultHappened:
    """An effect of the fake: an entry of a plan befell an operation, for the timeline to show."""

    at: int
    message_id: int
    copy_id: int
    fault: Fault
    channel: ClassVar[int] = 0

    def describe(self) -> str:
        """``fault: basic.publish, 3rd time: nack``."""
        return f"fault: {self.fault}"


class Faults:
    """What ``rabbitmq.faults(...)`` answers: a context manager, once.

    Args:
        plan: what is to happen.
        network: whose clients it is to befall.
        clock: the broker's driver.
        trace: where it is written down.
        legal: refuse what no real broker may do.

    Raises:
        FaultError: for a plan that cannot be carried out.

    Attributes:
        plan: what is to happen.
    """

    def __init__(self, plan: Plan, network: Network, clock: VirtualClock, trace: Trace, *, legal: bool) -> None:
        self.plan = plan
        self._network, self._clock, self._trace = network, clock, trace
        self._injector = Injector(plan, legal=legal, note=self._note)
        self._entered = False

    @property
    def happened(self) -> list[Fault]:
        """The entries that have happened, in that order."""
        with self._clock.lock:
            return list(self._injector.occurrences.happened)

    def __enter__(self) -> Self:
        again, self._entered = self._entered, True
        with self._clock.lock:
            if self._network.faults is not None:
                raise FaultError("a plan of faults is in force already; put all entries into one plan")
            if again:
                raise FaultError("this plan was in force before; make another: rabbitmq.faults(faults.plan)")
            self._network.faults = self._injector
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._clock.lock:
            self._network.faults = None
            self._injector.end()
        if error is None:
            self._injector.occurrences.check()

    def check_entered(self) -> None:
        """Fail when it was made and then forgotten.

        Raises:
            FaultError: with the remedy.
        """
        if not self._entered:
            raise FaultError("this plan of faults was never in force; write: with rabbitmq.faults(...):\n" + str(self.plan))

    def summary(self) -> list[str]:
        """Its entries and whether they happened, a line each, for a report."""
        happened = self.happened
        return [f"fault: {fault} - {'happened' if fault in happened else 'has not happened'}" for fault in self.plan]

    def _note(self, fault: Fault, scene: Scene) -> None:
        message, copy = (0, 0) if scene.delivered is None else (scene.delivered.message_id, scene.delivered.copy_id)
        self._trace.record([FaultHappened(self._clock.now, message, copy, fault)])
