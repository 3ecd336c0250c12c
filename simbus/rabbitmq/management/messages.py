"""Messages over HTTP: publish to an exchange, get from a queue. Whatever follows from that happens to all clients."""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import Any

from simbus.effects import Confirmed, Effect
from simbus.rabbitmq.channels import Channel, GetOk
from simbus.rabbitmq.effects import Returned
from simbus.rabbitmq.errors import RabbitMQError
from simbus.rabbitmq.management import exchanges
from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.http import access_refused, bad_request, integer, not_found
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.management.values import properties, properties_to_json, short

_ACKMODES = ("ack_requeue_true", "ack_requeue_false", "reject_requeue_true", "reject_requeue_false")
_ENCODINGS = ("auto", "base64")


def publish(call: Call) -> Item:
    """Publish a message; ``routed`` says whether it reached a queue."""
    exchange = exchanges.name_of(call)
    _check_there(call, "exchange", exchange)
    body = call.body("properties", "routing_key", "payload", "payload_encoding")
    payload, sent = _decoded(body["payload"], body["payload_encoding"]), properties(body["properties"])
    routing_key = short(str(body["routing_key"]), "a routing key")
    heard: list[Effect] = []
    with call.channel() as channel:
        call.driver.listen(channel.number, heard.append)
        channel.confirm_select()
        channel.publish(exchange, routing_key, payload, sent, mandatory=True)
        call.driver.observe()
    if any(isinstance(effect, Confirmed) and not effect.ack for effect in heard):
        raise bad_request("rejected Unable to publish message. Check queue limits.")
    return {"routed": not any(isinstance(effect, Returned) for effect in heard)}


def get(call: Call) -> list[Item]:
    """Take messages from the head of a queue, and settle them as ``ackmode`` says when all are taken."""
    name = call.names["name"]
    _check_there(call, "queue", name)
    body = call.body("ackmode", "count", "encoding")
    count, ackmode, encoding = integer(body["count"]), body["ackmode"], body["encoding"]
    if encoding not in _ENCODINGS:
        raise bad_request("Unsupported encoding. Please use auto or base64.")
    if ackmode not in _ACKMODES:
        raise bad_request(f"ackmode is one of {', '.join(_ACKMODES)}, not {ackmode!r}")
    with call.channel() as channel:
        taken = _take(call, channel, name, count, no_ack=ackmode == "ack_requeue_false")
        for got in taken if ackmode != "ack_requeue_false" else ():
            channel.reject(got.delivery.delivery_tag, requeue=ackmode.endswith("true"))
    limit = integer(body["truncate"]) if "truncate" in body else None
    return [_show(got, encoding, limit) for got in taken]


def _take(call: Call, channel: Channel, queue: str, count: int, *, no_ack: bool) -> list[GetOk]:
    """At most so many, all for a negative number."""
    taken: list[GetOk] = []
    try:
        while len(taken) != count and (got := channel.get(queue, no_ack=no_ack)) is not None:
            taken.append(got)
    except RabbitMQError as error:
        if error.reply_code == 404 and not call.version.http_looks_first:
            raise not_found(error.reply_text) from None
        raise
    return taken


def _check_there(call: Call, kind: str, name: str) -> None:
    """4.0 looks first whether what the path names is there; 3.10 lets the verb find out, and a missing vhost is refused."""
    vhost = call.names["vhost"]
    if vhost not in call.broker.vhost_names:
        raise not_found("vhost_not_found") if call.version.http_looks_first else access_refused()
    found = call.broker.vhost(vhost)
    if call.version.http_looks_first and name not in (found.queues if kind == "queue" else found.exchanges):
        raise not_found(f"{kind}_not_found")


def _decoded(payload: Any, encoding: Any) -> bytes:
    if not isinstance(payload, str):
        raise bad_request("payload_not_string")
    if encoding == "string":
        return payload.encode("utf-8", "surrogateescape")
    if encoding != "base64":
        raise bad_request(["unsupported_encoding", encoding])
    try:
        return b64decode(payload, validate=True)
    except (NotBase64, ValueError):
        raise bad_request(["not_base64", payload]) from None


def _show(got: GetOk, encoding: str, limit: int | None) -> Item:
    message = got.delivery.message
    payload, how = _encoded(message.body if limit is None else message.body[:limit], encoding)
    return {
        "exchange": message.exchange,
        "message_count": got.message_count,
        "payload": payload,
        "payload_bytes": len(message.body),
        "payload_encoding": how,
        "properties": properties_to_json(message.properties),
        "redelivered": got.delivery.attempt > 1 or got.delivery.message.redelivered,
        "routing_key": message.routing_key,
    }


def _encoded(body: bytes, encoding: str) -> tuple[str, str]:
    if encoding == "auto":
        try:
            return body.decode(), "string"
        except UnicodeDecodeError:
            pass
    return b64encode(body).decode(), "base64"
