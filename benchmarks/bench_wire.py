"""Real clients against simbus and against a real RabbitMQ, side by side in one run on one machine: trust the ratios.

Usage: python benchmarks/bench_wire.py [--quick] [--only TEXT] [--against amqp://guest:guest@127.0.0.1:5672/]

Every round does one operation with one client against each server in turn, so that all see the same neighbours,
and what is printed are medians over the rounds: of the times, and of the ratios within a round. simbus serves from
this very process, from a thread beside the client's; ``canned`` answers from the same place without thinking, which is
as fast as the client can be there. Each round checks that the messages are where they belong.

The exit status is 1 when a limit is missed by more than ``MARGIN`` each time of ``TIMES``: a shared machine with two cores makes
medians of few rounds differ by a third, and stands still now and then. Each measurement is printed. Without ``--against``
nothing but the absolute limits is checked.
"""

import argparse
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count as counter
from os import cpu_count, getpid
from statistics import median
from threading import Event, Thread
from time import perf_counter
from unittest.mock import patch
from urllib.parse import urlsplit

import pika
from canned import Script, canned, record
from wire_clients import BODY, AioPika, Kombu, Operation, Pika

from simbus import RabbitMQ, server

MARGIN = 1.5
TIMES = 3
OURS, REAL, CANNED = "simbus", "RabbitMQ", "canned"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

numbers = counter(1)


@dataclass(frozen=True)
class Row:
    """One operation of one client.

    ``must`` and ``aim`` are what simbus's time may be as a share of RabbitMQ's; ``filled`` says that the queue holds the
    messages before, ``left`` that it holds them afterwards.
    """

    name: str
    operation: Operation
    must: float = 1.5
    aim: float = 1.0
    filled: bool = False
    left: bool = True
    single: bool = False


def rows() -> Iterator[Row]:
    """Every operation."""
    for name, client in {"pika": Pika(), "aio-pika": AioPika(), "kombu": Kombu()}.items():
        yield Row(f"{name}: a whole test", client.whole_test, 1.0, 0.5, left=False, single=True)
        yield Row(f"{name}: publish", client.publish)
        yield Row(f"{name}: publish, confirmed", client.confirmed)
        if isinstance(client, AioPika):
            yield Row(f"{name}: confirmed, 100 in flight", client.in_flight)
        yield Row(f"{name}: consume and ack", client.consume, filled=True, left=False)


# One operation against one server


