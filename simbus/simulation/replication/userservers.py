"""Servers that run a handler of a user: a generator that yields SimPy's events, or a function that answers how long it takes.

A server steps the generator itself, so that a crash can end it, a breakdown can hold it, and an exception leaves the simulation
as it is. A handler runs from the calendar and never while the broker's effects are handed out, so it may publish.
"""

from collections.abc import Callable
from functools import partial
from types import GeneratorType
from typing import Any, NoReturn

import simpy

from simbus import units
from simbus.effects import Delivered
from simbus.simulation.replication.consumers import Watched
from simbus.simulation.replication.servers import Owner, Server
from simbus.simulation.replication.usercode import Code, PermanentFailure, Received, Timeout, TransientFailure, blame


class UserServer(Server):
    """A server whose attempts are runs of a user's handler.

    Returning is success. ``TransientFailure`` and ``PermanentFailure`` of ``usercode`` are failures; any other exception ends the
    simulation.
    """

    __slots__ = ("_code", "_come", "_held", "_next", "_process", "_target", "_timed")

    def __init__(self, consumer: Owner) -> None:
        super().__init__(consumer)
        code = consumer.handler.code
        assert code is not None, "a group whose handler is a user's"
        self._code: Code = code
        self._next: Callable[[], None] = self._begin  # what follows when the server's own entry fires
        self._process: GeneratorType[Any, Any, Any] | None = None
        self._target: Any = None  # the event that the handler waits for, unless the server's own entry stands for it
        self._come: Any = None  # that event, if it has come while the server was held
        self._held = False
        self._timed = False  # whether the server's own entry is in the calendar, or would be if it were not held

    def start(self, delivery: Delivered) -> None:
        """Begin the first attempt on a delivery."""
        self._delivery, self._attempt = delivery, 1
        handler, driver = self._handler, self._driver
        driver.observer.started(handler.group, delivery.copy_id, driver.env.now)
        self._known = handler.special and self._is_known(delivery)
        self._after(handler.lookup, self._succeed if self._known else self._begin)

    def _after(self, delay: int, step: Callable[[], None]) -> None:
        self._next, self._timed = step, True
        self._due = self._driver.env.now + delay
        self._driver.enter(self._entry, delay)

    def _attempt_ends(self, _: object) -> None:
        self._timed = False
        self._next()

    # The handler's run

    def _begin(self) -> None:
        code, handler = self._code, self._handler
        try:
            result = code.function(code.env, Received(self._delivery, self._attempt))
            if isinstance(result, GeneratorType):
                self._process = result
            else:
                delay = 0 if result is None else units.duration(result, "the time that it takes")
        except Exception as error:  # noqa: BLE001 - whatever a user may raise
            self._raised(error)
            return
        if self._process is not None:
            self._advance(None)
        else:
            self._after(round(handler.factor * delay), self._succeed)

    def _advance(self, event: Any) -> None:
        """Run on, until it waits for an event that has not happened yet, or is over."""
        process = self._process
        assert process is not None
        self._target = None
        try:
            target = _sent(process, event)
            while target.callbacks is None:
                target = _sent(process, target)
        except StopIteration:
            self._process = None
            self._succeed()
        except Exception as error:  # noqa: BLE001 - whatever a user may raise
            self._raised(error)
        else:
            self._wait(target)

    def _wait(self, target: Any) -> None:
        if self._handler.factor != 1 and type(target) is Timeout:
            self._after(round(self._handler.factor * (target.due - self._driver.env.now)), partial(self._advance, target))
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
        super()._attempt_ends(self._entry)

    def _raised(self, error: Exception) -> None:
        self._process = None
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

    # Outages

    def hold(self) -> None:
        """Stop in the middle of an attempt: what is left of a timeout is left; of another event it hears when it goes on."""
        self._held = True
        if self._timed:
            super().hold()
        elif type(self._target) is Timeout:
            self._target.callbacks.remove(self._resume)
            self._next, self._timed = partial(self._advance, self._target), True
            self._left, self._target = self._target.due - self._driver.env.now, None

    def go_on(self) -> None:
        """See :meth:`hold`."""
        self._held = False
        if self._timed:
            super().go_on()
        elif self._come is not None:
            come, self._come = self._come, None
            self._after(0, partial(self._advance, come))

    def abandon(self) -> None:
        """Its process is no more: the handler is closed where it stands, so that it lets go of what it holds."""
        super().abandon()
        if self._target is not None and self._target.callbacks is not None:
            self._target.callbacks.remove(self._resume)
        try:
            if self._process is not None:
                self._process.close()
        except Exception as error:  # noqa: BLE001 - whatever a user may raise
            self._end_simulation(error)


def _sent(process: "GeneratorType[Any, Any, Any]", event: Any) -> Any:
    """What the handler waits for next, once it has been told of an event."""
    if event is None:
        target = next(process)
    elif event._ok:  # noqa: SLF001 - as SimPy's own processes do
        target = process.send(event._value)  # noqa: SLF001
    else:
        event._defused = True  # noqa: SLF001
        target = process.throw(event._value)  # noqa: SLF001
    if not isinstance(target, simpy.Event):
        raise TypeError(f'it yields {target!r}, which is no event; write yield env.timeout("30ms")')
    return target


class UserConsumer(Watched):
    """A consumer whose servers run a user's handler."""

    __slots__ = ()

    def _new_servers(self) -> list[Server]:
        return [UserServer(self) for _ in range(self.handler.concurrency)]
