"""What fuzzers let clients say: programs of AMQP made from the table of methods, and how they are spoilt.

A program is a list of octets, an item a frame. Everything is drawn from the ``Random`` that is handed in, so that a
number is a program. Names come from short lists, so that clients meet at the same queues. Values are of every type
that the wire has; what makes a method valid is mostly, and not always, heeded.
"""

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from simbus.rabbitmq.amqp.codec import (
    BODY,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    encode_content,
    encode_method,
    encode_properties,
    frame,
)
from simbus.rabbitmq.amqp.methods import BY_NAME, METHODS, SERVER
from simbus.rabbitmq.amqp.tables import DEEPEST, encode_table
from simbus.rabbitmq.fields import Byte, Float, Long, LongString, Short, Timestamp, UnsignedByte, UnsignedInt, UnsignedShort
from simbus.rabbitmq.properties import Properties
from tests.wire import PROTOCOL_HEADER

FRAME_MAX = 131_072
QUEUES = ("a", "b", "c", "d", "e.f", "grün")
TYPES = ("direct", "fanout", "topic", "headers")
EXCHANGES = ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "x", "y")
KEYS = (*QUEUES, "e.#", "*.f", "#", "#.#.#.f", "x" * 255)
TEXTS = ("", "a", "guest", "grün", "5", "10000", "\udcff", "all", "any-with-x", "x" * 255)
_OFTEN = tuple(
    BY_NAME[name]
    for name, times in {
        "basic.publish": 8,
        "basic.consume": 3,
        "basic.get": 3,
        "basic.qos": 1,
        "basic.recover": 1,
        "tx.commit": 1,
        "queue.declare": 2,
        "queue.bind": 2,
        "queue.purge": 1,
        "exchange.declare": 1,
        "exchange.bind": 1,
    }.items()
    for _ in range(times)
)
_CLIENTS = tuple(method for method in METHODS if method.sent_by != SERVER and method.class_id > 10)
# Values


def table(random: Random, depth: int = 0) -> dict[str, Any]:
    """A field table, seldom one that lies as deep as is allowed."""
    if not depth and random.random() < 0.02:
        deep: dict[str, Any] = {"x": 1}
        for _ in range(DEEPEST):
            deep = {"x": deep}
        return deep
    return {random.choice(TEXTS): field(random, depth) for _ in range(random.choice((0, 0, 1, 3)))}


def field(random: Random, depth: int = 0) -> Any:
    """A value of any type."""
    number = random.choice((0, 1, -1, 127, -(2**31), 2**63 - 1, random.randrange(1000)))
    kinds: tuple[Callable[[], Any], ...] = (
        *(lambda: None, lambda: number % 2 == 0, lambda: number, lambda: Long(number), lambda: number / 3),
        *(lambda: Byte(number % 128), lambda: UnsignedByte(number % 256), lambda: Short(number % 2**15)),
        *(lambda: UnsignedShort(number % 2**16), lambda: UnsignedInt(number % 2**32), lambda: Float(0.5)),
        *(lambda: Timestamp(2**63 + 5), lambda: datetime.fromtimestamp(number % 2**32, UTC), lambda: Decimal("1.25")),
        *(lambda: random.choice(TEXTS[:4]), lambda: "x" * 300, lambda: LongString(b"\xff"), lambda: b"\0\xff"),
    )
    if depth < 3 and random.random() < 0.2:
        return random.choice((table(random, depth + 1), [field(random, depth + 1) for _ in range(random.randrange(4))]))
    return random.choice(kinds)()


_QUEUE_ARGUMENTS: dict[str, Callable[[Random], Any]] = {
    "x-message-ttl": lambda random: random.choice((0, 5, 60_000)),
    "x-max-length": lambda random: random.choice((0, 1, 3)),
    "x-max-length-bytes": lambda random: random.choice((0, 100)),
    "x-overflow": lambda random: random.choice(("drop-head", "reject-publish", "reject-publish-dlx")),
    "x-dead-letter-exchange": lambda random: random.choice(("", *EXCHANGES)),
    "x-dead-letter-routing-key": lambda random: random.choice((*QUEUES, "x" * 300, LongString(b"\xff"))),
    "x-queue-type": lambda random: random.choice(("quorum", "quorum", "classic")),
    "x-delivery-limit": lambda random: random.choice((0, 1, -1)),
}


