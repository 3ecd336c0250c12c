"""The two versions beside each other: each row of the table by what a client sees, as 4.0.5 and 3.10.8 answered."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from pamqp.commands import Basic, Connection, Exchange, Queue

from simbus.rabbitmq.amqp.codec import decode_and_keep_properties, pass_properties_on
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.errors import ChannelError, RabbitMQError
from simbus.rabbitmq.fake import RabbitMQ
from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.properties import Properties
from simbus.rabbitmq.publishing import check_message_size
from simbus.rabbitmq.versions import V3_10, V4_0, Version, version_of
from tests.differential_wire import AMQPLAIN, L5, TEXTS, table, through_a_queue
from tests.test_session import at_stage, hangs_up_after, method
from tests.versions import on_both, rows, rows_with_tests
from tests.wire import PROTOCOL_HEADER, Client, Wire, start_ok


def connected(version: str) -> Client:
    return Wire(version=version).connect()


# The table


def test_every_row_of_the_table_of_versions_has_a_meaning_of_one_line():
    names = [field.name for field in fields(Version) if field.name != "name"]
    assert [row.name for row in rows()] == names
    assert all(row.meaning.endswith(".") and len(row.meaning) < 160 for row in rows())


def test_every_row_of_the_table_of_versions_differs():
    assert [row.name for row in rows() if row.v4_0 == row.v3_10] == []


def test_every_row_of_the_table_of_versions_has_a_test_on_both():
    without = {row.name for row in rows()} - rows_with_tests()
    assert not without, f"decorate a test of each of these with @on_both: {', '.join(sorted(without))}"


def test_4_0_is_what_a_broker_is_unless_it_is_told_otherwise():
    assert Broker().version is version_of("4.0") is V4_0
    assert Broker(version="3.10").version is V3_10


@pytest.mark.parametrize("make", [Broker, RabbitMQ])
def test_a_version_that_was_not_asked_is_not_claimed(make):
    with pytest.raises(ValueError, match=r"version '3\.13': simbus stands in for RabbitMQ 4\.0 and 3\.10"):
        make(version="3.13")


# Handshake


@pytest.mark.parametrize("row", ["release", "platform", "copyright", "mechanisms"])
@on_both("release", {"4.0": "4.0.5", "3.10": "3.10.8"})
def test_the_server_introduces_itself_as_its_version(version, expected, row):
    start = Client(Wire(version=version)).raw(PROTOCOL_HEADER).expect("Connection.Start")
    said = {
        **start.server_properties,
        "release": start.server_properties["version"],
        "mechanisms": tuple(start.mechanisms.split()),
    }
    assert said["release"] == expected
    assert said[row] == getattr(version_of(version), row)


@on_both("platform", {"4.0": "Erlang/OTP 27.3.4.1", "3.10": "Erlang/OTP 25.2.3"})
def test_the_platform_is_the_erlang_of_the_release(version, expected):
    assert version_of(version).platform == expected


@on_both("copyright", {"4.0": "Broadcom", "3.10": "VMware"})
def test_the_copyright_is_the_releases(version, expected):
    assert expected in version_of(version).copyright


@on_both("mechanisms", {"4.0": "Connection.Tune", "3.10": None})
def test_whoever_is_anonymous_is_let_in_by_4_0_only(version, expected):
    client = at_stage(Wire(version=version), "starting").send(0, start_ok("", mechanism="ANONYMOUS"))
    assert client.names() == ([expected] if expected else [])
    assert hangs_up_after(client) == (10 if expected else 3)


@pytest.mark.parametrize(("mechanism", "response"), [("PLAIN", "\0guest\0guest"), ("AMQPLAIN", AMQPLAIN.format("guest"))])
@pytest.mark.parametrize("version", ["4.0", "3.10"])
def test_a_password_is_understood_by_both(version, mechanism, response):
    at_stage(Wire(version=version), "starting").send(0, start_ok(response, mechanism=mechanism)).expect("Connection.Tune")


@pytest.mark.parametrize("asked", [b"AMQP\1\1\x08\0", b"AMQP\1\1\x09\1"])
@on_both("speaks_amqp_0_8", {"4.0": [], "3.10": [(8, 0)]})
def test_amqp_0_8_is_greeted_by_3_10_only(version, expected, asked):
    client = Client(Wire(version=version)).raw(asked)
    assert client.session.closed == (not expected)
    said = client.take() if expected else []
    assert [(one.version_major, one.version_minor) for one in said] == expected
    assert all(one.server_properties["capabilities"] == {} for one in said)


def test_amqp_0_8_is_not_modelled_behind_its_greeting():
    client = Client(Wire(version="3.10")).raw(b"AMQP\1\1\x08\0")
    client.send(0, start_ok("\0guest\0guest"), Connection.TuneOk(2047, 131_072, 0)).take()
    client.send(0, Connection.Open("/")).expect(
        "Connection.Close", reply_code=540, reply_text="NOT_IMPLEMENTED - simbus does not model AMQP 0-8; speak 0-9-1"
    )


@pytest.mark.parametrize("asked", [b"GET / HTTP/1.1\r\n\r\n", b"AMQP\2\1\0\0", b"AMQP\0\0\x08\0"])
@on_both("speaks_amqp_1_0", {"4.0": b"AMQP\3\1\0\0", "3.10": b"AMQP\0\0\x09\1"})
def test_clients_of_another_protocol_are_told_what_the_version_speaks(version, expected, asked):
    client = Client(Wire(version=version)).raw(asked)
    assert client.bytes() == expected
    assert client.session.closed


# Methods and texts


@on_both(
    "serves_credit",
    {
        "4.0": ("Connection.Close", 503, "COMMAND_INVALID - unimplemented method"),
        "3.10": ("Channel.Close", 406, "PRECONDITION_FAILED - unknown consumer tag 'a'"),
    },
)
def test_basic_credit_is_a_method_of_3_10_only(version, expected):
    [closed] = connected(version).raw(method(1, 60, 200, b"\1a\0\0\0\1\0")).take()
    assert (closed.name, closed.reply_code, closed.reply_text) == expected


def test_credit_for_a_consumer_is_not_modelled():
    client = connected("3.10").send(1, Queue.Declare(queue="q"), Basic.Consume(queue="q", consumer_tag="a"))
    client.take()
    client.raw(method(1, 60, 200, b"\1a\0\0\0\1\0")).expect(
        "Connection.Close",
        reply_code=540,
        reply_text="NOT_IMPLEMENTED - simbus does not model basic.credit; limit consumers with basic.qos",
    )


@on_both(
    "texts_are_octets",
    {
        "4.0": "NOT_FOUND - no exchange 'ÿþ' in vhost '/'".encode(),
        "3.10": b"NOT_FOUND - no exchange '\xff\xfe' in vhost '/'",
    },
)
def test_octets_that_are_no_text_are_shown_as_the_version_does(version, expected):
    assert expected in connected(version).raw(TEXTS["a name that is no text"]).bytes()


@pytest.mark.parametrize(
    ("version", "expected"),
    [("4.0", b"\2\x1d\x0eINTERNAL_ERROR"), ("3.10", b"\xffNOT_FOUND - no queue 'a" + "é".encode() * 114 + b"\xc3...")],
)
def test_a_text_that_is_too_long_is_cut_by_characters_or_by_octets(version, expected):
    assert expected in connected(version).raw(TEXTS["a text of two octets a letter"]).bytes()


@pytest.mark.parametrize(
    ("version", "name", "expected"),
    [
        ("4.0", "a frame of letters", 'type 9, all octets = <<"é"/utf8>>: unknown_frame'.encode()),
        ("3.10", "a frame of letters", 'type 9, all octets = <<"é">>: unknown_frame'.encode()),
        ("4.0", "a frame of Latin letters", 'type 9, all octets = <<"é">>: unknown_frame'.encode()),
        ("3.10", "a frame of Latin letters", b'type 9, all octets = <<"\xe9">>: unknown_frame'),
    ],
)
def test_a_frame_is_shown_in_letters_that_the_version_knows(version, name, expected):
    assert expected in connected(version).raw(TEXTS[name]).bytes()


@pytest.mark.parametrize("type", ["nosuch", ""])
@on_both(
    "unknown_exchange_type",
    {"4.0": ("Channel.Close", 406, "PRECONDITION_FAILED"), "3.10": ("Connection.Close", 503, "COMMAND_INVALID")},
)
def test_an_exchange_type_that_there_is_not_closes_the_channel_or_the_connection(version, expected, type):
    [closed] = connected(version).send(1, Exchange.Declare(exchange="x", exchange_type=type)).take()
    name, code, text = expected
    how = "unknown" if type else "invalid"
    assert (closed.name, closed.reply_code, closed.reply_text) == (name, code, f"{text} - {how} exchange type '{type}'")


# Messages


@pytest.mark.parametrize(
    ("sent", "in_4_0"),
    [
        (table((b"b", b"I\0\0\0\1"), (b"a", b"I\0\0\0\2")), table((b"a", b"I\0\0\0\2"), (b"b", b"I\0\0\0\1"))),
        (table((b"a", L5)), table((b"a", L5.lower()))),
        (table((b"a", b"t\2")), table((b"a", b"t\1"))),
        (table((b"a", b"t\1"), (b"a", b"t\0")), table((b"a", b"t\1"))),
    ],
    ids=["out of order", "L", "a boolean that is 2", "twice"],
)
@on_both("passes_properties_on", {"4.0": False, "3.10": True})
def test_properties_are_encoded_anew_or_passed_on_octet_by_octet(version, expected, sent, in_4_0):
    client = connected(version).raw(through_a_queue(b"\x20\0" + sent))
    assert b"\x20\0" + (sent if expected else in_4_0) in client.bytes()


def test_a_message_that_the_broker_changed_keeps_the_order_of_its_headers_in_3_10():
    properties = Properties(headers={"z": Long(5), "a": True})
    assert pass_properties_on(properties) == b"\x20\0" + table((b"z", L5.lower()), (b"a", b"t\1"))


def test_properties_that_one_replaces_are_no_longer_those_of_the_wire():
    received = decode_and_keep_properties(b"\x20\0" + table((b"z", L5)))
    assert received.octets is not None
    assert received == Properties(headers={"z": 5})
    assert replace(received, reply_to="q").octets is None


@pytest.mark.parametrize("version", [V4_0, V3_10], ids=lambda version: version.name)
def test_a_message_may_be_as_large_as_the_limit(version):
    check_message_size(version.max_message_size, version)


@on_both("max_message_size", {"4.0": 16_777_216, "3.10": 134_217_728})
def test_a_message_above_the_limit_is_refused_with_the_limit(version, expected):
    channel = Broker(version=version).open_connection().open_channel()
    with pytest.raises(ChannelError) as refused:
        channel.publish("", "q", bytes(expected + 1))
    size = f"message size {expected + 1} is larger than configured max size {expected}"
    assert refused.value.reply_text == f"PRECONDITION_FAILED - {size}"
    assert channel.publish("", "q", bytes(expected)) == 1


@pytest.mark.parametrize("mode", [0, 7])
@on_both("checks_delivery_mode", {"4.0": None, "3.10": "PRECONDITION_FAILED - invalid message: {{delivery_mode_unknown,{}}}"})
def test_a_delivery_mode_that_means_nothing_is_passed_on_or_refused(version, expected, mode):
    channel = Broker(version=version).open_connection().open_channel()
    channel.queue_declare("q")
    if expected is None:
        channel.publish("", "q", properties=Properties(delivery_mode=mode))
        got = channel.get("q")
        assert got is not None
        assert got.delivery.message.properties.delivery_mode == mode
    else:
        with pytest.raises(ChannelError) as refused:
            channel.publish("", "q", properties=Properties(delivery_mode=mode))
        assert refused.value.reply_text == expected.format(mode)


@on_both(
    "user_id_is_checked_first",
    {
        "4.0": "PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
        "3.10": "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
    },
)
def test_of_two_wrong_properties_one_is_complained_of(version, expected):
    channel = Broker(version=version).open_connection().open_channel()
    with pytest.raises(ChannelError) as refused:
        channel.publish("", "q", properties=Properties(user_id="bob", expiration="abc"))
    assert refused.value.reply_text == expected


# Quorum queues


@on_both("delivery_limit", {"4.0": 21, "3.10": 50})
def test_a_quorum_queue_without_a_limit_takes_a_message_back_as_often_as_the_version_does(version, expected):
    channel = Broker(version=version).open_connection().open_channel()
    channel.queue_declare("q", durable=True, arguments={"x-queue-type": "quorum"})
    channel.publish("", "q")
    deliveries = 0
    while deliveries < 50 and (got := channel.get("q")) is not None:
        channel.nack(got.delivery.delivery_tag)
        deliveries += 1
    assert deliveries == expected


# Priorities


def published_with_priorities(version: str, priorities: list[int], **arguments: object) -> Channel:
    channel = Broker(version=version).open_connection().open_channel()
    channel.queue_declare(
        "q", durable=True, arguments={f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    )
    for priority in priorities:
        channel.publish("", "q", str(priority).encode(), Properties(priority=priority))
    return channel


def first_body(channel: Channel, queue: str) -> bytes:
    got = channel.get(queue)
    assert got is not None
    body: bytes = got.delivery.message.body
    return body


@on_both("fewest_priorities", {"4.0": b"1", "3.10": b"0"})
def test_no_priorities_are_one_or_none(version, expected):
    assert first_body(published_with_priorities(version, [0, 1], max_priority=0), "q") == expected


@on_both("quorum_priorities", {"4.0": b"5", "3.10": b"4"})
def test_a_quorum_queue_prefers_high_priorities_or_knows_none(version, expected):
    assert first_body(published_with_priorities(version, [4, 5], queue_type="quorum"), "q") == expected


# Dead letters


def dead_letter(
    version: str, headers: Mapping[str, Any], *, expiration: str | None = None, **arguments: str
) -> Mapping[str, Any]:
    """The headers of a message that was rejected."""
    channel = Broker(version=version).open_connection().open_channel()
    channel.queue_declare("d")
    channel.queue_bind("d", "amq.fanout")
    dead_lettering = {"x-dead-letter-exchange": "amq.fanout"} | arguments
    channel.queue_declare("q", arguments=dead_lettering)
    channel.publish("", "q", properties=Properties(headers=headers, expiration=expiration))
    got = channel.get("q")
    assert got is not None
    channel.reject(got.delivery.delivery_tag, requeue=False)
    dead = channel.get("d")
    assert dead is not None
    found: Mapping[str, Any] = dead.delivery.message.headers
    return found


@on_both("expiration_is_rewritten", {"4.0": "7", "3.10": "+007"})
def test_an_expiration_is_passed_on_as_the_number_that_it_is_or_as_it_was_written(version, expected):
    channel = Broker(version=version).open_connection().open_channel()
    channel.queue_declare("q")
    channel.publish("", "q", properties=Properties(expiration="+007"))
    got = channel.get("q")
    assert got is not None
    assert got.delivery.message.properties.expiration == expected


@on_both("keyed_dead_letters_lose_cc", {"4.0": ["other"], "3.10": None})
def test_a_dead_letter_with_a_key_of_its_own_keeps_cc_or_loses_it(version, expected):
    headers = dead_letter(version, {"CC": ["other"]}, **{"x-dead-letter-routing-key": "k"})
    assert headers.get("CC") == expected


@on_both("hidden_keys_are_subtracted", {"4.0": ["other", "q"], "3.10": ["q", "other"]})
def test_a_hidden_key_takes_an_equal_one_to_the_end_or_does_not(version, expected):
    headers = dead_letter(version, {"CC": ["other"], "BCC": ["q"]})
    assert headers["x-death"][0]["routing-keys"] == expected


REJECTED = [{"queue": "q", "reason": "rejected", "count": 41}]


@on_both("trusts_x_death", {"4.0": 1, "3.10": 42})
def test_a_history_that_a_client_sends_is_replaced_or_goes_on(version, expected):
    assert dead_letter(version, {"x-death": REJECTED})["x-death"][0]["count"] == expected


@on_both("tells_last_death", {"4.0": "rejected", "3.10": None})
def test_a_dead_letter_tells_its_last_death_or_only_its_first(version, expected):
    headers = dead_letter(version, {})
    assert (headers["x-first-death-reason"], headers.get("x-last-death-reason")) == ("rejected", expected)


@on_both("original_expiration_leads", {"4.0": 0, "3.10": 6})
def test_the_original_expiration_stands_first_or_last_in_x_death(version, expected):
    entry = dead_letter(version, {}, expiration="5000")["x-death"][0]
    assert list(entry).index("original-expiration") == expected


@pytest.mark.parametrize("sent", [[], REJECTED, "junk"])
def test_3_10_tells_the_first_death_only_where_a_client_sent_no_history(sent):
    assert "x-first-death-reason" not in dead_letter("3.10", {"x-death": sent})


def test_3_10_drops_a_message_whose_client_says_that_it_was_there():
    channel = Broker(version="3.10").open_connection().open_channel()
    channel.queue_declare("d")
    channel.queue_declare("q", arguments={"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "d"})
    for history, ready in (([{"queue": "d", "reason": "expired"}], 0), ([{"queue": "d", "reason": "rejected"}], 1)):
        channel.publish("", "q", properties=Properties(headers={"x-death": history}))
        assert channel.queue_declare("d", passive=True).message_count == ready


# Gets and transactions


@on_both("gets_are_counted_from_zero", {"4.0": None, "3.10": 0})
def test_the_first_get_from_a_quorum_queue_says_no_count_or_zero(version, expected):
    channel = published_with_priorities(version, [0], queue_type="quorum")
    got = channel.get("q")
    assert got is not None
    assert got.delivery.message.headers.get("x-delivery-count") == expected


@on_both("commits_need_their_queues", {"4.0": "PRECONDITION_FAILED - partial tx completion", "3.10": None})
def test_a_commit_into_a_queue_that_is_gone_is_refused_or_not(version, expected):
    connection = Broker(version=version).open_connection()
    channel = connection.open_channel()
    channel.queue_declare("q")
    channel.tx_select()
    channel.publish("", "q")
    connection.open_channel().queue_delete("q")
    refused = None
    try:
        channel.tx_commit()
    except ChannelError as error:
        refused = error.reply_text
    assert refused == expected


# Arguments of queues


def declared(version: str, **arguments: object) -> str:
    """What a declaration with these arguments is told."""
    queue_arguments = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    try:
        Broker(version=version).open_connection().open_channel().queue_declare("q", durable=True, arguments=queue_arguments)
    except RabbitMQError as error:
        return error.reply_text.removeprefix("PRECONDITION_FAILED - invalid arg ").replace(" for queue 'q' in vhost '/'", "")
    return "declared"


@pytest.mark.parametrize("names", [("max_age", "delivery_limit"), ("delivery_limit", "max_age")])
@on_both("foreign_arguments_are_sorted", {"4.0": True, "3.10": False})
def test_of_several_arguments_of_other_types_one_is_named(version, expected, names):
    name = (min(names) if expected else names[0]).replace("_", "-")
    assert declared(version, **dict.fromkeys(names, 1)) == f"'x-{name}' of queue type rabbit_classic_queue"


@on_both("leader_locators", {"4.0": "declared", "3.10": "'x-queue-leader-locator': invalid_queue_locator_arg"})
def test_where_a_leader_may_be(version, expected):
    assert declared(version, queue_type="quorum", queue_leader_locator="min-masters") == expected
    assert declared(version, queue_type="quorum", queue_leader_locator="least-leaders") == "declared"
    assert declared(version, queue_type="quorum", queue_leader_locator="here").endswith("invalid_queue_locator_arg")


@on_both(
    "classic_queues_have_leaders", {"4.0": "declared", "3.10": "'x-queue-leader-locator' of queue type rabbit_classic_queue"}
)
def test_a_classic_queue_has_a_leader_or_not(version, expected):
    assert declared(version, queue_leader_locator="client-local") == expected


@pytest.mark.parametrize("locator", ["here", 5, "balanced"])
@on_both("master_locators", {"4.0": "declared", "3.10": "INTERNAL_ERROR"})
def test_an_unknown_place_for_a_master_is_ignored_or_makes_rabbitmq_stumble(version, expected, locator):
    assert declared(version, queue_master_locator=locator) == expected
    assert declared(version, queue_master_locator="min-masters") == "declared"
