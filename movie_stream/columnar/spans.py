"""Columns of byte strings in one buffer, as received from Kafka, without an object per string.

A machine word can be read wherever a string begins or ends, so strings are hashed, compared and parsed word by word,
whole columns at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
"""Eight bytes each, little-endian."""
Ints = NDArray[np.int64]

WORD: Final = 8
HEAD_BYTES: Final = 2 * WORD
"""Bytes of a string's head, which are read together: see Spans.heads."""
PAD: Final = bytes(HEAD_BYTES)
"""The padding at both ends of a buffer, so that two words can be read before and after every string."""
NULL: Final = -1
"""The length of None."""
FIRST_BYTES: Final = np.array([(1 << 8 * count) - 1 for count in range(WORD + 1)], np.uint64)
"""Masks of the first 0 to 8 bytes of a word, by the number of bytes."""
_TWO_WORD_MASKS: Final = np.array(
    [(FIRST_BYTES[min(count, WORD)], FIRST_BYTES[max(count - WORD, 0)]) for count in range(2 * WORD + 1)], np.uint64
)
"""The same for two words. (numpy's `take` is many times faster on rows of a matrix than indexing.)"""

_SECRET: Final = np.array([secrets.randbits(64) | 1 for _ in range(3)], np.uint64)
_HALF: Final = np.uint64(32)
_ONE: Final = np.uint64(1)
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class Spans(Sequence["bytes | None"]):
    """Byte strings, or None, in one buffer, which slices and the results of `take` share.

    >>> spans = Spans.of([b"user_1", None, b""])
    >>> list(spans), list(spans[1:]), list(spans.take(np.array([0, 0])))
    ([b'user_1', None, b''], [None, b''], [b'user_1', b'user_1'])
    """

    __slots__ = ("_hashes", "_heads", "begins", "lengths", "text")

    def __init__(self, text: Bytes, begins: Ints, lengths: Ints, heads: Words | None = None) -> None:
        """`heads` is the result of the method `heads`, if it is known already."""
        self.text = text
        """The buffer, with PAD on both sides."""
        self.begins = begins
        self.lengths = lengths
        """The lengths in bytes, or NULL."""
        self._hashes: Words | None = None
        self._heads = heads

    @classmethod
    def of(cls, strings: Sequence[bytes | None]) -> Spans:
        """These strings, in a buffer of their own."""
        lengths = np.fromiter((NULL if string is None else len(string) for string in strings), np.int64, len(strings))
        text = np.frombuffer(b"".join([PAD, *(string or b"" for string in strings), PAD]), np.uint8)
        sizes = np.maximum(lengths, 0)
        return cls(text, len(PAD) + np.cumsum(sizes) - sizes, lengths)

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
        taken = Spans(self.text, self.begins[rows], self.lengths[rows])
        if self._hashes is not None:
            taken._hashes = self._hashes[rows]
        if self._heads is not None:
            if isinstance(rows, slice):
                taken._heads = self._heads[rows]
            else:
                taken._heads = self._heads.take(rows if rows.dtype != bool else np.flatnonzero(rows), axis=0)
        return taken

    def tolist(self) -> list[bytes | None]:
        """The strings as Python objects."""
        few = len(self) < len(self.text) >> 8
        buffer = self.text.data if few else self.text.tobytes()
        ends = (self.begins + self.lengths).tolist()
        return [
            None if length == NULL else bytes(buffer[begin:end])
            for begin, end, length in zip(self.begins.tolist(), ends, self.lengths.tolist(), strict=True)
        ]

    @classmethod
    def joined(cls, parts: Sequence[Spans]) -> Spans:
        """The strings of all these parts, which share a buffer."""
        return cls(
            parts[0].text,
            np.concatenate([part.begins for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )

    def concat(self, others: Spans) -> Spans:
        """These strings and then the others."""
        if not len(others):
            return self
        if self.text is others.text:
            text, shift = self.text, 0
        else:
            text, shift = np.concatenate([self.text, others.text]), len(self.text)
        return Spans(
            text,
            np.concatenate([self.begins, others.begins + shift]),
            np.concatenate([self.lengths, others.lengths]),
        )

    def heads(self) -> Words:
        """The first two words of each string, as rows of two, with zeros after its end."""
        if self._heads is None:
            self._heads = heads(self.text, self.begins, self.lengths)
        return self._heads

    def hashes(self) -> Words:
        """64 well-mixed bits of each string, keyed with a secret of this process: nobody can make up strings that
        collide.

        Not to be stored. Equal strings have equal hashes in any buffer; None counts as empty.
        """
        if self._hashes is None:
            self._hashes = self._hashed()
        return self._hashes

    def _hashed(self) -> Words:
        two, left = self.heads(), np.maximum(self.lengths, 0)
        mixed = _mix(left.view(np.uint64) * _SECRET[0], two[:, 0])
        longer = left > WORD
        if longer.any():
            mixed = np.where(longer, _mix(mixed, two[:, 1]), mixed)
        words, rows = words_of(self.text), np.flatnonzero(left > 2 * WORD)
        at, left = self.begins[rows] + WORD, left[rows] - WORD
        while len(rows):
            at, left = at + WORD, left - WORD
            mixed[rows] = _mix(mixed[rows], words[at] & FIRST_BYTES[np.minimum(left, WORD)])
            longer = left > WORD
            rows, at, left = rows[longer], at[longer], left[longer]
        return mixed

    def stable_hashes(self) -> Words:
        """64 well-mixed bits of each string, the same in every process: for storage, and for counting.

        The finalizer of MurmurHash3 (https://github.com/aappleby/smhasher), once for each eight bytes. Collisions by
        chance are negligible, but they can be constructed.

        >>> names = Spans.of([b"", b"user_1", b"a user with a long name"])
        >>> [f"{value:016x}" for value in names.stable_hashes().tolist()]
        ['9ca066f1a4ab2eea', '9008ed15cf7d40c2', '234f8f1a94c6f66b']
        """
        two, left = self.heads(), np.maximum(self.lengths, 0)
        mixed = _finalized((left.view(np.uint64) + _ONE) * _GOLDEN ^ two[:, 0])
        longer = left > WORD
        if longer.any():
            mixed = np.where(longer, _finalized((mixed + _GOLDEN) ^ two[:, 1]), mixed)
        words, rows = words_of(self.text), np.flatnonzero(left > 2 * WORD)
        at, left = self.begins[rows] + WORD, left[rows] - WORD
        while len(rows):
            at, left = at + WORD, left - WORD
            word = words[at] & FIRST_BYTES[np.minimum(left, WORD)]
            mixed[rows] = _finalized((mixed[rows] + _GOLDEN) ^ word)
            longer = left > WORD
            rows, at, left = rows[longer], at[longer], left[longer]
        return mixed


def _finalized(mixed: Words) -> Words:
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xFF51AFD7ED558CCD)
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xC4CEB9FE1A85EC53)
    mixed ^= mixed >> np.uint64(33)
    return mixed


