"""The views and minutes of each user on each open day, as rows; those of one user form a linked list."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.columnar.columns import AnyInts, Bools, Column, Ints, order_of

_NONE: Final = -1


class UserDays:
    """One row for each day and user with a view, in order of first appearance: 25 bytes a row and 4 a user.

    Users are numbers from 0 on, days are counted since 1970. No hash table is needed: a user has few open days, and the
    newest, which most views belong to, is the head of the list. A look-up takes one step for each newer day; the
    allowed lateness bounds their number.

    >>> days = UserDays()
    >>> days.grow_users(3)
    >>> days.add(np.array([9, 9, 8]), np.array([0, 2, 2])).tolist(), len(days)
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

    def find(self, day: AnyInts, user: AnyInts) -> AnyInts:
        """The row of each pair of day and user, -1 for unknown pairs."""
        found = self._head.values[user]
        pending = np.flatnonzero((self._day.values[found] != day) & (found != _NONE)) if len(self) else found[:0]
        while len(pending):
            rows = self._next.values[found[pending]]
            found[pending] = rows
            pending = pending[(self._day.values[rows] != day[pending]) & (rows != _NONE)]
        return found

    def add(self, day: AnyInts, user: AnyInts) -> AnyInts:
        """The row of each pair; pairs have to be distinct. New pairs get new rows, in the order given."""
        found = self.find(day, user)
        new = np.flatnonzero(found == _NONE)
        if len(new):
            start = len(self)
            for column in self._columns():
                column.grow(start + len(new))
            found[new] = np.arange(start, start + len(new))
            self._day.values[start:], self._user.values[start:] = day[new], user[new]
            self._link(start)
        return found

    def keep(self, rows: Ints) -> None:
        """Drops all other rows and renumbers the remaining ones, in this order."""
        for column in self._columns():
            column.keep(rows)
        self._head.values[:] = _NONE
        self._link(0)

    def _columns(self) -> tuple[Column, ...]:
        return self._next, self._day, self._user, self._views, self._minutes, self._unsaved

    def _link(self, start: int) -> None:
        """Prepends the rows from `start` on to the lists of their users, day by day, so that the newest is the head."""
        day = self._day.values[start:]
        if len(day) and (day == day[0]).all():
            runs = [np.arange(start, len(self))]
        else:
            order = order_of(day.astype(np.int64) - day.min(initial=0)) if len(day) else day
            runs = np.split(start + order, np.flatnonzero(np.diff(day[order])) + 1)
        for rows in runs:
            user = self._user.values[rows]
            self._next.values[rows] = self._head.values[user]
            self._head.values[user] = rows
