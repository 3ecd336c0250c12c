"""``solve`` and ``capacity``: against exhaustive sweeps, against theory, and what they say when the response is not monotone."""

import math
import re

import pytest
from scipy.optimize import brentq

from simbus import Scenario, capacity, solve, sweep
from simbus.analysis import objectives
from simbus.errors import ScenarioError, UnitError
from simbus.theory import MMc, full_share

RUN = {"duration": "1min", "warmup": "5s", "replications": 5, "seed": 1}


def pool(rate=40, service="exponential 100ms", count=5, **options):
    made = Scenario("pool")
    made.queue("work", **options)
    made.publisher("source", to="work", arrivals=f"poisson {rate}/s")
    made.consumer("server", queue="work", count=count, prefetch=1, service=service)
    return made


def far():
    """Consumers at a distance: a prefetch of 1 leaves them idle, and a large one keeps messages from those who are free."""
    made = pool(rate=56, service="lognormal mean=100ms cv=1", count=8)
    made.network("server", latency="constant 50ms")
    return made


def exhaustively(scenario, factor, over, where, **run):
    """The outcome of every design, and the first that holds."""
    points = sweep(scenario, {factor: over}, **run).points
    outcomes = {
        point.factors[factor]: "fails"
        if point.overloaded
        else objectives.together(each.outcome for each in objectives.verdicts(point.result, where))
        for point in points
    }
    return outcomes, next((value for value, outcome in outcomes.items() if outcome == "holds"), None)


# Against exhaustive sweeps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "factor", "over", "where"),
    [
        (pool(), "consumers.server.count", range(1, 13), "work.wait.p99 < 500ms"),
        (pool(), "consumers.server.count", range(12, 4, -1), "work.utilisation > 45%"),
        (pool(), "consumers.server.count", range(1, 13), "work.wait.mean < 20ms and work.utilisation < 60%"),
        (pool(max_length=10, overflow="reject-publish"), "consumers.server.count", range(1, 9), "work.loss < 2%"),
        (pool(rate=55, message_ttl="1s"), "queues.work.message_ttl", ["50ms", "0.1s", "0.3s", "0.5s"], "work.loss < 12%"),
        (pool(), "consumers.server.service", [f"exponential {ms}ms" for ms in range(130, 20, -10)], "work.wait.p99 < 300ms"),
        (pool(), "consumers.server.count", range(1, 5), "work.wait.p99 < 500ms"),
    ],
    ids=["count", "most that is busy", "two parts", "limit", "time to live", "service", "none"],
)
def test_the_answer_is_that_of_an_exhaustive_sweep(scenario, factor, over, where):
    outcomes, first = exhaustively(scenario, factor, over, where, **RUN)
    found = solve(scenario, factor, over, where, **RUN)
    assert found.value == first
    assert found.monotone
    assert {each.value: each.outcome for each in found.tries.each}.items() <= outcomes.items()
    before = list(outcomes)[: len(outcomes) if first is None else list(outcomes).index(first)]
    assert found.undecided == tuple(value for value in before if outcomes[value] == "undecided")


@pytest.mark.slow
def test_a_response_that_is_not_monotone_is_answered_by_its_least_value_and_said():
    """A prefetch of 2 covers the way to the broker and back; with many, messages wait for one consumer while another is idle."""
    scenario, factor, over, where = far(), "consumers.server.prefetch", range(1, 17), "work.wait.p99 < 600ms"
    outcomes, first = exhaustively(scenario, factor, over, where, **RUN)
    assert (outcomes[1], outcomes[16]) == ("fails", "fails")
    found = solve(scenario, factor, over, where, **RUN)
    assert found.value == first
    assert not found.monotone
    assert not found.tries.in_order
    assert found.tries.turning == ("work.wait.p99",)
    assert "not monotone" in repr(found)
    assert "though a design before it does better" in found.cautions()[0]
    assert "rises and falls with consumers.server.prefetch" in found.cautions()[1]


# What an answer says


@pytest.fixture(scope="module")
def found():
    return solve(pool(), "consumers.server.count", range(1, 65), "work.wait.p99 < 200ms", **RUN)


def test_designs_that_cannot_keep_up_are_not_simulated(found):
    table = found.frame().set_index("consumers.server.count")
    assert table.loc[1, "overloaded"] == ("server",)
    assert table.loc[1, "replications"] == 0
    assert math.isnan(table.loc[1, "work.wait.p99.mean"])
    assert table.loc[64, "replications"] == 5
    assert list(table["outcome"]) == sorted(table["outcome"])  # fails, holds


def test_an_answer_is_short_to_read(found):
    assert repr(found).startswith(f"<Solved: consumers.server.count = {found.value} holds work.wait.p99 < 200ms: ")
    assert repr(found).endswith(f"{len(found.tries.each)} of 64 looked at>")
    page = found._repr_html_()
    assert "&lt;Solved" in page
    assert page.count("<tr") == 1 + len(found.tries.each)


