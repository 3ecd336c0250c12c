"""How a connection begins: what the server says of itself, whom it lets in, and what may be agreed.

Pure functions and data, which the session applies. Everything was asked of RabbitMQ 4.0.5 and 3.10.8.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from simbus.rabbitmq.amqp.errors import ProtocolError
from simbus.rabbitmq.amqp.tables import decode_table
from simbus.rabbitmq.versions import Version

AMQP_0_8 = 8, 0
_AMQP_0_9 = 0, 9
_AMQP_0_9_1, _AMQP_1_0 = b"AMQP\x00\x00\x09\x01", b"AMQP\x03\x01\x00\x00"
_PROTOCOLS = {
    _AMQP_0_9_1: _AMQP_0_9,
    b"AMQP\x01\x01\x00\x09": _AMQP_0_9,  # 0-9, treated as if it were 0-9-1
    b"AMQP\x01\x01\x08\x00": AMQP_0_8,
    b"AMQP\x01\x01\x09\x01": AMQP_0_8,  # what clients of 0-8 say, by rabbit_reader
}

CHANNEL_MAX = 2047
FRAME_MAX = 131_072
FRAME_MIN = 4096  # what may be sent before anything is agreed, and the least that may be agreed
HEARTBEAT = 60  # seconds

CAPABILITIES = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
)
LOCALES = "en_US"


class Credentials(NamedTuple):
    """Who someone claims to be."""

    user: str
    password: str


def protocol_of(header: bytes, version: Version) -> tuple[int, int] | None:
    """The version of AMQP, as connection.start names it, that a header asks for; None when it is not spoken."""
    protocol = _PROTOCOLS.get(header)
    return None if protocol == AMQP_0_8 and not version.speaks_amqp_0_8 else protocol


def server_properties(version: Version, protocol: tuple[int, int]) -> Mapping[str, Any]:
    """What the server says of itself; AMQP 0-8 has no capabilities."""
    return {
        "capabilities": {} if protocol == AMQP_0_8 else dict.fromkeys(CAPABILITIES, True),
        "cluster_name": "rabbit@localhost",
        "copyright": version.copyright,
        "information": "Licensed under the MPL 2.0. Website: https://rabbitmq.com",
        "platform": version.platform,
        "product": "RabbitMQ",
        "version": version.release,
    }


def refused_header(header: bytes, version: Version) -> bytes:
    """What the server writes before it hangs up on a protocol that it does not speak: one that it does.

    AMQP 0-9-1, section 2.2.4: "the server MUST send a valid protocol header and close the socket connection".
    RabbitMQ 4.0 names 0-9-1 to those who asked for a 0-9-1 of another revision, and 1.0 to all others.
    simbus does not speak 1.0, so to those who ask for just that it names 0-9-1.
    """
    wants_0_9 = header.startswith(b"AMQP\x00\x00") and header[6] >= 9
    return _AMQP_0_9_1 if wants_0_9 or header == _AMQP_1_0 or not version.speaks_amqp_1_0 else _AMQP_1_0


def credentials(mechanism: str, response: bytes, version: Version) -> Credentials | None:
    """Whom a response names; None for one that is malformed, or of a mechanism that the server did not offer."""
    return _MECHANISMS[mechanism](response) if mechanism in version.mechanisms else None


def _plain(response: bytes) -> Credentials | None:
    """RFC 4616 without an authorization identity: NUL, user, NUL, password."""
    empty, *parts = response.split(b"\0")
    if empty or len(parts) != 2:
        return None
    return Credentials(_text(parts[0]), _text(parts[1]))


def _amqplain(response: bytes) -> Credentials | None:
    """A field table without its length, with LOGIN and PASSWORD."""
    try:
        table = decode_table(response)
    except ProtocolError:
        return None
    user, password = table.get("LOGIN"), table.get("PASSWORD")
    if not isinstance(user, str) or not isinstance(password, str):
        return None
    return Credentials(user, password)


def _anonymous(_response: bytes) -> Credentials:
    """Whoever comes is guest: RabbitMQ 4.0's ``anonymous_login_user`` and ``anonymous_login_pass``."""
    return Credentials("guest", "guest")


_MECHANISMS: Mapping[str, Callable[[bytes], Credentials | None]] = {
    "PLAIN": _plain,
    "AMQPLAIN": _amqplain,
    "ANONYMOUS": _anonymous,
}


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def acceptable(channel_max: int, frame_max: int) -> bool:
    """Whether a client's tune-ok is: not above the server's offer, and 0 (no limit) is above it."""
    return 0 < channel_max <= CHANNEL_MAX and FRAME_MIN <= frame_max <= FRAME_MAX


def announced(client_properties: Mapping[str, Any]) -> frozenset[str]:
    """The capabilities that a client has."""
    capabilities = client_properties.get("capabilities")
    if not isinstance(capabilities, Mapping):
        return frozenset()
    return frozenset(name for name, value in capabilities.items() if value is True)


def name_of(peer: str, client_properties: Mapping[str, Any]) -> str:
    """What people call a connection: ``127.0.0.1:40312 (billing)``, or the client's product where it gave no connection_name."""
    called = client_properties.get("connection_name") or client_properties.get("product")
    return f"{peer} ({called})" if isinstance(called, str) else peer
