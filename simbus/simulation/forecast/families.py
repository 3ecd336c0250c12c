"""The families of distributions among which ``fitting`` chooses: their densities, and the parameters of most likelihood.

Everything works on rows: an array of shape (samples, n) in seconds gives a column of parameters, one for each row, so that
hundreds of resamples are fitted in one go. What is done with these numbers is the business of ``fitting``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simbus.simulation.model.laws import Distribution, Exponential, Gamma, Hyperexponential, Lognormal, Pareto, Weibull
from simbus.units import SECOND

Floats = NDArray[np.float64]
Parameters = tuple[Floats, ...]  # a column of shape (samples, 1) each
_STEPS = 25  # of Newton's method, which needs a handful
_ROUNDS = 150  # of expectation and maximisation, which come slowly near where an exponential would do as well
_TINY = 1e-300
_FLATTEST = 1e-4  # an exponent of a Pareto distribution that is as good as none


@dataclass(frozen=True)
class Family:
    """A family of distributions on the positive times.

    Args:
        name: as in the scenario file.
        size: how many parameters it has.
        fit: the parameters of most likelihood for each row.
        log_density: the logarithm of the density, per second.
        cdf: the probability to be at most so long.
        law: the distribution with some parameters; UnitError when there is none.
        from_zero: whether a time of 0 is possible.
    """

    name: str
    size: int
    fit: Callable[[Floats], Parameters]
    log_density: Callable[..., Floats]
    cdf: Callable[..., Floats]
    law: Callable[..., Distribution]
    from_zero: bool = False


def _mean(x: Floats) -> Floats:
    return np.asarray(x.mean(axis=-1, keepdims=True))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * SECOND)


# Exponential: the mean.


def _fit_exponential(x: Floats) -> Parameters:
    return (_mean(x),)


def _exponential_density(x: Floats, mean: Floats) -> Floats:
    return -x / mean - np.log(mean)


def _exponential_cdf(x: Floats, mean: Floats) -> Floats:
    return -np.expm1(-x / mean)


def _exponential(mean: float) -> Distribution:
    return Exponential(_nanoseconds(mean))


# Lognormal: mean and standard deviation of the logarithm.


def _fit_lognormal(x: Floats) -> Parameters:
    logs = np.log(x)
    return _mean(logs), logs.std(axis=-1, keepdims=True)


def _lognormal_density(x: Floats, centre: Floats, spread: Floats) -> Floats:
    return -np.log(x) - np.log(spread * math.sqrt(2 * math.pi)) - ((np.log(x) - centre) / spread) ** 2 / 2


def _lognormal_cdf(x: Floats, centre: Floats, spread: Floats) -> Floats:
    from scipy.special import ndtr

    return np.asarray(ndtr((np.log(x) - centre) / spread))


def _lognormal(centre: float, spread: float) -> Distribution:
    return Lognormal(_nanoseconds(math.exp(centre + spread**2 / 2)), math.sqrt(math.expm1(spread**2)))


# Gamma: shape and scale.


def _fit_gamma(x: Floats) -> Parameters:
    """Log a - digamma(a) = log(mean) - mean(log), by Minka's Newton steps (2002), which work on 1/a."""
    from scipy.special import polygamma, psi

    gap = np.log(_mean(x)) - _mean(np.log(x))
    shape = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(_STEPS):
        shape = 1 / (1 / shape + (np.log(shape) - psi(shape) - gap) / (shape - shape**2 * polygamma(1, shape)))
    return shape, _mean(x) / shape


def _gamma_density(x: Floats, shape: Floats, scale: Floats) -> Floats:
    from scipy.special import gammaln

    return np.asarray((shape - 1) * np.log(x) - x / scale - gammaln(shape) - shape * np.log(scale))


def _gamma_cdf(x: Floats, shape: Floats, scale: Floats) -> Floats:
    from scipy.special import gammainc

    return np.asarray(gammainc(shape, x / scale))


def _gamma(shape: float, scale: float) -> Distribution:
    return Gamma(_nanoseconds(shape * scale), 1 / math.sqrt(shape))


# Weibull: shape and scale.


def _fit_weibull(x: Floats) -> Parameters:
    """The shape at which its likelihood is flat (Cohen 1965), by Newton's method on its logarithm."""
    logs = np.log(x)
    top = logs.max(axis=-1, keepdims=True)
    below, middle = logs - top, _mean(logs - top)
    shape = math.pi / math.sqrt(6) / logs.std(axis=-1, keepdims=True)
    for _ in range(_STEPS):
        weights = np.exp(shape * below)
        weights /= weights.sum(axis=-1, keepdims=True)
        first = (weights * below).sum(axis=-1, keepdims=True)
        second = (weights * below**2).sum(axis=-1, keepdims=True) - first**2
        step = (first - 1 / shape - middle) / (second + 1 / shape**2) / shape
        shape = shape * np.exp(-np.clip(step, -1, 1))
        if np.abs(step).max() < 1e-10:
            break
    return shape, np.exp(top + np.log(_mean(np.exp(shape * below))) / shape)


