"""A stream: a log that each of its consumers reads from where it likes. What is read stays.

A stream is declared, bound and published to like any queue, and its copies are counted in the same ledger: one is enqueued
once, and leaves only by retention, with its whole segment, or with the stream. Consumers do not compete. An acknowledgement
gives its consumer credit, and nothing happens to the message. Unlike other queues a stream leaves its effects itself, since
nothing crosses from it to another queue.

What RabbitMQ leaves to chance is decided here: every message is a chunk of its own, where RabbitMQ puts together what arrives
together, and hands out whole chunks (on 3.10 beyond the prefetch too); filters let through what was asked for and nothing else;
sizes are those of bodies; what is too much goes when a new segment has its first message, where RabbitMQ removes it in the
background, which may be a segment earlier or later; and queue.declare-ok counts anew every five seconds since the declaration.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from simbus.effects import Delivered, Enqueued, Removed
from simbus.rabbitmq.arguments import QueueOptions, interval
from simbus.rabbitmq.consumers import Consumer
from simbus.rabbitmq.errors import internal_error, not_implemented, precondition_failed
from simbus.rabbitmq.fields import Long, Timestamp
from simbus.rabbitmq.messages import Copy, Message
from simbus.rabbitmq.node import Node
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.ready import Ready
from simbus.rabbitmq.segments import Log
from simbus.rabbitmq.versions import Version
from simbus.units import MICROSECOND, SECOND

OFFSET, FILTER, UNFILTERED_TOO = "x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"
FILTER_VALUE = "x-stream-filter-value"
_COUNTED_EVERY = 5 * SECOND
_PERSISTENT, _TRANSIENT = 2, 1  # delivery modes
_UNFILTERED = ""

Start = Callable[[Log, int], int]  # the offset at which a consumer starts, in a log at a time


@dataclass(slots=True, eq=False)
class _Reader:
    """Where a consumer is: the offset that it reads next; which filter values it ``wants``, None for all."""

    offset: int
    wants: frozenset[str] | None


@dataclass(slots=True, eq=False)
class Stream(Queue):
    """A queue of type stream; ``ready`` is what it holds, and nothing of it is ever unacked."""

    log: Log = field(default_factory=Log)
    node: Node = field(kw_only=True)
    _declared_at: int = 0
    _segment_size: int = 0
    _readers: dict[Consumer, _Reader] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """It is counted from now on."""
        self._declared_at = self.node.now
        Queue.__post_init__(self)

    def reconfigure(self, options: QueueOptions) -> None:
        """Take other options, at once what they keep; a segment's size is that of the declaration (observed).

        Its limits are no limits of ready copies.
        """
        Queue.reconfigure(self, options)
        self.limited = False
        if not self.log.next_offset:
            self._segment_size = options.segment_size
        self._retain()

    def _no_copies(self) -> Ready:
        return self.log

    @property
    def message_count(self) -> int:
        """What queue.declare-ok says: RabbitMQ counts offsets, and every five seconds only (observed)."""
        now = self.node.now
        return self.log.extent_at(now - (now - self._declared_at) % _COUNTED_EVERY)

    @property
    def consumer_count(self) -> int:
        """What queue.declare-ok says (observed)."""
        return 0

    @property
    def unsettled(self) -> int:
        """Deliveries that its consumers have not settled."""
        return sum(consumer.unacked for consumer in self.consumers)

    @property
    def depth(self) -> int:
        """What it holds, whoever has read it."""
        return len(self.log)

    # Writing

    def store(self, copy: Copy) -> None:
        """Append a copy, and hand it to every consumer that has read all before it and has credit."""
        node, log = self.node, self.log
        begins = log.segments[-1].size >= self._segment_size
        if begins:
            log.roll()
        copy.message = _stored(copy.message, log.next_offset, node.version)
        log.store(copy, node.now)
        self.ready_bytes += len(copy.message.body)
        self.ledger.enqueued += 1
        node.effects.append(Enqueued(node.now, copy.message.id, copy.id, self.name, copy.parent_id))
        if begins:
            self._retain()
        self.serve()

    def _retain(self) -> None:
        """Drop the oldest segments that are too much or too old."""
        options, log = self.options, self.log
        if options.max_length_bytes is not None:
            self._drop(log.beyond_size(options.max_length_bytes), "max_length_bytes")
        if options.max_age is not None:
            self._drop(log.older_than(self.node.now - options.max_age), "max_age")

    def _drop(self, segments: int, cause: str) -> None:
        node, ledger = self.node, self.ledger
        for copy in self.log.drop(segments):
            ledger.removed[cause] = ledger.removed.get(cause, 0) + 1
            ledger.discarded += 1
            self.ready_bytes -= len(copy.message.body)
            node.effects.append(Removed(node.now, copy.message.id, copy.id, self.name, cause, ()))

    def retain(self, wanted: Callable[[Copy], bool]) -> list[Copy]:
        """All of it is on disk."""
        return []

    # Reading

    def check_consume(self, arguments: Mapping[str, Any], prefetch: int, no_ack: bool) -> None:
        """Refuse a consumer that asks for what a stream has not; in RabbitMQ's order."""
        where, version = f"queue '{self.name}' in vhost '{self.vhost}'", self.node.version
        start_of(arguments, self.name, self.vhost)
        if not prefetch:
            raise precondition_failed(version.stream_wants_prefetch.format(where))
        if no_ack:
            raise not_implemented(version.stream_wants_acks.format(where))
        wanted_by(arguments, version)

    def add_consumer(self, consumer: Consumer) -> None:
        """It starts where its arguments say."""
        start = start_of(consumer.arguments, self.name, self.vhost)
        wants = wanted_by(consumer.arguments, self.node.version)
        self.consumers.append(consumer)
        self.deserted = False
        self._readers[consumer] = _Reader(start(self.log, self.node.now), wants)

    def remove_consumer(self, consumer: Consumer) -> None:
        """It may come back and ask for where it was; the stream does not remember."""
        self.consumers.remove(consumer)
        consumer.cancelled = True
        self.holders += consumer.unacked > 0
        del self._readers[consumer]

    def give_credit(self, consumer: Consumer | None) -> None:
        """One of its deliveries was settled, whichever and however."""
        if consumer is not None:  # no one gets from a stream
            consumer.unacked -= 1
            self.holders -= consumer.cancelled and not consumer.unacked

    def rejoin(self, consumer: Consumer) -> None:
        """No prefetch is shared here."""

    def serve(self) -> None:
        """Hand every consumer what its credit allows."""
        for consumer in self.consumers:
            reader = self._readers[consumer]
            while not consumer.full and (copy := self._next(reader)) is not None:
                self._deliver(consumer, copy)

    def _next(self, reader: _Reader) -> Copy | None:
        """What a consumer reads next; what it does not want it passes over."""
        while (copy := self.log.at(reader.offset)) is not None:
            reader.offset = copy.position + 1
            if reader.wants is None or _filter_value(copy) in reader.wants:
                return copy
        return None

    def _deliver(self, consumer: Consumer, copy: Copy) -> None:
        """A client holds a copy of its own, since others get the same one at other times."""
        node, channel = self.node, consumer.channel
        consumer.unacked += 1
        copy = replace(copy, delivered_at=node.now)
        to = channel.number, consumer.tag, channel.lend(self, copy, consumer)
        node.effects.append(Delivered(node.now, copy.message.id, copy.id, self.name, *to, 1, copy.message))

    def check(self) -> None:
        """Assert what a stream promises besides its ledger."""
        self.log.check()
        assert self.ready is self.log, f"{self.name}: what is ready is the log"
        assert not self.unacked, f"{self.name}: nothing of a stream is unacked"
        assert not self.rotation, f"{self.name}: nobody waits for a turn"
        assert self._readers.keys() == set(self.consumers), f"{self.name}: every consumer is somewhere"
        for consumer, reader in self._readers.items():
            unread = self.log.at(reader.offset)
            assert consumer.full or unread is None, f"{self.name}: consumer {consumer.tag} has credit and something to read"


