"""Shifts and autoscaling: how many consumers of a group are on duty, what that costs, and what becomes of those who go."""

import pytest

from simbus import Scenario
from simbus.errors import ScenarioError
from simbus.simulation.forecast.check import utilisation
from simbus.simulation.model.practices import parse_autoscale
from simbus.units import SECOND
from tests.small import moments, small, taped


def staffed(at=(1,), duration="60s", **consumer):
    """Messages at the given seconds, a second of work each."""
    made = small(at, unit=SECOND, lasting=duration, **{"service": "constant 1s", "prefetch": 1, **consumer})
    made.validate()
    return made


def changes(tape):
    return [(now / SECOND, change) for _, change, now in tape.staff]


def test_shifts_say_how_many_are_on_duty_and_begin_again_at_their_end():
    replication, tape = taped(staffed(shifts="20s:1,10s:3"))
    assert changes(tape) == [(0, 1), (20, 1), (20, 1), (30, -1), (30, -1), (50, 1), (50, 1), (60, -1), (60, -1)]
    values = replication.values
    assert values["consumers.c.on_duty.mean"] == pytest.approx((40 * 1 + 20 * 3) / 60)
    assert values["consumers.c.on_duty.max"] == 3
    assert values["consumers.c.on_duty.total"] == pytest.approx(100)
    curve = replication.curves["consumers.c.on_duty.over_time"]
    assert (curve[0], curve[80], curve[-80], curve[-1]) == (1, 3, 1, 3)


def test_who_goes_off_duty_finishes_what_it_holds_and_takes_no_more():
    """Three consumers hold two each when two of them are told to go, at 10 s; the one that stays does the rest."""
    replication, tape = taped(staffed(at=[9.5] * 8, shifts="10s:3,50s:1", prefetch=2))
    assert changes(tape)[3:5] == [(11.5, -1), (11.5, -1)]
    assert moments(tape, "Settled", SECOND) == [10.5] * 3 + [11.5] * 3 + [12.5, 13.5]
    assert not tape.effects("Requeued")
    assert replication.values["work.utilisation"] == pytest.approx(8 / (3 * 10 + 2 * 1.5 + 50))


def test_who_goes_off_duty_gives_back_what_waits_for_its_back_off_when_that_is_over_and_acknowledges_what_is_done():
    retry = {"how": "requeue", "attempts": 2, "backoff": "fixed 30s"}
    _, tape = taped(staffed(at=[1], shifts="10s:1,50s:0", failure=1, retry=retry))
    assert changes(tape) == [(0, 1), (32, -1), (60, 1)]
    _, tape = taped(staffed(at=[1, 1], shifts="10s:1,50s:0", prefetch="unlimited", acknowledge={"multiple": 5, "within": "40s"}))
    assert moments(tape, "Settled", SECOND) == [10, 10]


def test_a_run_that_ends_with_its_arrivals_ends_when_all_is_done_though_shifts_go_on():
    """What comes when nobody is on duty waits for the next shift."""
    replication, tape = taped(staffed(at=[0, 12, 13], duration=None, shifts="10s:1,30s:0"))
    assert moments(tape, "Settled", SECOND) == [1, 41, 42]
    assert replication.values["work.waiting"] == 0


def test_the_load_counts_the_mean_of_shifts_and_the_most_of_autoscaling():
    made = staffed(shifts="30s:2,10s:6").with_("publishers.web.arrivals", "poisson 1.5/s")
    assert utilisation(made) == pytest.approx({"c": 0.5})
    made = staffed(autoscale={"by": "depth", "target": 5, "max": 6}).with_("publishers.web.arrivals", "poisson 1.5/s")
    assert utilisation(made) == pytest.approx({"c": 0.25})


# Autoscaling


def rule(**given):
    return parse_autoscale({"by": "ready", "target": 10, "max": 8, "min": 1, **given}, "rule")


def test_by_depth_there_is_a_consumer_for_every_target_of_copies():
    for ready, wanted in ((0, 1), (1, 1), (10, 1), (11, 2), (75, 8), (1000, 8)):
        assert rule().wanted(current=3, ready=ready, unacked=50, rate=1) == wanted
    assert rule(by="depth").wanted(current=3, ready=5, unacked=16, rate=1) == 3
    assert rule(min=0).wanted(current=3, ready=0, unacked=5, rate=1) == 0


def test_by_lag_there_are_more_in_proportion_to_how_much_too_long_what_is_ready_takes():
    """At 5 a second 100 copies take 20 s: twice the target of 10 s, so twice as many."""
    lag = rule(by="lag", target="10s")
    for current, ready, rate, wanted in (
        (3, 100, 5, 6),
        (3, 50, 5, 3),
        (3, 20, 5, 2),
        (3, 1, 0, 8),
        (0, 1, 5, 1),
        (3, 0, 0, 1),
        (7, 500, 5, 8),
    ):
        assert lag.wanted(current=current, ready=ready, unacked=0, rate=rate) == wanted


