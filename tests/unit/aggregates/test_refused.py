"""The bitmap of refused records: against a plain set, through checkpoints, with and without a beginning of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.aggregates import refused as refused_module
from movie_stream.aggregates.refused import BadReplayHeader, OpenOriginals, RefusedBlock, original_of, replay_header

TOPIC = "cluster/topic"


@given(
    st.integers(0, 2_000),
    st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from(["refuse", "close", "save", "restore"])), max_size=60),
)
def test_an_original_is_open_until_a_copy_counts(begin: int, steps: list[tuple[int, str]]) -> None:
    state, open_ones, closed = OpenOriginals(), set[int](), set[int]()
    state.start(begin)
    changelog = list(state.blocks(snapshot=True))
    saved = open_ones.copy(), closed.copy()
    for offset, step in steps:
        if step == "refuse" and offset >= begin and offset not in closed:
            state.refuse(offset)
            open_ones.add(offset)
        elif step == "close" and state.is_open(offset, 4_000):
            state.close(offset)
            open_ones.discard(offset)
            closed.add(offset)
        elif step == "save":
            snapshot = offset % 2 == 0
            changelog = [*([] if snapshot else changelog), *state.blocks(snapshot)]
            saved = open_ones.copy(), closed.copy()
        elif step == "restore":
            state = OpenOriginals()
            for block in changelog:
                state.load(block)
            state.loaded(3_000)
            open_ones, closed = saved[0].copy(), saved[1].copy()
        for at in {offset, begin - 1, begin, *open_ones, *closed}:
            if at >= 0:
                assert state.is_open(at, 4_000) == (at in open_ones or (at < begin and at not in closed)), at


def test_blocks_are_cut_to_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_module, "_WORDS_IN_BLOCK", 2)
    state, restored = OpenOriginals(), OpenOriginals()
    state.start(0)
    for offset in range(0, 5 * 512, 100):
        state.refuse(offset)
    blocks = list(state.blocks(snapshot=False))
    assert [block.at for block in blocks] == [[0, 1], [2, 3], [4]]
    assert list(state.blocks(snapshot=False)) == []
    for block in blocks:
        restored.load(block)
    assert [offset for offset in range(6 * 512) if restored.is_open(offset, 4_000)] == list(range(0, 5 * 512, 100))


def test_a_beginning_is_saved_although_nothing_was_refused() -> None:
    state = OpenOriginals()
    state.start(7)
    assert list(state.blocks(snapshot=True)) == [RefusedBlock(7, [], b"")]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"5",
        b"cluster/topic 2 9",  # itself
        b"cluster/topic 2 10",
        b"cluster/topic 2 -1",
        b"cluster/topic 2 x",
        b"cluster/topic 1 5",
        b"other/topic 2 5",
        b"cluster/topic 2 \xff",
        b"cluster/topic 2 " + b"1" * 5_000,
    ],
)
def test_what_names_no_earlier_record_is_refused(header: bytes) -> None:
    with pytest.raises(BadReplayHeader, match="expected an earlier record of this partition") as refusal:
        original_of(header, TOPIC, 2, before=9)
    assert len(str(refusal.value)) < 300


@given(st.text(max_size=10), st.integers(0, 5), st.integers(0, 2**62))
def test_what_is_named_is_found(topic: str, partition: int, offset: int) -> None:
    assert original_of(replay_header(topic, partition, offset), topic, partition, offset + 1) == offset


def test_what_lies_too_far_back_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_module, "MAX_DISTANCE", 1_000)
    state = OpenOriginals()
    state.start(10)
    for offset in (5_000, 5_500, 6_100):
        state.refuse(offset)
    assert [state.is_open(offset, copy=6_500) for offset in (5_000, 5_500, 6_100)] == [False, True, True]
    assert not state.is_open(5, copy=6_500), "nor does what came before this run's beginning stay open for ever"
    state.drop_expired(6_500)
    [block] = state.blocks(snapshot=True)
    assert [at * 512 for at in block.at] == [5_120, 5_632]
    assert [state.is_open(offset, copy=6_500) for offset in (5_000, 5_500, 6_100)] == [False, True, True]


@given(st.sets(st.integers(0, 5_000)), st.integers(0, 6_000))
def test_forgetting_changes_no_verdict(refused: set[int], position: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refused_module, "MAX_DISTANCE", 700)
        state, kept = OpenOriginals(), OpenOriginals()
        for each in (state, kept):
            each.start(100)
            for offset in refused:
                each.refuse(offset)
        state.drop_expired(position)
        for original in range(0, 5_000, 41):
            for copy in (position, position + 300):
                assert state.is_open(original, copy) == kept.is_open(original, copy)
