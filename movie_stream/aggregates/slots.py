"""The slots of a hash table, on whole arrays: what `PairIndex` and `PackedNames` find their numbers by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.allocator import lasting

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_FREE: Final = -1
_FEWEST: Final = 64
_AT_ONCE: Final = 1 << 16
"""Numbers that are placed at once, so that the arrays in between stay small."""

HashesOf = Callable[[slice], NDArray[Any]]
"""The hashes, unsigned integers, of the things numbered from one number to before another."""


class Slots:
    """Finds things that are numbered from 0 on by their hashes; who keeps the things says which are the same.

    Four bytes a slot, of which a quarter to a half are in use. Those who want a slot that is taken try the ones 1, 3,
    6, 10, ... further on, which comes by every slot of a table whose length is a power of two.

    >>> things = np.array([7, 3, 9])
    >>> slots = Slots()
    >>> slots.extend(0, 3, lambda part: things[part].astype(np.uint64))
    >>> asked = np.array([9, 8])
    >>> slots.find(asked.astype(np.uint64), lambda numbers, places: things[numbers] == asked[places]).tolist()
    [2, -1]
    """

    __slots__ = ("_slots", "_used")

    def __init__(self) -> None:
        self._slots, self._used = np.full(_FEWEST, _FREE, np.int32), 0

    def find(self, hashes: NDArray[Any], same: Callable[[Ints, Ints | slice], Bools]) -> Ints:
        """The number of each thing asked for, -1 where it is not known.

        `same(numbers, places)` compares known things with those asked for at these places, one by one; of a number -1
        it may say anything.
        """
        mask = len(self._slots) - 1
        slots = (hashes & mask).astype(np.int64)
        found = self._slots[slots].astype(np.int64)
        if not self._used:
            return found
        hit = same(found, slice(None))
        pending = np.flatnonzero((found != _FREE) & ~hit)
        slots, step = slots[pending], 1
        while len(pending):
            slots = (slots + step) & mask
            number = self._slots[slots].astype(np.int64)
            found[pending] = number
            hit = same(number, pending)
            left = np.flatnonzero((number != _FREE) & ~hit)
            pending, slots, step = pending[left], slots[left], step + 1
        return found

    def extend(self, start: int, end: int, hashes_of: HashesOf) -> None:
        """Takes in the things numbered from `start` to before `end`, which are new and all different."""
        self._used = end
        if 2 * end > len(self._slots):
            self.rebuild(end, hashes_of)
        else:
            self._place_all(start, end, hashes_of)

    def rebuild(self, length: int, hashes_of: HashesOf) -> None:
        """Forgets everything and takes in the things numbered from 0 to before `length`."""
        self._used = length
        self._slots = lasting((max(_FEWEST, 1 << (2 * length).bit_length()),), np.dtype(np.int32))
        self._slots[:] = _FREE
        self._place_all(0, length, hashes_of)

    def _place_all(self, start: int, end: int, hashes_of: HashesOf) -> None:
        for at in range(start, end, _AT_ONCE):
            part = slice(at, min(at + _AT_ONCE, end))
            self._place(np.arange(part.start, part.stop, dtype=np.int32), hashes_of(part))

    def _place(self, numbers: NDArray[np.int32], hashes: NDArray[Any]) -> None:
        mask = len(self._slots) - 1
        slots, step = (hashes & mask).astype(np.int64), 0
        while len(numbers):
            free = self._slots[slots] == _FREE
            self._slots[slots[free]] = numbers[free]  # of several that want one slot, the last gets it
            lost = self._slots[slots] != numbers
            step += 1
            numbers, slots = numbers[lost], (slots[lost] + step) & mask
