"""Fuzzing the wire: random and spoilt conversations of several clients with one broker.

    python -m tests.fuzz_wire --minutes 10 [--seed N]

For three quarters of the time the sessions, sans-IO, and then the server with real sockets, see ``fuzz_sockets``. A
case is a list of steps, data that prints and replays. After every step: nothing was raised, what is said are
well-formed frames (pamqp reads them), the broker's invariants hold, and nothing holds more than its limits allow. In the
end every session ends, and nothing of it is left. A case that fails is shrunk and printed with the command that repeats it.
"""

import argparse
import ast
import logging
import shlex
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from secrets import randbelow
from time import monotonic
from traceback import extract_tb, format_exc
from typing import Any

from pamqp import body, commands, constants, frame, header
from pamqp.commands import Basic, Channel
from pamqp.exceptions import UnmarshalingException

from simbus.rabbitmq.amqp.codec import encode_method
from simbus.rabbitmq.amqp.methods import BY_NAME
from simbus.rabbitmq.amqp.session import CLOSING_TIMEOUT, MOST_OWED, Session
from simbus.rabbitmq.versions import V4_0
from simbus.units import SECOND
from tests import fuzz_programs
from tests.fuzz_sockets import fuzz_sockets
from tests.wire import Wire

Step = tuple[Any, ...]
Case = list[Step]
LONGEST = 20  # seconds for one case, which takes some milliseconds: more is a hang
WITH_CONTENT = (Basic.Deliver, Basic.Return, Basic.GetOk)


class Hang(Exception):
    """A case does not come to its end."""


# Cases


def case_of(seed: int) -> Case:
    """The case with this number: what clients send, in pieces, mixed with each other and with whatever else happens."""
    random = Random(seed)  # noqa: S311 - no secret
    queues = [_said_by(random, client) for client in range(random.choice((1, 2)))]
    steps: Case = [("feed", 2, b"".join(fuzz_programs.setting(random)))] if random.random() < 0.9 else []
    while queues := [queue for queue in queues if queue]:
        steps.append(random.choice(queues).pop(0))
        if random.random() < 0.15:
            steps.append(_event(random))
    return steps


def _said_by(random: Random, client: int) -> Case:
    if random.random() < 0.03:
        octets = random.randbytes(random.randrange(300))
    else:
        said = fuzz_programs.program(random, random.choice((5, 15, 40)))
        fuzz_programs.spoil(random, said, random.choice((0, 0, 1, 2, 5)))
        octets = b"".join(said)
    return [("feed", client, piece) for piece in fuzz_programs.pieces(random, octets)]


def _event(random: Random) -> Step:
    client = random.randrange(3)
    events: tuple[Step, ...] = (
        *(("take", client), ("take", client), ("take", client), ("broker_time", random.choice((1, 10**7, 10**11)))),
        *(("transport_time", random.choice((0, 1, 5, 40))), random.choice((("block",), ("unblock",), ("unblock",)))),
        *(("settle", client, random.choice(("ack", "nack", "reject")), random.random() < 0.3) for _ in range(3)),
    )
    return (
        random.choice((("lose", client), ("restart",), ("shut_down", client))) if random.random() < 0.1 else random.choice(events)
    )


# A case at work


