"""Arrivals that come more often: every kind of them, on the same draws."""

import math
from itertools import islice
from typing import Any

import numpy as np
import pytest

from simbus import Scenario
from simbus.errors import UnitError
from simbus.simulation.model.functions import Source
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.scaling import Hurried, scaled
from simbus.simulation.model.workloads import ARRIVALS, Workload

TEXTS = {
    "poisson": "poisson 20/s",
    "constant_rate": "constant_rate 20/s",
    "bursts": "bursts size=50 every=1min",
    "renewal": "renewal 'gamma mean=10ms cv=0.5'",
    "batches": "batches 20/s size=5",
    "sinusoid": "sinusoid 20/s swing=0.8 period=1h",
    "schedule": "schedule 1min:2/s,4min:12/s",
    "markov_modulated": "markov_modulated 50s:20/s,10s:200/s",
    "replay": "replay trace.csv",
    "counts": "counts 12,30 every=1min",
}


@pytest.fixture
def workload(tmp_path):
    (tmp_path / "trace.csv").write_text("seconds\n0\n1\n2.5\n10\n")
    return lambda kind: parse(TEXTS[kind], ARRIVALS, "arrivals", tmp_path, Workload)


def test_every_kind_of_arrivals_is_scaled_or_refused():
    assert TEXTS.keys() | {"closed_loop"} == ARRIVALS.keys()


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("factor", [0.125, 1, 3])
def test_arrivals_come_so_many_times_as_often(workload, kind, factor):
    assert scaled(workload(kind), factor).rate == pytest.approx(factor * workload(kind).rate)
    assert scaled(workload(kind), factor).finite == workload(kind).finite


@pytest.mark.parametrize("kind", ["poisson", "constant_rate", "renewal", "batches", "bursts", "replay"])
def test_what_has_no_hours_is_the_same_in_less_time(workload, kind, seed):
    def instants(arrivals):
        return list(islice(arrivals.epochs(np.random.default_rng(seed)), 200))

    for once, twice in zip(instants(workload(kind)), instants(scaled(workload(kind), 4)), strict=True):
        assert twice == pytest.approx(once / 4, abs=200)  # gaps are whole nanoseconds


@pytest.mark.parametrize(("kind", "hour"), [("sinusoid", 900), ("schedule", 200)])
def test_what_follows_the_clock_keeps_its_hours(workload, kind, hour):
    at = hour * 10**9
    faster: Any = scaled(workload(kind), 3)
    assert faster.rate_at(at) == pytest.approx(3 * workload(kind).rate_at(at))


def test_scaled_arrivals_are_told_by_their_text(workload):
    assert str(scaled(workload("poisson"), 2)) == "poisson 40/s"
    assert str(scaled(workload("renewal"), 2)) == "renewal 'gamma mean=10ms cv=0.5', 2 times as often"


def test_what_the_system_or_code_decides_is_refused():
    loop = parse("closed_loop window=10 think='exponential 1s'", ARRIVALS, "arrivals", None, Workload)
    with pytest.raises(UnitError, match="vary its window instead"):
        scaled(loop, 2)
    with pytest.raises(UnitError, match="write spread=poisson"):
        scaled(parse("counts 12,30 every=1min spread=exact", ARRIVALS, "arrivals", None, Workload), 2)
    with pytest.raises(UnitError, match="give that code a parameter"):
        scaled(Source(print), 2)


def test_arrivals_of_a_users_own_come_faster(seed):
    class Own:
        rate, finite = 2.0, False

        def epochs(self, _generator):
            yield from (10**9, 3 * 10**9)

    faster = scaled(Own(), 4)
    assert isinstance(faster, Hurried)
    assert isinstance(faster, Workload)
    assert list(faster.epochs(np.random.default_rng(seed))) == [10**9 // 4, 3 * 10**9 // 4]
    scenario = Scenario("own")
    scenario.queue("q")
    scenario.publisher("p", to="q", arrivals=faster)
    assert scenario.publishers["p"].arrivals.rate == 8
    assert not math.isnan(faster.rate)
