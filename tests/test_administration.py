"""What an operator does while clients are there: virtual hosts, users, topic permissions, limits, parameters.

Everything was asked of RabbitMQ 4.0.5 and 3.10.8, through their HTTP API and AMQP.
"""

import pytest
from pamqp.commands import Channel

from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import ChannelError, ConnectionError, NoSuch, ValidationFailed  # noqa: A004 - AMQP's word
from simbus.rabbitmq.properties import Properties
from simbus.rabbitmq.versions import VERSIONS
from tests.brokers import steps
from tests.versions import on_both
from tests.wire import Wire


@pytest.fixture(params=sorted(VERSIONS))
def broker(request):
    return with_bob(request.param)


def with_bob(version):
    """A broker with a virtual host shop, where bob may do everything."""
    broker = Broker(version=version)
    broker.add_vhost("shop")
    broker.add_user("bob", "b")
    broker.set_permissions("bob", "shop", ".*", ".*", ".*")
    return broker


def bob(broker):
    return broker.open_connection("shop", "bob").open_channel()


def refusal(act, error=ChannelError):
    with pytest.raises(error) as refused:
        act()
    return str(refused.value)


# Virtual hosts


def test_a_virtual_host_is_deleted_with_its_queues_and_connections(broker):
    channel = bob(broker)
    channel.queue_declare("orders", arguments={"x-message-ttl": 1000})
    channel.publish("", "orders", b"1")
    channel.consume("orders")
    assert broker.delete_vhost("shop") == [channel.connection]
    broker.check()
    assert (broker.vhost_names, broker.next_deadline, channel.closed) == (["/"], None, True)
    text = refusal(lambda: broker.open_connection("shop", "bob"), ConnectionError)
    assert text == "530 NOT_ALLOWED - vhost shop not found"


def test_a_virtual_host_of_that_name_begins_empty_and_nobody_may_go_there(broker):
    bob(broker).queue_declare("orders")
    broker.delete_vhost("shop")
    broker.add_vhost("shop")
    assert broker.vhost("shop").queues == {}
    text = refusal(lambda: broker.open_connection("shop", "bob"), ConnectionError)
    assert text == "530 NOT_ALLOWED - access to vhost 'shop' refused for user 'bob'"


def test_a_virtual_host_that_is_added_again_is_described_anew(broker):
    bob(broker).queue_declare("orders")
    broker.add_vhost("shop", description="the shop", tags=["a"], default_queue_type="quorum")
    broker.add_vhost("shop")
    vhost = broker.vhost("shop")
    assert (list(vhost.queues), vhost.description, vhost.tags, vhost.default_queue_type) == (["orders"], "", (), "quorum")


def test_what_is_not_there_cannot_be_deleted(broker):
    for act in (broker.delete_vhost, broker.delete_user, broker.user):
        assert refusal(lambda act=act: act("nosuch"), NoSuch).startswith(
            f"no {'vhost' if 'vhost' in act.__name__ else 'user'} 'nosuch'"
        )


# The default type of queues


@on_both("type_is_an_argument", {"4.0": "quorum", "3.10": "classic"})
def test_a_durable_queue_has_the_default_type_of_its_virtual_host(version, expected):
    broker = Broker(version=version)
    broker.add_vhost("/", default_queue_type="quorum")
    channel = broker.open_connection().open_channel()
    channel.queue_declare("plain", durable=True)
    assert broker.vhost().queues["plain"].options.type == expected
    channel.queue_declare("plain", durable=True, arguments={"x-queue-type": expected})
    channel.queue_declare("transient")
    channel.queue_declare("exclusive", durable=True, exclusive=True)
    channel.queue_declare("leaving", durable=True, auto_delete=True)
    kinds = {queue.options.type for queue in broker.vhost().queues.values() if queue.name != "plain"}
    assert kinds == {"classic"}


