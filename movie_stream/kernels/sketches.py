"""HyperLogLog registers, and the sets that sketches are while they are small: hash tables in rooms of one heap."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import ByteRowsOut, Ints, Ints32, Ints32Out, IntsOut, Words, WordsOut, kernel, part

EXACT_UP_TO: Final = 300
"""The most members of a set; a sketch of more has registers."""
FEWEST: Final = 4
"""Words of the smallest room; others have a power of two of them. A set fills up to three quarters of its room."""
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


@kernel
def free_room(heap: WordsOut, free: IntsOut, begin: int, room: int) -> None:
    """Adds the room of a set that moved, or became registers, to the free ones."""
    kind = 1
    while FEWEST << (kind - 1) < room:
        kind += 1
    heap[begin] = np.uint64(free[kind])
    free[kind] = begin + 1


@part
def allocated(heap: WordsOut, free: IntsOut, room: int) -> int:
    """The beginning of an empty room of so many words, -1 if the heap is too short."""
    kind = 1
    while FEWEST << (kind - 1) < room:
        kind += 1
    begin = int(free[kind]) - 1
    if begin >= 0:
        free[kind] = np.int64(heap[begin])
    elif free[USED] + room <= len(heap):
        begin = int(free[USED])
        free[USED] += room
    if begin >= 0:
        for at in range(begin, begin + room):
            heap[at] = np.uint64(0)
    return begin


@part
def place_of(heap: WordsOut, begin: int, room: int, member: np.uint64) -> int:
    """The place of a member in a room, or a free one for it: linear probing from its lower bits on."""
    at, mask = np.int64(member & np.uint64(room - 1)), np.int64(room - 1)
    while heap[begin + at] != np.uint64(0) and heap[begin + at] != member:
        at = (at + np.int64(1)) & mask
    return int(begin + at)


@part
def widened(heap: WordsOut, free: IntsOut, begins: IntsOut, rooms: Ints32Out, row: int) -> bool:
    """Moves the set of a row to a room of twice the words; False, without a change, if the heap is too short."""
    begin, room = int(begins[row]), int(rooms[row])
    wider = 2 * room if room else FEWEST
    new = allocated(heap, free, wider)
    if new < 0:
        return False
    for old in range(begin, begin + room):
        if heap[old] != np.uint64(0):
            heap[place_of(heap, new, wider, heap[old])] = heap[old]
    if room:
        free_room(heap, free, begin, room)
    begins[row], rooms[row] = new, wider
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
    rooms: Ints32Out,
    sizes: Ints32Out,
    heap: WordsOut,
    free: IntsOut,
) -> int:
    """Adds each member, from the `first` on, to the sketch in the row of its group: to its registers, or to its set.

    A hash of 0 counts as 1: zeros are free places. Returns the index of the member at which it stopped, since the set
    has to become registers, or the heap to grow.
    """
    for at in range(first, len(hashes)):
        row, member = rows[group_of[at]], max(hashes[at], np.uint64(1))
        if slots[row] >= 0:
            raise_register(registers, int(slots[row]), member, lg_k)
            continue
        if rooms[row] and heap[place_of(heap, begins[row], rooms[row], member)] == member:
            continue
        if sizes[row] == EXACT_UP_TO:
            return at
        if 4 * (sizes[row] + 1) > 3 * rooms[row] and not widened(heap, free, begins, rooms, row):
            return at
        heap[place_of(heap, begins[row], rooms[row], member)] = member
        sizes[row] += 1
    return len(hashes)


@kernel
def move_rooms(heap: Words, rooms: Ints32, begins: IntsOut, other: WordsOut) -> None:
    """Moves the rooms of all rows to another heap, one behind the other."""
    used = 0
    for row in range(len(rooms)):
        for at in range(rooms[row]):
            other[used + at] = heap[begins[row] + at]
        begins[row] = used
        used += rooms[row]
