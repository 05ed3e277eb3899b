"""Growable numpy columns, and a hash index over pairs of integers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.allocator import GrowableArray
from movie_stream.columnar.slots import Slots, slots_for, with_room
from movie_stream.columnar.spans import HASH_KEY
from movie_stream.kernels.hash_tables import find_pairs, intern_pairs

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
        before = len(self.values)
        self.reserve(length)
        self.values = self.room[:length]
        self.values[before:] = self.fill

    @property
    def room(self) -> Array:
        """All that is reserved, for a kernel to write to; then set `values` to the part in use."""
        return self._room.array

    def reserve(self, length: int) -> None:
        """Makes room for `length` values. Raises MemoryError and leaves the column unchanged."""
        used, capacity = len(self.values), len(self.room)
        if length > capacity:
            self.values = self.values[:0].copy()  # a reference to the array would keep it from growing in place
            try:
                self._room.extend(max(length, capacity + capacity // 2))
            finally:
                self.values = self.room[:used]

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

    def export_portions(self, rows: Ints, bounds: Ints) -> list[Any]:
        """The export of each portion of rows; portion n is from bounds[n] to before bounds[n + 1]."""
        exported = self.export(rows)
        size = len(exported) // max(len(rows), 1)
        return [exported[size * begin : size * end] for begin, end in pairwise(bounds.tolist())]

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


class PairIndex:
    """Numbers pairs of integers, of 64 and of 32 bits, in the order of their first occurrence: a hash table.

    The caller guarantees that the second halves of pairs that it adds fit. The table's hash is keyed with a secret of
    the process, so nobody can make up pairs that all collide.

    >>> index = PairIndex()
    >>> index.add(np.array([5, 5, 6]), np.array([1, 1, 1])).tolist(), len(index)
    ([0, 0, 1], 2)
    >>> index.find(np.array([6, 7]), np.array([1, 1])).tolist()
    [1, -1]
    """

    __slots__ = ("_first", "_slots", "second")

    def __init__(self) -> None:
        self._clear(0)

    def _clear(self, count: int) -> None:
        """Removes all pairs, and makes room for `count`."""
        self._first, self.second = Column(np.int64), Column(np.int32)
        """The halves by number; call `rehash` after changing the second ones."""
        self._slots = slots_for(count)
        self._reserve(count)

    def __len__(self) -> int:
        return len(self._first.values)

    @property
    def pairs(self) -> tuple[AnyInts, AnyInts]:
        """The pairs by number."""
        return self._first.values, self.second.values

    @property
    def _table(self) -> tuple[Slots, Ints, NDArray[np.int32]]:
        """For the kernels."""
        return self._slots, self._first.room, self.second.room

    def find(self, first: AnyInts, second: AnyInts) -> Ints:
        """The number of each pair, -1 if it is not known."""
        numbers = np.empty(len(first), np.int64)
        find_pairs(_wide(first), _wide(second), HASH_KEY, *self._table, numbers)
        return numbers

    def add(self, first: AnyInts, second: AnyInts) -> Ints:
        """The number of each pair; those not yet known are numbered from the present length on, in the order given."""
        first, second, row, numbers = _wide(first), _wide(second), 0, np.empty(len(first), np.int64)
        while True:
            row, count = intern_pairs(first, second, HASH_KEY, row, *self._table, len(self), numbers)
            self._first.values, self.second.values = self._first.room[:count], self.second.room[:count]
            if row == len(first):
                return numbers
            self._reserve(count + 1)

    def _reserve(self, count: int) -> None:
        self._slots = with_room(self._slots, count)
        self._first.reserve(count)
        self.second.reserve(count)

    def keep(self, numbers: Ints) -> None:
        """Keeps only these pairs, renumbered in this order."""
        first, second = (half[numbers] for half in self.pairs)
        self._clear(len(numbers))
        self.add(first, second)

    def rehash(self) -> None:
        """Rebuilds the index from the present pairs."""
        self.keep(np.arange(len(self)))


def _wide(values: AnyInts) -> Ints:
    return np.ascontiguousarray(values, np.int64)
