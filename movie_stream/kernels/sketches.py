"""HyperLogLog registers, and the sets that sketches are while they are small: hash tables in rooms of one heap.

Hot arrays are indexed by unsigned integers, since Numba checks the sign of others.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import ByteRowsOut, Ints, Ints32, Ints32Out, IntsOut, Words, WordsOut, kernel, part

EXACT_UP_TO: Final = 300
"""The most members of a set; a sketch of more has registers."""
FEWEST: Final = 8
"""Words of the smallest room; each larger one has four times as many. A set fills up to three quarters of its room."""
LARGEST: Final = 512
USED: Final = 0
"""The index in `used` of the number of words of the heap that are in use, or were."""
DENSE: Final = 1
"""The index in `used` of the number of sketches that have registers; behind it is, for each size of a room, the
beginning of the first free room, plus 1. The first word of a free room has that of the next one.
"""
SIZES: Final = 4


@part
def raise_register(registers: ByteRowsOut, slot: int, member: np.uint64, lg_k: int) -> None:
    """Raises the register that a hash selects by its upper bits to its rank: the position of the first one-bit in the
    rest.
    """
    rest_bits = np.uint64(64 - lg_k)
    register = member >> rest_bits
    rest = member & (np.uint64(1) << rest_bits) - np.uint64(1)
    rank = np.uint64(registers[np.uint64(slot), register])
    if rank <= rest_bits and rest >> rest_bits - rank == np.uint64(0):  # no one-bit up to `rank`
        rank += np.uint64(1)
        while rank <= rest_bits and rest >> rest_bits - rank == np.uint64(0):
            rank += np.uint64(1)
        registers[np.uint64(slot), register] = np.uint8(rank)


@kernel
def raise_registers(hashes: Words, lg_k: int, slot: int, registers: ByteRowsOut) -> None:
    """Adds members to the sketch with these registers."""
    for at in range(len(hashes)):
        raise_register(registers, slot, hashes[at], lg_k)


@part
def list_of(room: int) -> int:
    """The index in `used` of the free rooms of this size."""
    kind = DENSE + 1
    while FEWEST << 2 * (kind - DENSE - 1) < room:
        kind += 1
    return kind


@part
def free_room(heap: WordsOut, used: IntsOut, begin: int, room: int) -> None:
    """Adds the room of a set that moved, or became registers, to the free ones."""
    if room:
        kind = list_of(room)
        heap[begin] = np.uint64(used[kind])
        used[kind] = begin + 1


@part
def allocated(heap: WordsOut, used: IntsOut, room: int) -> int:
    """The beginning of an empty room of so many words, -1 if the heap is too short."""
    kind = list_of(room)
    begin = int(used[kind]) - 1
    if begin >= 0:
        used[kind] = np.int64(heap[begin])
    elif used[USED] + room <= len(heap):
        begin = int(used[USED])
        used[USED] += room
    if begin >= 0:
        for at in range(begin, begin + room):
            heap[at] = np.uint64(0)
    return begin


@part
def place_of(heap: Words, begin: int, room: int, member: np.uint64) -> np.uint64:
    """The place of a member in a room, or a free one for it: linear probing from its lower bits on."""
    mask, base = np.uint64(room - 1), np.uint64(begin)
    at = member & mask
    while heap[base + at] != np.uint64(0) and heap[base + at] != member:
        at = at + np.uint64(1) & mask
    return base + at


@part
def widened(heap: WordsOut, used: IntsOut, begins: IntsOut, rooms: Ints32Out, row: int) -> bool:
    """Moves the set of a row to a larger room; False, without a change, if the heap is too short."""
    begin, room = int(begins[row]), int(rooms[row])
    wider = 4 * room if room else FEWEST
    new = allocated(heap, used, wider)
    if new < 0:
        return False
    for old in range(begin, begin + room):
        if heap[old] != np.uint64(0):
            heap[place_of(heap, new, wider, heap[old])] = heap[old]
    free_room(heap, used, begin, room)
    begins[row], rooms[row] = new, wider
    return True


@kernel
def made_dense(
    row: int,
    lg_k: int,
    slots: IntsOut,
    registers: ByteRowsOut,
    begins: Ints,
    rooms: Ints32Out,
    sizes: Ints32Out,
    heap: WordsOut,
    used: IntsOut,
) -> bool:
    """Gives a row registers instead of its set, if it has none; False, without a change, if there are no more."""
    if slots[row] >= 0:
        return True
    slot = int(used[DENSE])
    if slot >= len(registers):
        return False
    registers[slot] = 0
    for at in range(begins[row], begins[row] + rooms[row]):
        if heap[at] != np.uint64(0):
            raise_register(registers, slot, heap[at], lg_k)
    free_room(heap, used, begins[row], rooms[row])
    slots[row], rooms[row], sizes[row] = slot, 0, 0
    used[DENSE] += 1
    return True


@kernel
def add_members(
    hashes: Words,
    group_of: Ints,
    rows: Ints,
    lg_k: int,
    first: int,
    slots: IntsOut,
    registers: ByteRowsOut,
    begins: IntsOut,
    rooms: Ints32Out,
    sizes: Ints32Out,
    heap: WordsOut,
    used: IntsOut,
) -> int:
    """Adds each member, from the `first` on, to the sketch in the row of its group: to its registers, or to its set.

    A hash of 0 counts as 1: zeros are free places. Returns the index of the member at which it stopped, since there are
    no more registers, or the heap is too short.
    """
    for at in range(first, len(hashes)):
        row = rows[np.uint64(group_of[at])]
        member = max(hashes[at], np.uint64(1))
        if slots[row] < 0:
            place = np.uint64(0)
            if rooms[row]:
                place = place_of(heap, begins[row], rooms[row], member)
                if heap[place] == member:
                    continue
            if sizes[row] < EXACT_UP_TO:
                if 4 * (sizes[row] + 1) > 3 * rooms[row]:
                    if not widened(heap, used, begins, rooms, row):
                        return at
                    place = place_of(heap, begins[row], rooms[row], member)
                heap[place] = member
                sizes[row] += 1
                continue
            if not made_dense(row, lg_k, slots, registers, begins, rooms, sizes, heap, used):
                return at
        raise_register(registers, slots[row], member, lg_k)
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
