"""Queues: ``/api/queues``. What they hold is counted when it is asked for, and so is never out of date."""

from collections.abc import Iterable, Mapping
from typing import Any

from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.management import consumers
from simbus.rabbitmq.management.calls import Call, without
from simbus.rabbitmq.management.http import CREATED, NO_CONTENT, Response, bad_request, boolean, object_not_found
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.management.values import table
from simbus.rabbitmq.messages import Copy
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
    wanted = (*_PLAIN, *(_TOTALS if call.query.get("enable_queue_totals") == "true" else ()))
    shown = {"online": None, **show(call, queue), "exclusive": None if queue.is_quorum else queue.owner is not None}
    brief = {key: value for key, value in shown.items() if key in wanted}
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
        "consumer_capacity": _capacity(queue),
        "consumer_utilisation": _capacity(queue),
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
        **_counts(queue),
        **_of_type(call, queue),
        **consumers.owner(call, queue),
    }
    return without(call, f"{queue.options.type} queue", shown)


def name_of(policy: Policy | None) -> str | None:
    """The name of the policy that applies, if one does."""
    return None if policy is None else policy.name


def _capacity(queue: Queue) -> float:
    """The share of time in which its consumers could take a delivery at once: whether one can now."""
    return 1.0 if any(not consumer.full for consumer in queue.consumers) else 0


def _counts(queue: Queue) -> Item:
    ready, unacked = queue.ready, list(queue.unacked.values())
    persistent = [copy for held in (ready, unacked) for copy in held if copy.message.properties.delivery_mode == 2]
    unacked_bytes = _bytes(unacked)
    return {
        "messages": len(ready) + len(unacked),
        "messages_ready": len(ready),
        "messages_unacknowledged": len(unacked),
        "messages_persistent": len(persistent),
        "messages_ram": len(ready) + len(unacked),
        "message_bytes": queue.ready_bytes + unacked_bytes,
        "message_bytes_ready": queue.ready_bytes,
        "message_bytes_unacknowledged": unacked_bytes,
        "message_bytes_persistent": _bytes(persistent),
        "message_bytes_ram": queue.ready_bytes + unacked_bytes,
    }


def _bytes(copies: Iterable[Copy]) -> int:
    return sum(len(copy.message.body) for copy in copies)


def _of_type(call: Call, queue: Queue) -> Item:
    return _quorum(call, queue) if queue.is_quorum else _classic(queue)


def _classic(queue: Queue) -> Item:
    return {
        "exclusive_consumer_tag": next((consumer.tag for consumer in queue.consumers if consumer.exclusive), None),
        "head_message_timestamp": _head_timestamp(queue),
        "message_bytes_paged_out": 0,
        "messages_paged_out": 0,
        "messages_ready_ram": len(queue.ready),
        "messages_unacknowledged_ram": len(queue.unacked),
        "recoverable_slaves": None,
        "single_active_consumer_tag": consumers.single_active(queue),
        "storage_version": 2,
    }


def _quorum(call: Call, queue: Queue) -> Item:
    members: Mapping[str, Any] = {"leader": call.node, "members": [call.node], "online": [call.node]}
    limit = {} if queue.options.delivery_limit is None else {"delivery_limit": queue.options.delivery_limit}
    returned = sum(copy.attempts > 0 for copy in queue.ready)
    return {
        **members,
        **limit,
        "message_bytes_dlx": 0,
        "messages_dlx": 0,
        "messages_ready_high": 0,
        "messages_ready_normal": len(queue.ready) - returned,
        "messages_ready_returned": returned,
        "single_active_consumer_ctag": consumers.single_active(queue),  # RabbitMQ 3.10's word
        "single_active_consumer_tag": consumers.single_active(queue),
    }


def _head_timestamp(queue: Queue) -> int | None:
    time = queue.ready[0].message.properties.timestamp if queue.ready else None
    return None if time is None else int(in_json(time))
