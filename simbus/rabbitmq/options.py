"""Options as people write them, and a topology made of them.

``message_ttl="30min"`` is RabbitMQ's ``x-message-ttl: 1800000``: one table tells how each option is
called and measured there. The fake and the simulation declare through here, so both take the same
words. An option carries RabbitMQ's own key with ``-`` as ``_``; ``type`` stands for x-queue-type.
What a value may be is the broker's business (``arguments``), in the broker's wording: here only
units and kinds are read. Nothing here holds state.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypedDict, Unpack

from simbus.dialect import Topology, Word
from simbus.errors import ScenarioError, SimbusError, UnitError
from simbus.rabbitmq.arguments import OVERFLOWS, QUEUE_TYPES
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.numerals import age
from simbus.rabbitmq.topology import QueueDeclareOk
from simbus.units import MILLISECOND, SECOND, duration, size

_PLACES = ("first", "last", "next")  # in a stream


class OptionError(SimbusError, TypeError):
    """An option that does not exist, is given twice, or has a value of the wrong kind; the text names the remedy."""


class QueueArguments(TypedDict, total=False):
    """The options of a queue that stand for AMQP arguments; None is absent.

    Times are ``"30min"`` or a timedelta in whole milliseconds, sizes ``"50MB"`` or bytes.
    """

    type: str | None
    message_ttl: str | timedelta | None
    expires: str | timedelta | None
    max_length: int | None
    max_length_bytes: int | str | None
    overflow: str | None
    dead_letter_exchange: str | None
    dead_letter_routing_key: str | None
    dead_letter_strategy: str | None
    delivery_limit: int | None
    single_active_consumer: bool | None
    max_priority: int | None
    consumer_timeout: str | timedelta | None
    queue_mode: str | None
    queue_version: int | None
    queue_leader_locator: str | None
    max_age: str | timedelta | None
    stream_max_segment_size_bytes: int | str | None
    stream_filter_size_bytes: int | None
    initial_cluster_size: int | None


class ConsumerArguments(TypedDict, total=False):
    """The options of a consumer that stand for AMQP arguments; None is absent.

    Of consumers that have credit those of the highest ``priority`` are served first; without one it is 0.
    ``stream_offset`` is where it starts in a stream: ``"first"``, ``"last"``, ``"next"``, an offset, a time, or ``"1h"`` for
    what was published in the last hour. ``stream_filter`` names the filter values that it wants.
    """

    priority: int | None
    stream_offset: str | int | datetime | timedelta | None
    stream_filter: str | Sequence[str] | None
    stream_match_unfiltered: bool | None


class ExchangeArguments(TypedDict, total=False):
    """The options of an exchange that stand for AMQP arguments; None is absent."""

    alternate_exchange: str | None
    delayed_type: str | None
    hash_header: str | None
    hash_property: str | None
    recent_history_length: int | None


class PolicyArguments(QueueArguments, ExchangeArguments, total=False):
    """What a policy may set, in the words of queues and exchanges."""


def milliseconds(value: object, what: str) -> int:
    """RabbitMQ's milliseconds in ``"30min"`` or a timedelta.

    Raises:
        UnitError: when it has no unit or a fraction of a millisecond.
    """
    whole, rest = divmod(duration(value, what), MILLISECOND)
    if rest:
        raise UnitError(f'{what}: {value!r} is finer than RabbitMQ counts; write whole milliseconds, such as "{whole + 1}ms"')
    return whole


def _age(value: object, what: str) -> str:
    """RabbitMQ's whole seconds; a text that it can read itself, such as ``7D``, is left as it is."""
    if isinstance(value, str) and age(value) is not None:
        return value
    whole, rest = divmod(duration(value, what), SECOND)
    if rest:
        raise UnitError(f'{what}: {value!r} is finer than RabbitMQ counts; write whole seconds, such as "{whole + 1}s"')
    return f"{whole}s"


def _offset(value: object, what: str) -> object:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise OptionError(f"{what}: {value!r} has no time zone; write for example datetime(2000, 1, 1, tzinfo=UTC)")
    return value if value in _PLACES or (isinstance(value, datetime | int) and not isinstance(value, bool)) else _ago(value, what)


def _ago(value: object, what: str) -> str:
    """How long before now a reader of a stream starts."""
    try:
        return _age(value, what)
    except UnitError as error:
        raise UnitError(f'{error}; or "first", "last" or "next", an offset, or a datetime') from None


def _texts(value: object, what: str) -> object:
    if isinstance(value, str):
        return value
    return [_text(text, what) for text in _kind(value, Sequence, what, "a text or a list of them")]


def _text(value: object, what: str) -> object:
    return _kind(value, str, what, "a text")


def _whole(value: object, what: str) -> object:
    return _kind(value, int, what, "a whole number")


