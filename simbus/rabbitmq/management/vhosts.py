"""Virtual hosts and their limits: ``/api/vhosts``, ``/api/vhost-limits``."""

from typing import Any

from simbus.rabbitmq.access import EVERYTHING
from simbus.rabbitmq.management.calls import Call, operating, without
from simbus.rabbitmq.management.http import CREATED, NO_CONTENT, Response, bad_request, boolean, not_modelled
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.virtual_host import VirtualHost


def list_vhosts(call: Call) -> list[Item]:
    """Those that the user may use, or all for who monitors."""
    return [_show(call, vhost) for vhost in call.visible_vhosts]


def get_vhost(call: Call) -> Item:
    """One of them."""
    return _show(call, call.vhost)


def put_vhost(call: Call) -> Response:
    """Add one, in which whoever asks may do everything, or describe it anew."""
    body, name = call.body(), call.names["vhost"]
    if boolean(body.get("tracing")):
        raise not_modelled("the tracing of messages")
    is_new = name not in call.broker.vhost_names
    description, labels = str(body.get("description", "")), tags(body.get("tags", []))
    kind = body.get("default_queue_type") if call.version.http_default_queue_type == "classic" else None
    with operating():
        call.broker.add_vhost(name, description=description, tags=labels, default_queue_type=kind)
    if is_new:
        call.broker.set_permissions(call.user, name, EVERYTHING, EVERYTHING, EVERYTHING)
    return CREATED if is_new else NO_CONTENT


def delete_vhost(call: Call) -> Response:
    """Delete it with all that is in it; its clients are told."""
    name = call.vhost.name
    call.driver.force_close(call.broker.delete_vhost(name), f"vhost '{name}' is deleted")
    return NO_CONTENT


def tags(value: Any) -> list[str]:
    """Tags in a list, or with commas between them."""
    if isinstance(value, list):
        return [str(tag) for tag in value]
    if not isinstance(value, str):
        raise bad_request(f"tags are a text or a list of texts, not {value!r}")
    return [tag.strip() for tag in value.split(",") if tag.strip()]


def list_limits(call: Call) -> list[Item]:
    """The limits of virtual hosts that have any."""
    return [{"value": dict(vhost.limits), "vhost": vhost.name} for vhost in call.visible_vhosts if vhost.limits]


def put_limit(call: Call) -> Response:
    """Set one limit."""
    call.check_vhost()
    vhost, value = call.vhost, call.body("value")["value"]
    with operating():
        call.broker.set_vhost_limits(vhost.name, {**vhost.limits, call.names["limit"]: value})
    return NO_CONTENT


def delete_limit(call: Call) -> Response:
    """Lift one limit; one that there is not is no error."""
    vhost = call.vhost
    call.broker.set_vhost_limits(vhost.name, {name: v for name, v in vhost.limits.items() if name != call.names["limit"]})
    return NO_CONTENT


def _show(call: Call, vhost: VirtualHost) -> Item:
    kind = vhost.default_queue_type or call.version.http_default_queue_type
    labels = list(vhost.tags)
    metadata = {"default_queue_type": kind, "description": vhost.description, "tags": labels}
    ready = sum(len(queue.ready) for queue in vhost.queues.values())
    unacked = sum(len(queue.unacked) for queue in vhost.queues.values())
    shown = {
        "cluster_state": {call.node: "running"},
        "default_queue_type": kind,
        "description": vhost.description,
        "messages": ready + unacked,
        "messages_ready": ready,
        "messages_unacknowledged": unacked,
        "metadata": without(call, "vhost metadata", metadata),
        "name": vhost.name,
        "tags": labels,
        "tracing": False,
    }
    return without(call, "vhost", shown)
