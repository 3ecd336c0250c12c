"""Policies, operator policies, and parameters: ``/api/policies``, ``/api/operator-policies``, ``/api/parameters``."""

from functools import partial
from typing import Any

from simbus.rabbitmq.administration import policy_value
from simbus.rabbitmq.management.calls import Call, operating
from simbus.rabbitmq.management.http import CREATED, NO_CONTENT, Response, bad_request, object_not_found
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.policies import Policy
from simbus.rabbitmq.virtual_host import VirtualHost


def _list(call: Call, *, operator: bool) -> list[Item]:
    return [_show(vhost, policy) for vhost in call.vhosts for policy in vhost.policies.named(operator=operator).values()]


def _get(call: Call, *, operator: bool) -> Item:
    vhost = call.vhost
    found = vhost.policies.named(operator=operator).get(call.names["name"])
    if found is None:
        raise object_not_found()
    return _show(vhost, found)


def _put(call: Call, *, operator: bool) -> Response:
    call.check_vhost()
    body, vhost, name = call.body("pattern", "definition"), call.vhost, call.names["name"]
    is_new = name not in vhost.policies.named(operator=operator)
    with operating(escaped=not operator):
        call.broker.set_policy(
            vhost.name,
            name,
            body["pattern"],
            body["definition"],
            priority=body.get("priority", 0),
            apply_to=body.get("apply-to", "all"),
            operator=operator,
        )
    return CREATED if is_new else NO_CONTENT


def _delete(call: Call, *, operator: bool) -> Response:
    vhost = call.vhost
    with operating():
        call.broker.delete_policy(vhost.name, call.names["name"], operator=operator)
    return NO_CONTENT


def _show(vhost: VirtualHost, policy: Policy) -> Item:
    shown = {**policy_value(policy), "name": policy.name, "vhost": vhost.name}
    return dict(sorted(shown.items()))


list_policies, list_operator_policies = partial(_list, operator=False), partial(_list, operator=True)
get_policy, get_operator_policy = partial(_get, operator=False), partial(_get, operator=True)
put_policy, put_operator_policy = partial(_put, operator=False), partial(_put, operator=True)
delete_policy, delete_operator_policy = partial(_delete, operator=False), partial(_delete, operator=True)


# Parameters


def list_parameters(call: Call) -> list[Item]:
    """All parameters, or those of a component, or of it in a virtual host."""
    vhosts = {vhost.name for vhost in call.vhosts}
    component = call.names.get("component")
    return [item for item in _parameters(call) if item["vhost"] in vhosts and component in (None, item["component"])]


def get_parameter(call: Call) -> Item:
    """One of them; 404 when there is none."""
    found = [item for item in list_parameters(call) if item["name"] == call.names["name"]]
    if not found:
        raise object_not_found()
    return found[0]


def put_parameter(call: Call) -> Response:
    """Set one."""
    call.check_vhost()
    component, vhost, name = (call.names[part] for part in ("component", "vhost", "name"))
    value = call.body("value")["value"]
    if component == "policy":
        raise bad_request("policies may not be set using this method")
    is_new = not any(item["name"] == name for item in list_parameters(call))
    with operating(escaped=True):
        call.broker.set_parameter(component, vhost, name, value)
    return CREATED if is_new else NO_CONTENT


def delete_parameter(call: Call) -> Response:
    """Delete one."""
    found = get_parameter(call)
    with operating():
        call.broker.delete_parameter(found["component"], found["vhost"], found["name"])
    return NO_CONTENT


def _parameters(call: Call) -> list[Item]:
    keys = ("component", "vhost", "name", "value")
    return [dict(zip(keys, parameter, strict=True)) for parameter in call.broker.parameters()]


def list_global(call: Call) -> list[Item]:
    """All global parameters."""
    return [{"name": name, "value": value} for name, value in call.broker.global_parameters.items()]


def get_global(call: Call) -> Item:
    """One of them."""
    return {"name": call.names["name"], "value": _global(call)}


def put_global(call: Call) -> Response:
    """Set one."""
    value, name = call.body("value")["value"], call.names["name"]
    is_new = name not in call.broker.global_parameters
    call.broker.set_global_parameter(name, value)
    return CREATED if is_new else NO_CONTENT


def delete_global(call: Call) -> Response:
    """Delete one."""
    _global(call)
    call.broker.delete_global_parameter(call.names["name"])
    return NO_CONTENT


def _global(call: Call) -> Any:
    name = call.names["name"]
    if name not in call.broker.global_parameters:
        raise object_not_found()
    return call.broker.global_parameters[name]
