"""How many processes of this machine a run gets when nobody says, and how they are begun.

The result is the same for any number, so this is about time and safety alone. A process for each core, where that is quicker than
it takes to begin them, and harmless:

- A process is forked where the platform can and nothing else runs in this one: a fork takes other threads' locks along.
- Else it starts afresh: on macOS, on Windows, within Jupyter. A fresh process imports the main module again, and a script
  without ``if __name__ == "__main__":`` would run a second time: so only where there is no such file.
- What cannot be pickled stays here, and so does what a fresh process would not find: definitions of a notebook's own cells.
- A process that was begun for a run begins none.
"""

import multiprocessing
import os
import pickle
import sys
import threading
from multiprocessing.context import BaseContext

from simbus.simulation.model.counts import Counts
from simbus.simulation.model.replays import Replay
from simbus.simulation.model.system import System
from simbus.units import SECOND

WORTH = 50_000  # messages in all: half a second of simulation, several times what it takes to fork
_FRESH = 10  # times as much, before it is worth it to start afresh: a second for the imports alone


def default_jobs(scenario: System) -> int:
    """How many processes to run a scenario in; 1 is this one."""
    context, most = safe_context(), min(cores(), scenario.run.replications)
    if context is None or most == 1:
        return 1
    forked = context.get_start_method() == "fork"
    if messages(scenario) < WORTH * (1 if forked else _FRESH):
        return 1
    return most if _travels(scenario, forked) else 1


def messages(scenario: System) -> float:
    """How many are published in all replications, about."""
    seconds = (scenario.run.duration or 0) / SECOND
    workloads = [publisher.arrivals for publisher in scenario.publishers.values()]
    one = sum(each.total if isinstance(each, Replay | Counts) else each.rate * seconds for each in workloads)
    return one * scenario.run.replications


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def safe_context() -> BaseContext | None:
    """How processes can be begun without a guard in the user's script; None when they cannot."""
    if multiprocessing.parent_process() is not None:
        return None
    if "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin" and threading.active_count() == 1:
        return multiprocessing.get_context("fork")
    return None if _runs_again(sys.modules["__main__"]) else multiprocessing.get_context("spawn")


def _runs_again(main: object) -> bool:
    """Whether a fresh process would import the main module: it is a file, or has been started by ``python -m``."""
    return getattr(main, "__file__", None) is not None or getattr(main, "__spec__", None) is not None


def _travels(scenario: System, forked: bool) -> bool:
    """Whether another process can read it; a fresh one knows nothing that this one's main module defines."""
    try:
        return forked | (b"__main__" not in pickle.dumps(scenario))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