def test_declaring_a_queue_again_compares_the_default_type_in_4_0():
    broker = Broker()
    broker.add_vhost("/", default_queue_type="quorum")
    channel = broker.open_connection().open_channel()
    channel.queue_declare("classic", durable=True, arguments={"x-queue-type": "classic"})
    assert refusal(lambda: channel.queue_declare("classic", durable=True)) == (
        "406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'classic' in vhost '/': "
        "received 'quorum' but current is 'classic'"
    )


@on_both(
    "type_is_an_argument",
    {"4.0": "'quorum' but current is 'classic'", "3.10": "the value 'quorum' of type 'longstr' but current is none"},
)
def test_a_queue_that_was_declared_without_a_type_is_a_classic_one(version, expected):
    channel = Broker(version=version).open_connection().open_channel()
    channel.queue_declare("q", durable=True)
    channel.queue_declare("q", durable=True, arguments={"x-queue-type": "classic"})
    text = refusal(lambda: channel.queue_declare("q", durable=True, arguments={"x-queue-type": "quorum"}))
    assert text.endswith(f"inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received {expected}")


# Users


def test_a_user_is_deleted_with_its_connections(broker):
    channel = bob(broker)
    assert broker.delete_user("bob") == [channel.connection]
    assert not broker.authenticate("bob", "b")
    assert channel.closed


def test_another_password_is_no_matter_to_who_is_connected(broker):
    channel = bob(broker)
    broker.add_user("bob", "another")
    channel.queue_declare("q")
    assert (broker.authenticate("bob", "b"), broker.authenticate("bob", "another")) == (False, True)


def test_tags_stay_when_only_the_password_changes(broker):
    broker.set_user_tags("bob", ["management", "foo"])
    broker.add_user("bob", "another")
    assert broker.user("bob").tags == ("management", "foo")
    broker.add_user("bob", "another", tags=[])
    assert broker.user("bob").tags == ()


def test_an_impersonator_may_name_any_user_as_long_as_its_connection_lives(broker):
    broker.set_user_tags("bob", ["impersonator"])
    channel = bob(broker)
    broker.set_user_tags("bob", [])
    channel.publish("", "q", b"", Properties(user_id="somebody"))
    other = bob(broker)
    assert "authenticated user was 'bob'" in refusal(lambda: other.publish("", "q", b"", Properties(user_id="somebody")))


@on_both("refusals_name_the_operation", {"4.0": "configure access to", "3.10": "access to"})
def test_who_has_lost_a_virtual_host_stays_and_may_do_nothing(version, expected):
    broker = with_bob(version)
    channel = bob(broker)
    broker.delete_permissions("bob", "shop")
    assert refusal(lambda: channel.queue_declare("q")) == (
        f"403 ACCESS_REFUSED - {expected} queue 'q' in vhost 'shop' refused for user 'bob'"
    )
    text = refusal(lambda: broker.open_connection("shop", "bob"), ConnectionError)
    assert text == "530 NOT_ALLOWED - access to vhost 'shop' refused for user 'bob'"
    broker.set_permissions("bob", "shop", ".*", ".*", ".*")
    channel.queue_declare("q")


# Topic permissions


@pytest.fixture
def topics(broker):
    """Bob with topic permissions at the topic exchange t and the direct exchange d."""
    channel = bob(broker)
    for name, kind in (("t", "topic"), ("t2", "topic"), ("d", "direct")):
        channel.exchange_declare(name, kind)
    channel.queue_declare("q")
    broker.set_topic_permissions("bob", "shop", "t", "^{username}\\.{vhost}\\.", "^a\\.")
    broker.set_topic_permissions("bob", "shop", "d", "^$", "^$")
    return channel


def refused_topic(version, operation, key):
    access = f"{operation} access" if version == "4.0" else "access"
    return f"403 ACCESS_REFUSED - {access} to topic '{key}' in exchange 't' in vhost 'shop' refused for user 'bob'"


