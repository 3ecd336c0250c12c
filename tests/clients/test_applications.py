"""One application, written with every client library that must work: each consumes with acks and publishes with confirms.

The programs beside this file all do the same: an order, whatever its text is, becomes an invoice in capital letters. They
acknowledge the order when the broker has confirmed the invoice, and reject the order when it has refused it. A lost connection
is connected again by the library where the library does that, by the application where it does not. Each runs as a
process of its own and is given nothing but ``rabbitmq.url``.
"""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

HERE = Path(__file__).parent
PATIENCE = 60  # seconds until a program that does not start, or does not end, is killed

PYTHON = {
    "pika BlockingConnection": ["pika_blocking.py"],
    "pika SelectConnection": ["pika_callbacks.py", "select"],
    "pika AsyncioConnection": ["pika_callbacks.py", "asyncio"],
    "aio-pika connect": ["aio_pika_plain.py"],
    "aio-pika connect_robust": ["aio_pika_robust.py"],
    "kombu": ["kombu_mixin.py"],
    "FastStream": ["faststream_app.py"],
}
AMQPLIB = "amqplib on Node"
URL = "URL"  # stands for the broker's in a command


@pytest.fixture(scope="session")
def amqplib(tmp_path_factory):
    """A folder with the program and the npm package that it needs."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    folder = tmp_path_factory.mktemp("amqplib")
    shutil.copytree(HERE / "amqplib", folder, dirs_exist_ok=True)
    install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
    subprocess.run(install, cwd=folder, check=True, timeout=PATIENCE)
    return folder


@pytest.fixture(params=[*PYTHON, AMQPLIB])
def command(request):
    """How the program is started."""
    if request.param == AMQPLIB:
        return ["node", str(request.getfixturevalue("amqplib") / "invoicing.js"), URL]
    program, *arguments = PYTHON[request.param]
    return [sys.executable, str(HERE / program), URL, *arguments]


@contextmanager
def running(command):
    """The program as a process, as soon as it consumes."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        overdue = Timer(PATIENCE, process.kill)
        overdue.start()
        try:
            assert process.stdout is not None
            assert "ready\n" in process.stdout, f"{command} did not start; its errors are above"
            yield process
        finally:
            process.kill()
            overdue.cancel()


@pytest.fixture
def application(rabbitmq, command):
    rabbitmq.declare_queue("refused")
    rabbitmq.declare_queue("orders", dead_letter_exchange="", dead_letter_routing_key="refused")
    rabbitmq.declare_queue("invoices", max_length=3, overflow="reject-publish")
    with running([rabbitmq.url if word == URL else word for word in command]) as process:
        yield process


def bodies(messages):
    return [message.body for message in messages]


def test_it_publishes_with_confirms_and_consumes_with_acks(rabbitmq, application):
    for order in (b"a", b"b", b"c"):
        rabbitmq.publish("", "orders", order)
    assert rabbitmq.wait_until_idle()
    assert bodies(rabbitmq.queue("invoices")) == [b"A", b"B", b"C"]
    assert (rabbitmq.queue("orders").depth, bodies(rabbitmq.queue("refused"))) == (0, [])


def test_it_notices_when_a_publish_is_refused(rabbitmq, application):
    for order in (b"a", b"b", b"c", b"one too many"):
        rabbitmq.publish("", "orders", order)
    assert rabbitmq.wait_until_idle()
    assert bodies(rabbitmq.queue("invoices")) == [b"A", b"B", b"C"]
    assert bodies(rabbitmq.queue("refused")) == [b"one too many"]


def test_it_survives_a_restart(rabbitmq, application):
    rabbitmq.publish("", "orders", b"before")
    assert rabbitmq.wait_until_idle()
    rabbitmq.restart()
    rabbitmq.publish("", "orders", b"after")
    assert rabbitmq.wait_until_idle()
    assert bodies(rabbitmq.published(routing_key="invoices")) == [b"BEFORE", b"AFTER"]
    assert rabbitmq.queue("orders").depth == 0
