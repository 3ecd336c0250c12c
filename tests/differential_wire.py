"""The session beside a real RabbitMQ: the same octets to both, and what they answer.

A script, not a test, because it needs the broker: ``python -m tests.differential_wire 127.0.0.1 5674 4.0``. It sends what
``test_session`` holds against the session, and what is below, and prints where the two differ; 0 differences are expected.
It waits for what simbus has said, and a moment longer. What differs is asked again with more patience: a busy broker answers
late.
"""

import re
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass

from pamqp.commands import Basic, Confirm, Connection, Exchange, Queue, Tx

from simbus.rabbitmq.versions import V4_0
from tests.test_session import (
    CONNECTION_ERRORS,
    DECLARE,
    FATAL_ERRORS,
    MISSING,
    PUBLISH,
    WRONG_IN_HANDSHAKES,
    at_stage,
    body,
    framed,
    header,
    marshalled,
    method,
)
from tests.wire import PROTOCOL_HEADER, Wire, published, start_ok

MORE = 0.15  # seconds in which who has said what is expected may say more
# Seconds of silence until it is believed, each time it is asked: a busy broker answers late. Fewer than the three after which a
# RabbitMQ that has refused a login hangs up.
PATIENCE = (0.5, 2.5, 2.5)
STAGES = {
    "header": b"",
    "starting": PROTOCOL_HEADER,
    "tuning": marshalled(0, start_ok("\0guest\0guest")),
    "opening": marshalled(0, Connection.TuneOk(2047, 131_072, 0)),
    "running": marshalled(0, Connection.Open("/")),
    "channel": method(1, 20, 10, b"\0"),
}


def short(octets: bytes) -> bytes:
    """A short string."""
    return bytes([len(octets)]) + octets


def long(octets: bytes) -> bytes:
    """A long string, or the octets of an array."""
    return struct.pack(">I", len(octets)) + octets


def table(*fields: tuple[bytes, bytes]) -> bytes:
    """A field table; a value begins with its type."""
    return long(b"".join(short(name) + value for name, value in fields))


def through_a_queue(properties: bytes) -> bytes:
    """A message with these properties, and the queue asked for it."""
    queue = marshalled(1, Queue.Declare(queue="wire", exclusive=True))
    publish = marshalled(1, Basic.Publish(exchange="", routing_key="wire"))
    return queue + publish + header(size=1, properties=properties) + body(b"x") + GET


def with_headers(*fields: tuple[bytes, bytes]) -> bytes:
    """A message with these headers, and the queue asked for it."""
    return through_a_queue(b"\x20\0" + table(*fields))


