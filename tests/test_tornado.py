"""Sensitivity and headroom: which factor matters most, and how much more there is room for."""

import math

import pytest

from simbus import Scenario, compare, headroom, simulate, tornado
from simbus.errors import ScenarioError

RUN = {"duration": "2min", "warmup": "10s", "replications": 6, "seed": 1}
FACTORS = {
    "queues.orders.max_length": (10_000, 20_000),  # never reached
    "consumers.clerk.count": (2, 4),
    "consumers.clerk.service": ("exponential 95ms", "exponential 105ms"),
}


@pytest.fixture(scope="module")
def shop():
    made = Scenario("shop")
    made.queue("orders")
    made.publisher("web", to="orders", arrivals="poisson 16/s")
    made.consumer("clerk", queue="orders", prefetch=1, count=3, service="exponential 100ms")
    return made


@pytest.fixture(scope="module")
def found(shop):
    return tornado(shop, FACTORS, "orders.wait.mean", **RUN)


def test_the_factor_that_moves_the_metric_most_comes_first(found):
    assert [bar.factor for bar in found.bars] == ["consumers.clerk.count", "consumers.clerk.service", "queues.orders.max_length"]
    assert [bar.swing.outcome for bar in found.bars] == ["lower", "higher", "undecided"]
    assert [bar.width for bar in found.bars] == sorted((bar.width for bar in found.bars), reverse=True)
    assert found.bars[-1].width == 0


def test_differences_are_those_of_pairs_at_a_confidence_that_fits_all_of_them(shop, found):
    base, more = (simulate(shop.with_("consumers.clerk.count", n), **RUN) for n in (3, 4))
    paired = compare(base, more, "orders.wait.mean", confidence=1 - 0.05 / 9)
    assert found.bars[0].high.difference == paired.difference
    assert found.base == base.estimate("orders.wait.mean")
    row = found.frame().iloc[0]
    assert (row["factor"], row["from"], row["to"]) == ("consumers.clerk.count", 2, 4)
    assert row["high.low"] == paired.difference.low
    assert row["swing.mean"] == pytest.approx(row["high.mean"] - row["low.mean"])


def test_a_tornado_is_short_to_read(found):
    assert repr(found).startswith("<Tornado of orders.wait.mean, ")
    assert ": most by consumers.clerk.count, -" in repr(found)
    assert "&lt;Tornado" in found._repr_html_()


def test_a_tornado_is_drawn_with_a_bar_on_each_side(found, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    axes = found.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == [bar.factor for bar in reversed(found.bars)]


def test_a_value_that_overloads_is_said(shop):
    found = tornado(shop, {"consumers.clerk.count": (1, 4)}, "orders.wait.mean", duration="20s", replications=2, seed=1)
    assert found.frame()["overloaded"].iloc[0] == ("clerk",)
    assert found.cautions()[0] == "consumers.clerk.count = 1: clerk cannot keep up, so the change grows with the run."


@pytest.mark.parametrize(
    ("factors", "metric", "run", "problem"),
    [
        ({}, "orders.wait.mean", {}, "there is nothing to vary"),
        ({"consumers.clerk.count": 3}, "orders.wait.mean", {}, "is not a low and a high value"),
        ({"consumers.clerk.count": (1, 2, 3)}, "orders.wait.mean", {}, "is not a low and a high value"),
        ({"consumers.clerk.cuont": (1, 2)}, "orders.wait.mean", {}, "did you mean"),
        ({"consumers.clerk.count": (1, 2)}, "orders.wiat.mean", {"duration": "1s"}, "did you mean 'orders.wait.mean'"),
        ({"consumers.clerk.count": (1, 2)}, "orders.wait.mean", {"precision": "5%"}, "do not pair"),
    ],
)
def test_what_cannot_be_varied_is_refused(shop, factors, metric, run, problem):
    with pytest.raises(ScenarioError, match=problem):
        tornado(shop, factors, metric, **run)


# Headroom


def test_headroom_counts_retries_and_a_lost_consumer(shop):
    """16/s at 100 ms are 1.6 of three clerks; a quarter of attempts fails and is tried again at once: 1.6 / 0.75."""
    busy = 1.6 / 0.75
    found = headroom(shop.with_("consumers.clerk.failure", 0.25))
    assert found.least == pytest.approx(1 - busy / 3)
    assert found.least_less_one == pytest.approx(1 - busy / 2)
    assert found.growth == pytest.approx(3 / busy)
    assert repr(found) == "<Headroom of shop: 28.9 % in clerk, with one lost -6.67 %>"
    assert "&lt;Headroom" in found._repr_html_()


def test_the_busiest_group_comes_first(shop):
    two = shop.with_("consumers.clerk.count", 4)
    two.queue("mail")
    two.publisher("news", to="mail", arrivals="poisson 1/s")
    two.consumer("post", queue="mail", service="exponential 500ms")
    found = headroom(two)
    assert list(found.frame().index) == ["post", "clerk"]
    assert found.least == pytest.approx(0.5)
    assert found.least_less_one == -math.inf
    assert "with one lost none left" in repr(found)


def test_what_is_no_scenario_has_no_headroom():
    with pytest.raises(ScenarioError, match="read_scenario"):
        headroom("shop.toml")


def test_without_consumers_nothing_is_busy():
    lonely = Scenario("lonely")
    lonely.queue("q")
    lonely.publisher("p", to="q", arrivals="poisson 1/s")
    found = headroom(lonely)
    assert (found.least, found.growth) == (1, math.inf)
    assert repr(found) == "<Headroom of lonely: no consumers>"
    assert found.frame().empty
