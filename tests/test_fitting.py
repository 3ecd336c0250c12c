"""A distribution for measured times: likelihoods against scipy's, p-values against what they promise, and what is refused."""

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from simbus.cli import main
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.forecast.families import FAMILIES
from simbus.simulation.forecast.fitting import Fit, _p_value, fit
from simbus.simulation.model.distributions import (
    SERVICES,
    Constant,
    Empirical,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Pareto,
    Weibull,
    empirical,
)
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.streams import Streams
from simbus.units import SECOND

FAMILY = {family.name: family for family in FAMILIES}
LAWS: dict[str, Any] = {
    "exponential": Exponential(50_000_000),
    "lognormal": Lognormal(55_000_000, 0.8),
    "gamma": Gamma(50_000_000, 0.4),
    "weibull": Weibull(50_000_000, 2.0),
    "hyperexponential": Hyperexponential(50_000_000, 3.0),
    "pareto": Pareto(1.5, 5_000_000, SECOND),
}
each_law = pytest.mark.parametrize("name", LAWS)
N = 500


def draw(name, seed, n=N):
    """Samples of a law, in seconds, from a stream of the test's own."""
    drawn = LAWS[name].sample(Streams(seed, 0).generator("test", name), n)
    return np.maximum(drawn, 0.5) / SECOND  # nothing takes no time


# The families, against scipy


def balanced(mean, often):
    """The hyperexponential's density, from scipy's exponentials."""
    parts = [(often, stats.expon(scale=mean / (2 * often))), (1 - often, stats.expon(scale=mean / (2 * (1 - often))))]
    return lambda x: sum(share * part.pdf(x) for share, part in parts), lambda x: sum(
        share * part.cdf(x) for share, part in parts
    )


def theory(name, parameters):
    """Density and cumulative probability by scipy."""
    if name == "hyperexponential":
        return balanced(*parameters)
    frozen: dict[str, Callable[..., Any]] = {
        "exponential": lambda mean: stats.expon(scale=mean),
        "lognormal": lambda centre, spread: stats.lognorm(s=spread, scale=math.exp(centre)),
        "gamma": lambda shape, scale: stats.gamma(a=shape, scale=scale),
        "weibull": lambda shape, scale: stats.weibull_min(shape, scale=scale),
        "pareto": lambda alpha, low, high: stats.truncpareto(alpha, high / low, scale=low),
    }
    made = frozen[name](*parameters)
    return made.pdf, made.cdf


def likeliest(name, x):
    """The parameters of most likelihood by scipy, its location fixed at 0."""
    if name == "lognormal":
        spread, _, scale = stats.lognorm.fit(x, floc=0)
        return math.log(scale), spread
    if name in {"gamma", "weibull"}:
        shape, _, scale = (stats.gamma if name == "gamma" else stats.weibull_min).fit(x, floc=0)
        return shape, scale
    if name == "exponential":
        return (stats.expon.fit(x, floc=0)[1],)
    if name == "hyperexponential":

        def unlikely(logs):
            return -np.log(balanced(math.exp(logs[0]), 0.5 + 0.5 / (1 + math.exp(-logs[1])))[0](x)).sum()

        found = optimize.minimize(
            unlikely, (math.log(x.mean()), 1.0), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8}
        )
        return math.exp(found.x[0]), 0.5 + 0.5 / (1 + math.exp(-found.x[1]))
    low, high = x.min(), x.max()
    best = optimize.minimize_scalar(lambda a: -stats.truncpareto(a, high / low, scale=low).logpdf(x).sum(), bounds=(0.1, 5))
    return best.x, low, high


@each_law
def test_a_family_finds_the_parameters_of_most_likelihood(name, seed):
    samples = np.array([draw(name, seed + row) for row in range(2)])
    found = FAMILY[name].fit(samples)
    for row, x in enumerate(samples):
        assert [float(each[row, 0]) for each in found] == pytest.approx(likeliest(name, x), rel=2e-3)


@each_law
def test_a_family_has_the_density_and_the_shares_of_its_distribution(name, seed):
    x = np.sort(draw(name, seed))
    parameters = [float(each[0, 0]) for each in FAMILY[name].fit(x[None, :])]
    density, cdf = theory(name, parameters)
    inside = slice(1, -1)  # at its bounds, rounding decides whether scipy counts a time to a bounded distribution
    np.testing.assert_allclose(np.exp(FAMILY[name].log_density(x, *parameters))[inside], density(x)[inside], rtol=1e-9)
    np.testing.assert_allclose(FAMILY[name].cdf(x, *parameters)[inside], cdf(x)[inside], rtol=1e-8, atol=1e-12)


