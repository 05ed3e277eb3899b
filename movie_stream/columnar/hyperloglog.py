"""Counting distinct strings: exactly up to 300, then by a HyperLogLog sketch whose estimate depends only on the set.

A sketch is serialized as `S` and the sorted 64-bit hashes; or as `D`, the smallest register, the registers' excess over
it in four bits each, and the few that do not fit. The estimator is the improved raw estimator of Ertl, "New cardinality
estimation algorithms for HyperLogLog sketches" (arXiv 1702.01284, algorithm 6); it reads nothing but the registers. Its
relative standard error is 1.04 / sqrt(2 ** lg_k): 1.6 % for lg_k 12, 0.8 % for lg_k 14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.columns import Column, Ints
from movie_stream.columnar.spans import PAD, joined
from movie_stream.kernels.packed_sets import MEMBER_BYTES, NOT_COUNTED, ROOM, SET, count_unions, write_sets
from movie_stream.kernels.sketches import (
    DENSE,
    EXACT_UP_TO,
    LARGEST,
    SIZES,
    USED,
    add_members,
    made_dense,
    move_rooms,
    raise_registers,
)

Hashes = NDArray[np.uint64]
Ranks = NDArray[np.uint8]
_REGISTERS: Final = ord("D")
"""The first byte of a large sketch."""
_NO_HASHES: Final = np.zeros(0, np.uint64)
PACKED_AT_ONCE: Final = 32
"""Large sketches that are packed together: few enough that their registers stay in the processor's cache."""
_HIGHEST: Final = np.uint8(15)
"""The largest rank above a sketch's base that fits into four bits."""


class SketchColumn:
    """One sketch per row: a set of the hashes of up to EXACT_UP_TO members, then registers of `2 ** lg_k` bytes.

    >>> column = SketchColumn(lg_k=12)
    >>> column.grow(1)
    >>> column.add(np.array([0]), np.array([0, 0, 0]), np.array([7, 8, 7], np.uint64))
    >>> count_distinct(column.export(np.array([0])), lg_k=12)
    2
    """

    __slots__ = ("_begins", "_heap", "_registers", "_rooms", "_sizes", "_slots", "_used", "lg_k")

    def __init__(self, lg_k: int) -> None:
        self.lg_k = lg_k
        self._slots = Column(np.int64, fill=-1)  # by row: its index in _registers, -1 while it is a set
        self._registers = Column(np.uint8, width=(1 << lg_k,))
        self._sizes = Column(np.int32)  # by row: the members of its set, in a room in _heap; see kernels/sketches.py
        self._begins, self._rooms = Column(np.int64), Column(np.int32)
        self._heap, self._used = Column(np.uint64), np.zeros(2 + SIZES, np.int64)

    def grow(self, length: int) -> None:
        """Makes the column `length` rows long; new sketches are empty."""
        for column in self._by_row():
            column.grow(length)

    def keep(self, rows: Ints) -> None:
        """Keeps only these rows, in this order."""
        for column in self._by_row():
            column.keep(rows)
        slots = self._slots.values
        dense = slots >= 0
        self._registers.values = self._registers.room[: self._used[DENSE]]
        self._registers.keep(slots[dense])
        slots[dense] = np.arange(np.count_nonzero(dense))
        heap = Column(np.uint64)
        heap.grow(int(self._rooms.values.sum()))
        move_rooms(self._heap.room, self._rooms.values, self._begins.values, heap.values)
        self._heap, self._used[:] = heap, 0
        self._used[USED], self._used[DENSE] = len(heap.values), np.count_nonzero(dense)

    def add(self, rows: Ints, group_of: Ints, hashes: Hashes) -> None:
        """Adds members to sketches: `rows` are those of the groups, `group_of` has the group of each member."""
        at = 0
        while (at := add_members(hashes, group_of, rows, self.lg_k, at, *self._arrays)) < len(hashes):
            self._make_room()

    @property
    def _arrays(self) -> tuple[Any, ...]:
        """For the kernels."""
        by_row = self._slots.values, self._registers.room, self._begins.values, self._rooms.values, self._sizes.values
        return *by_row, self._heap.room, self._used

    def _make_room(self) -> None:
        """Makes room for one more sketch with registers, and for one more set."""
        self._registers.values = self._registers.room[: self._used[DENSE]]
        self._heap.values = self._heap.room[: self._used[USED]]
        self._registers.reserve(len(self._registers.values) + 1)
        self._heap.reserve(len(self._heap.values) + LARGEST)

    def export(self, rows: Ints) -> list[bytes]:
        """The sketches of the rows as bytes."""
        slots = self._slots.values[rows]
        dense = slots[slots >= 0]
        if not len(dense):
            return self._sets(rows)
        large = chain.from_iterable(
            pack_registers(self._registers.room[dense[at : at + PACKED_AT_ONCE]])
            for at in range(0, len(dense), PACKED_AT_ONCE)
        )
        sets = iter(self._sets(rows[slots < 0]))
        return [next(large) if slot >= 0 else next(sets) for slot in slots.tolist()]

    def _sets(self, rows: Ints) -> list[bytes]:
        """The sketches of rows that have sets, as bytes."""
        ends = np.cumsum(1 + MEMBER_BYTES * self._sizes.values[rows].astype(np.int64)).tolist()
        packed, members = np.empty(ends[-1] if ends else 0, np.uint8), np.empty(EXACT_UP_TO, np.uint64)
        write_sets(rows, self._begins.values, self._rooms.values, self._heap.room, members, packed)
        text = packed.tobytes()
        return [text[begin:end] for begin, end in pairwise([0, *ends])]

    def load(self, rows: Ints, exported: Sequence[bytes], picked: Ints) -> None:
        """Adds the sketches from `export`, at the `picked` indices only, to those of `rows`.

        A later export of a row has all members of an earlier one.
        """
        sketches, rows = [exported[at] for at in picked.tolist()], rows[picked]
        for row, sketch in zip(rows.tolist(), sketches, strict=True):
            if sketch[:1] == b"D":
                while not made_dense(row, self.lg_k, *self._arrays):
                    self._make_room()
                registers = self._registers.room[self._slots.values[row]]
                np.maximum(registers, unpack_registers(sketch, self.lg_k), out=registers)
        members = [unpack_hashes(sketch) if sketch[:1] == b"S" else _NO_HASHES for sketch in sketches]
        group_of = np.repeat(np.arange(len(rows)), [*map(len, members)])
        self.add(rows, group_of, np.concatenate([_NO_HASHES, *members]))

    def _by_row(self) -> tuple[Column, ...]:
        return self._slots, self._sizes, self._begins, self._rooms


