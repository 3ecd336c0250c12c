"""What the metrics do not say: whole laws of waits, and what an arrival sees.

Laws are tested by Kolmogorov's and Smirnov's distance, on waits that lie so far apart that they are independent. On successive
waits the test would be worthless, since neighbours in a queue share their luck. At a utilisation of a half the memory of a
queue is a dozen services; samples are eighty apart.
"""

import math
from contextlib import contextmanager
from itertools import takewhile
from unittest.mock import patch

import numpy as np
import pytest
from scipy.special import stdtrit

from simbus import theory
from simbus.analysis.recorder import Recorder
from simbus.simulation.experiment import assembly
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.model.streams import Streams
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND

ERRS = 1e-6  # of each test here
APART = 80  # services


def one_queue(arrivals, service="exponential 1s", **consumer):
    scenario = Scenario("one queue", run={"duration": "30h"})
    scenario.queue("work")
    scenario.publisher("source", to="work", arrivals=arrivals)
    scenario.consumer("server", queue="work", service=service, **consumer)
    return scenario


@contextmanager
def noted():
    """When handlers started and ended, by copy; a queue that is the only one numbers its copies as they come."""
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}

    class Noting(Recorder):
        def started(self, group, copy_id, now, servers=1):
            starts[copy_id] = now
            super().started(group, copy_id, now, servers)

        def ended(self, group, copy_id, now, servers=1):
            ends[copy_id] = now
            super().ended(group, copy_id, now, servers)

    with patch.object(assembly, "Recorder", Noting):
        yield starts, ends


def arrivals_of(scenario, seed, index=0, name="source"):
    epochs = scenario.publishers[name].arrivals.epochs(Streams(seed, index).generator(f"publishers.{name}", "arrivals"))
    return list(takewhile(lambda at: at <= scenario.run.duration, epochs))


def sojourn_like(waiting, spare):
    """The law of a wait that a share of messages has, and that is exponential then."""
    return lambda t: 1 - waiting * math.exp(-spare * t)


def of(queue):
    """Where arrivals have gaps of any law and services are exponential."""
    return sojourn_like(queue.sigma, queue.mu * (1 - queue.sigma))


LAWS = {
    "M/M/1": (one_queue("poisson 0.5/s", prefetch=1), sojourn_like(0.5, 0.5)),
    "M/M/3": (one_queue("poisson 1.5/s", count=3, prefetch=1), sojourn_like(theory.erlang_c(3, 1.5), 1.5)),
    "M/D/1": (one_queue("poisson 0.5/s", "constant 1s"), lambda t: theory.md1_wait_cdf(0.5, 1, t)),
    "D/M/1": (one_queue("constant_rate 0.5/s"), of(theory.dm1(0.5, 1))),
    "two dealt in turn": (one_queue("poisson 1/s", count=2), of(theory.round_robin(1, 1, 2))),
}


def distance(samples, law):
    """The greatest between the law and what was seen, at the atom at 0 and right and left of each sample beyond it."""
    n, ordered = len(samples), np.sort(samples)
    at = np.array([law(t) for t in ordered])
    above = np.searchsorted(ordered, ordered, side="right") / n - at
    below = np.where(ordered > 0, at - np.searchsorted(ordered, ordered, side="left") / n, 0)
    return float(max(np.abs(above).max(), np.abs(below).max()))


@pytest.mark.slow
@pytest.mark.parametrize("model", LAWS)
def test_waits_have_the_law_that_theory_says(model, seed):
    """At this level Kolmogorov and Smirnov's distance stays below sqrt(ln(2 / level) / 2n) (Massart 1990)."""
    scenario, law = LAWS[model]
    with noted() as (starts, _):
        run_replication(scenario, seed, 0)
    arrivals = arrivals_of(scenario, seed)
    apart = int(APART * scenario.publishers["source"].arrivals.rate)
    samples = [(starts[n] - arrivals[n - 1]) / SECOND for n in range(apart, len(arrivals) - apart, apart)]
    critical = math.sqrt(math.log(2 / ERRS) / (2 * len(samples)))
    assert critical < 0.08
    assert distance(samples, law) < critical
    assert distance(samples, lambda t: law(t + 1)) > critical, "waits that are too short by one service would show"


def seen_beside_average(scenario, seed, index):
    """How many an arrival finds there on average, less the average over time."""
    with noted() as (_, ends):
        values = run_replication(scenario, seed, index).values
    arrivals = np.array(arrivals_of(scenario, seed, index))
    gone = np.sort(np.array(list(ends.values())))
    found = np.arange(len(arrivals)) - np.searchsorted(gone, arrivals, side="right")
    return float(found.mean()) - values["work.depth.mean"]


@pytest.mark.slow
@pytest.mark.parametrize(("arrivals", "alike"), [("poisson 2.1/s", True), ("constant_rate 2.1/s", False)])
def test_arrivals_without_memory_see_what_there_is_on_average_and_others_do_not(arrivals, alike, seed):
    """PASTA (Wolff 1982)."""
    scenario = one_queue(arrivals, count=3, prefetch=1).with_("run.duration", "1h")
    differences = np.array([seen_beside_average(scenario, seed, index) for index in range(16)])
    z = differences.mean() / (differences.std(ddof=1) / 4)
    assert bool(abs(z) < stdtrit(15, 1 - ERRS / 2)) == alike
    if alike:
        assert differences.std(ddof=1) / 4 < 0.03
