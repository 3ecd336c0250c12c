"""What a queue does with copies: TTL, limits, places after a requeue, turns, prefetch, purge and delete.

The tables are what RabbitMQ 4.0.5 was observed to do; ``1*`` is a message that has been delivered before.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.rabbitmq.errors import ChannelError, ConnectionError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.properties import Properties
from simbus.units import MILLISECOND
from tests.brokers import TYPES, consumer, declare, delivered, get, new_channel, publish, ready, refused, removed, tags_of, walk

DIGITS = "7" * 5000  # more than Python reads

both_types = pytest.mark.parametrize("type", TYPES)


# TTL


@both_types
@pytest.mark.parametrize(("ttl", "expiration"), [(100, None), (None, "100"), (100, "5000"), (5000, "100")])
def test_a_message_expires_at_the_smaller_of_both_times(broker, channel, type, ttl, expiration):
    declare(channel, "q", type, **({} if ttl is None else {"message_ttl": ttl}))
    publish(channel, "q", "1", expiration=expiration)
    assert broker.next_deadline == 100 * MILLISECOND
    broker.advance(100 * MILLISECOND - 1)
    assert ready(channel, "q") == "1"
    broker.advance(100 * MILLISECOND)
    assert ready(channel, "q") == ""
    assert removed(broker.take_effects()) == ["expired"]
    assert broker.next_deadline is None


@both_types
def test_a_message_expires_at_the_head_only(broker, channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1")
    publish(channel, "q", "2 3", expiration="10")
    publish(channel, "q", "4", expiration="1000")
    walk(broker, 500)
    assert ready(channel, "q") == "1 2 3 4"
    assert channel.queue_declare("q", passive=True).message_count == 4
    answer = channel.get("q")
    assert answer.delivery.message.body == b"1"
    assert answer.message_count == {"classic": 1, "quorum": 3}[type]  # the expired ones go with the head, or after the count
    assert ready(channel, "q") == "4"
    walk(broker, 500)
    assert ready(channel, "q") == ""


@both_types
def test_a_shorter_expiration_behind_a_longer_one_waits_for_the_head(broker, channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1", expiration="100")
    publish(channel, "q", "2", expiration="10")
    broker.take_effects()
    walk(broker, 99)
    assert ready(channel, "q") == "1 2"
    walk(broker, 1)
    assert removed(broker.take_effects()) == ["expired", "expired"]


@both_types
def test_an_unacked_message_does_not_expire_but_expires_at_once_when_it_comes_back_too_late(broker, channel, type):
    declare(channel, "q", type, message_ttl=100)
    publish(channel, "q", "1")
    tag = get(channel, "q", 1)["1"]
    walk(broker, 1000)
    assert len(channel.vhost.queues["q"].unacked) == 1
    broker.take_effects()
    channel.nack(tag)
    assert ready(channel, "q") == ""
    assert removed(broker.take_effects()) == ["expired"]


@both_types
def test_a_requeue_keeps_the_deadline_of_the_first_enqueue(broker, channel, type):
    declare(channel, "q", type, message_ttl=100)
    publish(channel, "q", "1")
    walk(broker, 60)
    channel.nack(get(channel, "q", 1)["1"])
    assert ready(channel, "q") == "1*"
    walk(broker, 39)
    assert ready(channel, "q") == "1*"
    walk(broker, 1)
    assert ready(channel, "q") == ""


@both_types
@pytest.mark.parametrize("expiration", [None, "0"])
def test_a_ttl_of_zero_reaches_a_waiting_consumer_and_nobody_else(broker, channel, type, expiration):
    declare(channel, "q", type, **({"message_ttl": 0} if expiration is None else {}))
    publish(channel, "q", "1", expiration=expiration)
    assert removed(broker.take_effects()) == ["expired"]
    consumer(broker, "q", "A", prefetch=1)
    publish(channel, "q", "2 3", expiration=expiration)
    effects = broker.take_effects()
    assert delivered(effects) == "A2"
    assert removed(effects) == ["expired"]


@both_types
def test_a_message_of_ttl_zero_behind_another_waits_for_the_head(broker, channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1")
    publish(channel, "q", "2", expiration="0")
    assert ready(channel, "q") == "1 2"
    channel.get("q", no_ack=True)
    assert ready(channel, "q") == ""
    assert removed(broker.take_effects()) == ["expired"]


@both_types
def test_the_expiration_stays_in_the_properties_of_a_delivery(channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1", expiration="60000")
    assert channel.get("q").delivery.message.properties.expiration == "60000"


@pytest.mark.parametrize(
    ("expiration", "why"),
    [
        ("abc", "no_integer"),
        ("", "no_integer"),
        (" 5", "no_integer"),
        ("-1", "{value_negative,-1}"),
        ("1.5", '{leftover_string,".5"}'),
        ("5 ", '{leftover_string," "}'),
        ("315360000001", "{value_too_large,315360000001}"),
        (DIGITS, f"{{value_too_large,{DIGITS}}}"),
        (f"-00{DIGITS}", f"{{value_negative,-{DIGITS}}}"),
        (f"{DIGITS}s", '{leftover_string,"s"}'),
    ],
)
def test_an_expiration_that_is_no_time_is_refused_even_without_a_queue(broker, channel, expiration, why):
    with pytest.raises(ChannelError) as refusal:
        channel.publish("", "nosuch", b"", Properties(expiration=expiration))
    assert refusal.value.reply_text == f"PRECONDITION_FAILED - invalid expiration '{expiration}': {why}"
    assert refusal.value.reply_code == 406
    assert broker.take_effects() == []


@pytest.mark.parametrize(("expiration", "milliseconds"), [("0007", 7), ("+7", 7), ("315360000000", 315360000000)])
def test_an_expiration_may_have_leading_zeros_and_a_plus(broker, channel, expiration, milliseconds):
    declare(channel, "q")
    publish(channel, "q", "1", expiration=expiration)
    assert broker.next_deadline == milliseconds * MILLISECOND


# Dropping heads


@both_types
def test_drop_head_keeps_the_newest(broker, channel, type):
    declare(channel, "q", type, max_length=3)
    publish(channel, "q", "1 2 3 4 5")
    assert ready(channel, "q") == "3 4 5"
    assert removed(broker.take_effects()) == ["maxlen", "maxlen"]


@both_types
def test_only_ready_messages_count_for_a_limit_and_a_requeue_over_it_trims_the_head(broker, channel, type):
    declare(channel, "q", type, max_length=3)
    publish(channel, "q", "1 2 3")
    get(channel, "q", 2)
    publish(channel, "q", "4 5")
    assert ready(channel, "q") == "3 4 5"
    broker.take_effects()
    channel.nack(0, multiple=True)
    assert ready(channel, "q") == "3 4 5"
    assert removed(broker.take_effects()) == ["maxlen", "maxlen"]


@both_types
def test_all_that_one_nack_returns_is_in_its_place_before_the_head_is_trimmed(broker, channel, type):
    # With 2, then 1, to come back: trimming after each would drop only 2 in a classic queue and keep 1, which now fits.
    declare(channel, "q", type, max_length_bytes=10)
    first = consumer(broker, "q", "X", 1)
    publish(channel, "q", "1")
    second = consumer(broker, "q", "Y", 2)
    publish(channel, "q", "2222222222")
    first.cancel("X")
    first.nack(0, multiple=True)
    second.cancel("Y")
    publish(channel, "q", "3")
    second.nack(0, multiple=True)
    assert ready(channel, "q") == {"classic": "3", "quorum": "1* 3"}[type]


@both_types
def test_a_limit_in_bytes_counts_bodies_only(channel, type):
    declare(channel, "q", type, max_length_bytes=10)
    for body in (b"666666", b"4444", b"22"):
        channel.publish("", "q", body, Properties(headers={"long": "x" * 100}))
    assert ready(channel, "q") == "4444 22"


@both_types
def test_a_body_larger_than_the_limit_drops_everything_and_itself(broker, channel, type):
    declare(channel, "q", type, max_length_bytes=10)
    publish(channel, "q", "666666")
    channel.publish("", "q", b"x" * 11)
    assert ready(channel, "q") == ""
    assert removed(broker.take_effects()) == ["maxlen", "maxlen"]


@both_types
def test_a_limit_of_zero_still_serves_a_waiting_consumer(broker, channel, type):
    declare(channel, "q", type, max_length=0)
    publish(channel, "q", "1")
    consumer(broker, "q", "A", prefetch=1)
    publish(channel, "q", "2 3")
    effects = broker.take_effects()
    assert delivered(effects) == "A2"
    assert removed(effects) == ["maxlen", "maxlen"]


def test_heads_are_dropped_as_consumers_would_see_them(channel):
    """1-3, nack 2, nack 1, with room; then 4 and 5: a quorum queue holds 2 before 1."""
    for type, left in (("classic", "2* 3 4"), ("quorum", "1* 3 4")):
        declare(channel, type, type, max_length=3)
        publish(channel, type, "1 2 3")
        tags = get(channel, type, 2)
        channel.nack(tags["2"])
        channel.nack(tags["1"])
        publish(channel, type, "4")
        assert ready(channel, type) == left


# Refusing publishers


def fill(channel, queue, bodies):
    """``1+ 2+ 3-``: which of the bodies were accepted."""
    result = []
    for body in bodies.split(" "):
        channel.vhost.node.effects.clear()
        channel.publish("", queue, body.strip("'").encode())
        result.append(body + ("-" if refused(channel.vhost.node.effects) else "+"))
    return " ".join(result)


@pytest.mark.parametrize("overflow", ["reject-publish", "reject-publish-dlx"])
def test_a_classic_queue_refuses_what_would_exceed_its_limit(channel, overflow):
    declare(channel, "q", max_length=2, overflow=overflow)
    assert fill(channel, "q", "1 2 3 4") == "1+ 2+ 3- 4-"
    channel.get("q", no_ack=True)
    assert fill(channel, "q", "5 6") == "5+ 6-"
    get(channel, "q", 2)
    assert fill(channel, "q", "7 8 9") == "7+ 8+ 9-"


def test_a_classic_queue_refuses_by_bytes(channel):
    declare(channel, "q", max_length_bytes=10, overflow="reject-publish")
    assert fill(channel, "q", "666666 4444 '' 1") == "666666+ 4444+ ''+ 1-"
    declare(channel, "empty", max_length_bytes=10, overflow="reject-publish")
    assert fill(channel, "empty", "x" * 11) == "x" * 11 + "-"


def test_a_classic_queue_with_a_limit_of_zero_refuses_even_beside_a_waiting_consumer(broker, channel):
    declare(channel, "q", max_length=0, overflow="reject-publish")
    consumer(broker, "q", "A", prefetch=1)
    assert fill(channel, "q", "1") == "1-"


@both_types
def test_a_requeue_over_a_reject_publish_limit_keeps_everything(broker, channel, type):
    declare(channel, "q", type, max_length=2, overflow="reject-publish")
    publish(channel, "q", "1 2")
    get(channel, "q", 2)
    publish(channel, "q", "5 6")
    broker.take_effects()
    channel.nack(0, multiple=True)
    assert ready(channel, "q") == "1* 2* 5 6"
    assert removed(broker.take_effects()) == []


def test_a_queue_that_refuses_does_not_take_the_copy_of_another(channel):
    declare(channel, "full", max_length=0, overflow="reject-publish")
    declare(channel, "free")
    for queue in ("full", "free"):
        channel.queue_bind(queue, "amq.fanout")
    channel.publish("amq.fanout", "", b"1")
    assert (ready(channel, "full"), ready(channel, "free")) == ("", "1")
    assert refused(channel.vhost.node.effects) == 1
    node = channel.vhost.node
    assert (node.messages, node.routed, node.refused, node.unroutable) == (1, 1, 0, 0)


@pytest.mark.parametrize(("limit", "accepted"), [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6), (10, 11)])
def test_a_quorum_queue_takes_one_more_than_its_limit_before_it_refuses(channel, limit, accepted):
    declare(channel, "q", "quorum", max_length=limit, overflow="reject-publish")
    assert fill(channel, "q", " ".join("x" * 14)).count("+") == accepted


@pytest.mark.parametrize(("limit", "resumes_at"), [(10, 8), (5, 4), (3, 2), (2, 1), (1, 0), (0, 0)])
def test_a_quorum_queue_refuses_until_it_has_drained_to_four_fifths(channel, limit, resumes_at):
    declare(channel, "q", "quorum", max_length=limit, overflow="reject-publish")
    fill(channel, "q", " ".join("x" * 14))
    while len(channel.vhost.queues["q"].ready) > resumes_at:
        assert fill(channel, "q", "x") == "x-"
        channel.get("q")  # unacked is drained, too
    assert fill(channel, "q", " ".join("x" * 14)).count("+") == limit + 1 - resumes_at


def test_a_quorum_queue_refuses_by_bytes_after_the_fact(channel):
    declare(channel, "q", "quorum", max_length_bytes=10, overflow="reject-publish")
    assert fill(channel, "q", "666666 4444 '' 1 1") == "666666+ 4444+ ''+ 1+ 1-"


def test_a_quorum_queue_serves_a_waiting_consumer_before_it_counts(broker, channel):
    declare(channel, "q", "quorum", max_length=0, overflow="reject-publish")
    consumer(broker, "q", "A", prefetch=1)
    assert fill(channel, "q", "1 2 3") == "1+ 2+ 3-"


def test_a_quorum_queue_stops_and_restarts_all_its_publishers_together(broker):
    """Limit 10, observed: B+ A+ (10 times), get 1, A- B-, get 1, B-, get 1, B+ B+ B+ B- A-, get 4, A+ A+ B+ B+ B-."""
    a, b, drain = new_channel(broker), new_channel(broker), new_channel(broker)
    declare(a, "q", "quorum", max_length=10, overflow="reject-publish")

    def take(count):
        for _ in range(count):
            drain.get("q", no_ack=True)

    assert fill(b, "q", "B") == "B+"
    assert fill(a, "q", " ".join("A" * 10)).count("+") == 10
    take(1)
    assert (fill(a, "q", "A"), fill(b, "q", "B")) == ("A-", "B-")
    take(1)
    assert fill(b, "q", "B") == "B-"
    take(1)
    assert (fill(b, "q", "B B B B"), fill(a, "q", "A")) == ("B+ B+ B+ B-", "A-")
    take(4)
    assert (fill(a, "q", "A A"), fill(b, "q", "B B B")) == ("A+ A+", "B+ B+ B-")


def test_a_requeue_stops_the_publishers_of_a_quorum_queue(channel):
    """Limit 2, observed: + +, both unacked, + +, requeue makes 4, -, get 2, -, get 1, +."""
    declare(channel, "q", "quorum", max_length=2, overflow="reject-publish")
    assert fill(channel, "q", "1 2") == "1+ 2+"
    get(channel, "q", 2)
    assert fill(channel, "q", "3 4") == "3+ 4+"
    channel.nack(0, multiple=True)
    assert fill(channel, "q", "5") == "5-"
    for _ in range(2):
        channel.get("q", no_ack=True)
    assert fill(channel, "q", "5") == "5-"
    channel.get("q", no_ack=True)
    assert fill(channel, "q", "5") == "5+"


def test_a_publisher_that_is_new_to_a_full_quorum_queue_is_refused_only_above_the_limit(broker, channel):
    declare(channel, "q", "quorum", max_length=2, overflow="reject-publish")
    assert fill(channel, "q", "1 2 3 4") == "1+ 2+ 3+ 4-"
    assert fill(new_channel(broker), "q", "5") == "5-"
    channel.get("q", no_ack=True)
    assert fill(channel, "q", "6") == "6-"
    assert fill(new_channel(broker), "q", "7 8") == "7+ 8-"


def test_a_quorum_queue_with_reject_publish_dlx_drops_heads(channel):
    declare(channel, "q", "quorum", max_length=2, overflow="reject-publish-dlx")
    assert fill(channel, "q", "1 2 3") == "1+ 2+ 3+"
    assert ready(channel, "q") == "2 3"


# Places after a requeue


@pytest.mark.parametrize(
    ("taken", "nacked", "classic", "quorum"),
    [
        (4, ["2", "4", "1"], "1* 2* 4* 5 6", "2* 4* 1* 5 6"),
        (4, ["4", "3", "2", "1"], "1* 2* 3* 4* 5 6", "4* 3* 2* 1* 5 6"),
        (3, ["2"], "2* 4 5 6", "2* 4 5 6"),
    ],
)
def test_where_returned_messages_stand(channel, taken, nacked, classic, quorum):
    for type, left in (("classic", classic), ("quorum", quorum)):
        declare(channel, type, type)
        publish(channel, type, "1 2 3 4 5 6")
        tags = get(channel, type, taken)
        for body in nacked:
            channel.nack(tags[body])
        assert ready(channel, type) == left


@both_types
def test_one_nack_of_several_returns_them_in_their_order(channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1 2 3 4 5 6")
    channel.nack(get(channel, "q", 4)["4"], multiple=True)
    assert ready(channel, "q") == "1* 2* 3* 4* 5 6"


@both_types
def test_recover_returns_everything(channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1 2 3")
    get(channel, "q", 2)
    channel.recover()
    assert ready(channel, "q") == "1* 2* 3"


def test_returned_messages_stand_before_what_was_published_meanwhile(channel):
    for type, left in (("classic", "3* 4* 5 6 7"), ("quorum", "4* 3* 5 6 7")):
        declare(channel, type, type)
        publish(channel, type, "1 2 3 4 5 6")
        tags = get(channel, type, 4)
        channel.nack(tags["4"])
        publish(channel, type, "7")
        channel.nack(tags["3"])
        assert ready(channel, type) == left


def test_a_message_that_is_taken_and_returned_again_queues_up_anew_in_a_quorum_queue(channel):
    for type, left in (("classic", "1* 2* 3* 4 5"), ("quorum", "1* 3* 2* 4 5")):
        declare(channel, type, type)
        publish(channel, type, "1 2 3 4 5")
        tags = get(channel, type, 3)
        channel.nack(tags["3"])
        channel.nack(tags["1"])
        again = get(channel, type, 1)
        assert list(again) == ["1" if type == "classic" else "3"]
        channel.nack(*again.values())
        channel.nack(tags["2"])
        assert ready(channel, type) == left


@given(st.permutations(range(6)), st.integers(0, 6))
def test_a_classic_queue_always_returns_to_the_order_of_publishing(order, count):
    channel = new_channel()
    declare(channel, "q")
    publish(channel, "q", "0 1 2 3 4 5")
    tags = get(channel, "q", 6)
    returned = order[:count]
    for body in returned:
        channel.nack(tags[str(body)])
    assert ready(channel, "q") == " ".join(f"{body}*" for body in sorted(returned))


@given(st.permutations(range(6)), st.integers(0, 6))
def test_a_quorum_queue_serves_returned_messages_in_the_order_of_their_return(order, count):
    channel = new_channel()
    declare(channel, "q", "quorum")
    publish(channel, "q", "0 1 2 3 4 5 6")
    tags = get(channel, "q", 6)
    for body in order[:count]:
        channel.nack(tags[str(body)])
    assert ready(channel, "q") == " ".join([*(f"{body}*" for body in order[:count]), "6"])


@pytest.mark.parametrize(("type", "second"), [("classic", None), ("quorum", 1)])
def test_only_a_quorum_queue_counts_unsuccessful_deliveries_in_a_header(channel, type, second):
    declare(channel, "q", type)
    publish(channel, "q", "1", headers={"a": 1})
    first = channel.get("q").delivery
    channel.nack(first.delivery_tag)
    again = channel.get("q").delivery
    assert "x-delivery-count" not in first.message.headers
    assert again.message.headers.get("x-delivery-count") == second
    assert again.message.headers["a"] == 1
    assert (first.attempt, again.attempt) == (1, 2)


def test_a_delivery_count_from_the_client_passes_once_and_is_then_overwritten(channel):
    declare(channel, "q", "quorum")
    publish(channel, "q", "1", headers={"x-delivery-count": 7})
    first = channel.get("q").delivery
    channel.nack(first.delivery_tag)
    counts = [delivery.message.headers["x-delivery-count"] for delivery in (first, channel.get("q").delivery)]
    assert counts == [7, 1]


# Turns and prefetch


@both_types
def test_consumers_take_turns_across_connections(broker, channel, type):
    declare(channel, "q", type)
    for tag in "ABC":
        consumer(broker, "q", tag, prefetch=0)
    publish(channel, "q", "1 2 3 4 5 6 7")
    assert delivered(broker.take_effects()) == "A1 B2 C3 A4 B5 C6 A7"


@both_types
def test_the_turn_survives_idle_time(broker, channel, type):
    declare(channel, "q", type)
    channels = {tag: consumer(broker, "q", tag, prefetch=1) for tag in "ABC"}
    log = []
    for body in "1234567":
        publish(channel, "q", body)
        [(name, tag)] = tags_of(broker.take_effects()).items()
        channels[name[0]].ack(tag)
        log.append(name)
    assert " ".join(log) == "A1 B2 C3 A4 B5 C6 A7"


@both_types
def test_a_newcomer_joins_at_the_tail_and_one_that_leaves_is_skipped(broker, channel, type):
    declare(channel, "q", type)
    channels = {tag: consumer(broker, "q", tag, prefetch=0) for tag in "ABC"}
    publish(channel, "q", "1 2")
    consumer(broker, "q", "D", prefetch=0)
    publish(channel, "q", "3 4 5 6 7 8")
    assert delivered(broker.take_effects()) == "A1 B2 C3 A4 B5 D6 C7 A8"
    channels["B"].cancel("B")
    publish(channel, "q", "a b c d e f")
    assert delivered(broker.take_effects()) == "Da Cb Ac Dd Ce Af"


@both_types
def test_waiting_messages_go_to_the_first_consumer_as_far_as_its_prefetch_allows(broker, channel, type):
    declare(channel, "q", type)
    publish(channel, "q", "1 2 3 4 5")
    consumer(broker, "q", "A", prefetch=2)
    consumer(broker, "q", "B", prefetch=0)
    assert delivered(broker.take_effects()) == "A1 A2 B3 B4 B5"


@both_types
def test_a_full_consumer_is_skipped_and_gets_the_next_message_when_it_acks(broker, channel, type):
    declare(channel, "q", type)
    channels = {tag: consumer(broker, "q", tag, prefetch=1) for tag in "AB"}
    publish(channel, "q", "1 2 3 4")
    effects = broker.take_effects()
    assert delivered(effects) == "A1 B2"
    channels["B"].ack(tags_of(effects)["B2"])
    assert delivered(broker.take_effects()) == "B3"


@pytest.mark.parametrize(("type", "later"), [("classic", "C3 A4 B5"), ("quorum", "C3 B4 A5")])
def test_who_was_full_for_a_while_keeps_its_turn_in_a_classic_queue_only(broker, channel, type, later):
    """Observed: A, B and C with prefetch 1; 1 and 2 are delivered, B acks before A, then three more come."""
    declare(channel, "q", type)
    channels = {tag: consumer(broker, "q", tag, prefetch=1) for tag in "ABC"}
    publish(channel, "q", "1 2")
    tags = tags_of(broker.take_effects())
    channels["B"].ack(tags["B2"])
    channels["A"].ack(tags["A1"])
    publish(channel, "q", "3 4 5")
    assert delivered(broker.take_effects()) == later


@both_types
def test_one_ack_for_several_consumers_serves_them_in_the_order_of_their_tags(broker, channel, type):
    declare(channel, "q", type)
    many = new_channel(broker)
    many.qos(1)
    for tag in "CAB":
        many.consume("q", tag)
    publish(channel, "q", "1 2 3 4 5 6 7")
    assert delivered(broker.take_effects()) == "C1 A2 B3"
    many.ack(0, multiple=True)
    assert delivered(broker.take_effects()) == "A4 B5 C6"
    many.nack(0, multiple=True)
    assert delivered(broker.take_effects()) == "A4 B5 C6"


@both_types
def test_each_freed_consumer_takes_all_it_can_before_the_next(broker, channel, type):
    declare(channel, "q", type)
    many = new_channel(broker)
    many.qos(3)
    many.consume("q", "A")
    many.consume("q", "B")
    publish(channel, "q", "1 2 3 4 5 6 7 8")
    assert delivered(broker.take_effects()) == "A1 B2 A3 B4 A5 B6"
    many.ack(0, multiple=True)
    assert delivered(broker.take_effects()) == "A7 A8"


@both_types
def test_prefetch_holds_for_consumers_that_start_later(broker, channel, type):
    declare(channel, "q", type)
    worker = consumer(broker, "q", "A", prefetch=1)
    worker.qos(3)
    publish(channel, "q", "1 2 3")
    assert delivered(broker.take_effects()) == "A1"


@both_types
def test_neither_gets_nor_consumers_without_ack_are_limited_by_prefetch(broker, channel, type):
    declare(channel, "q", type)
    channel.qos(1)
    channel.consume("q", "A", no_ack=True)
    publish(channel, "q", "1 2 3")
    assert delivered(broker.take_effects()) == "A1 A2 A3"
    channel.cancel("A")
    publish(channel, "q", "4 5 6")
    get(channel, "q", 3)
    ledger = channel.vhost.queues["q"].ledger
    assert (ledger.enqueued, ledger.acked, len(channel.unacked)) == (6, 3, 3)


@both_types
@pytest.mark.parametrize("requeue", [True, False])
def test_a_nack_frees_the_slot(broker, channel, type, requeue):
    declare(channel, "q", type)
    worker = consumer(broker, "q", "A", prefetch=1)
    publish(channel, "q", "1 2")
    worker.nack(tags_of(broker.take_effects())["A1"], requeue=requeue)
    assert delivered(broker.take_effects()) == ("A1" if requeue else "A2")


@both_types
def test_a_message_that_is_requeued_alternates_between_two_consumers(broker, channel, type):
    declare(channel, "q", type)
    channels = {tag: consumer(broker, "q", tag, prefetch=1) for tag in "AB"}
    publish(channel, "q", "1")
    log = []
    for _ in range(4):
        [(name, tag)] = tags_of(broker.take_effects()).items()
        log.append(name)
        channels[name[0]].nack(tag)
    assert log == ["A1", "B1", "A1", "B1"]


@both_types
def test_a_cancelled_consumer_keeps_what_it_holds(broker, channel, type):
    declare(channel, "q", type)
    worker = consumer(broker, "q", "A", prefetch=1)
    publish(channel, "q", "1 2")
    tag = tags_of(broker.take_effects())["A1"]
    worker.cancel("A")
    worker.cancel("A")
    assert ready(channel, "q") == "2"
    worker.ack(tag)
    assert channel.vhost.queues["q"].ledger.acked == 1
    broker.check()


# Ends


@both_types
def test_purge_and_delete_count_ready_messages_only_and_dead_letter_nothing(broker, channel, type):
    declare(channel, "dead")
    declare(channel, "q", type, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "1 2 3")
    tag = get(channel, "q", 1)["1"]
    assert channel.queue_purge("q") == 2
    publish(channel, "q", "4")
    assert channel.queue_delete("q") == 1
    assert removed(broker.take_effects()) == ["purged", "purged", "deleted", "deleted"]
    assert ready(channel, "dead") == ""
    assert channel.queue_delete("q") == 0
    channel.ack(tag)
    broker.check()


def test_an_auto_delete_queue_goes_with_its_last_consumer_and_not_before_it_had_one(broker, channel):
    channel.queue_declare("q", auto_delete=True)
    publish(channel, "q", "1")
    channel.get("q")
    assert "q" in channel.vhost.queues
    first, second = (consumer(broker, "q", tag, 1) for tag in "AB")
    first.cancel("A")
    assert "q" in channel.vhost.queues
    second.connection.close()
    assert "q" not in channel.vhost.queues
    broker.check()


def test_what_the_last_consumer_of_an_auto_delete_queue_held_is_deleted_with_it(broker, channel):
    declare(channel, "dead")
    dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-message-ttl": 100}
    channel.queue_declare("q", auto_delete=True, arguments=dead_letters)
    worker = consumer(broker, "q", "A", 1)
    publish(channel, "q", "1")
    walk(broker, 400)
    broker.take_effects()
    worker.close()
    assert removed(broker.take_effects()) == ["deleted"]
    assert ready(channel, "dead") == ""


# One prefetch for all consumers of a channel (basic.qos with global set), observed on 4.0.5


@pytest.fixture
def shared(channel):
    """Two queues with four messages each, and a channel that may hold three."""
    for queue in ("g1", "g2"):
        declare(channel, queue)
        publish(channel, queue, "1 2 3 4")
    channel.qos(3, global_=True)
    channel.vhost.node.effects.clear()
    return channel


def test_consumers_of_a_channel_share_its_global_prefetch(broker, shared):
    shared.consume("g1", "B")
    shared.consume("g2", "A")
    assert delivered(broker.take_effects()) == "B1 B2 B3"
    shared.ack(1)
    assert delivered(broker.take_effects()) == "A1"  # they take turns, in the order of their tags
    shared.ack(2)
    assert delivered(broker.take_effects()) == "B4"
    shared.ack(3)
    assert delivered(broker.take_effects()) == "A2"
    broker.check()


def test_another_channel_has_its_own(broker, shared):
    shared.consume("g1", "A")
    consumer(broker, "g1", "B", 1)
    assert delivered(broker.take_effects()) == "A1 A2 A3 B4"


def test_both_prefetches_apply_together(broker, shared):
    """Of two, the shared one has to come last (transcripts prefetch/*)."""
    shared.qos(2)
    shared.qos(3, global_=True)
    shared.consume("g1", "A")
    shared.consume("g2", "B")
    assert delivered(broker.take_effects()) == "A1 A2 B1"
    shared.ack(3)
    assert delivered(broker.take_effects()) == "B2"
    shared.ack(1)
    assert delivered(broker.take_effects()) == "A3"
    broker.check()


def test_consumers_that_need_not_acknowledge_hold_nothing_but_wait_with_the_others(broker, shared):
    shared.consume("g1", "A")
    shared.consume("g2", "N", no_ack=True)
    assert delivered(broker.take_effects()) == "A1 A2 A3"
    shared.ack(1)
    assert delivered(broker.take_effects()) == "A4"
    shared.ack(2)
    assert delivered(broker.take_effects()) == "N1 N2 N3 N4"
    broker.check()


def test_a_get_is_not_limited(broker, shared):
    shared.consume("g1", "A")
    assert shared.get("g2").delivery.message.body == b"1"
    broker.check()


def test_a_global_prefetch_holds_for_running_consumers_and_can_be_raised_lowered_and_lifted(broker, channel):
    declare(channel, "q")
    channel.consume("q", "A")
    publish(channel, "q", "1 2")
    channel.qos(3, global_=True)
    broker.take_effects()
    publish(channel, "q", "3 4 5 6")
    assert delivered(broker.take_effects()) == "A3"
    channel.qos(4, global_=True)
    assert delivered(broker.take_effects()) == "A4"
    channel.qos(1, global_=True)
    channel.ack(1)
    assert delivered(broker.take_effects()) == ""
    broker.check()
    channel.qos(0, global_=True)
    assert delivered(broker.take_effects()) == "A5 A6"
    broker.check()


def test_consumers_that_a_lifted_prefetch_lets_go_on_do_so_in_the_order_of_their_tags(broker, channel):
    channel.qos(1, global_=True)
    for tag in ("a", "A", "b"):  # in ASCII: capitals first
        declare(channel, tag)
        channel.consume(tag, tag)
        publish(channel, tag, "1 2")
    broker.take_effects()
    channel.qos(0, global_=True)
    assert delivered(broker.take_effects()) == "A1 A2 a2 b1 b2"
    broker.check()


def test_what_an_ended_consumer_holds_counts_on(broker, shared):
    shared.consume("g1", "A")
    shared.cancel("A")
    broker.take_effects()
    shared.consume("g1", "B")
    assert delivered(broker.take_effects()) == ""
    shared.ack(2)
    assert delivered(broker.take_effects()) == "B4"
    broker.check()


def test_a_nack_and_the_end_of_a_queue_give_room_too(broker, shared):
    shared.consume("g1", "A")
    shared.consume("g2", "B")
    shared.nack(3, requeue=False)
    broker.take_effects()
    shared.queue_delete("g1")
    assert delivered(broker.take_effects()) == ""
    shared.ack(1)
    assert delivered(broker.take_effects()) == "B1"
    broker.check()


def test_a_quorum_queue_knows_no_global_prefetch(broker, channel):
    declare(channel, "q", "quorum")
    channel.consume("q", "A")
    channel.qos(1, global_=True)  # a consumer that runs already does not mind
    publish(channel, "q", "1 2")
    assert delivered(broker.take_effects()) == "A1 A2"
    with pytest.raises(ConnectionError) as refusal:
        channel.consume("q", "B", no_ack=True)
    assert str(refusal.value) == "540 NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos"
    channel.qos(0, global_=True)
    channel.consume("q", "B")
    broker.check()


@pytest.mark.slow
@pytest.mark.parametrize("type", ["classic", "quorum"])
@pytest.mark.parametrize("give_back", ["close", "recover", "nack each"])
def test_very_many_deliveries_come_back_without_looking_at_all_others_for_each(broker, channel, type, give_back):
    many = 40_000
    channel.queue_declare("q", durable=True, arguments={"x-queue-type": type})
    holder = new_channel(broker)
    for _ in range(many):
        channel.publish("", "q", b"x")
    for _ in range(many):
        holder.get("q")
    channel.publish("", "q", b"the last")
    if give_back == "nack each":
        for tag in range(1, many + 1):
            holder.nack(tag)
    else:
        getattr(holder, give_back)()
    queue = broker.vhost().queues["q"]
    assert len(queue.ready) == many + 1
    assert list(queue.ready)[-1].message.body == b"the last"
    broker.check()


@pytest.mark.slow
def test_acknowledging_up_to_each_of_very_many_deliveries_does_not_look_at_all_others(broker, channel):
    many = 40_000
    channel.queue_declare("q")
    for _ in range(many):
        channel.publish("", "q", b"x")
        channel.get("q")
    for tag in range(1, many + 1):
        channel.ack(tag, multiple=True)
    assert not channel.unacked


def test_a_quorum_queue_forgets_a_publisher_that_has_gone(broker, channel):
    declare(channel, "q", "quorum", max_length=1, overflow="reject-publish")
    for _ in range(100):
        publisher = new_channel(broker)
        publish(publisher, "q", "1 2 3")
        publisher.close()
        broker.check()
    assert not channel.vhost.queues["q"].publishers
    assert not channel.vhost.published_to
    assert ready(channel, "q") == "1 2"


def test_a_publisher_forgets_a_quorum_queue_that_has_gone(broker, channel):
    for _ in range(100):
        declare(channel, "q", "quorum", max_length=1, overflow="reject-publish")
        assert fill(channel, "q", "1 2 3") == "1+ 2+ 3-"
        channel.queue_delete("q")
        broker.check()
    assert channel.vhost.published_to == {channel.number: set()}


def test_a_requeue_within_the_limit_stops_no_publisher_of_a_quorum_queue(channel):
    declare(channel, "q", "quorum", max_length=5, overflow="reject-publish")
    channel.confirm_select()
    publish(channel, "q", "1 2")
    channel.nack(get(channel, "q", 1)["1"])
    publish(channel, "q", "3")
    assert len(channel.vhost.queues["q"].ready) == 3


def test_a_quorum_queue_refuses_until_its_bytes_have_drained_to_four_fifths(channel):
    declare(channel, "q", "quorum", max_length_bytes=10, overflow="reject-publish")
    publish(channel, "q", "aaa bbb ccc ddd")
    assert ready(channel, "q") == "aaa bbb ccc ddd"
    publish(channel, "q", "no")
    channel.get("q", no_ack=True)
    publish(channel, "q", "no")
    channel.get("q", no_ack=True)
    publish(channel, "q", "yes")
    assert ready(channel, "q") == "ccc ddd yes"


def test_a_get_says_on_which_channel_it_was(broker, channel):
    declare(channel, "q")
    publish(channel, "q", "1")
    assert channel.get("q").delivery.channel == channel.number


def test_a_head_whose_time_was_over_behind_one_that_is_dropped_goes_with_it(broker, channel):
    declare(channel, "q", max_length=2)
    publish(channel, "q", "1")
    publish(channel, "q", "2", expiration="50")
    walk(broker, 100)
    publish(channel, "q", "3")
    assert ready(channel, "q") == "3"
    broker.check()


def test_after_two_urgent_messages_comes_an_older_one_of_the_others(channel):
    declare(channel, "q", "quorum")
    publish(channel, "q", "normal")
    publish(channel, "q", "a b c", priority=9)
    assert list(get(channel, "q", 4)) == ["a", "b", "normal", "c"]


@given(st.data())
def test_what_is_seen_at_the_head_is_what_is_taken(data):
    channel = new_channel()
    kind, arguments = data.draw(st.sampled_from([("classic", {}), ("classic", {"max_priority": 3}), ("quorum", {})]))
    declare(channel, "q", kind, **arguments)
    held: list[int] = []
    for move in data.draw(st.lists(st.sampled_from(["publish", "urgent", "take", "return"]), max_size=25)):
        if move in ("publish", "urgent"):
            publish(channel, "q", "m", priority=9 if move == "urgent" else 0)
        elif move == "return" and held:
            channel.nack(held.pop(data.draw(st.integers(0, len(held) - 1))))
        elif move == "take" and channel.vhost.queues["q"].ready:
            head = channel.vhost.queues["q"].ready[0]
            held.append(channel.get("q").delivery.delivery_tag)
            assert channel.unacked[held[-1]].copy is head


def test_what_came_back_between_others_is_seen_at_the_head_when_it_is_there(channel):
    declare(channel, "q")
    publish(channel, "q", "1 2 3")
    tags = get(channel, "q", 2)
    for body in "12":
        channel.nack(tags[body])
    get(channel, "q", 1)
    assert channel.vhost.queues["q"].ready[0].message.body == b"2"
