"""Connections and channels of clients on the network: ``/api/connections``, ``/api/channels``.

The test and its handlers are clients too, but none of the network's: they are not listed here.
"""

from collections.abc import Iterator
from typing import Any

from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.management import consumers
from simbus.rabbitmq.management.calls import Call, without
from simbus.rabbitmq.management.driver import Client
from simbus.rabbitmq.management.http import NO_CONTENT, Response, object_not_found
from simbus.rabbitmq.management.listing import Item
from simbus.units import MILLISECOND

_REASON = "Closed via management plugin"
_TLS = (
    "peer_cert_issuer",
    "peer_cert_subject",
    "peer_cert_validity",
    "ssl_cipher",
    "ssl_hash",
    "ssl_key_exchange",
    "ssl_protocol",
)


def list_connections(call: Call) -> list[Item]:
    """All connections, or those to a virtual host."""
    return [_show(call, client, of_nothing=None) for client in _clients(call)]


def list_of_user(call: Call) -> list[Item]:
    """Those of a user, in few words."""
    shown = [_show(call, client, of_nothing="") for client in _clients(call) if client.connection.user == call.names["user"]]
    keys = ("name", "user", "node", "vhost")
    return [{key: item[key] for key in keys} for item in shown]


def get_connection(call: Call) -> Item:
    """One connection, by its name."""
    return _show(call, _client(call), of_nothing="")


def close_connection(call: Call) -> Response:
    """Close it; its client is told the X-Reason of the request (320)."""
    _close(_client(call), call)
    return NO_CONTENT


def close_of_user(call: Call) -> Response:
    """Close every connection of a user."""
    for client in _clients(call):
        if client.connection.user == call.names["user"]:
            _close(client, call)
    return NO_CONTENT


def _close(client: Client, call: Call) -> None:
    client.close(call.request.headers.get("x-reason", _REASON))


def list_channels(call: Call) -> list[Item]:
    """All channels, or those of a virtual host."""
    return [item for client in _clients(call) for item in _channels(client, call)]


def list_channels_of(call: Call) -> list[Item]:
    """Those of a connection."""
    return list(_channels(_client(call), call))


def get_channel(call: Call) -> Item:
    """One channel, by its name: the connection's and the number in brackets."""
    for client in _clients(call):
        for number, channel in client.channels.items():
            if f"{client.name} ({number})" == call.names["name"]:
                held = [consumers.show(call, consumer) for consumer in channel.consumers.values()]
                shown = _channel(client, number, channel, call)
                return {**shown, "consumer_details": held, "deliveries": [], "publishes": []}
    raise object_not_found()


def _clients(call: Call) -> list[Client]:
    """Who monitors sees all, others their own."""
    vhosts, all_users = {vhost.name for vhost in call.visible_vhosts}, call.has_tag("monitoring")
    seen = [client for client in call.driver.clients() if client.connection.vhost.name in vhosts]
    return [client for client in seen if all_users or client.connection.user == call.user]


def _client(call: Call) -> Client:
    found = [client for client in _clients(call) if client.name == call.names["name"]]
    if not found:
        raise object_not_found()
    return found[0]


def _show(call: Call, client: Client, of_nothing: str | None) -> Item:
    """A connection; what there is not has another word in a list than alone."""
    called = client.properties.get("connection_name")
    return {
        "auth_mechanism": client.mechanism,
        "channel_max": client.channel_max,
        "channels": len(client.channels),
        "client_properties": in_json(client.properties),
        "connected_at": client.since // MILLISECOND,
        "frame_max": client.frame_max,
        "host": client.here.host,
        "name": client.name,
        "node": call.node,
        "peer_host": client.peer.host,
        "peer_port": client.peer.port,
        "port": client.here.port,
        "protocol": "AMQP 0-9-1",
        "ssl": client.tls,
        "state": "blocked" if client.blocked else "running",
        "timeout": client.heartbeat,
        "type": "network",
        "user": client.connection.user,
        **({"user_provided_name": in_json(called)} if called else {}),
        "user_who_performed_action": client.connection.user,
        "vhost": client.connection.vhost.name,
        **dict.fromkeys(_TLS, of_nothing),
    }


def _channels(client: Client, call: Call) -> Iterator[Item]:
    for number, channel in client.channels.items():
        yield _channel(client, number, channel, call)


def _channel(client: Client, number: int, channel: Channel, call: Call) -> Item:
    publishes, acks = channel.uncommitted
    shown: dict[str, Any] = {
        "acks_uncommitted": acks,
        "confirm": channel.confirming,
        "connection_details": consumers.details(client),
        "consumer_count": len(channel.consumers),
        "global_prefetch_count": channel.shared_prefetch,
        "messages_unacknowledged": len(channel.unacked),
        "messages_uncommitted": publishes,
        "messages_unconfirmed": 0,
        "name": f"{client.name} ({number})",
        "node": call.node,
        "number": number,
        "pending_raft_commands": 0,
        "prefetch_count": channel.prefetch_count,
        "state": "running",
        "transactional": channel.transactional,
        "user": client.connection.user,
        "user_who_performed_action": client.connection.user,
        "vhost": channel.vhost.name,
    }
    return without(call, "channel", shown)
