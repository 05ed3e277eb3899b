"""The records of Kafka's record batches, format 2, as columns: https://kafka.apache.org/documentation/#recordbatch."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import Bytes, IntColumnsOut, Ints, IntsOut, kernel, part
from movie_stream.kernels.hashing import byte_at

TIME, OFFSET, KEY, KEY_SIZE, VALUE, VALUE_SIZE, MARK, MARK_SIZE = range(8)
"""The columns of records: time and offset relative to those of the batch; where key, value and mark begin, and their
sizes, NULL for null. The mark is the last value of a certain header, ABSENT for none.
"""
COLUMNS: Final = 8
NULL: Final = -1
ABSENT: Final = -2
MOST_HEADERS: Final = 100
"""The most headers of a record that is read here."""
LONG_NUMBER, NEGATIVE, TOO_LONG, UNKNOWN_ATTRIBUTES, WRONG_SIZE, TOO_FEW, TOO_MANY = range(1, 8)
FAULTS: Final = {
    LONG_NUMBER: "a number has more than eight bytes",
    NEGATIVE: "a record, a string or a list of headers has a length below 0",
    TOO_LONG: "a record, or a number or string in it, is longer than its batch",
    UNKNOWN_ATTRIBUTES: "a record has attributes that nobody uses",
    WRONG_SIZE: "a record is longer, or shorter, than its content",
    TOO_FEW: "a batch has fewer records than its header counts",
    TOO_MANY: "a batch has more records than its header counts, or one has very many headers",
}
"""Why records cannot be read."""


@kernel
def read_records(text: Bytes, sizes: Ints, counts: Ints, first: int, header: Bytes, columns: IntColumnsOut) -> int:
    """Reads the records of batches that lie back to back from `first` on; returns one of FAULTS, or 0.

    Each batch has this size in bytes, and this count of records; `columns` has room for them all.
    """
    at, row = first, 0
    for batch in range(len(sizes)):
        end = at + sizes[batch]
        for _ in range(counts[batch]):
            if at >= end:
                return TOO_FEW
            fault, at = read_record(text, at, end, header, columns, row)
            if fault:
                return fault
            row += 1
        if at != end:
            return TOO_MANY
    return 0


@part
def read_record(text: Bytes, at: int, end: int, header: Bytes, columns: IntColumnsOut, row: int) -> tuple[int, int]:
    """Reads the record at this position, before the end of its batch; returns a fault or 0, and the position after it."""
    fault, size, at = varint_at(text, at, end)
    if fault:
        return fault, at
    if size < 0:
        return NEGATIVE, at
    if size > end - at:
        return TOO_LONG, at
    end = at + size
    if at >= end:
        return WRONG_SIZE, at
    if byte_at(text, at) & 0x80:  # aiokafka takes this byte for the first of a varint
        return UNKNOWN_ATTRIBUTES, at
    at += 1
    for column in (TIME, OFFSET):
        fault, columns[column, row], at = varint_at(text, at, end)
        if fault:
            return fault, at
    for column in (KEY, VALUE):
        fault, columns[column, row], columns[column + 1, row], at = string_at(text, at, end)
        if fault:
            return fault, at
    fault, left, at = varint_at(text, at, end)
    if fault:
        return fault, at
    if left < 0:
        return NEGATIVE, at
    if left > MOST_HEADERS:
        return TOO_MANY, at
    columns[MARK, row], columns[MARK_SIZE, row] = at, ABSENT
    for _ in range(left):
        fault, name, name_size, at = string_at(text, at, end)
        if fault:
            return fault, at
        if name_size < 0:
            return NEGATIVE, at
        fault, begin, value_size, at = string_at(text, at, end)
        if fault:
            return fault, at
        if is_header(text, name, name_size, header):
            columns[MARK, row], columns[MARK_SIZE, row] = begin, value_size
    return 0 if at == end else WRONG_SIZE, at


@kernel
def find_records(text: Bytes, first: int, end: int, begins: IntsOut) -> tuple[int, int, int]:
    """Finds where the whole records of a text begin, which may end within one.

    Writes as many positions as there is room for; returns a fault or 0, the number of whole records, and the position
    after the last of them.
    """
    at, count = first, 0
    while at < end:
        fault, size, body = varint_at(text, at, end)
        if fault == TOO_LONG or (not fault and size > end - body):
            break
        if fault or size < 0:
            return fault or NEGATIVE, count, at
        if count < len(begins):
            begins[count] = at
        count += 1
        at = body + size
    return 0, count, at


@part
def varint_at(text: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """A fault or 0, the signed (zigzag) number of up to eight bytes at this position, and the position after it."""
    number, shift = np.int64(0), 0
    while at < end:
        byte = byte_at(text, at)
        at += 1
        number |= np.int64(byte & 0x7F) << np.int64(shift)
        if byte < 0x80:
            return 0, (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift == 56:
            return LONG_NUMBER, 0, at
    return TOO_LONG, 0, at


@part
def string_at(text: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """A fault or 0, where the string at this position begins, its size or NULL, and the position after it."""
    fault, size, at = varint_at(text, at, end)
    if fault:
        return fault, at, NULL, at
    if size < NULL:
        return NEGATIVE, at, NULL, at
    if size > end - at:
        return TOO_LONG, at, NULL, at
    return 0, at, size, at + max(size, 0)


@part
def is_header(text: Bytes, begin: int, size: int, header: Bytes) -> bool:
    """Whether a name is that of the header."""
    if size != len(header):
        return False
    for index in range(size):
        if byte_at(text, begin + index) != byte_at(header, index):
            return False
    return True
