"""Waiting until clients have nothing left to do, with real clients."""

import asyncio
import socket
import threading

import pika
import pytest
from pamqp import frame
from pamqp.commands import Channel
from pika.exceptions import AMQPConnectionError

from simbus import RabbitMQ
from simbus.errors import HandlerRunning, NoConsumer, NotIdle
from simbus.rabbitmq.errors import ChannelError
from tests.fuzz_programs import good_handshake
from tests.wire import published

SOON = "20ms"  # how long a test waits for what will not come


class Worker:
    """A pika consumer in a thread of its own, which handles one message when it is told to go on."""

    def __init__(self, url, queue, **consume):
        self._go_on = threading.Semaphore(0)
        self._parameters = pika.URLParameters(url)
        self._parameters.client_properties = {"connection_name": "billing"}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(queue,), kwargs=consume)
        self._thread.start()
        assert self._ready.wait(10)

    def _work(self, queue, **consume):
        with pika.BlockingConnection(self._parameters) as self._connection:
            self._channel = self._connection.channel()
            self._channel.basic_consume(queue, self._handle, consumer_tag="charge", **consume)
            self._ready.set()
            self._channel.start_consuming()

    def _handle(self, channel, method, properties, body):
        assert self._go_on.acquire(timeout=10)
        channel.basic_ack(method.delivery_tag)

    def go_on(self, messages=1):
        for _ in range(messages):
            self._go_on.release()

    def stop(self):
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def worker(rabbitmq):
    rabbitmq.declare_queue("payments")
    worker = Worker(rabbitmq.url, "payments")
    yield worker
    worker.stop()


def test_a_broker_without_clients_is_idle(rabbitmq):
    rabbitmq.declare_queue("payments")
    assert rabbitmq.wait_until_idle(timeout="1ms")


def test_what_nobody_consumes_does_not_keep_a_broker_from_being_idle(rabbitmq):
    rabbitmq.declare_queue("delay", message_ttl="10s")
    rabbitmq.publish("", "delay", b"later")
    assert rabbitmq.wait_until_idle(timeout="1ms")


def test_it_waits_until_the_worker_has_acknowledged(rabbitmq, worker):
    rabbitmq.publish("", "payments", b"1")
    with pytest.raises(NotIdle, match=r"queue 'payments': 1 unacked, held by consumer charge of 127\.0\.0\.1:\d+ \(billing\)"):
        rabbitmq.wait_until_idle(timeout=SOON)
    worker.go_on()
    assert rabbitmq.wait_until_idle()
    assert rabbitmq.queue("payments").depth == 0


def test_many_messages_through_a_worker(rabbitmq, worker):
    worker.go_on(messages=200)
    for number in range(200):
        rabbitmq.publish("", "payments", str(number))
    assert rabbitmq.wait_until_idle()
    assert rabbitmq.queue("payments").depth == 0


def test_only_the_named_queues_matter(rabbitmq, worker):
    rabbitmq.declare_queue("audit")
    rabbitmq.publish("", "payments", b"1")
    assert rabbitmq.wait_until_idle("audit", timeout="1s")
    with pytest.raises(NotIdle, match="queue 'payments'"):
        rabbitmq.wait_until_idle("audit", "payments", timeout=SOON)
    worker.go_on()


def test_a_queue_that_does_not_exist_cannot_be_waited_for(rabbitmq):
    with pytest.raises(ChannelError, match="no queue 'payment'"):
        rabbitmq.wait_until_idle("payment")


def test_a_worker_that_was_cut_off_is_waited_for(rabbitmq):
    rabbitmq.declare_queue("payments")
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
    connection.channel().basic_consume("payments", lambda *_: None)
    rabbitmq.drop_connections()
    with pytest.raises(AMQPConnectionError):
        connection.process_data_events(time_limit=10)
    assert rabbitmq.wait_until_idle(timeout="1s")  # nothing waits for it yet
    rabbitmq.publish("", "payments", b"1")
    with pytest.raises(NotIdle, match="queue 'payments': 1 ready, and its consumer has gone without"):
        rabbitmq.wait_until_idle(timeout=SOON)
    worker = Worker(rabbitmq.url, "payments")
    worker.go_on()
    assert rabbitmq.wait_until_idle()
    worker.stop()


def test_a_worker_that_cancelled_is_not_waited_for(rabbitmq):
    rabbitmq.declare_queue("payments")
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        channel.basic_cancel(channel.basic_consume("payments", lambda *_: None))
    rabbitmq.publish("", "payments", b"1")
    assert rabbitmq.wait_until_idle(timeout="1s")


def test_handlers_of_the_test_act_while_it_waits(rabbitmq):
    rabbitmq.declare_queue("answers")
    answers = []
    rabbitmq.consumer("answers")(lambda message: answers.append(message.body))
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", "answers", b"42")
        assert rabbitmq.wait_until_idle()
    assert answers == [b"42"]


def test_a_message_that_the_test_itself_took_is_named(rabbitmq):
    rabbitmq.declare_queue("payments")
    rabbitmq.publish("", "payments", b"1")
    message = rabbitmq.queue("payments").get()
    with pytest.raises(NotIdle, match="queue 'payments': 1 unacked, held by a get of the test"):
        rabbitmq.wait_until_idle(timeout="1ms")
    message.ack()
    assert rabbitmq.wait_until_idle(timeout="1ms")


