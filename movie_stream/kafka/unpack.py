"""Record batches unpacked into columns, without an object a record.

This reaches into aiokafka (pinned in pyproject.toml) at one place: PartitionRecords._unpack_records, the generator
that makes a ConsumerRecord of every record. For the topics that are registered here it yields one Run a record batch. A
test compares it, record by record, with aiokafka's own, and fails when the library changes. `plain_runs` does without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from numpy.typing import NDArray

from movie_stream.chunk import REPLAY_OF, Chunk
from movie_stream.kafka.inflate import MOST_RECORDS, BatchTooLarge


class Run(NamedTuple):
    """Consecutive records of one partition, as columns of equal length, and the one header that matters."""

    offsets: list[int]
    times_ms: list[int | None]
    """Kafka timestamps, where there are any."""
    keys: list[bytes | None]
    values: list[bytes | None]
    replays: dict[int, bytes]
    """The header REPLAY_OF of the few records that have it, by offset."""


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
    """PartitionRecords._unpack_records with one Run a batch; what it skips and raises is the same, but for
    BatchTooLarge.
    """
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
        unpacked, with_headers = _records(batch, self.next_fetch_offset, self._tp)
        self.next_fetch_offset = batch.next_offset
        if unpacked:
            offsets, times_ms, keys, values = map(list, zip(*unpacked, strict=True))
            yield Run(offsets, times_ms, keys, values, _replays(with_headers))


def _records(
    batch: Any, first: int, tp: Any
) -> tuple[list[tuple[int, int | None, bytes | None, bytes | None]], list[Any]]:
    """Offset, time, key and value of the batch's records from an offset on; and the few of them with headers.

    Raises BatchTooLarge.
    """
    with_headers: list[Any] = []
    note: Callable[[Any], object] = with_headers.append  # returns None; a second look at every record costs more
    try:
        base = getattr(batch, "base_offset", batch.next_offset)  # the oldest formats have none, and larger records
        if batch.next_offset - base > MOST_RECORDS:
            raise BatchTooLarge(what=f"more than {MOST_RECORDS:,} records")
        return [
            (r.offset, r.timestamp, r.key, r.value) for r in batch if r.offset >= first and not (r.headers and note(r))
        ], with_headers
    except BatchTooLarge as error:
        place = f"{tp.topic}, partition {tp.partition}, before offset {batch.next_offset}"
        raise BatchTooLarge(what=error.what, place=place) from error


def plain_runs(records: Sequence[Any]) -> list[Run]:
    """The same from aiokafka's ConsumerRecords."""
    return [
        Run(
            [r.offset for r in records],
            [r.timestamp for r in records],
            [r.key for r in records],
            [r.value for r in records],
            _replays(records),
        )
    ]


def _replays(records: Sequence[Any]) -> dict[int, bytes]:
    return {r.offset: value or b"" for r in records for name, value in r.headers if name == REPLAY_OF}


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
        {offset: original for run in runs for offset, original in run.replays.items()},
    )


def _groups(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """The same records in groups of RECORDS_AT_ONCE, the last of what is left."""
    group: list[Run] = []
    room = RECORDS_AT_ONCE
    for run in runs:
        at = 0
        while at < len(run.offsets):
            part = _part(run, slice(at, at + room))
            group.append(part)
            at += len(part.offsets)
            room -= len(part.offsets)
            if not room:
                yield group
                group, room = [], RECORDS_AT_ONCE
    if group or not runs:
        yield group


def _part(run: Run, rows: slice) -> Run:
    offsets = run.offsets[rows]
    replays = {offset: run.replays[offset] for offset in offsets if offset in run.replays} if run.replays else {}
    return Run(offsets, run.times_ms[rows], run.keys[rows], run.values[rows], replays)


def _integers(columns: Sequence[Sequence[int | None]]) -> NDArray[np.int64]:
    return np.array([-1 if number is None else number for column in columns for number in column], np.int64)
