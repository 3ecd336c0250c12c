"""How modelled consumers settle: one acknowledgement for several deliveries, priorities, and a single active consumer."""

from typing import Any

import pytest

from simbus import Scenario, simulate
from simbus.errors import ScenarioError
from simbus.simulation.forecast.check import utilisation, warnings
from simbus.theory import MMc
from simbus.units import SECOND
from tests.small import moments, played, small

SEVERAL = {"multiple": 2, "within": "10s"}


def scenario(at=(0,), queue=None, **consumer):
    """Messages at the given seconds, a second of work each."""
    return small(at, queue=queue, unit=SECOND, lasting="60s", **{"service": "constant 1s", **consumer})


def settled_at(made):
    return moments(played(made)[1], "Settled", SECOND)


def test_one_acknowledgement_is_for_several_deliveries_or_for_those_that_have_waited_long_enough():
    """Done at 1, 2 and 3 s: two together at 2 s, the third when it has waited for 10 s."""
    assert settled_at(scenario(at=(0, 0, 0), acknowledge=SEVERAL)) == [2, 2, 13]


def test_the_longest_wait_counts_from_the_first_delivery_that_waits():
    """Done at 1 and 6 s, three at a time: at 11 s both; and those of 13 and 14 s at 23 s."""
    several = {"multiple": 3, "within": "10s"}
    assert settled_at(scenario(at=(0, 5, 12, 13), acknowledge=several)) == [11, 11, 23, 23]


def test_a_prefetch_below_the_number_that_is_acknowledged_at_once_makes_everything_wait():
    """The mistake that people make: at most two are delivered, and three are waited for."""
    several = {"multiple": 3, "within": "10s"}
    assert settled_at(scenario(at=(0, 0, 0, 0), prefetch=2, acknowledge=several)) == [11, 11, 22, 22]


def test_what_is_rejected_in_between_is_settled_by_itself_and_counts_for_no_acknowledgement(seed):
    made = scenario(at=range(40), acknowledge={"multiple": 5, "within": "30s"}, failure={"permanent": 0.3})
    values, tape = played(made, seed)
    assert {len(group) for group in acknowledged_together(tape) if group[0].at < 40 * SECOND} == {5}
    assert all(effect.cause == "rejected" for effect in tape.effects("Removed"))
    assert values["work.loss.rejected"] > 0


def test_with_several_servers_only_the_deliveries_before_which_all_are_done_are_acknowledged(seed):
    made = Scenario("out of order", run={"duration": "30s"})
    made.queue("work")
    made.publisher("web", to="work", arrivals="poisson 40/s")
    law = "hyperexponential mean=50ms cv=3"
    made.consumer("c", queue="work", concurrency=4, service=law, acknowledge={"multiple": 7, "within": "1s"}, failure=0.1)
    _, tape = played(made, seed)
    held: list[int] = []
    done: set[int] = set()
    for entry in tape.tape:
        match type(entry).__name__:
            case "Delivered":
                held.append(entry.copy_id)
            case "Settled":
                assert held[0] == entry.copy_id in done, "one is acknowledged before its time, or out of its order"
                held.remove(entry.copy_id)
            case "Requeued":
                held.remove(entry.copy_id)
            case "tuple" if entry[0] == "applied":
                done.add(entry[2])
    assert len(tape.effects("Settled")) > 1000
    assert max(map(len, acknowledged_together(tape))) >= 7


def acknowledged_together(tape):
    """Settled effects that come one after the other."""
    groups: list[list[Any]] = []
    last = None
    for entry in tape.tape:
        if type(entry).__name__ == "Settled":
            groups = [*groups, [entry]] if last is None or last.at != entry.at else [*groups[:-1], [*groups[-1], entry]]
            last = entry
    return groups


# No acknowledgement: the broker lets go of a delivery when it sends it


def test_without_acknowledgement_everything_is_sent_at_once_and_settled_before_it_is_handled():
    values, tape = played(scenario(at=(0, 0, 0), acknowledge="auto", failure={"permanent": 0.0}))
    assert moments(tape, "Settled") == [0, 0, 0]
    assert (values["work.wait.mean"], values["work.service.mean"], values["work.residence.mean"]) == (1, 1, 0)
    assert values["work.depth.max"] == 0
    assert values["work.utilisation"] == pytest.approx(3 / 60)
    assert (values["work.duplicates.n"], values["work.attempts.mean"], values["work.loss"], values["work.waiting"]) == (
        3,
        1,
        0,
        0,
    )
    assert (values["window.n"], values["window.max"]) == (3, 3)