def _weibull_density(x: Floats, shape: Floats, scale: Floats) -> Floats:
    logs = np.log(x / scale)
    return np.log(shape) - np.log(x) + shape * logs - np.exp(shape * logs)


def _weibull_cdf(x: Floats, shape: Floats, scale: Floats) -> Floats:
    return -np.expm1(-((x / scale) ** shape))


def _weibull(shape: float, scale: float) -> Distribution:
    first, second = math.lgamma(1 + 1 / shape), math.lgamma(1 + 2 / shape)
    return Weibull(_nanoseconds(scale * math.exp(first)), math.sqrt(math.expm1(second - 2 * first)))


# Hyperexponential with balanced means: the mean, and how often it is the short kind.


def _fit_hyperexponential(x: Floats) -> Parameters:
    """By expectation and maximisation (Dempster, Laird and Rubin 1977).

    With weights w of the short kind, the mean is 2 * mean(w*x*p + (1-w)*x*(1-p)), and p solves a quadratic equation.
    """
    mean = _mean(x)
    ratio = np.clip(_mean(x**2) / mean**2 - 2, 0.01, None)  # its squared cv, less 1
    often = (1 + np.sqrt(ratio / (ratio + 2))) / 2
    for _ in range(_ROUNDS):
        short, long = often**2 * np.exp(-2 * often * x / mean), (1 - often) ** 2 * np.exp(-2 * (1 - often) * x / mean)
        weight = short / np.maximum(short + long, _TINY)
        share, fast, slow = _mean(weight), _mean(weight * x), _mean((1 - weight) * x)
        mean = 2 * (often * fast + (1 - often) * slow)
        # Of 2*share*log(p) + 2*(1-share)*log(1-p) - 2*(p*fast + (1-p)*slow)/mean the derivative is zero:
        tilt = (fast - slow) / mean
        root = np.sqrt((1 + tilt) ** 2 - 4 * tilt * share)
        before, often = often, np.clip(2 * share / (1 + tilt + root), 0.5, 1 - 1e-9)
        if np.abs(often - before).max() < 1e-6:
            break
    return mean, often


def _hyperexponential_density(x: Floats, mean: Floats, often: Floats) -> Floats:
    short, long = (2 * share**2 / mean * np.exp(-2 * share * x / mean) for share in (often, 1 - often))
    return np.log(np.maximum(short + long, _TINY))


def _hyperexponential_cdf(x: Floats, mean: Floats, often: Floats) -> Floats:
    beyond: Floats = often * np.exp(-2 * often * x / mean) + (1 - often) * np.exp(-2 * (1 - often) * x / mean)
    return 1 - beyond


def _hyperexponential(mean: float, often: float) -> Distribution:
    """Its cv follows from p = (1 + sqrt((c - 1)/(c + 1)))/2 with c the squared cv."""
    ratio = (2 * often - 1) ** 2
    return Hyperexponential(_nanoseconds(mean), math.sqrt((1 + ratio) / (1 - ratio)))


# Bounded Pareto: its exponent, and the smallest and largest time.


def _fit_pareto(x: Floats) -> Parameters:
    """Bounds at the smallest and the largest (Aban, Meerschaert and Panorska 2006), the exponent by Newton's method."""
    low, high = x.min(axis=-1, keepdims=True), x.max(axis=-1, keepdims=True)
    span, middle = np.log(high / low), _mean(np.log(x / low))
    alpha = 1 / middle
    for _ in range(_STEPS):
        tail = np.exp(-alpha * span)
        slope = -1 / alpha**2 + span**2 * tail / (1 - tail) ** 2
        value = 1 / alpha - span * tail / (1 - tail) - middle
        alpha = np.clip(alpha - value / slope, np.maximum(alpha / 4, _FLATTEST), alpha * 4)
    return alpha, low, high


def _pareto_density(x: Floats, alpha: Floats, low: Floats, high: Floats) -> Floats:
    return np.log(alpha) + alpha * np.log(low) - (alpha + 1) * np.log(x) - np.log1p(-((low / high) ** alpha))


def _pareto_cdf(x: Floats, alpha: Floats, low: Floats, high: Floats) -> Floats:
    return (1 - (low / x) ** alpha) / (1 - (low / high) ** alpha)


def _pareto(alpha: float, low: float, high: float) -> Distribution:
    return Pareto(alpha, _nanoseconds(low), _nanoseconds(high))


FAMILIES: tuple[Family, ...] = (
    Family("exponential", 1, _fit_exponential, _exponential_density, _exponential_cdf, _exponential, from_zero=True),
    Family("lognormal", 2, _fit_lognormal, _lognormal_density, _lognormal_cdf, _lognormal),
    Family("gamma", 2, _fit_gamma, _gamma_density, _gamma_cdf, _gamma),
    Family("weibull", 2, _fit_weibull, _weibull_density, _weibull_cdf, _weibull),
    Family("hyperexponential", 2, _fit_hyperexponential, _hyperexponential_density, _hyperexponential_cdf, _hyperexponential),
    Family("pareto", 3, _fit_pareto, _pareto_density, _pareto_cdf, _pareto),
)