GET = marshalled(1, Basic.Get(queue="wire", no_ack=True))
L5 = b"L" + struct.pack(">q", 5)
PROPERTIES = {
    "no properties": through_a_queue(b"\0\0"),
    "flags that mean nothing": through_a_queue(b"\0\3"),
    "all properties": through_a_queue(
        b"\xff\xfc\2ct\2ce"
        + table((b"b", b"t\1"), (b"a", b"t\0"))
        + b"\1\2\4corr\2rt\0041000\3mid"
        + b"\0" * 8
        + b"\2ty\5guest\3app\2cl"
    ),
    "a property that is no text": through_a_queue(b"\x80\0\1\xff"),
    "no headers": with_headers(),
    "headers out of order": with_headers((b"b", b"I\0\0\0\1"), (b"a", b"I\0\0\0\2")),
    "headers in tables in headers": with_headers(
        (b"b", b"F" + table((b"z", L5), (b"y", b"t\7"))), (b"a", b"A" + long(b"t\3" + L5))
    ),
    "a header twice": with_headers((b"a", b"t\1"), (b"a", b"t\0")),
    "a header L": with_headers((b"a", L5)),
    "a boolean that is 2": with_headers((b"a", b"t\2")),
    "headers of all types": with_headers(
        (b"a", b"b\xff"),
        (b"b", b"B\xff"),
        (b"c", b"s\xff\xff"),
        (b"d", b"u\xff\xff"),
        (b"e", b"i\xff\xff\xff\xff"),
        (b"f", b"f\x3f\x80\0\0"),
        (b"g", b"d\x3f\xf0" + b"\0" * 6),
        (b"h", b"D\2\0\0\0\5"),
        (b"i", b"x" + long(b"ab")),
        (b"j", b"T" + b"\0" * 8),
        (b"k", b"V"),
    ),
    "a header that is not a number": with_headers((b"a", b"d\x7f\xf8" + b"\0" * 6)),
    "a header that is infinite": with_headers((b"a", b"f\x7f\x80\0\0")),
    "a header whose name is no text": with_headers((b"\xff", b"t\1")),
    "a header that is no text": with_headers((b"a", b"S" + long(b"\xff"))),
    "delivery_mode 0": through_a_queue(b"\x10\0\0"),
    "delivery_mode 7": through_a_queue(b"\x10\0\7"),
    "delivery_mode 7 and a wrong expiration": through_a_queue(b"\x11\0\7\3abc"),
    "delivery_mode 7 and a wrong user": through_a_queue(b"\x10\x10\7\3bob"),
    "delivery_mode 7 to nowhere": PUBLISH + header(properties=b"\x10\0\7"),
    "delivery_mode 7 to be confirmed": marshalled(1, Confirm.Select()) + PUBLISH + header(properties=b"\x10\0\7"),
    "a wrong expiration": through_a_queue(b"\1\0\3abc"),
    "a wrong expiration and a wrong user": through_a_queue(b"\1\x10\3abc\3bob"),
    "a reply to nobody and delivery_mode 7": through_a_queue(b"\x12\0\7" + short(b"amq.rabbitmq.reply-to")),
    "a reply to nobody and a wrong expiration": through_a_queue(b"\3\0" + short(b"amq.rabbitmq.reply-to") + b"\3abc"),
    "returned headers": marshalled(1, Basic.Publish(exchange="", routing_key="nowhere", mandatory=True))
    + header(size=1, properties=b"\x20\0" + table((b"b", L5), (b"a", b"t\2")))
    + body(b"x"),
}
E_ACUTE, EURO = "é".encode(), "€".encode()
TEXTS = {
    "a text of two octets a letter": method(1, 50, 10, b"\0\0\xf1a" + E_ACUTE * 120 + b"\1\0\0\0\0"),
    "a text of three octets a letter": method(1, 50, 10, b"\0\0\xf0" + EURO * 80 + b"\1\0\0\0\0"),
    "a name that is no text": method(1, 60, 40, b"\0\0\2\xff\xfe\1q\0") + header(),
    "a long name that is no text": method(1, 60, 40, b"\0\0\xf0" + b"\xff" * 240 + b"\1q\0") + header(),
    "a name with a surrogate": method(1, 50, 10, b"\0\0\3\xed\xa0\x80\1\0\0\0\0"),
    "a name beyond Unicode": method(1, 50, 10, b"\0\0\4\xf4\x90\x80\x80\1\0\0\0\0"),
    "a frame of letters": framed(9, 0, E_ACUTE),
    "a frame of Latin letters": framed(9, 0, b"\xe9"),
    "a frame of wide letters": framed(9, 0, EURO * 8),
    "a frame of no letters": framed(9, 0, b"\x80\x81"),
    "a frame of sixteen Latin letters": framed(9, 0, bytes(range(200, 216))),
    "a wrong end behind letters": framed(1, 1, E_ACUTE * 8, b"\0"),
    "a wrong end behind wide letters": framed(1, 1, EURO * 5, b"\0"),
}
METHODS = {
    "credit to no one": method(1, 60, 200, b"\1a\0\0\0\1\0"),
    "credit that is cut": method(1, 60, 200, b"\1a"),
    "an exchange of no type": marshalled(1, Exchange.Declare(exchange="wire", exchange_type="")),
    "an exchange of an unknown type": marshalled(1, Exchange.Declare(exchange="wire", exchange_type="of-no-kind")),
    "the default exchange of an unknown type": marshalled(1, Exchange.Declare(exchange="", exchange_type="of-no-kind")),
    "a look at an exchange of an unknown type": marshalled(
        1, Exchange.Declare(exchange="nosuch", exchange_type="of-no-kind", passive=True)
    ),
    "a table that is cut": method(1, 50, 10, b"\0\0\2qq\0\0\0\0\5\1aI\0\1"),
    "a prefetch for the channel": marshalled(1, Basic.Qos(0, 2, True)),
    "access": method(1, 30, 10, b"\5/data\x1f"),
    "another secret": marshalled(0, Connection.UpdateSecret("new", "why")),
    "the answer to another secret": method(0, 10, 71),
    "unblocked": method(0, 10, 61),
    "a publish on channel 0": marshalled(0, Basic.Publish()) + header(0),
    "a publish to nowhere in a transaction": marshalled(1, Tx.Select()) + published(1, "nosuch", "q", b"x"),
    "tune-ok again": marshalled(0, Connection.TuneOk(2047, 131_072, 0)),
    "secure-ok": method(0, 10, 21, b"\0\0\0\0"),
    "close twice": marshalled(0, Connection.Close(200, "", 0, 0), Connection.Close(200, "", 0, 0)),
}
HEADERS = {
    "AMQP 0-9-1": PROTOCOL_HEADER,
    "AMQP 0-9": b"AMQP\1\1\0\x09",
    "AMQP 0-8": b"AMQP\1\1\x08\0",
    "AMQP 0-8 as clients ask for it": b"AMQP\1\1\x09\1",
    "AMQP 0-10": b"AMQP\1\1\0\x0a",
    "AMQP 0-9-0": b"AMQP\0\0\x09\0",
    "AMQP 0-9-2": b"AMQP\0\0\x09\2",
    "AMQP 0-10-0": b"AMQP\0\0\x0a\0",
    "AMQP 0-8-0": b"AMQP\0\0\x08\0",
    "TLS of AMQP 1.0": b"AMQP\2\1\0\0",
    "no protocol": b"amqp\0\0\x09\1",
    "HTTP": b"GET / HTTP/1.1\r\n",
    "TLS": b"\x16\3\1\0\x80\1\0\0",
}
AMQPLAIN = "\5LOGINS\0\0\0\5guest\x08PASSWORDS\0\0\0\5{}"
LOGINS = {
    "a login by PLAIN": ("PLAIN", "\0guest\0guest"),
    "a login by AMQPLAIN": ("AMQPLAIN", AMQPLAIN.format("guest")),
    "a login by ANONYMOUS": ("ANONYMOUS", ""),
    "a login by EXTERNAL": ("EXTERNAL", ""),
    "a login by plain": ("plain", "\0guest\0guest"),
    "a login by no mechanism": ("FOO", ""),
    "a wrong password": ("PLAIN", "\0guest\0wrong"),
    "a wrong password by AMQPLAIN": ("AMQPLAIN", AMQPLAIN.format("wrong")),
    "a response that cannot be read": ("AMQPLAIN", "abc"),
    "an identity besides": ("PLAIN", "me\0guest\0guest"),
}
TUNINGS = {
    "no limit of channels": (0, 131_072),
    "no limit of frames": (2047, 0),
    "more channels than offered": (2048, 131_072),
    "larger frames than offered": (2047, 131_073),
    "a frame_max that is too small": (2047, 4095),
    "the least that can be agreed": (1, 4096),
}
OTHERS = {
    "a wrong password and no capabilities": ("starting", marshalled(0, start_ok("\0guest\0wrong", capabilities=None))),
    "no such vhost": ("opening", marshalled(0, Connection.Open("nosuch"))),
    "no name of a vhost": ("opening", marshalled(0, Connection.Open(""))),
    "a vhost of many letters": ("opening", method(0, 10, 40, b"\xf0" + E_ACUTE * 120 + b"\0\0")),
    "a refused verb and more": ("channel", MISSING + DECLARE + published(1, "", "q", b"x")),
    "a return": ("channel", published(1, "", "nowhere", b"x" * 200_000, mandatory=True)),
    "too much of a body": ("channel", PUBLISH + header(size=1) + body(b"xx")),
    "an unknown class": ("channel", method(1, 99, 10)),
    "16 MiB and an octet": ("channel", published(1, "", "nowhere", b"x" * 16_777_217, mandatory=False)),
}


