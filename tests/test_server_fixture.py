"""One broker for many tests, the wall clock, TLS, addresses, and what a fake leaves behind: with real clients."""

import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pika
import pytest

from simbus import RabbitMQ
from simbus.errors import HandlerFailed
from simbus.rabbitmq.options import OptionError


@pytest.fixture
def shared():
    with RabbitMQ() as rabbitmq:
        yield rabbitmq


def consume(channel, queue, bodies):
    def handle(channel, method, _properties, body):
        bodies.append(body)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(queue, handle)


# reset


def test_a_reset_forgets_messages_and_leaves_applications_connected(shared):
    with pika.BlockingConnection(pika.URLParameters(shared.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("orders")
        bodies: list[bytes] = []
        consume(channel, "orders", bodies)
        channel.queue_declare("parked")
        shared.publish("", "parked", b"from the first test")
        shared.block()
        shared.reset()
        assert (shared.queue("parked"), shared.published, shared.returned) == ([], [], [])
        assert shared.timeline() == "nothing has happened"
        published = shared.publish("", "orders", b"from the second test")
        assert shared.published == [published]
        while not bodies:
            connection.process_data_events(time_limit=10)
        assert bodies == [b"from the second test"]


def test_a_reset_deletes_what_the_test_declared_and_ends_its_handlers(shared):
    with pika.BlockingConnection(pika.URLParameters(shared.url)) as connection:
        connection.channel().queue_declare("orders")
        shared.declare_queue("orders", durable=False)  # it exists, so it is the client's
        shared.declare_exchange("shop", "fanout")
        shared.declare_queue("audit")
        shared.bind("audit", "shop")
        handler = shared.consumer("orders")(lambda _: None)
        shared.reset()
        assert handler.cancelled
        shared.declare_exchange("shop", "topic")  # another type: it was gone
        shared.declare_queue("audit", message_ttl="1h")
        shared.publish("", "orders", b"kept for the client")
        assert [message.body for message in shared.queue("orders")] == [b"kept for the client"]


def test_what_a_client_holds_at_a_reset_is_acknowledged_in_vain(shared):
    with pika.BlockingConnection(pika.URLParameters(shared.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("orders")
        shared.publish("", "orders", b"1")
        method, _, _ = channel.basic_get("orders")
        shared.reset()
        assert shared.queue("orders").depth == 0
        channel.basic_nack(method.delivery_tag, requeue=True)
        assert channel.queue_declare("orders", passive=True).method.message_count == 0
    shared._broker.check()


def test_a_reset_says_what_a_handler_raised_and_is_done_all_the_same(shared):
    shared.declare_queue("orders")

    @shared.consumer("orders")
    def handle(message):
        if not message.redelivered:
            raise ValueError("no such column")

    shared.publish("", "orders")
    with pytest.raises(HandlerFailed, match="no such column"):
        shared.reset()
    assert shared.published == []
    shared.reset()


def test_a_reset_leaves_the_clock_alone(shared):
    shared.advance("1h")
    now = shared.now
    shared.reset()
    assert shared.now == now


# The wall clock


def test_on_the_wall_clock_time_passes_by_itself():
    before = datetime.now(UTC)
    with RabbitMQ(clock="wall") as rabbitmq:
        assert before <= rabbitmq.now <= datetime.now(UTC)
        rabbitmq.declare_queue("delay", message_ttl="30ms", dead_letter_exchange="", dead_letter_routing_key="work")
        rabbitmq.declare_queue("work")
        with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
            channel = connection.channel()
            channel.basic_publish("", "delay", b"task")
            method, properties, body = next(channel.consume("work", inactivity_timeout=10))
            assert (body, properties.headers["x-death"][0]["reason"]) == (b"task", "expired")
            channel.basic_ack(method.delivery_tag)


def test_without_a_server_time_has_passed_when_the_test_looks():
    with RabbitMQ(clock="wall") as rabbitmq:
        rabbitmq.declare_queue("offers", message_ttl="1ms")
        rabbitmq.publish("", "offers", b"seat 12A")
        queue = rabbitmq.queue("offers")
        while queue:
            pass
        assert [effect.cause for effect in rabbitmq._trace if hasattr(effect, "cause")] == ["expired"]


def test_the_wall_clock_cannot_be_moved_or_set():
    with RabbitMQ(clock="wall") as rabbitmq, pytest.raises(OptionError, match="follows the wall clock"):
        rabbitmq.advance("1s")
    with pytest.raises(OptionError, match="start: the wall clock begins now"):
        RabbitMQ(clock="wall", start=datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(OptionError, match='clock: "sun" is not a clock; write "virtual"'.replace('"sun"', "'sun'")):
        RabbitMQ(clock="sun")


def test_on_the_wall_clock_a_message_that_goes_round_for_ever_is_noticed():
    from simbus.errors import Livelock

    with RabbitMQ(clock="wall") as rabbitmq:
        rabbitmq.declare_queue("q")

        @rabbitmq.consumer("q", raises=ValueError)
        def handle(message):
            raise ValueError

        with pytest.raises(Livelock, match="delivered 1,000 times"):
            rabbitmq.publish("", "q")


# Addresses and TLS


def test_the_environment_of_a_service_says_where_the_broker_is(rabbitmq):
    env = rabbitmq.env()
    assert env["RABBITMQ_URL"] == env["AMQP_URL"] == env["CELERY_BROKER_URL"] == rabbitmq.url
    address = (env["RABBITMQ_HOST"], int(env["RABBITMQ_PORT"]))
    credentials = pika.PlainCredentials(env["RABBITMQ_USER"], env["RABBITMQ_PASSWORD"])
    parameters = pika.ConnectionParameters(*address, virtual_host=env["RABBITMQ_VHOST"], credentials=credentials)
    with pika.BlockingConnection(parameters) as connection:
        assert connection.is_open


def test_a_client_connects_under_tls_and_trusts_the_test_authority(rabbitmq):
    parameters = pika.URLParameters(rabbitmq.tls_url)
    parameters.ssl_options = pika.SSLOptions(ssl.create_default_context(cafile=rabbitmq.tls_ca_file), "127.0.0.1")
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare("orders")
        channel.confirm_delivery()
        channel.basic_publish("", "orders", bytes(300_000))
        assert channel.basic_get("orders", auto_ack=True)[2] == bytes(300_000)
        assert rabbitmq.wait_until_idle()
    assert rabbitmq.tls_url.startswith("amqps://guest:guest@127.0.0.1:")
    assert str(rabbitmq.port) not in rabbitmq.tls_url


def test_a_client_that_does_not_trust_the_test_authority_does_not_connect(rabbitmq):
    parameters = pika.URLParameters(rabbitmq.tls_url)
    parameters.ssl_options = pika.SSLOptions(ssl.create_default_context(), "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        pika.BlockingConnection(parameters)


# What is left behind


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
def test_no_thread_descriptor_or_file_is_left_behind():
    with RabbitMQ() as warm:
        assert warm.tls_url
    threads, files = threading.active_count(), descriptors()
    for _ in range(3):
        with RabbitMQ() as rabbitmq:
            ca_file = rabbitmq.tls_ca_file
            with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
                connection.channel().queue_declare("q")
            assert rabbitmq.tls_url
            assert threading.active_count() == threads + 1
        assert not Path(ca_file).exists()
    assert (threading.active_count(), descriptors()) == (threads, files)


def test_looking_is_safe_while_clients_are_at_work(rabbitmq):
    rabbitmq.declare_queue("orders")
    stop = threading.Event()

    def publish_and_get():
        with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            while not stop.is_set():
                channel.basic_publish("", "orders", b"7")
                channel.basic_publish("", "orders", b"8")
                channel.basic_get("orders", auto_ack=True)

    client = threading.Thread(target=publish_and_get)
    client.start()
    try:
        queue = rabbitmq.queue("orders")
        for _ in range(300):
            assert {message.body for message in queue} <= {b"7", b"8"}
            assert queue.depth >= queue.unacked
            assert "orders" in rabbitmq.state()
            assert rabbitmq.timeline()
            assert repr(rabbitmq)
    finally:
        stop.set()
        client.join(10)
    assert len(rabbitmq.published) >= len(queue)
