"""The headers CC and BCC: more routing keys for one message, as RabbitMQ 4.0.5 and 3.10.8 route and show them (observed)."""

import pytest

from simbus.effects import Delivered, Published
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import ChannelError
from simbus.rabbitmq.fields import LongString
from simbus.rabbitmq.properties import Properties
from simbus.rabbitmq.versions import VERSIONS
from tests.brokers import declare, get, ready

TYPES = ("direct", "topic", "fanout", "headers")


@pytest.fixture(params=VERSIONS)
def channel(request):
    """A channel of a broker of each version, with the queues a, b and c."""
    channel = Broker(version=request.param).open_connection().open_channel()
    for queue in "abc":
        declare(channel, queue)
    return channel


def version_of(channel):
    return channel.vhost.node.version.name


def publish(channel, key, exchange="", mandatory=False, **headers):
    channel.publish(exchange, key, b"m", Properties(headers=headers), mandatory=mandatory)


def reached(channel):
    return [name for name, queue in channel.vhost.queues.items() if queue.ready]


def effects(channel, kind):
    node = channel.vhost.node
    found, node.effects = [effect for effect in node.effects if isinstance(effect, kind)], []
    return found


@pytest.mark.parametrize(
    ("headers", "queues"),
    [
        ({}, "a"),
        ({"CC": ["b"]}, "ab"),
        ({"BCC": ["b"]}, "ab"),
        ({"CC": ["b"], "BCC": ["c"]}, "abc"),
        ({"CC": ["b", "b", "a"], "BCC": ["b"]}, "ab"),
        ({"CC": ["b", 5, None, ["c"], b"c", True]}, "ab"),
        ({"CC": [LongString(b"b")]}, "ab"),
        ({"CC": [], "BCC": []}, "a"),
        ({"cc": ["b"], "Bcc": ["c"]}, "a"),
    ],
)
def test_a_message_goes_once_to_each_queue_that_one_of_its_keys_names(channel, headers, queues):
    publish(channel, "a", **headers)
    assert "".join(reached(channel)) == queues
    assert all(ready(channel, queue) == "m" for queue in queues)


def test_cc_stays_and_bcc_is_nowhere_to_be_seen(channel):
    publish(channel, "a", before=1, BCC=["c"], CC=["b"], after=2)
    for queue in "abc":
        message = channel.vhost.queues[queue].ready[0].message
        assert list(message.headers.items()) == [("before", 1), ("CC", ["b"]), ("after", 2)]
        assert message.routing_key == "a"
    [published] = effects(channel, Published)
    assert "BCC" not in published.message.headers


@pytest.mark.parametrize("keys", [["c"], []])
def test_a_message_whose_only_header_was_bcc_has_an_empty_table_of_headers(channel, keys):
    publish(channel, "a", BCC=keys)
    assert channel.vhost.queues["a"].ready[0].message.properties.headers == {}


@pytest.mark.parametrize("header", ["CC", "BCC"])
@pytest.mark.parametrize(
    ("value", "type"),
    [("b", "longstr"), (5, "signedint"), (2**40, "long"), (None, "void"), (True, "bool"), ({"a": 1}, "table"), (b"b", "binary")],
)
def test_what_is_no_array_is_refused(channel, header, value, type):
    with pytest.raises(ChannelError) as refusal:
        publish(channel, "a", **{header: value})
    expected = f'PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,"{header}",{type}}}'
    assert refusal.value.reply_text == expected
    assert reached(channel) == []


def test_cc_is_looked_at_before_bcc(channel):
    with pytest.raises(ChannelError, match='"CC",longstr'):
        publish(channel, "a", BCC=5, CC="b")


