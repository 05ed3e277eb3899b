"""Growable columns, the hash index against a dict, and the running maximum against a loop."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from movie_stream.columnar.allocator import PAGES_FROM_BYTES
from movie_stream.columnar.columns import Column, Ints, PairIndex
from tests.support.examples import examples

Pair = tuple[int, int]
extremes = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 86_400_000, 1 << 32])
narrow = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)])
pairs = st.lists(st.tuples(extremes | st.integers(0, 5), narrow | st.integers(0, 5)), max_size=20)
many = st.tuples(st.integers(0, 2**40), st.integers(0, 300)).map(lambda n: [(n[0] + i, i % 3) for i in range(n[1])])


def halves(some: list[Pair]) -> tuple[Ints, Ints]:
    return np.array([a for a, _ in some], np.int64), np.array([b for _, b in some], np.int64)


class PairIndexMachine(RuleBasedStateMachine):
    """A PairIndex and the dict that it must be like."""

    @initialize()
    def start(self) -> None:
        self.index, self.model = PairIndex(), dict[Pair, int]()

    @rule(some=pairs | many)
    def add(self, some: list[Pair]) -> None:
        wanted = [self.model.setdefault(pair, len(self.model)) for pair in some]
        assert self.index.add(*halves(some)).tolist() == wanted

    @rule(some=pairs)
    def find(self, some: list[Pair]) -> None:
        assert self.index.find(*halves(some)).tolist() == [self.model.get(pair, -1) for pair in some]

    @rule(rng=st.randoms(use_true_random=False))
    def keep(self, rng: random.Random) -> None:
        by_number = list(self.model)
        kept = rng.sample(range(len(by_number)), rng.randint(0, len(by_number)))
        self.index.keep(np.array(kept, np.int64))
        self.model = {by_number[old]: new for new, old in enumerate(kept)}

    @rule()
    def replace_second(self) -> None:
        self.index.second.values[:] ^= 5
        self.index.rehash()
        self.model = {(a, b ^ 5): number for (a, b), number in self.model.items()}

    @invariant()
    def is_the_same(self) -> None:
        assert len(self.index) == len(self.model)
        a, b = self.index.pairs
        assert list(zip(a.tolist(), b.tolist(), strict=True)) == list(self.model)


TestPairIndex = PairIndexMachine.TestCase
TestPairIndex.settings = settings(max_examples=examples(60), stateful_step_count=12)


def test_a_pair_that_does_not_fit_is_not_found() -> None:
    index = PairIndex()
    index.add(*halves([(0, 0), (0, -1)]))
    assert index.find(*halves([(0, 1 << 32), (0, (1 << 32) - 1), (0, -1)])).tolist() == [-1, -1, 1]


def test_pairs_that_differ_in_one_bit_are_distinguished() -> None:
    index, some = PairIndex(), [(0, 0), *((1 << 63 - bit, 0) for bit in range(1, 63))]
    assert index.add(*halves(some)).tolist() == list(range(63))
    assert index.find(*halves(some[::-1])).tolist() == list(range(63))[::-1]


def test_a_column_grows_filled_and_keeps_the_picked_rows() -> None:
    column = Column(np.int64, fill=-1, width=(2,))
    column.grow(100)
    column.values[:, 0] = np.arange(100)
    column.keep(np.array([99, 3]))
    assert column.values.tolist() == [[99, -1], [3, -1]]
    column.grow(3)
    assert column.values.tolist() == [[99, -1], [3, -1], [-1, -1]]
    column.keep(np.zeros(0, np.int64))
    column.grow(2)
    assert column.values.tolist() == [[-1, -1], [-1, -1]]


@given(st.lists(st.text(max_size=3) | st.none() | st.tuples(st.integers()), max_size=30))
def test_objects_and_numbers_travel(objects: list[object]) -> None:
    for column, values in (
        (Column(object, fill=None), objects),
        (Column(np.int64), [hash(value) % 97 for value in objects]),
        (Column(np.int64, width=(3,)), [[i, i + 1, -i] for i in range(len(objects))]),
    ):
        column.grow(len(values))
        for row, value in enumerate(values):
            column.values[row] = value
        every = np.arange(len(values))
        loaded = Column(column.values.dtype, width=column.values.shape[1:])
        loaded.grow(len(values))
        loaded.load(every, column.export(every), every[::2])
        assert loaded.values[::2].tolist() == values[::2]
        assert loaded.export(every[:0]) in ([], b"")


@settings(max_examples=examples(30), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3 * PAGES_FROM_BYTES // 8), st.booleans()), max_size=6),
    st.sampled_from([(), (3,)]),
    st.integers(0, 1_000),
)
def test_a_column_is_like_an_array_however_large(
    steps: list[tuple[int, bool]], width: tuple[int, ...], seed: int
) -> None:
    chance = np.random.default_rng(seed)
    column, wanted = Column(np.int64, fill=-1, width=width), np.empty((0, *width), np.int64)
    for more, keeps in steps:
        held = len(wanted)
        column.grow(held + more)
        assert (column.values[held:] == -1).all()
        column.values[held:] = np.arange(more).reshape(-1, *[1] * len(width))
        wanted = np.concatenate([wanted, column.values[held:]])
        if keeps:
            rows = chance.permutation(len(wanted))[: chance.integers(0, len(wanted), endpoint=True)]
            column.keep(rows)
            wanted = wanted[rows]
        assert np.array_equal(column.values, wanted)


@pytest.mark.parametrize("rows", [[-1, 2], [2, 5]])
def test_rows_that_are_not_there_cannot_be_kept(rows: list[int]) -> None:
    column = Column(np.int64)
    column.grow(5)
    with pytest.raises(IndexError, match="expected rows from 0 to before 5"):
        column.keep(np.array(rows))


@pytest.mark.parametrize("rows", [10, PAGES_FROM_BYTES])
def test_a_column_that_cannot_grow_is_as_it_was(rows: int) -> None:
    column = Column(np.int64)
    column.grow(rows)
    column.values[:] = np.arange(rows)
    with pytest.raises((MemoryError, ValueError)):
        column.grow(1 << 58)
    assert np.array_equal(column.values, np.arange(rows))
    column.grow(2 * rows)
    assert np.array_equal(column.values, [*range(rows), *[0] * rows])


def test_objects_stay_objects() -> None:
    column = Column(object, fill=None)
    column.grow(PAGES_FROM_BYTES)
    column.values[-1] = "last"
    column.keep(np.arange(PAGES_FROM_BYTES))
    assert column.values[-1] == "last"
    assert column.values[0] is None
