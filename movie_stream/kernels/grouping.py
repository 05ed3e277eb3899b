"""Views in groups, one for each window and value of a column, and the figures of these groups."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import Bytes, IntColumnsOut, Ints, Ints32Out, IntsOut, Words, kernel, part
from movie_stream.kernels.hash_tables import pair_hash
from movie_stream.kernels.hashing import byte_at

START, KEY, VIEWS, LAST = 0, 1, 2, 3
"""The columns of groups: the start of the window, the value of the column, the number of views, the last view."""

COUNT, HIGH, LOW, LEAST, MOST = 0, 1, 2, 3, 4
"""The columns of a summary: how many numbers there are, the sums of their upper and of their lower 32 bits (a sum of
large numbers may overflow 63 bits), the least and the largest.
"""
NO_LEAST: Final = np.iinfo(np.int64).max
NO_MOST: Final = -1
_NONE: Final = -1


@kernel
def group_views(
    times_ms: Ints,
    keys: Ints,
    length_ms: int,
    secret: Words,
    table: Ints32Out,
    groups: IntColumnsOut,
    group_of: IntsOut,
) -> int:
    """Numbers the groups of views in the order of their first views; returns how many there are.

    `table` is the hash table, filled with -1: a power of two long, and longer than there are views. A secret keys its
    hashes, so nobody can choose windows that collide.
    """
    count, start, mask = 0, 0, len(table) - 1
    for view in range(len(times_ms)):
        if not 0 <= times_ms[view] - start < length_ms:  # most views are in the window of the one before
            start = times_ms[view] - times_ms[view] % length_ms
        key = keys[view]
        slot = np.int64(pair_hash(start, key, secret) >> np.uint64(32)) & mask
        while True:  # linear probing
            group = int(table[slot])
            if group == _NONE:
                group = count
                count += 1
                table[slot], groups[START, group], groups[KEY, group], groups[VIEWS, group] = group, start, key, 0
            if groups[START, group] == start and groups[KEY, group] == key:
                break
            slot = (slot + 1) & mask
        group_of[view] = group
        groups[VIEWS, group] += 1
        groups[LAST, group] = view
    return count


@kernel
def summarize(numbers: Ints, group_of: Ints, summary: IntColumnsOut) -> None:
    """Adds the numbers of views to the summary of their groups; below 0, a number is absent."""
    summary[COUNT], summary[HIGH], summary[LOW], summary[LEAST], summary[MOST] = 0, 0, 0, NO_LEAST, NO_MOST
    for view in range(len(numbers)):
        number, group = numbers[view], group_of[view]
        if number >= 0:
            summary[COUNT, group] += 1
            summary[HIGH, group] += number >> 32
            summary[LOW, group] += number & 0xFFFF_FFFF
            summary[LEAST, group] = min(summary[LEAST, group], number)
            summary[MOST, group] = max(summary[MOST, group], number)


@kernel
def count_hours(hours: Ints, group_of: Ints, rows: Ints, counts: IntColumnsOut) -> None:
    """Counts views by hour of the day, in the row of their group."""
    for view in range(len(hours)):
        counts[rows[group_of[view]], hours[view]] += 1


@kernel
def keep_newest(
    times_ms: Ints,
    titles: Ints,
    spellings: Ints,
    group_of: Ints,
    rows: Ints,
    newest_ms: IntsOut,
    title: Ints32Out,
    spelling: Ints32Out,
    ties: IntsOut,
) -> int:
    """Keeps the time, title and spelling of the newest view of each row; returns the number of `ties`.

    A tie is a view that, when its turn came, was as new as the newest one, with other names.
    """
    count = 0
    for view in range(len(times_ms)):
        row = rows[group_of[view]]
        if times_ms[view] > newest_ms[row]:
            newest_ms[row], title[row], spelling[row] = times_ms[view], titles[view], spellings[view]
        elif times_ms[view] == newest_ms[row] and (titles[view] != title[row] or spellings[view] != spelling[row]):
            ties[count] = view
            count += 1
    return count


@kernel
def rank_members(
    members: Ints,
    views: Ints,
    ends: Ints,
    limit: int,
    text: Bytes,
    bounds: Ints,
    total: IntsOut,
    top: IntsOut,
    top_views: IntsOut,
    counts: IntsOut,
) -> int:
    """Puts up to `limit` members of each group with most views into `top`, one group's after the other's, the most
    viewed first; and how many into `counts`. Returns how many there are together.

    Group n has the rows before ends[n]. A member's views are the sum of those of its rows. Of equals the smaller name,
    in UTF-8, comes first: member n's is text[bounds[n] : bounds[n + 1]]. `total` has a zero for each member, before and
    after.
    """
    begin, first = 0, 0
    for group in range(len(ends)):
        for row in range(begin, ends[group]):
            total[members[row]] += views[row]
        count = 0
        for row in range(begin, ends[group]):
            member = members[row]
            seen, place, total[member] = total[member], first + count, 0
            while place > first and (
                top_views[place - 1] < seen
                or (top_views[place - 1] == seen and is_smaller(text, bounds, member, top[place - 1]))
            ):
                place -= 1
            if seen == 0 or place == first + limit:
                continue
            count = min(count + 1, limit)
            for later in range(first + count - 1, place, -1):
                top[later], top_views[later] = top[later - 1], top_views[later - 1]
            top[place], top_views[place] = member, seen
        begin, first, counts[group] = ends[group], first + count, count
    return first


@part
def is_smaller(text: Bytes, bounds: Ints, member: int, other: int) -> bool:
    """Whether the name of a member is smaller than another's, byte by byte."""
    begin, end, at, other_end = bounds[member], bounds[member + 1], bounds[other], bounds[other + 1]
    while begin < end and at < other_end and byte_at(text, begin) == byte_at(text, at):
        begin, at = begin + 1, at + 1
    return bool(at < other_end and (begin == end or byte_at(text, begin) < byte_at(text, at)))
