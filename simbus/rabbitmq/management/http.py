"""Requests, responses, and the errors that RabbitMQ's management API answers with. Nothing of a broker is known here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

REALM = 'Basic realm="RabbitMQ Management"'
NO_HEADERS: Mapping[str, str] = {}
DEEPEST = 100  # objects and lists in one another, as over AMQP; RabbitMQ has no limit


@dataclass(frozen=True)
class Request:
    """A request as it came: ``target`` is the path with its query, header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @cached_property
    def segments(self) -> list[str]:
        """The parts of the path, decoded one by one: a name may hold a slash."""
        path = self.target.partition("?")[0]
        return [unquote(part) for part in path.strip("/").split("/")]

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The query's values; of a name that stands twice the first counts."""
        pairs = parse_qsl(urlsplit(self.target).query, keep_blank_values=True)
        return dict(reversed(pairs))


@dataclass(frozen=True)
class Response:
    """A status, headers and octets."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def answer(value: Any, status: int = 200, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    """Data, as JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(status, {"content-type": "application/json", **headers}, text.encode("utf-8", "surrogateescape"))


NO_CONTENT = Response(204)
CREATED = Response(201)


class HttpError(Exception):
    """A request that is answered with an error: RabbitMQ's word for it and the reason."""

    def __init__(self, status: int, error: str, reason: Any, headers: Mapping[str, str] = NO_HEADERS) -> None:
        super().__init__(f"{status} {error}: {reason}")
        self.response = answer({"error": error, "reason": reason}, status, headers)


class Plain(HttpError):
    """An error without a body."""

    def __init__(self, status: int, headers: Mapping[str, str] = NO_HEADERS) -> None:
        super().__init__(status, "", "")
        self.response = Response(status, headers)


def bad_request(reason: Any) -> HttpError:
    """400: the reason is a text, or a list of RabbitMQ's words."""
    return HttpError(400, "bad_request", reason)


def object_not_found() -> HttpError:
    """404, for paths and for what they name."""
    return HttpError(404, "Object Not Found", "Not Found")


def not_found(reason: str) -> HttpError:
    """404, for what a request needs to do its work."""
    return HttpError(404, "not_found", reason)


def access_refused() -> HttpError:
    """401: the broker refuses the verb, or the virtual host, to this user."""
    return HttpError(401, "not_authorised", "Access refused.")


def not_modelled(what: str) -> HttpError:
    """501, which RabbitMQ never answers: it has this and simbus has not."""
    return HttpError(501, "not_implemented", f"simbus does not model {what}")


# Bodies


def read_object(body: bytes, required: Sequence[str] = (), *, mends: bool = False) -> dict[str, Any]:
    """The JSON object of a body, an empty one when there is none.

    Args:
        body: its octets.
        required: the keys that it has to have.
        mends: whether what is no text becomes U+FFFD; else it is no JSON.

    Raises:
        HttpError: 400 for what is no object or lacks a key, 501 for one that is nested too deep for simbus.
    """
    value = _read(body, mends=mends) if body.strip() else {}
    if isinstance(value, str):
        raise bad_request("invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?")
    if not isinstance(value, dict):
        raise bad_request("not_json")
    missing = [f"{{key_missing,{key}}}" for key in required if key not in value]
    if missing:
        raise bad_request(_erlang_list(missing))
    return value


def _read(body: bytes, *, mends: bool) -> Any:
    try:
        text = body.decode(errors="replace" if mends else "strict")
        value = json.loads(text, parse_float=_finite, parse_constant=_no_number)
        if not _deeper_than(DEEPEST, value):
            return _text_only(value, mends=mends) if "\\u" in text else value
    except RecursionError:
        pass
    except ValueError:
        raise bad_request("not_json") from None
    raise not_modelled(f"JSON that is nested more than {DEEPEST} deep")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if isfinite(number) else _no_number(digits)


def _no_number(word: str) -> float:
    raise ValueError(word)  # Python reads NaN, and 1e400 as Infinity


def _deeper_than(most: int, value: Any) -> bool:
    """Whether there are more than so many objects and lists in one another."""
    level = [value]
    for _ in range(most):
        level = [inner for item in level if isinstance(item, dict | list) for inner in _inside(item)]
    return any(isinstance(item, dict | list) for item in level)


def _inside(container: Any) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _text_only(value: Any, *, mends: bool) -> Any:
    """The value without escapes of half a pair of surrogates, which no octets stand for; ValueError unless it mends them."""
    text = json.dumps(value, ensure_ascii=False)
    if not mends:
        text.encode()
        return value
    return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _erlang_list(items: Sequence[str]) -> str:
    """As Erlang prints a list: in lines when it is longer than one."""
    line = ",".join(items)
    return f"[{line}]" if len(line) <= 70 else "[" + ",\n ".join(items) + "]"


def boolean(value: Any) -> bool:
    """A flag: true, false, or their names; nothing is false."""
    if value in (None, "false") or value is False:
        return False
    if value is True or value == "true":
        return True
    raise bad_request(["not_boolean", value])


def integer(value: Any) -> int:
    """A whole number, or its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(str(value))
    except ValueError:
        raise bad_request(["not_integer", value]) from None
