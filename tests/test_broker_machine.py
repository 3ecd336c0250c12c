"""Random programs of AMQP's verbs: after every step the broker's own books and an independent ledger balance."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simbus.effects import Delivered
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import ChannelError
from simbus.rabbitmq.messages import Properties
from simbus.units import MILLISECOND
from tests.brokers import snapshot
from tests.ledger import Ledger

QUEUES = ("a", "b", "c", "d")
EXCHANGES = ("direct", "fanout", "topic", "headers")

slots = st.integers(0, 3)
exchanges = st.sampled_from(EXCHANGES)
queue_names = st.sampled_from(QUEUES)
keys = st.sampled_from([*QUEUES, "a.b", "a.#", "*", "#", "", "nosuch"])
ttls = st.sampled_from([0, 1, 5, 20])
matches = st.sampled_from(["all", "any"])
arguments = st.fixed_dictionaries(
    {"x-queue-type": st.sampled_from(["classic", "quorum"])},
    optional={
        "x-message-ttl": ttls,
        "x-max-length": st.integers(0, 3),
        "x-max-length-bytes": st.integers(0, 12),
        "x-overflow": st.sampled_from(["drop-head", "reject-publish", "reject-publish-dlx"]),
        "x-dead-letter-exchange": st.sampled_from(["", *EXCHANGES, "nosuch"]),
        "dead-letter-routing-key": queue_names,
        "delivery-limit": st.integers(-1, 2),
    },
)


def consistent(table):
    """Only arguments that go together: a dead-letter routing key with its exchange, a delivery limit in a quorum queue."""
    table = dict(table)
    key, limit = table.pop("dead-letter-routing-key", None), table.pop("delivery-limit", None)
    if key is not None and "x-dead-letter-exchange" in table:
        table["x-dead-letter-routing-key"] = key
    if limit is not None and table["x-queue-type"] == "quorum":
        table["x-delivery-limit"] = limit
    return table


properties = st.builds(
    Properties,
    expiration=st.none() | ttls.map(str),
    headers=st.none()
    | st.dictionaries(st.sampled_from(["h", "x-first-death-reason"]), st.sampled_from([1, "1", "rejected"]), max_size=2),
)


class Programs(RuleBasedStateMachine):
    """Several connections and channels at work on four queues that come, go, and dead-letter to one another."""

    def __init__(self):
        super().__init__()
        self.broker = Broker()
        self.message_ttl: dict[str, int] = {}
        self.ledger = Ledger(self.message_ttl)
        self.delivery_tags: dict[int, list[int]] = {}
        self.admin = self.broker.open_connection().open_channel()

    @initialize(tables=st.tuples(*[arguments] * len(QUEUES)))
    def begin(self, tables):
        for name in EXCHANGES:
            self.admin.exchange_declare(name, name)
        for queue, table in zip(QUEUES, tables, strict=True):
            self.declare(queue, table)
        connections = [self.broker.open_connection() for _ in range(2)]
        self.channels = [connection.open_channel() for connection in connections for _ in range(2)]

    def settle_accounts(self):
        effects = self.broker.take_effects()
        self.ledger.feed(effects)
        for effect in effects:
            if isinstance(effect, Delivered):
                self.delivery_tags.setdefault(effect.channel, []).append(effect.delivery_tag)

    # Topology

    @rule(queue=queue_names, table=arguments)
    def declare(self, queue, table):
        if queue not in self.broker.vhost().queues:
            table = consistent(table)
            self.admin.queue_declare(queue, durable=True, arguments=table)
            self.message_ttl.pop(queue, None)
            if "x-message-ttl" in table:
                self.message_ttl[queue] = table["x-message-ttl"] * MILLISECOND

    @rule(queue=queue_names, exchange=exchanges, key=keys, value=st.none() | st.integers(1, 2), match=matches)
    def bind(self, queue, exchange, key, value, match):
        table = {} if value is None else {"x-match": match, "h": value}
        with contextlib.suppress(ChannelError):  # there may be no such queue
            self.admin.queue_bind(queue, exchange, key, table)

    @rule(queue=queue_names, exchange=exchanges, key=keys)
    def unbind(self, queue, exchange, key):
        self.admin.queue_unbind(queue, exchange, key)

    @rule(queue=queue_names)
    def delete(self, queue):
        self.admin.queue_delete(queue)

    @rule(queue=queue_names)
    def purge(self, queue):
        if queue in self.broker.vhost().queues:
            self.admin.queue_purge(queue)

    # Work

    @rule(slot=slots, exchange=st.just("") | exchanges, key=keys, properties=properties, size=st.integers(0, 6))
    def publish(self, slot, exchange, key, properties, size):
        self.channels[slot].publish(exchange, key, b"x" * size, properties, mandatory=size % 2 == 0)

    @rule(slot=slots, queue=queue_names, size=st.integers(0, 3), count=st.integers(2, 6))
    def publish_many(self, slot, queue, size, count):
        for _ in range(count):
            self.channels[slot].publish("", queue, b"x" * size)

    @rule(slot=slots, queue=queue_names, prefetch=st.integers(0, 3), no_ack=st.sampled_from([False, False, False, True]))
    def consume(self, slot, queue, prefetch, no_ack):
        channel = self.channels[slot]
        if queue in self.broker.vhost().queues and len(channel.consumers) < 4:
            channel.qos(prefetch)
            channel.consume(queue, no_ack=no_ack)

    @rule(slot=slots, data=st.data())
    def cancel(self, slot, data):
        channel = self.channels[slot]
        channel.cancel(data.draw(st.sampled_from([*channel.consumers, "nosuch"])))

    @rule(slot=slots, queue=queue_names, no_ack=st.booleans())
    def get(self, slot, queue, no_ack):
        if queue in self.broker.vhost().queues:
            self.channels[slot].get(queue, no_ack=no_ack)

    @rule(slot=slots, how=st.sampled_from(["ack", "reject", "requeue"]), multiple=st.booleans(), data=st.data())
    def settle(self, slot, how, multiple, data):
        """A tag that is outstanding, or one that is not (any more): it is refused and changes nothing."""
        channel = self.channels[slot]
        tag = data.draw(st.sampled_from([*self.delivery_tags.get(channel.number, [])[-8:], 0]))
        known = tag in channel.unacked or (multiple and not tag)
        before = snapshot(self.broker)
        with contextlib.nullcontext() if known else pytest.raises(ChannelError, match=f"^406 .* unknown delivery tag {tag}$"):
            if how == "ack":
                channel.ack(tag, multiple=multiple)
            else:
                channel.nack(tag, multiple=multiple, requeue=how == "requeue")
        assert known or snapshot(self.broker) == before

    @rule(slot=slots)
    def recover(self, slot):
        self.channels[slot].recover()

    @rule(slot=slots, new_connection=st.booleans())
    def close_channel(self, slot, new_connection):
        channel = self.channels[slot]
        channel.close()
        self.channels[slot] = (self.broker.open_connection() if new_connection else channel.connection).open_channel()

    @rule(slot=slots)
    def close_connection(self, slot):
        self.channels[slot].connection.close()
        connection = self.broker.open_connection()
        self.channels = [connection.open_channel() if channel.closed else channel for channel in self.channels]

    # Time

    @rule(milliseconds=st.sampled_from([0, 1, 2, 5, 30]))
    def advance(self, milliseconds):
        target = self.broker.now + milliseconds * MILLISECOND
        while (deadline := self.broker.next_deadline) is not None and deadline <= target:
            self.broker.advance(deadline)
            self.settle_accounts()
        self.broker.advance(target)

    @invariant()
    def the_books_balance(self):
        self.settle_accounts()
        self.broker.check()
        self.ledger.check(self.broker)


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(max_examples=120, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow])


# Determinism

PROGRAM = """
import hashlib
from tests.test_broker_machine import effects_of_a_program
print(hashlib.sha256(repr(effects_of_a_program(7)).encode()).hexdigest())
"""


def effects_of_a_program(seed, steps=600):
    """The effects of a program that depends on ``seed`` alone; each of its queues has some trait of its own."""
    random = Random(seed)  # noqa: S311 - for a program, not for a secret
    broker = Broker()
    channels = [broker.open_connection().open_channel() for _ in range(3)]
    _declare_for_program(channels[0])
    for _ in range(steps):
        _step(random, broker, random.choice(channels), random.choice(QUEUES))
        channels = [broker.open_connection().open_channel() if channel.closed else channel for channel in channels]
    broker.check()
    return broker.take_effects()


def _step(random, broker, channel, queue):
    what = random.choice(["publish", "fan out", "by headers", "consume", "ack", "nack", "advance", "advance", "close"])
    tag = random.choice([*channel.unacked, 0])
    if what == "publish":
        channel.publish("", queue, b"x")
    elif what == "fan out":
        channel.publish("topic", queue, b"xyz", Properties(expiration="3"))
    elif what == "by headers":
        channel.publish("headers", "k", b"", Properties(headers={"h": 1, "i": "2"}))
    elif what == "consume" and len(channel.consumers) < 3:
        channel.consume(queue)
    elif what == "ack":
        channel.ack(tag, multiple=True)
    elif what == "nack":
        channel.nack(tag, multiple=True, requeue=random.random() < 0.5)
    elif what == "advance":
        target = broker.now + 2 * MILLISECOND
        broker.advance(target if broker.next_deadline is None else min(target, broker.next_deadline))
    elif what == "close" and random.random() < 0.2:
        channel.connection.close()


def _declare_for_program(channel):
    traits = (
        {"x-max-length": 2},
        {"x-message-ttl": 4},
        {"x-queue-type": "quorum"},
        {"x-max-length": 3, "x-overflow": "reject-publish-dlx"},
    )
    for name in EXCHANGES:
        channel.exchange_declare(name, name)
    channel.qos(2)
    for number, queue in enumerate(QUEUES):
        target = QUEUES[number - 1]
        dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": target}
        channel.queue_declare(queue, durable=True, arguments=traits[number] | dead_letters)
        channel.queue_bind(queue, "topic", "#")
        channel.queue_bind(queue, "headers", "", {"x-match": "any", "h": number, "i": "2"})


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_the_same_program_twice_gives_equal_effects(seed):
    effects = effects_of_a_program(seed, steps=150)
    assert effects == effects_of_a_program(seed, steps=150)
    ledger = Ledger()
    ledger.feed(effects)
    ledger.check()


def test_a_program_has_the_same_effects_in_processes_with_different_hashes():
    hashes = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert hashes[0] == hashes[1]
    assert len(hashes[0].strip()) == 64
    effects = effects_of_a_program(7)
    kinds = Counter(type(effect).__name__ for effect in effects)
    assert all(kinds[kind] for kind in ("Enqueued", "Refused", "Delivered", "Settled", "Requeued", "Removed")), kinds
