"""Virtual hosts: ``/api/vhosts``."""

from simbus.rabbitmq.management.calls import NODE, Call, without
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.virtual_host import VirtualHost


def list_vhosts(call: Call) -> list[Item]:
    """Those that the user may use."""
    return [_show(call, vhost) for vhost in call.vhosts]


def get_vhost(call: Call) -> Item:
    """One of them."""
    return _show(call, call.vhost)


def _show(call: Call, vhost: VirtualHost) -> Item:
    default = call.version.http_default_queue_type
    metadata = {"default_queue_type": default, "description": "", "tags": []}
    ready = sum(len(queue.ready) for queue in vhost.queues.values())
    unacked = sum(len(queue.unacked) for queue in vhost.queues.values())
    shown = {
        "cluster_state": {NODE: "running"},
        "default_queue_type": default,
        "description": "",
        "messages": ready + unacked,
        "messages_ready": ready,
        "messages_unacknowledged": unacked,
        "metadata": without(call, "vhost metadata", metadata),
        "name": vhost.name,
        "tags": [],
        "tracing": False,
    }
    return without(call, "vhost", shown)