def test_consumers_start_after_their_startup_and_go_after_the_cooldown():
    """Thirty come at 5 s. At 10 s three are wanted, for 24 that are ready, and two come at 14 s; from 20 s on one is enough."""
    scale = {"by": "ready", "target": 10, "max": 8, "every": "10s", "cooldown": "25s", "startup": "4s"}
    replication, tape = taped(staffed(at=[5] * 30, autoscale=scale))
    assert changes(tape) == [(0, 1), (14, 1), (14, 1), (40, -1), (40, -1)]
    assert replication.values["consumers.c.on_duty.max"] == 3


def test_whoever_is_still_starting_is_dismissed_first():
    """Wanted at 10 s for 12 s; at 20 s no longer."""
    scale = {"by": "ready", "target": 1, "max": 2, "every": "10s", "cooldown": "0s", "startup": "12s"}
    _, tape = taped(staffed(at=[9, 9, 9], autoscale=scale))
    assert changes(tape) == [(0, 1)]


def test_a_group_may_scale_to_nothing_and_come_back():
    scale = {"by": "ready", "target": 5, "min": 0, "max": 2, "every": "10s", "cooldown": "10s"}
    replication, tape = taped(staffed(at=[3, 4], duration=None, autoscale=scale))
    assert changes(tape)[0] == (10, 1)
    assert replication.values["work.waiting"] == 0


@pytest.mark.slow
def test_a_backlog_is_drained_as_the_fluid_says(seed):
    """Work comes at 8 a second; for 100 s five servers are on duty, then twenty: 300 are behind, which take 300 / (20 - 8) s."""
    made = Scenario("fluid", run={"duration": "200s"})
    made.queue("work")
    made.publisher("web", to="work", arrivals="constant_rate 80/s")
    made.consumer("c", queue="work", service="constant 100ms", prefetch=1, shifts="100s:5,100s:20")
    replication, _ = taped(made, seed)
    ready = replication.curves["work.ready.over_time"]
    assert ready[99] == pytest.approx(30 * 99.5, rel=0.01)
    drained = 100 + 3000 / (200 - 80)
    assert ready[int(drained) - 2] > 50
    assert ready[int(drained) + 2] < 5


def test_what_cannot_be_is_refused_with_the_remedy():
    for given, text in (
        ({"shifts": "8h"}, "are not pairs of a time and how many"),
        ({"shifts": "8h:2.5"}, "are not pairs"),
        ({"shifts": "8h:0"}, "nobody is ever on duty"),
        ({"shifts": "0s:1"}, "each is a time and how many"),
        ({"shifts": "8h:2", "count": 3}, "consumers.c.count: shifts or autoscale say how many"),
        ({"shifts": "8h:2", "autoscale": {"by": "depth", "target": 1, "max": 3}}, "leave one of the two out"),
        ({"autoscale": {"by": "speed", "target": 1, "max": 3}}, "unknown measure 'speed'"),
        ({"autoscale": {"by": "lag", "target": 100, "max": 3}}, "100 has no unit"),
        ({"autoscale": {"by": "depth", "target": 100, "min": 5, "max": 3}}, "3 is less than min"),
        ({"autoscale": {"by": "depth", "target": 100}}, "needs max"),
    ):
        with pytest.raises(ScenarioError, match=text):
            staffed(**given)


def test_what_would_need_a_clock_or_a_line_of_each_is_refused_for_those_who_come_and_go():
    made = staffed(shifts="20s:1,10s:3")
    made.outage("disk", "breakdown", whom="c", mtbf="exponential 2h", mttr="constant 1min", each=True)
    with pytest.raises(ScenarioError, match=r"outages\.disk\.whom: the consumers of 'c' come and go"):
        made.validate()
    made = staffed(shifts="20s:1,10s:3")
    made.outage("cable", "partition", whom="c", at="10s", lasting="1s")
    with pytest.raises(ScenarioError, match=r"consumers\.c\.shifts: consumers that come and go have no network"):
        made.validate()


def test_a_crash_befalls_whoever_is_on_duty_when_it_comes():
    """Two of three are told to go at 30 s and are dead then; the one that stays starts again at 35 s."""
    made = staffed(at=[24] * 3, shifts="20s:1,10s:3,40s:1")
    made.outage("crash", "crash", whom="c", at="24500ms", lasting="10500ms")
    replication, tape = taped(made)
    assert changes(tape)[3:5] == [(30, -1), (30, -1)]
    assert moments(tape, "Settled", SECOND) == [36, 37, 38]
    assert replication.values["consumers.c.interrupted"] == 3