@pytest.mark.parametrize(
    ("properties", "first"),
    [
        ({"expiration": "abc", "headers": {"CC": 5}}, {"4.0": "expiration", "3.10": "expiration"}),
        ({"expiration": "abc", "user_id": "bob"}, {"4.0": "expiration", "3.10": "user_id"}),
        ({"headers": {"CC": 5}, "user_id": "bob"}, {"4.0": "unacceptable_type", "3.10": "user_id"}),
    ],
)
def test_of_several_faults_the_one_that_the_version_looks_at_first_is_told(channel, properties, first):
    with pytest.raises(ChannelError, match=first[version_of(channel)]):
        channel.publish("", "a", b"", Properties(**properties))


@pytest.mark.parametrize("type", TYPES)
def test_every_key_counts_in_exchanges_of_every_type(channel, type):
    channel.exchange_declare("x", type)
    for queue, key in (("a", "k"), ("b", "b.c"), ("c", "b.#" if type == "topic" else "c")):
        channel.queue_bind(queue, "x", key)
    publish(channel, "k", exchange="x", CC=["b.c"], BCC=["c"])
    assert [ready(channel, queue) for queue in "abc"] == ["m", "m", "m"]


def test_any_key_that_leads_somewhere_keeps_the_message_from_the_alternate_exchange(channel):
    channel.exchange_declare("rest", "fanout")
    channel.queue_bind("c", "rest")
    channel.exchange_declare("x", arguments={"alternate-exchange": "rest"})
    channel.queue_bind("a", "x", "a")
    publish(channel, "nowhere", exchange="x", CC=["a"])
    assert reached(channel) == ["a"]
    publish(channel, "nowhere", exchange="x", CC=["neither"], BCC=["nor"])
    assert reached(channel) == ["a", "c"]


def test_the_default_exchange_as_the_alternate_one_routes_by_no_key(channel):
    channel.exchange_declare("x", arguments={"alternate-exchange": ""})
    publish(channel, "a", exchange="x", CC=["b"])
    assert reached(channel) == []


def test_all_keys_go_on_to_the_next_exchange(channel):
    for exchange in ("x", "next"):
        channel.exchange_declare(exchange)
    channel.exchange_bind("next", "x", "on")
    channel.queue_bind("b", "next", "k")
    publish(channel, "nowhere", exchange="x", CC=["k", "on"])
    assert reached(channel) == ["b"]


def test_a_mandatory_message_is_returned_when_no_key_leads_anywhere(channel):
    publish(channel, "nowhere", mandatory=True, CC=["a"])
    assert effects(channel, Returned) == []
    publish(channel, "nowhere", mandatory=True, CC=["neither"], BCC=["nor"], x=1)
    [returned] = effects(channel, Returned)
    assert (returned.message.routing_key, returned.message.headers) == ("nowhere", {"CC": ["neither"], "x": 1})


def test_in_a_transaction_the_keys_count_at_the_commit(channel):
    channel.tx_select()
    publish(channel, "a", CC=["b"], BCC=["c"])
    assert reached(channel) == []
    channel.tx_commit()
    assert reached(channel) == ["a", "b", "c"]


def test_a_direct_reply_may_be_addressed_by_any_key(channel):
    """It uses up no delivery tag."""
    requester, common = channel.connection.open_channel(), "amq.rabbitmq.reply-to"
    requester.consume(common, "replies", no_ack=True)
    requester.publish("", "a", b"request", Properties(reply_to=common))
    name = channel.get("a", no_ack=True).delivery.message.properties.reply_to
    effects(channel, Delivered)
    for key, cc in ((name, ["b"]), ("nowhere", [name]), (name, [name])):
        publish(channel, key, CC=cc)
    replies = [(effect.consumer_tag, effect.delivery_tag) for effect in effects(channel, Delivered)]
    assert replies == [("replies", 1), ("replies", 1), ("replies", 1)]
    assert ready(channel, "b") == "m"


# Dead letters


def die(channel, queue):
    for tag in get(channel, queue, 1).values():
        channel.reject(tag, requeue=False)


@pytest.fixture
def graves(channel):
    """The queue q dies to the exchange dead, where q, cc and hidden have a queue each."""
    channel.exchange_declare("dead")
    for key in ("q", "cc", "hidden"):
        declare(channel, f"dead.{key}")
        channel.queue_bind(f"dead.{key}", "dead", key)