@each_law
def test_the_law_of_a_family_is_that_of_its_parameters(name, seed):
    parameters = [float(each[0, 0]) for each in FAMILY[name].fit(draw(name, seed)[None, :])]
    drawn = FAMILY[name].law(*parameters).sample(Streams(seed, 1).generator("test", name), 5_000) / SECOND
    assert stats.kstest(drawn, theory(name, parameters)[1]).pvalue > 1e-4


# Which one


@each_law
def test_samples_of_a_known_distribution_are_recognised(name, seed):
    first = fit(draw(name, seed), unit="s").candidates[0]
    assert type(first.law) is type(LAWS[name])
    assert (first.p or 0) > 1 / 400
    assert first.law.mean == pytest.approx(LAWS[name].mean, rel=0.5)
    assert parse(str(first.law), SERVICES, "service") == first.law


@pytest.mark.slow
@each_law
def test_samples_are_recognised_eight_times_out_of_ten_and_more(name, seed):
    found = [fit(draw(name, seed + n), unit="s").best for n in range(10)]
    assert sum(type(each) is type(LAWS[name]) for each in found) >= 8


@pytest.mark.parametrize("name", ["exponential", "lognormal", "gamma", "weibull", "pareto"])
def test_p_values_of_the_true_family_are_uniform_though_its_parameters_are_fitted(name, seed):
    streams = Streams(seed, 1)
    found = [_p_value(FAMILY[name], draw(name, seed + n, 40), streams.generator("fit", str(n))) for n in range(150)]
    assert stats.kstest(found, "uniform").pvalue > 1e-4


def test_p_values_of_a_wrong_family_are_small(seed):
    lognormal, gamma = draw("lognormal", seed, 1_000), draw("gamma", seed, 1_000)
    generator = Streams(seed, 1).generator("fit", "x")
    assert _p_value(FAMILY["exponential"], lognormal, generator) < 0.01
    assert _p_value(FAMILY["weibull"], lognormal, generator) < 0.01
    assert _p_value(FAMILY["exponential"], gamma, generator) < 0.01


def test_where_no_family_fits_the_samples_themselves_are_proposed(seed):
    generator = np.random.default_rng(seed)
    two_kinds = np.where(generator.random(N) < 0.5, generator.normal(1, 0.1, N), generator.normal(3, 0.1, N))
    found = fit(two_kinds, unit="s")
    assert isinstance(found.best, Empirical)
    assert found.chosen is None
    assert [warning for warning in found.warnings if "no family fits" in warning and "mixture" in warning]
    assert repr(found) == "<Fit of 500 times: the samples themselves, warnings: 1>"


def test_times_that_are_all_the_same_are_a_constant():
    found = fit(["30ms"] * 60)
    assert (found.best, found.candidates, found.warnings) == (Constant(30_000_000), (), ())
    assert str(found) == "constant 30ms"


def test_the_same_samples_and_seed_give_the_same_fit(seed):
    samples = draw("gamma", seed)
    once, again, other = (fit(samples, unit="s", seed=each) for each in (1, 1, 2))
    assert once == again
    assert once != other
    assert once.best == other.best


def test_more_samples_have_their_parameters_told_to_more_digits(seed):
    few, many = (fit(draw("exponential", seed, n), unit="s").best.mean for n in (200, 20_000))
    assert few == round(few, -5)
    assert many == round(many, -4) != round(many, -5)


# How samples are given