def arguments(random: Random) -> dict[str, Any]:
    """The argument tables of methods: those of queues and exchanges, with good values and with any."""
    if random.random() < 0.4:
        return {}
    chosen = random.sample(sorted(_QUEUE_ARGUMENTS), random.randrange(4))
    given = {name: field(random) if random.random() < 0.1 else _QUEUE_ARGUMENTS[name](random) for name in chosen}
    if random.random() < 0.2:
        given["alternate-exchange"] = random.choice((*EXCHANGES, field(random)))
    if random.random() < 0.2:
        given["x-match"] = random.choice(("all", "any", "any-with-x", field(random)))
    return {**given, **(table(random) if random.random() < 0.1 else {})}


_ANY = {
    "octet": lambda random: random.randrange(256),
    "short": lambda random: random.choice((0, 1, 65_535, random.randrange(65_536))),
    "long": lambda random: random.choice((0, 1, 2**32 - 1)),
    "longlong": lambda random: random.choice((0, 1, 2, 3, random.randrange(20), 2**64 - 1)),
    "bit": lambda random: random.random() < 0.3,
    "shortstr": lambda random: random.choice(TEXTS),
    "longstr": lambda random: random.choice((b"", b"\0guest\0guest", random.randbytes(9))),
    "table": arguments,
}


def _exchange(random: Random) -> str:
    return random.choice(("", "missing") + 4 * EXCHANGES)


def _seldom(value: Any, usual: Any = False) -> Callable[[Random], Any]:
    return lambda random: value if random.random() < 0.05 else usual


_NAMED: dict[str, Callable[[Random], Any]] = {
    **dict.fromkeys(("queue",), lambda random: random.choice((*QUEUES * 4, "", "missing"))),
    **dict.fromkeys(("exchange", "source", "destination"), _exchange),
    "routing_key": lambda random: random.choice(("", *KEYS, *QUEUES)),
    "type": lambda random: random.choice((*TYPES, *TYPES, "unknown")),
    "consumer_tag": lambda random: random.choice(("", "s", "t", "u")),
    "prefetch_size": _seldom(1, 0),
    "prefetch_count": lambda random: random.choice((0, 1, 2, 5)),
    "immediate": _seldom(True),
    "active": _seldom(False, True),
    "delivery_tag": lambda random: random.choice((0, 0, 1, 2, 3, 2**64 - 1)),
    "requeue": _seldom(False, True),
    "passive": _seldom(True),
    **dict.fromkeys(("exclusive", "internal", "auto_delete"), lambda random: random.random() < 0.1),
    "ticket": _seldom(9, 0),
}


def properties(random: Random) -> bytes:
    """A message's properties as octets."""
    if random.random() < 0.5:
        return b"\0\0"
    texts = {name: random.choice(TEXTS) for name in random.sample(("content_type", "reply_to", "message_id", "type"), 2)}
    return encode_properties(
        Properties(
            headers=random.choice((None, table(random), {"x-death": field(random)})),
            delivery_mode=random.choice((None, 1, 2, 255)),
            expiration=random.choice((None, None, "0", "7", "5000", "soon", "9" * 255)),
            priority=random.choice((None, 9)),
            timestamp=random.choice((None, datetime(2020, 1, 1, tzinfo=UTC), Timestamp(2**64 - 1))),
            user_id=random.choice((None, None, None, "guest", "other")),
            **texts,
        )
    )


# Programs


def frames(octets: bytes) -> list[bytes]:
    """Well-formed octets, cut into their frames."""
    cut, at = [], 0
    while at < len(octets):
        end = at + 8 + struct.unpack_from(">I", octets, at + 3)[0]
        cut.append(octets[at:end])
        at = end
    return cut


def command(random: Random, channel: int, frame_max: int = FRAME_MAX) -> list[bytes]:
    """One method with any arguments, and its content if it has one."""
    kind = random.random()
    method = random.choice(_OFTEN if kind < 0.85 else _CLIENTS if kind < 0.99 else METHODS)
    values = [_value(random, name, kind) for name, kind in method.arguments]
    if not method.has_content:
        return [encode_method(channel, method, *values)]
    body = b"z" * random.choice((0, 1, 10, 10, 5_000, frame_max))
    return frames(encode_content(channel, method, tuple(values), properties(random), body, frame_max))


