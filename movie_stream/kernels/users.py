"""The state of users: first views, days, and sessions. Days and sessions are linked lists, the newest first."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import BoolsOut, IntColumnsOut, Ints, Ints32, Ints32Out, IntsOut, kernel, part

DAY_MS: Final = 86_400_000
LONG_AGO: Final = np.iinfo(np.int64).min
NONE: Final = -1
FREE, USED = 0, 1
"""The items of `rows` of sessions: the first free row, and the number of rows that are in use, or were."""
SESSIONS, SESSION_MS = 0, 1
"""The columns of changes."""
_TOGETHER: Final = 32
"""Views whose cache misses are under way at a time, as in hash_tables.py."""
_CACHED: Final = 1 << 17
"""The number of users whose state is mostly in the processor's cache."""


@kernel
def find_days(days: Ints, users: Ints, heads: Ints32, following: Ints32, day_of: Ints32, rows: IntsOut) -> None:
    """The row of each day of a user, -1 if there is none."""
    for at in range(len(days)):
        row = int(heads[users[at]])
        while row != NONE and day_of[row] > days[at]:
            row = int(following[row])
        rows[at] = row if row != NONE and day_of[row] == days[at] else NONE


@part
def linked_day(
    day: int, user: int, heads: Ints32Out, following: Ints32Out, day_of: Ints32Out, user_of: Ints32Out, count: int
) -> int:
    """The row of a day of a user; `count`, of a new row, if there was none."""
    before, row = NONE, int(heads[user])
    while row != NONE and day_of[row] > day:
        before, row = row, int(following[row])
    if row != NONE and day_of[row] == day:
        return row
    day_of[count], user_of[count], following[count] = day, user, row
    if before == NONE:
        heads[user] = count
    else:
        following[before] = count
    return count


@kernel
def add_days(
    days: Ints,
    users: Ints,
    heads: Ints32Out,
    following: Ints32Out,
    day_of: Ints32Out,
    user_of: Ints32Out,
    count: int,
    rows: IntsOut,
) -> int:
    """The row of each day of a user; new ones are appended to the `count` rows. Returns the number of rows then."""
    for at in range(len(days)):
        rows[at] = linked_day(days[at], users[at], heads, following, day_of, user_of, count)
        count += rows[at] == count
    return count


@part
def fetch_days(
    users: Ints,
    first: int,
    heads: Ints32,
    following: Ints32,
    day_of: Ints32,
    views: Ints32,
    watched: Ints,
    fetched: IntsOut,
) -> None:
    """Reads what counting the next views will most likely read, so that it is in the cache then."""
    if first % _TOGETHER or len(heads) <= _CACHED:
        return
    end = min(first + _TOGETHER, len(users))
    for view in range(first, end):
        fetched[view] = heads[users[view]]
    for view in range(first, end):
        row = max(fetched[view], 0)
        fetched[view] = following[row] + day_of[row] + views[row] + watched[row]


@kernel
def count_views(
    days: Ints,
    users: Ints,
    minutes: Ints,
    heads: Ints32Out,
    following: Ints32Out,
    day_of: Ints32Out,
    user_of: Ints32Out,
    views: Ints32Out,
    watched: IntsOut,
    changed: BoolsOut,
    count: int,
    rows: IntsOut,
) -> int:
    """Like add_days, and counts the views of each row, and their minutes if these are known: not below 0."""
    for at in range(len(days)):
        fetch_days(users, at, heads, following, day_of, views, watched, rows)
        row = linked_day(days[at], users[at], heads, following, day_of, user_of, count)
        if row == count:
            views[row], watched[row] = 0, 0
            count += 1
        views[row] += 1
        watched[row] += max(minutes[at], 0)
        changed[row] = True
        rows[at] = row
    return count


@kernel
def see_first(users: Ints, times_ms: Ints, first_ms: IntsOut, earlier: IntsOut, before_ms: IntsOut) -> int:
    """Lowers the time of users' first views; returns how many views were earlier than all before, in the log's order.

    `earlier` has their indices, `before_ms` what was the first time until then.
    """
    count = 0
    for view in range(len(users)):
        if times_ms[view] < first_ms[users[view]]:
            earlier[count], before_ms[count] = view, first_ms[users[view]]
            first_ms[users[view]] = times_ms[view]
            count += 1
    return count


@part
def index_of(day_ms: int, days_ms: Ints) -> int:
    """The index of a day in sorted ones, their number if it is not there."""
    low, high = 0, len(days_ms)
    while low < high:
        middle = (low + high) >> 1
        if days_ms[middle] < day_ms:
            low = middle + 1
        else:
            high = middle
    return low if low < len(days_ms) and days_ms[low] == day_ms else len(days_ms)


@part
def released(row: int, following: Ints32Out, end_ms: IntsOut, rows: IntsOut) -> int:
    """Frees the row of a session; returns the row of the one that followed it."""
    then = int(following[row])
    end_ms[row], following[row], rows[FREE] = LONG_AGO, rows[FREE], row
    return then


