"""Random programs of AMQP's verbs: after every step the broker's own books and an independent ledger balance."""

import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simbus.effects import Delivered
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.errors import ChannelError, ValidationFailed
from simbus.rabbitmq.properties import Properties
from simbus.units import MILLISECOND
from tests.brokers import snapshot
from tests.ledger import MAY_BE_LATE, Ledger

QUEUES = ("a", "b", "c", "d")
EXCHANGES = ("direct", "fanout", "topic", "headers")

slots = st.integers(0, 3)
exchanges = st.sampled_from(EXCHANGES)
queue_names = st.sampled_from(QUEUES)
keys = st.sampled_from([*QUEUES, "a.b", "#", "*", ""])
ttls = st.sampled_from([0, 1, 5, 20])
traits = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["classic", "quorum"]),
        "dead_letter": st.none() | st.tuples(st.just(""), queue_names) | st.tuples(exchanges, keys),
        "x-delivery-limit": st.integers(-1, 2),
    },
    optional={
        "x-message-ttl": ttls,
        "x-expires": st.sampled_from([3, 30]),
        "x-max-length": st.integers(0, 4),
        "x-max-length-bytes": st.integers(0, 12),
        "x-overflow": st.sampled_from(["drop-head", "reject-publish", "reject-publish-dlx"]),
        "x-max-priority": st.integers(0, 3),
        "x-single-active-consumer": st.booleans(),
        "x-consumer-timeout": st.sampled_from([1, 70_000]),
    },
)
properties = st.builds(
    Properties,
    expiration=st.none() | ttls.map(str),
    priority=st.none() | st.integers(0, 6),
    headers=st.none() | st.dictionaries(st.sampled_from(["h", "i"]), st.sampled_from([1, 2, "1"]), max_size=2),
)


policies = st.fixed_dictionaries(
    {},
    optional={
        "expires": st.sampled_from([3, 30]),
        "max-length": st.integers(0, 4),
        "max-length-bytes": st.integers(0, 12),
        "overflow": st.sampled_from(["drop-head", "reject-publish", "reject-publish-dlx"]),
        "delivery-limit": st.integers(-1, 2),
        "dead-letter-exchange": st.sampled_from(["", *EXCHANGES]),
        "dead-letter-routing-key": queue_names,
        "consumer-timeout": st.sampled_from([1, 70_000]),
    },
)


def arguments(traits):
    """The AMQP arguments for these traits of a queue."""
    table = dict(traits)
    table["x-queue-type"] = table.pop("type")
    dead_letter = table.pop("dead_letter")
    if dead_letter is not None:
        table["x-dead-letter-exchange"], table["x-dead-letter-routing-key"] = dead_letter
    table.pop("x-delivery-limit" if table["x-queue-type"] == "classic" else "x-max-priority", None)
    return table


def may_be_got(broker, queue):
    """Whether basic.get is not refused."""
    options = broker.vhost().queues[queue].options
    return options.type == "classic" or not options.single_active_consumer