def test_samples_are_texts_timedeltas_numbers_arrays_series_or_a_file(seed, tmp_path, monkeypatch):
    milliseconds = [round(1_000 * each, 1) for each in draw("lognormal", seed, 100)]
    (tmp_path / "times.csv").write_text("n,ms\n" + "".join(f"{n},{each}\n" for n, each in enumerate(milliseconds)), "utf-8")
    monkeypatch.chdir(tmp_path)
    series = pd.Series(milliseconds)
    given = [
        fit([f"{each}ms" for each in milliseconds]),
        fit(",".join(f"{each}ms" for each in milliseconds)),
        fit([timedelta(milliseconds=each) for each in milliseconds]),
        fit(milliseconds, unit="ms"),
        fit(np.array(milliseconds), unit="ms"),
        fit(series / 1_000, unit="s"),
        fit(pd.to_timedelta(series, unit="ms")),
        fit(file="times.csv", column="ms", unit="ms"),
    ]
    assert {each.samples for each in given} == {given[0].samples}
    assert {each.candidates for each in given} == {given[0].candidates}
    assert str(given[-1].otherwise) == "empirical file=times.csv column=ms unit=ms"
    assert parse(str(given[-1].otherwise), SERVICES, "service") == empirical(file="times.csv", column="ms", unit="ms")


@pytest.mark.parametrize(
    ("values", "given", "problem"),
    [
        ([0.02, 0.03, 0.04, 0.05, 0.06], {}, 'unit: numbers need one; write for example unit="ms"'),
        (np.array([20, 30, 40, 50, 60]), {}, "unit: numbers need one"),
        ([0.02] * 9, {"unit": "parsec"}, "unit: 'parsec' is no unit of time"),
        ([0.02, 0.03, -1, 0.05, 0.06], {"unit": "s"}, "values: number 2, counted from 0, is -1, which is no time; leave it out"),
        ([0.02, math.nan, 1, 0.05, 0.06], {"unit": "s"}, "values: number 1, counted from 0, is nan"),
        (["20ms", "30ms"], {"unit": "s"}, "values: not all of them are numbers"),
        (["20ms", "30"], {}, "values: '30' is not a time"),
        (["20ms", "30ms", "40ms", "50ms"], {}, "values: 4 times tell nothing about a distribution; measure 50 or more"),
        ([0, 0, 0, 0, 0, 0], {"unit": "s"}, "values: times from 0 to 146 years, not all of them 0"),
        (None, {}, "values: give values or a file, not both"),
        ([], {}, "values: an empirical distribution of no values"),
    ],
)
def test_what_are_no_samples_is_refused_with_the_remedy(values, given, problem):
    with pytest.raises(UnitError) as caught:
        fit(values, **given)
    assert problem in str(caught.value)


def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path):
    (tmp_path / "times.csv").write_text("seconds\n1\nfast\n", "utf-8")
    with pytest.raises(ScenarioError, match=r"times.csv: line 3: seconds: 'fast' is not a number from 0"):
        fit(file=tmp_path / "times.csv")


# What to think of


def warnings(samples):
    return fit(samples, unit="s").warnings


def test_independent_samples_in_number_give_no_warning(seed):
    assert warnings(draw("gamma", seed)) == ()


def test_few_samples_are_said(seed):
    [warning] = warnings(draw("gamma", seed, 20))
    assert warning.startswith("only 20 samples: quite different distributions fit so few alike")


def test_samples_that_depend_on_each_other_are_said(seed):
    samples = draw("gamma", seed)
    [warning] = warnings(np.sort(samples))
    assert "neighbours are alike (rank correlation 0.9" in warning
    half = np.where(np.arange(N) % 100 < 50, samples, 3 * samples)  # slow hours and fast ones
    assert any("neighbours are alike" in each for each in warnings(half))


@pytest.mark.parametrize("name", ["exponential", "lognormal", "gamma"])
def test_rounded_times_are_fitted_as_well_as_exact_ones(name, seed):
    """Rounded to 5 ms at a standard deviation of 20 ms and more: most samples share their value with dozens of others."""
    exact = draw(name, seed, 1_000)
    rounded = fit((exact / 0.005).round() * 5, unit="ms")
    assert rounded.candidates[0].family.name == name
    assert (rounded.candidates[0].p or 0) > 1 / 400
    assert rounded.candidates[0].law.mean == pytest.approx(fit(exact, unit="s").candidates[0].law.mean, rel=0.05)
    assert rounded.warnings == ()


def test_coarse_rounding_is_said(seed):
    [warning, *_] = warnings(draw("gamma", seed).round(2))
    assert warning.startswith("rounded to 10 ms, which is too coarse for their spread: p is too small")


def test_zeros_are_said_and_leave_the_exponential_alone(seed):
    samples = draw("exponential", seed)
    samples[7:9] = 0, 1e-9
    found = fit(samples, unit="s")
    assert [each.family.name for each in found.candidates] == ["exponential"]
    assert found.warnings == ("1 of 500 samples are 0, which of all families only the exponential has; can they be left out?",)


