"""A simulation held against what was observed: a run of the same system is inside as often as it should be, others are not."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import binom, ks_2samp

from simbus import Scenario, calibrate, counts, simulate
from simbus.analysis.findings import Settings
from simbus.analysis.replication import PROBABILITIES, Replication
from simbus.analysis.results import Result
from simbus.cli import main
from simbus.errors import ScenarioError, UnitError
from simbus.units import SECOND

SHOP = """
name = "shop"
run = { duration = "2min", warmup = "20s", replications = 25, seed = 1 }

[queues.orders]

[publishers.web]
to = "orders"
arrivals = "poisson 16/s"

[consumers.clerk]
queue = "orders"
prefetch = 1
service = "exponential 45ms"
"""


def shop(mean="45ms", arrivals="poisson 16/s"):
    scenario = Scenario("shop")
    scenario.queue("orders")
    scenario.publisher("web", to="orders", arrivals=arrivals)
    scenario.consumer("clerk", queue="orders", prefetch=1, service=f"exponential {mean}")
    return scenario


RUN = {"duration": "2min", "warmup": "20s"}


@pytest.fixture(scope="module")
def result():
    return simulate(shop(), replications=25, seed=1, **RUN)


def observed(scenario, seed, column="wait", **run):
    return simulate(scenario, replications=1, seed=seed, **(RUN | run)).deliveries[column].dropna()


def made_up(runs, duration=200 * SECOND):
    """Replications with these times in one queue."""
    replications = []
    for index, times in enumerate(runs):
        values = {"q.wait.mean": float(np.mean(times)), "q.wait.n": float(len(times))}
        curves = {"q.wait.quantiles": np.quantile(times, PROBABILITIES)}
        curves |= {"time": np.arange(200) + 0.5, "q.depth.over_time": np.resize(times, 200).astype(float)}
        replications.append(Replication(index, values, curves, ""))
    return Result("made up", Settings(1, duration), tuple(replications), ("q",))


def test_a_run_of_the_same_system_is_inside(result):
    found = calibrate(result, "orders.wait", observed(shop(), 77), unit="s")
    assert found.outcome == "inside"
    assert found.table().loc["mean", "inside"]
    assert found.p > 0.05
    assert found.cautions == ()


def test_a_run_of_a_slower_one_is_outside_and_by_how_much_is_told(result):
    slower = observed(shop("60ms"), 77)
    found = calibrate(result, "orders.wait", slower, unit="s")
    assert found.outcome == "outside"
    assert not found.table().loc["mean", "inside"]
    assert found.p == pytest.approx(1 / 26)
    difference = slower.mean() - result.estimate("orders.wait.mean").mean
    assert found.distance == pytest.approx(difference, rel=0.05)  # where one is longer throughout, the means differ by as much
    assert found.table().loc["mean", "off"] == pytest.approx(result.estimate("orders.wait.mean").mean / slower.mean() - 1)


def waits(draw, runs, messages):
    """Successive waits of M/M/1 at a utilisation of 0.8, a row a run, by Lindley's recursion; half of each is warm-up."""
    steps = draw.exponential(0.8, (runs, 2 * messages)) - draw.exponential(1.0, (runs, 2 * messages))
    found = np.zeros((runs, 2 * messages))
    for place in range(1, 2 * messages):
        found[:, place] = np.maximum(found[:, place - 1] + steps[:, place], 0)
    return found[:, messages:]


@pytest.mark.slow
def test_a_true_scenario_is_refused_as_rarely_as_it_should_be(seed):
    """Nineteen replications and one more: 5 % are refused; a test for independent times at 5 % refuses most."""
    draw, experiments = np.random.default_rng(seed), 30
    refused = naive = 0
    for _ in range(experiments):
        *runs, other = waits(draw, 20, 300)
        refused += calibrate(made_up(runs), "q.wait", other, unit="s").outcome == "outside"
        naive += ks_2samp(other, np.ravel(runs)).pvalue < 0.05
    assert binom.sf(refused - 1, experiments, 0.05) > 1e-4
    assert naive > experiments / 2


