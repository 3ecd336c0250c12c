"""Policies: which applies, what it makes of a queue's arguments, and what happens to living queues when it changes.

Everything was asked of RabbitMQ 4.0.5 and 3.10.8, through their HTTP API and AMQP.
"""

import pytest

from simbus.effects import Confirmed
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import ConnectionError, NoSuch, RabbitMQError, ValidationFailed  # noqa: A004 - AMQP's word
from simbus.rabbitmq.versions import VERSIONS
from simbus.units import MILLISECOND, SECOND
from tests.versions import on_both

BOTH = sorted(VERSIONS)
QUORUM = {"x-queue-type": "quorum"}


class Shop:
    """A broker of a version, one channel, and the policies of its virtual host."""

    def __init__(self, version="4.0"):
        self.broker = Broker(version=version)
        self.channel = self.broker.open_connection().open_channel()
        self.channel.confirm_select()

    def policy(self, definition, pattern="", name="p", **more):
        self.broker.set_policy("/", name, pattern, definition, **more)
        self.broker.check()

    def operator(self, definition, pattern="", name="o", **more):
        self.policy(definition, pattern, name, operator=True, **more)

    def declare(self, name, kind="classic", **arguments):
        table = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
        self.channel.queue_declare(name, durable=True, arguments={"x-queue-type": kind, **table})
        return self.broker.vhost().queues[name]

    def publish(self, queue, *bodies, exchange=""):
        """Publish; whether each was confirmed."""
        self.broker.take_effects()
        for body in bodies:
            self.channel.publish(exchange, queue, body)
        return [effect.ack for effect in self.broker.take_effects() if isinstance(effect, Confirmed)]

    def ready(self, queue):
        self.broker.check()
        return [copy.message.body for copy in self.broker.vhost().queues[queue].ready]

    def advance(self, milliseconds):
        target = self.broker.now + milliseconds * MILLISECOND
        while (deadline := self.broker.next_deadline) is not None and deadline <= target:
            self.broker.advance(deadline)
        self.broker.advance(target)
        self.broker.check()

    def deliveries(self, queue):
        """How often a message is delivered that always comes back, up to 30 times."""
        self.channel.publish("", queue, b"x")
        for count in range(30):
            got = self.channel.get(queue)
            if got is None:
                return count
            self.channel.nack(got.delivery.delivery_tag)
        return 30

    def applied(self, queue):
        return [policy and policy.name for policy in self.broker.vhost().queues[queue].applied]


@pytest.fixture(params=BOTH)
def shop(request):
    return Shop(request.param)


@pytest.fixture(params=["classic", "quorum"])
def kind(request):
    return request.param


# Which policy applies


def test_the_policy_of_the_highest_priority_applies_and_no_other(shop):
    shop.declare("orders")
    shop.policy({"max-length": 1}, name="low", priority=-5)
    shop.policy({"expires": 9}, name="high", priority=0.5)
    assert shop.applied("orders") == ["high", None]
    assert shop.broker.vhost().queues["orders"].options.max_length is None


def test_a_pattern_is_looked_for_anywhere_in_a_name_and_in_its_case(shop):
    shop.declare("shop.orders")
    for pattern, applies in (("orders", True), ("^orders", False), ("ORDERS", False), ("s$", True), ("", True)):
        shop.policy({"max-length": 1}, pattern)
        assert shop.applied("shop.orders") == ["p" if applies else None, None]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("^(?<n>a)", ["a1", "a-b"]),
        ("^\\w+$", ["a1"]),
        ("^.{4}$", []),  # a letter outside ASCII is two octets
        ("^.{5}$", ["Grün"]),
        ("^[^[:space:]]+$", ["Grün", "a1", "a-b"]),
        ("^[[:alpha:]]+$", []),
        ("\\Qa-b\\E", ["a-b"]),
        ("^a(?!1)", ["a-b"]),
        ("b\\z", ["a-b"]),
    ],
)
def test_a_pattern_is_perl_s_and_of_octets(shop, pattern, names):
    for name in ("Grün", "a1", "a-b", "x y"):
        shop.declare(name)
    shop.policy({"max-length": 5}, pattern)
    assert [name for name in ("Grün", "a1", "a-b", "x y") if shop.applied(name)[0]] == names


