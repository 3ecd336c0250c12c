"""Field tables, as RabbitMQ reads and writes them.

AMQP 0-9-1's errata and its grammar disagree about the types, so RabbitMQ's reading counts: ``s`` is a
signed integer of 16 bits, ``L`` and ``l`` are both signed and written as ``l``, any octet but 0 is true,
a decimal's digits are unsigned, a number that is not finite is no number. ``simbus.rabbitmq.fields`` tells
how the types that Python has no word for are kept.

A name that is not UTF-8 keeps its octets (``surrogateescape``). Of a name that stands twice the first counts,
as it does for RabbitMQ's look-ups.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from struct import Struct
from struct import error as StructError  # noqa: N812 - as the exception that it is
from typing import Any

from simbus.rabbitmq.amqp.errors import internal_error
from simbus.rabbitmq.fields import (
    Byte,
    Float,
    Long,
    LongString,
    Short,
    Timestamp,
    UnsignedByte,
    UnsignedInt,
    UnsignedShort,
    time_of,
)

# RabbitMQ nests as deep as a frame is long; Python's own recursion, here and in whoever compares or prints the value, does not.
DEEPEST = 100

_LENGTH = Struct(">I")
_DECIMAL = Struct(">BI")
_SECONDS = Struct(">Q")
_SMALLEST_INT, _LARGEST_INT = -(1 << 31), (1 << 31) - 1
_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
_LARGEST_DECIMAL = (1 << 32) - 1

_Reader = Callable[[bytes, int, int], tuple[Any, int]]


def decode_table(data: bytes) -> dict[str, Any]:
    """The table that ``data``, the octets behind its length, holds.

    Raises:
        ProtocolError: 541, which is what RabbitMQ says to an unknown type and to fields that do not fill the table.
    """
    try:
        return _table(data, 0)
    except (IndexError, KeyError, StructError, _Malformed):
        raise internal_error() from None


def encode_table(table: Mapping[str, Any]) -> bytes:
    """A table with its length.

    Raises:
        ValueError: for a value that no field can hold.
    """
    return _write_table(table, 0)


class _Malformed(Exception):
    """Octets are missing, or left over, or make no number."""


# Reading: the octet of a field's type selects a reader, which gets the octets, where the value begins and how deep it lies,
# and gives the value and where it ends. What ends behind the octets is noticed by whoever reads on there.


def _table(data: bytes, depth: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    at, end = 0, len(data)
    while at < end:
        typed = at + 1 + data[at]
        name = data[at + 1 : typed].decode("utf-8", "surrogateescape")
        value, at = _READERS[data[typed]](data, typed + 1, depth)
        table.setdefault(name, value)
    if at != end:
        raise _Malformed
    return table


def _array(data: bytes, depth: int) -> list[Any]:
    values = []
    at, end = 0, len(data)
    while at < end:
        value, at = _READERS[data[at]](data, at + 1, depth)
        values.append(value)
    if at != end:
        raise _Malformed
    return values


def _number(form: str, kind: Callable[[Any], Any] | None = None) -> _Reader:
    number = Struct(form)

    def plain(data: bytes, at: int, _depth: int) -> tuple[Any, int]:
        return number.unpack_from(data, at)[0], at + number.size

    def typed(data: bytes, at: int, _depth: int) -> tuple[Any, int]:
        return kind(number.unpack_from(data, at)[0]), at + number.size  # type: ignore[misc] # only used with a kind

    return plain if kind is None else typed


def _finite(number: float) -> float:
    if not isfinite(number):
        raise _Malformed
    return number


def _single(number: float) -> Float:
    return Float(_finite(number))


def _bool(data: bytes, at: int, _depth: int) -> tuple[bool, int]:
    return data[at] != 0, at + 1


def _void(_data: bytes, at: int, _depth: int) -> tuple[None, int]:
    return None, at


def _decimal(data: bytes, at: int, _depth: int) -> tuple[Decimal, int]:
    scale, digits = _DECIMAL.unpack_from(data, at)
    return Decimal((0, tuple(map(int, str(digits))), -scale)), at + 5


def _long_string(data: bytes, at: int, _depth: int) -> tuple[str | LongString, int]:
    begin = at + 4
    end = begin + _LENGTH.unpack_from(data, at)[0]
    try:
        return data[begin:end].decode(), end
    except UnicodeDecodeError:
        return LongString(data[begin:end]), end


def _binary(data: bytes, at: int, _depth: int) -> tuple[bytes, int]:
    end = at + 4 + _LENGTH.unpack_from(data, at)[0]
    return data[at + 4 : end], end


def _nested(read: Callable[[bytes, int], Any]) -> _Reader:
    def nested(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        if depth == DEEPEST:
            raise _Malformed
        inner, end = _binary(data, at, depth)
        return read(inner, depth + 1), end

    return nested


_READERS: dict[int, _Reader] = {
    ord("t"): _bool,
    ord("b"): _number(">b", Byte),
    ord("B"): _number(">B", UnsignedByte),
    ord("s"): _number(">h", Short),
    ord("u"): _number(">H", UnsignedShort),
    ord("I"): _number(">i"),
    ord("i"): _number(">I", UnsignedInt),
    ord("l"): _number(">q", Long),
    ord("L"): _number(">q", Long),
    ord("f"): _number(">f", _single),
    ord("d"): _number(">d", _finite),
    ord("D"): _decimal,
    ord("S"): _long_string,
    ord("x"): _binary,
    ord("T"): _number(">Q", time_of),
    ord("A"): _nested(_array),
    ord("F"): _nested(_table),
    ord("V"): _void,
}


# Writing: the class of a value selects a writer, which gives the type's octet and the value.


def _write_table(table: Mapping[str, Any], depth: int) -> bytes:
    parts = [b""]
    for name, value in table.items():
        parts += (short_string(name), _write(value, depth))
    inner = b"".join(parts)
    return _LENGTH.pack(len(inner)) + inner


def _write(value: Any, depth: int) -> bytes:
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value)
    if isinstance(value, Mapping):
        return b"F" + _write_table(value, _deeper(depth))
    if isinstance(value, list | tuple):
        inner = b"".join([_write(item, _deeper(depth)) for item in value])
        return b"A" + _LENGTH.pack(len(inner)) + inner
    for kind in (int, float, str, bytes, Decimal, datetime):  # a class derived from one, such as an enumeration
        if isinstance(value, kind):
            return _WRITERS[kind](value)
    raise ValueError(f"a field of a table cannot hold {value!r}; it takes {_TAKEN}")


_TAKEN = "bool, int, float, Decimal, str, bytes, datetime, list, dict and None"


def _deeper(depth: int) -> int:
    if depth == DEEPEST:
        raise ValueError(f"a field of a table lies more than {DEEPEST} tables or lists deep")
    return depth + 1


@lru_cache(maxsize=4096)
def short_string(text: str) -> bytes:
    """A short string with its length; looked up, because names come again and again.

    Raises:
        ValueError: when it has more than 255 octets.
    """
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > 255:
        raise ValueError(f"{text[:40]!r}... has {len(data)} octets; AMQP's short strings have at most 255")
    return b"%c%b" % (len(data), data)


def seconds_of(time: datetime | int) -> int:
    """A timestamp's wire value; a time without a zone is UTC, as it is for the clients."""
    if isinstance(time, datetime):
        seconds = ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _SECOND
    else:
        seconds = int(time)
    if not 0 <= seconds < 1 << 64:
        raise ValueError(f"{time} is no time that AMQP's timestamps can hold: they begin in 1970")
    return seconds


