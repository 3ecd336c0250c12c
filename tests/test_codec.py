"""AMQP's octets: what comes in, what goes out, and RabbitMQ's words for what makes no sense.

Truth comes from three sides: pamqp, an independent codec, reads what we write and writes what we read; refusals
are what RabbitMQ 4.0.5 answered to the same octets; and Hypothesis looks for octets that break the rules which
hold for all octets.
"""

import pickle
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from math import inf, nan
from struct import pack
from typing import Any
from unittest.mock import patch

import pamqp.body
import pamqp.commands
import pamqp.frame
import pamqp.header
import pamqp.heartbeat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simbus.rabbitmq.amqp.codec import (
    BODY,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    ContentHeader,
    FrameReader,
    decode_header,
    decode_method,
    decode_properties,
    encode_content,
    encode_method,
    encode_properties,
    frame,
    frames_of_content,
)
from simbus.rabbitmq.amqp.errors import ProtocolError, unexpected_frame, unknown_frame
from simbus.rabbitmq.amqp.methods import BY_NAME, CLIENT, EITHER, METHODS, SERVER
from simbus.rabbitmq.amqp.refusals import as_said
from simbus.rabbitmq.amqp.tables import DEEPEST, decode_table, encode_table
from simbus.rabbitmq.fields import Byte, Float, Long, LongString, Short, Timestamp, UnsignedByte, UnsignedInt, UnsignedShort
from simbus.rabbitmq.properties import NO_PROPERTIES, Properties
from simbus.rabbitmq.versions import V4_0

FRAME_MAX = 131_072
OF_PAMQP = pamqp.commands.INDEX_MAPPING
KNOWN_TO_PAMQP = [method for method in METHODS if method.class_id << 16 | method.method_id in OF_PAMQP]

