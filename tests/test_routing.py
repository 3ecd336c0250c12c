"""Which queues a message reaches: the tables of what RabbitMQ 3.10.8 and 4.0.5 were observed to do."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.effects import Published
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import ChannelError
from simbus.rabbitmq.fields import Long, compared_as_number
from simbus.rabbitmq.headers import headers_match
from simbus.rabbitmq.messages import Message
from simbus.rabbitmq.properties import NO_PROPERTIES, Properties
from simbus.rabbitmq.routers import MOST_REMEMBERED_KEYS
from simbus.rabbitmq.topics import topic_matches
from tests.brokers import new_channel
from tests.versions import on_both


def bound(type="topic", **keys):
    """A channel with an exchange ``x`` of that type, and a queue for each name, bound with its keys."""
    channel = new_channel()
    channel.exchange_declare("x", type)
    for queue, bindings in keys.items():
        channel.queue_declare(queue)
        for key in bindings:
            channel.queue_bind(queue, "x", key)
    channel.vhost.node.effects.clear()
    return channel


def message_to(key):
    return Message(0, "x", key, NO_PROPERTIES, b"")


def reached(channel, key="", exchange="x", **properties):
    channel.publish(exchange, key, b"", Properties(**properties))
    return next(effect.queues for effect in reversed(channel.vhost.node.effects) if isinstance(effect, Published))


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("order.*", "order.placed", True),
        ("order.*", "order", False),
        ("order.*", "order.placed.now", False),
        ("a.*", "a.", True),
        ("*.*", ".", True),
        ("*", "", False),
        ("*", "a", True),
        ("#", "", True),
        ("#", "a.b.c", True),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("a.#", "b", False),
        ("#.*", "", False),
        ("#.*", "a", True),
        ("#.*", "a.b.c", True),
        ("*.#", "", False),
        ("*.#", "a", True),
        ("*.#", "a.b", True),
        ("a#", "ab", False),
        ("a#", "a#", True),
        ("a.**", "a.b", False),
        ("a.**", "a.**", True),
        ("Order", "order", False),
        ("", "", True),
        ("", "a", False),
        ("#.#", "", True),
        ("a.#.b", "a.b", True),
        ("a.#.b", "a.x.y.b", True),
        ("a.#.b", "a.x.y", False),
        ("*", "#", True),
    ],
)
def test_a_topic_pattern_matches_as_rabbitmq_was_observed_to(pattern, key, matches):
    assert topic_matches(pattern, key) is matches


def as_regex(pattern):
    """An independent reading of AMQP's patterns: each word is prefixed with a dot, so that ``#`` may take none."""
    word = {"*": r"\.[^.]*", "#": r"(?:\.[^.]*)*"}
    steps = pattern.split(".") if pattern else []
    return re.compile("".join(word.get(step, r"\." + re.escape(step)) for step in steps))


def matches_by_itself(pattern, key):
    return bool(as_regex(pattern).fullmatch("." + key if key else ""))


words = st.sampled_from(["", "a", "b", "*", "#", "a#", "**"])
keys = st.lists(words, max_size=6).map(".".join)


@given(pattern=keys, key=keys)
def test_a_topic_pattern_matches_as_a_regular_expression_does(pattern, key):
    assert topic_matches(pattern, key) is matches_by_itself(pattern, key)


@given(st.lists(st.tuples(st.booleans(), keys)), st.lists(keys, min_size=1))
def test_the_tree_of_an_exchange_finds_what_each_pattern_by_itself_would(steps, published):
    """Whatever comes and goes; and nothing is left of what is gone."""
    channel = new_channel()
    channel.exchange_declare("x", "topic")
    bound: set[str] = set()
    for comes, pattern in steps:
        channel.queue_declare(f"q:{pattern}")
        (channel.queue_bind if comes else channel.queue_unbind)(f"q:{pattern}", "x", pattern)
        (bound.add if comes else bound.discard)(pattern)
    for key in published:
        assert set(reached(channel, key)) == {f"q:{pattern}" for pattern in bound if matches_by_itself(pattern, key)}
    for pattern in bound:
        channel.queue_delete(f"q:{pattern}")
    assert not channel.vhost.exchanges["x"].router._patterns.branches


def test_many_hashes_do_not_make_a_pattern_slow():
    assert not topic_matches(".".join(["#", "a"] * 200), ".".join(["a"] * 150 + ["b"]))


def test_a_topic_exchange_routes_by_pattern():
    channel = bound(inventory=["order.*"], email=["order.placed"], audit=["#"])
    assert reached(channel, "order.placed") == ("inventory", "email", "audit")
    assert reached(channel, "order.cancelled") == ("inventory", "audit")
    assert reached(channel, "stock") == ("audit",)


