"""Runs against aiokafka's own ConsumerRecords, record by record, over every kind of batch there is."""

from __future__ import annotations

import hashlib
import inspect
import struct
import tracemalloc
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cramjam
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.codec import snappy_encode
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.aggregates.accumulator import Accumulator, DeadLetter, Rules
from movie_stream.events.chunk import REPLAY_OF, Chunk, Records
from movie_stream.kafka.batches import headers, inflate, unpack
from movie_stream.kafka.batches.record_batch import Malformed
from movie_stream.kafka.cluster import client, topics
from movie_stream.kernels import records
from movie_stream.kernels.compiled import compile_imported
from movie_stream.settings import Settings
from tests.unit.kafka.test_record_batch import batch_of, body_of

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
IN_RUNS, AS_USUAL = TopicPartition("in-runs", 3), TopicPartition("as-usual", 3)
WHOLE = unpack.WholeBatches()

_CRC_AT, _ATTRIBUTES_AT, _LAST_AT, _HEADER_END = 17, 21, 23, 61
_CONTROL = 0x20

HEADERS: list[list[tuple[str, bytes | None]]] = [
    [("header", b"x")],
    [("header", b"x"), (REPLAY_OF, b"topic 0 7")],
    [],
    [(REPLAY_OF, None)],
]
Record = tuple[int, int | None, bytes | None, bytes | None, bytes | None]
"""Offset, time, key, value, and the header REPLAY_OF."""


@dataclass(frozen=True)
class Batch:
    """One batch of a log."""

    records: tuple[tuple[int, bytes | None, bytes | None], ...]
    """Time, key and value of each."""
    codec: int = 0
    producer: int = -1
    transactional: bool = False
    marker: bool | None = None
    """A control batch: True commits, False aborts."""
    magic: int = 2
    gap: int = 0
    """Offsets that are missing before it."""


@pytest.fixture(autouse=True)
def in_runs() -> Iterator[None]:
    unpack.take_whole_batches()
    yield
    headers.accept_any_header_names()


def encoded(batch: Batch, offset: int) -> tuple[bytes, int]:
    """The batch as it lies on the wire from this offset on, and the offset after it."""
    if batch.magic < 2:
        builder = LegacyRecordBatchBuilder(batch.magic, batch.codec, 16 << 20)
        for relative, (time_ms, key, value) in enumerate(batch.records):
            at = offset + relative if batch.codec == 0 else relative
            builder.append(at, time_ms if batch.magic else None, key, value)
        data = bytearray(builder.build())
        if batch.codec:  # the wrapper has the offset of its last record
            struct.pack_into(">q", data, 0, offset + len(batch.records) - 1)
        return bytes(data), offset + len(batch.records)
    records = batch.records
    if batch.marker is not None:
        records = ((batch.records[0][0], struct.pack(">hh", 0, int(batch.marker)), b""),)
    builder = DefaultRecordBatchBuilder(2, batch.codec, batch.transactional, batch.producer, 0, 0, 1 << 30)
    for relative, (time_ms, key, value) in enumerate(records):
        builder.append(relative, time_ms, key, value, HEADERS[relative % len(HEADERS)])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, offset)
    if batch.marker is not None:
        data[_ATTRIBUTES_AT + 1] |= _CONTROL
        struct.pack_into(">I", data, _CRC_AT, calc_crc32c(bytes(data[_ATTRIBUTES_AT:])))
    return bytes(data), offset + len(records)


def log_of(batches: list[Batch], start: int) -> tuple[bytes, list[tuple[int, int]], int]:
    """The batches as a fetch brings them, the aborted transactions as (producer, first offset), and the end."""
    data, offset, opened, aborted = b"", start, dict[int, int](), list[tuple[int, int]]()
    for batch in batches:
        offset += batch.gap
        if batch.marker is not None:
            first = opened.pop(batch.producer, offset)
            aborted += [] if batch.marker else [(batch.producer, first)]
        elif batch.transactional:
            opened.setdefault(batch.producer, offset)
        more, offset = encoded(batch, offset)
        data += more
    return data, aborted, offset


