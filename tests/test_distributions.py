"""Distributions against their theory (by scipy, independently parameterised), and what they refuse."""

import math
from itertools import islice
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.distributions import (
    LONGEST,
    SERVICES,
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Mixture,
    Pareto,
    PhaseType,
    Weibull,
    constant,
    empirical,
    exponential,
    gamma,
    lognormal,
)
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.streams import draws

N = 200_000
SIGMAS = 4.5  # a fair test errs once in 150,000
MEAN = 30_000_000

times = st.integers(min_value=1, max_value=10**15)
cvs = st.floats(min_value=0.01, max_value=20)
distributions = st.one_of(
    st.builds(Constant, times),
    st.builds(Exponential, times),
    st.builds(Lognormal, times, cvs),
    st.builds(Gamma, times, cvs),
    st.builds(Weibull, times, st.floats(0.05, 8)),
    st.builds(Hyperexponential, times, st.floats(1.01, 20)),
    st.builds(Pareto, st.floats(0.5, 3), st.integers(1, 10**6), st.integers(10**7, 10**12)),
    st.just(PhaseType((0.5, 0.5), (10**7, 10**9), ((0, 0.1), (0, 0)))),
    st.just(Mixture((0.9, 0.1), (Exponential(10**7), Constant(10**9)))),
    st.builds(Empirical, st.lists(times, min_size=1, max_size=5).map(tuple)),
)


def lognormal_theory(mean, cv):
    """From the variance (exp(s**2) - 1) * exp(2 m + s**2) and the mean exp(m + s**2 / 2)."""
    s = math.sqrt(math.log(1 + cv * cv))
    return stats.lognorm(s=s, scale=mean / math.sqrt(1 + cv * cv))


def gamma_theory(mean, cv):
    return stats.gamma(a=1 / cv**2, scale=mean * cv**2)


def weibull_theory(mean, cv):
    """Shape by scipy's own moments."""
    shape = optimize.brentq(lambda k: math.sqrt(stats.weibull_min.var(k)) / stats.weibull_min.mean(k) - cv, 0.1, 100)
    return stats.weibull_min(shape, scale=mean / stats.weibull_min.mean(shape))


def pareto_theory(alpha, low, high):
    return stats.truncpareto(alpha, high / low, scale=low)


THEORIES = [
    (Exponential(MEAN), stats.expon(scale=MEAN)),
    (Lognormal(MEAN, 0.3), lognormal_theory(MEAN, 0.3)),
    (Lognormal(MEAN, 1.0), lognormal_theory(MEAN, 1.0)),
    (Gamma(MEAN, 0.5), gamma_theory(MEAN, 0.5)),
    (Gamma(MEAN, 1.0), stats.expon(scale=MEAN)),
    (Gamma(MEAN, 2.0), gamma_theory(MEAN, 2.0)),
    (Weibull(MEAN, 0.5), weibull_theory(MEAN, 0.5)),
    (Weibull(MEAN, 2.0), weibull_theory(MEAN, 2.0)),
    (Pareto(1.5, MEAN, 100 * MEAN), pareto_theory(1.5, MEAN, 100 * MEAN)),
    (PhaseType((1, 0), (MEAN, MEAN), ((0, 1), (0, 0))), stats.gamma(a=2, scale=MEAN)),  # Erlang of two stages
]
each_theory = pytest.mark.parametrize(("distribution", "theory"), THEORIES, ids=lambda value: str(value)[:40])


@pytest.fixture
def generator(request):
    """A stream of its own for each test, the same in every run."""
    return np.random.Generator(np.random.PCG64DXSM(crc32(request.node.originalname.encode())))


@each_theory
def test_the_stated_moments_are_those_of_the_distribution(distribution, theory):
    mean, variance = theory.stats(moments="mv")
    assert distribution.mean == pytest.approx(mean)
    assert distribution.scv == pytest.approx(variance / mean**2)


@each_theory
def test_the_mean_of_the_draws_is_within_its_standard_error(distribution, theory, generator):
    error = theory.std() / math.sqrt(N)
    assert abs(distribution.sample(generator, N).mean() - theory.mean()) < SIGMAS * error


@each_theory
def test_the_variance_of_the_draws_is_within_its_standard_error(distribution, theory, generator):
    variance, excess_kurtosis = theory.stats(moments="vk")
    error = variance * math.sqrt((excess_kurtosis + 2) / N)
    assert abs(distribution.sample(generator, N).var() - variance) < SIGMAS * error


@each_theory
def test_the_draws_have_the_distribution_as_a_whole(distribution, theory, generator):
    assert stats.kstest(distribution.sample(generator, 20_000), theory.cdf).pvalue > 1e-4