def test_a_publisher_that_the_broker_blocks_has_unread_bytes(rabbitmq):
    rabbitmq.declare_queue("payments")
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        rabbitmq.block()
        channel.basic_publish("", "payments", b"1")
        blocked = []
        connection.add_on_connection_blocked_callback(lambda *_: blocked.append(True))
        while not blocked:
            connection.process_data_events(time_limit=10)
        channel.basic_publish("", "payments", b"2")
        with pytest.raises(NotIdle, match="has sent bytes that are not read yet, because it is blocked"):
            rabbitmq.wait_until_idle(timeout=SOON)
        rabbitmq.unblock()
        assert rabbitmq.wait_until_idle()
        assert [message.body for message in rabbitmq.queue("payments")] == [b"1", b"2"]


def test_what_came_in_one_piece_with_what_blocked_its_publisher_is_not_served_yet(rabbitmq):
    rabbitmq.declare_queue("payments")
    rabbitmq.block()
    said = [*good_handshake(), frame.marshal(Channel.Open(), 1), published(1, "", "payments", b"1")]
    with socket.create_connection((rabbitmq.host, rabbitmq.port)) as client:
        client.sendall(b"".join(said))
        with pytest.raises(NotIdle, match="has sent bytes that are not read yet, because it is blocked"):
            rabbitmq.wait_until_idle(timeout=SOON)
        rabbitmq.unblock()
        assert rabbitmq.wait_until_idle()
        assert rabbitmq.queue("payments").ready == 1


def test_a_client_that_reads_nothing_is_owed_bytes(rabbitmq):
    with socket.create_connection((rabbitmq.host, rabbitmq.port)) as client:
        client.sendall(b"AMQP\x00\x00\x09\x01")
        assert rabbitmq.wait_until_idle()  # the answer is on its way, in the hands of the network
        assert client.recv(1)


def test_a_handler_cannot_wait_for_its_own_end(rabbitmq):
    rabbitmq.declare_queue("q")
    rabbitmq.consumer("q")(lambda _: rabbitmq.wait_until_idle())
    with pytest.raises(HandlerRunning, match="cannot wait for its own end"):
        rabbitmq.publish("", "q")


def test_within_an_event_loop_the_error_says_that_it_stands_still(rabbitmq):
    rabbitmq.declare_queue("q")
    rabbitmq.publish("", "q")
    rabbitmq.queue("q").get()

    async def wait():
        rabbitmq.wait_until_idle(timeout="1ms")

    with pytest.raises(NotIdle, match=r"await asyncio\.to_thread\(rabbitmq\.wait_until_idle\)"):
        asyncio.run(wait())


def test_the_time_to_wait_needs_a_unit(rabbitmq):
    with pytest.raises(ValueError, match="timeout"):
        rabbitmq.wait_until_idle(timeout=10)


def test_waiting_moves_no_virtual_clock(rabbitmq):
    before = rabbitmq.now
    rabbitmq.wait_until_idle()
    assert rabbitmq.now == before


def test_a_broker_is_idle_whatever_its_clock():
    with RabbitMQ(clock="wall") as rabbitmq:
        rabbitmq.declare_queue("delay", message_ttl="10ms", dead_letter_exchange="", dead_letter_routing_key="work")
        rabbitmq.declare_queue("work")
        bodies = []
        rabbitmq.consumer("work")(lambda message: bodies.append(message.body))
        rabbitmq.publish("", "delay", b"task")
        while not bodies:
            assert rabbitmq.wait_until_idle()
        assert bodies == [b"task"]


# Waiting for a service to come


def test_a_service_that_starts_is_waited_for_until_it_consumes(rabbitmq):
    def start():
        with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
            channel = connection.channel()
            channel.queue_declare("orders")
            consumed = channel.consume("orders")
            method, _, _ = next(consumed)
            channel.basic_ack(method.delivery_tag)
            channel.cancel()

    service = threading.Thread(target=start)
    service.start()
    rabbitmq.wait_for_consumer("orders")
    rabbitmq.publish("", "orders", b"1")
    assert rabbitmq.wait_until_idle()
    service.join(10)
    assert rabbitmq.queue("orders").depth == 0


def test_a_service_that_does_not_come_is_missed_by_the_name_of_its_queue(rabbitmq):
    with pytest.raises(NoConsumer, match=r"^there is no queue 'orders' after 1 ms$"):
        rabbitmq.wait_for_consumer("orders", timeout="1ms")
    rabbitmq.declare_queue("orders")
    with pytest.raises(NoConsumer, match=r"^nobody consumes queue 'orders' after 1 ms$"):
        rabbitmq.wait_for_consumer("orders", timeout="1ms")


def test_within_an_event_loop_a_service_that_does_not_come_may_stand_still(rabbitmq):
    async def wait():
        rabbitmq.wait_for_consumer("orders", timeout="1ms")

    with pytest.raises(NoConsumer, match=r"await asyncio\.to_thread\(rabbitmq\.wait_for_consumer, 'orders'\)"):
        asyncio.run(wait())
