"""The strings of one partition's views as small integers: what texts are known, and what a new one has to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.columns import Bools, Column, Ints
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.columnar.spans import Spans, all_in
from movie_stream.events.contract import TEXTS
from movie_stream.events.event import slug_of, spelled

GENRES_KEPT: Final = 20_000
"""Ways to write a genre, blanks and all, that are remembered."""


class Names(PackedNames):
    r"""Names that texts of JSON are looked up in.

    >>> names = Names(longest=10)
    >>> names.ids(["Alien", "back\\slash"]).tolist()
    [0, 1]
    >>> found, usable = names.look_up(Spans.of([b"Alien", b"back\\slash", b"Heat", b"far too long"]))
    >>> found.tolist(), usable.tolist()
    ([0, 1, -1, -1], [True, False, True, False])
    """

    __slots__ = ("_longest", "_usable")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        super().__init__()

    def restart(self, names: Sequence[str]) -> None:
        self._usable = Column(np.bool_)
        super().restart(names)

    def look_up(self, texts: Spans) -> tuple[Ints, Bools]:
        """The number of each text, -1 where it is not known; and which texts stand for themselves, and are valid."""
        found = self.find(texts)
        usable = self._usable.values[found] if len(self) else np.zeros(len(texts), np.bool_)
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            usable[unknown] = usable_texts(texts.take(unknown), self._longest)
        return found, usable

    def _append(self, fresh: Spans) -> None:
        known = len(self)
        super()._append(fresh)
        self._usable.grow(len(self))
        self._usable.values[known:] = usable_texts(fresh, self._longest)

    def smaller(self, one: int, other: int) -> int:
        """Of two numbers the one whose name is first in the order of code points."""
        names = self.texts(np.array([one, other]))
        return one if names[0] < names[1] else other


class Spellings(PackedNames):
    """Genres as they are shown, each with its rank in the order of code points."""

    __slots__ = ("by_rank", "rank")

    def restart(self, names: Sequence[str]) -> None:
        super().restart(names)
        self._ranked(len(self))

    def _ranked(self, count: int) -> None:
        names = self.texts(np.arange(count))
        self.by_rank = np.array(sorted(range(count), key=names.__getitem__), np.int64)
        """The numbers in order."""
        self.rank = np.empty(count, np.int64)
        """The rank of each number."""
        self.rank[self.by_rank] = np.arange(count)

    def _append(self, fresh: Spans) -> None:
        super()._append(fresh)
        self._ranked(len(self))

    def smaller(self, one: int, other: int) -> int:
        """Of two numbers the one whose name is first in the order of code points."""
        return one if self.rank[one] < self.rank[other] else other


class Vocabulary:
    """All names of one partition but the users', who are never forgotten."""

    def __init__(self) -> None:
        self.movies, self.titles = Names(TEXTS["movie_id"].longest), Names(TEXTS["title"].longest)
        self.slugs, self.spellings = PackedNames(), Spellings()
        self._forget_genres()

    def _forget_genres(self) -> None:
        """Of each genre as it came: what it is shown as, and what it groups as."""
        self._genres = Names(TEXTS["genre"].longest)
        self._spelling, self._slug = Column(np.int64), Column(np.int64)

    @property
    def of_groups(self) -> tuple[PackedNames, ...]:
        """The names that groups refer to by number; which of them are still used is theirs to say."""
        return self.movies, self.titles

    def look_up_genres(self, texts: Spans) -> tuple[Ints, Bools]:
        """Like Names.look_up; a genre of blanks alone, or too long, could not be."""
        if len(self._genres) > GENRES_KEPT:
            self._forget_genres()
        found, usable = self._genres.look_up(texts)
        unknown = np.flatnonzero((found < 0) & usable)
        if len(unknown):
            asked = texts.take(unknown).tolist()
            good = {text for text in set(asked) if spelled(str(text or b"", "utf-8")) is not None}
            usable[unknown] = [text in good for text in asked]
            kept = unknown[usable[unknown]]
            found[kept] = self._genres.add(texts.take(kept), np.full(len(kept), -1))
            self._spell()
        return found, usable

    def genres(self, ids: Ints) -> tuple[Ints, Ints]:
        """The spelling and the slug of each genre that was looked up."""
        return self._spelling.values[ids], self._slug.values[ids]

    def genre_ids(self, genres: Spans) -> Ints:
        """The numbers that `genres` takes, of valid genres."""
        ids = self._genres.numbered(genres)
        self._spell()
        return ids

    def _spell(self) -> None:
        """Looks at the genres that are new."""
        known = len(self._spelling.values)
        shown = [spelled(text) or "" for text in self._genres.texts(np.arange(known, len(self._genres)))]
        self._spelling.grow(len(self._genres))
        self._slug.grow(len(self._genres))
        self._spelling.values[known:] = self.spellings.ids(shown)
        self._slug.values[known:] = self.slugs.ids([slug_of(text) for text in shown])


def usable_texts(texts: Spans, longest: int) -> NDArray[np.bool_]:
    r"""Which texts of JSON, of up to `longest` characters and not empty, stand for themselves: without escapes, in
    UTF-8, and without what has to be escaped. A quote would have ended the text; it is not looked for.

    >>> usable_texts(Spans.of([b"user_1", b"", b"a\\n", "\u00e9".encode(), b"\xff", b"12345678901"]), 10).tolist()
    [True, False, False, True, False, False]
    """
    usable = (texts.lengths > 0) & (texts.lengths <= longest) & all_in(texts, 0x20, 0x7E, but=ord("\\"))
    for row in np.flatnonzero(~usable & (texts.lengths > 0) & (texts.lengths <= 4 * longest)).tolist():
        usable[row] = _usable(texts[row] or b"", longest)
    return usable


def _usable(text: bytes, longest: int) -> bool:
    try:
        decoded = str(text, "utf-8")
    except UnicodeDecodeError:
        return False
    return len(decoded) <= longest and "\\" not in decoded and min(decoded) >= " "