# Values that both codecs can hold: pamqp's delivery tags are signed, and it takes large timestamps for milliseconds.
short_texts = st.text(max_size=60)
names = st.text(max_size=30)  # 120 octets: pamqp cuts the names in tables at 128
seconds = st.integers(0, 2**32 - 1).map(lambda value: datetime.fromtimestamp(value, UTC))
decimals = st.builds(lambda digits, scale: Decimal(digits).scaleb(-scale), st.integers(0, 2**31 - 1), st.integers(0, 9))
fields = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    *(st.text(), seconds, decimals),
)
nested_fields = st.recursive(
    fields, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
tables = st.dictionaries(names, nested_fields, max_size=5)
ARGUMENTS = {
    "octet": st.integers(0, 255),
    "short": st.integers(0, 2**16 - 1),
    "long": st.integers(0, 2**32 - 1),
    "longlong": st.integers(0, 2**63 - 1),
    "bit": st.booleans(),
    "shortstr": short_texts,
    "longstr": st.binary(max_size=300),
    "table": tables,
}
properties = st.builds(
    Properties,
    headers=st.none() | tables,
    delivery_mode=st.none() | st.integers(0, 255),
    priority=st.none() | st.integers(0, 255),
    timestamp=st.none() | seconds,
    **{
        name: st.none() | short_texts
        for name in (
            *("content_type", "content_encoding", "correlation_id", "reply_to", "expiration"),
            *("message_id", "type", "user_id", "app_id", "cluster_id"),
        )
    },
)


def arguments_of(method):
    return st.tuples(*(ARGUMENTS[kind] for _, kind in method.arguments))


def methods_with_arguments(known=METHODS):
    return st.sampled_from(known).flatmap(lambda method: st.tuples(st.just(method), arguments_of(method)))


def read(*pieces, frame_max=FRAME_MAX):
    """All frames of these pieces."""
    reader = FrameReader(frame_max)
    frames: list[Any] = []
    for piece in pieces:
        reader.feed(piece)
        frames += reader
    assert not reader.pending
    return frames


def understand(kind, channel, payload):
    """What a session makes of a frame; nothing but a ProtocolError may come of it."""
    if kind == METHOD:
        return decode_method(channel, payload)
    if kind == HEADER:
        return decode_properties(decode_header(payload).properties)
    if kind == BODY or (kind == HEARTBEAT and not payload):
        return payload
    raise unknown_frame(kind, payload)


def refusal(kind, channel, payload):
    with pytest.raises(ProtocolError) as refused:
        understand(kind, channel, payload)
    return refused.value


def refused(kind, channel, payload):
    error = as_said(refusal(kind, channel, payload), V4_0)
    return error.reply_code, error.reply_text, f"{error.class_id}.{error.method_id}"


def payload_of(class_id, method_id, arguments=b""):
    return pack(">HH", class_id, method_id) + arguments


def short(octets):
    return bytes([len(octets)]) + octets


def table(octets):
    return pack(">I", len(octets)) + octets


# Beside pamqp


def pamqp_values(found: Any) -> tuple[Any, ...]:
    """The values of a pamqp method, in the order of the wire; it reads long strings that are UTF-8 as text."""
    values = [getattr(found, name) for name in found.__slots__]
    kinds = [found.amqp_type(name) for name in found.__slots__]
    return tuple(
        value.encode() if kind == "longstr" and isinstance(value, str) else value
        for kind, value in zip(kinds, values, strict=True)
    )


def pamqp_frame(method, arguments):
    """The frame that pamqp writes; its opinions on names and reserved arguments are not asked."""
    kind: Any = OF_PAMQP[method.class_id << 16 | method.method_id]
    found: Any = object.__new__(kind)
    for name, value in zip(kind.__slots__, arguments, strict=True):
        setattr(found, name, value.decode("latin-1") if kind.amqp_type(name) == "longstr" else value)
    with patch.object(kind, "validate", lambda _self: None):
        return pamqp.frame.marshal(found, 7)


def test_the_table_names_methods_and_types_as_pamqp_does():
    for method in KNOWN_TO_PAMQP:
        kind: Any = OF_PAMQP[method.class_id << 16 | method.method_id]
        assert kind.name.replace(".", "").lower() == method.name.replace(".", "").replace("-", "")
        assert [kind.amqp_type(name) for name in kind.__slots__] == [wire_type for _, wire_type in method.arguments]


def test_pamqp_lacks_only_two_classes_of_methods():
    missing = {method.name for method in METHODS} - {method.name for method in KNOWN_TO_PAMQP}
    assert missing == {"access.request", "access.request-ok", "basic.credit", "basic.credit-ok", "basic.credit-drained"}
    assert len(KNOWN_TO_PAMQP) == len(OF_PAMQP)


@pytest.mark.filterwarnings("ignore:This command is deprecated")  # basic.recover-async, for pamqp
@given(methods_with_arguments(KNOWN_TO_PAMQP))
def test_pamqp_reads_every_method_that_we_write(call):
    method, arguments = call
    size, channel, found = pamqp.frame.unmarshal(encode_method(7, method, *arguments))
    assert (channel, type(found)) == (7, OF_PAMQP[method.class_id << 16 | method.method_id])
    assert size == len(encode_method(7, method, *arguments))
    assert pamqp_values(found) == arguments


@given(methods_with_arguments(KNOWN_TO_PAMQP))
def test_we_read_every_method_that_pamqp_writes(call):
    method, arguments = call
    [(kind, channel, payload)] = read(pamqp_frame(method, arguments))
    found, values = decode_method(channel, payload)
    expected = tuple(
        value.decode("latin-1").encode() if wire_type == "longstr" else value
        for (_, wire_type), value in zip(method.arguments, arguments, strict=True)
    )
    assert (kind, channel, found, values) == (METHOD, 7, method, expected)


@given(properties, st.binary(max_size=300))
def test_pamqp_reads_the_content_that_we_write(given_properties, body):
    deliver = BY_NAME["basic.deliver"]
    octets = encode_content(3, deliver, ("tag", 5, True, "x", "key"), encode_properties(given_properties), body, FRAME_MAX)
    found: list[Any] = []
    while octets:
        size, channel, each = pamqp.frame.unmarshal(octets)
        assert channel == 3
        found.append(each)
        octets = octets[size:]
    method, header, *bodies = found
    assert pamqp_values(method) == ("tag", 5, True, "x", "key")
    assert header.body_size == len(body)
    assert b"".join(each.value for each in bodies) == body
    theirs = header.properties
    names = {"type": "message_type"}
    for name in Properties.__dataclass_fields__:
        if (value := getattr(given_properties, name)) is not None:
            assert getattr(theirs, names.get(name, name)) == value


@given(properties)
def test_we_read_the_properties_that_pamqp_writes(expected):
    values = {name: getattr(expected, name) for name in Properties.__dataclass_fields__}
    theirs = object.__new__(pamqp.commands.Basic.Properties)
    for name, value in (values | {"message_type": values["type"]}).items():
        if name != "type":
            setattr(theirs, name, value)
    [(_, _, payload)] = read(pamqp.frame.marshal(pamqp.header.ContentHeader(body_size=9, properties=theirs), 1))
    header = decode_header(payload)
    assert (header.class_id, header.weight, header.body_size) == (60, 0, 9)
    left_out = {name: None for name, value in values.items() if value == ""}
    assert decode_properties(header.properties) == replace(expected, **left_out)


def test_pamqp_reads_a_heartbeat():
    assert isinstance(pamqp.frame.unmarshal(HEARTBEAT_FRAME)[2], pamqp.heartbeat.Heartbeat)
    assert read(pamqp.frame.marshal(pamqp.heartbeat.Heartbeat(), 0)) == [(HEARTBEAT, 0, b"")]


# Our own codec, both ways


@given(methods_with_arguments())
def test_every_method_is_read_as_it_was_written(call):
    method, arguments = call
    assert decode_method(0, method.encode(*arguments)) == (method, arguments)


@given(properties)
def test_properties_are_read_as_they_were_written(expected):
    assert decode_properties(encode_properties(expected)) == expected


def test_absent_properties_are_two_octets():
    assert encode_properties(NO_PROPERTIES) == encode_properties(Properties()) == b"\x00\x00"
    assert decode_properties(b"\x00\x00") is NO_PROPERTIES


def test_an_empty_table_of_headers_is_not_an_absent_one():
    assert decode_properties(encode_properties(Properties(headers={}))).headers == {}


def test_the_last_two_flags_of_properties_are_not_looked_at():
    assert decode_properties(b"\x00\x03") is NO_PROPERTIES
    assert decode_properties(b"\x10\x03\x02") == Properties(delivery_mode=2)


def test_headers_are_written_in_the_order_of_their_names_and_inner_tables_as_they_are():
    headers = {"zz": 1, "CC": ["b", "a"], "mm": {"z": 1, "a": 2}, "B": 3}
    written = decode_properties(encode_properties(Properties(headers=headers))).headers or {}
    assert list(written) == ["B", "CC", "mm", "zz"]
    assert list(written["mm"]) == ["z", "a"]


def test_properties_with_headers_are_never_shared():
    octets = encode_properties(Properties(headers={"a": 1}))
    assert decode_properties(octets).headers is not decode_properties(octets).headers


def test_an_empty_table_of_headers_may_be_shared_and_so_takes_nothing_in():
    octets = encode_properties(Properties(headers={}))
    headers: Any = decode_properties(octets).headers
    assert (headers, repr(headers)) == ({}, "{}")
    for change in (
        lambda: headers.update(a=1),
        lambda: headers.setdefault("a", 1),
        lambda: headers.__setitem__("a", 1),
        lambda: headers.__ior__({"a": 1}),
    ):
        with pytest.raises(TypeError, match="take a copy"):
            change()
    assert decode_properties(octets).headers == {}


def test_every_method_says_who_sends_it():
    assert {method.sent_by for method in METHODS} == {CLIENT, SERVER, EITHER}
    assert {method.name for method in METHODS if method.name.endswith("-ok") and method.sent_by == CLIENT} == {
        *("connection.start-ok", "connection.secure-ok", "connection.tune-ok")
    }


def test_content_follows_four_methods():
    with_content = {method.name for method in METHODS if method.has_content}
    assert with_content == {"basic.publish", "basic.return", "basic.deliver", "basic.get-ok"}


def test_a_bit_is_one_bit_of_its_octet():
    """rabbit_framing_amqp_0_9_1: ``F3 = F3Bits band 1 /= 0``."""
    octets = BY_NAME["basic.ack"].encode(7, True)
    assert decode_method(1, octets[:-1] + b"\xfe")[1] == (7, False)
    assert decode_method(1, octets[:-1] + b"\xff")[1] == (7, True)


# Field tables


class Level(IntEnum):
    LOW = 1


TYPED = [
    (b"t\x00", False),
    (b"t\x01", True),
    (b"b\xff", Byte(-1)),
    (b"B\xff", UnsignedByte(255)),
    (b"s\xff\xfe", Short(-2)),
    (b"u\xff\xfe", UnsignedShort(65534)),
    (b"I\xff\xff\xff\xff", -1),
    (b"i\xff\xff\xff\xff", UnsignedInt(4294967295)),
    (b"l\xff\xff\xff\xff\xff\xff\xff\xff", Long(-1)),
    (b"f\x3f\x80\x00\x00", Float(1)),
    (b"d\x3f\xf0\x00\x00\x00\x00\x00\x00", 1.0),
    (b"D\x02\x00\x00\x01\x3a", Decimal("3.14")),
    (b"D\xff\x00\x00\x00\x00", Decimal("0E-255")),
    (b"D\x00\xff\xff\xff\xff", Decimal(4294967295)),
    (b"S\x00\x00\x00\x02\xc3\xa9", "é"),
    (b"S\x00\x00\x00\x01\xe9", LongString(b"\xe9")),
    (b"x\x00\x00\x00\x01\xe9", b"\xe9"),
    (b"T\x00\x00\x00\x00\x00\x00\x00\x01", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    (b"T\xff\xff\xff\xff\xff\xff\xff\xff", Timestamp(2**64 - 1)),
    (b"A\x00\x00\x00\x02VV", [None, None]),
    (b"F\x00\x00\x00\x03\x01aV", {"a": None}),
    (b"V", None),
]


@pytest.mark.parametrize(("octets", "value"), TYPED)
def test_every_field_type_is_read_and_written_with_its_tag(octets, value):
    found = decode_table(b"\x01k" + octets)["k"]
    assert (found, type(found)) == (value, type(value))
    assert repr(found) == repr(value)
    assert encode_table({"k": found}) == table(b"\x01k" + octets)


def test_typed_numbers_look_like_plain_ones():
    """*Ints of different width are equal*, and a client that prints a header sees a number."""
    assert {Byte(5), UnsignedByte(5), Short(5), UnsignedShort(5), UnsignedInt(5), Long(5), Timestamp(5)} == {5}
    assert repr([Long(5), Float(0.5), LongString(b"a")]) == "[5, 0.5, b'a']"
    assert type(pickle.loads(pickle.dumps(Long(5)))) is Long  # noqa: S301 - what we wrote ourselves


@pytest.mark.parametrize(
    ("written", "rewritten"), [(b"t\x02", b"t\x01"), (b"L" + bytes(7) + b"\x05", b"l" + bytes(7) + b"\x05")], ids=["bool", "L"]
)
def test_rabbitmq_rewrites_odd_booleans_and_one_tag(written, rewritten):
    assert encode_table(decode_table(b"\x01k" + written)) == table(b"\x01k" + rewritten)


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (2**31 - 1, b"I\x7f\xff\xff\xff"),
        (-(2**31), b"I\x80\x00\x00\x00"),
        (2**31, b"l\x00\x00\x00\x00\x80\x00\x00\x00"),
        (("a",), b"A\x00\x00\x00\x06S\x00\x00\x00\x01a"),
        (OrderedDict(a=None), b"F\x00\x00\x00\x03\x01aV"),
        (bytearray(b"a"), b"x\x00\x00\x00\x01a"),
        (Level.LOW, b"I\x00\x00\x00\x01"),
        (datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC).replace(tzinfo=None), b"T\x00\x00\x00\x00\x00\x00\x00\x01"),
        (datetime(1970, 1, 1, 1, 0, 1, tzinfo=timezone(timedelta(hours=1))), b"T\x00\x00\x00\x00\x00\x00\x00\x01"),
        (datetime.max.replace(tzinfo=UTC), b"T\x00\x00\x00\x3a\xff\xf4\x41\x7f"),
        (Decimal("1E+3"), b"D\x00\x00\x00\x03\xe8"),
        (Decimal("-0.01"), b"D\x02\xff\xff\xff\xff"),
    ],
)
def test_a_plain_value_is_written_as_clients_write_it(value, octets):
    assert encode_table({"k": value}) == table(b"\x01k" + octets)


