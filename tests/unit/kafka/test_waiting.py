"""Fetched batches that wait: views of a partition with few of them are taken some time apart, all else at once."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from movie_stream.kafka.batches.inflate import BatchDamaged
from movie_stream.kafka.batches.unpack import FetchedBatch
from movie_stream.kafka.fetch import waiting as module
from movie_stream.kafka.fetch.waiting import CHUNK_EVERY_S, FEW_BYTES, FEW_RECORDS, WaitingBatches
from movie_stream.kafka.produce.values_batch import batch_of

VIEWS, OTHERS = "views", "partials"


class Clock:
    now_s = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", lambda: clock.now_s)
    return clock


def batch(first: int, values: list[bytes]) -> FetchedBatch:
    data = memoryview(bytearray(batch_of(values)._build()))
    data[:8] = first.to_bytes(8, "big")
    return FetchedBatch(data, first, first, f"batch at {first}", 2, len(values), set())


def damaged(first: int) -> FetchedBatch:
    found = batch(first, [b"x"])
    found.data[22] = 4  # compressed by Zstandard, which it is not
    return found


def taken(waiting: WaitingBatches, partitions: Collection[str]) -> dict[str, tuple[int | None, int, list[int]]]:
    """The position before, the one after and the offsets of what is due of these partitions."""
    return {
        tp: (begin, end, [offset for run in runs for offset in run.offsets.tolist()])
        for tp, (begin, end, runs) in waiting.take_due(partitions).items()
    }


def test_views_are_taken_apart_while_they_are_few(clock: Clock) -> None:
    waiting = WaitingBatches(lambda tp: tp == VIEWS)
    both = {VIEWS, OTHERS}
    waiting.add(VIEWS, [batch(0, [b"{}"])], 1)
    assert waiting.due(both) == [VIEWS], "after a while without any"
    assert waiting.due({OTHERS}) == []
    assert taken(waiting, both) == {VIEWS: (0, 1, [0])}
    for first in (1, 3):
        waiting.add(VIEWS, [batch(first, [b"{}", b"{}"])], first + 2)
        waiting.add(OTHERS, [batch(first, [b"x"])], first + 1)
        assert list(taken(waiting, both)) == [OTHERS]
        assert waiting.due(both) == []
    assert waiting.next_due_s(both) == clock.now_s + CHUNK_EVERY_S
    clock.now_s += CHUNK_EVERY_S
    assert taken(waiting, both) == {VIEWS: (1, 5, [1, 2, 3, 4])}
    assert VIEWS not in waiting


def test_few_views_of_all_partitions_are_taken_together(clock: Clock) -> None:
    """... also of one that would be due a little later, but not of one that was taken just before."""
    waiting = WaitingBatches(lambda tp: True)
    partitions = {"a", "b", "c"}
    for tp, taken_s in (("a", 0.0), ("b", CHUNK_EVERY_S / 4), ("c", CHUNK_EVERY_S * 3 / 4)):
        clock.now_s = 100.0 + taken_s
        waiting.add(tp, [batch(0, [b"{}"])], 1)
        taken(waiting, {tp})
    for tp in sorted(partitions):
        waiting.add(tp, [batch(1, [b"{}"])], 2)
    clock.now_s = 100.0 + CHUNK_EVERY_S
    assert waiting.due(partitions) == ["a", "b"]
    assert waiting.due({"b", "c"}) == []


def test_partials_bring_no_views_along_that_are_not_due(clock: Clock) -> None:
    waiting = WaitingBatches(lambda tp: tp == VIEWS)
    waiting.add(VIEWS, [batch(0, [b"{}"])], 1)
    taken(waiting, {VIEWS})
    waiting.add(VIEWS, [batch(1, [b"{}"])], 2)
    waiting.add(OTHERS, [batch(0, [b"x"])], 1)
    waiting.add("more", [batch(0, [b"x"])], 1)
    clock.now_s += CHUNK_EVERY_S * 3 / 4
    assert waiting.due({VIEWS, OTHERS, "more"}) == [OTHERS, "more"]
    clock.now_s += CHUNK_EVERY_S / 4
    assert waiting.due({VIEWS, OTHERS, "more"}) == [VIEWS, OTHERS, "more"]


@pytest.mark.parametrize("values", [[b"{}"] * (FEW_RECORDS + 1), [bytes(FEW_BYTES)]])
def test_many_views_are_taken_at_once(clock: Clock, values: list[bytes]) -> None:
    waiting = WaitingBatches(lambda tp: True)
    waiting.add(VIEWS, [batch(0, [b"{}"])], 1)
    taken(waiting, {VIEWS})
    waiting.add(VIEWS, [batch(1, values)], 1 + len(values))
    assert waiting.due({VIEWS}) == [VIEWS]


def test_what_does_not_fit_into_a_chunk_waits_behind_others(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movie_stream.kafka.batches.unpack.RECORDS_AT_ONCE", 2)
    waiting = WaitingBatches(lambda tp: False)
    waiting.add(VIEWS, [batch(at, [b"a", b"b"]) for at in (0, 2, 4)], 6)
    waiting.add(OTHERS, [batch(0, [b"x"])], 1)
    found = list(iter(lambda: taken(waiting, {VIEWS, OTHERS}), {}))
    both = {VIEWS: (0, 2, [0, 1]), OTHERS: (0, 1, [0])}
    assert found == [both, {VIEWS: (2, 4, [2, 3])}, {VIEWS: (4, 6, [4, 5])}]


def test_a_batch_that_cannot_be_unpacked_is_raised_after_what_was_taken_before_it(clock: Clock) -> None:
    waiting = WaitingBatches(lambda tp: tp == VIEWS)
    waiting.add(VIEWS, [batch(0, [b"{}"])], 1)
    waiting.add(OTHERS, [batch(0, [b"x"]), damaged(1)], 2)
    waiting.add("more", [batch(0, [b"x"])], 1)
    both = {VIEWS, OTHERS, "more"}
    assert taken(waiting, both) == {VIEWS: (0, 1, [0]), OTHERS: (0, 1, [0]), "more": (0, 1, [0])}
    waiting.add(VIEWS, [batch(1, [b"{}"])], 2)
    assert taken(waiting, {OTHERS}) == {}, "nobody may believe that all before it was taken"
    assert taken(waiting, both) == {VIEWS: (1, 2, [1])}, "though it is not due"
    for _ in range(2):
        with pytest.raises(BatchDamaged, match="batch at 1"):
            waiting.take_due(both)
    waiting.clear()
    assert taken(waiting, both) == {}
