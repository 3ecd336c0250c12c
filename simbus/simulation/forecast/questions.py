"""What a scenario asks of its results: its expectations, and the metrics that have to be precise, read against its names."""

from collections.abc import Mapping

from simbus.analysis import expectations
from simbus.analysis.expectations import Expectation
from simbus.errors import ScenarioError
from simbus.simulation.model.system import System


def expected(scenario: System) -> tuple[Expectation, ...]:
    """The scenario's expectations, read against its names; ScenarioError for one that cannot be."""
    return tuple(expectation(scenario, text) for text in scenario.expectations)


def expectation(scenario: System, text: str) -> Expectation:
    """One expectation, read against a scenario's names; ScenarioError when it cannot be."""
    return expectations.parse(text, tuple(scenario.topology.queues), tuple(scenario.consumers), scenario.classes_in_queues)


def wanted(scenario: System, asked: tuple[Expectation, ...]) -> tuple[tuple[str, float], ...]:
    """The metrics that have to be precise and how precise, by path: those of the expectations where none is named.

    Raises:
        ScenarioError: a path that is unknown or ambiguous, or nothing to be precise about.
    """
    precision = scenario.run.precision
    if precision is None:
        return ()
    if not isinstance(precision, Mapping):
        precision = dict.fromkeys((each.target.path for each in asked), precision)
    if not precision:
        remedy = 'write precision = { "payments.wait.mean" = "5%" }'
        raise ScenarioError("run.precision", f"names no metric, and the scenario expects nothing; {remedy}")
    for path in precision:
        _check_path(path, scenario)
    return tuple(precision.items())


def _check_path(path: str, scenario: System) -> None:
    try:
        expectations.resolve(path, tuple(scenario.topology.queues), tuple(scenario.consumers), scenario.classes_in_queues)
    except ScenarioError as error:
        raise ScenarioError("run.precision", error.problem) from None
