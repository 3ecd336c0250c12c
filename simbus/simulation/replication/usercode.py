"""Code of users in a simulation: the calendar as they see it, and what they may raise.

    def charge(env, message):                       # a handler
        yield env.timeout("30ms")
        env.publish("shop", "order.paid", size="1kB")

The calendar is SimPy's, so that its processes, resources, stores and conditions work as they are known. Only times are guarded:
they are text, a timedelta or a multiple of ``SECOND`` and its like, because a bare ``5`` would mean five nanoseconds, which
nobody means. Servers that run a handler are in ``userservers``.
"""

import traceback
from collections.abc import Callable
from collections.abc import Generator as Coroutine
from dataclasses import dataclass
from functools import partial
from types import GeneratorType, SimpleNamespace
from typing import Any

import simpy
from numpy.random import Generator
from simpy.events import NORMAL

from simbus import units
from simbus.dialect import Publisher
from simbus.effects import Delivered
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.streams import Streams
from simbus.simulation.replication.driver import Driver, Entry
from simbus.units import Nanoseconds

NANOSECOND, MICROSECOND, MILLISECOND, SECOND, MINUTE, HOUR, DAY = (
    Nanoseconds(each) for each in (1, units.MICROSECOND, units.MILLISECOND, units.SECOND, units.MINUTE, units.HOUR, units.DAY)
)
Process = Coroutine[simpy.Event, Any, Any]


class TransientFailure(Exception):
    """Raised by a handler: this attempt failed, and another one may succeed."""


class PermanentFailure(Exception):
    """Raised by a handler: the message is rejected."""


class Timeout(simpy.Timeout):
    """SimPy's, which knows when it is due."""

    def __init__(self, env: simpy.Environment, delay: int, value: Any = None) -> None:
        super().__init__(env, delay, value)
        self.due = int(env.now) + delay


class Environment(simpy.Environment):
    """SimPy's environment, guarded: times have a unit, and ``now`` is a :class:`~simbus.units.Nanoseconds`.

    It can be used alone, to try processes out: ``env = Environment(); env.process(...); env.run("500ms")``.

    Args:
        streams: what ``random`` draws from; by default those of seed 1, replication 0.
    """

    def __init__(self, streams: Streams | None = None) -> None:
        super().__init__()
        self._streams = streams or Streams(1, 0)
        self._generators: dict[str, Generator] = {}

    def random(self, purpose: str) -> Generator:
        """Random numbers for a purpose: NumPy's generator of the stream ``code``, ``purpose``, the same object each time.

        So replications have numbers of their own, and the same ones whenever they are run again.
        """
        if purpose not in self._generators:
            self._generators[purpose] = self._streams.generator("code", purpose)
        return self._generators[purpose]

    @property
    def now(self) -> Any:
        """The time since the beginning."""
        return Nanoseconds(self._now)

    def timeout(self, delay: object, value: Any = None) -> Timeout:  # type: ignore[override]
        """An event so long from now: ``timeout("500ms")``, a timedelta, or ``2 * simbus.SECOND``.

        Raises:
            UnitError: a time without a unit.
        """
        return Timeout(self, _time(delay, "timeout"), value)

    def run(self, until: object = None) -> Any:
        """Run until an event has happened, or to an instant, ``"1h"``, or (None) until nothing is left to happen.

        Raises:
            UnitError: a time without a unit.
        """
        if until is None or isinstance(until, simpy.Event):
            return super().run(until)
        return super().run(_time(until, "run"))


def _time(value: object, what: str) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool | Nanoseconds):
        raise UnitError(f'{what}: {value!r} what? write "{value}s" or, for whole numbers, {value} * simbus.SECOND')
    return units.duration(value, what)