def entry(channel, queue):
    return channel.vhost.queues[queue].ready[0].message.headers["x-death"][0]["routing-keys"]


@pytest.mark.parametrize("type", ["classic", "quorum"])
@pytest.mark.usefixtures("graves")
def test_a_dead_letter_goes_by_all_keys_and_its_history_shows_all_but_the_hidden_ones(channel, type):
    declare(channel, "q", type, dead_letter_exchange="dead")
    publish(channel, "q", CC=["cc", "u"], BCC=["hidden"])
    die(channel, "q")
    assert reached(channel) == ["dead.q", "dead.cc", "dead.hidden"]
    message = channel.vhost.queues["dead.hidden"].ready[0].message
    assert (message.routing_key, message.headers["CC"]) == ("q", ["cc", "u"])
    assert entry(channel, "dead.q") == ["q", "cc", "u"]


@pytest.mark.usefixtures("graves")
def test_a_routing_key_of_the_queue_takes_the_place_of_all(channel):
    """And 3.10 takes the header away."""
    declare(channel, "q", dead_letter_exchange="dead", dead_letter_routing_key="q")
    publish(channel, "q", CC=["cc"], BCC=["hidden"])
    die(channel, "q")
    assert reached(channel) == ["dead.q"]
    assert channel.vhost.queues["dead.q"].ready[0].message.headers.get("CC") == {"4.0": ["cc"], "3.10": None}[version_of(channel)]
    assert entry(channel, "dead.q") == ["q", "cc"]


@pytest.mark.usefixtures("graves")
def test_keys_that_are_gone_do_not_come_back_at_the_next_death(channel):
    declare(channel, "first", dead_letter_exchange="", dead_letter_routing_key="q")
    declare(channel, "q", dead_letter_exchange="dead")
    publish(channel, "first", CC=["cc"], BCC=["hidden"])
    die(channel, "first")
    die(channel, "q")
    assert reached(channel) == ["dead.q"]
    assert entry(channel, "dead.q") == ["q"]


@pytest.mark.usefixtures("graves")
def test_hidden_keys_outlive_a_death_without_a_routing_key(channel):
    declare(channel, "q", dead_letter_exchange="")
    declare(channel, "next", dead_letter_exchange="dead")
    publish(channel, "next", BCC=["hidden"])
    die(channel, "next")
    assert reached(channel) == ["dead.hidden"]


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"CC": ["r", "r", "q"], "BCC": ["q", "r", "b"]}, {"4.0": ["r", "q", "q", "r"], "3.10": ["q", "r", "r", "q"]}),
        ({"CC": ["z", 5, None, "é"]}, {"4.0": ["q", "z", "é"], "3.10": ["q", "z", "é"]}),
    ],
)
def test_a_hidden_key_takes_an_equal_one_with_it_in_4_0(channel, headers, shown):
    channel.exchange_declare("all", "fanout")
    channel.queue_bind("a", "all")
    declare(channel, "q", dead_letter_exchange="all")
    publish(channel, "q", **headers)
    die(channel, "q")
    assert entry(channel, "a") == shown[version_of(channel)]


def test_a_key_of_the_queue_that_was_a_hidden_one_is_not_shown_in_4_0(channel):
    channel.exchange_declare("all", "fanout")
    channel.queue_bind("a", "all")
    declare(channel, "first", dead_letter_exchange="", dead_letter_routing_key="q")
    declare(channel, "q", dead_letter_exchange="all")
    publish(channel, "first", BCC=["q"])
    for queue in ("first", "q", "q"):  # twice: the message came to q by its hidden key too
        die(channel, queue)
    shown = [copy.message.headers["x-death"][0]["routing-keys"] for copy in channel.vhost.queues["a"].ready]
    assert shown == [["first"], {"4.0": [], "3.10": ["q"]}[version_of(channel)]]
