"""Dead-lettering: who dies of what, the history field by field as RabbitMQ 4.0.5 writes it, cycles, and long chains."""

from datetime import UTC, datetime

import pytest

from simbus.effects import Enqueued, Refused, Removed
from simbus.rabbitmq.properties import Properties
from simbus.units import SECOND
from tests.brokers import TYPES, consumer, declare, get, new_channel, publish, ready, removed, walk
from tests.ledger import Ledger

both_types = pytest.mark.parametrize("type", TYPES)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def declare_to(channel, queue, target, type="classic", **arguments):
    """A queue whose dead letters go to ``target`` by way of the default exchange."""
    declare(channel, queue, type, dead_letter_exchange="", dead_letter_routing_key=target, **arguments)


def reject(channel, queue, count=1):
    for tag in get(channel, queue, count).values():
        channel.reject(tag, requeue=False)


def history(channel, queue, position=0):
    """``[("rejected", "a", 1)]``, latest first."""
    message = channel.vhost.queues[queue].ready[position].message
    return [(entry["reason"], entry["queue"], entry["count"]) for entry in message.headers["x-death"]]


# Causes


@both_types
@pytest.mark.parametrize("verb", ["reject", "nack"])
def test_a_message_that_is_rejected_is_dead_lettered(broker, channel, type, verb):
    declare(channel, "dead")
    declare_to(channel, "q", "dead", type)
    publish(channel, "q", "1")
    broker.take_effects()
    getattr(channel, verb)(get(channel, "q", 1)["1"], requeue=False)
    assert history(channel, "dead") == [("rejected", "q", 1)]
    effects = broker.take_effects()
    [removal] = (e for e in effects if isinstance(e, Removed))
    [arrival] = (e for e in effects if isinstance(e, Enqueued))
    assert (removal.cause, removal.children) == ("rejected", (arrival.copy_id,))
    assert (arrival.parent_id, arrival.message_id) == (removal.copy_id, removal.message_id)
    assert ready(channel, "dead") == "1"  # not redelivered: the new copy starts afresh


@both_types
def test_a_message_that_expires_is_dead_lettered(broker, channel, type):
    declare(channel, "dead")
    declare_to(channel, "q", "dead", type, message_ttl=100)
    publish(channel, "q", "1 2")
    walk(broker, 100)
    assert ready(channel, "dead") == "1 2"
    assert history(channel, "dead") == [("expired", "q", 1)]


@both_types
def test_a_message_that_is_dropped_at_the_head_is_dead_lettered(channel, type):
    declare(channel, "dead")
    declare_to(channel, "q", "dead", type, max_length=3)
    publish(channel, "q", "1 2 3 4 5")
    assert ready(channel, "dead") == "1 2"
    assert history(channel, "dead", 1) == [("maxlen", "q", 1)]


def test_a_message_that_is_refused_is_dead_lettered_under_reject_publish_dlx_only(broker, channel):
    declare(channel, "dead")
    for overflow in ("reject-publish", "reject-publish-dlx"):
        declare_to(channel, overflow, "dead", max_length=1, overflow=overflow)
        publish(channel, overflow, "1 2 3")
    assert ready(channel, "reject-publish-dlx") == "1"
    assert ready(channel, "dead") == "2 3"
    assert history(channel, "dead") == [("maxlen", "reject-publish-dlx", 1)]
    assert [bool(e.children) for e in broker.take_effects() if isinstance(e, Refused)] == [False, False, True, True]


@pytest.mark.parametrize("limit", [None, 0, 1, 2, 30])
def test_a_quorum_queue_delivers_once_more_than_its_limit_and_20_is_the_default(broker, channel, limit):
    declare(channel, "dead")
    declare_to(channel, "q", "dead", "quorum", **({} if limit is None else {"delivery_limit": limit}))
    publish(channel, "q", "1")
    counts = []
    while (answer := channel.get("q")) is not None:
        counts.append(answer.delivery.message.headers.get("x-delivery-count"))
        channel.nack(answer.delivery.delivery_tag)
    assert counts == [None, *range(1, 1 + (20 if limit is None else limit))]
    assert history(channel, "dead") == [("delivery_limit", "q", 1)]
    assert "x-delivery-count" not in channel.vhost.queues["dead"].ready[0].message.headers
    assert removed(broker.take_effects()) == ["delivery_limit"]


