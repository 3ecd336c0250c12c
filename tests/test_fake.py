"""The fake as a test holds it: its verbs, its manners, and how it reads."""

import asyncio
import subprocess
import sys
import unittest
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.errors import HandlerFailed, HandlerRunning, Livelock, UnitError
from simbus.rabbitmq.errors import ChannelError, ConnectionError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.fake import RabbitMQ
from simbus.rabbitmq.options import OptionError


class CardDeclined(Exception):
    pass


class Shop:
    """An application that announces its orders."""

    def __init__(self, publish):
        self.publish = publish

    def place_order(self, number):
        self.publish("bookstore.exchange", "order.placed", {"order": number})


@pytest.fixture
def shop(rabbitmq):
    rabbitmq.declare_exchange("bookstore.exchange", type="topic")
    rabbitmq.declare_queue("order.inventory.queue")
    rabbitmq.declare_queue("audit.queue")
    rabbitmq.bind("audit.queue", "bookstore.exchange", "#")
    rabbitmq.bind("order.inventory.queue", "bookstore.exchange", "order.*")
    return Shop(rabbitmq.publish)


# How it is meant to read


def test_a_declined_payment_is_parked_after_three_attempts(rabbitmq):
    rabbitmq.declare_queue("payments", type="quorum", delivery_limit=2,
                           dead_letter_exchange="", dead_letter_routing_key="parked")  # fmt: skip
    rabbitmq.declare_queue("parked")

    @rabbitmq.consumer("payments", prefetch=10, raises=CardDeclined)  # return = ack, raise = requeue
    def charge(message):
        raise CardDeclined(message.body)

    rabbitmq.publish("", "payments", b'{"order": 7}')

    assert charge.attempts == 3
    assert [m.body for m in rabbitmq.queue("parked")] == [b'{"order": 7}']
    assert rabbitmq.queue("parked")[0].deaths[0].reason == "delivery_limit"


def test_an_offer_expires_after_half_an_hour(rabbitmq):
    rabbitmq.declare_queue("offers", message_ttl="30min")
    rabbitmq.publish("", "offers", b"seat 12A")
    rabbitmq.advance("30min")
    assert rabbitmq.queue("offers") == []


def test_an_order_is_announced_once(rabbitmq, shop):  # the commonest question: did my code publish it?
    shop.place_order(7)
    [order] = rabbitmq.published(routing_key="order.*")
    assert order.json() == {"order": 7} and order.queues == ["order.inventory.queue", "audit.queue"]  # noqa: PT018


def test_a_retry_through_a_delay_queue_sees_its_third_attempt_within_one_advance(rabbitmq):
    rabbitmq.declare_queue("delay", message_ttl="10s", dead_letter_exchange="", dead_letter_routing_key="work")
    rabbitmq.declare_queue("work")
    times = []

    @rabbitmq.consumer("work")
    def work(message):
        times.append(rabbitmq.now)
        if len(times) < 3:
            rabbitmq.publish("", "delay", message.body)

    rabbitmq.publish("", "work", b"task")
    rabbitmq.advance("60s")
    assert [time - times[0] for time in times] == [timedelta(seconds=seconds) for seconds in (0, 10, 20)]


def test_it_works_without_pytest():
    with RabbitMQ() as rabbitmq:
        rabbitmq.declare_queue("q")
        rabbitmq.publish("", "q", b"hello")
        assert [message.text for message in rabbitmq.queue("q")] == ["hello"]


# Declaring


def test_an_unknown_option_is_refused_with_the_word_that_was_meant(rabbitmq):
    with pytest.raises(TypeError, match="no option 'mesage_ttl'; did you mean 'message_ttl'"):
        rabbitmq.declare_queue("q", mesage_ttl="30s")


def test_an_amqp_argument_in_place_of_an_option_names_the_option(rabbitmq):
    with pytest.raises(OptionError, match="did you mean 'message_ttl'"):
        rabbitmq.declare_queue("q", **{"x-message-ttl": 60_000})


def test_a_time_needs_a_unit(rabbitmq):
    with pytest.raises(UnitError, match='write "60s", "60ms" or a timedelta'):
        rabbitmq.declare_queue("q", message_ttl=60)


def test_a_time_finer_than_rabbitmq_counts_is_refused(rabbitmq):
    with pytest.raises(UnitError, match="message_ttl: '1500us' is finer than RabbitMQ counts"):
        rabbitmq.declare_queue("q", message_ttl="1500us")


def test_a_timedelta_is_a_time_too(rabbitmq):
    rabbitmq.declare_queue("q", message_ttl=timedelta(minutes=30), arguments={"x-max-length": 5})
    rabbitmq.declare_queue("q", arguments={"x-message-ttl": 1_800_000}, max_length=5)  # the same queue


