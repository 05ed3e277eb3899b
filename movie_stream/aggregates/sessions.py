"""The open sessions of all users of one partition, as intervals: [first start, furthest end]."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.columns import AnyInts, Column, Ints

_NEVER: Final = np.iinfo(np.int64).max
_LONG_AGO: Final = np.iinfo(np.int64).min
_NONE: Final = -1
_USERS_AT_ONCE: Final = 1 << 16

Rows = NDArray[np.int32]


class Intervals(msgspec.Struct, gc=False):
    """Sessions as columns of equal length."""

    user: Any
    """Numbers of users: one-dimensional, of any width of integer."""
    start: Ints
    """The start of the first view, in Unix milliseconds."""
    end: Ints
    """The latest end of a view, in Unix milliseconds."""


class Sessions:
    """A linked list of intervals for each user, all in the same columns, at 20 bytes an interval.

    Freed rows are reused; `forget` finds the rows of closed sessions.
    """

    def __init__(self, gap_ms: int) -> None:
        self._gap_ms = gap_ms
        self._head = Column(np.int32, fill=_NONE)  # by user: the first interval of the list
        self._next = Column(np.int32)
        self._start, self._end = Column(np.int64), Column(np.int64)  # the end of a free row is _LONG_AGO
        self._free = Column(np.int32)

    def grow_users(self, count: int) -> None:
        """Grows the columns to this number of users; new ones have no session."""
        self._head.grow(count)

    def find(self, users: AnyInts) -> Intervals:
        """The intervals of these users, in no particular order."""
        return self._at(*self._walk(users))

    def take(self, users: AnyInts, threshold_ms: int) -> Intervals:
        """Removes the intervals of these users; returns those that a view from the threshold on can still extend."""
        user, rows = self._walk(users)
        found = self._at(user, rows)
        self._head.values[users] = _NONE
        self._end.values[rows] = _LONG_AGO
        free = len(self._free.values)
        self._free.grow(free + len(rows))
        self._free.values[free:] = rows
        open_still = found.end >= threshold_ms - self._gap_ms
        return Intervals(found.user[open_still], found.start[open_still], found.end[open_still])

    def put(self, new: Intervals) -> None:
        """Adds intervals, sorted by user, for users that have none."""
        rows = self._free_rows(len(new.start))
        self._start.values[rows], self._end.values[rows] = new.start, new.end
        self._link(new.user, rows)

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
        self._free.grow(0)
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

    def _free_rows(self, count: int) -> Rows:
        """Allocates rows, free ones first."""
        length, free = len(self._end.values), len(self._free.values)
        from_free = min(count, free)
        reused = self._free.values[free - from_free :].copy()
        self._free.grow(free - from_free)
        for column in (self._next, self._start, self._end):
            column.grow(length + count - from_free)
        return np.concatenate([reused, np.arange(length, length + count - from_free, dtype=np.int32)])

    def _link(self, user: AnyInts, rows: Rows) -> None:
        """Links the intervals of each user; they have to be sorted by user."""
        if not len(user):
            return
        begins = np.diff(user, prepend=-1) != 0
        after = np.roll(rows, -1)
        after[np.roll(begins, -1)] = _NONE
        self._next.values[rows] = after
        self._head.values[user[begins]] = rows[begins]
