"""Hash tables that give strings, or pairs of integers, numbers from 0 on, in the order of their first occurrence.

Open addressing with linear probing; the length is a power of two. A slot is 0 if it is free, or else 32 bits of an
item's hash and 32 of its number + 1. Items are stored beside the table, by number, and always compared, since different
ones may have equal hashes. The hashes are keyed with a secret, so nobody can choose items that collide. At most two
thirds of the slots are taken: `intern_…` stops where there is no more room, and goes on once its caller has made some.

Slots are indexed by unsigned integers, since Numba checks the sign of others.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import (
    Bytes,
    BytesOut,
    Ints,
    Ints32,
    Ints32Out,
    IntsOut,
    Words,
    WordsOut,
    kernel,
    part,
)
from movie_stream.kernels.hashing import eight_at
from movie_stream.kernels.strings import copy_string

_TOGETHER: Final = 32
"""Rows whose cache misses are under way at a time."""
_CACHED: Final = 1 << 17
"""The slots of a table, 1 MB, that is mostly in the processor's cache."""


@part
def home_of(hashed: np.uint64, slots: Words) -> np.uint64:
    """The slot at which the search for an item begins."""
    return hashed >> np.uint64(32) & np.uint64(len(slots) - 1)


@part
def next_to(at: np.uint64, slots: Words) -> np.uint64:
    """The slot after this one, or the first one."""
    return at + np.uint64(1) & np.uint64(len(slots) - 1)


@part
def number_in(slot: np.uint64) -> np.int64:
    """The number in a slot, -1 if it is free."""
    return np.int64(slot & np.uint64(0xFFFF_FFFF)) - 1


@part
def slot_of(hashed: np.uint64, number: int) -> np.uint64:
    """What is in the slot of an item with this hash and number."""
    return hashed >> np.uint64(32) << np.uint64(32) | np.uint64(number + 1)


@part
def is_full(count: int, slots: Words) -> bool:
    """Whether a table of `count` items has no slot for another one."""
    return 3 * (count + 1) > 2 * len(slots)


@kernel
def rehash(slots: Words, larger: WordsOut) -> None:
    """Puts all items of a table into a free, larger one."""
    for slot in slots:
        if slot != np.uint64(0):
            at = home_of(slot, larger)
            while larger[at] != np.uint64(0):
                at = next_to(at, larger)
            larger[at] = slot


@part
def same_bytes(text: Bytes, begin: int, names: Bytes, at: int, size: int) -> bool:
    """Whether two strings of `size` bytes are equal; at least 8 bytes follow the one in `names`."""
    if begin + size + 8 > len(text):
        while size > 0 and text[begin + size - 1] == names[at + size - 1]:
            size -= 1
        return size == 0
    while size >= 8:
        if eight_at(text, begin) != eight_at(names, at):
            return False
        begin, at, size = begin + 8, at + 8, size - 8
    return size == 0 or (eight_at(text, begin) ^ eight_at(names, at)) << np.uint64(64 - 8 * size) == np.uint64(0)


@part
def probe_string(
    text: Bytes, begin: int, size: int, hashed: np.uint64, slots: Words, names: Bytes, bounds: Ints
) -> np.uint64:
    """The slot of a string, or the free one where it belongs."""
    at = home_of(hashed, slots)
    while slots[at] != np.uint64(0):
        if slots[at] >> np.uint64(32) == hashed >> np.uint64(32):
            number = np.uint64(number_in(slots[at]))
            found, end = bounds[number], bounds[number + np.uint64(1)]
            if end - found == size and same_bytes(text, begin, names, found, size):
                break
        at = next_to(at, slots)
    return at


@part
def fetch_strings(
    hashes: Words, row: int, end: int, slots: Words, names: Bytes, bounds: Ints, fetched: IntsOut
) -> None:
    """Reads what the searches for these rows will most likely read, so that it is in the cache then.

    Loops this short have the cache misses of all rows overlap; a search waits for its own, one after the other.
    """
    for at in range(row, end):
        fetched[at] = number_in(slots[home_of(hashes[at], slots)])
    for at in range(row, end):
        slot = home_of(hashes[at], slots)
        while slots[slot] != np.uint64(0) and slots[slot] >> np.uint64(32) != hashes[at] >> np.uint64(32):
            slot = next_to(slot, slots)
        fetched[at] = bounds[slots[slot] & np.uint64(0xFFFF_FFFF)]  # where the string ends
    for at in range(row, end):
        fetched[at] = names[np.uint64(fetched[at])]


