"""The strings of one partition's views, dictionary-encoded as integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from movie_stream.columnar.columns import Bools, Column, Ints
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.columnar.spans import Spans
from movie_stream.events.event import display_form, slug_of

GENRES_KEPT: Final = 20_000
"""The most raw spellings of genres, including blanks, that are cached."""
_BLANK: Final = -1
"""The spelling and the slug of a genre that is only whitespace."""


class Names(PackedNames):
    """Names that are compared by code points."""

    __slots__ = ()

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

    def numbered(self, spans: Spans) -> Ints:
        known, numbers = len(self), super().numbered(spans)
        if len(self) > known:
            self._ranked(len(self))
        return numbers

    def smaller(self, one: int, other: int) -> int:
        """The one of two numbers whose name is first by code points."""
        return one if self.rank[one] < self.rank[other] else other


class Vocabulary:
    """All names of one partition except the users', which are never dropped."""

    def __init__(self) -> None:
        self.movies, self.titles = Names(), Names()
        self.slugs, self.spellings = PackedNames(), Spellings()
        self._forget_genres()

    def _forget_genres(self) -> None:
        """Clears the cache of raw genres, each with its spelling (as shown) and its slug (as grouped)."""
        self._genres = PackedNames()
        self._spelling, self._slug = Column(np.int64, fill=_BLANK), Column(np.int64, fill=_BLANK)

    @property
    def of_groups(self) -> tuple[PackedNames, ...]:
        """The names that groups refer to by number; the groups know which of them are still used."""
        return self.movies, self.titles

    def bound_genres(self) -> None:
        """Forgets the numbers of genres, if there are too many."""
        if len(self._genres) > GENRES_KEPT:
            self._forget_genres()

    def look_up_genres(self, texts: Spans) -> tuple[Ints, Bools]:
        """The numbers of genres, and the mask of the valid ones: those that are more than whitespace."""
        ids = self.genre_ids(texts)
        return ids, self._slug.values[ids] != _BLANK

    def genres(self, ids: Ints) -> tuple[Ints, Ints]:
        """The spelling and the slug of each of these genres, which are valid."""
        return self._spelling.values[ids], self._slug.values[ids]

    def genre_ids(self, genres: Spans) -> Ints:
        """The numbers of genres; new ones are added."""
        known, ids = len(self._genres), self._genres.numbered(genres)
        if len(self._genres) > known:
            new = np.arange(known, len(self._genres))
            for column in (self._spelling, self._slug):
                column.grow(len(self._genres))
            forms = [display_form(text) for text in self._genres.texts(new)]
            shown = [form for form in forms if form is not None]
            valid = new[[form is not None for form in forms]]
            self._spelling.values[valid] = self.spellings.ids(shown)
            self._slug.values[valid] = self.slugs.ids([slug_of(form) for form in shown])
        return ids