def cyclic():
    values: list[Any] = []
    values.append(values)
    return values


@pytest.mark.parametrize(
    "value",
    [
        *(object(), {1}, 1j, 2**63, -(2**63) - 1, Byte(128), UnsignedInt(-1), Float(1e300), Decimal("NaN"), Decimal("Infinity")),
        *(Decimal(2**32), Decimal("1E-256"), Decimal("1E+10"), datetime(1969, 12, 31, tzinfo=UTC), "\ud800", cyclic()),
        *({"n" * 256: 1}, {"k": object()}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_no_field_can_hold_is_refused_at_once(value):
    with pytest.raises(ValueError, match=r"."):
        encode_table({"k": value})


def test_of_a_name_that_stands_twice_the_first_counts():
    assert decode_table(b"\x01kB\x01\x01kB\x02") == {"k": 1}


def test_a_name_that_is_not_utf_8_keeps_its_octets():
    octets = b"\x02\xff\xfeV"
    assert encode_table(decode_table(octets)) == table(octets)


@pytest.mark.parametrize(
    "octets",
    [
        *(b"\x01kU\x00\x01", b"\x01k\x00", b"\x01k", b"\x01", b"\x05k", b"\x01kI\x00", b"\x01kt", b"\x01kS\x00\x00\x00\x05a"),
        *(
            b"\x01kS\xff\xff\xff\xff",
            b"\x01kS\x00",
            b"\x01kA\x00\x00\x00\x01",
            b"\x01kA\x00\x00\x00\x01U",
            b"\x01kF\x00\x00\x00\x01\x01",
        ),
        *(b"\x01kf" + pack(">f", inf), b"\x01kd" + pack(">d", nan), b"\x01kD\x00", b"\x01kVx"),
    ],
)
def test_a_malformed_table_is_an_internal_error(octets):
    for content in (octets, b"\x01aF" + table(octets), b"\x01aA" + table(b"F" + table(octets))):
        with pytest.raises(ProtocolError, match=r"^541 INTERNAL_ERROR$"):
            decode_table(content)


def test_tables_nest_a_hundred_deep_and_no_deeper():
    def nested(depth):
        octets = b""
        for _ in range(depth):
            octets = b"\x01kF" + table(octets)
        return octets

    value = decode_table(nested(DEEPEST))
    assert encode_table(value) == table(nested(DEEPEST))
    for depth in (DEEPEST + 1, 3000):
        with pytest.raises(ProtocolError, match="541"):
            decode_table(nested(depth))
    with pytest.raises(ValueError, match="deep"):
        encode_table({"k": value})


# Frames


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**16 - 1), st.binary(max_size=50))), st.data())
def test_frames_are_the_same_in_whatever_pieces_they_arrive(frames, data):
    octets = b"".join(frame(*each) for each in frames)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(octets)))))
    pieces = [octets[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    assert read(*pieces) == frames
    assert read(*(octets[at : at + 1] for at in range(len(octets)))) == frames


def test_frames_come_out_as_soon_as_they_are_whole():
    reader = FrameReader()
    reader.feed(frame(BODY, 1, b"a") + frame(BODY, 1, b"bc")[:-1])
    assert list(reader) == [(BODY, 1, b"a")]
    assert list(reader) == []
    reader.feed(b"\xce")
    assert list(reader) == [(BODY, 1, b"bc")]


def test_a_reader_that_was_left_in_the_middle_goes_on_there():
    reader = FrameReader()
    reader.feed(frame(BODY, 1, b"a") + frame(BODY, 2, b"b") + frame(BODY, 3, b"c"))
    assert next(iter(reader)) == (BODY, 1, b"a")
    assert next(iter(reader)) == (BODY, 2, b"b")
    reader.feed(frame(BODY, 4, b"d"))
    assert [channel for _, channel, _ in reader] == [3, 4]


def test_the_protocol_header_comes_before_the_frames():
    reader = FrameReader()
    reader.feed(b"AMQP\x00\x00")
    assert reader.take_protocol_header() is None
    reader.feed(b"\x09\x01" + HEARTBEAT_FRAME)
    assert reader.take_protocol_header() == b"AMQP\x00\x00\x09\x01"
    assert list(reader) == [(HEARTBEAT, 0, b"")]


@pytest.mark.parametrize(("frame_max", "size"), [(4096, 4096), (FRAME_MAX, FRAME_MAX)])
def test_a_frame_may_be_eight_octets_too_large(frame_max, size):
    [(_, _, payload)] = read(frame(BODY, 1, bytes(size)), frame_max=frame_max)
    assert len(payload) == size
    with pytest.raises(ProtocolError, match="frame_too_large"):
        read(frame(BODY, 1, bytes(size + 1)), frame_max=frame_max)


def test_a_new_frame_max_holds_from_the_next_frame_on():
    reader = FrameReader(4096)
    reader.feed(frame(METHOD, 0, b"") + frame(BODY, 1, bytes(5000)))
    sizes = []
    for _, _, payload in reader:
        sizes.append(len(payload))
        reader.frame_max = FRAME_MAX
    assert sizes == [0, 5000]


def test_a_frame_that_announces_too_much_is_refused_before_it_arrives():
    reader = FrameReader(FRAME_MAX)
    reader.feed(pack(">BHI", 3, 1, 131_073))
    with pytest.raises(ProtocolError) as refused:
        list(reader)
    error = refused.value
    assert error.reply_text == "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}"
    assert (error.reply_code, error.class_id, error.method_id, error.fatal, error.silent) == (501, 0, 0, True, False)


def test_after_a_fatal_error_nothing_is_read_or_kept():
    reader = FrameReader()
    reader.feed(HEARTBEAT_FRAME + HEARTBEAT_FRAME[:-1] + b"\x00" + HEARTBEAT_FRAME)
    frames = iter(reader)
    assert next(frames) == (HEARTBEAT, 0, b"")
    with pytest.raises(ProtocolError):
        next(frames)
    reader.feed(HEARTBEAT_FRAME * 100)
    assert (list(reader), reader.pending) == ([], 0)


@given(st.binary(max_size=300), st.integers(20, 200))
def test_a_body_is_cut_into_frames_of_frame_max(body, frame_max):
    frames = read(frames_of_content(5, b"\x00\x00", body, frame_max))
    (kind, _, header), *bodies = frames
    assert (kind, decode_header(header)) == (HEADER, ContentHeader(60, 0, len(body), b"\x00\x00"))
    assert {kind for kind, _, _ in bodies} <= {BODY}
    assert {channel for _, channel, _ in frames} == {5}
    assert b"".join(payload for _, _, payload in bodies) == body
    assert all(0 < len(payload) <= frame_max - 8 for _, _, payload in bodies)
    assert all(len(payload) == frame_max - 8 for _, _, payload in bodies[:-1])


def test_an_empty_body_has_no_frame():
    get_ok = BY_NAME["basic.get-ok"]
    frames = read(encode_content(1, get_ok, (1, False, "", "q", 0), b"\x00\x00", b"", FRAME_MAX))
    assert [kind for kind, _, _ in frames] == [METHOD, HEADER]


def test_a_method_needs_all_of_its_arguments():
    with pytest.raises(TypeError, match=r"basic.ack takes 2 arguments, not 1: delivery_tag, multiple"):
        encode_method(1, BY_NAME["basic.ack"], 5)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("basic.ack", (-1, False)), ("channel.close", (70000, "", 0, 0)), ("basic.cancel-ok", ("é" * 128,))],
)
def test_an_argument_that_does_not_fit_is_refused(method, arguments):
    with pytest.raises(ValueError, match=r"."):
        encode_method(1, BY_NAME[method], *arguments)


