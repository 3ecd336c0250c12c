"""Values of AMQP's tables out of JSON, and a message's properties in both directions."""

from dataclasses import fields
from typing import Any

from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.fields import Long, time_of
from simbus.rabbitmq.management.http import HttpError, bad_request, not_modelled
from simbus.rabbitmq.properties import Properties

_NAMES = [field.name for field in fields(Properties)]
_NUMBERS = {"delivery_mode": range(2**8), "priority": range(2**8), "timestamp": range(2**64)}  # as AMQP has them
LONGEST_SHORT = 255  # octets of a short string
_LONGS = range(-(2**63), 2**63)


def table(value: Any) -> dict[str, Any]:
    """The arguments that a request gives; RabbitMQ takes a list for none."""
    if isinstance(value, list):
        return {}
    if not isinstance(value, dict):
        raise bad_request(f"arguments are an object, not {value!r}")
    return {key: _field(item) for key, item in value.items()}


def _field(value: Any) -> Any:
    if value is None:
        raise bad_request("null_not_allowed")
    if isinstance(value, dict):
        return table(value)
    if isinstance(value, list):
        return [_field(item) for item in value]
    return Long(value) if isinstance(value, int) and not isinstance(value, bool) else value


def properties(given: Any) -> Properties:
    """The properties of a message; unknown ones are ignored, as RabbitMQ does."""
    if not isinstance(given, dict):
        raise bad_request(f"properties are an object, not {given!r}")
    values: dict[str, Any] = {name: _property(name, given[name]) for name in _NAMES if name in given}
    return Properties(**values)


def _property(name: str, value: Any) -> Any:
    if name == "headers":
        headers = table(value)
        _check_fits(headers)
        return headers
    if name in _NUMBERS:
        return _number(name, value)
    if not isinstance(value, str):
        raise _not_text(name)
    return short(value, f"a {name}")


def short(text: str, what: str) -> str:
    """A text that AMQP's short strings can hold, which RabbitMQ would cut off on the wire, or stumble over there."""
    if len(text.encode("utf-8", "surrogateescape")) > LONGEST_SHORT:
        raise not_modelled(f"{what} of more than {LONGEST_SHORT} octets, which does not fit into AMQP's frame")
    return text


def _number(name: str, value: Any) -> Any:
    """RabbitMQ takes any number, and on the wire only its last bits are left."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise bad_request(["not_int", name])
    if value not in _NUMBERS[name]:
        raise not_modelled(f"a {name} of {value}, which does not fit into AMQP's frame")
    return time_of(value) if name == "timestamp" else value


def _check_fits(value: Any) -> None:
    """Refuse integers and names in headers that no table can hold."""
    if isinstance(value, dict | list):
        for name in value if isinstance(value, dict) else ():
            short(name, "the name of a header")
        for item in value.values() if isinstance(value, dict) else value:
            _check_fits(item)
    elif isinstance(value, int) and int(value) not in _LONGS:  # a range looks at every number for one that is no plain int
        raise not_modelled(f"a header of {value}, which does not fit into AMQP's frame")


def _not_text(name: str) -> HttpError:
    return bad_request(["not_string", name])


def properties_to_json(message: Properties) -> Any:
    """Those that a message has; of none RabbitMQ makes an empty list."""
    found = {name: in_json(value) for name in _NAMES if (value := getattr(message, name)) is not None}
    return found or []
