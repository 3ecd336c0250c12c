"""Real client libraries, unmodified, against the fake on a real socket."""

import socket
import threading

import pika
import pytest
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker, NackError, UnroutableError

from simbus import RabbitMQ


@pytest.fixture
def connection(rabbitmq):
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
    yield connection
    if connection.is_open:
        connection.close()


@pytest.fixture
def channel(connection):
    return connection.channel()


def test_a_client_declares_publishes_gets_and_acks(rabbitmq, channel):
    channel.queue_declare("orders", durable=True, arguments={"x-message-ttl": 60_000})
    channel.confirm_delivery()
    properties = pika.BasicProperties(headers={"attempt": 1, "note": "grüß"}, message_id="7", delivery_mode=2)
    channel.basic_publish("", "orders", b"one book", properties)
    [published] = rabbitmq.published
    assert (published.body, published.message_id, published.headers["attempt"]) == (b"one book", "7", 1)
    method, got, body = channel.basic_get("orders")
    assert (body, got.headers, got.message_id) == (b"one book", {"attempt": 1, "note": "grüß"}, "7")
    assert rabbitmq.queue("orders").unacked == 1
    channel.basic_ack(method.delivery_tag)
    channel.queue_declare("orders", passive=True)  # an answer: by now the ack has been served
    assert rabbitmq.queue("orders").depth == 0


def test_a_client_consumes_what_the_test_publishes_and_the_other_way_round(rabbitmq, connection, channel):
    rabbitmq.declare_queue("questions")
    rabbitmq.declare_queue("answers")
    answers = []
    rabbitmq.consumer("answers")(lambda message: answers.append(message.body))

    def on_question(channel, method, _properties, body):
        channel.basic_publish("", "answers", body.upper())
        channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("questions", on_question)
    for body in (b"a", b"b", b"c"):
        rabbitmq.publish("", "questions", body)
    while len(rabbitmq.published) < 6:
        connection.process_data_events(time_limit=0.05)
    channel.queue_declare("questions", passive=True)
    rabbitmq.advance("1s")  # handlers act when the test calls the fake
    assert answers == [b"A", b"B", b"C"]
    assert rabbitmq.queue("questions").depth == 0


def test_a_body_larger_than_a_frame_arrives_whole(rabbitmq, channel):
    rabbitmq.declare_queue("big")
    body = bytes(range(256)) * 2_000
    channel.basic_publish("", "big", body)
    assert channel.basic_get("big", auto_ack=True)[2] == body


def test_refusals_are_rabbitmqs(rabbitmq, connection, channel):
    channel.queue_declare("orders")
    with pytest.raises(ChannelClosedByBroker) as closed:
        channel.queue_declare("orders", durable=True)
    assert closed.value.reply_code == 406
    assert closed.value.reply_text.startswith("PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'orders' in vhost '/'")
    assert connection.is_open


def test_wrong_passwords_and_missing_vhosts_are_refused(rabbitmq):
    parameters = pika.URLParameters(rabbitmq.url)
    parameters.credentials = pika.PlainCredentials("guest", "wrong")
    with pytest.raises(AMQPConnectionError) as refused:
        pika.BlockingConnection(parameters)
    assert "ACCESS_REFUSED" in repr(refused.value)
    with pytest.raises(AMQPConnectionError, match="vhost nowhere not found"):
        pika.BlockingConnection(pika.URLParameters(f"{rabbitmq.url}nowhere"))


def test_a_mandatory_message_without_a_queue_comes_back_and_a_full_queue_nacks(rabbitmq, channel):
    rabbitmq.declare_queue("one", max_length=1, overflow="reject-publish")
    channel.confirm_delivery()
    with pytest.raises(UnroutableError) as returned:
        channel.basic_publish("", "nowhere", b"lost", mandatory=True)
    assert returned.value.messages[0].method.reply_code == 312
    channel.basic_publish("", "one", b"first")
    with pytest.raises(NackError):
        channel.basic_publish("", "one", b"second")


def test_a_ttl_passes_when_the_test_says_so(rabbitmq, channel):
    channel.queue_declare("offers", arguments={"x-message-ttl": 1_800_000})
    channel.basic_publish("", "offers", b"seat 12A")
    assert channel.queue_declare("offers", passive=True).method.message_count == 1
    rabbitmq.advance("30min")
    assert channel.queue_declare("offers", passive=True).method.message_count == 0