def test_distances_are_those_of_wasserstein_and_of_kolmogorov_and_smirnov():
    uniform = (np.arange(1000) + 0.5) / 1000
    found = calibrate(made_up([uniform] * 3), "q.wait", uniform + 0.25, unit="s")
    assert found.distance == pytest.approx(0.25, abs=1e-6)
    assert found.ks == pytest.approx(0.25, abs=0.002)
    assert found.usual[0] == pytest.approx(0.25 / 3, abs=1e-3)  # one of its three others is the observation


def test_an_interval_of_prediction_is_that_for_one_more_run(seed):
    """Student's t with n - 1 degrees, sqrt(1 + 1/n) wide: for n = 4 and a standard deviation of 1, 3.182 * sqrt(5/4)."""
    deviations = np.array([-1.0, -1.0, 1.0, 1.0]) * np.sqrt(3) / 2
    found = calibrate(made_up([[10.0 + each] * 50 for each in deviations]), "q.wait", [10.0] * 50, unit="s")
    row = found.table().loc["mean"]
    assert (row["simulated"], row["high"] - row["simulated"]) == pytest.approx((10, 3.1824 * np.sqrt(5 / 4)), rel=1e-4)


def test_what_is_farthest_of_too_few_is_undecided():
    runs = [np.linspace(0, 1, 100) * scale for scale in (0.9, 1.0, 1.1)]
    found = calibrate(made_up(runs), "q.wait", np.linspace(0, 5, 100), unit="s")
    assert found.outcome == "undecided"
    assert any("3 replications cannot refuse anything at a confidence of 95%: that takes 19" in each for each in found.cautions)


def test_a_level_over_time_of_a_run_that_ends_is_compared_instant_by_instant():
    day = [60, 1_400, 60, 60]
    result = simulate(shop(arrivals=counts(day)), replications=20, seed=1)
    another = simulate(shop(arrivals=counts(day)), replications=1, seed=9).depth
    series = pd.Series(another["depth"].to_numpy(), index=another["time"].to_numpy())
    assert calibrate(result, "orders.depth", series).outcome == "inside"
    late = pd.Series(another["depth"].to_numpy()[::-1], index=another["time"].to_numpy())
    found = calibrate(result, "orders.depth", late)
    assert found.over_time
    assert found.outcome == "outside"
    assert found.table().loc["max", "observed"] == series.max()


def test_a_level_of_a_steady_run_is_compared_by_how_much_of_the_time_it_is_how_deep(result):
    depth = simulate(shop(), replications=1, seed=55, **RUN).depth.query("time > 20")
    at = pd.Timestamp("2026-01-05 09:00", tz="UTC") + pd.to_timedelta(depth["time"], unit="s")
    found = calibrate(result, "orders.depth", pd.Series(depth["depth"].to_numpy(), index=pd.DatetimeIndex(at)))
    assert found.outcome == "inside"
    assert not found.over_time
    assert found.table().loc["mean", "observed"] == pytest.approx(depth["depth"].mean(), rel=0.02)
    assert any("observations in each stretch" in each for each in found.cautions)


def test_observations_of_another_length_are_warned_of(result):
    found = calibrate(result, "orders.wait", observed(shop(), 3)[:200], unit="s")
    assert any("simulate as long as was observed" in each for each in found.cautions)
    assert any("lie beyond p99" in each or "lie beyond p95" in each for each in found.cautions)


def test_the_window_and_classes_are_compared_too():
    scenario = shop()
    scenario.publisher("vip", to="orders", arrivals="poisson 1/s", messages={"gold": {}})
    result = simulate(scenario, replications=20, seed=1, **RUN)
    again = simulate(scenario, replications=1, seed=8, **RUN)
    assert calibrate(result, "window", again.messages["window"].dropna(), unit="s").outcome == "inside"
    gold = again.deliveries.query("type == 'gold'")["wait"].dropna()
    assert calibrate(result, "orders[gold].wait", gold, unit="s").outcome == "inside"


def test_plots_show_observed_and_simulated_with_the_band(result):
    for over_time in (False, True):
        found = calibrate(result, "orders.wait", observed(shop(), 4), unit="s")
        if over_time:
            day = simulate(shop(arrivals=counts([60, 300])), replications=3, seed=1)
            found = calibrate(day, "orders.depth", [0, 1, 2, 1], at=[0, 30, 60, 90])
        axes = found.plot(Figure().subplots())
        legend = axes.get_legend()
        assert legend is not None
        names = [text.get_text() for text in legend.get_texts()]
        assert names[0] == "observed"
        assert names[2] == "one more replication (95%)"
        assert found.metric in axes.get_xlabel() + axes.get_ylabel()