@pytest.mark.parametrize("given_properties", [Properties(priority=256), Properties(delivery_mode=-1), Properties(type="é" * 128)])
def test_a_property_that_does_not_fit_is_refused(given_properties):
    with pytest.raises(ValueError, match=r"."):
        encode_properties(given_properties)


# RabbitMQ's words: each of these was sent to RabbitMQ 4.0.5, which answered so.

BAD_TABLE = table(b"\x01aU\x00\x01")
DECLARE = b"\x00\x00" + short(b"q") + b"\x09"


@pytest.mark.parametrize(
    ("kind", "channel", "payload", "expected"),
    [
        (9, 1, b"", (501, "FRAME_ERROR - type 9, all octets = <<>>: unknown_frame", "0.0")),
        (8, 0, b"x", (501, 'FRAME_ERROR - type 8, all octets = <<"x">>: unknown_frame', "0.0")),
        (2, 1, b"\x00\x3c", (501, "FRAME_ERROR - type 2, all octets = <<0,60>>: unknown_frame", "0.0")),
        (1, 1, b"\x00\x3c\x00", (501, "FRAME_ERROR - type 1, all octets = <<0,60,0>>: unknown_frame", "0.0")),
        (1, 0, b"", (501, "FRAME_ERROR - type 1, all octets = <<>>: unknown_frame", "0.0")),
        (1, 1, payload_of(50, 10, b"\x00\x00"), (501, "FRAME_ERROR - cannot decode <<0,0>>", "50.10")),
        (
            *(1, 1, payload_of(50, 10, b"\x00\x00\x01\xff\x09\x00\x00\x00\x00x")),
            (501, "FRAME_ERROR - cannot decode <<0,0,1,255,9,0,0,0,0,120>>", "50.10"),
        ),
        (
            *(1, 1, payload_of(50, 10, b"\xff" * 300)),
            (501, f"FRAME_ERROR - cannot decode <<{'255,' * 55}25...", "50.10"),
        ),
        (
            *(1, 1, payload_of(50, 10, b"\x00\x00\x01\xff\x09" + table(b""))),
            (501, "FRAME_ERROR - Malformed UTF-8 in shortstr", "0.0"),
        ),
        (
            *(1, 0, payload_of(10, 40, b"\x01\xff\x00\x00")),
            (501, "FRAME_ERROR - Malformed UTF-8 in shortstr", "10.40"),
        ),
        (
            *(1, 0, payload_of(10, 11, BAD_TABLE + short(b"PLAIN") + table(b"") + short(b"en"))),
            (541, "INTERNAL_ERROR", "0.0"),
        ),
        (2, 1, pack(">HHQH", 60, 0, 0, 0x2000) + BAD_TABLE, (541, "INTERNAL_ERROR", "0.0")),
        (2, 1, pack(">HHQH", 60, 0, 0, 0x8000) + b"\x05a", (541, "INTERNAL_ERROR", "0.0")),
        (2, 1, pack(">HHQH", 60, 0, 0, 0) + b"\x05a", (541, "INTERNAL_ERROR", "0.0")),
        (2, 1, pack(">HHQ", 60, 0, 0) + b"\x05", (541, "INTERNAL_ERROR", "0.0")),
    ],
)
def test_malformed_frames_are_refused_in_rabbitmqs_words(kind, channel, payload, expected):
    assert refused(kind, channel, payload) == expected


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        (1, payload_of(60, 255)),
        (0, payload_of(0, 0)),
        (1, payload_of(61, 10)),
        (1, payload_of(50, 10, DECLARE + BAD_TABLE)),
        (1, payload_of(10, 11, BAD_TABLE + short(b"PLAIN") + table(b"") + short(b"en"))),
    ],
)
def test_rabbitmq_hangs_up_without_a_word(channel, payload):
    error = refusal(METHOD, channel, payload)
    assert error.silent
    assert error.reply_code == 0


