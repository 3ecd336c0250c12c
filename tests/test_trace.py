"""The ring of effects, and timelines as a person reads them."""

import pytest

from simbus.trace import Trace, elapsed
from simbus.units import DAY, HOUR, MILLISECOND, MINUTE, SECOND


def test_a_timeline_tells_the_history_of_a_message(broker, channel):
    trace = Trace()
    channel.queue_declare("offers", arguments={"x-message-ttl": 1_800_000})
    channel.publish("", "offers", b"seat 12A")
    broker.advance(30 * MINUTE)
    trace.record(broker.take_effects())
    assert trace.timeline().splitlines() == [
        "the broker",
        "  +0 s  queue offers declared",
        "",
        "message 1 to (default exchange)/offers: seat 12A",
        "     +0 s  published to (default exchange)/offers, routed to offers",
        "           enqueued in offers",
        "  +30 min  removed from offers: expired, discarded",
    ]


def test_a_timeline_is_grouped_by_message(broker, channel):
    trace = Trace()
    channel.queue_declare("q")
    for body in (b"one", b"two"):
        channel.publish("", "q", body)
    channel.ack(channel.get("q").delivery.delivery_tag)
    trace.record(broker.take_effects())
    first, second = trace.timeline(1, 2).split("\n\n")
    assert "one" in first
    assert "acked in q" in first
    assert "two" in second
    assert "acked" not in second


def test_a_timeline_can_be_that_of_one_message(broker, channel):
    trace = Trace()
    channel.queue_declare("q")
    for body in (b"one", b"two"):
        channel.publish("", "q", body)
    trace.record(broker.take_effects())
    assert "one" not in trace.timeline(2)
    assert "two" in trace.timeline(2)


def test_time_is_counted_from_the_origin(broker, channel):
    broker.advance(DAY)
    trace = Trace(broker.now)
    broker.advance(DAY + 1500 * MILLISECOND)
    channel.publish("", "nowhere")
    trace.record(broker.take_effects())
    assert "+1.5 s  published" in trace.timeline()


def test_a_long_history_is_shortened_and_says_so(broker, channel):
    trace = Trace()
    channel.queue_declare("q")
    channel.publish("", "q", b"again and again")
    for _ in range(500):
        channel.nack(channel.get("q").delivery.delivery_tag)
    trace.record(broker.take_effects())
    lines = trace.timeline(1).splitlines()
    assert len(lines) == 1 + 12 + 1 + 8
    assert lines[13].strip() == "… 982 more effects …"


def test_many_messages_are_shortened_and_the_last_are_shown(broker, channel):
    trace = Trace()
    for number in range(100):
        channel.publish("", "nowhere", b"%d" % number)
    trace.record(broker.take_effects())
    groups = trace.timeline().split("\n\n")
    assert len(groups) == 8 + 1 + 12
    assert groups[8] == "… 80 more messages …"
    assert groups[-1].startswith("message 100 ")


def test_the_oldest_effects_fall_out_and_are_counted(broker, channel):
    trace = Trace(most_effects=10)
    for _ in range(25):
        channel.publish("", "nowhere")
    trace.record(broker.take_effects())
    assert len(trace) == 10
    assert trace.dropped == 15
    assert [effect.message_id for effect in trace] == list(range(16, 26))
    assert trace.timeline().startswith("15 older effects fell out of the trace")


def test_large_bodies_push_out_the_oldest(broker, channel):
    trace = Trace(most_body_bytes=1000)
    for number in range(10):
        channel.publish("", "nowhere", bytes([number]) * 300)
    trace.record(broker.take_effects())
    assert [effect.message_id for effect in trace] == [8, 9, 10]


def test_a_body_is_counted_once_however_often_it_is_delivered(broker, channel):
    trace = Trace(most_body_bytes=1000)
    channel.queue_declare("q")
    channel.publish("", "q", b"x" * 900)
    for _ in range(20):
        channel.nack(channel.get("q").delivery.delivery_tag)
    trace.record(broker.take_effects())
    assert trace.dropped == 0


def test_a_long_body_is_shortened(broker, channel):
    trace = Trace()
    channel.publish("", "nowhere", b"x" * 5000)
    trace.record(broker.take_effects())
    title = trace.timeline().splitlines()[0]
    assert title.endswith("xxx… (5,000 bytes)")
    assert len(title) < 130


def test_a_body_that_is_no_text_is_shown_as_bytes(broker, channel):
    trace = Trace()
    channel.publish("", "nowhere", b"\xff\x00")
    trace.record(broker.take_effects())
    assert trace.timeline().splitlines()[0].endswith(r": b'\xff\x00'")


def test_an_empty_trace_says_that_nothing_has_happened():
    assert Trace().timeline() == "nothing has happened"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 s"),
        (250 * MILLISECOND, "250 ms"),
        (1500 * MILLISECOND, "1.5 s"),
        (HOUR + 10 * SECOND, "1 h 10 s"),
        (DAY + 2 * MINUTE + 500 * MILLISECOND, "1 d 2 min 500 ms"),
        (30 * MINUTE, "30 min"),
    ],
)
def test_times_that_differ_look_different(nanoseconds, text):
    assert elapsed(nanoseconds) == text
