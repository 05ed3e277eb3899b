"""Hash tables against a dict, whatever the hashes, and however little room there is."""

from __future__ import annotations

from itertools import accumulate
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from movie_stream.kernels.compiled import Bytes, Ints, Words
from movie_stream.kernels.hash_tables import (
    find_pairs,
    intern_pairs,
    intern_strings,
    rehash,
)
from tests.support.examples import examples

KEY: Final = np.array([3, 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)
alike = st.sampled_from([b"", b"\0", b"\0" * 8, b"a" * 7, b"a" * 8, b"a" * 9, b"a" * 16, b"a" * 16 + b"b"])
strings = st.lists(st.binary(max_size=20) | alike, max_size=30)
hashes = st.integers(0, 3) | st.integers(0, 2**64 - 1) | st.just(2**64 - 1)


class Strings:
    """A table of strings; its hashes are what a test says."""

    def __init__(self, slots: int = 8, names: int = 1, bounds: int = 2) -> None:
        self.slots, self.names = np.zeros(slots, np.uint64), np.zeros(names + 8, np.uint8)
        self.bounds, self.count = np.zeros(bounds, np.int64), 0

    def intern(self, some: list[bytes], of: Words) -> list[int]:
        """Doubles whatever may be too small until there is room for all."""
        numbers, row = np.full(len(some), -7, np.int64), 0
        while True:
            row, self.count = intern_strings(
                *spans(some), of, row, self.slots, self.names, self.bounds, self.count, numbers
            )
            if row == len(some):
                return numbers.tolist()
            self.slots, before = np.zeros(2 * len(self.slots), np.uint64), self.slots
            rehash(before, self.slots)
            self.names, self.bounds = (np.concatenate([kept, kept]) for kept in (self.names, self.bounds))


def spans(some: list[bytes]) -> tuple[Bytes, Ints, Ints]:
    """Back to back, so that the buffer ends where the last string does."""
    ends = list(accumulate(map(len, some)))
    begins = [end - len(one) for end, one in zip(ends, some, strict=True)]
    return np.frombuffer(b"".join(some), np.uint8), np.array(begins, np.int64), np.array([*map(len, some)], np.int64)


def hashed(some: list[bytes], of: dict[bytes, int]) -> Words:
    return np.array([of[one] for one in some], np.uint64)


@given(st.lists(strings, max_size=5), st.data())
def test_strings_are_numbered_as_they_first_come(rounds: list[list[bytes]], data: st.DataObject) -> None:
    distinct = {one for some in rounds for one in some}
    of = {one: data.draw(hashes, repr(one)) for one in sorted(distinct)}
    table, model = Strings(), dict[bytes, int]()
    for some in rounds:
        assert table.intern(some, hashed(some, of)) == [model.setdefault(one, len(model)) for one in some]
        assert table.intern(some, hashed(some, of)) == [model[one] for one in some]
        assert table.count == len(model)
    kept = [table.names[table.bounds[n] : table.bounds[n + 1]].tobytes() for n in range(table.count)]
    assert kept == list(model)


@pytest.mark.parametrize("place", range(20))
@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 20])
def test_every_byte_counts(size: int, place: int) -> None:
    """Wherever the buffer ends, and whatever comes behind a string."""
    one = bytes(range(65, 65 + size))
    other = bytes(byte ^ (at == place) << 7 for at, byte in enumerate(one))
    table, of = Strings(), {one: 5, other: 5, b"behind": 6}
    some = [one, other, b"behind", other, one, b"behind", b"behind", one]
    ids = {one: 0, other: int(place < size), b"behind": 1 + int(place < size)}
    for _ in range(2):
        assert table.intern(some, hashed(some, of)) == [ids[one] for one in some]