class SharedEnvironment(Environment):
    """The environment that all code of a scenario's users shares in one replication: the driver's calendar, and the broker.

    Args:
        driver: of the replication.
        client: publishes for handlers and controllers.
        streams: of the replication.

    Attributes:
        shared: a place for what parties have in common: ``env.shared.pool = simpy.Resource(env, 4)``.
    """

    def __init__(self, driver: Driver, client: Callable[[], Publisher], streams: Streams) -> None:
        super().__init__(streams)
        self._driver, self._calendar = driver, driver.env
        self._connect = client
        self._client: Publisher | None = None
        self._verbs: dict[tuple[str, str, int], Callable[[], int]] = {}
        self.shared = SimpleNamespace()

    @property
    def now(self) -> Any:
        """The time since the beginning, warm-up included."""
        return Nanoseconds(self._calendar.now)

    def schedule(self, event: simpy.Event, priority: Any = NORMAL, delay: Any = 0) -> None:
        """SimPy's own events ask for this."""
        self._calendar.schedule(event, priority, delay)

    def run(self, until: object = None) -> Any:
        """Refused: the simulation runs already."""
        raise ScenarioError("env.run", "the simulation runs already; yield an event to wait for it")

    def publish(self, exchange: str, routing_key: str = "", *, size: int | str = "1kB") -> int:
        """Publish a message at once, from within a handler or a controller; its id, or 0 if there is no connection.

        To publish to a queue write ``publish("", "queue")``.

        Raises:
            ScenarioError: there is no such exchange.
        """
        key = (exchange, routing_key, units.size(size, "size"))
        if key not in self._verbs:
            self._verbs[key] = self._publisher().verb({"exchange": exchange, "routing_key": routing_key, "size": key[2]})
        self._driver.now()
        message_id = self._verbs[key]()
        self._driver.react()
        return message_id

    def act(self, verb: Callable[[], object]) -> Callable[[], None]:
        """A verb of the broker that code may call: the broker is told the time before, and its effects are handed out after."""

        def acting() -> None:
            self._driver.now()
            verb()
            self._driver.react()

        return acting

    def _publisher(self) -> Publisher:
        if self._client is None:
            self._client = self._connect()
        return self._client


def blame(place: str, error: Exception) -> ScenarioError:
    """The error that says what went wrong in code of users, and in which line."""
    frames = [
        frame for frame in traceback.extract_tb((error.__cause__ or error).__traceback__) if not frame.filename.startswith(_OURS)
    ]
    where = f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""
    if isinstance(error, ScenarioError):
        inner = error.place.removeprefix(place).lstrip(".")
        return ScenarioError(".".join(filter(None, [place, inner])), f"{error.problem}{where}")
    kind = "" if isinstance(error, UnitError) else f"{type(error).__name__}: "
    return ScenarioError(place, f"{kind}{error}{where}")


_OURS = __file__.rpartition("simulation")[0]


class Received:
    """A delivery, as a handler sees it."""

    __slots__ = ("_delivery", "attempt")

    def __init__(self, delivery: Delivered, attempt: int) -> None:
        self._delivery = delivery
        self.attempt = max(attempt, delivery.attempt)
        """Which attempt this is, from 1."""

    @property
    def id(self) -> int:
        """The message's number in this replication; the same for all its copies."""
        return self._delivery.message_id

    @property
    def queue(self) -> str:
        """Where it was delivered from."""
        return self._delivery.queue

    @property
    def address(self) -> str:
        """Where it was published to, such as ``shop/order.placed``."""
        return str(self._delivery.message.address)

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self._delivery.message.size)

    @property
    def type(self) -> str:
        """Its class; empty when it has none."""
        return str(self._delivery.message.type)


@dataclass(frozen=True)
class Code:
    """A function of a user's, the environment that it gets, and where it stands in the scenario."""

    function: Callable[..., Any]
    env: SharedEnvironment
    place: str


def begin(driver: Driver, env: SharedEnvironment, place: str, code: Callable[[], object]) -> None:
    """Run a source or a controller from the beginning of the replication on.

    Raises:
        ScenarioError: it is no generator.
    """
    try:
        process = code()
    except Exception as error:
        raise blame(place, error) from error
    if not isinstance(process, GeneratorType):
        raise ScenarioError(place, f"it answers {process!r}, and is no generator; yield env.timeout(...) in it")
    env.process(_guarded(driver, env, place, process))


def _guarded(driver: Driver, env: SharedEnvironment, place: str, process: Process) -> Process:
    """SimPy makes a copy of an exception that leaves a process; this one leaves by an entry of its own, as it is."""
    try:
        yield from process
    except Exception as error:  # noqa: BLE001 - whatever a user may raise
        failed = error if isinstance(error, AssertionError) else blame(place, error)
        failed.__cause__ = failed.__cause__ or (error if failed is not error else None)
        driver.enter(Entry(partial(_raise, failed)), 0)
        yield env.event()


def _raise(error: BaseException) -> None:
    raise error
