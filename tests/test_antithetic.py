"""Antithetic pairs: the mirrored streams, draws by inversion, and a pair as one observation."""

import math
from itertools import islice
from typing import Any

import numpy as np
import pytest
from scipy import stats

from simbus.analysis.estimates import student_t
from simbus.analysis.tables import setting
from simbus.errors import ScenarioError
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.model.distributions import (
    Constant,
    Distribution,
    exponential,
    gamma,
    hyperexponential,
    lognormal,
    pareto,
    weibull,
)
from simbus.simulation.model.streams import Streams, draws
from simbus.units import SECOND
from tests.small import orders

LAWS: dict[str, tuple[Distribution, Any]] = {
    "exponential": (exponential("1s"), stats.expon()),
    "lognormal": (lognormal("1s", 1), stats.lognorm(math.sqrt(math.log(2)), scale=math.exp(-math.log(2) / 2))),
    "gamma": (gamma("1s", 0.5), stats.gamma(4, scale=0.25)),
    "weibull": (weibull("1s", 1), stats.expon()),
    "pareto": (pareto(1.5, "10ms", "10s"), stats.truncpareto(1.5, 1000, scale=0.01)),
}


def pair(entity="a", purpose="x", seed=7):
    return [Streams(seed, replication, antithetic=True).generator(entity, purpose) for replication in (4, 5)]


@pytest.fixture
def shop():
    return orders(duration="20s", replications=20, seed=5)


def test_an_odd_replication_mirrors_the_even_one_before_it_exactly():
    even, odd = pair()
    uniform = even.random(1_000)
    assert uniform.tolist() == Streams(7, 4).generator("a", "x").random(1_000).tolist()
    assert (uniform + odd.random(1_000) == 1 - 2.0**-53).all()


def test_a_mirror_image_is_a_uniform_draw_below_1():
    """Also of the smallest and of the largest one."""
    assert [1 - 2.0**-53 - u for u in (0.0, 1 - 2.0**-53)] == [1 - 2.0**-53, 0.0]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("which", [0, 1])
def test_draws_by_inversion_have_the_distribution_that_they_should(law, which, seed):
    times, expected = LAWS[law]
    drawn = times.sample(pair(seed=seed)[which], 20_000) / SECOND
    assert stats.kstest(drawn, expected.cdf).pvalue > 1e-5


@pytest.mark.parametrize("law", LAWS)
def test_where_one_of_a_pair_draws_long_the_other_draws_short(law):
    one, other = (LAWS[law][0].sample(generator, 2_000) for generator in pair())
    assert stats.spearmanr(one, other).statistic == pytest.approx(-1)


def test_a_mixture_of_short_and_long_goes_against_its_mirror_image_too():
    one, other = (hyperexponential("1s", 3).sample(generator, 5_000) for generator in pair())
    assert np.corrcoef(one, other)[0, 1] < -0.05
    assert one.mean() == pytest.approx(SECOND, rel=0.2)


def test_the_correlation_of_exponential_pairs_is_that_of_theory(seed):
    """1 - pi**2 / 6 = -0.645."""
    one, other = (generator.standard_exponential(40_000) for generator in pair(seed=seed))
    assert np.corrcoef(one, other)[0, 1] == pytest.approx(1 - math.pi**2 / 6, abs=0.03)


def test_draws_by_inversion_do_not_depend_on_blocks_either():
    even, again = pair()[0], pair()[0]
    pieces = draws(again, lambda generator, n: generator.gamma(2.0, 1.0, n), block=7)
    assert list(islice(pieces, 50)) == even.gamma(2.0, 1.0, 50).tolist()


class Own(Constant):
    """A distribution of a user's own, that draws as it likes."""

    def sample(self, generator, n):
        return generator.poisson(self.value, n)


def test_a_draw_without_an_inverse_is_refused(shop):
    shop = shop.with_("consumers.clerk.service", Own(10**6))
    with pytest.raises(ScenarioError, match=r"run\.antithetic: .* draws by Generator\.poisson, of which no inverse is known"):
        simulate(shop, antithetic=True)


def test_pairs_go_against_each_other_and_count_as_one_observation(shop):
    found = simulate(shop, antithetic=True)
    each = np.array([replication.values["orders.service.mean"] for replication in found.replications]).reshape(10, 2)
    assert np.corrcoef(each.T)[0, 1] < -0.3
    assert found.estimate("orders.service.mean") == student_t(each.mean(axis=1))
    assert found.estimate("orders.wait.p90").n == 10
    assert len(found.curves("orders.depth.over_time")) == 10
    assert setting(found) == "20 replications of 20 s, in antithetic pairs, seed 5"


def test_of_losses_in_pairs_all_messages_count(shop):
    found = simulate(shop, antithetic=True)
    messages = sum(replication.values["orders.loss.n"] for replication in found.replications)
    assert found.estimate("orders.loss").high == pytest.approx(3 / messages, rel=0.01)


def test_a_precision_adds_pairs(shop):
    found = simulate(shop, antithetic=True, replications=4, precision="12%", max_replications=61)
    assert found.precision()["reached"].all()
    assert len(found.replications) % 2 == 0
    assert found.precision()["n"].iloc[0] == len(found.replications) // 2
    short = simulate(shop, antithetic=True, replications=4, precision="1%", max_replications=9)
    assert len(short.replications) == 8
    assert any("4 pairs are few" in caution for caution in short.cautions())


def test_what_is_undecided_would_take_so_many_replications_and_not_pairs(shop):
    found = simulate(shop, antithetic=True, replications=4)
    mean = found.estimate("orders.wait.mean").mean
    plain = found.verdict(f"orders.wait.mean < {round(mean * 1.1e9)}ns")
    assert plain.outcome == "undecided"
    assert plain.more is not None
    assert plain.more % 2 == 0


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ({"replications": 3, "antithetic": True}, "needs pairs, and 3 replications are odd; add one"),
        ({"antithetic": 1}, "1 is neither true nor false"),
    ],
)
def test_the_number_of_replications_is_even(shop, run, problem):
    with pytest.raises(ScenarioError, match=f"run.antithetic: {problem}"):
        simulate(shop, **run)


def test_a_run_without_pairs_draws_what_it_always_drew(shop):
    assert simulate(shop, replications=2).trace_hash == simulate(shop, replications=2, antithetic=False).trace_hash
    assert simulate(shop, replications=2).trace_hash != simulate(shop, replications=2, antithetic=True).trace_hash
