"""Streams: what RabbitMQ 4.0.5 and 3.10.8 were observed to do, beside the transcripts in ``transcripts/streams``.

There every answer on the wire is compared; here are time, retention, the ledger and what a test holds in its hand.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus import RabbitMQ, Scenario
from simbus.effects import Delivered, Enqueued, Settled
from simbus.errors import NotIdle, ScenarioError, UnitError
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.errors import ChannelError, ConnectionError, RabbitMQError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.fields import Long, LongString
from simbus.rabbitmq.properties import Properties
from tests.brokers import declare, delivered, new_channel, publish, removed, walk
from tests.versions import on_both

STREAM = "s"
DIGITS = "9" * 5000  # more than Python reads


@pytest.fixture(params=["4.0", "3.10"])
def version(request):
    return request.param


@pytest.fixture
def broker(version):
    return Broker(version=version)


@pytest.fixture
def channel(broker):
    return new_channel(broker)


def reader(broker, tag="A", prefetch=100, **arguments):
    """A consumer on a connection of its own; its channel. ``offset=1`` is the argument ``x-stream-offset``."""
    channel = new_channel(broker)
    channel.qos(prefetch)
    table = {f"x-stream-{name.replace('_', '-')}": value for name, value in arguments.items()}
    channel.consume(STREAM, tag, arguments=table)
    return channel


def read(broker):
    return delivered(broker.take_effects())


def stored(broker):
    return [(copy.position, copy.message.body.decode()) for copy in broker.vhost().queues[STREAM].ready]


# The ledger


def test_a_message_is_enqueued_once_and_delivered_to_each(broker, channel):
    declare(channel, STREAM, "stream")
    publish(channel, STREAM, "a")
    one, two = reader(broker, offset="first"), reader(broker, "B", offset="first")
    one.ack(1)
    two.ack(1)
    effects = broker.take_effects()
    assert [type(e) for e in effects if isinstance(e, Enqueued | Delivered | Settled)] == [Enqueued, Delivered, Delivered]
    assert stored(broker) == [(0, "a")]
    broker.check()


def test_messages_are_stored_whatever_they_say(broker, channel):
    declare(channel, STREAM, "stream")
    publish(channel, STREAM, "a b", delivery_mode=1, expiration="1")
    walk(broker, 1000)
    broker.restart()
    assert stored(broker) == [(0, "a"), (1, "b")]
    publish(new_channel(broker), STREAM, "c")
    reader(broker, offset=1)
    assert read(broker).endswith("Ab Ac")
    broker.check()


def test_a_delivery_from_a_stream_may_be_held_for_too_long():
    broker = Broker(version="4.0")
    channel = new_channel(broker)
    declare(channel, STREAM, "stream", consumer_timeout=1000)
    publish(channel, STREAM, "a")
    slow, quick = reader(broker, "slow", offset="first"), reader(broker, "quick", offset="first")
    quick.ack(1)
    walk(broker, 121_000)
    assert (slow.closed, quick.closed) == (True, False)
    broker.check()


def test_a_deleted_stream_takes_its_messages_with_it(broker, channel):
    declare(channel, STREAM, "stream")
    publish(channel, STREAM, "a b")
    holder = reader(broker, offset="first")
    assert channel.queue_delete(STREAM) == 0
    assert removed(broker.take_effects()) == ["deleted", "deleted"]
    holder.ack(0, multiple=True)
    broker.check()


def test_a_transaction_stores_its_messages_at_the_commit(broker, channel):
    declare(channel, STREAM, "stream")
    channel.tx_select()
    publish(channel, STREAM, "a b")
    assert stored(broker) == []
    channel.tx_commit()
    assert stored(broker) == [(0, "a"), (1, "b")]


# Offsets


def test_a_time_is_the_first_message_that_was_stored_then_or_later(broker, channel):
    declare(channel, STREAM, "stream")
    for second in "abcd":
        publish(channel, STREAM, second)
        walk(broker, 2000)
    broker.take_effects()
    for tag, at in (("A", 0), ("B", 2), ("C", 3), ("D", 6), ("E", 7)):
        reader(broker, tag, offset=datetime(1970, 1, 1, 0, 0, at, tzinfo=UTC))
    assert read(broker) == "Aa Ab Ac Ad Bb Bc Bd Cc Cd Dd"
    publish(channel, STREAM, "e")
    assert read(broker) == "Ae Be Ce De Ee"


def test_an_interval_counts_from_now(broker, channel):
    declare(channel, STREAM, "stream")
    for minute in "abc":
        publish(channel, STREAM, minute)
        walk(broker, 60_000)
    broker.take_effects()
    reader(broker, "A", offset="2m")
    reader(broker, "B", offset="1h")
    assert read(broker) == "Ab Ac Ba Bb Bc"


@pytest.mark.parametrize("age", [f"{DIGITS}Y", "99999999999999999999999999D"])
def test_an_age_may_have_any_number_of_digits(broker, channel, age):
    """Both versions take them all (observed)."""
    declare(channel, STREAM, "stream", max_age=age)
    publish(channel, STREAM, "a")
    walk(broker, 60_000)
    reader(broker, offset=age)
    assert read(broker) == "Aa"


@pytest.mark.parametrize("age", ["", "D", "٣D", "+3D", LongString(b"\xff")])
def test_rabbitmq_stumbles_over_an_age_without_a_number(channel, age):
    with pytest.raises(ConnectionError) as refused:
        declare(channel, STREAM, "stream", max_age=age)
    assert refused.value.reply_code == 541


@pytest.mark.parametrize("age", ["0D", "7", "7x", "7D ", LongString(b"7\xff")])
def test_what_is_no_age_is_refused(channel, age):
    with pytest.raises(ChannelError) as refused:
        declare(channel, STREAM, "stream", max_age=age)
    assert refused.value.reply_text.endswith("invalid arg 'x-max-age' for queue 's' in vhost '/': invalid_max_age")


def test_an_offset_in_the_future_is_waited_for(broker, channel):
    declare(channel, STREAM, "stream")
    reader(broker, offset=2)
    publish(channel, STREAM, "a b c d")
    assert read(broker) == "Ac Ad"


def test_declaring_again_tells_a_count_of_every_five_seconds(broker, channel):
    declare(channel, STREAM, "stream")
    publish(channel, STREAM, "a b")
    walk(broker, 4999)
    assert channel.queue_declare(STREAM, passive=True) == (STREAM, 0, 0)
    walk(broker, 1)
    publish(channel, STREAM, "c")
    reader(broker)
    walk(broker, 1)
    assert channel.queue_declare(STREAM, passive=True) == (STREAM, 2, 0)


# Retention


def test_whole_segments_go_when_there_is_too_much(broker, channel):
    """Forty messages of 2000 bytes leave what 4.0.5 and 3.10.8 left: a segment takes five, and an offset of its own."""
    declare(channel, STREAM, "stream", max_length_bytes=20_000, stream_max_segment_size_bytes=10_000)
    for _ in range(40):
        channel.publish("", STREAM, bytes(2000))
    assert [offset for offset, _ in stored(broker)] == [36, 37, 38, 39, 40, 42, 43, 44, 45, 46]
    assert removed(broker.take_effects()) == ["max_length_bytes"] * 30
    assert broker.vhost().queues[STREAM].ready_bytes == 20_000
    broker.check()


def test_the_segment_that_begins_counts(broker, channel):
    """As 4.0.5 and 3.10.8 left nine of forty."""
    declare(channel, STREAM, "stream", max_length_bytes=20_000, stream_max_segment_size_bytes=100)
    for _ in range(40):
        channel.publish("", STREAM, bytes(2000))
    assert [offset for offset, _ in stored(broker)] == list(range(62, 80, 2))


def test_the_segment_that_is_written_to_stays(broker, channel):
    declare(channel, STREAM, "stream", max_length_bytes=0, stream_max_segment_size_bytes=5000)
    for _ in range(40):
        channel.publish("", STREAM, bytes(2000))
    assert [offset for offset, _ in stored(broker)] == [52]


def test_what_is_too_old_goes_when_a_segment_begins(broker, channel):
    declare(channel, STREAM, "stream", max_age="10s", stream_max_segment_size_bytes=2)
    publish(channel, STREAM, "a b c d")
    walk(broker, 60_000)
    assert [body for _, body in stored(broker)] == ["a", "b", "c", "d"], "nothing happens by itself"
    publish(channel, STREAM, "e")
    assert stored(broker) == [(6, "e")]
    assert removed(broker.take_effects()) == ["max_age"] * 4
    broker.check()


def test_a_segment_is_as_old_as_its_last_message(broker, channel):
    declare(channel, STREAM, "stream", max_age="10s", stream_max_segment_size_bytes=2)
    publish(channel, STREAM, "a")
    walk(broker, 9000)
    publish(channel, STREAM, "b")
    walk(broker, 9000)
    publish(channel, STREAM, "c")
    assert [body for _, body in stored(broker)] == ["a", "b", "c"]


def of_nine(broker, channel, definition):
    """What is left of nine messages, two to a segment, when a policy comes; and what of the three that come after."""
    declare(channel, STREAM, "stream", stream_max_segment_size_bytes=3000)
    for number in range(9):
        channel.publish("", STREAM, str(number).ljust(2000).encode())
    walk(broker, 3000)
    broker.set_policy("/", "p", "^s$", definition)
    left = [offset for offset, _ in stored(broker)]
    for number in range(3):
        channel.publish("", STREAM, f"n{number}".ljust(2000).encode())
    broker.check()
    return left, [offset for offset, _ in stored(broker)]


def test_a_policy_about_size_is_heeded_at_once(broker, channel):
    assert of_nine(broker, channel, {"max-length-bytes": 5000}) == ([12], [15, 16])


def test_a_policy_about_age_is_heeded_at_once(broker, channel):
    assert of_nine(broker, channel, {"max-age": "1s"}) == ([12], [12, 13, 15, 16])


def test_a_policy_does_not_change_the_segments_of_a_stream_that_is_there(broker, channel):
    of_nine(broker, channel, {"stream-max-segment-size-bytes": 500})
    assert [offset for offset, _ in stored(broker)] == [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16]


def test_a_reader_whose_place_is_gone_reads_what_is_left(broker, channel):
    declare(channel, STREAM, "stream", max_length_bytes=2, stream_max_segment_size_bytes=2)
    slow = reader(broker, prefetch=1)
    publish(channel, STREAM, "a b c d e f g")
    assert read(broker) == "Aa"
    slow.ack(1)
    assert read(broker).split()[0] == f"A{stored(broker)[0][1]}" != "Ab"


# Versions


def answers(version, verb):
    """The refusal that a verb gets on a channel beside a stream of that version, which holds two messages; or nothing."""
    channel = new_channel(Broker(version=version))
    declare(channel, STREAM, "stream")
    publish(channel, STREAM, "a b")
    channel.qos(9)
    try:
        verb(channel)
    except RabbitMQError as refusal:
        return f"{refusal.reply_code} {refusal.reason}"
    return None


@on_both(
    "stream_wants_prefetch",
    {
        "4.0": "406 consumer prefetch count is not set for stream queue 's' in vhost '/'",
        "3.10": "406 consumer prefetch count is not set for 'queue 's' in vhost '/''",
    },
)
def test_a_prefetch_is_wanted(version, expected):
    assert answers(version, lambda channel: (channel.qos(0), channel.consume(STREAM))) == expected


@on_both(
    "stream_wants_acks",
    {
        "4.0": "540 automatic acknowledgement not supported by stream queue 's' in vhost '/'",
        "3.10": "540 automatic acknowledgement not supported by stream queues queue 's' in vhost '/'",
    },
)
def test_acknowledgements_are_wanted(version, expected):
    assert answers(version, lambda channel: channel.consume(STREAM, no_ack=True)) == expected


@on_both(
    "streams_take_returns",
    {"4.0": None, "3.10": "540 basic.nack and basic.reject not supported by stream queues queue 's' in vhost '/'"},
)
@pytest.mark.parametrize("verb", [Channel.nack, Channel.reject])
def test_nothing_can_be_returned_to_a_stream(version, expected, verb):
    assert answers(version, lambda c: (c.consume(STREAM, arguments={"x-stream-offset": 0}), verb(c, 1))) == expected


@on_both("streams_have_filters", {"4.0": ["b"], "3.10": ["a", "b"]})
def test_a_filter_is_heeded_or_ignored(version, expected):
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, STREAM, "stream")
    for value in "ab":
        publish(channel, STREAM, value, headers={"x-stream-filter-value": value})
    reader(broker, "", offset="first", filter="b")
    assert [effect.message.body.decode() for effect in broker.take_effects() if isinstance(effect, Delivered)] == expected


@on_both(
    "failover_cancels",
    {
        "4.0": None,
        "3.10": "406 invalid arg 'x-cancel-on-ha-failover' for queue 's' in vhost '/' of queue type rabbit_stream_queue",
    },
)
def test_a_cancel_on_failover_is_for_classic_queues(version, expected):
    assert answers(version, lambda channel: channel.consume(STREAM, arguments={"x-cancel-on-ha-failover": True})) == expected


def kept(version, **properties):
    """The properties that a message has in a stream."""
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, STREAM, "stream")
    publish(channel, STREAM, "a", **properties)
    return broker.vhost().queues[STREAM].ready[0].message.properties


@on_both("streams_tell_delivery_mode", {"4.0": 1, "3.10": None})
def test_a_message_that_is_not_persistent_says_so(version, expected):
    assert kept(version).delivery_mode == expected
    assert kept(version, delivery_mode=2).delivery_mode == 2


@on_both("streams_keep_annotations", {"4.0": ["x-a", "CC", "x-stream-offset"], "3.10": ["x-stream-offset"]})
def test_lists_among_the_headers_are_lost(version, expected):
    assert list(kept(version, headers={"a": [1], "x-a": [1], "CC": ["b"]}).headers) == expected


@on_both("streams_take_dead_letters", {"4.0": [(0, "a")], "3.10": []})
def test_dead_letters_reach_a_stream_or_not(version, expected):
    broker = Broker(version=version)
    channel = new_channel(broker)
    declare(channel, STREAM, "stream")
    declare(channel, "q", dead_letter_exchange="", dead_letter_routing_key=STREAM)
    publish(channel, "q", "a")
    channel.reject(channel.get("q").delivery.delivery_tag, requeue=False)
    assert stored(broker) == expected
    broker.check()


def test_a_refused_return_leaves_all_as_it_was(broker, channel, version):
    declare(channel, STREAM, "stream")
    declare(channel, "q")
    publish(channel, "q", "x")
    publish(channel, STREAM, "a b")
    client = reader(broker, offset="first")
    client.get("q")
    if version == "4.0":
        client.nack(0, multiple=True)
        assert not client.unacked
    else:
        for refused in (lambda: client.nack(0, multiple=True), client.recover):
            with pytest.raises(ConnectionError):
                refused()
            assert list(client.unacked) == [1, 2, 3]
    broker.check()


def test_a_wrong_filter_value_reaches_no_queue(version, channel, broker):
    declare(channel, STREAM, "stream")
    declare(channel, "q")
    for queue in (STREAM, "q"):
        channel.queue_bind(queue, "amq.fanout")
    wrong = Properties(headers={"x-stream-filter-value": 5})
    if version == "4.0":
        with pytest.raises(ConnectionError, match="541 INTERNAL_ERROR"):
            channel.publish("amq.fanout", "", b"a", wrong)
        assert not broker.vhost().queues["q"].ready
    else:
        channel.publish("amq.fanout", "", b"a", wrong)
    channel.publish("", "q", b"a", wrong)


# What a test holds in its hand


def test_a_view_shows_what_the_stream_holds(rabbitmq):
    orders = rabbitmq.declare_queue("orders", type="stream")
    rabbitmq.publish("", "orders", b"book")

    @rabbitmq.consumer("orders", prefetch=1, stream_offset="first")
    def audit(message):
        assert orders.unacked == 1
        assert orders.depth == 1

    assert [message.body for message in orders] == [b"book"]
    assert orders[0].headers == {"x-stream-offset": 0}
    assert isinstance(orders[0].headers["x-stream-offset"], Long)
    assert (orders.ready, orders.unacked, orders.depth) == (1, 0, 1)
    assert not audit.messages[0].redelivered
    assert "orders" in rabbitmq.state()


def test_a_handler_that_fails_is_not_asked_again(rabbitmq):
    """RabbitMQ 4.0 takes the basic.nack for an acknowledgement."""
    rabbitmq.declare_queue("orders", type="stream")

    @rabbitmq.consumer("orders", prefetch=1, raises=ValueError)
    def audit(message):
        raise ValueError

    rabbitmq.publish("", "orders", b"a")
    rabbitmq.publish("", "orders", b"b")
    assert [message.body for message in audit.messages] == [b"a", b"b"]


@pytest.mark.parametrize("offset", [1, "1h", datetime(2000, 1, 1, 1, tzinfo=UTC)])
def test_a_handler_says_where_it_starts(rabbitmq, offset):
    rabbitmq.declare_queue("orders", type="stream")
    rabbitmq.publish("", "orders", b"a")
    rabbitmq.advance("61min")
    rabbitmq.publish("", "orders", b"b")
    audit = rabbitmq.consumer("orders", prefetch=9, stream_offset=offset)(lambda _message: None)
    assert [message.body for message in audit.messages] == [b"b"]


def test_a_handler_names_the_filter_values_that_it_wants(rabbitmq):
    rabbitmq.declare_queue("orders", type="stream")
    for body, value in ((b"a", "eu"), (b"b", "us"), (b"c", None)):
        rabbitmq.publish("", "orders", body, headers={} if value is None else {"x-stream-filter-value": value})
    options = {"prefetch": 9, "stream_offset": "first", "stream_filter": ["eu", "asia"]}
    audit = rabbitmq.consumer("orders", **options)(lambda _message: None)
    lenient = rabbitmq.consumer("orders", **options, stream_match_unfiltered=True)(lambda _message: None)
    assert [message.body for message in audit.messages] == [b"a"]
    assert [message.body for message in lenient.messages] == [b"a", b"c"]


def test_a_handler_of_a_stream_needs_a_prefetch(rabbitmq):
    rabbitmq.declare_queue("orders", type="stream")
    with pytest.raises(ChannelError, match="consumer prefetch count is not set"):
        rabbitmq.consumer("orders")(lambda _message: None)


def test_what_a_stream_stores_is_no_work_and_what_a_consumer_holds_is(rabbitmq):
    rabbitmq.declare_queue("orders", type="stream")
    rabbitmq.publish("", "orders", b"a")
    assert rabbitmq.wait_until_idle()
    held = []

    @rabbitmq.consumer("orders", prefetch=1, stream_offset="first")
    def audit(message):
        held.append(message)
        with pytest.raises(Exception, match="a handler cannot wait"):
            rabbitmq.wait_until_idle()

    assert held
    assert rabbitmq.wait_until_idle()


def test_who_holds_a_message_of_a_stream_is_named():
    import pika

    with RabbitMQ() as rabbitmq:
        rabbitmq.declare_queue("orders", type="stream")
        rabbitmq.publish("", "orders", b"a")
        connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
        client = connection.channel()
        client.basic_qos(prefetch_count=1)
        client.basic_consume("orders", lambda *_: None, consumer_tag="audit", arguments={"x-stream-offset": "first"})
        connection.process_data_events(time_limit=1)
        with pytest.raises(NotIdle, match="queue 'orders': 1 unacked, held by consumer audit"):
            rabbitmq.wait_until_idle(timeout="1ms")
        connection.close()


@pytest.mark.parametrize(
    ("age", "seconds"), [("7d", "604800s"), ("90min", "5400s"), (timedelta(hours=1), "3600s"), ("7D", "7D"), ("1M", "1M")]
)
def test_an_age_is_written_in_either_way(rabbitmq, age, seconds):
    rabbitmq.declare_queue("orders", type="stream", max_age=age)
    rabbitmq.declare_queue("orders", arguments={"x-queue-type": "stream", "x-max-age": seconds})


def test_an_age_is_of_whole_seconds(rabbitmq):
    with pytest.raises(UnitError, match='write whole seconds, such as "2s"'):
        rabbitmq.declare_queue("orders", type="stream", max_age="1500ms")


def test_reset_forgets_what_a_stream_holds(rabbitmq):
    rabbitmq.declare_queue("q")
    channel = new_channel(rabbitmq._broker)
    declare(channel, STREAM, "stream", stream_max_segment_size_bytes=1)
    publish(channel, STREAM, "a b c")
    rabbitmq.reset()
    assert rabbitmq.queue(STREAM) == []
    publish(channel, STREAM, "d")
    assert [m.body for m in rabbitmq.queue(STREAM)] == [b"d"]
    rabbitmq._broker.check()


def test_a_scenario_with_a_stream_is_refused():
    shop = Scenario("shop")
    with pytest.raises(ScenarioError, match=r"queues\.log: log is a stream"):
        shop.queue("log", type="stream")


# Random programs


_STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, 8)),
    st.tuples(st.just("consume"), st.sampled_from(["first", "last", "next", 0, 3, "5s"])),
    st.tuples(st.just("ack"), st.integers(0, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("close"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(0, 6000)),
    st.tuples(st.just("restart"), st.just(0)),
)


class Readers:
    """A stream under a random program, and what each of its consumers has read."""

    def __init__(self):
        self.broker = Broker()
        self.publisher = new_channel(self.broker)
        declare(self.publisher, STREAM, "stream", max_length_bytes=12, max_age="4s", stream_max_segment_size_bytes=5)
        self.channels, self.seen, self.tags = [], {}, 0

    def publish(self, size):
        self.publisher = new_channel(self.broker) if self.publisher.closed else self.publisher
        self.publisher.publish("", STREAM, bytes(size))

    def consume(self, offset):
        self.tags += 1
        self.channels.append(reader(self.broker, f"c{self.tags}", 2, offset=offset))

    def ack(self, which):
        for channel in self.chosen(which):
            channel.ack(0, multiple=True)

    def cancel(self, which):
        for channel in self.chosen(which):
            channel.cancel(next(iter(channel.consumers), ""))

    def close(self, which):
        for channel in self.chosen(which):
            channel.close()

    def chosen(self, which):
        self.channels = [channel for channel in self.channels if not channel.closed]
        return [self.channels[which % len(self.channels)]] if self.channels else []

    def wait(self, milliseconds):
        walk(self.broker, milliseconds)

    def restart(self, _):
        self.broker.restart()

    def note(self):
        for effect in self.broker.take_effects():
            if isinstance(effect, Delivered):
                self.seen.setdefault(effect.consumer_tag, []).append(effect.message.headers["x-stream-offset"])


@given(st.lists(_STEPS, max_size=40))
def test_every_consumer_reads_what_is_stored_in_order_and_once(steps):
    readers = Readers()
    for step, value in steps:
        getattr(readers, step)(value)
        readers.note()
        readers.broker.check()
    for offsets in readers.seen.values():
        assert offsets == sorted(set(offsets))
