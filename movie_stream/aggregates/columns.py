"""Growable numpy columns, and a hash index over pairs of integers: what everything here is held in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Column:
    """An array that grows at its end in amortised constant time; `values` is the part in use.

    >>> column = Column(np.int64, fill=-1)
    >>> column.grow(3)
    >>> column.values[1] = 7
    >>> column.values.tolist()
    [-1, 7, -1]
    """

    __slots__ = ("_array", "fill", "values")

    def __init__(self, dtype: Any, fill: object = 0, width: tuple[int, ...] = ()) -> None:
        self.fill = fill
        self._array: Array = np.full((16, *width), fill, dtype)
        self.values: Array = self._array[:0]

    def grow(self, length: int) -> None:
        """Makes it `length` long; what is new holds `fill`."""
        capacity = len(self._array)
        if length > capacity:
            grown = np.full(
                (max(length, capacity + capacity // 2), *self._array.shape[1:]), self.fill, self._array.dtype
            )
            grown[:capacity] = self._array
            self._array = grown
        self.values = self._array[:length]

    def keep(self, rows: Ints) -> None:
        """Leaves only these rows, in this order."""
        kept = self.values[rows]
        self._array = np.full((max(16, len(rows)), *self._array.shape[1:]), self.fill, self._array.dtype)
        self._array[: len(rows)] = kept
        self.values = self._array[: len(rows)]

    def export(self, rows: Ints) -> bytes | list[Any]:
        """The values of these rows in a form that msgpack knows: bytes, or a list where they are objects."""
        values = self.values[rows]
        return values.tolist() if values.dtype == object else values.tobytes()

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        """Replaces the values of `rows` by what `export` gave, at the `picked` places only."""
        if self._array.dtype == object:
            values = np.fromiter(exported, object, len(exported))
        else:
            values = np.frombuffer(exported, self._array.dtype).reshape(-1, *self._array.shape[1:])
        self.values[rows[picked]] = values[picked]


_FREE: Final = -1
_MIX_A: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_B: Final = np.uint64(0xC2B2AE3D27D4EB4F)


class PairIndex:
    """Numbers pairs of int64 in the order in which they first come: an open-addressing hash table on whole arrays.

    >>> index = PairIndex()
    >>> index.add(np.array([5, 5, 6]), np.array([1, 1, 1])).tolist(), len(index)
    ([0, 0, 1], 2)
    >>> index.find(np.array([6, 7]), np.array([1, 1])).tolist()
    [1, -1]
    """

    __slots__ = ("_a", "_b", "_bits", "_slots", "length")

    def __init__(self) -> None:
        self.length = 0
        self._a, self._b = Column(np.int64), Column(np.int64)
        self._resize(6)

    def __len__(self) -> int:
        return self.length

    @property
    def pairs(self) -> tuple[Ints, Ints]:
        """The pairs by number."""
        return self._a.values, self._b.values

    def find(self, a: Ints, b: Ints) -> Ints:
        """The number of each pair, -1 where it is not known."""
        found = np.full(len(a), -1, np.int64)
        pending, slots = np.arange(len(a)), self._home(a, b)
        while len(pending):
            number = self._slots[slots]
            known = number != _FREE
            pending, slots, number = pending[known], slots[known], number[known]
            same = (self._a.values[number] == a[pending]) & (self._b.values[number] == b[pending])
            found[pending[same]] = number[same]
            pending, slots = pending[~same], (slots[~same] + 1) & (len(self._slots) - 1)
        return found

    def add(self, a: Ints, b: Ints) -> Ints:
        """The number of each pair; those not yet known are numbered from the present length on, in the order given."""
        numbers = self.find(a, b)
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            order = np.lexsort((unknown, b[unknown], a[unknown]))
            rows = unknown[order]
            first = np.ones(len(rows), np.bool_)
            first[1:] = (a[rows[1:]] != a[rows[:-1]]) | (b[rows[1:]] != b[rows[:-1]])
            fresh = np.sort(rows[first])  # their order in the log
            number_of = np.empty(len(rows), np.int64)
            number_of[first] = self.length + np.searchsorted(fresh, rows[first])
            heads = np.flatnonzero(first)
            numbers[rows] = number_of[heads[np.cumsum(first) - 1]]
            self._append(a[fresh], b[fresh])
        return numbers

    def keep(self, numbers: Ints) -> None:
        """Forgets all other pairs; the kept ones are numbered anew, in this order."""
        self._a.keep(numbers)
        self._b.keep(numbers)
        self.length = len(numbers)
        self._resize(max(6, int(2 * self.length).bit_length()))

    def replace_second(self, change: Callable[[Ints], Ints]) -> None:
        """Gives every pair another second half; the numbers stay."""
        self._b.values[:] = change(self._b.values)
        self._resize(self._bits)

    def _append(self, a: Ints, b: Ints) -> None:
        start, self.length = self.length, self.length + len(a)
        for column, values in ((self._a, a), (self._b, b)):
            column.grow(self.length)
            column.values[start:] = values
        if 2 * self.length > len(self._slots):
            self._resize(int(2 * self.length).bit_length() + 1)
        else:
            self._place(np.arange(start, self.length))

    def _resize(self, bits: int) -> None:
        self._bits = bits
        self._slots: Ints = np.full(1 << bits, _FREE, np.int64)
        self._place(np.arange(self.length))

    def _place(self, numbers: Ints) -> None:
        """Puts pairs that are all different, and not there yet, into free slots."""
        slots = self._home(self._a.values[numbers], self._b.values[numbers])
        while len(numbers):
            free = self._slots[slots] == _FREE
            self._slots[slots[free]] = numbers[free]  # of several that want one slot, the last gets it
            lost = self._slots[slots] != numbers
            numbers, slots = numbers[lost], (slots[lost] + 1) & (len(self._slots) - 1)

    def _home(self, a: Ints, b: Ints) -> Ints:
        mixed = a.view(np.uint64) * _MIX_A ^ b.view(np.uint64) * _MIX_B
        mixed ^= mixed >> np.uint64(29)
        return (mixed * _MIX_A >> np.uint64(64 - self._bits)).view(np.int64)


def segmented_maximum(values: Ints, segment: Ints) -> Ints:
    """The running maximum within each segment; `segment` never decreases and starts at 0.

    >>> segmented_maximum(np.array([3, 1, 5, 2, 4]), np.array([0, 0, 0, 1, 1])).tolist()
    [3, 3, 5, 2, 4]
    """
    if not len(values):
        return values
    low = int(values.min())
    span = int(values.max()) - low + 1
    if span * (int(segment[-1]) + 1) < 2**62:
        lifted = np.maximum.accumulate(values - low + segment * span)
        return lifted - segment * span + low
    distinct, rank = np.unique(values, return_inverse=True)  # too far apart to be lifted: lift their ranks
    return distinct[segmented_maximum(rank.astype(np.int64), segment)]
