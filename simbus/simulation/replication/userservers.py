"""Servers that run a handler of a user: a generator that yields SimPy's events, or a function that answers how long it takes.

A server steps the generator itself, so that a crash can end it, a breakdown can hold it, and an exception leaves the simulation
as it is. A handler runs from the calendar and never while the broker's effects are handed out, so it may publish.
"""

from collections.abc import Callable
from functools import partial
from types import GeneratorType
from typing import Any, NoReturn, cast

import simpy
from simpy.events import URGENT

from simbus import units
from simbus.effects import Delivered
from simbus.simulation.replication.consumers import Watched
from simbus.simulation.replication.driver import Entry
from simbus.simulation.replication.servers import Owner, Server
from simbus.simulation.replication.usercode import Code, PermanentFailure, Received, Timeout, TransientFailure, blame


class Died(BaseException):
    """Raised in a handler whose process has crashed, where it waits; no handler of exceptions has anything to do with it."""


class Run:
    """A run of a handler, as SimPy's resources and other code see it: the active process, which can be interrupted."""

    __slots__ = ("_server", "steps")

    def __init__(self, server: "UserServer", steps: "GeneratorType[Any, Any, Any]") -> None:
        self._server, self.steps = server, steps

    @property
    def is_alive(self) -> bool:
        """Whether it is not over."""
        return self._server.process is self

    def interrupt(self, cause: Any = None) -> None:
        """Throw ``simpy.Interrupt`` into it where it waits, at this instant; nothing happens to one that is over."""
        self._server.interrupt(self, cause)


