"""The open sessions of all users of one partition, as intervals: [first start, furthest end]."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.columns import Column, Ints
from movie_stream.kernels.users import USED, join_sessions, keep_open, list_sessions

_NEVER: Final = np.iinfo(np.int64).max
_NONE: Final = -1

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

    def of(self, users: Rows) -> tuple[Rows, Ints, Ints]:
        """The number of intervals of each of these distinct users, and the starts and ends of all their intervals, in
        order of time for each user.
        """
        counts, (start, end) = np.empty(len(users), np.int32), np.empty((2, len(self)), np.int64)
        lists = self._head.values, self._next.values, self._start.values, self._end.values
        used = list_sessions(users, *lists, counts, start, end)
        return counts, start[:used], end[:used]

    def join(self, views: Intervals, threshold_ms: int, days_ms: Ints) -> Joined:
        """Joins views with the sessions that they extend or bridge, or begins sessions, view by view.

        Sessions that no view from the threshold on can extend may be dropped. `days_ms` are sorted starts of days.
        """
        count = len(views.user)
        changes, long = np.zeros((2, len(days_ms) + 1), np.int64), np.empty((3, count), np.int64)
        for column in self._columns():
            column.reserve(len(self) + count)
        found = join_sessions(
            *(views.user, views.start, views.end, self._gap_ms, threshold_ms - self._gap_ms),
            *(self._head.values, self._next.room, self._start.room, self._end.room, self._rows),
            *(days_ms, changes, long),
        )
        for column in self._columns():
            column.values = column.room[: self._rows[USED]]
        return Joined(*changes, *long[:, :found])

    def drop_expired(self, threshold_ms: int) -> None:
        """Drops the intervals that no view at or after the threshold can extend, once they are a quarter of all rows.

        The others are laid out by user, without free rows.
        """
        count = int(np.count_nonzero(self._open(threshold_ms)))
        if 4 * count > 3 * len(self):
            return
        before = self._next.values, self._start.values, self._end.values
        self._next, self._start, self._end = Column(np.int32), Column(np.int64), Column(np.int64)
        for column in self._columns():
            column.grow(count)
        kept = self._next.values, self._start.values, self._end.values
        keep_open(threshold_ms - self._gap_ms, self._head.values, *before, *kept)
        self._rows[:] = _NONE, count

    def oldest_start(self, threshold_ms: int) -> int:
        """The earliest start of an open session, in Unix milliseconds."""
        return int(self._start.values.min(where=self._open(threshold_ms), initial=_NEVER))

    def __len__(self) -> int:
        """The number of rows, including free ones."""
        return len(self._end.values)

    def _open(self, threshold_ms: int) -> NDArray[np.bool_]:
        return self._end.values >= threshold_ms - self._gap_ms

    def _columns(self) -> tuple[Column, ...]:
        return self._next, self._start, self._end