@pytest.mark.parametrize("limit", [-1, -5, "abc"])
def test_a_delivery_limit_that_is_negative_or_no_number_is_no_limit(channel, limit):
    declare(channel, "q", "quorum", delivery_limit=limit)
    publish(channel, "q", "1")
    for _ in range(60):
        channel.nack(channel.get("q").delivery.delivery_tag)
    assert ready(channel, "q") == "1*"


def test_every_way_of_returning_counts_towards_the_delivery_limit(broker, channel):
    declare(channel, "q", "quorum", delivery_limit=4)
    publish(channel, "q", "1")
    for give_back in ("nack", "reject", "recover", "close channel", "close connection"):
        other = new_channel(broker)
        tag = other.get("q").delivery.delivery_tag
        if give_back.startswith("close"):
            (other if give_back.endswith("channel") else other.connection).close()
        elif give_back == "recover":
            other.recover()
        else:
            getattr(other, give_back)(tag)
    assert ready(channel, "q") == ""
    assert removed(broker.take_effects()) == ["delivery_limit"]


@both_types
def test_several_that_die_together_arrive_in_order(broker, channel, type):
    declare(channel, "dead")
    declare_to(channel, "q", "dead", type)
    publish(channel, "q", "1 2 3")
    channel.nack(get(channel, "q", 3)["3"], multiple=True, requeue=False)
    publish(channel, "q", "4 5 6", expiration="10")
    walk(broker, 10)
    assert ready(channel, "dead") == "1 2 3 4 5 6"


# Where to


def test_without_a_key_of_its_own_the_dead_letter_keeps_the_message_key(channel):
    channel.exchange_declare("dlx", "topic")
    declare(channel, "dead")
    channel.queue_bind("dead", "dlx", "order.*")
    declare(channel, "q", dead_letter_exchange="dlx")
    channel.queue_bind("q", "amq.topic", "#")
    channel.publish("amq.topic", "order.placed", b"1")
    reject(channel, "q")
    message = channel.vhost.queues["dead"].ready[0].message
    assert (message.exchange, message.routing_key) == ("dlx", "order.placed")


@both_types
def test_a_dead_letter_exchange_that_is_missing_or_routes_nowhere_loses_the_message_silently(broker, channel, type):
    channel.exchange_declare("dlx", "direct")
    for queue, exchange in (("missing", "nosuch"), ("nowhere", "dlx")):
        declare(channel, queue, type, dead_letter_exchange=exchange)
        channel.publish("", queue, b"1", mandatory=True)
        reject(channel, queue)
    removals = [e for e in broker.take_effects() if isinstance(e, Removed)]
    assert [e.children for e in removals] == [(), ()]
    ledger = channel.vhost.queues["missing"].ledger
    assert (ledger.removed, ledger.dead_lettered, ledger.discarded) == ({"rejected": 1}, 0, 1)


def test_the_exchange_is_looked_up_at_the_time_of_death(channel):
    declare(channel, "q", dead_letter_exchange="late")
    publish(channel, "q", "1")
    channel.exchange_declare("late", "fanout")
    declare(channel, "dead")
    channel.queue_bind("dead", "late")
    reject(channel, "q")
    assert ready(channel, "dead") == "1"


def test_a_dead_letter_may_fan_out(broker, channel):
    channel.exchange_declare("dlx", "fanout")
    for queue in ("a", "b"):
        declare(channel, queue)
        channel.queue_bind(queue, "dlx")
    declare(channel, "q", dead_letter_exchange="dlx")
    publish(channel, "q", "1")
    reject(channel, "q")
    [removal] = (e for e in broker.take_effects() if isinstance(e, Removed))
    assert len(removal.children) == 2
    assert (ready(channel, "a"), ready(channel, "b")) == ("1", "1")
    assert channel.vhost.queues["q"].ledger.dead_lettered == 1


