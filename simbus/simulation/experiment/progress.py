"""How far an experiment is: a bar in a terminal, or below the cell of a notebook, while it runs; nothing where no one watches.

It comes after a second only, or at once where the run is known to be long. It has no thread of its own, because worker processes
are forked while it is shown, so it moves when something is done.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from time import monotonic
from typing import Any, Protocol

Progress = Callable[[int, int], None]  # what is done, and of how much
PATIENCE = 1.0  # seconds


class Face(Protocol):
    """Where a bar is seen."""

    def show(self, done: int, total: int, seconds: float) -> None:
        """Show how much is done, after so many seconds."""

    def clear(self) -> None:
        """Leave nothing behind."""


class Terminal:
    """A line on the standard error."""

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        self._task = self._bar.add_task(what, total=None)
        self._bar.start()

    def show(self, done: int, total: int, seconds: float) -> None:
        """Draw the line anew."""
        self._bar.update(self._task, completed=done, total=total, refresh=True)

    def clear(self) -> None:
        """Take it away."""
        self._bar.stop()


class Notebook:
    """A bar below the cell, in plain HTML: every front end of Jupyter has it, without an extension."""

    def __init__(self, what: str) -> None:
        interactive: Any = import_module("IPython.display")
        self._what, self._html = what, interactive.HTML
        self._handle = interactive.display(self._html(""), display_id=True)

    def show(self, done: int, total: int, seconds: float) -> None:
        """Change what is shown."""
        left = f", about {seconds / done * (total - done):.0f} s left" if 0 < done < total else ""
        said = f"{done}/{total} {self._what}, {seconds:.0f} s{left}"
        self._handle.update(self._html(f'<progress value="{done}" max="{total}"></progress> {said}'))

    def clear(self) -> None:
        """Leave an empty line."""
        self._handle.update(self._html(""))


class Bar:
    """What is told goes to a face, which is made when it is time.

    Args:
        face: makes one.
        at_once: whether to show it before anything is done.
        total: of how much, as far as is known before.
        clock: seconds of any beginning.
    """

    def __init__(self, face: Callable[[], Face], at_once: bool, total: int, clock: Callable[[], float] = monotonic) -> None:
        self._make, self._clock, self._begun = face, clock, clock()
        self._face: Face | None = None
        if at_once:
            self._show(0, total)

    def __call__(self, done: int, total: int) -> None:
        """So much is done."""
        if self._face is not None or (done < total and self._clock() - self._begun >= PATIENCE):
            self._show(done, total)

    def _show(self, done: int, total: int) -> None:
        self._face = self._face or self._make()
        self._face.show(done, total, self._clock() - self._begun)

    def close(self) -> None:
        """Take the face away, if there is one."""
        if self._face is not None:
            self._face.clear()


@contextmanager
def telling(progress: Progress | bool | None, what: str, total: int, long: bool) -> Iterator[Progress | None]:
    """Whom to tell how much is done: the caller's function, a bar where someone watches, or None.

    Args:
        progress: a function, or whether to show a bar.
        what: is counted, in the plural.
        total: of how much, as far as is known before.
        long: whether it is known to take more than a moment.
    """
    if callable(progress):
        yield progress
        return
    face = watched() if progress else None
    if face is None:
        yield None
        return
    bar = Bar(lambda: face(what), long, total)
    try:
        yield bar
    finally:
        bar.close()


def watched() -> Callable[[str], Face] | None:
    """The kind of face that someone would see; None where no one watches."""
    if _in_notebook():
        return Notebook
    return Terminal if sys.stderr is not None and sys.stderr.isatty() else None


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this; IPython is not imported for the question."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return getattr(shell, "kernel", None) is not None
