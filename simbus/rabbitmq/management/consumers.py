"""Consumers: ``/api/consumers``, and whose they are."""

from typing import Any

from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.consumers import Consumer
from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.management.calls import Call, without
from simbus.rabbitmq.management.driver import Client
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.queues import Queue

_UNKNOWN = "undefined"  # what RabbitMQ says of the address of a client that is none of the network's


def list_consumers(call: Call) -> list[Item]:
    """All consumers, or those of a virtual host; handlers of the test are among them."""
    queues = [queue for vhost in call.vhosts for queue in vhost.queues.values()]
    seen = [consumer for queue in queues for consumer in queue.consumers]
    everyones = call.has_tag("monitoring")
    return [show(call, consumer) for consumer in seen if everyones or consumer.channel.connection.user == call.user]


def show(call: Call, consumer: Consumer) -> Item:
    """A consumer; one of a stream is never active, as RabbitMQ has it."""
    shown = {
        "ack_required": not consumer.no_ack,
        "active": not (consumer.waits or consumer.queue.is_stream),
        "activity_status": _status(consumer),
        "arguments": in_json(consumer.arguments),
        "channel_details": channel_details(call, consumer.channel),
        "consumer_tag": consumer.tag,
        "consumer_timeout": 1_800_000,
        "exclusive": consumer.exclusive,
        "prefetch_count": consumer.prefetch,
        "queue": {"name": consumer.queue.name, "vhost": consumer.queue.vhost},
    }
    return without(call, "consumer", shown)


def _status(consumer: Consumer) -> str:
    if not consumer.queue.options.single_active_consumer:
        return "up"
    return "waiting" if consumer.waits else "single_active"


def single_active(queue: Queue) -> str | None:
    """The tag of the single active consumer, if the queue has such a thing."""
    single = queue.options.single_active_consumer
    return next((consumer.tag for consumer in queue.consumers if single and not consumer.waits), None)


def channel_details(call: Call, channel: Channel) -> Item:
    """Which channel of which connection."""
    client = client_of(call, channel.connection)
    connection = _of(client, channel.connection)
    number = channel.number if client is None else number_of(client, channel)
    return {
        "connection_name": connection["name"],
        "name": f"{connection['name']} ({number})",
        "node": call.node,
        "number": number,
        "peer_host": connection["peer_host"],
        "peer_port": connection["peer_port"],
        "user": channel.connection.user,
    }


def owner(call: Call, queue: Queue) -> Item:
    """Whose an exclusive queue is."""
    if queue.owner is None:
        return {}
    return {"owner_pid_details": _of(client_of(call, queue.owner), queue.owner)}


def client_of(call: Call, connection: Connection) -> Client | None:
    """The client on the network that has this connection; None for the test and its handlers."""
    return next((client for client in call.driver.clients() if client.connection is connection), None)


def number_of(client: Client, channel: Channel) -> int:
    """The client's own number of a channel."""
    return next((number for number, known in client.channels.items() if known is channel), 0)


def _of(client: Client | None, connection: Connection) -> dict[str, Any]:
    if client is None:
        return {"name": connection.name, "peer_host": _UNKNOWN, "peer_port": _UNKNOWN}
    return details(client)


def details(client: Client) -> dict[str, Any]:
    """A connection, in few words."""
    return {"name": client.name, "peer_host": client.peer.host, "peer_port": client.peer.port}
