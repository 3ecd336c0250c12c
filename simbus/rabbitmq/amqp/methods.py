"""AMQP 0-9-1's methods with RabbitMQ's extensions: one table, and the codec of arguments that is composed from it.

A method is an entry of the table, and its arguments are a plain tuple in the table's order: a session keeps
handlers by method and calls ``handler(*arguments)``. No record class a method: classes cost 0.4 to 1.3 ms each
at import and a quarter of the time of decoding basic.publish. Nor is source generated: that was measured to save
about 2 microseconds a message (publish, deliver and ack together), and a message through a client takes thirty.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from re import compile as pattern
from struct import Struct
from struct import error as StructError  # noqa: N812 - as the exception that it is
from typing import Any

from simbus.rabbitmq.amqp.errors import ProtocolError, cannot_decode, hung_up, malformed_utf8
from simbus.rabbitmq.amqp.tables import decode_table, encode_table, short_string

CLIENT, SERVER, EITHER = "client", "server", "either"
BASIC = 60  # the class whose methods may carry content

# What xmerl_ucs:from_utf8 takes for UTF-8, which is more than Python does: surrogates, and code points up to 1FFFFF.
_UTF_8 = pattern(
    rb"(?:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf7][\x80-\xbf]{3})*"
)
_IDS = Struct(">HH")
_LENGTH = Struct(">I")
_NUMBERS = {"octet": "B", "short": "H", "long": "I", "longlong": "Q", "timestamp": "Q"}
_Reads = Callable[[bytes, int, list[Any]], int]
_Writes = Callable[[Any], bytes]


@dataclass(slots=True, eq=False)
class Method:
    """One method of the table; two methods are equal when they are the same.

    ``arguments`` are pairs of name and wire type; ``sent_by`` says who may send it; ``has_content`` that
    a content header and a body follow. ``decode`` takes a method frame's channel and payload and gives the
    arguments, ``encode`` takes all of them and gives the payload.
    """

    class_id: int
    method_id: int
    name: str
    sent_by: str
    arguments: tuple[tuple[str, str], ...] = ()
    has_content: bool = False
    decode: Callable[[int, bytes], tuple[Any, ...]] = field(init=False, repr=False)
    encode: Callable[..., bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.decode = _decoder(self)
        self.encode = _encoder(self)

    def __str__(self) -> str:
        return self.name


def _method(class_id: int, method_id: int, name: str, sent_by: str, arguments: str = "", *, has_content: bool = False) -> Method:
    pairs = [argument.partition(":") for argument in arguments.split()]
    return Method(class_id, method_id, name, sent_by, tuple((name, kind) for name, _, kind in pairs), has_content)


# Decoding. A step reads one argument, or several that have fixed sizes, appends them and answers where it ended. A
# string that ends behind the payload is noticed by the next step or at the end.


def _decoder(method: Method) -> Callable[[int, bytes], tuple[Any, ...]]:
    steps = tuple(_reading(method))

    def decode(channel: int, payload: bytes) -> tuple[Any, ...]:
        values: list[Any] = []
        at = _IDS.size
        try:
            for step in steps:
                at = step(payload, at, values)
        except (IndexError, StructError, UnicodeDecodeError, ProtocolError) as error:
            raise _refusal(method, channel, payload, error) from None
        if at != len(payload):
            raise cannot_decode(payload[_IDS.size :], method.class_id, method.method_id)
        return tuple(values)

    return decode


def _refusal(method: Method, channel: int, payload: bytes, error: Exception) -> ProtocolError:
    """RabbitMQ matches the whole form first, and looks at texts and tables afterwards, in the order of the arguments.

    What it then does differs (observed on 4.0.5): on channel 0 it catches everything, and knows the method; elsewhere a
    malformed table ends the connection's process.
    """
    if not _fits(method, payload):
        return cannot_decode(payload[_IDS.size :], method.class_id, method.method_id)
    if isinstance(error, ProtocolError):
        return error if channel == 0 else hung_up(f"{method.name} has a malformed table")
    return malformed_utf8(method.class_id, method.method_id) if channel == 0 else malformed_utf8()


def _fits(method: Method, payload: bytes) -> bool:
    at = _IDS.size
    try:
        for kind, count in _runs(method):
            for _ in range(1 if kind == "bit" else count):
                at += _size(kind, payload, at)
    except (IndexError, StructError):
        return False
    return at == len(payload)


def _size(kind: str, payload: bytes, at: int) -> int:
    if kind == "shortstr":
        return 1 + payload[at]
    if kind in ("longstr", "table"):
        return 4 + int(_LENGTH.unpack_from(payload, at)[0])
    return 1 if kind == "bit" else Struct(">" + _NUMBERS[kind]).size


def _runs(method: Method) -> Iterator[tuple[str, int]]:
    """The wire types of its arguments, and how many of one type follow each other: such bits share an octet."""
    for kind, run in groupby(kind for _, kind in method.arguments):
        yield kind, len(list(run))


def _reading(method: Method) -> Iterator[_Reads]:
    numbers = ""
    for kind, count in _runs(method):
        if kind in _NUMBERS:
            numbers += _NUMBERS[kind] * count
            continue
        if numbers:
            yield _reads_numbers(numbers)
            numbers = ""
        if kind == "bit":
            yield _reads_bits(count)
        else:
            # RabbitMQ leaves out the check of texts where it costs most: in the methods that have content.
            text = _read_any_text if method.has_content else _read_text
            yield from [{"shortstr": text, "longstr": _read_octets, "table": _read_table}[kind]] * count
    if numbers:
        yield _reads_numbers(numbers)


def _reads_numbers(forms: str) -> _Reads:
    numbers = Struct(">" + forms)

    def read(payload: bytes, at: int, values: list[Any]) -> int:
        values.extend(numbers.unpack_from(payload, at))
        return at + numbers.size

    return read


def _reads_bits(count: int) -> _Reads:
    meanings = _meanings(count)

    def read(payload: bytes, at: int, values: list[Any]) -> int:
        values.extend(meanings[payload[at]])
        return at + 1

    return read


@cache
def _meanings(count: int) -> list[tuple[bool, ...]]:
    """The bits of every octet: "bits are accumulated into whole octets", the first is the lowest (AMQP 0-9-1, 4.2.5.2)."""
    return [tuple(bool(octet >> bit & 1) for bit in range(count)) for octet in range(256)]


def _read_any_text(payload: bytes, at: int, values: list[Any]) -> int:
    end = at + 1 + payload[at]
    values.append(payload[at + 1 : end].decode("utf-8", "surrogateescape"))
    return end


def _read_text(payload: bytes, at: int, values: list[Any]) -> int:
    end = at + 1 + payload[at]
    text = payload[at + 1 : end]
    try:
        values.append(text.decode())
    except UnicodeDecodeError:
        if not _UTF_8.fullmatch(text):
            raise
        values.append(text.decode("utf-8", "surrogateescape"))
    return end


def _read_octets(payload: bytes, at: int, values: list[Any]) -> int:
    end = at + 4 + int(_LENGTH.unpack_from(payload, at)[0])
    values.append(payload[at + 4 : end])
    return end


def _read_table(payload: bytes, at: int, values: list[Any]) -> int:
    end = _read_octets(payload, at, values)
    values[-1] = decode_table(values[-1])
    return end


# Encoding. A writer takes one argument, or a run of numbers and bits as a tuple.


def _encoder(method: Method) -> Callable[..., bytes]:
    ids = _IDS.pack(method.class_id, method.method_id)
    plan = tuple(_writing(method))
    count = len(method.arguments)

    def encode(*arguments: Any) -> bytes:
        if len(arguments) != count:
            names = ", ".join(name for name, _ in method.arguments)
            raise TypeError(f"{method.name} takes {count} arguments, not {len(arguments)}: {names}")
        return ids + b"".join([write(arguments[part]) for part, write in plan])

    return encode


def _writing(method: Method) -> Iterator[tuple[int | slice, _Writes]]:
    """Which arguments a writer takes, and the writer."""
    at = 0
    for numeric, grouped in groupby(_runs(method), key=lambda run: run[0] in _NUMBERS or run == ("bit", 1)):
        runs = list(grouped)
        count = sum(count for _, count in runs)
        if numeric:  # a lone bit is an octet
            yield slice(at, at + count), _writes_numbers("".join(_NUMBERS.get(kind, "?") * count for kind, count in runs))
            at += count
            continue
        for kind, count in runs:
            if kind == "bit":
                yield slice(at, at + count), _write_bits
            else:
                yield from [(at + i, _WRITERS[kind]) for i in range(count)]
            at += count


def _writes_numbers(forms: str) -> _Writes:
    numbers = Struct(">" + forms)

    def write(values: tuple[int, ...]) -> bytes:
        try:
            return numbers.pack(*values)
        except StructError as error:
            raise ValueError(f"{values} do not fit: {error}") from None

    return write


def _write_bits(values: tuple[bool, ...]) -> bytes:
    octet = 0
    for bit, value in enumerate(values):
        if value:
            octet |= 1 << bit
    return b"%c" % octet


def _write_octets(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


_WRITERS: dict[str, _Writes] = {"shortstr": short_string, "longstr": _write_octets, "table": encode_table}


# The table. Class and method ids, who sends it, and the arguments in the order of the wire (amqp0-9-1.stripped.extended.xml,
# and rabbit_framing_amqp_0_9_1 of RabbitMQ 4.0.5 for what that lacks). A reserved argument has the name it had in AMQP 0-8.

METHODS = (
    _method(
        *(10, 10, "connection.start", SERVER),
        "version_major:octet version_minor:octet server_properties:table mechanisms:longstr locales:longstr",
    ),
    _method(10, 11, "connection.start-ok", CLIENT, "client_properties:table mechanism:shortstr response:longstr locale:shortstr"),
    _method(10, 20, "connection.secure", SERVER, "challenge:longstr"),
    _method(10, 21, "connection.secure-ok", CLIENT, "response:longstr"),
    _method(10, 30, "connection.tune", SERVER, "channel_max:short frame_max:long heartbeat:short"),
    _method(10, 31, "connection.tune-ok", CLIENT, "channel_max:short frame_max:long heartbeat:short"),
    _method(10, 40, "connection.open", CLIENT, "virtual_host:shortstr capabilities:shortstr insist:bit"),
    _method(10, 41, "connection.open-ok", SERVER, "known_hosts:shortstr"),
    _method(10, 50, "connection.close", EITHER, "reply_code:short reply_text:shortstr class_id:short method_id:short"),
    _method(10, 51, "connection.close-ok", EITHER),
    _method(10, 60, "connection.blocked", SERVER, "reason:shortstr"),
    _method(10, 61, "connection.unblocked", SERVER),
    _method(10, 70, "connection.update-secret", CLIENT, "new_secret:longstr reason:shortstr"),
    _method(10, 71, "connection.update-secret-ok", SERVER),
    _method(20, 10, "channel.open", CLIENT, "out_of_band:shortstr"),
    _method(20, 11, "channel.open-ok", SERVER, "channel_id:longstr"),
    _method(20, 20, "channel.flow", EITHER, "active:bit"),
    _method(20, 21, "channel.flow-ok", EITHER, "active:bit"),
    _method(20, 40, "channel.close", EITHER, "reply_code:short reply_text:shortstr class_id:short method_id:short"),
    _method(20, 41, "channel.close-ok", EITHER),
    _method(30, 10, "access.request", CLIENT, "realm:shortstr exclusive:bit passive:bit active:bit write:bit read:bit"),
    _method(30, 11, "access.request-ok", SERVER, "ticket:short"),
    _method(
        *(40, 10, "exchange.declare", CLIENT),
        "ticket:short exchange:shortstr type:shortstr passive:bit durable:bit auto_delete:bit internal:bit nowait:bit "
        "arguments:table",
    ),
    _method(40, 11, "exchange.declare-ok", SERVER),
    _method(40, 20, "exchange.delete", CLIENT, "ticket:short exchange:shortstr if_unused:bit nowait:bit"),
    _method(40, 21, "exchange.delete-ok", SERVER),
    _method(
        *(40, 30, "exchange.bind", CLIENT),
        "ticket:short destination:shortstr source:shortstr routing_key:shortstr nowait:bit arguments:table",
    ),
    _method(40, 31, "exchange.bind-ok", SERVER),
    _method(
        *(40, 40, "exchange.unbind", CLIENT),
        "ticket:short destination:shortstr source:shortstr routing_key:shortstr nowait:bit arguments:table",
    ),
    _method(40, 51, "exchange.unbind-ok", SERVER),
    _method(
        *(50, 10, "queue.declare", CLIENT),
        "ticket:short queue:shortstr passive:bit durable:bit exclusive:bit auto_delete:bit nowait:bit arguments:table",
    ),
    _method(50, 11, "queue.declare-ok", SERVER, "queue:shortstr message_count:long consumer_count:long"),
    _method(
        *(50, 20, "queue.bind", CLIENT),
        "ticket:short queue:shortstr exchange:shortstr routing_key:shortstr nowait:bit arguments:table",
    ),
    _method(50, 21, "queue.bind-ok", SERVER),
    _method(50, 30, "queue.purge", CLIENT, "ticket:short queue:shortstr nowait:bit"),
    _method(50, 31, "queue.purge-ok", SERVER, "message_count:long"),
    _method(50, 40, "queue.delete", CLIENT, "ticket:short queue:shortstr if_unused:bit if_empty:bit nowait:bit"),
    _method(50, 41, "queue.delete-ok", SERVER, "message_count:long"),
    _method(
        *(50, 50, "queue.unbind", CLIENT),
        "ticket:short queue:shortstr exchange:shortstr routing_key:shortstr arguments:table",
    ),
    _method(50, 51, "queue.unbind-ok", SERVER),
    _method(60, 10, "basic.qos", CLIENT, "prefetch_size:long prefetch_count:short global:bit"),
    _method(60, 11, "basic.qos-ok", SERVER),
    _method(
        *(60, 20, "basic.consume", CLIENT),
        "ticket:short queue:shortstr consumer_tag:shortstr no_local:bit no_ack:bit exclusive:bit nowait:bit arguments:table",
    ),
    _method(60, 21, "basic.consume-ok", SERVER, "consumer_tag:shortstr"),
    _method(60, 30, "basic.cancel", EITHER, "consumer_tag:shortstr nowait:bit"),  # the server's is consumer_cancel_notify
    _method(60, 31, "basic.cancel-ok", EITHER, "consumer_tag:shortstr"),
    _method(
        *(60, 40, "basic.publish", CLIENT),
        "ticket:short exchange:shortstr routing_key:shortstr mandatory:bit immediate:bit",
        has_content=True,
    ),
    _method(
        *(60, 50, "basic.return", SERVER),
        "reply_code:short reply_text:shortstr exchange:shortstr routing_key:shortstr",
        has_content=True,
    ),
    _method(
        *(60, 60, "basic.deliver", SERVER),
        "consumer_tag:shortstr delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr",
        has_content=True,
    ),
    _method(60, 70, "basic.get", CLIENT, "ticket:short queue:shortstr no_ack:bit"),
    _method(
        *(60, 71, "basic.get-ok", SERVER),
        "delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr message_count:long",
        has_content=True,
    ),
    _method(60, 72, "basic.get-empty", SERVER, "cluster_id:shortstr"),
    _method(60, 80, "basic.ack", EITHER, "delivery_tag:longlong multiple:bit"),
    _method(60, 90, "basic.reject", CLIENT, "delivery_tag:longlong requeue:bit"),
    _method(60, 100, "basic.recover-async", CLIENT, "requeue:bit"),
    _method(60, 110, "basic.recover", CLIENT, "requeue:bit"),
    _method(60, 111, "basic.recover-ok", SERVER),
    _method(60, 120, "basic.nack", EITHER, "delivery_tag:longlong multiple:bit requeue:bit"),
    _method(60, 200, "basic.credit", CLIENT, "consumer_tag:shortstr credit:long drain:bit"),
    _method(60, 201, "basic.credit-ok", SERVER, "available:long"),
    _method(60, 202, "basic.credit-drained", SERVER, "consumer_tag:shortstr credit_drained:long"),
    _method(85, 10, "confirm.select", CLIENT, "nowait:bit"),
    _method(85, 11, "confirm.select-ok", SERVER),
    _method(90, 10, "tx.select", CLIENT),
    _method(90, 11, "tx.select-ok", SERVER),
    _method(90, 20, "tx.commit", CLIENT),
    _method(90, 21, "tx.commit-ok", SERVER),
    _method(90, 30, "tx.rollback", CLIENT),
    _method(90, 31, "tx.rollback-ok", SERVER),
)

BY_IDS = {_IDS.pack(method.class_id, method.method_id): method for method in METHODS}  # the first four octets of a payload
BY_NAME = {method.name: method for method in METHODS}
