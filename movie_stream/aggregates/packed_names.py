"""Very many strings as small integers: the users, who are never forgotten, at about 30 bytes each besides the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from movie_stream.aggregates.columns import AnyInts, Bools, Column, Ints, order_of
from movie_stream.aggregates.slots import Slots
from movie_stream.spans import PAD, Spans, Words, equal, joined


class PackedNames:
    """Numbers strings in the order in which they first come, without an object a string.

    The hash that finds them has a secret of the process in it, so nobody can make up ids that all collide. It is never
    stored, and never taken for the string: strings are compared byte by byte.

    >>> names = PackedNames()
    >>> names.ids(["a", "\u00e9t\u00e9", "a"]).tolist(), names.texts(np.array([1, 0])), len(names)
    ([0, 1, 0], ['\u00e9t\u00e9', 'a'], 2)
    >>> names.find(Spans.of([b"b", b"a"])).tolist()
    [-1, 0]
    """

    __slots__ = ("_begins", "_hashes", "_slots", "_tags", "_text")

    def __init__(self) -> None:
        self.restart([])

    def restart(self, names: Sequence[str]) -> None:
        """Forgets all names and numbers these anew."""
        self._text = Column(np.uint8)  # all strings one after the other as UTF-8, with PAD on both sides
        self._text.grow(2 * len(PAD))
        self._begins = Column(np.int64)  # of each in _text, and of the next one to come
        self._begins.grow(1)
        self._begins.values[0] = len(PAD)
        self._tags = Column(np.uint32)
        self._hashes = Column(np.uint64)
        self._slots = Slots()
        self.ids(names)

    def __len__(self) -> int:
        return len(self._begins.values) - 1

    def ids(self, names: Sequence[str]) -> Ints:
        """The number of each string; a new string gets a new number."""
        spans = Spans.of([name.encode() for name in names])
        return self.add(spans, self.find(spans))

    def find(self, spans: Spans) -> Ints:
        """The number of each string (as UTF-8), -1 where it is not known."""
        return self._find(spans, _tags(spans.hashes()))

    def add(self, spans: Spans, found: Ints) -> Ints:
        """The number of each string, of which `find` gave `found`; those not yet known get new numbers."""
        unknown = np.flatnonzero(found < 0)
        if not len(unknown):
            return found
        found = found.copy()
        hashes = spans.take(unknown).hashes()
        while len(unknown):  # once, but for different strings with equal hashes
            first = _first_of_each(hashes)
            self._append(spans.take(unknown[first]), _tags(hashes[first]))
            numbers = self._find(spans.take(unknown), _tags(hashes))
            found[unknown] = numbers
            unknown, hashes = unknown[numbers < 0], hashes[numbers < 0]
        return found

    def texts(self, ids: Ints) -> list[str]:
        """The strings of these numbers."""
        utf8, bounds = _joined(self._text.values, *self._bounds(ids))
        if not utf8.isascii():
            return [utf8[begin:end].decode() for begin, end in bounds]
        text = utf8.decode()
        return [text[begin:end] for begin, end in bounds]

    def pack(self, ids: AnyInts) -> tuple[bytes, bytes]:
        """The strings of these numbers one after the other, in UTF-8, and their lengths in bytes, as int32."""
        begins, ends = self._bounds(ids)
        return _joined(self._text.values, begins, ends)[0], (ends - begins).astype(np.int32).tobytes()

    def unpack(self, text: bytes, lengths: bytes) -> Ints:
        """The number of each string that `pack` gave, by whichever names. Raises ValueError on what it never gives.

        >>> names = PackedNames()
        >>> names.unpack(*names.pack(names.ids(["a", "b", "a"]))).tolist()
        [0, 1, 0]
        """
        sizes = np.frombuffer(lengths, np.int32).astype(np.int64)
        if sizes.min(initial=0) < 0 or sizes.sum() != len(text):
            raise ValueError(f"expected names of {sizes.sum()} bytes together, got {len(text)}")
        spans = Spans(joined([text]), len(PAD) + np.cumsum(sizes) - sizes, sizes)
        return self.add(spans, self.find(spans))

    def spans(self, ids: AnyInts) -> Spans:
        """The strings of these numbers, in UTF-8, where they lie."""
        begins, ends = self._bounds(ids)
        return Spans(self._text.values, begins, ends - begins)

    def hashes(self, ids: Ints) -> NDArray[np.uint64]:
        """A 64-bit hash of each string, the same in every process; each string is hashed once."""
        known = len(self._hashes.values)
        if known < len(self):
            self._hashes.grow(len(self))
            self._hashes.values[known:] = self.spans(np.arange(known, len(self))).stable_hashes()
        return self._hashes.values[ids]

    def _bounds(self, ids: AnyInts) -> tuple[Ints, Ints]:
        """Where these strings begin and end."""
        return self._begins.values[ids], self._begins.values[ids + 1]

    def _find(self, spans: Spans, tags: NDArray[np.uint32]) -> Ints:
        """First by their tags alone, then all are compared at once: hardly ever do two strings have the same tag."""
        found = self._slots.find(tags, lambda numbers, places: self._tags.values[numbers] == tags[places])
        if (found >= 0).all():
            other = np.flatnonzero(~self._same(found, spans))
        else:
            likely = np.flatnonzero(found >= 0)
            other = likely[~self._same(found[likely], spans.take(likely))]
        if len(other):
            asked = spans.take(other)
            found[other] = self._slots.find(
                tags[other], lambda numbers, places: self._same(numbers, asked.take(places)) & (numbers >= 0)
            )
        return found

    def _same(self, numbers: Ints, asked: Spans) -> Bools:
        begins, ends = self._bounds(numbers)
        return equal(self._text.values, begins, ends - begins, asked)

    def _append(self, fresh: Spans, tags: NDArray[np.uint32]) -> None:
        count, used = len(self), int(self._begins.values[-1])
        text, _ = _joined(fresh.text, fresh.begins, fresh.begins + fresh.lengths)
        self._text.grow(used + len(text) + len(PAD))
        self._text.values[used : used + len(text)] = np.frombuffer(text, np.uint8)
        self._begins.grow(count + len(fresh) + 1)
        self._begins.values[count + 1 :] = used + np.cumsum(fresh.lengths)
        self._tags.grow(len(self))
        self._tags.values[count:] = tags
        self._slots.extend(count, len(self), lambda part: self._tags.values[part])


def _joined(text: NDArray[np.uint8], begins: Ints, ends: Ints) -> tuple[bytes, Iterator[tuple[int, int]]]:
    """Pieces of a text one after the other, and where each begins and ends in there."""
    lengths = ends - begins
    until = np.cumsum(lengths)
    places = np.repeat(ends - until, lengths) + np.arange(until[-1] if len(until) else 0)
    return text[places].tobytes(), pairwise([0, *until.tolist()])


def _tags(hashes: Words) -> NDArray[np.uint32]:
    return (hashes >> np.uint64(32)).astype(np.uint32)


def _first_of_each(hashes: Words) -> Ints:
    """Where each hash comes first, in this order.

    >>> _first_of_each(np.array([9, 7, 9, 8 << 32, 7], np.uint64)).tolist()
    [0, 1, 3]
    """
    tags = _tags(hashes)
    order = order_of(tags)  # counting 32 bits is much faster than sorting 64
    tags, hashes_in_order = tags[order], hashes[order]
    again = tags[1:] == tags[:-1]
    if (hashes_in_order[1:][again] != hashes_in_order[:-1][again]).any():
        return np.sort(np.unique(hashes, return_index=True)[1])
    return np.sort(order[np.append(True, ~again)])
