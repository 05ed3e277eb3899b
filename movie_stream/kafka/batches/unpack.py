"""Record batches unpacked into columns, without an object per record.

This reaches into aiokafka (pinned in pyproject.toml) at two points: PartitionRecords._unpack_records, the generator
that makes a ConsumerRecord of every record, and MemoryRecords, which it reads them from. For a consumer that has
WholeBatches the generator yields whole batches, as received; `take_runs` makes columns of them, up to the bounds of a
chunk. A batch that unpacks to more than that is unpacked piece by piece, and each piece is treated as a batch. A test
compares these, record by record, with aiokafka's own, and fails when the library changes. Batches of older formats are
read by aiokafka, record by record.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final, NamedTuple

import google_crc32c
import numpy as np
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from movie_stream.columnar.spans import PAD, Bytes, Spans, joined
from movie_stream.events.chunk import REPLAY_OF, Chunk, Records
from movie_stream.kafka.batches import headers, inflate
from movie_stream.kafka.batches.batch_offsets import AssignedOffsets, counted
from movie_stream.kafka.batches.inflate import DAMAGE, BatchDamaged, BatchRefused, BatchTooLarge, TooLargeAtOnce
from movie_stream.kafka.batches.record_batch import (
    COUNT_AT,
    Malformed,
    RawBatch,
    codec_of,
    packed_of,
    piece_of,
    records_of,
    size_of_first,
    whole_records,
)
from movie_stream.kernels.compiled import COMPILED

logger = logging.getLogger(__name__)


_Row = tuple[int, int, bytes | None, bytes | None, bytes | None]
"""A single record: offset, time, key, value, and the header REPLAY_OF."""


class FetchedBatch(NamedTuple):
    """A batch as received."""

    data: memoryview
    first: int
    """The first offset that was not read yet."""
    begin: int
    """The position before it, and before the control and aborted batches that were skipped to reach it."""
    location: str
    """The topic, partition and offset, for messages."""
    magic: int
    """The version of its format."""
    records: int
    """The number of its records."""
    misnumbered: set[str]
    """See WholeBatches; shared by all batches of a consumer."""
    partly_read: PartlyReadBatch | None = None
    """Its remaining pieces, if it is unpacked piece by piece."""
    assigned: AssignedOffsets | None = None
    """The offsets of such a piece."""
    unreadable: str = ""
    """Why its remaining records cannot be read, if each of them is refused."""

    @property
    def offsets(self) -> AssignedOffsets:
        """The offsets that the broker has assigned to it."""
        return AssignedOffsets.of(self.data) if self.assigned is None else self.assigned


RECORDS_AT_ONCE = 36_000
"""The most records of a chunk. A fetch of compressed records has many more, but applying a chunk blocks the event
loop, and all of its columns are in memory together.
"""
BYTES_AT_ONCE = 8 << 20
"""The most bytes of a chunk, unpacked, unless one record has more: a fetch of a few kB may hold gigabytes."""
_MOST_AT_ONCE = 4 * RECORDS_AT_ONCE
"""The most records of a batch that is unpacked as a whole."""
_UNREADABLE: Final = (BatchRefused, Malformed, *DAMAGE)
_UNCOMPRESSED: Final = (lambda body: body,)
_OLD_RECORDS: Final = 1_000_000
"""The most records of a batch of an older format: it is read as a whole, record by record."""
MOST_REFUSED = 1_000_000
"""The most records of an unreadable batch: each becomes a dead letter, and a few bytes may claim very many."""
_LENGTH_AT, _LENGTH_FROM, _MAGIC_AT, _CRC_AT, _CRC_FROM = 8, 12, 16, 17, 21
_PRESENT: Final = 2


class WholeBatches:
    """The `value_deserializer` of a consumer that is to get whole batches instead of records, for `take_runs`; aiokafka
    passes it to the generator of records. It is never called for a value.
    """

    def __init__(self) -> None:
        self.misnumbered: set[str] = set()
        """The partitions that were logged since their records have other offsets than the broker has assigned."""

    def __call__(self, value: bytes) -> bytes:
        return value


def take_whole_batches() -> None:
    """Makes consumers of this process that have WholeBatches get whole batches; all others get records, as before."""
    fetcher.PartitionRecords._unpack_records = _unpack


def _unpack(self: Any) -> Iterator[Any]:
    """PartitionRecords._unpack_records with one FetchedBatch per batch; it skips and raises the same as
    headers.unpack_records does.

    It also skips batches without records: some codecs compress nothing to bytes that cannot be unpacked.
    """
    if not isinstance(self._value_deserializer, WholeBatches):
        yield from headers.unpack_records(self)
        return
    headers.end_before_hole(self)
    with headers.with_location(self):
        yield from _batches(self)


def _batches(self: Any) -> Iterator[FetchedBatch]:
    records, at, begin = self._records, 0, self.next_fetch_offset
    misnumbered = self._value_deserializer.misnumbered
    whole = memoryview(records.data)
    while records.has_next():
        batch = records.next_batch()
        size = _LENGTH_FROM + int.from_bytes(whole[at + _LENGTH_AT : at + _LENGTH_FROM], "big")
        data, at = whole[at : at + size], at + size
        if self._check_crcs and not _intact(data, batch):
            raise CorruptRecordException(inflate.WRONG_CHECKSUM)
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                self.next_fetch_offset = batch.next_offset
                continue
        if batch.is_control_batch or _is_empty(data):
            self.next_fetch_offset = batch.next_offset
            continue
        yield _fetched(data, batch, self.next_fetch_offset, begin, self._tp, misnumbered)
        self.next_fetch_offset = begin = batch.next_offset


def _intact(data: memoryview, batch: Any) -> bool:
    """Whether its checksum, the CRC-32C of everything after it, is right."""
    if data[_MAGIC_AT] != _PRESENT:
        return bool(batch.validate_crc())
    checked = np.frombuffer(data[_CRC_FROM:].toreadonly(), np.uint8)  # google_crc32c takes no memoryview
    return int.from_bytes(data[_CRC_AT:_CRC_FROM], "big") == google_crc32c.value(checked)


def _is_empty(data: memoryview) -> bool:
    return data[_MAGIC_AT] == _PRESENT and not any(data[COUNT_AT : COUNT_AT + 4])


def _fetched(data: memoryview, batch: Any, first: int, begin: int, tp: Any, misnumbered: set[str]) -> FetchedBatch:
    magic = data[_MAGIC_AT]
    count = int.from_bytes(data[COUNT_AT : COUNT_AT + 4], "big") if magic == _PRESENT else 1
    location = f"{tp.topic}, partition {tp.partition}, before offset {batch.next_offset}"
    base = getattr(batch, "base_offset", batch.next_offset)  # the oldest formats have none
    if magic != _PRESENT and batch.next_offset - base > _OLD_RECORDS:
        raise BatchTooLarge(
            what=f"a record batch of an old format has more than {_OLD_RECORDS:,} records", location=location
        )
    return FetchedBatch(data, first, begin, location, magic, count, misnumbered)


def take_runs(waiting: deque[FetchedBatch], of_views: bool = False) -> list[Records]:
    """Takes batches from the left, at least one, and unpacks them: as many as fit into a chunk together.

    If a batch is too large for that, a piece is taken, and the rest stays. No run is larger than a chunk may be; there
    is none if all records were read already. Records of views are decoded, too: anybody may have sent them, so
    unreadable ones are returned as refused records.

    Raises BatchTooLarge, and BatchDamaged for others than views.
    """
    parts = list(_split(_taken(waiting, refusing=of_views)))
    return [part.decoded() for part in parts] if of_views else parts


def _split(run: Records) -> Iterator[Records]:
    """Splits records into chunks of about equal size; a record that exceeds BYTES_AT_ONCE has one of its own."""
    count = len(run.offsets)
    if not count:
        return
    most = -(-count // -(-count // RECORDS_AT_ONCE))
    if count == most and len(run.values.text) <= BYTES_AT_ONCE:
        yield run
        return
    ends = np.cumsum(np.maximum(run.keys.lengths, 0) + np.maximum(run.values.lengths, 0))
    begin = before = 0
    while begin < count:
        full = int(np.searchsorted(ends, before + BYTES_AT_ONCE, "right"))
        end = min(max(full, begin + 1), begin + most, count)
        yield run.take(slice(begin, end))
        begin, before = end, int(ends[end - 1])


def _taken(waiting: deque[FetchedBatch], refusing: bool) -> Records:
    """The records that make up the next chunk."""
    batch = waiting[0]
    if batch.unreadable:
        return _run_of(*_refused(waiting))
    if batch.magic != _PRESENT:
        return _record_by_record(waiting, _count_old(waiting), refusing)
    try:
        batches, raw = _unpacked(waiting)
        if not batches:
            return _piece(waiting)
    except _UNREADABLE as error:
        if waiting and waiting[0] is batch:
            waiting.popleft()
        waiting.appendleft(_marked_unreadable(batch, error, refusing))
        return _run_of(*_refused(waiting))
    if COMPILED:
        try:
            return _as_columns(batches, raw)
        except Malformed as fault:
            logger.debug("%s: read record by record: %s", batch.location, fault)
    waiting.extendleft(reversed(batches))
    return _record_by_record(waiting, len(batches), refusing)


def _count_old(waiting: deque[FetchedBatch]) -> int:
    """The number of next batches that are of an older format."""
    return sum(1 for _ in takewhile(lambda batch: batch.magic != _PRESENT, waiting))


def _marked_unreadable(batch: FetchedBatch, error: Exception, refusing: bool) -> FetchedBatch:
    """The batch with the reason for which its records are refused. Raises BatchRefused if they are not to be refused,
    or the batch is beyond a bound.
    """
    refused = inflate.refused(error, batch.location)
    if not refusing or batch.magic != _PRESENT or isinstance(refused, BatchTooLarge):
        raise refused from error
    if batch.offsets.end - batch.offsets.base > MOST_REFUSED:
        what = f"a record batch that cannot be read spans more than {MOST_REFUSED:,} offsets"
        raise BatchTooLarge(what=what, location=batch.location) from error
    logger.warning("%s: %s; its records are refused", batch.location, refused.what)
    reason = f"its record batch, at offset {batch.offsets.base}, cannot be read: {inflate.why(error)}"
    return batch._replace(unreadable=reason, partly_read=None)


def _refused(waiting: deque[FetchedBatch]) -> tuple[list[_Row], dict[int, str]]:
    """The next records of an unreadable batch, and the reason for each; the rest of it is put back."""
    batch = waiting.popleft()
    assigned = batch.offsets
    start = max(batch.first, batch.begin, assigned.base)
    end = min(start + RECORDS_AT_ONCE, assigned.end)
    if end < assigned.end:
        waiting.appendleft(batch._replace(begin=end))
    offsets = range(start, end)
    return [(offset, -1, None, None, None) for offset in offsets], dict.fromkeys(offsets, batch.unreadable)


def _record_by_record(waiting: deque[FetchedBatch], most: int, refusing: bool) -> Records:
    """The records of up to `most` batches, read by aiokafka; takes no more batches than make up a chunk, nor one that
    cannot be read if there are some before it. Raises BatchRefused.
    """
    rows, size = list[_Row](), 0
    for _ in range(most):
        try:
            more = _rows(waiting[0])
        except _UNREADABLE as error:
            if rows:
                break
            waiting[0] = _marked_unreadable(waiting[0], error, refusing)
            return _run_of(*_refused(waiting))
        waiting.popleft()
        rows += more
        size += sum(len(key or b"") + len(value or b"") for _, _, key, value, _ in more)
        if len(rows) >= RECORDS_AT_ONCE or size >= BYTES_AT_ONCE:
            break
    return _run_of(rows, {})


def _unpacked(waiting: deque[FetchedBatch]) -> tuple[list[FetchedBatch], list[RawBatch]]:
    """Batches of the present format, up to a chunk's bounds: the next one is assumed to be as large as the last.

    Raises one of DAMAGE.
    """
    batches, raw, records, size = list[FetchedBatch](), list[RawBatch](), 0, 0
    while waiting and (batch := waiting[0]).magic == _PRESENT and batch.partly_read is None and not batch.unreadable:
        records += batch.records
        if batches and (records > RECORDS_AT_ONCE or size + len(raw[-1].body) > BYTES_AT_ONCE):
            break
        try:
            raw.append(_at_once(batch))
        except TooLargeAtOnce:
            waiting[0] = batch._replace(partly_read=PartlyReadBatch(batch))
            break
        except DAMAGE:
            if not batches:
                raise
            break  # the batches before it come first
        batches.append(waiting.popleft())
        size += len(raw[-1].body)
    return batches, raw


def _at_once(batch: FetchedBatch) -> RawBatch:
    """Unpacks a batch as a whole. Raises TooLargeAtOnce, and one of DAMAGE."""
    codec = codec_of(batch.data)
    if codec >= len(inflate.AT_ONCE):
        raise UnsupportedCodecError(f"no codec has the number {codec}")
    if batch.records > _MOST_AT_ONCE:
        raise TooLargeAtOnce
    return RawBatch.of(batch.data, inflate.AT_ONCE)


class PartlyReadBatch:
    """A batch of the present format that is unpacked piece by piece, each of which fits into a chunk.

    In memory are the piece that was taken last, and the unpacked bytes after it, in a buffer of about BYTES_AT_ONCE, or
    of one larger record.
    """

    def __init__(self, batch: FetchedBatch) -> None:
        self._batch = batch
        self.left = batch.records
        """The number of records that were not taken yet."""
        self.last = -1
        """The offset of the last record that was taken."""
        self._assigned = batch.offsets  # as of the next piece
        self._source = inflate.pieces(codec_of(batch.data), packed_of(batch.data))
        self._text: Bytes = joined(())
        self._begins: list[int] = [len(PAD)]  # of the complete records in the text, and the end of the last one
        self._at = 0  # the index of the next one

    def piece(self) -> FetchedBatch:
        """The next records as a batch of their own, with the location of the whole one.

        Raises BatchTooLarge, Malformed and one of DAMAGE.
        """
        if self._at == len(self._begins) - 1:
            self._fill()
        begin = self._at
        self._at = min(begin + RECORDS_AT_ONCE, len(self._begins) - 1)
        records = self._at - begin
        self.left -= records
        if self.left < 0 or (not self.left and self._more()):
            raise Malformed("it has more records than it says")
        body = self._text.data[self._begins[begin] : self._begins[self._at]]
        assigned = self._assigned
        if assigned.at is not None:
            self._assigned = assigned._replace(at=assigned.at + records)
        return self._batch._replace(data=piece_of(self._batch.data, records, body), records=records, assigned=assigned)

    def _more(self) -> bool:
        """Whether anything is left after the records that were taken."""
        return self._begins[self._at] < len(self._text) - len(PAD) or any(map(len, self._source))

    def _fill(self) -> None:
        """Unpacks more bytes, until the text holds at least one whole record."""
        rest = self._text.data[self._begins[-1] : len(self._text) - len(PAD)]
        parts, size, wanted = list[bytes | memoryview]([rest]), len(rest), BYTES_AT_ONCE
        while True:
            while size < wanted and (part := next(self._source, None)) is not None:
                parts.append(part)
                size += len(part)
            self._text = joined(parts)
            if size < wanted:
                self._begins = whole_records(self._text).tolist()
                if len(self._begins) == 1:
                    raise Malformed("it has fewer records than it says")
                break
            first = size_of_first(self._text)
            if first <= size:
                self._begins = whole_records(self._text).tolist()
                break
            if codec_of(self._batch.data) and first > inflate.limits().record:
                raise inflate.record_too_large(first)
            wanted = first
        self._at = 0


def _piece(waiting: deque[FetchedBatch]) -> Records:
    """The next records of a batch that is unpacked piece by piece; the rest of it is put back."""
    batch = waiting.popleft()
    partly_read = batch.partly_read or PartlyReadBatch(batch)
    piece = partly_read.piece()
    try:
        run = _as_columns([piece], [RawBatch.of(piece.data, _UNCOMPRESSED)])
    except Malformed:
        run = plain_run([piece])
    if len(run.offsets):
        if run.offsets[0] <= partly_read.last:
            raise Malformed("the offsets of its records do not ascend")
        partly_read.last = int(run.offsets[-1])
    if partly_read.left:
        begin = partly_read.last + 1 if len(run.offsets) else batch.begin
        waiting.appendleft(batch._replace(begin=begin, partly_read=partly_read))
    return run


def _as_columns(batches: Sequence[FetchedBatch], raw: Sequence[RawBatch]) -> Records:
    """All records of these batches that were not read yet. Raises Malformed."""
    records, marked = records_of(raw, REPLAY_OF)
    offsets, misnumbered = counted([batch.offsets for batch in batches], raw, records.offsets)
    for index in misnumbered:
        _warn_misnumbered(batches[index])
    replays = {int(offsets[row]): original for row, original in marked.items()}
    run = replace(records, offsets=offsets, replays=replays)
    unread = run.offsets >= np.repeat([batch.first for batch in batches], [batch.records for batch in batches])
    return run if unread.all() else run.take(np.flatnonzero(unread))


def plain_run(batches: Iterable[FetchedBatch]) -> Records:
    """All records of these batches that were not read yet, read by aiokafka. Raises Malformed and one of DAMAGE."""
    return _run_of([row for batch in batches for row in _rows(batch)], {})


def _rows(batch: FetchedBatch) -> list[_Row]:
    """A batch's records that were not read yet. Raises Malformed and one of DAMAGE."""
    records = list(headers.one_by_one(batch.data))
    offsets = np.array([record.offset for record in records], np.int64)
    if batch.magic == _PRESENT:
        own, offsets = offsets, batch.offsets.counted(offsets)
        if offsets is not own:
            _warn_misnumbered(batch)
    rows = list[_Row]()
    for offset, record in zip(offsets.tolist(), records, strict=True):
        if offset >= batch.first:
            time_ms = -1 if record.timestamp is None else record.timestamp
            replays = [value or b"" for name, value in record.headers if name == REPLAY_OF]
            rows.append((offset, time_ms, record.key, record.value, replays[-1] if replays else None))
    return rows


