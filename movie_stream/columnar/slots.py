"""The slots of a hash table, on whole arrays: the index of `PairIndex` and `PackedNames`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.allocator import GrowableArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Hashes = NDArray[np.uint32]

_FREE: Final = -1
_FEWEST: Final = 64
_AT_ONCE: Final = 1 << 16
"""Slots that are filled at a time, so that temporary arrays stay small."""
_NUMBER, _HASH = (0, 1) if sys.byteorder == "little" else (1, 0)
"""The positions of the halves of a slot."""

HashesOf = Callable[[slice], Hashes]
"""The hashes of the items with the numbers of a slice."""


class Slots:
    """A hash table of items that are numbered from 0 on; the caller stores the items and compares them.

    Open addressing; a slot is 8 bytes, 32 bits of hash and 32 of number, and the load factor is one to two thirds.
    Triangular probing (offsets 1, 3, 6, 10, ...) visits every slot, since the length is a power of two.

    >>> things = np.array([7, 3, 9])
    >>> slots = Slots()
    >>> slots.extend(0, things.astype(np.uint32))
    >>> asked = np.array([9, 8])
    >>> slots.find(asked.astype(np.uint32), lambda numbers, rows: things[numbers] == asked[rows]).tolist()
    [2, -1]
    """

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._clear(0)

    def find(self, hashes: Hashes, same: Callable[[Ints, Ints | slice], Bools]) -> Ints:
        """The number of each item looked up, -1 if it is not known.

        `same(numbers, rows)` compares known items with those looked up in these rows, one by one. It is called once
        for all items, and again for the few that have the hash of another.
        """
        found = self._first(hashes)
        known = slice(None) if (found != _FREE).all() else np.flatnonzero(found != _FREE)
        colliding = np.flatnonzero(~same(found[known], known))
        if len(colliding):
            rows = colliding if isinstance(known, slice) else known[colliding]
            found[rows] = self._exactly(hashes[rows], lambda numbers, picked: same(numbers, rows[picked]))
        return found

    def _first(self, hashes: Hashes) -> Ints:
        """The number of the first item with each hash, -1 if there is none."""
        mask = len(self._slots) - 1
        slots = (hashes & mask).astype(np.int64)
        numbers, held = _halves(self._slots[slots])
        found = numbers.astype(np.int64)
        pending = np.flatnonzero((held != hashes) & (numbers != _FREE))
        slots, step = slots[pending], 1
        while len(pending):
            slots = (slots + step) & mask
            numbers, held = _halves(self._slots[slots])
            found[pending] = numbers
            left = np.flatnonzero((held != hashes[pending]) & (numbers != _FREE))
            pending, slots, step = pending[left], slots[left], step + 1
        return found

    def _exactly(self, hashes: Hashes, same: Callable[[Ints, Ints], Bools]) -> Ints:
        """The number of each item, compared with every item that has its hash."""
        mask = len(self._slots) - 1
        found = np.full(len(hashes), _FREE, np.int64)
        pending, slots, step = np.arange(len(hashes)), (hashes & mask).astype(np.int64), 0
        while len(pending):
            slots = (slots + step) & mask
            numbers, held = _halves(self._slots[slots])
            equal = np.flatnonzero((held == hashes[pending]) & (numbers != _FREE))
            hit = equal[same(numbers[equal].astype(np.int64), pending[equal])]
            found[pending[hit]] = numbers[hit]
            left = numbers != _FREE
            left[hit] = False
            pending, slots, step = pending[left], slots[left], step + 1
        return found

    def extend(self, start: int, hashes: Hashes) -> None:
        """Adds items that are new and distinct, numbered from `start` on, which is the present number of items."""
        if 3 * (start + len(hashes)) > 2 * len(self._slots):
            before = self._slots
            self._clear(start + len(hashes))
            for at in range(0, len(before), _AT_ONCE):
                part = before[at : at + _AT_ONCE]
                self._insert(part[_halves(part)[0] != _FREE])
        self._number(start, hashes)

    def rebuild(self, length: int, hashes_of: HashesOf) -> None:
        """Replaces the content by the items numbered from 0 to before `length`."""
        self._clear(length)
        for at in range(0, length, _AT_ONCE):
            self._number(at, hashes_of(slice(at, min(at + _AT_ONCE, length))))

    def _clear(self, length: int) -> None:
        """Replaces the table by an empty one for `length` items."""
        self._slots = GrowableArray((max(_FEWEST, 1 << (3 * length // 2).bit_length()),), np.dtype(np.int64)).array
        self._slots[:] = _FREE

    def _number(self, start: int, hashes: Hashes) -> None:
        """Inserts items that are numbered from `start` on."""
        slots = np.empty(len(hashes), np.int64)
        numbers, held = _halves(slots)
        numbers[:], held[:] = np.arange(start, start + len(hashes), dtype=np.int32), hashes
        self._insert(slots)

    def _insert(self, items: Ints) -> None:
        """Writes each item, a hash and a number in 64 bits, into a free slot."""
        mask = len(self._slots) - 1
        slots, step = (_halves(items)[1] & mask).astype(np.int64), 0
        while len(items):
            free = self._slots[slots] == _FREE
            self._slots[slots[free]] = items[free]  # if several probe the same slot, the last one gets it
            lost = self._slots[slots] != items
            step += 1
            items, slots = items[lost], (slots[lost] + step) & mask


def _halves(slots: Ints) -> tuple[NDArray[np.int32], Hashes]:
    """The number and the hash in each slot."""
    return slots.view(np.int32)[_NUMBER::2], slots.view(np.uint32)[_HASH::2]
