"""The records of Kafka's record batches, format 2, as columns: https://kafka.apache.org/documentation/#recordbatch."""

from __future__ import annotations

from typing import Final

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
            at = read_record(text, at, end, header, columns, row)
            if at < 0:
                return -at
            row += 1
        if at != end:
            return TOO_MANY
    return 0


@part
def read_record(text: Bytes, at: int, batch_end: int, header: Bytes, columns: IntColumnsOut, row: int) -> int:
    """Reads the record at this position; returns the one after it, or minus a fault."""
    size, at = varint_at(text, at, batch_end)
    end = after(at, size, 1, batch_end)
    if end < 0:
        return end
    if byte_at(text, at) & 0x80:  # aiokafka takes this byte for the first of a varint
        return -UNKNOWN_ATTRIBUTES
    columns[TIME, row], at = varint_at(text, at + 1, end)
    columns[OFFSET, row], at = varint_at(text, at, end)
    columns[KEY, row], columns[KEY_SIZE, row], at = string_at(text, at, end, NULL)
    columns[VALUE, row], columns[VALUE_SIZE, row], at = string_at(text, at, end, NULL)
    left, at = varint_at(text, at, end)
    if at >= 0 and left < 0:
        return -NEGATIVE
    if left > MOST_HEADERS:
        return -TOO_MANY
    columns[MARK, row], columns[MARK_SIZE, row] = 0, ABSENT
    for _ in range(left):
        name, name_size, at = string_at(text, at, end, 0)
        begin, value_size, at = string_at(text, at, end, NULL)
        if at >= 0 and is_header(text, name, name_size, header):
            columns[MARK, row], columns[MARK_SIZE, row] = begin, value_size
    return at if at < 0 or at == end else -WRONG_SIZE


@kernel
def find_records(text: Bytes, first: int, end: int, begins: IntsOut) -> tuple[int, int]:
    """Finds where the whole records of a text begin, which may end within one.

    Writes as many positions as there is room for; returns the number of whole records, and the position after the last
    of them, or minus a fault.
    """
    at, count = first, 0
    while at < end:
        size, body = varint_at(text, at, end)
        behind = after(body, size, 0, end)
        if behind == -TOO_LONG:
            break
        if behind < 0:
            return count, behind
        if count < len(begins):
            begins[count] = at
        count += 1
        at = behind
    return count, at


@kernel
def size_of_record(text: Bytes, at: int, end: int) -> int:
    """The size in bytes of the record at this position, which may be longer than the text; or minus a fault."""
    size, body = varint_at(text, at, end)
    behind = after(body, size, 0, body + max(size, 0))
    return behind - at if behind >= 0 else behind


@part
def varint_at(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """The signed (zigzag) number of up to eight bytes at this position, and the position after it, or minus a fault;
    where the position is minus a fault already, it stays that.
    """
    if at < 0:
        return 0, at
    number = 0
    for index in range(8):
        if at + index >= end:
            return 0, -TOO_LONG
        byte = byte_at(text, at + index)
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + index + 1
    return 0, -LONG_NUMBER


@part
def string_at(text: Bytes, at: int, end: int, least: int) -> tuple[int, int, int]:
    """Where the string at this position begins, its size, which is NULL or more, and the position after it, or minus a
    fault.
    """
    size, at = varint_at(text, at, end)
    return at, size, after(at, size, least, end)


@part
def after(at: int, size: int, least: int, end: int) -> int:
    """The position after so many bytes, of which null has none; minus a fault if that is not allowed."""
    if at < 0:
        return at
    if size < least:
        return -NEGATIVE if size < 0 else -WRONG_SIZE
    return at + max(size, 0) if size <= end - at else -TOO_LONG


@part
def is_header(text: Bytes, begin: int, size: int, header: Bytes) -> bool:
    """Whether a name is that of the header."""
    if size != len(header):
        return False
    same = True
    for index in range(size):
        same &= byte_at(text, begin + index) == byte_at(header, index)
    return same
