"""Whatever a client sends, it gets an answer: no request makes the API raise, and none leaves the broker inconsistent.

Nor does any leave something behind that a later answer stumbles over.
"""

import json
from base64 import b64encode
from urllib.parse import quote

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


def nested(depth):
    inner: object = 7
    for _ in range(depth):
        inner = [inner]
    return inner


DIGITS = "9" * 5000  # more than Python reads
OUTRAGEOUS = {
    "half a pair of surrogates": "\ud800",
    "an octet of a name": "\udcff",
    "many digits": DIGITS,
    "an old age": f"{DIGITS}D",
    "an age in other digits": "٣D",
    "a large number": 10**30,
    "a count that is too big": "a{4294967296}",
    "a pattern that is too complicated": "(" * 20_000,
    "deep": nested(300),
    "nothing": None,
}
DOORS = [  # where in a body such a thing may stand, beside what is right
    *(
        {key: "?"}
        for key in ("password", "password_hash", "tags", "routing_key", "payload", "pattern", "write", "count", "value")
    ),
    *({"arguments": {key: "?"}} for key in ("x-a", "x-expires", "alternate-exchange")),
    {"arguments": {"x-queue-type": "stream", "x-max-age": "?"}, "durable": True},
    *({"properties": {key: "?"}} for key in ("expiration", "timestamp", "priority", "message_id")),
    *({"properties": {"headers": {key: "?"}}} for key in ("a", "x-delay", "x-stream-filter-value")),
    *({"definition": {key: "?"}} for key in ("max-age", "max-length", "dead-letter-exchange")),
    *({"value": {"pattern": "a", "definition": {"max-length": 7}, "priority": 0, key: "?"}} for key in ("pattern", "max-queues")),
]


def filled(place, value):
    if isinstance(place, dict):
        return {key: filled(inner, value) for key, inner in place.items()}
    return value if place == "?" else place


KEYS = st.sampled_from(
    [
        *VALID,
        "timestamp",
        "max-age",
        "headers",
        "expiration",
        "password",
        "password_hash",
        "truncate",
        "x-message-ttl",
        "node",
        "name",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "q", "(", "7", "classic", "all", *OUTRAGEOUS.values()])
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
HEADERS = {"authorization": f"Basic {b64encode(b'guest:guest').decode()}", "content-type": "application/json"}
STATUSES = {200, 201, 204, 400, 401, 404, 405, 406, 415, 501, 503}


@st.composite
def requests(draw):
    route = draw(st.sampled_from(ROUTES))
    parts = [
        draw(st.sampled_from(PLACES.get(part[1:-1], NAMES))) if part.startswith("{") else part for part in route.path.split("/")
    ]
    method = draw(st.sampled_from([*route.methods]))
    body = draw(BODIES | st.binary(max_size=10)) if method in {"PUT", "POST"} else b""
    return Request(method, f"/api/{'/'.join(parts)}{draw(QUERIES)}", HEADERS, body)


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
            answered(rabbitmq, request)
            rabbitmq._broker.check()
        look_at_everything(rabbitmq)


def answered(rabbitmq, request):
    with rabbitmq._management._turn():
        response = respond(rabbitmq._management, request)
    assert response.status in STATUSES
    assert not response.body or json.loads(response.body) is not None


def look_at_everything(rabbitmq, query=""):
    """What was accepted can be shown."""
    for route in ROUTES:
        if "GET" in route.methods:
            answered(rabbitmq, Request("GET", f"/api/{path(route)}{query}", HEADERS))


def path(route):
    names = {"vhost": "%2F", "user": "anna", "component": "operator_policy", "limit": "max-queues", "kind": "q"}
    parts = route.path.split("/")
    return "/".join(names.get(part[1:-1], "x") if part.startswith("{") else part for part in parts)


@pytest.mark.parametrize("value", OUTRAGEOUS.values(), ids=OUTRAGEOUS)
@pytest.mark.parametrize("version", ["4.0", "3.10"])
def test_whatever_stands_in_a_body_it_is_answered_and_so_is_everything_after_it(version, value):
    """Each route that takes a body, with the thing at each place of it: in the exchange x, in the queue x, of the user anna."""
    with RabbitMQ(version=version, users={"guest": "guest", "anna": "a"}) as rabbitmq:
        rabbitmq.declare_exchange("x", "x-delayed-message", durable=True, arguments={"x-delayed-type": "topic"})
        rabbitmq.declare_queue("x")
        rabbitmq.bind("x", "x", "#")
        for door in DOORS:
            body = json.dumps({**VALID, **filled(door, value)}).encode()
            for route in ROUTES:
                for method in [method for method in ("PUT", "POST") if method in route.methods]:
                    answered(rabbitmq, Request(method, f"/api/{path(route)}", HEADERS, body))
        rabbitmq._broker.check()
        look_at_everything(rabbitmq)
        if isinstance(value, str):
            look_at_everything(rabbitmq, f"?page=1&use_regex=true&name={quote(value, errors='replace')}")
