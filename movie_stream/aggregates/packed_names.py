"""Very many strings as small integers: the users, who are never forgotten, at about 25 bytes each besides the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movie_stream.aggregates.columns import AnyInts, Bools, Column, Ints
from movie_stream.aggregates.interner import hash64
from movie_stream.aggregates.slots import Slots

Bytes = NDArray[np.uint8]
_hash: Final = hash
_WORD: Final = 8
_FIRST_BYTES: Final = np.array([(1 << 8 * count) - 1 for count in range(_WORD + 1)], np.uint64)
"""Masks that leave so many of a little-endian word's bytes."""


class _Packed(NamedTuple):
    """Strings one after the other, as UTF-8."""

    text: Bytes
    """A word longer than the strings, so that one can be read wherever a string begins."""
    begins: Ints
    lengths: Ints
    tags: NDArray[np.uint32]


class PackedNames:
    """Numbers strings in the order in which they first come, like an Interner, without an object a string.

    Python's own hash finds them: it has a secret of the process in it, so nobody can make up ids that all collide. It
    is never stored, and never taken for the string: strings are compared byte by byte.

    >>> names = PackedNames()
    >>> names.ids(["a", "\u00e9t\u00e9", "a"]).tolist(), names.texts(np.array([1, 0])), len(names)
    ([0, 1, 0], ['\u00e9t\u00e9', 'a'], 2)
    """

    __slots__ = ("_begins", "_hashes", "_slots", "_tags", "_text")

    def __init__(self) -> None:
        self._text = Column(np.uint8)
        self._text.grow(_WORD)
        self._begins = Column(np.int64)  # of each in _text, and of the next one to come
        self._begins.grow(1)
        self._tags = Column(np.uint32)
        self._hashes = Column(np.uint64)
        self._slots = Slots()

    def __len__(self) -> int:
        return len(self._begins.values) - 1

    def ids(self, names: Sequence[str]) -> Ints:
        """The number of each string; a new string gets a new number."""
        asked = _pack(names)
        found = self._slots.find(asked.tags, lambda numbers, places: self._same(numbers, asked, places))
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            texts = [names[place] for place in unknown.tolist()]
            numbers = {text: number for number, text in enumerate(dict.fromkeys(texts), len(self))}
            found[unknown] = [numbers[text] for text in texts]
            self._append(_pack(list(numbers)))
        return found

    def texts(self, ids: Ints) -> list[str]:
        """The strings of these numbers."""
        joined, bounds = self._joined(ids)
        if not joined.isascii():
            return [joined[begin:end].decode() for begin, end in bounds]
        text = joined.decode()
        return [text[begin:end] for begin, end in bounds]

    def utf8(self, ids: Ints) -> list[bytes]:
        """The same in UTF-8."""
        joined, bounds = self._joined(ids)
        return [joined[begin:end] for begin, end in bounds]

    def hashes(self, ids: Ints) -> NDArray[np.uint64]:
        """A 64-bit hash of each string, the same in every process; each string is hashed once."""
        known = len(self._hashes.values)
        if known < len(self):
            self._hashes.grow(len(self))
            fresh = self.utf8(np.arange(known, len(self)))
            self._hashes.values[known:] = np.fromiter(map(hash64, fresh), np.uint64, len(fresh))
        return self._hashes.values[ids]

    def _bounds(self, ids: AnyInts) -> tuple[Ints, Ints]:
        """Where these strings begin and end."""
        return self._begins.values[ids], self._begins.values[ids + 1]

    def _joined(self, ids: Ints) -> tuple[bytes, Iterator[tuple[int, int]]]:
        """These strings one after the other, and where each begins and ends in there."""
        begins, ends = self._bounds(ids)
        until = np.cumsum(ends - begins)
        places = np.repeat(ends - until, ends - begins) + np.arange(until[-1] if len(until) else 0)
        joined = self._text.values[places].tobytes()
        return joined, pairwise([0, *until.tolist()])

    def _append(self, fresh: _Packed) -> None:
        count, used = len(self), len(self._text.values) - _WORD
        self._text.grow(len(self._text.values) + len(fresh.text) - _WORD)
        self._text.values[used:] = fresh.text
        self._begins.grow(count + len(fresh.begins) + 1)
        self._begins.values[count + 1 :] = used + fresh.begins + fresh.lengths
        self._tags.grow(len(self))
        self._tags.values[count:] = fresh.tags
        self._slots.extend(count, len(self), lambda part: self._tags.values[part])

    def _same(self, numbers: Ints, asked: _Packed, places: Ints | slice) -> Bools:
        """Whether each of our strings is the one asked for at a place: of the same tag, length and bytes."""
        same: Bools = self._tags.values[numbers] == asked.tags[places]
        rows = np.flatnonzero(same)
        mine, ends = self._bounds(numbers[rows])
        theirs, left = asked.begins[places][rows], asked.lengths[places][rows]
        of_mine, of_theirs = _words(self._text.values), _words(asked.text)
        alike = ends - mine == left
        while len(rows):  # a word of all that are left
            alike &= (of_mine[mine] ^ of_theirs[theirs]) & _FIRST_BYTES[np.minimum(left, _WORD)] == 0
            same[rows[~alike]] = False
            more = np.flatnonzero(alike & (left > _WORD))
            rows, mine, theirs, left = rows[more], mine[more] + _WORD, theirs[more] + _WORD, left[more] - _WORD
            alike = np.ones(len(rows), np.bool_)
        return same


def _pack(names: Sequence[str]) -> _Packed:
    joined = "".join(names)
    lengths = np.fromiter(
        map(len, names) if joined.isascii() else (len(name.encode()) for name in names), np.int64, len(names)
    )
    tags = np.fromiter(map(_hash, names), np.int64, len(names)).astype(np.uint32)
    text = np.frombuffer(joined.encode() + bytes(_WORD), np.uint8)
    return _Packed(text, np.cumsum(lengths) - lengths, lengths, tags)


def _words(text: Bytes) -> NDArray[np.uint64]:
    """The word that begins at each byte: a view, in which neighbours overlap."""
    return np.ndarray((len(text) - _WORD + 1,), "<u8", text.data, strides=(1,))
