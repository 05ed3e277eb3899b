"""The records of a batch as columns: format 2 of Kafka's record batches, parsed all together instead of one by one.

A record begins with its length, so the next one's position is known only once it was read. Nearly all of ours end with
the brace of a JSON object and the zero that means "no headers", though: these positions are assumed to be ends, and the
lengths verify that. Each record must end where the next begins; where it does not, the records in between are read one
by one.

The format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Self

import numpy as np

from movie_stream.columnar.spans import NULL, PAD, WORD, Bytes, Ints, Spans, Words, equal, joined, words_of
from movie_stream.events.chunk import Records

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CODEC: Final = 7
_LOG_APPEND_TIME: Final = 8
"""Bits of a batch's attributes."""
COUNT_AT: Final = _HEADER.size - 4
"""The position of a batch's number of records, in four bytes."""
_LENGTH_AT, _LENGTH_FROM = 8, 12
_ATTRIBUTES_AT: Final = 21

_MORE: Final = np.uint64(0x8080808080808080)
"""The continuation bit of each byte: set in every byte of a varint but its last."""
_SEVEN: Final = np.uint64(0x7F7F7F7F7F7F7F7F)
_ONE: Final = np.uint64(1)
_END: Final = ord("}")
_BYTES_AT_ONCE: Final = 1 << 18
"""Bytes of the text that are searched for ends at a time, to stay in the cache."""
MOST_HEADERS: Final = 100
"""The most headers of a record; one with more is Malformed here, and its batch is read record by record."""


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
    if counts.min(initial=0) < 0:
        raise Malformed("a batch has less than no records")
    begins = _begins(text, int(counts.sum()))
    firsts, filled = np.cumsum(counts) - counts, counts > 0
    if sizes[~filled].any() or not np.array_equal(
        begins[firsts[filled]], (len(PAD) + np.cumsum(sizes) - sizes)[filled]
    ):
        raise Malformed("a batch has other records than it says")
    base = np.repeat(np.array([batch.base_offset for batch in batches], np.int64), counts)
    times_ms = np.repeat(np.array([batch.first_time_ms for batch in batches], np.int64), counts)
    length, at = varints(text, begins)
    ends = at + length
    if (text[at] & 0x80).any():  # aiokafka takes this byte for the first of a varint
        raise Malformed("a record has attributes that nobody uses")
    time_deltas_ms, at = varints(text, at + 1)
    times_ms += time_deltas_ms
    offset_deltas, at = varints(text, at)
    keys, at = _strings(text, at)
    values, at = _strings(text, at)
    headers, at = varints(text, at)
    for batch, first in zip(batches, firsts.tolist(), strict=True):
        if batch.fixed_time_ms is not None:
            times_ms[first : first + batch.records] = batch.fixed_time_ms
    offsets = base + offset_deltas
    return Records(offsets, times_ms, keys, values), _marked(text, at, headers, ends, header)


def _marked(text: Bytes, at: Ints, headers: Ints, ends: Ints, header: str) -> dict[int, bytes]:
    """The last value of `header` by row, for the records that have it. Raises Malformed if a record does not end where
    its headers end.
    """
    if headers.min(initial=0) < 0 or headers.max(initial=0) > MOST_HEADERS:
        raise Malformed("a record has less than no headers, or very many")
    wanted, marked, rows = Spans.of([header.encode()]), dict[int, bytes](), np.arange(len(at))
    while True:
        done = headers == 0
        if not np.array_equal(at[done], ends[done]):
            raise Malformed("a record is longer, or shorter, than what is in it")
        if done.all():
            return marked
        rows, at, headers, ends = (column[~done] for column in (rows, at, headers - 1, ends))
        names, at = _strings(text, at)
        values, at = _strings(text, at)
        if names.lengths.min() == NULL:
            raise Malformed("a header has no name")
        same = equal(text, names.begins, names.lengths, wanted.take(np.zeros(len(at), np.int64)))
        for found in np.flatnonzero(same).tolist():
            marked[int(rows[found])] = values[found] or b""


def varints(text: Bytes, at: Ints) -> tuple[Ints, Ints]:
    """The signed (zigzag) varint at each position, and the position after it. Raises Malformed.

    >>> values, behind = varints(joined([bytes([1, 0x80, 2])]), np.array([16, 17]))
    >>> values.tolist(), behind.tolist()
    ([-1, 128], [17, 19])
    """
    if at.size and not (at.min() >= 0 and at.max() <= len(text) - WORD):
        raise Malformed("a number lies outside of its batch")
    word = words_of(text)[at]
    ending = ~word & _MORE
    last = ending & -ending  # the top bit of the varint's last byte
    if (last == 0x80).all():
        raw, behind = word & np.uint64(0x7F), at + 1
    else:
        if not last.all():
            raise Malformed("a number has more than eight bytes")
        raw, behind = _squeezed(word & ((last << _ONE) - _ONE)), at + (np.bitwise_count(last - _ONE) >> 3) + 1
    return (raw >> _ONE).view(np.int64) ^ -(raw & _ONE).view(np.int64), behind


