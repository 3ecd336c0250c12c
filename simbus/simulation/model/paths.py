"""Paths to one value of a scenario: ``consumers.charge.count``, ``consumers.charge.service.mean``, ``run.seed``.

A value that is said by name, ``"lognormal mean=55ms cv=0.8"``, is opened where a path goes into it, so that ``service.mean``
leads to the same value as ``service.lognormal.mean``. Which sections and names there are is known to ``scenario``.
"""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from simbus.errors import ScenarioError
from simbus.simulation.model.distributions import SERVICES
from simbus.simulation.model.failures import BACKOFFS, RETRIES
from simbus.simulation.model.grammar import opened
from simbus.simulation.model.sizes import SIZES
from simbus.simulation.model.workloads import ARRIVALS

_FACTORIES: Mapping[str, Mapping[str, Callable[..., Any]]] = {  # of keys whose value is said by name
    **dict.fromkeys(("service", "mtbf", "mttr", "latency", "expiration", "think", "gaps", "each"), SERVICES),
    "arrivals": ARRIVALS,
    "size": SIZES,
    "retry": RETRIES,
    "backoff": BACKOFFS,
}


def replaced(table: Mapping[str, Any], steps: list[str], value: object, path: str) -> dict[str, Any]:
    """A copy of nested tables with one value replaced; the tables themselves stay as they are.

    Args:
        table: keys to values, as they were given.
        steps: the keys on the way to the value.
        value: what it is to be.
        path: for errors.

    Raises:
        ScenarioError: the way leads into a value that is no table and cannot be opened.
    """
    key, *deeper = steps
    if not deeper:
        return {**table, key: value}
    inner = _inner(key, table.get(key), deeper[0])
    if inner is None:
        problem = f"{key} was not given as a table, so there is no {deeper[0]!r} in it; replace {key} as a whole"
        raise ScenarioError(path, problem)
    table_of, name = inner
    changed = replaced(table_of, deeper, value, path)
    return {**table, key: {name: changed} if name else changed}


def _inner(key: str, given: object, step: str) -> tuple[Mapping[str, Any], str] | None:
    """The table that a step leads into, and the name under which it stands where the path leaves that out."""
    factories = _FACTORIES.get(key, {})
    whole = given if isinstance(given, Mapping) else opened(given, factories)
    if whole is None:
        return None
    name = next(iter(whole)) if len(whole) == 1 else ""
    inside = whole.get(name)
    if step not in whole and name in factories and isinstance(inside, Mapping):
        return inside, name
    return whole, ""


def nearest(path: str, known: Collection[str]) -> str:
    """The end of a complaint about a path that there is not: the one that is most like it."""
    close = get_close_matches(path, known, n=1)
    return f"; the nearest path is {close[0]}" if close else ""
