"""The results that the dashboard asks for, by the names that RESULTS has for them.

Each is looked up once. Where a result, or a field that is asked for, is called otherwise one day, this module cannot be
imported, instead of a panel that stays empty.

>>> MINUTES.collection, MINUTES.start, MINUTES.views
('movies_aggregates', 'window_start', 'total_views')
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from movie_stream.aggregates.fields import Mean
from movie_stream.aggregates.results import RESULTS
from movie_stream.aggregates.shape import Shape

RUN: Final = "_run"
"""The run that has written a document; beside the fields of every result."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A result, and its fields that are asked for."""

    shape: Shape
    fields: tuple[str, ...]

    @property
    def collection(self) -> str:
        """Where its documents lie."""
        return self.shape.result.collection

    @property
    def start(self) -> str:
        """The field with the start of the window; of a result of all time there is none to be asked for."""
        assert self.shape.start is not None, f"{self.collection} has one window for all time"
        return self.shape.start

    @property
    def views(self) -> str:
        """The field that counts views."""
        assert self.shape.views is not None, f"{self.collection} counts no views"
        return self.shape.views

    @property
    def average(self) -> str:
        """The field with the mean rating."""
        return next(name for name, field in self.shape.result.fields.items() if isinstance(field, Mean))

    @property
    def entries(self) -> str:
        """The field with its list."""
        assert self.shape.entries is not None, f"{self.collection} has no list"
        return self.shape.entries


def stored(collection: str, *fields: str) -> Stored:
    """The result of this collection, with these of its fields, or of those of its list's entries.

    Raises LookupError where RESULTS has no such result, or the result no such field.
    """
    shape = next((Shape.of(result) for result in RESULTS if result.collection == collection), None)
    if shape is None:
        raise LookupError(f"the dashboard asks for {collection}, which RESULTS does not have (any more)")
    unknown = set(fields) - {column.name for column in (shape.entry if shape.entries else shape.fields)}
    if unknown:
        raise LookupError(f"the dashboard asks {collection} for {', '.join(sorted(unknown))}, which it does not have")
    return Stored(shape, fields)


_GENRE: Final = ("slug", "genre")
MINUTES: Final = stored("movies_aggregates", *_GENRE, "rated_views", "min_rating", "max_rating")
HOURS: Final = stored("hourly_metrics")
DAYS: Final = stored("daily_stats", *_GENRE, "rated_views")
GENRES: Final = stored("category_stats", *_GENRE, "unique_users")
USERS: Final = stored(
    *("active_users", "date", "total_users", "new_users", "returning_users", "sessions", "avg_session_duration")
)
TOP_MOVIES: Final = stored("top_movies", "movie_id", "title", "genre", "views", "avg_rating")
TOP_USERS: Final = stored("top_users", "user_id", "watch_count", "watch_time")
QUALITY: Final = stored("data_quality", "kind", "reason", "count")
