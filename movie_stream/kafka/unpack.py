"""Record batches unpacked into columns, without an object a record.

This reaches into aiokafka (pinned in pyproject.toml) at one place: PartitionRecords._unpack_records, the generator
that makes a ConsumerRecord of every record. For the topics that are registered here it yields one Run a record batch. A
test compares it, record by record, with aiokafka's own, and fails when the library changes. `plain_runs` does without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from numpy.typing import NDArray

from movie_stream.chunk import Chunk


class Run(NamedTuple):
    """Consecutive records of one partition, as columns of equal length."""

    offsets: list[int]
    times_ms: list[int | None]
    """Kafka timestamps, where there are any."""
    keys: list[bytes | None]
    values: list[bytes | None]


RECORDS_AT_ONCE = 8_000
"""In a chunk. A fetch of compressed records brings many more; but nothing else has its turn while a chunk is applied,
and what is made of its records is in memory all at once.
"""

_topics: set[str] = set()
_unpack_records = fetcher.PartitionRecords._unpack_records


def unpack_in_runs(topic: str) -> None:
    """From now on, this process gets this topic's records from aiokafka as Runs."""
    _topics.add(topic)
    fetcher.PartitionRecords._unpack_records = _unpack


def unpack_as_usual(topic: str) -> None:
    """Takes `unpack_in_runs` back."""
    _topics.discard(topic)
    if not _topics:
        fetcher.PartitionRecords._unpack_records = _unpack_records


def _unpack(self: Any) -> Iterator[Any]:
    """PartitionRecords._unpack_records with one Run a batch; what it skips and raises is the same."""
    if self._tp.topic not in _topics:
        yield from _unpack_records(self)
        return
    records = self._records
    while records.has_next():
        batch = records.next_batch()
        if self._check_crcs and not batch.validate_crc():
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
        first = self.next_fetch_offset
        unpacked = [(r.offset, r.timestamp, r.key, r.value) for r in batch if r.offset >= first]
        self.next_fetch_offset = batch.next_offset
        if unpacked:
            yield Run(*map(list, zip(*unpacked, strict=True)))


def plain_runs(records: Sequence[Any]) -> list[Run]:
    """The same from aiokafka's ConsumerRecords."""
    return [
        Run(
            [r.offset for r in records],
            [r.timestamp for r in records],
            [r.key for r in records],
            [r.value for r in records],
        )
    ]


def chunks(partition: int, start: int, end: int, runs: Sequence[Run]) -> Iterator[Chunk]:
    """Joins runs to chunks that together cover start <= offset < end: one at least, of RECORDS_AT_ONCE at most."""
    groups = list(_groups(runs))
    ends = [*(group[0].offsets[0] for group in groups[1:]), end]
    for group, until in zip(groups, ends, strict=True):
        yield _chunk(partition, start, until, group)
        start = until


def _chunk(partition: int, start: int, end: int, runs: Sequence[Run]) -> Chunk:
    return Chunk(
        partition,
        start,
        end,
        _integers([run.offsets for run in runs]),
        _integers([run.times_ms for run in runs]),
        [key for run in runs for key in run.keys],
        [value for run in runs for value in run.values],
    )


def _groups(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """The same records in groups of RECORDS_AT_ONCE, the last of what is left."""
    group: list[Run] = []
    room = RECORDS_AT_ONCE
    for offsets, times_ms, keys, values in runs:
        at = 0
        while at < len(offsets):
            part = slice(at, at + room)
            group.append(Run(offsets[part], times_ms[part], keys[part], values[part]))
            at += len(group[-1].offsets)
            room -= len(group[-1].offsets)
            if not room:
                yield group
                group, room = [], RECORDS_AT_ONCE
    if group or not runs:
        yield group


def _integers(columns: Sequence[Sequence[int | None]]) -> NDArray[np.int64]:
    return np.array([-1 if number is None else number for column in columns for number in column], np.int64)