def _one_of(known: Sequence[str]) -> Callable[[object, str], object]:
    def read(value: object, what: str) -> object:
        if _text(value, what) not in known:
            raise OptionError(f"{what}: {value!r} is none of {', '.join(known)}")
        return value

    return read


def _flag(value: object, what: str) -> object:
    return _kind(value, bool, what, "True or False")


def _table(value: object, what: str) -> object:
    return _kind(value, Mapping, what, 'a table of AMQP arguments, such as {"x-message-ttl": 60000}')


def _kind(value: Any, kind: type, what: str, wanted: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise OptionError(f"{what}: {value!r} is not {wanted}")
    return value


@dataclass(frozen=True, slots=True)
class _Option:
    """An AMQP argument, and how its value is read."""

    argument: str
    read: Callable[[object, str], object]


_QUEUE = {
    "type": _Option("x-queue-type", _one_of(QUEUE_TYPES)),
    "message_ttl": _Option("x-message-ttl", milliseconds),
    "expires": _Option("x-expires", milliseconds),
    "max_length": _Option("x-max-length", _whole),
    "max_length_bytes": _Option("x-max-length-bytes", size),
    "overflow": _Option("x-overflow", _one_of(OVERFLOWS)),
    "dead_letter_exchange": _Option("x-dead-letter-exchange", _text),
    "dead_letter_routing_key": _Option("x-dead-letter-routing-key", _text),
    "dead_letter_strategy": _Option("x-dead-letter-strategy", _text),
    "delivery_limit": _Option("x-delivery-limit", _whole),
    "single_active_consumer": _Option("x-single-active-consumer", _flag),
    "max_priority": _Option("x-max-priority", _whole),
    "consumer_timeout": _Option("x-consumer-timeout", milliseconds),
    "queue_mode": _Option("x-queue-mode", _text),
    "queue_version": _Option("x-queue-version", _whole),
    "queue_leader_locator": _Option("x-queue-leader-locator", _text),
    "max_age": _Option("x-max-age", _age),
    "stream_max_segment_size_bytes": _Option("x-stream-max-segment-size-bytes", size),
    "stream_filter_size_bytes": _Option("x-stream-filter-size-bytes", _whole),
    "initial_cluster_size": _Option("x-initial-cluster-size", _whole),
}
_CONSUMER = {
    "priority": _Option("x-priority", _whole),
    "stream_offset": _Option("x-stream-offset", _offset),
    "stream_filter": _Option("x-stream-filter", _texts),
    "stream_match_unfiltered": _Option("x-stream-match-unfiltered", _flag),
}
_EXCHANGE = {
    "alternate_exchange": _Option("alternate-exchange", _text),
    "delayed_type": _Option("x-delayed-type", _text),
    "hash_header": _Option("hash-header", _text),
    "hash_property": _Option("hash-property", _text),
    "recent_history_length": _Option("x-recent-history-length", _whole),
}

# What a declaration has besides arguments.
_QUEUE_FLAGS = ("durable", "exclusive", "auto_delete", "arguments")
_EXCHANGE_FLAGS = ("type", "durable", "auto_delete", "internal", "arguments")
_WORDS = {"queues": (_QUEUE, _QUEUE_FLAGS), "exchanges": (_EXCHANGE, _EXCHANGE_FLAGS)}
_KINDS: Mapping[Callable[..., Any], Any] = {milliseconds: "time", size: "size", _whole: "whole", _flag: "flag"}
_BINDING = ("queue", "to_exchange", "exchange", "routing_key", "arguments")


def words(section: str) -> dict[str, Word]:
    """The options of ``queues`` or ``exchanges``: the kind of each, and RabbitMQ's name for it."""
    options, flags = _WORDS[section]
    found = {
        name: Word(_KINDS.get(option.read, "text"), f"RabbitMQ's {option.argument}.", option.argument)
        for name, option in options.items()
    }
    besides = {
        "type": Word("text", "The type of exchange."),
        "arguments": Word("table", "AMQP's arguments, in RabbitMQ's units."),
    }
    return found | {name: besides.get(name) or Word("flag", f"AMQP's {name.replace('_', '-')}.") for name in flags}


def queue_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """The AMQP arguments that a queue's options stand for: ``message_ttl="1s"`` gives ``x-message-ttl: 1000``.

    Raises:
        OptionError: for an unknown option or a value of the wrong kind.
        UnitError: for a time or size that cannot be read.
    """
    return _arguments(options, _QUEUE, _QUEUE_FLAGS, "queue")


def policy_definition(definition: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a policy sets: RabbitMQ's own keys, and options such as ``message_ttl="1s"`` that stand for ``message-ttl: 1000``.

    Raises:
        OptionError: for an option that is unknown, given twice or of the wrong kind.
        UnitError: for a time or size that cannot be read.
    """
    table = {**_QUEUE, **_EXCHANGE}
    set_by_options = {name.removeprefix("x-"): value for name, value in _arguments(options, table, (), "policy").items()}
    return _merged(definition, set_by_options)


def consumer_arguments(arguments: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """As :func:`queue_arguments`, for a consumer, with those that are given in AMQP's form."""
    return _merged(arguments, _arguments(options, _CONSUMER, (), "consumer"))


def exchange_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """As :func:`queue_arguments`, for an exchange."""
    return _arguments(options, _EXCHANGE, _EXCHANGE_FLAGS, "exchange")


def declare_queue(
    channel: Channel,
    name: str,
    /,
    *,
    durable: bool = True,
    exclusive: bool = False,
    auto_delete: bool = False,
    arguments: Mapping[str, Any] | None = None,
    **options: Unpack[QueueArguments],
) -> QueueDeclareOk:
    """Declare a queue; durable unless told otherwise, since a quorum queue must be.

    ``arguments`` are AMQP's, in RabbitMQ's units; an option may not say the same again.

    Raises:
        OptionError: for an option that is unknown, given twice or of the wrong kind.
        UnitError: for a time or size that cannot be read.
        RabbitMQError: when the broker refuses.
    """
    _check_flags(durable=durable, exclusive=exclusive, auto_delete=auto_delete)
    table = _merged(arguments, queue_arguments(options))
    return channel.queue_declare(name, durable=durable, exclusive=exclusive, auto_delete=auto_delete, arguments=table)


def declare_exchange(
    channel: Channel,
    name: str,
    /,
    *,
    type: str = "direct",
    durable: bool = True,
    auto_delete: bool = False,
    internal: bool = False,
    arguments: Mapping[str, Any] | None = None,
    **options: Unpack[ExchangeArguments],
) -> None:
    """Declare an exchange of a type in ``exchange_types``; errors as :func:`declare_queue`."""
    _check_flags(durable=durable, auto_delete=auto_delete, internal=internal)
    _text(type, "type")
    table = _merged(arguments, exchange_arguments(options))
    channel.exchange_declare(name, type, durable=durable, auto_delete=auto_delete, internal=internal, arguments=table)


def declare_topology(channel: Channel, topology: Topology) -> None:
    """Declare exchanges, queues and bindings, in this order.

    Options are those of :func:`declare_queue` and :func:`declare_exchange`; a binding has ``exchange``, ``queue`` or
    ``to_exchange`` and, when needed, ``routing_key`` and ``arguments``.

    Raises:
        ScenarioError: for whatever an entity is refused for; ``place`` names it.
    """
    for name, options in topology.exchanges.items():
        in_place(_place("exchanges", name), declare_exchange, channel, name, **options)
    for name, options in topology.queues.items():
        in_place(_place("queues", name), declare_queue, channel, name, **options)
    for number, binding in enumerate(topology.bindings):
        in_place(f"bindings[{number}]", _bind, channel, binding)


def _bind(channel: Channel, binding: Mapping[str, Any]) -> None:
    check_known(binding, _BINDING, "binding")
    destination = "to_exchange" if "to_exchange" in binding else "queue"
    missing = [key for key in (destination, "exchange") if key not in binding]
    if missing:
        raise OptionError(f"a binding needs {' and '.join(missing)}")
    bind = channel.queue_bind if destination == "queue" else channel.exchange_bind
    bind(binding[destination], binding["exchange"], binding.get("routing_key", ""), _merged(binding.get("arguments"), {}))


def in_place(place: str, act: Callable[..., object], /, *arguments: Any, **options: Any) -> None:
    """Do something with an entry of a document; ScenarioError names its place, if what is refused does not name one already."""
    try:
        act(*arguments, **options)
    except ScenarioError:
        raise
    except (ValueError, SimbusError) as error:
        raise ScenarioError(place, str(error)) from error


def _place(kind: str, name: str) -> str:
    return f'{kind}."{name}"' if "." in name else f"{kind}.{name}"


def _arguments(options: Mapping[str, Any], table: Mapping[str, _Option], flags: tuple[str, ...], kind: str) -> dict[str, Any]:
    check_known(options, (*table, *flags), kind)
    given = {name: value for name, value in options.items() if value is not None and name in table}
    return {table[name].argument: table[name].read(value, name) for name, value in given.items()}


def _merged(arguments: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    if arguments is not None:
        _table(arguments, "arguments")
        table.update(arguments)
    for name in options:
        if name in table:
            raise OptionError(f"{name} is given twice: in arguments and as an option; leave one out")
    return {**table, **options}


def check_known(given: Iterable[str], known: Collection[str], kind: str) -> None:
    """Refuse words that are not among the known options of such a thing (OptionError)."""
    for name in given:
        if name not in known:
            close = get_close_matches(name.removeprefix("x-").replace("-", "_"), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
            raise OptionError(f"a {kind} has no option {name!r}; {hint}")


def _check_flags(**flags: object) -> None:
    for name, value in flags.items():
        _flag(value, name)
