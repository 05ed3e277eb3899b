"""The formats that files come in. A new one is a class in a file of its own (see format.py) and has its place here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from movie_stream.errors import InputError, UsageError
from movie_stream.replay.csv_file import CsvFile
from movie_stream.replay.csv_header import read_header
from movie_stream.replay.formats.format import Format
from movie_stream.replay.formats.movielens import MovieLens
from movie_stream.replay.formats.native import Native
from movie_stream.replay.formats.netflix import Netflix
from movie_stream.replay.formats.tmdb import Tmdb

FORMATS: Final[tuple[type[Format], ...]] = (Native, MovieLens, Tmdb, Netflix)
"""In the order in which a header is tried."""


def recognised(names: Sequence[str]) -> type[Format] | None:
    """The format of a file whose header has these names.

    >>> recognised(["userId", "movieId", "rating", "timestamp"]).title
    'MovieLens ratings'
    """
    return next((kind for kind in FORMATS if set(kind.columns) <= set(names)), None)


def format_of(file: CsvFile, name: str | None = None) -> type[Format]:
    """The format that `--format` calls so, else the one that the header is of.

    Raises UsageError where there is no such format, InputError where the file is not of it, or of none.
    """
    if name is None:
        found = recognised(file.names)
        if found is None:
            others = ", ".join(f"{kind.title} ({kind.name})" for kind in FORMATS[1:])
            read_header(file.path, file.line, file.names, f"; other formats: {others}")  # which knows what is missing
        return found or Native
    kind = next((kind for kind in FORMATS if kind.name == name), None)
    if kind is None:
        raise UsageError(argument="--format", expected=", ".join(kind.name for kind in FORMATS), got=name)
    if missing := [column for column in kind.columns if column not in file.names]:
        raise InputError(
            path=file.path,
            line=file.line,
            expected=f"the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} of {kind.title}",
            got=",".join(file.names)[:200],
            remedy="leave out --format, which then is found by the header",
        )
    return kind
