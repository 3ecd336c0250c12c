"""Draws by inversion, and their mirror images: what the streams of antithetic pairs hand out.

Each number comes from one uniform number through the inverse of its distribution function. NumPy's own draws do not (its
exponential and normal ones use the ziggurat), so these are others than those of a run without antithetic pairs.
"""

from typing import Any, NoReturn

import numpy as np
from numpy.random import Generator

from simbus.errors import ScenarioError

_LARGEST = 1 - 2.0**-53  # uniform draws are multiples of 2**-53 below 1, and so are their mirror images
_SMALLEST = 2.0**-54  # instead of 0, where a normal draw would be infinite


class Inverse:
    """What the simulation's parts ask of NumPy's ``Generator``, drawn by inversion.

    Args:
        generator: where the uniform numbers come from.
        mirrored: whether each number u becomes ``1 - 2**-53 - u``, so that small draws become large ones.
    """

    def __init__(self, generator: Generator, *, mirrored: bool) -> None:
        self._generator, self._mirrored = generator, mirrored

    def random(self, size: Any = None) -> Any:
        """Uniform numbers from 0 to below 1."""
        uniform = self._generator.random(size)
        return _LARGEST - uniform if self._mirrored else uniform

    def standard_exponential(self, size: Any = None) -> Any:
        """Exponential numbers of mean 1."""
        return -np.log1p(-self.random(size))

    def standard_normal(self, size: Any = None) -> Any:
        """Normal numbers of mean 0 and standard deviation 1."""
        from scipy.special import ndtri

        return ndtri(np.maximum(self.random(size), _SMALLEST))

    def lognormal(self, mean: float = 0.0, sigma: float = 1.0, size: Any = None) -> Any:
        """Numbers whose logarithm is normal with that mean and standard deviation."""
        return np.exp(mean + sigma * self.standard_normal(size))

    def gamma(self, shape: float, scale: float = 1.0, size: Any = None) -> Any:
        """Gamma numbers."""
        from scipy.special import gammaincinv

        return gammaincinv(shape, self.random(size)) * scale

    def weibull(self, a: float, size: Any = None) -> Any:
        """Weibull numbers of shape ``a`` and scale 1."""
        return self.standard_exponential(size) ** (1 / a)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        problem = f"a part of your own draws by Generator.{name}, of which no inverse is known; draw by random(), or leave it out"
        raise ScenarioError("run.antithetic", problem)
