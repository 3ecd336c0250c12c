"""A result answers questions about queues, windows and expectations, and survives pickling."""

import io
import json
import math
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from simbus.analysis import formats
from simbus.analysis.estimates import Estimate, student_t
from simbus.analysis.expectations import parse
from simbus.analysis.findings import Offered, Settings
from simbus.analysis.replication import Replication
from simbus.analysis.results import Result
from simbus.analysis.tables import show, tables
from simbus.errors import ScenarioError
from simbus.units import MINUTE, SECOND
from tests.bookstore_result import EXPECTATIONS, QUEUES, bookstore, renamed
from tests.hostile import NAMES, hostile


@pytest.fixture(scope="module")
def result():
    return bookstore()


def small(*values, **curves):
    runs = tuple(Replication(i, v, {k: np.array(c) for k, c in curves.items()}, str(i)) for i, v in enumerate(values))
    return Result("small", Settings(seed=1), runs, ("a",), ("a",))


def test_the_summary_has_a_row_per_queue_with_mean_and_limits(result):
    summary = result.summary()
    assert list(summary.index) == list(QUEUES)
    row = summary.loc["order.inventory.queue", "wait.p99"]
    assert row["mean"] - row["half_width"] == pytest.approx(row["low"])
    assert row["mean"] + row["half_width"] == pytest.approx(row["high"])


def test_an_estimate_is_the_interval_over_the_replications(result):
    values = [run.values["audit.queue.wait.p95"] for run in result.replications]
    assert result.estimate("audit.queue.wait.p95") == student_t(values)


def test_the_window_and_the_loss_are_frames_too(result):
    assert list(result.window().columns) == ["mean", "half_width", "low", "high"]
    assert result.window().loc["mean", "mean"] > 0
    assert result.loss().loc["order.email.queue", ("loss", "high")] == pytest.approx(3 / (20 * 288_000), rel=0.002)


def test_no_table_has_limits_below_0_or_infinite_ones_where_there_is_no_interval():
    """Waits of 0 and 3 s have an interval from below 0; of a single replication there is none."""

    def made(*waits):
        runs = tuple(Replication(index, {"a.wait.p99": wait}, {}, "") for index, wait in enumerate(waits))
        return Result("made up", Settings(seed=1), runs, ("a",)).summary().loc["a", "wait.p99"]

    several, one = made(0.0, 3.0), made(3.0)
    assert (several["mean"], several["low"], several["high"]) == (1.5, 0, pytest.approx(1.5 + 12.706 * 1.5, rel=1e-4))
    assert several["half_width"] == pytest.approx(12.706 * 1.5, rel=1e-4)
    assert one["mean"] == 3
    assert one[["half_width", "low", "high"]].isna().all()


def test_a_metric_that_a_replication_lacks_is_left_out_and_counted():
    estimate = small({"a.wait.p99": 1.0}, {"a.wait.p99": 3.0}, {}).estimate("a.wait.p99")
    assert (estimate.mean, estimate.n, estimate.missing) == (2.0, 2, 1)


def test_a_metric_that_no_replication_has_is_unknown():
    assert math.isnan(small({}, {}).estimate("a.wait.p99").mean)


def test_a_quantile_that_was_not_recorded_is_read_off_the_curve():
    from simbus.analysis.replication import PROBABILITIES

    result = small({"a.wait.p50": 7.0}, {"a.wait.p50": 7.0}, **{"a.wait.quantiles": 10 * PROBABILITIES})
    assert result.estimate("a.wait.p90").mean == 9.0
    assert result.estimate("a.wait.p99.9").mean == 9.99
    assert result.estimate("a.wait.p50").mean == 7.0  # recorded
    assert math.isnan(result.estimate("a.wait.p12.34").mean)


def test_a_queue_and_a_consumer_group_of_one_name_are_told_apart():
    result = small({"a.utilisation": 0.5, "consumers.a.utilisation": 0.25})
    assert result.estimate("queues.a.utilisation").mean == 0.5
    assert result.estimate("consumers.a.utilisation").mean == 0.25
    with pytest.raises(ScenarioError, match="may mean"):
        result.estimate("a.utilisation")


def test_verdicts_come_in_the_order_of_the_expectations(result):
    verdicts = result.verdicts()
    assert [verdict.expectation.text for verdict in verdicts] == list(EXPECTATIONS)
    assert [verdict.outcome for verdict in verdicts] == ["holds", "holds", "fails", "holds"]


def test_a_new_expectation_can_be_held_against_an_old_result(result):
    assert result.verdict("order.inventory.queue.wait.p90 < 10s").outcome == "holds"