def test_a_policy_of_the_same_name_is_replaced(shop):
    shop.declare("orders")
    shop.policy({"max-length": 1})
    shop.policy({"max-length": 2})
    assert shop.broker.vhost().queues["orders"].options.max_length == 2
    shop.broker.delete_policy("/", "p")
    assert shop.applied("orders") == [None, None]


def test_a_queue_that_is_declared_later_heeds_the_policies_that_there_are(shop, kind):
    shop.policy({"max-length": 2}, "^orders")
    shop.declare("orders", kind)
    shop.publish("orders", b"1", b"2", b"3")
    assert shop.ready("orders") == [b"2", b"3"]


@pytest.mark.parametrize(
    ("apply_to", "queues"),
    [
        ("all", ["classic", "quorum"]),
        ("queues", ["classic", "quorum"]),
        ("classic_queues", ["classic"]),
        ("quorum_queues", ["quorum"]),
        ("streams", []),
        ("exchanges", []),
    ],
)
def test_a_policy_applies_to_queues_of_the_types_that_it_names(apply_to, queues):
    shop = Shop("4.0")
    for name in ("classic", "quorum"):
        shop.declare(name, name)
    shop.policy({"max-length": 1}, apply_to=apply_to)
    assert [name for name in ("classic", "quorum") if shop.applied(name)[0]] == queues


@pytest.mark.parametrize(
    ("version", "kind", "key", "value", "applies"),
    [
        *((version, "classic", "delivery-limit", 3, False) for version in BOTH),
        *((version, "quorum", "delivery-limit", 3, True) for version in BOTH),
        *((version, "quorum", "queue-mode", "lazy", False) for version in BOTH),
        *((version, "classic", "queue-mode", "lazy", True) for version in BOTH),
        *((version, kind, "max-age", "1D", False) for version in BOTH for kind in ("classic", "quorum")),
        *((version, kind, "alternate-exchange", "x", True) for version in BOTH for kind in ("classic", "quorum")),
        ("4.0", "classic", "queue-leader-locator", "balanced", True),
        ("3.10", "classic", "queue-leader-locator", "balanced", False),
        ("3.10", "quorum", "ha-mode", "all", False),
        ("3.10", "classic", "ha-mode", "all", True),
    ],
)
def test_a_key_that_a_type_of_queue_does_not_know_keeps_the_whole_policy_away(version, kind, key, value, applies):
    shop = Shop(version)
    shop.policy({"max-length": 1, key: value})
    shop.declare("q", kind)
    shop.publish("q", b"1", b"2", b"3")
    assert len(shop.ready("q")) == (1 if applies else 3)


@on_both("foreign_policy_keys", {"4.0": 3, "3.10": 1})
def test_a_limit_in_memory_keeps_a_policy_away_from_the_classic_queues_of_4_0(version, expected):
    shop = Shop(version)
    shop.policy({"max-length": 1, "max-in-memory-length": 5})
    shop.declare("q")
    shop.publish("q", b"1", b"2", b"3")
    assert len(shop.ready("q")) == expected


# What is merged


@pytest.mark.parametrize(("argument", "policy"), [(3, 2), (2, 3)])
def test_of_a_queue_s_limit_and_its_policy_s_the_lower_one_holds(shop, kind, argument, policy):
    shop.declare("q", kind, max_length=argument, message_ttl=argument * 1000)
    shop.policy({"max-length": policy, "message-ttl": policy * 1000})
    options = shop.broker.vhost().queues["q"].options
    assert (options.max_length, options.message_ttl) == (2, 2 * SECOND)


def test_arguments_stay_as_they_were_declared(shop, kind):
    shop.declare("q", kind, max_length=3)
    shop.policy({"max-length": 2, "message-ttl": 1})
    shop.declare("q", kind, max_length=3)
    with pytest.raises(RabbitMQError, match="received '2' but current is '3'"):
        shop.declare("q", kind, max_length=2)


def test_the_overflow_of_an_argument_holds_in_a_classic_queue_and_that_of_a_policy_in_a_quorum_queue(shop):
    shop.policy({"max-length": 1, "overflow": "reject-publish"})
    shop.declare("classic", overflow="drop-head")
    shop.declare("quorum", "quorum", overflow="drop-head")
    assert shop.publish("classic", b"1", b"2", b"3", b"4") == [True, True, True, True]
    assert shop.publish("quorum", b"1", b"2", b"3", b"4") == [True, True, False, False]