def partition_records(
    place: TopicPartition, data: bytes, aborted: list[tuple[int, int]], at: int, isolation: int = READ_COMMITTED
) -> Any:
    whole = WHOLE if place == IN_RUNS else None
    return PartitionRecords(place, fetcher.MemoryRecords(data), list(aborted), at, None, whole, True, isolation)


def as_usual(records: Any) -> Iterator[Record]:
    for record in records:
        replays = [value or b"" for name, value in record.headers if name == REPLAY_OF]
        yield record.offset, record.timestamp, record.key, record.value, replays[0] if replays else None


def by_runs(records: Any) -> Iterator[Record]:
    for batch in records:
        assert isinstance(batch, unpack.FetchedBatch)
        for run in all_runs([batch]):
            yield from rows(run)


def all_runs(batches: Iterable[unpack.FetchedBatch]) -> list[Records]:
    waiting, found = deque(batches), list[Records]()
    while waiting:
        before = len(waiting)
        found += unpack.take_runs(waiting)
        assert len(waiting) < before
    return found


def drain(waiting: deque[unpack.FetchedBatch]) -> None:
    while waiting:
        unpack.take_runs(waiting)


def rows(run: Records) -> Iterator[Record]:
    offsets = run.offsets.tolist()
    assert run.replays.keys() <= set(offsets)
    times_ms = [None if time_ms < 0 else time_ms for time_ms in run.times_ms.tolist()]
    replays = [run.replays.get(offset) for offset in offsets]
    yield from zip(offsets, times_ms, run.keys, run.values, replays, strict=True)


texts = st.none() | st.binary(max_size=40)
some_records = st.lists(st.tuples(st.integers(0, 2**40), texts, texts), min_size=1, max_size=6).map(tuple)
batches = st.one_of(
    st.builds(Batch, some_records, st.sampled_from(sorted(CODECS.values())), gap=st.integers(0, 3)),
    st.builds(
        Batch, some_records, st.sampled_from([0, 2]), st.integers(1, 3), transactional=st.booleans(), gap=st.just(0)
    ),
    st.builds(Batch, some_records, producer=st.integers(1, 3), transactional=st.just(True), marker=st.booleans()),
)
legacy_batches = st.builds(Batch, some_records, st.sampled_from([0, 1]), magic=st.just(1), gap=st.integers(0, 3))
logs = st.lists(batches, max_size=8) | st.lists(legacy_batches, max_size=8)  # aiokafka takes one format a fetch


@given(logs, st.integers(0, 5), st.integers(0, 40), st.sampled_from([0, 1]))
def test_runs_are_what_aiokafka_reads(log: list[Batch], start: int, skip: int, isolation: int) -> None:
    assert {READ_COMMITTED, READ_UNCOMMITTED} == {0, 1}
    data, aborted, _ = log_of(log, start)
    plain = partition_records(AS_USUAL, data, aborted, start + skip, isolation)
    ours = partition_records(IN_RUNS, data, aborted, start + skip, isolation)
    batches = list(ours)
    wanted = list(as_usual(plain))
    assert not batches or batches[0].begin == start + skip, "whatever was passed over before it"
    assert list(by_runs(batches)) == wanted
    assert [record for run in all_runs(batches) for record in rows(run)] == wanted, "all at once, too"
    assert list(rows(unpack.plain_run(batches))) == wanted
    assert ours.next_fetch_offset == plain.next_fetch_offset


