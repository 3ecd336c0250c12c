"""Health checks: 200 and ``ok``, or 503 and what is wrong."""

from collections.abc import Iterator
from typing import Any

from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.driver import Listener
from simbus.rabbitmq.management.http import Response, answer, bad_request
from simbus.rabbitmq.management.listing import Item

_OK: Item = {"status": "ok"}
_SINGLE = {"reason": "single node cluster", "status": "ok"}
_UNITS = ("days", "weeks", "months", "years")
_PROTOCOLS = {"amqp091": "amqp", "amqp0.9.1": "amqp", "amqp-0-9-1": "amqp", "amqps": "amqp/ssl", "https": "http/ssl"}
_RESOURCES = {"low on disk": "disk space"}  # what health checks call it (observed on 4.0.5 and 3.10.8)
_NO_LISTENER = "No active listener"


def _failed(reason: str, **more: Any) -> Response:
    return answer({"status": "failed", "reason": reason, **more}, 503)


def alarms(call: Call) -> Item | Response:
    """No resource alarm anywhere in the cluster."""
    return _alarms(call, "There are alarms in effect in the cluster")


def local_alarms(call: Call) -> Item | Response:
    """No resource alarm on this node, which is the cluster."""
    return _alarms(call, "There are alarms in effect on the node")


def _alarms(call: Call, reason: str) -> Item | Response:
    short = [_RESOURCES.get(alarm, alarm.removeprefix("low on ")) for alarm in sorted(call.broker.alarms)]
    resources = [{"node": call.node, "resource": resource} for resource in short]
    return _failed(reason, alarms=resources) if resources else _OK


def port_listener(call: Call) -> Item | Response:
    """Someone listens on a port."""
    try:
        port = int(call.names["port"])
    except ValueError:
        raise bad_request("Invalid port") from None
    ports = [listener.address.port for listener in _heard(call)]
    if port in ports:
        return {"port": port, "status": "ok"}
    return _failed(_NO_LISTENER, missing=port, ports=ports)


def protocol_listener(call: Call) -> Item | Response:
    """Someone listens for a protocol."""
    asked = call.names["protocol"]
    protocol = _PROTOCOLS.get(asked, asked)
    protocols = [listener.protocol for listener in _heard(call)]
    if protocol in protocols:
        return {"protocol": protocol, "status": "ok"}
    return _failed(_NO_LISTENER, missing=protocol, protocols=list(dict.fromkeys(protocols)))


def _heard(call: Call) -> Iterator[Listener]:
    yield from call.driver.listeners()


def certificate_expiration(call: Call) -> Item:
    """No certificate expires soon: that of the fake is made anew for every broker."""
    if call.names["unit"] not in _UNITS:
        raise bad_request("Time unit not recognised. Supported units: days, weeks, months, years.")
    if not call.names["within"].isdigit():
        raise bad_request("Invalid expiration value.")
    return _OK


def ok(_call: Call) -> Item:
    """What always holds while the broker answers."""
    return _OK


def single(_call: Call) -> Item:
    """What is asked of a cluster always holds for one node."""
    return _SINGLE


def aliveness(call: Call) -> Item:
    """A message goes through a queue of the virtual host."""
    assert call.vhost is not None
    return _OK
