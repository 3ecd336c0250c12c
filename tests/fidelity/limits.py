"""What simbus does otherwise than RabbitMQ, and what it has not: as data, each with its reason or its error.

A row of ``NOT_MODELLED`` carries the question that a client would ask and the answer it gets; ``tests/test_fidelity.py``
asks it, and fails when the answer is another one.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from pamqp import commands

from simbus import RabbitMQ
from simbus.errors import BrokerError
from tests.test_session import method
from tests.wire import Client, Wire, start_ok


class Different(NamedTuple):
    """One difference on purpose; a cell of the table each."""

    where: str
    rabbitmq: str
    simbus: str
    why: str = ""


class NotModelled(NamedTuple):
    """What is missing, what a client ``gets``, and how to ask for it."""

    what: str
    gets: str
    ask: Callable[[], str]


MOODY = "a fake must not be moody"

DIFFERENT = [
    Different("`amq.gen-...`, `amq.ctag-...`", "random", "counted, in the same length", "the same test gives the same trace"),
    Different(
        "which confirms share one basic.ack", "depends on timing", "all that arrived together, in the order of publishing", MOODY
    ),
    Different("message_count just after an unconfirmed publish", "now and then one too few", "exact", MOODY),
    Different("a get just after another connection's unconfirmed publish", "now and then nothing", "the message", MOODY),
    Different(
        "an exclusive queue's name just after its owner lost its connection",
        "free, or still locked (405)",
        "free as soon as the socket's end is seen",
        MOODY,
    ),
    Different(
        "deliveries to several channels of one connection",
        "the channels' frames are interleaved anyhow",
        "in the order in which the broker delivered",
        MOODY,
    ),
    Different(
        "consumers that wait under one global prefetch",
        "woken in random order",
        "in the order of their tags, taking turns",
        MOODY,
    ),
    Different(
        "a settlement of a delivery whose queue was deleted, and declared anew",
        "may settle another delivery, of the new queue (4.0.5)",
        "nothing happens",
        "a defect that no program can rely on",
    ),
    Different(
        "no single active consumer of a quorum queue, after one that steps down has requeued",
        "until an acknowledgement, a consumer, or the end of a channel that has published there",
        "until an acknowledgement, or a consumer",
        "the third is by chance",
    ),
    Different("a persistent message's confirm", "when it is on disk", "at once", "there is no disk"),
    Different(
        "memory and disk alarms, credit flow", "when resources are short", "when the test calls `block()`", "the test decides"
    ),
    Different(
        "time to live, delays",
        "of the wall's clock, some milliseconds late",
        "exact, on the test's clock",
        "that is what it is for",
    ),
    Different("`cluster_name` in server properties", "the machine's", "`rabbit@localhost`", "the same everywhere"),
    Different(
        "limits that an operator may set (message size, channel_max, frame_max, heartbeat)",
        "configurable",
        "RabbitMQ's defaults",
        "a test that passes here passes on a RabbitMQ as it comes",
    ),
    Different(
        "`x-consistent-hash`, `x-modulus-hash`: which queue a key goes to",
        "by Erlang's hash",
        "by another hash; the shares and the stability are the plug-in's",
        "Erlang's hash of terms means nothing to a test",
    ),
    Different("`x-random`", "random", "a fixed sequence, or the scenario's random stream", "the same test gives the same trace"),
    Different(
        "chunks of a stream, which `x-stream-offset: last` and filters show",
        "what arrives together",
        "every message is a chunk of its own",
        MOODY,
    ),
    Different("filters of a stream", "Bloom filters of chunks, which let some others pass", "exact", MOODY),
    Different(
        "retention of a stream",
        "in the background, by the octets on disk",
        "when a segment has its first message, by the octets of bodies",
        MOODY,
    ),
    Different("message_count of a stream", "up to five seconds old", "counted every five seconds from its declaration", MOODY),
    Different("policies of one priority that match both", "any of them", "the first by name", MOODY),
    Different(
        "`x-expires` of a quorum queue", "looked at every five seconds", "to the moment", "the phase of that clock is the node's"
    ),
    Different(
        "an exchange type that there is not",
        "`unknown` or `invalid`: whether that node has met the word",
        "`unknown`, but for the empty one",
        MOODY,
    ),
    Different(
        "more than 32 consumers of a channel, or deliveries of a nack, at once",
        "the order of Erlang's large maps",
        "the order of few",
        MOODY,
    ),
    Different(
        "a method behind tx.commit, or channel.open behind channel.close, in one write",
        "504: the channel is not ready yet",
        "served",
        "no client does so; the real one shows a race",
    ),
    Different(
        "`x-recent-history` bound to an exchange that stumbles over a message that was kept",
        "541 INTERNAL_ERROR",
        "the others are delivered",
        "a defect is not copied",
    ),
    Different(
        "single active consumer of a classic queue of 3.10.8: the active one is cancelled",
        "the queue may crash",
        "the next one gets the messages",
        "a defect is not copied",
    ),
    Different(
        "a policy and an operator policy with `queue-master-locator` on 4.0.5",
        "queue.declare ends in 541",
        "without effect",
        "a defect is not copied",
    ),
    Different(
        "what a lazy queue (`x-queue-mode`) of 3.10 dead-letters",
        "has lost original-expiration in x-death, unless it was delivered at once",
        "has kept it",
        "a defect is not copied",
    ),
    Different("a header that is a decimal, to a stream", "the connection is lost", "kept", "a defect is not copied"),
    Different(
        "a quorum queue of 3.10 that was full, after a purge and a policy that sets drop-head",
        "goes on to refuse",
        "takes messages again",
        "a defect is not copied",
    ),
    Different(
        "members, leaders, `ha-*`, `initial-cluster-size`", "of a cluster", "accepted, without effect", "there is one node"
    ),
]


def _said(client: Client) -> str:
    """What the server said last, as people write errors."""
    said = client.take()[-1]
    return f"{said.reply_code} {said.reply_text}"


def _other_protocol() -> str:
    client = Client(Wire())
    answer = client.raw(b"AMQP\x03\x01\x00\x00").bytes()
    return f"{answer[:4].decode()} {' '.join(map(str, answer[4:]))}, and the end of the connection" * client.session.closed


def _by_certificate() -> str:
    wire = Wire()
    client = Client(wire)
    client.raw(b"AMQP\x00\x00\x09\x01").take()
    client.send(0, start_ok("", mechanism="EXTERNAL"))
    wire.wait(3)
    return "the end of the connection, after 3 s" * client.session.closed


def _declared(type: str) -> str:
    client = Wire().connect()
    client.send(1, commands.Exchange.Declare(exchange="x", exchange_type=type))
    return _said(client)


def _amqp_0_8() -> str:
    client = Client(Wire(version="3.10"))
    client.raw(b"AMQP\x01\x01\x08\x00").take()
    client.send(0, start_ok("\0guest\0guest"), commands.Connection.TuneOk(2047, 131_072, 0), commands.Connection.Open("/"))
    client.send(1, commands.Channel.Open())
    return _said(client)


def _credit() -> str:
    client = Wire(version="3.10").connect()
    client.call(1, commands.Queue.Declare(queue="q"))
    client.call(1, commands.Basic.Consume(queue="q", consumer_tag="c"))
    client.raw(method(1, 60, 200, b"\x01c" + bytes(4) + b"\x00"))
    return _said(client)


def _sharded() -> str:
    with RabbitMQ() as rabbitmq:
        try:
            rabbitmq.set_policy("p", definition={"shards-per-node": 2})
        except BrokerError as error:
            return str(error)
    return ""


def _requested(method: str, path: str, body: object) -> str:
    with RabbitMQ() as rabbitmq:
        where = urlsplit(rabbitmq.management_url)
        connection = HTTPConnection("127.0.0.1", where.port or 0, timeout=10)
        login = b64encode(b"guest:guest").decode()
        connection.request(method, f"/api/{path}", json.dumps(body), {"Authorization": f"Basic {login}"})
        answer = connection.getresponse()
        reason = json.loads(answer.read() or "{}").get("reason", "")
        connection.close()
        return f"{answer.status} {reason}"


def _published(**message: object) -> str:
    """What a publish over HTTP gets."""
    whole = {"properties": {}, "routing_key": "q", "payload": "m", "payload_encoding": "string"} | message
    return _requested("POST", "exchanges/%2F/amq.default/publish", whole)


def _nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


NOT_MODELLED = [
    NotModelled(
        "JSON over HTTP that is nested more than 100 deep",
        "501 simbus does not model JSON that is nested more than 100 deep",
        partial(_requested, "PUT", "queues/%2F/q", {"arguments": _nested(101)}),
    ),
    NotModelled(
        "over HTTP, a number, name or key of a message that no field of AMQP can hold, which RabbitMQ cuts off",
        "501 simbus does not model a routing key of more than 255 octets, which does not fit into AMQP's frame",
        partial(_published, routing_key="k" * 256),
    ),
    NotModelled(
        "other protocols: AMQP 1.0, MQTT, STOMP, streams", "AMQP 0 0 9 1, and the end of the connection", _other_protocol
    ),
    NotModelled("logins by client certificate (`EXTERNAL`)", "the end of the connection, after 3 s", _by_certificate),
    NotModelled(
        "AMQP 0-8, which 3.10 speaks too", "540 NOT_IMPLEMENTED - simbus does not model AMQP 0-8; speak 0-9-1", _amqp_0_8
    ),
    NotModelled(
        "basic.credit, a relic that 3.10 serves",
        "540 NOT_IMPLEMENTED - simbus does not model basic.credit; limit consumers with basic.qos",
        _credit,
    ),
    NotModelled(
        "queues in shards, `shards-per-node` in a policy",
        "540 NOT_IMPLEMENTED - simbus does not model the policy key 'shards-per-node' yet (policy 'p'); leave it out",
        _sharded,
    ),
    *[
        NotModelled(
            f"{what}: `{method} /api/{path}`",
            f"501 simbus does not model {what}",
            partial(_requested, method, path, {"tracing": True}),
        )
        for what, method, path in [
            ("the memory of a node", "GET", "nodes/rabbit@localhost/memory"),
            ("statistics of log-ins", "GET", "auth/attempts/rabbit@localhost"),
            ("feature flags", "GET", "feature-flags"),
            ("deprecated features", "GET", "deprecated-features"),
            ("the restart of a virtual host", "POST", "vhosts/shop/start/rabbit@localhost"),
            ("the tracing of messages", "PUT", "vhosts/shop"),
        ]
    ],
    NotModelled(
        "exchange types of further plug-ins, such as `x-jms-topic`",
        "406 PRECONDITION_FAILED - unknown exchange type 'x-jms-topic'",
        partial(_declared, "x-jms-topic"),
    ),
]
