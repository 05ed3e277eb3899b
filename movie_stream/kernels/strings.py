"""Strings of a buffer, copied to places in another, sixteen bytes at a time, which takes as long as one byte."""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.kernels.compiled import Bytes, BytesOut, Ints, kernel, part

BLOCK: Final = 16


@kernel
def copy_strings(text: Bytes, begins: Ints, lengths: Ints, places: Ints, out: BytesOut) -> None:
    """Copies each string to its place, and nothing more; a length below 0, of None, counts as 0."""
    for row in range(len(begins)):
        begin, place, length = begins[row], places[row], lengths[row]
        if length < BLOCK:
            for byte in range(length):
                out[np.uint64(place + byte)] = text[np.uint64(begin + byte)]
        else:
            append_bytes(text, begin, length - BLOCK, out, place)
            append_bytes(text, begin + length - BLOCK, BLOCK, out, place + length - BLOCK)


@part
def append_bytes(text: Bytes, begin: int, length: int, out: BytesOut, at: int) -> int:
    """Copies bytes to a position, and up to fifteen more; returns the position after them.

    Both buffers have room for those, and what is behind is not written yet.
    """
    for block in range(0, length, BLOCK):
        for byte in range(block, block + BLOCK):
            out[np.uint64(at + byte)] = text[np.uint64(begin + byte)]
    return at + max(length, 0)
