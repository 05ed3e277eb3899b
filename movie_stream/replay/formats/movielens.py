"""MovieLens, as GroupLens publishes it: `ratings.csv`, and `movies.csv` beside it for titles and genres.

https://files.grouplens.org/datasets/movielens/ml-20m-README.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from movie_stream.errors import FileRefused, InputError, UsageError
from movie_stream.replay.files.csv_file import CsvFile
from movie_stream.replay.files.csv_header import meant
from movie_stream.replay.files.csv_rows import RefusedRow, Rows
from movie_stream.replay.files.source_file import SourceFile, open_source_file
from movie_stream.replay.files.table import Table, settled, whole
from movie_stream.replay.formats.format import VIEW, ViewsFormat
from movie_stream.replay.formats.genres import Choice, Chooser, listed

FILMS: Final = "movies.csv"
FILM_COLUMNS: Final = ("movieId", "title", "genres")
MERGED: Final = ("title", "genres")
"""The columns of ratings into which the films were merged."""
SECOND_DIGITS: Final = (9, 10)
NO_GENRES: Final = "(no genres listed)"


class MovieLens(ViewsFormat):
    """A rating counts as a view at the time when it was given.

    Titles and genres are read from the neighbouring file of films, or from the same row if the two files were merged.
    """

    name: ClassVar[str] = "movielens"
    title: ClassVar[str] = "MovieLens ratings"
    columns: ClassVar[tuple[str, ...]] = ("userId", "movieId", "rating", "timestamp")
    others: ClassVar[tuple[str, ...]] = MERGED
    texts: ClassVar[tuple[str, ...]] = ("userId", "movieId", "title")
    fields: ClassVar[Mapping[str, str]] = {
        "movie_id": "movieId",
        "title": "title",
        "genre": "genres",
        "user_id": "userId",
        "timestamp": "timestamp",
        "rating": "rating",
    }
    genres: ClassVar[bool] = True
    header = VIEW

    def __init__(self, file: Table, movies: Path | None, genre: Choice) -> None:
        self._positions = [file.names.index(name) for name in self.columns]
        self._merged = [file.names.index(name) for name in MERGED if name in file.names]
        if len(self._merged) == len(MERGED):
            if movies is not None:
                expected = "ratings without titles and genres, which these have"
                raise UsageError(argument="--movies", expected=expected, got=str(file.path))
            self._genre_of = Chooser(genre, _films_of(file) if genre == "rarest" else ())
            self._genres_known: dict[str, str] = {}
            self._no_genres: dict[str, str] = {}
            return
        self._merged = []
        with _films(file.opened, movies) as films:
            self._films_path = films.path
            self._titles, self._genres = _read(CsvFile(films, otherwise=file.opened.encoding), genre)
        contents = repr(sorted(self._titles.items())) + repr(sorted(self._genres.items()))
        self.part_of_hash = blake2b(contents.encode("utf-8", "surrogatepass")).digest()

    def native(self, rows: Rows) -> Rows:
        if self._merged:
            self._learn(set(rows.columns[self._merged[1]]).difference(self._genres_known))
            rows = self._without(rows, self._merged[1], self._no_genres)
            of_films, listing = (rows.columns[position] for position in self._merged)
            return self._view(rows, list(of_films), list(map(self._genres_known.__getitem__, listing)))
        movies = rows.columns[self._positions[1]]
        known = f"movieId: expected one of the {len(self._titles):,} in {self._films_path}"
        unknown = {movie: f'{known}, got "{movie}"' for movie in set(movies) if movie not in self._titles}
        rows = self._without(rows, self._positions[1], unknown)
        movies = rows.columns[self._positions[1]]
        titles, genres = map(self._titles.__getitem__, movies), map(self._genres.__getitem__, movies)
        return self._view(rows, list(titles), list(genres))

    def _view(self, rows: Rows, titles: list[str], genres: list[str]) -> Rows:
        users, movies, ratings, times = (rows.columns[position] for position in self._positions)
        nothing = [""] * len(rows)
        times_ms = [_milliseconds(time) for time in times]
        columns = [movies, titles, genres, users, times_ms, ratings, nothing, nothing]
        return Rows(columns, rows.lines, rows.refused)

    def _learn(self, cells: Iterable[str]) -> None:
        """Caches the genre of each cell, or the reason why it has none; there are few distinct cells."""
        for cell in cells:
            try:
                self._genres_known[cell] = self._genre_of(_listed(cell))
            except ValueError as error:
                self._no_genres[cell] = str(error)

    def _without(self, rows: Rows, position: int, unusable: Mapping[str, str]) -> Rows:
        """The rows without those whose cell in this column is unusable; those are refused with its reason."""
        if not unusable:
            return rows
        cells = rows.columns[position]
        bad = np.array([cell in unusable for cell in cells], np.bool_)
        reasons = [
            RefusedRow(line, unusable[cell])
            for line, cell in zip(rows.lines[bad].tolist(), np.array(cells, object)[bad].tolist(), strict=True)
        ]
        kept = rows.where(~bad)
        return Rows(kept.columns, kept.lines, [*rows.refused, *reasons])


def _milliseconds(seconds: str) -> str:
    """Converts the format's seconds to milliseconds; other notations, which modified files may have, are unchanged.

    >>> _milliseconds("851866703"), _milliseconds("1260759144000"), _milliseconds("20091214")
    ('851866703000', '1260759144000', '20091214')
    """
    return f"{seconds}000" if len(seconds) in SECOND_DIGITS and seconds.isdigit() else seconds


def _films(source: SourceFile, movies: Path | None) -> SourceFile:
    found = source.beside(FILMS) if movies is None else open_source_file(movies)
    if found is None:
        raise InputError(
            path=source.path,
            expected=f"{FILMS} beside it, for the titles and genres",
            got="no such file",
            remedy=f"put it there, or name it with: --movies {FILMS}",
        )
    return found


def _read(films: CsvFile, genre: Choice) -> tuple[dict[str, str], dict[str, str]]:
    """Titles and genres by id. Raises InputError if it is not a file of films."""
    names = meant(films.names, FILM_COLUMNS)
    if not set(FILM_COLUMNS) <= set(names):
        raise InputError(
            path=films.path,
            line=films.line,
            expected=f"the columns {', '.join(FILM_COLUMNS)} in the header",
            got=",".join(films.names)[:200],
        )
    positions = [names.index(name) for name in FILM_COLUMNS]
    titles, genres = dict[str, str](), dict[str, tuple[str, ...]]()
    for chunk in whole(films, Counter()):
        ids, of_films, of_genres = (chunk.columns[position] for position in positions)
        for line, movie, title, cell in zip(chunk.lines.tolist(), ids, of_films, of_genres, strict=True):
            try:
                film = title, _listed(cell)
            except ValueError as error:
                raise FileRefused(path=films.path, line=line, why=str(error), remedy="correct the file") from error
            if movie in titles and film != (titles[movie], genres[movie]):
                why = f"there is another film with the movieId {movie} above"
                raise FileRefused(path=films.path, line=line, why=why, remedy="leave one of them")
            titles[movie], genres[movie] = film
    genre_of = Chooser(genre, genres.values())
    return titles, {movie: genre_of(listed) for movie, listed in genres.items()}


def _films_of(file: Table) -> list[tuple[str, ...]]:
    """The genres of the films in a file of ratings into which the films were merged."""
    settled(file)
    movie, genres = file.names.index("movieId"), file.names.index("genres")
    films = dict[str, tuple[str, ...]]()
    with closing(file.below_header()) as rows:
        for chunk in rows.chunks(len(file.names)):
            pairs = set(zip(chunk.columns[movie], chunk.columns[genres], strict=True))
            for movie_id, cell in pairs:
                with suppress(ValueError):  # reported with its row
                    films[movie_id] = _listed(cell)
    return list(films.values())


def _listed(cell: str) -> tuple[str, ...]:
    """The genres in a cell. Raises ValueError as `listed` does.

    >>> _listed("Adventure|Animation"), _listed("(no genres listed)")
    (('Adventure', 'Animation'), ())
    """
    return tuple(name for name in listed(cell) if name != NO_GENRES)