@given(st.lists(batches, max_size=8), st.integers(0, 5), st.integers(0, 40), st.integers(1, 4), st.integers(8, 60))
def test_a_batch_in_pieces_is_what_aiokafka_reads(
    log: list[Batch], start: int, skip: int, at_once: int, size: int
) -> None:
    """A piece has eight bytes at least, as many as the length of a record may take."""
    data, aborted, end = log_of(log, start)
    wanted = list(as_usual(partition_records(AS_USUAL, data, aborted, start + skip)))
    waiting = deque(partition_records(IN_RUNS, data, aborted, start + skip))
    found, position = list[Record](), start + skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack, "RECORDS_AT_ONCE", at_once)
        patch.setattr(unpack, "BYTES_AT_ONCE", size)
        patch.setattr(inflate, "AT_ONCE_BYTES", size)
        patch.setattr(inflate, "PIECE_BYTES", 7)
        while waiting:
            more = [record for run in unpack.take_runs(waiting) for record in rows(run)]
            until = waiting[0].begin if waiting else max(end, position)
            assert all(offset < until for offset, *_ in more), "who goes on there gets none twice"
            position, found = until, found + more
    assert found == wanted


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_of_gigabytes_has_a_bounded_part_in_memory(codec: str) -> None:
    """An eighth of one here; and a record that is larger than a piece is in the middle."""
    compile_imported()  # their linker takes memory too, once
    few = ((1, b"k", b'{"text":"' + b"x" * 16_000 + b'"}'),) * 4_000
    batch = Batch((*few, (1, b"k", b"y" * 9_000_000), *few), CODECS[codec])
    data, _, end = log_of([batch], 0)
    waiting = deque(partition_records(IN_RUNS, data, [], 0))
    offset = most = 0
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        while waiting:
            for run in unpack.take_runs(waiting):
                assert run.offsets.tolist() == list(range(offset, offset + len(run.offsets)))
                offset += len(run.offsets)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert offset == end == 8_001
    assert most < 6 * unpack.BYTES_AT_ONCE


@pytest.mark.parametrize("left_out", [-1, 1])
@pytest.mark.parametrize("pieces", [True, False], ids=["in pieces", "at once"])
def test_a_batch_with_other_records_than_it_says_is_named(left_out: int, pieces: bool) -> None:
    data, _ = encoded(Batch(((1, b"k", b"v"),) * 5), 7)
    said = bytearray(data)
    struct.pack_into(">i", said, _HEADER_END - 4, 5 + left_out)
    struct.pack_into(">I", said, _CRC_AT, calc_crc32c(bytes(said[_ATTRIBUTES_AT:])))
    waiting = deque(partition_records(IN_RUNS, bytes(said), [], 7))
    with pytest.MonkeyPatch.context() as patch:
        if pieces:
            patch.setattr(inflate, "AT_ONCE_BYTES", 10)
        with pytest.raises(inflate.BatchDamaged, match="in-runs, partition 3, before offset 12: a record batch is dam"):
            drain(waiting)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_with_null_keys_and_values_from_the_middle_on(codec: str) -> None:
    lines = tuple(
        (1_000 + n, None if n % 3 == 0 else b"key %d" % n, None if n % 5 == 0 else b"v" * n) for n in range(50)
    )
    data, _, end = log_of([Batch(lines, CODECS[codec]), Batch(lines, CODECS[codec])], start=100)
    ours = partition_records(IN_RUNS, data, [], at=120)
    assert [record[:4] for record in by_runs(ours)] == [(100 + n, *lines[n % 50]) for n in range(20, 100)]
    assert ours.next_fetch_offset == end == 200


@pytest.mark.parametrize(
    ("isolation", "seen"), [(READ_COMMITTED, [b"b", b"d"]), (READ_UNCOMMITTED, [b"a", b"b", b"d"])]
)
def test_aborted_transactions_are_skipped_and_control_batches_are_never_seen(isolation: int, seen: list[bytes]) -> None:
    def of(value: bytes, producer: int, transactional: bool = True, marker: bool | None = None) -> Batch:
        return Batch(((1, b"k", value),), 0, producer, transactional, marker)

    log = [of(b"a", 7), of(b"b", 8), of(b"", 7, marker=False), of(b"", 8, marker=True), of(b"d", 7, False)]
    data, aborted, end = log_of([*log, of(b"", 9, marker=True)], start=0)
    assert aborted == [(7, 0)]
    ours = partition_records(IN_RUNS, data, aborted, 0, isolation)
    assert [value for *_, value, _ in by_runs(ours)] == seen
    assert ours.next_fetch_offset == end == 6, "the position goes on past control batches"