def _value(random: Random, name: str, kind: str) -> Any:
    return _NAMED.get(name, _ANY[kind])(random)


def handshake(random: Random) -> tuple[list[bytes], int]:
    """How a connection begins, mostly well, and the frame_max that it agrees on."""
    capabilities = {name: random.random() < 0.8 for name in ("basic.nack", "connection.blocked", "consumer_cancel_notify")}
    client = {"capabilities": capabilities, "product": "fuzz", **(table(random) if random.random() < 0.1 else {})}
    login = encode_table({"LOGIN": "guest", "PASSWORD": field(random) if random.random() < 0.2 else "guest"})[4:]
    mechanism, response = random.choice((("PLAIN", b"\0guest\0guest"),) * 30 + (("AMQPLAIN", login), ("PLAIN", b"\0guest\0no")))
    frame_max = random.choice((4096, 10_000, FRAME_MAX) * 10 + (10,))
    tuned = random.choice((5, 2047, 2047)), frame_max, random.choice((0, 0, 1, 60, 65_535))
    begin = [
        *(PROTOCOL_HEADER, encode_method(0, BY_NAME["connection.start-ok"], client, mechanism, response, "en_US")),
        encode_method(0, BY_NAME["connection.tune-ok"], *tuned),
        encode_method(0, BY_NAME["connection.open"], random.choice(("/",) * 30 + ("missing",)), "", False),
    ]
    return begin, max(frame_max, 4096)


def good_handshake() -> list[bytes]:
    """How a connection begins that nothing is wrong with."""
    return [
        PROTOCOL_HEADER,
        encode_method(0, BY_NAME["connection.start-ok"], {}, "PLAIN", b"\0guest\0guest", "en_US"),
        encode_method(0, BY_NAME["connection.tune-ok"], 2047, FRAME_MAX, 0),
        encode_method(0, BY_NAME["connection.open"], "/", "", False),
    ]


def program(random: Random, length: int) -> list[bytes]:
    """A conversation of one client: a handshake and ``length`` commands, on ever new channels, since refusals close them."""
    said, frame_max = handshake(random)
    channel = random.choice((0, 65_535 - length - 1))
    for at in range(length):
        if not at or random.random() < 0.3:
            channel += 1
            said += opened(random, channel)
        said += command(random, random.choice((channel, channel, max(1, channel - 1))), frame_max)
        if random.random() < 0.05:
            said.append(HEARTBEAT_FRAME)
    return said


def setting(random: Random) -> list[bytes]:
    """What one client declares before the others come: exchanges, queues of all kinds, bindings, and consumers."""
    said = good_handshake()
    for channel, name in enumerate(("x", "y", *QUEUES), 1):  # a channel each: what is refused closes only that
        said += opened(random, channel)
        if channel <= 2:
            alternate = {"alternate-exchange": random.choice(EXCHANGES)} if random.random() < 0.3 else {}
            declared = 0, name, random.choice(TYPES), False, False, False, False, False, alternate
            said.append(encode_method(channel, BY_NAME["exchange.declare"], *declared))
            continue
        names = random.sample(sorted(_QUEUE_ARGUMENTS), random.randrange(5))
        given = {name: _QUEUE_ARGUMENTS[name](random) for name in names}
        if "x-dead-letter-routing-key" in given:
            given["x-dead-letter-exchange"] = random.choice(("", *EXCHANGES))
        durable = given.get("x-queue-type") == "quorum" or random.random() < 0.5
        said.append(encode_method(channel, BY_NAME["queue.declare"], 0, name, False, durable, False, False, False, given))
        source, key = random.choice(EXCHANGES), random.choice(KEYS)
        said.append(encode_method(channel, BY_NAME["queue.bind"], 0, name, source, key, False, {}))
        said.append(encode_method(channel, BY_NAME["basic.qos"], 0, random.choice((0, 1, 3)), random.random() < 0.2))
        if random.random() < 0.5:
            flags = random.random() < 0.2, random.random() < 0.2, False, False
            said.append(encode_method(channel, BY_NAME["basic.consume"], 0, name, "t", *flags, {}))
    return said


def opened(random: Random, channel: int) -> list[bytes]:
    """A channel is opened, and seldom confirms or is transactional."""
    mode = random.choice(("", "", "", "confirm.select", "confirm.select", "tx.select"))
    selected = [encode_method(channel, BY_NAME[mode], *(False,) * len(BY_NAME[mode].arguments))] if mode else []
    return [encode_method(channel, BY_NAME["channel.open"], ""), *selected]