def test_a_dead_letter_reaches_a_waiting_consumer_at_once(broker, channel):
    declare(channel, "dead")
    declare_to(channel, "q", "dead", message_ttl=100)
    consumer(broker, "dead", "A", 1)
    publish(channel, "q", "1")
    walk(broker, 100)
    assert [e.describe() for e in broker.take_effects()][-1] == "delivered from dead to consumer A"


# Into a full queue: limit 1, and four rejects


@pytest.mark.parametrize(
    ("type", "overflow", "kept", "dead"),
    [
        ("classic", "drop-head", "4", "1 2 3"),
        ("classic", "reject-publish", "1", ""),
        ("classic", "reject-publish-dlx", "1", "2 3 4"),
        ("quorum", "drop-head", "4", "1 2 3"),
        ("quorum", "reject-publish", "1 2 3 4", ""),
    ],
)
def test_dead_letters_into_a_full_queue(channel, type, overflow, kept, dead):
    declare(channel, "last")
    declare_to(channel, "target", "last", type, max_length=1, overflow=overflow)
    declare_to(channel, "source", "target")
    publish(channel, "source", "1 2 3 4")
    reject(channel, "source", 4)
    assert (ready(channel, "target"), ready(channel, "last")) == (kept, dead)
    if dead:
        assert history(channel, "last") == [("maxlen", "target", 1), ("rejected", "source", 1)]
        headers = channel.vhost.queues["last"].ready[0].message.headers
        assert (headers["x-first-death-queue"], headers["x-first-death-reason"]) == ("source", "rejected")
        assert (headers["x-last-death-queue"], headers["x-last-death-reason"]) == ("target", "maxlen")


# The history


@both_types
def test_the_history_field_by_field(broker, channel, type):
    """Rejected in src (exchange gx, key s, expiration 60000), then expired in mid, reached by the default exchange."""
    broker.advance(1_700_000_000 * SECOND + 999_999_999)
    channel.exchange_declare("gx", "direct")
    declare(channel, "end")
    declare_to(channel, "mid", "end", type, message_ttl=2000)
    declare_to(channel, "src", "mid", type)
    channel.queue_bind("src", "gx", "s")
    sent = Properties(
        expiration="60000", delivery_mode=2, message_id="m", priority=3, headers={"zz": 1, "aa": [2]}, content_type="text/plain"
    )
    channel.publish("gx", "s", b"body", sent)
    reject(channel, "src")
    walk(broker, 2000)
    [copy] = channel.vhost.queues["end"].ready
    headers = dict(copy.message.headers)
    latest, first = headers.pop("x-death")
    assert list(latest) == ["count", "reason", "queue", "time", "exchange", "routing-keys"]
    assert list(latest.values()) == [1, "expired", "mid", datetime(2023, 11, 14, 22, 13, 22, tzinfo=UTC), "", ["mid"]]
    assert list(first) == ["original-expiration", "count", "reason", "queue", "time", "exchange", "routing-keys"]
    assert list(first.values()) == ["60000", 1, "rejected", "src", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), "gx", ["s"]]
    assert headers == {
        "zz": 1,
        "aa": [2],
        "x-first-death-exchange": "gx",
        "x-first-death-queue": "src",
        "x-first-death-reason": "rejected",
        "x-last-death-exchange": "",
        "x-last-death-queue": "mid",
        "x-last-death-reason": "expired",
    }
    properties = copy.message.properties
    assert properties == Properties(
        delivery_mode=2, message_id="m", priority=3, content_type="text/plain", headers=properties.headers
    )
    assert (copy.message.exchange, copy.message.routing_key, copy.message.body) == ("", "end", b"body")


def test_the_expiration_is_gone_after_a_death(broker, channel):
    declare(channel, "dead")
    declare_to(channel, "q", "dead")
    publish(channel, "q", "1", expiration="10")
    walk(broker, 10)
    assert broker.next_deadline is None
    walk(broker, 1000)
    assert ready(channel, "dead") == "1"