@kernel
def intern_strings(
    text: Bytes,
    begins: Ints,
    lengths: Ints,
    hashes: Words,
    row: int,
    slots: WordsOut,
    names: BytesOut,
    bounds: IntsOut,
    count: int,
    numbers: IntsOut,
) -> tuple[int, int]:
    """The number of each string, from `row` on; adds those that are not among the `count` of the table. A length below
    0, of None, counts as 0.

    String n of the table is `names[bounds[n] : bounds[n + 1]]`; after the last one there are 8 more bytes. Returns the
    row before which there was no more room, or else the number of rows, and the new count.
    """
    while row < len(begins):
        if row % _TOGETHER == 0 and len(slots) > _CACHED:
            fetch_strings(hashes, row, min(row + _TOGETHER, len(begins)), slots, names, bounds, numbers)
        begin, size = begins[row], max(lengths[row], 0)
        at = probe_string(text, begin, size, hashes[row], slots, names, bounds)
        if slots[at] == np.uint64(0):
            end = bounds[count] + size
            if is_full(count, slots) or count + 1 >= len(bounds) or end + 8 > len(names):
                break
            copy_string(text, begin, size, names, end - size)
            bounds[count + 1] = end
            slots[at] = slot_of(hashes[row], count)
            count += 1
        numbers[row] = number_in(slots[at])
        row += 1
    return row, count


@part
def pair_hash(first: int, second: int, key: Words) -> np.uint64:
    """64 well-mixed bits of a pair, by a key of three odd words."""
    half = np.uint64(32)
    mixed: np.uint64 = (np.uint64(first) ^ key[0]) * key[1]
    mixed = ((mixed ^ mixed >> half) + np.uint64(second)) * key[2]
    mixed ^= mixed >> half
    mixed *= key[1]
    return mixed


@part
def probe_pair(first: int, second: int, hashed: np.uint64, slots: Words, firsts: Ints, seconds: Ints32) -> np.uint64:
    """The slot of a pair, or the free one where it belongs."""
    at = home_of(hashed, slots)
    while slots[at] != np.uint64(0):
        if slots[at] >> np.uint64(32) == hashed >> np.uint64(32):
            number = np.uint64(number_in(slots[at]))
            if firsts[number] == first and seconds[number] == second:
                break
        at = next_to(at, slots)
    return at


@kernel
def find_pairs(
    first: Ints, second: Ints, key: Words, slots: Words, firsts: Ints, seconds: Ints32, numbers: IntsOut
) -> None:
    """The number of each pair, -1 if it has none. Pair n of the table is `firsts[n], seconds[n]`."""
    for row in range(len(first)):
        hashed = pair_hash(first[row], second[row], key)
        numbers[row] = number_in(slots[probe_pair(first[row], second[row], hashed, slots, firsts, seconds)])


@kernel
def intern_pairs(
    first: Ints,
    second: Ints,
    key: Words,
    row: int,
    slots: WordsOut,
    firsts: IntsOut,
    seconds: Ints32Out,
    count: int,
    numbers: IntsOut,
) -> tuple[int, int]:
    """Like find_pairs, from `row` on, but adds the pairs that are not among the `count` of the table.

    Returns the row before which there was no more room, or else the number of rows, and the new count.
    """
    while row < len(first):
        hashed = pair_hash(first[row], second[row], key)
        at = probe_pair(first[row], second[row], hashed, slots, firsts, seconds)
        if slots[at] == np.uint64(0):
            if is_full(count, slots) or count >= len(firsts) or count >= len(seconds):
                break
            firsts[count], seconds[count] = first[row], second[row]
            slots[at] = slot_of(hashed, count)
            count += 1
        numbers[row] = number_in(slots[at])
        row += 1
    return row, count
