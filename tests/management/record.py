"""Hold the conversations with the real brokers and write down their answers: ``python -m tests.management.record``.

``SIMBUS_ORACLE_URL_40`` and ``SIMBUS_ORACLE_URL_310`` say where these are; the management API is 10,000 ports further.
Names as arguments record only those conversations.
"""

import json
import os
import sys
from http.client import HTTPConnection
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlsplit

from tests.management.conversation import _headers, hold
from tests.management.conversations import CONVERSATIONS, VHOST, Ask

RECORDED = Path(__file__).parent / "recorded"
ORACLES = {"4.0": "SIMBUS_ORACLE_URL_40", "3.10": "SIMBUS_ORACLE_URL_310"}
_STATISTICS = 11.0  # seconds: they are collected every five, and shown from a cache


def recorded(version: str, name: str) -> Path:
    """The file of a conversation's answers."""
    return RECORDED / version / f"{name.replace(' ', '-')}.json"


def _ask(management: str, method: str, path: str, body: str | None = None) -> None:
    where = urlsplit(management)
    http = HTTPConnection(where.hostname or "", where.port, timeout=20)
    http.request(method, path, body, _headers(Ask(method, path)))
    http.getresponse().read()
    http.close()


def answers_of(url: str, name: str) -> Any:
    """What a real broker answers in a conversation, which begins and ends with an empty virtual host."""
    where = urlsplit(url)
    amqp = f"amqp://guest:guest@{where.hostname}:{where.port}/{VHOST}"
    management = f"http://{where.hostname}:{(where.port or 5672) + 10_000}"
    _forget(management)
    _ask(management, "PUT", f"/api/vhosts/{VHOST}")
    _ask(management, "PUT", f"/api/permissions/{VHOST}/guest", '{"configure": ".*", "write": ".*", "read": ".*"}')
    try:
        return json.loads(json.dumps(hold(CONVERSATIONS[name], amqp, management, lambda: sleep(_STATISTICS))))
    finally:
        _forget(management)


def _forget(management: str) -> None:
    for left in ("vhosts/management-2", "users/anna", "users/bert", "users/carl", f"vhosts/{VHOST}"):
        _ask(management, "DELETE", f"/api/{left}")


def record(version: str, url: str, names: list[str]) -> None:
    """Hold these conversations with one broker, and write down what it answers."""
    for name in names:
        answers = answers_of(url, name)
        file = recorded(version, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(answers, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
        print(version, name, len(answers))  # noqa: T201 - a script that says what it did


if __name__ == "__main__":
    for version, variable in ORACLES.items():
        if variable in os.environ:
            record(version, os.environ[variable], sys.argv[1:] or list(CONVERSATIONS))
