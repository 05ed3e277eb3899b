"""The views and minutes of each user on each open day, as rows; those of one user form a linked list."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.columnar.columns import AnyInts, Bools, Column, Ints
from movie_stream.kernels.users import add_days, count_views, find_days

_NONE: Final = -1


class UserDays:
    """One row for each day and user with a view, in order of first appearance: 25 bytes a row and 4 a user.

    Users are numbers from 0 on, days are counted since 1970. No hash table is needed: a user has few open days, and the
    newest, which most views belong to, is the head of the list. A look-up takes one step for each newer day; the
    allowed lateness bounds their number.

    >>> days = UserDays()
    >>> days.grow_users(3)
    >>> days.count(np.array([9, 9, 8]), np.array([0, 2, 2]), np.array([90, 90, 90])).tolist(), len(days)
    ([0, 1, 2], 3)
    >>> days.find(np.array([8, 8]), np.array([2, 0])).tolist()
    [2, -1]
    """

    def __init__(self) -> None:
        self._head = Column(np.int32, fill=_NONE)  # by user: the first row of the list
        self._next = Column(np.int32)
        self._day, self._user = Column(np.int32), Column(np.int32)
        self._views, self._minutes, self._unsaved = Column(np.int32), Column(np.int64), Column(np.bool_)

    def __len__(self) -> int:
        return len(self._day.values)

    @property
    def day(self) -> AnyInts:
        """The day of each row."""
        return self._day.values

    @property
    def user(self) -> AnyInts:
        """The user of each row."""
        return self._user.values

    @property
    def views(self) -> AnyInts:
        """The number of views of each row."""
        return self._views.values

    @property
    def minutes(self) -> Ints:
        """The minutes watched of each row: the sum of the durations of its views."""
        return self._minutes.values

    @property
    def unsaved(self) -> Bools:
        """The mask of rows that changed since they were written to the changelog."""
        return self._unsaved.values

    def grow_users(self, count: int) -> None:
        """Grows the column of users to this number; new ones have no rows."""
        self._head.grow(count)

    def find(self, day: Ints, user: Ints) -> Ints:
        """The row of each pair of day and user, -1 for unknown pairs."""
        rows = np.empty(len(day), np.int64)
        find_days(day, user, self._head.values, self._next.values, self._day.values, rows)
        return rows

    def count(self, day: Ints, user: Ints, minutes: Ints) -> Ints:
        """Counts a view of each pair; its minutes are negative if they are not known. Returns the row of each pair:
        new pairs get new rows, in the order given.
        """
        rows = self._reserve(len(day))
        counted = self._views.room, self._minutes.room, self._unsaved.room
        self._use(count_views(day, user, minutes, *self._lists, *counted, len(self), rows))
        return rows

    def load(self, day: Ints, user: Ints, views: AnyInts, minutes: Ints) -> None:
        """Replaces the views and minutes of these pairs."""
        rows = self._reserve(len(day))
        self._use(add_days(day, user, *self._lists, len(self), rows))
        self._views.values[rows], self._minutes.values[rows], self._unsaved.values[rows] = views, minutes, True

    def keep(self, rows: Ints) -> None:
        """Drops all other rows and renumbers the remaining ones, in this order."""
        for column in self._columns():
            column.keep(rows)
        self._head.values[:] = _NONE
        day, user = (column.values.astype(np.int64) for column in (self._day, self._user))
        add_days(day, user, *self._lists, 0, np.empty(len(rows), np.int64))

    @property
    def _lists(self) -> tuple[AnyInts, AnyInts, AnyInts, AnyInts]:
        """For the kernels."""
        return self._head.values, self._next.room, self._day.room, self._user.room

    def _reserve(self, more: int) -> Ints:
        """Makes room for more rows; returns an array for so many numbers of rows."""
        for column in self._columns():
            column.reserve(len(self) + more)
        return np.empty(more, np.int64)

    def _use(self, length: int) -> None:
        for column in self._columns():
            column.values = column.room[:length]

    def _columns(self) -> tuple[Column, ...]:
        return self._next, self._day, self._user, self._views, self._minutes, self._unsaved
