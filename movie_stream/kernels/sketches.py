"""HyperLogLog registers, and the sorted sets that sketches are while they are small."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import ByteRowsOut, Ints, Ints32Out, IntsOut, Words, WordsOut, kernel, part

EXACT_UP_TO: Final = 300
"""The most members of a set; a sketch of more has registers."""
FEWEST: Final = 4
"""Words of the smallest room of a set. A room has a power of two of words: the first that holds the set."""
USED: Final = 0
"""The index in `free` of the number of words of the heap that are in use, or were; behind it is, for each size of a
room, the beginning of the first free room, plus 1. The first word of a free room has that of the next one.
"""
SIZES: Final = 8


@part
def raise_register(registers: ByteRowsOut, slot: int, member: np.uint64, lg_k: int) -> None:
    """Raises the register that a hash selects by its upper bits to its rank: the position of the first one-bit in the
    rest.
    """
    rest_bits = 64 - lg_k
    register = np.int64(member >> np.uint64(rest_bits))
    rest = member & np.uint64((1 << rest_bits) - 1)
    rank = np.int64(registers[slot, register])
    while rank <= rest_bits and rest >> np.uint64(rest_bits - rank) == np.uint64(0):  # no one-bit up to `rank`
        rank += 1
    registers[slot, register] = rank


@kernel
def raise_registers(hashes: Words, lg_k: int, slot: int, registers: ByteRowsOut) -> None:
    """Adds members to the sketch with these registers."""
    for at in range(len(hashes)):
        raise_register(registers, slot, hashes[at], lg_k)


@part
def freed(heap: WordsOut, free: IntsOut, begin: int, size: int) -> None:
    """Adds the full room of `size` words to the free ones."""
    kind = 1
    while FEWEST << (kind - 1) < size:
        kind += 1
    heap[begin] = np.uint64(free[kind])
    free[kind] = begin + 1


@part
def allocated(heap: WordsOut, free: IntsOut, size: int) -> int:
    """The beginning of a room of `size` words, -1 if the heap is too short."""
    kind = 1
    while FEWEST << (kind - 1) < size:
        kind += 1
    begin = int(free[kind]) - 1
    if begin >= 0:
        free[kind] = np.int64(heap[begin])
    elif free[USED] + size <= len(heap):
        begin = int(free[USED])
        free[USED] += size
    return begin


@part
def add_to_set(heap: WordsOut, free: IntsOut, begins: IntsOut, sizes: Ints32Out, row: int, member: np.uint64) -> bool:
    """Adds a member to the set of a row; False, without a change, if it has EXACT_UP_TO or the heap is too short."""
    size, begin = int(sizes[row]), int(begins[row])
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if heap[begin + middle] < member:
            low = middle + 1
        else:
            high = middle
    if low < size and heap[begin + low] == member:
        return True
    if size == EXACT_UP_TO:
        return False
    if size == 0 or (size >= FEWEST and size & (size - 1) == 0):  # the room is full
        room = allocated(heap, free, 2 * size if size else FEWEST)
        if room < 0:
            return False
        for at in range(size):
            heap[room + at] = heap[begin + at]
        if size:
            freed(heap, free, begin, size)
        begins[row] = begin = room
    for at in range(begin + size, begin + low, -1):
        heap[at] = heap[at - 1]
    heap[begin + low] = member
    sizes[row] = size + 1
    return True


@kernel
def add_members(
    hashes: Words,
    group_of: Ints,
    rows: Ints,
    lg_k: int,
    first: int,
    slots: Ints,
    registers: ByteRowsOut,
    begins: IntsOut,
    sizes: Ints32Out,
    heap: WordsOut,
    free: IntsOut,
) -> int:
    """Adds each member, from the `first` on, to the sketch in the row of its group: to its registers, or to its set.

    Returns the index of the member at which it stopped, since the set has to become registers, or the heap to grow.
    """
    for at in range(first, len(hashes)):
        row = rows[group_of[at]]
        if slots[row] >= 0:
            raise_register(registers, int(slots[row]), hashes[at], lg_k)
        elif not add_to_set(heap, free, begins, sizes, int(row), hashes[at]):
            return at
    return len(hashes)


@kernel
def free_room(heap: WordsOut, free: IntsOut, begin: int, size: int) -> None:
    """Adds the room of a set of `size` members to the free ones."""
    freed(heap, free, begin, size)