def test_a_routing_key_needs_a_topic_permission_where_there_is_one(topics, broker):
    topics.publish("t", "bob.shop.x")
    assert refusal(lambda: topics.publish("t", "other")) == refused_topic(broker.version.name, "write", "other")
    for exchange in ("t2", "amq.topic", "d"):
        topics.publish(exchange, "other")


@pytest.mark.parametrize(
    ("act", "pattern"),
    [
        (lambda channel, key: channel.publish("t", key, b"1"), ("^{username}$", ".*")),
        (lambda channel, key: channel.queue_bind("q", "t", key), (".*", "^{username}$")),
    ],
)
def test_rabbitmq_stumbles_over_a_name_that_makes_no_pattern(topics, broker, act, pattern):
    broker.add_user("a(b", "x")
    broker.set_permissions("a(b", "shop", ".*", ".*", ".*")
    broker.set_topic_permissions("a(b", "shop", "t", *pattern)
    channel = broker.open_connection("shop", "a(b").open_channel()
    assert refusal(lambda: act(channel, "a(b"), ConnectionError) == "541 INTERNAL_ERROR"
    broker.check()


@pytest.mark.parametrize("pattern", ["a{4294967296}", "(" * 20_000, "("])
def test_a_permission_is_a_regular_expression(broker, pattern):
    with pytest.raises(ValueError, match="a permission is a regular expression"):
        broker.set_permissions("bob", "shop", pattern, ".*", ".*")
    with pytest.raises(ValueError, match="a permission is a regular expression"):
        broker.set_topic_permissions("bob", "shop", "amq.topic", pattern)


def test_a_binding_to_a_topic_exchange_needs_one_too_before_anyone_looks_for_the_queue(topics, broker):
    topics.queue_bind("q", "t", "a.#")
    topics.queue_bind("q", "d", "zz")
    for bind in (
        lambda: topics.queue_bind("q", "t", "b.#"),
        lambda: topics.queue_bind("nosuch", "t", "b.#"),
        lambda: topics.queue_unbind("q", "t", "b.#"),
        lambda: topics.exchange_bind("t2", "t", "b.#"),
        lambda: topics.exchange_unbind("t2", "t", "b.#"),
    ):
        assert refusal(bind) == refused_topic(broker.version.name, "read", "b.#")
    topics.exchange_bind("t", "t2", "b.#")


@on_both("topic_permissions_cover_cc", {"4.0": True, "3.10": False})
def test_the_keys_in_cc_and_bcc_need_a_topic_permission_in_4_0(version, expected):
    broker = with_bob(version)
    channel = bob(broker)
    broker.set_topic_permissions("bob", "shop", "amq.topic", "^a")
    for header in ("CC", "BCC"):
        properties = Properties(headers={header: ["other"]})
        if expected:
            assert "topic 'other'" in refusal(lambda properties=properties: channel.publish("amq.topic", "a", b"", properties))
        else:
            channel.publish("amq.topic", "a", b"", properties)


def test_an_empty_pattern_allows_the_empty_key_only(topics, broker):
    broker.set_topic_permissions("bob", "shop", "t", "", "")
    topics.publish("t", "")
    assert "topic 'x'" in refusal(lambda: topics.publish("t", "x"))


def test_a_topic_permission_that_is_deleted_limits_nobody(topics, broker):
    broker.delete_topic_permissions("bob", "shop", "t")
    topics.publish("t", "x")
    broker.delete_topic_permissions("bob", "shop")
    assert not broker.permissions[-1].limited


def test_a_topic_permission_grants_no_access(broker):
    broker.add_user("eve", "e")
    broker.set_topic_permissions("eve", "shop", "t", ".*", ".*")
    text = refusal(lambda: broker.open_connection("shop", "eve"), ConnectionError)
    assert text == "530 NOT_ALLOWED - access to vhost 'shop' refused for user 'eve'"


# Limits


