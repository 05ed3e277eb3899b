"""Record batches unpacked into columns, without an object a record.

This reaches into aiokafka (pinned in pyproject.toml) at two places: PartitionRecords._unpack_records, the generator
that makes a ConsumerRecord of every record, and MemoryRecords, which it reads them from. For the topics that are
registered here the one yields whole batches, which the other one shows as they came; `runs` makes columns of them. A
test compares these, record by record, with aiokafka's own, and fails when the library changes. What is no batch of the
present format goes through aiokafka, record by record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import google_crc32c
import numpy as np
from aiokafka.codec import snappy_decode
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from movie_stream.chunk import REPLAY_OF, Chunk
from movie_stream.decimals import Bools
from movie_stream.kafka import inflate
from movie_stream.kafka.inflate import MOST_RECORDS, BatchTooLarge
from movie_stream.kafka.record_batch import COUNT_AT, Malformed, RawBatch, records_of
from movie_stream.layout import Columns, Layouts
from movie_stream.spans import Ints, Spans


class Run(NamedTuple):
    """Consecutive records of one partition, as columns of equal length, and the one header that matters."""

    offsets: Ints
    times_ms: Ints
    """Kafka timestamps, -1 where there is none."""
    keys: Spans
    values: Spans
    replays: dict[int, bytes]
    """The header REPLAY_OF of the few records that have it, by offset."""
    by_layout: tuple[Columns, Bools] | None = None
    """What the views among them hold, where that was read."""

    def part(self, rows: slice | Ints) -> Run:
        """Some of the records."""
        offsets = self.offsets[rows]
        replays = {o: self.replays[o] for o in offsets.tolist() if o in self.replays} if self.replays else {}
        return Run(offsets, self.times_ms[rows], self.keys.take(rows), self.values.take(rows), replays)


class Fetched(NamedTuple):
    """A batch as it came."""

    data: memoryview
    first: int
    """Records before this offset were read already."""
    begin: int
    """The position before it, and before the batches without records for us that were passed over on the way to it."""
    place: str
    """For messages: the topic, partition and offset."""
    magic: int
    """Of its format."""
    records: int
    """How many it has."""


RECORDS_AT_ONCE = 24_000
"""In a chunk. A fetch of compressed records brings many more; but nothing else has its turn while a chunk is applied,
and what is made of its records is in memory all at once.
"""
_DECOMPRESS: Final = (lambda body: body, inflate.gzip, snappy_decode, inflate.lz4, inflate.zstd)
_LENGTH_AT, _LENGTH_FROM, _MAGIC_AT, _CRC_AT, _CRC_FROM = 8, 12, 16, 17, 21
_PRESENT: Final = 2

_topics: set[str] = set()
_unpack_records = fetcher.PartitionRecords._unpack_records


class ShownRecords(MemoryRecords):
    """aiokafka's, which show the bytes that they are read from."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


def unpack_in_runs(topic: str) -> None:
    """From now on, this process gets this topic's records from aiokafka as batches, for `runs`."""
    _topics.add(topic)
    fetcher.PartitionRecords._unpack_records = _unpack
    fetcher.MemoryRecords = ShownRecords


def unpack_as_usual(topic: str) -> None:
    """Takes `unpack_in_runs` back."""
    _topics.discard(topic)
    if not _topics:
        fetcher.PartitionRecords._unpack_records = _unpack_records
        fetcher.MemoryRecords = MemoryRecords


def _unpack(self: Any) -> Iterator[Any]:
    """PartitionRecords._unpack_records with one Fetched a batch; what it skips and raises is the same."""
    if self._tp.topic not in _topics:
        yield from _unpack_records(self)
        return
    records, at, begin = self._records, 0, self.next_fetch_offset
    whole = memoryview(records.data)
    while records.has_next():
        batch = records.next_batch()
        size = _LENGTH_FROM + int.from_bytes(whole[at + _LENGTH_AT : at + _LENGTH_FROM], "big")
        data, at = whole[at : at + size], at + size
        if self._check_crcs and not _intact(data, batch):
            raise CorruptRecordException(f"Invalid CRC - {self._tp}")
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                self.next_fetch_offset = batch.next_offset
                continue
        if batch.is_control_batch:
            self.next_fetch_offset = batch.next_offset
            continue
        yield _fetched(data, batch, self.next_fetch_offset, begin, self._tp)
        self.next_fetch_offset = begin = batch.next_offset


