"""Declaring again what exists: RabbitMQ compares, and refuses what is not equivalent.

Also what a queue's type and its owner allow. Functions here look and refuse; they change nothing.
"""

from collections.abc import Mapping
from typing import Any

from simbus.rabbitmq.arguments import check_equivalent, compared_arguments
from simbus.rabbitmq.errors import ChannelError, precondition_failed, resource_locked
from simbus.rabbitmq.policies import ALTERNATE_EXCHANGE
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routing import Exchange


def check_equivalent_exchange(
    current: Exchange, received: Mapping[str, object], arguments: Mapping[str, Any], vhost: str
) -> None:
    """Refuse (406) to declare an exchange again with other properties than it has."""
    where = f"exchange '{current.name}' in vhost '{vhost}'"
    for name, value in received.items():
        _check_equal(name, getattr(current, name), value, where)
    check_equivalent([ALTERNATE_EXCHANGE], current.arguments, arguments, where)


def check_equivalent_queue(queue: Queue, durable: bool, exclusive: bool, auto_delete: bool, arguments: Mapping[str, Any]) -> None:
    """Refuse to declare a queue again with other properties (406), or exclusively when it is not, and vice versa (405)."""
    if exclusive != (queue.owner is not None):
        raise _locked(queue)
    where = f"queue '{queue.name}' in vhost '{queue.vhost}'"
    _check_equal("durable", queue.durable, durable and not exclusive, where)
    _check_equal("auto_delete", queue.auto_delete, auto_delete, where)
    check_equivalent(compared_arguments(queue.options.type), queue.arguments, arguments, where)


def check_replicated(name: str, vhost: str, durable: bool, exclusive: bool, auto_delete: bool) -> None:
    """Refuse (406) properties that a quorum queue or a stream cannot have."""
    for wrong, text in ((auto_delete, "auto-delete"), (exclusive, "exclusive-owner"), (not durable, "non-durable")):
        if wrong:
            raise precondition_failed(f"invalid property '{text}' for queue '{name}' in vhost '{vhost}'")


def check_not_locked(queue: Queue, connection: object) -> None:
    """Refuse (405) the exclusive queue of another connection."""
    if queue.owner is not None and queue.owner is not connection:
        raise _locked(queue)


def without_line_ends(name: str) -> str:
    """RabbitMQ strips CR and LF from names where it declares, deletes and binds."""
    return name.replace("\r", "").replace("\n", "")


def _check_equal(what: str, current: object, received: object, where: str) -> None:
    if current != received:
        old, new = (str(value).lower() if isinstance(value, bool) else value for value in (current, received))
        raise precondition_failed(f"inequivalent arg '{what}' for {where}: received '{new}' but current is '{old}'")


def _locked(queue: Queue) -> ChannelError:
    return resource_locked(
        f"cannot obtain exclusive access to locked queue '{queue.name}' in vhost '{queue.vhost}'. It could be originally "
        "declared on another connection or the exclusive property value does not match that of the original declaration."
    )
