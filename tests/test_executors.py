"""Replications elsewhere: whoever runs them, the result is the same to the last bit."""

from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.experiment.sweeps import sweep
from simbus.simulation.scenario import Scenario

RUN = {"duration": "20s", "replications": 4, "seed": 7}


@pytest.fixture
def shop():
    made = Scenario("shop")
    made.queue("orders")
    made.publisher("web", to="orders", arrivals="poisson 20/s")
    made.consumer("clerk", queue="orders", count=2, prefetch=1, service="lognormal mean=80ms cv=1", failure=0.05)
    return made


def same(one, other):
    return one.trace_hash == other.trace_hash and one.to_json() == other.to_json()


def test_an_executor_runs_the_replications_and_is_left_open(shop):
    with ThreadPoolExecutor(3) as executor:
        there = simulate(shop, **RUN, executor=executor)
        assert executor.submit(int).result() == 0
    assert same(there, simulate(shop, **RUN))


def test_a_sweep_takes_one_too(shop):
    factors = {"consumers.clerk.count": [2, 3]}
    with ThreadPoolExecutor(2) as executor:
        there = sweep(shop, factors, **RUN, executor=executor)
    here = sweep(shop, factors, **RUN)
    assert all(same(one.result, other.result) for one, other in zip(there.points, here.points, strict=True))


def test_progress_is_told_as_replications_come_back(shop):
    told = []
    with ThreadPoolExecutor(2) as executor:
        simulate(shop, **RUN, executor=executor, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


class Failing(Executor):
    """Its first answer is an error; the others never come."""

    def __init__(self):
        self.futures = []

    def submit(self, _work, /, *_tasks, **_more):
        self.futures.append(Future())
        if len(self.futures) == 1:
            self.futures[0].set_exception(MemoryError("no room"))
        return self.futures[-1]


def test_when_one_fails_what_has_not_begun_is_taken_back(shop):
    executor = Failing()
    with pytest.raises(MemoryError, match="no room"):
        simulate(shop, **RUN, executor=executor)
    assert [future.cancelled() for future in executor.futures] == [False, True, True, True]


def test_what_is_no_executor_is_refused_with_the_remedy(shop):
    with pytest.raises(ScenarioError, match=r"executor: .* is no concurrent.futures.Executor; .* client.get_executor\(\)"):
        simulate(shop, **RUN, executor="localhost:8786")


@pytest.mark.slow
def test_a_cluster_of_dask_gives_the_same_to_the_last_bit(shop):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        there = simulate(shop, **RUN, executor=client.get_executor())
    assert same(there, simulate(shop, **RUN))
