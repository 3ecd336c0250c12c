"""Fixtures of several test files, and how the tests are seeded: repeatable by default, fresh when asked.

A statistical test asks for the fixture ``seed``. It is the CRC-32 of the test's node id, so every test has its
own, the same on every machine and in every run: a failure is a fact and not bad luck. Hypothesis is
derandomized for the same reason.

``pytest --fresh-seeds`` draws one base from the operating system, mixes it into every seed and hands it to Hypothesis.
The header shows it; ``pytest --seed BASE`` repeats that run.
"""

import os
from zlib import crc32

import hypothesis
import pytest

from simbus.rabbitmq.broker import Broker
from tests.brokers import new_channel

hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("fresh", derandomize=False, database=None, deadline=None, print_blob=True)


def pytest_addoption(parser):
    group = parser.getgroup("seeds of the tests")
    group.addoption("--fresh-seeds", action="store_true", help="seed all tests anew; the header tells how to repeat it")
    group.addoption("--seed", type=int, default=0, metavar="BASE", help="repeat a run with fresh seeds")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if config.option.fresh_seeds and not config.option.seed:
        config.option.seed = 1 + int.from_bytes(os.urandom(4)) % (2**32 - 1)
    if config.option.seed and getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(config.option.seed)
    hypothesis.settings.load_profile("fresh" if config.option.seed else "repeatable")


def pytest_report_header(config):
    return f"fresh seeds: repeat with --seed {config.option.seed}" if config.option.seed else "seeds: from the names of the tests"


@pytest.fixture
def seed(request):
    """This test's own seed, an int of 32 bits."""
    return crc32(request.node.nodeid.encode(), request.config.option.seed)


@pytest.fixture
def broker():
    """An empty RabbitMQ, without a driver."""
    return Broker()


@pytest.fixture
def channel(broker):
    """A channel of that broker, on a connection of its own."""
    return new_channel(broker)