def _mix(mixed: Words, word: Words) -> Words:
    """Multiplies by a secret twice, since one multiplication lets a flipped top bit through unchanged."""
    mixed = (mixed ^ word) * _SECRET[1]
    mixed ^= mixed >> _HALF
    mixed *= _SECRET[2]
    mixed ^= mixed >> _HALF
    return mixed


def words_of(text: Bytes) -> Words:
    """The word that begins at each byte: a numpy view, in which neighbours overlap."""
    return np.ndarray((len(text) - WORD + 1,), "<u8", text.data, strides=(1,))


def pieces_of(text: Bytes, size: int) -> NDArray[np.void]:
    """The piece of `size` bytes that begins at each byte: a numpy view, in which neighbours overlap."""
    return np.ndarray((max(len(text) - size + 1, 0),), f"V{size}", text.data, strides=(1,))


def heads(text: Bytes, begins: Ints, lengths: Ints) -> Words:
    """See Spans.heads. Reading two words together takes as long as one."""
    words = pieces_of(text, 2 * WORD)[begins].view("<u8").reshape(-1, 2)
    words &= _TWO_WORD_MASKS.take(np.clip(lengths, 0, 2 * WORD), axis=0)
    return words


def equal(text: Bytes, begins: Ints, lengths: Ints, others: Spans) -> NDArray[np.bool_]:
    """Whether each of these strings equals the other one of its row, byte by byte; None equals None."""
    mine, theirs = words_of(text), words_of(others.text)
    differ = heads(text, begins, lengths) ^ others.heads()
    same: NDArray[np.bool_] = (lengths == others.lengths) & ((differ[:, 0] | differ[:, 1]) == 0)
    rows = np.flatnonzero(same & (lengths > 2 * WORD))
    at, other, left = begins[rows] + 2 * WORD, others.begins[rows] + 2 * WORD, lengths[rows] - 2 * WORD
    while len(rows):
        matches = (mine[at] ^ theirs[other]) & FIRST_BYTES[np.minimum(left, WORD)] == 0
        same[rows[~matches]] = False
        more = np.flatnonzero(matches & (left > WORD))
        rows, at, other, left = rows[more], at[more] + WORD, other[more] + WORD, left[more] - WORD
    return same


def joined(parts: Iterable[bytes | memoryview]) -> Bytes:
    """The parts as one buffer, with PAD on both sides."""
    return np.frombuffer(b"".join([PAD, *parts, PAD]), np.uint8)


def all_in(spans: Spans, low: int, high: int, but: int) -> NDArray[np.bool_]:
    r"""Whether each string has only bytes from `low` to `high`, both below 128, except `but`.

    >>> all_in(Spans.of([b"abc", b"", b"abcdefghi", b"abz", b"\xe1", b"ab~"]), ord("a"), ord("z"), ord("i")).tolist()
    [True, True, False, True, False, False]
    """

    def fine(word: Words, mask: Words) -> NDArray[np.bool_]:
        word = word & mask | _every(low) & ~mask
        other = word ^ _every(but)
        # The top bit of a byte: 128 or more; less than low (only such a byte borrows); more than high; equal to but.
        odd = word | (word - _every(low)) | (word + _every(0x7F - high)) | ((other - _every(1)) & ~other)
        plain: NDArray[np.bool_] = odd & _every(0x80) == 0
        return plain

    words, lengths = words_of(spans.text), spans.lengths
    both = fine(spans.heads(), _TWO_WORD_MASKS.take(np.clip(lengths, 0, 2 * WORD), axis=0))
    good: NDArray[np.bool_] = (lengths >= 0) & both[:, 0] & both[:, 1]
    rows = np.flatnonzero(good & (lengths > 2 * WORD))
    at, left = spans.begins[rows] + 2 * WORD, lengths[rows] - 2 * WORD
    while len(rows):
        clean = fine(words[at], FIRST_BYTES[np.minimum(left, WORD)])
        good[rows[~clean]] = False
        longer = clean & (left > WORD)
        rows, at, left = rows[longer], at[longer] + WORD, left[longer] - WORD
    return good


def _every(byte: int) -> np.uint64:
    """A word with this byte in all eight positions."""
    return np.uint64(byte * 0x0101010101010101)