def cases() -> dict[str, tuple[str, bytes]]:
    """What is wrong: at which stage, and the octets."""
    return {
        **{name: ("channel", case[0]) for name, case in CONNECTION_ERRORS.items()},
        **{name: ("channel", case[0]) for name, case in FATAL_ERRORS.items()},
        **{f"{name}, {stage}": (stage, data) for name, data in WRONG_IN_HANDSHAKES.items() for stage in ("starting", "tuning")},
        **{f"{name}, opening": ("opening", data) for name, data in WRONG_IN_HANDSHAKES.items()},
        **{name: ("channel", octets) for name, octets in {**PROPERTIES, **TEXTS, **METHODS}.items()},
        **{name: ("header", octets) for name, octets in HEADERS.items()},
        **{name: ("starting", marshalled(0, start_ok(response, mechanism=how))) for name, (how, response) in LOGINS.items()},
        **{name: ("tuning", marshalled(0, Connection.TuneOk(*most, 0), Connection.Open("/"))) for name, most in TUNINGS.items()},
        **OTHERS,
    }


Heard = tuple[bytes, bool]


def ask_simbus(version: str, stage: str, data: bytes) -> Heard:
    """What simbus answers, and whether it hangs up at once."""
    client = at_stage(Wire(version=version), "running" if stage == "channel" else stage)
    if stage == "channel":
        client.raw(STAGES["channel"]).take()
    client.raw(data)
    return client.bytes(), client.session.closed


