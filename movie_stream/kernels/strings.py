"""Strings of a buffer, copied to places in another, sixteen or eight bytes at a time, which takes as long as one."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import Bytes, BytesOut, Ints, kernel, part
from movie_stream.kernels.hashing import eight_at

BLOCK: Final = 16
WORD: Final = 8


@kernel
def copy_strings(text: Bytes, begins: Ints, lengths: Ints, places: Ints, out: BytesOut) -> None:
    """Copies each string to its place, and nothing more; a length below 0, of None, counts as 0."""
    for row in range(len(begins)):
        copy_string(text, begins[row], lengths[row], out, places[row])


@part
def copy_string(text: Bytes, begin: int, length: int, out: BytesOut, at: int) -> None:
    """Copies a string to its place, and nothing more."""
    if length >= BLOCK:
        append_bytes(text, begin, length - BLOCK, out, at)
        append_bytes(text, begin + length - BLOCK, BLOCK, out, at + length - BLOCK)
    elif length >= WORD:
        copy_word(text, begin, out, at)
        copy_word(text, begin + length - WORD, out, at + length - WORD)
    else:
        for byte in range(length):
            out[np.uint64(at + byte)] = text[np.uint64(begin + byte)]


@part
def copy_word(text: Bytes, begin: int, out: BytesOut, at: int) -> None:
    """Copies eight bytes."""
    write_word(eight_at(text, begin), out, at)


@part
def write_word(word: np.uint64, out: BytesOut, at: int) -> int:
    """Writes a word as eight bytes, little-endian; returns the position after them."""
    for byte in range(WORD):
        out[np.uint64(at + byte)] = np.uint8(word >> np.uint64(8 * byte) & np.uint64(0xFF))
    return at + WORD


@part
def append_bytes(text: Bytes, begin: int, length: int, out: BytesOut, at: int) -> int:
    """Copies bytes to a position, and up to fifteen more; returns the position after them.

    Both buffers have room for those, and what is behind is not written yet.
    """
    for block in range(0, length, BLOCK):
        for byte in range(block, block + BLOCK):
            out[np.uint64(at + byte)] = text[np.uint64(begin + byte)]
    return at + max(length, 0)
