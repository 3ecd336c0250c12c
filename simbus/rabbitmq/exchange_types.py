"""The types of exchanges: which there are, how each routes, and what it asks of its arguments and bindings.

Those of RabbitMQ's plug-ins are there without being enabled. What is refused is told in RabbitMQ's words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simbus.rabbitmq.arguments import field_type
from simbus.rabbitmq.delays import DELAYED_TYPE, DelayRouter
from simbus.rabbitmq.errors import ConnectionError, RabbitMQError, internal_error, precondition_failed  # noqa: A004 - AMQP's word
from simbus.rabbitmq.fields import compared, compared_as_number
from simbus.rabbitmq.headers import Image, check_match_argument
from simbus.rabbitmq.node import Node
from simbus.rabbitmq.numerals import is_whole, whole
from simbus.rabbitmq.plugin_routers import (
    HASH_HEADER,
    HASH_PROPERTY,
    HISTORY_LENGTH,
    ConsistentHashRouter,
    ModulusHashRouter,
    RandomRouter,
    RecentHistoryRouter,
)
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routers import DirectRouter, FanoutRouter, HeadersRouter, TopicRouter
from simbus.rabbitmq.routing import Exchange, Router
from simbus.rabbitmq.versions import Version

Arguments = Mapping[str, Any]
Destination = Queue | Exchange

DELAYED = "x-delayed-message"
LOCAL_RANDOM = "x-local-random"

_HASHED_PROPERTIES = ("correlation_id", "message_id", "timestamp")


def _no_arguments(arguments: Arguments) -> None:
    """They mean nothing to it."""


def _any_binding(destination: Destination, routing_key: str, arguments: Arguments) -> None:
    """Whatever is bound."""


@dataclass(frozen=True, slots=True)
class ExchangeType:
    """How exchanges of a type route, and which arguments and bindings they refuse."""

    router: Callable[[Arguments, Node], Router]
    check: Callable[[Arguments], None] = _no_arguments
    check_binding: Callable[[Destination, str, Arguments], None] = _any_binding


def _check_match(destination: Destination, routing_key: str, arguments: Arguments) -> None:  # noqa: ARG001 - one signature
    check_match_argument(arguments)


def _image(version: Version) -> Image:
    return compared_as_number if version.headers_compare_numbers else compared


def _check_hashed_part(arguments: Arguments) -> None:
    given = [arguments[name] for name in (HASH_HEADER, HASH_PROPERTY) if name in arguments]
    if len(given) == 2:
        raise precondition_failed("hash-header and hash-property are mutually exclusive")
    if any(field_type(value) != "longstr" for value in given):
        raise internal_error()
    name = arguments.get(HASH_PROPERTY)
    if name is not None and name not in _HASHED_PROPERTIES:
        raise precondition_failed(f"Unsupported property: {name}")


def _check_weight(destination: Destination, routing_key: str, arguments: Arguments) -> None:  # noqa: ARG001 - one signature
    if not is_whole(routing_key):
        raise precondition_failed(f"The binding key must be an integer: {_binary(routing_key)}")
    if whole(routing_key) <= 0:
        raise precondition_failed("The binding key must be greater than 0")


def _check_history_length(arguments: Arguments) -> None:
    length = arguments.get(HISTORY_LENGTH, 1)
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise precondition_failed(f"Invalid argument {_term(length)}, '{HISTORY_LENGTH}' must be a positive integer")


def _check_local(destination: Destination, routing_key: str, arguments: Arguments) -> None:  # noqa: ARG001 - one signature
    if not isinstance(destination, Queue):
        raise precondition_failed("Destination not found")
    if routing_key:
        raise precondition_failed(f"Non empty binding '{routing_key}' key not permitted")
    if destination.options.type != "classic":
        raise precondition_failed(f"Queue type rabbit_{destination.options.type}_queue not valid for this exchange type")


def _binary(text: str) -> str:
    """As Erlang writes a binary."""
    return f'<<"{text}">>' if text else "<<>>"


def _term(value: object) -> str:
    """As Erlang writes a value of a field table."""
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return str(value).lower()
    return _binary(value) if isinstance(value, str) else str(value)


_TYPES = {
    "direct": ExchangeType(lambda _arguments, _node: DirectRouter()),
    "fanout": ExchangeType(lambda _arguments, _node: FanoutRouter()),
    "topic": ExchangeType(lambda _arguments, _node: TopicRouter()),
    "headers": ExchangeType(lambda _arguments, node: HeadersRouter(_image(node.version)), check_binding=_check_match),
    "x-consistent-hash": ExchangeType(lambda given, _node: ConsistentHashRouter(given), _check_hashed_part, _check_weight),
    "x-modulus-hash": ExchangeType(lambda _arguments, _node: ModulusHashRouter()),
    "x-random": ExchangeType(lambda _arguments, node: RandomRouter(node.draw)),
    LOCAL_RANDOM: ExchangeType(lambda _arguments, node: RandomRouter(node.draw), check_binding=_check_local),
    "x-recent-history": ExchangeType(lambda given, _node: RecentHistoryRouter(given), _check_history_length),
}
EXCHANGE_TYPES = (*_TYPES, DELAYED)


def exchange_types(version: Version) -> list[str]:
    """Those of a version."""
    return [type for type in EXCHANGE_TYPES if type != LOCAL_RANDOM or version.local_random_exchange]


def check_exchange_type(type: str, version: Version) -> None:
    """Refuse a type that there is not: 406 on the channel, or 503 on the connection, as the version does."""
    if type not in exchange_types(version):
        raise _unknown_type(type, version)


def _unknown_type(type: str, version: Version) -> RabbitMQError:
    reason = f"{'unknown' if type else 'invalid'} exchange type '{type}'"
    code = version.unknown_exchange_type
    return precondition_failed(reason) if code == 406 else ConnectionError(code, reason)


def check_exchange_arguments(type: str, arguments: Arguments, version: Version) -> None:
    """Refuse arguments that a new exchange of this type cannot use."""
    if type == DELAYED:
        type = _delayed_type(arguments)
        check_exchange_type(type, version)
    _TYPES[type].check(arguments)


def _delayed_type(arguments: Arguments) -> str:
    type = arguments.get(DELAYED_TYPE)
    if type == DELAYED:
        raise precondition_failed(f"Invalid argument, '{DELAYED}' can't be used for '{DELAYED_TYPE}'")
    if not isinstance(type, str):
        raise precondition_failed(f"Invalid argument, '{DELAYED_TYPE}' must be an existing exchange type")
    return type


def check_binding(source: Exchange, destination: Destination, routing_key: str, arguments: Arguments) -> None:
    """Refuse a new binding that the source cannot use (406)."""
    _TYPES[_routed_as(source.type, source.arguments)].check_binding(destination, routing_key, arguments)


def _routed_as(type: str, arguments: Arguments) -> str:
    return arguments[DELAYED_TYPE] if type == DELAYED else type


def router_for(name: str, type: str, arguments: Arguments, vhost: str, node: Node) -> Router:
    """The router of a new exchange, whose arguments have been checked."""
    router = _TYPES[_routed_as(type, arguments)].router(arguments, node)
    return DelayRouter(name, vhost, router, node) if type == DELAYED else router