def check_not_stream(queue: Queue, method: str) -> None:
    """Refuse (540) a method that streams have not."""
    if queue.is_stream:
        where = f"queue '{queue.name}' in vhost '{queue.vhost}'"
        raise not_implemented(f"{method} not supported by stream queues {where}")


def check_returns(queues: Iterable[Queue], version: Version) -> None:
    """Refuse (540) basic.nack and basic.reject of a stream's deliveries, where the version does and the stream is still there."""
    if not version.streams_take_returns:
        for queue in queues:
            if not queue.gone:
                check_not_stream(queue, "basic.nack and basic.reject")


def _filter_value(copy: Copy) -> object:
    """What a message is filtered by: a text, or nothing; a dead letter may bring anything else, which is nothing too."""
    value = copy.message.headers.get(FILTER_VALUE, _UNFILTERED)
    return value if isinstance(value, str) else _UNFILTERED


def check_filter_value(value: object, queues: Iterable[Queue], version: Version) -> None:
    """RabbitMQ stumbles over a filter value that is no text, on its way to a stream."""
    if version.streams_have_filters and not isinstance(value, str) and any(queue.is_stream for queue in queues):
        raise internal_error()


def start_of(arguments: Mapping[str, Any], queue: str, vhost: str) -> Start:
    """Where a consumer starts; 406 or 541 for what says nothing."""
    value = arguments.get(OFFSET, "next") if OFFSET in arguments else "next"
    if isinstance(value, datetime):
        return _since(round(value.timestamp() * 1_000_000) * MICROSECOND)
    if isinstance(value, Timestamp):
        return _since(value * SECOND)
    if isinstance(value, int) and not isinstance(value, bool):
        return lambda _log, _now: value
    if not isinstance(value, str):
        raise internal_error()
    if value in _STARTS:
        return _STARTS[value]
    age = interval(value)
    if age is None:
        reason = f'{{invalid_stream_offset_arg,{{longstr,<<"{value}">>}}}}'
        raise precondition_failed(f"invalid arg '{OFFSET}' for queue '{queue}' in vhost '{vhost}': {reason}")
    return lambda log, now: log.offset_at(now - age)