class Ear:
    """A client's ear: it reads with pamqp what a server says, and minds the order of contents."""

    def __init__(self) -> None:
        self.frame_max = 0
        self._unread = b""
        self._left: dict[int, int | None] = {}  # by channel, what of its content is due; None: the header
        self.deliveries: list[tuple[int, int]] = []  # channel and tag

    def hear(self, said: bytes) -> None:
        """Octets arrive; what is said at once ends with a frame's end."""
        self._unread += said
        while self._unread:
            size, channel, read = _read(self._unread)
            self._unread = self._unread[size:]
            self._mind(channel, read, size)

    def _mind(self, channel: int, read: Any, size: int) -> None:
        if isinstance(read, header.ContentHeader):
            assert self._left.pop(channel) is None, "a header that nothing announced"
            if read.body_size:
                self._left[channel] = read.body_size
        elif isinstance(read, body.ContentBody):
            assert size <= (self.frame_max or size), f"a frame of {size} octets, above the agreed {self.frame_max}"
            left = self._left.pop(channel)
            assert left is not None
            assert left >= len(read.value) > 0, "a body that nothing announced"
            if left > len(read.value):
                self._left[channel] = left - len(read.value)
        else:
            assert not self._left, "another frame within a content"
            if isinstance(read, WITH_CONTENT):
                self._left[channel] = None
            if isinstance(read, Basic.Deliver | Basic.GetOk) and read.delivery_tag is not None:
                self.deliveries.append((channel, read.delivery_tag))
            if isinstance(read, Channel.Close):
                self.deliveries = [delivery for delivery in self.deliveries if delivery[0] != channel]


def _read(octets: bytes) -> tuple[int, int, Any]:
    """A frame as pamqp reads it, which knows no access.request-ok, no time after 9999 and no text but UTF-8."""
    kind, channel, size = struct.unpack_from(">BHI", octets)
    assert octets.startswith(b"AMQP") or octets[7 + size] == constants.FRAME_END
    try:
        return frame.unmarshal(octets)
    except (UnicodeDecodeError, UnmarshalingException):
        return size + 8, channel, _read_roughly(kind, octets)


def _read_roughly(kind: int, octets: bytes) -> Any:
    ids = octets[7:11]
    if kind == constants.FRAME_HEADER:
        return header.ContentHeader(0, struct.unpack_from(">Q", octets, 11)[0])
    assert kind == constants.FRAME_METHOD
    known = commands.INDEX_MAPPING.get(int.from_bytes(ids))
    assert known is not None or ids == b"\0\x1e\0\x0b"
    return known and known()


