"""A broker as RabbitMQ's definitions file: what ``rabbitmqctl export_definitions`` and ``GET /api/definitions`` answer.

Keys and their order are those of RabbitMQ; entries stand in the order in which they came into being, where RabbitMQ has none.
Exclusive queues are left out, and messages: only what an import can bring back is written.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from simbus.rabbitmq.access import User
from simbus.rabbitmq.administration import policy_value
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.dead_letters import EPOCH
from simbus.rabbitmq.policies import Policy
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routing import Binding, Exchange
from simbus.rabbitmq.versions import Version
from simbus.rabbitmq.virtual_host import VirtualHost

Entry = dict[str, Any]


def export_definitions(broker: Broker, vhost: str | None = None) -> Entry:
    """The definitions of a broker, or of one of its virtual hosts, ready for JSON.

    Raises:
        ConnectionError: 530 for a virtual host that there is not.
    """
    return _whole(broker) if vhost is None else _single(broker, broker.vhost(vhost))


def _whole(broker: Broker) -> Entry:
    hosts = [broker.vhost(name) for name in broker.vhost_names]
    cluster = broker.node_name
    about = {"rabbitmq_definition_format": "cluster", "original_cluster_name": cluster}
    return {
        **_release(broker.version),
        **(about | {"explanation": f"Definitions of cluster '{cluster}'"} if broker.version.exports_describe_themselves else {}),
        "users": [_user(user) for user in broker.users],
        "vhosts": [_vhost(host, broker.version) for host in hosts],
        "permissions": [
            {"user": p.user, "vhost": p.vhost, "configure": p.configure, "write": p.write, "read": p.read}
            for p in broker.permissions
            if p.granted
        ],
        "topic_permissions": [
            {"user": p.user, "vhost": p.vhost, "exchange": exchange, "write": topic.write, "read": topic.read}
            for p in broker.permissions
            for exchange, topic in p.topics.items()
        ],
        "parameters": [_parameter(*parameter) for parameter in broker.parameters()],
        "global_parameters": [{"name": name, "value": value} for name, value in broker.global_parameters.items()],
        "policies": [{"vhost": host.name, **_policy(policy)} for host in hosts for policy in host.policies.policies.values()],
        "queues": [_with_vhost(host, entry) for host in hosts for entry in _queues(host)],
        "exchanges": [_with_vhost(host, entry) for host in hosts for entry in _exchanges(host)],
        "bindings": [_with_vhost(host, entry) for host in hosts for entry in _bindings(host)],
    }


def _single(broker: Broker, host: VirtualHost) -> Entry:
    """Of one virtual host, whose entries do not name it; those of 3.10 are half-hearted about it."""
    version = broker.version
    parameters = [_parameter(*parameter) for parameter in broker.parameters() if parameter[1] == host.name]
    policies: list[Entry] = [{"vhost": host.name, **_policy(policy)} for policy in host.policies.policies.values()]
    described = version.exports_describe_themselves
    return {
        **(_release(version) | _about(host, version) if described else {"rabbit_version": version.release}),
        "parameters": [_without_vhost(entry) for entry in parameters] if described else parameters,
        "policies": [_without_vhost(entry) for entry in policies] if described else policies,
        "queues": list(_queues(host)),
        "exchanges": list(_exchanges(host)),
        "bindings": list(_bindings(host)),
    }


def _release(version: Version) -> Entry:
    names = ("rabbit_version", "rabbitmq_version")
    return {**dict.fromkeys(names, version.release), "product_name": "RabbitMQ", "product_version": version.release}


def _about(host: VirtualHost, version: Version) -> Entry:
    described = _vhost(host, version)
    return {
        "rabbitmq_definition_format": "single_virtual_host",
        "original_vhost_name": host.name,
        "explanation": f"Definitions of virtual host '{host.name}'",
        "metadata": described["metadata"],
        "description": host.description,
        "default_queue_type": described["default_queue_type"],
        "limits": dict(host.limits),
    }


def _vhost(host: VirtualHost, version: Version) -> Entry:
    if not version.exports_describe_themselves:
        return {"name": host.name}
    kind, tags = host.default_queue_type or "classic", list(host.tags)
    return {
        "name": host.name,
        "description": host.description,
        "metadata": {"description": host.description, "tags": tags, "default_queue_type": kind},
        "tags": tags,
        "default_queue_type": kind,
    }


def _user(user: User) -> Entry:
    text, algorithm = user.hash.written()
    tags, limits = list(user.tags), dict(user.limits)
    return {"name": user.name, "password_hash": text, "hashing_algorithm": algorithm, "tags": tags, "limits": limits}


def _parameter(component: str, vhost: str, name: str, value: Entry) -> Entry:
    return {"value": value, "vhost": vhost, "component": component, "name": name}


def _policy(policy: Policy) -> Entry:
    value = policy_value(policy)
    return {"name": policy.name, **{key: value[key] for key in ("pattern", "apply-to", "definition", "priority")}}


def _with_vhost(host: VirtualHost, entry: Entry) -> Entry:
    """The virtual host's name stands behind the first key."""
    first, *others = entry.items()
    return dict([first, ("vhost", host.name), *others])


def _without_vhost(entry: Entry) -> Entry:
    return {key: value for key, value in entry.items() if key != "vhost"}


def _exported(queue: Queue) -> bool:
    return queue.owner is None


def _queues(host: VirtualHost) -> Iterator[Entry]:
    for queue in filter(_exported, host.queues.values()):
        flags = {"durable": queue.durable, "auto_delete": queue.auto_delete}
        yield {"name": queue.name, **flags, "arguments": in_json(queue.arguments)}


def _exchanges(host: VirtualHost) -> Iterator[Entry]:
    for exchange in host.exchanges.values():
        if exchange.name and not exchange.name.startswith("amq."):
            flags = {"durable": exchange.durable, "auto_delete": exchange.auto_delete, "internal": exchange.internal}
            yield {"name": exchange.name, "type": exchange.type, **flags, "arguments": in_json(exchange.arguments)}


def _bindings(host: VirtualHost) -> Iterator[Entry]:
    for exchange in host.exchanges.values():
        for binding in exchange.bindings.values():
            if isinstance(binding.destination, Exchange) or _exported(binding.destination):
                yield _binding(exchange, binding)


def _binding(source: Exchange, binding: Binding) -> Entry:
    return {
        "source": source.name,
        "destination": binding.destination.name,
        "destination_type": "exchange" if binding.to_exchange else "queue",
        "routing_key": binding.routing_key,
        "arguments": in_json(binding.arguments),
    }


def in_json(value: Any) -> Any:
    """A value of a field table as RabbitMQ writes it in JSON: keys in order, moments in seconds, octets as text."""
    if isinstance(value, Mapping):
        return {key: in_json(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [in_json(item) for item in value]
    return next((shown(value) for kind, shown in _IN_JSON.items() if isinstance(value, kind)), value)


# Subclasses of int are AMQP's narrower and wider integers.
_IN_JSON: Mapping[type, Callable[[Any], Any]] = {
    bool: bool,
    int: int,
    float: float,
    Decimal: float,
    bytes: lambda octets: octets.decode("utf-8", "replace"),
    datetime: lambda moment: int((moment - EPOCH).total_seconds()),
}
