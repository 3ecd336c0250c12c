"""What the shared rooms may ask of a dialect of broker, and the table of dialects.

A dialect (RabbitMQ, later Azure Service Bus, Kafka, SQS) is one package with a pure model inside.
The simulation and the scenario file drive every dialect through the protocols below and learn its
name only as data: this table is the single place outside a dialect's package that names it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol, cast

from simbus.effects import Effect
from simbus.errors import ScenarioError

_DIALECTS = {"rabbitmq": "simbus.rabbitmq.modelled"}
_PROCESSES = {"rabbitmq": "simbus.rabbitmq.fake.process"}
DEFAULT = next(iter(_DIALECTS))


class Broker:
    """A pure state machine: verbs go in through channels, effects come out, time is told to it.

    A base, where the others are protocols: who drives a broker asks it these few things several times a message, and compiled
    code finds what a base declares without looking it up by name.
    """

    __slots__ = ()

    @property
    def now(self) -> int:
        """The time that it was last told, in nanoseconds."""
        raise NotImplementedError

    @property
    def next_deadline(self) -> int | None:
        """When it wants to be woken, in nanoseconds: may be early, never late; None if never."""
        raise NotImplementedError

    def advance(self, now: int) -> bool:
        """Tell the time, never backwards and never past ``next_deadline`` (ValueError); whether something has fallen due."""
        raise NotImplementedError

    def take_effects(self) -> list[Effect]:
        """What happened since the last call, in order; a destructive read, for the one driver only."""
        raise NotImplementedError

    def check(self) -> None:
        """Assert the invariants (AssertionError)."""
        raise NotImplementedError


class Session(Protocol):
    """One client's connection, sans-IO: bytes in, bytes out, timers on the transport's clock.

    Nothing that a peer may send makes it raise. Its ``name`` is for people.
    """

    closed: bool
    awaited: bool  # whether the peer may have waited for what was last to be sent
    name: str

    @property
    def was_cut(self) -> bool:
        """Whether the transport is to be cut with what it has not sent yet, as by a network that fails."""

    @property
    def delayed(self) -> bool:
        """Whether it holds something back that it will serve or say in time."""

    @property
    def unserved(self) -> bool:
        """Whether it has received bytes that it has not served yet."""

    @property
    def reading(self) -> bool:
        """Whether more bytes are wanted; a transport that went on reading would let memory grow."""

    @property
    def next_deadline(self) -> int | None:
        """When it wants to be woken, in nanoseconds of the transport's time; None if never."""

    def advance(self, now: int) -> None:
        """Tell the transport's time."""

    def receive(self, data: bytes) -> None:
        """Bytes arrived, in any pieces."""

    def bytes_to_send(self) -> bytes:
        """What is to be sent, which is then forgotten here; ``closed`` says to hang up afterwards."""

    def connection_lost(self) -> None:
        """The peer is gone."""


class Subscription(Protocol):
    """One consumer of the broker, on a connection and a channel of its own, as a modelled party sees it."""

    channel: int

    def accept(self, delivery_tag: int, multiple: bool = False) -> None:
        """Done with it; ``multiple``: and with all that were delivered before."""

    def reject(self, delivery_tag: int) -> None:
        """Never again: dead-letter or discard it."""

    def requeue(self, delivery_tag: int) -> None:
        """Give it back to be delivered again."""

    def cancel(self) -> None:
        """Take no more; what was delivered may still be settled."""

    def close(self) -> None:
        """The connection ends: what is unsettled goes back to its queue."""


class Verb(Protocol):
    """Publishes one message and answers its id."""

    def __call__(self, size: int | None = None, expiration: int | None = None) -> int:
        """Of ``size`` bytes and to live for ``expiration`` nanoseconds, where they are not those of the address."""


