"""Consumers that remember what they have applied."""

import pytest

from simbus import Scenario
from simbus.errors import ScenarioError
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.forecast.check import utilisation
from simbus.simulation.replication.memory import Endless, Window
from simbus.units import SECOND
from tests.small import arriving


def test_a_message_is_remembered_for_the_window_and_as_long_as_there_is_room():
    memory = Window(window=10, size=2)
    memory.add(1, now=0)
    assert memory.holds(1, 9)
    assert not memory.holds(1, 10)
    for key, now in ((1, 20), (2, 21), (1, 22), (3, 23)):
        memory.add(key, now)
    assert [memory.holds(key, 24) for key in (1, 2, 3)] == [True, False, True]


def test_who_is_idempotent_remembers_for_ever():
    memory = Endless()
    memory.add(5000, 0)
    assert memory.holds(5000, 10**18)
    assert not memory.holds(4999, 10**18)
    assert not memory.holds(10**6, 10**18)


def crashing(**more):
    """A message a second, applied at once; the consumer crashes at 10.5 s with the third acknowledgement of ten outstanding."""
    made = Scenario("twice", run={"duration": "60s"})
    made.queue("work")
    made.publisher("web", to="work", arrivals=arriving(range(30), SECOND))
    made.consumer("c", queue="work", service="constant 100ms", acknowledge={"multiple": 8, "within": "50s"}, **more)
    made.outage("crash", what="crash", whom="c", at="10500ms", lasting="1s")
    return run_replication(made, 1, 0).values


def test_what_comes_twice_is_applied_twice_or_suppressed():
    """Eight of eleven are acknowledged at the crash, so three come again."""
    values = crashing()
    assert values["work.duplicates"] == pytest.approx(3 / 33)
    assert values["consumers.c.suppressed"] == 0
    values = crashing(deduplication={"window": "1min", "lookup": "10ms"})
    assert values["work.duplicates"] == 0
    assert values["work.duplicates.n"] == 30
    assert values["consumers.c.suppressed"] == 3
    assert values["consumers.c.attempts"] == 33
    assert values["work.service.max"] == pytest.approx(0.11)
    assert crashing(deduplication="idempotent")["consumers.c.suppressed"] == 3
    assert crashing(deduplication={"window": "1s"})["consumers.c.suppressed"] < 3


def test_a_message_that_is_published_anew_to_be_tried_again_is_still_the_same(seed):
    made = Scenario("again", run={"duration": "5min"})
    made.queue("work")
    made.publisher("web", to="work", arrivals="poisson 5/s")
    retry = {"how": "delay-queue", "attempts": 5, "backoff": "fixed 2s"}
    made.consumer("c", queue="work", service="constant 50ms", failure=0.3, retry=retry, deduplication="idempotent")
    values = run_replication(made, seed, 0).values
    assert values["consumers.c.suppressed"] == 0
    assert values["work.duplicates"] == 0


def test_the_load_counts_the_lookup():
    made = Scenario("load", run={"duration": "5min"})
    made.queue("work")
    made.publisher("web", to="work", arrivals="poisson 5/s")
    made.consumer("c", queue="work", service="constant 50ms", deduplication={"lookup": "10ms"})
    assert utilisation(made) == pytest.approx({"c": 0.3})


def test_what_cannot_be_is_refused_with_the_remedy():
    made = Scenario("wrong")
    for given, text in (
        ("always", "not a table"),
        ({"window": 10}, "has no unit"),
        ({"size": 0}, "whole number from 1"),
        ({"windows": "1s"}, "did you mean"),
    ):
        with pytest.raises(ScenarioError, match=text):
            made.consumer("c", queue="work", service="constant 50ms", deduplication=given)
