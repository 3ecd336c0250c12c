"""Frames, methods and content of AMQP 0-9-1, octets to values and back.

No I/O, no clock, no state but what a ``FrameReader`` has not got whole yet. Whatever octets come in, nothing but
``ProtocolError`` comes out, which says what RabbitMQ answers to them; what may come when is the session's affair.

Reading goes in two steps, as in RabbitMQ: a frame is cut out and only then understood, so that a session can count,
skip or refuse frames without looking into them. A content header stays octets until someone asks for its properties.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from struct import Struct
from struct import error as StructError  # noqa: N812 - as the exception that it is
from typing import Any, Final, NamedTuple

from simbus.rabbitmq.amqp.errors import (
    ProtocolError,
    frame_too_large,
    hung_up,
    internal_error,
    invalid_frame_end,
    unknown_frame,
)
from simbus.rabbitmq.amqp.methods import BASIC, BY_IDS, Method
from simbus.rabbitmq.amqp.tables import decode_table, encode_table, seconds_of, short_string
from simbus.rabbitmq.fields import Timestamp, time_of
from simbus.rabbitmq.properties import NO_PROPERTIES, Properties

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

# "This also serves as a minimum for frame-max": what holds before it is negotiated (AMQP 0-9-1, section 4.2.3).
SMALLEST_FRAME_MAX = 4096
_BEFORE_PAYLOAD = 7  # octets of a frame: its type, channel and size
_OVERHEAD = 8  # and its end

Frame = tuple[int, int, bytes]  # type, channel, payload: a named tuple costs as much again as cutting the frame out

_FRAME = Struct(">BHI")
_CONTENT = Struct(">HHQ")
_HEADER = Struct(">BHIHHQ")  # a header frame up to its properties
_LENGTH = Struct(">I")
_FLAGS = Struct(">H")
_SECONDS = Struct(">Q")
_END = 0xCE
_PROTOCOL_HEADER = 8


class FrameReader:
    """Cuts frames out of octets that arrive in any pieces.

    Feed it, and iterate over the frames that are whole. It holds at most one frame that is not. A ProtocolError ends
    it: it gives no frame any more and keeps nothing of what it is fed.

    Attributes:
        frame_max: as negotiated; a change holds from the next frame on.
    """

    def __init__(self, frame_max: int = SMALLEST_FRAME_MAX) -> None:
        self.frame_max = frame_max
        self._buffer: bytes | bytearray = b""  # what was fed last, as it is; a bytearray once frames come in pieces
        self._at = 0
        self._broken = False

    @property
    def pending(self) -> int:
        """How many octets wait for the rest of their frame, or to be iterated over."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        if self._broken:
            return
        if self._at == len(self._buffer):
            self._buffer = bytes(data)  # the same object when it is bytes already
        else:
            if type(self._buffer) is not bytearray:
                self._buffer = bytearray(self._buffer)
            del self._buffer[: self._at]
            self._buffer += data
        self._at = 0

    def end(self) -> None:
        """Give no frame any more, and keep nothing."""
        self._broken, self._buffer, self._at = True, b"", 0

    def take_protocol_header(self) -> bytes | None:
        """The eight octets that begin a connection, or None as long as they are not all there."""
        if self.pending < _PROTOCOL_HEADER:
            return None
        begin = self._at
        self._at += _PROTOCOL_HEADER
        return bytes(self._buffer[begin : self._at])

    def __iter__(self) -> Iterator[Frame]:
        """The frames that are whole, each once.

        Raises:
            ProtocolError: 501 for a frame that is too large, as soon as it says so, or that does not end in 206.
        """
        while True:
            buffer = self._buffer
            begin = self._at + _BEFORE_PAYLOAD
            if begin > len(buffer):
                return
            kind, channel, size = _FRAME.unpack_from(buffer, self._at)
            # RabbitMQ allows a payload eight octets more than is legal: rabbit_reader's FRAME_SIZE_FUDGE.
            if size > self.frame_max:
                raise self._ended(frame_too_large(kind, size, self.frame_max - _OVERHEAD))
            end = begin + size
            if end >= len(buffer):
                return
            payload = bytes(buffer[begin:end])
            if buffer[end] != _END:
                raise self._ended(invalid_frame_end(kind, payload, buffer[end]))
            self._at = end + 1
            yield kind, channel, payload

    def _ended(self, error: ProtocolError) -> ProtocolError:
        self.end()
        return error


