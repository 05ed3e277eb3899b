"""TMDB, in the versions on Kaggle: catalogues with votes, and genres in one of several notations.

TMDB 5000 (`tmdb_5000_movies.csv`), The Movies Dataset (`movies_metadata.csv`), and the large dumps
(`TMDB_movie_dataset_v11.csv`); https://www.kaggle.com/datasets/tmdb/tmdb-movie-metadata
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from movie_stream.replay.files.csv_cells import parse_decimal
from movie_stream.replay.formats.format import CatalogueFormat, Film
from movie_stream.replay.formats.genres import listed

GENRES: Final = {
    28: "Action",
    12: "Adventure",
    16: "Animation",
    35: "Comedy",
    80: "Crime",
    99: "Documentary",
    18: "Drama",
    10751: "Family",
    14: "Fantasy",
    36: "History",
    27: "Horror",
    10402: "Music",
    9648: "Mystery",
    10749: "Romance",
    878: "Science Fiction",
    10770: "TV Movie",
    53: "Thriller",
    10752: "War",
    37: "Western",
}
"""Genres by TMDB's number, which some versions have in place of the name."""


class Tmdb(CatalogueFormat):
    """Films with their average vote (0 to 10), number of votes and popularity."""

    name: ClassVar[str] = "tmdb"
    title: ClassVar[str] = "films of TMDB"
    columns: ClassVar[tuple[str, ...]] = ("id", "title", "vote_average")
    others: ClassVar[tuple[str, ...]] = ("genres", "genre_ids", "runtime", "vote_count", "popularity")
    texts: ClassVar[tuple[str, ...]] = ("id", "title")
    without: ClassVar[Mapping[str, str]] = {
        "genres": "all are of the genre Unknown",
        "runtime": "no view has minutes",
        "vote_count": "they are as popular as their `popularity` says, or by chance",
    }

    @classmethod
    def match_names(cls, names: Sequence[str]) -> list[str]:
        found = super().match_names(names)
        for wanted, other in (("title", "original_title"), ("genres", "genre_ids"), ("genres", "genre")):
            others = list(map(str.casefold, found))
            if wanted not in found and other in others:
                found[others.index(other)] = wanted
        return found

    def film(self, cells: Mapping[str, str]) -> Film:
        votes, popularity = _number("vote_count", cells), _number("popularity", cells)
        average = _number("vote_average", cells)
        weight = None if "vote_count" not in cells and "popularity" not in cells else votes or popularity or 0
        return Film(
            cells["id"].strip(),
            cells["title"].strip(),
            listed(cells.get("genres", ""), GENRES),
            round(_number("runtime", cells) or 0),
            average / 2 if average and (votes or "vote_count" not in cells) else None,
            weight,
        )


def _number(name: str, cells: Mapping[str, str]) -> float | None:
    number = parse_decimal(cells.get(name, ""))
    if number is None:
        return None
    if not isinstance(number, (int, float)) or number < 0:
        raise ValueError(f'{name}: expected a number from 0, got "{cells[name][:40]}"')
    return float(number)