def perform(row: Row, url: str, messages: int) -> float:
    """Seconds a message, or a whole test; asserts that every message is where it belongs."""
    queue = f"bench-{getpid():07d}-{next(numbers):07d}"
    if row.filled:
        fill(url, queue, messages)
    if row.single:
        tests = max(1, messages // 200)
        return median(row.operation(url, f"{queue}-{i:05d}", 1) for i in range(tests))
    took = row.operation(url, queue, messages)
    left = delete(url, queue)
    assert left == (messages if row.left else 0), f"{row.name}: {left} messages are left of {messages}"
    return took / messages


def against_ours(row: Row, messages: int) -> float:
    """As ``perform``, against a broker of its own, which tells what really happened."""
    with RabbitMQ() as rabbitmq:
        took = perform(row, rabbitmq.url, messages)
        published = len(rabbitmq.published)
        assert published == (max(1, messages // 200) if row.single else messages), f"{row.name}: {published} were published"
    return took


def against_canned(row: Row, messages: int, script: Script) -> float:
    """The same operation, answered without thinking."""
    with canned(script) as url:
        return row.operation(url, f"bench-{getpid():07d}-{0:07d}", messages) / messages


def recorded(row: Row, messages: int) -> Script:
    """What simbus says to that operation."""
    queue = f"bench-{getpid():07d}-{0:07d}"
    with RabbitMQ() as rabbitmq:
        if row.filled:
            fill(rabbitmq.url, queue, messages)
        return record(rabbitmq.url, lambda url: row.operation(url, queue, messages))


def fill(url: str, queue: str, messages: int) -> None:
    """Put messages into a new queue."""
    with channel(url) as made:
        made.queue_declare(queue)
        for _ in range(messages):
            made.basic_publish("", queue, BODY)
        while made.queue_declare(queue, passive=True).method.message_count < messages:
            pass


def delete(url: str, queue: str) -> int:
    """Delete a queue; how many messages it had."""
    with channel(url) as made:
        had: int = made.queue_delete(queue).method.message_count
    return had


@contextmanager
def channel(url: str) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    """A channel to prepare and to tidy up with."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    yield connection.channel()
    connection.close()


# Tables


def compare(real: str | None, only: str, messages: int, rounds: int) -> list[str]:
    """Measure and print the rows; what missed its limit by far."""
    print(f"{messages} messages of {len(BODY)} octets a round, medians of {rounds} rounds; a ratio below 1: simbus is faster\n")
    print(f"{'':32s}{REAL:>12s}{OURS:>12s}{CANNED:>12s}{'simbus /':>12s}{'simbus /':>10s}")
    print(f"{'':68s}{'RabbitMQ':>12s}{'canned':>10s}")
    chosen = [row for row in rows() if only in row.name]
    return [missed for row in chosen if (missed := always(lambda row=row: compare_row(row, real, messages, rounds)))]


def always(measure: Callable[[], str | None]) -> str | None:
    """What there is to complain of each time that it is measured."""
    for _ in range(TIMES):
        missed = measure()
        if missed is None:
            return None
    return missed


def compare_row(row: Row, real: str | None, messages: int, rounds: int) -> str | None:
    """Measure and print one row; what to complain of, if anything."""
    size = 1 if row.single else messages
    script = recorded(row, size)
    servers: dict[str, Callable[[], float]] = {
        OURS: lambda: against_ours(row, messages),
        CANNED: lambda: against_canned(row, size, script),
    }
    if real is not None:
        servers[REAL] = lambda: perform(row, real, messages)
    samples = [turn(servers, i) for i in range(rounds)]
    times = {name: median(sample[name] for sample in samples) for name in servers}
    to_canned = median(sample[OURS] / sample[CANNED] for sample in samples)
    columns = "".join(f"{shown(times.get(name), single=row.single):>12s}" for name in (REAL, OURS, CANNED))
    if real is None:
        print(f"{row.name:32s}{columns}{'':12s}{to_canned:10.2f}", flush=True)
        return None
    ratio = median(sample[OURS] / sample[REAL] for sample in samples)
    print(f"{row.name:32s}{columns}{ratio:12.2f}{to_canned:10.2f}  {verdict(ratio, row.must, row.aim)}", flush=True)
    return f"{row.name}: {ratio:.2f} times RabbitMQ's time, limit {row.must}" if ratio > row.must * MARGIN else None


def turn(servers: dict[str, Callable[[], float]], i: int) -> dict[str, float]:
    """One sample of each; who begins changes from round to round."""
    names = list(servers)
    return {name: servers[name]() for name in names[i % len(names) :] + names[: i % len(names)]}


def shown(seconds: float | None, *, single: bool) -> str:
    """A whole test's milliseconds, or messages a second."""
    if seconds is None:
        return "-"
    return f"{seconds * 1e3:.2f} ms" if single else f"{1 / seconds:,.0f}/s"


def verdict(value: float, must: float, aim: float | None) -> str:
    """In words."""
    if aim is not None and value <= aim:
        return f"aim of {aim} reached"
    return f"within the limit of {must}" if value <= must else f"MISSED the limit of {must}"


# What a test pays before its work


def first_connection() -> float:
    """Seconds from ``RabbitMQ()`` until the server has accepted a connection, which its first octets show."""
    began = perf_counter()
    with RabbitMQ() as rabbitmq:
        address = urlsplit(rabbitmq.url)
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(PROTOCOL_HEADER)
            client.recv(1)
            return perf_counter() - began


def fresh_broker() -> float:
    """Seconds that a test of its own broker costs, from its making until it is gone."""
    began = perf_counter()
    with RabbitMQ():
        pass
    return perf_counter() - began


def fresh_server() -> float:
    """The same when a client is told where to connect."""
    began = perf_counter()
    with RabbitMQ() as rabbitmq:
        assert rabbitmq.url
    return perf_counter() - began


def interpreter() -> float:
    """Seconds that the first use costs in a new interpreter, all imports included."""
    code = "from time import perf_counter as t; b = t(); import simbus; simbus.RabbitMQ().url; print(t() - b)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)  # noqa: S603


def start_up(rounds: int) -> list[str]:
    """Measure and print what comes before a test's work; what missed its limit by far."""
    print(f"\n{'medians of ' + str(rounds):54s}{'ms':>8s}")
    measured = (
        ("RabbitMQ() to the first accepted connection", first_connection, 5.0),
        ("a fresh broker for a test: RabbitMQ() to its close", fresh_broker, 1.0),
        ("the same with its server: RabbitMQ(), url, close", fresh_server, None),
    )
    missed = [missed for each in measured if (missed := always(lambda each=each: started(*each, rounds)))]
    print(f"{'once in a new interpreter: imports, RabbitMQ(), url':54s}{median(interpreter() for _ in range(5)) * 1e3:8.2f}")
    return missed


def started(name: str, act: Callable[[], float], limit: float | None, rounds: int) -> str | None:
    """Measure and print one of them; what to complain of, if anything."""
    took = median(act() for _ in range(rounds)) * 1e3
    print(f"{name:54s}{took:8.2f}{'' if limit is None else '  ' + verdict(took, limit, None)}", flush=True)
    return f"{name}: {took:.2f} ms, limit {limit}" if limit is not None and took > limit * MARGIN else None


# Why the server does what it does

NEVER = 1 << 60


def streams(messages: int, rounds: int) -> None:
    """Print publishes without confirms, read as they come and read by the millisecond."""
    print(f"\n{'publishes without confirms':40s}{'read at once':>14s}{'as it is':>12s}{'ratio of times':>16s}")
    for name, client in (("pika", Pika()), ("aio-pika", AioPika()), ("kombu", Kombu())):
        choices = (NEVER, server._STREAM)  # noqa: SLF001 - the benchmark may look inside
        samples = [[published_with(stream, client.publish, messages) for stream in choices] for _ in range(rounds)]
        once, ours = (shown(median(column), single=False) for column in zip(*samples, strict=True))
        print(f"  {name:38s}{once:>14s}{ours:>12s}{median(ours / once for once, ours in samples):16.2f}")


def published_with(stream: int, publish: Operation, messages: int) -> float:
    """Seconds a message, when so many reads without an answer make a stream."""
    with patch.object(server, "_STREAM", stream), RabbitMQ() as rabbitmq:
        return publish(rabbitmq.url, "bench", messages) / messages


INTERVALS = (0.005, 0.001, 0.0001)  # the first is CPython's default


def hand_overs(messages: int, rounds: int) -> None:
    """Print confirmed publishes at several switch intervals, alone and beside a thread that never waits."""
    print(f"\n{'confirmed publishes with pika, switch interval':54s}" + "".join(f"{each * 1e3:>10g} ms" for each in INTERVALS))
    for name, beside, count in (("alone", nullcontext, messages), ("beside a thread that never waits", spinning, messages // 20)):
        samples = [[confirmed_at(each, beside, count) for each in INTERVALS] for _ in range(rounds)]
        print(f"  {name:52s}" + "".join(f"{shown(median(column), single=False):>13s}" for column in zip(*samples, strict=True)))


def confirmed_at(interval: float, beside: Callable[[], AbstractContextManager[None]], messages: int) -> float:
    """Seconds a message."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        with RabbitMQ() as rabbitmq, beside():
            return Pika().confirmed(rabbitmq.url, "bench", messages) / messages
    finally:
        sys.setswitchinterval(usual)


@contextmanager
def spinning() -> Iterator[None]:
    """A thread that computes all the while, as a busy application's may."""
    done = Event()

    def spin() -> None:
        while not done.is_set():
            sum(range(100))

    thread = Thread(target=spin, daemon=True)
    thread.start()
    yield
    done.set()
    thread.join()


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description="Real clients against simbus and a real RabbitMQ, side by side.")
    parser.add_argument("--quick", action="store_true", help="fewer messages and rounds")
    parser.add_argument("--against", metavar="AMQP_URL", help="a real RabbitMQ")
    parser.add_argument("--only", metavar="TEXT", default="", help="the rows that hold this text, such as publish")
    given = parser.parse_args()
    print(f"CPython {platform.python_version()}, {cpu_count()} cores, switch interval {sys.getswitchinterval() * 1e3:g} ms")
    missed = compare(given.against, given.only, *((1000, 5) if given.quick else (4000, 11)))
    missed += start_up(20 if given.quick else 100)
    if not given.quick:
        streams(4000, 11)
        hand_overs(2000, 5)
    for text in missed:
        print(f"FAILED, by more than the margin of {MARGIN}: {text}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