def test_a_size_may_have_a_unit(rabbitmq):
    rabbitmq.declare_queue("q", max_length_bytes="1kB")
    rabbitmq.publish("", "q", b"x" * 1001)
    assert rabbitmq.queue("q") == []


def test_an_option_given_twice_is_refused(rabbitmq):
    with pytest.raises(OptionError, match="x-max-length is given twice"):
        rabbitmq.declare_queue("q", max_length=5, arguments={"x-max-length": 5})


def test_an_option_of_the_wrong_kind_is_refused(rabbitmq):
    with pytest.raises(OptionError, match="delivery_limit: '2' is not a whole number"):
        rabbitmq.declare_queue("q", type="quorum", delivery_limit="2")


def test_a_queue_without_a_name_is_given_one(rabbitmq):
    queue = rabbitmq.declare_queue(exclusive=True)
    rabbitmq.publish("", queue.name, b"reply")
    assert queue.name.startswith("amq.gen-")
    assert queue.ready == 1


def test_the_handlers_of_an_exclusive_queue_may_use_it(rabbitmq):
    queue = rabbitmq.declare_queue(exclusive=True)
    handler = rabbitmq.consumer(queue.name)(lambda _message: None)
    rabbitmq.publish("", queue.name)
    assert handler.attempts == 1


def test_an_unbound_queue_gets_no_more(rabbitmq, shop):
    rabbitmq.unbind("audit.queue", "bookstore.exchange", "#")
    shop.place_order(7)
    assert rabbitmq.published[0].queues == ["order.inventory.queue"]


def test_a_deleted_exchange_is_gone(rabbitmq, shop):
    rabbitmq.delete_exchange("bookstore.exchange")
    with pytest.raises(ChannelError, match=r"no exchange 'bookstore\.exchange' in vhost '/'"):
        shop.place_order(7)


def test_a_deleted_queue_is_gone_with_its_messages(rabbitmq):
    view = rabbitmq.declare_queue("q")
    rabbitmq.publish("", "q")
    assert rabbitmq.delete_queue("q") == 1
    assert repr(view) == "<queue q: gone>"
    with pytest.raises(ChannelError, match="404 NOT_FOUND - no queue 'q' in vhost '/'"):
        len(view)


# Publishing


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        (b"\xff", b"\xff", None),
        ("grüße", "grüße".encode(), None),
        ({"order": 7}, b'{"order": 7}', "application/json"),
        ([1, None], b"[1, null]", "application/json"),
    ],
)
def test_a_body_is_bytes_text_or_json(rabbitmq, body, sent, content_type):
    message = rabbitmq.publish("", "nowhere", body)
    assert (message.body, message.properties.content_type) == (sent, content_type)


def test_a_body_of_another_kind_is_refused(rabbitmq):
    with pytest.raises(OptionError, match="body: 7 is not bytes, a text, or a dict or list for JSON"):
        rabbitmq.publish("", "nowhere", 7)


def test_properties_are_keywords(rabbitmq):
    rabbitmq.declare_queue("q")
    rabbitmq.publish(
        "", "q", {"order": 7}, persistent=True, message_id="7", type="order", content_type="text/plain", headers={"a": 1}
    )
    [message] = rabbitmq.queue("q")
    assert (message.message_id, message.properties.type, message.properties.delivery_mode) == ("7", "order", 2)
    assert (message.properties.content_type, message.headers) == ("text/plain", {"a": 1})


def test_an_unknown_property_is_refused_with_the_word_that_was_meant(rabbitmq):
    with pytest.raises(OptionError, match="did you mean 'correlation_id'"):
        rabbitmq.publish("", "q", correlationid="7")


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"message_id": 7}, 'message_id: 7 is not a text; write for example message_id="7"'),
        ({"message_id": "x" * 256}, "message_id: .* has 256 octets"),
        ({"priority": 256}, "priority: 256 is not an octet"),
        ({"delivery_mode": "2"}, "delivery_mode: '2' is not an octet"),
        ({"timestamp": "noon"}, "timestamp: 'noon' is not a datetime"),
        ({"headers": ["a"]}, "headers: .* is not a table"),
        ({"headers": {1: 2}}, "headers: .* has a name that is not a text"),
        ({"headers": {"a": [object]}}, "headers: a field of a table cannot hold"),
    ],
)
def test_a_property_that_no_client_could_send_is_refused(rabbitmq, properties, says):
    rabbitmq.declare_queue("q", max_priority=5)
    with pytest.raises(OptionError, match=says):
        rabbitmq.publish("", "q", **properties)
    assert rabbitmq.queue("q") == []


def test_headers_do_not_change_after_publishing(rabbitmq):
    rabbitmq.declare_queue("q")
    headers = {"attempt": 1}
    rabbitmq.publish("", "q", headers=headers)
    headers["attempt"] = 2
    assert rabbitmq.queue("q")[0].headers == {"attempt": 1}


