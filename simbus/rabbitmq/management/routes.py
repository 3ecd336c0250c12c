"""The table of paths: which methods each takes, who may ask, and who answers.

A part of a path in braces is a name. What RabbitMQ has and simbus does not model stands at the end, and is answered with 501.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simbus.rabbitmq.management import (
    bindings,
    connections,
    consumers,
    exchanges,
    health,
    messages,
    overview,
    queues,
    users,
    vhosts,
)
from simbus.rabbitmq.management.calls import Call

Handler = Callable[[Call], Any]

_NAMED = ("vhost", "name")
_BINDING = ("vhost", "source", "destination_type", "destination", "routing_key", "properties_key")


@dataclass(frozen=True)
class Route:
    """A path, its handlers by method, and, of a list, the columns by which it is sorted and whether it has pages.

    ``of`` names what it is that simbus does not model; ``open`` is a route that asks for no login.
    """

    path: str
    methods: Mapping[str, Handler]
    order: Sequence[str] = ()
    paged: bool = False
    open: bool = False
    of: str = ""
    parts: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Know the parts of the path."""
        object.__setattr__(self, "parts", self.path.split("/"))

    def names(self, segments: Sequence[str]) -> dict[str, str] | None:
        """What stands where the path has names; None when it is another path."""
        if len(segments) != len(self.parts):
            return None
        pairs = list(zip(self.parts, segments, strict=True))
        if any(not part.startswith("{") and part != segment for part, segment in pairs):
            return None
        return {part[1:-1]: segment for part, segment in pairs if part.startswith("{")}

    @property
    def allow(self) -> str:
        """The methods, as RabbitMQ lists them."""
        known = [method for method in ("GET", "PUT", "POST", "DELETE") if method in self.methods]
        return ", ".join([*(["HEAD"] if "GET" in known else []), *known, "OPTIONS"])


def _list(path: str, get: Handler, *order: str, paged: bool = False) -> Route:
    return Route(path, {"GET": get}, order or _NAMED, paged)


def _one(path: str, get: Handler | None = None, *, open: bool = False, **others: Handler) -> Route:
    methods = {"GET": get, **{name.upper(): handler for name, handler in others.items()}}
    return Route(path, {name: handler for name, handler in methods.items() if handler}, open=open)


def _foreign(of: str, path: str, *methods: str) -> Route:
    return Route(path, dict.fromkeys(methods or ("GET",), overview.whoami), of=of)