def test_the_dead_letter_exchange_is_the_argument_s_and_the_routing_key_the_policy_s(shop, kind):
    shop.declare("dead")
    shop.declare("fan")
    shop.channel.queue_bind("fan", "amq.fanout")
    shop.declare("q", kind, dead_letter_exchange="amq.fanout")
    shop.policy({"dead-letter-exchange": "", "dead-letter-routing-key": "dead"}, "^q$")
    shop.publish("q", b"z")
    shop.channel.reject(shop.channel.get("q").delivery.delivery_tag, requeue=False)
    [copy] = shop.broker.vhost().queues["fan"].ready
    assert copy.message.routing_key == "dead"
    assert shop.ready("dead") == []


def test_a_routing_key_without_an_exchange_dead_letters_nothing(shop, kind):
    shop.declare("dead")
    shop.declare("q", kind)
    shop.policy({"dead-letter-routing-key": "dead"}, "^q$")
    shop.publish("q", b"z")
    shop.channel.reject(shop.channel.get("q").delivery.delivery_tag, requeue=False)
    assert shop.ready("dead") == []


@pytest.mark.parametrize(
    ("version", "argument", "policy", "operator", "deliveries"),
    [
        *((version, 5, 2, None, 3) for version in BOTH),
        *((version, 2, 5, None, 3) for version in BOTH),
        *((version, None, 3, None, 4) for version in BOTH),
        *((version, None, None, 3, 4) for version in BOTH),
        *((version, 5, None, 3, 4) for version in BOTH),
        *((version, 0, 5, None, 1) for version in BOTH),
        *((version, None, 25, None, 26) for version in BOTH),
        ("4.0", 5, -1, None, 6),
        ("4.0", -1, 5, None, 6),
        ("4.0", None, -1, None, 30),
        ("4.0", None, -1, 3, 4),
        ("4.0", None, 5, -1, 6),
        ("4.0", -1, None, None, 30),
        ("3.10", -1, None, None, 1),
        ("3.10", -1, 5, None, 1),
    ],
)
def test_of_delivery_limits_the_lowest_holds_and_in_4_0_a_negative_one_is_none(version, argument, policy, operator, deliveries):
    shop = Shop(version)
    if policy is not None:
        shop.policy({"delivery-limit": policy})
    if operator is not None:
        shop.operator({"delivery-limit": operator})
    shop.declare("q", "quorum", **({} if argument is None else {"delivery_limit": argument}))
    assert shop.deliveries("q") == deliveries


def test_an_operator_policy_holds_beside_a_policy_and_lower_limits_win(shop):
    shop.policy({"max-length": 5, "message-ttl": 5})
    shop.operator({"max-length": 3, "message-ttl": 500, "expires": 99})
    queue = shop.declare("q")
    assert shop.applied("q") == ["p", "o"]
    definition = queue.applied.definition(shop.broker.version)
    assert list(definition.items()) == [("expires", 99), ("max-length", 3), ("message-ttl", 5)]


def test_an_operator_s_overflow_wins_over_a_policy_s_in_4_0():
    shop = Shop("4.0")
    shop.policy({"overflow": "drop-head"})
    shop.operator({"overflow": "reject-publish"})
    assert shop.declare("q").applied.definition(shop.broker.version) == {"overflow": "reject-publish"}


# What happens at once


def test_a_limit_drops_heads_at_once_and_dead_letters_them_by_the_same_policy(shop, kind):
    shop.declare("dead")
    shop.declare("q", kind)
    shop.publish("q", b"0", b"1", b"2", b"3")
    shop.policy({"max-length": 2, "dead-letter-exchange": "", "dead-letter-routing-key": "dead"}, "^q$")
    dropped = [b"0", b"1"] if kind == "classic" else [b"1", b"0"]  # a quorum queue dead-letters the last one first
    assert (shop.ready("q"), shop.ready("dead")) == ([b"2", b"3"], dropped)


def test_a_limit_that_comes_with_reject_publish_still_drops_the_heads_of_a_classic_queue(shop):
    for name, left in (("classic", 2), ("quorum", 4)):
        shop.declare(name, name)
        shop.publish(name, b"0", b"1", b"2", b"3")
        shop.policy({"max-length": 2, "overflow": "reject-publish"}, name)
        assert len(shop.ready(name)) == left
        shop.broker.delete_policy("/", "p")