# Methods


def decode_method(channel: int, payload: bytes) -> tuple[Method, tuple[Any, ...]]:
    """A method frame's method and arguments.

    Raises:
        ProtocolError: 501 when they cannot be read or are no text, 541 for a malformed table on channel 0, and a silent
            one for an unknown method and for a malformed table elsewhere.
    """
    method = BY_IDS.get(payload[:4])
    if method is not None:
        return method, method.decode(channel, payload)
    if len(payload) < 4:
        raise unknown_frame(METHOD, payload)
    raise hung_up(f"there is no method {payload[0] << 8 | payload[1]}.{payload[2] << 8 | payload[3]}")


def encode_method(channel: int, method: Method, *arguments: Any) -> bytes:
    """A method frame; the arguments are all of the method's, in the table's order.

    Raises:
        ValueError: when an argument does not fit its wire type.
    """
    return frame(METHOD, channel, method.encode(*arguments))


def frame(type: int, channel: int, payload: bytes) -> bytes:
    """One frame."""
    return b"%b%b\xce" % (_FRAME.pack(type, channel, len(payload)), payload)


# Content


class ContentHeader(NamedTuple):
    """What announces a body of ``body_size`` octets; ``properties`` are still octets."""

    class_id: int
    weight: int
    body_size: int
    properties: bytes


def decode_header(payload: bytes) -> ContentHeader:
    """A header frame's content header.

    Raises:
        ProtocolError: 501 when it is too short.
    """
    try:
        class_id, weight, body_size = _CONTENT.unpack_from(payload)
    except StructError:
        raise unknown_frame(HEADER, payload) from None
    return ContentHeader(class_id, weight, body_size, payload[_CONTENT.size :])


def encode_content(
    channel: int, method: Method, arguments: tuple[Any, ...], properties: bytes, body: bytes, frame_max: int
) -> bytes:
    """A method with its content: method frame, header frame, and body frames of at most ``frame_max`` octets each."""
    return frame(METHOD, channel, method.encode(*arguments)) + frames_of_content(channel, properties, body, frame_max)


