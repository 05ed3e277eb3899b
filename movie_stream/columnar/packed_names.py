"""Very many strings as small integers: user ids, never deleted, at 36 to 48 bytes each plus the bytes beyond 16."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.columns import AnyInts, Bools, Column, Ints, first_of_each, order_of
from movie_stream.columnar.slots import Slots
from movie_stream.columnar.spans import FIRST_BYTES, HEAD_BYTES, PAD, WORD, Spans, Words, joined, words_of

_HEAD: Final = HEAD_BYTES // WORD
"""Words of each string's head, with zeros after the string's end."""
_AT_ONCE: Final = 1 << 16
"""The most strings that are copied at a time."""
_IN_HEAD: Final = np.arange(HEAD_BYTES) < np.arange(HEAD_BYTES + 1)[:, np.newaxis]
"""By the length of a string, a mask of the bytes of its head that it has."""


class PackedNames:
    """Numbers strings in the order of their first occurrence, without an object per string.

    The hash table's hash is keyed with a secret of the process, so nobody can make up ids that all collide. It is never
    stored, and equal hashes are not trusted: strings are compared byte by byte. Most fit into two words, and are
    compared by these alone, with one memory access each.

    >>> names = PackedNames()
    >>> names.ids(["a", "\u00e9t\u00e9", "a"]).tolist(), names.texts(np.array([1, 0])), len(names)
    ([0, 1, 0], ['\u00e9t\u00e9', 'a'], 2)
    >>> names.find(Spans.of([b"b", b"a"])).tolist()
    [-1, 0]
    """

    __slots__ = ("_hashes", "_heads", "_lengths", "_rest", "_slots", "_words")

    def __init__(self) -> None:
        self.restart([])

    def restart(self, names: Sequence[str]) -> None:
        """Removes all names, and numbers these from 0 on."""
        self._heads = Column(np.uint64, width=(_HEAD,))
        self._lengths = Column(np.int32)  # in bytes
        self._rest = Column(np.uint32)  # the index in _words (32 GB) of the rest of a string longer than its head
        self._words = Column(np.uint64)  # the rests, each aligned to a word, with zeros after its end
        self._hashes = Column(np.uint64)
        self._slots = Slots()
        self.ids(names)

    def __len__(self) -> int:
        return len(self._lengths.values)

    def ids(self, names: Sequence[str]) -> Ints:
        """The number of each string; a new string gets a new number."""
        return self.numbered(Spans.of([name.encode() for name in names]))

    def numbered(self, spans: Spans) -> Ints:
        """The number of each string (as UTF-8); a new string gets a new number."""
        return self.add(spans, self.find(spans))

    def find(self, spans: Spans) -> Ints:
        """The number of each string (as UTF-8), -1 if it is not known."""
        return self._slots.find(_tags(spans.hashes()), lambda numbers, rows: self._same(numbers, spans.take(rows)))

    def add(self, spans: Spans, found: Ints) -> Ints:
        """The number of each string; `found` is the result of `find`, and strings not yet known get new numbers."""
        unknown = np.flatnonzero(found < 0)
        found = found.copy() if len(unknown) else found
        while len(unknown):  # a single pass, except for different strings with equal hashes
            strings, known = spans.take(unknown), len(self)
            first, which = _first_of_each(strings.hashes())
            self._append(strings.take(first))
            numbers = known + which
            repeated = np.ones(len(unknown), np.bool_)
            repeated[first] = False
            colliding = np.flatnonzero(repeated)
            colliding = colliding[~self._same(numbers[colliding], strings.take(colliding))]
            found[unknown] = numbers
            unknown = unknown[colliding]
        return found

    def texts(self, ids: AnyInts) -> list[str]:
        """The strings with these numbers."""
        utf8, bounds = self._joined(ids), pairwise([0, *np.cumsum(self._lengths.values[ids]).tolist()])
        if not utf8.isascii():
            return [utf8[begin:end].decode() for begin, end in bounds]
        text = utf8.decode()
        return [text[begin:end] for begin, end in bounds]

    def sizes(self, ids: AnyInts) -> Ints:
        """The sizes of the strings with these numbers, in bytes of UTF-8."""
        return self._lengths.values[ids].astype(np.int64)

    def pack(self, ids: AnyInts) -> tuple[bytes, bytes]:
        """The strings with these numbers, concatenated in UTF-8, and their lengths in bytes, as int32."""
        return self._joined(ids), self._lengths.values[ids].tobytes()

    def unpack(self, text: bytes, lengths: bytes) -> Ints:
        """The number of each string in the result of `pack`, possibly of other PackedNames; new strings get new
        numbers. Raises ValueError if the bytes cannot be from `pack`.

        >>> names = PackedNames()
        >>> names.unpack(*names.pack(names.ids(["a", "b", "a"]))).tolist()
        [0, 1, 0]
        """
        sizes = np.frombuffer(lengths, np.int32).astype(np.int64)
        if sizes.min(initial=0) < 0 or sizes.sum() != len(text):
            raise ValueError(f"expected names of {sizes.sum()} bytes together, got {len(text)}")
        return self.numbered(Spans(joined([text]), len(PAD) + np.cumsum(sizes) - sizes, sizes))

    def spans(self, ids: AnyInts) -> Spans:
        """The strings with these numbers, in UTF-8, in a buffer of their own."""
        lengths, pad = self._lengths.values[ids].astype(np.int64), len(PAD) // WORD
        rest = _words_of_rest(lengths)
        ends = pad + np.cumsum(_HEAD + rest)
        begins = ends - rest - _HEAD
        words = np.zeros((ends[-1] if len(ends) else pad) + pad, np.uint64)
        heads = self._heads.values.take(ids, axis=0)
        for word in range(_HEAD):
            words[begins + word] = heads[:, word]
        long = np.flatnonzero(rest)
        words[_ranges(begins[long] + _HEAD, rest[long])] = self._words.values[
            _ranges(self._rest.values[ids[long]], rest[long])
        ]
        return Spans(words.view(np.uint8), begins * WORD, lengths, heads)

    def hashes(self, ids: Ints) -> NDArray[np.uint64]:
        """A 64-bit hash of each string, the same in every process; each string is hashed once."""
        while (known := len(self._hashes.values)) < len(self):
            new = np.arange(known, min(known + _AT_ONCE, len(self)))
            self._hashes.grow(known + len(new))
            self._hashes.values[new] = self.spans(new).stable_hashes()
        return self._hashes.values[ids]

    def _joined(self, ids: AnyInts) -> bytes:
        """The strings, concatenated."""
        lengths = self._lengths.values[ids]
        if (lengths <= HEAD_BYTES).all():
            return self._heads.values.take(ids, axis=0).view(np.uint8)[_IN_HEAD.take(lengths, axis=0)].tobytes()
        strings = self.spans(ids)
        return strings.text[_ranges(strings.begins, strings.lengths)].tobytes()

    def _same(self, numbers: Ints, others: Spans) -> Bools:
        """Whether each string with one of these numbers equals the other one of its row, byte by byte."""
        differ = self._heads.values.take(numbers, axis=0)
        differ ^= others.heads()
        same: Bools = ((differ[:, 0] | differ[:, 1]) == 0) & (self._lengths.values[numbers] == others.lengths)
        rows = np.flatnonzero(same & (others.lengths > HEAD_BYTES))
        mine, theirs = self._rest.values[numbers[rows]], others.begins[rows] + HEAD_BYTES
        left = others.lengths[rows] - HEAD_BYTES
        while len(rows):
            matches = self._words.values[mine] == words_of(others.text)[theirs] & FIRST_BYTES[np.minimum(left, WORD)]
            same[rows[~matches]] = False
            more = np.flatnonzero(matches & (left > WORD))
            rows, mine, theirs, left = rows[more], mine[more] + 1, theirs[more] + WORD, left[more] - WORD
        return same

    def _append(self, new: Spans) -> None:
        known, used = len(self), len(self._words.values)
        for column in (self._heads, self._lengths, self._rest):
            column.grow(known + len(new))
        self._heads.values[known:], self._lengths.values[known:] = new.heads(), new.lengths
        rest = _words_of_rest(new.lengths)
        ends = np.cumsum(rest)
        self._rest.values[known:] = used + ends - rest
        long = np.flatnonzero(rest)
        if len(long):
            self._words.grow(used + int(ends[-1]))
            within = _ranges(np.zeros(len(long), np.int64), rest[long]) * WORD + HEAD_BYTES  # bytes into the string
            left = np.repeat(new.lengths[long], rest[long]) - within
            words = words_of(new.text)[np.repeat(new.begins[long], rest[long]) + within]
            self._words.values[used:] = words & FIRST_BYTES[np.minimum(left, WORD)]
        self._slots.extend(known, _tags(new.hashes()))


def _words_of_rest(lengths: Ints) -> Ints:
    """The number of words of each string besides its head."""
    return np.maximum(lengths - (HEAD_BYTES - WORD + 1), 0) // WORD


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """The ranges of `counts` integers from each of `starts` on, concatenated.

    >>> _ranges(np.array([5, 20]), np.array([3, 2])).tolist()
    [5, 6, 7, 20, 21]
    """
    ends = np.cumsum(counts)
    return np.repeat(starts - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)


def _tags(hashes: Words) -> NDArray[np.uint32]:
    return (hashes >> np.uint64(32)).astype(np.uint32)


def _first_of_each(hashes: Words) -> tuple[Ints, Ints]:
    """See columns.first_of_each.

    >>> [numbers.tolist() for numbers in _first_of_each(np.array([9, 7, 9, 8 << 32, 7], np.uint64))]
    [[0, 1, 3], [0, 1, 0, 2, 1]]
    """
    tags = _tags(hashes)
    order = order_of(tags)  # counting 32 bits is much faster than sorting 64
    begins = np.append(True, np.diff(hashes[order]) != 0)
    if (begins[1:] & (np.diff(tags[order]) == 0)).any():
        order = np.argsort(hashes, kind="stable")
        begins = np.append(True, np.diff(hashes[order]) != 0)
    return first_of_each(order, begins)
