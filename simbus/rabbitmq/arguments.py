"""The optional arguments of queues: what RabbitMQ accepts, refuses and compares.

Arguments arrive as AMQP tables with RabbitMQ's own names and units (``x-message-ttl`` in
milliseconds) and leave as ``QueueOptions`` in nanoseconds and bytes. Wordings are RabbitMQ's; what
differs between versions is asked of the version.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import floor, isfinite
from typing import Any

from simbus.rabbitmq.errors import internal_error, precondition_failed
from simbus.rabbitmq.fields import (
    Byte,
    Float,
    Long,
    LongString,
    Short,
    Timestamp,
    UnsignedByte,
    UnsignedInt,
    UnsignedShort,
    name_in,
)
from simbus.rabbitmq.numerals import age, is_whole
from simbus.rabbitmq.properties import LONGEST_TTL_MS
from simbus.rabbitmq.timeouts import NEVER
from simbus.rabbitmq.versions import Version
from simbus.units import MILLISECOND

_ON_FAILOVER = "x-cancel-on-ha-failover"
_LEADER_LOCATOR, _MASTER_LOCATOR = "x-queue-leader-locator", "x-queue-master-locator"
_SEGMENT_SIZE = "x-stream-max-segment-size-bytes"
_SEGMENT, _LARGEST_SEGMENT = 500_000_000, 3_000_000_000  # bytes

QUEUE_TYPES = ("classic", "quorum", "stream")
OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")

_SMALLEST_INT, _LARGEST_INT = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """A queue's arguments, checked and in simbus' units; None is unlimited or absent.

    ``prefers_high`` is of a quorum queue whose version takes messages of high priority first, ``counts_from_zero`` of one
    that tells a get of its first delivery too; ``elects_by_priority`` of a queue that looks at the priorities of consumers
    when it chooses the single active one.
    """

    type: str = "classic"
    message_ttl: int | None = None
    expires: int | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: str = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    delivery_limit: int | None = None
    max_priority: int | None = None
    prefers_high: bool = False
    single_active_consumer: bool = False
    elects_by_priority: bool = True
    counts_from_zero: bool = False
    consumer_timeout: int | None = None
    dead_letters_at_least_once: bool = False
    max_age: int | None = None
    segment_size: int = 0


_FIELD_TYPES: dict[type, str] = {
    bool: "bool",
    str: "longstr",
    LongString: "longstr",
    bytes: "binary",
    list: "array",
    dict: "table",
    type(None): "void",
    Byte: "byte",
    UnsignedByte: "unsignedbyte",
    Short: "short",
    UnsignedShort: "unsignedshort",
    UnsignedInt: "unsignedint",
    Long: "long",
    Float: "float",
    float: "double",
    Decimal: "decimal",
    datetime: "timestamp",
    Timestamp: "timestamp",
}


def field_type(value: object) -> str:
    """RabbitMQ's name for the type that a value has in a field table."""
    if type(value) is int:
        return "signedint" if _SMALLEST_INT <= value <= _LARGEST_INT else "long"
    return _FIELD_TYPES.get(type(value), type(value).__name__)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _integer(value: object) -> str | None:
    is_integer = isinstance(value, int) and not isinstance(value, bool | Timestamp)
    return None if is_integer else f'"expected integer, got {field_type(value)}"'


def _not_negative(value: Any) -> str | None:
    return _integer(value) or (f"{{value_negative,{value}}}" if value < 0 else None)


def _ttl(value: Any) -> str | None:
    return _not_negative(value) or (f"{{value_too_large,{value}}}" if value > LONGEST_TTL_MS else None)


def _lease(value: Any) -> str | None:
    return _ttl(value) or ("{value_zero,0}" if value == 0 else None)


def _priorities(value: Any) -> str | None:
    return _not_negative(value) or (f"{{max_value_exceeded,{value}}}" if value > 255 else None)


def _text(value: object) -> str | None:
    return None if field_type(value) == "longstr" else f"{{unacceptable_type,{field_type(value)}}}"


def _overflow(value: object) -> str | None:
    return _text(value) or (None if value in OVERFLOWS else "invalid_overflow")


def _mode(value: object) -> str | None:
    return _text(value) or (None if value in ("default", "lazy") else f"\"unsupported queue mode '{value}'\"")


