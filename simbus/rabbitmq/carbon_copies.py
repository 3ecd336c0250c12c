"""More routing keys of a message, in its headers CC and BCC ("sender-selected distribution", an extension of RabbitMQ).

A message goes wherever any of its keys leads, once to each queue. CC stays among its headers; BCC is taken away
before anyone else sees the message, and is remembered beside it, since a dead letter goes by the same keys.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simbus.rabbitmq.arguments import field_type
from simbus.rabbitmq.errors import precondition_failed
from simbus.rabbitmq.fields import LongString, name_in
from simbus.rabbitmq.messages import Message, MoreKeys
from simbus.rabbitmq.properties import Properties


def more_keys(headers: Mapping[str, Any]) -> MoreKeys | None:
    """The keys in CC and BCC, None without any; 406 for one of the two that is no array. What is no text there is no key."""
    cc, bcc = _keys("CC", headers), _keys("BCC", headers)
    return MoreKeys(cc + bcc, bcc) if cc or bcc else None


def without_bcc(properties: Properties) -> Properties:
    """As everyone but the publisher sees them."""
    headers = properties.headers
    if not headers or "BCC" not in headers:
        return properties
    return replace(properties, headers={name: value for name, value in headers.items() if name != "BCC"})


def shown_keys(message: Message, *, subtracted: bool) -> tuple[str, ...]:
    """The keys that an entry of x-death shows: the routing key and those of CC.

    Where the hidden ones are ``subtracted`` from all, each takes the first equal key with it, wherever that came from
    (observed on 4.0.5).
    """
    more = message.more_keys
    if more is None:
        return (message.routing_key,)
    keys = [message.routing_key, *more.keys]
    if not subtracted:
        return tuple(keys[: len(keys) - len(more.hidden)])
    for key in more.hidden:
        if key in keys:
            keys.remove(key)
    return tuple(keys)


def _keys(header: str, headers: Mapping[str, Any]) -> tuple[str, ...]:
    value = headers.get(header, ())
    if not isinstance(value, list | tuple):
        header_and_type = f'"{header}",{field_type(headers[header])}'
        raise precondition_failed(f"invalid message: {{unacceptable_type_in_header,{header_and_type}}}")
    return tuple(name_in(key) for key in value if isinstance(key, str | LongString))
