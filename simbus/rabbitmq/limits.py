"""Limits of virtual hosts and of users: their names, and what RabbitMQ says about values and to who meets one."""

from collections.abc import Mapping

from simbus.rabbitmq.access import User, limit_in
from simbus.rabbitmq.errors import (
    ConnectionError,  # noqa: A004 - AMQP's word
    ValidationFailed,
    precondition_failed,
)
from simbus.rabbitmq.terms import mapping, pairs, term

MAX_CONNECTIONS, MAX_QUEUES, MAX_CHANNELS = "max-connections", "max-queues", "max-channels"
_OF_VHOSTS, _OF_USERS = (MAX_CONNECTIONS, MAX_QUEUES), (MAX_CONNECTIONS, MAX_CHANNELS)


def check_vhost_limits(limits: Mapping[str, object]) -> None:
    """Refuse limits of a virtual host that mean nothing (ValidationFailed)."""
    _check(limits, _OF_VHOSTS, "limits")


def check_user_limits(limits: Mapping[str, object]) -> None:
    """Refuse limits of a user that mean nothing (ValidationFailed)."""
    _check(limits, _OF_USERS, "user-limits")


def _check(limits: Mapping[str, object], known: tuple[str, ...], what: str) -> None:
    given = mapping(limits, what)
    for name, value in given.items():
        if name in known and not (isinstance(value, int) and not isinstance(value, bool)):
            raise ValidationFailed(f"{name} should be a number, actually was {term(value)}")
    unknown = {name: value for name, value in given.items() if name not in known}
    if unknown:
        raise ValidationFailed(f"Unrecognised terms {pairs(unknown)} in {what}")


def check_connections(vhost: str, limits: Mapping[str, int], user: str, there: int) -> None:
    """Refuse (530) one more connection to a virtual host that has so many."""
    limit = limit_in(limits, MAX_CONNECTIONS)
    if limit is not None and there >= limit:
        raise ConnectionError(530, f"access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) is reached")


def check_connections_of(user: User, there: int) -> None:
    """Refuse (530) one more connection of a user who has so many."""
    limit = user.limit(MAX_CONNECTIONS)
    if limit is not None and there >= limit:
        raise ConnectionError(530, f"connection refused for user '{user.name}': user connection limit ({limit}) is reached")


def check_channels_of(user: User, there: int, called: str) -> None:
    """Refuse (530) one more channel of a user who has so many; ``called`` is whom the text names."""
    limit = user.limit(MAX_CHANNELS)
    if limit is not None and there >= limit:
        reason = f"number of channels opened for user '{called}' has reached the maximum allowed user limit of ({limit})"
        raise ConnectionError(530, reason)


def check_queues(vhost: str, limits: Mapping[str, int], queue: str, there: int) -> None:
    """Refuse (406) one more queue in a virtual host that has so many."""
    limit = limit_in(limits, MAX_QUEUES)
    if limit is not None and there >= limit:
        raise precondition_failed(f"cannot declare queue '{queue}': queue limit in vhost '{vhost}' ({limit}) is reached")
