"""Chains of users' days against a dict, whatever is added and dropped, in any order."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from movie_stream.aggregates.user_days import UserDays
from movie_stream.columnar.columns import Ints
from tests.support.examples import examples

Pair = tuple[int, int]
pairs = st.lists(st.tuples(st.integers(0, 4) | st.integers(0, 80_000), st.integers(0, 9)), max_size=20)


def halves(some: list[Pair]) -> tuple[Ints, Ints]:
    return np.array([day for day, _ in some], np.int64), np.array([user for _, user in some], np.int64)


class UserDaysMachine(RuleBasedStateMachine):
    """The rows, and the list that they must be like."""

    @initialize()
    def start(self) -> None:
        self.days, self.model = UserDays(), dict[Pair, tuple[int, int]]()
        self.days.grow_users(10)

    @rule(some=pairs, minutes=st.integers(-1, 90))
    def add(self, some: list[Pair], minutes: int) -> None:
        rows = self.days.count(*halves(some), np.full(len(some), minutes))
        for pair in some:
            views, watched = self.model.get(pair, (0, 0))
            self.model[pair] = views + 1, watched + max(minutes, 0)
        assert rows.tolist() == [list(self.model).index(pair) for pair in some]

    @rule(some=pairs.map(lambda some: list(dict.fromkeys(some))), views=st.integers(1, 9))
    def load(self, some: list[Pair], views: int) -> None:
        self.days.load(*halves(some), np.full(len(some), views, np.int32), np.arange(len(some)))
        self.model |= {pair: (views, minutes) for minutes, pair in enumerate(some)}

    @rule(some=pairs)
    def find(self, some: list[Pair]) -> None:
        held = {pair: row for row, pair in enumerate(self.model)}
        assert self.days.find(*halves(some)).tolist() == [held.get(pair, -1) for pair in some]

    @rule(rng=st.randoms(use_true_random=False))
    def keep(self, rng: random.Random) -> None:
        kept = rng.sample(list(self.model.items()), rng.randint(0, len(self.model)))
        held = {pair: row for row, pair in enumerate(self.model)}
        self.days.keep(np.array([held[pair] for pair, _ in kept], np.int64))
        self.model = dict(kept)

    @invariant()
    def is_the_same(self) -> None:
        days, users = self.days.day.tolist(), self.days.user.tolist()
        assert list(zip(days, users, strict=True)) == list(self.model)
        counted = list(zip(self.days.views.tolist(), self.days.minutes.tolist(), strict=True))
        assert counted == list(self.model.values())
        assert self.days.unsaved.all()


TestUserDays = UserDaysMachine.TestCase
TestUserDays.settings = settings(max_examples=examples(80), stateful_step_count=12)