def test_a_lower_limit_under_reject_publish_drops_nothing_until_heads_may_be_dropped(shop, kind):
    shop.policy({"max-length": 8, "overflow": "reject-publish"})
    shop.declare("q", kind)
    shop.publish("q", *[b"x"] * 6)
    shop.policy({"max-length": 2, "overflow": "reject-publish"})
    assert len(shop.ready("q")) == 6
    shop.policy({"max-length": 2, "overflow": "drop-head"})
    assert len(shop.ready("q")) == 2


def test_without_its_policy_a_queue_is_what_its_arguments_say(shop, kind):
    shop.policy({"max-length": 1, "overflow": "reject-publish"})
    shop.declare("q", kind)
    shop.policy({"max-length": 1})
    assert shop.publish("q", b"1", b"2", b"3") == [True, True, True]
    assert shop.ready("q") == [b"3"]
    shop.broker.delete_policy("/", "p")
    shop.publish("q", b"4")
    assert shop.ready("q") == [b"3", b"4"]


def test_a_time_to_live_holds_for_what_is_published_from_then_on(shop, kind):
    shop.declare("q", kind)
    shop.publish("q", b"old")
    shop.policy({"message-ttl": 300})
    shop.publish("q", b"new")
    shop.advance(1000)
    assert shop.ready("q") == [b"old", b"new"]  # a message expires at the head only
    shop.channel.get("q", no_ack=True)
    assert shop.ready("q") == []


def test_what_was_published_under_a_time_to_live_keeps_it(shop, kind):
    shop.policy({"message-ttl": 300})
    shop.declare("q", kind)
    shop.publish("q", b"1")
    shop.broker.delete_policy("/", "p")
    shop.advance(300)
    assert shop.ready("q") == []


def test_a_lease_begins_when_its_policy_is_set_and_anew_with_every_change_of_what_applies(shop):
    shop.declare("q")
    shop.advance(600)
    shop.policy({"expires": 500})
    shop.advance(400)
    shop.policy({"expires": 500, "max-length": 5})
    shop.advance(400)
    assert "q" in shop.broker.vhost().queues
    shop.advance(100)
    assert "q" not in shop.broker.vhost().queues


def test_a_policy_for_others_renews_no_lease(shop):
    shop.declare("q")
    shop.policy({"expires": 500}, "^q$")
    shop.advance(400)
    shop.policy({"max-length": 5}, "^other", name="z")
    shop.advance(100)
    assert "q" not in shop.broker.vhost().queues


def test_a_policy_of_another_kind_renews_the_lease_of_an_argument(shop):
    shop.declare("q", expires=800)
    shop.advance(500)
    shop.policy({"max-length": 5})
    shop.advance(799)
    assert "q" in shop.broker.vhost().queues
    shop.advance(1)
    assert "q" not in shop.broker.vhost().queues


def test_a_lease_ends_with_its_policy(shop):
    shop.policy({"expires": 500})
    shop.declare("q")
    shop.broker.delete_policy("/", "p")
    shop.advance(10_000)
    assert shop.ready("q") == []


def test_a_delivery_limit_below_what_was_counted_counts_at_the_next_return(shop):
    shop.declare("q", "quorum", delivery_limit=10)
    shop.publish("q", b"x")
    for _ in range(4):
        shop.channel.nack(shop.channel.get("q").delivery.delivery_tag)
    shop.policy({"delivery-limit": 2})
    assert shop.ready("q") == [b"x"]
    shop.channel.nack(shop.channel.get("q").delivery.delivery_tag)
    assert shop.ready("q") == []


def test_a_shorter_consumer_timeout_is_of_what_is_held_already():
    shop = Shop("4.0")
    shop.declare("q")
    shop.publish("q", b"x")
    shop.channel.get("q")
    shop.advance(5_000)
    shop.policy({"consumer-timeout": 1000})
    shop.advance(54_000)
    assert not shop.channel.closed
    shop.advance(2_000)
    assert shop.channel.closed


# Exchanges


def test_an_exchange_has_its_alternate_exchange_from_a_policy_until_it_is_deleted(shop):
    shop.declare("fan")
    shop.channel.queue_bind("fan", "amq.fanout")
    shop.channel.exchange_declare("x", durable=True)
    shop.policy({"alternate-exchange": "amq.fanout"}, "^x", apply_to="exchanges")
    shop.publish("nowhere", b"1", exchange="x")
    shop.channel.exchange_declare("x", durable=True)
    shop.broker.delete_policy("/", "p")
    shop.publish("nowhere", b"2", exchange="x")
    assert shop.ready("fan") == [b"1"]


