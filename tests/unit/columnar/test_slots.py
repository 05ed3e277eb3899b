"""The slots of a hash table against a dict, whatever the hashes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from movie_stream.columnar.slots import Slots

hashes = st.integers(0, 3) | st.sampled_from([63, 64, 127, 128, 2**32 - 1]) | st.integers(0, 2**32 - 1)


@given(st.lists(st.lists(st.tuples(hashes, st.integers(0, 50)), max_size=40), max_size=8), st.booleans())
def test_things_are_found_by_hashes_that_may_be_equal(rounds: list[list[tuple[int, int]]], rebuilt: bool) -> None:
    slots, numbers = Slots(), dict[tuple[int, int], int]()

    def held() -> NDArray[np.int64]:
        return np.array([thing for _, thing in numbers] or [-1], np.int64)

    def hashes_of(part: slice) -> NDArray[np.uint32]:
        return np.array([value for value, _ in numbers], np.uint32)[part]

    def find(some: list[tuple[int, int]]) -> list[int]:
        asked, things = (np.array([pair[half] for pair in some], np.uint32) for half in (0, 1))
        of = hashes_of(slice(None))
        return slots.find(
            asked,
            lambda number, places: (held()[number] == things[places]) & (of[number] == asked[places]),
        ).tolist()

    for some in rounds:
        assert find(some) == [numbers.get(pair, -1) for pair in some]
        known = len(numbers)
        for pair in some:
            numbers.setdefault(pair, len(numbers))
        slots.extend(known, hashes_of(slice(known, None)))
        if rebuilt:
            slots.rebuild(len(numbers), hashes_of)
        assert find(some) == [numbers[pair] for pair in some]
    assert find(list(numbers)) == list(range(len(numbers)))


@pytest.mark.parametrize("length", [0, 1, 42, 43, 85, 86, 1000, 70_000, 140_001])
def test_all_are_found_and_few_compared_however_many_there_are(length: int) -> None:
    """A search for a missing key ends too."""
    hashes_of, compared = (all_alike if length < 200 else wide), 0

    def same(numbers: NDArray[np.int64], asked: NDArray[np.int64] | slice) -> NDArray[np.bool_]:
        nonlocal compared
        compared += len(numbers)
        return numbers == wanted[asked]

    slots = Slots()
    slots.rebuild(length, hashes_of)
    wanted = np.arange(length)
    assert slots.find(hashes_of(slice(0, length)), same).tolist() == list(range(length))
    if hashes_of is wide:
        assert compared == length, "each has a hash of its own"
    wanted = np.full(length + 1, -2)
    assert slots.find(hashes_of(slice(0, length + 1)), same).tolist() == [-1] * (length + 1)


def all_alike(part: slice) -> NDArray[np.uint32]:
    return np.zeros(part.stop - part.start, np.uint32)


def wide(part: slice) -> NDArray[np.uint32]:
    return np.arange(part.start, part.stop).astype(np.uint32) * np.uint32(2_654_435_761)
