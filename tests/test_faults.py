"""Plans of faults as data, and what each action does to a client, on a transport whose clock is a number."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue, Tx

from simbus import Fault, Plan
from simbus.errors import SimbusError
from simbus.faults import FaultError, FaultNotMet, Occurrences
from simbus.rabbitmq.amqp.actions import ACTIONS
from simbus.rabbitmq.amqp.operations import ASKED, SAID
from tests.wire import PROTOCOL_HEADER, Client, Wire, published, start_ok

BEFORE, AFTER = {"when": "before"}, {"when": "after"}


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def client(wire):
    client = wire.connect()
    client.call(1, Queue.Declare(queue="a"))
    return client


@pytest.fixture
def confirmed(client):
    """A client that publishes with confirms."""
    client.call(1, Confirm.Select())
    return client


@pytest.fixture
def consumer(wire, client):
    """Another client, which consumes one message at a time."""
    consumer = wire.connect()
    consumer.call(1, Basic.Qos(prefetch_count=1))
    consumer.call(1, Basic.Consume(queue="a", consumer_tag="c"))
    return consumer


def ready(wire, queue="a"):
    return [copy.message.body for copy in wire.broker.vhost().queues[queue].ready]


# A plan is data


PLAN = Plan(
    Fault("basic.publish", 3, "nack"),
    Fault("basic.ack", 1, "reset", when="before"),
    Fault("basic.publish", "every", "unknown", applied=False),
    Fault("queue.declare", 2, "refuse", code=405, text="grüß dich"),
)


def test_a_plan_is_saved_as_json_and_is_the_same_again():
    assert Plan.from_json(PLAN.to_json()) == PLAN
    assert Plan.from_json("[]") == Plan.from_json(Plan().to_json()) == Plan()


def test_an_entry_of_the_json_is_one_line_with_all_it_says():
    assert PLAN.to_json().splitlines()[2] == '  {"operation": "basic.ack", "n": 1, "action": "reset", "when": "before"},'


def test_the_repr_of_a_plan_is_python():
    assert eval(repr(PLAN)) == PLAN  # noqa: S307 - that is what is claimed


def test_a_plan_prints_as_people_say_it():
    assert str(PLAN).splitlines() == [
        "basic.publish, 3rd time: nack",
        "basic.ack, 1st time: reset (when before)",
        "basic.publish, every time: unknown (applied False)",
        "queue.declare, 2nd time: refuse (code 405, text grüß dich)",
    ]
    assert str(Fault("connect", 12, "silence")) == "connect, 12th time: silence"
    assert str(Plan()) == "no faults"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no json", "JSON list"),
        ("{}", "JSON list"),
        ("[1]", "JSON list"),
        ('[{"operation": "basic.ack"}]', "needs operation, n, action"),
        ('[{"operation": "basic.ack", "n": 0, "action": "reset"}]', "whole number from 1"),
        ('[{"operation": "basic.ack", "n": "all", "action": "reset"}]', r"Fault\('basic.ack', 'all', 'reset'\): 'all' is not a"),
        ('[{"operation": "basic.ack", "n": true, "action": "reset"}]', "whole number from 1"),
    ],
)
def test_what_is_no_plan_is_refused_by_name(text, says):
    with pytest.raises(FaultError, match=says):
        Plan.from_json(text)


def test_one_occurrence_cannot_have_two_faults():
    with pytest.raises(FaultError, match=r"two faults for basic.ack, 1st time"):
        Plan(Fault("basic.ack", 1, "silence"), Fault("basic.ack", 1, "reset", when="before"))


def test_what_is_no_fault_is_no_entry():
    with pytest.raises(FaultError, match="is no fault"):
        Plan("basic.ack")


def test_the_nth_occurrence_comes_before_every_occurrence():
    occurrences = Occurrences(Plan(Fault("a", "every", "x"), Fault("a", 2, "y")))
    assert [str(occurrences.meet("a")) for _ in range(3)] == ["a, every time: x", "a, 2nd time: y", "a, every time: x"]


def test_what_never_happened_is_named_beside_what_did():
    occurrences = Occurrences(Plan(Fault("basic.ack", 2, "silence"), Fault("tx.select", 1, "silence")))
    for _ in range(1234):
        occurrences.meet("basic.publish")
    occurrences.meet("basic.ack")
    with pytest.raises(FaultNotMet) as failure:
        occurrences.check()
    assert str(failure.value).splitlines() == [
        "2 faults of the plan never happened:",
        "  basic.ack, 2nd time: silence - basic.ack happened once",
        "  tx.select, 1st time: silence - tx.select did not happen at all",
        "  what happened while it was in force: basic.publish 1,234 times, basic.ack once",
    ]


# What a plan may say to RabbitMQ


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("basic.delivered", 1, "silence"), "no operation 'basic.delivered'; did you mean 'basic.deliver'"),
        (Fault("basic.ack", 1, "explode"), "no action 'explode'; there are refuse, silence"),
        (Fault("basic.ack", 1, "reset"), 'reset needs when=, which is either "before" or "after"'),
        (Fault("basic.ack", 1, "reset", when="now"), 'when is either "before" or "after"'),
        (Fault("basic.ack", 1, "delay", time="soon"), 'time is a text such as "200ms"'),
        (Fault("basic.ack", 1, "delay", time=timedelta(seconds=1)), 'time is a text such as "200ms"'),
        (Fault("basic.ack", 1, "silence", when="before"), "silence has no option 'when'; it has none"),
        (Fault("basic.ack", 1, "refuse", code=999), "code is one of AMQP's reply codes"),
        (Fault("basic.ack", 1, "nack"), "nack is not possible for basic.ack, only for basic.publish"),
        (
            Fault("basic.deliver", 1, "refuse"),
            "refuse is not possible for basic.deliver",
        ),
        (Fault("basic.publish", 1, "duplicate"), "duplicate is not possible for basic.publish, only for basic.deliver"),
        (Fault("connection.open", 1, "cancel"), "cancel is not possible for connection.open"),
        (Fault("channel.open", 1, "delete_queue", queue="a"), "delete_queue is not possible for channel.open"),
        (Fault("basic.publish", 1, "unknown", applied=1), "applied is True or False"),
        (Fault("basic.publish", 1, "delete_queue"), "delete_queue needs queue=, which is a text"),
    ],
)
def test_an_entry_that_means_nothing_is_refused_with_the_remedy(wire, fault, says):
    with pytest.raises(FaultError) as refusal:
        wire.inject(fault)
    assert says in str(refusal.value)
    assert repr(fault) in str(refusal.value)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("queue.declare-ok", 1, "drop"),
        Fault("basic.deliver", 1, "repeat"),
        Fault("basic.ack", 1, "refuse", code=403),
        Fault("channel.open", 1, "refuse", code=404),
        Fault("queue.declare", 1, "refuse", code=501),
    ],
)
def test_what_no_real_broker_may_do_has_to_be_asked_for(wire, fault):
    with pytest.raises(FaultError, match="legal=False"):
        wire.inject(fault)
    wire.inject(fault, legal=False)


# Refusals


@pytest.mark.parametrize(
    ("operation", "ask", "code"),
    [
        ("queue.declare", Queue.Declare(queue="b"), 403),
        ("exchange.declare", Exchange.Declare(exchange="x"), 403),
        ("basic.consume", Basic.Consume(queue="a"), 403),
        ("basic.get", Basic.Get(queue="a"), 403),
        ("basic.reject", Basic.Reject(delivery_tag=1), 406),
    ],
)
def test_a_refused_method_closes_its_channel_and_is_not_served(wire, client, operation, ask, code):
    wire.inject(Fault(operation, 1, "refuse"))
    closed = client.call(1, ask)
    assert (closed.name, closed.reply_code) == ("Channel.Close", code)
    assert "b" not in wire.broker.vhost().queues
    client.send(1, Channel.CloseOk())
    client.call(1, Channel.Open())
    assert client.call(1, Queue.Declare(queue="b")).name == "Queue.DeclareOk"  # the second time


def test_what_has_no_refusal_of_its_own_is_refused_with_541_and_closes_the_connection(wire, client):
    wire.inject(Fault("basic.qos", 1, "refuse"))
    closed = client.call(1, Basic.Qos(prefetch_count=1))
    assert (closed.name, closed.reply_code, closed.class_id, closed.method_id) == ("Connection.Close", 541, 60, 10)


def test_a_refusal_says_what_it_is_told_to(wire, client):
    wire.inject(Fault("queue.declare", 1, "refuse", code=405, text="in use elsewhere"))
    closed = client.call(1, Queue.Declare(queue="b"))
    assert (closed.reply_code, closed.reply_text) == (405, "RESOURCE_LOCKED - in use elsewhere")


def test_a_refused_login_reads_as_a_wrong_password_does(wire):
    wire.inject(Fault("connection.start-ok", 1, "refuse"))
    client = Client(wire).raw(PROTOCOL_HEADER)
    client.expect("Connection.Start")
    client.send(0, start_ok("\0guest\0guest")).expect("Connection.Close", reply_code=403)


def test_a_vhost_can_be_refused(wire):
    wire.inject(Fault("connection.open", 1, "refuse"))
    client = Client(wire).raw(PROTOCOL_HEADER)
    client.send(0, start_ok("\0guest\0guest"), Connection.TuneOk(2047, 131_072, 0), Connection.Open("/"))
    *_, closed = client.take()
    assert (closed.name, closed.reply_code) == ("Connection.Close", 530)
    wire.connect()  # the second one may


def test_a_refused_connection_is_reset_before_anything_is_said(wire):
    wire.inject(Fault("connect", 1, "refuse"))
    session = wire.session()
    assert session.closed
    assert session.was_cut
    assert session.bytes_to_send() == b""
    assert not wire.session().closed


# Silence, resets and delays


def test_an_operation_is_served_in_silence_and_the_connection_says_nothing_more(wire, client, consumer):
    wire.inject(Fault("queue.purge", 1, "silence"))
    client.publish(1, "", "a", b"1")
    consumer.take()
    client.publish(1, "", "a", b"2")
    client.send(1, Queue.Purge(queue="a"))
    assert client.silent()
    assert ready(wire) == []  # it was served
    client.send(1, Queue.Declare(queue="b"))
    assert client.silent()
    assert "b" in wire.broker.vhost().queues
    assert consumer.call(1, Queue.Declare(queue="b")).name == "Queue.DeclareOk"  # others are spared


def test_a_silent_connection_is_reset_when_the_plan_is_over(wire, client):
    wire.inject(Fault("queue.purge", 1, "silence"))
    client.send(1, Queue.Purge(queue="a"))
    wire.end()
    wire.wait()
    assert client.session.closed
    assert client.session.was_cut


def test_accepting_a_connection_in_silence_never_says_start(wire):
    wire.inject(Fault("connect", 1, "silence"))
    session = wire.session()
    session.receive(b"AMQP\x00\x00\x09\x01")
    assert session.bytes_to_send() == b""
    assert not session.closed


def test_a_reset_before_an_operation_leaves_it_undone(wire, client):
    wire.inject(Fault("basic.publish", 2, "reset", **BEFORE))
    client.publish(1, "", "a", b"1").publish(1, "", "a", b"2")
    assert ready(wire) == [b"1"]
    assert client.session.closed
    assert client.session.was_cut
    assert client.silent()


def test_a_reset_after_an_operation_leaves_it_done_and_unanswered(wire, confirmed):
    wire.inject(Fault("basic.publish", 2, "reset", **AFTER))
    confirmed.publish(1, "", "a", b"1").publish(1, "", "a", b"2")
    assert ready(wire) == [b"1", b"2"]
    assert [(one.name, one.delivery_tag) for one in confirmed.take()] == [("Basic.Ack", 1)]
    assert confirmed.session.closed


def test_a_reset_comes_even_after_an_operation_that_the_broker_refuses(wire, client):
    wire.inject(Fault("basic.qos", 1, "reset", **AFTER))
    client.send(1, Basic.Qos(prefetch_size=1))
    assert client.session.closed
    assert client.session.was_cut
    assert client.silent()


def test_what_was_answered_before_a_reset_does_not_depend_on_how_the_octets_arrived(wire):
    def answers(in_one_piece):
        wire = Wire()
        client = wire.connect()
        client.call(1, Queue.Declare(queue="a"))
        client.call(1, Confirm.Select())
        wire.inject(Fault("basic.publish", 3, "reset", **BEFORE))
        octets = b"".join(published(1, "", "a", b"%d" % n) for n in range(3))
        for piece in [octets] if in_one_piece else [octets[i : i + 1] for i in range(len(octets))]:
            client.raw(piece)
        return max(one.delivery_tag for one in client.take())

    assert answers(in_one_piece=True) == answers(in_one_piece=False) == 2


@pytest.mark.parametrize(("when", "heard"), [(BEFORE, []), (AFTER, [b"1"])])
def test_a_connection_is_reset_before_or_after_a_delivery_which_is_requeued(wire, client, consumer, when, heard):
    wire.inject(Fault("basic.deliver", 1, "reset", **when))
    client.publish(1, "", "a", b"1")
    assert [one.body for one in consumer.take()] == heard
    wire.wait()
    assert consumer.session.closed
    assert consumer.session.was_cut
    assert ready(wire) == [b"1"]


def test_a_delayed_operation_waits_and_so_does_all_that_comes_behind_it(wire, confirmed):
    wire.inject(Fault("basic.publish", 2, "delay", time="2s"))
    confirmed.publish(1, "", "a", b"1").publish(1, "", "a", b"2").publish(1, "", "a", b"3")
    assert ready(wire) == [b"1"]
    assert confirmed.session.delayed
    assert not confirmed.session.reading
    assert [one.delivery_tag for one in confirmed.take()] == [1]
    wire.wait(1.9)
    assert ready(wire) == [b"1"]
    wire.wait(0.1)
    assert ready(wire) == [b"1", b"2", b"3"]
    assert [one.delivery_tag for one in confirmed.take()] == [3]
    assert confirmed.session.reading


def test_a_delayed_delivery_waits_and_so_does_all_that_is_said_behind_it(wire, client, consumer):
    wire.inject(Fault("basic.deliver", 1, "delay", time="500ms"))
    client.publish(1, "", "a", b"1")
    assert consumer.silent()
    consumer.send(1, Queue.Declare(queue="b"))
    assert consumer.silent()
    wire.wait(0.5)
    assert consumer.names() == ["Basic.Deliver", "Queue.DeclareOk"]


def test_a_delayed_refusal_is_still_answered(wire, client):
    wire.inject(Fault("queue.purge", 1, "delay", time="1s"))
    client.send(1, Queue.Purge(queue="missing"))
    wire.wait(1)
    client.expect("Channel.Close", reply_code=404)


@pytest.mark.parametrize("ask", [Channel.Close(200, "", 0, 0), Channel.Open(), Queue.Declare(queue="b")])
def test_what_was_delayed_on_a_connection_that_has_ended_meanwhile_is_ignored(wire, client, ask):
    wire.inject(Fault(ask.name.lower(), 1, "delay", time="1s"))
    client.send(1, ask)
    wire.restart()
    wire.wait(1)
    client.expect("Connection.Close", reply_code=320)


def test_heartbeats_can_fall_silent(wire):
    client = wire.connect(heartbeat=10)
    wire.inject(Fault("server heartbeat", "every", "silence"))
    wire.wait(15)
    assert client.silent()


def test_a_lost_frame_is_lost_alone(wire, client):
    wire.inject(Fault("queue.declare-ok", 1, "drop"), Fault("queue.delete", 1, "drop"), legal=False)
    client.send(1, Queue.Declare(queue="b"), Queue.Delete(queue="a"), Queue.Declare(queue="c"))
    assert client.names() == ["Queue.DeclareOk"]
    assert list(wire.broker.vhost().queues) == ["a", "b", "c"]


# Publishing


def test_a_nacked_publish_is_routed_nowhere(wire, confirmed):
    wire.inject(Fault("basic.publish", 2, "nack"))
    for body in (b"1", b"2", b"3"):
        confirmed.publish(1, "", "a", body)
    assert [(one.name, one.delivery_tag) for one in confirmed.take()] == [("Basic.Ack", 1), ("Basic.Nack", 2), ("Basic.Ack", 3)]
    assert ready(wire) == [b"1", b"3"]


@pytest.mark.parametrize(("applied", "left"), [(True, [b"1", b"2", b"3"]), (False, [b"1", b"3"])])
def test_a_publish_of_unknown_outcome_is_never_confirmed_nor_covered_by_a_later_confirm(wire, confirmed, applied, left):
    wire.inject(Fault("basic.publish", 2, "unknown", applied=applied))
    for body in (b"1", b"2", b"3"):
        confirmed.publish(1, "", "a", body)
    assert [(one.delivery_tag, one.multiple) for one in confirmed.take()] == [(1, False), (3, False)]
    assert ready(wire) == left


def test_messages_that_arrive_together_behind_an_unknown_outcome_are_confirmed_one_by_one(wire, confirmed):
    wire.inject(Fault("basic.publish", 1, "unknown", applied=True))
    confirmed.raw(b"".join(published(1, "", "a", body) for body in (b"1", b"2", b"3")))
    assert [(one.delivery_tag, one.multiple) for one in confirmed.take()] == [(2, False), (3, False)]


def test_without_confirms_a_nacked_publish_is_lost_in_silence(wire, client):
    wire.inject(Fault("basic.publish", 1, "nack"))
    client.publish(1, "", "a", b"1")
    assert client.silent()
    assert ready(wire) == []


# Delivering


def test_a_duplicate_is_a_second_delivery_with_a_tag_of_its_own(wire, client, consumer):
    wire.inject(Fault("basic.deliver", 1, "duplicate"))
    client.publish(1, "", "a", b"1")
    first = consumer.expect("Basic.Deliver", delivery_tag=1, redelivered=False)
    wire.wait()
    consumer.send(1, Basic.Ack(1))
    second = consumer.expect("Basic.Deliver", delivery_tag=2, redelivered=False)
    assert first.body == second.body == b"1"
    consumer.send(1, Basic.Ack(2))
    assert wire.broker.vhost().queues["a"].ledger.acked == 2


def test_a_duplicate_of_a_quorum_queue_is_a_message_that_was_never_delivered(wire, client):
    client.call(1, Queue.Declare(queue="r", durable=True, arguments={"x-queue-type": "quorum"}))
    client.call(1, Basic.Consume(queue="r"))
    wire.inject(Fault("basic.deliver", 2, "duplicate"))
    client.publish(1, "", "r", b"1")
    client.expect("Basic.Deliver")
    client.send(1, Basic.Nack(1))
    wire.wait()
    again, duplicate = client.take()
    assert (again.redelivered, again.properties.headers) == (True, {"x-delivery-count": 1})
    assert (duplicate.redelivered, duplicate.properties.headers) == (False, None)


def test_a_redelivery_says_so_and_the_first_delivery_is_never_seen(wire, client, consumer):
    wire.inject(Fault("basic.deliver", 1, "redeliver"))
    client.publish(1, "", "a", b"1")
    assert consumer.silent()
    wire.wait()
    assert consumer.expect("Basic.Deliver", delivery_tag=2, redelivered=True).body == b"1"


def test_a_redelivery_does_not_wait_for_a_transaction_of_the_client(wire, client, consumer):
    consumer.call(1, Tx.Select())
    wire.inject(Fault("basic.deliver", 1, "redeliver"))
    client.publish(1, "", "a", b"1")
    wire.wait()
    consumer.expect("Basic.Deliver", delivery_tag=2, redelivered=True)


def test_what_needs_no_ack_cannot_be_redelivered_so_the_entry_has_not_happened(wire, client):
    occurrences = wire.inject(Fault("basic.deliver", 1, "redeliver"))
    client.call(1, Basic.Consume(queue="a", no_ack=True))
    client.publish(1, "", "a", b"1")
    client.expect("Basic.Deliver")
    with pytest.raises(FaultNotMet):
        occurrences.check()


def test_what_is_read_from_a_stream_cannot_be_redelivered_so_the_entry_has_not_happened(wire, client):
    client.call(1, Queue.Declare(queue="s", durable=True, arguments={"x-queue-type": "stream"}))
    client.call(1, Basic.Qos(prefetch_count=1))
    client.call(1, Basic.Consume(queue="s"))
    occurrences = wire.inject(Fault("basic.deliver", 1, "redeliver"))
    client.publish(1, "", "s", b"1")
    client.expect("Basic.Deliver")
    with pytest.raises(FaultNotMet):
        occurrences.check()


def test_a_direct_reply_comes_from_no_queue_so_it_cannot_be_duplicated(wire, client):
    client.call(1, Basic.Consume(queue="amq.rabbitmq.reply-to", no_ack=True))
    plan = wire.inject(Fault("basic.deliver", "every", "duplicate"))
    client.publish(1, "", "a", b"request", Basic.Properties(reply_to="amq.rabbitmq.reply-to"))
    request = client.call(1, Basic.Get(queue="a", no_ack=True))
    client.publish(1, "", request.properties.reply_to, b"reply")
    client.expect("Basic.Deliver")
    assert plan.happened == []


def test_a_repeated_frame_is_the_very_same(wire, client, consumer):
    wire.inject(Fault("basic.deliver", 1, "repeat"), legal=False)
    client.publish(1, "", "a", b"1")
    assert [(one.delivery_tag, one.body) for one in consumer.take()] == [(1, b"1"), (1, b"1")]


def test_a_consumer_is_cancelled_by_the_broker_and_keeps_what_it_holds(wire, client, consumer):
    wire.inject(Fault("basic.deliver", 1, "cancel"))
    client.publish(1, "", "a", b"1").publish(1, "", "a", b"2")
    wire.wait()
    assert consumer.names() == ["Basic.Deliver", "Basic.Cancel"]
    consumer.send(1, Basic.Ack(1))
    assert consumer.silent()
    assert ready(wire) == [b"2"]


def test_a_cancel_without_a_consumer_of_its_own_ends_all_of_the_channel(wire, client):
    client.call(1, Basic.Consume(queue="a", consumer_tag="one"))
    client.call(1, Basic.Consume(queue="a", consumer_tag="two"))
    wire.inject(Fault("basic.qos", 1, "cancel"))
    client.send(1, Basic.Qos(prefetch_count=1))
    wire.wait()
    assert [(one.name, getattr(one.method, "consumer_tag", "")) for one in client.take()] == [
        ("Basic.QosOk", ""),
        ("Basic.Cancel", "one"),
        ("Basic.Cancel", "two"),
    ]


def test_the_queue_of_a_delivery_is_deleted_under_its_consumer(wire, client, consumer):
    wire.inject(Fault("basic.deliver", 1, "delete_queue"))
    client.publish(1, "", "a", b"1")
    wire.wait()
    assert consumer.names() == ["Basic.Deliver", "Basic.Cancel"]
    assert "a" not in wire.broker.vhost().queues


def test_a_queue_is_deleted_by_name_before_what_the_client_sent_behind_it(wire, client):
    wire.inject(Fault("basic.publish", 1, "delete_queue", queue="a"))
    client.publish(1, "", "a", b"1").send(1, Queue.Declare(queue="a", passive=True))
    wire.wait()
    client.expect("Channel.Close", reply_code=404)


# The whole broker


def test_an_alarm_blocks_who_publishes_until_its_time_is_over(wire, client):
    wire.inject(Fault("basic.publish", 1, "block", reason="low on disk", time="1s"))
    client.publish(1, "", "a", b"1").publish(1, "", "a", b"2")
    wire.wait()
    client.expect("Connection.Blocked", reason="low on disk")
    assert ready(wire) == [b"1"]
    wire.wait(1)
    client.expect("Connection.Unblocked")
    assert ready(wire) == [b"1", b"2"]


def test_the_time_of_an_alarm_does_not_end_a_later_one(wire, client):
    wire.inject(Fault("basic.publish", 1, "block", time="1s"))
    client.publish(1, "", "a", b"1")
    wire.wait()
    wire.end()
    wire.broker.block()
    wire.wait(1)
    assert wire.broker.blocked == "low on memory"


def test_an_alarm_without_a_time_ends_with_the_plan(wire, client):
    wire.inject(Fault("basic.publish", 1, "block"))
    client.publish(1, "", "a", b"1").publish(1, "", "a", b"2")
    wire.wait(60)
    assert ready(wire) == [b"1"]
    wire.end()
    wire.wait()
    assert ready(wire) == [b"1", b"2"]


@pytest.mark.parametrize(("when", "left"), [("before", [b"1"]), ("after", [b"1", b"2"])])
def test_a_restart_before_or_after_a_publish(wire, client, consumer, when, left):
    persistent = Basic.Properties(delivery_mode=2)
    client.call(1, Queue.Declare(queue="d", durable=True))
    client.publish(1, "", "d", b"1", persistent)
    wire.inject(Fault("basic.publish", 1, "restart", when=when))
    client.publish(1, "", "d", b"2", persistent).publish(1, "", "d", b"3", persistent)
    wire.wait()
    client.expect("Connection.Close", reply_code=320)
    consumer.expect("Connection.Close", reply_code=320)
    assert ready(wire, "d") == left
    assert "a" not in wire.broker.vhost().queues  # it was not durable


# Whatever a plan says


def faults_of(operation):
    """Every way to befall an operation that is legal."""
    values: dict[str, list[Any]] = {
        "code": [None],
        "text": ["no"],
        "when": ["before", "after"],
        "time": ["1ms", "3s"],
        "applied": [True, False],
        "queue": ["a", "missing"],
        "reason": ["low on disk"],
    }
    for name, action in ACTIONS.items():
        options = [key for key, default in action.options.items() if default is ... or key == "queue"]
        picks = product(*[values[key] for key in options])
        faults = [Fault(operation, 1, name, **dict(zip(options, pick, strict=True))) for pick in picks]
        if action.where(operation):
            yield from filter(action.legal, faults)


EVERYTHING_LEGAL = [fault for operation in sorted(ASKED | SAID) for fault in faults_of(operation)]


def play(plan):
    """Two clients do a bit of everything, whatever befalls them."""
    wire = Wire()
    wire.inject(*plan)
    for number in range(2):
        try:
            client = wire.connect(heartbeat=4)
        except (AssertionError, IndexError, SimbusError):
            continue
        steps = [
            Queue.Declare(queue="a", durable=True),
            Confirm.Select() if number else Tx.Select(),
            Basic.Qos(prefetch_count=2),
            Basic.Consume(queue="a", consumer_tag="c"),
            Basic.Get(queue="a"),
            Basic.Ack(1),
            Basic.Recover(requeue=True),
            Basic.Cancel("c"),
            Exchange.Declare(exchange="x"),
            Queue.Delete(queue="a"),
            Channel.Close(200, "", 0, 0),
            Connection.Close(200, "", 0, 0),
        ]
        for step in steps:
            client.publish(1, "", "a", b"x").send(1 if "Connection" not in step.name else 0, step)
            client.bytes()
            wire.wait(1)
            wire.broker.check()
    wire.end()
    wire.wait(100)
    wire.broker.check()
    for session in wire.sessions:
        session.bytes_to_send()
        session.connection_lost()
    assert wire.broker.connections == []
    return wire


@pytest.mark.parametrize("action", ACTIONS)
def test_after_any_fault_the_broker_is_sound_and_nothing_is_left_of_its_clients(action):
    for fault in EVERYTHING_LEGAL:
        if fault.action == action:
            play([fault])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(EVERYTHING_LEGAL), max_size=6, unique_by=lambda fault: fault.operation))
def test_after_any_faults_the_broker_is_sound_and_nothing_is_left_of_its_clients(plan):
    play(plan)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(EVERYTHING_LEGAL), max_size=6, unique_by=lambda fault: fault.operation))
def test_a_plan_replays(plan):
    once, again = (play(list(Plan.from_json(Plan(*plan).to_json()))) for _ in range(2))
    assert once.occurrences.met == again.occurrences.met
    assert once.occurrences.happened == again.occurrences.happened
