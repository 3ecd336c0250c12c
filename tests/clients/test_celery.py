"""A Celery worker, in a process of its own and with all its habits, runs what the test asks for and sends results back.

A retry's countdown passes in the worker, in real time: RabbitMQ knows nothing of it, and so the broker's virtual clock stands.
"""

import os
import subprocess
import sys
from pathlib import Path

import kombu.pools
import pytest
from celery import Celery

pytestmark = pytest.mark.slow  # a worker takes about two seconds to start, and one to stop

ROOT = Path(__file__).parents[2]
PATIENCE = 30  # seconds


@pytest.fixture
def worker(rabbitmq):
    command = [sys.executable, "-m", "celery", "-A", "tests.clients.celery_tasks", "worker", "--pool", "solo"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **rabbitmq.env()}) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def shop(rabbitmq):
    options = {"broker_transport_options": {"confirm_publish": True}}
    with Celery(broker=rabbitmq.url, backend="rpc://", set_as_current=False, changes=options) as app:
        yield app
        app.backend.result_consumer.stop()  # what an application leaves to the end of its process
        kombu.pools.reset()


def charge(shop, order, declines=0):
    return shop.send_task("charge", (order, declines)).get(timeout=PATIENCE, propagate=False)


def retries(rabbitmq):
    return [task.headers["retries"] for task in rabbitmq.published(routing_key="celery")]


def test_a_task_is_retried_and_its_result_comes_back(rabbitmq, worker, shop):
    assert charge(shop, 7, declines=2) == 3
    assert retries(rabbitmq) == [0, 1, 2]
    assert rabbitmq.wait_until_idle()
    assert rabbitmq.queue("celery").depth == 0


def test_a_task_that_fails_for_good_says_so(rabbitmq, worker, shop):
    assert repr(charge(shop, 7, declines=9)) == "CardDeclined(7)"
    assert retries(rabbitmq) == [0, 1, 2]


def test_a_worker_is_controlled_from_afar_and_stops_when_it_is_told_to(rabbitmq, worker, shop):
    charge(shop, 7)
    [answer] = shop.control.broadcast("ping", reply=True, limit=1, timeout=PATIENCE)
    assert list(answer.values()) == [{"ok": "pong"}]
    shop.control.shutdown()
    assert worker.wait(PATIENCE) == 0
    assert rabbitmq.wait_until_idle()


def test_a_worker_and_who_waits_for_results_survive_a_restart(rabbitmq, worker, shop):
    assert charge(shop, 7) == 1
    assert rabbitmq.wait_until_idle()  # a worker that is cut off between a task's end and its ack was seen not to come back
    rabbitmq.restart()
    assert charge(shop, 8, declines=1) == 2
    assert rabbitmq.wait_until_idle()
    assert rabbitmq.queue("celery").depth == 0