def test_a_direct_exchange_routes_by_the_equal_key_only():
    channel = bound("direct", a=["k", "*"], b=["K", ""])
    assert reached(channel, "k") == ("a",)
    assert reached(channel, "") == ("b",)
    assert reached(channel, "other") == ()


def test_a_fanout_exchange_ignores_the_key():
    channel = bound("fanout", a=["k"], b=[""])
    assert reached(channel, "anything") == ("a", "b")


def test_the_default_exchange_reaches_the_queue_of_that_name():
    channel = bound("direct", a=[], b=[])
    assert reached(channel, "b", exchange="") == ("b",)
    assert reached(channel, "nosuch", exchange="") == ()


def test_a_message_is_queued_once_however_many_bindings_match():
    channel = bound(audit=["#", "order.*", "*.placed", "order.placed"])
    assert reached(channel, "order.placed") == ("audit",)
    assert len(channel.vhost.queues["audit"].ready) == 1


def test_a_new_or_removed_binding_changes_the_route_of_a_key_already_used():
    channel = bound(a=["k"], b=[])
    assert reached(channel, "k") == ("a",)
    channel.queue_bind("b", "x", "#")
    assert reached(channel, "k") == ("a", "b")
    channel.queue_unbind("a", "x", "k")
    assert reached(channel, "k") == ("b",)
    channel.queue_delete("b")
    assert reached(channel, "k") == ()


def test_an_exchange_does_not_remember_endlessly_many_keys():
    channel = bound(a=["order.*"])
    exchange = channel.vhost.exchanges["x"]
    for number in range(MOST_REMEMBERED_KEYS + 5):
        assert exchange.router.route(message_to(f"order.{number}")).names == ("a",)
    assert len(exchange.router._remembered) <= MOST_REMEMBERED_KEYS


WHEN = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "headers", "matches"),
    [
        ({}, {}, True),
        ({}, {"a": 1}, True),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"x-match": "all", "a": 1}, {"a": 1}, True),
        ({"x-match": "any", "a": 1, "b": 2}, {"b": 2}, True),
        ({"x-match": "any", "a": 1, "b": 2}, {"b": 3}, False),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"x-match": "all", "x-h": "v"}, {}, True),
        ({"x-match": "any", "x-h": "v"}, {"x-h": "v"}, False),
        ({"x-match": "all-with-x", "x-h": "v"}, {}, False),
        ({"x-match": "all-with-x", "x-h": "v"}, {"x-h": "v"}, True),
        ({"x-match": "any-with-x", "x-h": "v", "a": 1}, {"x-h": "v"}, True),
        ({"a": None}, {"a": "anything"}, True),
        ({"a": None}, {}, False),
        ({"a": 2}, {"a": "2"}, False),
        ({"a": 2}, {"a": 2**40}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": "é"}, {"a": "é".encode()}, True),
        ({"a": {"b": [1, "x", WHEN]}}, {"a": {"b": [1, "x", WHEN]}}, True),
        ({"a": {"b": [1, "x"]}}, {"a": {"b": ["x", 1]}}, False),
    ],
)
def test_a_headers_binding_matches_as_rabbitmq_was_observed_to(arguments, headers, matches):
    assert headers_match(arguments, headers) is matches


def test_numbers_of_different_kinds_are_alike_where_they_are_compared_as_such():
    assert headers_match({"n": 1}, {"n": 1.0}, compared_as_number)
    assert not headers_match({"n": 1}, {"n": 1.0})


def test_a_headers_exchange_routes_each_message_by_its_own_headers():
    channel = new_channel()
    channel.exchange_declare("x", "headers")
    channel.queue_declare("q")
    channel.queue_bind("q", "x", "ignored", {"colour": "red"})
    assert reached(channel, "k", headers={"colour": "red"}) == ("q",)
    assert reached(channel, "k", headers={"colour": "blue"}) == ()
    assert reached(channel, "k") == ()


@pytest.mark.parametrize(
    ("match", "text"),
    [
        ("some", 'Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x'),
        (5, "Invalid x-match field type signedint (value 5); expected longstr"),
    ],
)
def test_a_headers_exchange_refuses_an_unknown_match(match, text):
    channel = bound("headers", q=[])
    with pytest.raises(ChannelError) as refusal:
        channel.queue_bind("q", "x", "", {"x-match": match})
    assert (refusal.value.reply_code, refusal.value.reason) == (406, text)


