"""Chains of intervals against a list, with places that are used again and sessions that are over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from movie_stream.aggregates.sessions import Intervals, Sessions
from tests.support.examples import examples

GAP = 5
DAY_MS = 86_400_000
Interval = tuple[int, int, int]
interval = st.tuples(st.integers(0, 9), st.integers(0, 100) | st.sampled_from([DAY_MS, 3 * DAY_MS]), st.integers(0, 20))
"""A user, how long after the threshold, how long."""


def rows(sessions: Sessions, users: int) -> list[Interval]:
    """All sessions, user by user, and of each in order of time."""
    counts, starts, ends = sessions.of(np.arange(users, dtype=np.int32))
    of_user = np.repeat(np.arange(users), counts)
    return list(zip(of_user.tolist(), starts.tolist(), ends.tolist(), strict=True))


def columns(intervals: Sequence[Interval]) -> Intervals:
    return Intervals(*np.array(intervals, np.int64).reshape(-1, 3).T.copy())


def per_day(intervals: Sequence[Interval]) -> Mapping[tuple[int, str], int]:
    """The number of sessions and their length by the day that they start on, 2 for all but the first two."""
    found = Counter[tuple[int, str]]()
    for _, start, end in intervals:
        day = min(start // DAY_MS, 2)
        found.update({(day, "sessions"): 1, (day, "ms"): end - start})
    return found


class SessionsMachine(RuleBasedStateMachine):
    """The sessions, and the sorted list that they must be like. Sessions that are over may be there, or not."""

    @initialize()
    def start(self) -> None:
        self.sessions, self.model, self.threshold = Sessions(GAP), set[Interval](), 0
        self.sessions.grow_users(10)

    def open(self) -> list[Interval]:
        return sorted(one for one in self.model if one[2] + GAP >= self.threshold)

    @rule(some=st.lists(interval, max_size=12), later=st.integers(0, 10))
    def join(self, some: list[Interval], later: int) -> None:
        """Joins views one by one, as a chunk does."""
        self.threshold += later
        views = [(user, self.threshold + ahead, self.threshold + ahead + length) for user, ahead, length in some]
        joined = self.sessions.join(columns(views), self.threshold, np.array([0, DAY_MS]))
        before = self.open()
        long = []
        for at, (user, start, end) in enumerate(views):
            near = {one for one in self.model if one[0] == user and one[1] - end <= GAP and start - one[2] <= GAP}
            whole = min(start, *(one[1] for one in near), start), max(end, *(one[2] for one in near), end)
            self.model = self.model - near | {(user, *whole)}
            if whole[0] // DAY_MS < whole[1] // DAY_MS:
                long.append((at, *whole))
        assert list(zip(*(column.tolist() for column in joined[2:]), strict=True)) == long
        changes = Counter(per_day(self.open()))
        changes.subtract(per_day(before))
        assert joined.sessions.tolist() == [changes[day, "sessions"] for day in range(3)]
        assert joined.session_ms.tolist() == [changes[day, "ms"] for day in range(3)]

    @rule(later=st.integers(0, 60))
    def drop_expired(self, later: int) -> None:
        self.threshold += later
        self.sessions.drop_expired(self.threshold)
        left = rows(self.sessions, 10)
        assert set(self.open()) <= set(left) <= self.model
        self.model = set(left)
        assert 3 * len(self.sessions) <= 4 * len(self.open()), "a quarter, at most, is free or over"

    @invariant()
    def is_the_same(self) -> None:
        found = [one for one in rows(self.sessions, 10) if one[2] + GAP >= self.threshold]
        assert found == self.open()
        assert self.sessions.oldest_start(self.threshold) == min(
            (start for _, start, _ in self.open()), default=np.iinfo(np.int64).max
        )


TestSessions = SessionsMachine.TestCase
TestSessions.settings = settings(max_examples=examples(50), stateful_step_count=20)


def test_places_are_used_again() -> None:
    sessions = Sessions(GAP)
    sessions.grow_users(100)
    for time in range(0, 5000, 100):
        views = [(user, time, time + 1) for user in range(100)]
        sessions.join(columns(views), time, np.zeros(0, np.int64))
        assert rows(sessions, 100) == views
    assert len(sessions) == 100


def test_the_sessions_of_some_users_are_listed_in_their_order() -> None:
    sessions = Sessions(GAP)
    sessions.grow_users(4)
    sessions.join(columns([(0, 50, 51), (3, 20, 21), (0, 10, 11), (1, 5, 6)]), 0, np.zeros(0, np.int64))
    counts, starts, ends = sessions.of(np.array([3, 2, 0], np.int32))
    assert (counts.tolist(), starts.tolist(), ends.tolist()) == ([1, 0, 2], [20, 10, 50], [21, 11, 51])
