"""Plots of several designs: the response to a factor with theory and objective, a map over two factors, and a tornado."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from simbus import Scenario, capacity, solve, sweep
from simbus.analysis.estimates import Estimate
from simbus.analysis.exact import Exact
from simbus.analysis.expectations import parse
from simbus.analysis.findings import Settings
from simbus.analysis.plots.responses import Design, Responses
from simbus.analysis.plots.swings import Swing, draw_swings
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result
from simbus.analysis.style import COLOURS
from simbus.errors import ScenarioError
from simbus.units import MINUTE

OBJECTIVE = "work.wait.p99 < 2s"


@pytest.fixture
def ax():
    return Figure(figsize=(6, 4)).subplots()


def found(wait, spread=0.1, rate=10.0, exact=()):
    """What came of a design: two replications with such a wait."""
    values = ({"work.wait.p99": wait + sign * spread, "messages.rate": rate, "work.loss": 0.01} for sign in (-1, 1))
    runs = tuple(Replication(number, each, {}, "") for number, each in enumerate(values))
    return Result("shop", Settings(1, MINUTE), runs, ("work",), expectations=(parse(OBJECTIVE, ("work",)),), exact=exact)


def counts(**more):
    """Waits of 4, 2 and 1 s with 1, 2 and 3 consumers."""
    factor = "consumers.charge.count"
    return Responses((factor,), tuple(Design({factor: n}, found(4 / 2 ** (n - 1)), **more) for n in (1, 2, 3)))


def grid(**limits):
    """Waits by count and prefetch: only 3 consumers with a prefetch of 1 are sure to hold."""
    waits = {(1, 1): 8.0, (2, 1): 1.99, (3, 1): 0.5, (1, 5): 9.0, (2, 5): 4.0, (3, 5): 3.0}
    designs = [Design({"count": n, "prefetch": p}, found(wait)) for (n, p), wait in waits.items()]
    return Responses(("count", "prefetch"), tuple(designs))


def drawn(axes, colour, marker):
    return [line for line in axes.lines if to_hex(line.get_color()) == colour.lower() and line.get_marker() == marker]


def test_a_response_shows_every_design_with_its_interval(ax):
    assert counts().response(ax=ax) is ax
    dots = [
        tuple(map(float, (*line.get_xdata(), *line.get_ydata()))) for line in drawn(ax, COLOURS[0], "o") if len(line.get_xdata())
    ]
    assert dots == [(1, 4), (2, 2), (3, 1)]
    estimate = found(2.0).estimate("work.wait.p99")
    ends = [tuple(line.get_ydata()) for line in drawn(ax, COLOURS[0], "_")]
    assert ends[1] == (max(0, estimate.low), estimate.high)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("consumers.charge.count", "work.wait.p99")


def test_an_objective_is_a_line_across_the_response(ax):
    counts().response("work.wait.p99 < 3s", ax=ax)
    assert "p99 < 3 s" in [text.get_text() for text in ax.texts]
    [line] = [line for line in ax.lines if line.get_linestyle() == "--" and to_hex(line.get_color()) == COLOURS[1].lower()]
    assert list(line.get_ydata()) == [3, 3]


def test_over_arrivals_the_response_is_one_to_a_rate_with_theory_over_it(ax):
    factor = "publishers.web.arrivals"
    theory = (Exact("work.wait.p99", 1.5, "M/M/1", "Erlang 1917"),)
    designs = (
        Design({factor: "poisson 10/s"}, found(1.0)),
        Design({factor: "poisson 20/s"}, found(2.0, rate=20.0, exact=theory)),
    )
    Responses((factor,), designs).response(ax=ax)
    [crosses] = [line for line in ax.lines if line.get_marker() == "x"]
    assert crosses.get_xdata()[1] == 20
    assert np.isnan(crosses.get_ydata()[0])
    assert crosses.get_ydata()[1] == 1.5
    assert ax.get_xlabel() == "messages that reach the broker (per second)"
    assert "theory" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_design_that_cannot_keep_up_is_hollow(ax):
    counts(overloaded=("charge",)).response(ax=ax)
    assert {line.get_markerfacecolor() for line in drawn(ax, COLOURS[0], "o") if len(line.get_xdata()) == 1} == {"none"}
    assert "cannot keep up" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_second_factor_gives_a_line_for_each_of_its_values(ax):
    grid().response(ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["prefetch = 1", "prefetch = 5"]


def test_values_without_numbers_stand_in_their_order(ax):
    designs = tuple(Design({"design": name}, found(1.0)) for name in ("requeue", "delay $queue$"))
    Responses(("design",), designs).response(ax=ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["requeue", "delay $queue$"]
    ax.figure.canvas.draw()


def test_a_design_that_was_not_simulated_has_no_point(ax):
    given = counts()
    responses = replace(given, designs=(replace(given.designs[0], result=None, overloaded=("charge",)), *given.designs[1:]))
    responses.response(ax=ax)
    assert len([line for line in drawn(ax, COLOURS[0], "o") if len(line.get_xdata()) == 1]) == 2


def test_a_map_has_every_number_with_its_interval_and_outcome(ax):
    assert grid().heat(ax=ax) is ax
    words = {tuple(map(round, text.get_position())): text.get_text().split("\n")[0] for text in ax.texts}
    assert words == {(0, 0): "✗ 8 s", (1, 0): "? 1.99 s", (2, 0): "✓ 500 ms", (0, 1): "✗ 9 s", (1, 1): "✗ 4 s", (2, 1): "? 3 s"}
    half = found(8.0).estimate("work.wait.p99").half_width
    assert f"± {half:.2f} s" in next(text.get_text() for text in ax.texts if "8 s" in text.get_text())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("count", "prefetch")
    assert ax.get_title() == "✓ p99 < 2 s"


def test_a_line_runs_round_the_designs_that_keep_to_the_objective(ax):
    grid().heat(ax=ax)
    walls = {(tuple(line.get_xdata()), tuple(line.get_ydata())) for line in ax.lines}
    assert walls == {((1.5, 1.5), (-0.5, 0.5)), ((1.5, 2.5), (0.5, 0.5))}


def test_a_design_that_cannot_keep_up_fails_however_small_its_number(ax):
    given = grid()
    designs = tuple(replace(each, overloaded=("charge",)) for each in given.designs)
    replace(given, designs=designs).heat(ax=ax)
    assert all(text.get_text().startswith("✗") and text.get_text().endswith("grows") for text in ax.texts)


@pytest.mark.parametrize("draw", [lambda ax: counts().heat(ax=ax), lambda ax: Responses(("a", "b", "c"), ()).response(ax=ax)])
def test_a_plot_says_how_many_factors_it_takes(draw, ax):
    with pytest.raises(ScenarioError, match=r"^plot: .*factor"):
        draw(ax)


def test_a_metric_that_is_unknown_is_refused(ax):
    with pytest.raises(ScenarioError, match=r"unknown metric 'work\.weight\.p99'"):
        counts().response("work.weight.p99", ax=ax)


def test_where_nothing_was_simulated_there_is_nothing_to_plot(ax):
    with pytest.raises(ScenarioError, match="none of the designs was simulated"):
        Responses(("a",), (Design({"a": 1}, None, ("charge",)),)).response(ax=ax)


def test_a_sweep_has_these_plots(ax):
    shop = Scenario("shop", run={"duration": "10s", "replications": 2, "seed": 1})
    shop.queue("work")
    shop.publisher("web", to="work", arrivals="poisson 10/s")
    shop.consumer("charge", queue="work", service="exponential 50ms")
    found = sweep(shop, {"publishers.web.arrivals": ["poisson 5/s", "poisson 10/s"]}, jobs=1, progress=False)
    found.plot.response("work.wait.mean", ax=ax)
    [crosses] = [line for line in ax.lines if line.get_marker() == "x"]
    assert list(crosses.get_ydata()) == pytest.approx([0.25 * 0.05 / 0.75, 0.05])  # of M/M/1


def swings():
    wide = Swing("consumers.charge.service", "100ms", Estimate(0.2, 0.1, 0.3, 5), "200ms", Estimate(2.0, 1.8, 2.2, 5))
    narrow = Swing("consumers.charge.count", "3", Estimate(1.1, 1.0, 1.2, 5), "5", Estimate(0.9, 0.8, 1.0, 5))
    return [narrow, wide]


def test_the_widest_swing_is_on_top_and_all_begin_at_the_metric_as_it_is(ax):
    draw_swings(ax, "work.wait.p99", "time", Estimate(1.0, 0.9, 1.1, 5), swings())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["consumers.charge.count", "consumers.charge.service"]
    bars = [(bar.get_x(), bar.get_width()) for bar in ax.patches if bar.get_y() > -1][:4]
    assert bars == [pytest.approx((1, 0.1)), pytest.approx((1, -0.1)), pytest.approx((1, -0.8)), pytest.approx((1, 1.0))]
    assert {"100ms", "200ms", "3", "5"} == {text.get_text() for text in ax.texts}
    assert (1.8, 2.2) in [tuple(line.get_xdata()) for line in ax.lines]
    assert ax.get_xlabel() == "work.wait.p99"


def test_two_values_that_lead_to_the_same_side_are_written_one_above_the_other(ax):
    either = Swing("prefetch", "1", Estimate(1.5, 1.4, 1.6, 5), "64", Estimate(1.6, 1.5, 1.7, 5))
    draw_swings(ax, "work.wait.p99", "time", Estimate(1.0, 0.9, 1.1, 5), [either, *swings()])
    ax.figure.canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert boxes["1"].y0 > boxes["64"].y1 - 1
    written = list(boxes.values())
    assert not any(one.overlaps(other) for place, one in enumerate(written) for other in written[:place] if one is not other)


@pytest.fixture
def shop():
    shop = Scenario("shop", run={"duration": "30s", "warmup": "5s", "replications": 3, "seed": 1})
    shop.queue("work")
    shop.publisher("web", to="work", arrivals="poisson 10/s")
    shop.consumer("charge", queue="work", prefetch=1, service="exponential 50ms")
    shop.expect("work.wait.p99 < 1s")
    return shop


def words(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_capacity_shows_the_rates_that_were_looked_at_and_where_it_lies(shop, ax):
    found = capacity(shop, tolerance="20%", jobs=1, progress=False)
    found.plot.response(ax=ax)
    simulated = {each.value for each in found.tries.each if each.result is not None}
    assert {float(line.get_xdata()[0]) for line in drawn(ax, COLOURS[0], "o") if len(line.get_xdata()) == 1} == simulated
    [stretch] = [patch for patch in ax.patches if to_hex(patch.get_facecolor()) == COLOURS[2].lower()]
    assert (stretch.get_x(), stretch.get_x() + stretch.get_width()) == pytest.approx((found.low, found.high))
    assert ax.get_xlabel() == "rate (messages per second)"
    assert {"theory", f"holds up to {found.rate:.3g} /s"} <= set(words(ax))


def test_a_solution_shows_the_values_that_were_looked_at_and_the_answer(shop, ax):
    found = solve(
        shop.with_("publishers.web.arrivals", "poisson 30/s"), "consumers.charge.count", range(1, 6), jobs=1, progress=False
    )
    found.plot.response(ax=ax)
    [line] = [patch for patch in ax.patches if to_hex(patch.get_facecolor()) == COLOURS[2].lower()]
    assert line.get_x() == found.value
    assert f"{found.value} is the answer" in words(ax)


def test_the_name_of_an_objective_stands_where_the_response_is_far_from_it(ax):
    counts().response(ax=ax)  # from 4 s to 1 s, with 2 s to be kept to: more is left on the left, on a linear axis
    assert [text.get_horizontalalignment() for text in ax.texts if text.get_text() == "p99 < 2 s"] == ["left"]
    falling = Responses(("n",), tuple(Design({"n": n}, found(wait)) for n, wait in ((1, 3.0), (2, 1.0), (3, 0.01))))
    axes = falling.response(ax=Figure().subplots())
    assert [text.get_horizontalalignment() for text in axes.texts if text.get_text() == "p99 < 2 s"] == ["right"]


def test_on_a_logarithmic_axis_a_line_ends_before_a_wait_of_0(ax):
    waits = Responses(("n",), tuple(Design({"n": n}, found(wait, spread=0)) for n, wait in ((1, 3.0), (2, 0.1), (3, 0.0))))
    waits.response(ax=ax)
    assert ax.get_yscale() == "log"
    assert not np.isfinite(ax.transData.transform((3, 0.0))[1])  # clipped, it would be a finite height far below
