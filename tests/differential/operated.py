"""What programs ask of the management API, as simbus answers it: policies, limits and topic permissions.

Only the verbs of ``Broker`` are called here, so that a transcript tells of the model and not of its HTTP API.
"""

import html
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import NoSuch, ValidationFailed

Answer = tuple[int, Any]
_NOT_FOUND: Answer = 404, {"error": "Object Not Found", "reason": "Not Found"}


class NotAnswered(Exception):
    """There is no such request here."""


def ask(broker: Broker, vhost: str, method: str, path: str, body: Any) -> Answer:
    """Status and body of the answer; NotAnswered for what is not one of these requests."""
    _, api, kind, *rest = path.split("/")
    act = _REQUESTS.get(f"{method} {kind}")
    if api != "api" or act is None:
        raise NotAnswered(f"{method} {path}")
    names = [vhost if name == "{vhost}" else unquote(name) for name in rest]
    try:
        existed = act(broker, names, body)
    except ValidationFailed as refused:
        reason = f"Validation failed\n\n{refused.reason}\n"
        return 400, {"error": "bad_request", "reason": html.escape(reason, quote=False) if kind == "policies" else reason}
    except NoSuch:
        return _NOT_FOUND
    return 204 if existed else 201, ""


def _put_policy(broker: Broker, names: list[str], body: Mapping[str, Any], *, operator: bool = False) -> bool:
    vhost, name = names
    existed = name in broker.vhost(vhost).policies.named(operator=operator)
    more = {"priority": body.get("priority", 0), "apply_to": body.get("apply-to", "all")}
    broker.set_policy(vhost, name, body["pattern"], body["definition"], operator=operator, **more)
    return existed


def _delete_policy(broker: Broker, names: list[str], _body: Any, *, operator: bool = False) -> bool:
    broker.delete_policy(*names, operator=operator)
    return True


def _put_limit(broker: Broker, names: list[str], body: Mapping[str, Any]) -> bool:
    vhost, name = names
    broker.set_vhost_limits(vhost, {**broker.vhost(vhost).limits, name: body["value"]})
    return True


def _put_topic_permissions(broker: Broker, names: list[str], body: Mapping[str, Any]) -> bool:
    vhost, user = names
    existed = any(one.topics for one in broker.permissions if (one.user, one.vhost) == (user, vhost))
    broker.set_topic_permissions(user, vhost, body["exchange"], body["write"], body["read"])
    return existed


_REQUESTS: Mapping[str, Callable[[Broker, list[str], Any], bool]] = {
    "PUT policies": _put_policy,
    "DELETE policies": _delete_policy,
    "PUT operator-policies": lambda *asked: _put_policy(*asked, operator=True),
    "DELETE operator-policies": lambda *asked: _delete_policy(*asked, operator=True),
    "PUT vhost-limits": _put_limit,
    "PUT topic-permissions": _put_topic_permissions,
}