# Spoiling. Each takes the frames and changes them in place; ``at`` is the place of one of them.


def _flip(random: Random, said: list[bytes], at: int) -> None:
    spoilt = bytearray(said[at])
    for _ in range(random.choice((1, 1, 4))):
        spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
    said[at] = bytes(spoilt)


def _cut(random: Random, said: list[bytes], at: int) -> None:
    said[at] = said[at][: random.randrange(len(said[at]) + 1)]


def _duplicate(random: Random, said: list[bytes], at: int) -> None:
    said[at:at] = [said[at]] * random.choice((1, 1, 5))


def _drop(random: Random, said: list[bytes], at: int) -> None:
    del said[at]


def _move(random: Random, said: list[bytes], at: int) -> None:
    said.insert(random.randrange(len(said)), said.pop(at))


def _splice(random: Random, said: list[bytes], at: int) -> None:
    other = random.choice(said)
    said[at] = said[at][: random.randrange(len(said[at]) + 1)] + other[random.randrange(len(other) + 1) :]


def _channel(random: Random, said: list[bytes], at: int) -> None:
    number = random.choice((0, 1, 2, random.randrange(65_536)))
    said[at] = said[at][:1] + struct.pack(">H", number) + said[at][3:]


def _end(random: Random, said: list[bytes], at: int) -> None:
    said[at] = said[at][:-1] + random.randbytes(1)


def _size(random: Random, said: list[bytes], at: int) -> None:
    size = random.choice((0, 2**32 - 1, 2**31, 4096, random.randrange(300)))
    said[at] = said[at][:3] + struct.pack(">I", size) + said[at][7:]


def _type(random: Random, said: list[bytes], at: int) -> None:
    said[at] = bytes([random.choice((1, 2, 3, 4, 8, random.randrange(256)))]) + said[at][1:]


def _octets(random: Random, said: list[bytes], at: int) -> None:
    said.insert(at, random.randbytes(random.randrange(40)))


def _any_frame(random: Random, said: list[bytes], at: int) -> None:
    method = random.choice(METHODS)
    payload = struct.pack(">HH", method.class_id, method.method_id) + random.randbytes(random.randrange(30))
    said.insert(at, frame(random.choice((METHOD, METHOD, 2, BODY, HEARTBEAT)), random.randrange(3), payload))


def _huge_body(random: Random, said: list[bytes], at: int) -> None:
    """Announce more than any broker takes, and begin to send it."""
    header = frame(2, 1, struct.pack(">HHQH", 60, 0, random.choice((2**63, 16_777_217, 16_777_216)), 0))
    said[at:at] = [encode_method(1, BY_NAME["basic.publish"], 0, "", "a", False, False), header]
    said[at + 2 : at + 2] = [frame(BODY, 1, bytes(4000))] * random.randrange(9)


def _deep_table(random: Random, said: list[bytes], at: int) -> None:
    inner = b""
    for _ in range(random.choice((50, 101, 5000))):
        inner = b"\1xF" + struct.pack(">I", len(inner)) + inner
    method = b"\0\x32\0\x0a\0\0\1a\0" + struct.pack(">I", len(inner)) + inner
    said.insert(at, frame(METHOD, 1, method))


SPOILERS = (
    *(_flip, _flip, _flip, _cut, _duplicate, _drop, _move, _splice, _channel, _end, _size, _type),
    *(_octets, _any_frame, _any_frame, _huge_body, _deep_table),
)


def spoil(random: Random, said: list[bytes], times: int) -> None:
    """Spoil a program in place; seldom its handshake, behind which there would be nothing left to see."""
    for _ in range(times):
        if said:
            first = min(6, len(said) - 1) if random.random() < 0.9 else 0
            random.choice(SPOILERS)(random, said, random.randrange(first, len(said)))
            said[:] = [octets for octets in said if octets]


def pieces(random: Random, octets: bytes) -> list[bytes]:
    """Octets as a network may deliver them."""
    largest = random.choice((1, 20, 300, 5_000, 300_000))
    largest = max(largest, len(octets) // 60)
    cut, at = [], 0
    while at < len(octets):
        size = random.randrange(1, largest + 1)
        cut.append(octets[at : at + size])
        at += size
    return cut