class World:
    """One broker and its sessions, to which a case happens."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.sessions: dict[int, Session] = {}
        self.ears: dict[int, Ear] = {}
        self.waiting: dict[int, bytes] = {}  # what a client has sent while the session did not want to read
        self.last_words: set[int] = set()

    def run(self, case: Case) -> None:
        """Let everything happen; AssertionError or whatever else a defect raises."""
        for step in case:
            getattr(self, step[0])(*step[1:])
            self.check()
        self.end()

    # Steps

    def feed(self, client: int, octets: bytes) -> None:
        """A client sends."""
        session = self._session(client)
        self.waiting[client] += octets
        if session.reading:
            octets, self.waiting[client] = self.waiting[client], b""
            session.advance(self.wire.now)
            session.receive(octets)

    def take(self, client: int) -> None:
        """The transport sends what the session has to say."""
        session = self._session(client)
        self.ears[client].frame_max = session._frames.frame_max
        said = session.bytes_to_send()
        assert not (said and client in self.last_words), "a closed session goes on talking"
        self.ears[client].hear(said)
        if session.closed:
            self.last_words.add(client)

    def settle(self, client: int, verb: str, multiple: bool) -> None:
        """A client settles the last delivery of which it has heard, unless it is in the middle of a frame."""
        self.take(client)
        session, deliveries = self.sessions[client], self.ears[client].deliveries
        if deliveries and session.reading and not session._frames.pending and not self.waiting[client]:
            channel, tag = deliveries.pop()
            requeue = tag % 2 == 0
            arguments = {"ack": (tag, multiple), "nack": (tag, multiple, requeue), "reject": (tag, requeue)}[verb]
            self.feed(client, encode_method(channel, BY_NAME[f"basic.{verb}"], *arguments))

    def broker_time(self, nanoseconds: int) -> None:
        """The broker's clock goes on."""
        self.wire.clock.run_until(self.wire.clock.now + nanoseconds)

    def transport_time(self, seconds: int) -> None:
        """The transport's clock goes on."""
        self.wire.wait(seconds)

    def block(self) -> None:
        """An alarm."""
        self.wire.broker.block()
        self.wire.observe()

    def unblock(self) -> None:
        """The end of all alarms."""
        self.wire.broker.unblock()
        self.wire.observe()

    def lose(self, client: int) -> None:
        """A client is gone, and its successor comes when it next has something to say."""
        session = self._session(client)
        session.connection_lost()
        self.take(client)
        assert session.closed
        del self.sessions[client]

    def restart(self) -> None:
        """The broker restarts."""
        self.wire.restart()
        self.wire.observe()

    def shut_down(self, client: int) -> None:
        """An operator closes a connection."""
        self._session(client).shut_down()

    def _session(self, client: int) -> Session:
        if client not in self.sessions:
            self.sessions[client] = self.wire.session()
            self.ears[client], self.waiting[client] = Ear(), b""
            self.last_words.discard(client)
        return self.sessions[client]

    # What must hold

    def check(self) -> None:
        """After every step."""
        self.wire.broker.check()
        for session in self.sessions.values():
            _check_memory(session)

    def end(self) -> None:
        """Those that are to be hung up on are, and then the others leave; nothing is left of them."""
        self.unblock()
        self.wire.wait(3 * 60 + 1)
        self.wire.wait(CLOSING_TIMEOUT / SECOND)  # what one held whom the wait has ended can make another stumble
        for client, session in list(self.sessions.items()):
            idle = session._stage == "running" and session._heartbeats is None
            patient = session._heartbeat * 3 > 3 * 60
            assert session.closed or idle or patient, f"nobody ends a session that is {session._stage}"
            self.lose(client)
        self.wire.observe()
        self._check_nothing_is_left()

    def _check_nothing_is_left(self) -> None:
        broker = self.wire.broker
        broker.check()
        assert broker.connections == []
        assert self.wire.clock._listeners == {}
        for queue in broker.vhost().queues.values():
            assert queue.owner is None, f"the exclusive queue {queue.name} has outlived its connection"
            assert not queue.consumers
            assert not queue.unacked