class Publisher(Protocol):
    """Someone who publishes, on a connection and a channel of its own."""

    channel: int

    def verb(self, address: Mapping[str, Any]) -> Verb:
        """A verb that publishes one message to ``address``; ScenarioError when there is no such place.

        An address is a queue, ``to``, or an ``exchange`` and a ``routing_key``, and a ``size`` in bytes. It may have a ``type``,
        the class of the message, which travels with it (see :class:`simbus.effects.Message`), a ``priority``, an ``expiration``
        in nanoseconds, ``headers``, and ``persistent``, which is assumed.
        """

    def again(self, message: Any, address: Mapping[str, Any], attempts: int, delay: int | None = None) -> int:
        """Publish a message that was received to another address, as it is, and answer its new id.

        Args:
            message: as it was delivered.
            address: as for :meth:`verb`, without a size.
            attempts: how often it has been handled; travels with it.
            delay: nanoseconds for which an exchange is to keep it back.
        """

    def close(self) -> None:
        """The connection ends; its verbs may not be used any more."""


@dataclass(slots=True)
class Topology:
    """What exists in a broker before anyone publishes: names to options, in the dialect's own words.

    ``policies`` are what the broker's operator has set for many entities at once; ``version`` is the broker's, empty for the
    one that the dialect prefers.
    """

    exchanges: dict[str, dict[str, Any]] = field(default_factory=dict)
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    bindings: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Discipline:
    """How a queue treats what waits, in words that all brokers share.

    Args:
        max_length: the most copies that may be ready; None for no limit.
        refuses: whether it refuses what is too much, or else drops its head.
        ttl: nanoseconds that a copy may wait; None for ever.
        in_order: whether it serves its consumers alike and in order of arrival, and nothing else limits it.
        priorities: how many above 0 it tells apart; of those that wait it serves the highest first, each in order of arrival.
        alone: whether it serves one consumer only, as long as that one stays.
        patience: nanoseconds after which it takes back what a consumer that held nothing before has not settled; None: never.
        deliveries: how often it hands out a message that comes back each time; None for ever.
    """

    max_length: int | None = None
    refuses: bool = False
    ttl: int | None = None
    in_order: bool = True
    priorities: int = 0
    alone: bool = False
    patience: int | None = None
    deliveries: int | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """How much is in a queue, ready and unacked, and how much was ever acknowledged."""

    ready: int
    unacked: int
    acked: int


