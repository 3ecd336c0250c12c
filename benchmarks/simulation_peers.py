"""The peers of ``bench_simulation.py``: models of the same work, each as its own documentation writes it.

They are SimPy, Ciw and happysim, the last in a file of its own. Each is a function of a number of messages and a seed, which
answers the waits that it has kept, in seconds. What is modelled is told in ``bench_simulation``; here the parameters stand
once, for all. A peer may have any help that costs it nothing (a route is looked up and not matched anew), but no trick that
its documentation does not show: that is what a user of it would write.
"""

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import simpy

Peer = Callable[[int, int], Sequence[float]]

# The broker: a topic exchange, three queues with four consumers each.
RATE = 300.0  # messages a second
KEYS = ("order.eu.placed", "order.us.placed", "order.jp.placed")  # equally often: 3, 2 and 1 copies
BINDINGS = {"audit": ("order.#",), "mail": ("order.eu.*", "order.us.*"), "stock": ("order.eu.*",)}
ROUTES = {
    "order.eu.placed": ("audit", "mail", "stock"),
    "order.us.placed": ("audit", "mail"),
    "order.jp.placed": ("audit",),
}
CONSUMERS, PREFETCH = 4, 10
SERVICE, CV = 0.010, 1.0  # lognormal
FAILURE, RETRIES, BACKOFF = 0.05, 3, 0.1  # the k-th retry comes 0.1 s * 2^(k-1) after the failure
TTL = 60.0

SIGMA = sqrt(log(1 + CV**2))
MU = log(SERVICE) - SIGMA**2 / 2


# SimPy, the broker: stores, containers of tokens, a process for each retry


@dataclass
class Message:
    """A copy of a message in one queue."""

    published_at: float
    attempt: int = 1


class Queue:
    """A queue of the broker: a store, and those who consume from it."""

    def __init__(self, env: simpy.Environment, rng: random.Random, latencies: list[float]) -> None:
        self.env, self.rng, self.latencies = env, rng, latencies
        self.ready = simpy.Store(env)
        self.dead: list[Message] = []
        for _ in range(CONSUMERS):
            tokens, buffer = simpy.Container(env, PREFETCH, PREFETCH), simpy.Store(env)
            env.process(self.receive(tokens, buffer))
            env.process(self.handle(tokens, buffer))

    def receive(self, tokens: simpy.Container, buffer: simpy.Store) -> Generator[Any, Any, None]:
        """A consumer takes what its prefetch allows; what is too old is a dead letter."""
        while True:
            yield tokens.get(1)
            message = yield self.ready.get()
            if self.env.now - message.published_at > TTL:
                self.dead.append(message)
                yield tokens.put(1)
            else:
                yield buffer.put(message)

    def handle(self, tokens: simpy.Container, buffer: simpy.Store) -> Generator[Any, Any, None]:
        """Its handler works on one message after the other."""
        while True:
            message = yield buffer.get()
            yield self.env.timeout(self.rng.lognormvariate(MU, SIGMA))
            if self.rng.random() < FAILURE:
                self.env.process(self.retry(message, tokens))
            else:
                self.latencies.append(self.env.now - message.published_at)
                yield tokens.put(1)

    def retry(self, message: Message, tokens: simpy.Container) -> Generator[Any, Any, None]:
        """A failed message stays unacked for its back-off and then comes back, or is a dead letter."""
        if message.attempt > RETRIES:
            self.dead.append(message)
        else:
            yield self.env.timeout(BACKOFF * 2 ** (message.attempt - 1))
            message.attempt += 1
            yield self.ready.put(message)
        yield tokens.put(1)


def simpy_broker(count: int, seed: int) -> Sequence[float]:
    """The latencies from publish to ack of so many messages."""
    env, rng = simpy.Environment(), random.Random(seed)  # noqa: S311 - a simulation
    latencies: list[float] = []
    queues = {name: Queue(env, rng, latencies) for name in BINDINGS}

    def publisher() -> Generator[Any, Any, None]:
        for _ in range(count):
            yield env.timeout(rng.expovariate(RATE))
            for name in ROUTES[rng.choice(KEYS)]:
                queues[name].ready.put(Message(env.now))

    env.process(publisher())
    env.run()
    return latencies


# SimPy, a queue of customers: a resource, a process for each customer


def simpy_queue(servers: int) -> Peer:
    """M/M/c with mu = 1 and rho = 0.8: the waits of all customers."""

    def run(count: int, seed: int) -> Sequence[float]:
        env, rng = simpy.Environment(), random.Random(seed)  # noqa: S311 - a simulation
        counter = simpy.Resource(env, capacity=servers)
        waits: list[float] = []

        def customer() -> Generator[Any, Any, None]:
            arrived = env.now
            with counter.request() as turn:
                yield turn
                waits.append(env.now - arrived)
                yield env.timeout(rng.expovariate(1.0))

        def source() -> Generator[Any, Any, None]:
            for _ in range(count):
                yield env.timeout(rng.expovariate(0.8 * servers))
                env.process(customer())

        env.process(source())
        env.run()
        return waits

    return run


# Ciw


def ciw_queue(servers: int) -> Peer:
    """M/M/c with mu = 1 and rho = 0.8: the waits in Ciw's records, which it always keeps."""
    import ciw

    def run(count: int, seed: int) -> Sequence[float]:
        ciw.seed(seed)
        network = ciw.create_network(
            arrival_distributions=[ciw.dists.Exponential(rate=0.8 * servers)],
            service_distributions=[ciw.dists.Exponential(rate=1.0)],
            number_of_servers=[servers],
        )
        simulation = ciw.Simulation(network)
        simulation.simulate_until_max_customers(count)
        return [record.waiting_time for record in simulation.get_all_records()]

    return run


# happysim


def happysim_broker() -> Peer:
    """The latencies from publish to ack."""
    from happysim_peer import broker

    return broker