@pytest.mark.parametrize("expiration", ["30s", "30000", timedelta(seconds=30)])
def test_a_message_expires_after_its_expiration(rabbitmq, expiration):
    rabbitmq.declare_queue("q")
    rabbitmq.publish("", "q", expiration=expiration)
    assert rabbitmq.queue("q")[0].properties.expiration == "30000"
    rabbitmq.advance("29999ms")
    assert rabbitmq.queue("q").ready == 1
    rabbitmq.advance("1ms")
    assert rabbitmq.queue("q").ready == 0


def test_an_expiration_without_a_unit_is_refused(rabbitmq):
    with pytest.raises(UnitError, match="has no unit"):
        rabbitmq.publish("", "q", expiration=30)


def test_a_mandatory_message_that_reaches_no_queue_is_returned(rabbitmq):
    rabbitmq.publish("", "nowhere", b"lost", mandatory=True)
    rabbitmq.publish("", "nowhere", b"not asked for")
    [returned] = rabbitmq.returned
    assert (returned.body, returned.reply_code, returned.reply_text) == (b"lost", 312, "NO_ROUTE")


def test_every_published_message_is_kept_routed_or_not(rabbitmq, shop):
    shop.place_order(7)
    rabbitmq.advance("1s")
    rabbitmq.publish("", "nowhere", b"lost")
    order, lost = rabbitmq.published
    assert (order.exchange, order.routing_key) == ("bookstore.exchange", "order.placed")
    assert lost.queues == []
    assert lost.at - order.at == timedelta(seconds=1)


def test_published_messages_are_picked_by_what_is_given(rabbitmq, shop):
    shop.place_order(7)
    shop.place_order(8)
    rabbitmq.publish("bookstore.exchange", "stock.low", b"{}", headers={"shelf": 3, "warehouse": "north"})
    published = rabbitmq.published
    assert len(published(routing_key="order.*")) == 2
    assert len(published(routing_key="#")) == 3
    assert len(published(routing_key="order")) == 0
    assert len(published(exchange="bookstore.exchange", queue="order.inventory.queue")) == 2
    assert len(published(headers={"shelf": 3})) == 1
    assert len(published(headers={"shelf": None})) == 1
    assert len(published(headers={"shelf": 4})) == 0
    assert [message.json() for message in published(where=lambda message: message.json().get("order") == 8)] == [{"order": 8}]
    assert len(published(queue="audit.queue")(routing_key="stock.#")) == 1


# Queues


