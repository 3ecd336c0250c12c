"""AMQP 0-9-1 as JSON: methods, properties and field tables, without losing which type a field had on the wire.

Which methods and arguments there are is taken from pamqp; nothing here knows simbus's own codec, which is being judged.
A method is a dict: its name and AMQP's names of its arguments. A field of a table is spelled as JSON would have it, where
JSON has a word for it, and otherwise as a dict of one key, ``$`` and the type's letter on the wire:

    true  5  1.5  "text"  null  [1, 2]  {"a": 1}         t I d S V A F
    {"$l": 5}  and so for b B s u i f                      numbers of other widths
    {"$T": 1700000000}  {"$D": [2, 314]}  {"$x": "text"}  a timestamp, a decimal (3.14), octets

A string is UTF-8 with surrogateescape, so that any octets fit; octets are spelled as Latin-1.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pamqp import commands

Json = dict[str, Any]

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = b"\xce"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

_OWN_WORDS = {"exchange_type": "type", "global_": "global"}  # pamqp's for AMQP's
_UNSPOKEN = {"ticket", "out_of_band", "channel_id", "known_hosts", "cluster_id", "insist", "capabilities"}  # relics
_TRUE = {"requeue", "active"}  # what a step means that does not say
_NUMBERS = {"octet": "B", "short": "H", "long": "I", "longlong": "Q"}
_FIELDS = {"b": "b", "B": "B", "s": "h", "u": "H", "I": "i", "i": "I", "l": "q", "L": "q", "f": "f", "d": "d", "T": "Q"}
_PROPERTIES = (
    *(("content_type", "shortstr"), ("content_encoding", "shortstr"), ("headers", "table"), ("delivery_mode", "octet")),
    *(("priority", "octet"), ("correlation_id", "shortstr"), ("reply_to", "shortstr"), ("expiration", "shortstr")),
    *(("message_id", "shortstr"), ("timestamp", "longlong"), ("type", "shortstr"), ("user_id", "shortstr")),
    *(("app_id", "shortstr"), ("cluster_id", "shortstr")),
)


@dataclass(frozen=True)
class Form:
    """A method: its ids, and its arguments with their types."""

    name: str
    index: int
    arguments: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]


def _spelled(name: str) -> str:
    """``Basic.GetOk`` is ``basic.get-ok``."""
    family, method = name.split(".")
    return family.lower() + "." + "".join(f"-{c.lower()}" if c.isupper() else c for c in method).lstrip("-")


def _form(index: int, cls: Any) -> Form:
    arguments = tuple((_OWN_WORDS.get(name, name), cls.amqp_type(name)) for name in cls.attributes())
    answers = tuple(_spelled(name) for name in getattr(cls, "valid_responses", ()))
    return Form(_spelled(cls.name), index, arguments, answers)


# A relic that pamqp has forgotten, and the best barrier there is: the channel's process answers it and does nothing else.
_ACCESS = Form("access.request", 30 << 16 | 10, (("realm", "shortstr"), *((f"bit{at}", "bit") for at in range(5))), ())
_ACCESS_OK = Form("access.request-ok", 30 << 16 | 11, (("ticket", "short"),), ())

BY_INDEX = {index: _form(index, cls) for index, cls in commands.INDEX_MAPPING.items()}
BY_INDEX |= {form.index: form for form in (_ACCESS, _ACCESS_OK)}
BY_NAME = {form.name: form for form in BY_INDEX.values()}
WITH_CONTENT = {"basic.publish", "basic.return", "basic.deliver", "basic.get-ok"}


# Writing


def text(value: str) -> bytes:
    """A string's octets."""
    return value.encode("utf-8", "surrogateescape")


def _short(value: str) -> bytes:
    octets = text(value)
    return bytes([len(octets)]) + octets


def _long(octets: bytes) -> bytes:
    return struct.pack(">I", len(octets)) + octets


