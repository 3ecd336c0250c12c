"""Handlers that take as long, and fail as often, as the class and the size of a message say."""

import pytest

from simbus import Scenario, simulate
from simbus.errors import ScenarioError
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.forecast.check import utilisation
from simbus.simulation.forecast.load import at_work, work
from simbus.theory import mg1_mean_wait
from tests.naive import watched

CLASSES = {"gold": {"share": 0.25, "size": "4MB"}, "bulk": {"size": "1MB"}}


def mixed(rate="poisson 1/s", duration="5min", **consumer):
    """A quarter gold of 4 MB, the rest bulk of 1 MB."""
    made = Scenario("mixed", run={"duration": duration})
    made.queue("work")
    made.publisher("web", to="work", arrivals=rate, messages=CLASSES)
    made.consumer("c", queue="work", **{"service": "constant 100ms", **consumer})
    return made


def services(made, seed):
    """The service times of each class, in seconds."""
    with watched() as runs:
        run_replication(made, seed, 0)
    [run] = runs
    kind = {effect.copy_id: effect.message.type for effect in run.effects("Delivered")}
    began = {copy: now for _, _, copy, now in run.notices("started")}
    found: dict[str, set[float]] = {}
    for _, _, copy, now in run.notices("ended"):
        found.setdefault(kind[copy], set()).add((now - began[copy]) / 10**9)
    return found


def test_a_class_may_have_a_service_time_of_its_own(seed):
    made = mixed(classes={"gold": {"service": "constant 20ms"}})
    assert services(made, seed) == {"gold": {0.02}, "bulk": {0.1}}
    assert utilisation(made) == pytest.approx({"c": 0.25 * 0.02 + 0.75 * 0.1})


def test_a_message_takes_longer_the_larger_it_is(seed):
    made = mixed(bandwidth="10MB/s")
    assert services(made, seed) == {"gold": {0.5}, "bulk": {0.2}}
    assert utilisation(made) == pytest.approx({"c": 0.25 * 0.5 + 0.75 * 0.2})


def test_a_batch_takes_the_time_of_all_its_messages(seed):
    made = mixed(rate="bursts size=4 every=10s", bandwidth="10MB/s", batch={"size": 4})
    assert utilisation(made) == pytest.approx({"c": 0.4 * (0.1 / 4 + 0.25 * 0.4 + 0.75 * 0.1)})
    whole = {time for times in services(made, seed).values() for time in times}
    assert whole <= {0.5, 0.8, 1.1, 1.4, 1.7}
    assert len(whole) > 2


def test_a_class_may_fail_more_often_than_others(seed):
    made = mixed(rate="poisson 10/s", failure={"permanent": 0.01}, classes={"gold": {"failure": {"permanent": 0.5}}})
    values = run_replication(made, seed, 0).values
    assert values["work[gold].loss"] == pytest.approx(0.5, abs=0.08)
    assert values["work[bulk].loss"] == pytest.approx(0.01, abs=0.01)
    assert work(at_work(made)["c"]).rejected == pytest.approx(0.25 * 0.5 + 0.75 * 0.01)


def test_the_attempts_of_a_mix_are_those_of_its_classes():
    """Half of the gold fail, and are tried twice on average; of the others none fails."""
    made = mixed(failure=0, classes={"gold": {"failure": 0.5}})
    assert utilisation(made) == pytest.approx({"c": 0.1 * (0.25 * 2 + 0.75)})


def test_draws_of_one_class_do_not_change_those_of_another(seed):
    made = mixed(service="exponential 100ms", classes={"gold": {"service": "exponential 20ms"}})
    slower = made.with_("consumers.c.classes.gold.service", "exponential 40ms")
    assert services(made, seed)["bulk"] == services(slower, seed)["bulk"]


def test_a_slow_consumer_is_slow_for_every_class(seed):
    made = mixed(classes={"gold": {"service": "constant 20ms"}}, bandwidth="10MB/s")
    made.outage("slow", "slow", whom="c", factor=2)
    found = services(made, seed)
    assert {kind: {round(time, 9) for time in times} for kind, times in found.items()} == {"gold": {0.84}, "bulk": {0.4}}


@pytest.mark.parametrize(
    ("consumer", "problem"),
    [
        (
            {"classes": {"golden": {"service": "constant 20ms"}}},
            r"consumers\.c\.classes: unknown class 'golden'; did you mean 'gold'",
        ),
        ({"classes": {"gold": {"servcie": "constant 20ms"}}}, r"consumers\.c\.classes\.gold: unknown parameter 'servcie'"),
        ({"classes": {"gold": "constant 20ms"}}, r"consumers\.c\.classes\.gold: 'constant 20ms' is not a table"),
        ({"classes": {"gold": {"failure": 2}}}, r"consumers\.c\.classes\.gold\.failure"),
        ({"bandwidth": "10MB"}, r"consumers\.c\.bandwidth: '10MB' is not a bandwidth; write for example \"10MB/s\""),
        ({"bandwidth": "0MB/s"}, "is not a bandwidth"),
        ({"classes": {"gold": {"service": "constant 20ms"}}, "batch": {"size": 2}}, r"consumers\.c\.classes: a batch has one"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(consumer, problem):
    with pytest.raises(ScenarioError, match=problem):
        mixed(**consumer).validate()


@pytest.mark.slow
def test_a_mix_of_classes_waits_as_pollaczek_and_khinchine_say(seed):
    """M/G/1 of the mixture: E S = 0.7, E S**2 = 0.25 * 2 * 0.4**2 + 0.75 * 2 * 0.8**2."""
    made = mixed(
        rate="poisson 1/s", duration="30min", service="exponential 800ms", classes={"gold": {"service": "exponential 400ms"}}
    )
    mean, second = 0.25 * 0.4 + 0.75 * 0.8, 2 * (0.25 * 0.4**2 + 0.75 * 0.8**2)
    exact = mg1_mean_wait(1.0, mean, (second / mean**2 - 1) ** 0.5)
    wait = simulate(made, warmup="5min", replications=10, seed=seed).estimate("work.wait.mean")
    assert abs(wait.mean - exact) < 4 * wait.half_width / 2
