"""Columns of byte strings in one buffer, as received from Kafka, without an object per string.

Kernels hash and copy them, whole columns at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from movie_stream.kernels.hashing import keyed_hashes, stable_hashes
from movie_stream.kernels.strings import copy_strings

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
"""Eight bytes each, little-endian."""
Ints = NDArray[np.int64]

WORD: Final = 8
PAD: Final = bytes(2 * WORD)
"""The padding at both ends of a buffer, so that two words can be read before and after every string."""
NULL: Final = -1
"""The length of None."""
HASH_KEY: Final = np.array([secrets.randbits(64) | 1 for _ in range(3)], np.uint64)
"""The secret of this process, with which the hashes of its tables are keyed."""


class Spans(Sequence["bytes | None"]):
    """Byte strings, or None, in one buffer, which slices and the results of `take` share.

    >>> spans = Spans.of([b"user_1", None, b""])
    >>> list(spans), list(spans[1:]), list(spans.take(np.array([0, 0])))
    ([b'user_1', None, b''], [None, b''], [b'user_1', b'user_1'])
    """

    __slots__ = ("_hashes", "begins", "lengths", "text")

    def __init__(self, text: Bytes, begins: Ints, lengths: Ints, hashes: Words | None = None) -> None:
        """`hashes` is the result of the method `hashes`, if it is known already."""
        self.text = text
        """The buffer; all strings are within it, and kernels may read a word past each, as PAD allows."""
        self.begins = np.ascontiguousarray(begins, np.int64)
        self.lengths = np.ascontiguousarray(lengths, np.int64)
        """The lengths in bytes, or NULL."""
        self._hashes = None if hashes is None else np.ascontiguousarray(hashes, np.uint64)

    @classmethod
    def of(cls, strings: Sequence[bytes | None]) -> Spans:
        """These strings, in a buffer of their own."""
        lengths = np.fromiter((NULL if string is None else len(string) for string in strings), np.int64, len(strings))
        text = np.frombuffer(b"".join([PAD, *(string or b"" for string in strings), PAD]), np.uint8)
        sizes = np.maximum(lengths, 0)
        return cls(text, len(PAD) + np.cumsum(sizes) - sizes, lengths)

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Spans:
        """These strings in UTF-8, in a buffer of their own."""
        strings = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        return cls(joined(strings), len(PAD) + np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.begins)

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...
    @overload
    def __getitem__(self, at: slice) -> Spans: ...
    def __getitem__(self, at: int | slice) -> bytes | Spans | None:
        if isinstance(at, slice):
            return Spans(self.text, self.begins[at], self.lengths[at])
        begin, length = int(self.begins[at]), int(self.lengths[at])
        return None if length == NULL else self.text[begin : begin + length].tobytes()

    def take(self, rows: slice | NDArray[Any]) -> Spans:
        """The strings of these rows, in this order; a mask selects the rows where it is true."""
        hashes = None if self._hashes is None else self._hashes[rows]
        return Spans(self.text, self.begins[rows], self.lengths[rows], hashes)

    def tolist(self) -> list[bytes | None]:
        """The strings as Python objects."""
        few = len(self) < len(self.text) >> 8
        buffer = self.text.data if few else self.text.tobytes()
        ends = (self.begins + self.lengths).tolist()
        return [
            None if length == NULL else bytes(buffer[begin:end])
            for begin, end, length in zip(self.begins.tolist(), ends, self.lengths.tolist(), strict=True)
        ]

    def tobytes(self) -> bytes:
        """All strings, one after the other; None is empty."""
        sizes = np.maximum(self.lengths, 0)
        joined = np.empty(sizes.sum(), np.uint8)
        copy_strings(self.text, self.begins, self.lengths, np.cumsum(sizes) - sizes, joined)
        return joined.tobytes()

    def hashes(self) -> Words:
        """64 well-mixed bits of each string, keyed with a secret of this process: nobody can make up strings that
        collide.

        Not to be stored. Equal strings have equal hashes in any buffer; None counts as empty.
        """
        if self._hashes is None:
            self._hashes = np.empty(len(self), np.uint64)
            keyed_hashes(self.text, self.begins, self.lengths, HASH_KEY, self._hashes)
        return self._hashes

    def stable_hashes(self) -> Words:
        """64 well-mixed bits of each string, the same in every process: for storage, and for counting.

        Equal strings have equal hashes; None counts as empty.
        """
        hashes = np.empty(len(self), np.uint64)
        stable_hashes(self.text, self.begins, self.lengths, hashes)
        return hashes


def put(columns: Sequence[Spans], rows: Ints, others: Sequence[Spans]) -> list[Spans]:
    """Columns in which these rows have the strings of other columns. Both share a buffer among them; so do the results:
    a new one, with no more of the columns' buffer than their strings need.

    >>> [column] = put([Spans.of([b"one", b"", b"three"])], np.array([1]), [Spans.of([b"two"])])
    >>> list(column)
    [b'one', b'two', b'three']
    """
    if not len(rows):
        return list(columns)
    begin = max(min(int(column.begins.min()) for column in columns) - len(PAD), 0)
    end = max(int((column.begins + column.lengths).max()) for column in columns) + len(PAD)
    kept = columns[0].text[begin:end]
    text = np.concatenate([kept, others[0].text])
    return [
        Spans(
            text,
            replaced(column.begins - begin, rows, other.begins + len(kept)),
            replaced(column.lengths, rows, other.lengths),
            None if column._hashes is None else replaced(column._hashes, rows, other.hashes()),
        )
        for column, other in zip(columns, others, strict=True)
    ]


def replaced(array: NDArray[Any], rows: Ints, values: NDArray[Any]) -> NDArray[Any]:
    """The array with other values in these rows."""
    changed = array.copy()
    changed[rows] = values
    return changed


def joined(parts: Iterable[bytes | memoryview]) -> Bytes:
    """The parts as one buffer, with PAD on both sides."""
    return np.frombuffer(b"".join([PAD, *parts, PAD]), np.uint8)
