"""What is shown of a queue beside what all queues have: by its type. Counts are taken when they are asked for."""

from collections.abc import Callable, Iterable, Mapping

from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.management import consumers
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.messages import Copy
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.streams import Stream

_PERSISTENT = 2  # delivery mode


def shown_of_type(queue: Queue, node: str) -> Item:
    """What a queue of its type shows; ``node`` is where all of it is."""
    return _KINDS[queue.options.type](queue, node)


def _classic(queue: Queue, _node: str) -> Item:
    return {
        **_capacity(queue),
        **_depths(queue),
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


def _quorum(queue: Queue, node: str) -> Item:
    limit = {} if queue.options.delivery_limit is None else {"delivery_limit": queue.options.delivery_limit}
    returned = sum(copy.attempts > 0 for copy in queue.ready)
    return {
        **_capacity(queue),
        **_depths(queue),
        **_members(node),
        **limit,
        "message_bytes_dlx": 0,
        "messages_dlx": 0,
        "messages_ready_high": 0,
        "messages_ready_normal": len(queue.ready) - returned,
        "messages_ready_returned": returned,
        "single_active_consumer_ctag": consumers.single_active(queue),  # RabbitMQ 3.10's word
        "single_active_consumer_tag": consumers.single_active(queue),
    }


def _stream(queue: Queue, node: str) -> Item:
    assert isinstance(queue, Stream)
    count = len(queue.ready)
    return {
        **_members(node),
        "messages": count,
        "messages_ready": count,
        "messages_unacknowledged": 0,
        "readers": {node: len(queue.consumers)},
        "segments": len(queue.log.segments),
    }


_KINDS: Mapping[str, Callable[[Queue, str], Item]] = {"classic": _classic, "quorum": _quorum, "stream": _stream}


def _members(node: str) -> Item:
    return {"leader": node, "members": [node], "online": [node]}


def _capacity(queue: Queue) -> Item:
    """The share of time in which its consumers could take a delivery at once: whether one can now."""
    share = 1.0 if any(not consumer.full for consumer in queue.consumers) else 0
    return {"consumer_capacity": share, "consumer_utilisation": share}


def _depths(queue: Queue) -> Item:
    ready, unacked = queue.ready, list(queue.unacked.values())
    persistent = [copy for held in (ready, unacked) for copy in held if copy.message.properties.delivery_mode == _PERSISTENT]
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


def _head_timestamp(queue: Queue) -> int | None:
    time = queue.ready[0].message.properties.timestamp if queue.ready else None
    return None if time is None else int(in_json(time))
