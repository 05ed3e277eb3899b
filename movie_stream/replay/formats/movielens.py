"""MovieLens, as GroupLens publishes it: `ratings.csv`, and `movies.csv` beside it for titles and genres.

https://files.grouplens.org/datasets/movielens/ml-20m-README.html
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from movie_stream.errors import InputError
from movie_stream.replay.csv_file import CsvFile
from movie_stream.replay.csv_rows import RefusedRow, Rows
from movie_stream.replay.formats.format import UNKNOWN_GENRE, VIEW, ViewsFormat
from movie_stream.replay.opened import Opened, opened

FILMS: Final = "movies.csv"
FILM_COLUMNS: Final = ("movieId", "title", "genres")
SECOND_DIGITS: Final = 10
NO_GENRES: Final = "(no genres listed)"


class MovieLens(ViewsFormat):
    """A rating counts as a view at the time when it was given."""

    name: ClassVar[str] = "movielens"
    title: ClassVar[str] = "MovieLens ratings"
    columns: ClassVar[tuple[str, ...]] = ("userId", "movieId", "rating", "timestamp")
    header = VIEW

    def __init__(self, file: CsvFile, movies: Path | None) -> None:
        self._places = [file.names.index(name) for name in self.columns]
        with _films(file.opened, movies) as films:
            self._films_path = films.path
            self._titles, self._genres = _read(CsvFile(films))
        told = repr(sorted(self._titles.items())) + repr(sorted(self._genres.items()))
        self.part_of_hash = blake2b(told.encode("utf-8", "surrogatepass")).digest()

    def native(self, rows: Rows) -> Rows:
        movies = rows.columns[self._places[1]]
        unknown = {movie for movie in set(movies) if movie not in self._titles}
        if unknown:
            rows = self._without(rows, unknown)
            movies = rows.columns[self._places[1]]
        users, _, ratings, times = (rows.columns[place] for place in self._places)
        nothing = [""] * len(rows)
        titles, genres = map(self._titles.__getitem__, movies), map(self._genres.__getitem__, movies)
        times_ms = [_milliseconds(time) for time in times]
        columns = [movies, list(titles), list(genres), users, times_ms, ratings, nothing, nothing]
        return Rows(columns, rows.lines, rows.refused)

    def _without(self, rows: Rows, unknown: set[str]) -> Rows:
        """The rows but those of films that nobody knows."""
        movies = rows.columns[self._places[1]]
        bad = np.array([movie in unknown for movie in movies], np.bool_)
        reasons = [
            RefusedRow(line, f'movieId: expected one of the {len(self._titles):,} in {self._films_path}, got "{movie}"')
            for line, movie in zip(rows.lines[bad].tolist(), np.array(movies, object)[bad].tolist(), strict=True)
        ]
        kept = rows.where(~bad)
        return Rows(kept.columns, kept.lines, [*rows.refused, *reasons])


def _milliseconds(seconds: str) -> str:
    """What the format has in seconds; in other hands it may have become something else.

    >>> _milliseconds("851866703"), _milliseconds("1260759144000")
    ('851866703000', '1260759144000')
    """
    return f"{seconds}000" if len(seconds) <= SECOND_DIGITS and seconds.isdigit() else seconds


def _films(source: Opened, movies: Path | None) -> Opened:
    found = source.beside(FILMS) if movies is None else opened(movies)
    if found is None:
        raise InputError(
            path=source.path,
            expected=f"{FILMS} beside it, for the titles and genres",
            got="no such file",
            remedy=f"put it there, or name it with: --movies {FILMS}",
        )
    return found


def _read(films: CsvFile) -> tuple[dict[str, str], dict[str, str]]:
    """Titles and first genres by id. Raises InputError where it is another file."""
    if not set(FILM_COLUMNS) <= set(films.names):
        raise InputError(
            path=films.path,
            line=films.line,
            expected=f"the columns {', '.join(FILM_COLUMNS)} in the header",
            got=",".join(films.names)[:200],
        )
    places = [films.names.index(name) for name in FILM_COLUMNS]
    titles, genres = dict[str, str](), dict[str, str]()
    for chunk in films.whole()[0]:
        ids, names, listed = (chunk.columns[place] for place in places)
        titles.update(zip(ids, names, strict=True))
        genres.update(zip(ids, map(_first_genre, listed), strict=True))
    return titles, genres


def _first_genre(listed: str) -> str:
    """The first of several.

    >>> _first_genre("Adventure|Animation"), _first_genre("(no genres listed)")
    ('Adventure', 'Unknown')
    """
    first = listed.split("|", 1)[0].strip()
    return UNKNOWN_GENRE if first in ("", NO_GENRES) else first
