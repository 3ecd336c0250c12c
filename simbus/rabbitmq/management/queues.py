"""Queues: ``/api/queues``. What they hold is counted when it is asked for, and so is never out of date."""

from typing import Any

from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.management import consumers, kinds
from simbus.rabbitmq.management.calls import Call, without
from simbus.rabbitmq.management.http import CREATED, NO_CONTENT, Response, bad_request, boolean, object_not_found
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.management.values import LONGEST_SHORT, table
from simbus.rabbitmq.policies import Policy
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.versions import Version

_DETAILS = ("consumer_details", "deliveries", "incoming")
_TOTALS = ("messages", "messages_ready", "messages_unacknowledged")
_PLAIN = (
    "arguments",
    "auto_delete",
    "durable",
    "exclusive",
    "leader",
    "members",
    "name",
    "node",
    "online",
    "state",
    "type",
    "vhost",
)


def list_queues(call: Call) -> list[Item]:
    """All queues, or those of a virtual host."""
    left_out = (*_DETAILS, *call.version.http_omits.get("list of queues", ()))
    found = [queue for vhost in call.vhosts for queue in vhost.queues.values()]
    if call.query.get("disable_stats") == "true":
        return [_briefly(call, queue) for queue in found]
    return [{key: value for key, value in show(call, queue).items() if key not in left_out} for queue in found]


def list_detailed(call: Call) -> list[Item]:
    """All queues with all that is known of them, as 4.0 has it at ``/api/queues/detailed``."""
    return [_without_details(show(call, queue)) for vhost in call.vhosts for queue in vhost.queues.values()]


def _without_details(item: Item) -> Item:
    return {key: value for key, value in item.items() if key not in _DETAILS}


def _briefly(call: Call, queue: Queue) -> Item:
    """Without statistics RabbitMQ says of quorum queues and streams that it does not know some things."""
    wanted = (*_PLAIN, *(_TOTALS if call.query.get("enable_queue_totals") == "true" else ()))
    unknown = {"totals": None, "type_specific": None} if queue.is_stream else {}
    exclusive = queue.owner is not None if queue.options.type == "classic" else None
    shown = {"online": None, **show(call, queue), "exclusive": exclusive}
    brief = {key: value for key, value in shown.items() if key in wanted} | unknown
    return without(call, f"{queue.options.type} queue in brief", brief)


def get_queue(call: Call) -> Item:
    """One queue."""
    return show(call, queue_of(call))


def put_queue(call: Call) -> Response:
    """Declare one: 201 when it is new, 204 when it was there already."""
    body = call.body()
    node = body.get("node", call.node)
    if node != call.node:
        raise bad_request(f"Node {node} could not be contacted")
    name = call.names["name"]
    if (octets := len(name.encode("utf-8", "surrogateescape"))) > LONGEST_SHORT:
        raise bad_request(f"queue should be less than {LONGEST_SHORT} bytes, actually was {octets}\n")
    with call.declaring() as channel:
        is_new = name not in channel.vhost.queues
        channel.queue_declare(
            name,
            durable=boolean(body.get("durable")),
            auto_delete=boolean(body.get("auto_delete")),
            arguments=table(body.get("arguments", {})),
        )
    return CREATED if is_new else NO_CONTENT


def delete_queue(call: Call) -> Response:
    """Delete one, with ``?if-empty=true`` and ``?if-unused=true`` only if it is."""
    queue = queue_of(call)
    asked = {flag: call.query.get(flag) == "true" for flag in ("if-empty", "if-unused")}
    with call.declaring() as channel:
        channel.queue_delete(queue.name, if_unused=asked["if-unused"], if_empty=asked["if-empty"])
    return NO_CONTENT


def purge_queue(call: Call) -> Response:
    """Remove what is ready in it."""
    queue = queue_of(call)
    with call.declaring() as channel:
        channel.queue_purge(queue.name)
    return NO_CONTENT


def act_on_queue(call: Call) -> Response:
    """``sync`` and ``cancel_sync`` of 3.10's mirrors, of which there are none: nothing is to be done."""
    queue_of(call)
    action = call.body("action")["action"]
    if action not in call.version.http_queue_actions:
        raise bad_request(["unknown", action])
    return NO_CONTENT


def queue_of(call: Call) -> Queue:
    """The queue in the path; 404 when there is none."""
    queue = call.vhost.queues.get(call.names["name"])
    if queue is None:
        raise object_not_found()
    return queue


def arguments_of(queue: Queue, version: Version) -> dict[str, Any]:
    """The arguments that it was declared with; 4.0 adds the type to those of a queue that was declared without one."""
    given: dict[str, Any] = in_json(queue.arguments)
    return {"x-queue-type": queue.options.type, **given} if version.queue_type_is_added else given


def show(call: Call, queue: Queue) -> Item:
    """All that is known of a queue, in the version's words."""
    shown = {
        "arguments": arguments_of(queue, call.version),
        "auto_delete": queue.auto_delete,
        "consumers": len(queue.consumers),
        "consumer_details": [consumers.show(call, consumer) for consumer in queue.consumers],
        "deliveries": [],
        "durable": queue.durable,
        "effective_policy_definition": queue.applied.definition(call.version),
        "exclusive": queue.owner is not None,
        "incoming": [],
        "name": queue.name,
        "node": call.node,
        "operator_policy": name_of(queue.applied.operator_policy),
        "policy": name_of(queue.applied.policy),
        "state": "running",
        "type": queue.options.type,
        "vhost": queue.vhost,
        **kinds.shown_of_type(queue, call.node),
        **consumers.owner(call, queue),
    }
    return without(call, f"{queue.options.type} queue", shown)


def name_of(policy: Policy | None) -> str | None:
    """The name of the policy that applies, if one does."""
    return None if policy is None else policy.name