def test_offsets_skipped_before_records_belong_to_them() -> None:
    def of(value: bytes, marker: bool | None = None) -> Batch:
        return Batch(((1, b"k", value),), 0, 7, True, marker)

    data, _, end = log_of([of(b"", marker=True), of(b"a"), of(b"", marker=True), of(b"b")], start=5)
    fetched = list(partition_records(IN_RUNS, data, [], 5))
    assert [batch.begin for batch in fetched] == [5, 7], "a chunk that left the markers out would leave a hole"
    [chunk] = unpack.chunks(3, fetched[0].begin, end, all_runs(fetched))
    assert (chunk.start, chunk.end, chunk.offsets.tolist()) == (5, 9, [6, 8])


def test_the_hand_made_markers_are_what_aiokafka_takes_for_markers() -> None:
    data, _ = encoded(Batch(((1, None, None),), 0, 7, True, marker=False), 0)
    batch = MemoryRecords(data).next_batch()
    assert batch.validate_crc()
    assert batch.is_control_batch
    assert struct.unpack(">hh", next(batch).key) == (0, 0)


@pytest.mark.parametrize(("place", "read"), [(IN_RUNS, by_runs), (AS_USUAL, as_usual)])
def test_a_wrong_checksum_is_named_after_the_records_before_it_were_read(place: TopicPartition, read: Any) -> None:
    good, after = encoded(Batch(((1, b"k", b"good"),)), 0)
    bad = bytearray(encoded(Batch(((2, b"k", b"bad"),)), after)[0])
    bad[-1] ^= 0xFF
    records = partition_records(place, good + bytes(bad), [], 0)
    assert list(read(records)) == [(0, 1, b"k", b"good", None)]
    assert records.next_fetch_offset == after, "what is corrupt is fetched again"
    again = partition_records(place, bytes(bad), [], after)
    with pytest.raises(inflate.BatchDamaged, match=f"^{place.topic}, partition 3, before offset 2: a record batch is"):
        list(read(again))


ODD_DELTAS = {
    "all the same": [0, 0, 0],
    "huge": [0, 1, 2**31 - 1],
    "below the batch": [0, -5, 2],
    "backwards": [2, 1, 0],
    "from one on": [1, 2, 3],
}


def batch_with(deltas: Sequence[int], last: int, named: bytes = b"n", copies: int = 1, base: int = 10) -> bytes:
    """A batch without compression whose records say these offsets, from its first; the middle one is a copy."""
    some: list[tuple[int, int, bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]] = [
        (delta, n, b"k", b'{"n":%d}' % n, [(REPLAY_OF.encode(), b"t 0 1")] if n == 1 else [(named, b"")] * copies)
        for n, delta in enumerate(deltas)
    ]
    data = bytearray(batch_of(body_of(some), len(some), base))
    struct.pack_into(">i", data, _LAST_AT, last)
    return checked(data)


def checked(data: bytearray) -> bytes:
    struct.pack_into(">I", data, _CRC_AT, calc_crc32c(bytes(data[_ATTRIBUTES_AT:])))
    return bytes(data)