def test_very_large_tables_are_searched_alike() -> None:
    """These have what they read fetched before."""
    table, some = Strings(1 << 18), [b"%d" % number for number in range(200)]
    of = np.arange(200, dtype=np.uint64) % 7 << np.uint64(32)
    assert table.intern(some[::2], of[::2].copy()) == list(range(100))
    assert table.intern(some, of) == [number // 2 if number % 2 == 0 else 100 + number // 2 for number in range(200)]


def test_none_is_looked_up_as_empty() -> None:
    table, none = Strings(), (np.zeros(0, np.uint8), np.zeros(1, np.int64), np.full(1, -1))
    assert table.intern([b""], np.array([7], np.uint64)) == [0]
    numbers, of = np.full(1, -7), np.array([7], np.uint64)
    assert intern_strings(*none, of, 0, table.slots, table.names, table.bounds, table.count, numbers) == (1, 1)
    assert numbers.tolist() == [0]


@pytest.mark.parametrize(("slots", "names", "bounds", "fitting"), [(8, 99, 99, 5), (64, 7, 99, 3), (64, 99, 5, 4)])
def test_nothing_is_written_beyond_the_room(slots: int, names: int, bounds: int, fitting: int) -> None:
    table, some = Strings(slots, names, bounds), [b"00", b"01", b"02", b"03", b"04", b"05", b"06"]
    numbers = np.full(len(some), -7, np.int64)
    row, count = intern_strings(
        *spans(some), np.arange(7, dtype=np.uint64), 0, table.slots, table.names, table.bounds, 0, numbers
    )
    assert (row, count) == (fitting, fitting)
    assert numbers.tolist() == [*range(fitting), *[-7] * (7 - fitting)]
    assert not table.names[2 * fitting :].any()


extremes = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)])
pairs = st.lists(
    st.tuples(extremes | st.sampled_from([2**63 - 1, -(2**63)]) | st.integers(0, 9), extremes), max_size=40
)


@settings(max_examples=examples(60))
@given(st.lists(pairs, max_size=5), st.sampled_from([KEY, np.ones(3, np.uint64), np.zeros(3, np.uint64)]))
def test_pairs_are_numbered_as_they_first_come(rounds: list[list[tuple[int, int]]], key: Words) -> None:
    """With a key of zeros all have the same hash."""
    slots, count, model = np.zeros(8, np.uint64), 0, dict[tuple[int, int], int]()
    firsts, seconds = np.zeros(1, np.int64), np.zeros(1, np.int32)
    for some in rounds:
        first, second = (np.array([pair[half] for pair in some], np.int64) for half in (0, 1))
        numbers, row = np.full(len(some), -7, np.int64), 0
        find_pairs(first, second, key, slots, firsts, seconds, numbers)
        assert numbers.tolist() == [model.get(pair, -1) for pair in some]
        while True:
            row, count = intern_pairs(first, second, key, row, slots, firsts, seconds, count, numbers)
            if row == len(some):
                break
            slots, before = np.zeros(2 * len(slots), np.uint64), slots
            rehash(before, slots)
            firsts, seconds = np.concatenate([firsts, firsts]), np.concatenate([seconds, seconds])
        assert numbers.tolist() == [model.setdefault(pair, len(model)) for pair in some]
    assert list(zip(firsts[:count].tolist(), seconds[:count].tolist(), strict=True)) == list(model)


def probes(slots: Words) -> NDArray[np.int64]:
    """How far each item is from where its search begins."""
    places = np.flatnonzero(slots)
    return (places - (slots[places] >> np.uint64(32)).astype(np.int64)) % len(slots)


def test_pairs_are_spread_over_the_table() -> None:
    """Starts of windows are multiples of a minute, and names are numbered from 0 on."""
    first, second = np.repeat(np.arange(100) * 3_600_000, 10), np.tile(np.arange(10), 100)
    slots, numbers = np.zeros(2048, np.uint64), np.zeros(1000, np.int64)
    intern_pairs(first, second, KEY, 0, slots, np.zeros(1000, np.int64), np.zeros(1000, np.int32), 0, numbers)
    assert numbers.tolist() == list(range(1000))
    assert probes(slots).mean() < 2
