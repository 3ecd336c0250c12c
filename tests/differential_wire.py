"""The session beside a real RabbitMQ: the same octets to both, and what they answer.

A script, not a test, because it needs the broker: ``python -m tests.differential_wire 127.0.0.1 5674``. It sends what
``test_session`` holds against the session, and prints where the two differ; 0 differences are expected.
"""

import socket
import sys
import time

from pamqp.commands import Connection

from tests.test_session import (
    CONNECTION_ERRORS,
    DECLARE,
    FATAL_ERRORS,
    MISSING,
    PUBLISH,
    WRONG_IN_HANDSHAKES,
    at_stage,
    body,
    header,
    marshalled,
    method,
)
from tests.wire import PROTOCOL_HEADER, Wire, published, start_ok

PAUSE = 0.15  # seconds; more than a local broker takes
STAGES = {
    "header": b"",
    "starting": PROTOCOL_HEADER,
    "tuning": marshalled(0, start_ok("\0guest\0guest")),
    "opening": marshalled(0, Connection.TuneOk(2047, 131_072, 0)),
    "running": marshalled(0, Connection.Open("/")),
    "channel": method(1, 20, 10, b"\0"),
}
OTHERS = {
    "a header of no protocol": ("header", b"GET / HTTP/1.1\r\n"),
    "AMQP 0-9-2": ("header", b"AMQP\0\0\x09\x02"),
    "AMQP 0-8": ("header", b"AMQP\1\1\x08\0"),
    "a wrong password": ("starting", marshalled(0, start_ok("\0guest\0wrong"))),
    "no such mechanism": ("starting", marshalled(0, start_ok("", mechanism="FOO"))),
    "no such vhost": ("opening", marshalled(0, Connection.Open("nosuch"))),
    "a frame_max that is too small": ("tuning", marshalled(0, Connection.TuneOk(2047, 100, 0))),
    "a refused verb and more": ("channel", MISSING + DECLARE + published(1, "", "q", b"x")),
    "a return": ("channel", published(1, "", "nowhere", b"x" * 200_000, mandatory=True)),
    "too much of a body": ("channel", PUBLISH + header(size=1) + body(b"xx")),
    "an unknown class": ("channel", method(1, 99, 10)),
}


def cases() -> dict[str, tuple[str, bytes]]:
    """What is wrong: at which stage, and the octets."""
    return {
        **{name: ("channel", case[0]) for name, case in CONNECTION_ERRORS.items()},
        **{name: ("channel", case[0]) for name, case in FATAL_ERRORS.items()},
        **{f"{name}, {stage}": (stage, data) for name, data in WRONG_IN_HANDSHAKES.items() for stage in ("starting", "tuning")},
        **{f"{name}, opening": ("opening", data) for name, data in WRONG_IN_HANDSHAKES.items()},
        **OTHERS,
    }


def ask_simbus(stage: str, data: bytes) -> tuple[bytes, bool]:
    """What simbus answers, and whether it hangs up at once."""
    client = at_stage(Wire(), "running" if stage == "channel" else stage)
    if stage == "channel":
        client.raw(STAGES["channel"]).take()
    client.raw(data)
    return client.bytes(), client.session.closed


def ask_rabbitmq(address: tuple[str, int], stage: str, data: bytes) -> tuple[bytes, bool]:
    """What RabbitMQ answers, and whether it hangs up at once."""
    with socket.create_connection(address) as connection:
        for name, octets in STAGES.items():
            if octets:
                connection.sendall(octets)
                if name != "opening":  # tune-ok has no answer
                    connection.recv(100_000)
            if name == stage:
                break
        connection.sendall(data)
        return _heard(connection)


def _heard(connection: socket.socket) -> tuple[bytes, bool]:
    heard, until = b"", time.monotonic() + PAUSE
    while (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            piece = connection.recv(100_000)
        except TimeoutError:
            break
        except ConnectionError:
            piece = b""
        if not piece:
            return heard, True
        heard += piece
    return heard, False


def main() -> int:
    """Compare; the number of differences is the exit code."""
    address = sys.argv[1], int(sys.argv[2])
    different = 0
    for name, (stage, data) in cases().items():
        ours, theirs = ask_simbus(stage, data), ask_rabbitmq(address, stage, data)
        if ours != theirs:
            different += 1
            sys.stdout.write(f"{name}\n  simbus   {ours}\n  RabbitMQ {theirs}\n")
    sys.stdout.write(f"{len(cases())} compared, {different} different\n")
    return different


if __name__ == "__main__":
    sys.exit(main())
