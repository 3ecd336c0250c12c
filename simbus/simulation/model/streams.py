"""Named random streams: the one source of randomness of a simulation.

What is drawn from a stream lives in ``distributions``, ``workloads`` and ``failures``; no other
source of random numbers may be used.

The stream contract (public: another engine that follows it draws the same numbers):

- A stream belongs to one *entity* (``"consumers.charge"``) and one *purpose* (``"service"``) in one replication.
- ``words(text)`` is the 16-byte BLAKE2b digest of the UTF-8 text, read as four little-endian 32-bit words.
- The generator is NumPy's ``Generator(PCG64DXSM(SeedSequence(seed, spawn_key=key)))`` with
  ``key = (replication, *words(entity), *words(purpose))``.
- Numbers are drawn in blocks, but the sequence does not depend on the size of the blocks.

In a run of antithetic pairs (Hammersley and Morton 1956) the contract is another one, for all of its replications:

- Replications 2k and 2k + 1 have the streams of 2k, and draw every number by inversion of a uniform one: see ``antithetic``.
- In 2k + 1 each uniform number u of ``Generator.random`` becomes ``1 - 2**-53 - u``, which is as uniform, and exact.

So a stream depends on nothing but these four values: not on the order in which streams are made, not on
other entities, not on the process. Two designs that are run with one seed meet the same arrivals and
the same service times (common random numbers), and adding a queue changes no draw of another.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from itertools import chain, compress, count, repeat
from operator import length_hint
from typing import Any, Protocol, cast

from numpy.random import PCG64DXSM, Generator, SeedSequence
from numpy.typing import NDArray

from simbus.errors import ScenarioError
from simbus.simulation.model.antithetic import Inverse

BLOCK = 1024


class Law(Protocol):
    """What a stream asks of a distribution of times."""

    @property
    def mean(self) -> float:
        """In nanoseconds."""

    def sample(self, generator: Generator, n: int, /) -> NDArray[Any]:
        """So many draws."""


class Tally:
    """Draws of a law, as :func:`draws` makes them, of which can be asked how many were taken and what they add up to."""

    def __init__(self, generator: Generator, law: Law) -> None:
        self.law, self._generator = law, generator
        self._block: list[int] = []
        self._left = iter(self._block)
        self._n, self._total = 0, 0

    def draws(self) -> Iterator[int]:
        """The endless draws."""
        return chain.from_iterable(self._blocks())

    def _blocks(self) -> Iterator[Iterator[int]]:
        while True:
            self._n, self._total = self._n + len(self._block), self._total + sum(self._block)
            self._block = self.law.sample(self._generator, BLOCK).tolist()
            self._left = iter(self._block)
            yield self._left

    def taken(self) -> tuple[int, int]:
        """How many draws were taken, and their sum."""
        used = self._block[: len(self._block) - length_hint(self._left)]
        return self._n + len(used), self._total + sum(used)


class Streams:
    """The random streams of one replication.

    Args:
        seed: of the whole experiment, a whole number from 0.
        replication: index of the replication, from 0.
        antithetic: whether odd replications mirror the even ones before them.

    Attributes:
        tallies: what was drawn by :meth:`times`.

    Raises:
        ScenarioError: when one of them is negative or not a whole number.
    """

    def __init__(self, seed: int, replication: int, *, antithetic: bool = False) -> None:
        _check_index(seed, "seed")
        _check_index(replication, "replication")
        self.seed, self.replication, self.antithetic = seed, replication, antithetic
        self.tallies: dict[str, Tally] = {}
        self._counts: dict[str, count[int]] = {}

    def times(self, entity: str, purpose: str, law: Law) -> Iterator[int]:
        """The endless draws of a law from the stream of that name, tallied under ``entity.purpose``."""
        tally = self.tallies[f"{entity}.{purpose}"] = Tally(self.generator(entity, purpose), law)
        return tally.draws()

    def counted(self, name: str, values: Iterator[int]) -> Iterator[int]:
        """The same values; :meth:`drawn` knows how many were taken. The count costs no call of Python."""
        counter = self._counts[name] = count(1)
        return compress(values, counter)

    def drawn(self, name: str) -> int | None:
        """How many were taken; None for what is not counted. To be asked once, at the end."""
        return next(self._counts[name]) - 1 if name in self._counts else None

    def generator(self, entity: str, purpose: str) -> Generator:
        """The stream of that name, from its beginning: asking twice gives the same numbers twice."""
        mirrored = self.antithetic and self.replication % 2 == 1
        key = (self.replication - mirrored, *_words(entity), *_words(purpose))
        generator = Generator(PCG64DXSM(SeedSequence(self.seed, spawn_key=key)))
        return cast(Generator, Inverse(generator, mirrored=mirrored)) if self.antithetic else generator

    def uniforms(self, entity: str, purpose: str) -> Iterator[float]:
        """The endless uniform draws from 0 to below 1 of that stream."""
        return draws(self.generator(entity, purpose), lambda generator, n: generator.random(n))


def draws(generator: Generator, sample: Callable[[Generator, int], NDArray[Any]], block: int = BLOCK) -> Iterator[Any]:
    """The endless draws of ``sample`` as Python numbers, made a block at a time.

    A NumPy number would change the type of the calendar's time, and drawing one by one is ten times slower.
    """
    return chain.from_iterable(sample(generator, block).tolist() for _ in repeat(None))


def _words(text: str) -> tuple[int, ...]:
    return struct.unpack("<4I", hashlib.blake2b(text.encode(), digest_size=16).digest())


def _check_index(value: object, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ScenarioError(place, f"{value!r} is not a whole number from 0; write for example 1")