def frames_of_content(channel: int, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """The header frame and the body frames of a content; an empty body has no frame."""
    size = len(body)
    header = _HEADER.pack(HEADER, channel, _CONTENT.size + len(properties), BASIC, 0, size)
    if 0 < size <= frame_max - _OVERHEAD:
        return b"%b%b\xce%b%b\xce" % (header, properties, _FRAME.pack(BODY, channel, size), body)
    largest = frame_max - _OVERHEAD
    bodies = [frame(BODY, channel, body[begin : begin + largest]) for begin in range(0, size, largest)]
    return b"".join([header, properties, b"\xce", *bodies])


# Properties. The octets are two of flags, the highest for the first property, and then the properties that are there.

_Reader = Callable[[bytes, int], tuple[Any, int]]
_SMALL = 64
_MOST_KNOWN = 1024
_known: dict[bytes, Properties] = {}


class _Shared(dict[str, Any]):
    """An empty table that many messages share: in every other respect a dict, as other headers are, it takes nothing in."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("these headers belong to other messages too; take a copy: dict(message.headers)")

    __setitem__ = setdefault = update = __ior__ = _refuse


_NO_HEADERS = _Shared()


def decode_properties(data: bytes) -> Properties:
    """The properties that a content header holds.

    Whoever publishes one kind of message sends the same octets again and again, so small ones without headers, which
    are safe to share, are looked up: 0.1 instead of 5 microseconds. Many clients always send a table of headers, an empty one.

    Raises:
        ProtocolError: 541, which is what RabbitMQ says when they cannot be read.
    """
    known = _known.get(data)
    if known is not None:
        return known
    properties = _decode_properties(data)
    if len(data) <= _SMALL and not properties.headers:
        if len(_known) == _MOST_KNOWN:
            _known.clear()
        _known[data] = properties
    return properties


def decode_and_keep_properties(data: bytes) -> Properties:
    """As :func:`decode_properties`; the octets stay with them."""
    properties = replace(decode_properties(data))
    object.__setattr__(properties, "octets", data)
    return properties


def encode_properties(properties: Properties) -> bytes:
    """The octets of properties; the headers in the order of their names, as RabbitMQ 4.0 delivers them.

    Raises:
        ValueError: for a value that its property cannot hold.
    """
    return b"\x00\x00" if properties is NO_PROPERTIES else _encode_properties(properties, _WRITERS)


def pass_properties_on(properties: Properties) -> bytes:
    """The octets that were kept; else new ones, with the headers as they stand, as RabbitMQ 3.10 delivers what it changed.

    Raises:
        ValueError: for a value that its property cannot hold.
    """
    return _encode_properties(properties, _WRITERS_IN_ORDER) if properties.octets is None else properties.octets


def _encode_properties(properties: Properties, writers: Sequence[Callable[[Any], bytes]]) -> bytes:
    flags = 0
    parts = [b""]
    for place, value in enumerate(_values(properties)):
        if value is not None:
            flags |= 0x8000 >> place
            parts.append(writers[place](value))
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)


def _decode_properties(data: bytes) -> Properties:
    values: list[Any] = [None] * len(_NAMES)
    try:
        at = _FLAGS.size
        for place, read in _present(_FLAGS.unpack_from(data)[0]):
            values[place], at = read(data, at)
    except (IndexError, StructError):
        raise internal_error() from None
    if at != len(data):
        raise internal_error()
    return Properties(*values) if at > _FLAGS.size else NO_PROPERTIES


@lru_cache(maxsize=1024)
def _present(flags: int) -> tuple[tuple[int, _Reader], ...]:
    """The places of the properties that are there, with their readers; RabbitMQ does not look at the last two flags."""
    return tuple((place, read) for place, read in enumerate(_READERS) if flags & 0x8000 >> place)


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "surrogateescape"), end


def _read_octet(data: bytes, at: int) -> tuple[int, int]:
    return data[at], at + 1


def _read_time(data: bytes, at: int) -> tuple[datetime | Timestamp, int]:
    return time_of(_SECONDS.unpack_from(data, at)[0]), at + _SECONDS.size


def _read_headers(data: bytes, at: int) -> tuple[Mapping[str, Any], int]:
    end = at + 4 + _LENGTH.unpack_from(data, at)[0]
    if end > len(data):
        raise internal_error()
    return decode_table(data[at + 4 : end]) or _NO_HEADERS, end


def _write_octet(value: int) -> bytes:
    if not 0 <= value <= 255:
        raise ValueError(f"{value} does not fit into an octet; delivery_mode and priority are from 0 to 255")
    return b"%c" % value


def _write_time(value: datetime | int) -> bytes:
    return _SECONDS.pack(seconds_of(value))


def _write_headers(headers: Mapping[str, Any]) -> bytes:
    # lists:usort in mc_amqpl:protocol_state: RabbitMQ 4.0 sorts the outermost table, and no inner one (observed).
    return encode_table({name: headers[name] for name in sorted(headers, key=_octets)})


def _octets(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


_KINDS: dict[str, tuple[_Reader, Callable[[Any], bytes]]] = {
    "headers": (_read_headers, _write_headers),
    "delivery_mode": (_read_octet, _write_octet),
    "priority": (_read_octet, _write_octet),
    "timestamp": (_read_time, _write_time),
}
# In the order of the specification's class basic, which is that of the dataclass; what has no kind of its own is text.
_NAMES = tuple(field.name for field in fields(Properties) if field.init)
_READERS, _WRITERS = zip(*(_KINDS.get(name, (_read_text, short_string)) for name in _NAMES), strict=True)
_WRITERS_IN_ORDER = [encode_table if name == "headers" else write for name, write in zip(_NAMES, _WRITERS, strict=True)]
_values = attrgetter(*_NAMES)
