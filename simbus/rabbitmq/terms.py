"""Values as RabbitMQ shows them in its complaints: Erlang terms."""

from collections.abc import Mapping
from typing import Any

from simbus.rabbitmq.errors import ValidationFailed


def term(value: object) -> str:
    """An Erlang term: a text is ``<<"a">>``, an object ``[{<<"key">>,1}]``."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'<<"{value}">>'
    if isinstance(value, Mapping):
        return pairs(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(term, value))}]"
    return str(value)


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """The value as an object, ValidationFailed for what is none; an empty list is one, for which Erlang has one term."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple):
        if value:
            raise ValidationFailed(f"Unrecognised terms {term(value)} in {name}")
        return {}
    raise ValidationFailed(f"{name} not a list {term(value)}")


def pairs(table: Mapping[str, object]) -> str:
    """A list of pairs, in the order of their keys."""
    return f"[{','.join(f'{{{term(key)},{term(table[key])}}}' for key in sorted(table))}]"
