"""Sketches: the estimate and the bytes are functions of the set alone, exact up to 300, and close enough above."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from movie_stream.columnar.hyperloglog import (
    Hashes,
    SketchColumn,
    count_distinct,
    counts_distinct,
    estimate,
    pack_hashes,
    pack_registers,
    unpack_hashes,
    unpack_registers,
)
from movie_stream.kernels.sketches import EXACT_UP_TO, raise_registers
from tests.support.examples import examples

LG_KS = (12, 14)


def members(count: int, seed: int = 0) -> Hashes:
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)


def add(column: SketchColumn, rows: NDArray[np.int64], hashes: Hashes) -> None:
    """A member to each of these rows."""
    column.add(rows, np.arange(len(rows)), hashes)


def sketch_of(hashes: Hashes, lg_k: int, sizes: Sequence[int] = ()) -> bytes:
    """The hashes added in pieces of these sizes, the rest together; the sketch is in the second of three rows."""
    column = SketchColumn(lg_k)
    column.grow(3)
    for piece in np.split(hashes, np.minimum(np.cumsum(np.array(sizes, np.int64)), len(hashes))):
        column.add(np.ones(1, np.int64), np.zeros(len(piece), np.int64), piece)
    empty, sketch, other = column.export(np.arange(3))
    assert empty == other == b"S"
    return sketch


@settings(max_examples=examples(60))
@given(st.integers(0, 700), st.lists(st.integers(0, 400), max_size=4), st.randoms(use_true_random=False))
def test_order_repetition_and_pieces_do_not_show(count: int, sizes: list[int], rng: random.Random) -> None:
    hashes = members(count)
    shuffled = hashes.tolist() + rng.choices(hashes.tolist() or [0], k=count and 50)
    rng.shuffle(shuffled)
    sketch = sketch_of(np.array(shuffled, np.uint64), 12, sizes)
    assert sketch == sketch_of(hashes, 12), "equal sets, equal bytes"
    if count <= EXACT_UP_TO:
        assert count_distinct([sketch], 12) == count


@settings(max_examples=examples(60))
@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), min_size=1, max_size=4),
    st.sampled_from(LG_KS),
    st.randoms(use_true_random=False),
)
def test_a_union_is_counted_like_one_set(slices: list[tuple[int, int]], lg_k: int, rng: random.Random) -> None:
    hashes = members(600)
    parts = [hashes[min(pair) : max(pair)] for pair in slices]
    sketches = [sketch_of(part, lg_k) for part in parts]
    union = np.unique(np.concatenate(parts))
    together = count_distinct([sketch_of(union, lg_k)], lg_k)
    assert count_distinct(sketches, lg_k) == together
    rng.shuffle(sketches)
    assert count_distinct([*sketches, *sketches], lg_k) == together
    if len(union) <= EXACT_UP_TO:
        assert together == len(union)


@settings(max_examples=examples(60))
@given(st.lists(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 500)), max_size=4), max_size=6))
def test_unions_are_counted_together_as_one_by_one(unions: list[list[tuple[int, int]]]) -> None:
    hashes = members(1_200)
    parts = [[hashes[start : start + length] for start, length in union] for union in unions]
    sketches = [[sketch_of(part, 12) for part in union] for union in parts]
    firsts = np.cumsum([0, *map(len, sketches)])
    found = counts_distinct([sketch for union in sketches for sketch in union], firsts, 12)
    assert found == [count_distinct(union, 12) for union in sketches]
    for count, union in zip(found, parts, strict=True):
        distinct = len({member for part in union for member in part.tolist()})
        assert count == distinct if distinct <= EXACT_UP_TO else count == pytest.approx(distinct, rel=0.1)


@pytest.mark.parametrize("wrong", [b"", b"S1234567", b"S123456789", b"X", b"X123", b"\0", b"s12345678"])
def test_what_is_no_set_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match=f"expected a sketch: .* got {len(wrong)} bytes"):
        count_distinct([sketch_of(members(3), 12), wrong], 12)


@pytest.mark.parametrize("lg_k", LG_KS)
def test_the_border_between_exact_and_estimated(lg_k: int) -> None:
    hashes = members(EXACT_UP_TO + 1)
    at_most = sketch_of(hashes[:-1], lg_k)
    above = sketch_of(hashes, lg_k)
    assert (at_most[:1], above[:1]) == (b"S", b"D")
    assert count_distinct([at_most], lg_k) == EXACT_UP_TO
    assert count_distinct([above], lg_k) == pytest.approx(EXACT_UP_TO + 1, rel=0.05)
    assert count_distinct([sketch_of(hashes[:200], lg_k), sketch_of(hashes[100:], lg_k)], lg_k) == count_distinct(
        [above], lg_k
    )
    assert count_distinct([], lg_k) == 0


@pytest.mark.parametrize(("lg_k", "standard_error"), [(12, 0.017), (14, 0.009)])
@pytest.mark.parametrize("count", [400, 3_000, 20_000, 100_000])
def test_the_relative_error(lg_k: int, standard_error: float, count: int) -> None:
    errors = []
    for seed in range(25):
        registers = np.zeros(1 << lg_k, np.uint8)
        raise_registers(members(count, seed), lg_k, 0, registers[np.newaxis])
        errors.append(estimate(registers) / count - 1)
    root_mean_square = float(np.sqrt(np.mean(np.square(errors))))
    assert root_mean_square < 1.35 * standard_error, "25 trials spread by a seventh around the standard error"
    assert max(map(abs, errors)) < 4.5 * standard_error
    assert abs(np.mean(errors)) < standard_error, "no bias"


@pytest.mark.parametrize("lg_k", LG_KS)
def test_the_ends_of_the_scale(lg_k: int) -> None:
    highest = 64 - lg_k + 1
    assert estimate(np.zeros(1 << lg_k, np.uint8)) == 0
    assert estimate(np.full(1 << lg_k, highest - 1, np.uint8)) > 2.0**60
    saturated = np.full(1 << lg_k, 20, np.uint8)
    unsaturated = estimate(saturated)
    saturated[:99] = highest
    assert unsaturated < estimate(saturated) < 1.1 * unsaturated
    ranks: list[tuple[int, int]] = []
    for member in (0, 2**64 - 1, 1, 1 << (63 - lg_k)):
        registers = np.zeros((1, 1 << lg_k), np.uint8)
        raise_registers(np.array([member], np.uint64), lg_k, 0, registers)
        raise_registers(np.array([1 << (63 - lg_k), member], np.uint64), lg_k, 0, registers)
        ranks.extend((int(at), int(registers[0, at])) for at in np.flatnonzero(registers) if at or not member >> 63)
    assert ranks == [(0, highest), ((1 << lg_k) - 1, 1), (0, highest - 1), (0, 1)], "the highest one stays"


registers = st.builds(
    lambda base, spread, far, seed: _registers(base, spread, far, seed),
    st.integers(0, 53),
    st.integers(0, 20),
    st.integers(0, 50),
    st.integers(0, 2**32),
)


def _registers(base: int, spread: int, far: int, seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    held = rng.integers(base, min(base + spread, 53) + 1, 1 << 12).astype(np.uint8)
    held[rng.integers(0, 1 << 12, far)] = 53
    return held


@settings(max_examples=examples(60))
@given(registers)
def test_registers_come_back(held: NDArray[np.uint8]) -> None:
    [packed] = pack_registers(held[None])
    assert unpack_registers(packed, 12).tolist() == held.tolist()
    assert len(packed) == 4 + (1 << 11) + 3 * int(np.count_nonzero(held - held.min() > 15))


@pytest.mark.parametrize("lg_k", LG_KS)
def test_extreme_registers_come_back(lg_k: int) -> None:
    size = 1 << lg_k
    for held in (
        np.zeros(size),
        np.full(size, 53),
        np.arange(size) % 2 * 53,
        np.arange(size) % 16,
        np.arange(size) % 17,
    ):
        [packed] = pack_registers(held.astype(np.uint8)[None])
        assert unpack_registers(packed, lg_k).tolist() == held.tolist()


@given(st.lists(registers, min_size=1, max_size=5))
def test_many_are_packed_as_one_by_one(held: list[NDArray[np.uint8]]) -> None:
    assert pack_registers(np.stack(held)) == [packed for one in held for packed in pack_registers(one[None])]


@given(st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=40))
def test_hashes_come_back_sorted(hashes: list[int]) -> None:
    packed = pack_hashes(np.array(hashes, np.uint64))
    assert unpack_hashes(packed).tolist() == sorted(hashes)


Step = tuple[str, int, int]


@settings(max_examples=examples(80))
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "keep", "move"]), st.integers(0, 3), st.sampled_from([1, 5, 150, 301])),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_a_column_is_a_list_of_sets(steps: list[Step], rng: random.Random) -> None:
    column, sets = SketchColumn(12), [set[int]() for _ in range(4)]
    column.grow(4)
    for what, row, count in steps:
        if what == "add":
            fresh = [rng.randrange(2**64) for _ in range(count)]
            rows = [rng.choice((row, 0)) for _ in fresh]
            add(column, np.array(rows), np.array(fresh, np.uint64))
            for each, number in zip(rows, fresh, strict=True):
                sets[each].add(number)
        elif what == "keep":  # some rows only, in another order; new ones at the end
            kept = rng.sample(range(4), rng.randint(0, 4))
            column.keep(np.array(kept, np.int64))
            column.grow(4)
            sets = [*(sets[each] for each in kept), *(set[int]() for _ in range(4 - len(kept)))]
        else:  # into another column, as a restore does; the rows that are not picked are empty there
            exported = column.export(np.arange(4))
            picked = sorted(rng.sample(range(4), 3))
            column = SketchColumn(12)
            column.grow(4)
            column.load(np.arange(4), exported, np.array(picked))
            sets = [held if each in picked else set[int]() for each, held in enumerate(sets)]
    wanted = [sketch_of(np.array(sorted(held), np.uint64), 12) for held in sets]
    assert column.export(np.arange(4)) == wanted


def test_a_hash_of_zero_counts_as_one() -> None:
    for others in (members(5), members(400)):
        assert sketch_of(np.append(others, np.uint64(0)), 12) == sketch_of(np.append(others, np.uint64(1)), 12)


def test_a_larger_sketch_replaces_a_smaller_one_when_it_is_loaded() -> None:
    small, large = sketch_of(members(5), 12), sketch_of(members(400), 12)
    column = SketchColumn(12)
    column.grow(1)
    for sketch in (small, large, sketch_of(members(900), 12)):
        column.load(np.array([0]), [sketch], np.array([0]))
        assert column.export(np.array([0])) == [sketch]
    add(column, np.zeros(400, np.int64), members(400))
    assert column.export(np.array([0])) == [sketch_of(members(900), 12)]


def test_members_that_come_again_and_again_count_once() -> None:
    rng = np.random.default_rng(3)
    column = SketchColumn(lg_k=12)
    column.grow(4)
    added: list[set[int]] = [set() for _ in range(4)]
    for _ in range(50):
        rows = rng.integers(0, 4, 12)
        hashes = rng.integers(1, 70, 12).astype(np.uint64)
        add(column, rows, hashes)
        for row, member in zip(rows.tolist(), hashes.tolist(), strict=True):
            added[row].add(member)
    assert [count_distinct(column.export(np.array([row])), 12) for row in range(4)] == list(map(len, added))