def test_without_acknowledgement_a_failure_is_a_loss(seed):
    """Nobody can reject or requeue what the broker has let go of; only the handler itself may try again."""
    made = scenario(at=range(50), acknowledge="auto", service="constant 10ms", failure={"transient": 0.3, "permanent": 0.1})
    values, _ = played(made, seed)
    assert values["work.loss.failed"] == values["work.loss"] == values["consumers.c.failures"] / 50 > 0
    assert values["window.never"] == values["work.loss"]
    tried = made.with_("consumers.c.retry", {"how": "in-handler", "attempts": 40}).with_("consumers.c.failure", 0.3)
    assert played(tried, seed)[0]["work.loss"] == 0


def test_without_acknowledgement_a_crash_loses_all_that_the_consumer_has():
    """One is done at 1 s, the second is being handled and three wait in the buffer when it crashes; the sixth comes later."""
    made = scenario(at=(0, 0, 0, 0, 0, 10), acknowledge="auto")
    made.outage("crash", what="crash", whom="c", at="1500ms", lasting="1s")
    values, _ = played(made)
    assert values["work.loss.failed"] == pytest.approx(4 / 6)
    assert values["consumers.c.interrupted"] == 1
    assert values["work.utilisation"] == pytest.approx(2.5 / 60)


def test_what_needs_an_acknowledgement_is_refused_without_one():
    with pytest.raises(ScenarioError, match=r"consumers\.c\.prefetch: limits nothing"):
        scenario(acknowledge="auto", prefetch=10)
    with pytest.raises(ScenarioError, match=r"consumers\.c\.retry: the broker has let go of the message"):
        scenario(acknowledge="auto", retry={"how": "requeue", "attempts": 3})


def test_a_mode_that_cannot_be_is_refused_in_one_line():
    for mode, text in (
        ("nack", "unknown mode 'nack'"),
        ({"multiple": 10}, "needs within"),
        ({"multiple": 0, "within": "1s"}, "not a whole number from 1"),
        ({"multiple": 2, "within": "0s"}, "not a positive time"),
        ({"multiply": 2, "within": "1s"}, "did you mean 'multiple'"),
    ):
        with pytest.raises(ScenarioError, match=text) as caught:
            scenario(acknowledge=mode)
        assert str(caught.value).startswith("consumers.c.acknowledge")


def test_of_consumers_with_room_the_highest_priority_is_served(seed):
    """One message after the other: the lower group gets nothing until the higher one is full."""
    made = scenario(at=range(20), priority=1, prefetch=1, service="constant 1500ms")
    made.consumer("spare", queue="work", service="constant 1500ms", prefetch=1)
    values, _ = played(made, seed)
    assert values["consumers.c.attempts"] == values["consumers.spare.attempts"] == 10
    made = scenario(at=range(20), priority=1, service="constant 100ms")
    made.consumer("spare", queue="work", service="constant 100ms")
    values, _ = played(made, seed)
    assert (values["consumers.c.attempts"], values["consumers.spare.attempts"]) == (20, 0)


# A single active consumer


def alone(**more):
    made = Scenario("alone", run={"duration": "1h", "warmup": "10min", "replications": 8})
    made.queue("work", single_active_consumer=True)
    made.publisher("web", to="work", arrivals="poisson 0.8/s")
    made.consumer("c", queue="work", service="exponential 1s", count=5, **more)
    return made


def test_the_load_of_a_queue_with_a_single_active_consumer_is_carried_by_one():
    assert utilisation(alone()) == pytest.approx({"c": 0.8})
    crowded = alone().with_("publishers.web.arrivals", "poisson 1.2/s")
    assert any("utilisation 1.20" in line and "can finish 1," in line for line in warnings(crowded))


def test_who_stands_by_for_a_single_active_consumer_takes_over():
    """Losing one costs nothing, and the check says so."""
    [group] = alone().check().groups
    assert (group.utilisation, group.less_one) == pytest.approx((0.8, 0.8))


def test_the_single_active_consumer_is_found_by_asking_the_broker():
    """The first one is; a quorum queue of 4.0 prefers one of a higher priority."""
    made = alone()
    made.consumer("late", queue="work", service="exponential 100ms", priority=3)
    assert utilisation(made) == pytest.approx({"c": 0.8, "late": 0.8})
    assert utilisation(made.with_("queues.work.type", "quorum")) == pytest.approx({"c": 0.08, "late": 0.08})


@pytest.mark.slow
def test_five_consumers_of_which_one_is_active_are_one_server(seed):
    result = simulate(alone(), seed=seed)
    exact = MMc(0.8, 1, 1)
    wait = result.estimate("work.wait.mean")
    assert abs(wait.mean - exact.mean_wait) < 4 * wait.half_width / 2
    assert result.theory().loc["work.wait.mean", "model"] == "M/M/1"
    assert result.theory().loc["work.wait.mean", "exact"] == pytest.approx(exact.mean_wait)
    assert result.estimate("work.utilisation").mean == pytest.approx(0.8, abs=0.05)
    assert result.estimate("consumers.c.utilisation").mean == pytest.approx(0.8, abs=0.05)
