"""What dead-lettering makes of a message: its history, its headers, and when it would go in circles.

Pure functions of a message. Which queue a dead letter goes to is the virtual host's business.
Wordings and order of headers are those observed on RabbitMQ; the history that a client sends
in x-death is trusted by 3.10 (``trusted_deaths``), in 4.0 the broker keeps its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from simbus.rabbitmq.carbon_copies import shown_keys
from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.messages import Death, Message, MoreKeys
from simbus.rabbitmq.trusted_deaths import X_DEATH, Stumbled, continued, deaths_in
from simbus.rabbitmq.versions import Version
from simbus.units import SECOND

Entry = TypeVar("Entry")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def dead_letter(
    message: Message, queue: str, reason: str, at: int, exchange: str, routing_key: str | None, version: Version
) -> Message | None:
    """The message as it leaves for the dead-letter exchange, or None when RabbitMQ stumbles over its history and loses it.

    Args:
        message: what died.
        queue: where.
        reason: ``rejected``, ``expired``, ``maxlen`` or ``delivery_limit``.
        at: nanoseconds of the broker's clock.
        exchange: the dead-letter exchange.
        routing_key: the dead-letter routing key; None keeps all keys of the message.
        version: how it keeps the history, and what else a message leaves behind.
    """
    death = _new_death(message, queue, reason, at, version)
    own = _own_headers(message, routing_key, version)
    try:
        headers, deaths, first = (_trusted if version.trusts_x_death else _kept)(message, own, death, version)
    except Stumbled:
        return None
    if version.tells_last_death:
        headers |= _about("last", death)  # which may have died in a message of another exchange than at first
    return Message(
        id=message.id,
        exchange=exchange,
        routing_key=message.routing_key if routing_key is None else routing_key,
        properties=replace(message.properties, headers=headers, expiration=None),
        body=message.body,
        more_keys=_more_keys(message.more_keys, routing_key, version),
        deaths=deaths,
        first_death=first,
    )


_History = tuple[dict[str, Any], tuple[Death, ...], Death | None]  # the headers, all deaths, and the first of them


def _kept(message: Message, own: Mapping[str, Any], death: Death, version: Version) -> _History:
    """The broker's own history; what a client says in place of it is replaced."""
    place = next((i for i, d in enumerate(message.deaths) if (d.queue, d.reason) == (death.queue, death.reason)), None)
    latest = death if place is None else _repeated(message.deaths[place])
    first = message.first_death or latest
    tables = message.headers[X_DEATH] if message.deaths else ()  # its entries are in the same order as ``deaths``
    headers = {**own, X_DEATH: _to_front(_table(latest, version), tables, place), **_about("first", first)}
    return headers, tuple(_to_front(latest, message.deaths, place)), first


def _trusted(message: Message, own: Mapping[str, Any], death: Death, version: Version) -> _History:  # noqa: ARG001 - as _kept
    """The history in the header, whoever wrote it."""
    headers = continued(own, _table(death, version), _about("first", death))
    return headers, deaths_in(headers[X_DEATH]), None


def goes_in_circles(message: Message, queue: str) -> bool:
    """Whether a dead letter that returns to ``queue`` has come round without any consumer's reject.

    RabbitMQ drops such a message (guide to dead-letter exchanges, "Automatically dead lettered cycles").
    """
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


def _about(which: str, death: Death) -> dict[str, str]:
    return {
        f"x-{which}-death-exchange": death.exchange,
        f"x-{which}-death-queue": death.queue,
        f"x-{which}-death-reason": death.reason,
    }


def _table(death: Death, version: Version) -> dict[str, Any]:
    """An entry of x-death, its keys in the order in which the version writes them."""
    expiration = {} if death.original_expiration is None else {"original-expiration": death.original_expiration}
    entry = {
        "count": Long(death.count),
        "reason": death.reason,
        "queue": death.queue,
        "time": EPOCH + timedelta(seconds=death.time),
        "exchange": death.exchange,
        "routing-keys": list(death.routing_keys),
    }
    return expiration | entry if version.original_expiration_leads else entry | expiration