def test_a_constant_time_never_varies(generator):
    assert set(constant("30ms").sample(generator, 100).tolist()) == {MEAN}
    assert (constant("30ms").mean, constant("30ms").scv) == (MEAN, 0)


def test_measured_times_are_drawn_equally_often(generator):
    values = ("10ms", "20ms", "60ms", "60ms")
    drawn = empirical(values).sample(generator, N)
    for value, probability in ((10_000_000, 0.25), (20_000_000, 0.25), (60_000_000, 0.5)):
        error = math.sqrt(probability * (1 - probability) / N)
        assert abs((drawn == value).mean() - probability) < SIGMAS * error
    assert set(drawn.tolist()) == {10_000_000, 20_000_000, 60_000_000}


def test_the_moments_of_measured_times_are_those_of_the_sample():
    sample = empirical(["10ms", "20ms", "60ms"])
    assert sample.mean == 30_000_000
    assert sample.scv == pytest.approx((20**2 + 10**2 + 30**2) / 3 / 30**2)


@given(distributions)
def test_the_text_of_a_distribution_is_read_back_as_the_same_one(distribution):
    assert parse(str(distribution), SERVICES, "service") == distribution


@given(distributions, st.integers(min_value=1, max_value=50))
def test_draws_are_whole_nanoseconds_from_zero_in_any_block(distribution, block):
    def stream(block):
        return list(islice(draws(np.random.Generator(np.random.PCG64DXSM(1)), distribution.sample, block), 100))

    assert stream(block) == stream(100)
    assert all(type(time) is int and 0 <= time <= LONGEST for time in stream(100))


def test_a_draw_beyond_the_calendar_is_its_end_and_not_negative(generator):
    assert Lognormal(LONGEST, 10).sample(generator, 10_000).max() == LONGEST


def test_the_text_names_the_parameters_with_units():
    built = [constant("30ms"), exponential("1.5s"), lognormal("55ms", 0.8), gamma(mean="2h", cv=2), empirical("30ms, 42ms")]
    assert [str(distribution) for distribution in built] == [
        "constant 30ms",
        "exponential 1.5s",
        "lognormal mean=55ms cv=0.8",
        "gamma mean=2h cv=2",
        "empirical 30ms,42ms",
    ]


def test_every_distribution_offers_the_protocol():
    assert all(isinstance(distribution, Distribution) for distribution, _ in THEORIES)
    assert isinstance(constant("1s"), Distribution)
    assert isinstance(empirical(["1s"]), Distribution)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: constant("0s"), "value: 0 ns is not a time above 0"),
        (lambda: constant(30), 'value: 30 has no unit; write "30s"'),
        (lambda: exponential("0ms"), "mean: 0 ns is not a time above 0"),
        (lambda: exponential("-1s"), "mean: '-1s' is not a time"),
        (lambda: exponential("200000d"), "below 146 years"),
        (lambda: Exponential(-5), "mean: -5 ns is not a time above 0"),
        (lambda: Exponential(0.5), "mean: 0.5 ns is not a time"),
        (lambda: lognormal("1s", 0), "cv: 0 is not a positive number"),
        (lambda: lognormal("1s", -1), "cv: -1 is not a positive number"),
        (lambda: lognormal("1s", math.nan), "cv: nan is not a positive number"),
        (lambda: lognormal("1s", 1e-9), 'cv: 1e-09 is not between 0.001 and 100; .* write "constant 30ms"'),
        (lambda: gamma("1s", "1"), "cv: '1' is not a positive number"),
        (lambda: gamma("1s", 1000), "cv: 1000.0 is not between"),
        (lambda: empirical([]), "an empirical distribution of no values; write"),
        (empirical, "give values or a file"),
        (lambda: empirical(["1s"], file="x.csv"), "give values or a file"),
        (lambda: empirical(["0s", "0s"]), "not all of them 0"),
        (lambda: empirical(["1s", 5]), "values: 5 has no unit"),
    ],
)
def test_impossible_parameters_are_refused_with_the_remedy(build, message):
    with pytest.raises(UnitError, match=message):
        build()


def test_measured_times_are_read_from_a_file_in_seconds(tmp_path):
    (tmp_path / "my times.csv").write_text("seconds,took\n1,0.030\n2,0.1\n")
    by_python = empirical(file="my times.csv", column="took", folder=tmp_path)
    assert by_python.values == (30_000_000, 100_000_000)
    assert str(by_python) == "empirical file='my times.csv' column=took"
    assert parse(str(by_python), SERVICES, "service", tmp_path) == by_python


def test_a_bad_number_in_a_file_of_times_is_named_with_its_line(tmp_path):
    (tmp_path / "t.csv").write_text("seconds\n0.5\nfast\n")
    with pytest.raises(ScenarioError, match=r"t\.csv: line 3: seconds: 'fast' is not a number from 0"):
        empirical(file=tmp_path / "t.csv")
