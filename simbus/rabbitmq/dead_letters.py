"""What dead-lettering makes of a message: its history, its headers, and when it would go in circles.

Pure functions of a message. Which queue a dead letter goes to is the virtual host's business.
Wordings and order of headers are those observed on RabbitMQ 4.0; the history that a client sends
in x-death is not trusted there: the broker keeps its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from simbus.rabbitmq.carbon_copies import shown_keys
from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.messages import Death, Message, MoreKeys
from simbus.rabbitmq.versions import Version
from simbus.units import SECOND

Entry = TypeVar("Entry")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def dead_letter(
    message: Message, queue: str, reason: str, at: int, exchange: str, routing_key: str | None, version: Version
) -> Message:
    """The message as it leaves for the dead-letter exchange.

    Args:
        message: what died.
        queue: where.
        reason: ``rejected``, ``expired``, ``maxlen`` or ``delivery_limit``.
        at: nanoseconds of the broker's clock.
        exchange: the dead-letter exchange.
        routing_key: the dead-letter routing key; None keeps all keys of the message.
        version: says what else it leaves behind.
    """
    place = next((i for i, death in enumerate(message.deaths) if death.queue == queue and death.reason == reason), None)
    latest = _new_death(message, queue, reason, at, version) if place is None else _repeated(message.deaths[place])
    first = message.first_death or latest
    tables = message.headers["x-death"] if message.deaths else ()  # its entries are in the same order as ``deaths``
    own = _own_headers(message, routing_key, version)
    headers = _headers(own, _to_front(_table(latest), tables, place), first, latest)
    return Message(
        id=message.id,
        exchange=exchange,
        routing_key=message.routing_key if routing_key is None else routing_key,
        properties=replace(message.properties, headers=headers, expiration=None),
        body=message.body,
        more_keys=_more_keys(message.more_keys, routing_key, version),
        deaths=tuple(_to_front(latest, message.deaths, place)),
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


def _more_keys(keys: MoreKeys | None, routing_key: str | None, version: Version) -> MoreKeys | None:
    """What a routing key of the queue leaves of them: which were hidden may still matter."""
    if keys is None or routing_key is None:
        return keys
    return MoreKeys((), keys.hidden) if version.hidden_keys_are_subtracted else None


def _own_headers(message: Message, routing_key: str | None, version: Version) -> Mapping[str, Any]:
    if routing_key is None or not version.keyed_dead_letters_lose_cc:
        return message.headers
    return {name: value for name, value in message.headers.items() if name != "CC"}


def _new_death(message: Message, queue: str, reason: str, at: int, version: Version) -> Death:
    keys = shown_keys(message, subtracted=version.hidden_keys_are_subtracted)
    return Death(queue, reason, 1, at // SECOND, message.exchange, keys, message.properties.expiration)


def _repeated(death: Death) -> Death:
    """One entry per queue and reason: a repeated one counts up and keeps its first values."""
    return replace(death, count=death.count + 1)


def _to_front(latest: Entry, entries: Sequence[Entry], place: int | None) -> list[Entry]:
    """The entries with the latest before all others, in place of the one that it repeats.

    No other entry is looked at: a message that went through n queues has n of them.
    """
    return [latest, *entries] if place is None else [latest, *entries[:place], *entries[place + 1 :]]


def _headers(headers: Mapping[str, Any], tables: list[dict[str, Any]], first: Death, last: Death) -> dict[str, Any]:
    """The message's own headers; what a client says in place of the history is replaced."""
    history: dict[str, Any] = {"x-death": tables}
    for which, death in (("first", first), ("last", last)):
        history |= {
            f"x-{which}-death-exchange": death.exchange,
            f"x-{which}-death-queue": death.queue,
            f"x-{which}-death-reason": death.reason,
        }
    return {**headers, **history}


def _table(death: Death) -> dict[str, Any]:
    """An entry of x-death, its keys in the order in which RabbitMQ 4.0 writes them."""
    expiration = {} if death.original_expiration is None else {"original-expiration": death.original_expiration}
    return expiration | {
        "count": Long(death.count),
        "reason": death.reason,
        "queue": death.queue,
        "time": EPOCH + timedelta(seconds=death.time),
        "exchange": death.exchange,
        "routing-keys": list(death.routing_keys),
    }
