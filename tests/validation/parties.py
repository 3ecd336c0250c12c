"""Who talks to the real broker with pika: publishers, consumers, and those who only look on; each a process.

A party reads from the scenario what it does, and from the scenario's random streams when, for how long and with what
outcome: the consumers of a group share their draws in the order in which handlers start, as the simulation's do. What it
does is written at once to a file, a line each, so that nothing is lost with a process that is killed:

    p AT MESSAGE                                 published
    x AT MESSAGE                                 refused by a negative confirm
    s AT CONSUMER QUEUE MESSAGE REDELIVERED      a handler starts (REDELIVERED is 0 or 1)
    e AT CONSUMER QUEUE MESSAGE VERDICT DRAWN    it ends: ack, requeue or reject; DRAWN is the time it was to sleep
    k AT GROUP                                   the process of these consumers is killed
    d AT MESSAGE CAUSE                           seen in a queue that nobody consumes, where it came for that cause
    r AT QUEUE READY                             so many messages are ready

AT is in nanoseconds of the machine's monotonic clock, which all processes share, less the start of the run.

Every consumer has a connection of its own in a thread of its own, and its handler sleeps in it, as users of pika's
BlockingConnection write them. It sleeps for 50 ms at most, so heartbeats are answered between two messages.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError

from simbus.simulation.forecast.load import served
from simbus.simulation.model.specs import ConsumerSpec
from simbus.simulation.model.streams import Streams, draws
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND

SAMPLED_EVERY = SECOND // 20


class Stage:
    """Where and when a party acts.

    Args:
        url: of the vhost.
        path: the file that it writes.
        runs: seed and index of the run, as of a replication.
        length: of the run in nanoseconds.
        line: to whoever directs the run: the party says when it is ready, and is told when the run starts.
    """

    def __init__(self, url: str, path: str, runs: Streams, length: int, line: Connection) -> None:
        self.url, self.path, self.runs, self.length, self.line = url, path, runs, length, line
        self.start = self._file = 0

    def enter(self) -> None:
        """Be ready, and wait for the start."""
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.line.send("ready")
        self.start = self.line.recv()

    @property
    def now(self) -> int:
        """Nanoseconds since the start."""
        return time.monotonic_ns() - self.start

    @property
    def over(self) -> bool:
        """Whether the run is."""
        return self.now >= self.length

    def note(self, kind: str, at: int, *words: object) -> None:
        """A line of the file, written at once."""
        os.write(self._file, f"{kind} {at} {' '.join(map(str, words))}\n".encode())

    def sleep_until(self, instant: int) -> None:
        """Return at that instant, or a little later."""
        while (left := instant - self.now) > 0:
            time.sleep(left / SECOND)

    def connect(self) -> BlockingChannel:
        """A channel on a connection of its own, whose heartbeats nobody awaits."""
        parameters = pika.URLParameters(self.url)
        parameters.heartbeat = 0
        return pika.BlockingConnection(parameters).channel()


def publish(stage: Stage, scenario: Scenario, name: str) -> None:
    """The publisher of that name; it waits for confirms where a queue may refuse."""
    spec, channel = scenario.publishers[name], stage.connect()
    if spec.to is None or not isinstance(spec.size, int):
        raise ValueError(f"publishers.{name}: these publishers send messages of one size to one queue")
    if any(str(options.get("overflow", "")).startswith("reject") for options in scenario.topology.queues.values()):
        channel.confirm_delivery()
    epochs = spec.arrivals.epochs(stage.runs.generator(f"publishers.{name}", "arrivals"))
    body, mode = bytes(spec.size), 2 if spec.persistent else 1
    stage.enter()
    for number, epoch in zip(count(), epochs):
        if epoch > stage.length:
            return
        stage.sleep_until(epoch)
        message = f"{name}-{number}"
        at = stage.now
        stage.note("p", at, message)
        try:
            channel.basic_publish("", spec.to, body, pika.BasicProperties(message_id=message, delivery_mode=mode))
        except NackError:
            stage.note("x", at, message)


class Draws:
    """What the consumers of a group share: the next handler's time, and an attempt's outcome."""

    def __init__(self, spec: ConsumerSpec, runs: Streams) -> None:
        if spec.retry.attempts is not None or spec.retry.backoff.kind != "none":
            raise ValueError(f"consumers.{spec.name}.retry: these consumers requeue at once and without an end, or reject")
        entity = f"consumers.{spec.name}"
        self._lock = Lock()
        self._failure = spec.failure
        self._services: Iterator[int] = draws(runs.generator(entity, "service"), spec.service.sample)
        self._outcomes: Iterator[float] = draws(runs.generator(entity, "failure"), lambda generator, n: generator.random(n))

    def service(self) -> int:
        """How long to sleep, in nanoseconds."""
        with self._lock:
            return next(self._services)

    def verdict(self) -> str:
        """What becomes of a message: ``ack``, ``requeue`` or ``reject``."""
        permanent, transient = self._failure.permanent, self._failure.transient
        if not permanent + transient:
            return "ack"
        with self._lock:
            outcome = next(self._outcomes)
        return "ack" if outcome >= permanent + transient else "reject" if outcome < permanent else "requeue"


def consume(stage: Stage, scenario: Scenario, name: str) -> None:
    """The group of consumers of that name, each in a thread, subscribed in order."""
    spec, connected = scenario.consumers[name], []
    shared = Draws(spec, stage.runs)
    for number in range(1, spec.count + 1):
        channel = stage.connect()
        channel.basic_qos(prefetch_count=spec.prefetch or 0)
        channel.basic_consume(spec.queue, partial(_handle, stage, shared, f"{name}.{number}", spec.queue))
        connected.append(channel)
    stage.enter()
    _side_by_side([partial(_serve, stage, channel) for channel in connected])


def _handle(stage: Stage, shared: Draws, consumer: str, queue: str, channel: BlockingChannel, *delivered: Any) -> None:
    """One attempt: sleep for the drawn time and settle."""
    method, properties, _ = delivered
    begun = stage.now
    if begun >= stage.length:
        return
    stage.note("s", begun, consumer, queue, properties.message_id, int(method.redelivered))
    drawn = shared.service()
    time.sleep(drawn / SECOND)
    ended, verdict = stage.now, shared.verdict()
    stage.note("e", ended, consumer, queue, properties.message_id, verdict, drawn)
    if verdict == "ack":
        channel.basic_ack(method.delivery_tag)
    else:
        channel.basic_nack(method.delivery_tag, requeue=verdict == "requeue")


def _serve(stage: Stage, channel: BlockingChannel) -> None:
    while not stage.over:
        channel.connection.process_data_events(time_limit=0.1)


def look_on(stage: Stage, scenario: Scenario) -> None:
    """Count what is ready in every queue, and note what comes to queues that nobody consumes."""
    rest = sorted(set(scenario.topology.queues) - served(scenario))
    sampler, auditor = stage.connect(), stage.connect()
    for queue in rest:
        auditor.basic_consume(queue, partial(_note_parked, stage), auto_ack=True)
    stage.enter()
    queues = sorted(set(scenario.topology.queues) - set(rest))
    _side_by_side([partial(_sample, stage, sampler, queues), partial(_serve, stage, auditor)])


def _note_parked(stage: Stage, _: BlockingChannel, __: Any, properties: pika.BasicProperties, ___: bytes) -> None:
    stage.note("d", stage.now, properties.message_id, properties.headers["x-death"][0]["reason"])


def _sample(stage: Stage, channel: BlockingChannel, queues: list[str]) -> None:
    for instant in range(0, stage.length, SAMPLED_EVERY):
        stage.sleep_until(instant)
        for queue in queues:
            stage.note("r", stage.now, queue, channel.queue_declare(queue, passive=True).method.message_count)


def _side_by_side(acts: list[Callable[[], None]]) -> None:
    threads = [Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
