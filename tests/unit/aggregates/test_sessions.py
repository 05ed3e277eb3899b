"""Chains of intervals against a list, with places that are used again and sessions that are over."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from movie_stream.aggregates.sessions import Intervals, Sessions
from tests.support.examples import examples

GAP = 5
Interval = tuple[int, int, int]
users = st.lists(st.integers(0, 9), max_size=8, unique=True).map(sorted)
interval = st.tuples(st.integers(0, 100), st.integers(0, 20))


def rows(intervals: Intervals) -> list[Interval]:
    return sorted(zip(*(column.tolist() for column in (intervals.user, intervals.start, intervals.end)), strict=True))


class SessionsMachine(RuleBasedStateMachine):
    """The sessions, and the sorted list that they must be like. What is over may be there, or not."""

    @initialize()
    def start(self) -> None:
        self.sessions, self.model, self.threshold = Sessions(GAP), set[Interval](), 0
        self.sessions.grow_users(10)

    def open(self) -> list[Interval]:
        return sorted(one for one in self.model if one[2] + GAP >= self.threshold)

    @rule(of=users, some=st.lists(interval, max_size=12), later=st.integers(0, 10))
    def take_and_put(self, of: list[int], some: list[tuple[int, int]], later: int) -> None:
        """As a chunk does it: the sessions of its users come out, and others go in."""
        self.threshold += later
        taken = self.sessions.take(np.array(of, np.int64), self.threshold)
        assert rows(taken) == [one for one in self.open() if one[0] in of]
        self.model -= {one for one in self.model if one[0] in of}
        starts = [
            (user, self.threshold + ahead, length) for user, (ahead, length) in zip(cycle(of), some, strict=False)
        ]
        new = {(user, start, start + length) for user, start, length in starts}
        user, start, end = np.array(sorted(new), np.int64).reshape(-1, 3).T.copy()
        self.sessions.put(Intervals(user, start, end))
        self.model |= new

    @rule(later=st.integers(0, 60))
    def drop_expired(self, later: int) -> None:
        self.threshold += later
        self.sessions.drop_expired(self.threshold)
        left = rows(self.sessions.find(np.arange(10)))
        assert set(self.open()) <= set(left) <= self.model
        self.model = set(left)
        assert 3 * len(self.sessions) <= 4 * len(self.open()), "a quarter, at most, is free or over"

    @invariant()
    def is_the_same(self) -> None:
        found = [one for one in rows(self.sessions.find(np.arange(10))) if one[2] + GAP >= self.threshold]
        assert found == self.open()
        assert self.sessions.oldest_start(self.threshold) == min(
            (start for _, start, _ in self.open()), default=np.iinfo(np.int64).max
        )


TestSessions = SessionsMachine.TestCase
TestSessions.settings = settings(max_examples=examples(50), stateful_step_count=20)


def test_places_are_used_again() -> None:
    sessions = Sessions(GAP)
    sessions.grow_users(100)
    everyone = np.arange(100)
    for time in range(50):
        sessions.take(everyone, threshold_ms=0)
        sessions.put(Intervals(everyone, np.full(100, time), np.full(100, time + 1)))
    assert len(sessions) == 100
    assert rows(sessions.find(everyone)) == [(user, 49, 50) for user in range(100)]


def test_all_users_are_walked_when_there_are_many() -> None:
    sessions, count = Sessions(GAP), 150_000
    sessions.grow_users(count)
    user = np.repeat(np.arange(count), 2)
    time = np.tile([0, 1000], count)
    sessions.put(Intervals(user, time, time))
    sessions.drop_expired(threshold_ms=500)
    left = sessions.find(np.arange(count))
    assert len(sessions) == len(left.user) == count
    assert set(left.start.tolist()) == {1000}
    sessions.drop_expired(threshold_ms=5000)
    assert (len(sessions), len(sessions.find(np.arange(count)).user)) == (0, 0)
