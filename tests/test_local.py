"""How many processes a run gets when nobody says, and how they are begun: none that would do harm, none that would not pay."""

import multiprocessing
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest

from simbus.simulation.experiment import local
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.experiment.local import cores, default_jobs, messages, safe_context
from simbus.simulation.model.replays import Replay
from simbus.simulation.scenario import Scenario

FORKS = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of four cores; this process has one thread, and its main module is no file."""
    monkeypatch.setattr(local, "cores", lambda: 4)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))


def shop(rate="200/s", replications=10, **consumer):
    made = Scenario("shop", run={"duration": "1min", "replications": replications})
    made.queue("orders")
    made.publisher("web", to="orders", arrivals=f"poisson {rate}")
    made.consumer("clerk", **{"queue": "orders", "service": "exponential 1ms", **consumer})
    return made


def method():
    """How a process would be begun."""
    context = safe_context()
    return context and context.get_start_method()


def test_messages_are_counted_over_all_replications():
    assert messages(shop()) == 200 * 60 * 10
    trace = shop().with_("publishers.web.arrivals", Replay("x.csv", 1, "order", (0, 5, 9))).with_("run.duration", None)
    assert messages(trace) == 30


@pytest.mark.skipif(not FORKS, reason="this platform forks nothing")
def test_a_process_for_each_core_and_no_more_than_replications():
    assert default_jobs(shop()) == 4
    assert default_jobs(shop("2000/s", replications=3)) == 3
    assert default_jobs(shop("2000/s", replications=1)) == 1


def test_what_is_done_in_a_moment_stays_here():
    assert default_jobs(shop("1/s")) == 1


@dataclass(frozen=True)
class Odd:
    """A distribution that cannot be sent anywhere."""

    mean = 1e6
    scv = 0.0

    def sample(self, _generator, n, /):
        return np.full(n, 1_000_000)

    def __reduce__(self):
        raise TypeError("cannot pickle it")


def test_what_cannot_be_pickled_stays_here():
    assert default_jobs(shop(service=Odd())) == 1


@pytest.mark.skipif(not FORKS, reason="this platform forks nothing")
def test_a_process_alone_is_forked():
    assert method() == "fork"


@pytest.mark.parametrize("threads", [2, 7])
def test_beside_other_threads_processes_start_afresh_where_no_script_would_run_again(monkeypatch, threads):
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    assert method() == "spawn"
    assert default_jobs(shop("200/s")) == 1  # that takes longer to begin
    assert default_jobs(shop("2000/s")) == 4
    script = ModuleType("__main__")
    script.__file__ = "plan.py"
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert safe_context() is None
    assert default_jobs(shop("2000/s")) == 1


def test_the_same_on_a_platform_that_does_not_fork(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert method() == "spawn"


def test_what_a_notebook_defines_stays_there_when_processes_start_afresh(monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    scenario = shop("2000/s")
    monkeypatch.setattr(pickle, "dumps", lambda _: b"... __main__ Handler ...")
    assert default_jobs(scenario) == 1


def test_a_worker_begins_no_workers(monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "someone")
    assert safe_context() is None


def test_there_is_a_core():
    assert cores() >= 1


def test_the_default_gives_the_same_to_the_last_bit(monkeypatch):
    monkeypatch.setattr(local, "WORTH", 1)
    scenario = shop("50/s", replications=3)
    assert simulate(scenario).trace_hash == simulate(scenario, jobs=1).trace_hash


SCRIPT = """
import threading
from simbus import Scenario, simulate
from simbus.simulation.experiment import local
local.WORTH = 1
print("runs")
{thread}
shop = Scenario("shop", run={{"duration": "1min", "replications": 2}})
shop.queue("orders")
shop.publisher("web", to="orders", arrivals="poisson 20/s")
shop.consumer("clerk", queue="orders", service="exponential 1ms")
print(simulate(shop).trace_hash[:0] + "done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("thread", ["", "stop = threading.Event(); threading.Thread(target=stop.wait, daemon=True).start()"])
def test_a_script_without_a_guard_runs_once(tmp_path, thread):
    (tmp_path / "plan.py").write_text(SCRIPT.format(thread=thread), "utf-8")
    done = subprocess.run([sys.executable, "plan.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["runs", "done"]
