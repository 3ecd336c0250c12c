"""The broker as a whole: overview, nodes, who asks, how to log in. There is one node, and its machine is not modelled."""

from typing import Any

from simbus.rabbitmq.access import PasswordHash
from simbus.rabbitmq.exchange_types import exchange_types
from simbus.rabbitmq.management.calls import Call, without
from simbus.rabbitmq.management.http import NO_CONTENT, Response, not_modelled, object_not_found
from simbus.rabbitmq.management.listing import Item
from simbus.units import MILLISECOND

_DESCRIPTIONS = {
    "direct": "AMQP direct exchange, as per the AMQP specification",
    "fanout": "AMQP fanout exchange, as per the AMQP specification",
    "headers": "AMQP headers exchange, as per the AMQP specification",
    "topic": "AMQP topic exchange, as per the AMQP specification",
    "x-consistent-hash": "Consistent Hashing Exchange",
    "x-delayed-message": "Delayed Message Exchange.",
    "x-local-random": "Picks one random local binding (queue) to route via (to).",
    "x-modulus-hash": "Modulus Hashing Exchange",
    "x-random": "Randomly picks a binding (queue) to route via (to).",
    "x-recent-history": "Recent History Exchange.",
}

_FOR_MONITORING = ("contexts", "listeners", "node")


def get_overview(call: Call) -> Item:
    """Versions, totals and listeners; ``rates_mode`` is none, which is what RabbitMQ calls it when no statistics are kept."""
    release, erlang = call.version.release, call.version.platform.removeprefix("Erlang/OTP ")
    shown = {
        "cluster_name": call.node,
        "cluster_tags": {},
        "contexts": _contexts(call),
        "default_queue_type": "classic",
        "disable_stats": False,
        "enable_queue_totals": False,
        "erlang_full_version": f"Erlang/OTP {erlang.partition('.')[0]}",
        "erlang_version": erlang,
        "exchange_types": _exchange_types(call),
        "is_op_policy_updating_enabled": True,
        "listeners": _listeners(call),
        "management_version": release,
        "node": call.node,
        "node_tags": {},
        "object_totals": _objects(call),
        "product_name": "RabbitMQ",
        "product_version": release,
        "queue_totals": totals(call),
        "rabbitmq_version": release,
        "rates_mode": "none",
        "release_series_support_status": "supported",
        "sample_retention_policies": {"basic": [600, 3600], "detailed": [600], "global": [600, 3600, 28800, 86400]},
        "statistics_db_event_queue": 0,
    }
    if not call.has_tag("monitoring"):
        shown = {key: value for key, value in shown.items() if key not in _FOR_MONITORING}
    return without(call, "overview", shown)


def totals(call: Call) -> Item:
    """Messages in the queues that the user may see."""
    queues = [queue for vhost in call.vhosts for queue in vhost.queues.values()]
    ready, unacked = sum(len(queue.ready) for queue in queues), sum(len(queue.unacked) for queue in queues)
    return {"messages": ready + unacked, "messages_ready": ready, "messages_unacknowledged": unacked}


def _objects(call: Call) -> Item:
    vhosts, clients = call.vhosts, call.driver.clients()
    queues = [queue for vhost in vhosts for queue in vhost.queues.values()]
    return {
        "channels": sum(len(client.channels) for client in clients),
        "connections": len(clients),
        "consumers": sum(len(queue.consumers) for queue in queues),
        "exchanges": sum(len(vhost.exchanges) for vhost in vhosts),
        "queues": len(queues),
    }


def _exchange_types(call: Call) -> list[Item]:
    names = sorted(exchange_types(call.broker.version))
    return [{"description": _DESCRIPTIONS[name], "enabled": True, "name": name} for name in names]


def _listeners(call: Call) -> list[Item]:
    return [
        {"ip_address": address.host, "node": call.node, "port": address.port, "protocol": protocol, "socket_opts": {}}
        for protocol, address in call.driver.listeners()
    ]


def _contexts(call: Call) -> list[Item]:
    return [
        {"description": "RabbitMQ Management", "ip": address.host, "node": call.node, "path": "/", "port": str(address.port)}
        for protocol, address in call.driver.listeners()
        if protocol == "http"
    ]


def get_version(call: Call) -> str:
    """The release."""
    return call.version.release


def get_cluster_name(call: Call) -> Item:
    """The name of the cluster, which is the node's."""
    return {"name": call.node}


def put_cluster_name(_call: Call) -> Response:
    """Another name is not kept."""
    raise not_modelled("another cluster name")


def list_nodes(call: Call) -> list[Item]:
    """The one node."""
    return [_node(call)]


def get_node(call: Call) -> Item:
    """The node, by its name."""
    if call.names["name"] != call.node:
        raise object_not_found()
    return _node(call)


def _node(call: Call) -> Item:
    alarms = call.broker.alarms
    shown = {
        "being_drained": False,
        "contexts": _contexts(call),
        "disk_free_alarm": "low on disk" in alarms,
        "exchange_types": _exchange_types(call),
        "mem_alarm": "low on memory" in alarms,
        "name": call.node,
        "net_ticktime": 60,
        "partitions": [],
        "rates_mode": "none",
        "running": True,
        "type": "disc",
        "uptime": (call.broker.now - call.broker.started) // MILLISECOND,
    }
    return without(call, "node", shown)


def whoami(call: Call) -> Item:
    """The user who asks."""
    return without(call, "whoami", {"is_internal_user": True, "name": call.user, "tags": call.tags})


def get_auth(call: Call) -> Item:
    """How to log in, for those who have not: not by OAuth 2."""
    answers: dict[str, Any] = {"oauth_enabled": False, "enable_uaa": False, "uaa_client_id": "", "uaa_location": ""}
    return without(call, "auth", answers)


def hash_password(call: Call) -> Item:
    """The hash of a password, for who writes definitions."""
    return {"ok": PasswordHash.of(call.names["password"], "").written()[0]}


def get_extensions(_call: Call) -> list[Item]:
    """The management UI's own parts, of which there are none here."""
    return []


def rebalance(_call: Call) -> Response:
    """With one node there is nothing to move."""
    return NO_CONTENT
