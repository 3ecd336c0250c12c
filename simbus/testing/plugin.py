"""The pytest plugin: its fixtures, and what the broker has to say when a test fails.

pytest loads this module through the entry point, in every run; so the fake is imported when a test
first asks for it. When a test fails, in its body or afterwards, its report gets a section with the
broker's state and the timeline of its messages.

pytest-rabbitmq, which starts a real broker, has a fixture named ``rabbitmq`` too. Where both are installed, the
name stays with it and the header of the run says so; ``rabbitmq_fixture = simbus`` in the configuration takes it.
Our fixture is always there as ``simbus_rabbitmq``.

Which RabbitMQ the fixtures are is ``rabbitmq_version`` in the configuration, and for one test or module
``@pytest.mark.rabbitmq_version("3.10")``.
"""

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simbus.rabbitmq.fake import RabbitMQ

__tracebackhide__ = True  # what a handler raised matters, not who checked it

_BROKER = pytest.StashKey["RabbitMQ"]()
_PASSED = pytest.StashKey[bool]()
_RIVALS = ("pytest_rabbitmq", "pytest_rabbitmq.plugin")  # by entry point, and by -p or pytest_plugins
_OWNER = "rabbitmq_fixture"
_VERSION = "rabbitmq_version"  # in the configuration, and as a marker


@pytest.fixture
def simbus_rabbitmq(request: pytest.FixtureRequest) -> Iterator["RabbitMQ"]:
    """A RabbitMQ of the test's own, empty, on a virtual clock; also under the name rabbitmq.

    After a test that passed it fails with HandlerFailed when a handler raised what the test neither
    expected (``raises=``) nor read (``handler.exceptions``). A test that failed has its failure already.
    """
    from simbus.rabbitmq.fake import RabbitMQ

    node: pytest.Item = request.node
    broker = node.stash[_BROKER] = RabbitMQ(version=_version_for(node))
    yield broker
    broker.close()
    if node.stash.get(_PASSED, False):
        broker.check_handlers()


@pytest.fixture(scope="session")
def rabbitmq_server(pytestconfig: pytest.Config) -> Iterator["RabbitMQ"]:
    """One RabbitMQ for the whole run, for applications that connect once; call its ``reset()`` after each test."""
    from simbus.rabbitmq.fake import RabbitMQ

    broker = RabbitMQ(version=pytestconfig.getini(_VERSION))
    yield broker
    broker.close()
    broker.check_handlers()  # of what came after the last reset


def _version_for(item: pytest.Item) -> str:
    """The version that a test asks for, or the configuration's."""
    marker = item.get_closest_marker(_VERSION)
    if marker is None:
        return str(item.config.getini(_VERSION))
    version = marker.args[0] if len(marker.args) == 1 else None
    if (wrong := _wrong(version)) or marker.kwargs:
        pytest.fail(f'@pytest.mark.{_VERSION}: {wrong or "takes the version alone"}; write for example ("3.10")', pytrace=False)
    return str(version)


def _wrong(version: object) -> str | None:
    """What is wrong with a version."""
    from simbus.rabbitmq.versions import VERSIONS

    return None if version in VERSIONS else f"simbus stands in for RabbitMQ {' and '.join(VERSIONS)}, not for {version}"


class ShortName:
    """The fixture under its short name, where no one else has it."""

    @pytest.fixture
    def rabbitmq(self, simbus_rabbitmq: "RabbitMQ") -> "RabbitMQ":
        """A RabbitMQ of the test's own, empty, on a virtual clock: simbus's, see simbus_rabbitmq."""
        return simbus_rabbitmq


def pytest_addoption(parser: pytest.Parser) -> None:
    """Whose the name ``rabbitmq`` is, and which RabbitMQ it is."""
    parser.addini(_OWNER, "whose fixture `rabbitmq` is where pytest-rabbitmq is installed: simbus or pytest-rabbitmq", default="")
    parser.addini(_VERSION, "the RabbitMQ that simbus's fixtures behave as: 4.0 or 3.10", default="4.0")


def pytest_configure(config: pytest.Config) -> None:
    """Give our fixture its short name, unless that would shadow another plugin's in silence."""
    config.addinivalue_line("markers", f"{_VERSION}(version): the RabbitMQ that simbus's fixture is in this test: 4.0 or 3.10")
    if config.getini(_VERSION) != "4.0" and (wrong := _wrong(config.getini(_VERSION))):
        raise pytest.UsageError(f'{_VERSION} = {config.getini(_VERSION)}: {wrong}; in TOML write it in quotes, "3.10"')
    owner = config.getini(_OWNER)
    if owner not in ("", "simbus", "pytest-rabbitmq"):
        raise pytest.UsageError(f"{_OWNER} = {owner}: it is either simbus or pytest-rabbitmq")
    if owner == "simbus" or (not owner and not _has_rival(config)):
        config.pluginmanager.register(ShortName(), "simbus-short-name")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Whose ``rabbitmq`` is, where two plugins have it."""
    if not _has_rival(config):
        return None
    if config.pluginmanager.has_plugin("simbus-short-name"):
        return f"simbus: the fixture rabbitmq is simbus's, not pytest-rabbitmq's ({_OWNER} = simbus)"
    chosen = f"({_OWNER} = pytest-rabbitmq)" if config.getini(_OWNER) else f"unless you set {_OWNER} = simbus"
    return f"simbus: the fixture rabbitmq is pytest-rabbitmq's, {chosen}; simbus's is simbus_rabbitmq"


def _has_rival(config: pytest.Config) -> bool:
    return any(config.pluginmanager.has_plugin(name) for name in _RIVALS)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test passed, and let its brokers speak when it did not."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    if report.failed:
        for name, broker in _brokers(item):
            report.sections.append((f"{name}: the broker's state", broker.state()))
            report.sections.append((f"{name}: the timeline of its messages", broker.timeline()))
    return report


def _brokers(item: pytest.Item) -> Iterator[tuple[str, "RabbitMQ"]]:
    """The brokers that a test used, by the names of their fixtures, which may be the project's own."""
    fake = sys.modules.get("simbus.rabbitmq.fake.front")
    if fake is None:
        return
    named = {"rabbitmq": item.stash.get(_BROKER, None), **getattr(item, "funcargs", {})}
    brokers = {id(value): (name, value) for name, value in reversed(named.items()) if isinstance(value, fake.RabbitMQ)}
    yield from reversed(brokers.values())
