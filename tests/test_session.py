"""The session against what RabbitMQ 4.0.5 was seen to answer, with pamqp as the client's codec.

The tables of refusals were run against a real 4.0.5 over a raw socket, byte for byte as they stand here.
"""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import frame
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue, Tx

from simbus.rabbitmq.properties import Properties
from simbus.units import SECOND
from tests.wire import CAPABILITIES, PROTOCOL_HEADER, Client, Wire, published, start_ok

MAX_MESSAGE_SIZE = 16_777_216


def framed(type: int, channel: int, payload: bytes = b"", end: bytes = b"\xce") -> bytes:
    return struct.pack(">BHI", type, channel, len(payload)) + payload + end


def method(channel: int, class_id: int, method_id: int, arguments: bytes = b"") -> bytes:
    return framed(1, channel, struct.pack(">HH", class_id, method_id) + arguments)


def header(channel: int = 1, size: int = 0, class_id: int = 60, weight: int = 0, properties: bytes = b"\0\0") -> bytes:
    return framed(2, channel, struct.pack(">HHQ", class_id, weight, size) + properties)


def body(content: bytes, channel: int = 1) -> bytes:
    return framed(3, channel, content)


def marshalled(channel: int, *methods: Any) -> bytes:
    return b"".join(frame.marshal(one, channel) for one in methods)


PUBLISH = marshalled(1, Basic.Publish(exchange="", routing_key="nowhere"))
DECLARE = marshalled(1, Queue.Declare(queue="q"))
MISSING = marshalled(1, Queue.Declare(queue="missing", passive=True))
CLOSE_OK = marshalled(0, Connection.CloseOk())
HEARTBEAT = framed(8, 0)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def client(wire: Wire) -> Client:
    return wire.connect()


def at_stage(wire: Wire, stage: str) -> Client:
    client = Client(wire)
    for name, data in (
        ("header", PROTOCOL_HEADER),
        ("starting", marshalled(0, start_ok("\0guest\0guest"))),
        ("tuning", marshalled(0, Connection.TuneOk(2047, 131_072, 0))),
        ("opening", marshalled(0, Connection.Open("/"))),
    ):
        if name == stage:
            break
        client.raw(data)
    client.take()
    return client


def hangs_up_after(client: Client) -> float:
    """Seconds until the session closes the socket; 0 when it does so at once."""
    deadline = client.session.next_deadline
    return 0 if deadline is None else (deadline - client.wire.now) / SECOND


# Handshake


def test_the_server_introduces_itself_as_rabbitmq_4_0_5(wire):
    start = Client(wire).raw(PROTOCOL_HEADER).expect("Connection.Start", version_major=0, version_minor=9)
    assert list(start.server_properties) == [
        *("capabilities", "cluster_name", "copyright", "information", "platform", "product", "version")
    ]
    assert list(start.server_properties["capabilities"].items()) == [
        ("publisher_confirms", True),
        ("exchange_exchange_bindings", True),
        ("basic.nack", True),
        ("consumer_cancel_notify", True),
        ("connection.blocked", True),
        ("consumer_priorities", True),
        ("authentication_failure_close", True),
        ("per_consumer_qos", True),
        ("direct_reply_to", True),
    ]
    assert (start.server_properties["product"], start.server_properties["version"]) == ("RabbitMQ", "4.0.5")
    assert start.mechanisms == "ANONYMOUS PLAIN AMQPLAIN"
    assert start.locales == "en_US"


def test_a_whole_handshake_may_arrive_at_once_or_octet_by_octet(wire):
    whole = (
        PROTOCOL_HEADER
        + marshalled(0, start_ok("\0guest\0guest"), Connection.TuneOk(2047, 131_072, 0), Connection.Open("/"))
        + marshalled(1, Channel.Open())
    )
    answers = ["Connection.Start", "Connection.Tune", "Connection.OpenOk", "Channel.OpenOk"]
    assert Client(wire).raw(whole).names() == answers
    slow = Client(wire)
    for octet in whole:
        slow.raw(bytes([octet]))
    assert slow.names() == answers


def test_tune_offers_what_rabbitmq_offers(wire):
    at_stage(wire, "starting").send(0, start_ok("\0guest\0guest")).expect(
        "Connection.Tune", channel_max=2047, frame_max=131_072, heartbeat=60
    )


@pytest.mark.parametrize(
    ("header_sent", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"AMQP\3\1\0\0"),
        (b"AMQP\0\0\x09\x02", b"AMQP\0\0\x09\1"),
        (b"AMQP\0\0\x0a\0", b"AMQP\0\0\x09\1"),
        (b"AMQP\0\0\x08\0", b"AMQP\3\1\0\0"),
        (b"AMQP\1\1\x08\0", b"AMQP\3\1\0\0"),
        (b"AMQP\2\1\0\0", b"AMQP\3\1\0\0"),
        (b"AMQP\3\1\0\0", b"AMQP\0\0\x09\1"),  # RabbitMQ 4.0 speaks AMQP 1.0, simbus does not
    ],
)
def test_another_protocol_is_told_which_one_is_spoken_and_hung_up_on(wire, header_sent, answer):
    client = Client(wire).raw(header_sent)
    assert client.bytes() == answer
    assert client.session.closed


def test_amqp_0_9_is_taken_for_0_9_1(wire):
    Client(wire).raw(b"AMQP\1\1\0\x09").expect("Connection.Start")


@pytest.mark.parametrize(
    ("stage", "data"),
    [
        ("starting", marshalled(0, start_ok("nonsense"))),
        ("starting", marshalled(0, start_ok("\0guest\0wrong", capabilities=None))),
        ("tuning", marshalled(0, Connection.TuneOk(0, 0, 0))),
    ],
)
def test_what_comes_behind_a_fault_in_the_same_piece_is_not_heard(wire, stage, data):
    client = at_stage(wire, stage).raw(data + marshalled(0, start_ok("\0guest\0guest"), Connection.Open("/")) + framed(9, 0))
    assert client.silent()
    assert hangs_up_after(client) == 3


AMQPLAIN = b"\5LOGINS\0\0\0\5guest\x08PASSWORDS\0\0\0\5guest".decode()


@pytest.mark.parametrize(
    ("mechanism", "response"), [("PLAIN", "\0guest\0guest"), ("AMQPLAIN", AMQPLAIN), ("ANONYMOUS", ""), ("ANONYMOUS", "me")]
)
def test_a_known_user_is_let_in(wire, mechanism, response):
    at_stage(wire, "starting").send(0, start_ok(response, mechanism=mechanism)).expect("Connection.Tune")


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("plain", "\0guest\0guest"),
        ("EXTERNAL", ""),
        ("FOO", ""),
        ("PLAIN", ""),
        ("PLAIN", "guest"),
        ("PLAIN", "guest\0guest"),
        ("PLAIN", "me\0guest\0guest"),
        ("PLAIN", "\0guest\0gu\0est"),
        ("AMQPLAIN", ""),
        ("AMQPLAIN", "abc"),
        ("AMQPLAIN", "\5LOGINS\0\0\0\5guest"),
    ],
)
def test_a_response_that_names_nobody_is_answered_by_three_seconds_of_silence(wire, mechanism, response):
    client = at_stage(wire, "starting").send(0, start_ok(response, mechanism=mechanism))
    assert client.silent()
    assert hangs_up_after(client) == 3
    client.raw(PROTOCOL_HEADER + b"anything")
    wire.wait(3)
    assert client.session.closed
    assert client.silent()


