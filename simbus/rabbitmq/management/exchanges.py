"""Exchanges: ``/api/exchanges``."""

from typing import Any

from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.http import CREATED, NO_CONTENT, Response, boolean, object_not_found
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.management.values import short, table
from simbus.rabbitmq.routing import Exchange
from simbus.rabbitmq.virtual_host import VirtualHost

DEFAULT = "amq.default"  # how a path calls the one without a name


def list_exchanges(call: Call) -> list[Item]:
    """All exchanges, or those of a virtual host."""
    return [show(vhost, exchange) for vhost in call.vhosts for exchange in vhost.exchanges.values()]


def get_exchange(call: Call) -> Item:
    """One exchange; ``incoming`` and ``outgoing`` are statistics, which are not kept."""
    vhost = call.vhost
    return {**show(vhost, exchange_of(call, vhost)), "incoming": [], "outgoing": []}


def put_exchange(call: Call) -> Response:
    """Declare one: 201 when it is new, 204 when it was there already."""
    body = call.body()
    name = short(name_of(call), "an exchange's name")
    with call.declaring() as channel:
        is_new = name not in channel.vhost.exchanges
        channel.exchange_declare(
            name,
            str(body.get("type", "direct")),
            durable=boolean(body.get("durable")),
            auto_delete=boolean(body.get("auto_delete")),
            internal=boolean(body.get("internal")),
            arguments=table(body.get("arguments", {})),
        )
    return CREATED if is_new else NO_CONTENT


def delete_exchange(call: Call) -> Response:
    """Delete one, with ``?if-unused=true`` only if nothing is bound to it."""
    exchange = exchange_of(call, call.vhost)
    with call.declaring() as channel:
        channel.exchange_delete(exchange.name, if_unused=call.query.get("if-unused") == "true")
    return NO_CONTENT


def name_of(call: Call, part: str = "name") -> str:
    """The exchange's name, which a path cannot leave empty."""
    name = call.names[part]
    return "" if name == DEFAULT else name


def exchange_of(call: Call, vhost: VirtualHost) -> Exchange:
    """The exchange in the path; 404 when there is none."""
    exchange = vhost.exchanges.get(name_of(call))
    if exchange is None:
        raise object_not_found()
    return exchange


def show(vhost: VirtualHost, exchange: Exchange) -> dict[str, Any]:
    """An exchange as it stands in lists."""
    return {
        "arguments": in_json(exchange.arguments),
        "auto_delete": exchange.auto_delete,
        "durable": exchange.durable,
        "internal": exchange.internal,
        "name": exchange.name,
        **({} if (policy := exchange.applied.policy) is None else {"policy": policy.name}),
        "type": exchange.type,
        "vhost": vhost.name,
    }
