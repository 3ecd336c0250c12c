"""The model by itself, in process and without a wire: what a message costs, and what grows with what it should not.

Usage: python benchmarks/bench_model.py [--quick]

The yardstick is ``small_broker.py``: what publish, deliver and acknowledge cost in CPython when a broker does hardly
anything else. It and simbus take turns in one run, so that both see the same neighbours, and the best of all turns
counts: trust the ratios, not the times. What must not grow is measured small and large, as the time of one message.

The exit status is 1 when a limit is broken.
"""

import argparse
import gc
import platform
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter_ns

import small_broker

from simbus import RabbitMQ
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.units import MILLISECOND

# The yardstick is not ours to change.
YARDSTICK_SHA256 = "039a330622b1a57e28cbc18eb82fd0ecdd73dc7b7efb51134daae1aabdcfae6a"

COST = 3.0  # times the yardstick
GROWTH = 3.0  # the time of a message among ten times as many: more are farther apart in memory; quadratic would be 10
ROUTING_GROWTH = 1.5  # the same among a hundred times as many bindings that do not match
FRESH_US = 200.0

BATCH = 1_000  # publishes between two looks of the driver, which takes the effects


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, twice where it is compared, and the limit of what came out of it."""

    name: str
    small: str
    large: str
    result: float
    limit: float

    @property
    def broken(self) -> bool:
        """Whether the result is beyond its limit."""
        return self.result > self.limit

    def __str__(self) -> str:
        verdict = "BROKEN, the limit is" if self.broken else "within"
        return f"{self.name:58s}{self.small:>12s}{self.large:>12s}{self.result:>9.2f}  {verdict} {self.limit:g}"


def nanoseconds(act: Callable[[], object], count: int) -> float:
    """The time of one of so many things that an act does."""
    gc.collect()
    began = perf_counter_ns()
    act()
    return (perf_counter_ns() - began) / count


def best(of: Callable[[int], Callable[[], object]], counts: tuple[int, int], times: int) -> tuple[float, float]:
    """The best times of one message at two counts, which take turns; each time it is prepared anew."""
    pairs = [[nanoseconds(of(count), count) for count in counts] for _ in range(times)]
    small, large = (min(column) for column in zip(*pairs, strict=True))
    return small, large


# What a message costs, beside the yardstick: the same loop drives both


def by_turns(publish: Callable[[], object], ack: Callable[[int], object], take: Callable[[], object], count: int) -> None:
    """Each message is acknowledged before the next one is published."""
    for tag in range(1, count + 1):
        publish()
        ack(tag)
        take()


def backlog(publish: Callable[[], object], ack: Callable[[int], object], take: Callable[[], object], count: int) -> None:
    """All are published first; the consumer may hold a hundred of them."""
    for _ in range(count):
        publish()
    for tag in range(1, count + 1):
        ack(tag)
    take()


Loop = Callable[[Callable[[], object], Callable[[int], object], Callable[[], object], int], None]
BODY = b"x"


def yardstick(loop: Loop, count: int) -> float:
    """Nanoseconds a message with the small broker."""
    broker = small_broker.Broker()
    broker.declare("q")
    broker.consume("q", 100)
    return nanoseconds(lambda: loop(lambda: broker.publish("q", BODY), broker.ack, broker.take_effects, count), count)


def ours(loop: Loop, count: int) -> float:
    """Nanoseconds a message with simbus."""
    broker, channel = fresh()
    channel.qos(100)
    channel.consume("q", "c")
    broker.take_effects()
    took = nanoseconds(lambda: loop(lambda: channel.publish("", "q", BODY), channel.ack, broker.take_effects, count), count)
    assert channel.vhost.queues["q"].ledger.acked == count, "every message was acknowledged"
    return took


def costs(rounds: int) -> Iterator[Row]:
    """Publish, deliver and acknowledge, as a multiple of the yardstick."""
    for name, loop in (("one by one", by_turns), ("from a backlog", backlog)):
        pairs = [(yardstick(loop, BATCH), ours(loop, BATCH)) for _ in range(rounds)]
        small, large = (min(column) for column in zip(*pairs, strict=True))
        yield Row(f"publish, deliver, ack: {name}", micro(small), micro(large), large / small, COST)


# Routing beside bindings that do not match


def bound(type: str, patterns: Iterable[str]) -> tuple[Broker, Channel]:
    """A broker with the exchange ``shop``: these bindings lead elsewhere, and ``order.*.placed`` to the queue q."""
    broker, channel = fresh()
    channel.exchange_declare("shop", type)
    channel.queue_declare("elsewhere")
    for pattern in patterns:
        channel.queue_bind("elsewhere", "shop", pattern)
    channel.queue_bind("q", "shop", "order.*.placed")
    return broker, channel


def patterns(count: int) -> Iterator[str]:
    """Patterns that no ``order.<number>.placed`` matches."""
    shapes = ("order.eu-{}.placed", "*.*.cancelled-{}", "stock-{}.#", "#.returned-{}", "order.*.#.paid-{}")
    return (shapes[i % len(shapes)].format(i) for i in range(count))


KEYS = 200  # of a round, all of them new, since an exchange may remember its answers

Round = Callable[[int], float]


def routed(type: str, bindings: int) -> Round:
    """Nanoseconds to publish a message with a key that the exchange has not seen."""
    broker, channel = bound(type, patterns(bindings))

    def run(number: int) -> float:
        keys = [f"order.{number}-{i}.placed" for i in range(KEYS)]
        if type == "direct":
            for key in keys:
                channel.queue_bind("q", "shop", key)
        return nanoseconds(lambda: [channel.publish("shop", key, BODY) for key in keys], KEYS)

    return emptied(broker, channel, run)


def rebound(type: str, bindings: int) -> Round:
    """Nanoseconds to add a binding, publish a message by it, and remove it."""
    broker, channel = bound(type, patterns(bindings))

    def act() -> None:
        for i in range(KEYS):
            channel.queue_bind("q", "shop", f"gift.{i}")
            channel.publish("shop", f"gift.{i}", BODY)
            channel.queue_unbind("q", "shop", f"gift.{i}")

    return emptied(broker, channel, lambda _: nanoseconds(act, KEYS))


def emptied(broker: Broker, channel: Channel, run: Round) -> Round:
    """A round that finds and leaves the queue empty; what the exchange is made of is no garbage to look through."""

    def measured(number: int) -> float:
        gc.collect()
        gc.freeze()
        took = run(number)
        gc.unfreeze()
        assert channel.queue_purge("q") == KEYS, "every message was routed"
        broker.take_effects()
        return took

    return measured


def routing(rounds: int) -> Iterator[Row]:
    """One message with 100 bindings that do not match, and with 10,000."""
    for name, type, measure in (
        ("topic", "topic", routed),
        ("topic, bound and unbound", "topic", rebound),
        ("direct", "direct", routed),
    ):
        few, many = measure(type, 100), measure(type, 10_000)
        pairs = [(few(number), many(number)) for number in range(rounds)]
        small, large = (min(column) for column in zip(*pairs, strict=True))
        yield Row(f"{name}: 100 and 10,000 other bindings", micro(small), micro(large), large / small, ROUTING_GROWTH)


# Long queues


def fresh() -> tuple[Broker, Channel]:
    """A broker with a queue q, and a channel."""
    broker = Broker()
    channel = broker.open_connection().open_channel()
    channel.queue_declare("q")
    return broker, channel


def filled(count: int, tick: int = 0, **arguments: object) -> tuple[Broker, Channel]:
    """A durable queue ``long`` of so many ready messages, each so many nanoseconds after the one before."""
    broker, channel = fresh()
    channel.queue_declare("long", durable=True, arguments={f"x-{name.replace('_', '-')}": to for name, to in arguments.items()})
    for number in range(count):
        if tick:
            broker.advance(broker.now + tick)
        channel.publish("", "long", b"%d" % number)
        if not number % BATCH:
            broker.take_effects()
    broker.take_effects()
    return broker, channel


def held(count: int, type: str) -> tuple[Broker, Channel]:
    """The same, with its first half unacked and nobody who consumes it."""
    broker, channel = filled(count, queue_type=type)
    channel.qos(count // 2)
    channel.consume("long", "c")
    channel.cancel("c")
    broker.take_effects()
    return broker, channel


def requeued(order: Callable[[int], Iterable[int]], type: str = "classic") -> Callable[[int], Callable[[], None]]:
    """Requeue half of a queue one by one, in this order of delivery tags."""

    def of(count: int) -> Callable[[], None]:
        broker, channel = held(count, type)
        tags = list(order(count // 2))

        def act() -> None:
            for tag in tags:
                channel.nack(tag)
                if not tag % BATCH:
                    broker.take_effects()
            assert_ready(channel, count)

        return act

    return of


def requeued_at_once(count: int) -> Callable[[], None]:
    """Requeue half of a queue with one nack."""
    _, channel = held(count, "classic")

    def act() -> None:
        channel.nack(0, multiple=True)
        assert_ready(channel, count)

    return act


def assert_ready(channel: Channel, count: int) -> None:
    """So many messages are ready, those that were published first before the others."""
    assert channel.queue_declare("long", passive=True).message_count == count
    got = channel.get("long", no_ack=True)
    assert got is not None
    assert int(got.delivery.message.body) < count // 2


def expired(count: int) -> Callable[[], None]:
    """All messages expire at the same instant."""
    broker, channel = filled(count, message_ttl=1)

    def act() -> None:
        broker.advance(MILLISECOND)
        assert channel.queue_declare("long", passive=True).message_count == 0

    return act


def expired_in_turn(count: int) -> Callable[[], None]:
    """Each message expires at an instant of its own."""
    broker, channel = filled(count, tick=1, message_ttl=10)

    def act() -> None:
        while (deadline := broker.next_deadline) is not None:
            broker.advance(deadline)
        assert channel.queue_declare("long", passive=True).message_count == 0

    return act


def dead_lettered(count: int) -> Callable[[], None]:
    """All expire at the same instant and go to another queue."""
    broker, channel = filled(count, message_ttl=1, dead_letter_exchange="", dead_letter_routing_key="q")

    def act() -> None:
        broker.advance(MILLISECOND)
        assert channel.queue_declare("q", passive=True).message_count == count

    return act


def purged(count: int) -> Callable[[], None]:
    """A purge."""
    _, channel = filled(count)

    def act() -> None:
        assert channel.queue_purge("long") == count

    return act


def shuffled(count: int) -> list[int]:
    """Delivery tags in an order that is the same in every run."""
    tags = list(range(1, count + 1))
    Random(count).shuffle(tags)  # noqa: S311 - an order, not a secret
    return tags


LONG: dict[str, Callable[[int], Callable[[], None]]] = {
    "requeued in order": requeued(lambda count: range(1, count + 1)),
    "requeued in reverse": requeued(lambda count: range(count, 0, -1)),
    "requeued in random order": requeued(shuffled),
    "requeued at once": requeued_at_once,
    "requeued in order, quorum": requeued(lambda count: range(1, count + 1), "quorum"),
    "expired at once": expired,
    "expired one by one": expired_in_turn,
    "expired and dead-lettered": dead_lettered,
    "purged": purged,
}


def long_queues(counts: tuple[int, int], times: int) -> Iterator[Row]:
    """The time of one message in a short and in a long queue."""
    for name, of in LONG.items():
        small, large = best(of, counts, times)
        yield Row(f"{name}: {counts[0]:,} and {counts[1]:,}", micro(small), micro(large), large / small, GROWTH)


def memory(counts: tuple[int, int]) -> Iterator[Row]:
    """What a ready message takes, and what is left of all of them after a purge."""
    (small, _), (large, left) = (octets(count) for count in counts)
    shown = f"{small:.0f} B", f"{large:.0f} B"
    yield Row(f"memory of a ready message: {counts[0]:,} and {counts[1]:,}", *shown, large / small, GROWTH)
    yield Row("memory left of a message after a purge, share", "", f"{left:.0f} B", left / large, 0.01)


def octets(count: int) -> tuple[float, float]:
    """Octets that a message takes while it is ready, and when it was purged."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    broker, channel = filled(count)
    full = tracemalloc.get_traced_memory()[0] - before
    channel.queue_purge("long")
    broker.take_effects()
    left = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return full / count, left / count