def test_a_repeated_death_counts_up_moves_to_the_front_and_keeps_its_first_values(broker, channel):
    """The retry pattern: work -reject-> wait -expires-> work."""
    declare_to(channel, "wait", "work", message_ttl=10_000)
    declare_to(channel, "work", "wait")
    channel.publish("", "work", b"1", Properties(expiration="60000"))
    for _ in range(2):
        reject(channel, "work")
        walk(broker, 10_000)
    assert history(channel, "work") == [("expired", "wait", 2), ("rejected", "work", 2)]
    reject(channel, "work")
    message = channel.vhost.queues["wait"].ready[0].message
    assert history(channel, "wait") == [("rejected", "work", 3), ("expired", "wait", 2)]
    latest, before = message.headers["x-death"]
    assert (latest["time"], latest["exchange"], latest["routing-keys"]) == (EPOCH, "", ["work"])
    assert latest["original-expiration"] == "60000"
    assert (before["time"] - EPOCH).total_seconds() == 10
    assert message.headers["x-first-death-queue"] == message.headers["x-last-death-queue"] == "work"
    assert [(death.reason, death.count) for death in message.deaths] == [("rejected", 3), ("expired", 2)]


def test_a_history_that_a_client_sends_passes_until_the_first_death_replaces_it(channel):
    declare(channel, "dead")
    declare_to(channel, "q", "dead")
    sent = {
        "x-death": [{"count": 41, "reason": "rejected", "queue": "q"}],
        "x-first-death-queue": "mine",
        "x-last-death-reason": "mine",
        "own": 1,
    }
    channel.publish("", "q", b"1", Properties(headers=sent))
    assert channel.vhost.queues["q"].ready[0].message.headers == sent
    reject(channel, "q")
    headers = channel.vhost.queues["dead"].ready[0].message.headers
    assert history(channel, "dead") == [("rejected", "q", 1)]
    assert (headers["x-first-death-queue"], headers["x-last-death-reason"], headers["own"]) == ("q", "rejected", 1)


def test_a_headers_exchange_can_route_by_the_reason_of_death(channel):
    channel.exchange_declare("dlx", "headers")
    declare(channel, "rejects")
    declare(channel, "others")
    channel.queue_bind("rejects", "dlx", "", {"x-match": "all-with-x", "x-first-death-reason": "rejected"})
    channel.queue_bind("others", "dlx", "", {"x-match": "all-with-x", "x-first-death-reason": "expired"})
    declare(channel, "q", dead_letter_exchange="dlx")
    publish(channel, "q", "1")
    reject(channel, "q")
    assert (ready(channel, "rejects"), ready(channel, "others")) == ("1", "")


# Cycles


@both_types
def test_a_queue_that_expires_into_itself_loses_the_message(broker, channel, type):
    declare_to(channel, "a", "a", type, message_ttl=10)
    publish(channel, "a", "1")
    walk(broker, 1000)
    assert ready(channel, "a") == ""


@both_types
@pytest.mark.parametrize("limit", [{"message_ttl": 10}, {"max_length": 0}])
def test_a_circle_without_a_reject_ends_when_it_closes(broker, channel, type, limit):
    declare_to(channel, "a", "b", type, **limit)
    declare_to(channel, "b", "a", type, message_ttl=10)
    publish(channel, "a", "1")
    walk(broker, 1000)
    assert (ready(channel, "a"), ready(channel, "b")) == ("", "")
    assert channel.vhost.queues["a"].ledger.enqueued == 1
    assert channel.vhost.queues["b"].ledger.enqueued == 1


def test_a_circle_of_delivery_limits_ends(broker, channel):
    declare_to(channel, "a", "b", "quorum", delivery_limit=0)
    declare_to(channel, "b", "a", message_ttl=10)
    declare_to(channel, "c", "c", "quorum", delivery_limit=0)
    publish(channel, "a", "1")
    publish(channel, "c", "1")
    for queue in ("a", "c"):
        channel.nack(get(channel, queue, 1)["1"])
    walk(broker, 1000)
    assert (ready(channel, "a"), ready(channel, "b"), ready(channel, "c")) == ("", "", "")


@both_types
def test_a_reject_keeps_a_circle_alive(channel, type):
    declare_to(channel, "a", "a", type)
    publish(channel, "a", "1")
    for _ in range(30):
        reject(channel, "a")
    assert history(channel, "a") == [("rejected", "a", 30)]


