"""Values of AMQP's field tables whose wire type Python has no word for.

Arguments and headers are plain Python values: bool, int, float, Decimal, str, datetime, dict, list, None
and bytes. RabbitMQ keeps more types apart, and passes them on as it read them: *when it re-encodes a
table, all tags but L stay*. A value of one of these classes is the plain value that it looks like, equal
to it, printed like it, and remembers its type; a plain value takes the type that clients give it: int32
is a signedint, a larger int a long, a float a double, bytes are binary.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


class Byte(int):
    """A signed octet (``b``)."""

    __slots__ = ()


class UnsignedByte(int):
    """An octet (``B``)."""

    __slots__ = ()


class Short(int):
    """A signed integer of 16 bits (``s``, which other brokers read as a short string)."""

    __slots__ = ()


class UnsignedShort(int):
    """An integer of 16 bits (``u``)."""

    __slots__ = ()


class UnsignedInt(int):
    """An integer of 32 bits (``i``)."""

    __slots__ = ()


class Long(int):
    """A signed integer of 64 bits (``l``), however small it is: RabbitMQ's own counts are such."""

    __slots__ = ()


class Timestamp(int):
    """Seconds since 1970 (``T``) that lie beyond the year 9999, where no datetime reaches."""

    __slots__ = ()


class Float(float):
    """A floating-point number of 32 bits (``f``)."""

    __slots__ = ()


class LongString(bytes):
    """A long string (``S``) that is not UTF-8."""

    __slots__ = ()


_LATEST = 253_402_300_799  # the last second of the year 9999


def time_of(seconds: int) -> datetime | Timestamp:
    """A timestamp's value."""
    return datetime.fromtimestamp(seconds, UTC) if seconds <= _LATEST else Timestamp(seconds)


def name_in(value: Any) -> Any:
    """The name that an argument holds: one that is not UTF-8 keeps its octets, as short strings do (``surrogateescape``)."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, LongString) else value


def compared(value: Any) -> object:
    """As :func:`frozen`, for headers and what bindings ask of them.

    In tables and arrays types and order must be the same, an empty one is like the other, and 2.0 is no 2.00 (observed).
    """
    if isinstance(value, Decimal):
        return "decimal", value.as_tuple()
    return exact(value) if isinstance(value, Mapping | list | tuple) else frozen(value)


def compared_as_number(value: Any) -> object:
    """As :func:`compared`, but an integer equals a float of the same value, and a timestamp its seconds."""
    if isinstance(value, datetime):
        value = int(value.timestamp())
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return ("number", value) if is_number else compared(value)


def exact(value: Any) -> tuple[str, object]:
    """A hashable image of a field-table value that keeps all types apart, and the order of fields."""
    if isinstance(value, Mapping):
        return "list", tuple((key, *exact(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return "list", tuple(exact(item) for item in value)
    kind = type(value) if type(value) is not int else Long if value not in _INT32 else int
    return kind.__name__, frozen(value)


_INT32 = range(-(2**31), 2**31)


def frozen(value: Any) -> object:
    """A hashable image of a field-table value that keeps booleans, integers, floats and text apart."""
    if isinstance(value, Mapping):
        return "table", tuple(sorted((key, frozen(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return "array", tuple(frozen(item) for item in value)
    if isinstance(value, bytes):
        return "longstr", value
    if isinstance(value, str):
        return "longstr", value.encode()
    if isinstance(value, float):
        return "float", value
    return "integer" if isinstance(value, int) and not isinstance(value, bool) else type(value).__name__, value
