"""The identities notice a wrong number. That random scenarios keep them is in ``test_recorder`` and ``test_outages``."""

import pytest

from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.scenario import Scenario
from tests.identities import check_identities
from tests.naive import watched


@pytest.fixture
def taped(seed):
    """The tape and the numbers of a run in which messages expire, fail and come back."""
    scenario = Scenario("shop", run={"duration": "6s"})
    scenario.queue("work", message_ttl="300ms", max_length=20)
    scenario.publisher("web", to="work", arrivals="poisson 50/s")
    scenario.consumer("clerk", queue="work", count=2, prefetch=2, service="exponential 45ms", failure=0.2)
    with watched() as runs:
        values = run_replication(scenario, seed, 0).values
    return runs[0], values


def test_a_run_as_it_was_keeps_them(taped):
    check_identities(*taped)


@pytest.mark.parametrize(
    "metric",
    ["messages.n", "work.depth.mean", "work.ready.mean", "work.unacked.mean", "work.duplicates.n", "consumers.clerk.utilisation"],
)
def test_a_number_that_is_off_by_a_millionth_breaks_one(taped, metric):
    run, values = taped
    with pytest.raises(AssertionError):
        check_identities(run, values | {metric: values[metric] * (1 + 1e-6)})


@pytest.mark.parametrize("kind", ["Enqueued", "Delivered", "Settled", "Requeued", "Removed"])
def test_an_effect_that_is_missing_breaks_one(taped, kind):
    run, values = taped
    lost = run.effects(kind)[5]
    run.tape = [entry for entry in run.tape if entry is not lost]
    with pytest.raises(AssertionError):
        check_identities(run, values)
