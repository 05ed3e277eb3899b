"""The state of each user: the first view, the views of each day, and the sessions; and the figures of days.

Everything is exact because all views of a user are in one partition. A session is a maximal run of one user's views in
which each starts no later than the gap after the furthest end so far. It is kept as an interval, [first start, furthest
end], which suffices for a later view to join, extend or bridge it.

Users are never dropped. Each takes about 45 bytes (a number, a first view, two list heads), plus the bytes of its name.
An open session takes 20 more, an open day with a view 25.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from movie_stream.aggregates.batch import Batch, GroupedBatch
from movie_stream.aggregates.fields import NEW_USERS, SESSION_MS, SESSIONS, TOTAL_USERS, TopUsers
from movie_stream.aggregates.groups import BLOCK_BYTES, Groups
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.sessions import Intervals, Sessions
from movie_stream.aggregates.user_days import UserDays
from movie_stream.aggregates.vocabulary import Names, Vocabulary
from movie_stream.aggregates.window import DAY
from movie_stream.columnar.columns import AnyInts, Column, Ints
from movie_stream.kernels.users import see_first

_NEVER: Final = np.iinfo(np.int64).max
_DAY_MS: Final = 86_400_000
_MINUTE_MS: Final = 60_000
_USERS_IN_BLOCK: Final = 8_000
_USER_BYTES, _SESSION_BYTES, _DAY_BYTES = 16, 16, 20
"""Bytes of a user, a session and a day in a block, besides the name."""


class UsersBlock(msgspec.Struct, array_like=True, tag="users"):
    """Users in a changelog: the state of each, except the views by day."""

    names: bytes
    """Concatenated, in UTF-8."""
    lengths: bytes
    """The length of each name in bytes, int32."""
    first_ms: bytes
    """The time of the first view, in Unix milliseconds, int64."""
    sessions: bytes
    """The number of intervals of each user, int32; the intervals are in the order of the users."""
    starts_ms: bytes
    """In Unix milliseconds, int64, like the ends."""
    ends_ms: bytes


class UserDaysBlock(msgspec.Struct, array_like=True, tag="days"):
    """The views and minutes of users by day, in a changelog."""

    names: bytes
    lengths: bytes
    days: bytes
    """Days since 1970, int32."""
    views: bytes
    """int32: a partition with the views of one user alone would need ten hours to overflow it."""
    minutes: bytes
    """int64."""


class Users:
    """The users of one source partition, in columns."""

    def __init__(self, results: tuple[Result, ...], gap_ms: int) -> None:
        self._gap_ms = gap_ms
        self.names = Names()
        self._first, self._unsaved = Column(np.int64, fill=_NEVER), Column(np.bool_)
        self._sessions = Sessions(gap_ms)
        self._days = UserDays()
        self.figures = [Groups(result, None, Vocabulary(), live=True) for result in results if result.aggregates_users]

    def apply(self, batch: Batch, threshold_ms: int) -> None:
        """Adds the views of a batch; `threshold_ms` is the lower bound of the timestamps of all later valid views."""
        self._grow()
        user, days = batch.ids["user_id"], GroupedBatch(batch, DAY, None)
        self._unsaved.values[user] = True
        for figures in self.figures:
            figures.touch(figures.rows(days.starts, None), days.label)
        self._count(batch, days)
        self._see_first(user, batch.timestamp_ms, batch.offset)
        self._join_sessions(batch, threshold_ms)

    def _grow(self) -> None:
        for column in (self._first, self._unsaved):
            column.grow(len(self.names))
        self._sessions.grow_users(len(self.names))
        self._days.grow_users(len(self.names))

    def _add(self, figure: str, day: Ints, amount: Ints | int) -> None:
        """Adds amounts to a figure of these days, all of which have a row."""
        days, sums = _by_day(day, amount)
        for figures in self.figures:
            if figure in figures.held:
                rows = figures.find(days)
                if rows.min(initial=0) < 0:
                    raise AssertionError("the figures of a day were dropped although they can still change")
                figures.held[figure].values[rows] += sums

    def _touch(self, day: Ints, offset: Ints) -> None:
        """Marks the figures of days, if there are any, as changed by records of other days."""
        for figures in self.figures:
            if SESSIONS.name in figures.held or NEW_USERS.name in figures.held:
                rows = figures.find(day)
                figures.touch(rows[rows >= 0], offset[rows >= 0])

    def _count(self, batch: Batch, days: GroupedBatch) -> None:
        """Adds the views of each user on each day."""
        known = len(self._days)
        rows = self._days.count(batch.timestamp_ms // _DAY_MS, batch.ids["user_id"], batch.numbers["duration"])
        self._add(TOTAL_USERS.name, self._starts(slice(known, None)), 1)
        for figures in self.figures:
            for field in figures.result.fields.values():
                if isinstance(field, TopUsers):
                    self._rank(figures, field.limit, days, rows)

    def _starts(self, rows: Ints | slice) -> Ints:
        """The start of the day of each row, in Unix milliseconds."""
        return self._days.day[rows].astype(np.int64) * _DAY_MS

    def _rank(self, figures: Groups, limit: int, days: GroupedBatch, touched: Ints) -> None:
        """Updates the top lists of days: only users already listed, or with a view in this batch, can be listed."""
        held, rows, number = (
            figures.held["top_users"].values,
            figures.find(days.starts).tolist(),
            days.starts // _DAY_MS,
        )
        lists = [held[row] or () for row in rows]
        sizes = np.array([*map(len, lists)], np.int64)
        names = self.names.ids([user for each in lists for _, _, user in each])
        listed = self._days.find(np.repeat(number, sizes), names)
        views = self._days.views
        least = np.full(len(days), np.iinfo(np.int32).max, np.int32)
        np.minimum.at(least, np.repeat(np.arange(len(days)), sizes), views[listed])
        least[sizes < limit] = 0
        is_near = np.zeros(len(views), np.bool_)
        is_near[touched[views[touched] >= least[days.group_of]]] = True
        is_near[listed] = True
        near = np.flatnonzero(is_near)
        by_number = np.argsort(number)
        day = by_number[np.searchsorted(number[by_number], self._days.day[near])]
        near, ends = near[np.argsort(day, kind="stable")], np.cumsum(np.bincount(day, minlength=len(days)))
        top, counts = self.names.most_viewed(
            self._days.user[near].astype(np.int64), views[near].astype(np.int64), ends, limit
        )
        of_top = self._days.find(np.repeat(number, counts), top)
        entries = [
            *zip(views[of_top].tolist(), self._days.minutes[of_top].tolist(), self.names.texts(top), strict=True)
        ]
        for row, (begin, end) in zip(rows, pairwise([0, *np.cumsum(counts).tolist()]), strict=True):
            held[row] = tuple(entries[begin:end])

    def _see_first(self, user: Ints, timestamp_ms: Ints, offset: Ints) -> None:
        """Moves users between the days on which they are new, record by record in log order."""
        earlier, old = np.empty((2, len(user)), np.int64)
        count = see_first(user, timestamp_ms, self._first.values, earlier, old)
        earlier, old = earlier[:count], old[:count]
        new_day, known = DAY.starts(timestamp_ms[earlier]), np.flatnonzero(old != _NEVER)
        self._add(NEW_USERS.name, new_day[old == _NEVER], 1)
        old_day = DAY.starts(old[known])
        other = old_day != new_day[known]
        self._add(NEW_USERS.name, new_day[known[other]], 1)
        self._add(NEW_USERS.name, old_day[other], -1)
        self._touch(old_day[other], offset[earlier[known[other]]])

    def _join_sessions(self, batch: Batch, threshold_ms: int) -> None:
        """Joins the views with the sessions of their users."""
        start = batch.timestamp_ms
        end = start + np.maximum(batch.numbers["duration"], 0) * _MINUTE_MS  # MISSING is negative
        days = np.unique(np.concatenate([np.zeros(0, np.int64), *(figures.starts for figures in self.figures)]))
        joined = self._sessions.join(Intervals(batch.ids["user_id"], start, end), threshold_ms, days)
        if self.figures and (joined.sessions[-1] or joined.session_ms[-1]):
            raise AssertionError("the figures of a day were dropped although they can still change")
        self._add(SESSIONS.name, days, joined.sessions[:-1])
        self._add(SESSION_MS.name, days, joined.session_ms[:-1])
        self._touch_spanned(joined.starts, joined.ends, batch.offset[joined.views])

    def _touch_spanned(self, start: Ints, end: Ints, label: Ints) -> None:
        """Labels all days of sessions: before its last view arrived, it may have begun on any of them."""
        day, last = DAY.starts(start), DAY.starts(end)
        while len(day):
            self._touch(day, label)
            day = day + _DAY_MS
            inside = day <= last
            day, last, label = day[inside], last[inside], label[inside]

    def drop_expired(self, threshold_ms: int) -> None:
        """Drops the state that no view at or after the threshold can change; figures only if they were sent."""
        self._sessions.drop_expired(threshold_ms)
        gone = self._days.day < threshold_ms // _DAY_MS
        if 8 * np.count_nonzero(gone) >= max(len(gone), 1):
            self._days.keep(np.flatnonzero(~gone))
        open_since = DAY.start_of(self._sessions.oldest_start(threshold_ms))
        for figures in self.figures:
            past = (figures.starts + _DAY_MS <= threshold_ms) & (figures.starts < open_since)
            figures.drop(past & ~figures.unsent.values)

    def freeze(self, snapshot: bool, most: int | None = None) -> Iterator[UsersBlock | UserDaysBlock]:
        """The changes since the last call, or the whole state if `snapshot`, without the figures of days.

        Blocks have up to `most` bytes (None: BLOCK_BYTES), or one user. The columns are copied now; the names, which
        never change, are looked up as the iterator advances.
        """
        most = BLOCK_BYTES if most is None else min(most, BLOCK_BYTES)
        copied: list[tuple[type[UsersBlock | UserDaysBlock], AnyInts, list[bytes]]] = []
        users = np.arange(len(self._unsaved.values)) if snapshot else np.flatnonzero(self._unsaved.values)
        for part in _portions(users.astype(np.int32)):
            count, start, end = self._sessions.of(part)
            first_of = np.concatenate([[0], np.cumsum(count)])
            for rows in split_by_size(self.names.sizes(part) + _USER_BYTES + _SESSION_BYTES * count, most):
                block_users, sessions = part[rows], slice(first_of[rows.start], first_of[rows.stop])
                columns = [self._first.values[block_users], count[rows], start[sessions], end[sessions]]
                copied.append((UsersBlock, block_users, [column.tobytes() for column in columns]))
        days = np.arange(len(self._days)) if snapshot else np.flatnonzero(self._days.unsaved)
        for part in _portions(days):
            for rows in split_by_size(self.names.sizes(self._days.user[part]) + _DAY_BYTES, most):
                block_days = part[rows]
                columns = [self._days.day[block_days], self._days.views[block_days], self._days.minutes[block_days]]
                copied.append((UserDaysBlock, self._days.user[block_days], [column.tobytes() for column in columns]))
        self.mark_saved()
        return (block(*self.names.pack(user), *columns) for block, user, columns in copied)

    def mark_saved(self) -> None:
        """Marks everything as saved."""
        self._unsaved.values[:] = False
        self._days.unsaved[:] = False

    def load(self, block: UsersBlock | UserDaysBlock) -> None:
        """Loads a block that `freeze` made."""
        user = self.names.unpack(block.names, block.lengths)
        self._grow()
        if isinstance(block, UserDaysBlock):
            days, views = np.frombuffer(block.days, np.int32).astype(np.int64), np.frombuffer(block.views, np.int32)
            self._days.load(days, user, views, np.frombuffer(block.minutes, np.int64))
            return
        self._first.values[user] = np.frombuffer(block.first_ms, np.int64)
        owner = np.repeat(user, np.frombuffer(block.sessions, np.int32))
        starts, ends = np.frombuffer(block.starts_ms, np.int64), np.frombuffer(block.ends_ms, np.int64)
        self._sessions.join(Intervals(owner, starts, ends), threshold_ms=0, days_ms=np.zeros(0, np.int64))


def _by_day(day: Ints, amount: Ints | int) -> tuple[Ints, Ints]:
    """The distinct days, and the sum of the amounts of each.

    >>> [sums.tolist() for sums in _by_day(np.array([3, 5, 3]), np.array([1, 10, 100]))]
    [[3, 5], [101, 10]]
    """
    amounts = np.broadcast_to(np.asarray(amount), len(day))
    if len(day) and (day == day[0]).all():  # the common case
        return day[:1], amounts.sum(keepdims=True)
    days, inverse = np.unique(day, return_inverse=True)
    sums = np.zeros(len(days), np.int64)
    np.add.at(sums, inverse, amounts)
    return days, sums


def _portions(rows: AnyInts) -> Iterator[AnyInts]:
    for at in range(0, len(rows), _USERS_IN_BLOCK):
        yield rows[at : at + _USERS_IN_BLOCK]


def split_by_size(sizes: Ints, most: int) -> Iterator[slice]:
    """Splits rows of these sizes so that each part has up to `most` bytes, or one row.

    >>> [(rows.start, rows.stop) for rows in split_by_size(np.array([3, 3, 9, 1, 1]), 6)]
    [(0, 2), (2, 3), (3, 5)]
    """
    cumulative, begin, before = np.cumsum(sizes), 0, 0
    while begin < len(sizes):
        end = max(int(np.searchsorted(cumulative, before + most, "right")), begin + 1)
        yield slice(begin, end)
        begin, before = end, int(cumulative[end - 1])
