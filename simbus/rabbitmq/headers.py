"""What the bindings of a headers exchange ask of a message (RabbitMQ's guide to headers exchanges).

Keys that start with ``x-`` count only in the ``-with-x`` modes; a void value asks for presence.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from simbus.rabbitmq.arguments import field_type
from simbus.rabbitmq.errors import precondition_failed
from simbus.rabbitmq.fields import compared

_MATCHES = ("all", "any", "all-with-x", "any-with-x")
Image = Callable[[Any], object]

_PRESENT = compared(None)


def check_match_argument(arguments: Mapping[str, Any]) -> None:
    """Refuse an x-match that a headers exchange cannot use (406)."""
    match = arguments.get("x-match", "all")
    if not isinstance(match, str):
        raise precondition_failed(f"Invalid x-match field type {field_type(match)} (value {match}); expected longstr")
    if match not in _MATCHES:
        raise precondition_failed(f'Invalid x-match field value <<"{match}">>; expected all, any, all-with-x, or any-with-x')


class Wanted:
    """The arguments of a binding, read once; ``image`` makes of values what is compared."""

    __slots__ = ("_any", "_fields")

    def __init__(self, arguments: Mapping[str, Any], image: Image = compared) -> None:
        match = arguments.get("x-match", "all")
        with_x = match.endswith("-with-x")
        self._any = match.startswith("any")
        wanted = {k: v for k, v in arguments.items() if k != "x-match" and (with_x or not k.startswith("x-"))}
        self._fields = {k: image(_seconds(v)) for k, v in wanted.items()}

    def met_by(self, headers: Mapping[str, object]) -> bool:
        """Whether headers, each of them frozen, are what is asked for."""
        found = (key in headers and wanted in (_PRESENT, headers[key]) for key, wanted in self._fields.items())
        return any(found) if self._any else all(found)


def _seconds(value: Any) -> Any:
    """A timestamp in a binding is the integer that it is on the wire (observed); one in a message need not be."""
    return int(value.timestamp()) if isinstance(value, datetime) else value


def frozen_headers(headers: Mapping[str, Any], image: Image = compared) -> dict[str, object]:
    """A message's headers, to be compared with what bindings ask for."""
    return {key: image(value) for key, value in headers.items()}


def headers_match(arguments: Mapping[str, Any], headers: Mapping[str, Any], image: Image = compared) -> bool:
    """Whether a message's headers fulfil a binding's arguments."""
    return Wanted(arguments, image).met_by(frozen_headers(headers, image))
