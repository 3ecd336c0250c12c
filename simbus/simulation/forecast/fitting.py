"""``fit``: which distribution do these measured times have?

The families of ``families`` are fitted by maximum likelihood and ranked by BIC. Whether one fits at all is asked of the
Anderson-Darling statistic, whose p-value comes from a parametric bootstrap: parameters that were fitted to the very samples make
a fit look better than it is, so that the tables for Kolmogorov-Smirnov and Anderson-Darling are wrong here (Lilliefors 1967).
Rounded samples are spread over what they were rounded from.
Plots are drawn in ``simbus.analysis.fit_plots``.
"""

import html
import math
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simbus.analysis.formats import NOTHING
from simbus.analysis.tables import Table
from simbus.errors import UnitError
from simbus.simulation.forecast.families import FAMILIES, Family, Floats
from simbus.simulation.model.composites import Empirical
from simbus.simulation.model.distributions import Constant, Distribution, empirical
from simbus.simulation.model.streams import Streams
from simbus.units import SECOND, format_duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

REFUSED = 0.01  # a distribution with a smaller p-value does not fit
RESAMPLES = 399  # of the bootstrap: the smallest p-value is 1 in 400
_HOPELESS = 10.0  # of BIC behind the best: very strong evidence against (Kass and Raftery 1995)
_MOST_TESTED = 2_000  # samples: with more, every law is refused for differences that no simulation would notice
_AT_ONCE = 1_000_000  # numbers of resamples that are held at a time
_COARSE = 0.25  # of the standard deviation: rounding up to there leaves p-values as they are, tried on three families
_FEWEST, _FEW = 5, 50
_SAID = 100  # samples at most that are said one by one


@dataclass(frozen=True)
class Candidate:
    """One distribution that was fitted.

    Args:
        family: which kind.
        law: the distribution, its parameters rounded to the digits that samples can tell.
        parameters: those of most likelihood, as the family has them.
        bic: what candidates are ranked by, less is better: parameters * ln(samples) - 2 * ln(likelihood), with times in seconds.
        aic: the same with 2 instead of ln(samples).
        ks: the largest distance between the shares of samples and of the distribution up to any time.
        p: the share of sets of samples from the distribution itself that it would fit no better; None where ``bic`` alone
            refuses it.
    """

    family: Family
    law: Distribution
    parameters: tuple[float, ...]
    bic: float
    aic: float
    ks: float
    p: float | None = None

    @property
    def fits(self) -> bool:
        """Whether samples like these would not be rare, were it the distribution."""
        return self.p is not None and self.p >= REFUSED

    def share(self, seconds: Floats) -> Floats:
        """The probability of at most so many seconds."""
        return _share(self.family, self.parameters, seconds)


