"""Rows of columns as BSON documents.

A field is described by its kind and by what stands before its value: the type, the name, and a zero.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import Bytes, BytesOut, IntColumns, Ints, IntsOut, kernel, part
from movie_stream.kernels.strings import append_bytes

TEXT: Final = 0
ENCODED: Final = 1
WHOLE: Final = 2
WORD: Final = 3
"""Kinds of fields: a text; a value that is BSON already; a whole number in four bytes, or in eight where it needs them;
and any other eight bytes.
"""
NULL: Final = -1
"""The length of a value that is missing."""
_NULL_TYPE, _INT32_TYPE = 0x0A, 0x10
_INT32_LEAST, _INT32_MOST = -(2**31), 2**31 - 1


@kernel
def write_documents(
    kinds: Ints,
    names: Bytes,
    name_begins: Ints,
    name_lengths: Ints,
    values: IntColumns,
    lengths: IntColumns,
    text: Bytes,
    begin: int,
    out: BytesOut,
    begins: IntsOut,
    sizes: IntsOut,
) -> None:
    """Writes a document for each row, one after the other, from `begin` on.

    A value is a number, or where its bytes begin in `text`; `lengths` has their number, or NULL.
    """
    at = begin
    for row in range(values.shape[1]):
        first = at
        at += 4
        for field in range(len(kinds)):
            kind, value, length, before = kinds[field], values[field, row], lengths[field, row], at
            at = append_bytes(names, name_begins[field], name_lengths[field], out, at)
            if length == NULL:
                out[before] = _NULL_TYPE
            elif kind == TEXT:
                at = append_number(length + 1, 4, out, at)
                at = append_bytes(text, value, length, out, at)
                at = append_number(0, 1, out, at)
            elif kind == ENCODED:
                at = append_bytes(text, value, length, out, at)
            elif kind == WHOLE and _INT32_LEAST <= value <= _INT32_MOST:
                out[before] = _INT32_TYPE
                at = append_number(value, 4, out, at)
            else:
                at = append_number(value, 8, out, at)
        at = end_document(first, out, at)
        begins[row], sizes[row] = first, at - first


@kernel
def write_arrays(
    counts: Ints,
    names: Bytes,
    name_begins: Ints,
    name_lengths: Ints,
    documents: Bytes,
    begins: Ints,
    sizes: Ints,
    begin: int,
    out: BytesOut,
    array_begins: IntsOut,
    array_sizes: IntsOut,
) -> None:
    """Writes arrays of so many documents each, from `begin` on; `names` are what stands before each entry of one."""
    at, document = begin, 0
    for row in range(len(counts)):
        first = at
        at += 4
        for entry in range(counts[row]):
            at = append_bytes(names, name_begins[entry], name_lengths[entry], out, at)
            at = append_bytes(documents, begins[document], sizes[document], out, at)
            document += 1
        at = end_document(first, out, at)
        array_begins[row], array_sizes[row] = first, at - first


@part
def end_document(first: int, out: BytesOut, at: int) -> int:
    """Ends the document or array that begins at `first`; returns the position after it."""
    at = append_number(0, 1, out, at)
    append_number(at - first, 4, out, first)
    return at


@part
def append_number(value: int, size: int, out: BytesOut, at: int) -> int:
    """Writes a number in so many bytes, little-endian; returns the position after it."""
    for byte in range(size):
        out[np.uint64(at + byte)] = np.uint8((value >> (8 * byte)) & 0xFF)
    return at + size