@part
def inserted(user: int, before: int, heads: Ints32Out, following: Ints32Out, rows: IntsOut) -> int:
    """A free row, else a new one, behind the row `before` in the list of a user; NONE: at its beginning."""
    row = int(rows[FREE])
    if row == NONE:
        row = int(rows[USED])
        rows[USED] += 1
    else:
        rows[FREE] = int(following[row])
    if before == NONE:
        heads[user] = row
    else:
        following[before] = row
    return row


@part
def fetch_sessions(
    users: Ints,
    first: int,
    heads: Ints32,
    following: Ints32,
    start_ms: Ints,
    end_ms: Ints,
    fetched: IntColumnsOut,
) -> None:
    """Reads what joining the next views will most likely read, so that it is in the cache then."""
    if first % _TOGETHER or len(heads) <= _CACHED:
        return
    end = min(first + _TOGETHER, len(users))
    for view in range(first, end):
        fetched[0, view] = heads[users[view]]
    for view in range(first, end):
        row = max(fetched[0, view], 0)
        fetched[0, view] = following[row] + start_ms[row] + end_ms[row]


@kernel
def join_sessions(
    users: Ints,
    starts_ms: Ints,
    ends_ms: Ints,
    gap_ms: int,
    open_since_ms: int,
    heads: Ints32Out,
    following: Ints32Out,
    start_ms: IntsOut,
    end_ms: IntsOut,
    rows: IntsOut,
    days_ms: Ints,
    changes: IntColumnsOut,
    long: IntColumnsOut,
) -> int:
    """Joins each view with the sessions of its user that are not more than the gap away, or begins a session.

    When a session begins, older ones that end before `open_since_ms` are dropped. `changes` are those of the number and
    of the length of the sessions that start on each of `days_ms`, and in the last item on other days. Returns how many
    views left a session of several days: `long` has these views, and the start and the end of the session by then.
    """
    count, day_ms, index = 0, -DAY_MS, 0
    for view in range(len(users)):
        fetch_sessions(users, view, heads, following, start_ms, end_ms, long)  # there is nothing in `long` from it on
        user, start, end = users[view], starts_ms[view], ends_ms[view]
        before, row, joined = NONE, int(heads[user]), NONE
        while row != NONE and start_ms[row] - end > gap_ms:
            before, row = row, int(following[row])
        while row != NONE and start - end_ms[row] <= gap_ms:
            if not 0 <= start_ms[row] - day_ms < DAY_MS:  # most sessions begin on the day of the one before
                day_ms = start_ms[row] - start_ms[row] % DAY_MS
                index = index_of(day_ms, days_ms)
            changes[SESSIONS, index] -= 1
            changes[SESSION_MS, index] -= end_ms[row] - start_ms[row]
            start, end = min(start, start_ms[row]), max(end, end_ms[row])
            if joined == NONE:
                joined, row = row, int(following[row])
            else:
                row = released(row, following, end_ms, rows)
        if joined == NONE:
            while row != NONE and end_ms[row] < open_since_ms:
                row = released(row, following, end_ms, rows)
            joined = inserted(user, before, heads, following, rows)
        start_ms[joined], end_ms[joined], following[joined] = start, end, row
        if not 0 <= start - day_ms < DAY_MS:
            day_ms = start - start % DAY_MS
            index = index_of(day_ms, days_ms)
        changes[SESSIONS, index] += 1
        changes[SESSION_MS, index] += end - start
        if end - day_ms >= DAY_MS:
            long[0, count], long[1, count], long[2, count] = view, start, end
            count += 1
    return count


@kernel
def list_sessions(
    users: Ints32,
    heads: Ints32,
    following: Ints32,
    start_ms: Ints,
    end_ms: Ints,
    counts: Ints32Out,
    starts_ms: IntsOut,
    ends_ms: IntsOut,
) -> int:
    """The number of sessions of each user, and all of their sessions, those of one user in order of time; returns how
    many there are.
    """
    used = 0
    for at in range(len(users)):
        row = int(heads[users[at]])
        counts[at] = 0
        while row != NONE:
            counts[at] += 1
            row = int(following[row])
        used += counts[at]
        row, place = int(heads[users[at]]), used
        while row != NONE:  # the newest is the last one
            place -= 1
            starts_ms[place], ends_ms[place] = start_ms[row], end_ms[row]
            row = int(following[row])
    return used


@kernel
def keep_open(
    open_since_ms: int,
    heads: Ints32Out,
    following: Ints32,
    start_ms: Ints,
    end_ms: Ints,
    kept_following: Ints32Out,
    kept_start_ms: IntsOut,
    kept_end_ms: IntsOut,
) -> None:
    """Copies the sessions that do not end before `open_since_ms`, user by user, and links them anew."""
    count = 0
    for user in range(len(heads)):
        row, before = int(heads[user]), NONE
        heads[user] = NONE
        while row != NONE:
            if end_ms[row] >= open_since_ms:
                kept_start_ms[count], kept_end_ms[count], kept_following[count] = start_ms[row], end_ms[row], NONE
                if before == NONE:
                    heads[user] = count
                else:
                    kept_following[before] = count
                before = count
                count += 1
            row = int(following[row])