# A fresh broker


def fresh_fake(times: int) -> Row:
    """The median of a fake's making and closing."""
    took = median(nanoseconds(lambda: [RabbitMQ().close() for _ in range(10)], 10) for _ in range(times)) / 1000
    return Row("RabbitMQ() and its close(), in us", "", micro(took * 1000), took, FRESH_US)


# The table


def micro(time: float) -> str:
    """A time of nanoseconds."""
    return f"{time / 1000:.2f} us"


def check_yardstick() -> None:
    """A yardstick that was changed measures nothing."""
    found = sha256((Path(__file__).parent / "small_broker.py").read_bytes()).hexdigest()
    if found != YARDSTICK_SHA256:
        sys.exit(f"benchmarks/small_broker.py was changed: its SHA-256 is {found}, not {YARDSTICK_SHA256}")


def rows(*, quick: bool) -> Iterator[Row]:
    """Every row, as it is measured."""
    counts = (20_000, 200_000) if quick else (100_000, 1_000_000)
    yield from costs(100 if quick else 400)
    yield fresh_fake(50 if quick else 500)
    yield from routing(20 if quick else 100)
    yield from long_queues(counts, 2)
    yield from memory(counts)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description="What a message costs in the model, and what must not grow.")
    parser.add_argument("--quick", action="store_true", help="shorter queues and fewer rounds")
    given = parser.parse_args()
    check_yardstick()
    gc.collect()
    gc.freeze()  # what was imported is no garbage: no collection has to walk through it
    print(f"CPython {platform.python_version()}; a message's time, and their ratio\n")
    broken = 0
    for row in rows(quick=given.quick):
        print(row, flush=True)
        broken += row.broken
    print(f"\n{broken} limits are broken" if broken else "\nevery limit holds")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
