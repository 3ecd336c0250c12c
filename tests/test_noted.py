"""What sessions note of a connection's life for whoever watches the broker: in its order, once, and with the reason."""

import pytest
from pamqp.commands import Channel, Connection, Queue

from simbus.effects import Requeued
from simbus.faults import Fault
from simbus.rabbitmq.effects import (
    ChannelClosed,
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    ConsumerEnded,
    ConsumerStarted,
    QueueDeclared,
    QueueDeleted,
)
from tests.wire import PROTOCOL_HEADER, Client, Wire, start_ok


@pytest.fixture
def wire():
    return Wire()


def noted(wire, *kinds):
    return [
        effect for effect in wire.seen if isinstance(effect, kinds or (ConnectionRefused, ConnectionOpened, ConnectionClosed))
    ]


def reasons(wire):
    """Of all ends."""
    return [effect.reason for effect in noted(wire, ConnectionRefused, ConnectionClosed)]


def test_an_open_connection_is_noted_with_its_user_and_vhost(wire):
    wire.connect()
    [opened] = noted(wire)
    assert (opened.user, opened.vhost) == ("guest", "/")


def test_an_end_is_noted_once_and_is_orderly_when_the_client_asks_for_it(wire):
    client = wire.connect()
    client.call(0, Connection.Close(200, "", 0, 0))
    client.session.connection_lost()
    _, closed = noted(wire)
    assert (closed.reason, closed.orderly) == ("the client closed it", True)


def test_an_end_without_a_word_is_not_orderly(wire):
    wire.connect().session.connection_lost()
    _, closed = noted(wire)
    assert (closed.reason, closed.orderly) == ("the client hung up without connection.close", False)


def test_a_client_that_is_not_heard_of_is_noted_as_such(wire):
    wire.connect(heartbeat=10)
    wire.wait(40)
    assert reasons(wire) == ["no heartbeat from the client for two intervals of 10 s"]


def test_a_broker_that_shuts_down_ends_connections_in_an_orderly_way(wire):
    client = wire.connect()
    client.session.shut_down()
    _, closed = noted(wire)
    assert closed.orderly
    assert closed.reason == "320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"


def test_a_fault_that_cuts_a_connection_is_named(wire):
    client = wire.connect()
    wire.inject(Fault("queue.declare", 1, "reset", when="before"))
    client.send(1, Queue.Declare(queue="a"))
    wire.wait()
    assert reasons(wire) == ["a fault resets the connection"]


@pytest.mark.parametrize("capabilities", [{"authentication_failure_close": True}, {}])
@pytest.mark.parametrize("user", ["guest", "nobody"])
def test_the_log_knows_what_a_refused_client_is_not_told(wire, user, capabilities):
    Client(wire).raw(PROTOCOL_HEADER).send(0, start_ok(f"\0{user}\0wrong", capabilities=capabilities))
    assert reasons(wire) == [f"user '{user}' is unknown or has another password"]


def test_a_refused_vhost_is_noted(wire):
    client = Client(wire).raw(PROTOCOL_HEADER)
    client.send(0, start_ok("\0guest\0guest"), Connection.TuneOk(2047, 131_072, 0), Connection.Open("shop"))
    [refused] = noted(wire)
    assert (type(refused), refused.reason) == (ConnectionRefused, "530 NOT_ALLOWED - vhost shop not found")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "it asked for another protocol than AMQP 0-9-1: b'GET / HT'"),
        (PROTOCOL_HEADER, "no handshake within 10 s"),
        (b"", "no handshake within 10 s"),
    ],
)
def test_one_who_is_no_client_is_noted(wire, said, reason):
    Client(wire).raw(said)
    wire.wait(20)
    assert reasons(wire) == [reason]


def test_one_who_only_looks_whether_the_port_is_open_is_not_noted(wire):
    Client(wire).session.connection_lost()
    assert noted(wire) == []


def test_a_closed_channel_is_noted_with_the_refusal_after_what_it_was_told(wire):
    client = wire.connect()
    client.send(1, Queue.Declare(queue="a", passive=True)).expect("Channel.Close", reply_code=404)
    client.send(1, Channel.CloseOk())
    [closed] = noted(wire, ChannelClosed)
    assert (closed.number, closed.reason) == (1, "404 NOT_FOUND - no queue 'a' in vhost '/'")


def test_what_was_held_is_requeued_before_the_end_is_noted(wire):
    client = wire.connect()
    client.call(1, Queue.Declare(queue="a"))
    client.publish(1, "", "a", b"7")
    wire.broker.check()
    channel = client.session.connection.channels[1]
    channel.get("a")
    client.session.connection_lost()
    assert [type(effect) for effect in wire.seen[-2:]] == [Requeued, ConnectionClosed]


# What the model leaves


def test_queues_that_come_and_go_are_told(wire):
    channel = wire.broker.open_connection(name="shop").open_channel()
    channel.queue_declare("a", durable=True)
    channel.queue_declare("a", durable=True)
    channel.queue_declare("b", exclusive=True)
    channel.queue_delete("a")
    channel.connection.close()
    wire.observe()
    declared, deleted = noted(wire, QueueDeclared), noted(wire, QueueDeleted)
    assert [(effect.queue, effect.durable, effect.connection) for effect in declared] == [
        ("a", True, "shop"),
        ("b", False, "shop"),
    ]
    assert [effect.queue for effect in deleted] == ["a", "b"]


def test_consumers_that_come_and_go_are_told(wire):
    channel = wire.broker.open_connection(name="shop").open_channel()
    channel.queue_declare("a")
    channel.qos(7)
    for tag in ("c", "d"):
        channel.consume("a", tag)
    channel.cancel("c")
    channel.close()
    wire.observe()
    started, ended = noted(wire, ConsumerStarted), noted(wire, ConsumerEnded)
    assert [(effect.consumer_tag, effect.prefetch, effect.queue) for effect in started] == [("c", 7, "a"), ("d", 7, "a")]
    assert [effect.consumer_tag for effect in ended] == ["c", "d"]
