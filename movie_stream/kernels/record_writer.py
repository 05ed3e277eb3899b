"""Records of a Kafka batch, of format 2: https://kafka.apache.org/documentation/#record"""

from __future__ import annotations

import numpy as np

from movie_stream.kernels.compiled import Bytes, BytesOut, Ints, kernel, part
from movie_stream.kernels.strings import append_bytes


@kernel
def write_records(
    keys: Bytes,
    key_begins: Ints,
    key_lengths: Ints,
    values: Bytes,
    value_begins: Ints,
    value_lengths: Ints,
    rows: Ints,
    begin: int,
    out: BytesOut,
) -> int:
    """Writes the records of these rows one after the other, from `begin` on; returns the position after them.

    They have the batch's time and no headers; None has a length below 0.
    """
    at = begin
    for number in range(len(rows)):
        row = rows[number]
        key_length, value_length = key_lengths[row], value_lengths[row]
        size = 4 + size_of_varint(number) + size_of_varint(key_length) + size_of_varint(value_length)
        size += max(key_length, 0) + max(value_length, 0) - 1
        at = write_varint(size, out, at)
        out[at] = 0  # attributes
        out[at + 1] = 0  # milliseconds after the batch's time
        at = write_varint(number, out, at + 2)
        at = write_varint(key_length, out, at)
        at = append_bytes(keys, key_begins[row], key_length, out, at)
        at = write_varint(value_length, out, at)
        at = append_bytes(values, value_begins[row], value_length, out, at)
        out[at] = 0  # headers
        at += 1
    return at


@part
def size_of_varint(number: int) -> int:
    """The bytes of a number of at least -1 as a varint."""
    size, rest = 1, zigzag(number) >> 7
    while rest:
        size, rest = size + 1, rest >> 7
    return size


@part
def write_varint(number: int, out: BytesOut, at: int) -> int:
    """Writes a number of at least -1, seven bits a byte, the lowest first; returns the position after it."""
    rest = zigzag(number)
    while rest > 0x7F:
        out[at] = np.uint8(rest & 0x7F | 0x80)
        at, rest = at + 1, rest >> 7
    out[at] = np.uint8(rest)
    return at + 1


@part
def zigzag(number: int) -> int:
    """A number whose last bit is the sign."""
    return number << 1 ^ number >> 63