def field_octets(value: Any) -> bytes:  # noqa: PLR0911 - a line a type
    """A field with its type's letter."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("$"):
        [(tag, inner)] = value.items()
        return _tagged(tag[1:], inner)
    match value:
        case bool():
            return b"t" + bytes([value])
        case int():
            return b"I" + struct.pack(">i", value)
        case float():
            return b"d" + struct.pack(">d", value)
        case str():
            return b"S" + _long(text(value))
        case None:
            return b"V"
        case list():
            return b"A" + _long(b"".join(map(field_octets, value)))
        case _:
            return b"F" + table_octets(value)


def _tagged(tag: str, value: Any) -> bytes:
    if tag == "x":
        return b"x" + _long(value.encode("latin-1"))
    if tag == "D":
        return b"D" + struct.pack(">Bi", *value)
    if tag == "raw":  # any octets at all, for what no client library would send
        return bytes(value.encode("latin-1"))
    return tag.encode() + struct.pack(">" + _FIELDS[tag], value)


def table_octets(table: Json) -> bytes:
    """A field table with its length."""
    return _long(b"".join(_short(key) + field_octets(value) for key, value in table.items()))


def _argument(kind: str, value: Any) -> bytes:
    if kind == "shortstr":
        return _short(value)
    if kind == "longstr":
        return _long(text(value))
    if kind == "table":
        return table_octets(value)
    return struct.pack(">" + _NUMBERS[kind], value)


def _absent(name: str, kind: str) -> Any:
    if kind in ("shortstr", "longstr"):
        return "direct" if name == "type" else ""
    return {} if kind == "table" else name in _TRUE if kind == "bit" else 0


def method_octets(step: Json) -> bytes:
    """The payload of a method frame."""
    form = BY_NAME[step["method"]]
    out, bits = struct.pack(">I", form.index), []
    for name, kind in form.arguments:
        value = step.get(name, _absent(name, kind))
        if kind == "bit":
            bits.append(bool(value))
            continue
        out += _packed(bits) + _argument(kind, value)
        bits = []
    return out + _packed(bits)


def _packed(bits: list[bool]) -> bytes:
    return bytes([sum(bit << at for at, bit in enumerate(bits))]) if bits else b""


def properties_octets(properties: Json) -> bytes:
    """Property flags and the properties that are there."""
    flags, out = 0, b""
    for at, (name, kind) in enumerate(_PROPERTIES):
        if name in properties:
            flags |= 1 << (15 - at)
            out += _argument(kind, properties[name])
    return struct.pack(">H", flags) + out


def frame(type: int, channel: int, payload: bytes) -> bytes:
    """A frame."""
    return struct.pack(">BHI", type, channel, len(payload)) + payload + FRAME_END


def frames_of(step: Json, channel: int, frame_max: int = 131_072) -> bytes:
    """All frames of a method, its content included."""
    out = frame(METHOD, channel, method_octets(step))
    if step["method"] not in WITH_CONTENT:
        return out
    body = body_of(step)
    out += frame(HEADER, channel, struct.pack(">HHQ", 60, 0, len(body)) + properties_octets(step.get("properties", {})))
    pieces = range(0, len(body), frame_max - 8)
    return out + b"".join(frame(BODY, channel, body[at : at + frame_max - 8]) for at in pieces)


def body_of(step: Json) -> bytes:
    """A body is a text, or ``{"octets": n}``: so many of them."""
    body = step.get("body", "")
    return b"x" * body["octets"] if isinstance(body, dict) else text(body)


# Reading


class Reader:
    """What is left to read of some octets."""

    def __init__(self, octets: bytes) -> None:
        self.octets, self.at = octets, 0

    def number(self, form: str) -> Any:
        [value] = struct.unpack_from(">" + form, self.octets, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def bits(self) -> list[bool]:
        octet = self.number("B")
        return [bool(octet >> at & 1) for at in range(8)]

    def take(self, size: int) -> bytes:
        self.at += size
        return self.octets[self.at - size : self.at]

    def short(self) -> str:
        return self.take(self.number("B")).decode("utf-8", "surrogateescape")

    def long(self) -> bytes:
        return self.take(self.number("I"))

    def table(self) -> Json:
        inner, table = Reader(self.long()), {}
        while inner.at < len(inner.octets):
            key = inner.short()
            table[key] = inner.field()
        return table

    def field(self) -> Any:  # noqa: PLR0911 - a line a type
        tag = chr(self.number("B"))
        match tag:
            case "t":
                return bool(self.number("B"))
            case "I" | "d":
                return self.number(_FIELDS[tag])
            case "S":
                return self.long().decode("utf-8", "surrogateescape")
            case "V":
                return None
            case "A":
                inner = Reader(self.long())
                return list(inner.fields())
            case "F":
                return self.table()
            case "x":
                return {"$x": self.long().decode("latin-1")}
            case "D":
                return {"$D": [self.number("B"), self.number("i")]}
            case _:
                return {f"${tag}": self.number(_FIELDS[tag])}

    def fields(self) -> Iterator[Any]:
        while self.at < len(self.octets):
            yield self.field()

    def argument(self, kind: str) -> Any:
        if kind == "shortstr":
            return self.short()
        if kind == "longstr":
            return self.long().decode("utf-8", "surrogateescape")
        return self.table() if kind == "table" else self.number(_NUMBERS[kind])


def method_of(payload: bytes) -> Json:
    """A method frame as JSON, without AMQP's relics."""
    reader = Reader(payload)
    form = BY_INDEX[reader.number("I")]
    said: Json = {"method": form.name}
    bits: list[bool] = []
    for name, kind in form.arguments:
        if kind != "bit":
            value, bits = reader.argument(kind), []
        else:
            bits = bits or reader.bits()
            value = bits.pop(0)
        if name not in _UNSPOKEN:
            said[name] = value
    return said


def header_of(payload: bytes) -> tuple[int, Json]:
    """The size of the body and the properties that a content header announces."""
    reader = Reader(payload)
    reader.take(4)
    size, flags = reader.number("Q"), reader.number("H")
    present = [(name, kind) for at, (name, kind) in enumerate(_PROPERTIES) if flags >> (15 - at) & 1]
    return size, {name: reader.argument(kind) for name, kind in present}


def take_frames(octets: bytes) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """The frames that are whole, and what is left."""
    frames, at = [], 0
    while len(octets) - at >= 8:
        type, channel, size = struct.unpack_from(">BHI", octets, at)
        if len(octets) - at < size + 8:
            break
        frames.append((type, channel, octets[at + 7 : at + 7 + size]))
        at += size + 8
    return frames, octets[at:]
