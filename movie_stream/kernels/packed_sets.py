"""Sketches that are still sets, as bytes: a letter, and the sorted members in eight bytes each."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import (
    Bytes,
    BytesOut,
    Ints,
    Ints32,
    Ints32Out,
    Words,
    WordsOut,
    kernel,
    part,
)
from movie_stream.kernels.hashing import eight_at
from movie_stream.kernels.sketches import EXACT_UP_TO, place_of
from movie_stream.kernels.strings import write_word

SET: Final = 0x53
"""The letter, S."""
MEMBER_BYTES: Final = 8
ROOM: Final = 1024
"""Words of the table in which the members of a union are looked up; most of it stays free."""
NOT_COUNTED: Final = -1
"""The number of members of a union that has too many, or of which one sketch has registers."""


@part
def sort_words(words: WordsOut, count: int) -> None:
    """Sorts the first words in place, by Shell sort; its gaps are of Gonnet and Baeza-Yates, "Handbook of Algorithms
    and Data Structures" (1991).
    """
    gap = count
    while gap > 1:
        gap = max((5 * gap - 1) // 11, 1)
        for at in range(gap, count):
            word, to = words[np.uint64(at)], at
            while to >= gap and words[np.uint64(to - gap)] > word:
                words[np.uint64(to)] = words[np.uint64(to - gap)]
                to -= gap
            words[np.uint64(to)] = word


@kernel
def write_sets(rows: Ints, begins: Ints, rooms: Ints32, heap: Words, sorted_members: WordsOut, out: BytesOut) -> None:
    """Writes the sets of rows, one behind the other. `sorted_members` has room for those of the largest set."""
    at = 0
    for row in rows:
        count = 0
        for word in range(begins[row], begins[row] + rooms[row]):
            if heap[np.uint64(word)] != np.uint64(0):
                sorted_members[count] = heap[np.uint64(word)]
                count += 1
        sort_words(sorted_members, count)
        out[at] = SET
        at += 1
        for member in range(count):
            at = write_word(sorted_members[np.uint64(member)], out, at)


@kernel
def count_unions(text: Bytes, begins: Ints, lengths: Ints, firsts: Ints, table: WordsOut, counts: Ints32Out) -> None:
    """Counts the members of unions of sketches, or gives them NOT_COUNTED.

    A union is of the sketches from its number in `firsts` to before the next one. `table` has ROOM words.
    """
    for union in range(len(counts)):
        first, end = firsts[union], firsts[union + 1]
        if end - first == 1 and text[begins[first]] == SET:
            counts[union] = lengths[first] // MEMBER_BYTES
            continue
        table[:] = 0
        count = 0
        for sketch in range(first, end):
            if text[begins[sketch]] != SET:
                count = NOT_COUNTED
                break
            at = begins[sketch] + 1
            while at < begins[sketch] + lengths[sketch] and count <= EXACT_UP_TO:
                member = eight_at(text, at)
                place = place_of(table, 0, ROOM, member)
                if table[place] != member:
                    table[place] = member
                    count += 1
                at += MEMBER_BYTES
        counts[union] = count if count <= EXACT_UP_TO else NOT_COUNTED