@pytest.mark.parametrize("deltas", ODD_DELTAS.values(), ids=ODD_DELTAS)
@pytest.mark.parametrize("how", ["as columns", "record by record", "in pieces", "in pieces, record by record"])
def test_records_are_numbered_as_the_broker_counts_them(
    deltas: list[int], how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    odd = batch_with(deltas, 2, *((b"\xff", records.MOST_HEADERS + 1) if "record by record" in how else ()))
    usual = encoded(Batch(((1, b"k", b"v"),) * 2), 13)[0]
    if "in pieces" in how:
        monkeypatch.setattr(inflate, "AT_ONCE_BYTES", 10)
        monkeypatch.setattr(unpack, "RECORDS_AT_ONCE", 2)
    monkeypatch.setattr(WHOLE, "misnumbered", set())
    for at in (10, 11):
        waiting, found = deque(partition_records(IN_RUNS, odd + usual, [], at)), list[Record]()
        while waiting:
            found += [record for run in unpack.take_runs(waiting) for record in rows(run)]
        assert [offset for offset, *_ in found] == list(range(at, 15))
        assert [value for *_, value, _ in found[-5:]] == [b'{"n":%d}' % n for n in range(at - 10, 3)] + [b"v", b"v"]
        assert [offset for offset, *_, replay in found if replay == b"t 0 1"] == [11]
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("in-runs, partition 3: the records of the batch at offset 10 say other offsets")


def test_what_compaction_has_left_keeps_its_offsets() -> None:
    data = batch_with([1, 3, 6], 7)
    [run] = all_runs(partition_records(IN_RUNS, data, [], 10))
    assert run.offsets.tolist() == [11, 13, 16]
    assert run.replays == {13: b"t 0 1"}
    for deltas in ([1, 1, 6], [3, 1, 6], [-1, 1, 6], [1, 3, 8]):
        for named in ((b"n", 1), (b"\xff", records.MOST_HEADERS + 1)):
            with pytest.raises(inflate.BatchDamaged, match="offsets of its records do not ascend within it"):
                all_runs(partition_records(IN_RUNS, batch_with(deltas, 7, *named), [], 10))


def test_a_chunk_holds_no_offset_outside_of_it() -> None:
    [run] = all_runs(partition_records(IN_RUNS, batch_with([0, 1, 2], 2), [], 10))
    for start, end in ((11, 13), (10, 12)):
        with pytest.raises(inflate.BatchDamaged, match="records stand outside of the offsets"):
            list(unpack.chunks(3, start, end, [run]))
    with pytest.raises(inflate.BatchDamaged, match="out of order"):
        list(unpack.chunks(3, 10, 13, [run.take(np.array([0, 1, 1, 2]))]))


def unreadable(records: int, codec: int, body: bytes, base: int) -> bytes:
    """A batch with a right checksum, whatever is in it."""
    data = bytearray(encoded(Batch(((1, b"k", b"v"),) * records), base)[0][:_HEADER_END] + body)
    struct.pack_into(">i", data, 8, len(data) - 12)
    data[_ATTRIBUTES_AT + 1] |= codec
    return checked(data)


DAMAGED = {
    "a length that lies": (0, b"\x0a" + bytes(40)),
    "a length beyond its batch": (0, b"\xa0\x1f" + bytes(40)),
    "no gzip": (1, b"no gzip at all"),
    "no snappy": (2, b"\xff" * 20),
    "zstd that is cut off": (4, bytes(cramjam.zstd.compress(bytes(5_000)))[:-4]),
    "a codec that is not there": (6, b"whatever"),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("pieces", [False, True], ids=["at once", "in pieces"])
def test_views_that_cannot_be_read_are_refused_and_those_around_them_count(
    damage: tuple[int, bytes], pieces: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before, data = encoded(Batch(((1, b"k", b"v"),) * 2), 5)[0], unreadable(3, *damage, 7) + batch_with([0, 1, 2], 2)
    monkeypatch.setattr(unpack, "RECORDS_AT_ONCE", 2)
    if pieces:
        monkeypatch.setattr(inflate, "AT_ONCE_BYTES", 10)
    for at in (5, 8):
        caplog.clear()
        waiting = deque(partition_records(IN_RUNS, before + data if at == 5 else data, [], at))
        runs = list[Records]()
        while waiting:
            runs += unpack.take_runs(waiting, of_views=True)
        assert [offset for run in runs for offset in run.offsets.tolist()] == list(range(at, 13))
        refused = {offset: reason for run in runs for offset, reason in run.unreadable.items()}
        assert list(refused) == list(range(max(at, 7), 10))
        assert all(reason.startswith("its record batch, at offset 7, cannot be read: ") for reason in refused.values())
        [said] = [record.getMessage() for record in caplog.records]
        assert said.startswith("in-runs, partition 3, before offset 10: a record batch is damaged (")
        letters = [letter for chunk in unpack.chunks(3, at, 13, runs) for letter in _applied(chunk)]
        found = [(letter.offset, letter.kind, letter.reason) for letter in letters if letter.value is None]
        assert found == [(offset, "bad", reason) for offset, reason in refused.items()]
    with pytest.raises(inflate.BatchDamaged, match="in-runs, partition 3, before offset 10: a record batch is dam"):
        all_runs(partition_records(IN_RUNS, data, [], 7))


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_records_of_ours_before_a_batch_that_cannot_be_read_are_taken_first(damage: tuple[int, bytes]) -> None:
    before = encoded(Batch(((1, b"k", b"v"),) * 2), 5)[0]
    waiting = deque(partition_records(IN_RUNS, before + unreadable(3, *damage, 7), [], 5))
    assert [offset for run in unpack.take_runs(waiting) for offset in run.offsets.tolist()] == [5, 6]
    with pytest.raises(inflate.BatchDamaged, match="before offset 10: a record batch is damaged"):
        unpack.take_runs(waiting)


def test_a_batch_that_cannot_be_read_makes_no_end_of_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    data = unreadable(3, 0, b"\x0a" + bytes(40), 7)
    monkeypatch.setattr(unpack, "MOST_REFUSED", 2)
    with pytest.raises(inflate.BatchTooLarge, match="cannot be read spans more than 2 offsets"):
        unpack.take_runs(deque(partition_records(IN_RUNS, data, [], 7)), of_views=True)


def _applied(chunk: Chunk) -> list[DeadLetter]:
    return Accumulator(3, 4, Rules()).apply(replace(chunk, start=0))


def test_consumers_of_one_process_get_what_each_has_asked_for() -> None:
    data, _, _ = log_of([Batch(((1, b"k", b"v"),))], 0)
    whole, single = partition_records(IN_RUNS, data, [], 0), partition_records(AS_USUAL, data, [], 0)
    [batch], [record] = whole, single
    assert isinstance(batch, unpack.FetchedBatch)
    assert (record.topic, record.value, record.headers) == (AS_USUAL.topic, b"v", (("header", b"x"),))
    assert WHOLE(b"v") == b"v"


def test_that_records_are_misnumbered_is_said_once_for_each_consumer(caplog: pytest.LogCaptureFixture) -> None:
    data = batch_with([2, 1, 0], 2)
    for _ in range(2):
        consumer = unpack.WholeBatches()
        for _ in range(2):
            records = fetcher.MemoryRecords(data)
            batches = PartitionRecords(IN_RUNS, records, [], 10, None, consumer, True, READ_COMMITTED)
            unpack.take_runs(deque(batches))
        assert consumer.misnumbered == {"in-runs, partition 3"}
    assert len(caplog.records) == 2, "once for each consumer"


def test_runs_join_to_a_chunk_and_records_without_a_time_have_minus_one() -> None:
    oldest = [
        Batch(((0, b"a", b"1"), (0, None, b"2")), magic=0),
        Batch(((0, b"c", None),), gap=2, magic=0),
    ]
    data, _, end = log_of(oldest, 10)
    fetched = list(partition_records(IN_RUNS, data, [], 10))
    [chunk] = unpack.chunks(IN_RUNS.partition, 10, end, all_runs(fetched))
    assert (chunk.partition, chunk.start, chunk.end) == (3, 10, 15)
    assert np.array_equal(chunk.offsets, [10, 11, 14])
    assert np.array_equal(chunk.times_ms, [-1, -1, -1])
    assert (list(chunk.keys), list(chunk.values)) == ([b"a", None, b"c"], [b"1", b"2", None])


@given(st.lists(st.integers(1, 12), max_size=6), st.integers(1, 7), st.data())
def test_chunks_are_of_a_bounded_size_and_cover_everything(sizes: list[int], at_once: int, data: st.DataObject) -> None:
    log, offset, values = b"", 10, list[bytes]()
    for size in sizes:  # with holes between batches
        offset += data.draw(st.integers(0, 3))
        some = tuple((1, None, b"%d" % at) for at in range(offset, offset + size))
        more, offset = encoded(Batch(some), offset)
        log, values = log + more, values + [value for _, _, value in some]
    end = offset + data.draw(st.integers(0, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack, "RECORDS_AT_ONCE", at_once)
        runs = all_runs(partition_records(IN_RUNS, log, [], 10))
    chunks = list(unpack.chunks(3, 10, end, runs))
    assert [chunk.start for chunk in chunks] == [10, *(chunk.end for chunk in chunks[:-1])]
    assert chunks[-1].end == end
    assert all(chunk.start <= offset < chunk.end for chunk in chunks for offset in chunk.offsets.tolist())
    assert [value for chunk in chunks for value in chunk.values] == values
    assert all(len(chunk) <= at_once for chunk in chunks)
    assert len(chunks) <= 1 or all(len(chunk) for chunk in chunks)


sizes_and_codecs = st.tuples(
    st.lists(st.sampled_from([0, 1, 40, 90, 100, 101, 250]), min_size=1, max_size=6), st.sampled_from([0, 1, 2])
)


@pytest.mark.parametrize("magic", [1, 2])
@given(log=st.lists(sizes_and_codecs, max_size=8))
def test_chunks_are_of_bounded_bytes(magic: int, log: list[tuple[list[int], int]]) -> None:
    """Nor is more unpacked for them than one of them may have, and one batch."""
    batches = [Batch(tuple((1, None, b"x" * n) for n in sizes), codec, magic=magic) for sizes, codec in log]
    data, _, end = log_of(batches, 10)
    waiting = deque(partition_records(IN_RUNS, data, [], 10))
    chunks, offset = list[Chunk](), 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack, "BYTES_AT_ONCE", 100)
        while waiting:
            runs = unpack.take_runs(waiting)
            assert sum(run.values.lengths.sum() for run in runs) <= 100 + max(sum(sizes) for sizes, _ in log)
            until = waiting[0].begin if waiting else end
            chunks += unpack.chunks(3, offset, until, runs)
            offset = until
    assert [chunk.start for chunk in chunks] == [10, *(chunk.end for chunk in chunks)][: len(chunks)]
    assert offset == end
    assert [len(value or b"") for chunk in chunks for value in chunk.values] == [n for sizes, _ in log for n in sizes]
    assert all(len(chunk) == 1 or chunk.values.lengths.sum() <= 100 for chunk in chunks)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
@pytest.mark.parametrize("damage", [False, True], ids=["as columns", "record by record"])
def test_many_batches_that_are_each_within_the_bound_are_not_unpacked_together(codec: str, damage: bool) -> None:
    """Forty of them have 160 MB, and arrived as a few kB."""
    batch = Batch(tuple((1, b"k", b" " * 400_000) for _ in range(10)), CODECS[codec])
    data, _, end = log_of([batch] * 40, 0)
    assert len(data) < 1 << 20
    waiting = deque(partition_records(IN_RUNS, data, [], 0))
    offset, most = 0, 0
    with pytest.MonkeyPatch.context() as patch:
        if damage:
            patch.setattr(unpack, "records_of", malformed)
        tracemalloc.start()
        try:
            while waiting:
                for run in unpack.take_runs(waiting, of_views=True):
                    assert run.offsets.tolist() == list(range(offset, offset + len(run.offsets)))
                    offset += len(run.offsets)
                most = max(most, tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert offset == end == 400
    assert most < 6 * unpack.BYTES_AT_ONCE


def malformed(*_: object) -> None:
    raise Malformed("for all that this test knows")


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_without_records_is_passed_over(codec: str) -> None:
    """Compaction leaves some behind; not every codec can unpack what another one makes of nothing."""
    of = encoded(Batch(((1, b"k", b"first"),)), 5)[0], encoded(Batch(((1, b"k", b"last"),)), 9)[0]
    for body in (b"", snappy_encode(b"")):
        empty = bytearray(encoded(Batch(((1, b"k", b"v"),) * 3), 6)[0][:_HEADER_END] + body)
        struct.pack_into(">i", empty, 8, len(empty) - 12)
        struct.pack_into(">h", empty, _ATTRIBUTES_AT, CODECS[codec])
        struct.pack_into(">i", empty, _HEADER_END - 4, 0)
        struct.pack_into(">I", empty, _CRC_AT, calc_crc32c(bytes(empty[_ATTRIBUTES_AT:])))
        records = partition_records(IN_RUNS, of[0] + bytes(empty) + of[1], [], 5)
        batches = list(records)
        assert [batch.begin for batch in batches] == [5, 6], "it belongs to what comes behind it"
        assert [record[3] for record in by_runs(batches)] == [b"first", b"last"]
        alone = partition_records(IN_RUNS, bytes(empty), [], 6)
        assert (list(alone), alone.next_fetch_offset) == ([], 9)


async def test_what_a_real_broker_sends_is_read_alike(settings: Settings) -> None:
    await topics.ensure(settings)
    place = TopicPartition(settings.kafka_topic, 0)
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        producer = AIOKafkaProducer(bootstrap_servers=settings.require_broker(), compression_type=codec)
        await producer.start()
        try:
            for n in range(30):
                key, value = (None if n % 4 == 1 else b"k%d" % n), (None if n % 4 == 2 else b"view " * n)
                headers = [(REPLAY_OF, b"%d" % n)] if n % 7 == 0 else None
                await producer.send(place.topic, value, key=key, partition=0, headers=headers)
            await producer.flush()
        finally:
            await producer.stop()
    wanted = list(as_usual(await _fetched(settings, place, 150, None)))
    assert [offset for offset, *_ in wanted] == list(range(40, 150))
    assert {header for *_, header in wanted} > {None, b"0", b"7", b"28"}
    runs = all_runs(await _fetched(settings, place, 150, WHOLE))
    assert [record for run in runs for record in rows(run)] == wanted
    [joined] = unpack.chunks(0, 40, 150, runs)
    assert joined.replays == {offset: header for offset, *_, header in wanted if header is not None}


async def _fetched(settings: Settings, place: TopicPartition, end: int, whole: unpack.WholeBatches | None) -> list[Any]:
    """From the middle of a batch on, whatever it is that getmany yields."""
    async with client.reader(settings) as consumer:
        consumer._fetcher._value_deserializer = whole
        consumer.assign([place])
        consumer.seek(place, 40)
        found: list[Any] = []
        while await consumer.position(place) < end:
            found += (await consumer.getmany(timeout_ms=200)).get(place, [])
        return found


PRIVATE_PARTS = {
    "_unpack_records": "b803e6d46480732c",
    "_consume_aborted_up_to": "56876530cd6412f3",
    "_contains_abort_marker": "17e9ad2322ef4e0a",
    "__init__": "8ec1c2ae6ea1af87",
    "__next__": "63ac34a08c309098",
}
USED = {
    *("_tp", "_records", "_value_deserializer", "_check_crcs", "_isolation_level", "_aborted_producers"),
    "next_fetch_offset",
}


def test_the_private_parts_of_aiokafka_are_those_that_unpack_was_written_for() -> None:
    headers.accept_any_header_names()
    replaced = {"_unpack_records": headers._unpack_records}
    for name, known in PRIVATE_PARTS.items():
        source = inspect.getsource(replaced.get(name) or getattr(fetcher.PartitionRecords, name))
        assert hashlib.sha256(source.encode()).hexdigest()[:16] == known, (
            f"aiokafka has changed PartitionRecords.{name}, which unpack.py and headers.py replace or call. Read the "
            "change, carry over to unpack._unpack what it skips and raises, let the other tests of this file "
            "compare the two, then write the new hash into PRIVATE_PARTS"
        )
    records = partition_records(AS_USUAL, b"", [], 0)
    assert vars(records).keys() >= USED, "unpack._unpack uses attributes that are gone"
    batch = MemoryRecords(encoded(Batch(((1, b"k", b"v"),)), 0)[0]).next_batch()
    for name in ("validate_crc", "producer_id", "base_offset", "is_control_batch", "is_transactional", "next_offset"):
        assert hasattr(batch, name), f"unpack._unpack uses {name} of a batch"
