"""Where a fetch ends whose broker has not stored all of its batches yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.kafka.batches import headers, holes, unpack
from movie_stream.kafka.batches.holes import Holes

PLACE = TopicPartition("movie-partials", 2)


class Stored(NamedTuple):
    """A batch of a partition; `missing` offsets before it have none."""

    records: int
    missing: int = 0


def fetched(batches: Sequence[Stored], position: int) -> list[tuple[int, bytes]]:
    """What a fetch from a position returns: each batch with its first offset."""
    found, offset = list[tuple[int, bytes]](), position
    for records, missing in batches:
        offset += missing
        builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, 0, 1 << 20)
        for relative in range(records):
            builder.append(relative, 1, None, b"%d" % (offset + relative), [])
        found.append((offset, offset.to_bytes(8, "big") + bytes(builder.build())[8:]))
        offset += records
    return found


def waiting() -> Holes:
    made = Holes()
    made.waits = True
    return made


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process waits at holes, for three fetches."""
    monkeypatch.setattr(headers, "HOLES", waiting())
    monkeypatch.setattr(holes, "FILLED_WITHIN_S", 0.125)
    looks_s = count(0.0, 0.0625)
    monkeypatch.setattr(holes, "monotonic", lambda: next(looks_s))
    unpack.take_whole_batches()
    yield
    headers.accept_any_header_names()


some = st.lists(st.builds(Stored, st.integers(1, 5), st.sampled_from([0, 0, 0, 1, 7])), max_size=8)


@given(some, st.integers(0, 9), st.integers(0, 70))
def test_a_fetch_ends_before_its_first_hole(batches: list[Stored], position: int, cut: int) -> None:
    found = fetched(batches, position)
    data = b"".join(batch for _, batch in found)
    whole = next((number for number, batch in enumerate(batches) if batch.missing), len(batches))
    wanted = sum(len(batch) for _, batch in found[:whole])
    assert waiting().bytes_before(PLACE, data, position) == wanted
    assert Holes().bytes_before(PLACE, data, position) == len(data)
    if data and whole == len(batches):  # the last batch of a response may be incomplete
        part = data[: max(len(data) - cut, 0)]
        assert waiting().bytes_before(PLACE, part, position) == len(part)


def test_a_position_within_a_batch_is_no_hole() -> None:
    [(_, batch), (_, following)] = fetched([Stored(5), Stored(2)], 10)
    assert waiting().bytes_before(PLACE, batch + following, 13) == len(batch + following)


def test_batches_of_an_older_format_are_left_as_they_are() -> None:
    [(_, batch)] = fetched([Stored(2)], 10)
    assert waiting().bytes_before(PLACE, batch[:16] + b"\1" + batch[17:], 3) == len(batch)


@pytest.mark.parametrize("length", [-1_000, -12, 0, 14])
def test_a_damaged_length_is_left_to_aiokafka(length: int) -> None:
    [(_, batch)] = fetched([Stored(2)], 10)
    damaged = batch[:8] + length.to_bytes(4, "big", signed=True) + batch[12:]
    assert waiting().bytes_before(PLACE, damaged, 10) == len(batch)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(holes, "monotonic", lambda: self.now_s)


def looks(found: Holes, clock: Clock, batch: bytes, position: int, *, place: Any = PLACE, apart_s: float) -> int:
    """How many looks at a hole it takes until it is passed over."""
    for number in range(1_000):
        if found.bytes_before(place, batch, position):
            return number
        clock.now_s += apart_s
    raise AssertionError("it is not passed over")


def test_a_hole_stays_after_a_while_in_which_the_broker_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However long one answer takes, it counts as a tenth of a second."""
    [(_, behind)] = fetched([Stored(2, missing=3)], 7)
    clock, found = Clock(monkeypatch), waiting()
    assert looks(found, clock, behind, 7, apart_s=0.03125) == 320
    assert caplog.messages == [
        "movie-partials, partition 2: there is nothing at the offsets 7 to 9, so reading goes on behind them; probably "
        "their producer's connection broke before they were stored; should the broker store them later, they do not "
        "count"
    ]
    monkeypatch.setattr(holes, "BETWEEN_LOOKS_S", 0.125)
    assert looks(found, clock, behind, 7, apart_s=60.0) == 80


def test_each_hole_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other partitions, of other offsets, and of the same one once it was filled."""
    monkeypatch.setattr(holes, "BETWEEN_LOOKS_S", 0.125)
    clock, found, other = Clock(monkeypatch), waiting(), TopicPartition("movie-partials", 1)
    [(_, filling), (_, behind)] = fetched([Stored(1), Stored(1)], 7)
    [(_, later)] = fetched([Stored(1, missing=1)], 9)
    for _ in range(79):
        assert found.bytes_before(PLACE, behind, 7) == 0
        clock.now_s += 1
    assert looks(found, clock, behind, 7, place=other, apart_s=1.0) == 80
    assert looks(found, clock, later, 9, apart_s=1.0) == 80
    assert found.bytes_before(PLACE, filling + behind, 7) == len(filling + behind)
    assert looks(found, clock, behind, 7, apart_s=1.0) == 80


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_filled_is_read_in_order_and_what_stays_is_passed(waits: None, whole: bool) -> None:
    [first, second, third] = fetched([Stored(2), Stored(3), Stored(1)], 5)
    deserializer = unpack.WholeBatches() if whole else None

    def read(position: int, *batches: tuple[int, bytes]) -> tuple[int, int]:
        """The records that a fetch hands out, and the position after them."""
        memory = headers.RawMemoryRecords(b"".join(batch for _, batch in batches))
        found: Any = PartitionRecords(PLACE, memory, [], position, None, deserializer, True, READ_COMMITTED)
        handed_out = list(found)
        return sum(each.records for each in handed_out) if whole else len(handed_out), found.next_fetch_offset

    assert read(5, first, third) == (2, 7)
    assert read(7, third) == (0, 7)
    assert read(7, second, third) == (4, 11)
    assert [read(5, third) for _ in range(3)] == [(0, 5), (0, 5), (1, 11)]