def test_the_table_of_a_notebook_has_a_column_for_an_estimate_and_none_for_the_numbers_of_rows(found):
    page = found._repr_html_()
    of_eight = found.frame().set_index("consumers.server.count").loc[8]
    mean, low, high = (of_eight[f"work.wait.p99.{limit}"] for limit in ("mean", "low", "high"))
    assert f"<td>{mean:.4g} [{low:.4g}, {high:.4g}]</td>" in page
    assert "<td>–</td>" in page  # of what was not simulated
    columns = {"consumers.server.count", "outcome", "work.wait.p99", "overloaded", "replications"}
    assert set(re.findall("<th>(.*?)</th>", page)) == columns


def test_the_design_that_was_found_can_be_had(found):
    assert found.scenario.consumers["server"].count == found.value
    assert found.result.verdict("work.wait.p99 < 200ms").outcome == "holds"
    assert found.result.expectations[0].text == "work.wait.p99 < 200ms"


def test_quantiles_that_only_the_objective_names_are_measured():
    found = solve(pool(), "consumers.server.count", [8], "work.wait.p98.7 < 1s", **RUN)
    assert found.value == 8


def test_what_is_undecided_may_hold_too_and_says_how_many_replications_would_tell():
    """Two replications leave much open; the limit is what five servers come to."""
    limit = MMc(40, 10, 5).wait_quantile(0.99)
    found = solve(pool(), "consumers.server.count", range(1, 9), f"work.wait.p99 < {limit:.3f}s", **{**RUN, "replications": 3})
    assert found.value == 6
    assert found.undecided == (5,)
    assert repr(found).endswith("undecided: 5>")
    assert found.cautions()[0].startswith("undecided at consumers.server.count = 5, which may hold too")


def test_where_none_holds_there_is_no_design_but_what_was_tried():
    found = solve(pool(), "consumers.server.count", range(1, 4), "work.wait.p99 < 200ms", **RUN)
    assert (found.value, found.undecided) == (None, ())
    assert len(found.frame()) == 3
    assert repr(found) == "<Solved: no consumers.server.count holds work.wait.p99 < 200ms; 3 of 3 looked at>"
    with pytest.raises(ScenarioError, match="holds for none of 3 values looked at, of 3; widen the range"):
        found.scenario  # noqa: B018


def test_what_the_scenario_expects_is_the_objective_when_none_is_given():
    scenario = pool().with_("expect", ["work.wait.p99 < 1s", "work.utilisation < 60%"])
    found = solve(scenario, "consumers.server.count", range(4, 9), **RUN)
    assert found.tries.where == "work.wait.p99 < 1s and work.utilisation < 60%"
    assert found.value == 7


def test_it_tells_how_far_it_is():
    told = []
    solve(pool(), "consumers.server.count", [1, 2, 8], "work.wait.p99 < 1s", **RUN, progress=lambda *far: told.append(far))
    assert [done for done, _ in told] == list(range(1, 1 + len(told)))


@pytest.mark.parametrize(
    ("factor", "over", "where", "problem"),
    [
        ("consumers.server.count", [], "work.wait.p99 < 1s", "there is no value to try"),
        ("consumers.server.count", 5, "work.wait.p99 < 1s", "is no list of values"),
        ("consumers.server.count", [0, 1], "work.wait.p99 < 1s", "consumers.server.count: 0"),
        ("consumers.server.cuont", [1], "work.wait.p99 < 1s", "did you mean 'count'"),
        ("consumers.server.count", [1], "work.wiat.p99 < 1s", "did you mean 'work.wait.p99'"),
        ("consumers.server.count", [1], None, "where: is missing"),
    ],
)
def test_what_cannot_be_solved_is_refused_before_anything_is_simulated(factor, over, where, problem):
    with pytest.raises(ScenarioError, match=problem):
        solve(pool(), factor, over, where, **RUN)


def test_a_run_without_an_end_is_refused():
    with pytest.raises(ScenarioError, match=r"run\.duration: is missing"):
        solve(pool(), "consumers.server.count", [8], "work.wait.p99 < 1s")


# Capacity


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "limit"), [(1, 1.0), (3, 0.5)])
def test_capacity_is_what_theory_says(servers, limit, seed):
    """The rate at which the closed form of the p99 of M/M/c reaches the limit."""
    exact = brentq(lambda rate: MMc(rate, 10, servers).wait_quantile(0.99) - limit, 0.1, 10 * servers - 0.01)
    run = {"duration": f"{18 - 3 * servers}min", "warmup": "20s", "replications": 10, "confidence": 0.999, "seed": seed}
    over, where = ("1/s", f"{10 * servers}/s"), f"work.wait.p99 < {limit}s"
    found = capacity(pool(rate=5, count=servers), where=where, over=over, tolerance="4%", **run)
    assert found.low < exact < found.high
    assert found.high < 1.35 * found.low
    assert found.monotone