class UserServer(Server):
    """A server whose attempts are runs of a user's handler.

    Returning is success. ``TransientFailure`` and ``PermanentFailure`` of ``usercode`` are failures; any other exception ends the
    simulation.
    """

    __slots__ = ("_code", "_come", "_held", "_missed", "_next", "_target", "_timed", "process")

    def __init__(self, consumer: Owner) -> None:
        super().__init__(consumer)
        code = consumer.handler.code
        assert code is not None, "a group whose handler is a user's"
        self._code: Code = code
        self._next: Callable[[], None] = self._begin  # what follows when the server's own entry fires
        self.process: Run | None = None
        self._target: Any = None  # the event that the handler waits for, unless the server's own entry stands for it
        self._come: Any = None  # that event, if it has come while the server was held
        self._held = False
        self._missed: list[Callable[[], None]] = []  # interrupts that have come while it was held
        self._timed = False  # whether the server's own entry is in the calendar, or would be if it were not held

    def start(self, delivery: Delivered) -> None:
        """Begin the first attempt on a delivery."""
        self._delivery, self._attempt = delivery, 1
        handler, driver = self._handler, self._driver
        driver.observer.started(handler.group, delivery.copy_id, driver.time)
        self._known = handler.special and self._is_known(delivery)
        self._after(handler.lookup, self._succeed if self._known else self._begin)

    def _after(self, delay: int, step: Callable[[], None]) -> None:
        self._next, self._timed = step, True
        self._due = self._driver.time + delay
        self._driver.enter(self._entry, delay)

    def _attempt_ends(self) -> None:
        self._timed = False
        self._next()

    # The handler's run

    def _begin(self) -> None:
        code, handler = self._code, self._handler
        try:
            result = code.function(code.env, Received(self._delivery, self._attempt))
            if isinstance(result, GeneratorType):
                self.process = Run(self, result)
            else:
                delay = 0 if result is None else units.duration(result, "the time that it takes")
        except Exception as error:  # noqa: BLE001 - whatever a user may raise
            self._raised(error)
            return
        if self.process is not None:
            self._advance(None)
        else:
            self._after(round(handler.factor * delay), self._succeed)

    def _advance(self, event: Any) -> None:
        """Run on, until it waits for an event that has not happened yet, or is over."""
        process, env = self.process, cast(Any, self._code.env)
        assert process is not None
        self._target, env._active_proc = None, process  # noqa: SLF001 - whom a resource takes for the one who asks
        try:
            target = _sent(process.steps, event)
            while target.callbacks is None:
                target = _sent(process.steps, target)
        except StopIteration:
            self.process = None
            self._succeed()
        except Exception as error:  # noqa: BLE001 - whatever a user may raise
            self._raised(error)
        else:
            self._wait(target)
        finally:
            env._active_proc = None  # noqa: SLF001

    def _wait(self, target: Any) -> None:
        if self._handler.factor != 1 and type(target) is Timeout:
            self._after(round(self._handler.factor * (target.due - self._driver.time)), partial(self._advance, target))
        else:
            self._target = target
            target.callbacks.append(self._resume)

    def _resume(self, event: Any) -> None:
        if self._held:
            self._come = event
        else:
            self._advance(event)

    def _succeed(self) -> None:
        """What a modelled attempt does when its time is over."""
        super()._attempt_ends()

    def _raised(self, error: Exception) -> None:
        self.process = None
        now = self._driver.now()
        if isinstance(error, TransientFailure):
            verb = self._failed(self._delivery, permanent=False)
        elif isinstance(error, PermanentFailure):
            verb = self._failed(self._delivery, permanent=True)
        else:
            self._end_simulation(error)
        if verb is not None:
            self._finish(now, verb)

    def _end_simulation(self, error: Exception) -> NoReturn:
        if isinstance(error, AssertionError):
            raise error
        raise blame(self._code.place, error) from error

    def _try_again(self, delay: int) -> None:
        self._attempt += 1
        self._after(delay, self._begin)

    # Interrupts

    def interrupt(self, process: Run, cause: Any) -> None:
        """See :meth:`Run.interrupt`; one that is held hears of it when it goes on."""
        failed = self._code.env.event()
        failed._ok, failed._value = False, simpy.Interrupt(cause)  # noqa: SLF001 - as SimPy's own interrupts
        self._driver.enter(Entry(partial(self._interrupted, process, failed)), 0, URGENT)

    def _interrupted(self, process: Run, failed: simpy.Event) -> None:
        if self._held:
            self._missed.append(partial(self._interrupted, process, failed))
        elif process.is_alive:
            self._wait_no_more()
            self._advance(failed)

    def _wait_no_more(self) -> None:
        if self._timed:
            self._entry.cancel()
            self._entry, self._timed = Entry(self._attempt_ends), False
        elif self._target is not None and self._target.callbacks is not None:
            self._target.callbacks.remove(self._resume)

    # Outages

    def hold(self) -> None:
        """Stop in the middle of an attempt: what is left of a timeout is left; of another event it hears when it goes on."""
        self._held = True
        if self._timed:
            super().hold()
        elif type(self._target) is Timeout:
            self._target.callbacks.remove(self._resume)
            self._next, self._timed = partial(self._advance, self._target), True
            self._left, self._target = self._target.due - self._driver.time, None

    def go_on(self) -> None:
        """See :meth:`hold`."""
        self._held = False
        if self._timed:
            super().go_on()
        elif self._come is not None:
            come, self._come = self._come, None
            self._after(0, partial(self._advance, come))
        missed, self._missed = self._missed, []
        for interrupted in missed:
            self._driver.enter(Entry(interrupted), 0)

    def abandon(self) -> None:
        """Its process is no more: the handler ends where it stands, so that it lets go of what it holds."""
        super().abandon()
        self._wait_no_more()
        process, self.process = self.process, None
        try:
            if process is not None:
                _end(process.steps)
        except Exception as error:  # noqa: BLE001 - whatever a user may raise
            self._end_simulation(error)


def _end(steps: "GeneratorType[Any, Any, Any]") -> None:
    """Run what a handler has to do in any case; SimPy's requests are not released when a generator is only closed."""
    try:
        steps.throw(Died())
    except (Died, StopIteration):
        return
    steps.close()


def _sent(steps: "GeneratorType[Any, Any, Any]", event: Any) -> Any:
    """What the handler waits for next, once it has been told of an event."""
    if event is None:
        target = next(steps)
    elif event._ok:  # noqa: SLF001 - as SimPy's own processes do
        target = steps.send(event._value)  # noqa: SLF001
    else:
        event._defused = True  # noqa: SLF001
        target = steps.throw(event._value)  # noqa: SLF001
    if not isinstance(target, simpy.Event):
        raise TypeError(f'it yields {target!r}, which is no event; write yield env.timeout("30ms")')
    return target


class UserConsumer(Watched):
    """A consumer whose servers run a user's handler."""

    __slots__ = ()

    def _new_servers(self) -> list[Server]:
        return [UserServer(self) for _ in range(self.handler.concurrency)]