@pytest.mark.parametrize("user", ["guest", "nobody"])
def test_a_wrong_password_is_told_to_those_who_announced_that_they_understand(wire, user):
    client = at_stage(wire, "starting").send(0, start_ok(f"\0{user}\0wrong"))
    client.expect(
        "Connection.Close",
        reply_code=403,
        reply_text="ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
        class_id=0,
        method_id=0,
    )
    assert hangs_up_after(client) == 3
    client.raw(CLOSE_OK)
    assert client.session.closed


@pytest.mark.parametrize("capabilities", [None, {}, {"authentication_failure_close": False}])
def test_a_wrong_password_is_answered_by_silence_to_all_others(wire, capabilities):
    client = at_stage(wire, "starting").send(0, start_ok("\0guest\0wrong", capabilities=capabilities))
    assert client.silent()
    assert hangs_up_after(client) == 3


@pytest.mark.parametrize(("channel_max", "frame_max"), [(0, 131_072), (2048, 131_072), (2047, 0), (2047, 4095), (2047, 131_073)])
def test_a_tune_ok_outside_of_the_offer_is_answered_by_silence(wire, channel_max, frame_max):
    client = at_stage(wire, "tuning").send(0, Connection.TuneOk(channel_max, frame_max, 0))
    assert client.silent()
    assert hangs_up_after(client) == 3


@pytest.mark.parametrize(("channel_max", "frame_max"), [(1, 4096), (2047, 131_072)])
def test_the_limits_of_the_offer_are_within_it(wire, channel_max, frame_max):
    wire.connect(channel_max=channel_max, frame_max=frame_max)


@pytest.mark.parametrize("name", ["nosuch", ""])
def test_an_unknown_vhost_is_refused(wire, name):
    client = at_stage(wire, "opening").send(0, Connection.Open(name))
    client.expect(
        "Connection.Close", reply_code=530, reply_text=f"NOT_ALLOWED - vhost {name} not found", class_id=10, method_id=40
    )
    assert client.raw(CLOSE_OK).session.closed


def test_a_vhost_without_permissions_is_refused(wire):
    wire.broker.add_user("alice", "secret")
    client = at_stage(wire, "starting").send(0, start_ok("\0alice\0secret"), Connection.TuneOk(2047, 131_072, 0))
    client.take()
    client.send(0, Connection.Open("/")).expect(
        "Connection.Close", reply_code=530, reply_text="NOT_ALLOWED - access to vhost '/' refused for user 'alice'"
    )


@pytest.mark.parametrize("stage", ["header", "starting", "tuning", "opening"])
def test_a_handshake_that_is_not_finished_is_cut_after_ten_seconds(wire, stage):
    client = at_stage(wire, stage)
    wire.wait(9.9)
    assert not client.session.closed
    wire.wait(0.1)
    assert client.session.closed


WRONG_IN_HANDSHAKES = {
    "a method of another stage": marshalled(0, Connection.Close(200, "", 0, 0)),
    "close-ok": CLOSE_OK,
    "a method of a channel": marshalled(1, Channel.Open()),
    "a body": body(b"abc", 0),
    "a header": header(0),
    "an unknown type": framed(9, 0),
    "a wrong end": framed(1, 0, b"\0\x0a\0\x28", b"\0"),
    "a frame above 4096": struct.pack(">BHI", 1, 0, 5000),
    "arguments that are cut": method(0, 10, 11, b"\0"),
    "half an id": framed(1, 0, b"\0"),
    "a heartbeat on a channel": framed(8, 1),
    "a heartbeat with a payload": framed(8, 0, b"x"),
}


@pytest.mark.parametrize("stage", ["starting", "tuning"])
@pytest.mark.parametrize("data", WRONG_IN_HANDSHAKES.values(), ids=WRONG_IN_HANDSHAKES.keys())
def test_before_the_client_is_trusted_every_fault_is_answered_by_silence(wire, stage, data):
    client = at_stage(wire, stage).raw(data)
    assert client.silent()
    assert not client.session.closed
    assert hangs_up_after(client) == 3


@pytest.mark.parametrize("stage", ["starting", "tuning", "opening", "running"])
@pytest.mark.parametrize("ids", [(99, 10), (10, 99)])
def test_an_unknown_method_is_hung_up_on_at_once_at_every_stage(wire, stage, ids):
    client = at_stage(wire, stage).raw(method(0, *ids))
    assert client.silent()
    assert client.session.closed


@pytest.mark.parametrize("stage", ["starting", "tuning", "opening", "running"])
def test_heartbeats_are_welcome_at_every_stage(wire, stage):
    assert at_stage(wire, stage).raw(HEARTBEAT).silent()