@pytest.mark.parametrize(
    ("payload", "octet", "shown"),
    [
        (b"\x00\x14\x00\x28\x00", 0, "all octets = <<0,20,0,40,0>>: {invalid_frame_end_marker,0}"),
        (b'a"b\\c', 0, r'all octets = <<"a\"b\\c">>: {invalid_frame_end_marker,0}'),
        (b"\n\r\t\x1b\x08\x0b\x0c", 0, r'all octets = <<"\n\r\t\e\b\v\f">>: {invalid_frame_end_marker,0}'),
        ("é€".encode(), 9, 'all octets = <<"é€"/utf8>>: {invalid_frame_end_marker,9}'),
        (b"\xe9", 9, 'all octets = <<"é">>: {invalid_frame_end_marker,9}'),
        (b"\x80", 9, "all octets = <<128>>: {invalid_frame_end_marker,9}"),
        (b"\x01" * 12, 5, f"all octets = <<{'1,' * 11}1>>: {{invalid_frame_end_marker,5}}"),
        # Erlang breaks terms that do not fit into a line of 80 columns.
        (b"\x01" * 13, 5, f"all octets = <<{'1,' * 12}1>>: {{invalid_frame_end_marker,\n{' ' * 53}5}}"),
        (
            *(b"\x01" + b"\xc8" * 20, 255),
            f"first 16 octets = <<1,{'200,' * 12}\n{' ' * 28}200,200,200>>: {{invalid_frame_end_marker,255}}",
        ),
        (b"\xc8" * 20, 255, f'first 16 octets = <<"{"È" * 16}">>: {{invalid_frame_end_marker,\n{" " * 51}255}}'),
    ],
)
def test_a_frame_without_its_end_is_shown_as_erlang_shows_it(payload, octet, shown):
    reader = FrameReader()
    reader.feed(frame(METHOD, 1, payload)[:-1] + bytes([octet]))
    with pytest.raises(ProtocolError) as refused:
        list(reader)
    assert refused.value.fatal
    assert refused.value.reply_text == f"FRAME_ERROR - type 1, {shown}"