def _run_of(rows: Sequence[_Row], unreadable: Mapping[int, str]) -> Records:
    offsets, times_ms, keys, values, marked = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    replays = {offset: original for offset, original in zip(offsets, marked, strict=True) if original is not None}
    integers = np.array(offsets, np.int64), np.array(times_ms, np.int64)
    return Records(*integers, Spans.of(keys), Spans.of(values), replays, unreadable=unreadable)


def _warn_misnumbered(batch: FetchedBatch) -> None:
    """Warns once per partition that records have other offsets than the broker has assigned."""
    partition = batch.location.rpartition(", ")[0]
    if partition not in batch.misnumbered:
        batch.misnumbered.add(partition)
        logger.warning(
            "%s: the records of the batch at offset %d say other offsets than the broker has counted, which counts; "
            "what its producer is should be looked into (said once of a partition)",
            *(partition, batch.offsets.base),
        )


def chunks(partition: int, start: int, end: int, found: Sequence[Records]) -> Iterator[Chunk]:
    """The runs as chunks that together cover start <= offset < end; at least one chunk. Raises BatchDamaged."""
    ends = [*(int(run.offsets[0]) for run in found[1:]), end]
    for run, until in zip(found or [plain_run([])], ends, strict=True):
        offsets = run.offsets
        if len(offsets) and not (start <= offsets[0] and offsets[-1] < until and (np.diff(offsets) > 0).all()):
            what = f"records stand outside of the offsets {start} to {until - 1}, which were fetched, or out of order"
            raise BatchDamaged(what=what, location=f"partition {partition}")
        yield Chunk.of(run, partition, start, until)
        start = until