@pytest.mark.parametrize(
    ("data", "code", "text", "ids"),
    [
        (CLOSE_OK, 504, "CHANNEL_ERROR - unexpected method in connection state opening", (10, 51)),
        (marshalled(0, Queue.Declare(queue="x")), 504, "CHANNEL_ERROR - unexpected method in connection state opening", (50, 10)),
        (method(1, 20, 10, b"\0"), 505, "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>", (0, 0)),
        (body(b"abc"), 505, 'UNEXPECTED_FRAME - type 3, all octets = <<"abc">>', (0, 0)),
        (framed(9, 0), 501, "FRAME_ERROR - type 9, all octets = <<>>: unknown_frame", (0, 0)),
        (framed(9, 1), 505, "UNEXPECTED_FRAME - type 9, all octets = <<>>", (0, 0)),
        (framed(8, 1), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", (0, 0)),
        (method(0, 10, 40, b"\1\xff\0\0"), 501, "FRAME_ERROR - Malformed UTF-8 in shortstr", (10, 40)),
    ],
)
def test_a_fault_before_the_vhost_is_open_is_told(wire, data, code, text, ids):
    client = at_stage(wire, "opening").raw(data)
    client.expect("Connection.Close", reply_code=code, reply_text=text, class_id=ids[0], method_id=ids[1])
    assert client.raw(CLOSE_OK).session.closed


def test_arguments_that_are_cut_make_rabbitmq_stumble_before_the_vhost_is_open(wire):
    client = at_stage(wire, "opening").raw(method(0, 10, 50, b"\0"))
    assert client.silent()
    assert hangs_up_after(client) == 3


# What is wrong on an open connection. (octets, reply code, reply text, ids of the method)

SHORT = "FRAME_ERROR - cannot decode "
BAD_TABLE = b"\0\0\2qq\0\0\0\0\5\1aU\0\1"
CONNECTION_ERRORS: dict[str, tuple[bytes, int, str, tuple[int, int]]] = {
    "a method on a closed channel": (
        marshalled(5, Queue.Declare(queue="x")), 504, "CHANNEL_ERROR - expected 'channel.open'", (50, 10)
    ),
    "close on a closed channel": (
        method(5, 20, 40, b"\0\xc8\0\0\0\0\0"), 504, "CHANNEL_ERROR - expected 'channel.open'", (20, 40)
    ),
    "close-ok on a closed channel": (method(5, 20, 41), 504, "CHANNEL_ERROR - expected 'channel.open'", (20, 41)),
    "connection.* on a closed channel": (method(5, 10, 51), 504, "CHANNEL_ERROR - expected 'channel.open'", (10, 51)),
    "a publish on a closed channel": (
        marshalled(5, Basic.Publish()) + header(5), 504, "CHANNEL_ERROR - expected 'channel.open'", (60, 40)
    ),
    "open twice": (marshalled(1, Channel.Open()), 504, "CHANNEL_ERROR - second 'channel.open' seen", (20, 10)),
    "a channel's method on channel 0": (
        marshalled(0, Queue.Declare(queue="x")), 504, "CHANNEL_ERROR - unexpected method in connection state running", (50, 10)
    ),
    "connection.open twice": (
        marshalled(0, Connection.Open("/")), 504, "CHANNEL_ERROR - unexpected method in connection state running", (10, 40)
    ),
    "unasked close-ok": (CLOSE_OK, 504, "CHANNEL_ERROR - unexpected method in connection state running", (10, 51)),
    "start-ok again": (
        marshalled(0, start_ok("x")), 504, "CHANNEL_ERROR - unexpected method in connection state running", (10, 11)
    ),
    "connection.blocked": (
        method(0, 10, 60, b"\1x"), 504, "CHANNEL_ERROR - unexpected method in connection state running", (10, 60)
    ),
    "connection.close on a channel": (
        marshalled(1, Connection.Close(200, "", 0, 0)), 503, "COMMAND_INVALID - unimplemented method", (10, 50)
    ),
    "get-empty": (marshalled(1, Basic.GetEmpty()), 503, "COMMAND_INVALID - unimplemented method", (60, 72)),
    "deliver": (
        marshalled(1, Basic.Deliver("t", 1, False, "", "x")) + header(1), 503, "COMMAND_INVALID - unimplemented method", (60, 60)
    ),
    "unasked channel.close-ok": (method(1, 20, 41), 503, "COMMAND_INVALID - unimplemented method", (20, 41)),
    "flow-ok": (method(1, 20, 21, b"\1"), 503, "COMMAND_INVALID - unimplemented method", (20, 21)),
    "cancel-ok": (marshalled(1, Basic.CancelOk("t")), 503, "COMMAND_INVALID - unimplemented method", (60, 31)),
    "credit": (method(1, 60, 200, b"\1a\0\0\0\1\0"), 503, "COMMAND_INVALID - unimplemented method", (60, 200)),
    "a header without method": (
        header(), 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", (0, 0)
    ),
    "a body without method": (
        body(b"x"), 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", (0, 0)
    ),
    "a body on a closed channel": (
        body(b"x", 5), 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", (0, 0)
    ),
    "a method where the header is due": (
        PUBLISH + DECLARE,
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        (60, 40),
    ),
    "a body where the header is due": (
        PUBLISH + body(b"x"),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        (60, 40),
    ),
    "channel.close where the header is due": (
        PUBLISH + marshalled(1, Channel.Close(200, "", 0, 0)),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        (60, 40),
    ),
    "a header with a weight": (
        PUBLISH + header(weight=7),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        (60, 40),
    ),
    "a header of another class": (
        PUBLISH + header(class_id=50),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        (60, 40),
    ),
    "a method where a body is due": (
        PUBLISH + header(size=5) + DECLARE,
        505,
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
        (60, 40),
    ),
    "a header where a body is due": (
        PUBLISH + header(size=5) + header(size=5),
        505,
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
        (60, 40),
    ),
    "a method behind too much of a body": (
        PUBLISH + header(size=2) + body(b"xxxx") + body(b"") + DECLARE,
        505,
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
        (60, 40),
    ),
    "a header that is cut": (
        PUBLISH + framed(2, 1, b"\0\x3c\0"), 501, "FRAME_ERROR - type 2, all octets = <<0,60,0>>: unknown_frame", (0, 0)
    ),
    "properties that are cut": (PUBLISH + header(properties=b"\x80\0\5ab"), 541, "INTERNAL_ERROR", (0, 0)),
    "properties that go on": (PUBLISH + header(properties=b"\x80\0\2abzzz"), 541, "INTERNAL_ERROR", (0, 0)),
    "no properties at all": (PUBLISH + header(properties=b""), 541, "INTERNAL_ERROR", (0, 0)),
    "a header table of unknown type": (PUBLISH + header(properties=b"\x20\0\0\0\0\3\1aU"), 541, "INTERNAL_ERROR", (0, 0)),
    "half an id": (framed(1, 1, b"\0\x32\0"), 501, "FRAME_ERROR - type 1, all octets = <<0,50,0>>: unknown_frame", (0, 0)),
    "an unknown type": (framed(9, 1), 501, "FRAME_ERROR - type 9, all octets = <<>>: unknown_frame", (0, 0)),
    "an unknown type on channel 0": (
        framed(9, 0, b"x" * 40), 501, 'FRAME_ERROR - type 9, first 16 octets = <<"xxxxxxxxxxxxxxxx">>: unknown_frame', (0, 0)
    ),
    "a heartbeat on a channel": (framed(8, 1), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", (0, 0)),
    "a heartbeat with a payload": (framed(8, 0, b"x"), 501, 'FRAME_ERROR - type 8, all octets = <<"x">>: unknown_frame', (0, 0)),
    "arguments that are cut": (method(1, 50, 10, b"\0\0"), 501, SHORT + "<<0,0>>", (50, 10)),
    "arguments that are cut on a closed channel": (method(7, 50, 10, b"\0\0"), 501, SHORT + "<<0,0>>", (50, 10)),
    "arguments that go on": (
        method(1, 20, 40, b"\0\xc8\0\0\0\0\0zz"), 501, SHORT + "<<0,200,0,0,0,0,0,122,122>>", (20, 40)
    ),
    "arguments that are cut on channel 0": (method(0, 10, 50, b"\0\0"), 541, "INTERNAL_ERROR", (0, 0)),
    "a name that is no text": (
        method(1, 50, 10, b"\0\0\2\xff\xfe\0\0\0\0\0"), 501, "FRAME_ERROR - Malformed UTF-8 in shortstr", (0, 0)
    ),
    "immediate": (
        marshalled(1, Basic.Publish(immediate=True)) + header(), 540, "NOT_IMPLEMENTED - immediate=true", (60, 40)
    ),
    "flow off": (marshalled(1, Channel.Flow(False)), 540, "NOT_IMPLEMENTED - active=false", (20, 20)),
    "recover without requeue": (method(1, 60, 110, b"\0"), 540, "NOT_IMPLEMENTED - requeue=false", (60, 110)),
    "recover-async without requeue": (method(1, 60, 100, b"\0"), 540, "NOT_IMPLEMENTED - requeue=false", (60, 100)),
    "a prefetch size": (marshalled(1, Basic.Qos(10, 0, False)), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)", (60, 10)),
    "a reply text that cannot be cut": (
        method(1, 50, 10, b"\0\0\xf0" + "é".encode() * 120 + b"\1\0\0\0\0"), 541, "INTERNAL_ERROR", (0, 0)
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code", "text", "ids"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS.keys())
def test_a_fault_closes_the_connection(wire, client, data, code, text, ids):
    client.raw(data)
    client.expect("Connection.Close", reply_code=code, reply_text=text, class_id=ids[0], method_id=ids[1])
    assert wire.broker.connections == []
    assert hangs_up_after(client) == 30
    client.raw(DECLARE + framed(9, 1) + marshalled(0, Connection.Open("/")) + framed(9, 0))
    assert client.silent()
    client.raw(CLOSE_OK)
    assert client.session.closed


FATAL_ERRORS: dict[str, tuple[bytes, str]] = {
    "a wrong end": (framed(1, 1, b"\0\x14\0\x28", b"\0"), "type 1, all octets = <<0,20,0,40>>: {invalid_frame_end_marker,0}"),
    "too large": (struct.pack(">BHI", 3, 1, 131_073), "type 3, all octets = <<>>: {frame_too_large,131073,131064}"),
}


@pytest.mark.parametrize(("data", "text"), FATAL_ERRORS.values(), ids=FATAL_ERRORS.keys())
def test_where_frames_end_can_no_longer_be_told_the_session_hears_nothing_more(client, data, text):
    client.raw(data)
    client.expect("Connection.Close", reply_code=501, reply_text=f"FRAME_ERROR - {text}", class_id=0, method_id=0)
    client.raw(CLOSE_OK)
    assert client.silent()
    assert not client.session.closed
    assert hangs_up_after(client) == 3


@pytest.mark.parametrize(
    "data", [method(1, 99, 10), method(1, 50, 99), method(1, 50, 10, BAD_TABLE)], ids=["class", "method", "type of a field"]
)
def test_what_ends_rabbitmqs_reader_hangs_up_without_a_word(client, data):
    client.raw(data)
    assert client.silent()
    assert client.session.closed


@pytest.mark.parametrize("data", [framed(3, 1, b""), body(b"x" * 131_072)])
def test_a_payload_may_be_as_long_as_a_whole_frame(client, data):
    size = len(data) - 8
    client.raw(PUBLISH + header(size=max(size, 1)) + data)
    if not size:
        client.raw(body(b"x"))
    client.call(1, Queue.Declare(queue="q"))


def test_the_number_of_channels_is_limited_and_not_their_numbers(wire):
    client = wire.connect(channel_max=2, channels=0)
    client.call(65_535, Channel.Open())
    client.call(9, Channel.Open())
    client.call(9, Channel.Close(200, "", 0, 0))
    client.call(11, Channel.Open())
    client.send(3, Channel.Open()).expect(
        "Connection.Close",
        reply_code=530,
        reply_text="NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
        class_id=0,
        method_id=0,
    )


# Ends


def test_after_connection_close_the_client_has_half_a_minute_to_close_the_socket(wire, client):
    client.send(0, Connection.Close(200, "bye", 0, 0)).expect("Connection.CloseOk")
    assert wire.broker.connections == []
    client.send(0, Connection.Close(200, "bye", 0, 0)).expect("Connection.CloseOk")
    client.raw(DECLARE)
    assert client.silent()
    wire.wait(30)
    assert client.session.closed


def test_a_short_heartbeat_shortens_that_wait(wire):
    client = wire.connect(heartbeat=2)
    client.send(0, Connection.Close(200, "bye", 0, 0)).expect("Connection.CloseOk")
    wire.wait(1.9)
    assert not client.session.closed
    wire.wait(0.1)
    assert client.session.closed


def test_a_close_that_crosses_the_servers_is_answered(client):
    client.raw(framed(9, 0)).expect("Connection.Close")
    client.send(0, Connection.Close(200, "bye", 0, 0)).expect("Connection.CloseOk")
    assert client.raw(CLOSE_OK).session.closed


@pytest.mark.parametrize("how", ["close", "fault", "loss"])
def test_the_end_of_a_connection_gives_back_what_it_held(wire, client, how):
    client.call(1, Queue.Declare(queue="shared"))
    client.call(1, Queue.Declare(queue="own", exclusive=True))
    client.call(1, Queue.Declare(queue="kept", auto_delete=True))
    client.publish(1, "", "shared", b"7")
    client.send(1, Basic.Consume(queue="shared", consumer_tag="t"), Basic.Consume(queue="kept", consumer_tag="u")).take()
    other = wire.connect()
    other.call(1, Queue.Declare(queue="shared", passive=True))
    assert other.call(1, Basic.Get(queue="shared")).name == "Basic.GetEmpty"
    if how == "close":
        client.send(0, Connection.Close(200, "", 0, 0))
    elif how == "fault":
        client.raw(framed(9, 0))
    else:
        client.lose()
        client.lose()
        assert client.session.closed
    got = other.call(1, Basic.Get(queue="shared"))
    assert (got.name, got.redelivered, got.body) == ("Basic.GetOk", True, b"7")
    assert set(wire.broker.vhost().queues) == {"shared"}
    wire.broker.check()


def test_an_exclusive_queue_is_anothers_to_no_one(wire, client):
    client.call(1, Queue.Declare(queue="own", exclusive=True))
    other = wire.connect()
    closed = other.call(1, Queue.Declare(queue="own", passive=True))
    assert (closed.name, closed.reply_code, closed.class_id, closed.method_id) == ("Channel.Close", 405, 50, 10)


def test_a_broker_that_stops_tells_its_clients(wire, client):
    wire.broker.restart()
    client.session.shut_down()
    client.expect(
        "Connection.Close",
        reply_code=320,
        reply_text="CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
        class_id=0,
        method_id=0,
    )
    assert client.raw(CLOSE_OK).session.closed


# Channels


def test_a_refused_verb_closes_its_channel_and_no_other(client):
    client.call(2, Channel.Open())
    client.raw(MISSING).expect(
        "Channel.Close",
        channel=1,
        reply_code=404,
        reply_text="NOT_FOUND - no queue 'missing' in vhost '/'",
        class_id=50,
        method_id=10,
    )
    client.raw(MISSING + DECLARE + published(1, "", "q", b"lost") + method(1, 60, 72, b"\0") + method(1, 20, 11, b"\0\0\0\0"))
    assert client.silent()
    assert client.call(2, Queue.Declare(queue="other")).name == "Queue.DeclareOk"
    client.raw(method(1, 20, 41) + marshalled(1, Channel.Open()) + DECLARE)
    assert client.names() == ["Channel.OpenOk", "Queue.DeclareOk"]


def test_frames_have_to_make_sense_on_a_channel_that_ignores_them(client):
    client.raw(MISSING).expect("Channel.Close")
    client.raw(PUBLISH + DECLARE).expect("Connection.Close", reply_code=505)


def test_a_close_that_crosses_the_channels_is_answered_and_close_ok_still_due(client):
    client.raw(MISSING).expect("Channel.Close")
    client.send(1, Channel.Close(200, "", 0, 0)).expect("Channel.CloseOk")
    assert client.raw(method(1, 20, 41)).silent()
    assert client.call(1, Channel.Open()).name == "Channel.OpenOk"


def test_open_on_a_channel_whose_close_ok_is_due_is_a_second_open(client):
    client.raw(MISSING).expect("Channel.Close")
    client.send(1, Channel.Open()).expect(
        "Connection.Close", reply_code=504, reply_text="CHANNEL_ERROR - second 'channel.open' seen"
    )


def test_a_long_reply_text_is_cut(client):
    closed = client.call(1, Queue.Declare(queue="n" * 255, passive=True))
    assert closed.reply_text == "NOT_FOUND - no queue '" + "n" * 230 + "..."


def test_a_name_that_is_no_text_is_shown_as_latin_1(client):
    client.raw(method(1, 60, 40, b"\0\0\2\xff\xfe\1q\0") + header()).expect(
        "Channel.Close", reply_text="NOT_FOUND - no exchange 'ÿþ' in vhost '/'"
    )


def test_what_was_delivered_before_a_refusal_is_told_before_it(client):
    client.send(1, Queue.Declare(queue="q"), Basic.Consume(queue="q", consumer_tag="t")).take()
    client.raw(published(1, "", "q", b"7") + marshalled(1, Basic.Ack(99)))
    assert client.names() == ["Basic.Deliver", "Channel.Close"]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (Channel.Flow(True), "Channel.FlowOk"),
        (Exchange.Declare(exchange="x"), "Exchange.DeclareOk"),
        (Exchange.Bind(destination="amq.fanout", source="amq.topic"), "Exchange.BindOk"),
        (Exchange.Unbind(destination="amq.fanout", source="amq.topic"), "Exchange.UnbindOk"),
        (Exchange.Delete(exchange="nosuch"), "Exchange.DeleteOk"),
        (Queue.Declare(queue="a"), "Queue.DeclareOk"),
        (Queue.Bind(queue="q", exchange="amq.direct"), "Queue.BindOk"),
        (Queue.Unbind(queue="q", exchange="amq.direct"), "Queue.UnbindOk"),
        (Queue.Purge(queue="q"), "Queue.PurgeOk"),
        (Queue.Delete(queue="q"), "Queue.DeleteOk"),
        (Basic.Qos(0, 7, True), "Basic.QosOk"),
        (Basic.Consume(queue="q", consumer_tag="t"), "Basic.ConsumeOk"),
        (Basic.Cancel(consumer_tag="nosuch"), "Basic.CancelOk"),
        (Basic.Get(queue="q"), "Basic.GetEmpty"),
        (Basic.Recover(True), "Basic.RecoverOk"),
        (Confirm.Select(), "Confirm.SelectOk"),
        (Tx.Select(), "Tx.SelectOk"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_method_of_a_channel_is_answered(client, asked, answer):
    client.raw(DECLARE).take()
    assert client.call(1, asked).name == answer


def test_access_request_is_a_relic_that_is_answered(client):
    client.raw(method(1, 30, 10, b"\5/data\x1f"))
    assert client.bytes() == method(1, 30, 11, b"\0\1")


def test_update_secret_is_answered(client):
    client.send(0, Connection.UpdateSecret("new", "why")).expect("Connection.UpdateSecretOk")


@pytest.mark.parametrize(
    "asked",
    [
        Exchange.Declare(exchange="x", nowait=True),
        Exchange.Delete(exchange="x", nowait=True),
        Exchange.Bind(destination="amq.fanout", source="amq.topic", nowait=True),
        Exchange.Unbind(destination="amq.fanout", source="amq.topic", nowait=True),
        Queue.Declare(queue="a", nowait=True),
        Queue.Bind(queue="q", exchange="amq.direct", nowait=True),
        Queue.Purge(queue="q", nowait=True),
        Queue.Delete(queue="q", nowait=True),
        Basic.Consume(queue="q", nowait=True),
        Basic.Cancel(consumer_tag="t", nowait=True),
        Confirm.Select(nowait=True),
    ],
    ids=lambda asked: asked.name,
)
def test_nowait_forbids_the_answer(client, asked):
    client.raw(DECLARE).take()
    assert client.send(1, asked).silent()
    assert client.call(1, Basic.Qos(0, 1, False)).name == "Basic.QosOk"


def test_recover_async_is_never_answered(client):
    assert client.raw(method(1, 60, 100, b"\1")).silent()


def test_nowait_does_not_forbid_a_refusal(client):
    client.send(1, Queue.Declare(queue="missing", passive=True, nowait=True)).expect("Channel.Close", reply_code=404)


def test_queue_methods_tell_what_they_found(client):
    for content in (b"1", b"2"):
        client.publish(1, "", "q", content)
    client.raw(DECLARE).expect("Queue.DeclareOk", queue="q", message_count=0, consumer_count=0)
    client.publish(1, "", "q", b"1").publish(1, "", "q", b"2")
    client.raw(DECLARE).expect("Queue.DeclareOk", message_count=2)
    assert client.call(1, Queue.Purge(queue="q")).message_count == 2
    client.publish(1, "", "q", b"3")
    assert client.call(1, Queue.Delete(queue="q")).message_count == 1
    assert client.call(1, Queue.Declare(queue="")).queue.startswith("amq.gen-")


# Messages


def test_a_message_arrives_as_it_was_sent(client):
    client.raw(DECLARE).take()
    properties = b"\xf8\0\x0atext/plain\4gzip\0\0\0\x0b\1al\0\0\0\0\0\0\0\5\2\7"
    client.raw(PUBLISH.replace(b"\7nowhere\0", b"\1q\0").replace(b"\0\0\0\x10", b"\0\0\0\x0a"))
    client.raw(header(size=3, properties=properties) + body(b"a") + body(b"") + body(b"bc"))
    client.send(1, Basic.Consume(queue="q", consumer_tag="t", no_ack=True))
    told = client.bytes()
    assert told.endswith(header(size=3, properties=properties) + body(b"abc"))
    assert method(1, 60, 60, b"\1t" + struct.pack(">QB", 1, 0) + b"\0\1q") in told


def test_an_empty_message_has_no_body_frame(client):
    client.raw(DECLARE + published(1, "", "q")).take()
    client.send(1, Basic.Get(queue="q", no_ack=True))
    assert client.bytes() == method(1, 60, 71, struct.pack(">QB", 1, 0) + b"\0\1q\0\0\0\0") + header()


def test_bodies_are_split_at_frame_max(wire):
    client = wire.connect(frame_max=4096)
    client.send(1, Confirm.Select()).take()
    client.publish(1, "", "nowhere", b"x" * 9000, mandatory=True)
    read, sizes = client.bytes(), []
    while read:
        type, _, size = struct.unpack(">BHI", read[:7])
        read = read[size + 8 :]
        sizes.append((type, size))
    assert sizes[1:5] == [(2, 14), (3, 4088), (3, 4088), (3, 824)]


def test_a_message_above_the_limit_is_refused_once_it_was_read(client):
    size = MAX_MESSAGE_SIZE + 1
    piece = body(b"x" * 131_064)
    client.raw(PUBLISH + header(size=size))
    for _ in range(size // 131_064):
        assert client.raw(piece).silent()
    client.raw(body(b"x" * (size % 131_064))).expect(
        "Channel.Close",
        reply_code=406,
        reply_text=f"PRECONDITION_FAILED - message size {size} is larger than configured max size {MAX_MESSAGE_SIZE}",
        class_id=60,
        method_id=40,
    )


def test_get_tells_what_is_left(client):
    client.raw(DECLARE + published(1, "", "q", b"1") + published(1, "", "q", b"2")).take()
    got = client.call(1, Basic.Get(queue="q"))
    assert (got.name, got.delivery_tag, got.redelivered, got.message_count, got.body) == ("Basic.GetOk", 1, False, 1, b"1")
    client.send(1, Basic.Nack(1, False, True))
    got = client.call(1, Basic.Get(queue="q"))
    assert (got.delivery_tag, got.redelivered, got.body) == (2, True, b"1")
    client.call(1, Basic.Get(queue="q", no_ack=True))
    assert client.call(1, Basic.Get(queue="q")).name == "Basic.GetEmpty"


def test_consume_ok_comes_before_the_first_delivery(client):
    client.raw(DECLARE + published(1, "", "q", b"1")).take()
    client.send(1, Basic.Consume(queue="q", consumer_tag="t"))
    assert client.names() == ["Basic.ConsumeOk", "Basic.Deliver"]


def test_a_delivery_comes_before_the_confirm_of_its_message(client):
    client.send(1, Queue.Declare(queue="q"), Basic.Consume(queue="q"), Confirm.Select()).take()
    client.publish(1, "", "q", b"1")
    assert client.names() == ["Basic.Deliver", "Basic.Ack"]


def test_a_return_comes_before_the_confirm_of_its_message(client):
    client.send(1, Confirm.Select()).take()
    client.raw(published(1, "", "q", b"1") + published(1, "", "q", b"2", mandatory=True) + published(1, "", "q", b"3"))
    said = client.take()
    assert [(one.name, getattr(one.method, "delivery_tag", None)) for one in said] == [
        ("Basic.Ack", 1),
        ("Basic.Return", None),
        ("Basic.Ack", 3),
    ]
    returned = said[1]
    assert (returned.reply_code, returned.reply_text, returned.exchange, returned.routing_key, returned.body) == (
        *(312, "NO_ROUTE", "", "q"),
        b"2",
    )


def confirms(client: Client) -> list[tuple[str, int, bool]]:
    return [(one.name, one.delivery_tag, one.multiple) for one in client.take()]


def test_confirms_of_what_arrived_together_are_one(client):
    client.raw(DECLARE).send(1, Confirm.Select()).take()
    client.raw(published(1, "", "q", b"x") * 20)
    assert confirms(client) == [("Basic.Ack", 20, True)]
    client.raw(published(1, "", "q", b"x"))
    assert confirms(client) == [("Basic.Ack", 21, False)]


def test_an_answer_is_no_reason_to_keep_a_confirm_back(client):
    client.raw(DECLARE).send(1, Confirm.Select()).take()
    client.raw(published(1, "", "q", b"x") * 2 + DECLARE + published(1, "", "q", b"x"))
    assert client.names() == ["Basic.Ack", "Queue.DeclareOk", "Basic.Ack"]


def test_what_a_queue_refuses_is_nacked(client):
    client.send(1, Queue.Declare(queue="q", arguments={"x-max-length": 2, "x-overflow": "reject-publish"}), Confirm.Select())
    client.take()
    client.raw(published(1, "", "q", b"x") * 4)
    assert confirms(client) == [("Basic.Ack", 2, True), ("Basic.Nack", 4, True)]
    client.raw(published(1, "", "q", b"x"))
    assert confirms(client) == [("Basic.Nack", 5, True)]


def test_returns_of_a_transaction_come_before_commit_ok_and_its_deliveries_too(client):
    client.send(1, Tx.Select()).take()
    client.publish(1, "", "nowhere", b"x", mandatory=True)
    assert client.silent()
    client.send(1, Tx.Commit())
    assert client.names() == ["Basic.Return", "Tx.CommitOk"]


def test_a_consumer_is_told_that_its_queue_is_gone_when_it_understands(wire, client):
    deaf = wire.connect(capabilities={**CAPABILITIES, "consumer_cancel_notify": False})
    client.send(1, Queue.Declare(queue="q"), Basic.Consume(queue="q", consumer_tag="t")).take()
    deaf.send(1, Basic.Consume(queue="q", consumer_tag="t")).take()
    client.send(1, Queue.Delete(queue="q"))
    assert [(one.name, getattr(one.method, "consumer_tag", "")) for one in client.take()] == [
        ("Queue.DeleteOk", ""),
        ("Basic.Cancel", "t"),
    ]
    assert deaf.silent()
    assert client.call(1, Basic.Cancel("t")).name == "Basic.CancelOk"


def test_a_cancelled_consumer_gets_nothing_more_and_may_still_ack(client):
    client.raw(DECLARE + published(1, "", "q", b"1"))
    client.send(1, Basic.Consume(queue="q", consumer_tag="t")).take()
    client.send(1, Basic.Cancel("t")).publish(1, "", "q", b"2").send(1, Basic.Ack(1))
    assert client.names() == ["Basic.CancelOk"]
    assert client.call(1, Queue.Declare(queue="q")).message_count == 1


def test_a_delivery_reaches_a_consumer_on_another_connection_at_once(wire, client):
    consumer = wire.connect()
    consumer.send(1, Queue.Declare(queue="q"), Basic.Consume(queue="q", consumer_tag="t")).take()
    client.publish(1, "", "q", b"1")
    assert consumer.expect("Basic.Deliver", consumer_tag="t").body == b"1"


def test_what_the_broker_does_by_itself_is_told_too(wire, client):
    client.send(1, Queue.Declare(queue="dead"), Basic.Consume(queue="dead", consumer_tag="t"))
    arguments = {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    client.send(1, Queue.Declare(queue="q", arguments=arguments)).publish(1, "", "q", b"1").take()
    wire.clock.run_until(SECOND)
    delivered = client.expect("Basic.Deliver", routing_key="dead")
    assert delivered.properties.headers["x-first-death-reason"] == "expired"


def test_a_test_may_publish_to_a_client(wire, client):
    client.send(1, Queue.Declare(queue="q"), Basic.Consume(queue="q", consumer_tag="t")).take()
    channel = wire.broker.open_connection().open_channel()
    channel.publish("", "q", b"7", Properties(content_type="text/plain", headers={"a": 1}))
    wire.observe()
    delivered = client.expect("Basic.Deliver")
    assert (delivered.properties.content_type, delivered.properties.headers) == ("text/plain", {"a": 1})


# Heartbeats


def test_an_idle_server_beats_twice_per_interval_and_a_talking_one_need_not(wire):
    client = wire.connect(heartbeat=2)
    for _ in range(3):
        wire.wait(1)
        assert client.raw(HEARTBEAT).names() == ["Heartbeat"]
    client.call(1, Basic.Qos(0, 1, False))
    wire.wait(1)
    assert client.silent()
    wire.wait(1)
    assert client.names() == ["Heartbeat"]


def test_a_client_that_falls_silent_is_cut_after_three_intervals(wire):
    client = wire.connect(heartbeat=1)
    wire.wait(2.9)
    assert not client.session.closed
    wire.wait(0.1)
    assert client.session.closed
    assert set(client.names()) == {"Heartbeat"}
    assert wire.broker.connections == []


def test_a_client_that_beats_is_kept(wire):
    client = wire.connect(heartbeat=1)
    for _ in range(20):
        wire.wait(0.9)
        client.raw(HEARTBEAT)
    assert not client.session.closed


def test_without_heartbeats_nothing_is_awaited(wire, client):
    assert client.session.next_deadline is None
    wire.wait(100_000)
    assert not client.session.closed
    assert client.silent()


# Alarms


def test_a_publisher_is_blocked_and_the_rest_waits_until_the_alarm_is_over(wire, client):
    client.raw(DECLARE).send(1, Confirm.Select()).take()
    wire.broker.block("low on memory")
    wire.observe()
    assert client.call(1, Basic.Qos(0, 1, False)).name == "Basic.QosOk"  # who does not publish is not blocked
    client.raw(published(1, "", "q", b"1") + marshalled(1, Basic.Qos(0, 1, False)))
    client.expect("Connection.Blocked", reason="low on memory")
    assert not client.session.reading
    client.send(0, Connection.Close(200, "", 0, 0))
    assert client.silent()
    wire.broker.unblock()
    wire.observe()
    assert client.session.reading
    wire.wait(0)
    assert client.names() == ["Connection.Unblocked", "Basic.Ack", "Basic.QosOk", "Connection.CloseOk"]


def test_an_empty_message_is_complete_before_its_publisher_is_blocked(wire, client):
    client.raw(DECLARE).send(1, Confirm.Select()).take()
    wire.broker.block()
    client.raw(published(1, "", "q") + DECLARE)
    assert client.names() == ["Connection.Blocked", "Basic.Ack"]


def test_a_blocked_client_that_does_not_understand_is_not_told(wire):
    client = wire.connect(capabilities={})
    wire.broker.block()
    client.raw(published(1, "", "q") + DECLARE)
    assert client.silent()
    wire.broker.unblock()
    wire.observe()
    wire.wait(0)
    assert client.names() == ["Queue.DeclareOk"]


def test_a_blocked_client_is_not_cut_for_its_silence(wire):
    client = wire.connect(heartbeat=1)
    wire.broker.block()
    client.publish(1, "", "q", b"1")
    wire.wait(60)
    assert not client.session.closed


def test_what_a_blocked_client_has_said_is_served_when_the_broker_closes_its_connection(wire, client):
    wire.broker.block()
    client.publish(1, "", "q", b"1").send(0, Connection.Close(200, "", 0, 0)).take()
    client.session.shut_down()
    wire.wait(0)
    assert client.names() == ["Connection.Close", "Connection.CloseOk"]


# Answers that nobody takes


def asks_again_and_again(wire: Wire, ask: bytes, times: int) -> Client:
    """A consumer of one large message, who asks for it again and again and reads nothing."""
    client = wire.connect()
    client.raw(DECLARE).send(1, Basic.Consume(queue="q", consumer_tag="t")).take()
    client.publish(1, "", "q", b"x" * 500_000).take()
    return client.raw(ask * times) if ask else client


@pytest.mark.parametrize("recover", [110, 100])  # basic.recover, basic.recover-async
def test_who_asks_for_a_message_again_and_again_is_served_as_far_as_he_listens(wire, recover):
    client = asks_again_and_again(wire, method(1, 60, recover, b"\1"), 100)
    assert not client.session.reading
    heard = []
    while owed := sum(map(len, client.session._line.out)):
        assert owed < 3_000_000
        heard += client.names()
        wire.wait(0)
    assert heard.count("Basic.Deliver") == 100
    assert client.session.reading


def test_who_rejects_a_message_again_and_again_is_served_as_far_as_he_listens(wire):
    client = asks_again_and_again(wire, b"", 0)
    client.raw(marshalled(1, *(Basic.Nack(tag, False, True) for tag in range(1, 101))))
    assert not client.session.reading
    assert sum(map(len, client.session._line.out)) < 3_000_000
    client.take()
    wire.wait(0)
    client.session.shut_down()
    assert client.names()[-1] == "Connection.Close"
    client.send(0, Connection.CloseOk())
    wire.wait(0)
    assert client.session.closed


# Dead letters whose routing key is no short string: a queue's argument is a long one


def dead_letters_under(client: Client, routing_key: bytes) -> None:
    """A message lies in the queue ``parked`` under a dead-letter routing key."""
    client.call(1, Queue.Declare(queue="parked"))
    client.call(1, Queue.Bind(queue="parked", exchange="amq.topic", routing_key="#"))
    arguments = b"".join(
        bytes([len(name)]) + name + kind + value
        for name, kind, value in (
            (b"x-message-ttl", b"I", struct.pack(">i", 0)),
            (b"x-dead-letter-exchange", b"S", struct.pack(">I", 9) + b"amq.topic"),
            (b"x-dead-letter-routing-key", b"S", struct.pack(">I", len(routing_key)) + routing_key),
        )
    )
    client.raw(method(1, 50, 10, b"\0\0\1q\0" + struct.pack(">I", len(arguments)) + arguments)).expect("Queue.DeclareOk")
    client.publish(1, "", "q", b"1")


def test_a_dead_letter_routing_key_that_is_no_text_keeps_its_octets(wire, client):
    dead_letters_under(client, b"\xff")
    client.send(1, Basic.Get(queue="parked", no_ack=True))
    assert b"\x09amq.topic\x01\xff\0\0\0\0\xce" in client.bytes()


def test_a_get_of_a_message_whose_routing_key_is_too_long_ends_the_connection(wire, client):
    dead_letters_under(client, b"x" * 256)
    client.send(1, Basic.Get(queue="parked", no_ack=True))
    client.expect("Connection.Close", reply_code=541, reply_text="INTERNAL_ERROR")


def test_a_delivery_of_a_message_whose_routing_key_is_too_long_ends_its_connection_only(wire, client):
    other = wire.connect()
    other.call(1, Queue.Declare(queue="parked"))
    other.call(1, Basic.Consume(queue="parked", no_ack=True))
    dead_letters_under(client, b"x" * 256)
    wire.wait(0)
    other.expect("Connection.Close", reply_code=541, reply_text="INTERNAL_ERROR")
    assert client.call(1, Queue.Declare(queue="parked")).message_count == 0


# Anything


CONVERSATION = (
    PROTOCOL_HEADER
    + marshalled(0, start_ok("\0guest\0guest"), Connection.TuneOk(2047, 131_072, 10), Connection.Open("/"))
    + marshalled(1, Channel.Open(), Confirm.Select(), Queue.Declare(queue="q", arguments={"x-max-length": 3}))
    + marshalled(1, Basic.Qos(0, 2, False), Basic.Consume(queue="q", consumer_tag="t"))
    + b"".join(published(1, "", "q", b"abc", mandatory=True) for _ in range(4))
    + marshalled(1, Basic.Ack(1), Basic.Nack(2, False, True), Basic.Reject(3, False))
    + marshalled(1, Exchange.Declare(exchange="x", exchange_type="topic"), Queue.Bind(queue="q", exchange="x", routing_key="#"))
    + marshalled(2, Channel.Open(), Tx.Select(), Basic.Get(queue="q"))
    + published(2, "x", "a.b", b"z" * 50)
    + marshalled(2, Tx.Commit(), Queue.Purge(queue="q"), Channel.Close(200, "", 0, 0))
    + marshalled(1, Basic.Cancel("t"), Queue.Delete(queue="q"))
    + marshalled(0, Connection.Close(200, "", 0, 0), Connection.CloseOk())
)


def survives(data: bytes, pieces: list[int]) -> None:
    """Whatever arrives, in whatever pieces: no exception, a sound broker, and an end."""
    wire = Wire()
    client = Client(wire)
    at = 0
    for size in [*pieces, len(data)]:
        client.raw(data[at : at + size])
        client.bytes()
        at += size
    wire.broker.check()
    wire.wait(60)  # the handshake is cut, or else the silence of one that agreed on heartbeats
    client.bytes()
    client.lose()
    assert client.session.closed
    assert wire.broker.connections == []
    wire.broker.check()


@given(st.binary(max_size=400), st.lists(st.integers(0, 50), max_size=5))
@settings(max_examples=100, deadline=None)
def test_random_octets_never_raise(data, pieces):
    survives(data, pieces)


@given(st.binary(max_size=200), st.lists(st.integers(0, 50), max_size=5))
@settings(max_examples=100, deadline=None)
def test_random_octets_behind_a_handshake_never_raise(data, pieces):
    begin = CONVERSATION.index(marshalled(1, Confirm.Select()))
    survives(CONVERSATION[:begin] + data, pieces)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_mutated_conversations_never_raise(data):
    mutated = bytearray(CONVERSATION)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "put", "repeat"]))
        if how == "flip":
            mutated[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del mutated[at : at + data.draw(st.integers(1, 30))]
        elif how == "put":
            mutated[at:at] = data.draw(st.binary(max_size=20))
        else:
            mutated[at:at] = mutated[at : at + data.draw(st.integers(1, 200))]
        mutated = mutated or bytearray(b"x")
    survives(bytes(mutated), data.draw(st.lists(st.integers(0, 200), max_size=5)))


FRAMES = st.builds(
    framed,
    st.sampled_from([1, 1, 1, 2, 3, 8, 9]),
    st.integers(0, 3),
    st.one_of(
        st.binary(max_size=30),
        st.builds(
            lambda ids, arguments: struct.pack(">HH", *ids) + arguments,
            st.sampled_from(
                [
                    *((10, 50), (10, 51), (20, 10), (20, 40), (20, 41), (40, 10), (50, 10), (50, 20), (50, 40)),
                    *(
                        (60, 20),
                        (60, 30),
                        (60, 40),
                        (60, 60),
                        (60, 70),
                        (60, 80),
                        (60, 110),
                        (60, 120),
                        (85, 10),
                        (90, 10),
                        (90, 20),
                    ),
                ]
            ),
            st.binary(max_size=30),
        ),
    ),
)


@given(st.lists(FRAMES, max_size=8))
@settings(max_examples=200, deadline=None)
def test_well_formed_frames_in_any_order_never_raise(frames):
    begin = CONVERSATION.index(marshalled(1, Confirm.Select()))
    survives(CONVERSATION[:begin] + b"".join(frames), [])


def test_the_conversation_itself_is_a_valid_one():
    client = Client(Wire()).raw(CONVERSATION)
    names = client.names()
    assert names[-1] == "Connection.CloseOk"
    assert "Channel.Close" not in names
    assert "Connection.Close" not in names
    assert client.session.closed


def test_who_is_not_listened_to_is_not_kept_either(wire):
    client = Client(wire)
    client.raw(PROTOCOL_HEADER + method(0, 10, 31) + b"x" * 100_000)
    assert client.session._frames.pending == 0
    assert not client.session.closed


def test_a_closed_session_says_nothing_more(client):
    client.raw(body(b"")[:-1] + b"\0")
    client.wire.wait(60)
    assert client.session.closed
    client.take()
    client.session.shut_down()
    assert client.silent()


def test_memory_is_bounded_whatever_is_announced(client):
    client.raw(PUBLISH + header(size=2**63))
    for _ in range(300):
        client.raw(body(b"x" * 131_064))
    [channel] = client.session._channels.values()
    assert len(channel._assembler._body) == 0
    assert client.session._frames.pending == 0