def _version(value: Any) -> str | None:
    return _integer(value) or (None if value in (1, 2) else f"\"unsupported queue version '{value}'\"")


def _queue_type(value: object) -> str | None:
    return _text(value) or (None if value in QUEUE_TYPES else f"\"unsupported queue type '{value}'\"")


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else f"{{unacceptable_type,{field_type(value)}}}"


def _strategy(value: object) -> str | None:
    return _text(value) or (None if value in ("at-most-once", "at-least-once") else "invalid_dlx_strategy")


def _positive(value: Any) -> str | None:
    return _not_negative(value) or ("{value_zero,0}" if value == 0 else None)


def _age(value: Any) -> str | None:
    return _text(value) or ("invalid_max_age" if interval(name_in(value)) is None else None)


def interval(text: str) -> int | None:
    """The nanoseconds of a number with a unit, such as ``7D``; None when they are not such, or nothing.

    Raises:
        ConnectionError: 541 when it does not begin with a number.
    """
    if not is_whole(text[:1]):
        raise internal_error()
    return age(text)


def _anything(value: object) -> str | None:  # noqa: ARG001 - one signature for the table
    return None


@dataclass(frozen=True, slots=True)
class _Argument:
    """How RabbitMQ treats an argument: ``invalid`` gives the reason to refuse a value, or None."""

    invalid: Callable[[Any], str | None]
    types: tuple[str, ...] = ("classic", "quorum")


# In the order in which RabbitMQ checks them, and compares those of a classic queue that is declared again.
_ARGUMENTS = {
    "x-expires": _Argument(_lease),
    "x-message-ttl": _Argument(_ttl),
    "x-dead-letter-exchange": _Argument(_text),
    "x-dead-letter-routing-key": _Argument(_text),
    "x-dead-letter-strategy": _Argument(_strategy, types=("quorum",)),
    "x-max-length": _Argument(_not_negative),
    "x-max-length-bytes": _Argument(_not_negative, types=("classic", "quorum", "stream")),
    "x-max-in-memory-length": _Argument(_not_negative, types=("quorum",)),
    "x-max-in-memory-bytes": _Argument(_not_negative, types=("quorum",)),
    "x-max-priority": _Argument(_priorities, types=("classic",)),
    "x-overflow": _Argument(_overflow),
    "x-queue-mode": _Argument(_mode, types=("classic",)),
    "x-queue-version": _Argument(_version, types=("classic",)),
    "x-single-active-consumer": _Argument(_flag),
    "x-queue-type": _Argument(_queue_type, types=("classic", "quorum", "stream")),
    _MASTER_LOCATOR: _Argument(_anything, types=("classic",)),
    "x-delivery-limit": _Argument(_anything, types=("quorum",)),
    "x-quorum-initial-group-size": _Argument(_positive, types=("quorum",)),
    "x-max-age": _Argument(_age, types=("stream",)),
    "x-stream-max-segment-size-bytes": _Argument(_not_negative, types=("stream",)),
    "x-initial-cluster-size": _Argument(_positive, types=("stream",)),
    _LEADER_LOCATOR: _Argument(_text, types=("classic", "quorum", "stream")),
}


