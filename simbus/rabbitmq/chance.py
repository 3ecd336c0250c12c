"""Chance, which a model does not make itself: a function that answers a number below another is handed in.

A broker that was handed none takes a fixed sequence, the same in every process.
"""

from collections.abc import Callable

# Answers a whole number from 0 to below its argument, each alike.
Draw = Callable[[int], int]

_MASK = 2**64 - 1


def fixed_sequence() -> Draw:
    """The sequence from its beginning (SplitMix64 with seed 0: Steele, Lea and Flood 2014)."""
    state = 0

    def draw(count: int) -> int:
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % count

    return draw