def test_the_trace_hash_is_that_of_all_replications_in_order(result):
    swapped = replace(result, replications=result.replications[::-1])
    assert len(result.trace_hash) == 64
    assert result.trace_hash == bookstore().trace_hash != swapped.trace_hash


def test_a_result_survives_pickling(result):
    again = pickle.loads(pickle.dumps(result))  # noqa: S301
    assert again.to_json() == result.to_json()


def test_the_result_as_json_is_strict_json_that_names_seed_scenario_and_versions(result):
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (document["scenario"], document["seed"], document["replications"]) == ("Bookstore", 1, 20)
    assert set(document["versions"]) == {"python", "simbus", "simpy", "numpy"}
    assert [each["outcome"] for each in document["expectations"]] == ["holds", "holds", "fails", "holds"]
    assert document["estimates"]["queues.order.inventory.queue.wait.p99"]["n"] == 20
    assert document["estimates"]["window.max"]["mean"] == "never"
    assert document["estimates"]["queues.dead-letter-queue.utilisation"]["mean"] is None


def cautioned(offered=(), expected=(), duration=MINUTE, **values):
    """The cautions of ten replications in which everything was at its level from the start."""
    curves = {"a.depth.over_time": np.ones(200)}
    runs = tuple(Replication(i, {f"a.{k.replace('_', '.')}": v for k, v in values.items()}, curves, "") for i in range(10))
    asked = tuple(parse(text, ("a",)) for text in expected)
    return Result("small", Settings(1, duration), runs, ("a",), expectations=asked, offered=tuple(offered)).cautions()


def test_every_quantile_that_is_asked_for_needs_ten_observations_beyond_it():
    expected = ("a.wait.p99 < 5s", "a.wait.p99.9 < 9s", "a.residence.p50 < 1s")
    [said] = cautioned(expected=expected, wait_n=2_000.0, residence_n=2_000.0)
    assert said == "a.wait.p99.9: rests on 2 observations beyond it in a replication, not 10 or more."
    assert cautioned(expected=expected, wait_n=10_000.1, residence_n=21.0) == []
    assert len(cautioned(expected=expected, wait_n=500.0)) == 2  # p99 is said once


def test_a_queue_without_a_steady_state_is_named():
    [said] = cautioned([Offered("a", 1.2, math.inf)])
    assert said.startswith("a: utilisation 1.20, retries counted: no steady state")
    assert cautioned([Offered("a", 1.2, math.inf)], duration=None) == []  # it ends with its arrivals


def test_a_run_that_is_short_for_its_load_is_named():
    """A queue of utilisation r forgets how it began in some 100 service times / (1 - r)**2."""
    [said] = cautioned([Offered("a", 0.9, 100 * SECOND)])
    assert said == "a: 1 min are short at a utilisation of 0.90; make them 1.67 min or more."
    assert cautioned([Offered("a", 0.9, 59 * SECOND)]) == []


def test_a_queue_that_has_not_settled_by_half_the_run_is_named():
    curves = {"a.depth.over_time": np.linspace(0, 9, 200)}
    runs = tuple(Replication(i, {}, curves, "") for i in range(10))
    found = Result("small", Settings(1, MINUTE), runs, ("a",), offered=(Offered("a", 0.9, SECOND),))
    assert ["by MSER-5 it has not settled in the first half" in said for said in found.cautions()] == [True]


def test_few_observations_few_replications_and_saturation_are_said(result):
    cautions = small({"a.wait.n": 500.0, "a.utilisation": 0.999}).cautions()
    assert ["p99" in cautions[0], "saturated" in cautions[1], "1 replication is few" in cautions[2]] == [True] * 3
    assert result.cautions() == []


@pytest.mark.parametrize("plot", ["latency", "percentiles", "depth", "loss", "attempts", "window", "utilisation", "warmup"])
def test_every_plot_draws_on_the_axes_it_is_given_and_names_its_units(result, plot):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    queue = ("order.inventory.queue",) if plot in {"latency", "percentiles", "depth", "warmup"} else ()
    assert getattr(result.plot, plot)(*queue, ax=axes) is axes
    assert axes.has_data()
    assert axes.get_xlabel()


@pytest.mark.parametrize(
    "plot", ["latency", "percentiles", "depth", "on_duty", "loss", "attempts", "window", "utilisation", "warmup"]
)
def test_a_plot_of_nothing_is_empty_and_no_error(plot):
    from matplotlib.figure import Figure

    figure = Figure()
    queue = ("a",) if plot in {"percentiles", "depth", "on_duty", "warmup"} else ()
    getattr(small({}).plot, plot)(*queue, ax=figure.subplots())
    figure.canvas.draw()


