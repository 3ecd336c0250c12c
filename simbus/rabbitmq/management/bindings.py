"""Bindings: ``/api/bindings``, and those of an exchange or a queue.

The default exchange's are not in the model, where it routes by the queue's name; here they are listed as RabbitMQ does.
A binding is named by its ``properties_key``: the routing key and, where it has arguments, a hash of them.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus
from zlib import crc32

from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.fields import frozen
from simbus.rabbitmq.management import exchanges
from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.http import NO_CONTENT, Response, bad_request, object_not_found
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.management.values import table
from simbus.rabbitmq.virtual_host import VirtualHost

_KINDS = {"q": "queue", "e": "exchange"}


def list_bindings(call: Call) -> list[Item]:
    """All bindings, or those of a virtual host."""
    return [binding for vhost in call.vhosts for binding in _all(vhost)]


def from_exchange(call: Call) -> list[Item]:
    """Those of which an exchange is the source."""
    name = exchanges.name_of(call)
    return [binding for binding in _all(call.vhost) if binding["source"] == name]


def to_exchange(call: Call) -> list[Item]:
    """Those of which an exchange is the destination."""
    name = exchanges.name_of(call)
    return [binding for binding in _all(call.vhost) if _leads_to(binding, "exchange", name)]


def to_queue(call: Call) -> list[Item]:
    """Those of a queue, that of the default exchange too."""
    name, vhost = call.names["name"], call.vhost
    if name not in vhost.queues:
        return [_show(vhost, "", "queue", name, name, {})]  # as RabbitMQ, which does not look
    return [binding for binding in _all(vhost) if _leads_to(binding, "queue", name)]


def between(call: Call) -> list[Item]:
    """Those between an exchange and a queue or another exchange."""
    source, kind, destination = exchanges.name_of(call, "source"), _kind(call), _destination(call)
    return [b for b in _all(call.vhost) if b["source"] == source and _leads_to(b, kind, destination)]


def get_binding(call: Call) -> Item:
    """One of those, by its properties_key; 404 when there is none."""
    key = unquote_plus(call.names["properties_key"])  # which clients quote once or twice
    found = [binding for binding in between(call) if unquote_plus(binding["properties_key"]) == key]
    if not found:
        raise object_not_found()
    return found[0]


def post_binding(call: Call) -> Response:
    """Bind: 201, and where the binding is from then on."""
    vhost_checked = call.names["vhost"] in call.broker.vhost_names
    body = call.body() if vhost_checked else {}
    routing_key, arguments = str(body.get("routing_key", "")), table(body.get("arguments", {}))
    ends = _destination(call), exchanges.name_of(call, "source"), routing_key, arguments
    with call.declaring() as channel:
        if _kind(call) == "queue":
            channel.queue_bind(*ends)
        else:
            channel.exchange_bind(*ends)
    where = f"{quote_plus(call.names['destination'])}/{quote_plus(properties_key(routing_key, arguments))}"
    return Response(201, {"location": where})


def delete_binding(call: Call) -> Response:
    """Unbind, by the properties_key."""
    found = get_binding(call)
    arguments = _arguments_of(call, found)
    ends = _destination(call), exchanges.name_of(call, "source"), found["routing_key"], arguments
    with call.declaring() as channel:
        if found["destination_type"] == "queue":
            channel.queue_unbind(*ends)
        else:
            channel.exchange_unbind(*ends)
    return NO_CONTENT


def properties_key(routing_key: str, arguments: Mapping[str, Any]) -> str:
    """What names a binding among those between the same two: RabbitMQ's form, but a hash of our own."""
    key = quote_plus(routing_key).replace("~", "%7E")
    if arguments:
        octets = crc32(repr(frozen(arguments)).encode("utf-8", "surrogateescape")).to_bytes(4)
        return f"{key}~{urlsafe_b64encode(octets).decode().rstrip('=')}"
    return key or "~"


def _arguments_of(call: Call, shown: Item) -> Mapping[str, Any]:
    """A binding's own arguments, since JSON does not tell all types apart."""
    source = call.vhost.exchanges.get(shown["source"])
    bindings = [] if source is None else source.bindings.values()
    key = shown["properties_key"]
    found = [
        b for b in bindings if properties_key(b.routing_key, b.arguments) == key and b.destination.name == _destination(call)
    ]
    return found[0].arguments if found else {}


def _kind(call: Call) -> str:
    kind = _KINDS.get(call.names["kind"])
    if kind is None:
        raise bad_request(f"a binding leads to a queue (q) or an exchange (e), not to {call.names['kind']!r}")
    return kind


def _destination(call: Call) -> str:
    return exchanges.name_of(call, "destination") if _kind(call) == "exchange" else call.names["destination"]


def _leads_to(binding: Item, kind: str, name: str) -> bool:
    return (binding["destination_type"], binding["destination"]) == (kind, name)


def _all(vhost: VirtualHost) -> Iterator[Item]:
    for queue in vhost.queues.values():
        yield _show(vhost, "", "queue", queue.name, queue.name, {})
    for exchange in vhost.exchanges.values():
        for binding in exchange.bindings.values():
            kind = "exchange" if binding.to_exchange else "queue"
            yield _show(vhost, exchange.name, kind, binding.destination.name, binding.routing_key, binding.arguments)


def _show(vhost: VirtualHost, source: str, kind: str, to: str, routing_key: str, arguments: Mapping[str, Any]) -> Item:
    return {
        "arguments": in_json(arguments),
        "destination": to,
        "destination_type": kind,
        "properties_key": properties_key(routing_key, arguments),
        "routing_key": routing_key,
        "source": source,
        "vhost": vhost.name,
    }