def _since(time: int) -> Start:
    return lambda log, _now: log.offset_at(time)


def _last(log: Log, _now: int) -> int:
    """The last chunk, which is the last message."""
    return max((segment.copies[-1].position for segment in log.segments if segment.copies), default=log.next_offset)


_STARTS: Mapping[str, Start] = {
    "first": lambda _log, _now: 0,
    "last": _last,
    "next": lambda log, _now: log.next_offset,
}


def wanted_by(arguments: Mapping[str, Any], version: Version) -> frozenset[str] | None:
    """The filter values that a consumer wants, None for all; a message without one has the empty one.

    541 for a list in which there is no text.
    """
    value = arguments.get(FILTER)
    if not version.streams_have_filters or not isinstance(value, str | list):
        return None
    values = [value] if isinstance(value, str) else [text for text in value if isinstance(text, str)]
    if not values:
        raise internal_error()
    return frozenset([*values, _UNFILTERED] if arguments.get(UNFILTERED_TOO) is True else values)


def _stored(message: Message, offset: int, version: Version) -> Message:
    """A message as its consumers will get it: RabbitMQ stores it in the form of AMQP 1.0, and not all of it survives that.

    A list or table among the headers is lost, on 4.0 unless it is CC or its name begins with ``x-``; so is the cluster id.
    """
    properties = message.properties
    headers = {name: value for name, value in message.headers.items() if not _is_lost(name, value, version)}
    headers[OFFSET] = Long(offset)
    changes: dict[str, Any] = {"headers": headers, "cluster_id": None}
    if version.streams_tell_delivery_mode:
        changes["delivery_mode"] = _PERSISTENT if properties.delivery_mode == _PERSISTENT else _TRANSIENT
    return replace(message, properties=replace(properties, **changes))


def _is_lost(name: str, value: object, version: Version) -> bool:
    is_kept = version.streams_keep_annotations and (name.startswith("x-") or name == "CC")
    return isinstance(value, list | dict) and not is_kept
