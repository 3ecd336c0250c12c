"""One broker for many tests, the wall clock, TLS, addresses, and what a fake leaves behind: with real clients."""

import itertools
import os
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pika
import pytest

from simbus import RabbitMQ
from simbus.errors import HandlerFailed, NotIdle
from simbus.rabbitmq.amqp.codec import encode_content, encode_method
from simbus.rabbitmq.amqp.methods import BY_NAME
from simbus.rabbitmq.fake.messages import moment
from simbus.rabbitmq.options import OptionError
from simbus.server import CannotListen, Server
from tests.fuzz_programs import good_handshake
from tests.fuzz_sockets import descriptors, nothing_said


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


def test_a_reset_forgets_what_exchanges_and_dead_letters_keep_back(shared):
    arguments: dict[str, object] = {"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "late"}
    arguments |= {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish", "x-message-ttl": 1000}
    with pika.BlockingConnection(pika.URLParameters(shared.url)) as application:
        channel = application.channel()
        channel.queue_declare("orders", durable=True, arguments=arguments)
        for exchange, type in (("delays", "x-delayed-message"), ("recent", "x-recent-history")):
            channel.exchange_declare(exchange, type, durable=True, arguments={"x-delayed-type": "fanout"})
        shared.publish("", "orders")
        shared.publish("recent", "")
        shared.advance("2s")
        shared.publish("delays", "", headers={"x-delay": 1000})
        shared.reset()
        assert "keeps" not in shared.state()
        assert "delays 1" not in shared.state()
        channel.queue_declare("late")
        for exchange in ("delays", "recent"):
            channel.queue_bind("late", exchange)
        shared.advance("10min")
        assert shared.queue("late") == []
        shared.publish("delays", "", headers={"x-delay": 1000})
        shared.advance("1s")
        assert shared.queue("late").ready == 1
        for name in ("orders", "late"):
            channel.queue_delete(name)
        for exchange in ("delays", "recent"):
            channel.exchange_delete(exchange)


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


def test_a_reset_leaves_what_a_client_declared_anew_under_a_name_that_the_test_had_used(shared):
    with pika.BlockingConnection(pika.URLParameters(shared.url)) as connection:
        shared.declare_queue("orders")
        shared.declare_exchange("shop\n")  # RabbitMQ leaves out the line's end
        shared.delete_queue("orders")
        shared.delete_exchange("shop")
        connection.channel().queue_declare("orders")
        connection.channel().exchange_declare("shop", "fanout")
        shared.reset()
        assert connection.channel().queue_declare("orders", passive=True).method.consumer_count == 0
        connection.channel().exchange_declare("shop", passive=True)


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


def test_what_the_test_publishes_expires_on_the_wall_clock_though_no_client_does_anything():
    with RabbitMQ(clock="wall") as rabbitmq:
        rabbitmq.declare_queue("delay", dead_letter_exchange="", dead_letter_routing_key="work")
        rabbitmq.declare_queue("work")
        with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
            channel = connection.channel()
            work = channel.consume("work", auto_ack=True, inactivity_timeout=10)
            channel.basic_qos()
            rabbitmq.publish("", "work", b"the client consumes")
            assert next(work)[2] == b"the client consumes"
            rabbitmq.publish("", "delay", b"task", expiration="30ms")
            assert next(work)[2] == b"task"


def test_without_a_server_time_has_passed_when_the_test_looks():
    with RabbitMQ(clock="wall") as rabbitmq:
        rabbitmq.declare_queue("offers", message_ttl="1ms")
        rabbitmq.publish("", "offers", b"seat 12A")
        queue = rabbitmq.queue("offers")
        while queue:
            pass
        assert [effect.cause for effect in rabbitmq._trace if hasattr(effect, "cause")] == ["expired"]


def test_an_alarm_on_the_wall_clock_has_the_time_at_which_it_was_raised():
    with RabbitMQ(clock="wall") as rabbitmq:
        before = datetime.now(UTC)
        rabbitmq.block()
        [alarm] = rabbitmq._trace
        assert moment(alarm.at) >= before


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


def test_a_stream_under_tls_is_read_before_the_broker_is_idle(rabbitmq, monkeypatch):
    monkeypatch.setattr("simbus.server._STREAM", 0)
    parameters = pika.URLParameters(rabbitmq.tls_url)
    parameters.ssl_options = pika.SSLOptions(ssl.create_default_context(cafile=rabbitmq.tls_ca_file), "127.0.0.1")
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare("orders")
        for number in range(1, 51):
            for _ in range(3):
                channel.basic_publish("", "orders", b"1")
            assert rabbitmq.wait_until_idle()
            assert rabbitmq.queue("orders").ready == 3 * number


def test_a_client_that_does_not_trust_the_test_authority_does_not_connect(rabbitmq):
    parameters = pika.URLParameters(rabbitmq.tls_url)
    parameters.ssl_options = pika.SSLOptions(ssl.create_default_context(), "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        pika.BlockingConnection(parameters)


# What is left behind


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


def shaking_hands(address, more=b""):
    """A raw client, which the server has let in."""
    client = socket.create_connection(address, timeout=10)
    client.sendall(b"".join([*good_handshake(), more]))
    heard = b""
    while OPEN_OK not in heard:
        heard += client.recv(10_000)
    return client


OPEN_OK = b"\0\x0a\0\x29"
CHANNEL = encode_method(1, BY_NAME["channel.open"], "")
PUBLISH = encode_content(1, BY_NAME["basic.publish"], (0, "", "q", False, False), b"\0\0", bytes(400_000), 131_072)
CONSUME = encode_method(1, BY_NAME["basic.consume"], 0, "q", "", False, False, False, False, {})
ASK_AGAIN = encode_method(1, BY_NAME["basic.recover"], True)


def before_its_header(rabbitmq):
    return socket.create_connection((rabbitmq.host, rabbitmq.port))


def with_half_a_frame(rabbitmq):
    return shaking_hands((rabbitmq.host, rabbitmq.port), CHANNEL[:5])


def in_the_handshake_of_tls(rabbitmq):
    client = socket.create_connection(rabbitmq._network.address(rabbitmq._tls.server_context()))
    client.sendall(b"\x16\x03\x01")
    return client


def under_tls(rabbitmq):
    client = socket.create_connection(rabbitmq._network.address(rabbitmq._tls.server_context()))
    return ssl.create_default_context(cafile=rabbitmq.tls_ca_file).wrap_socket(client, server_hostname="127.0.0.1")


def blocked(rabbitmq):
    client = shaking_hands((rabbitmq.host, rabbitmq.port), CHANNEL)
    rabbitmq.block()
    client.sendall(PUBLISH[:1000])
    return client


def deaf(rabbitmq):
    rabbitmq.declare_queue("q")
    client = shaking_hands((rabbitmq.host, rabbitmq.port), CHANNEL + PUBLISH + CONSUME)
    client.setblocking(False)
    with suppress(BlockingIOError):
        client.sendall(ASK_AGAIN * 10_000)
    return client


def told_of_a_restart(rabbitmq):
    client = shaking_hands((rabbitmq.host, rabbitmq.port), CHANNEL)
    rabbitmq.restart()
    return client


@pytest.mark.parametrize(
    "staying", [before_its_header, with_half_a_frame, in_the_handshake_of_tls, under_tls, blocked, deaf, told_of_a_restart]
)
def test_nothing_is_left_behind_by_a_client_that_is_still_there(staying):
    threads, files = threading.active_count(), descriptors()
    with nothing_said():
        with RabbitMQ() as rabbitmq:
            client = staying(rabbitmq)
        client.close()
    assert (threading.active_count(), descriptors()) == (threads, files)


def test_a_client_that_reads_nothing_makes_nothing_grow(rabbitmq):
    with deaf(rabbitmq):
        server = rabbitmq._network._running
        [connection] = server._connections
        turns = itertools.count()
        while server._in_loop(lambda: connection._reads):  # until the network holds no more
            assert next(turns) < 10_000
        owed = connection._transport.get_write_buffer_size() + sum(map(len, connection._session._line.out))
        assert owed < 10_000_000


class LastWords:
    """A session that says much and is done."""

    name, next_deadline, reading, awaited, was_cut, delayed, unserved = "talker", None, True, True, False, False, False

    def __init__(self, now, peer, here):
        self.closed = True

    def bytes_to_send(self):
        return bytes(20_000_000)

    def connection_lost(self):
        pass


def test_a_peer_that_does_not_read_the_last_words_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr("simbus.server._LINGER", 0)
    server = Server(LastWords, threading.RLock(), lambda: None)
    with nothing_said(), socket.create_connection(server.listen()) as client:
        assert client.recv(1)
        for _ in range(100):
            server._in_loop(lambda: None)
        assert not server._connections
        server.close()


def test_closing_twice_is_harmless_and_the_next_address_is_the_same():
    rabbitmq = RabbitMQ()
    url = rabbitmq.url
    rabbitmq.close()
    rabbitmq.close()
    assert rabbitmq.url == url
    rabbitmq.close()


def test_a_port_that_is_taken_is_refused_with_the_remedy(rabbitmq):
    with RabbitMQ(port=rabbitmq.port) as late:
        for _ in range(2):
            with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{rabbitmq.port} .*; choose another port, or 0"):
                assert late.url
    assert [thread.name for thread in threading.enumerate()].count("simbus server") == 1


def test_threads_that_ask_for_the_url_at_once_start_one_server(rabbitmq, monkeypatch):
    together = threading.Barrier(2)

    class Slow(Server):
        def __init__(self, *arguments):
            with suppress(threading.BrokenBarrierError):
                together.wait(0.1)
            super().__init__(*arguments)

    monkeypatch.setattr("simbus.rabbitmq.fake.network.Server", Slow)
    urls = []
    threads = [threading.Thread(target=lambda: urls.append(rabbitmq.url)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert urls == [rabbitmq.url] * 4
    assert [thread.name for thread in threading.enumerate()].count("simbus server") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_is_a_client_like_any_other_and_may_end_as_it_likes(rabbitmq):
    url = rabbitmq.url
    child = os.fork()
    if not child:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_declare("from the child")
        rabbitmq.close()  # as the fixture would, which is the parent's business
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rabbitmq.url == url
    assert rabbitmq.queue("from the child") == []


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


@pytest.mark.slow
def test_what_is_looked_at_adds_up_while_many_clients_are_at_work(rabbitmq):
    messages, names = 100, ["orders.a", "orders.b", "orders.c", "orders.d"]

    def publish_and_consume(queue):
        with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for number in range(messages):
                channel.basic_publish("", queue, f"{queue} {number}".encode())
            deliveries = channel.consume(queue)
            for _ in range(messages):
                channel.basic_ack(next(deliveries)[0].delivery_tag)

    queues = [rabbitmq.declare_queue(name) for name in names]
    threads = [threading.Thread(target=publish_and_consume, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        with rabbitmq.looking():
            ledgers = [rabbitmq._broker.vhost().queues[name].ledger for name in names]
            assert len(rabbitmq.published) == sum(ledger.enqueued for ledger in ledgers)
            assert [queue.depth + ledger.acked for queue, ledger in zip(queues, ledgers, strict=True)] == [
                ledger.enqueued for ledger in ledgers
            ]
        assert seen <= (seen := len(rabbitmq.published(routing_key="orders.*")))
        assert all(message.body.startswith(b"orders.") for queue in queues for message in queue)
        assert all(name in rabbitmq.state() for name in names)
        assert rabbitmq.timeline()
    assert [queue.depth for queue in queues] == [0] * len(names)
    assert len({message.body for message in rabbitmq.published}) == messages * len(names)
    rabbitmq._broker.check()


def test_the_url_leads_to_the_virtual_host_and_the_first_user_that_were_asked_for():
    with RabbitMQ(vhost="a/b", users={"till": "p@ss", "clerk": "x"}) as rabbitmq:
        assert rabbitmq.url == f"amqp://till:p%40ss@127.0.0.1:{rabbitmq.port}/a%2Fb"
        variables = rabbitmq.env()
        assert [variables[f"RABBITMQ_{name}"] for name in ("VHOST", "USER", "PASSWORD")] == ["a/b", "till", "p@ss"]
        with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
            connection.channel().queue_declare("q", durable=True)
            rabbitmq.publish("", "q", b"1")
            assert connection.channel().basic_get("q")[2] == b"1"


def test_waiting_for_idle_looks_into_every_virtual_host():
    with RabbitMQ(vhost="shop") as rabbitmq:
        elsewhere = pika.URLParameters(rabbitmq.url.replace("/shop", "/"))
        with pika.BlockingConnection(elsewhere) as connection:
            channel = connection.channel()
            channel.queue_declare("q")
            channel.basic_publish("", "q", b"1")
            channel.basic_get("q")
            with pytest.raises(NotIdle, match="queue 'q': 1 unacked, held by a get"):
                rabbitmq.wait_until_idle(timeout="0s")


def test_permissions_are_for_users_that_exist():
    with RabbitMQ() as rabbitmq, pytest.raises(OptionError, match="set_permissions: no user 'till'"):
        rabbitmq.set_permissions("till", read="^$")
