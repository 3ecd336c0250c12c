"""Definitions out of a broker, and into one.

What RabbitMQ 4.0.5 and 3.10.8 exported of the same virtual host, and what they
made of documents that they were given.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.errors import ScenarioError
from simbus.rabbitmq.access import PasswordHash
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import ConnectionError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.exported import export_definitions
from simbus.rabbitmq.imported import import_broker, import_definitions
from simbus.rabbitmq.versions import VERSIONS
from tests.versions import on_both

# `GET /api/definitions/policies` and what `GET /api/definitions` said of that virtual host, after ``fill``; the order of
# entries, which RabbitMQ does not promise, is by name.
SINGLE_4_0 = """{"rabbit_version": "4.0.5", "rabbitmq_version": "4.0.5", "product_name": "RabbitMQ", "product_version": "4.0.5",
"rabbitmq_definition_format": "single_virtual_host", "original_vhost_name": "policies",
"explanation": "Definitions of virtual host 'policies'",
"metadata": {"description": "", "tags": [], "default_queue_type": "classic"}, "description": "",
"default_queue_type": "classic", "limits": {"max-queues": 50},
"parameters": [{"value": {"pattern": "^a", "definition": {"max-length": 5}, "priority": 0, "apply-to": "all"},
"component": "operator_policy", "name": "o"}, {"value": {"max-queues": 50}, "component": "vhost-limits", "name": "limits"}],
"policies": [{"name": "p", "pattern": "^a", "apply-to": "all", "definition": {"max-length": 5, "message-ttl": 3}, "priority": 0}],
"queues": [{"name": "ad", "durable": true, "auto_delete": true, "arguments": {"x-queue-type": "classic"}},
{"name": "pl2", "durable": true, "auto_delete": false, "arguments": {"x-queue-type": "classic"}},
{"name": "plain", "durable": true, "auto_delete": false, "arguments": {"x-queue-type": "classic"}},
{"name": "qq", "durable": true, "auto_delete": false, "arguments": {"x-delivery-limit": 3, "x-queue-type": "quorum"}},
{"name": "tr", "durable": false, "auto_delete": false, "arguments": {"x-queue-type": "classic"}}],
"exchanges": [{"name": "x", "type": "topic", "durable": true, "auto_delete": false, "internal": false, "arguments": {}},
{"name": "xi", "type": "headers", "durable": true, "auto_delete": true, "internal": true,
"arguments": {"alternate-exchange": "amq.fanout"}},
{"name": "xt", "type": "topic", "durable": false, "auto_delete": false, "internal": false, "arguments": {}}],
"bindings": [{"source": "amq.topic", "destination": "plain", "destination_type": "queue", "routing_key": "k", "arguments": {}},
{"source": "x", "destination": "plain", "destination_type": "queue", "routing_key": "k", "arguments": {"a": true, "z": 1}},
{"source": "x", "destination": "tr", "destination_type": "queue", "routing_key": "tr", "arguments": {}},
{"source": "x", "destination": "xi", "destination_type": "exchange", "routing_key": "a.#", "arguments": {}}]}"""
SINGLE_3_10 = """{"rabbit_version": "3.10.8",
"parameters": [{"value": {"pattern": "^a", "definition": {"max-length": 5}, "priority": 0, "apply-to": "all"},
"vhost": "policies", "component": "operator_policy", "name": "o"},
{"value": {"max-queues": 50}, "vhost": "policies", "component": "vhost-limits", "name": "limits"}],
"policies": [{"vhost": "policies", "name": "p", "pattern": "^a", "apply-to": "all",
"definition": {"max-length": 5, "message-ttl": 3}, "priority": 0}],
"queues": [{"name": "ad", "durable": true, "auto_delete": true, "arguments": {}},
{"name": "pl2", "durable": true, "auto_delete": false, "arguments": {"x-queue-type": "classic"}},
{"name": "plain", "durable": true, "auto_delete": false, "arguments": {}},
{"name": "qq", "durable": true, "auto_delete": false, "arguments": {"x-delivery-limit": 3, "x-queue-type": "quorum"}},
{"name": "tr", "durable": false, "auto_delete": false, "arguments": {}}],
"exchanges": [{"name": "x", "type": "topic", "durable": true, "auto_delete": false, "internal": false, "arguments": {}},
{"name": "xi", "type": "headers", "durable": true, "auto_delete": true, "internal": true,
"arguments": {"alternate-exchange": "amq.fanout"}},
{"name": "xt", "type": "topic", "durable": false, "auto_delete": false, "internal": false, "arguments": {}}],
"bindings": [{"source": "amq.topic", "destination": "plain", "destination_type": "queue", "routing_key": "k", "arguments": {}},
{"source": "x", "destination": "plain", "destination_type": "queue", "routing_key": "k", "arguments": {"a": true, "z": 1}},
{"source": "x", "destination": "tr", "destination_type": "queue", "routing_key": "tr", "arguments": {}},
{"source": "x", "destination": "xi", "destination_type": "exchange", "routing_key": "a.#", "arguments": {}}]}"""
WHOLE_4_0 = """{"rabbit_version": "4.0.5", "rabbitmq_version": "4.0.5", "product_name": "RabbitMQ", "product_version": "4.0.5",
"rabbitmq_definition_format": "cluster", "original_cluster_name": "", "explanation": "",
"users": ["name", "password_hash", "hashing_algorithm", "tags", "limits"],
"vhosts": ["name", "description", "metadata", "tags", "default_queue_type"],
"permissions": ["user", "vhost", "configure", "write", "read"],
"topic_permissions": ["user", "vhost", "exchange", "write", "read"],
"parameters": ["value", "vhost", "component", "name"], "global_parameters": ["name", "value"],
"policies": ["vhost", "name", "pattern", "apply-to", "definition", "priority"],
"queues": ["name", "vhost", "durable", "auto_delete", "arguments"],
"exchanges": ["name", "vhost", "type", "durable", "auto_delete", "internal", "arguments"],
"bindings": ["source", "vhost", "destination", "destination_type", "routing_key", "arguments"]}"""
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 3}


def fill(broker):
    """The virtual host that was exported."""
    broker.add_vhost("policies")
    broker.set_permissions("guest", "policies", ".*", ".*", ".*")
    channel = broker.open_connection("policies").open_channel()
    channel.queue_declare("plain", durable=True)
    channel.queue_declare("pl2", durable=True, arguments={"x-queue-type": "classic"})
    channel.queue_declare("tr")
    channel.queue_declare("ad", durable=True, auto_delete=True)
    channel.queue_declare("qq", durable=True, arguments=QUORUM)
    channel.exchange_declare("x", "topic", durable=True)
    channel.exchange_declare("xt", "topic")
    alternate = {"alternate-exchange": "amq.fanout"}
    channel.exchange_declare("xi", "headers", durable=True, internal=True, auto_delete=True, arguments=alternate)
    channel.exchange_bind("xi", "x", "a.#")
    channel.queue_bind("plain", "x", "k", {"z": 1, "a": True})
    channel.queue_bind("plain", "amq.topic", "k")
    channel.queue_bind("tr", "x", "tr")
    channel.queue_bind(channel.queue_declare(exclusive=True).queue, "x", "mine")
    broker.set_policy("policies", "p", "^a", {"max-length": 5, "message-ttl": 3})
    broker.set_policy("policies", "o", "^a", {"max-length": 5}, operator=True)
    broker.set_vhost_limits("policies", {"max-queues": 50})
    broker.set_topic_permissions("guest", "policies", "x", "a", "b")
    return broker


def by_name(document):
    """The document with its entries in the order of their names, which is the only thing that RabbitMQ leaves open."""
    return {
        key: sorted(value, key=lambda entry: json.dumps([entry.get("name"), entry.get("source"), entry.get("destination")]))
        if isinstance(value, list)
        else value
        for key, value in document.items()
    }


@on_both("exports_describe_themselves", {"4.0": SINGLE_4_0, "3.10": SINGLE_3_10})
def test_the_export_of_a_virtual_host_is_that_of_the_real_one_key_by_key(version, expected):
    exported = export_definitions(fill(Broker(version=version)), "policies")
    assert json.dumps(by_name(exported)) == json.dumps(by_name(json.loads(expected)))


@on_both("exports_describe_themselves", {"4.0": 3, "3.10": 0})
def test_the_export_of_a_broker_has_the_keys_of_the_real_one_in_their_order(version, expected):
    real = json.loads(WHOLE_4_0)
    exported = export_definitions(fill(Broker(version=version)))
    described = ("rabbitmq_definition_format", "original_cluster_name", "explanation")
    assert list(exported) == [key for key in real if expected or key not in described]
    for section, keys in real.items():
        if isinstance(keys, list):
            assert list(exported[section][0]) == (keys if expected or section != "vhosts" else ["name"])


@on_both("global_parameters", {"4.0": ["cluster_tags", "internal_cluster_id"], "3.10": ["internal_cluster_id"]})
def test_a_fresh_broker_has_parameters(version, expected):
    exported = export_definitions(Broker(version=version))
    assert [entry["name"] for entry in exported["global_parameters"]] == expected


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_what_is_exported_comes_back(version):
    exported = export_definitions(fill(Broker(version=version)))
    again = import_broker(json.loads(json.dumps(exported)), version=version)
    again.check()
    assert export_definitions(again) == exported
    assert again.authenticate("guest", "guest")


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map("n{}".format)
definitions = st.dictionaries(st.sampled_from(["message-ttl", "max-length", "max-length-bytes"]), st.integers(0, 9), min_size=1)
kinds = st.sampled_from([{}, {"x-queue-type": "classic"}, {"x-queue-type": "quorum"}, {"x-max-length": 3}])


@given(
    st.dictionaries(names, st.dictionaries(names, kinds, max_size=3), max_size=3),
    st.dictionaries(names, st.tuples(definitions, st.integers(-5, 5), st.booleans()), max_size=3),
    st.dictionaries(names, st.text(max_size=5), max_size=3),
    st.sampled_from(sorted(VERSIONS)),
)
def test_every_broker_comes_back_from_its_export(vhosts, policies, users, version):
    broker = Broker(version=version)
    for user, password in users.items():
        broker.add_user(user, password, ["monitoring"])
    for vhost, queues in vhosts.items():
        broker.add_vhost(vhost, description=vhost, tags=["t"])
        for user in broker.users:
            broker.set_permissions(user.name, vhost, "", ".*", "^a")
            broker.set_topic_permissions(user.name, vhost, "amq.topic", "^{username}", ".*")
        broker.set_permissions("guest", vhost, ".*", ".*", ".*")
        channel = broker.open_connection(vhost).open_channel()
        for name, (definition, priority, operator) in policies.items():
            broker.set_policy(vhost, name, "^n", definition, priority=priority, operator=operator)
        for queue, arguments in queues.items():
            channel.queue_declare(queue, durable=True, arguments=arguments)
            channel.queue_bind(queue, "amq.topic", queue, {"a": 1})
    exported = export_definitions(broker)
    again = import_broker(json.loads(json.dumps(exported)), version=version)
    again.check()
    assert export_definitions(again) == exported
    assert [again.authenticate(user, password) for user, password in users.items()] == [bool(p) for p in users.values()]


# Into a running broker


def document(**sections):
    return {"vhosts": [{"name": "/"}], **sections}


def test_what_is_there_stays_as_it_is_whatever_a_document_says_of_it():
    broker = Broker()
    channel = broker.open_connection().open_channel()
    channel.queue_declare("q", durable=True, arguments={"x-max-length": 3})
    channel.publish("", "q", b"1")
    exchange = {"name": "amq.direct", "vhost": "/", "type": "topic"}
    import_definitions(broker, document(queues=[{"name": "q", "vhost": "/"}], exchanges=[exchange]))
    assert broker.vhost().queues["q"].options.max_length == 3
    assert broker.vhost().exchanges["amq.direct"].type == "direct"
    assert len(broker.vhost().queues["q"].ready) == 1


def test_policies_of_a_document_hold_for_the_queues_that_are_there():
    broker = Broker()
    broker.open_connection().open_channel().queue_declare("q", durable=True)
    import_definitions(broker, {"policies": [{"name": "p", "vhost": "/", "pattern": "", "definition": {"max-length": 1}}]})
    assert broker.vhost().queues["q"].options.max_length == 1
    broker.check()


def test_users_permissions_and_limits_of_a_document_take_the_place_of_those_that_are_there():
    broker = Broker()
    limits = [{"component": "vhost-limits", "vhost": "/", "name": "limits", "value": {"max-queues": 0}}]
    user = {"name": "bob", "password": "b", "tags": "management, foo", "limits": {"max-channels": 5}}
    permission = {"user": "bob", "vhost": "/", "configure": "^a", "write": "^a", "read": "^a"}
    topic = {"user": "bob", "vhost": "/", "exchange": "amq.topic", "write": "^a", "read": "^a"}
    import_definitions(broker, {"users": [user], "permissions": [permission], "topic_permissions": [topic], "parameters": limits})
    assert (broker.user("bob").tags, broker.user("bob").limits) == (("management", "foo"), {"max-channels": 5})
    assert broker.permissions[-1].topics["amq.topic"].write == "^a"
    assert broker.vhost().limits == {"max-queues": 0}
    assert broker.authenticate("guest", "guest")


def test_a_document_for_one_virtual_host_is_meant_for_that_whichever_it_names():
    broker = Broker(vhosts=["/", "shop"])
    queues = [{"name": "a"}, {"name": "b", "vhost": "/"}, {"name": "c", "vhost": "elsewhere"}]
    import_definitions(
        broker, {"queues": queues, "policies": [{"name": "p", "pattern": "a", "definition": {"expires": 9}}]}, "shop"
    )
    assert (list(broker.vhost("shop").queues), list(broker.vhost("/").queues)) == (["a", "b", "c"], [])
    assert list(broker.vhost("shop").policies.policies) == ["p"]


def test_a_virtual_host_that_is_neither_there_nor_named_has_to_be_added():
    with pytest.raises(ScenarioError, match=r"queues\[0\]: there is no virtual host 'nosuch'; add it under vhosts"):
        import_definitions(Broker(), {"queues": [{"name": "q", "vhost": "nosuch"}]})
    with pytest.raises(ConnectionError, match="vhost nosuch not found"):
        export_definitions(Broker(), "nosuch")


def test_a_parameter_of_a_plug_in_that_is_not_there_is_refused_with_its_place():
    entry = {"component": "dynamic-thing", "vhost": "/", "name": "s", "value": {}}
    with pytest.raises(ScenarioError, match=r"parameters\[0\]: component dynamic-thing not found"):
        import_definitions(Broker(), document(parameters=[entry]))


@on_both("type_is_an_argument", {"4.0": ["quorum", "classic"], "3.10": ["classic", "classic"]})
def test_the_default_type_of_an_imported_virtual_host_is_of_its_durable_queues_in_4_0(version, expected):
    vhosts = [{"name": "/", "default_queue_type": "quorum"}]
    broker = import_broker({"vhosts": vhosts, "queues": [{"name": "q"}, {"name": "t", "durable": False}]}, version=version)
    assert [queue.options.type for queue in broker.vhost().queues.values()] == expected


def test_an_import_leaves_the_default_type_of_a_virtual_host_that_is_there():
    broker = Broker()
    import_definitions(
        broker, {"vhosts": [{"name": "/", "default_queue_type": "quorum", "description": "d"}], "queues": [{"name": "q"}]}
    )
    assert (broker.vhost().queues["q"].options.type, broker.vhost().description) == ("classic", "d")


def test_a_password_is_exported_as_the_hash_that_rabbitmq_keeps():
    broker = Broker(users={"u": "test12", "nobody": ""})
    first, second = export_definitions(broker)["users"]
    assert PasswordHash.read(first["password_hash"], first["hashing_algorithm"]).fits("test12")
    assert second["password_hash"] == ""
