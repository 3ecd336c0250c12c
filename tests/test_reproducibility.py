"""Same inputs, same effects: in any process, whatever the order of a set happens to be there."""

import os
import subprocess
import sys

PROGRAM = """
from simbus import Scenario, bursts, exponential, poisson, simulate

shop = Scenario("fan-out, dead letters and headers")
shop.exchange("orders", type="topic")
shop.exchange("by headers", type="headers")
shop.exchange("dead letters", type="fanout")
for name in ("dead", "dead too"):
    shop.queue(name, type="quorum")
    shop.bind(name, "dead letters")
for name, pattern in (("stock", "order.*"), ("mail", "order.placed"), ("audit", "#")):
    shop.queue(name, message_ttl="2s", dead_letter_exchange="dead letters")
    shop.bind(name, "orders", pattern)
    shop.bind(name, "by headers", arguments={"x-match": "all"})
    failure = {"transient": 0.1, "permanent": 0.01}
    shop.consumer(name, queue=name, count=2, prefetch=3, service=exponential("50ms"), failure=failure)
shop.publisher("batch", exchange="by headers", arrivals=bursts(size=20, every="1s"))
shop.publisher("web", exchange="orders", routing_key="order.placed", arrivals=poisson("30/s"))
print(simulate(shop, duration="20s", replications=2, seed=%d).trace_hash)
"""


def trace_hash(hash_seed, seed=1):
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run([sys.executable, "-c", PROGRAM % seed], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_with_different_hash_seeds_give_one_trace():
    assert trace_hash(1) == trace_hash(20_000)


def test_another_seed_gives_another_trace():
    assert trace_hash(1, seed=1) != trace_hash(1, seed=2)
