"""Values of AMQP's tables out of JSON, and a message's properties in both directions."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from simbus.rabbitmq.exported import in_json
from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.management.http import HttpError, bad_request
from simbus.rabbitmq.messages import Properties

_NAMES = [field.name for field in fields(Properties)]
_NUMBERS = ("delivery_mode", "priority", "timestamp")


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
        return table(value)
    if name in _NUMBERS:
        if not isinstance(value, int) or isinstance(value, bool):
            raise bad_request(["not_int", name])
        return datetime.fromtimestamp(value, UTC) if name == "timestamp" else value
    if not isinstance(value, str):
        raise _not_text(name)
    return value


def _not_text(name: str) -> HttpError:
    return bad_request(["not_string", name])


def properties_to_json(message: Properties) -> Any:
    """Those that a message has; of none RabbitMQ makes an empty list."""
    found = {name: in_json(value) for name in _NAMES if (value := getattr(message, name)) is not None}
    return found or []