def test_only_a_headers_exchange_looks_at_the_match():
    bound("direct", q=[]).queue_bind("q", "x", "k", {"x-match": "some"})


def test_bindings_with_different_arguments_are_different_bindings():
    channel = bound("direct", q=[])
    channel.queue_bind("q", "x", "k", {"a": 1})
    channel.queue_bind("q", "x", "k", {"a": True})
    channel.queue_bind("q", "x", "k", {"a": 1})
    assert len(channel.vhost.exchanges["x"].bindings) == 2
    channel.queue_unbind("q", "x", "k")
    assert reached(channel, "k") == ("q",)
    channel.queue_unbind("q", "x", "k", {"a": 1})
    channel.queue_unbind("q", "x", "k", {"a": True})
    assert reached(channel, "k") == ()


def test_unbinding_what_is_not_there_is_no_error():
    channel = bound("direct", q=["k"])
    channel.queue_unbind("q", "x", "other")
    channel.queue_unbind("q", "nosuch", "k")
    channel.queue_unbind("nosuch", "x", "k")
    assert reached(channel, "k") == ("q",)


def test_an_auto_delete_exchange_goes_with_its_last_binding_and_not_before_it_had_one():
    channel = new_channel()
    channel.exchange_declare("x", "fanout", auto_delete=True)
    channel.queue_declare("a")
    channel.queue_declare("b")
    channel.queue_unbind("a", "x")
    assert "x" in channel.vhost.exchanges
    channel.queue_bind("a", "x")
    channel.queue_bind("b", "x")
    channel.queue_unbind("a", "x")
    assert "x" in channel.vhost.exchanges
    channel.queue_delete("b")
    assert "x" not in channel.vhost.exchanges


def test_deleting_an_exchange_removes_its_bindings_for_good():
    channel = bound("direct", q=["k"])
    channel.exchange_delete("x")
    channel.exchange_declare("x", "direct")
    assert reached(channel, "k") == ()


def test_every_vhost_has_the_predeclared_exchanges_and_they_are_durable():
    channel = new_channel()
    for name, type in (
        ("direct", "direct"),
        ("fanout", "fanout"),
        ("topic", "topic"),
        ("headers", "headers"),
        ("match", "headers"),
    ):
        channel.exchange_declare(f"amq.{name}", type, durable=True)


def test_a_mandatory_message_without_a_queue_is_returned_to_its_channel():
    channel = bound("direct", q=["k"])
    number = channel.publish("x", "nosuch", b"7", mandatory=True)
    assert [type(effect) for effect in channel.vhost.node.effects] == [Published, Returned]
    returned = channel.vhost.node.effects[-1]
    assert (returned.message_id, returned.channel, returned.message.body) == (number, channel.number, b"7")
    assert returned.describe() == "returned to its publisher: 312 NO_ROUTE"


@pytest.mark.parametrize(
    "arguments", [{"x-message-ttl": 0}, {"x-max-length": 0}, {"x-max-length": 0, "x-overflow": "reject-publish"}]
)
def test_a_mandatory_message_that_was_routed_and_then_dropped_is_not_returned(arguments):
    channel = new_channel()
    channel.queue_declare("q", arguments=arguments)
    channel.publish("", "q", b"", mandatory=True)
    assert not any(isinstance(effect, Returned) for effect in channel.vhost.node.effects)


def test_what_an_exchange_cannot_route_goes_on_to_its_alternate_exchange():
    channel = bound("direct", q=["k"])
    channel.exchange_declare("first", "direct", arguments={"alternate-exchange": "second"})
    channel.exchange_declare("second", "direct", arguments={"alternate-exchange": "x"})
    assert reached(channel, "k", exchange="first") == ("q",)
    copy = channel.vhost.queues["q"].ready[0]
    assert (copy.message.exchange, copy.message.routing_key) == ("first", "k")


def test_the_default_exchange_routes_nothing_as_an_alternate_exchange():
    channel = new_channel()
    channel.queue_declare("q")
    channel.exchange_declare("x", "direct", arguments={"alternate-exchange": ""})
    assert reached(channel, "q", exchange="x") == ()


def test_a_message_that_circular_or_missing_alternate_exchanges_cannot_route_is_returned():
    channel = new_channel()
    for name, alternate in (("a", "b"), ("b", "a"), ("c", "c"), ("d", "nosuch")):
        channel.exchange_declare(name, "fanout", arguments={"alternate-exchange": alternate})
    for name in "abcd":
        channel.publish(name, "k", b"", mandatory=True)
    assert [effect.message.exchange for effect in channel.vhost.node.effects if isinstance(effect, Returned)] == list("abcd")


