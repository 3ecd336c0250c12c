"""The bar that shows how far an experiment is: for those who watch, when there is something to wait for."""

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from simbus.simulation.experiment import progress
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.experiment.progress import Bar, Notebook, Terminal, telling, watched
from simbus.simulation.experiment.sweeps import sweep
from simbus.simulation.scenario import Scenario


class Seen:
    """A face that remembers."""

    def __init__(self):
        self.shown, self.cleared = [], False

    def show(self, done, total, seconds):
        self.shown.append((done, total, seconds))

    def clear(self):
        self.cleared = True


def bar(at_once, *times):
    """A bar at these times of its clock, and its face."""
    face, clock = Seen(), iter(times)
    return Bar(lambda: face, at_once, 10, lambda: next(clock)), face


def test_what_is_done_within_a_second_shows_nothing():
    shown, face = bar(False, 100.0, 100.4, 100.9)
    shown(1, 10)
    shown(2, 10)
    shown(10, 10)
    shown.close()
    assert (face.shown, face.cleared) == ([], False)


def test_after_a_second_it_is_shown_and_taken_away_in_the_end():
    shown, face = bar(False, 100.0, 100.4, 101.5, 101.5, 102.5)
    for done in (1, 2, 10):
        shown(done, 10)
    shown.close()
    assert (face.shown, face.cleared) == ([(2, 10, 1.5), (10, 10, 2.5)], True)


def test_what_is_known_to_be_long_is_shown_at_once():
    _, face = bar(True, 100.0, 100.0)
    assert face.shown == [(0, 10, 0.0)]


def test_who_brings_a_function_is_told_by_it_alone(monkeypatch):
    monkeypatch.setattr(progress, "watched", lambda: pytest.fail("nobody asked for a bar"))
    mine = print
    with telling(mine, "replications", 10, long=True) as tell:
        assert tell is mine


@pytest.mark.parametrize("off", [False, None])
def test_it_can_be_switched_off(monkeypatch, off):
    monkeypatch.setattr(progress, "watched", lambda: Seen)
    with telling(off, "replications", 10, long=True) as tell:
        assert tell is None


def test_it_is_taken_away_when_the_run_fails(monkeypatch):
    face = Seen()
    monkeypatch.setattr(progress, "watched", lambda: lambda _: face)
    with pytest.raises(KeyboardInterrupt), telling(True, "replications", 10, long=True):
        raise KeyboardInterrupt
    assert face.cleared


# Who watches


def test_nothing_is_shown_where_no_one_watches():
    assert watched() is None  # pytest has taken the standard error


def test_a_terminal_is_watched(monkeypatch):
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    assert watched() is Terminal


def test_a_process_without_a_standard_error_is_not(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert watched() is None


@pytest.fixture
def kernel(monkeypatch):
    """A kernel of Jupyter, as far as it can be told from here; what it displays, in order."""
    displayed: list[str] = []

    def display(html, **_):
        displayed.append(html)
        return SimpleNamespace(update=displayed.append)

    interactive: Any
    displays: Any
    interactive, displays = ModuleType("IPython"), ModuleType("IPython.display")
    interactive.get_ipython = lambda: SimpleNamespace(kernel="yes")
    displays.HTML = str
    displays.display = display
    monkeypatch.setitem(sys.modules, "IPython", interactive)
    monkeypatch.setitem(sys.modules, "IPython.display", displays)
    return displayed


def test_a_notebook_shows_it_below_the_cell(kernel):
    assert watched() is Notebook
    with telling(True, "replications", 10, long=True) as tell:
        assert tell is not None
        tell(5, 10)
    first, begun, half, end = kernel
    assert (first, end) == ("", "")
    assert begun == '<progress value="0" max="10"></progress> 0/10 replications, 0 s'
    assert half == '<progress value="5" max="10"></progress> 5/10 replications, 0 s, about 0 s left'


def test_ipython_in_a_terminal_is_a_terminal(monkeypatch):
    interactive: Any = ModuleType("IPython")
    interactive.get_ipython = SimpleNamespace
    monkeypatch.setitem(sys.modules, "IPython", interactive)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    assert watched() is Terminal


# In a run


@pytest.fixture
def shop():
    made = Scenario("shop", run={"duration": "10s", "replications": 3})
    made.queue("orders")
    made.publisher("web", to="orders", arrivals="poisson 20/s")
    made.consumer("clerk", queue="orders", service="exponential 1ms")
    return made


def test_a_function_is_told_of_replications_and_of_designs(shop):
    told = []
    simulate(shop, progress=lambda *so_far: told.append(so_far))
    assert told == [(1, 3), (2, 3), (3, 3)]
    told.clear()
    sweep(shop, {"consumers.clerk.count": [1, 2]}, progress=lambda *so_far: told.append(so_far))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("run", [simulate, lambda shop, **how: sweep(shop, {"consumers.clerk.count": [1, 2]}, **how)])
def test_who_watches_sees_a_bar_by_default(shop, monkeypatch, run):
    faces = [Seen(), Seen()]
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "watched", lambda: lambda _: faces.pop())
    face = faces[-1]
    run(shop)
    assert face.shown[-1][0] == face.shown[-1][1]
    assert face.cleared
    run(shop, progress=False)
    assert len(faces) == 1


def test_the_bar_of_a_terminal_is_drawn_and_erased(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with telling(True, "replications", 10, long=True) as tell:
        assert tell is not None
        tell(4, 10)
    assert "replications" in screen.getvalue()
    assert "4/10" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")  # erased
