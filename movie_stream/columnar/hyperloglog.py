"""Counting distinct strings: exactly up to 300, then by a HyperLogLog sketch whose estimate depends only on the set.

A sketch is serialized as `S` and the sorted 64-bit hashes; or as `D`, the smallest register, the registers' excess over
it in four bits each, and the few that do not fit. The estimator is the improved raw estimator of Ertl, "New cardinality
estimation algorithms for HyperLogLog sketches" (arXiv 1702.01284, algorithm 6); it reads nothing but the registers. Its
relative standard error is 1.04 / sqrt(2 ** lg_k): 1.6 % for lg_k 12, 0.8 % for lg_k 14.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.columns import Column, Ints

Hashes = NDArray[np.uint64]
Ranks = NDArray[np.uint8]
Registers = tuple[Ints, Ranks]
"""Indices of registers, and ranks."""

EXACT_UP_TO: Final = 300
"""The most members that are kept as hashes."""

DEDUPLICATED_ABOVE: Final = 450
"""Deduplicate a row's hashes beyond this length."""

PACKED_AT_ONCE: Final = 32
"""Large sketches that are packed together: few enough that their registers stay in the processor's cache."""
_HIGHEST: Final = np.uint8(15)
"""The largest rank above a sketch's base that fits into four bits."""


class SketchColumn:
    """One sketch per row: hashes up to EXACT_UP_TO members, then registers of `2 ** lg_k` bytes.

    >>> column = SketchColumn(lg_k=12)
    >>> column.grow(1)
    >>> column.add(np.array([0]), np.array([3]), np.array([7, 8, 7], np.uint64))
    >>> count_distinct(column.export(np.array([0])), lg_k=12)
    2
    """

    __slots__ = ("_members", "_registers", "_slot", "lg_k")

    def __init__(self, lg_k: int) -> None:
        self.lg_k = lg_k
        self._members: list[array[int] | None] = []  # hashes, with duplicates; None: the row has registers
        self._slot = Column(np.int64, fill=-1)  # the row's index in _registers
        self._registers = Column(np.uint8, width=(1 << lg_k,))

    def grow(self, length: int) -> None:
        """Makes the column `length` rows long; new sketches are empty."""
        self._members.extend(array("Q") for _ in range(length - len(self._members)))
        self._slot.grow(length)

    def keep(self, rows: Ints) -> None:
        """Keeps only these rows, in this order."""
        self._members = [self._members[row] for row in rows.tolist()]
        self._slot.keep(rows)
        slots = self._slot.values
        dense = slots >= 0
        self._registers.keep(slots[dense])
        slots[dense] = np.arange(np.count_nonzero(dense))

    def add(self, rows: Ints, counts: Ints, hashes: Hashes, registers: Callable[[], Registers] | None = None) -> None:
        """Adds `counts` members to each of the rows, with duplicates; `hashes` has theirs, row after row. `registers`
        returns their register_and_rank, if that is known already.
        """
        slots = self._slot.values[rows]
        dense = slots >= 0
        if dense.any():
            register, rank = registers() if registers else register_and_rank(hashes, self.lg_k)
            firsts = slots << self.lg_k
            index = (firsts if len(firsts) == 1 else np.repeat(firsts, counts)) + register
            if not dense.all():
                picked = np.repeat(dense, counts)
                index, rank = index[picked], rank[picked]
            self._raise_registers(index, rank)
        if not dense.all():
            ends = np.cumsum(counts)
            sparse = ~dense
            for row, begin, end in zip(
                rows[sparse].tolist(), (ends - counts)[sparse].tolist(), ends[sparse].tolist(), strict=True
            ):
                self._add_members(row, hashes[begin:end])

    def export(self, rows: Ints) -> list[bytes]:
        """The sketches of the rows as bytes."""
        members = [self._settle(row) for row in rows.tolist()]
        slots = self._slot.values[rows]
        slots = slots[slots >= 0]
        large = chain.from_iterable(
            pack_registers(self._registers.values[slots[at : at + PACKED_AT_ONCE]])
            for at in range(0, len(slots), PACKED_AT_ONCE)
        )
        return [next(large) if row is None else pack_hashes(np.frombuffer(row, np.uint64)) for row in members]

    def load(self, rows: Ints, exported: Sequence[bytes], picked: Ints) -> None:
        """Replaces the sketches of `rows` by those from `export`, at the `picked` indices only."""
        for at, row in zip(picked.tolist(), rows[picked].tolist(), strict=True):
            sketch = exported[at]
            if sketch[:1] == b"S":
                self._members[row] = array("Q", unpack_hashes(sketch).tobytes())
            else:
                slot = self._give_registers(row)
                self._registers.values[slot] = unpack_registers(sketch, self.lg_k)

    def _add_members(self, row: int, hashes: Hashes) -> None:
        members = self._members[row]
        if members is None:
            self._raise_row(row, hashes)
            return
        members.frombytes(hashes.tobytes())
        if len(members) > DEDUPLICATED_ABOVE:
            self._settle(row)

    def _settle(self, row: int) -> array[int] | None:
        """Deduplicates the members of a row; converts it to registers if there are too many, and returns None if it has
        registers.
        """
        members = self._members[row]
        if not members:
            return members
        ordered = np.sort(np.frombuffer(members, np.uint64))
        distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])]
        if len(distinct) <= EXACT_UP_TO:
            if len(distinct) < len(members):
                members = self._members[row] = array("Q", distinct.tobytes())
            return members
        self._give_registers(row)
        self._raise_row(row, distinct)
        return None

    def _raise_row(self, row: int, hashes: Hashes) -> None:
        register, rank = register_and_rank(hashes, self.lg_k)
        self._raise_registers((int(self._slot.values[row]) << self.lg_k) + register, rank)

    def _give_registers(self, row: int) -> int:
        slot = int(self._slot.values[row])
        if slot < 0:
            slot = len(self._registers.values)
            self._registers.grow(slot + 1)
            self._slot.values[row] = slot
            self._members[row] = None
        return slot

    def _raise_registers(self, index: Ints, rank: Ranks) -> None:
        """Raises registers to these ranks; `index` is into the registers of all slots, concatenated."""
        flat = self._registers.values.reshape(-1)
        higher = flat[index] < rank
        if higher.any():
            np.maximum.at(flat, index[higher], rank[higher])


def register_and_rank(hashes: Hashes, lg_k: int) -> Registers:
    """The register of each hash (its upper bits), and its rank: the position of the first one-bit in the rest."""
    rest_bits = 64 - lg_k
    rest = hashes & np.uint64((1 << rest_bits) - 1)
    bit_length = np.frexp(rest.astype(np.float64))[1]  # exact: at most 52 bits from lg_k 12 on
    return (hashes >> np.uint64(rest_bits)).astype(np.int64), (rest_bits + 1 - bit_length).astype(np.uint8)


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
    small = [unpack_hashes(sketch) for sketch in sketches if sketch[:1] == b"S"]
    large = [unpack_registers(sketch, lg_k) for sketch in sketches if sketch[:1] == b"D"]
    members = np.unique(np.concatenate(small)) if small else np.zeros(0, np.uint64)
    if not large and len(members) <= EXACT_UP_TO:
        return len(members)
    registers = np.maximum.reduce(large) if large else np.zeros(1 << lg_k, np.uint8)
    register, rank = register_and_rank(members, lg_k)
    np.maximum.at(registers, register, rank)
    return round(estimate(registers))


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
