"""The open sessions of all users of one partition, as intervals: [first start, furthest end]."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.columns import AnyInts, Column, Ints
from movie_stream.kernels.users import USED, join_sessions

_NEVER: Final = np.iinfo(np.int64).max
_NONE: Final = -1
_USERS_AT_ONCE: Final = 1 << 16

Rows = NDArray[np.int32]


class Intervals(msgspec.Struct, gc=False):
    """Sessions as columns of equal length."""

    user: Any
    """Numbers of users, int64 for `join`."""
    start: Ints
    """The start of the first view, in Unix milliseconds."""
    end: Ints
    """The latest end of a view, in Unix milliseconds."""


class Joined(NamedTuple):
    """What views changed: the number and the length of sessions by the day that they start on, the last item for the
    days not asked for; and the views that left a session of several days, with its start and its end by then.
    """

    sessions: Ints
    session_ms: Ints
    views: Ints
    starts: Ints
    ends: Ints


class Sessions:
    """A linked list of intervals for each user, the latest first, all in the same columns, at 20 bytes an interval.

    Freed rows are reused; `drop_expired` finds the rows of closed sessions.
    """

    def __init__(self, gap_ms: int) -> None:
        self._gap_ms = gap_ms
        self._head = Column(np.int32, fill=_NONE)  # by user: the first interval of the list
        self._next = Column(np.int32)
        self._start, self._end = Column(np.int64), Column(np.int64)  # the end of a free row is long ago
        self._rows = np.array([_NONE, 0])  # the first free row, and how many there are

    def grow_users(self, count: int) -> None:
        """Grows the columns to this number of users; new ones have no session."""
        self._head.grow(count)

    def find(self, users: AnyInts) -> Intervals:
        """The intervals of these users, in no particular order."""
        return self._at(*self._walk(users))

    def join(self, views: Intervals, threshold_ms: int, days_ms: Ints) -> Joined:
        """Joins views with the sessions that they extend or bridge, or begins sessions, view by view.

        Sessions that no view from the threshold on can extend may be dropped. `days_ms` are sorted starts of days.
        """
        count = len(views.user)
        changes, long = np.zeros((2, len(days_ms) + 1), np.int64), np.empty((3, count), np.int64)
        self._grow(len(self) + count)
        found = join_sessions(
            *(views.user, views.start, views.end, self._gap_ms, threshold_ms - self._gap_ms),
            *(self._head.values, self._next.values, self._start.values, self._end.values, self._rows),
            *(days_ms, changes, long),
        )
        self._grow(int(self._rows[USED]))
        return Joined(*changes, *long[:, :found])

    def _grow(self, length: int) -> None:
        for column in (self._next, self._start, self._end):
            column.grow(length)

    def drop_expired(self, threshold_ms: int) -> None:
        """Drops the intervals that no view at or after the threshold can extend, once they are a quarter of all rows.

        The others are laid out by user, without free rows.
        """
        if 4 * np.count_nonzero(self._open(threshold_ms)) > 3 * len(self._end.values):
            return
        users, kept = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        for at in range(0, len(self._head.values), _USERS_AT_ONCE):
            user, rows = self._walk(np.arange(at, min(at + _USERS_AT_ONCE, len(self._head.values)), dtype=np.int32))
            order = np.argsort(user, kind="stable")
            order = order[self._end.values[rows[order]] >= threshold_ms - self._gap_ms]
            users.append(user[order])
            kept.append(rows[order])
        rows = np.concatenate(kept)
        for column in (self._next, self._start, self._end):
            column.keep(rows)
        self._rows[:] = _NONE, len(rows)
        self._head.values[:] = _NONE
        self._link(np.concatenate(users), np.arange(len(rows), dtype=np.int32))

    def oldest_start(self, threshold_ms: int) -> int:
        """The earliest start of an open session, in Unix milliseconds."""
        return int(self._start.values.min(where=self._open(threshold_ms), initial=_NEVER))

    def __len__(self) -> int:
        """The number of rows, including free ones."""
        return len(self._end.values)

    def _open(self, threshold_ms: int) -> NDArray[np.bool_]:
        return self._end.values >= threshold_ms - self._gap_ms

    def _at(self, user: AnyInts, rows: Rows) -> Intervals:
        return Intervals(user, self._start.values[rows], self._end.values[rows])

    def _walk(self, users: AnyInts) -> tuple[AnyInts, Rows]:
        """Traverses all lists in parallel; returns the user and the row of each interval."""
        owners, found = [users[:0]], [np.zeros(0, np.int32)]
        rows = self._head.values[users]
        while len(users := users[active := rows != _NONE]):
            rows = rows[active]
            owners.append(users)
            found.append(rows)
            rows = self._next.values[rows]
        return np.concatenate(owners), np.concatenate(found)

    def _link(self, user: AnyInts, rows: Rows) -> None:
        """Links the intervals of each user; they have to be sorted by user."""
        if not len(user):
            return
        begins = np.diff(user, prepend=-1) != 0
        after = np.roll(rows, -1)
        after[np.roll(begins, -1)] = _NONE
        self._next.values[rows] = after
        self._head.values[user[begins]] = rows[begins]
