"""TMDB 5000, as Kaggle has it: `tmdb_5000_movies.csv`, a catalogue with lists in JSON.

https://www.kaggle.com/datasets/tmdb/tmdb-movie-metadata
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from movie_stream.replay.csv_cells import parse_decimal
from movie_stream.replay.formats.format import UNKNOWN_GENRE, CatalogueFormat, Film


class _Genre(msgspec.Struct):
    name: str


_GENRES = msgspec.json.Decoder(list[_Genre])


class Tmdb(CatalogueFormat):
    """Films with their votes (from 0 to 10), how many these are, and how popular the film is."""

    name: ClassVar[str] = "tmdb"
    title: ClassVar[str] = "films of TMDB"
    columns: ClassVar[tuple[str, ...]] = ("id", "title", "genres", "runtime", "vote_average", "vote_count")

    def film(self, cells: Mapping[str, str]) -> Film:
        votes = _number("vote_count", cells)
        popularity = _number("popularity", cells) if "popularity" in cells else None
        average = _number("vote_average", cells)
        return Film(
            cells["id"].strip(),
            cells["title"].strip(),
            _first_genre(cells["genres"]),
            round(_number("runtime", cells) or 0),
            average / 2 if average and votes else None,
            votes or popularity or 0,
        )


def _number(name: str, cells: Mapping[str, str]) -> float | None:
    number = parse_decimal(cells[name])
    if number is None:
        return None
    if not isinstance(number, (int, float)) or number < 0:
        raise ValueError(f'{name}: expected a number from 0, got "{cells[name][:40]}"')
    return float(number)


def _first_genre(cell: str) -> str:
    """The first name in a list of objects.

    >>> _first_genre('[{"id": 28, "name": "Action"}, {"id": 12, "name": "Adventure"}]'), _first_genre("[]")
    ('Action', 'Unknown')
    """
    try:
        genres = _GENRES.decode(cell or "[]")
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError(f"genres: expected a list of objects with a name, in JSON ({error})") from error
    return genres[0].name.strip() or UNKNOWN_GENRE if genres else UNKNOWN_GENRE
