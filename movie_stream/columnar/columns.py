"""Growable numpy columns, and a hash index over pairs of integers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.allocator import GrowableArray
from movie_stream.columnar.slots import Hashes, Slots

Array = NDArray[Any]
Ints = NDArray[np.int64]
AnyInts = NDArray[Any]
"""Integers of any width."""
Bools = NDArray[np.bool_]


class Column:
    """An array that grows at its end in amortised constant time; `values` is the part in use.

    The reserved part is not written to, so that a large column costs no more memory than the part in use. When the
    column grows, `values` is replaced: do not keep a reference to it.

    >>> column = Column(np.int64, fill=-1)
    >>> column.grow(3)
    >>> column.values[1] = 7
    >>> column.values.tolist()
    [-1, 7, -1]
    """

    __slots__ = ("_room", "fill", "values")

    def __init__(self, dtype: Any, fill: object = 0, width: tuple[int, ...] = ()) -> None:
        self.fill = fill
        self._room = GrowableArray((16, *width), np.dtype(dtype))
        self.values: Array = self._room.array[:0]

    def grow(self, length: int) -> None:
        """Makes the column `length` long; new values are `fill`. Raises MemoryError and leaves it unchanged."""
        before, capacity = len(self.values), len(self._room.array)
        if length > capacity:
            self.values = self.values[:0].copy()  # a reference to the array would keep it from growing in place
            try:
                self._room.extend(max(length, capacity + capacity // 2))
            finally:
                self.values = self._room.array[:before]
        self.values = self._room.array[:length]
        self.values[before:] = self.fill

    def keep(self, rows: AnyInts) -> None:
        """Keeps only these rows, in this order. Raises IndexError."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.values):
            raise IndexError(f"expected rows from 0 to before {len(self.values)}, got {rows.min()} to {rows.max()}")
        kept = GrowableArray((len(rows), *self.values.shape[1:]), self.values.dtype)
        np.take(self.values, rows, axis=0, out=kept.array, mode="clip")  # none is clipped; "raise" makes a copy
        self._room, self.values = kept, kept.array

    def export(self, rows: Ints) -> bytes | list[Any]:
        """The values of these rows in a form that msgpack supports: bytes, or a list if they are objects."""
        values = self.values[rows]
        return values.tolist() if values.dtype == object else values.tobytes()

    def read(self, rows: Ints) -> list[Any]:
        """The values of these rows as Python objects."""
        values: list[Any] = self.values[rows].tolist()
        return values

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        """Replaces the values of `rows` by those from `export`, at the `picked` indices only."""
        if self.values.dtype == object:
            values = np.fromiter(exported, object, len(exported))
        else:
            values = np.frombuffer(exported, self.values.dtype).reshape(-1, *self.values.shape[1:])
        self.values[rows[picked]] = values[picked]


_MIX_A: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_B: Final = np.uint64(0xC2B2AE3D27D4EB4F)


