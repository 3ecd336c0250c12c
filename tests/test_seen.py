"""The probability that a read after some time sees a message applied by its last subscriber."""

import numpy as np
import pytest

from simbus import Scenario, simulate
from simbus.analysis.times import Windows
from simbus.errors import ScenarioError, UnitError
from tests.small import arriving


def at_once(n=4, **consumer):
    """So many messages at once, and 100 ms for each: windows of 100, 200, ... ms."""
    scenario = Scenario("at once", run={"replications": 2})
    scenario.queue("work")
    scenario.publisher("web", to="work", arrivals=arriving([0] * n))
    scenario.consumer("c", queue="work", service="constant 100ms", **consumer)
    return scenario


def test_a_read_sees_what_the_last_subscriber_has_applied_by_then():
    result = simulate(at_once())
    seen = {after: result.seen(after).mean for after in ("99ms", "100ms", "250ms", "300ms", "1h")}
    assert seen == {"99ms": 0, "100ms": 0.25, "250ms": 0.5, "300ms": 0.75, "1h": 1}


def test_the_slowest_subscriber_counts():
    scenario = Scenario("fan-out", run={"replications": 1})
    scenario.exchange("all", type="fanout")
    scenario.publisher("web", exchange="all", arrivals=arriving([0]))
    for name, time in (("fast", "10ms"), ("slow", "1s")):
        scenario.queue(name)
        scenario.bind(name, "all")
        scenario.consumer(f"{name} one", queue=name, service=f"constant {time}")
    result = simulate(scenario)
    assert result.seen("999ms").mean == 0
    assert result.seen("1s").mean == 1


def test_what_no_subscriber_will_apply_is_never_seen():
    result = simulate(at_once(n=1, failure={"permanent": 1}))
    assert result.seen("24h").mean == 0


def test_what_is_still_open_at_the_end_is_censored_and_not_counted_as_never_seen():
    """Of four windows two close, one by one; the others are as old as the run then, and may close at any time after."""
    result = simulate(at_once(), duration="250ms")
    assert result.estimate("window.open").mean == 0.5
    assert result.seen("250ms").mean == 0.5
    assert result.seen("100ms").mean == 0.25


def test_it_can_be_expected():
    scenario = at_once()
    scenario.expect("window.seen(250ms) > 10%")
    scenario.expect("window.seen(50ms) > 10%")
    result = simulate(scenario)
    assert [verdict.estimate.mean for verdict in result.verdicts()] == [0.5, 0]


@pytest.mark.parametrize("path", ["window.seen(5)", "window.seen()", "window.seen(soon)", "work.seen(5s)", "window.seen"])
def test_what_is_no_time_is_refused_in_one_line(path):
    scenario = at_once()
    scenario.expect(f"{path} > 99%")
    with pytest.raises(ScenarioError) as caught:
        simulate(scenario)
    assert str(caught.value).startswith("expect: ")
    with pytest.raises(UnitError):
        simulate(at_once()).seen(5)


def test_a_curve_that_travels_is_short_and_exact_to_half_a_percent_of_what_is_missing(seed):
    closed = np.random.default_rng(seed).exponential(1.0, 200_000)
    windows = Windows(closed, np.empty(0))
    times, shares, (few, kept) = windows.times, windows.share_ended, windows.thinned()
    assert len(few) < 3_000
    at = np.linspace(0.01, 9, 500)
    exact = shares[np.searchsorted(times, at, side="right") - 1]
    found = kept[np.searchsorted(few, at, side="right") - 1]
    assert np.all(found <= exact)
    assert np.all(1 - found <= (1 - exact) * 1.00502 + 1e-12)
