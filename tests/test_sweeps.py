"""Several designs at once: grids, scenarios with names, objectives of several parts, labelled arrays, and what designs cost."""

import math

import pytest

from simbus import Scenario, cost, simulate, sweep
from simbus.analysis import objectives
from simbus.errors import ScenarioError

RUN = {"duration": "2min", "warmup": "10s", "replications": 4, "seed": 3}


@pytest.fixture(scope="module")
def shop():
    made = Scenario("shop")
    made.queue("orders")
    made.publisher("web", to="orders", arrivals="poisson 16/s")
    made.consumer("clerk", queue="orders", prefetch=1, count=2, service="exponential 50ms")
    made.expect("orders.wait.mean < 1s")
    return made


@pytest.fixture(scope="module")
def grid(shop):
    return sweep(shop, {"consumers.clerk.count": [1, 2], "publishers.web.arrivals": ["poisson 8/s", "poisson 16/s"]}, **RUN)


# Objectives


@pytest.mark.parametrize(
    ("where", "parts"),
    [
        ("a.wait.p99 < 5s", ("a.wait.p99 < 5s",)),
        ("a.wait.p99 < 5s and a.loss<=1% and b.depth.max > 3", ("a.wait.p99 < 5s", "a.loss<=1%", "b.depth.max > 3")),
        ("search and rescue.wait.p99 < 5s", ("search and rescue.wait.p99 < 5s",)),
        ("search and rescue.loss < 1% and and.loss < 1%", ("search and rescue.loss < 1%", "and.loss < 1%")),
        (None, ()),
    ],
)
def test_expectations_are_joined_with_and_after_a_limit(where, parts):
    assert objectives.parts(where) == parts


def test_what_is_joined_is_as_good_as_its_worst_part():
    assert objectives.together(["holds", "holds"]) == "holds"
    assert objectives.together(["holds", "undecided"]) == "undecided"
    assert objectives.together(["fails", "undecided", "holds"]) == "fails"


def test_an_objective_that_is_no_text_or_says_nothing_is_refused(shop):
    with pytest.raises(ScenarioError, match="where: 5 is not text"):
        objectives.parts(5)
    silent = Scenario("silent", run=RUN)
    silent.queue("q")
    silent.publisher("p", to="q", arrivals="poisson 1/s")
    with pytest.raises(ScenarioError, match="where: says nothing"):
        sweep(silent, {"publishers.p.arrivals": ["poisson 1/s"]}).smallest()


def test_the_first_design_has_to_hold_all_parts_of_an_objective(shop):
    sizes = sweep(shop, {"consumers.clerk.count": [1, 2, 3]}, **RUN)
    assert sizes.smallest().factors == {"consumers.clerk.count": 1}
    assert sizes.smallest("orders.wait.mean < 1s and orders.utilisation < 50%").factors == {"consumers.clerk.count": 2}
    with pytest.raises(ScenarioError, match="holds for none of 3 designs"):
        sizes.smallest("orders.wait.mean < 1s and orders.utilisation > 99%")


# Which designs have no steady state


@pytest.mark.parametrize(
    ("options", "duration", "grows"),
    [
        ({}, "1h", True),
        ({"max_length": 10}, "1h", False),  # full after some seconds
        ({"max_length": 100_000}, "1h", True),  # never full in this run
        ({"message_ttl": "5s"}, "1h", False),
        ({"message_ttl": "2h"}, "1h", True),
        ({"max_length": 10}, "20s", True),
    ],
)
def test_a_queue_that_a_limit_stops_early_in_the_run_comes_to_rest(options, duration, grows):
    scenario = Scenario("overload")
    scenario.queue("work", **options)
    scenario.publisher("source", to="work", arrivals="poisson 3/s")
    scenario.consumer("server", queue="work", prefetch=1, service="exponential 500ms")
    [point] = sweep(scenario, {"consumers.server.count": [1]}, duration=duration, replications=1, seed=1).points
    assert point.overloaded == (("server",) if grows else ())


# Grids


def test_a_grid_is_a_labelled_array_with_units_and_meanings(grid):
    data = grid.to_xarray()
    array = data["orders.wait.mean"]
    assert array.dims == ("consumers.clerk.count", "publishers.web.arrivals", "statistic")
    assert array.attrs["units"] == "s"
    assert "until a handler starts" in array.attrs["long_name"]
    assert (data.attrs["scenario"], data.attrs["seed"]) == ("shop", 3)
    for point in grid.points:
        estimate = point.result.estimate("orders.wait.mean")
        assert float(array.sel({**point.factors, "statistic": "mean"})) == estimate.mean
        assert float(array.sel({**point.factors, "statistic": "high"})) == estimate.high


def test_values_that_are_no_numbers_are_labelled_by_their_text(shop):
    ways = [{"how": "requeue", "attempts": 2, "backoff": "fixed 1s"}, {"how": "in-handler", "attempts": 2, "backoff": "fixed 1s"}]
    sizes = sweep(shop, {"consumers.clerk.retry": ways}, duration="10s", replications=2, seed=1)
    labels = sizes.to_xarray("orders.loss")["consumers.clerk.retry"].to_numpy()
    assert list(labels) == [str(way) for way in ways]


