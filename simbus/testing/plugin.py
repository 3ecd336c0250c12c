"""The pytest plugin: the fixture ``rabbitmq``, and what the broker has to say when a test fails.

pytest loads this module through the entry point, in every run; so the fake is imported when a test
first asks for it. When a test fails, in its body or afterwards, its report gets a section with the
broker's state and the timeline of its messages.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simbus.rabbitmq.fake import RabbitMQ

__tracebackhide__ = True  # what a handler raised matters, not who checked it

_BROKER = pytest.StashKey["RabbitMQ"]()
_PASSED = pytest.StashKey[bool]()


@pytest.fixture
def rabbitmq(request: pytest.FixtureRequest) -> Iterator["RabbitMQ"]:
    """A RabbitMQ of the test's own, empty, on a virtual clock.

    After a test that passed it fails with HandlerFailed when a handler raised what the test neither
    expected (``raises=``) nor read (``handler.exceptions``). A test that failed has its failure already.
    """
    from simbus.rabbitmq.fake import RabbitMQ

    node: pytest.Item = request.node
    broker = node.stash[_BROKER] = RabbitMQ()
    yield broker
    broker.close()
    if node.stash.get(_PASSED, False):
        broker.check_handlers()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test passed, and let the broker speak when it did not."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    broker = item.stash.get(_BROKER, None)
    if report.failed and broker is not None:
        report.sections.append(("rabbitmq: the broker's state", broker.state()))
        report.sections.append(("rabbitmq: the timeline of its messages", broker.timeline()))
    return report