class Programs(RuleBasedStateMachine):
    """Several connections and channels at work on four queues that come, go, and dead-letter to one another."""

    def __init__(self):
        super().__init__()
        self.broker = Broker()
        self.message_ttl: dict[str, int] = {}
        self.ledger = Ledger(self.message_ttl)
        self.delivery_tags: dict[int, list[int]] = {}
        self.channels: list[Channel] = []
        self.modes: dict[int, str] = {}  # confirm or tx, by channel
        self.admin = self.broker.open_connection().open_channel()

    @initialize(version=st.sampled_from(["4.0", "3.10"]), traits=st.tuples(*[traits] * len(QUEUES)))
    def begin(self, version, traits):
        self.broker = Broker(version=version)
        self.admin = self.broker.open_connection().open_channel()
        for name in EXCHANGES:
            self.admin.exchange_declare(name, name, durable=True)
        for queue, its_traits in zip(QUEUES, traits, strict=True):
            self.declare(queue, its_traits)
            self.admin.queue_bind(queue, "fanout")
            self.admin.queue_bind(queue, "topic", f"{queue}.#")
            self.admin.queue_bind(queue, "headers", "", {"x-match": "any", "h": 1, "i": 2})
        connections = [self.broker.open_connection() for _ in range(2)]
        self.channels = [connection.open_channel() for connection in connections for _ in range(2)]

    def settle_accounts(self):
        effects = self.broker.take_effects()
        self.ledger.feed(effects)
        for effect in effects:
            if isinstance(effect, Delivered):
                self.delivery_tags.setdefault(effect.channel, []).append(effect.delivery_tag)

    def has(self, queue):
        return queue in self.broker.vhost().queues

    def declare(self, queue, traits):
        table = arguments(traits)
        self.admin.queue_declare(queue, durable=True, arguments=table)
        self.message_ttl.pop(queue, None)
        if "x-message-ttl" in table:
            self.message_ttl[queue] = table["x-message-ttl"] * MILLISECOND
        if "x-max-priority" in table:
            self.message_ttl[queue] = MAY_BE_LATE

    # Work

    @rule(slot=slots, queue=queue_names, properties=properties, size=st.integers(0, 4), count=st.integers(1, 4))
    def publish(self, slot, queue, properties, size, count):
        for _ in range(count):
            self.channels[slot].publish("", queue, b"x" * size, properties)

    @rule(slot=slots, exchange=exchanges, key=keys, properties=properties, mandatory=st.booleans())
    def publish_to_an_exchange(self, slot, exchange, key, properties, mandatory):
        self.channels[slot].publish(exchange, key, b"xyz", properties, mandatory=mandatory)

    @rule(
        slot=slots,
        queue=queue_names,
        prefetch=st.integers(0, 3),
        no_ack=st.sampled_from([False, False, False, True]),
        priority=st.sampled_from([0, 0, 1, -1]),
    )
    def consume(self, slot, queue, prefetch, no_ack, priority):
        channel = self.channels[slot]
        if self.has(queue) and len(channel.consumers) < 4:
            if self.broker.vhost().queues[queue].is_quorum:
                channel.qos(0, global_=True)  # which it does not know
            channel.qos(prefetch)
            tag = next(tag for tag in "abcde" if tag not in channel.consumers)
            channel.consume(queue, tag, no_ack=no_ack, arguments={"x-priority": priority})

    @rule(slot=slots, queue=queue_names, count=st.integers(1, 3), no_ack=st.sampled_from([False, False, True]))
    def get(self, slot, queue, count, no_ack):
        for _ in range(count if self.has(queue) and may_be_got(self.broker, queue) else 0):
            self.channels[slot].get(queue, no_ack=no_ack)

    @precondition(lambda self: any(channel.unacked for channel in self.channels))
    @rule(how=st.sampled_from(["ack", "reject", "requeue"]), multiple=st.booleans(), data=st.data())
    def settle(self, how, multiple, data):
        channel = data.draw(st.sampled_from([channel for channel in self.channels if channel.unacked]))
        tag = data.draw(st.sampled_from([*channel.unacked, *([0] if multiple else [])]))
        self.settle_on(channel, tag, how, multiple)

    @rule(slot=slots, how=st.sampled_from(["ack", "reject", "requeue"]), multiple=st.booleans(), data=st.data())
    def settle_again(self, slot, how, multiple, data):
        """A tag that is not outstanding any more is refused, and that changes nothing."""
        channel = self.channels[slot]
        tag = data.draw(st.sampled_from([*self.delivery_tags.get(channel.number, []), 99_999]))
        if tag not in channel.unacked:
            before = snapshot(self.broker)
            with pytest.raises(ChannelError, match=f"^406 .* unknown delivery tag {tag}$"):
                self.settle_on(channel, tag, how, multiple)
            assert snapshot(self.broker) == before

    @rule(slot=slots, what=st.sampled_from(["confirm", "tx", "commit", "commit", "rollback"]))
    def select(self, slot, what):
        channel = self.channels[slot]
        mode = self.modes.get(channel.number)
        if what == "confirm" and mode != "tx":
            channel.confirm_select()
            self.modes[channel.number] = what
        elif what == "tx" and mode != "confirm":
            channel.tx_select()
            self.modes[channel.number] = what
        elif mode == "tx" and what == "rollback":
            channel.tx_rollback()
        elif mode == "tx" and what == "commit":
            with suppress(ChannelError):  # a queue has refused a message, or is gone
                channel.tx_commit()

    @rule(slot=slots, prefetch=st.integers(0, 3))
    def share_a_prefetch(self, slot, prefetch):
        self.channels[slot].qos(prefetch, global_=True)

    def settle_on(self, channel, tag, how, multiple):
        if how == "ack":
            channel.ack(tag, multiple=multiple)
        else:
            channel.nack(tag, multiple=multiple, requeue=how == "requeue")

    # Change

    @rule(
        what=st.sampled_from(["declare", "delete", "purge", "bind", "unbind"]),
        queue=queue_names,
        exchange=exchanges,
        key=keys,
        traits=traits,
    )
    def change_the_topology(self, what, queue, exchange, key, traits):
        if what == "declare" and not self.has(queue):
            self.declare(queue, traits)
        elif what == "bind" and self.has(queue):
            self.admin.queue_bind(queue, exchange, key)
        elif what == "unbind":
            self.admin.queue_unbind(queue, exchange, key)
        elif what == "purge" and self.has(queue):
            self.admin.queue_purge(queue)
        elif what == "delete":
            self.admin.queue_delete(queue)

    @rule(
        name=st.sampled_from(["p", "q"]),
        pattern=st.sampled_from(["", "^a", "[bc]"]),
        definition=policies,
        priority=st.integers(0, 1),
    )
    def change_the_policies(self, name, pattern, definition, priority):
        if definition:
            with suppress(ValidationFailed):  # not every version knows every key
                self.broker.set_policy("/", name, pattern, definition, priority=priority)
        elif name in self.broker.vhost().policies.policies:
            self.broker.delete_policy("/", name)

    @rule(slot=slots, what=st.sampled_from(["cancel", "cancel", "recover", "channel", "channel", "connection", "restart"]))
    def end(self, slot, what):
        channel = self.channels[slot]
        if what == "cancel":
            channel.cancel(next(iter(channel.consumers), "nosuch"))
        elif what == "recover":
            channel.recover()
        elif what == "channel":
            channel.close()
            self.channels[slot] = channel.connection.open_channel()
        else:
            if what == "restart":
                self.broker.restart()
                self.admin = self.broker.open_connection().open_channel()
            channel.connection.close()
            connection = self.broker.open_connection()
            self.channels = [connection.open_channel() if channel.closed else channel for channel in self.channels]

    # Time

    @rule(milliseconds=st.sampled_from([0, 1, 2, 5, 30, 60_000]))
    def advance(self, milliseconds):
        target = self.broker.now + milliseconds * MILLISECOND
        while (deadline := self.broker.next_deadline) is not None and deadline <= target:
            self.broker.advance(deadline)
            self.settle_accounts()
        self.broker.advance(target)
        self.channels = [channel.connection.open_channel() if channel.closed else channel for channel in self.channels]

    @invariant()
    def the_books_balance(self):
        self.settle_accounts()
        self.broker.check()
        self.ledger.check(self.broker)


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(max_examples=120, stateful_step_count=50, suppress_health_check=[HealthCheck.too_slow])