def test_a_time_that_is_far_too_frequent_is_said(seed):
    samples = draw("gamma", seed)
    samples[::50] = 30
    [warning] = [each for each in warnings(samples) if "time-out" in each]
    assert warning == "10 of 500 samples are 30 s, as by a time-out, which no family has; leave them out"


# What a user sees


@pytest.fixture
def found(seed) -> Fit:
    return fit(draw("lognormal", seed), unit="s")


def test_the_table_has_a_row_for_each_family_the_likeliest_first(found):
    table = found.table()
    assert list(table.columns) == ["distribution", "bic", "aic", "p", "ks"]
    assert table.index[0] == "lognormal"
    assert table["bic"].is_monotonic_increasing
    assert table.loc["lognormal", "distribution"] == str(found) == str(found.best)
    n, log_likelihood = len(found.samples), 1 - table.loc["exponential", "aic"] / 2
    assert table.loc["exponential", "bic"] == pytest.approx(math.log(n) - 2 * log_likelihood)


def test_the_largest_distance_is_that_of_kolmogorov_and_smirnov(found):
    x = np.array(found.samples) / SECOND
    best = found.candidates[0]
    assert best.ks == pytest.approx(stats.kstest(x, theory("lognormal", best.parameters)[1]).statistic)


@pytest.mark.parametrize("plot", ["plot", "plot_quantiles"])
def test_a_plot_is_drawn_on_the_axes_that_are_given(found, plot):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    assert getattr(found, plot)(axes) is axes
    legend = axes.get_legend()
    texts = [axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in (legend.get_texts() if legend else []))]
    assert any(str(found) in text for text in texts)
    assert any("500 samples" in text for text in texts)


def test_the_band_of_the_plot_is_that_of_dvoretzky_kiefer_and_wolfowitz(found):
    from matplotlib.figure import Figure

    axes = found.plot(Figure().subplots())
    off = math.sqrt(math.log(2 / 0.05) / (2 * N))
    [low, high] = axes.collections[0].get_paths()[0].get_extents().intervaly
    assert (low, high) == (0, 1)
    vertices = axes.collections[0].get_paths()[0].vertices
    assert vertices[:, 1].max() <= 1
    assert np.isclose(vertices[:, 1], off).any()  # the band's upper edge before the first sample


def test_constant_times_and_none_that_fit_can_be_drawn_too():
    from matplotlib.figure import Figure

    for samples in (["30ms"] * 60, ["1ms", "2ms", "3ms", "4ms", "500s"] * 12):
        found = fit(samples)
        found.plot(Figure().subplots())
        found.plot_quantiles(Figure().subplots())
        assert "<table" in found._repr_html_()


@pytest.fixture
def times(tmp_path, monkeypatch, seed):
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"{1_000 * each:.3f}\n" for each in draw("lognormal", seed))
    Path("times.csv").write_text(f"ms\n{lines}", "utf-8")
    return "times.csv"


def test_the_command_line_prints_the_table_and_what_to_write(times, capsys):
    assert main(["fit", times, "--column", "ms", "--unit", "ms", "--plot", "fit.png"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("times.csv: 500 times\n")
    assert "✓ lognormal mean=" in out
    assert out.splitlines()[-1] == f'service = "{fit(file=times, column="ms", unit="ms")}"'
    assert err == "simbus: wrote fit.png\n"
    assert Path("fit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "simbus: times.csv: line 1: unknown column 'seconds'; known: ms\n"),
        (["--column", "ms", "--unit", "x"], 'simbus: unit: \'x\' is no unit of time; write for example "s" or "ms"\n'),
        (["--column", "ms", "--plot", "times.csv"], "simbus: times.csv: is the scenario itself; name another file\n"),
    ],
)
def test_bad_input_on_the_command_line_is_one_line(times, capsys, options, line):
    assert main(["fit", times, *options]) == 2
    assert capsys.readouterr() == ("", line)


def test_many_samples_are_proposed_in_a_line_that_people_read():
    """Times of two kinds, which no family fits, from no file that a scenario could name."""
    found = fit([10.0, 11.0, 500.0, 505.0] * 60, unit="ms")
    assert isinstance(found.best, Empirical)
    assert len(str(found)) < 100
    assert "the samples themselves" in str(found)
