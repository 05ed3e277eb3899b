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


@kernel
def find_days(days: Ints, users: Ints, heads: Ints32, following: Ints32, day_of: Ints32, rows: IntsOut) -> None:
    """The row of each day of a user, -1 if there is none."""
    for at in range(len(days)):
        row = int(heads[users[at]])
        while row != NONE and day_of[row] > days[at]:
            row = int(following[row])
        rows[at] = row if row != NONE and day_of[row] == days[at] else NONE


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
        day, user = days[at], users[at]
        before, row = NONE, int(heads[user])
        while row != NONE and day_of[row] > day:
            before, row = row, int(following[row])
        if row == NONE or day_of[row] != day:
            day_of[count], user_of[count], following[count] = day, user, row
            row = count
            count += 1
            if before == NONE:
                heads[user] = row
            else:
                following[before] = row
        rows[at] = row
    return count


@kernel
def count_views(rows: Ints, minutes: Ints, views: Ints32Out, watched: IntsOut, changed: BoolsOut) -> None:
    """Counts the views of each row, and their minutes if these are known: not below 0."""
    for view in range(len(rows)):
        views[rows[view]] += 1
        watched[rows[view]] += max(minutes[view], 0)
        changed[rows[view]] = True


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
