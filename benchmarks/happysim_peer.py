"""The broker of ``bench_simulation.py`` in happysim, which needs CPython 3.13.

Queues are its MessageQueue and DeadLetterQueue; a consumer is an Entity with a deque, which needs half the events of a
QueuedResource. A MessageQueue takes 0.1 ms to publish, without a way to say otherwise: half a percent of a mean latency.
"""

import random
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from happysimulator import Event, Instant, Simulation, Source
from happysimulator.components.messaging import DeadLetterQueue, MessageQueue
from happysimulator.core.entity import Entity
from simulation_peers import BACKOFF, BINDINGS, CONSUMERS, FAILURE, KEYS, MU, PREFETCH, RATE, RETRIES, ROUTES, SIGMA, TTL


class Consumer(Entity):
    """One handler, and the deliveries that wait for it."""

    def __init__(self, name: str, source: "Prefetching", rng: random.Random, latencies: list[float]) -> None:
        super().__init__(name)
        self.source, self.rng, self.latencies = source, rng, latencies
        self.buffer: deque[Event] = deque()
        self.busy = False

    def handle_event(self, event: Event) -> Any:
        """A delivery."""
        self.buffer.append(event)
        return [] if self.busy else self.work()

    def work(self) -> Generator[Any, Any, list[Event]]:
        """Handle what waits, one after the other."""
        self.busy, follows = True, []
        while self.buffer:
            yield self.rng.lognormvariate(MU, SIGMA), follows
            follows = self.settle(self.buffer.popleft().context)
        self.busy = False
        return follows

    def settle(self, delivery: dict[str, Any]) -> list[Event]:
        """Acknowledge, reject, or have it tried again; what follows."""
        name, attempt = delivery["message_id"], delivery["delivery_count"]
        age = (self.now - delivery["payload"].time).to_seconds()
        if self.rng.random() >= FAILURE:
            self.latencies.append(age)
            self.source.acknowledge(name)
        elif attempt > RETRIES or age > TTL:
            self.source.reject(name, requeue=False)
        else:
            return [Event(self.now + BACKOFF * 2 ** (attempt - 1), "retry", target=self.source, context={"message_id": name})]
        return self.source.next_delivery()


class Prefetching(MessageQueue):
    """A MessageQueue that delivers while its consumers may hold more, and takes back what failed after its back-off."""

    def next_delivery(self) -> list[Event]:
        """Have it deliver, if it may."""
        if self.pending_count and self.in_flight_count < CONSUMERS * PREFETCH:
            return [Event(self.now, "poll", target=self)]
        return []

    def handle_event(self, event: Event) -> Generator[Any, Any, list[Event]]:
        """A message, one that comes back, or what every MessageQueue knows."""
        if event.event_type == "publish":
            yield from self.publish(event)
            return self.next_delivery()
        if event.event_type == "retry":
            self.reject(event.context["message_id"], requeue=True)
            return self.next_delivery()
        return (yield from super().handle_event(event))


class Publisher(Entity):
    """Publishes to the queues of a key."""

    def __init__(self, queues: dict[str, Prefetching], rng: random.Random) -> None:
        super().__init__("publisher")
        self.queues, self.rng = queues, rng

    def handle_event(self, event: Event) -> list[Event]:
        """One message."""
        return [Event(event.time, "publish", target=self.queues[name]) for name in ROUTES[self.rng.choice(KEYS)]]


def broker(count: int, seed: int) -> Sequence[float]:
    """The latencies from publish to ack of about so many messages."""
    rng, latencies, queues, entities = random.Random(seed), [], {}, []  # noqa: S311 - a simulation
    for name in BINDINGS:
        dead = DeadLetterQueue(f"{name}.dead")
        queue = Prefetching(name, delivery_latency=0.0, max_redeliveries=RETRIES + 1, dead_letter_queue=dead)
        consumers = [Consumer(f"{name}.{number}", queue, rng, latencies) for number in range(CONSUMERS)]
        for consumer in consumers:
            queue.subscribe(consumer)
        queues[name] = queue
        entities += [dead, queue, *consumers]
    publisher = Publisher(queues, rng)
    np.random.seed(seed)  # noqa: NPY002 - the one that happysim draws from
    source = Source.poisson(rate=RATE, target=publisher, stop_after=count / RATE)
    end = Instant.from_seconds(count / RATE + TTL)
    Simulation(sources=[source], entities=[publisher, *entities], end_time=end).run()
    return latencies
