"""Control variates: what is drawn against what is to be expected, and estimates from which that luck is taken."""

import math
from itertools import islice

import numpy as np
import pytest

from simbus.analysis.controls import controlled
from simbus.analysis.estimates import student_t
from simbus.errors import ScenarioError
from simbus.simulation.experiment.controls import expected_arrivals
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.model.distributions import exponential
from simbus.simulation.model.streams import Streams, draws
from simbus.simulation.model.workloads import batches, constant_rate, poisson, renewal, schedule, sinusoid
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND

RUN = {"duration": "2min", "replications": 12, "seed": 4}


@pytest.fixture(scope="module")
def shop():
    made = Scenario("shop")
    for queue in ("orders", "letters"):
        made.queue(queue)
        made.publisher(f"to {queue}", to=queue, arrivals="poisson 16/s")
        made.consumer(f"of {queue}", queue=queue, prefetch=1, service="exponential 50ms")
    return made


def test_with_one_control_it_is_the_constant_of_a_straight_line(seed):
    """Against the textbook's formulas for a line: the constant and its standard error."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=12)
    y = 3 + 2 * x + generator.normal(size=12)
    slope = np.cov(x, y)[0, 1] / x.var(ddof=1)
    constant = y.mean() - slope * x.mean()
    rest = np.square(y - constant - slope * x).sum() / 10
    error = math.sqrt(rest * (1 / 12 + x.mean() ** 2 / (11 * x.var(ddof=1))))
    found = controlled(y.tolist(), x.reshape(-1, 1), 0.95)
    assert found.mean == pytest.approx(constant)
    assert found.half_width == pytest.approx(2.228 * error, rel=1e-3)  # t with 10 degrees of freedom


def test_the_scale_of_a_control_is_indifferent(seed):
    y, x, z = np.random.default_rng(seed).normal(size=(3, 15))
    one, other = (controlled(y.tolist(), np.column_stack([x * by, z]), 0.95) for by in (1, 1e9))
    assert (one.mean, one.low) == pytest.approx((other.mean, other.low))


def test_what_does_not_vary_controls_nothing():
    values = [1.0, 2.0, 4.0, 3.0]
    assert controlled(values, np.zeros((4, 1)), 0.95).half_width == pytest.approx(student_t(values).half_width)


def test_what_was_not_observed_is_left_out_and_counted(seed):
    y, x = np.random.default_rng(seed).normal(size=(2, 9))
    found = controlled([math.nan, *y], np.array([5.0, *x]).reshape(-1, 1), 0.95)
    assert (found.n, found.missing) == (9, 1)
    assert found.mean == controlled(y.tolist(), x.reshape(-1, 1), 0.95).mean


@pytest.mark.parametrize("taken", [0, 1, 1_023, 1_024, 1_025, 3_000])
def test_draws_that_are_counted_are_the_same_draws(taken):
    streams, law = Streams(1, 0), exponential("1s")
    counted = list(islice(streams.times("a", "x", law), taken))
    assert counted == list(islice(draws(Streams(1, 0).generator("a", "x"), law.sample), taken))
    assert streams.tallies["a.x"].taken() == (taken, sum(counted))


def test_values_that_are_counted_are_the_same_values():
    streams = Streams(1, 0)
    assert list(islice(streams.counted("a", iter([0, 0, 5, 9])), 3)) == [0, 0, 5]
    assert streams.drawn("a") == 3
    assert streams.drawn("b") is None


@pytest.mark.parametrize(
    ("workload", "seconds", "expected"),
    [
        (poisson("3/s"), 10, 30),
        (batches("3/s", size=5), 10, 30),
        (sinusoid("10/s", swing=0.5, period="8s"), 8, 80),
        (sinusoid("10/s", swing=0.5, period="8s"), 4, 40 + 40 / math.pi),  # the half in which it is above its mean
        (schedule("2s:10/s,3s:0/s"), 5, 20),
        (schedule("2s:10/s,3s:0/s"), 6, 30),
        (schedule("2s:10/s,3s:0/s"), 9, 40),
    ],
)
def test_how_many_messages_are_to_be_expected_is_the_integral_of_the_rate(workload, seconds, expected):
    assert expected_arrivals(workload, seconds * SECOND) == pytest.approx(expected)


@pytest.mark.parametrize("workload", [renewal("gamma mean=1s cv=0.5"), constant_rate("1/s")])
def test_of_other_workloads_nothing_is_said(workload):
    assert expected_arrivals(workload, SECOND) is None


def test_every_replication_says_what_it_drew_and_what_was_to_be_expected(shop):
    found = simulate(shop, **RUN)
    run = found.replications[0]
    messages, expected = run.controls["publishers.to orders.arrivals"]
    assert expected == 16 * 120
    assert messages == run.values["orders.loss.n"]
    work, planned = run.controls["consumers.of orders.service"]
    assert work == pytest.approx(run.values["orders.service.mean"] * run.values["orders.service.n"], rel=0.01)
    assert planned == pytest.approx(0.05 * run.values["orders.service.n"], rel=0.01)
    table = found.controls()
    assert set(table.index) == {f"{a}.{b}" for q in ("orders", "letters") for a, b in _names(q)}
    assert (table["mean"].abs() < 2 * table["half_width"]).all()


def _names(queue):
    return [(f"publishers.to {queue}", "arrivals"), (f"consumers.of {queue}", "service")]


def test_a_queue_is_controlled_by_what_bears_on_it_and_the_interval_becomes_narrower(shop):
    found = simulate(shop, **RUN)
    plain, better = found.estimate("orders.wait.mean"), found.estimate("orders.wait.mean", controls=True)
    names = [f"{a}.{b}" for a, b in _names("orders")]
    assert better == found.estimate("orders.wait.mean", controls=names)
    assert better.half_width < plain.half_width
    busy = found.estimate("consumers.of letters.utilisation", controls=True)
    assert busy == found.estimate("consumers.of letters.utilisation", controls=[f"{a}.{b}" for a, b in _names("letters")])
    assert found.estimate("window.mean", controls=True).n == 12  # all four


def test_service_times_of_classes_are_controls_of_their_queue_too():
    made = Scenario("shop")
    made.queue("orders")
    made.publisher("web", to="orders", arrivals="poisson 8/s", messages={"small": {"share": 0.9}, "big": {"share": 0.1}})
    big = {"service": "exponential 200ms"}
    made.consumer("clerk", queue="orders", prefetch=1, service="exponential 50ms", classes={"big": big})
    found = simulate(made, duration="1min", replications=8, seed=1)
    works = [name for name in found.replications[0].controls if name.startswith("consumers.clerk.")]
    assert len(works) > 1
    assert found.estimate("orders.wait.mean", controls=True) == found.estimate(
        "orders.wait.mean", controls=["publishers.web.arrivals", *works]
    )


def test_the_utilisation_is_all_but_known_from_what_was_drawn(shop):
    found = simulate(shop, **RUN)
    plain, better = (found.estimate("orders.utilisation", controls=controls) for controls in (False, True))
    assert better.half_width < plain.half_width / 3
    assert better.low < 0.8 - 0.2 / 120 < better.high  # 0.2 s of work wait at the end of two minutes, on average


@pytest.mark.parametrize(
    ("controls", "problem"),
    [
        (["consumers.clerk.service"], "'consumers.clerk.service' is not drawn; known: publishers.to orders.arrivals, "),
        ([f"{a}.{b}" for q in ("orders", "letters") for a, b in _names(q)], "4 of them take 7 observations, not 5; name fewer"),
    ],
)
def test_controls_that_cannot_be_are_refused(shop, controls, problem):
    found = simulate(shop, **(RUN | {"duration": "10s", "replications": 5}))
    with pytest.raises(ScenarioError, match=problem.replace("(", r"\(")):
        found.estimate("orders.wait.mean", controls=controls)