def _check_memory(session: Session) -> None:
    if session.reading and not session._resume:
        assert session._frames.pending <= session._frames.frame_max + 8
    assert len(session._channels) <= session._channel_max
    assert session._link is None or not session._full or session._link.owed > MOST_OWED
    for channel in session._channels.values():
        assert len(channel._assembler._body) <= V4_0.max_message_size
    if session.closed:
        assert session.next_deadline is None
        assert not session._channels


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong: what and ``where`` tell one defect from another, ``text`` is for people."""

    kind: str
    where: tuple[str, int]
    text: str = field(compare=False)


def failure(case: Case) -> Failure | None:
    """What goes wrong with a case, if anything does."""
    try:
        with at_most(LONGEST):
            World().run(case)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a defect
        innermost = extract_tb(error.__traceback__)[-1]
        return Failure(type(error).__name__, (innermost.filename, innermost.lineno or 0), format_exc())
    return None


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise Hang when it takes longer, where there are such signals."""

    def hang(*_: object) -> None:
        raise Hang(f"not at its end after {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Failures


def shrunk(case: Case, fails: Callable[[Case], object]) -> Case:
    """A smaller case that fails too: steps are left out in halves, quarters and so on, as long as that helps."""
    size = len(case) // 2
    while size:
        for at in range(len(case) - size, -1, -size):
            less = case[:at] + case[at + size :]
            if fails(less):
                case = less
        size //= 2
    return case


def _joined(case: Case) -> Case:
    """What one client sends in pieces is one piece where nothing lies in between."""
    joined: Case = []
    for step in case:
        if joined and step[0] == joined[-1][0] == "feed" and step[1] == joined[-1][1]:
            joined[-1] = ("feed", step[1], joined[-1][2] + step[2])
        else:
            joined.append(step)
    return joined


def _framed(case: Case) -> Case:
    """The same octets, cut where frames seem to end, so that shrinking leaves out frames."""
    steps: Case = []
    for step in _joined(case):
        if step[0] == "feed":
            steps += [("feed", step[1], piece) for piece in _split(step[2])]
        else:
            steps.append(step)
    return steps


def _split(octets: bytes) -> list[bytes]:
    cut, at = [], 0
    if octets.startswith(b"AMQP"):
        cut, at = [octets[:8]], 8
    while at + 7 <= len(octets):
        end = at + 8 + struct.unpack_from(">I", octets, at + 3)[0]
        if octets[end - 1 : end] != b"\xce":
            break
        cut.append(octets[at:end])
        at = end
    return [*cut, octets[at:]] if at < len(octets) else cut


def report(case: Case) -> str:
    """A failing case, shrunk, with what happens and the command that repeats it."""
    found = failure(case)
    assert found is not None
    if found.kind != Hang.__name__:
        case = next((variant for variant in (_framed(case), case) if failure(variant) == found), case)
        case = _joined(shrunk(case, lambda less: failure(less) == found))
        found = failure(case) or found
    return f"{found.text}\npython -m tests.fuzz_wire --replay {shlex.quote(repr(case))}\n"


# The command


def fuzz_sessions(seed: int, until: Callable[[int], bool]) -> tuple[Counter[str], list[str]]:
    """Cases from ``seed`` on, until told to stop; what was done, and the reports of what failed."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    while not until(counts["cases"]) and len(failures) < 5:
        case = case_of(seed + counts["cases"])
        counts["cases"] += 1
        counts["steps"] += len(case)
        counts["octets"] += sum(len(step[2]) for step in case if step[0] == "feed")
        if failure(case) is not None:
            failures.append(report(case))
    return counts, failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz for some minutes; 1 when anything has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_wire", description="Fuzz the sessions and the server.")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=None, help="of the first case; another one each time unless given")
    parser.add_argument("--replay", metavar="CASE", help="run one case of the sessions, as it was printed")
    options = parser.parse_args(arguments)
    if options.replay is not None:
        World().run(ast.literal_eval(options.replay))
        return 0
    seed = randbelow(10**9) if options.seed is None else options.seed
    say(f"seed {seed}; to repeat it: python -m tests.fuzz_wire --minutes {options.minutes:g} --seed {seed}")
    failed = sessions_for(options.minutes * 45, seed)  # three quarters of the time
    return 1 if sockets_for(options.minutes * 15, seed) or failed else 0


def sessions_for(seconds: float, seed: int) -> bool:
    """Fuzz the sessions; whether anything failed."""
    began = monotonic()
    counts, failures = fuzz_sessions(seed, lambda _: monotonic() - began > seconds)
    took = monotonic() - began
    rates = f"{counts['cases'] / took:.0f} cases/s, {counts['octets'] / took / 1e6:.1f} MB/s"
    say(f"sessions: {counts['cases']:,} cases, {counts['steps']:,} steps, {counts['octets']:,} octets in {took:.0f} s ({rates})")
    say(f"sessions: {len(failures)} failed", *failures)
    return bool(failures)


def sockets_for(seconds: float, seed: int) -> bool:
    """Fuzz the server; whether anything failed."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    began = monotonic()
    try:
        counts = fuzz_sockets(seed, lambda _: monotonic() - began > seconds)
    except Exception:  # noqa: BLE001 - whatever it is, it is a defect
        say(f"sockets: failed after {monotonic() - began:.0f} s", format_exc())
        return True
    took = monotonic() - began
    done = f"{counts['rounds']:,} rounds, {counts['clients']:,} clients, {counts['octets']:,} octets"
    say(f"sockets: {done} in {took:.0f} s ({counts['clients'] / took:.0f} clients/s), {counts['objects more']:,} objects more")
    say("sockets: 0 failed")
    return False


def say(*lines: str) -> None:
    """Print, at once."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