def test_a_virtual_host_takes_so_many_connections(broker):
    broker.set_vhost_limits("shop", {"max-connections": 1})
    connection = broker.open_connection("shop", "bob")
    text = refusal(lambda: broker.open_connection("shop", "bob"), ConnectionError)
    assert text == "530 NOT_ALLOWED - access to vhost 'shop' refused for user 'bob': connection limit (1) is reached"
    connection.close()
    broker.open_connection("shop", "bob")
    for limits in ({"max-connections": -1}, {"max-connections": -5}, {}):
        broker.set_vhost_limits("shop", limits)
        broker.open_connection("shop", "bob")


def test_a_user_has_so_many_connections(broker):
    broker.set_user_limits("bob", {"max-connections": 1})
    broker.open_connection("shop", "bob")
    text = refusal(lambda: broker.open_connection("shop", "bob"), ConnectionError)
    assert text == "530 NOT_ALLOWED - connection refused for user 'bob': user connection limit (1) is reached"
    broker.open_connection()


def test_limits_are_looked_at_before_permissions_and_those_of_the_virtual_host_first(broker):
    broker.set_vhost_limits("/", {"max-connections": 0})
    broker.set_user_limits("bob", {"max-connections": 0})
    assert "connection limit (0) is reached" in refusal(lambda: broker.open_connection("/", "bob"), ConnectionError)
    broker.set_vhost_limits("/", {})
    assert "user connection limit (0)" in refusal(lambda: broker.open_connection("/", "bob"), ConnectionError)
    assert "vhost nosuch not found" in refusal(lambda: broker.open_connection("nosuch", "bob"), ConnectionError)


def test_a_virtual_host_takes_so_many_queues(broker):
    broker.set_vhost_limits("shop", {"max-queues": 2})
    channel = bob(broker)
    channel.queue_declare("a")
    channel.queue_declare("b")
    channel.queue_declare("b")
    assert refusal(lambda: channel.queue_declare("c")) == (
        "406 PRECONDITION_FAILED - cannot declare queue 'c': queue limit in vhost 'shop' (2) is reached"
    )
    assert "cannot declare queue 'amq.gen-" in refusal(lambda: channel.queue_declare(exclusive=True))


@on_both("queue_limit_is_checked_first", {"4.0": "invalid arg 'x-message-ttl'", "3.10": "cannot declare queue 'c'"})
def test_a_queue_too_many_with_a_bad_argument_is_refused_for_one_of_both(version, expected):
    broker = with_bob(version)
    broker.set_vhost_limits("shop", {"max-queues": 0})
    text = refusal(lambda: bob(broker).queue_declare("c", arguments={"x-message-ttl": -1}))
    assert text.startswith(f"406 PRECONDITION_FAILED - {expected}")


@on_both("channel_limit_names_the_node", {"4.0": "rabbit@localhost", "3.10": "guest"})
def test_a_user_has_so_many_channels_on_all_its_connections(version, expected):
    wire = Wire(version=version)
    wire.connect()  # which opens a channel
    client = wire.connect()
    wire.broker.set_user_limits("guest", {"max-channels": 2})
    reason = f"number of channels opened for user '{expected}' has reached the maximum allowed user limit of (2)"
    client.send(2, Channel.Open()).expect(
        "Connection.Close", reply_code=530, reply_text=f"NOT_ALLOWED - {reason}", class_id=0, method_id=0
    )


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"nosuch": 1}, 'Unrecognised terms [{<<"nosuch">>,1}] in '),
        ({"max-connections": "x"}, 'max-connections should be a number, actually was <<"x">>'),
        ({"max-connections": 1.5}, "max-connections should be a number, actually was 1.5"),
    ],
)
def test_limits_that_mean_nothing_are_refused_in_rabbitmq_s_words(broker, limits, text):
    assert refusal(lambda: broker.set_vhost_limits("shop", limits), ValidationFailed).startswith(text)
    assert refusal(lambda: broker.set_user_limits("bob", limits), ValidationFailed).startswith(text)


