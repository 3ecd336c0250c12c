"""The table of paths: which methods each takes, who may ask, and who answers.

A part of a path in braces is a name. What RabbitMQ has and simbus does not model is ``FOREIGN``, and is answered with 501.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

from simbus.rabbitmq.management import (
    bindings,
    connections,
    consumers,
    definitions,
    exchanges,
    health,
    messages,
    overview,
    policies,
    queues,
    users,
    vhosts,
)
from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.http import not_modelled

MANAGEMENT, MONITORING, POLICYMAKER, ADMINISTRATOR = "management", "monitoring", "policymaker", "administrator"
Handler = Callable[[Call], Any]

_NAMED = ("vhost", "name")
_BINDING = ("vhost", "source", "destination_type", "destination", "routing_key", "properties_key")


@dataclass(frozen=True)
class Route:
    """A path, its handlers by method, and, of a list, the columns by which it is sorted and whether it has pages.

    ``who`` is the tag that a user needs to ask, and ``writers`` the one to change something, if that is another; a route that
    is ``open`` asks for no login. Some are ``strict``: their bodies have to be called JSON. Some answer no HEAD.
    """

    path: str
    methods: Mapping[str, Handler]
    order: Sequence[str] = ()
    paged: bool = False
    open: bool = False
    who: str = MANAGEMENT
    writers: str = ""
    strict: bool = False
    head: bool = True
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

    def wanted(self, method: str) -> str:
        """The tag that a user needs for a method."""
        return self.who if method == "GET" or not self.writers else self.writers

    @property
    def allow(self) -> str:
        """The methods, as RabbitMQ lists them."""
        known = [method for method in ("GET", "PUT", "POST", "DELETE") if method in self.methods]
        return ", ".join([*(["HEAD"] if "GET" in known and self.head else []), *known, "OPTIONS"])


def _list(path: str, get: Handler, *order: str, **more: Any) -> Route:
    return Route(path, {"GET": get}, order or _NAMED, **more)


def _one(
    path: str,
    get: Handler | None = None,
    *,
    put: Handler | None = None,
    post: Handler | None = None,
    delete: Handler | None = None,
    **more: Any,
) -> Route:
    methods = {"GET": get, "PUT": put, "POST": post, "DELETE": delete}
    return Route(path, {name: handler for name, handler in methods.items() if handler}, **more)


def _admin(route: Route) -> Route:
    return replace(route, who=ADMINISTRATOR)


def _foreign(what: str, path: str, *methods: str) -> Route:
    return Route(path, dict.fromkeys(methods or ("GET",), partial(_refuse, what)))


def _refuse(what: str, _call: Call) -> NoReturn:
    raise not_modelled(what)


# What RabbitMQ has and simbus has not.
FOREIGN = [
    _foreign("the reset of statistics", "reset", "DELETE"),
    _foreign("the reset of statistics", "reset/{node}", "DELETE"),
    _foreign("logins with cookies", "login", "POST"),
    _foreign("the members of a quorum queue", "queues/quorum/{vhost}/{name}/replicas/add", "POST"),
    _foreign("the members of a quorum queue", "queues/quorum/{vhost}/{name}/replicas/delete", "DELETE"),
    _foreign("the members of a quorum queue", "queues/quorum/replicas/on/{node}/grow", "POST"),
    _foreign("the members of a quorum queue", "queues/quorum/replicas/on/{node}/shrink", "DELETE"),
    replace(_foreign("the members of a quorum queue", "queues/quorum/{vhost}/{name}/status"), head=False),
    _foreign("the memory of a node", "nodes/{name}/memory"),
    _foreign("the memory of a node", "nodes/{name}/memory/ets"),
    _foreign("statistics of log-ins", "auth/attempts/{node}", "GET", "DELETE"),
    _foreign("statistics of log-ins", "auth/attempts/{node}/source", "GET", "DELETE"),
    _foreign("feature flags", "feature-flags"),
    _foreign("feature flags", "feature-flags/{name}/enable", "PUT"),
    _foreign("deprecated features", "deprecated-features"),
    _foreign("deprecated features", "deprecated-features/used"),
    _foreign("the restart of a virtual host", "vhosts/{vhost}/start/{node}", "POST"),
]

_CONSUMER = ("active", "activity_status", "channel_details.name", "consumer_tag")
_VHOST_USER = ("vhost", "user")

ROUTES = [
    _one("overview", overview.get_overview),
    _one("cluster-name", overview.get_cluster_name, put=overview.put_cluster_name, writers=ADMINISTRATOR),
    _list("nodes", overview.list_nodes, "name", who=MONITORING),
    _one("nodes/{name}", overview.get_node, who=MONITORING),
    _one("whoami", overview.whoami),
    _one("auth", overview.get_auth, open=True),
    _admin(_one("auth/hash_password/{password}", overview.hash_password, head=False)),
    _list("extensions", overview.get_extensions),
    _admin(_one("rebalance/queues", post=overview.rebalance)),
    _list("vhosts", vhosts.list_vhosts, "name", paged=True),
    _admin(_one("vhosts/{vhost}", vhosts.get_vhost, put=vhosts.put_vhost, delete=vhosts.delete_vhost)),
    _admin(_list("vhosts/{vhost}/permissions", users.permissions_in_vhost, *_VHOST_USER)),
    _admin(_list("vhosts/{vhost}/topic-permissions", users.topics_in_vhost, *_VHOST_USER, "exchange")),
    _list("vhosts/{vhost}/connections", connections.list_connections, paged=True),
    _list("vhosts/{vhost}/channels", connections.list_channels, paged=True),
    _list("vhost-limits", vhosts.list_limits, "vhost", head=False),
    _list("vhost-limits/{vhost}", vhosts.list_limits, "vhost", head=False),
    _admin(_one("vhost-limits/{vhost}/{limit}", put=vhosts.put_limit, delete=vhosts.delete_limit, strict=True)),
    _admin(_list("users", users.list_users, "name")),
    _admin(_list("users/without-permissions", users.list_without_permissions, "name")),
    _admin(_one("users/bulk-delete", post=users.delete_users)),
    _admin(_one("users/{user}", users.get_user, put=users.put_user, delete=users.delete_user)),
    _admin(_list("users/{user}/permissions", users.permissions_of_user, *_VHOST_USER)),
    _admin(_list("users/{user}/topic-permissions", users.topics_of_user, *_VHOST_USER, "exchange")),
    _list("user-limits", users.list_limits, "user", head=False),
    _list("user-limits/{user}", users.list_limits, "user", head=False),
    _admin(_one("user-limits/{user}/{limit}", put=users.put_limit, delete=users.delete_limit, strict=True)),
    _admin(_list("permissions", users.list_permissions, *_VHOST_USER)),
    _admin(_one("permissions/{vhost}/{user}", users.get_permission, put=users.put_permission, delete=users.delete_permission)),
    _admin(_list("topic-permissions", users.list_topics, *_VHOST_USER, "exchange")),
    _admin(_one("topic-permissions/{vhost}/{user}", users.get_topics, put=users.put_topic, delete=users.delete_topics)),
    _admin(
        _one("topic-permissions/{vhost}/{user}/{exchange}", users.get_topics, put=users.put_topic, delete=users.delete_topics)
    ),
    _list("policies", policies.list_policies),
    _list("policies/{vhost}", policies.list_policies),
    _one(
        "policies/{vhost}/{name}",
        policies.get_policy,
        put=policies.put_policy,
        delete=policies.delete_policy,
        writers=POLICYMAKER,
    ),
    _list("operator-policies", policies.list_operator_policies),
    _list("operator-policies/{vhost}", policies.list_operator_policies),
    _one(
        "operator-policies/{vhost}/{name}",
        policies.get_operator_policy,
        put=policies.put_operator_policy,
        delete=policies.delete_operator_policy,
        writers=ADMINISTRATOR,
        strict=True,
    ),
    _list("parameters", policies.list_parameters, "vhost", "component", "name", who=POLICYMAKER),
    _list("parameters/{component}", policies.list_parameters, "vhost", "component", "name", who=POLICYMAKER),
    _list("parameters/{component}/{vhost}", policies.list_parameters, "vhost", "component", "name", who=POLICYMAKER),
    _one(
        "parameters/{component}/{vhost}/{name}",
        policies.get_parameter,
        put=policies.put_parameter,
        delete=policies.delete_parameter,
        who=POLICYMAKER,
    ),
    _list("global-parameters", policies.list_global, "name", who=POLICYMAKER),
    _one(
        "global-parameters/{name}",
        policies.get_global,
        put=policies.put_global,
        delete=policies.delete_global,
        who=POLICYMAKER,
    ),
    _one("version", overview.get_version),
    _admin(_one("all-configuration", definitions.get_definitions, post=definitions.post_definitions, strict=True)),
    _admin(_one("definitions", definitions.get_definitions, post=definitions.post_definitions, strict=True)),
    _admin(_one("definitions/{vhost}", definitions.get_definitions, post=definitions.post_definitions, strict=True)),
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
    _list("consumers", consumers.list_consumers, *_CONSUMER),
    _list("consumers/{vhost}", consumers.list_consumers, *_CONSUMER),
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
    *FOREIGN,
]


def find(segments: Sequence[str], without: Sequence[str]) -> tuple[Route, dict[str, str]] | None:
    """The route of a path, and its names; None for a path that there is not in this version."""
    for route in ROUTES:
        names = route.names(segments)
        if names is not None and route.path not in without:
            return route, names
    return None
