"""A set of offsets, as a sparse bitmap: dense offsets take a bit each, scattered ones about 200 bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

BITS: Final = 512
"""Offsets in a word."""
WORD_BYTES: Final = BITS // 8


class Bitmap:
    """A set of offsets.

    >>> bits = Bitmap()
    >>> bits.add(7), bits.add(7), 7 in bits, 8 in bits
    (True, False, True, False)
    >>> bits.flip(7)
    >>> 7 in bits
    False
    """

    __slots__ = ("words",)

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        """Words of BITS offsets each, by offset // BITS; a missing word is zero."""

    def __contains__(self, offset: int) -> bool:
        return bool(self.words.get(offset // BITS, 0) >> offset % BITS & 1)

    def add(self, offset: int) -> bool:
        """Adds an offset; returns whether it was new."""
        at, bit = offset // BITS, 1 << offset % BITS
        word = self.words.get(at, 0)
        self.words[at] = word | bit
        return not word & bit

    def flip(self, offset: int) -> None:
        """Removes an offset that is in the set, or adds it."""
        at = offset // BITS
        self.words[at] = self.words.get(at, 0) ^ 1 << offset % BITS

    def drop_before(self, offset: int) -> None:
        """Removes the words whose offsets are all before `offset`."""
        before = [at for at in self.words if (at + 1) * BITS <= offset]
        for at in before:
            del self.words[at]

    def exported(self, at: Iterable[int]) -> bytes:
        """The words with these numbers, as bytes."""
        return b"".join(self.words.get(number, 0).to_bytes(WORD_BYTES, "little") for number in at)

    def load(self, at: Iterable[int], exported: bytes) -> None:
        """Replaces the words with these numbers by those from `exported`."""
        for row, number in enumerate(at):
            self.words[number] = int.from_bytes(exported[row * WORD_BYTES : (row + 1) * WORD_BYTES], "little")