def _packed(tag: bytes, form: str) -> Callable[[Any], bytes]:
    number = Struct(">c" + form)

    def write(value: Any) -> bytes:
        try:
            return number.pack(tag, value)
        except (StructError, OverflowError):
            raise ValueError(f"a field of a table cannot hold {value!r}: it is out of range") from None

    return write


def _write_bool(value: bool) -> bytes:
    return b"t\x01" if value else b"t\x00"


def _write_void(_value: None) -> bytes:
    return b"V"


def _write_decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    number = int("".join(map(str, digits))) if isinstance(exponent, int) else -1
    if isinstance(exponent, int) and 0 < exponent < 10:
        number, exponent = number * 10**exponent, 0
    if not isinstance(exponent, int) or not -255 <= exponent <= 0 or not 0 <= number <= _LARGEST_DECIMAL:
        raise ValueError(f"a field of a table cannot hold {value!r}: at most 255 places and 32 bits")
    return b"D" + _DECIMAL.pack(-exponent, -number & _LARGEST_DECIMAL if sign else number)  # negative: clients' two's complement


def _tagged(tag: bytes) -> Callable[[bytes], bytes]:
    def write(value: bytes) -> bytes:
        return tag + _LENGTH.pack(len(value)) + value

    return write


_write_long_string, _write_binary = _tagged(b"S"), _tagged(b"x")
_write_signed_int, _write_long = _packed(b"I", "i"), _packed(b"l", "q")
_write_seconds = _packed(b"T", "Q")


def _write_text(value: str) -> bytes:
    return _write_long_string(value.encode("utf-8", "surrogateescape"))


def _write_int(value: int) -> bytes:
    return _write_signed_int(value) if _SMALLEST_INT <= value <= _LARGEST_INT else _write_long(value)


def _write_time(value: datetime) -> bytes:
    return _write_seconds(seconds_of(value))


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    bool: _write_bool,
    Byte: _packed(b"b", "b"),
    UnsignedByte: _packed(b"B", "B"),
    Short: _packed(b"s", "h"),
    UnsignedShort: _packed(b"u", "H"),
    int: _write_int,
    UnsignedInt: _packed(b"i", "I"),
    Long: _write_long,
    Float: _packed(b"f", "f"),
    float: _packed(b"d", "d"),
    Decimal: _write_decimal,
    str: _write_text,
    LongString: _write_long_string,
    bytes: _write_binary,
    bytearray: _write_binary,
    datetime: _write_time,
    Timestamp: _write_seconds,
    type(None): _write_void,
}
