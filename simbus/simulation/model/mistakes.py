"""Going on after a mistake, so that all of them can be told at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from simbus.errors import ScenarioError


class Mistakes:
    """The mistakes that were found so far: ``with mistakes.noted(): read(...)``."""

    def __init__(self) -> None:
        self.found: list[ScenarioError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep a ScenarioError and go on behind the block."""
        try:
            yield
        except ScenarioError as error:
            self.found += error.mistakes

    def told(self) -> None:
        """Raise the first as a ScenarioError that knows the others, if there is any."""
        if self.found:
            raise ScenarioError.of(self.found)