def test_a_queue_is_a_sequence_of_what_is_ready(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    assert queue == []
    for body in (b"a", b"b", b"c"):
        rabbitmq.publish("", "q", body)
    assert [message.body for message in queue] == [b"a", b"b", b"c"]
    assert queue[-1].body == b"c"
    assert [message.body for message in queue[:2]] == [b"a", b"b"]
    assert queue == list(queue) == queue.messages
    assert queue[0] in queue


def test_a_queue_says_what_is_ready_and_what_is_unacked(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    for body in (b"a", b"b"):
        rabbitmq.publish("", "q", body)
    queue.get()
    assert (queue.ready, queue.unacked, queue.depth) == (1, 1, 2)
    assert repr(queue) == "<queue q: 1 ready, 1 unacked [<Message b'b' to (default exchange)/q>]>"


def test_a_purged_queue_is_empty(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    rabbitmq.publish("", "q")
    assert queue.purge() == 1
    assert queue == []


def test_a_message_that_was_taken_can_be_rejected_into_the_dead_letter_queue(rabbitmq):
    queue = rabbitmq.declare_queue("q", dead_letter_exchange="", dead_letter_routing_key="dead")
    dead = rabbitmq.declare_queue("dead")
    rabbitmq.publish("", "q", b"bad", expiration="1h")
    queue.get().reject(requeue=False)
    [death] = dead[0].deaths
    assert (death.queue, death.reason, death.count, death.original_expiration) == ("q", "rejected", 1, "3600000")
    assert dead[0].headers["x-death"][0]["time"] == rabbitmq.now


def test_a_message_that_was_given_back_is_redelivered(rabbitmq):
    queue = rabbitmq.declare_queue("q", type="quorum")
    rabbitmq.publish("", "q")
    assert not queue[0].redelivered
    queue.get().nack()
    again = queue.get()
    assert (again.redelivered, again.delivery_count) == (True, 1)
    again.ack()
    assert queue.depth == 0


def test_taking_without_ack_settles_at_once(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    rabbitmq.publish("", "q", b"a")
    assert queue.get(no_ack=True).body == b"a"
    assert queue.get() is None
    assert queue.depth == 0


def test_a_message_that_was_only_looked_at_cannot_be_settled(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    rabbitmq.publish("", "q")
    with pytest.raises(ValueError, match=r"was looked at, not delivered; take it with rabbitmq.queue\('q'\).get\(\)"):
        queue[0].ack()


# Errors are RabbitMQ's


def test_after_a_refused_verb_the_fake_has_a_new_channel(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    rabbitmq.publish("", "q")
    taken = queue.get()
    with pytest.raises(ChannelError) as refusal:
        rabbitmq.publish("nowhere", "q")
    assert (refusal.value.reply_code, refusal.value.reply_text) == (404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'")
    assert queue.ready == 1  # closing the channel requeued what it held
    with pytest.raises(ChannelError, match="unknown delivery tag"):
        taken.ack()
    rabbitmq.publish("", "q")
    assert queue.ready == 2


def test_a_connection_error_ends_the_tests_own_connection_and_no_handlers(rabbitmq):
    rabbitmq.declare_queue("q")
    own = rabbitmq.declare_queue(exclusive=True)
    mine, other = (rabbitmq.consumer(queue)(lambda _message: None) for queue in (own.name, "q"))
    rabbitmq.declare_queue("log", type="stream")
    with pytest.raises(ConnectionError) as refusal:
        rabbitmq.purge("log")
    assert refusal.value.reply_code == 540
    rabbitmq.publish("", "q")
    assert other.attempts == 1
    assert mine.cancelled
    with pytest.raises(ChannelError, match="404"):
        rabbitmq.queue(own.name)


def test_a_queue_that_is_not_there_cannot_be_consumed_or_looked_at(rabbitmq):
    with pytest.raises(ChannelError, match="404 NOT_FOUND - no queue 'q' in vhost '/'"):
        rabbitmq.consumer("q")(print)
    with pytest.raises(ChannelError, match="404 NOT_FOUND - no queue 'q' in vhost '/'"):
        rabbitmq.queue("q")


def test_the_same_queue_with_other_options_is_refused(rabbitmq):
    rabbitmq.declare_queue("q", message_ttl="1s")
    with pytest.raises(ChannelError, match="inequivalent arg 'x-message-ttl' for queue 'q'") as refusal:
        rabbitmq.declare_queue("q", message_ttl="2s")
    assert refusal.value.reply_code == 406


# Handlers


def test_a_handler_that_returns_has_acked(rabbitmq):
    queue = rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    def handle(message):
        assert (queue.unacked, message.body) == (1, b"a")

    rabbitmq.publish("", "q", b"a")
    assert queue.depth == 0
    assert [message.body for message in handle.messages] == [b"a"]


def test_a_handler_is_given_what_waits_already(rabbitmq):
    rabbitmq.declare_queue("q")
    for body in (b"a", b"b"):
        rabbitmq.publish("", "q", body)
    handle = rabbitmq.consumer("q")(lambda _message: None)
    assert [message.body for message in handle.messages] == [b"a", b"b"]


def test_a_handler_that_raises_once_gets_its_message_again(rabbitmq):
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q", raises=CardDeclined)
    def handle(message):
        if not message.redelivered:
            raise CardDeclined

    rabbitmq.publish("", "q")
    assert [message.redelivered for message in handle.messages] == [False, True]
    assert [type(error) for error in handle.exceptions] == [CardDeclined]


def test_prefetch_bounds_what_a_handler_holds(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    for _ in range(5):
        rabbitmq.publish("", "q")
    held = []
    rabbitmq.consumer("q", prefetch=2)(lambda _message: held.append(queue.unacked))
    assert held == [2, 2, 2, 2, 1]


def test_competing_handlers_take_turns(rabbitmq):
    rabbitmq.declare_queue("q")
    first, second = (rabbitmq.consumer("q", prefetch=1)(lambda _message: None) for _ in range(2))
    for number in range(4):
        rabbitmq.publish("", "q", f"{number}")
    assert [message.text for message in first.messages] == ["0", "2"]
    assert [message.text for message in second.messages] == ["1", "3"]


def test_a_handler_may_settle_its_message_itself(rabbitmq):
    queue = rabbitmq.declare_queue("q", dead_letter_exchange="", dead_letter_routing_key="dead")
    dead = rabbitmq.declare_queue("dead")

    @rabbitmq.consumer("q", raises=CardDeclined)
    def handle(message):
        if message.body == b"bad":
            message.reject(requeue=False)
        else:
            message.ack()
            raise CardDeclined

    rabbitmq.publish("", "q", b"bad")
    rabbitmq.publish("", "q", b"good")
    assert handle.attempts == 2
    assert queue.depth == 0
    assert [message.body for message in dead] == [b"bad"]


def test_settling_twice_ends_the_handlers_channel_as_rabbitmq_does(rabbitmq):
    queue = rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q", raises=ChannelError)
    def handle(message):
        message.ack()
        message.ack()

    rabbitmq.publish("", "q")
    rabbitmq.publish("", "q")
    assert [error.reply_code for error in handle.exceptions] == [406]
    assert handle.cancelled
    assert queue.ready == 1


def test_publishing_inside_a_handler_only_queues_work(rabbitmq):
    rabbitmq.declare_queue("q")
    rabbitmq.declare_queue("log")
    order = []

    @rabbitmq.consumer("q")
    def handle(message):
        order.append("begin")
        rabbitmq.publish("", "log", message.body)
        assert len(rabbitmq.published) == 2
        order.append("end")

    rabbitmq.consumer("log")(lambda _message: order.append("log"))
    rabbitmq.publish("", "q")
    assert order == ["begin", "end", "log"]
    assert handle.attempts == 1


def test_a_handler_that_publishes_to_its_own_queue_does_not_recurse(rabbitmq):
    rabbitmq.declare_queue("countdown")

    @rabbitmq.consumer("countdown")
    def count(message):
        if message.json():
            rabbitmq.publish("", "countdown", str(message.json() - 1))

    rabbitmq.publish("", "countdown", "3000")
    assert count.attempts == 3001


def test_a_handler_cannot_advance_the_clock(rabbitmq):
    rabbitmq.declare_queue("q")
    rabbitmq.consumer("q")(lambda _message: rabbitmq.advance("1s"))
    with pytest.raises(HandlerRunning, match="let the test advance it"):
        rabbitmq.publish("", "q")


def test_a_cancelled_handler_gets_no_more(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    handle = rabbitmq.consumer("q")(lambda _message: None)
    handle.cancel()
    handle.cancel()
    rabbitmq.publish("", "q")
    assert handle.attempts == 0
    assert queue.ready == 1


def test_a_handler_that_cancels_itself_gives_back_what_it_was_sent(rabbitmq):
    rabbitmq.declare_queue("delay", message_ttl="1s", dead_letter_exchange="", dead_letter_routing_key="q")
    queue = rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    def stop(_message):
        stop.cancel()

    for body in (b"a", b"b", b"c"):
        rabbitmq.publish("", "delay", body)
    rabbitmq.advance("1s")  # all three arrive together
    assert [message.body for message in stop.messages] == [b"a"]
    assert [message.body for message in queue] == [b"b", b"c"]
    assert queue.unacked == 0


def test_a_handler_hears_that_its_queue_was_deleted(rabbitmq):
    rabbitmq.declare_queue("q")
    handle = rabbitmq.consumer("q")(lambda _message: None)
    rabbitmq.delete_queue("q")
    assert handle.cancelled


def test_a_handler_can_still_be_called_as_a_function(rabbitmq):
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    def double(message):
        """Twice."""
        return 2 * message

    assert double(4) == 8
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert double.attempts == 0


# What leaves publish and advance at once


@pytest.mark.parametrize(
    "leave",
    [
        lambda: pytest.fail("no"),
        lambda: pytest.skip("no"),
        lambda: unittest.TestCase().skipTest("no"),
        hypothesis.reject,
        lambda: sys.exit(3),
        lambda: (_ for _ in ()).throw(AssertionError),
    ],
    ids=["fail", "skip", "unittest", "hypothesis", "exit", "assert"],
)
def test_what_ends_a_test_leaves_publish_at_once(rabbitmq, leave):
    queue = rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    def handle(_message):
        leave()

    with pytest.raises(BaseException) as left:  # noqa: PT011 - of six kinds
        rabbitmq.publish("", "q")
    assert not isinstance(left.value, Livelock)
    assert handle.attempts == 1
    assert queue.unacked == 1
    handle.cancel()


def test_after_a_failed_assertion_the_message_comes_back_and_nothing_is_lost(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    orders = []

    @rabbitmq.consumer("q", prefetch=10)
    def handle(message):
        assert message.redelivered or message.body != b"1"
        orders.append((message.body, message.redelivered))

    with pytest.raises(AssertionError):
        rabbitmq.publish("", "q", b"1")
    assert (queue.ready, queue.unacked) == (0, 1)  # as in a process that was stopped there
    rabbitmq.publish("", "q", b"2")
    assert sorted(orders) == [(b"1", True), (b"2", False)]
    assert queue.depth == 0
    assert handle.exceptions == []
    rabbitmq._broker.check()


@given(outcomes=st.lists(st.sampled_from(["return", "raise", "assert", "reject"]), max_size=40), prefetch=st.integers(1, 4))
def test_whatever_handlers_do_every_message_is_settled_once(outcomes, prefetch):
    rabbitmq = RabbitMQ()
    queue = rabbitmq.declare_queue("q", dead_letter_exchange="", dead_letter_routing_key="dead")
    dead = rabbitmq.declare_queue("dead")
    left, acked = list(outcomes), []

    @rabbitmq.consumer("q", prefetch=prefetch)
    def handle(message):
        outcome = left.pop() if left else "return"
        assert outcome != "assert"
        if outcome == "raise":
            raise CardDeclined
        if outcome == "reject":
            message.reject(requeue=False)
        else:
            acked.append(message.text)

    for number in range(10):
        with suppress(AssertionError):
            rabbitmq.publish("", "q", str(number))
    while queue.depth:
        with suppress(AssertionError):
            rabbitmq.advance("1s")
    rabbitmq._broker.check()
    assert sorted([*acked, *(message.text for message in dead)]) == [str(number) for number in range(10)]


def test_a_failed_assertion_leaves_advance_where_it_happened(rabbitmq):
    rabbitmq.declare_queue("delay", message_ttl="10s", dead_letter_exchange="", dead_letter_routing_key="q")
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    def handle(message):
        assert message.redelivered

    start = rabbitmq.now
    rabbitmq.publish("", "delay")
    with pytest.raises(AssertionError):
        rabbitmq.advance("1min")
    assert rabbitmq.now - start == timedelta(seconds=10)
    rabbitmq.advance("50s")
    assert handle.attempts == 2


def test_naming_an_assertion_in_raises_is_refused(rabbitmq):
    rabbitmq.declare_queue("q")
    with pytest.raises(OptionError, match="raises=AssertionError: such an exception always leaves"):
        rabbitmq.consumer("q", raises=(CardDeclined, AssertionError))(print)


# What a handler raised and no one expected


def failing(rabbitmq, **options):
    """A handler that fails at its first attempt, and has."""
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q", **options)
    def handle(message):
        if not message.redelivered:
            raise CardDeclined("no cover")

    rabbitmq.publish("", "q")
    return handle


def test_an_unexpected_exception_of_a_handler_fails_the_test_in_the_end():
    remedy = r"CardDeclined: no cover\n.*raises=CardDeclined, or read handle\.exceptions"
    with pytest.raises(HandlerFailed, match=remedy) as failure, RabbitMQ() as rabbitmq:
        failing(rabbitmq)
    assert isinstance(failure.value.__cause__, CardDeclined)


def test_an_expected_exception_does_not_fail_the_test():
    with RabbitMQ() as rabbitmq:
        failing(rabbitmq, raises=(ValueError, CardDeclined))


def test_an_exception_that_was_read_does_not_fail_the_test():
    with RabbitMQ() as rabbitmq:
        assert [str(error) for error in failing(rabbitmq).exceptions] == ["no cover"]


def test_an_exception_raised_after_reading_fails_the_test_again():
    rabbitmq = RabbitMQ()
    assert len(failing(rabbitmq).exceptions) == 1
    rabbitmq.publish("", "q")
    with pytest.raises(HandlerFailed, match="raised an exception that the test"):
        rabbitmq.check_handlers()


def test_looking_at_a_handler_is_not_reading_its_exceptions():
    rabbitmq = RabbitMQ()
    handle = failing(rabbitmq)
    assert "1 exceptions" in repr(handle)
    assert "CardDeclined: no cover" in rabbitmq.state()
    with pytest.raises(HandlerFailed):
        rabbitmq.check_handlers()


def test_the_error_of_the_with_block_itself_is_the_one_that_counts():
    with pytest.raises(ZeroDivisionError), RabbitMQ() as rabbitmq:  # noqa: PT012 - both lines are the case
        failing(rabbitmq)
        raise ZeroDivisionError


# Livelock


def test_a_message_that_is_requeued_for_ever_is_a_livelock(rabbitmq):
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q", raises=CardDeclined)
    def handle(_message):
        raise CardDeclined("no cover")

    with pytest.raises(Livelock) as livelock:
        rabbitmq.publish("", "q", b"order 7")
    text = str(livelock.value)
    assert "message 1 was delivered 1,000 times at one instant" in text
    assert "delivery_limit" in text
    assert "CardDeclined: no cover" in text
    assert "enqueued in q" in text
    assert "more effects" in text
    assert handle.attempts == 1000
    assert isinstance(livelock.value.__cause__, CardDeclined)


def test_a_message_rejected_in_a_circle_is_a_livelock(rabbitmq):
    rabbitmq.declare_queue("q", dead_letter_exchange="", dead_letter_routing_key="q")
    rabbitmq.consumer("q")(lambda message: message.reject(requeue=False))
    with pytest.raises(Livelock, match="message 1 was delivered"):
        rabbitmq.publish("", "q")


def test_handlers_that_publish_without_end_are_a_livelock(rabbitmq):
    rabbitmq.declare_queue("ping")
    rabbitmq.declare_queue("pong")
    rabbitmq.consumer("ping")(lambda _message: rabbitmq.publish("", "pong"))
    rabbitmq.consumer("pong")(lambda _message: rabbitmq.publish("", "ping"))
    with pytest.raises(Livelock, match="handlers published 10,000 messages at one instant"):
        rabbitmq.publish("", "ping")


def test_many_attempts_with_time_between_them_are_no_livelock(rabbitmq):
    rabbitmq.declare_queue("delay", message_ttl="1s", dead_letter_exchange="", dead_letter_routing_key="q")
    rabbitmq.declare_queue("q", dead_letter_exchange="", dead_letter_routing_key="delay")
    handle = rabbitmq.consumer("q")(lambda message: message.reject(requeue=False))
    rabbitmq.publish("", "q")
    rabbitmq.advance("1h")
    assert handle.attempts == 3601


def test_many_messages_at_one_instant_are_no_livelock(rabbitmq):
    rabbitmq.declare_queue("q")
    for _ in range(3000):
        rabbitmq.publish("", "q")
    assert rabbitmq.consumer("q")(lambda _message: None).attempts == 3000


# Async handlers


def test_an_async_handler_runs_to_its_end(rabbitmq):
    queue = rabbitmq.declare_queue("q")
    done = []

    @rabbitmq.consumer("q")
    async def handle(message):
        await asyncio.sleep(0)
        done.append((message.body, queue.unacked))

    rabbitmq.publish("", "q", b"a")
    assert done == [(b"a", 1)]
    assert queue.depth == 0


def test_async_handlers_share_one_event_loop(rabbitmq):
    rabbitmq.declare_queue("q")
    loops = set()

    @rabbitmq.consumer("q")
    async def handle(_message):
        loops.add(asyncio.get_running_loop())

    for _ in range(3):
        rabbitmq.publish("", "q")
    assert len(loops) == 1
    assert handle.attempts == 3


def test_an_async_handler_that_raises_is_a_requeue(rabbitmq):
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q", raises=CardDeclined)
    async def handle(message):
        await asyncio.sleep(0)
        if not message.redelivered:
            raise CardDeclined

    rabbitmq.publish("", "q")
    assert handle.attempts == 2


def test_an_assertion_in_an_async_handler_leaves_publish(rabbitmq):
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    async def handle(_message):
        raise AssertionError("seen")

    with pytest.raises(AssertionError, match="seen"):
        rabbitmq.publish("", "q")


def test_inside_an_event_loop_an_async_handler_runs_straight_through(rabbitmq):
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    async def handle(_message):
        await asyncio.sleep(0)

    async def test():
        rabbitmq.publish("", "q")
        return handle.attempts

    assert asyncio.run(test()) == 1


def test_inside_an_event_loop_an_async_handler_cannot_wait_for_it(rabbitmq):
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    async def handle(_message):
        await asyncio.sleep(1)

    async def test():
        rabbitmq.publish("", "q")

    with pytest.raises(HandlerRunning, match=r"await asyncio\.to_thread"):
        asyncio.run(test())


def test_from_another_thread_an_async_handler_may_wait(rabbitmq):
    rabbitmq.declare_queue("q")

    @rabbitmq.consumer("q")
    async def handle(_message):
        await asyncio.sleep(0.001)

    async def test():
        await asyncio.to_thread(rabbitmq.publish, "", "q")
        return handle.attempts

    assert asyncio.run(test()) == 1


# Time


def test_the_clock_starts_at_the_same_moment_in_every_run(rabbitmq):
    assert rabbitmq.now == datetime(2000, 1, 1, tzinfo=UTC)
    rabbitmq.advance("1h30min")
    assert rabbitmq.now == datetime(2000, 1, 1, 1, 30, tzinfo=UTC)


def test_the_clock_can_start_elsewhere():
    assert RabbitMQ(start=datetime(2024, 2, 29, 12, tzinfo=UTC)).now == datetime(2024, 2, 29, 12, tzinfo=UTC)
    with pytest.raises(OptionError, match="has no time zone"):
        RabbitMQ(start=datetime(2024, 2, 29))  # noqa: DTZ001 - that is the mistake


def test_time_to_advance_needs_a_unit(rabbitmq):
    with pytest.raises(UnitError, match='write "30s", "30ms" or a timedelta'):
        rabbitmq.advance(30)


# Texts for people


def test_the_state_shows_queues_consumers_and_time(rabbitmq):
    rabbitmq.declare_queue("payments", type="quorum")
    rabbitmq.declare_queue("parked")
    rabbitmq.publish("", "parked")

    @rabbitmq.consumer("payments", prefetch=10)
    def charge(_message):
        pass

    rabbitmq.advance("1.5s")
    assert rabbitmq.state().splitlines() == [
        "virtual time 2000-01-01 00:00:01 UTC, +1.5 s since the start",
        "",
        "queue     type     ready  unacked  consumers",
        "payments  quorum       0        0  charge (prefetch 10)",
        "parked    classic      1        0  –",
    ]
    assert repr(rabbitmq) == "<RabbitMQ at +1.5 s: payments 0 ready, parked 1 ready>"


def test_the_state_shows_whose_turn_it_is_and_what_is_kept_back(rabbitmq):
    rabbitmq.declare_queue("q", single_active_consumer=True)
    rabbitmq.consumer("q")(max)
    rabbitmq.consumer("q", priority=5)(min)
    rabbitmq.declare_exchange("later", "x-delayed-message", delayed_type="fanout")
    rabbitmq.publish("later", "", headers={"x-delay": 5000})
    options = {"dead_letter_exchange": "none", "dead_letter_strategy": "at-least-once", "overflow": "reject-publish"}
    rabbitmq.declare_queue("orders", type="quorum", message_ttl="1s", **options)
    rabbitmq.publish("", "orders")
    rabbitmq.advance("2s")
    rabbitmq.block("low on disk")
    assert rabbitmq.state().splitlines() == [
        "virtual time 2000-01-01 00:00:02 UTC, +2 s since the start",
        "alarm: low on disk; clients that publish are blocked",
        "",
        "queue   type     ready  unacked  consumers",
        "q       classic      0        0  max, min (priority 5, waits to be the single active one)",
        "orders  quorum       0        0  –",
        "",
        "exchange later delays 1; the next goes on in 3 s",
        "queue orders keeps 1 that no dead-letter queue takes; tried again in 2 min 59 s",
    ]


def test_the_timeline_shows_what_the_handler_raised(rabbitmq):
    failing(rabbitmq, raises=CardDeclined)
    assert rabbitmq.timeline().splitlines() == [
        "the broker",
        "  +0 s  queue q declared",
        "        consumer handle of q started",
        "",
        "message 1 to (default exchange)/q: ",
        "  +0 s  published to (default exchange)/q, routed to q",
        "        enqueued in q",
        "        delivered from q to consumer handle",
        "        handle raised CardDeclined: no cover",
        "        requeued in q",
        "        delivered from q to consumer handle (attempt 2)",
        "        acked in q",
    ]


def test_the_timeline_of_one_message(rabbitmq):
    rabbitmq.publish("", "nowhere", b"one")
    two = rabbitmq.publish("", "nowhere", b"two")
    assert "one" not in rabbitmq.timeline(two)
    assert "two" in rabbitmq.timeline(two)


def test_two_runs_of_one_program_tell_the_same_story():
    program = (
        "from simbus.rabbitmq.fake import RabbitMQ\n"
        "r = RabbitMQ(); r.declare_exchange('x', 'fanout')\n"
        "for name in 'abcdef': r.declare_queue(name, message_ttl='1s'); r.bind(name, 'x')\n"
        "r.publish('x', '', {'a': 1}, headers={'b': 2}); r.advance('1s'); print(r.timeline())"
    )
    stories = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(stories) == 1
    assert "expired" in stories.pop()


def test_the_order_service_of_the_bookstore_publishes_persistent_json_with_an_id_and_a_time(rabbitmq):
    rabbitmq.declare_exchange("bookstore.exchange", "topic")
    placed = datetime(2026, 11, 23, 12, tzinfo=UTC)
    order = {"order": 7, "lines": 3}
    rabbitmq.publish("bookstore.exchange", "order.placed", order, persistent=True, message_id="7", timestamp=placed)
    [published] = rabbitmq.published(routing_key="order.placed")
    assert published.json() == order
    properties = published.properties
    assert (properties.delivery_mode, properties.content_type, properties.message_id) == (2, "application/json", "7")
    assert properties.timestamp == placed


@pytest.mark.parametrize(
    ("mistake", "remedy"),
    [
        (lambda r: r.consumer(print), r'@rabbitmq\.consumer\("payments"\)'),
        (lambda r: r.consumer("q", prefetch=-1), "prefetch: -1 is not a whole number from 1"),
        (lambda r: r.consumer("q", prefetch=True), "prefetch: True"),
        (lambda r: r.consumer("q", raises="ValueError"), "raises: 'ValueError' is not a class of exceptions"),
    ],
)
def test_a_consumer_that_cannot_be_is_refused_at_once(rabbitmq, mistake, remedy):
    rabbitmq.declare_queue("q")
    with pytest.raises(OptionError, match=remedy):
        mistake(rabbitmq)


def as_pika_has_it(channel, method, properties, body):
    pass


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (as_pika_has_it, r"as_pika_has_it\(channel, method, properties, body\): a handler .*: def charge\(message\):"),
        (lambda: None, r"<lambda>\(\): a handler is called with one argument, the message"),
        (lambda **named: named, r"<lambda>\(\*\*named\): a handler"),
    ],
)
def test_a_function_that_takes_no_message_is_no_handler(rabbitmq, function, says):
    rabbitmq.declare_queue("q")
    with pytest.raises(OptionError, match=says):
        rabbitmq.consumer("q")(function)


def test_a_function_that_does_not_tell_what_it_takes_may_be_a_handler(rabbitmq):
    rabbitmq.declare_queue("q")
    assert rabbitmq.consumer("q")(max).attempts == 0  # nobody knows its signature
