"""The strings of one partition's views, dictionary-encoded as integers, and the validation of new strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.columns import Bools, Column, Ints
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.columnar.spans import Spans, all_in
from movie_stream.events.contract import TEXTS
from movie_stream.events.event import display_form, slug_of

GENRES_KEPT: Final = 20_000
"""The most raw spellings of genres, including blanks, that are cached."""


class Names(PackedNames):
    r"""Names in which raw JSON strings are looked up.

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
        """The number of each text, -1 if unknown; and the mask of the valid texts that need no unescaping."""
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
        """The one of two numbers whose name is first by code points."""
        names = self.texts(np.array([one, other]))
        return one if names[0] < names[1] else other


class Spellings(PackedNames):
    """Genres as they are shown, each with its rank by code points."""

    __slots__ = ("by_rank", "rank")

    def restart(self, names: Sequence[str]) -> None:
        super().restart(names)
        self._ranked(len(self))

    def _ranked(self, count: int) -> None:
        names = self.texts(np.arange(count))
        self.by_rank = np.array(sorted(range(count), key=names.__getitem__), np.int64)
        """The numbers in order of rank."""
        self.rank = np.empty(count, np.int64)
        """The rank of each number."""
        self.rank[self.by_rank] = np.arange(count)

    def _append(self, fresh: Spans) -> None:
        super()._append(fresh)
        self._ranked(len(self))

    def smaller(self, one: int, other: int) -> int:
        """The one of two numbers whose name is first by code points."""
        return one if self.rank[one] < self.rank[other] else other


class Vocabulary:
    """All names of one partition except the users', which are never dropped."""

    def __init__(self) -> None:
        self.movies, self.titles = Names(TEXTS["movie_id"].longest), Names(TEXTS["title"].longest)
        self.slugs, self.spellings = PackedNames(), Spellings()
        self._forget_genres()

    def _forget_genres(self) -> None:
        """Clears the cache of raw genres, each with its spelling (as shown) and its slug (as grouped)."""
        self._genres = Names(TEXTS["genre"].longest)
        self._spelling, self._slug = Column(np.int64), Column(np.int64)

    @property
    def of_groups(self) -> tuple[PackedNames, ...]:
        """The names that groups refer to by number; the groups know which of them are still used."""
        return self.movies, self.titles

    def look_up_genres(self, texts: Spans) -> tuple[Ints, Bools]:
        """Like Names.look_up, but adds valid new genres; a genre is invalid if it is blank or too long."""
        if len(self._genres) > GENRES_KEPT:
            self._forget_genres()
        found, usable = self._genres.look_up(texts)
        unknown = np.flatnonzero((found < 0) & usable)
        if len(unknown):
            candidates = texts.take(unknown).tolist()
            valid = {text for text in set(candidates) if display_form(str(text or b"", "utf-8")) is not None}
            usable[unknown] = [text in valid for text in candidates]
            added = unknown[usable[unknown]]
            found[added] = self._genres.add(texts.take(added), np.full(len(added), -1))
            self._spell()
        return found, usable

    def genres(self, ids: Ints) -> tuple[Ints, Ints]:
        """The spelling and the slug of each of these genres."""
        return self._spelling.values[ids], self._slug.values[ids]

    def genre_ids(self, genres: Spans) -> Ints:
        """The numbers of valid genres, as `genres` takes them; new ones are added."""
        ids = self._genres.numbered(genres)
        self._spell()
        return ids

    def _spell(self) -> None:
        """Computes spelling and slug of the new genres."""
        known = len(self._spelling.values)
        shown = [display_form(text) or "" for text in self._genres.texts(np.arange(known, len(self._genres)))]
        self._spelling.grow(len(self._genres))
        self._slug.grow(len(self._genres))
        self._spelling.values[known:] = self.spellings.ids(shown)
        self._slug.values[known:] = self.slugs.ids([slug_of(text) for text in shown])


def usable_texts(texts: Spans, longest: int) -> NDArray[np.bool_]:
    r"""The mask of raw JSON strings that are their own value: valid UTF-8 of 1 to `longest` characters, without escapes
    and without characters that have to be escaped. Quotes, which end a string, are not checked for.

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
