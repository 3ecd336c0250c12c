"""Faults as a test asks for them: in force while a block lasts, checked at its end, with a real client on a real socket."""

from typing import Any

import pika
import pytest
from pika.exceptions import AMQPConnectionError, ConnectionClosedByBroker, NackError, StreamLostError

from simbus import Fault, Plan, RabbitMQ
from simbus.errors import NotIdle
from simbus.faults import FaultError, FaultNotMet

NACK = Fault("basic.publish", 1, "nack")


def connect(rabbitmq):
    return pika.BlockingConnection(pika.URLParameters(rabbitmq.url))


@pytest.fixture
def channel(rabbitmq):
    rabbitmq.declare_queue("orders")
    connection = connect(rabbitmq)
    channel = connection.channel()
    channel.confirm_delivery()
    yield channel
    if connection.is_open:
        connection.close()


def test_a_plan_is_in_force_while_its_block_lasts(rabbitmq, channel):
    with rabbitmq.faults(NACK) as faults:
        with pytest.raises(NackError):
            channel.basic_publish("", "orders", b"1")
        channel.basic_publish("", "orders", b"2")
    channel.basic_publish("", "orders", b"3")
    assert [message.body for message in rabbitmq.queue("orders")] == [b"2", b"3"]
    assert faults.happened == [NACK]


def test_a_saved_plan_is_taken_as_it_is_and_more_may_be_added(rabbitmq, channel):
    plan = Plan.from_json(Plan(NACK).to_json())
    with rabbitmq.faults(plan, Fault("basic.publish", 2, "nack")):
        for body in (b"1", b"2"):
            with pytest.raises(NackError):
                channel.basic_publish("", "orders", body)


def test_an_entry_that_never_happened_fails_the_block_by_name(rabbitmq, channel):
    with pytest.raises(FaultNotMet, match=r"basic.publish, 2nd time: nack - basic.publish happened once"):  # noqa: SIM117
        with rabbitmq.faults(Fault("basic.publish", 2, "nack")):
            channel.basic_publish("", "orders", b"1")


def test_what_fails_inside_the_block_is_not_hidden_by_what_never_happened(rabbitmq):
    with pytest.raises(ZeroDivisionError), rabbitmq.faults(NACK):
        raise ZeroDivisionError


def test_a_second_plan_is_refused_while_one_is_in_force(rabbitmq):
    with pytest.raises(FaultError, match="already"), rabbitmq.faults(), rabbitmq.faults():
        pass


def test_a_plan_that_was_made_and_never_put_into_force_is_a_mistake():
    with pytest.raises(FaultError, match=r"with rabbitmq.faults"), RabbitMQ() as rabbitmq:
        rabbitmq.faults(NACK)


def test_the_tests_own_verbs_are_spared(rabbitmq):
    rabbitmq.declare_queue("orders")
    with pytest.raises(FaultNotMet), rabbitmq.faults(NACK):
        rabbitmq.publish("", "orders", b"1")


def test_a_broker_that_cannot_be_reached_can_be_reached_again_after_the_block(rabbitmq):
    with rabbitmq.faults(Fault("connect", "every", "refuse")), pytest.raises(AMQPConnectionError):
        connect(rabbitmq)
    connect(rabbitmq).close()


def test_a_reset_is_a_reset_to_the_client(rabbitmq, channel):
    with (
        rabbitmq.faults(Fault("basic.publish", 1, "reset", when="after")),
        pytest.raises(StreamLostError, match="ConnectionReset"),
    ):
        channel.basic_publish("", "orders", b"1")
    assert rabbitmq.queue("orders").ready == 1


def test_a_restart_in_the_middle_of_a_publish_closes_the_connection_as_a_broker_does(rabbitmq, channel):
    with rabbitmq.faults(Fault("basic.publish", 1, "restart")), pytest.raises(ConnectionClosedByBroker, match="320"):
        channel.basic_publish("", "orders", b"1")


def test_what_is_delayed_is_not_idle_and_goes_on_when_the_block_ends(rabbitmq, channel):
    answers: list[Any] = []
    with rabbitmq.faults(Fault("queue.declare", 1, "delay", time="1h")):
        channel._impl.queue_declare("orders", passive=True, callback=answers.append)  # asks, and does not wait for the answer
        channel.connection.process_data_events(0)
        with pytest.raises(NotIdle, match="held up by a fault"):
            rabbitmq.wait_until_idle(timeout="20ms")
    channel.basic_qos(prefetch_count=1)
    assert [frame.method.NAME for frame in answers] == ["Queue.DeclareOk"]


def test_a_delivery_is_seen_twice_by_a_worker_that_must_not_mind(rabbitmq, channel):
    with rabbitmq.faults(Fault("basic.deliver", 1, "duplicate")):
        channel.basic_publish("", "orders", b"1")
        seen = []
        for method, _, body in channel.consume("orders"):
            seen.append((body, method.redelivered))
            channel.basic_ack(method.delivery_tag)
            if len(seen) == 2:
                break
    assert seen == [(b"1", False), (b"1", False)]


def test_the_timeline_shows_what_befell_a_message(rabbitmq, channel):
    with rabbitmq.faults(Fault("basic.deliver", 1, "redeliver")):
        channel.basic_publish("", "orders", b"1")
        tag = next(channel.consume("orders"))[0].consumer_tag
    lines = [line.strip() for line in rabbitmq.timeline(rabbitmq.published[0]).splitlines()]
    assert lines[5:] == [
        "fault: basic.deliver, 1st time: redeliver",
        "requeued in orders",
        f"delivered from orders to consumer {tag} (attempt 2)",
    ]


def test_the_state_of_a_broker_tells_of_its_plan(rabbitmq, channel):
    with pytest.raises(FaultNotMet), rabbitmq.faults(NACK, Fault("basic.ack", 1, "silence")), pytest.raises(NackError):
        channel.basic_publish("", "orders", b"1")
    assert rabbitmq.state().splitlines()[-2:] == [
        "fault: basic.publish, 1st time: nack - happened",
        "fault: basic.ack, 1st time: silence - has not happened",
    ]


def test_a_reset_broker_knows_nothing_of_earlier_plans(rabbitmq):
    rabbitmq.faults(NACK)
    rabbitmq.reset()
    assert "fault" not in rabbitmq.state()