def _intact(data: memoryview, batch: Any) -> bool:
    """Whether its checksum, CRC-32C over all that comes behind it, is right."""
    if data[_MAGIC_AT] != _PRESENT:
        return bool(batch.validate_crc())
    return int.from_bytes(data[_CRC_AT:_CRC_FROM], "big") == google_crc32c.value(bytes(data[_CRC_FROM:]))


def _fetched(data: memoryview, batch: Any, first: int, begin: int, tp: Any) -> Fetched:
    magic = data[_MAGIC_AT]
    count = int.from_bytes(data[COUNT_AT : COUNT_AT + 4], "big") if magic == _PRESENT else 1
    place = f"{tp.topic}, partition {tp.partition}, before offset {batch.next_offset}"
    base = getattr(batch, "base_offset", batch.next_offset)  # the oldest formats have none
    if max(batch.next_offset - base, count) > MOST_RECORDS:
        raise BatchTooLarge(what=f"more than {MOST_RECORDS:,} records", place=place)
    return Fetched(data, first, begin, place, magic, count)


def runs(fetched: Sequence[Fetched], layouts: Layouts | None = None) -> list[Run]:
    """The records of consecutive batches, RECORDS_AT_ONCE in a run at most; read, too, if there are layouts.

    Raises BatchTooLarge, and what aiokafka raises where a batch is damaged.
    """
    found = [run for group in in_groups(fetched) for run in _whole(group)]
    found = [run for run in found if len(run.offsets)]
    parts = [part for run in found for part in _cut(run)]
    return parts if layouts is None else [_read(part, layouts) for part in parts]


def _read(run: Run, layouts: Layouts) -> Run:
    columns, read = layouts.read(run.values)
    for text in columns.texts.values():
        text.hashes()  # which it keeps
    return run._replace(by_layout=(columns, read))


def _cut(run: Run) -> Iterator[Run]:
    """Parts of about one size."""
    parts = -(-len(run.offsets) // RECORDS_AT_ONCE)
    for part in range(parts):
        yield run.part(slice(*(len(run.offsets) * edge // parts for edge in (part, part + 1))))


def in_groups(fetched: Sequence[Fetched]) -> Iterator[list[Fetched]]:
    """Batches of one kind, as many as have RECORDS_AT_ONCE together, or one that has more."""
    for _, alike in groupby(fetched, key=lambda batch: batch.magic == _PRESENT):
        group, records = list[Fetched](), 0
        for batch in alike:
            if group and records + batch.records > RECORDS_AT_ONCE:
                yield group
                group, records = [], 0
            group.append(batch)
            records += batch.records
        yield group


def _whole(group: Sequence[Fetched]) -> Iterator[Run]:
    """The records of batches of one kind."""
    if group[0].magic != _PRESENT:
        yield plain_run(group)
        return
    raw = []
    for batch in group:
        try:
            raw.append(RawBatch.of(batch.data, _DECOMPRESS))
        except BatchTooLarge as error:
            raise BatchTooLarge(what=error.what, place=batch.place) from error
    try:
        records = records_of(raw, REPLAY_OF)
    except Malformed:
        yield plain_run(group)
        return
    run = Run(records.offsets, records.times_ms, records.keys, records.values, records.marked)
    unread = run.offsets >= np.repeat([batch.first for batch in group], [batch.records for batch in group])
    yield run if unread.all() else run.part(np.flatnonzero(unread))


def plain_run(group: Sequence[Fetched]) -> Run:
    """The same by aiokafka, record by record."""
    records: list[tuple[int, int, bytes | None, bytes | None]] = []
    replays: dict[int, bytes] = {}
    for batch in group:
        try:
            for record in MemoryRecords(bytes(batch.data)).next_batch():
                if record.offset >= batch.first:
                    time_ms = -1 if record.timestamp is None else record.timestamp
                    records.append((record.offset, time_ms, record.key, record.value))
                    for name, value in record.headers:
                        if name == REPLAY_OF:
                            replays[record.offset] = value or b""
        except BatchTooLarge as error:
            raise BatchTooLarge(what=error.what, place=batch.place) from error
    offsets, times_ms, keys, values = zip(*records, strict=True) if records else ((), (), (), ())
    integers = np.array(offsets, np.int64), np.array(times_ms, np.int64)
    return Run(*integers, Spans.of(keys), Spans.of(values), replays)


def chunks(partition: int, start: int, end: int, found: Sequence[Run]) -> Iterator[Chunk]:
    """Runs as chunks that together cover start <= offset < end: one at least."""
    ends = [*(int(run.offsets[0]) for run in found[1:]), end]
    for run, until in zip(found or [plain_run([])], ends, strict=True):
        yield Chunk(partition, start, until, *run)
        start = until
