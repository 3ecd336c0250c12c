"""A handler: a test's or an application's function, lent to a consumer.

Returning is an ack, raising a requeue; a handler that settles its message itself has decided. What
ends a test (a failed assertion, an outcome of pytest, Ctrl-C) is no business of the broker's and
passes through. A handler runs in the thread that calls the fake.
"""

import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import update_wrapper
from inspect import iscoroutine, signature
from typing import Any, ClassVar

from simbus.errors import HandlerFailed, HandlerRunning, Livelock
from simbus.rabbitmq.fake.messages import Message
from simbus.rabbitmq.options import OptionError

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other

# Exceptions of test frameworks that mean "this test is over" and yet derive from Exception.
_OUTCOMES = (("unittest.case", "SkipTest"), ("hypothesis.errors", "HypothesisException"))


@dataclass(slots=True)
class HandlerRaised:
    """An effect of the fake: a handler raised, for the timeline to show."""

    at: int
    message_id: int
    copy_id: int
    handler: str
    error: BaseException
    channel: ClassVar[int] = 0

    def describe(self) -> str:
        """``charge raised CardDeclined: no cover``."""
        return f"{self.handler} raised {_described(self.error)}"


class Handler:
    """A function that consumes a queue; calling it calls the function.

    Attributes:
        queue: the name of the queue.
        name: the function's name, which is the consumer tag too.
        messages: one entry per delivery, so a message that was delivered three times is there three times.
        cancelled: whether it consumes no more.
    """

    def __init__(
        self,
        function: Callable[[Message], Any],
        queue: str,
        raises: type[Exception] | tuple[type[Exception], ...],
        cancel: Callable[["Handler"], None],
    ) -> None:
        update_wrapper(self, function)
        self.queue = queue
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self.messages: list[Message] = []
        self.cancelled = False
        self._function = function
        self._raises = raises if isinstance(raises, tuple) else (raises,)
        self._exceptions: list[Exception] = []
        self._unread: list[Exception] = []
        self._cancel = cancel
        for kind in self._raises:
            if leaves_at_once(kind):
                raise OptionError(f"raises={kind.__name__}: such an exception always leaves publish and advance at once")

    @property
    def attempts(self) -> int:
        """How often it was given a message."""
        return len(self.messages)

    @property
    def exceptions(self) -> list[Exception]:
        """What it raised, in order. Who reads this takes responsibility: these will not fail the test."""
        self._unread.clear()
        return list(self._exceptions)

    def cancel(self) -> None:
        """Consume no more; what it holds goes back to the queue. Twice is harmless."""
        if not self.cancelled:
            self._cancel(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, as if it were not decorated."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        raised = f", {len(self._exceptions)} exceptions" if self._exceptions else ""
        return f"<handler {self.name} of {self.queue}: {self.attempts} attempts{raised}{', cancelled' if self.cancelled else ''}>"

    # For the front

    def keep(self, error: Exception) -> None:
        """Note an exception that meant a requeue."""
        self._exceptions.append(error)
        if not isinstance(error, self._raises):
            self._unread.append(error)

    def summary(self) -> str | None:
        """Its exceptions by kind, for a report; unlike ``exceptions`` this does not count as reading them."""
        if not self._exceptions:
            return None
        kinds: dict[str, int] = {}
        for error in self._exceptions:
            kinds[type(error).__name__] = kinds.get(type(error).__name__, 0) + 1
        listed = ", ".join(kind if count == 1 else f"{kind} {count:,} times" for kind, count in kinds.items())
        return f"{self.name} raised {listed}; the last was {_described(self._exceptions[-1])}"

    def failure(self) -> HandlerFailed | None:
        """The error that a test deserves which neither expected nor read what the handler raised."""
        if not self._unread:
            return None
        kinds = " or ".join(dict.fromkeys(type(error).__name__ for error in self._unread))
        count = f"{len(self._unread):,} exceptions" if len(self._unread) > 1 else "an exception"
        failure = HandlerFailed(
            f"the handler {self.name} of queue '{self.queue}' raised {count} that the test neither expected nor read; "
            f"the first was {_described(self._unread[0])}\n"
            f"If that is meant, say so with raises={kinds}, or read {self.name}.exceptions"
        )
        failure.__cause__ = self._unread[0]
        return failure

    @property
    def last_error(self) -> Exception | None:
        """The latest exception, if any."""
        return self._exceptions[-1] if self._exceptions else None


def leaves_at_once(kind: type[BaseException]) -> bool:
    """Whether an exception ends the test rather than the attempt."""
    outcomes = [getattr(sys.modules[module], name) for module, name in _OUTCOMES if module in sys.modules]
    at_once = (AssertionError, Livelock, HandlerRunning, HandlerFailed, *outcomes)
    return not issubclass(kind, Exception) or issubclass(kind, at_once)


def check_signature(function: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called with a message: it would fail at every delivery, and for ever.

    Raises:
        OptionError: with what it ought to look like.
    """
    try:
        takes = signature(function)
    except ValueError:  # some functions of C do not tell
        return
    try:
        takes.bind(None)
    except TypeError:
        name = getattr(function, "__name__", type(function).__name__)
        raise OptionError(f"{name}{takes}: a handler is called with one argument, the message: def charge(message):") from None


class Coroutines:
    """Runs the coroutines of ``async def`` handlers to their end, one at a time.

    One event loop serves all of them, since clients and locks are bound to the loop that they were
    made in. Its clock is the wall clock: ``asyncio.sleep`` in a handler sleeps.
    """

    def __init__(self) -> None:
        self._runner: Any = None

    def finish(self, result: Any) -> None:
        """Run what a handler returned, when it is a coroutine.

        Raises:
            HandlerRunning: when it waits while the caller's own event loop stands still for it.
        """
        if not iscoroutine(result):
            return
        import asyncio  # costs a test suite without async handlers nothing

        if in_event_loop():
            _run_without_waiting(result)
        else:
            self._runner = self._runner or asyncio.Runner()
            self._runner.run(result)

    def close(self) -> None:
        """Close the event loop."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None


def in_event_loop() -> bool:
    """Whether the caller runs in an asyncio event loop, which stands still until the caller gives way."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_without_waiting(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Within a running event loop, which cannot turn meanwhile, a coroutine can only run straight through."""
    try:
        while coroutine.send(None) is None:  # None is what asyncio.sleep(0) gives way with
            pass
    except StopIteration:
        return
    coroutine.close()
    raise HandlerRunning(
        "an async handler waits for the event loop that the test itself runs in, and that loop stands still until the "
        "fake returns; call the fake from another thread: await asyncio.to_thread(rabbitmq.publish, ...)"
    )


def _described(error: BaseException) -> str:
    """The kind of an error and the first line of its text."""
    lines = str(error).splitlines()
    return type(error).__name__ + (f": {lines[0]}" if lines else "")
