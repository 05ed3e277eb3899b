"""Packed names against a dict: any Unicode, equal hashes, very many."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from movie_stream.columnar.packed_names import PackedNames
from movie_stream.columnar.spans import Spans
from tests.support.examples import examples

anything = st.text(st.characters(codec="utf-8"), max_size=20)
alike = st.sampled_from(
    ["", "\0", "\0\0", "a", "a\0", "aaaaaaaa", "aaaaaaaab", "aaaaaaaaa", "a" * 128, "a" * 127 + "b"]
)
wide = st.sampled_from(["\u00e9", "e\u0301", "\U0001f3ac" * 128, "\U0001f3ac" * 127, "\uffff", "\U0010ffff"])
names = st.lists(anything | alike | wide | st.integers(0, 99).map(lambda n: f"user_{n}"), max_size=40)


def check(rounds: list[list[str]]) -> None:
    """A PackedNames numbers as a dict does."""
    packed, model = PackedNames(), dict[str, int]()
    for some in rounds:
        ids = packed.ids(some)
        assert ids.tolist() == [model.setdefault(name, len(model)) for name in some]
        assert packed.texts(ids) == some
        spans = Spans.of([name.encode() for name in some])
        assert packed.spans(ids).tolist() == [name.encode() for name in some]
        assert packed.sizes(ids).tolist() == spans.lengths.tolist()
        assert packed.pack(ids)[0] == "".join(some).encode()
        assert len(packed) == len(model)
    assert packed.texts(np.arange(len(model))) == list(model)
    other = PackedNames()
    assert other.unpack(*packed.pack(np.arange(len(model)))).tolist() == list(range(len(model)))
    assert other.texts(np.arange(len(model))) == list(model)


@given(st.lists(names, max_size=6))
def test_names_are_distinguished_and_read_back(rounds: list[list[str]]) -> None:
    check(rounds)


@pytest.mark.parametrize("same", [0, -1, 2**61 - 1])
def test_equal_hashes_are_no_equal_names(monkeypatch: pytest.MonkeyPatch, same: int) -> None:
    monkeypatch.setattr(Spans, "hashes", lambda spans: np.full(len(spans), same % 2**64, np.uint64))
    lengths, numbers = ["a" * length for length in range(40)], [f"{'x' * 8}{i}" for i in range(200)]
    check([["b", "a", ""], lengths * 2, numbers, ["", "b"]])


@settings(max_examples=examples(20))
@given(st.lists(names, max_size=4), st.integers(1, 5))
def test_equal_tags_of_different_hashes(rounds: list[list[str]], few: int) -> None:
    def hashes(spans: Spans) -> NDArray[np.uint64]:
        whole = spans.stable_hashes()
        return whole % np.uint64(few) << np.uint64(32) | whole & np.uint64(0xFFFF_FFFF)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spans, "hashes", hashes)
        check(rounds)


@settings(max_examples=examples(20))
@given(st.lists(names, max_size=4), st.integers(1, 5))
def test_few_hashes_and_every_length(rounds: list[list[str]], few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spans, "hashes", lambda spans: (spans.lengths % few).astype(np.uint64))
        check(rounds)


def test_very_many_names_cost_little_more_than_their_text() -> None:
    packed = PackedNames()
    for start in range(0, 300_000, 10_000):
        fresh = [f"user_{i}" for i in range(start, start + 10_000)]
        assert packed.ids(fresh[::-1]).tolist() == list(range(start, start + 10_000))
    some = ["user_7", "user_299999", "user_150000"]
    assert packed.texts(packed.ids(some)) == some
    assert packed.ids([f"user_{i}" for i in range(0, 300_000, 7)]).tolist() == [
        i - i % 10_000 + 9_999 - i % 10_000 for i in range(0, 300_000, 7)
    ]
    arrays = [packed._text.room, packed._bounds.room, packed._slots]
    assert sum(array.nbytes for array in arrays) <= 48 * 300_000


def test_strings_that_are_kept_stay_while_names_are_added() -> None:
    packed = PackedNames()
    packed.ids([f"user_{i}" for i in range(20_000)])
    kept = packed.spans(np.array([7, 19_999]))
    packed.ids([f"more_{i}" for i in range(50_000)])
    assert kept.tolist() == [b"user_7", b"user_19999"]
    assert packed.texts(np.array([7, 19_999, 69_999])) == ["user_7", "user_19999", "more_49999"]


def test_what_pack_did_not_make_is_an_error() -> None:
    packed = PackedNames()
    for text, lengths in ((b"abc", [1, 1]), (b"", [-1, 1]), (b"a", [3, -2])):
        with pytest.raises(ValueError, match="expected names of"):
            packed.unpack(text, np.array(lengths, np.int32).tobytes())
    assert len(packed) == 0


@given(st.lists(st.lists(st.tuples(alike | wide, st.integers(0, 3)), max_size=15), max_size=4), st.integers(1, 8))
def test_the_most_viewed_come_first_and_of_equals_the_smaller(groups: list[list[tuple[str, int]]], limit: int) -> None:
    packed, ranked = PackedNames(), list[list[str]]()
    for views in groups:
        total = Counter[str]()
        for name, count in views:
            total[name] += count
        ranked.append(sorted((name for name in total if total[name]), key=lambda name: (-total[name], name))[:limit])
    rows = [view for views in groups for view in views]
    ids, ends = packed.ids([name for name, _ in rows]), np.cumsum([*map(len, groups)], dtype=np.int64)
    found, counts = packed.most_viewed(ids, np.array([count for _, count in rows], np.int64), ends, limit)
    assert counts.tolist() == [*map(len, ranked)]
    assert packed.texts(found) == [name for names in ranked for name in names]