@dataclass(frozen=True)
class Fit:
    """What :func:`fit` found; ``str()`` is the text for a scenario file, unless that would be many samples that are in no file.

    Args:
        samples: the measured times in nanoseconds, in their order.
        candidates: the distributions that were fitted, the likeliest first.
        otherwise: what is left when none of them fits: the samples themselves, or the one time that all of them are.
        warnings: what to think of before it is used, a line each.
    """

    samples: tuple[int, ...] = field(repr=False)
    candidates: tuple[Candidate, ...]
    otherwise: Distribution
    warnings: tuple[str, ...] = ()

    @property
    def chosen(self) -> Candidate | None:
        """The likeliest candidate that the samples do not refuse."""
        return next((each for each in self.candidates if each.fits), None)

    @property
    def best(self) -> Distribution:
        """The proposed distribution, as ``service=`` takes it."""
        return self.otherwise if self.chosen is None else self.chosen.law

    def table(self) -> "DataFrame":
        """A row for each family, the likeliest first: the scenario's text, ``bic``, ``aic``, ``p`` and ``ks``.

        With a ``p`` below 0.01 the samples refuse it; where ``p`` is missing, ``bic`` alone does.
        """
        from pandas import DataFrame as Frame

        rows = [
            (each.family.name, str(each.law), each.bic, each.aic, math.nan if each.p is None else each.p, each.ks)
            for each in self.candidates
        ]
        return Frame(rows, columns=["family", "distribution", "bic", "aic", "p", "ks"]).set_index("family")

    def as_text(self) -> Table:
        """The same as :meth:`table`, as text for a terminal; the proposed one is marked."""
        headings = ("  distribution", "BIC", "AIC", "p", "ks")
        return Table.of_text("", headings, map(self._row, self.candidates))

    def _row(self, each: Candidate) -> tuple[str, ...]:
        p = NOTHING if each.p is None else f"{each.p:.3f}"
        return (f"{'✓' if each is self.chosen else ' '} {each.law}", f"{each.bic:,.1f}", f"{each.aic:,.1f}", p, f"{each.ks:.4f}")

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The share of samples up to t with its 95 % band, and the three likeliest distributions, the proposed one in front."""
        from simbus.analysis.fit_plots import draw_shares

        return draw_shares(self._seconds, {str(each.law): each.share for each in self._shown()}, ax)

    def plot_quantiles(self, ax: "Axes | None" = None) -> "Axes":
        """Each sample against the time that the distribution has in its place: what fits lies on the diagonal."""
        from simbus.analysis.fit_plots import draw_quantiles

        return draw_quantiles(self._seconds, {str(each.law): each.share for each in self._shown()[:1]}, ax)

    def _shown(self) -> list[Candidate]:
        """The candidates to draw: the chosen one first."""
        return sorted(self.candidates, key=lambda each: each is not self.chosen)[:3]

    @cached_property
    def _seconds(self) -> Floats:
        return np.sort(np.array(self.samples, dtype=np.float64)) / SECOND

    def __str__(self) -> str:
        many = isinstance(self.best, Empirical) and not self.best.source and len(self.samples) > _SAID
        return repr(self) if many else str(self.best)

    def __repr__(self) -> str:
        noted = f", warnings: {len(self.warnings)}" if self.warnings else ""
        return f"<Fit of {len(self.samples):,} times: {self._proposed}{noted}>"

    @property
    def _proposed(self) -> str:
        if self.chosen is not None:
            return f"{self.best}, p {self.chosen.p:.2g}"
        return "the samples themselves" if self.candidates else str(self.otherwise)

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(each)}</p>" for each in self.warnings)
        return f"<p>{html.escape(repr(self))}</p>{self.table().to_html(float_format='{:.4g}'.format)}{notes}"


def fit(
    values: object = None, *, file: str | Path | None = None, column: str = "seconds", unit: str | None = None, seed: int = 1
) -> Fit:
    """Propose a distribution for measured times: ``fit(series, unit="ms")``, ``fit(file="times.csv", column="seconds")``.

    Args:
        values: the times in the order in which they were measured: texts or timedeltas as ``empirical`` takes them, or numbers,
            an array or a Series, with a ``unit``.
        file: instead, a CSV or Parquet file, as ``empirical`` reads it.
        column: the column of that file.
        unit: of plain numbers, ``"ms"``; those of a file are seconds unless it says otherwise.
        seed: of the bootstrap; the same samples and seed give the same answer.

    Raises:
        UnitError: fewer than five values, one that is no time, numbers without a unit.
        ScenarioError: the file, its column or a number in it cannot be read.
    """
    measured = empirical(values, file, column, unit)
    n = len(measured.values)
    if n < _FEWEST:
        raise UnitError(f"values: {n} times tell nothing about a distribution; measure {_FEW} or more")
    if len(set(measured.values)) == 1:
        return Fit(measured.values, (), Constant(measured.values[0]), _few(n))
    streams = Streams(seed, 0)
    candidates = _candidates(_spread(np.array(measured.values), streams.generator("fit", "rounding")), streams)
    return Fit(measured.values, candidates, measured, (*_few(n), *_doubts(measured.values), *_refused(candidates)))


def _grain(samples: NDArray[np.int64]) -> int:
    """What all samples are multiples of: how they were rounded."""
    return int(np.gcd.reduce(samples))


def _spread(samples: NDArray[np.int64], generator: Generator) -> Floats:
    """The samples in seconds, each anywhere within what it was rounded from: else rounding would refuse every distribution."""
    grain = _grain(samples)
    spread: Floats = samples + grain * (generator.random(len(samples)) - 0.5) if grain > 1 else samples.astype(np.float64)
    return np.abs(spread) / SECOND


# Candidates


def _candidates(seconds: Floats, streams: Streams) -> tuple[Candidate, ...]:
    """All that can be fitted, the likeliest first, with a p-value where another is not much likelier."""
    usable = [family for family in FAMILIES if family.from_zero or seconds.min() > 0]
    fitted = [each for each in (_fitted(family, seconds) for family in usable) if each is not None]
    ranked = sorted(fitted, key=lambda each: each.bic)
    tested = seconds[np.linspace(0, len(seconds) - 1, min(len(seconds), _MOST_TESTED)).round().astype(int)]
    near = [each for each in ranked if each.bic - ranked[0].bic <= _HOPELESS]
    asked = [replace(each, p=_p_value(each.family, tested, streams.generator("fit", each.family.name))) for each in near]
    return (*asked, *ranked[len(asked) :])


def _fitted(family: Family, seconds: Floats) -> Candidate | None:
    """The likeliest of a family; None where it lies beyond what the family can be."""
    found = tuple(float(each[0, 0]) for each in family.fit(seconds[None, :]))
    try:
        law = _rounded(family.law(*found), digits=3 if len(seconds) < 10_000 else 4)
    except (UnitError, ArithmeticError, ValueError):
        return None
    log_likelihood = float(family.log_density(seconds, *found).sum())
    bic, aic = (family.size * price - 2 * log_likelihood for price in (math.log(len(seconds)), 2))
    return Candidate(family, law, found, bic, aic, _distance(_share(family, found, np.sort(seconds))))


def _rounded(law: Distribution, digits: int) -> Distribution:
    """The law with significant digits only."""
    known: Any = law  # a dataclass, as all laws are
    exact = {each.name: getattr(law, each.name) for each in fields(known)}
    rounded: Distribution = replace(known, **{name: type(value)(float(f"{value:.{digits}g}")) for name, value in exact.items()})
    return rounded


def _share(family: Family, parameters: tuple[Any, ...], seconds: Floats) -> Floats:
    return np.clip(family.cdf(seconds, *parameters), 0.0, 1.0)


def _distance(shares: Floats) -> float:
    """Kolmogorov and Smirnov's, from the distribution's shares at the sorted samples."""
    steps = np.arange(len(shares) + 1) / len(shares)
    return float(max((steps[1:] - shares).max(), (shares - steps[:-1]).max()))


# How well it fits


def _p_value(family: Family, seconds: Floats, generator: Generator) -> float:
    """By parametric bootstrap: of resamples from the fitted distribution, each fitted again, the share that lies as far off."""
    one = seconds[None, :]
    parameters = family.fit(one)
    law = family.law(*(float(each[0, 0]) for each in parameters))
    off = _anderson_darling(family, one)[0]
    rows = max(1, _AT_ONCE // len(seconds))
    further = 0
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        drawn = law.sample(generator, count * len(seconds)).reshape(count, -1)
        further += int((_anderson_darling(family, np.maximum(drawn, 0.5) / SECOND) >= off).sum())
    return (1 + further) / (1 + RESAMPLES)


def _anderson_darling(family: Family, rows: Floats) -> Floats:
    """The statistic of each row of samples against the family's likeliest for it (Anderson and Darling 1954)."""
    n = rows.shape[-1]
    shares = np.clip(family.cdf(np.sort(rows), *family.fit(rows)), 1e-15, 1 - 1e-15)
    weights = 2 * np.arange(1, n + 1) - 1
    statistic: Floats = -n - (weights * (np.log(shares) + np.log1p(-shares[:, ::-1]))).sum(axis=-1) / n
    return statistic