def _squeezed(word: Words) -> Words:
    """The lower seven bits of each of the eight bytes, joined into one number of up to 56 bits."""
    word = word & _SEVEN
    for step, mask in ((1, 0x007F007F007F007F), (2, 0x00003FFF00003FFF), (4, 0x000000000FFFFFFF)):
        low = np.uint64(mask)
        shifted = word >> np.uint64(step)
        word = (word & low) | (shifted & (low << np.uint64(7 * step)))
    return word


def _strings(text: Bytes, at: Ints) -> tuple[Spans, Ints]:
    """The string, or null, whose length is at each position, and the position after it."""
    lengths, begins = varints(text, at)
    if lengths.min(initial=0) < -1:
        raise Malformed("a string has a length below 0")
    behind = begins + np.maximum(lengths, 0)
    if behind.max(initial=0) > len(text) - len(PAD):
        raise Malformed("a string is longer than its batch")
    return Spans(text, begins, lengths), behind


def _begins(text: Bytes, count: int) -> Ints:
    """The positions where each of `count` records begins, back to back from PAD to PAD."""
    first, end = len(PAD), len(text) - len(PAD)
    begins = np.concatenate([[first], *_likely(text, first, end)])[: count if first < end else 0]
    begins, behind = _chained(text, begins, end)
    if behind > end:
        raise Malformed("a record is longer than its batch")
    if len(begins) != count:
        raise Malformed(f"expected {count} records, got {len(begins)}")
    return begins


def whole_records(text: Bytes) -> Ints:
    r"""The positions where the complete records of a text begin, and where the last one ends; the text may end within
    a record.

    >>> whole_records(joined([b"\x02a\x04bc\x08de"])).tolist()
    [16, 18, 21]

    Raises Malformed.
    """
    first, end = len(PAD), len(text) - len(PAD)
    if first == end:
        return np.array([first])
    begins, behind = _chained(text, np.concatenate([[first], *_likely(text, first, end)]), end)
    return begins if behind > end else np.append(begins, behind)


def size_of_first(text: Bytes) -> int:
    """The size in bytes of the record that a text begins with, which may be longer than the text. Raises Malformed."""
    length, body = _varint(text, len(PAD))
    return body - len(PAD) + _length(length)


def _length(length: int) -> int:
    if length < 0:
        raise Malformed("a record has a length below 0")
    return length


def _likely(text: Bytes, first: int, end: int) -> Iterator[Ints]:
    """The positions after a brace and a zero, except the end; in pieces of _BYTES_AT_ONCE."""
    for at in range(first, end - 2, _BYTES_AT_ONCE):
        until = min(at + _BYTES_AT_ONCE, end - 2)
        yield np.flatnonzero((text[at:until] == _END) & (text[at + 1 : until + 1] == 0)) + (at + 2)


def _chained(text: Bytes, begins: Ints, end: int) -> tuple[Ints, int]:
    """The true beginnings, given likely ones that include the first; and where the last record ends, which is after
    `end` if the text ends within it.
    """
    if not len(begins):
        return begins, end
    lengths, bodies = varints_or_none(text, begins)
    ends = bodies + np.maximum(lengths, 0)
    breaks = np.flatnonzero(ends != np.append(begins[1:], end))
    if not len(breaks):
        return begins, end
    parts, done, at = list[Ints](), 0, end  # rows before `done` are in `parts`, or are no beginnings
    for row in breaks.tolist():
        if row < done:
            continue
        parts.append(begins[done : row + 1])
        body = int(bodies[row])
        *missed, at = _one_by_one(text, _end(body, int(lengths[row]), end), end, begins[row + 1 :])
        parts.append(np.array(missed, np.int64))
        done = int(np.searchsorted(begins, at))
    parts.append(begins[done:])
    return np.concatenate(parts), at if done == len(begins) else end


def _end(body: int, length: int, end: int) -> int:
    """The end of a record; after `end` if not even its length is before that. Raises Malformed."""
    return body if body > end else body + _length(length)


def varints_or_none(text: Bytes, at: Ints) -> tuple[Ints, Ints]:
    """Like varints, with 0 for a number that has more than eight bytes."""
    try:
        return varints(text, at)
    except Malformed:
        word = words_of(text)[at]
        fits = (word & _MORE) != _MORE
        lengths, behind = np.zeros(len(at), np.int64), at.copy()
        lengths[fits], behind[fits] = varints(text, at[fits])
        return lengths, behind


def _one_by_one(text: Bytes, at: int, end: int, known: Ints) -> Iterator[int]:
    """The beginnings from `at` up to the first that is known or not before the end; that one is included."""
    where = 0
    while at < end:
        while where < len(known) and known[where] < at:
            where += 1
        if where < len(known) and known[where] == at:
            break
        yield at
        length, body = _varint(text, at)
        at = _end(body, length, end)
    yield at


def _varint(text: Bytes, at: int) -> tuple[int, int]:
    """A single varint and the position after it, like varints. Raises Malformed."""
    raw = shift = 0
    while True:
        byte = int(text[at])
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), at
        shift += 7
        if shift > 49:
            raise Malformed("a number has more than eight bytes")
