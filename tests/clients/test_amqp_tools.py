"""Debian's amqp-tools, written in C over librabbitmq: they publish, get, and consume with acks.

They know no confirms and do not connect again; who needs them after a restart starts them again.
"""

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("amqp-publish") is None, reason="amqp-tools are not installed")

PATIENCE = 30  # seconds


@pytest.fixture
def url(rabbitmq):
    rabbitmq.declare_queue("orders")
    return rabbitmq.url.removesuffix("/")  # at the end, to librabbitmq, it is the virtual host whose name is empty


@pytest.fixture
def tool(url):
    """Run a tool against the broker; what it says."""

    def run(name, *arguments, stdin=b""):
        command = [name, "--url", url, *arguments]
        return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True, timeout=PATIENCE).stdout

    return run


def test_what_it_publishes_it_gets(rabbitmq, tool):
    tool("amqp-publish", "--routing-key", "orders", "--persistent", "--content-type", "text/plain", "--body", "one book")
    assert rabbitmq.wait_until_idle()
    [order] = rabbitmq.published
    assert (order.body, order.properties.content_type, order.properties.delivery_mode) == (b"one book", "text/plain", 2)
    assert tool("amqp-get", "--queue", "orders") == b"one book"
    assert rabbitmq.wait_until_idle()
    assert rabbitmq.queue("orders").depth == 0


def test_a_body_larger_than_a_frame_goes_there_and_back(tool):
    body = bytes(range(256)) * 2_000
    tool("amqp-publish", "--routing-key", "orders", stdin=body)
    assert tool("amqp-get", "--queue", "orders") == body


def test_it_consumes_with_acks_and_leaves_the_rest(rabbitmq, tool):
    for order in (b"a", b"b", b"c"):
        rabbitmq.publish("", "orders", order)
    assert tool("amqp-consume", "--queue", "orders", "--prefetch-count", "1", "--count", "2", "cat") == b"ab"
    assert [order.body for order in rabbitmq.queue("orders")] == [b"c"]


def test_it_works_again_after_a_restart(rabbitmq, tool):
    tool("amqp-publish", "--routing-key", "orders", "--persistent", "--body", "before")
    rabbitmq.restart()
    tool("amqp-publish", "--routing-key", "orders", "--body", "after")
    assert tool("amqp-consume", "--queue", "orders", "--count", "2", "cat") == b"beforeafter"
    assert rabbitmq.queue("orders").depth == 0
