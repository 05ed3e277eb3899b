"""Records with header names of any bytes: aiokafka raises if one is not UTF-8.

Kafka's format requires UTF-8, but no broker checks it, so one record of any producer would block all consumers. Hence
aiokafka's generator of records (private, like the parts that unpack.py uses; the version is pinned) is replaced by one
that reads the rest of such a batch itself. All else is still read by aiokafka. A batch that it cannot read raises
BatchDamaged with its offset, once all records before it were read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from movie_stream.kafka.batches import inflate
from movie_stream.kafka.batches.holes import HOLES
from movie_stream.kafka.batches.record_batch import RawBatch

_OFFSET_AND_LENGTH: Final = struct.Struct(">qi")
_MAGIC_AT: Final = 16
_LAST_OFFSET: Final = struct.Struct(">i")
"""The offset of a batch's last record, relative to its first."""
_LAST_OFFSET_AT: Final = 23
_PRESENT: Final = 2
"""The only format with headers."""
_INTEGER_BITS: Final = 64
_HALF: Final = 1 << 63

_unpack_records = fetcher.PartitionRecords._unpack_records


class RawMemoryRecords(MemoryRecords):
    """aiokafka's MemoryRecords, with their raw buffer."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class Record(NamedTuple):
    """The attributes of a record that aiokafka reads."""

    offset: int
    timestamp: int
    """The Kafka timestamp, in Unix milliseconds."""
    timestamp_type: int
    """0 if the producer set the timestamp, 1 if the broker did."""
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


def accept_any_header_names() -> None:
    """Makes aiokafka, in this process, read records with header names of any bytes."""
    fetcher.PartitionRecords._unpack_records = unpack_records
    fetcher.MemoryRecords = RawMemoryRecords


def unpack_records(self: Any) -> Iterator[Any]:
    """PartitionRecords._unpack_records, which continues where it would raise for a header's name.

    Raises BatchTooLarge and BatchDamaged.
    """
    end_before_hole(self)
    with with_location(self):
        while True:
            try:
                yield from _unpack_records(self)
            except UnicodeDecodeError:
                yield from _rest_of_batch(self)
            else:
                return


def end_before_hole(records: Any) -> None:
    """Cuts what a PartitionRecords reads from before the first hole that may be filled, see holes.py."""
    if HOLES.waits:
        data = records._records.data
        size = HOLES.bytes_before(records._tp, data, records.next_fetch_offset)
        if size < len(data):
            records._records = RawMemoryRecords(bytes(data[:size]))


@contextmanager
def with_location(records: Any) -> Iterator[None]:
    """Adds the location of an unreadable batch to the error of a PartitionRecords. If records were read before it, the
    fetch just ends there: the next fetch begins with the batch.
    """
    begin = records.next_fetch_offset
    try:
        yield
    except (inflate.BatchRefused, *inflate.DAMAGE) as error:
        at = records.next_fetch_offset
        if at == begin:
            raise inflate.refused(error, *_location(records, at)) from error


def _location(records: Any, offset: int) -> tuple[str, int | None]:
    """The location of the batch that contains an offset, in words, and the offset after it, if known."""
    partition = f"{records._tp.topic}, partition {records._tp.partition}"
    try:
        _, end = _batch_around(records._records.data, offset)
    except (struct.error, IndexError):
        return f"{partition}, offset {offset}", None
    return f"{partition}, before offset {end}", end


def _rest_of_batch(self: Any) -> Iterator[Any]:
    """The records of the batch that aiokafka failed at, from the failing one on."""
    data, end = _batch_around(self._records.data, self.next_fetch_offset)
    for record in records_in(data):
        if record.offset >= self.next_fetch_offset:
            self.next_fetch_offset = record.offset + 1
            yield self._consumer_record(self._tp, record)
    self.next_fetch_offset = end


def _batch_around(data: bytes, offset: int) -> tuple[memoryview, int]:
    """The first batch that ends after an offset, and the offset after that batch."""
    whole, at = memoryview(data), 0
    while True:
        base, length = _OFFSET_AND_LENGTH.unpack_from(whole, at)
        batch = whole[at : at + _OFFSET_AND_LENGTH.size + length]
        end = base + _LAST_OFFSET.unpack_from(batch, _LAST_OFFSET_AT)[0] + 1
        if batch[_MAGIC_AT] == _PRESENT and end > offset:
            return batch, end
        at += len(batch)


def one_by_one(data: memoryview) -> Iterator[Any]:
    """The records of a batch of any format, read by aiokafka as far as it can. Raises its other errors."""
    read = 0
    try:
        for record in MemoryRecords(bytes(data)).next_batch():
            read += 1
            yield record
    except UnicodeDecodeError:
        yield from islice(records_in(data), read, None)


def records_in(data: memoryview) -> Iterator[Record]:
    """The records of a batch of the present format; bytes of a header name that are not UTF-8 are backslash-escaped.

    Raises CorruptRecordException, and the errors of decompression.
    """
    batch = RawBatch.of(data, inflate.WHOLE)
    body, at = bytes(batch.body), 0
    try:
        for _ in range(batch.records):
            length, at = _varint(body, at)
            end = at + length
            time_delta_ms, at = _varint(body, at + 1)
            offset_delta, at = _varint(body, at)
            key, at = _string(body, at)
            value, at = _string(body, at)
            headers, at = _headers(body, at)
            if at != end or end > len(body):
                raise CorruptRecordException(f"a record ends at byte {at}, and says {end}")
            fixed_ms = batch.fixed_time_ms
            time_ms = _wrapped(batch.first_time_ms + time_delta_ms) if fixed_ms is None else fixed_ms
            offset = _wrapped(batch.base_offset + offset_delta)
            yield Record(offset, time_ms, int(fixed_ms is not None), key, value, headers)
    except (IndexError, ValueError) as error:
        raise CorruptRecordException(f"a record ends outside of its batch: {error}") from error


def _headers(body: bytes, at: int) -> tuple[list[tuple[str, bytes | None]], int]:
    """The headers whose count is at a position, and the position after them."""
    count, at = _varint(body, at)
    headers = list[tuple[str, bytes | None]]()
    for _ in range(count):
        name, at = _string(body, at)
        value, at = _string(body, at)
        if name is None:
            raise CorruptRecordException("a header has no name")
        headers.append((str(name, "utf-8", "backslashreplace"), value))
    if count < 0:
        raise CorruptRecordException(f"a record has {count} headers")
    return headers, at


def _string(body: bytes, at: int) -> tuple[bytes | None, int]:
    """The string, or null, whose length is at a position, and the position after it."""
    length, at = _varint(body, at)
    if length < 0:
        return None, at
    return body[at : at + length], at + length


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """The signed (zigzag) varint of 64 bits at a position, and the position after it.

    aiokafka's own reads beyond the end of the buffer. Raises IndexError, ValueError.
    """
    raw = shift = 0
    while True:
        byte = body[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        if raw >> _INTEGER_BITS or (byte >= 0x80 and shift + 7 >= _INTEGER_BITS):
            raise ValueError(f"a number has more than {_INTEGER_BITS} bits")
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), at
        shift += 7


def _wrapped(number: int) -> int:
    """A sum wrapped to a signed 64-bit integer, as the columns and aiokafka add.

    >>> _wrapped(2**63 - 1), _wrapped(2**63)
    (9223372036854775807, -9223372036854775808)
    """
    return (number + _HALF) % (2 * _HALF) - _HALF