# Long programs: no shrinking, but a hundred times the steps. What they do depends on their seed alone.


class LongProgram:
    """Random queues, and random verbs of three channels that keep them busy."""

    def __init__(self, seed):
        self.random = Random(seed)  # noqa: S311 - for a program, not for a secret
        self.broker = Broker()
        self.message_ttl: dict[str, int] = {}
        self.admin = self.broker.open_connection().open_channel()
        self.channels = [self.broker.open_connection().open_channel() for _ in range(3)]
        self.admin.exchange_declare("everywhere", "fanout")
        self.admin.exchange_declare("by headers", "headers")
        for queue in QUEUES:
            self.declare(queue)

    def declare(self, queue):
        choose = self.random.choice
        table: dict[str, Any] = {
            "x-queue-type": choose(["classic", "quorum"]),
            "x-message-ttl": choose([None, None, 0, 4, 20]),
            "x-max-length": choose([None, None, 1, 3, 5]),
            "x-max-length-bytes": choose([None, None, None, 9]),
            "x-single-active-consumer": choose([None, None, True]),
            "x-overflow": choose([None, "drop-head", "reject-publish", "reject-publish-dlx"]),
            "x-dead-letter-exchange": choose([None, "", "", "everywhere", "by headers"]),
        }
        if table["x-dead-letter-exchange"] is not None:
            table["x-dead-letter-routing-key"] = choose(QUEUES)
        if table["x-queue-type"] == "quorum":
            table["x-delivery-limit"] = choose([-1, 0, 1, 2, 5])
        else:
            table["x-max-priority"] = choose([None, None, 1, 3])
        table = {name: value for name, value in table.items() if value is not None}
        self.admin.queue_declare(queue, durable=True, arguments=table)
        self.admin.queue_bind(queue, "everywhere")
        self.admin.queue_bind(queue, "by headers", "", {"x-match": choose(["any", "all"]), "h": choose([1, 2]), "i": "2"})
        self.message_ttl.pop(queue, None)
        if "x-message-ttl" in table:
            self.message_ttl[queue] = table["x-message-ttl"] * MILLISECOND
        if "x-max-priority" in table:
            self.message_ttl[queue] = MAY_BE_LATE

    def step(self):
        channel, queue, chance = self.random.choice(self.channels), self.random.choice(QUEUES), self.random.random()
        if chance < 0.4:
            self.publish(channel, queue)
        elif chance < 0.75:
            self.consume(channel, queue)
        elif chance < 0.9:
            target = self.broker.now + 2 * MILLISECOND
            deadline = self.broker.next_deadline
            self.broker.advance(target if deadline is None else min(target, deadline))
        else:
            self.disturb(channel, queue)

    def publish(self, channel, queue):
        choose = self.random.choice
        exchange, key = choose([("", queue), ("", queue), ("everywhere", ""), ("by headers", "")])
        size = self.random.choice([0, 1, 5])
        expiration, priority = choose([None, None, "0", "3", "15"]), choose([None, 1, 5])
        sent = Properties(expiration=expiration, priority=priority, headers=choose([None, {"h": 1}, {"h": 2, "i": "2"}]))
        channel.publish(exchange, key, b"x" * size, sent, mandatory=choose([True, False]))

    def consume(self, channel, queue):
        what = self.random.choice(["consume", "get", "ack", "ack", "nack", "nack", "reject"])
        tag = self.random.choice([*channel.unacked, 0])
        multiple = not tag or self.random.random() < 0.3
        if what == "consume" and len(channel.consumers) < 3:
            channel.qos(self.random.choice([0, 1, 1, 3]))
            priority = self.random.choice([0, 0, 1])
            channel.consume(queue, no_ack=self.random.random() < 0.1, arguments={"x-priority": priority})
        elif what == "get" and may_be_got(self.broker, queue):
            channel.get(queue, no_ack=self.random.random() < 0.3)
        elif what == "ack":
            channel.ack(tag, multiple=multiple)
        elif what not in ("consume", "get"):
            channel.nack(tag, multiple=multiple, requeue=what == "nack")

    def disturb(self, channel, queue):
        what = self.random.choice(["cancel", "cancel", "cancel", "close", "close", "purge", "delete"])
        if what == "cancel":
            channel.cancel(next(iter(channel.consumers), ""))
        elif what == "close":
            self.random.choice([channel, channel.connection]).close()
            self.channels = [self.broker.open_connection().open_channel() if c.closed else c for c in self.channels]
        elif what == "purge":
            self.admin.queue_purge(queue)
        else:
            self.admin.queue_delete(queue)
            self.declare(queue)


def test_the_books_balance_after_every_step_of_long_programs(seed):
    happened: Counter[str] = Counter()
    for number in range(60):
        program = LongProgram(seed + number)
        ledger = Ledger(program.message_ttl)
        for _ in range(300):
            program.step()
            effects = program.broker.take_effects()
            ledger.feed(effects)
            program.broker.check()
            happened.update(getattr(effect, "cause", type(effect).__name__) for effect in effects)
        ledger.check(program.broker)
    rare = {"Returned", "Refused", "ConsumerCancelled", "delivery_limit", "rejected", "expired", "maxlen", "purged", "deleted"}
    assert all(happened[what] > 50 for what in rare), happened  # or else the programs are no test


# Determinism

PROGRAM = """
import hashlib
from tests.test_broker_machine import effects_of_a_program
print(hashlib.sha256(repr(effects_of_a_program(7)).encode()).hexdigest())
"""


def effects_of_a_program(seed):
    program = LongProgram(seed)
    for _ in range(400):
        program.step()
    return program.broker.take_effects()


def test_the_same_program_twice_gives_equal_effects(seed):
    for number in range(10):
        assert effects_of_a_program(seed + number) == effects_of_a_program(seed + number)


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
