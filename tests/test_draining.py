"""How long a backlog takes to drain: against first passage times of M/M/c, beside the fluid answer, and what cannot be asked."""

import math

import pytest

from simbus import Scenario, drain_time
from simbus.errors import ScenarioError
from simbus.theory import MMc


def pool(rate=6, count=1, **options):
    made = Scenario("pool")
    made.queue("work", **options)
    made.publisher("source", to="work", arrivals=f"poisson {rate}/s")
    made.consumer("server", queue="work", count=count, prefetch=1, service="exponential 100ms")
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "count"), [(6, 1), (21, 3)])
def test_a_backlog_drains_as_a_random_walk_comes_down(rate, count, seed):
    """From n copies M/M/c takes (n - level) / (c mu - rate) to a level that keeps all servers busy, since it falls by ones."""
    theory = MMc(rate, 10, count)
    found = drain_time(pool(rate, count), "server", "1min", warmup="20s", replications=20, confidence=0.999, seed=seed)
    at_the_end = theory.mean_waiting + theory.offered + rate * 60
    exact = (at_the_end - found.level) / theory.spare
    assert found.level == max(count, math.ceil(theory.mean_waiting + theory.offered))
    assert found.backlog.low < at_the_end < found.backlog.high
    assert found.time.low < exact < found.time.high
    assert found.time.half_width < 0.25 * exact


def test_the_fluid_answer_is_what_gathers_by_what_is_to_spare():
    """60 messages in 10 s at 6/s, and 4/s to spare."""
    found = drain_time(pool(), "server", "10s", replications=4, seed=1)
    assert found.fluid.backlog == pytest.approx(60)
    assert found.fluid.time == pytest.approx(15)
    assert found.within == 60 * 10**9
    assert found.result.settings.duration == 70 * 10**9
    assert list(found.frame()["fluid"]) == [found.fluid.time, found.fluid.backlog]
    assert found.time.low < 15 * 2
    assert repr(found).startswith("<Drain of work after 10 s without server: ")
    assert "(fluid: 15 s), backlog " in repr(found)
    assert "&lt;Drain" in found._repr_html_()
    assert found.cautions() == []


def test_who_is_left_works_on():
    scenario = pool(rate=12)
    scenario.consumer("other", queue="work", prefetch=1, service="exponential 100ms")
    found = drain_time(scenario, "other", "10s", replications=2, seed=1)
    assert found.fluid.backlog == pytest.approx(20)
    assert found.fluid.time == pytest.approx(2.5)
    both = drain_time(scenario, ["server", "other"], "10s", what="crash", replications=2, seed=1)
    assert both.fluid.backlog == pytest.approx(120)
    assert both.backlog.mean > found.backlog.mean


def test_what_is_lost_meanwhile_is_told_by_pairs():
    found = drain_time(pool(message_ttl="2s"), "server", "10s", replications=4, seed=1)
    assert found.lost.outcome == "higher"
    assert found.backlog.mean < 30


def test_what_has_not_drained_in_time_is_said():
    found = drain_time(pool(), "server", "20s", within="1s", replications=2, seed=1)
    assert found.time.mean == math.inf
    assert found.cautions()[0].startswith("2 of 2 replications had not drained 1 s after the outage")


def test_a_short_outage_may_leave_nothing_behind():
    found = drain_time(pool(rate=0.1), "server", "10ms", replications=2, seed=1)
    assert (found.time.mean, found.time.half_width) == (0, 0)


def test_the_drain_is_drawn_as_depth_over_time(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    assert drain_time(pool(), "server", "10s", replications=2, seed=1).plot().get_ylabel()


@pytest.mark.parametrize(
    ("whom", "given", "problem"),
    [
        ("sever", {}, "did you mean 'server'"),
        ([], {}, "names no group"),
        ("server", {"what": "slow"}, "unknown kind of outage 'slow'"),
        ("server", {"queue": "wrok"}, "did you mean 'work'"),
        ("server", {"duration": "1min"}, "follows from lasting and within"),
    ],
)
def test_what_cannot_be_asked_is_refused(whom, given, problem):
    with pytest.raises(ScenarioError, match=problem):
        drain_time(pool(), whom, "10s", **given)


def test_what_never_drains_is_refused_unless_one_says_how_long_to_look():
    with pytest.raises(ScenarioError, match="never drains by arithmetic"):
        drain_time(pool(rate=11), "server", "10s")
    assert drain_time(pool(rate=11), "server", "10s", within="5s", replications=2, seed=1).fluid.time == math.inf
