"""Our codec and pamqp side by side, in one process on one machine: trust the ratios, not the times.

Usage: python benchmarks/bench_codec.py [repetitions]

Each line is one operation: a publish as a server reads it (frames cut, method, header and properties decoded, body),
a delivery as a server writes it (method, header and properties, body), and so on. The best of several
repetitions counts. pamqp and ours take turns, so that both see the same neighbours.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any

import pamqp.body
import pamqp.commands
import pamqp.frame
import pamqp.header

from simbus.rabbitmq.amqp.codec import (
    HEADER,
    METHOD,
    FrameReader,
    decode_header,
    decode_method,
    decode_properties,
    encode_content,
    encode_method,
    encode_properties,
)
from simbus.rabbitmq.amqp.methods import BY_NAME
from simbus.rabbitmq.properties import Properties

FRAME_MAX = 131_072
CALLS = 2_000

DELIVER, ACK, DECLARE = BY_NAME["basic.deliver"], BY_NAME["basic.ack"], BY_NAME["queue.declare"]
BODY = bytes(1024)
TIME = datetime(2026, 1, 1, tzinfo=UTC)
SIMPLE: dict[str, Any] = {"content_type": "application/json", "delivery_mode": 2}
RICH = {
    **SIMPLE,
    "headers": {"attempt": 3, "tenant": "acme", "trace": "00-4bf92f3577b34da6"},
    "message_id": "m-1",
    "timestamp": TIME,
}

Operation = Callable[[], object]


def publish(properties: dict[str, Any]) -> bytes:
    """What a client sends for one message."""
    frames = (
        pamqp.commands.Basic.Publish(exchange="shop", routing_key="order.placed"),
        pamqp.header.ContentHeader(body_size=len(BODY), properties=pamqp.commands.Basic.Properties(**properties)),
        pamqp.body.ContentBody(BODY),
    )
    return b"".join(pamqp.frame.marshal(each, 1) for each in frames)


def ours_reads(data: bytes) -> Operation:
    """Everything decoded, properties too."""
    reader = FrameReader(FRAME_MAX)

    def read() -> object:
        reader.feed(data)
        found: list[object] = []
        for type, channel, payload in reader:
            if type == METHOD:
                found.append(decode_method(channel, payload))
            elif type == HEADER:
                header = decode_header(payload)
                found += (header, decode_properties(header.properties))
            else:
                found.append(payload)
        return found

    return read


def pamqp_reads(data: bytes) -> Operation:
    """The same frames with pamqp's own loop."""

    def read() -> object:
        rest, found = data, []
        while rest:
            size, _channel, frame = pamqp.frame.unmarshal(rest)
            found.append(frame)
            rest = rest[size:]
        return found

    return read


def ours_delivers(properties: dict[str, Any]) -> Operation:
    """Everything encoded, properties too."""
    given = Properties(**properties)

    def write() -> object:
        arguments = ("ctag1.0", 7, False, "shop", "order.placed")
        return encode_content(1, DELIVER, arguments, encode_properties(given), BODY, FRAME_MAX)

    return write


def pamqp_delivers(properties: dict[str, Any]) -> Operation:
    """The same with pamqp."""
    given = pamqp.commands.Basic.Properties(**properties)

    def write() -> object:
        frames = (
            pamqp.commands.Basic.Deliver("ctag1.0", 7, False, "shop", "order.placed"),
            pamqp.header.ContentHeader(body_size=len(BODY), properties=given),
            pamqp.body.ContentBody(BODY),
        )
        return b"".join([pamqp.frame.marshal(each, 1) for each in frames])

    return write


ACKED = pamqp.frame.marshal(pamqp.commands.Basic.Ack(7), 1)
DECLARED = pamqp.frame.marshal(
    pamqp.commands.Queue.Declare(queue="orders", durable=True, arguments={"x-queue-type": "quorum", "x-message-ttl": 60000}), 1
)
OPERATIONS: dict[str, tuple[Operation, Operation]] = {
    "publish decoded": (ours_reads(publish(SIMPLE)), pamqp_reads(publish(SIMPLE))),
    "publish decoded, headers and more": (ours_reads(publish(RICH)), pamqp_reads(publish(RICH))),
    "deliver encoded": (ours_delivers(SIMPLE), pamqp_delivers(SIMPLE)),
    "deliver encoded, headers and more": (ours_delivers(RICH), pamqp_delivers(RICH)),
    "ack decoded": (ours_reads(ACKED), pamqp_reads(ACKED)),
    "ack encoded": (
        lambda: encode_method(1, ACK, 7, False),
        lambda: pamqp.frame.marshal(pamqp.commands.Basic.Ack(7), 1),
    ),
    "queue.declare decoded": (ours_reads(DECLARED), pamqp_reads(DECLARED)),
}


def nanoseconds(operation: Operation) -> float:
    """One call's time, over a batch."""
    began = perf_counter_ns()
    for _ in range(CALLS):
        operation()
    return (perf_counter_ns() - began) / CALLS


def main() -> None:
    """Measure and print."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"{'microseconds a call, best of':40s} {repetitions:3d}    ours   pamqp   pamqp / ours")
    for name, both in OPERATIONS.items():
        pairs = [[nanoseconds(operation) for operation in both] for _ in range(repetitions)]
        ours, theirs = (min(column) / 1000 for column in zip(*pairs, strict=True))
        print(f"{name:44s} {ours:7.2f} {theirs:7.2f} {theirs / ours:10.1f}")


if __name__ == "__main__":
    main()
