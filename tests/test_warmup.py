"""What to cut off at the beginning of a run: MSER-5 on series whose beginning is known, and the picture beside it."""

import math

import numpy as np
import pytest

from simbus.analysis.warmup import mser5, welch
from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND


def series(generator, transient, length=1_000):
    """Noise round 1, to which it has come from 0 with that time constant."""
    return 1 - np.exp(-np.arange(length) / transient) + generator.normal(0, 0.05, length)


def test_what_is_at_its_level_from_the_start_loses_little(seed):
    generator = np.random.default_rng(seed)
    cuts = [mser5(1 + generator.normal(0, 0.05, 1_000)) for _ in range(200)]
    found = sorted(math.inf if cut is None else cut for cut in cuts)
    assert found[100] <= 50


@pytest.mark.parametrize("transient", [10, 40])
def test_a_beginning_that_dies_away_is_cut_off_after_a_few_time_constants(transient, seed):
    generator = np.random.default_rng(seed)
    cuts = [mser5(series(generator, transient)) for _ in range(50)]
    known = [cut for cut in cuts if cut is not None]
    assert len(known) > 30
    assert transient < np.median(known) < 8 * transient


def test_of_what_is_still_on_its_way_nothing_is_said(seed):
    generator = np.random.default_rng(seed)
    assert mser5(np.arange(1_000) + generator.normal(0, 1, 1_000)) is None
    assert mser5(np.full(1_000, math.nan)) is None
    assert mser5(np.arange(7.0)) is None


def waits(generator, runs, n, rho):
    """Of the first n of M/M/1 from empty, in services (Lindley's recursion)."""
    steps = generator.exponential(1, (runs, n)) - generator.exponential(1 / rho, (runs, n))
    walk = np.concatenate([np.zeros((runs, 1)), np.cumsum(steps[:, :-1], axis=1)], axis=1)
    return walk - np.minimum.accumulate(walk, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "n", "refused"), [(0.5, 4_000, (0, 0.05)), (0.8, 20_000, (0, 0.05)), (1.1, 20_000, (0.95, 1))])
def test_a_queue_is_refused_when_it_has_no_steady_state_and_seldom_when_it_has(rho, n, refused, seed):
    """Means over ten replications in 200 bins, as a result has them."""
    generator, trials = np.random.default_rng(seed), 200
    means = (waits(generator, 10, n, rho).mean(axis=0).reshape(200, -1).mean(axis=1) for _ in range(trials))
    least, most = refused
    assert least <= sum(mser5(mean) is None for mean in means) / trials <= most


def test_by_hand():
    """Two batches of 0 and six about 1: cutting two off leaves the smallest error."""
    batches = [0, 0, 1, 1.1, 0.9, 1, 1.1, 0.9]
    errors = [np.var(batches[cut:]) / len(batches[cut:]) for cut in range(7)]
    assert int(np.argmin(errors)) == 2
    assert mser5(np.repeat(batches, 5).astype(float)) == 10


def test_the_moving_average_reaches_as_far_as_there_are_points_on_both_sides():
    curves = np.array([[0.0, 2, 4, 6, 8], [2, 4, 6, 8, 30]])
    assert welch(curves, 1).tolist() == pytest.approx([1, 3, 5, 31 / 3, 19])
    assert welch(curves, 9)[2] == pytest.approx(7)


def test_a_result_says_what_its_warm_up_should_have_been(seed):
    scenario = Scenario("slow start")
    scenario.queue("work")
    scenario.publisher("source", to="work", arrivals="poisson 9/s")
    scenario.consumer("server", queue="work", count=10, prefetch=1, service="exponential 1s")
    short = simulate(scenario, duration="10min", replications=10, seed=seed)
    told = short.warmup().loc["work"]
    assert (told["used"], bool(told["enough"])) == (0, told["suggested"] <= 0)
    assert short.plot.warmup("work").get_xlabel() == "time (minutes)"


def slow_start(rate):
    """A group of ten whose queue takes some seconds to fill, and much longer when it is almost overloaded."""
    scenario = Scenario("slow start")
    scenario.queue("work")
    scenario.queue("parked")  # grows for ever, and nobody waits for it
    scenario.publisher("source", to="work", arrivals=f"poisson {rate}/s")
    scenario.publisher("parking", to="parked", arrivals="poisson 1/s")
    scenario.consumer("server", queue="work", count=10, prefetch=1, service="exponential 1s")
    return scenario


def test_the_warm_up_can_be_left_to_a_pilot():
    scenario = slow_start(8)
    found = simulate(scenario, duration="5min", warmup="auto", replications=4, seed=1)
    cut = found.settings.warmup
    assert 0 < cut < 150 * SECOND
    assert cut % (5 * 300 * SECOND // 200) == 0  # batches of five bins
    same = simulate(scenario, duration="5min", warmup=f"{cut // SECOND}s{cut % SECOND}ns", replications=4, seed=1)
    assert same.trace_hash == found.trace_hash


def test_the_pilot_refuses_what_does_not_settle_and_says_why():
    with pytest.raises(
        ScenarioError, match=r"run\.warmup: auto: 'work' has not settled .* at a utilisation of 1\.20 it never will"
    ):
        simulate(slow_start(12), duration="5min", warmup="auto", replications=4, seed=1)


def test_a_run_that_ends_with_its_arrivals_has_no_warm_up(tmp_path):
    (tmp_path / "trace.csv").write_text("seconds\n0\n1\n2\n")
    scenario = Scenario("trace")
    scenario.queue("work")
    scenario.publisher("source", to="work", arrivals=f"replay {tmp_path / 'trace.csv'}")
    scenario.consumer("server", queue="work", service="constant 1s")
    result = simulate(scenario, replications=2, seed=1)
    with pytest.raises(ScenarioError, match=r"run.duration: .* give it a duration"):
        result.warmup()
    with pytest.raises(ScenarioError, match=r"run\.warmup: auto, but a run that ends with its arrivals has none"):
        simulate(scenario, warmup="auto")


def test_where_an_outage_is_part_of_the_run_a_queue_is_not_said_to_be_unsettled():
    shop = Scenario("deploy", run={"duration": "4min", "replications": 10, "seed": 1})
    shop.queue("work")
    shop.publisher("web", to="work", arrivals="poisson 20/s")
    shop.consumer("server", queue="work", prefetch=1, service="exponential 30ms")
    shop.outage("deploy", "crash", whom="server", at="30s", lasting="30s")
    [said] = [caution for caution in simulate(shop).cautions() if "MSER" in caution]
    assert said.startswith("work: with deploy in the run, MSER-5 cannot tell")
