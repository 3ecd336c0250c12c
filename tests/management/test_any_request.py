"""Whatever a client sends, it gets an answer: no request makes the API raise, and none leaves the broker inconsistent."""

import json
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simbus import RabbitMQ
from simbus.rabbitmq.management.api import respond
from simbus.rabbitmq.management.http import Request
from simbus.rabbitmq.management.routes import ROUTES

PLACES = {
    "vhost": ["%2F", "%2F", "shop", "nowhere"],
    "user": ["guest", "anna", "nobody"],
    "source": ["x", "amq.default", "amq.headers"],
    "kind": ["q", "e", "z"],
    "destination": ["q", "x"],
    "properties_key": ["~", "%23", "k"],
    "component": ["vhost-limits", "operator_policy", "policy", "z"],
    "limit": ["max-queues", "max-connections", "max-channels", "z"],
}
NAMES = ["q", "q", "x", "r", "amq.topic", "amq.default", "limits", "", "%FF", "a%20b"]
VALID = {  # by the key of a body, what is right
    "type": "topic",
    "durable": True,
    "auto_delete": False,
    "arguments": {},
    "routing_key": "q",
    "properties": {},
    "payload": "7",
    "payload_encoding": "string",
    "count": 1,
    "ackmode": "ack_requeue_true",
    "encoding": "auto",
    "tags": "management",
    "value": 7,
    "pattern": ".*",
    "definition": {"max-length": 7},
    "priority": 1,
    "apply-to": "queues",
    "configure": ".*",
    "write": ".*",
    "read": ".*",
    "exchange": "x",
    "users": ["anna"],
    "queues": [{"name": "r"}],
    "vhosts": [{"name": "shop"}],
}
KEYS = st.sampled_from(
    [*VALID, "headers", "expiration", "password", "password_hash", "truncate", "x-message-ttl", "node", "name"]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "q", "(", "7", "classic", "all"])
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6)
BODIES = st.dictionaries(KEYS, VALUES, max_size=2).map(lambda wrong: json.dumps({**VALID, **wrong}).encode())
QUERIES = st.sampled_from(
    [
        "",
        "",
        "?columns=name,arguments.x",
        "?page=1&page_size=2&name=(&use_regex=true",
        "?sort=durable&sort_reverse=true",
        "?if-empty=true",
    ]
)
STATUSES = {200, 201, 204, 400, 401, 404, 405, 406, 415, 501, 503}


@st.composite
def requests(draw):
    route = draw(st.sampled_from(ROUTES))
    parts = [
        draw(st.sampled_from(PLACES.get(part[1:-1], NAMES))) if part.startswith("{") else part for part in route.path.split("/")
    ]
    headers = {"authorization": f"Basic {b64encode(b'guest:guest').decode()}", "content-type": "application/json"}
    method = draw(st.sampled_from([*route.methods]))
    body = draw(BODIES | st.binary(max_size=10)) if method in {"PUT", "POST"} else b""
    return Request(method, f"/api/{'/'.join(parts)}{draw(QUERIES)}", headers, body)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=6), st.sampled_from(["4.0", "3.10"]))
def test_every_request_gets_an_answer(asked, version):
    with RabbitMQ(version=version) as rabbitmq:
        rabbitmq.declare_queue("q")
        rabbitmq.declare_exchange("x", "topic")
        rabbitmq.bind("q", "x", "#")
        rabbitmq.publish("x", "a", b"7")
        for request in asked:
            with rabbitmq._management._turn():
                response = respond(rabbitmq._management, request)
            assert response.status in STATUSES
            assert not response.body or json.loads(response.body) is not None
            rabbitmq._broker.check()