# Warnings


def _few(n: int) -> tuple[str, ...]:
    if n >= _FEW:
        return ()
    return (f"only {n} samples: quite different distributions fit so few alike, above all in the tail; measure {_FEW} or more",)


def _doubts(samples: tuple[int, ...]) -> list[str]:
    times, found = np.array(samples), []
    n, grain = len(samples), _grain(times)
    ordered, counts = np.unique(times, return_counts=True)
    common, often, next_often = ordered[counts.argmax()], counts.max(), np.partition(counts, -2)[-2]
    if grain > times.std() * _COARSE:
        found.append(f"rounded to {format_duration(grain)}, which is too coarse for their spread: p is too small; measure finer")
    elif not ordered[0] and grain == 1:
        found.append(f"{counts[0]} of {n} samples are 0, which of all families only the exponential has; can they be left out?")
    elif often > max(5, 4 * next_often):
        found.append(
            f"{often} of {n} samples are {format_duration(common)}, as by a time-out, which no family has; leave them out"
        )
    along = _correlation(times)
    if abs(along) * math.sqrt(n) > 3.3:  # by chance once in a thousand
        found.append(
            f"neighbours are alike (rank correlation {along:.2f}), so samples are not independent: p is too small, and no "
            "distribution tells that slow times come in bunches; do not sort them, and fit times of day or kinds of work apart"
        )
    return found


def _correlation(samples: Any) -> float:
    """The rank correlation of neighbours."""
    from scipy.stats import rankdata

    ranks = rankdata(samples) - (len(samples) + 1) / 2
    return float((ranks[1:] * ranks[:-1]).sum() / (ranks**2).sum())


def _refused(candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
    if any(each.fits for each in candidates):
        return ()
    near = f"; {candidates[0].law} comes nearest (ks {candidates[0].ks:.3f})" if candidates else ""
    return (f"no family fits, so the samples themselves are proposed{near}; a mixture of two kinds of work is a common reason",)