def test_the_alternate_exchange_of_an_argument_wins(shop):
    shop.declare("fan")
    shop.channel.queue_bind("fan", "amq.fanout")
    shop.policy({"alternate-exchange": "amq.fanout"})
    shop.channel.exchange_declare("x", arguments={"alternate-exchange": "nosuch"})
    shop.publish("nowhere", b"1", exchange="x")
    assert shop.ready("fan") == []


def test_predeclared_exchanges_heed_policies_and_the_default_one_does_not(shop):
    shop.declare("fan")
    shop.channel.queue_bind("fan", "amq.fanout")
    shop.policy({"alternate-exchange": "amq.fanout"})
    shop.publish("nowhere", b"1", exchange="amq.direct")
    shop.publish("nowhere", b"2", exchange="")
    assert shop.ready("fan") == [b"1"]


# What is refused, and with which words


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ({"message-ttl": -1}, "-1 is not a valid message TTL"),
        ({"message-ttl": "x"}, '<<"x">> is not a valid message TTL'),
        ({"message-ttl": 1.5}, "1.5 is not a valid message TTL"),
        ({"expires": 0}, "0 is not a valid queue expiry"),
        ({"max-length": "5"}, '<<"5">> is not a valid maximum length'),
        ({"max-length-bytes": "50MB"}, '<<"50MB">> is not a valid maximum length in bytes'),
        ({"overflow": "x"}, '<<"x">> is not a valid overflow value'),
        ({"overflow": 5}, "5 is not a valid overflow value"),
        ({"dead-letter-exchange": 5}, "5 is not a valid dead letter exchange name"),
        ({"dead-letter-routing-key": 5}, "5 is not a valid dead letter routing key"),
        ({"delivery-limit": "x"}, '<<"x">> is not a valid delivery limit'),
        ({"dead-letter-strategy": "x"}, '<<"x">> is not a valid dead letter strategy'),
        ({"max-age": "1X"}, '<<"1X">> is not a valid max age'),
        ({"max-age": "0D"}, '<<"0D">> is not a valid max age'),
        ({"queue-mode": "x"}, '<<"x">> is not a valid queue-mode value'),
        ({"queue-version": 3}, "3 is not a valid queue-version value"),
        ({"alternate-exchange": 5}, "5 is not a valid alternate exchange name"),
        ({"queue-leader-locator": "x"}, '<<"x">> is not a valid queue leader locator value'),
        ({"max-priority": 5}, '[{<<"max-priority">>,5}] are not recognised policy settings'),
        ({"single-active-consumer": True}, '[{<<"single-active-consumer">>,true}] are not recognised policy settings'),
        ({"message-ttl": 1, "other": 3, "nosuch": 2}, '[{<<"nosuch">>,2},{<<"other">>,3}] are not recognised policy settings'),
        ({}, "no policy provided"),
        ({"message-ttl": -1, "expires": 0}, "0 is not a valid queue expiry"),
        ({"routing-key": "2"}, "shards-per-node must be specified"),
    ],
)
def test_what_is_no_policy_is_refused_in_rabbitmq_s_words(shop, definition, text):
    with pytest.raises(ValidationFailed) as refused:
        shop.policy(definition)
    assert refused.value.reason == text


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(", '{"missing )",1}'),
        ("*", '{"nothing to repeat",0}'),
        ("[", '{"missing terminating ] for character class",1}'),
        ("a{4294967296}", '{"number too big in {} quantifier",8}'),
    ],
)
def test_a_pattern_is_a_regular_expression(shop, pattern, text):
    with pytest.raises(ValidationFailed) as refused:
        shop.policy({"message-ttl": 5}, pattern)
    assert refused.value.reason == f"pattern should be regular expression but is invalid: {text}"


@pytest.mark.parametrize("depth", [2000, 20_000])
def test_a_pattern_may_be_too_complicated(shop, depth):
    with pytest.raises(ValidationFailed) as refused:
        shop.policy({"message-ttl": 5}, "(" * depth + ")" * depth)
    assert '"regular expression is too complicated"' in refused.value.reason


FIVE = "one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'"


