"""The slots of a hash table, and how they grow: the index of `PairIndex` and `PackedNames`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.allocator import GrowableArray
from movie_stream.kernels.hash_tables import rehash

Slots = NDArray[np.uint64]
"""See kernels/hash_tables.py: of 8 bytes each, one to two thirds are taken."""

_FEWEST: Final = 64


def slots_for(count: int) -> Slots:
    """Free slots, enough for `count` items. Raises MemoryError."""
    slots: Slots = GrowableArray((max(_FEWEST, 1 << (3 * count // 2).bit_length()),), np.dtype(np.uint64)).array
    slots[:] = 0
    return slots


def with_room(slots: Slots, count: int) -> Slots:
    """These slots, or a larger copy if they are not enough for `count` items. Raises MemoryError."""
    if 3 * count <= 2 * len(slots):
        return slots
    larger = slots_for(count)
    rehash(slots, larger)
    return larger
