"""The records of a batch as columns: format 2 of Kafka's record batches, read by a kernel (kernels/records.py).

The format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Self

import numpy as np

from movie_stream.columnar.spans import PAD, Bytes, Ints, Spans, joined
from movie_stream.events.chunk import Records
from movie_stream.kernels import records as kernels

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CODEC: Final = 7
_LOG_APPEND_TIME: Final = 8
"""Bits of a batch's attributes."""
COUNT_AT: Final = _HEADER.size - 4
"""The position of a batch's number of records, in four bytes."""
_LENGTH_AT, _LENGTH_FROM = 8, 12
_ATTRIBUTES_AT: Final = 21


class Malformed(ValueError):
    """The records do not follow the format."""


class RawBatch(NamedTuple):
    """One batch: the fields of its header, and its records in one piece."""

    base_offset: int
    records: int
    """The number of records."""
    first_time_ms: int
    fixed_time_ms: int | None
    """When the broker appended it, if the topic uses LogAppendTime; else None: each record has a time of its own."""
    body: bytes | memoryview
    """The records, uncompressed."""

    @classmethod
    def of(cls, data: memoryview, decompress: Sequence[Callable[[memoryview], bytes | memoryview]]) -> Self:
        """Parses a batch; `decompress` has a function for each codec, indexed by its number."""
        base_offset, _, _, _, _, attributes, _, first_ms, largest_ms, _, _, _, count = _HEADER.unpack_from(data)
        body = decompress[attributes & _CODEC](data[_HEADER.size :])
        return cls(base_offset, count, first_ms, largest_ms if attributes & _LOG_APPEND_TIME else None, body)


def codec_of(data: memoryview) -> int:
    """The number of the codec that a batch is compressed with."""
    return data[_ATTRIBUTES_AT + 1] & _CODEC


def packed_of(data: memoryview) -> memoryview:
    """A batch's records, still compressed."""
    return data[_HEADER.size :]


def piece_of(data: memoryview, records: int, body: memoryview) -> memoryview:
    """A batch with some of a batch's records, uncompressed."""
    head = bytearray(data[: _HEADER.size])
    head[_ATTRIBUTES_AT + 1] &= ~_CODEC
    struct.pack_into(">i", head, COUNT_AT, records)
    struct.pack_into(">i", head, _LENGTH_AT, len(head) + len(body) - _LENGTH_FROM)
    return memoryview(b"".join((head, body)))


def records_of(batches: Sequence[RawBatch], header: str) -> tuple[Records, dict[int, bytes]]:
    """The records of these batches, at their own offsets; and by row the last value of `header`, which few of them
    have. Raises Malformed.
    """
    text = joined(batch.body for batch in batches)
    counts = np.array([batch.records for batch in batches], np.int64)
    sizes = np.array([len(batch.body) for batch in batches], np.int64)
    if not ((counts >= 0) & (counts <= sizes)).all():  # each record has a byte at least
        raise Malformed("a batch has other records than it says")
    columns = np.empty((kernels.COLUMNS, int(counts.sum())), np.int64)
    name = np.frombuffer(header.encode(), np.uint8)
    _check(kernels.read_records(text, sizes, counts, len(PAD), name, columns))
    times_ms, offsets, key_begins, key_sizes, value_begins, value_sizes, mark_begins, mark_sizes = columns
    offsets += np.repeat(np.array([batch.base_offset for batch in batches], np.int64), counts)
    times_ms += np.repeat(np.array([batch.first_time_ms for batch in batches], np.int64), counts)
    for batch, end in zip(batches, np.cumsum(counts).tolist(), strict=True):
        if batch.fixed_time_ms is not None:
            times_ms[end - batch.records : end] = batch.fixed_time_ms
    marks = Spans(text, mark_begins, mark_sizes)
    marked = {row: marks[row] or b"" for row in np.flatnonzero(mark_sizes != kernels.ABSENT).tolist()}
    return Records(
        offsets, times_ms, Spans(text, key_begins, key_sizes), Spans(text, value_begins, value_sizes)
    ), marked


def _check(fault: int) -> None:
    if fault > 0:
        raise Malformed(kernels.FAULTS[fault])


def whole_records(text: Bytes) -> Ints:
    r"""The positions where the complete records of a text begin, and where the last one ends; the text may end within
    a record.

    >>> whole_records(joined([b"\x02a\x04bc\x08de"])).tolist()
    [16, 18, 21]

    Raises Malformed.
    """
    first, end = len(PAD), len(text) - len(PAD)
    begins = np.empty(0, np.int64)
    while True:
        count, behind = kernels.find_records(text, first, end, begins)
        _check(-behind)
        if count <= len(begins):
            return np.append(begins, behind)
        begins = np.empty(count, np.int64)


def size_of_first(text: Bytes) -> int:
    """The size in bytes of the record that a text begins with, which may be longer than the text. Raises Malformed."""
    size = kernels.size_of_record(text, len(PAD), len(text) - len(PAD))
    _check(-size)
    return size
