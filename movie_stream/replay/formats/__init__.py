"""The formats of files: native.py, movielens.py, tmdb.py, netflix.py. A new format is a class in a file of its own (see
format.py), listed here. genres.py chooses which of a film's genres counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from movie_stream.errors import InputError, UsageError
from movie_stream.replay.files.csv_header import match_names, read_header
from movie_stream.replay.files.table import Table
from movie_stream.replay.formats.format import CatalogueFormat, Format, ViewsFormat
from movie_stream.replay.formats.movielens import FILM_COLUMNS, MovieLens
from movie_stream.replay.formats.native import Native
from movie_stream.replay.formats.netflix import Netflix
from movie_stream.replay.formats.tmdb import Tmdb

FORMATS: Final[tuple[type[Format], ...]] = (Native, MovieLens, Tmdb, Netflix)
"""The formats, in the order in which a header is compared with them."""
OF_NO_USE: Final = (
    (FILM_COLUMNS, "the films of MovieLens, without views", "send the ratings.csv that belongs to it"),
    (("movieId", "imdbId", "tmdbId"), "the links of MovieLens, without views", "send the ratings.csv beside it"),
    (("userId", "movieId", "tag", "timestamp"), "the tags of MovieLens", "send the ratings.csv beside it"),
    (("movieId", "tagId", "relevance"), "the tag genome of MovieLens", "send the ratings.csv beside it"),
    (("tagId", "tag"), "the tag genome of MovieLens", "send the ratings.csv beside it"),
    (("movie_id", "title", "cast", "crew"), "the credits of TMDB 5000", "send the tmdb_5000_movies.csv beside it"),
    (("cast", "crew", "id"), "the credits of The Movies Dataset", "send the movies_metadata.csv beside it"),
    (("id", "keywords"), "the keywords of The Movies Dataset", "send the movies_metadata.csv beside it"),
)
"""Known files without views or films: columns, what the file is, and what to send instead."""


TIME: Final = "timestamp"
"""In a file that was merged with another one it may be called timestamp_x."""


def recognised(names: Sequence[str]) -> type[Format] | None:
    """The format that a header with these names belongs to.

    >>> recognised(["userId", "movieId", "rating", "timestamp"]).title
    'MovieLens ratings'
    """
    return next((kind for kind in FORMATS if not kind.missing(names)), None)


def format_of(file: Table, name: str | None = None) -> type[Format]:
    """The format that `--format` names, else that of the header; sets the file's names to those of the format.

    Raises UsageError if there is no such format, InputError if the file does not have it, or has no known one.
    """
    kind = recognised(file.names) if name is None else next((kind for kind in FORMATS if kind.name == name), None)
    if name is None and kind is None:
        _check_use(file)
        others = ", ".join(f"{kind.title} ({kind.name})" for kind in FORMATS[1:])
        # It reports which columns are missing.
        read_header(file.path, file.line, Native.match_names(file.names), f"; other formats: {others}")
    if kind is None:
        raise UsageError(argument="--format", expected=", ".join(kind.name for kind in FORMATS), got=name)
    if missing := kind.missing(file.names):
        raise InputError(
            path=file.path,
            line=file.line,
            expected=f"the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} of {kind.title}",
            got=",".join(file.names)[:200],
            remedy="leave out --format, which then is found by the header",
        )
    file.names, file.texts = kind.match_names(file.names), kind.texts
    return kind


def has_fields(names: Sequence[str], mapping: Mapping[str, str]) -> bool:
    """Whether `--map` only repeats what the header's format implies, so that no column is renamed.

    >>> names = ["userId", "movieId", "rating", "timestamp", "title", "genres"]
    >>> has_fields(names, {"genre": "genres", "user_id": "userId"}), has_fields(names, {"genre": "title"})
    (True, False)

    Raises UsageError if it uses a list of genres as one genre, which the format would not.
    """
    kind = recognised(names)
    if kind is None or kind is Native or not issubclass(kind, ViewsFormat):
        return False
    own = {field: column.casefold() for field, column in kind.fields.items()}
    others = [f"{field}={column}" for field, column in mapping.items() if own.get(field) != column.casefold()]
    if others and mapping.get("genre", "").casefold() == own["genre"]:
        expected = f"no other columns than {kind.title} have, in which a film has several genres"
        raise UsageError(argument="--map", expected=expected, got=",".join(others))
    return not others and {column.casefold() for column in mapping.values()} <= set(map(str.casefold, names))


def mapped_format(file: Table, mapping: Mapping[str, str]) -> type[Format]:
    """The format of a file of views whose columns `--map` renamed; sets its names to those of the format.

    Raises InputError if a column that a view needs is missing.
    """
    kind = recognised(file.names)
    if kind is None or issubclass(kind, CatalogueFormat):
        missing = Native.missing(file.names)
        given = [f"{field}={column}" for field, column in mapping.items()]
        raise InputError(
            path=file.path,
            line=file.line,
            expected=f"the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} besides",
            got=",".join(file.written_names)[:200],
            remedy=f"name what holds them: --map {','.join([*given, *(f'{field}=COLUMN' for field in missing)])}",
        )
    return format_of(file, kind.name)


def _are_films(names: Sequence[str]) -> bool:
    """Whether a header is that of a catalogue: it has columns of films, but none for user and time.

    >>> _are_films(["id", "title", "runtime", "genres"]), _are_films(["id", "title", "genres", "user id"])
    (True, False)
    """
    of_views = {"user_id", "timestamp"} - set(Native.missing(names))
    return not of_views and not {"genres", "vote_average"}.isdisjoint(Tmdb.match_names(names))


def _check_use(file: Table) -> None:
    """Raises InputError for a known file without views or films, and for one that lacks columns of a known format."""
    if MovieLens.missing(file.names) == [TIME]:
        near = next((name for name in file.names if name.casefold().startswith(TIME)), "COLUMN")
        raise InputError(
            path=file.path,
            line=file.line,
            expected=f"the column {TIME} of {MovieLens.title}",
            got=",".join(file.names)[:200],
            remedy=f"name what holds it: --map {TIME}={near}",
        )
    for columns, got, remedy in OF_NO_USE:
        if set(columns) <= set(match_names(file.names, columns)):
            raise InputError(path=file.path, line=file.line, expected="views, or films", got=got, remedy=remedy)
    lacking = Tmdb.missing(file.names)
    if len(lacking) < len(Tmdb.columns) and "title" not in lacking and _are_films(file.names):
        raise InputError(
            path=file.path,
            line=file.line,
            expected=f"views, or the column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)} of {Tmdb.title}",
            got=",".join(file.names)[:200],
            remedy="add what is missing (an id for each film; vote_average may be empty), and views are made up",
        )
