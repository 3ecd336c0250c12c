"""What dead-lettering makes of a message: its history, its headers, and when it would go in circles.

Pure functions of a message. Which queue a dead letter goes to is the virtual host's business.
Wordings and order of headers are those observed on RabbitMQ 4.0; the history that a client sends
in x-death is not trusted there: the broker keeps its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from simbus.rabbitmq.messages import Death, Message
from simbus.units import SECOND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HISTORY = ("x-death", *(f"x-{which}-death-{what}" for which in ("first", "last") for what in ("exchange", "queue", "reason")))


def dead_letter(message: Message, queue: str, reason: str, at: int, exchange: str, routing_key: str | None) -> Message:
    """The message as it leaves for the dead-letter exchange.

    Args:
        message: what died.
        queue: where.
        reason: ``rejected``, ``expired``, ``maxlen`` or ``delivery_limit``.
        at: nanoseconds of the broker's clock.
        exchange: the dead-letter exchange.
        routing_key: the dead-letter routing key; None keeps the message's own.
    """
    latest, *earlier = deaths = _with_death(message, queue, reason, at)
    first = message.first_death or latest
    properties = replace(message.properties, headers=_headers(message.headers, deaths, first, latest), expiration=None)
    return Message(
        id=message.id,
        exchange=exchange,
        routing_key=message.routing_key if routing_key is None else routing_key,
        properties=properties,
        body=message.body,
        deaths=(latest, *earlier),
        first_death=first,
    )


def goes_in_circles(message: Message, queue: str, reason: str) -> bool:
    """Whether a dead letter that returns to ``queue`` has come round without any consumer's reject.

    RabbitMQ drops such a message (guide to dead-letter exchanges, "Automatically dead lettered cycles").
    """
    if reason == "rejected":
        return False
    since = next((i for i, death in enumerate(message.deaths) if death.queue == queue), None)
    return since is not None and all(death.reason != "rejected" for death in message.deaths[: since + 1])


def _with_death(message: Message, queue: str, reason: str, at: int) -> tuple[Death, ...]:
    """One entry per queue and reason, the latest first; a repeated one counts up and keeps its first values."""
    others = tuple(death for death in message.deaths if (death.queue, death.reason) != (queue, reason))
    for death in message.deaths:
        if (death.queue, death.reason) == (queue, reason):
            return replace(death, count=death.count + 1), *others
    new = Death(
        queue, reason, 1, at // SECOND, message.exchange, (message.routing_key,), message.properties.expiration
    )
    return new, *others


def _headers(headers: Mapping[str, Any], deaths: tuple[Death, ...], first: Death, last: Death) -> dict[str, Any]:
    own = {key: value for key, value in headers.items() if key not in _HISTORY}
    history: dict[str, Any] = {"x-death": [_table(death) for death in deaths]}
    for which, death in (("first", first), ("last", last)):
        history |= {
            f"x-{which}-death-exchange": death.exchange,
            f"x-{which}-death-queue": death.queue,
            f"x-{which}-death-reason": death.reason,
        }
    return own | history


def _table(death: Death) -> dict[str, Any]:
    """An entry of x-death, its keys in the order in which RabbitMQ 4.0 writes them."""
    expiration = {} if death.original_expiration is None else {"original-expiration": death.original_expiration}
    return expiration | {
        "count": death.count,
        "reason": death.reason,
        "queue": death.queue,
        "time": EPOCH + timedelta(seconds=death.time),
        "exchange": death.exchange,
        "routing-keys": list(death.routing_keys),
    }