def test_the_order_of_binding_cannot_be_seen_in_the_route():
    one = bound("fanout", a=[""], b=[""])
    other = bound("fanout", a=[], b=[""])
    other.queue_bind("a", "x", "")
    assert reached(one) == reached(other) == ("a", "b")


# Bindings between exchanges


def chained(**bindings):
    """Fanout exchanges that are bound to the sources named: ``b="a"`` binds b to a. Queue ``q`` is bound to the last one."""
    channel = new_channel()
    for name in ("a", *bindings):
        channel.exchange_declare(name, "fanout")
    for name, sources in bindings.items():
        for source in sources:
            channel.exchange_bind(name, source)
    channel.queue_declare("q")
    channel.queue_bind("q", [*bindings][-1])
    return channel


def test_a_message_goes_on_from_exchange_to_exchange_unchanged():
    channel = chained(b="a", c="b")
    assert reached(channel, "k", exchange="a") == ("q",)
    message = channel.vhost.queues["q"].ready[0].message
    assert (message.exchange, message.routing_key) == ("a", "k")


@pytest.mark.parametrize(
    ("pattern", "arguments", "reaches"),
    [("order.*", {}, True), ("book.*", {}, False), ("order.*", {"h": 1}, True)],
)
def test_a_binding_between_exchanges_is_matched_as_its_source_matches(pattern, arguments, reaches):
    channel = bound("fanout", q=[""])
    channel.exchange_bind("x", "amq.topic", pattern, arguments)
    assert (reached(channel, "order.placed", exchange="amq.topic") == ("q",)) is reaches


def test_headers_decide_on_the_way_too():
    channel = bound("headers", q=[])
    channel.queue_bind("q", "x", "", {"h": 1})
    channel.exchange_bind("x", "amq.direct", "k")
    assert reached(channel, "k", exchange="amq.direct", headers={"h": 1}) == ("q",)
    assert reached(channel, "k", exchange="amq.direct", headers={"h": 2}) == ()


def test_a_queue_gets_a_message_once_however_many_paths_lead_to_it():
    channel = chained(b="a", c="a", d="bc")
    channel.queue_bind("q", "a")
    channel.queue_bind("q", "b", "other")
    assert reached(channel, exchange="a") == ("q",)


def test_circular_bindings_are_harmless():
    channel = chained(b="ac", c="bc", a="c")
    for exchange in "abc":
        assert reached(channel, exchange=exchange) == ("q",)


def test_queues_are_reached_in_the_order_of_declaration_whatever_the_path():
    channel = new_channel()
    for queue in ("first", "second", "third"):
        channel.queue_declare(queue)
    channel.queue_bind("third", "amq.fanout")
    channel.exchange_bind("amq.direct", "amq.fanout")
    channel.queue_bind("second", "amq.direct", "k")
    channel.exchange_bind("amq.topic", "amq.direct", "k")
    channel.queue_bind("first", "amq.topic", "#")
    assert reached(channel, "k", exchange="amq.fanout") == ("first", "second", "third")


def test_an_internal_exchange_is_reached_by_a_binding():
    channel = new_channel()
    channel.exchange_declare("inside", "fanout", internal=True)
    channel.queue_declare("q")
    channel.queue_bind("q", "inside")
    channel.exchange_bind("inside", "amq.fanout")
    assert reached(channel, exchange="amq.fanout") == ("q",)


def test_a_message_that_reaches_exchanges_but_no_queue_is_returned():
    channel = new_channel()
    channel.exchange_bind("amq.topic", "amq.fanout")
    channel.publish("amq.fanout", "", b"", mandatory=True)
    assert isinstance(channel.vhost.node.effects[-1], Returned)


def test_each_exchange_on_the_way_has_its_own_alternate_exchange():
    channel = bound("fanout", q=[""])
    for name in ("a", "b"):
        channel.exchange_declare(name, "direct", arguments={"alternate-exchange": "x"})
    channel.exchange_declare("c", "fanout")
    channel.exchange_bind("c", "a", "k")  # where it ends; a has led on, so its alternate exchange has no part in it
    channel.exchange_bind("b", "amq.fanout")
    assert reached(channel, "k", exchange="a") == ()
    assert reached(channel, "other", exchange="a") == ("q",)
    assert reached(channel, "k", exchange="amq.fanout") == ("q",)


