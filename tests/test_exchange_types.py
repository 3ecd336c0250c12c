"""The exchanges of RabbitMQ's plug-ins, as 4.0.5 and 3.10.8 were observed to route and to refuse; buckets are simbus's own."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.effects import Published
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import ChannelError, ConnectionError, RabbitMQError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.plugin_routers import jump_hash
from simbus.rabbitmq.properties import Properties
from simbus.rabbitmq.versions import VERSIONS
from tests.brokers import declare, get, new_channel, ready
from tests.versions import on_both

HASHED, MODULUS, RANDOM, LOCAL, HISTORY = "x-consistent-hash", "x-modulus-hash", "x-random", "x-local-random", "x-recent-history"


@pytest.fixture(params=VERSIONS)
def channel(request):
    """A channel of a broker of each version, with the queues a, b and c."""
    channel = Broker(version=request.param).open_connection().open_channel()
    for queue in "abc":
        declare(channel, queue)
    return channel


def exchange(channel, type, *bindings, name="x", **arguments):
    """Declare an exchange and bind to it: ``"a 2"`` binds the queue a with the key 2."""
    channel.exchange_declare(name, type, arguments=arguments)
    for binding in bindings:
        bind(channel, binding, name)


def bind(channel, binding, name="x"):
    queue, _, key = binding.partition(" ")
    channel.queue_bind(queue, name, key)


def publish(channel, keys, **properties):
    for key in keys:
        channel.publish("x", key, key.encode(), Properties(**properties))


def counts(channel, messages=3000, exchange="x"):
    """How many of so many messages with different keys each queue gets."""
    for number in range(messages):
        channel.publish(exchange, f"k{number}")
    return Counter({name: len(queue.ready) for name, queue in channel.vhost.queues.items() if queue.ready})


def refusal_of(verb, *args, **options):
    with pytest.raises(RabbitMQError) as caught:
        verb(*args, **options)
    return caught.value


def about(found, **expected):
    """Within a fifth of what is expected, and nothing beside it."""
    return set(found) == set(expected) and all(abs(found[name] - count) < count / 5 for name, count in expected.items())


@on_both("local_random_exchange", {"4.0": None, "3.10": "COMMAND_INVALID - unknown exchange type 'x-local-random'"})
def test_only_4_0_has_the_local_random_exchange(version, expected):
    channel = Broker(version=version).open_connection().open_channel()
    if expected is None:
        channel.exchange_declare("x", LOCAL)
    else:
        assert refusal_of(channel.exchange_declare, "x", LOCAL).reply_text == expected


@pytest.mark.parametrize("type", [HASHED, MODULUS, RANDOM, HISTORY])
def test_an_exchange_without_bindings_routes_nowhere(channel, type):
    exchange(channel, type)
    channel.publish("x", "k", mandatory=True)
    assert any(isinstance(effect, Returned) for effect in channel.vhost.node.effects)


# By a hash


@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        (["a 1", "b 2"], {"a": 1000, "b": 2000}),
        (["a 2", "b 1", "c 3"], {"a": 1000, "b": 500, "c": 1500}),
        (["a +1", "b 01"], {"a": 1500, "b": 1500}),
        (["a 1", "a 3", "b 1"], {"a": 1500, "b": 1500}),  # only the first binding of a queue counts
        (["a 3", "a 1", "b 1"], {"a": 2250, "b": 750}),
        (["a 1", "b 1000000000"], {"b": 3000}),
        (["a 1", "b " + "9" * 5000], {"b": 3000}),
    ],
)
def test_a_weight_is_a_share(channel, bindings, expected):
    exchange(channel, HASHED, *bindings)
    assert about(counts(channel), **expected)


@pytest.mark.parametrize("gone", ["1", "3"])
def test_either_binding_of_a_queue_takes_all_its_weight_with_it(channel, gone):
    exchange(channel, HASHED, "a 3", "a 1", "b 1")
    channel.queue_unbind("a", "x", gone)
    assert counts(channel, 100) == {"b": 100}


def test_an_exchange_may_have_a_share(channel):
    exchange(channel, HASHED, "a 1")
    exchange(channel, "fanout", "c", name="next")
    channel.exchange_bind("next", "x", "1")
    assert about(counts(channel), a=1500, c=1500)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=40, unique=True), st.integers(1, 5))
def test_a_new_queue_takes_keys_from_others_and_moves_none_between_them(keys, weight):
    channel = new_channel()
    for queue in "abc":
        channel.queue_declare(queue)
    exchange(channel, HASHED, "a 1", "b 2")
    before = [queue_of(channel, key) for key in keys]
    bind(channel, f"c {weight}")
    for key, queue in zip(keys, before, strict=True):
        assert queue_of(channel, key) in (queue, "c")


def queue_of(channel, key):
    channel.publish("x", key)
    [queue] = next(effect.queues for effect in reversed(channel.vhost.node.effects) if isinstance(effect, Published))
    return queue


@given(st.integers(0, 2**64 - 1), st.integers(1, 1000))
def test_a_jump_leads_to_a_bucket_that_there_is(key, buckets):
    assert 0 <= jump_hash(key, buckets) < buckets


def test_what_is_hashed_is_the_first_key_alone(channel):
    exchange(channel, HASHED, "a 1", "b 1")
    for number in range(20):
        publish(channel, ["k"], headers={"CC": [f"c{number}"]})
    assert sorted(len(channel.vhost.queues[queue].ready) for queue in "ab") == [0, 20]


@pytest.mark.parametrize(
    ("argument", "varied", "same"),
    [
        ({"hash-header": "h"}, lambda i: {"headers": {"h": f"v{i}"}}, lambda _: {"headers": {"h": "v"}}),
        ({"hash-header": "h"}, lambda i: {"headers": {"h": i}}, lambda i: {"headers": {"other": i}}),
        ({"hash-property": "message_id"}, lambda i: {"message_id": f"v{i}"}, lambda _: {"message_id": "v"}),
        ({"hash-property": "correlation_id"}, lambda i: {"correlation_id": f"v{i}"}, lambda i: {"message_id": f"v{i}"}),
    ],
)
def test_a_header_or_a_property_may_be_hashed_in_place_of_the_key(channel, argument, varied, same):
    """What has none shares the hash of those without."""
    for properties, queues in ((varied, 2), (same, 1)):
        exchange(channel, HASHED, "a 1", "b 1", **argument)
        for number in range(50):
            publish(channel, [f"k{number}"], **properties(number))
        assert sum(bool(channel.vhost.queues[queue].ready) for queue in "ab") == queues
        channel.queue_purge("a")
        channel.queue_purge("b")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hash-property": "app_id"}, "PRECONDITION_FAILED - Unsupported property: app_id"),
        ({"hash-property": "nope"}, "PRECONDITION_FAILED - Unsupported property: nope"),
        (
            {"hash-header": "h", "hash-property": "message_id"},
            "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive",
        ),
        ({"hash-header": 5}, "INTERNAL_ERROR"),
        ({"hash-property": None}, "INTERNAL_ERROR"),
        ({"hash-property": ["message_id"]}, "INTERNAL_ERROR"),
    ],
)
def test_what_cannot_be_hashed_is_refused_to_a_new_exchange_only(channel, arguments, text):
    refusal = refusal_of(channel.exchange_declare, "x", HASHED, arguments=arguments)
    assert refusal.reply_text == text
    assert isinstance(refusal, ConnectionError) == (text == "INTERNAL_ERROR")
    exchange(channel, HASHED, **{"hash-header": "h"})
    channel.exchange_declare("x", HASHED, arguments=arguments)


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("a", 'The binding key must be an integer: <<"a">>'),
        ("", "The binding key must be an integer: <<>>"),
        ("1.5", 'The binding key must be an integer: <<"1.5">>'),
        (" 1", 'The binding key must be an integer: <<" 1">>'),
        ("1_0", 'The binding key must be an integer: <<"1_0">>'),
        ("-" + "9" * 5000, "The binding key must be greater than 0"),
    ],
)
def test_a_binding_key_that_is_no_weight_is_refused(channel, weight, text):
    exchange(channel, HASHED)
    exchange(channel, "fanout", name="next")
    for verb, destination in ((channel.queue_bind, "a"), (channel.exchange_bind, "next")):
        assert refusal_of(verb, destination, "x", weight).reply_text == f"PRECONDITION_FAILED - {text}"
    assert channel.vhost.exchanges["x"].bindings == {}
    channel.queue_unbind("a", "x", weight)


def test_a_modulus_counts_bindings_and_all_keys_are_hashed(channel):
    exchange(channel, MODULUS, "a 1", "b 2", "a 3")
    assert about(counts(channel), a=2000, b=1000)
    for queue in "ab":
        channel.queue_purge(queue)
    for number in range(40):
        publish(channel, ["k"], headers={"CC": [f"c{number}"]})
    assert all(channel.vhost.queues[queue].ready for queue in "ab")


# By chance


def test_every_binding_is_as_likely(channel):
    exchange(channel, RANDOM, "a 1", "b 2", "a 3")
    assert about(counts(channel), a=2000, b=1000)


def test_chance_is_handed_in():
    drawn = iter([1, 0, 1])
    channel = new_channel(Broker(draw=lambda count: next(drawn) % count))
    for queue in "ab":
        channel.queue_declare(queue)
    exchange(channel, RANDOM, "a 1", "b 2")
    assert [queue_of(channel, "k") for _ in range(3)] == ["b", "a", "b"]


def test_chance_that_is_not_handed_in_is_the_same_every_time():
    first, second = ([queue_of(channel, "k") for _ in range(30)] for channel in (randomly(), randomly()))
    assert first == second
    assert set(first) == {"a", "b"}


def randomly():
    channel = new_channel()
    for queue in "ab":
        channel.queue_declare(queue)
    exchange(channel, RANDOM, "a 1", "b 2")
    return channel


def test_a_local_random_exchange_takes_classic_queues_without_a_key():
    channel = new_channel()
    declare(channel, "a")
    declare(channel, "b")
    declare(channel, "q", "quorum")
    exchange(channel, LOCAL, "a", "b")
    exchange(channel, "fanout", name="next")
    assert about(counts(channel), a=1500, b=1500)
    texts = [
        refusal_of(channel.queue_bind, "a", "x", "key").reply_text,
        refusal_of(channel.queue_bind, "q", "x").reply_text,
        refusal_of(channel.exchange_bind, "next", "x").reply_text,
    ]
    assert texts == [
        "PRECONDITION_FAILED - Non empty binding 'key' key not permitted",
        "PRECONDITION_FAILED - Queue type rabbit_quorum_queue not valid for this exchange type",
        "PRECONDITION_FAILED - Destination not found",
    ]


# With a memory


@pytest.mark.parametrize(
    ("length", "kept"), [(None, [f"{n}" for n in range(5, 25)]), (2, ["23", "24"]), (Long(1), ["24"]), (2**40, None)]
)
def test_a_new_binding_gets_the_latest_messages_in_their_order(channel, length, kept):
    """Twenty of them, unless it is said how many."""
    messages = [f"{number}" for number in range(25)]
    exchange(channel, HISTORY, **({} if length is None else {"x-recent-history-length": length}))
    publish(channel, messages)
    bind(channel, "a anything")
    assert ready(channel, "a").split() == (messages if kept is None else kept)


def test_a_binding_that_is_there_gets_nothing_again(channel):
    exchange(channel, HISTORY, **{"x-recent-history-length": 3})
    publish(channel, "123")
    steps = []
    for binding in ("a k", "a other", "a other"):
        bind(channel, binding)
        steps.append(ready(channel, "a"))
        channel.queue_purge("a")
    publish(channel, "4")
    steps.append(ready(channel, "a"))
    channel.queue_purge("a")
    channel.queue_unbind("a", "x", "k")
    bind(channel, "a k")
    steps.append(ready(channel, "a"))
    assert steps == ["1 2 3", "1 2 3", "", "4", "2 3 4"]


@pytest.mark.parametrize("value", [True, False, None, "true", 1])
def test_only_a_header_that_is_true_keeps_a_message_out_of_the_history(channel, value):
    exchange(channel, HISTORY)
    publish(channel, "1", headers={"x-recent-history-no-store": value})
    bind(channel, "a")
    assert ready(channel, "a") == ("" if value is True else "1")


def test_what_comes_late_is_the_message_as_it_was_published(channel):
    exchange(channel, HISTORY)
    publish(channel, ["k"], headers={"a": 1, "CC": ["c"], "BCC": ["d"]}, expiration="1000", message_id="m")
    bind(channel, "a")
    [copy] = channel.vhost.queues["a"].ready
    message = copy.message
    assert (message.exchange, message.routing_key, message.properties.message_id) == ("x", "k", "m")
    assert message.headers == {"a": 1, "CC": ["c"]}
    assert copy.expires_at == channel.vhost.node.now + message.ttl


def test_an_exchange_gets_the_latest_messages_in_reverse(channel):
    exchange(channel, HISTORY, **{"x-recent-history-length": 3})
    exchange(channel, "topic", "a k.*", "b k.3", name="next")
    publish(channel, ["k.1", "k.2", "k.3", "k.4"])
    channel.exchange_bind("next", "x", "anything")
    assert (ready(channel, "a"), ready(channel, "b")) == ("k.4 k.3 k.2", "k.3")


def test_messages_that_come_by_other_exchanges_or_have_died_are_kept_too(channel):
    exchange(channel, HISTORY)
    exchange(channel, "fanout", name="before")
    channel.exchange_bind("x", "before")
    declare(channel, "dying", dead_letter_exchange="x")
    channel.publish("before", "k", b"1")
    channel.publish("", "dying", b"2")
    channel.reject(get(channel, "dying", 1)["2"], requeue=False)
    bind(channel, "a")
    assert ready(channel, "a") == "1 2"


def test_the_limits_of_a_queue_hold_for_what_comes_late(channel):
    exchange(channel, HISTORY)
    publish(channel, "12345")
    declare(channel, "last", max_length=2)
    declare(channel, "first", max_length=2, overflow="reject-publish")
    declare(channel, "none", message_ttl=0)
    for queue in ("last", "first", "none"):
        bind(channel, queue)
    assert [ready(channel, queue) for queue in ("last", "first", "none")] == ["4 5", "1 2", ""]


def test_an_unroutable_message_is_kept_and_goes_to_the_alternate_exchange_all_the_same(channel):
    exchange(channel, "fanout", "b", name="rest")
    exchange(channel, HISTORY, **{"alternate-exchange": "rest"})
    publish(channel, "1")
    bind(channel, "a")
    assert (ready(channel, "a"), ready(channel, "b")) == ("1", "1")


def test_a_history_ends_with_its_exchange_and_with_the_broker():
    broker = Broker()
    channel = new_channel(broker)
    declare(channel, "a")
    channel.exchange_declare("x", HISTORY, durable=True)
    channel.publish("x", "1")
    channel.exchange_delete("x")
    channel.exchange_declare("x", HISTORY, durable=True)
    channel.publish("x", "2")
    broker.restart()
    channel = new_channel(broker)
    channel.queue_bind("a", "x")
    assert ready(channel, "a") == ""


@pytest.mark.parametrize(
    ("length", "shown"), [(0, "0"), (-1, "-1"), ("5", '<<"5">>'), (None, "undefined"), (True, "true"), (False, "false")]
)
def test_a_history_of_no_length_is_refused(channel, length, shown):
    with pytest.raises(ChannelError) as refusal:
        channel.exchange_declare("x", HISTORY, arguments={"x-recent-history-length": length})
    wanted = f"Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"
    assert refusal.value.reply_text == f"PRECONDITION_FAILED - {wanted}"


@pytest.mark.parametrize("type", [HASHED, MODULUS, RANDOM, HISTORY])
def test_the_invariants_hold_whatever_comes_and_goes(channel, type):
    exchange(channel, type, "a 1", "b 2", "b 1")
    publish(channel, "1234")
    channel.queue_unbind("b", "x", "2")
    channel.queue_delete("a")
    publish(channel, "5678")
    declare(channel, "a")
    bind(channel, "a 3")
    publish(channel, "9")
    channel.exchange_delete("x")
    for queue in channel.vhost.queues.values():
        assert channel.vhost.bindings_to(queue) == {}