@both_types
def test_a_reject_before_the_circle_does_not_keep_it_alive(broker, channel, type):
    """Neither s -rejected-> a -expired-> b -expired-> a goes on, nor a -rejected-> b -expired-> c -expired-> b."""
    declare_to(channel, "s", "a", type)
    declare_to(channel, "a", "b", type, message_ttl=10)
    declare_to(channel, "b", "a", type, message_ttl=10)
    publish(channel, "s", "1")
    reject(channel, "s")
    walk(broker, 1000)
    assert (ready(channel, "a"), ready(channel, "b")) == ("", "")
    assert channel.vhost.queues["a"].ledger.enqueued == 1


def test_only_the_copy_that_would_go_in_circles_is_dropped(broker, channel):
    channel.exchange_declare("dlx", "fanout")
    declare(channel, "q", message_ttl=10, dead_letter_exchange="dlx")
    declare(channel, "park")
    channel.queue_bind("q", "dlx")
    channel.queue_bind("park", "dlx")
    publish(channel, "q", "1")
    walk(broker, 1000)
    assert (ready(channel, "q"), ready(channel, "park")) == ("", "1")


def test_two_full_queues_that_dead_letter_to_each_other_come_to_rest(broker, channel):
    for queue, target in (("a", "b"), ("b", "a")):
        declare_to(channel, queue, target, max_length=1, overflow="reject-publish-dlx")
    publish(channel, "a", "1 2 3 4")
    assert (ready(channel, "a"), ready(channel, "b")) == ("1", "2")
    broker.check()


# Chains

LENGTH = 5_000


@both_types
def test_a_chain_of_5000_queues_is_walked_without_recursion(broker, channel, type):
    """Each drops at once what it gets, to the next."""
    for number in range(LENGTH):
        declare_to(channel, f"q{number}", f"q{number + 1}", type, message_ttl=0)
    declare(channel, f"q{LENGTH}")
    publish(channel, "q0", "1")
    assert ready(channel, f"q{LENGTH}") == "1"
    [copy] = channel.vhost.queues[f"q{LENGTH}"].ready
    assert len(copy.message.deaths) == LENGTH
    assert (copy.message.deaths[0].queue, copy.message.deaths[-1].queue) == (f"q{LENGTH - 1}", "q0")
    ledger = Ledger()
    ledger.feed(broker.take_effects())
    ledger.check(broker)


def test_a_circle_of_5000_queues_ends_where_it_began(broker, channel):
    for number in range(LENGTH):
        declare_to(channel, f"q{number}", f"q{(number + 1) % LENGTH}", max_length=0)
    publish(channel, "q0", "1")
    effects = broker.take_effects()
    assert removed(effects) == ["maxlen"] * LENGTH
    assert effects[-1].queue == f"q{LENGTH - 1}"
    assert effects[-1].children == ()
    broker.check()


def test_a_chain_in_time_takes_as_long_as_its_parts(broker, channel):
    for number in range(50):
        declare_to(channel, f"q{number}", f"q{number + 1}", message_ttl=100)
    declare(channel, "q50")
    publish(channel, "q0", "1")
    walk(broker, 4999)
    assert ready(channel, "q49") == "1"
    walk(broker, 1)
    assert ready(channel, "q50") == "1"


def test_of_three_entries_the_one_in_the_middle_that_counts_up_is_moved_and_no_other_lost(channel):
    for name in "abc":
        declare_to(channel, name, {"a": "b", "b": "c", "c": "b"}[name])
    publish(channel, "a", "1")
    for name in "abcb":
        reject(channel, name)
    assert history(channel, "c") == [("rejected", "b", 2), ("rejected", "c", 1), ("rejected", "a", 1)]


def test_a_reject_in_a_classic_queue_is_nothing_to_the_quorum_queue_that_gets_it(channel):
    declare(channel, "dead", "quorum")
    declare_to(channel, "q", "dead")
    publish(channel, "q", "1")
    reject(channel, "q")
    message = channel.get("dead").delivery.message
    assert not message.redelivered
    assert "x-delivery-count" not in message.headers