def test_what_is_remembered_heeds_bindings_made_further_on():
    channel = chained(b="a")
    assert reached(channel, exchange="a") == ("q",)
    channel.queue_unbind("q", "b")
    assert reached(channel, exchange="a") == ()
    channel.exchange_unbind("b", "a")
    channel.queue_bind("q", "b")
    assert reached(channel, exchange="a") == ()
    assert not channel.vhost.exchanges["a"].leads_on


def test_dead_letters_go_on_from_exchange_to_exchange():
    channel = chained(b="a")
    channel.queue_declare("source", arguments={"x-dead-letter-exchange": "a", "x-max-length": 0})
    channel.publish("", "source", b"1")
    assert [copy.message.body for copy in channel.vhost.queues["q"].ready] == [b"1"]


def test_bindings_between_exchanges_differ_by_all_their_parts():
    channel = new_channel()
    for key, arguments in (("k", {}), ("k", {}), ("l", {}), ("k", {"h": 1})):
        channel.exchange_bind("amq.fanout", "amq.direct", key, arguments)
    exchange = channel.vhost.exchanges["amq.direct"]
    assert len(exchange.bindings) == 3
    channel.exchange_unbind("amq.fanout", "amq.direct", "other")
    channel.exchange_unbind("amq.fanout", "amq.direct", "k")
    assert len(exchange.bindings) == 2


def test_a_queue_and_an_exchange_of_one_name_are_two_destinations():
    channel = bound("fanout", x=["k"])
    channel.exchange_declare("source", "direct")
    channel.queue_bind("x", "source", "k")
    channel.exchange_bind("x", "source", "k")
    assert len(channel.vhost.exchanges["source"].bindings) == 2
    channel.queue_unbind("x", "source", "k")
    assert [b.to_exchange for b in channel.vhost.exchanges["source"].bindings.values()] == [True]


def test_an_exchange_that_is_the_source_of_a_binding_is_in_use_and_its_destination_is_not():
    channel = chained(b="a")
    channel.queue_unbind("q", "b")
    with pytest.raises(ChannelError, match="exchange 'a' in vhost '/' in use"):
        channel.exchange_delete("a", if_unused=True)
    channel.exchange_delete("b", if_unused=True)
    channel.exchange_delete("a", if_unused=True)


@pytest.mark.parametrize("end", ["queue", "unbind", "exchange"])
def test_auto_delete_exchanges_go_one_after_the_other_when_the_last_binding_goes(end):
    channel = new_channel()
    for name in ("a", "b", "c"):
        channel.exchange_declare(name, "fanout", auto_delete=True)
    channel.exchange_bind("b", "a")
    channel.exchange_bind("c", "b")
    channel.queue_declare("q")
    channel.queue_bind("q", "c")
    if end == "queue":
        channel.queue_delete("q")
    elif end == "unbind":
        channel.queue_unbind("q", "c")
    else:
        channel.exchange_delete("c")
    assert not {"a", "b", "c"} & channel.vhost.exchanges.keys()


def test_an_auto_delete_exchange_does_not_go_because_it_is_bound_to_nothing():
    channel = new_channel()
    channel.exchange_declare("x", "fanout", auto_delete=True)
    channel.exchange_bind("x", "amq.fanout")
    channel.exchange_unbind("x", "amq.fanout")
    assert "x" in channel.vhost.exchanges


def test_an_auto_delete_exchange_that_is_bound_to_itself_keeps_itself():
    channel = new_channel()
    channel.exchange_declare("x", "fanout", auto_delete=True)
    channel.queue_declare("q")
    channel.exchange_bind("x", "x")
    channel.queue_bind("q", "x")
    assert reached(channel, exchange="x") == ("q",)
    channel.queue_unbind("q", "x")
    assert "x" in channel.vhost.exchanges
    channel.exchange_unbind("x", "x")
    assert "x" not in channel.vhost.exchanges


@on_both("headers_compare_numbers", {"4.0": "", "3.10": "q"})
def test_an_integer_and_a_float_of_one_value_are_equal_to_a_headers_exchange_or_not(version, expected):
    channel = new_channel(Broker(version=version))
    channel.queue_declare("q")
    channel.queue_bind("q", "amq.headers", arguments={"a": 2})
    assert "".join(reached(channel, exchange="amq.headers", headers={"a": 2.0})) == expected


def test_inside_tables_and_arrays_types_must_be_the_same():
    for wanted, sent, matches in (
        ({"n": {"a": 1}}, {"n": {"a": Long(1)}}, False),
        ({"n": [1]}, {"n": [1]}, True),
        ({"n": [1]}, {"n": [Long(1)]}, False),
        ({"n": 1}, {"n": Long(1)}, True),
    ):
        assert headers_match(wanted, sent) is matches