def test_it_reads_well(result):
    found = calibrate(result, "orders.wait", observed(shop(), 77), unit="s")
    assert str(found).startswith("orders.wait: inside: ")
    assert " of 25 as far or farther, p = " in str(found)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("given", "error", "problem"),
    [
        ({"metric": "orders.wait"}, UnitError, "give what was observed or a file, not both"),
        ({"metric": "orders.wait", "values": [1.0]}, UnitError, "numbers need one"),
        ({"metric": "orders.wait", "values": []}, UnitError, "nothing was observed"),
        ({"metric": "orders.wait", "values": [-1.0], "unit": "s"}, UnitError, "which is no time"),
        ({"metric": "orders.weight", "values": [1.0], "unit": "s"}, ScenarioError, "unknown metric"),
        ({"metric": "orders.depth", "values": [1, 2]}, UnitError, "levels need instants"),
        ({"metric": "orders.depth", "values": [1, 2], "at": [1]}, UnitError, "an instant for each"),
        ({"metric": "orders.depth", "values": [1, -2], "at": [1, 2]}, UnitError, "from 0"),
        ({"metric": "orders.depth", "values": [1, None], "at": [1, 2]}, UnitError, "leave out what is missing"),
        ({"metric": "orders.depth", "values": [1, 2], "at": [0, 0.001]}, ScenarioError, "observe for longer"),
    ],
)
def test_what_cannot_be_compared_is_refused(result, given, error, problem):
    with pytest.raises(error, match=problem):
        calibrate(result, **given)


def test_replications_that_depend_on_each_other_or_are_alone_are_refused():
    for run in ({"replications": 4, "antithetic": True}, {"replications": 1}):
        with pytest.raises(ScenarioError, match=r"simulate (without|19 or more)"):
            calibrate(simulate(shop(), seed=1, duration="5s", **run), "orders.wait", [1.0, 2.0], unit="s")
    with pytest.raises(ScenarioError, match="is no result; write calibrate"):
        calibrate(shop(), "orders.wait", [1.0], unit="s")


# On the command line


@pytest.fixture
def files(tmp_path):
    (tmp_path / "shop.toml").write_text(SHOP)
    for name, mean in (("same", "45ms"), ("slow", "60ms")):
        (observed(shop(mean), 77) * 1000).to_frame("ms").to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def test_the_command_says_how_far_and_exits_with_a_code(files, capsys):
    arguments = ["calibrate", str(files / "shop.toml"), str(files / "same.csv"), "--metric", "orders.wait", "--column", "ms"]
    assert main([*arguments, "--unit", "ms", "--jobs", "1", "--plot", str(files / "plot.png")]) == 0
    out, err = capsys.readouterr()
    assert "orders.wait, observed and simulated" in out
    assert "orders.wait: inside: " in out
    assert f"wrote {files / 'plot.png'}" in err
    assert (files / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert main([*arguments[:2], str(files / "slow.csv"), *arguments[3:], "--unit", "ms", "--jobs", "1"]) == 1
    assert "orders.wait: outside: " in capsys.readouterr().out
    few = ["--replications", "3", "--unit", "ms", "--jobs", "1"]
    assert main([*arguments[:2], str(files / "slow.csv"), *arguments[3:], *few]) == 3
    assert "warning: 3 replications cannot refuse" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--metric", "orders.weight"], "unknown metric"),
        (["--metric", "orders.wait"], "unknown column 'seconds'"),
        (["--metric", "orders.depth"], "unknown column 'seconds'"),
        (["--metric", "orders.wait", "--column", "ms", "--unit", "parsec"], "is no unit of time"),
        ([], "Missing option '--metric'"),
    ],
)
def test_bad_input_is_one_line(arguments, problem, files, capsys):
    given = ["calibrate", str(files / "shop.toml"), str(files / "same.csv"), *arguments, "--replications", "2", "--jobs", "1"]
    assert main(given) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err
    assert len([line for line in err.splitlines() if line.startswith("simbus: ") and "warning" not in line]) == 1
