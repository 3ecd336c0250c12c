"""Holding a conversation with a broker, real or not: the answers, in a form that can be kept and compared."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.management.amqp import Clients
from tests.management.conversations import Ask, Client

_HEADERS = ("allow", "content-type", "location", "www-authenticate")  # of the answer, those that matter
PASSWORDS = {"guest": "guest", "intruder": "wrong", "anna": "sesame", "bert": "test12"}


def hold(steps: Iterable[Ask | Client], amqp: str, management: str, settle: Callable[[], None] = lambda: None) -> list[Any]:
    """What is answered to each step; ``settle`` lets a real broker collect its statistics."""
    clients = Clients(amqp)
    where = urlsplit(management)
    clients.learned["port"] = str(urlsplit(amqp).port)
    http = HTTPConnection(where.hostname or "", where.port, timeout=20)
    try:
        return [_step(step, clients, http, settle) for step in steps]
    finally:
        http.close()
        clients.close()


def _step(step: Ask | Client, clients: Clients, http: HTTPConnection, settle: Callable[[], None]) -> Any:
    if isinstance(step, Client):
        return getattr(clients, step.act)(*step.arguments)
    if step.settled:
        settle()
    http.request(step.method, clients.fill(step.path), _body(step.body), _headers(step))
    answer = http.getresponse()
    text = answer.read().decode()
    http.close()  # RabbitMQ does not say when it will hang up, and does so after some errors
    for name, value in clients.learned.items():
        if name != "port":
            text = text.replace(value, f"{{{name}}}")
    headers = {name: found for name in _HEADERS if (found := answer.getheader(name)) is not None}
    return {"status": answer.status, "headers": headers, "body": _parsed(text)}


def _body(body: Any) -> bytes | None:
    return None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _headers(step: Ask) -> dict[str, str]:
    login = b64encode(f"{step.user}:{PASSWORDS.get(step.user, step.user)}".encode()).decode()
    given = {"Content-Type": "application/json"} if step.body is not None else {}
    return {**given, **({"Authorization": f"Basic {login}"} if step.user else {}), **step.headers}


def _parsed(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
