"""RabbitMQ's definitions file: what its own exports mean, and what is refused with which words."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.errors import ScenarioError
from simbus.rabbitmq import modelled
from simbus.rabbitmq.definitions import read_definitions

BOOKSTORE = Path(__file__).resolve().parent.parent / "scenarios" / "bookstore.definitions.json"
DEAD_LETTERS = {
    "x-dead-letter-exchange": "dlx.exchange",
    "x-dead-letter-routing-key": "dead-letter",
    "x-message-ttl": 86_400_000,
    "x-queue-type": "classic",
}

# Two entries as `rabbitmqctl export_definitions` of RabbitMQ 4.0.5 writes them: no `internal`, a `type` for the queue.
FROM_RABBITMQCTL = """{
  "rabbitmq_version": "4.0.5", "policies": [], "parameters": [], "permissions": [], "topic_permissions": [],
  "global_parameters": [{"name": "cluster_tags", "value": []}],
  "users": [{"hashing_algorithm": "rabbit_password_hashing_sha256", "limits": {}, "name": "guest", "tags": ["administrator"]}],
  "vhosts": [{"default_queue_type": "classic", "limits": [],
              "metadata": {"description": "Default virtual host", "tags": []}, "name": "/"}],
  "exchanges": [{"arguments": {}, "auto_delete": false, "durable": true, "name": "orders", "type": "topic", "vhost": "/"}],
  "queues": [{"arguments": {"x-queue-type": "classic"}, "auto_delete": false, "durable": true,
              "name": "audit", "type": "classic", "vhost": "/"}],
  "bindings": [{"arguments": {}, "destination": "audit", "destination_type": "queue", "routing_key": "#",
                "source": "orders", "vhost": "/"}]
}"""

names = st.text(min_size=1, max_size=20)
flags = st.booleans()
values = st.one_of(st.text(max_size=10), st.integers(0, 10**9), st.booleans())
arguments = st.dictionaries(st.text(max_size=20).filter(lambda name: name != "x-queue-type"), values, max_size=3)
exchanges = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["direct", "fanout", "topic", "headers"]),
        "durable": flags,
        "auto_delete": flags,
        "internal": flags,
        "arguments": arguments,
    }
)
kinds = st.sampled_from([{}, {"x-queue-type": "classic"}, {"x-queue-type": "quorum"}])
queues = st.fixed_dictionaries(
    {"durable": flags, "auto_delete": flags, "arguments": st.builds(lambda kind, more: kind | more, kinds, arguments)}
)
bindings = st.fixed_dictionaries({"exchange": names, "queue": names, "routing_key": st.text(max_size=20), "arguments": arguments})


def document(**sections: Any) -> dict[str, Any]:
    """A definitions document of the virtual host / with these sections, and empty ones for the rest."""
    return {"vhosts": [{"name": "/"}], "policies": [], "exchanges": [], "queues": [], "bindings": [], **sections}


def in_vhost(vhost: str, entries: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Named entries as the export lists them."""
    return [{"name": name, "vhost": vhost, **entry} for name, entry in entries.items()]


