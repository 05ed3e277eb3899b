"""Very many strings as small integers: user ids, never deleted, at 20 to 32 bytes each plus their text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from movie_stream.columnar.columns import AnyInts, Column, Ints
from movie_stream.columnar.slots import Slots, slots_for, with_room
from movie_stream.columnar.spans import PAD, WORD, Bytes, Spans, joined
from movie_stream.kernels.grouping import rank_members
from movie_stream.kernels.hash_tables import intern_strings


class PackedNames:
    """Numbers strings in the order of their first occurrence, without an object per string.

    The hash table's hash is keyed with a secret of the process, so nobody can make up ids that all collide. It is never
    stored, and equal hashes are not trusted: strings are compared byte by byte.

    >>> names = PackedNames()
    >>> names.ids(["a", "\u00e9t\u00e9", "a"]).tolist(), names.texts(np.array([1, 0])), len(names)
    ([0, 1, 0], ['\u00e9t\u00e9', 'a'], 2)
    """

    __slots__ = ("_bounds", "_slots", "_text")

    def __init__(self) -> None:
        self.restart([])

    def restart(self, names: Sequence[str]) -> None:
        """Removes all names, and numbers these from 0 on."""
        self._text = Column(np.uint8)  # all strings in UTF-8, one after the other, and room for a word
        self._bounds = Column(np.int64)  # string n is _text[_bounds[n] : _bounds[n + 1]]
        self._bounds.grow(1)
        self._slots = slots_for(len(names))
        self.ids(names)

    def __len__(self) -> int:
        return len(self._bounds.values) - 1

    @property
    def _table(self) -> tuple[Slots, Bytes, Ints]:
        """For the kernels."""
        return self._slots, self._text.room, self._bounds.room

    def ids(self, names: Sequence[str]) -> Ints:
        """The number of each string; a new string gets a new number."""
        return self.numbered(Spans.of_texts(names))

    def numbered(self, spans: Spans) -> Ints:
        """The number of each string (as UTF-8); a new string gets a new number."""
        row, numbers = 0, np.empty(len(spans), np.int64)
        while True:
            row, count = intern_strings(
                spans.text, spans.begins, spans.lengths, spans.hashes(), row, *self._table, len(self), numbers
            )
            self._bounds.values = self._bounds.room[: count + 1]
            if row == len(spans):
                return numbers
            self._slots = with_room(self._slots, count + 1)
            self._bounds.reserve(count + 2)
            self._text.reserve(int(self._bounds.values[-1] + spans.lengths[row]) + WORD)

    def texts(self, ids: AnyInts) -> list[str]:
        """The strings with these numbers."""
        strings = self.spans(ids)
        utf8, bounds = strings.tobytes(), pairwise([0, *np.cumsum(strings.lengths).tolist()])
        if not utf8.isascii():
            return [utf8[begin:end].decode() for begin, end in bounds]
        text = utf8.decode()
        return [text[begin:end] for begin, end in bounds]

    def sizes(self, ids: AnyInts) -> Ints:
        """The sizes of the strings with these numbers, in bytes of UTF-8."""
        return self.spans(ids).lengths

    def pack(self, ids: AnyInts) -> tuple[bytes, bytes]:
        """The strings with these numbers, concatenated in UTF-8, and their lengths in bytes, as int32."""
        strings = self.spans(ids)
        return strings.tobytes(), strings.lengths.astype(np.int32).tobytes()

    def pack_portions(self, ids: AnyInts, bounds: Ints) -> list[tuple[bytes, bytes]]:
        """The result of `pack` for each portion of ids; portion n is from bounds[n] to before bounds[n + 1].

        >>> names = PackedNames()
        >>> [text for text, _ in names.pack_portions(names.ids(["a", "bc", "d"]), np.array([0, 2, 3]))]
        [b'abc', b'd']
        """
        text, lengths = self.pack(ids)
        ends = np.append(0, np.cumsum(np.frombuffer(lengths, np.int32), dtype=np.int64))[bounds]
        texts = [text[begin:end] for begin, end in pairwise(ends.tolist())]
        return [*zip(texts, (lengths[4 * begin : 4 * end] for begin, end in pairwise(bounds.tolist())), strict=True)]

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

    def spans(self, ids: AnyInts | slice) -> Spans:
        """The strings with these numbers, in UTF-8. While they are kept, new names take longer to add."""
        begins = self._bounds.values[:-1][ids]
        return Spans(self._text.room, begins, self._bounds.values[1:][ids] - begins)

    def most_viewed(self, ids: Ints, views: Ints, ends: Ints, limit: int) -> tuple[Ints, Ints]:
        """Of each group of strings with these numbers, which may repeat, those with most views together, the most
        viewed first; of equals the smaller string, by code points. Group n has the numbers before ends[n].

        Returns the numbers, one group's after the other's, and how many each group has.

        >>> names = PackedNames()
        >>> ids = names.ids(["b", "a", "c", "c", "b"])
        >>> most, counts = names.most_viewed(ids, np.array([1, 1, 1, 1, 1]), np.array([4, 5]), 2)
        >>> names.texts(most), counts.tolist()
        (['c', 'a', 'b'], [2, 1])
        """
        room = int(np.minimum(np.diff(ends, prepend=0), limit).sum())
        total, top, top_views = np.zeros(len(self), np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
        counts = np.empty(len(ends), np.int64)
        of_names = self._text.room, self._bounds.room
        return top[: rank_members(ids, views, ends, limit, *of_names, total, top, top_views, counts)], counts
