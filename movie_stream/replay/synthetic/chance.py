"""Reproducible random numbers: a hash of a seed and a counter instead of a generator with state."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
"""64 bits."""


def random_numbers(seed: int, stream: int, number: NDArray[np.uint64]) -> NDArray[np.float64]:
    """A random number from 0 to below 1 for each `number`, always the same for a seed; each purpose has its `stream`.

    This is the output function of SplitMix64.

    >>> random_numbers(7, 1, np.array([0, 1], np.uint64)).round(3).tolist()
    [0.031, 0.154]
    """
    offset = (seed * 0xD1342543DE82EF95 + stream * 0xA0761D6478BD642F) & MASK
    bits = (number + np.uint64(offset)) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = (bits ^ (bits >> np.uint64(31))) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53