def test_a_grid_is_shown_in_a_notebook(grid):
    assert repr(grid) == "<Sweep of consumers.clerk.count, publishers.web.arrivals: 4 designs>"
    page = grid._repr_html_()
    assert "&lt;Sweep of" in page
    assert page.count("<tr") == 5


# Scenarios with names


def test_scenarios_with_names_are_designs_too(shop):
    fast = shop.with_("consumers.clerk.service", "exponential 25ms")
    designs = sweep({"as it is": shop, "faster": fast}, **RUN)
    assert designs.factors == ("design",)
    assert list(designs.frame()["design"]) == ["as it is", "faster"]
    assert list(designs.compare("orders.wait.mean", to={"design": "as it is"})["outcome"]) == ["lower"]
    alone = simulate(fast, **RUN)
    assert designs.points[1].result.trace_hash == alone.trace_hash


def test_scenarios_with_names_and_factors_make_a_grid(shop):
    fast = shop.with_("consumers.clerk.service", "exponential 25ms")
    grid = sweep({"slow": shop, "fast": fast}, {"consumers.clerk.count": [1, 2]}, duration="10s", replications=2, seed=1)
    assert grid.to_xarray().sizes == {"design": 2, "consumers.clerk.count": 2, "statistic": 3}


@pytest.mark.parametrize("given", [{}, {"a": "shop.toml"}])
def test_names_without_scenarios_are_refused(given):
    with pytest.raises(ScenarioError, match=r"write for example|read_scenario"):
        sweep(given)


# Cost


def test_the_cost_of_a_million_messages_follows_from_rates_and_prices(shop, seed):
    """At 16/s a million messages take 17.36 h; two clerks at 3 an hour and a broker at 10 cost 16 for each of them."""
    found = cost(simulate(shop, duration="3min", replications=10, seed=seed), consumer_hour=3, broker_hour=10, message=1e-6)
    hours = 1e6 / 16 / 3_600
    assert found.total.low < 16 * hours + 1 < found.total.high
    assert found.parts["consumers"].mean == pytest.approx(6 / 10 * found.parts["broker"].mean)
    assert found.parts["messages"].mean == pytest.approx(1)
    assert found.total.mean == pytest.approx(sum(part.mean for part in found.parts.values()))
    assert found.frame().loc["total", "share"] == 1


def test_lost_and_repeated_messages_have_their_price(seed):
    """M/M/1/6 (five places and one in service) at utilisation 0.8 loses 6.63 % (Erlang); each costs 2."""
    from simbus.theory import full_share

    scenario = Scenario("small")
    scenario.queue("work", max_length=5, overflow="reject-publish")
    scenario.publisher("source", to="work", arrivals="poisson 8/s")
    scenario.consumer("server", queue="work", prefetch=1, service="exponential 100ms")
    result = simulate(scenario, duration="10min", warmup="10s", replications=10, seed=seed)
    found = cost(result, lost=2, currency="EUR")
    assert found.total.low < 2e6 * full_share(8, 10, 1, 6) < found.total.high
    assert list(found.parts) == ["lost"]
    assert repr(found).startswith("<Cost of small: 1")
    assert "EUR for a million messages, most of it lost>" in repr(found)
    assert "&lt;Cost of small" in found._repr_html_()


def test_what_gets_nowhere_is_lost_too():
    scenario = Scenario("nowhere", run={"duration": "1min", "replications": 2, "seed": 1})
    scenario.exchange("orders")
    scenario.publisher("web", exchange="orders", routing_key="nobody", arrivals="poisson 10/s")
    assert cost(simulate(scenario), lost=3).total.mean == pytest.approx(3e6)


def test_what_was_not_simulated_has_no_cost(shop):
    with pytest.raises(ScenarioError, match="simulate the scenario first"):
        cost(shop, lost=1)


def test_prices_may_differ_by_group(shop):
    result = simulate(shop, duration="10s", replications=2, seed=1)
    one, other = cost(result, consumer_hour={"clerk": 2}), cost(result, consumer_hour=2)
    assert one == other


@pytest.mark.parametrize(
    ("prices", "problem"),
    [
        ({}, "prices: all are 0"),
        ({"lost": -1}, "lost: -1 is not a number from 0"),
        ({"lost": "2"}, "lost: '2' is not a number from 0"),
        ({"consumer_hour": math.nan}, "consumer_hour of 'clerk': nan is not a number"),
        ({"consumer_hour": {"clark": 1}}, "unknown group of consumers 'clark'; known: clerk"),
    ],
)
def test_prices_that_cannot_be_are_refused(shop, prices, problem):
    with pytest.raises(ScenarioError, match=problem):
        cost(simulate(shop, duration="10s", replications=2, seed=1), **prices)


def test_the_designs_of_a_sweep_have_their_costs_side_by_side(grid):
    table = grid.cost(consumer_hour=1, broker_hour=4)
    assert list(table.columns) == [*grid.factors, "cost.mean", "cost.low", "cost.high", "consumers", "broker"]
    assert table["cost.mean"].idxmin() == 1  # one clerk, and twice as many messages for the same hours
