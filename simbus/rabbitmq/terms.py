"""Values as RabbitMQ shows them in its complaints: Erlang terms."""

from collections.abc import Mapping


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


def pairs(table: Mapping[str, object]) -> str:
    """A list of pairs, in the order of their keys."""
    return f"[{','.join(f'{{{term(key)},{term(table[key])}}}' for key in sorted(table))}]"