def test_a_notebook_shows_verdicts_and_tables(result):
    html = result._repr_html_()
    assert "3 of 4 expectations hold, 1 fails." in html
    assert "<html" not in html


def test_the_terminal_shows_a_table_per_question_without_breaking_numbers(result):
    console = Console(width=100, record=True, file=io.StringIO())
    show(renamed(result, "audit.queue", "[red]audit[/red]"), console)
    text = console.export_text()
    assert "[red]audit[/red]" in text
    for title in ("Load and depth", "Wait", "Residence", "Loss by cause", "Consistency window"):
        assert title in text


@pytest.mark.parametrize(
    ("estimate", "unit", "text"),
    [
        (Estimate(1.234, 1.194, 1.274, 20), "time", "1.23 ± 0.04 s"),
        (Estimate(0.0345, 0.0333, 0.0357, 20), "time", "34.5 ± 1.2 ms"),
        (Estimate(7_200, 7_100, 7_300, 20), "time", "2.00 ± 0.03 h"),
        (Estimate(12.3, 12.2996, 12.3004, 20), "time", "12.3 ± 0.0 s"),
        (Estimate(20, 19.98, 20.02, 20), "rate", "20.00 ± 0.02 /s"),
        (Estimate(0.002, 0.001, 0.003, 20), "rate", "7.20 ± 3.60 /h"),
        (Estimate(51_234, 51_000, 51_468, 20), "count", "51,234 ± 234"),
        (Estimate(0.0012, 0.0008, 0.0016, 20), "share", "0.120 ± 0.040 %"),
        (Estimate(0, 0, 0.003, 20), "share", "0 (< 0.3 %)"),
        (Estimate(0, 0, 0, 20), "time", "0 s"),
        (Estimate(2.5, -math.inf, math.inf, 1), "time", "2.50 ± ? s"),
        (Estimate(math.nan, -math.inf, math.inf, 0, 20), "time", "–"),
        (Estimate(math.inf, 2.5, math.inf, 20), "time", "2.5 s to never"),
        (Estimate(math.inf, math.inf, math.inf, 20), "time", "never"),
        (Estimate(1.0, 0.5, 1.5, 17, missing=3), "time", "1.00 ± 0.50 s (n=17)"),
    ],
)
def test_an_interval_reads_as_mean_half_width_and_unit(estimate, unit, text):
    assert formats.interval(estimate, unit) == text


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_moves_no_cursor_in_a_terminal(name):
    out = io.StringIO()
    show(hostile(name), Console(file=out, width=200, force_terminal=True, color_system=None))
    assert all(letter.isprintable() for line in out.getvalue().split("\n") for letter in line)


def test_importing_the_analysis_imports_no_heavy_library():
    heavy = "pandas matplotlib scipy jinja2 rich"
    code = f"import sys, simbus.analysis.results, simbus.analysis.report; print(*set('{heavy}'.split()) & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_wait_of_the_first_attempt_is_shown_where_it_differs():
    def titles(first):
        waits = {f"a.wait.{quantile}": 2.0 for quantile in ("p50", "p95", "p99")}
        firsts = {f"a.first_wait.{quantile}": first for quantile in ("p50", "p95", "p99")}
        return [table.title for table in tables(small(waits | firsts, waits | firsts))]

    assert "Wait of the first attempt" in titles(first=1.0)
    assert "Wait of the first attempt" not in titles(first=2.0)


@pytest.mark.parametrize("confidence", [95, 0, -0.5, 1])
def test_a_confidence_that_cannot_be_is_refused(confidence):
    with pytest.raises(ScenarioError, match=r"not from 0\.5 to below 1"):
        bookstore(3).estimate("window.p99", confidence=confidence)


def test_a_metric_that_does_not_exist_is_not_called_an_expectation():
    with pytest.raises(ScenarioError, match=r"^metric: unknown metric 'window\.p98x'"):
        bookstore(3).estimate("window.p98x")


@pytest.mark.parametrize("plot", ["depth", "latency", "on_duty", "percentiles", "warmup"])
def test_a_plot_of_nobody_is_refused(plot):
    with pytest.raises(ScenarioError, match=r"unknown .* 'nope'; known: "):
        getattr(bookstore(3).plot, plot)("nope")


def test_only_a_queue_that_nothing_bounds_has_no_steady_state():
    found = replace(bookstore(3), offered=(Offered(QUEUES[0], 1.2, 0.0), Offered(QUEUES[1], 1.2, 0.0, bounded=True)))
    assert [caution.partition(":")[0] for caution in found.cautions() if "no steady state" in caution] == [QUEUES[0]]