def ask_rabbitmq(address: tuple[str, int], stage: str, data: bytes, expected: Heard, patience: float) -> Heard:
    """What RabbitMQ answers, and whether it hangs up at once; both as ``comparable`` makes them."""
    with socket.create_connection(address, timeout=60) as connection:
        for name, octets in STAGES.items():
            if octets:
                connection.sendall(octets)
                if name != "opening":  # tune-ok has no answer
                    connection.recv(100_000)
            if name == stage:
                break
        with suppress(ConnectionError):  # it may hang up before it has read all; what it said can be read nevertheless
            connection.sendall(data)
        return _heard(connection, expected, patience)


def _heard(connection: socket.socket, expected: Heard, patience: float) -> Heard:
    octets, said = b"", comparable((b"", False))
    while not said[1]:
        connection.settimeout(MORE if said == expected else patience)
        try:
            piece = connection.recv(100_000)
        except TimeoutError:
            break
        except ConnectionError:
            piece = b""
        octets += piece
        said = comparable((octets, not piece))
    return said


def comparable(heard: Heard) -> Heard:
    """Without what is a node's own: its name and the order of its mechanisms, and with them the lengths of connection.start."""
    octets, hung_up = heard
    if octets[7:11] != b"\0\x0a\0\x0a":
        return heard
    octets = re.sub(rb"cluster_nameS\0\0\0.[a-z-]+@[a-z]+", b"cluster_name", octets, flags=re.DOTALL)
    octets = re.sub(rb"(?:ANONYMOUS|AMQPLAIN|PLAIN)(?: [A-Z]+)+", lambda found: b" ".join(sorted(found[0].split())), octets)
    return octets[:3] + octets[7:13] + octets[17:], hung_up


@dataclass
class Comparison:
    """A real broker, and the version that it is of."""

    address: tuple[str, int]
    version: str

    def differs(self, name: str, stage: str, data: bytes) -> bool:
        """Whether the two differ, and differ still when there is more time to answer; then both are printed."""
        ours = comparable(ask_simbus(self.version, stage, data))
        for patience in PATIENCE:
            theirs = ask_rabbitmq(self.address, stage, data, ours, patience)
            if ours == theirs:
                return False
        sys.stdout.write(f"{name}\n  simbus   {ours}\n  RabbitMQ {theirs}\n")
        return True


def main() -> int:
    """Compare; the number of differences is the exit code."""
    host, port, *versions = sys.argv[1:]
    version = versions[0] if versions else V4_0.name
    comparison = Comparison((host, int(port)), version)
    different = sum(comparison.differs(name, stage, data) for name, (stage, data) in cases().items())
    sys.stdout.write(f"{len(cases())} compared, {different} different\n")
    return different


if __name__ == "__main__":
    sys.exit(main())