@pytest.mark.slow
def test_a_limit_makes_overload_a_question_of_losses(seed):
    """M/M/2/12 refuses a tenth of its messages at a utilisation of 1.06; where nothing is lost, that would be the end."""
    exact = brentq(lambda rate: full_share(rate, 10, 2, 12) - 0.1, 1, 100)
    scenario = pool(rate=5, count=2, max_length=10, overflow="reject-publish")
    found = capacity(
        scenario, where="work.loss < 10%", over=("5/s", "60/s"), tolerance="1%", **{**RUN, "duration": "5min", "seed": seed}
    )
    assert exact > 20
    assert found.low < exact < found.high
    assert found.high < 1.2 * found.low


@pytest.mark.slow
def test_capacity_is_that_of_an_exhaustive_sweep():
    scenario, where = pool(), "work.wait.p99 < 300ms"
    found = capacity(scenario, where=where, over=("10/s", "80/s"), tolerance="10%", **RUN)
    rates = [f"poisson {each:.4g}/s" for each in (80 * (10 / 80) ** (i / 22) for i in range(23))]
    outcomes, first = exhaustively(scenario, "publishers.source.arrivals", rates, where, **RUN)
    assert f"poisson {found.rate:.4g}/s" == first
    assert found.high == min(float(text.split()[1][:-2]) for text, outcome in outcomes.items() if outcome == "fails")


@pytest.mark.parametrize("publishers", ["publishers.source.arrivals", "source", ["source"]])
def test_arrivals_of_some_publishers_grow(publishers):
    scenario = pool(rate=20)
    scenario.publisher("steady", to="work", arrivals="poisson 10/s")
    found = capacity(scenario, publishers, "work.wait.p99 < 300ms", over=("10/s", "60/s"), tolerance="20%", **RUN)
    assert found.publishers == ("source",)
    assert found.today == 20
    assert found.factor == found.rate / 20
    assert found.scenario.publishers["source"].arrivals.rate == pytest.approx(found.rate)
    assert found.scenario.publishers["steady"].arrivals.rate == 10
    assert 20 < found.rate < 40


def test_a_capacity_is_short_to_read():
    found = capacity(pool(), where="work.wait.p99 < 300ms", over=("10/s", "80/s"), tolerance="20%", **RUN)
    assert repr(found).startswith(f"<Capacity: {found.rate:.3g} /s (")
    assert "times today's) holds work.wait.p99 < 300ms, " in repr(found)
    assert list(found.frame()["rate"]) == sorted(found.frame()["rate"], reverse=True)
    assert "&lt;Capacity" in found._repr_html_()


def test_what_does_not_break_in_the_range_is_said():
    found = capacity(pool(), where="work.wait.p99 < 10s", over=("1/s", "20/s"), **RUN)
    assert (found.rate, found.high) == (20, math.inf)
    assert found.cautions()[0].startswith("it holds even at the highest rate")


def test_where_no_rate_holds_the_least_that_was_looked_at_is_named():
    found = capacity(pool(), where="work.service.mean < 10ms", over=("1/s", "20/s"), tolerance="50%", **RUN)
    assert math.isnan(found.rate)
    assert repr(found).startswith("<Capacity: no rate holds work.service.mean < 10ms")
    with pytest.raises(ScenarioError, match="holds at no rate that was looked at, down to 1 /s"):
        found.result  # noqa: B018


@pytest.mark.parametrize(
    ("given", "error", "problem"),
    [
        ({"publishers": "sauce"}, ScenarioError, "did you mean 'source'"),
        ({"publishers": []}, ScenarioError, "no rate to scale"),
        ({"over": ("20/s", "10/s")}, UnitError, "is not a lower and a higher rate"),
        ({"over": ("20/s", "30/s", "40/s")}, UnitError, "is not a lower and a higher rate"),
        ({"over": "20/s"}, UnitError, "is not a lower and a higher rate"),
        ({"tolerance": "70%"}, UnitError, "is not between 0.1% and 50%"),
    ],
)
def test_what_has_no_capacity_is_refused(given, error, problem):
    with pytest.raises(error, match=problem):
        capacity(pool(), where="work.wait.p99 < 1s", **given, **RUN)


def test_a_closed_loop_has_no_rate_to_scale():
    scenario = pool().with_("publishers.source.arrivals", "closed_loop window=10 think='exponential 1s'")
    with pytest.raises(ScenarioError, match=r"publishers\.source\.arrivals: a closed loop slows down"):
        capacity(scenario, where="work.wait.p99 < 1s", **RUN)