@on_both("policy_targets_in_words", {"4.0": FIVE, "3.10": "'queues', 'exchanges' or 'all'"})
def test_what_a_policy_applies_to_is_one_of_a_few_words(version, expected):
    with pytest.raises(ValidationFailed) as refused:
        Shop(version).policy({"message-ttl": 5}, apply_to="x")
    assert refused.value.reason == f"apply-to 'x' unrecognised; should be {expected}"


@pytest.mark.parametrize("word", ["classic_queues", "quorum_queues", "streams"])
@on_both("policy_targets", {"4.0": True, "3.10": False})
def test_policies_for_one_type_of_queue_are_of_4_0(version, expected, word):
    assert accepts(Shop(version), {"message-ttl": 5}, apply_to=word) == expected


def test_a_policy_that_is_refused_is_not_there(shop):
    """RabbitMQ stumbles over this one (500)."""
    stream = shop.declare("log", "stream", max_age="1D")
    with pytest.raises(ValidationFailed):
        shop.policy({"max-age": "٣D"})
    assert shop.broker.vhost().policies.policies == {}
    assert stream.options.max_age == 86_400 * SECOND


def test_of_two_ages_the_shorter_holds_however_long_the_other_is(shop):
    stream = shop.declare("log", "stream", max_age="1D")
    shop.policy({"max-age": "9" * 5000 + "D"})
    assert stream.options.max_age == 86_400 * SECOND


def test_all_that_is_wrong_is_told_the_definition_first():
    with pytest.raises(ValidationFailed) as refused:
        Shop("3.10").operator({"max-age": "1D"}, apply_to="streams")
    assert refused.value.reason.splitlines() == [
        '[{<<"max-age">>,<<"1D">>}] are not recognised policy settings',
        "apply-to 'streams' unrecognised; should be 'queues', 'exchanges' or 'all'",
    ]


def test_a_priority_is_a_number(shop):
    with pytest.raises(ValidationFailed, match='priority should be a number, actually was <<"x">>'):
        shop.policy({"message-ttl": 5}, priority="x")


def accepts(shop, definition, **more):
    """Whether the broker lets such a policy be set, which is there then."""
    try:
        shop.policy(definition, **more)
    except ValidationFailed:
        return False
    return bool(shop.broker.vhost().policies.named(operator=more.get("operator", False)))


@on_both("negative_is_unlimited", {"4.0": True, "3.10": False})
def test_a_policy_may_lift_the_delivery_limit_in_4_0(version, expected):
    assert accepts(Shop(version), {"delivery-limit": -1}) == expected


@pytest.mark.parametrize("definition", [{"overflow": "drop-head"}, {"queue-version": 2}, {"target-group-size": 1}])
@on_both("operator_policy_keys", {"4.0": True, "3.10": False})
def test_operators_of_4_0_may_set_more(version, expected, definition):
    assert accepts(Shop(version), definition, operator=True) == expected


@pytest.mark.parametrize("definition", [{"dead-letter-exchange": "x"}, {"queue-mode": "lazy"}, {"alternate-exchange": "x"}])
def test_operators_may_not_set_everything(shop, definition):
    assert not accepts(shop, definition, operator=True)


@on_both("policy_keys", {"4.0": (True, False), "3.10": (False, True)})
def test_mirrors_are_of_3_10_and_sizes_of_groups_of_4_0(version, expected):
    assert tuple(accepts(Shop(version), policy) for policy in ({"target-group-size": 1}, {"ha-mode": "all"})) == expected


def test_a_time_to_live_of_a_policy_may_be_longer_than_one_of_an_argument(shop):
    assert accepts(shop, {"message-ttl": 315_360_000_001})


def test_what_simbus_does_not_model_is_refused_and_says_so(shop):
    with pytest.raises(ConnectionError, match="simbus does not model the policy key 'shards-per-node' yet"):
        shop.policy({"shards-per-node": 2})


def test_a_policy_that_is_not_there_cannot_be_deleted(shop):
    with pytest.raises(NoSuch, match="no policy 'p': there is none"):
        shop.broker.delete_policy("/", "p")
    with pytest.raises(NoSuch, match="no vhost 'shop': there is '/'"):
        shop.broker.set_policy("shop", "p", "", {"max-length": 1})


def test_policies_outlive_a_restart(shop):
    shop.policy({"max-length": 1})
    shop.declare("q")
    shop.broker.restart()
    shop.channel = shop.broker.open_connection().open_channel()
    shop.publish("q", b"1", b"2")
    assert shop.ready("q") == [b"2"]
