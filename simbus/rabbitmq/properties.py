"""What a publisher says of a message beside its body: the properties of AMQP, and what an expiration means.

They never change; how a message carries them is in ``messages``, how they are written as octets in ``amqp``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from simbus.rabbitmq.errors import precondition_failed
from simbus.rabbitmq.numerals import significant, whole
from simbus.units import MILLISECOND

# x-message-ttl and expiration may not exceed ten years of 365 days (rabbit_misc:check_expiry).
LONGEST_TTL_MS = 315_360_000_000


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of AMQP 0-9-1's class basic (section 1.8.1); None is absent.

    ``expiration`` is a string of milliseconds, ``delivery_mode`` 2 is persistent. ``octets`` are those of the wire, where
    they are passed on as they came; whoever replaces a property makes new ones without them.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Mapping[str, Any] | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None
    octets: bytes | None = field(default=None, init=False, repr=False, compare=False)


NO_PROPERTIES = Properties()


def ttl_of(expiration: str) -> int:
    """Nanoseconds of the expiration property, which is a string of decimal milliseconds.

    Raises:
        ChannelError: 406 with RabbitMQ's wording (``rabbit_basic:parse_expiration``, ``string:to_integer``).
    """
    digits = expiration[1:] if expiration[:1] in ("+", "-") else expiration
    length = next((i for i, c in enumerate(digits) if c not in "0123456789"), len(digits))
    if not length:
        raise precondition_failed(f"invalid expiration '{expiration}': no_integer")
    milliseconds = whole(expiration[: len(expiration) - len(digits) + length])
    if rest := digits[length:]:
        raise precondition_failed(f"invalid expiration '{expiration}': {{leftover_string,\"{rest}\"}}")
    if milliseconds < 0:
        raise precondition_failed(f"invalid expiration '{expiration}': {{value_negative,-{significant(digits)}}}")
    if milliseconds > LONGEST_TTL_MS:
        raise precondition_failed(f"invalid expiration '{expiration}': {{value_too_large,{significant(digits)}}}")
    return milliseconds * MILLISECOND


def with_expiration(properties: Properties, ttl: int) -> Properties:
    """The properties with these nanoseconds, written in the usual way: ``+007`` is 7."""
    expiration = str(ttl // MILLISECOND)
    return properties if properties.expiration == expiration else replace(properties, expiration=expiration)