class Word(NamedTuple):
    """An option of a queue or an exchange: the kind of its value, what it means, and what ``arguments`` would call it."""

    kind: Literal["text", "time", "size", "whole", "flag", "table"]
    meaning: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a broker's export holds, for someone who is to say who publishes and consumes there.

    Args:
        broker: its name and version.
        place: which part of the export it is, in words.
        reading: what :meth:`Dialect.read_definitions` has to be told beside the document to read that part.
        version: the version that stands in for it, as in :class:`Topology`.
        notes: what a simulation does without, a sentence each.
        left_out: by name, what cannot be modelled, and why; ``reading`` is to be told of that too, as ``without``.
        exchanges: what is to be known of each.
        queues: the same, with what policies set.
        sources: exchanges that nothing but publishers can publish to, each with its type and the keys that lead on from it.
        direct: queues that no exchange and no dead letter leads to, so that publishers must name them.
        resting: queues that only dead letters reach.
    """

    broker: str
    place: str
    reading: Mapping[str, str]
    version: str
    notes: Sequence[str]
    left_out: Mapping[str, str]
    exchanges: Mapping[str, str]
    queues: Mapping[str, str]
    sources: Mapping[str, tuple[str, Sequence[str]]]
    direct: Sequence[str]
    resting: Sequence[str]


class Dialect(Protocol):
    """How the simulation builds and drives a broker of one kind."""

    def words(self, section: str) -> Mapping[str, Word]:
        """The options of ``queues`` or ``exchanges``."""

    def build(self, topology: Topology, draw: Callable[[int], int] | None = None) -> Broker:
        """A broker with that topology declared; ScenarioError names the entity at fault.

        ``draw`` is chance, where a broker needs it: a whole number from 0 to below its argument; without one, a fixed sequence.
        """

    def publisher(self, broker: Broker, name: str, *, confirms: bool = False) -> Publisher:
        """Someone who publishes; with ``confirms`` every message is answered by ``Confirmed``."""

    def destinations(self, broker: Broker, address: Mapping[str, Any]) -> Sequence[str]:
        """The queues that ``address`` reaches now; empty when unroutable."""

    def dead_letter_address(self, broker: Broker, queue: str, address: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Where a message that was published to ``address`` goes when it is removed from ``queue``; None when it is discarded."""

    def subscription(
        self, broker: Broker, name: str, queue: str, prefetch: int | None, *, auto: bool = False, priority: int = 0
    ) -> Subscription:
        """Start a consumer.

        Args:
            broker: where.
            name: of the consumer.
            queue: what it consumes.
            prefetch: the most unsettled deliveries; None is unlimited.
            auto: whether a delivery counts as accepted at once, and is not to be settled.
            priority: of those who have room, the highest is served first.
        """

    def attempts(self, message: Any) -> int:
        """What was told as ``attempts`` when a message was published again, else 0."""

    def delay_queue(self, queue: str, delay: int) -> tuple[str, dict[str, Any]]:
        """Name and options of a queue in which messages wait for ``delay`` nanoseconds, and then go to ``queue``."""

    def delaying_exchange(self, queue: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Name and options of an exchange that keeps messages back as it is told, and its binding to ``queue``."""

    def levels(self, broker: Broker, queue: str) -> Levels:
        """How much is in a queue."""

    def restart(self, broker: Broker) -> None:
        """The broker stops and starts: connections end, and what is not on disk is lost."""

    def declare(self, broker: Broker, topology: Topology) -> None:
        """Declare what of a topology is not there any more, as clients do when they connect again."""

    def discipline(self, broker: Broker, queue: str) -> Discipline:
        """How a queue treats what waits."""

    def read_definitions(self, document: Mapping[str, Any], vhost: str = "/", *, without: Collection[str] = ()) -> Topology:
        """The topology in the broker's own export format; ScenarioError names the entry at fault.

        ``vhost`` is the part of the export to take, and ``without`` what to leave out, such as ``queues.events``.
        """

    def outline(self, document: Mapping[str, Any], vhost: str = "") -> Outline:
        """What is in an export, or in one part of it; ScenarioError when it is none."""


class Process(Protocol):
    """A fake that is served: on the wall clock, at a fixed address, for clients in other processes.

    A module that has one calls it ``Process`` too, made of ``host``, ``port`` and, in the broker's own export format or
    None, ``definitions``, of ``management_port``, where its management API is to listen, or None for nowhere, and of the
    broker's ``version``, empty for the one that it prefers; ScenarioError names what is wrong in the definitions.

    ``title`` is the broker's name and version, ``lines`` tells a :class:`~simbus.log.Log` how to show its effects, and
    ``open_to`` says in words who can log in. In ``lines``, *published* and *connected* are the words for just that.
    """

    title: str
    open_to: str
    lines: Mapping[type, Any]

    def watch(self, observer: Callable[[Sequence[Effect]], None]) -> None:
        """Show every effect to ``observer``, which is called in other threads."""

    def listen(self) -> str:
        """Begin to listen; the URL for clients. CannotListen when the port is taken."""

    def listen_for_management(self) -> str | None:
        """The same for the management API; None when it is not wanted."""

    def close(self) -> None:
        """Tell the clients, give them a moment to hang up, and stop; harmless when it does not listen."""


_MakeProcess = Callable[[str, int, Mapping[str, Any] | None, int | None, str], Process]


def load_process(name: str) -> _MakeProcess:
    """The dialect of that name, to be served; see :class:`Process`.

    Raises:
        ScenarioError: when there is none.
    """
    made: _MakeProcess = _imported(_PROCESSES, name).Process
    return made


def known() -> tuple[str, ...]:
    """The names of all dialects."""
    return tuple(_DIALECTS)


def load(name: str) -> Dialect:
    """The dialect of that name, imported when first asked for.

    Raises:
        ScenarioError: when there is none.
    """
    return cast(Dialect, _imported(_DIALECTS, name))


def _imported(table: Mapping[str, str], name: str) -> Any:
    if name not in table:
        raise ScenarioError("dialect", f"unknown dialect {name!r}; known: {', '.join(table)}")
    return import_module(table[name])