# The order in which a quorum queue's are compared when it is declared again (observed on 4.0.5 and 3.10.8).
_COMPARED_OF_QUORUM = (
    *("x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-expires", "x-max-length"),
    *("x-max-length-bytes", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-overflow", "x-single-active-consumer"),
    *("x-queue-type", "x-quorum-initial-group-size", "x-delivery-limit", "x-message-ttl", "x-queue-leader-locator"),
)


def queue_options(arguments: Mapping[str, Any], queue: str, vhost: str, version: Version) -> QueueOptions:
    """What the arguments of queue.declare mean; unknown ones are ignored, as RabbitMQ does.

    Raises:
        ChannelError: 406 with RabbitMQ's wording, for a value or an argument that the queue's type does not take.
        ConnectionError: 541 for a master locator that RabbitMQ stumbles over.
    """
    where = f"queue '{queue}' in vhost '{vhost}'"
    check_exchange_name("x-dead-letter-exchange", arguments, where)
    queue_type = arguments.get("x-queue-type", "classic")
    for name in ("x-queue-type", *_ARGUMENTS):
        if name in arguments and (name == "x-queue-type" or _takes(queue_type, name, version)):
            reason = _invalid(name, arguments, version)
            if reason:
                raise precondition_failed(f"invalid arg '{name}' for {where}: {reason}")
    foreign = [name for name in arguments if name in _ARGUMENTS and not _takes(queue_type, name, version)]
    if foreign:
        name = min(foreign) if queue_type == "classic" and version.foreign_arguments_are_sorted else foreign[0]
        raise precondition_failed(f"invalid arg '{name}' for {where} of queue type rabbit_{queue_type}_queue")
    locator = arguments.get(_MASTER_LOCATOR)
    if locator is not None and version.master_locators and locator not in version.master_locators:
        raise internal_error()
    return options_of(arguments, queue_type, version)


def _takes(queue_type: str, name: str, version: Version) -> bool:
    """Whether queues of a type take an argument."""
    without_leader = queue_type == "classic" and not version.classic_queues_have_leaders
    return queue_type in _ARGUMENTS[name].types and not (without_leader and name == _LEADER_LOCATOR)


def _invalid(name: str, arguments: Mapping[str, Any], version: Version) -> str | None:
    """Why an argument's value is refused."""
    reason = _ARGUMENTS[name].invalid(arguments[name])
    if not reason and name == "x-dead-letter-routing-key" and "x-dead-letter-exchange" not in arguments:
        return "routing_key_but_no_dlx_defined"
    if not reason and name == _LEADER_LOCATOR and arguments[name] not in version.leader_locators:
        return "invalid_queue_locator_arg"
    return reason


def check_exchange_name(argument: str, arguments: Mapping[str, Any], where: str) -> None:
    """Refuse (406) an argument that should name an exchange and is not even text."""
    if argument in arguments and _text(arguments[argument]):
        raise precondition_failed(f"invalid type '{field_type(arguments[argument])}' for arg '{argument}' in {where}")


def check_consumer_arguments(arguments: Mapping[str, Any], queue: str, queue_type: str, vhost: str, version: Version) -> None:
    """Refuse (406) arguments of basic.consume that this queue does not take; unknown ones are ignored.

    Raises:
        ChannelError: 406 with RabbitMQ's wording.
    """
    where = f"queue '{queue}' in vhost '{vhost}'"
    for name in _not_taken(queue_type, version):
        if name in arguments:
            raise precondition_failed(f"invalid arg '{name}' for {where} of queue type rabbit_{queue_type}_queue")
    if "x-priority" in arguments and (reason := _integer(arguments["x-priority"])):
        raise precondition_failed(f"invalid arg 'x-priority' for {where}: {reason}")
    if version.failover_cancels and (reason := _flag(arguments.get(_ON_FAILOVER, False))):
        raise precondition_failed(f"invalid arg '{_ON_FAILOVER}' for {where}: {reason}")


def _not_taken(queue_type: str, version: Version) -> Sequence[str]:
    """The arguments of basic.consume that the version knows, and that a queue of this type does not take."""
    of_streams = ("x-stream-offset", *(("x-stream-filter", "x-stream-match-unfiltered") if version.streams_have_filters else ()))
    of_classic_queues = (_ON_FAILOVER,) if version.failover_cancels else ()
    if queue_type == "stream":
        return ("x-priority", *of_classic_queues)
    return of_streams if queue_type == "classic" else (*of_streams, *of_classic_queues)


def check_stream_arguments(arguments: Mapping[str, Any], version: Version) -> None:
    """Refuse (406) values that RabbitMQ looks at when it makes a stream, and that it words otherwise."""
    if arguments.get(_SEGMENT_SIZE, 0) > _LARGEST_SEGMENT:
        raise precondition_failed(f"Exceeded max value for {_SEGMENT_SIZE}")
    size = arguments.get("x-stream-filter-size-bytes", 16)
    if version.streams_have_filters and not (type(size) is not bool and isinstance(size, int) and 16 <= size <= 255):
        raise precondition_failed("Invalid value for  x-stream-filter-size-bytes")


def is_modelled(argument: str) -> bool:
    """Whether simbus knows what RabbitMQ does with an argument."""
    return argument in _ARGUMENTS


def options_of(arguments: Mapping[str, Any], queue_type: str, version: Version) -> QueueOptions:
    """What arguments mean that need no check: a queue's own and those that policies set."""
    return QueueOptions(
        type=queue_type,
        message_ttl=_nanoseconds(arguments.get("x-message-ttl")),
        expires=_nanoseconds(arguments.get("x-expires")),
        max_length=arguments.get("x-max-length"),
        max_length_bytes=arguments.get("x-max-length-bytes"),
        overflow=_effective_overflow(arguments.get("x-overflow", "drop-head"), queue_type),
        dead_letter_exchange=name_in(arguments.get("x-dead-letter-exchange")),
        dead_letter_routing_key=name_in(arguments.get("x-dead-letter-routing-key")),
        delivery_limit=_delivery_limit(arguments, version) if queue_type == "quorum" else None,
        max_priority=_max_priority(arguments.get("x-max-priority"), version),
        single_active_consumer=arguments.get("x-single-active-consumer", False),
        elects_by_priority=queue_type == "classic" or version.quorum_elects_by_priority,
        consumer_timeout=_consumer_timeout(arguments.get("x-consumer-timeout"), version),
        dead_letters_at_least_once=_at_least_once(arguments, queue_type),
        prefers_high=queue_type == "quorum" and version.quorum_priorities,
        counts_from_zero=queue_type == "quorum" and version.gets_are_counted_from_zero,
        max_age=None if "x-max-age" not in arguments else interval(arguments["x-max-age"]),
        segment_size=arguments.get(_SEGMENT_SIZE, _SEGMENT),
    )


def _at_least_once(arguments: Mapping[str, Any], queue_type: str) -> bool:
    """The strategy needs a dead-letter exchange, and reject-publish; else it is as if it were at-most-once."""
    wanted = arguments.get("x-dead-letter-strategy") == "at-least-once" and "x-dead-letter-exchange" in arguments
    return queue_type == "quorum" and wanted and arguments.get("x-overflow") == "reject-publish"


def _nanoseconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * MILLISECOND


def _effective_overflow(overflow: str, queue_type: str) -> str:
    """A quorum queue accepts reject-publish-dlx and then drops heads (observed on 4.0.5)."""
    return "drop-head" if queue_type == "quorum" and overflow == "reject-publish-dlx" else overflow


def _consumer_timeout(value: object, version: Version) -> int | None:
    """Whatever it is, it is accepted, and no integer means that there is no timeout (observed on 4.0.5)."""
    if value is None or not version.queues_have_consumer_timeouts:
        return None
    return NEVER if not isinstance(value, int) or isinstance(value, bool) else value * MILLISECOND


def _max_priority(most: int | None, version: Version) -> int | None:
    return None if most is None else max(most, version.fewest_priorities)


def _delivery_limit(arguments: Mapping[str, Any], version: Version) -> int | None:
    limit = arguments.get("x-delivery-limit", version.delivery_limit)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not isfinite(limit):
        return None  # any other value is accepted and means none (observed)
    limit = floor(limit)
    return None if limit < 0 and version.negative_is_unlimited else limit


def compared_arguments(queue_type: str) -> Sequence[str]:
    """The arguments that must not differ when a queue of this type is declared again; all others are ignored."""
    if queue_type == "quorum":
        return _COMPARED_OF_QUORUM
    return [name for name, known in _ARGUMENTS.items() if queue_type in known.types]


def check_equivalent(names: Iterable[str], current: Mapping[str, Any], received: Mapping[str, Any], where: str) -> None:
    """Refuse (406) the first difference between two declarations, in RabbitMQ's words."""
    for name in names:
        default = "classic" if name == "x-queue-type" else None
        old, new = current.get(name), received.get(name)
        if (default if old is None else old) != (default if new is None else new):
            raise precondition_failed(f"inequivalent arg '{name}' for {where}: received {_difference(old, new)}")


def _difference(old: object, new: object) -> str:
    if old is None:
        return f"the value '{_shown(new)}' of type '{field_type(new)}' but current is none"
    if new is None:
        return f"none but current is the value '{_shown(old)}' of type '{field_type(old)}'"
    return f"'{_shown(new)}' but current is '{_shown(old)}'"
