"""Where a fetch ends whose broker has not stored all of its batches yet."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
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
    monkeypatch.setattr(holes, "FETCHES_AT_LEAST", 3)
    monkeypatch.setattr(holes, "FILLED_WITHIN_S", 0.0)
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


def test_a_hole_stays_only_after_time_and_many_fetches(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The fetch counts that began after the time was over, which is when the one before it was looked at."""
    [(_, behind)] = fetched([Stored(2, missing=3)], 7)
    times_s, found = iter((100.0, 100.5, 100.9, 100.99, 200.0, 200.1)), waiting()
    monkeypatch.setattr(holes, "monotonic", lambda: next(times_s))
    monkeypatch.setattr(holes, "FETCHES_AT_LEAST", 5)
    for _ in range(5):
        assert found.bytes_before(PLACE, behind, 7) == 0
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert found.bytes_before(PLACE, behind, 7) == len(behind)
    assert caplog.messages == [
        "movie-partials, partition 2: the broker has no records of the offsets 7 to 9: their producer's connection "
        "broke before they were stored; goes on behind them"
    ]


def test_a_hole_is_not_another_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holes, "FETCHES_AT_LEAST", 3)
    monkeypatch.setattr(holes, "FILLED_WITHIN_S", 0.0)
    found, other = waiting(), TopicPartition("movie-partials", 1)
    [(_, behind)] = fetched([Stored(1, missing=1)], 7)
    [(_, later)] = fetched([Stored(1, missing=1)], 9)
    for place, batch, position in ((PLACE, behind, 7), (other, behind, 7), (PLACE, behind, 7), (PLACE, later, 9)) * 2:
        if (place, position) != (other, 7):
            assert found.bytes_before(place, batch, position) == 0


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