# Parameters


def test_limits_and_operator_policies_are_parameters(broker):
    broker.set_parameter("vhost-limits", "shop", "limits", {"max-queues": 5})
    value = {"pattern": "^q", "definition": {"max-length": 5}, "priority": 3, "apply-to": "queues"}
    broker.set_parameter("operator_policy", "shop", "o", value)
    assert broker.parameters() == [("operator_policy", "shop", "o", value), ("vhost-limits", "shop", "limits", {"max-queues": 5})]
    assert broker.vhost("shop").policies.operator_policies["o"].priority == 3
    broker.delete_parameter("vhost-limits", "shop", "limits")
    broker.delete_parameter("operator_policy", "shop", "o")
    assert broker.parameters() == []
    with pytest.raises(NoSuch):
        broker.delete_parameter("vhost-limits", "shop", "limits")


@pytest.mark.parametrize(
    ("component", "text"),
    [
        ("shovel", "component shovel not found"),
        ("policy", "policies may not be set using this method"),
        ("operator_policy", 'Key "priority" not found in x'),
    ],
)
def test_parameters_of_what_is_not_there_are_refused(broker, component, text):
    value = {"pattern": "a", "definition": {"message-ttl": 5}}
    assert refusal(lambda: broker.set_parameter(component, "shop", "x", value), ValidationFailed) == text


@pytest.mark.parametrize("component", ["vhost-limits", "operator_policy"])
@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "n not a list 5"), (None, "n not a list null"), ("a", 'n not a list <<"a">>'), ([1], "Unrecognised terms [1] in n")],
)
def test_a_parameter_that_is_no_object_is_refused(broker, component, value, text):
    """Of an operator policy that is a list RabbitMQ tells what is missing besides."""
    assert refusal(lambda: broker.set_parameter(component, "shop", "n", value), ValidationFailed) == text
    assert broker.parameters() == []


@pytest.mark.parametrize("value", [{}, []])
def test_all_that_is_missing_in_an_operator_policy_is_told(broker, value):
    with pytest.raises(ValidationFailed) as refused:
        broker.set_parameter("operator_policy", "shop", "n", value)
    assert refused.value.reason.splitlines() == [f'Key "{key}" not found in n' for key in ("definition", "pattern", "priority")]


@pytest.mark.parametrize("limits", [5, None, "max-queues", [1]])
def test_limits_that_are_no_object_are_refused(broker, limits):
    for act in (lambda: broker.set_vhost_limits("shop", limits), lambda: broker.set_user_limits("bob", limits)):
        refusal(act, ValidationFailed)
    assert (broker.vhost("shop").limits, broker.user("bob").limits) == ({}, {})


def test_global_parameters_are_kept(broker):
    broker.set_global_parameter("mine", {"a": [1, None, True]})
    broker.restart()
    assert broker.global_parameters["mine"] == {"a": [1, None, True]}
    broker.delete_global_parameter("mine")
    with pytest.raises(NoSuch):
        broker.delete_global_parameter("mine")


def test_what_an_operator_has_set_outlives_a_restart(broker):
    broker.set_vhost_limits("shop", {"max-queues": 0})
    broker.set_user_limits("bob", {"max-connections": 1})
    broker.restart()
    channel = bob(broker)
    assert "queue limit" in refusal(lambda: channel.queue_declare("q"))
    assert "user connection limit" in refusal(lambda: bob(broker), ConnectionError)


def test_connections_are_in_the_order_of_their_opening_until_they_close(broker):
    connections = [broker.open_connection() for _ in range(4)]
    connections[1].close()
    connections[1].close()
    later = broker.open_connection()
    assert broker.connections == [connections[0], *connections[2:], later]
    broker.check()


def test_who_connects_does_not_look_at_those_who_came_before(broker):
    first = steps(broker.open_connection)
    for _ in range(100):
        broker.open_connection()
    assert 0 < steps(broker.open_connection) < first + 50
