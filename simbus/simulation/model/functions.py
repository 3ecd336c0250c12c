"""Functions of users in a scenario: what stands in place of a distribution of service times, or of a workload.

They say as little as is known before they run. The calendar and the broker as such code sees them are in the replication's
``usercode``.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.random import Generator

from simbus.errors import ScenarioError


@dataclass(frozen=True)
class Handling:
    """In place of a distribution of service times: a handler, of which nobody knows how long it takes before it runs."""

    function: Callable[..., Any]
    mean = scv = math.nan

    def sample(self, _generator: Generator, _n: int, /) -> Any:
        """Refused: it takes as long as it takes."""
        raise NotImplementedError

    def __str__(self) -> str:
        return f"handler {_name(self.function)}"


@dataclass(frozen=True)
class Source:
    """In place of a workload: a generator that publishes when it likes."""

    function: Callable[..., Any]
    rate = math.nan
    finite = False

    def epochs(self, _generator: Generator, /) -> Iterator[int]:
        """Refused: nobody knows before it runs."""
        raise NotImplementedError

    def __str__(self) -> str:
        return f"source {_name(self.function)}"


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)


def check_callable(place: str, function: object) -> None:
    """Refuse (ScenarioError) what is no function."""
    if not callable(function):
        raise ScenarioError(place, f"{function!r} is not a function; write one that yields env.timeout(...)")