def pack_hashes(hashes: Hashes) -> bytes:
    """A small sketch as bytes; equal sets give equal bytes."""
    return b"S" + np.sort(hashes).tobytes()


def unpack_hashes(sketch: bytes) -> Hashes:
    """The inverse of pack_hashes."""
    return np.frombuffer(sketch, np.uint64, offset=1)


def pack_registers(registers: Ranks) -> list[bytes]:
    """Large sketches as bytes, about half a byte per register; `registers` has a row for each sketch."""
    base = registers.min(axis=1)
    above = registers - base[:, None]
    far = np.flatnonzero(above > _HIGHEST)
    above.reshape(-1)[far] = _HIGHEST
    count, m = registers.shape
    ends = np.searchsorted(far, m * np.arange(1, count + 1)).tolist()
    numbers, ranks = (far % m).astype(np.uint16).tobytes(), registers.reshape(-1)[far].tobytes()
    pairs = above.view("<u2")
    packed = (pairs << np.uint16(4) | pairs >> np.uint16(8)).astype(np.uint8)  # the first of two is the upper one
    return [
        b"".join((b"D", b, (end - at).to_bytes(2, "little"), half.tobytes(), numbers[2 * at : 2 * end], ranks[at:end]))
        for b, half, at, end in zip(map(np.uint8.tobytes, base), packed, [0, *ends], ends, strict=False)
    ]


def unpack_registers(sketch: bytes, lg_k: int) -> Ranks:
    """The inverse of pack_registers."""
    count, half = int.from_bytes(sketch[2:4], "little"), 1 << lg_k - 1
    packed = np.frombuffer(sketch, np.uint8, half, offset=4)
    pairs = packed.astype("<u2")
    registers = (pairs >> np.uint16(4) | (pairs & _HIGHEST) << np.uint16(8)).view(np.uint8)
    registers += np.uint8(sketch[1])
    if count:
        far = np.frombuffer(sketch, np.uint16, count, offset=4 + half)
        registers[far] = np.frombuffer(sketch, np.uint8, count, offset=4 + half + 2 * count)
    return registers


def count_distinct(sketches: Sequence[bytes], lg_k: int) -> int:
    """The number of distinct members of the union of the sketches."""
    [count] = counts_distinct(sketches, np.array([0, len(sketches)]), lg_k)
    return count


def counts_distinct(sketches: Sequence[bytes], firsts: Ints, lg_k: int) -> list[int]:
    """The number of distinct members of each union: of the sketches from its number in `firsts` to before the next one.

    Raises ValueError for what is not a sketch.
    """
    lengths = np.fromiter(map(len, sketches), np.int64, len(sketches))
    text, begins = joined(sketches), len(PAD) + np.cumsum(lengths) - lengths
    is_set, is_dense = text[begins] == SET, text[begins] == _REGISTERS
    if wrong := np.flatnonzero((lengths < 1) | ~(is_dense | is_set & (lengths % MEMBER_BYTES == 1))).tolist():
        got = sketches[wrong[0]]
        raise ValueError(
            f"expected a sketch: S and 8 bytes for each member, or D and registers, got {len(got)} bytes: {got[:9]!r}"
        )
    counts = np.empty(len(firsts) - 1, np.int32)
    count_unions(text, begins, lengths, firsts, np.empty(ROOM, np.uint64), counts)
    found: list[int] = counts.tolist()
    for union in np.flatnonzero(counts == NOT_COUNTED).tolist():
        found[union] = round(estimate(_registers_of(sketches[firsts[union] : firsts[union + 1]], lg_k)))
    return found


def _registers_of(sketches: Sequence[bytes], lg_k: int) -> Ranks:
    """The registers of the union of the sketches."""
    large = [unpack_registers(sketch, lg_k) for sketch in sketches if sketch[:1] == b"D"]
    registers = np.maximum.reduce(large) if large else np.zeros(1 << lg_k, np.uint8)
    members = np.concatenate([_NO_HASHES, *(unpack_hashes(sketch) for sketch in sketches if sketch[:1] == b"S")])
    raise_registers(members, lg_k, 0, registers[np.newaxis])
    return registers


def estimate(registers: NDArray[Any]) -> float:
    """Ertl's improved raw estimate of the number of members from `2 ** lg_k` registers."""
    m = len(registers)
    last = 64 - (m.bit_length() - 1) + 1
    histogram = np.bincount(registers, minlength=last + 1).tolist()
    z = m * _tau(1 - histogram[last] / m)
    for count in histogram[last - 1 : 0 : -1]:
        z = 0.5 * (z + count)
    z += m * _sigma(histogram[0] / m)
    return m * m / (2 * math.log(2) * z)


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before, z, y = z, z + x * y, y + y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x = math.sqrt(x)
        y *= 0.5
        before, z = z, z - (1 - x) ** 2 * y
    return z / 3