ROUTES = [
    _one("overview", overview.get_overview),
    _one("cluster-name", overview.get_cluster_name, put=overview.put_cluster_name),
    _list("nodes", overview.list_nodes, "name"),
    _one("nodes/{name}", overview.get_node),
    _one("whoami", overview.whoami),
    _one("auth", overview.get_auth, open=True),
    _list("extensions", overview.get_extensions),
    _one("rebalance/queues", post=overview.rebalance),
    _list("vhosts", vhosts.list_vhosts, "name", paged=True),
    _one("vhosts/{vhost}", vhosts.get_vhost),
    _list("vhosts/{vhost}/permissions", users.permissions_in_vhost, "vhost", "user"),
    _list("vhosts/{vhost}/topic-permissions", users.topics_in_vhost, "vhost", "user"),
    _list("vhosts/{vhost}/connections", connections.list_connections, paged=True),
    _list("vhosts/{vhost}/channels", connections.list_channels, paged=True),
    _list("users", users.list_users, "name"),
    _list("users/without-permissions", users.list_without_permissions, "name"),
    _one("users/{user}", users.get_user),
    _list("users/{user}/permissions", users.permissions_of_user, "vhost", "user"),
    _list("users/{user}/topic-permissions", users.topics_of_user, "vhost", "user"),
    _list("permissions", users.list_permissions, "vhost", "user"),
    _one("permissions/{vhost}/{user}", users.get_permission),
    _list("exchanges", exchanges.list_exchanges, paged=True),
    _list("exchanges/{vhost}", exchanges.list_exchanges, paged=True),
    _one("exchanges/{vhost}/{name}", exchanges.get_exchange, put=exchanges.put_exchange, delete=exchanges.delete_exchange),
    _list("exchanges/{vhost}/{name}/bindings/source", bindings.from_exchange, *_BINDING),
    _list("exchanges/{vhost}/{name}/bindings/destination", bindings.to_exchange, *_BINDING),
    _one("exchanges/{vhost}/{name}/publish", post=messages.publish),
    _list("queues", queues.list_queues, paged=True),
    _list("queues/detailed", queues.list_detailed, paged=True),
    _list("queues/{vhost}", queues.list_queues, paged=True),
    _one("queues/{vhost}/{name}", queues.get_queue, put=queues.put_queue, delete=queues.delete_queue),
    _list("queues/{vhost}/{name}/bindings", bindings.to_queue, *_BINDING),
    _one("queues/{vhost}/{name}/contents", delete=queues.purge_queue),
    _one("queues/{vhost}/{name}/actions", post=queues.act_on_queue),
    _one("queues/{vhost}/{name}/get", post=messages.get),
    _list("bindings", bindings.list_bindings, *_BINDING),
    _list("bindings/{vhost}", bindings.list_bindings, *_BINDING),
    Route("bindings/{vhost}/e/{source}/{kind}/{destination}", {"GET": bindings.between, "POST": bindings.post_binding}, _BINDING),
    _one(
        "bindings/{vhost}/e/{source}/{kind}/{destination}/{properties_key}",
        bindings.get_binding,
        delete=bindings.delete_binding,
    ),
    _list("connections", connections.list_connections, paged=True),
    _one("connections/{name}", connections.get_connection, delete=connections.close_connection),
    Route("connections/username/{user}", {"GET": connections.list_of_user, "DELETE": connections.close_of_user}, _NAMED),
    _list("connections/{name}/channels", connections.list_channels_of, paged=True),
    _list("channels", connections.list_channels, paged=True),
    _one("channels/{name}", connections.get_channel),
    _list("consumers", consumers.list_consumers, "queue.name", "consumer_tag"),
    _list("consumers/{vhost}", consumers.list_consumers, "queue.name", "consumer_tag"),
    _one("health/checks/alarms", health.alarms),
    _one("health/checks/local-alarms", health.local_alarms),
    _one("health/checks/certificate-expiration/{within}/{unit}", health.certificate_expiration),
    _one("health/checks/port-listener/{port}", health.port_listener),
    _one("health/checks/protocol-listener/{protocol}", health.protocol_listener),
    _one("health/checks/virtual-hosts", health.ok),
    _one("health/checks/node-is-mirror-sync-critical", health.single),
    _one("health/checks/node-is-quorum-critical", health.single),
    _one("healthchecks/node", health.ok),
    _one("healthchecks/node/{name}", health.ok),
    _one("aliveness-test/{vhost}", health.aliveness),
    # What RabbitMQ has and simbus has not
    _foreign("the memory of a node", "nodes/{name}/memory"),
    _foreign("the memory of a node", "nodes/{name}/memory/ets"),
    _foreign("statistics of log-ins", "auth/attempts/{node}", "GET", "DELETE"),
    _foreign("statistics of log-ins", "auth/attempts/{node}/source", "GET", "DELETE"),
    _foreign("hashing of passwords", "auth/hash_password/{password}"),
    _foreign("feature flags", "feature-flags"),
    _foreign("feature flags", "feature-flags/{name}/enable", "PUT"),
    _foreign("deprecated features", "deprecated-features"),
    _foreign("deprecated features", "deprecated-features/used"),
    _foreign("the restart of a virtual host", "vhosts/{vhost}/start/{node}", "POST"),
]


def find(segments: Sequence[str], without: Sequence[str]) -> tuple[Route, dict[str, str]] | None:
    """The route of a path, and its names; None for a path that there is not in this version."""
    for route in ROUTES:
        names = route.names(segments)
        if names is not None and route.path not in without:
            return route, names
    return None
