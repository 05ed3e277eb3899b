"""The formats that files come in. A new one is a class in a file of its own (see format.py) and has its place here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

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


def named(name: str) -> type[Format] | None:
    """The format that `--format` calls so."""
    return next((kind for kind in FORMATS if kind.name == name), None)