def test_what_a_dropped_connection_held_is_requeued(rabbitmq, connection, channel):
    rabbitmq.declare_queue("orders")
    rabbitmq.publish("", "orders", b"1")
    assert channel.basic_get("orders")[2] == b"1"
    rabbitmq.drop_connections()
    assert [(m.body, m.redelivered) for m in rabbitmq.queue("orders")] == [(b"1", True)]
    with pytest.raises(AMQPConnectionError):
        connection.process_data_events(time_limit=1)


def test_a_restart_tells_clients_and_keeps_what_is_durable(rabbitmq, connection, channel):
    rabbitmq.declare_queue("kept")
    channel.queue_declare("gone")
    channel.basic_publish("", "kept", b"persistent", pika.BasicProperties(delivery_mode=2))
    channel.basic_publish("", "kept", b"transient")
    channel.queue_declare("kept", passive=True)
    rabbitmq.restart()
    with pytest.raises(ConnectionClosedByBroker) as closed:
        connection.process_data_events(time_limit=5)
    assert closed.value.reply_code == 320
    assert [message.body for message in rabbitmq.queue("kept")] == [b"persistent"]
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as again:
        assert again.channel().basic_get("kept")[2] == b"persistent"


def test_a_restart_cuts_off_who_still_shakes_hands(rabbitmq):
    with socket.create_connection((rabbitmq.host, rabbitmq.port), timeout=5) as client:
        client.sendall(b"AMQP\0\0\x09\x01")
        assert b"PLAIN" in client.recv(1000)
        rabbitmq.restart()
        with pytest.raises(ConnectionResetError):
            assert client.recv(1000)


def test_a_direct_reply_comes_back_to_who_asked(rabbitmq, connection, channel):
    rabbitmq.declare_queue("orders")

    @rabbitmq.consumer("orders")
    def charge(message):
        rabbitmq.publish("", message.properties.reply_to, b"paid", correlation_id=message.properties.correlation_id)

    replies = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda *reply: replies.append(reply), auto_ack=True)
    request = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="7")
    channel.basic_publish("", "orders", b"one book", request)
    assert rabbitmq.wait_until_idle()
    connection.process_data_events(time_limit=10)
    [(_, _, properties, body)] = replies
    assert (properties.correlation_id, body) == ("7", b"paid")


def test_hanging_up_is_a_reset_after_what_was_said(rabbitmq):
    with socket.create_connection((rabbitmq.host, rabbitmq.port), timeout=10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert stranger.recv(100) == b"AMQP\3\1\0\0"
        with pytest.raises(ConnectionResetError):
            stranger.recv(100)


def test_nothing_is_left_behind():
    before = threading.active_count()
    with RabbitMQ() as rabbitmq:
        url = rabbitmq.url
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_declare("q")
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    with pytest.raises(AMQPConnectionError):
        pika.BlockingConnection(pika.URLParameters(url))


def test_a_stream_without_answers_arrives_whole_and_in_order_though_it_is_read_in_larger_pieces(rabbitmq, channel, monkeypatch):
    monkeypatch.setattr("simbus.server._STREAM", 0)
    channel.queue_declare("orders")
    bodies = [b"%d" % number for number in range(100)]
    for body in bodies:
        channel.basic_publish("", "orders", body)
    assert channel.queue_declare("orders", passive=True).method.message_count == 100
    assert [message.body for message in rabbitmq.queue("orders")] == bodies
    channel.basic_publish("", "orders", b"last")
    assert rabbitmq.wait_until_idle()
    assert rabbitmq.queue("orders").ready == 101


def test_the_acks_of_a_client_that_holds_plenty_arrive_whole_though_they_are_read_in_larger_pieces(
    rabbitmq, channel, monkeypatch
):
    monkeypatch.setattr("simbus.server._STREAM", 0)
    rabbitmq.declare_queue("orders")
    for number in range(200):
        rabbitmq.publish("", "orders", b"%d" % number)
    channel.basic_qos(prefetch_count=60)
    seen = []
    for method, _, body in channel.consume("orders", inactivity_timeout=10):
        seen.append(body)
        channel.basic_ack(method.delivery_tag)
        if len(seen) == 200:
            break
    channel.cancel()
    assert seen == [b"%d" % number for number in range(200)]
    assert rabbitmq.queue("orders").depth == 0