def test_a_frame_that_is_out_of_place_is_shown_too():
    error = unexpected_frame(METHOD, b"\x00\x14\x00\x0a\x00")
    assert (error.reply_code, error.reply_text) == (505, "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>")


def test_an_error_survives_a_process_border():
    error = pickle.loads(pickle.dumps(refusal(METHOD, 1, payload_of(50, 10, b"\xff" * 300))))  # noqa: S301 - our own
    assert str(error).startswith("501 FRAME_ERROR - cannot decode <<255")
    assert (error.class_id, error.method_id, error.fatal) == (50, 10, False)


@pytest.mark.parametrize("text", [b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xef\xbf\xbf"])
def test_names_may_hold_what_erlang_takes_for_utf_8(text):
    octets = payload_of(50, 10, b"\x00\x00" + short(text) + b"\x00" + table(b""))
    method, arguments = decode_method(1, octets)
    assert method.encode(*arguments) == octets


@pytest.mark.parametrize("text", [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff", b"\xc3"])
def test_names_of_publishes_are_not_looked_at_and_others_are(text):
    declared = payload_of(50, 10, b"\x00\x00" + short(text) + b"\x00" + table(b""))
    assert refused(METHOD, 1, declared) == (501, "FRAME_ERROR - Malformed UTF-8 in shortstr", "0.0")
    published = payload_of(60, 40, b"\x00\x00" + short(text) + short(text) + b"\x00")
    method, arguments = decode_method(1, published)
    assert method.encode(*arguments) == published


# Any octets at all


def rewritten(kind, channel, payload):
    """Read and written again; whatever can be read can be written, and then reads the same."""
    found = understand(kind, channel, payload)
    if kind == METHOD:
        method, arguments = found
        assert decode_method(channel, method.encode(*arguments)) == found
    elif kind == HEADER:
        assert decode_properties(encode_properties(found)) == found


def survive(octets, sizes):
    """Feed octets in pieces, and look at every frame; nothing but refusals may come of it, and little may be kept."""
    reader = FrameReader(4096)
    pieces = sizes or [len(octets)]
    fatal, others = [], []
    at = turn = 0
    while at < len(octets):
        size = pieces[turn % len(pieces)]
        reader.feed(octets[at : at + size])
        at, turn = at + size, turn + 1
        try:
            for each in reader:
                try:
                    rewritten(*each)
                except ProtocolError as error:
                    others.append(error)
        except ProtocolError as error:
            fatal.append(error)
        assert reader.pending < 4096 + 8
    assert [error.fatal for error in fatal] in ([], [True])
    assert {error.reply_code for error in others} <= {0, 501, 541}


def mutated(octets, changes):
    result = bytearray(octets)
    for place, octet, action in changes:
        at = place % (len(result) or 1)
        if action == "insert":
            result.insert(at, octet)
        elif action == "delete":
            del result[at : at + octet % 4]
        elif at < len(result):
            result[at] = octet
    return bytes(result)


sizes_of_pieces = st.lists(st.integers(1, 64), max_size=5)
changes = st.lists(
    st.tuples(st.integers(0, 2**16), st.integers(0, 255), st.sampled_from(["insert", "delete", "replace"])), max_size=6
)
written_frames = st.one_of(
    methods_with_arguments().map(lambda call: (METHOD, 1, call[0].encode(*call[1]))),
    properties.map(lambda values: (HEADER, 1, pack(">HHQ", 60, 0, 9) + encode_properties(values))),
    st.binary(max_size=30).map(lambda body: (BODY, 1, body)),
    st.just((HEARTBEAT, 0, b"")),
)


@given(st.binary(max_size=500), sizes_of_pieces)
@example(b"\x01\x00\x01\x00\x00\x00\x04\x00\x14\x00\x0a\xce", [])
def test_random_octets_are_refused_or_read(octets, sizes):
    survive(octets, sizes)


@given(st.lists(written_frames, min_size=1, max_size=4), changes, sizes_of_pieces)
def test_spoilt_streams_are_refused_or_read(frames, spoiling, sizes):
    survive(mutated(b"".join(frame(*each) for each in frames), spoiling), sizes)


@given(written_frames, changes, st.sampled_from([0, 1]))
def test_spoilt_payloads_are_refused_or_read(written, spoiling, channel):
    kind, _, payload = written
    survive(frame(kind, channel, mutated(payload, spoiling)), [])


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 7, 1000, 65_536])
def test_a_large_frame_in_small_pieces_is_read_in_linear_time(size):
    body = bytes(FRAME_MAX - 8)
    octets = frame(BODY, 1, body)
    assert read(*(octets[at : at + size] for at in range(0, len(octets), size))) == [(BODY, 1, body)]