class PairIndex:
    """Numbers pairs of integers in the order of their first occurrence: a hash table on whole arrays.

    `first` and `second` are the dtypes of the two columns; the caller guarantees that all values fit.

    >>> index = PairIndex(np.int64, np.int32)
    >>> index.add(np.array([5, 5, 6]), np.array([1, 1, 1])).tolist(), len(index)
    ([0, 0, 1], 2)
    >>> index.find(np.array([6, 7]), np.array([1, 1])).tolist()
    [1, -1]
    """

    __slots__ = ("_a", "_b", "_slots", "length")

    def __init__(self, first: Any, second: Any) -> None:
        self.length = 0
        self._a, self._b = Column(first), Column(second)
        self._slots = Slots()

    def __len__(self) -> int:
        return self.length

    @property
    def pairs(self) -> tuple[AnyInts, AnyInts]:
        """The pairs by number."""
        return self._a.values, self._b.values

    def find(self, a: AnyInts, b: AnyInts) -> Ints:
        """The number of each pair, -1 if it is not known."""
        return self._slots.find(
            _hashes(a, b),
            lambda numbers, rows: (self._a.values[numbers] == a[rows]) & (self._b.values[numbers] == b[rows]),
        )

    def add(self, a: AnyInts, b: AnyInts) -> Ints:
        """The number of each pair; those not yet known are numbered from the present length on, in the order given."""
        numbers = self.find(a, b)
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            second = b[unknown].astype(np.int64)
            order = order_of((second - second.min()).view(np.uint64))  # also right if the difference overflows int64
            order = order[np.argsort(a[unknown[order]], kind="stable")]
            rows = unknown[order]
            begins = np.append(True, (a[rows[1:]] != a[rows[:-1]]) | (b[rows[1:]] != b[rows[:-1]]))
            first, which = first_of_each(order, begins)
            new = unknown[first]
            numbers[unknown] = self.length + which
            self._append(a[new], b[new])
        return numbers

    def keep(self, numbers: Ints) -> None:
        """Keeps only these pairs, renumbered in this order."""
        self._a.keep(numbers)
        self._b.keep(numbers)
        self.length = len(numbers)
        self._slots.rebuild(self.length, self._hashes_of)

    @property
    def second(self) -> Column:
        """The second halves by number; call `rehash` after changing them."""
        return self._b

    def rehash(self) -> None:
        """Rebuilds the index from the present pairs."""
        self._slots.rebuild(self.length, self._hashes_of)

    def _append(self, a: AnyInts, b: AnyInts) -> None:
        start, self.length = self.length, self.length + len(a)
        for column, values in ((self._a, a), (self._b, b)):
            column.grow(self.length)
            column.values[start:] = values
        self._slots.extend(start, self._hashes_of(slice(start, None)))

    def _hashes_of(self, part: slice) -> Hashes:
        return _hashes(self._a.values[part], self._b.values[part])


def _hashes(a: AnyInts, b: AnyInts) -> Hashes:
    """32 well-mixed bits of each pair, whatever the dtypes of its halves."""
    mixed = np.asarray(a, np.int64).view(np.uint64) * _MIX_A
    mixed ^= np.asarray(b, np.int64).view(np.uint64) * _MIX_B
    mixed ^= mixed >> np.uint64(29)
    mixed *= _MIX_A
    mixed >>= np.uint64(32)
    return mixed.astype(np.uint32)


def first_of_each(order: Ints, begins: Bools) -> tuple[Ints, Ints]:
    """Numbers distinct items in the order of their first occurrence: the indices of these, and the number of each item.

    `order` sorts the items stably; `begins` is true where, in this order, the next distinct item begins.

    >>> things = np.array([7, 3, 7, 9])
    >>> order = np.argsort(things, kind="stable")
    >>> [numbers.tolist() for numbers in first_of_each(order, np.diff(things[order], prepend=-1) != 0)]
    [[0, 1, 3], [0, 1, 0, 2]]
    """
    first = order[begins]
    is_first = np.zeros(len(order), np.bool_)
    is_first[first] = True
    numbers = np.empty(len(order), np.int64)
    numbers[order] = (np.cumsum(is_first) - 1)[first][np.cumsum(begins) - 1]
    return np.flatnonzero(is_first), numbers


def order_of(keys: AnyInts) -> Ints:
    """A stable argsort of non-negative integers: a radix sort of 16 bits per pass, which numpy does by counting.

    >>> order_of(np.array([70_000, 3, 70_000, 2])).tolist()
    [3, 1, 0, 2]
    """
    largest = int(keys.max(initial=0))
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    for bits in range(16, largest.bit_length(), 16):
        order = order[np.argsort((keys[order] >> bits).astype(np.uint16), kind="stable")]
    return order


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
    distinct, rank = np.unique(values, return_inverse=True)  # their range is too large to be lifted: lift their ranks
    return distinct[segmented_maximum(rank.astype(np.int64), segment)]
