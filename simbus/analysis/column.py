"""Columns of whole numbers: what a recorder keeps of every observation, in as few bytes as it takes.

A number is appended as eight bytes; ``pack``, which the recorder calls now and then, makes a block of what has come since. All
numbers of a block take as many bytes as the widest of them needs: times of up to 4.2 s, in nanoseconds, take four. Nothing is
lost, and the order stays.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]  # said, so that it is one where NumPy is not installed, as in a build
_LITTLE = np.dtype("<i8")
_FEWEST = 64  # numbers that are worth a block


class Column:
    """Numbers in the order in which they came.

    Attributes:
        new: the latest, not packed yet. Whoever counts nanoseconds appends there: a call less.
    """

    __slots__ = ("_blocks", "new")

    def __init__(self) -> None:
        self.new: list[int] = []
        self._blocks: list[_Block] = []

    def append(self, number: int) -> None:
        """One more, of 64 bits."""
        self.new.append(number)

    def __len__(self) -> int:
        return len(self.new) + sum(map(len, self._blocks))

    def pack(self) -> None:
        """Take less space."""
        if len(self.new) >= _FEWEST:
            self._blocks.append(_Block(np.fromiter(self.new, _LITTLE, len(self.new))))
            self.new.clear()

    def values(self) -> Integers:
        """All numbers."""
        new: Integers = np.fromiter(self.new, np.int64, len(self.new))
        return np.concatenate([*(block.values() for block in self._blocks), new]) if self._blocks else new


class _Block:
    """Numbers above the least of them, of each as many low bytes as the largest has."""

    __slots__ = ("_least", "_octets")

    def __init__(self, values: Integers) -> None:
        self._least = int(values.min())
        width = -(-(int(values.max()) - self._least).bit_length() // 8)
        self._octets = (values - self._least).view(np.uint8).reshape(-1, 8)[:, :width].copy()

    def __len__(self) -> int:
        return len(self._octets)

    def values(self) -> Integers:
        wide: NDArray[np.uint8] = np.zeros((len(self), 8), dtype=np.uint8)
        wide[:, : self._octets.shape[1]] = self._octets
        return wide.view(_LITTLE).ravel() + self._least