def bound(vhost: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bindings as the export lists them."""
    return [
        {
            "source": entry["exchange"],
            "vhost": vhost,
            "destination": entry["queue"],
            "destination_type": "queue",
            "routing_key": entry["routing_key"],
            "arguments": entry["arguments"],
        }
        for entry in entries
    ]


def bookstore() -> dict[str, Any]:
    exported: dict[str, Any] = json.loads(BOOKSTORE.read_text("utf-8"))
    return exported


def refusal(**sections: Any) -> str:
    """What a document with these sections is refused with."""
    with pytest.raises(ScenarioError) as refused:
        read_definitions(document(**sections))
    return str(refused.value)


def test_the_bookstore_export_holds_its_exchanges_queues_and_bindings():
    topology = read_definitions(bookstore())
    flags = {"durable": True, "auto_delete": False}
    assert topology.exchanges == {
        "dlx.exchange": {"type": "direct", **flags, "internal": False, "arguments": {}},
        "bookstore.exchange": {"type": "topic", **flags, "internal": False, "arguments": {}},
    }
    assert topology.queues == {
        "order.inventory.queue": {**flags, "arguments": DEAD_LETTERS},
        "dead-letter-queue": {**flags, "arguments": {"x-queue-type": "classic"}},
        "order.email.queue": {**flags, "arguments": DEAD_LETTERS},
        "audit.queue": {**flags, "arguments": DEAD_LETTERS},
    }
    assert [(binding["exchange"], binding["routing_key"], binding["queue"]) for binding in topology.bindings] == [
        ("bookstore.exchange", "#", "audit.queue"),
        ("bookstore.exchange", "order.*", "order.inventory.queue"),
        ("bookstore.exchange", "order.placed", "order.email.queue"),
        ("dlx.exchange", "dead-letter", "dead-letter-queue"),
    ]


@pytest.mark.parametrize(
    ("exchange", "routing_key", "reached"),
    [
        ("bookstore.exchange", "order.placed", {"order.inventory.queue", "order.email.queue", "audit.queue"}),
        ("bookstore.exchange", "order.cancelled", {"order.inventory.queue", "audit.queue"}),
        ("bookstore.exchange", "stock.counted", {"audit.queue"}),
        ("dlx.exchange", "dead-letter", {"dead-letter-queue"}),
    ],
)
def test_a_broker_with_the_bookstore_export_routes_as_the_shop_does(exchange, routing_key, reached):
    broker = modelled.build(read_definitions(bookstore()))
    assert set(modelled.destinations(broker, {"exchange": exchange, "routing_key": routing_key})) == reached


def test_the_bookstore_export_in_the_repository_holds_no_users():
    assert bookstore()["users"] == []
    assert "password" not in BOOKSTORE.read_text("utf-8")


def test_an_export_of_rabbitmqctl_reads_like_one_of_the_management_api():
    topology = read_definitions(json.loads(FROM_RABBITMQCTL))
    flags = {"durable": True, "auto_delete": False}
    assert topology.exchanges == {"orders": {"type": "topic", **flags, "internal": False, "arguments": {}}}
    assert topology.queues == {"audit": {**flags, "arguments": {"x-queue-type": "classic"}}}
    assert topology.bindings == [{"exchange": "orders", "queue": "audit", "routing_key": "#", "arguments": {}}]


def test_a_binding_between_exchanges_leads_from_one_to_the_queues_of_the_other():
    # As RabbitMQ 4.0.5 exports the binding of amq.fanout to amq.topic.
    binding = {"source": "amq.topic", "destination": "amq.fanout", "destination_type": "exchange", "routing_key": "order.#"}
    audit = {"source": "amq.fanout", "destination": "audit", "destination_type": "queue", "routing_key": ""}
    topology = read_definitions(document(queues=[{"name": "audit"}], bindings=[binding, audit]))
    broker = modelled.build(topology)
    reached = [modelled.destinations(broker, {"exchange": "amq.topic", "routing_key": key}) for key in ("order.placed", "stock")]
    assert reached == [("audit",), ()]


def test_an_export_of_one_virtual_host_names_none_in_its_entries():
    exported = {"rabbitmq_definition_format": "single_virtual_host", "original_vhost_name": "shop", "queues": [{"name": "audit"}]}
    assert list(read_definitions(exported).queues) == ["audit"]


@given(
    st.dictionaries(names, exchanges, max_size=4),
    st.dictionaries(names, queues, max_size=4),
    st.lists(bindings, max_size=4),
    st.sampled_from(["/", "shop", "schöne neue Welt"]),
)
def test_every_topology_comes_back_from_its_export(exchanges, queues, bindings, vhost):
    sections = {
        "exchanges": in_vhost(vhost, exchanges),
        "queues": in_vhost(vhost, queues),
        "bindings": bound(vhost, bindings),
    }
    exported = document(**sections, vhosts=[{"name": vhost}])
    topology = read_definitions(json.loads(json.dumps(exported)), vhost)
    assert (topology.exchanges, topology.queues, topology.bindings) == (exchanges, queues, bindings)


@given(st.dictionaries(names, queues, max_size=4), st.dictionaries(names, queues, max_size=4))
def test_a_virtual_host_does_not_see_what_is_in_another(ours, theirs):
    vhosts = [{"name": "/"}, {"name": "other"}]
    exported = document(
        vhosts=vhosts,
        queues=in_vhost("other", theirs) + in_vhost("/", ours),
        policies=[{"vhost": "other", "name": "ttl", "pattern": ".*", "definition": {"message-ttl": 1}}],
    )
    assert read_definitions(exported).queues == ours


# The next four were observed on RabbitMQ 4.0.5 by importing such files.


def test_flags_that_are_left_out_are_those_of_an_import():
    topology = read_definitions(document(queues=[{"name": "q"}], exchanges=[{"name": "x", "type": "direct"}]))
    assert topology.queues["q"] == {"durable": True, "auto_delete": False, "arguments": {}}
    assert topology.exchanges["x"] == {
        "type": "direct",
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def test_a_queue_without_a_type_has_the_default_type_of_its_virtual_host():
    vhosts = [{"name": "/", "default_queue_type": "quorum"}]
    queues = [{"name": "plain"}, {"name": "typed", "arguments": {"x-queue-type": "classic"}}]
    read = read_definitions(document(vhosts=vhosts, queues=queues)).queues
    assert read["plain"]["arguments"] == {"x-queue-type": "quorum"}
    assert read["typed"]["arguments"] == {"x-queue-type": "classic"}


def test_a_virtual_host_without_a_default_type_has_classic_queues():
    vhosts = [{"name": "/", "default_queue_type": "undefined"}]
    assert read_definitions(document(vhosts=vhosts, queues=[{"name": "q"}])).queues["q"]["arguments"] == {}


def test_the_type_beside_the_arguments_means_nothing():
    assert read_definitions(document(queues=[{"name": "q", "type": "quorum"}])).queues["q"]["arguments"] == {}


def test_users_permissions_and_limits_are_ignored():
    limits = [{"component": "vhost-limits", "name": "limits", "vhost": "/", "value": {"max-queues": 5}}]
    exported = document(users="whatever", permissions=7, topic_permissions=None, parameters=limits, queues=[{"name": "q"}])
    assert list(read_definitions(exported).queues) == ["q"]


def test_a_queue_may_expire():
    replies = {"name": "replies", "vhost": "/", "arguments": {"x-expires": 60_000}}
    broker = modelled.build(read_definitions(document(queues=[replies])))
    assert broker.vhost().queues["replies"].options.expires == 60_000_000_000


def test_the_document_is_left_as_it_was():
    exported = document(vhosts=[{"name": "/", "default_queue_type": "quorum"}], queues=[{"name": "q", "arguments": {}}])
    before = json.dumps(exported)
    read_definitions(exported).queues["q"]["arguments"]["x-max-length"] = 5
    assert json.dumps(exported) == before


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"queues": {}}, "queues: {} is not a list"),
        ({"queues": ["q"]}, "queues[0]: 'q' is not an object"),
        ({"queues": [{"name": "a"}, {"durable": True}]}, "queues[1].name: is missing; write a text"),
        ({"queues": [{"name": 5}]}, "queues[0].name: 5 is not a text"),
        ({"queues": [{"name": "q", "durable": "yes"}]}, "queues[0] (q).durable: 'yes' is not true or false"),
        ({"queues": [{"name": "q", "durable": 1}]}, "queues[0] (q).durable: 1 is not true or false"),
        ({"queues": [{"name": "q", "arguments": []}]}, "queues[0] (q).arguments: [] is not an object"),
        ({"queues": [{"name": "q", "vhost": 5}]}, "queues[0].vhost: 5 is not a text"),
        ({"queues": [{"name": "q"}, {"name": "q"}]}, "queues[1] (q): there is another entry of this name; delete one of the two"),
        ({"exchanges": [{"name": "x"}]}, "exchanges[0] (x).type: is missing; write a text"),
        ({"bindings": [{"source": "x", "routing_key": "k"}]}, "bindings[0].destination: is missing; write a text"),
        ({"bindings": [{"destination": "q"}]}, "bindings[0].source: is missing; write a text"),
        (
            {"bindings": [{"source": "x", "destination": "y", "destination_type": "topic"}]},
            "bindings[0].destination_type: 'topic' is not one of queue, exchange",
        ),
        ({"vhosts": "/"}, "vhosts: '/' is not a list"),
        ({"vhosts": [{"name": "/", "default_queue_type": 5}]}, "vhosts.default_queue_type: 5 is not a text"),
        ({"policies": [5]}, "policies[0]: 5 is not an object"),
    ],
)
def test_a_malformed_entry_is_named(sections, words):
    assert words in refusal(**sections)


@pytest.mark.parametrize(
    ("sections", "place", "remedy"),
    [
        (
            {"parameters": [{"component": "shovel", "name": "mover", "vhost": "/", "value": {}}]},
            "parameters[0] (mover)",
            "delete",
        ),
        (
            {"queues": [{"name": "log", "arguments": {"x-queue-type": "rabbit_mqtt_qos0_queue"}}]},
            "queues[0] (log).arguments.x-queue-type",
            "quorum",
        ),
        ({"exchanges": [{"name": "later", "type": "x-jms-topic"}]}, "exchanges[0] (later).type", "direct, fanout"),
        ({"vhosts": [{"name": "/", "default_queue_type": "another"}], "queues": [{"name": "log"}]}, "queues[0] (log)", "classic"),
    ],
)
def test_what_is_not_modelled_is_refused_with_the_remedy(sections, place, remedy):
    text = refusal(**sections)
    assert text.startswith(place)
    assert "not modelled yet: " in text
    assert remedy in text


def test_a_virtual_host_that_is_not_there_is_refused_with_those_that_are():
    exported = document(vhosts=[{"name": "shop"}], queues=[{"name": "q", "vhost": "shop"}])
    with pytest.raises(ScenarioError, match=r"there is no virtual host '/', only 'shop'; name the one to model, or "):
        read_definitions(exported)
    assert list(read_definitions(exported, vhost="shop").queues) == ["q"]


def test_a_file_of_policies_alone_is_a_definitions_file():
    topology = read_definitions(
        {"policies": [{"name": "ttl", "vhost": "/", "pattern": "^q", "definition": {"message-ttl": 1000}}]}
    )
    [policy] = topology.policies
    assert (policy["name"], policy["definition"], policy["priority"], policy["apply_to"]) == (
        "ttl",
        {"message-ttl": 1000},
        0,
        "all",
    )


def test_queues_heed_the_policies_and_operator_policies_of_their_export():
    policies = [{"name": "ttl", "vhost": "/", "pattern": "^q", "definition": {"message-ttl": 1000, "max-length": 5}}]
    cap = {"pattern": "", "definition": {"max-length": 3}, "priority": 0, "apply-to": "queues"}
    parameters = [{"component": "operator_policy", "name": "cap", "vhost": "/", "value": cap}]
    broker = modelled.build(read_definitions(document(queues=[{"name": "q"}], policies=policies, parameters=parameters)))
    options = broker.vhost().queues["q"].options
    assert (options.message_ttl, options.max_length) == (1_000_000_000, 3)
    broker.check()


def test_a_policy_that_rabbitmq_would_refuse_is_named():
    policy = {"name": "ttl", "pattern": "^q", "definition": {"message-ttl": -1}}
    with pytest.raises(ScenarioError, match=r"policies\[0\] \(ttl\): -1 is not a valid message TTL"):
        modelled.build(read_definitions(document(policies=[policy])))


def test_among_several_virtual_hosts_every_entry_says_which_is_its_own():
    text = refusal(vhosts=[{"name": "/"}, {"name": "shop"}], queues=[{"name": "q"}])
    assert text == "queues[0].vhost: is missing; write a text"


def test_a_default_type_is_for_queues_that_stay():
    vhosts = [{"name": "/", "default_queue_type": "quorum"}]
    queues = [{"name": "transient", "durable": False}, {"name": "leaving", "auto_delete": True}]
    read = read_definitions(document(vhosts=vhosts, queues=queues)).queues
    assert [queue["arguments"] for queue in read.values()] == [{}, {}]


def test_a_file_that_holds_something_else_is_told_from_definitions():
    with pytest.raises(ScenarioError, match=r"not a RabbitMQ definitions file.*rabbitmqctl export_definitions"):
        read_definitions({"name": "bookstore"})


def test_a_binding_to_a_queue_that_is_not_there_is_refused_when_the_broker_is_built():
    topology = read_definitions(document(bindings=[{"source": "amq.topic", "destination": "gone", "routing_key": "#"}]))
    with pytest.raises(ScenarioError, match=r"bindings\[0\].*no queue 'gone'"):
        modelled.build(topology)
