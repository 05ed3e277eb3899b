"""The results: the aggregations and the layout of their documents. A new aggregation is one entry in RESULTS.

>>> [result.collection for result in RESULTS if result.by_genre]
['movies_aggregates', 'category_stats', 'daily_stats']
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from movie_stream.aggregates.aggregators import (
    Aggregator,
    CountOf,
    Members,
    NewestTime,
    TopUsersOf,
    UserFigure,
    ViewCount,
)
from movie_stream.aggregates.fields import (
    Count,
    Date,
    Distinct,
    End,
    Field,
    Figures,
    Genre,
    Keys,
    Max,
    Mean,
    Min,
    Newest,
    NewestGenre,
    NewUsers,
    PeakHour,
    Rated,
    ReturningUsers,
    Revenue,
    SessionMinutes,
    Sessions,
    Slug,
    Start,
    Sum,
    Title,
    Top,
    TopUsers,
    Users,
)
from movie_stream.aggregates.quality_figures import (
    MaxDelay,
    MeanDelay,
    NewGenres,
    Partition,
    Records,
    Refused,
    RefusedReasons,
    Retitled,
    Without,
    is_record_figure,
)
from movie_stream.aggregates.window import ALL_TIME, DAY, HOUR, MINUTE, Window
from movie_stream.columnar.bson_columns import Layout, Values

By = Literal["genre", "movie_id", "user_id", "partition"]
"""A column that results can be grouped by; or, for figures of records of every kind, the source partition."""
DISPLAY_NAMES: Final[Mapping[By, str]] = {
    "genre": "genre",
    "movie_id": "film",
    "user_id": "user",
    "partition": "source partition",
}
"""The display name of one value, by column."""
Index = Mapping[str, int]
"""Field to direction, in order."""


@dataclass(frozen=True)
class Result:
    """One collection of documents: one for each window and each value of the column that it is grouped `by`."""

    collection: str
    window: Window
    fields: Mapping[str, Field]
    by: By | None = None
    """The column whose values have a document each in every window; genres are grouped by slug."""
    prefix: str = ""
    """The prefix of an `_id`; the value of the column and the window's start follow."""
    indexes: tuple[Index, ...] = ({"timestamp": 1},)

    def __post_init__(self) -> None:
        """Raises ValueError for a declaration that cannot be computed."""
        kept_by_users = [isinstance(held, UserFigure | TopUsersOf) for held in self.held]
        if any(kept_by_users) and not (all(kept_by_users) and self.window is DAY and not self.by):
            raise ValueError(
                f"{self.collection}: figures of users are kept by day alone, without other figures, not by a column"
            )
        if self.aggregates_records or any(map(is_record_figure, self.held)):
            kept = all(is_record_figure(held) or isinstance(held, ViewCount | CountOf | Members) for held in self.held)
            films = all(held.member == "movie_id" for held in self.held if isinstance(held, Members))
            if not (kept and films and self.aggregates_records and self.window is not ALL_TIME):
                raise ValueError(
                    f"{self.collection}: figures of records are kept by partition and hour (or another window), beside "
                    "numbers of views and of distinct films alone"
                )
        if self.top and (self.by or not set(self.held) <= {*self.top.held, NewestTime()}):
            raise ValueError(
                f"{self.collection}: a Top is the only figure of its result but for a Newest, and not by a column"
            )

    @cached_property
    def top(self) -> Top | None:
        """The list of components, if the result has one."""
        return next((field for field in self.fields.values() if isinstance(field, Top)), None)

    @cached_property
    def held(self) -> tuple[Aggregator, ...]:
        """The distinct aggregators of a group, or of a component of one."""
        needs = [need for field in self.fields.values() for need in field.needs]
        return tuple(dict.fromkeys([*needs, *(self.top.held if self.top else ())]))

    @cached_property
    def grouped_by(self) -> str | None:
        """The column whose values distinguish the groups of one window."""
        return self.top.of if self.top else self.by

    @property
    def by_genre(self) -> bool:
        """Whether there is a document for each genre."""
        return self.by == "genre"

    @cached_property
    def aggregates_users(self) -> bool:
        """Whether users.py maintains the figures."""
        return any(isinstance(held, UserFigure | TopUsersOf) for held in self.held)

    @property
    def aggregates_records(self) -> bool:
        """Whether quality.py maintains the figures, of all records of a source partition."""
        return self.by == "partition"

    @cached_property
    def is_long_list(self) -> bool:
        """Whether it is a list of a long window: very many rows of it change, while the list hardly does."""
        return self.top is not None and self.window not in (MINUTE, HOUR)

    @property
    def stored(self) -> str:
        """The definition of the result in the fingerprint of a run.

        Its parts are the `stored` texts of fields, aggregators and windows. They do not follow the names of classes and
        must never change: every deployment would have to rebuild.
        """
        fields = ", ".join(f"{name!r}: {field.stored}" for name, field in self.fields.items())
        held = ", ".join(held.stored for held in self.held) + "," * (len(self.held) == 1)
        names = f"{self.collection!r}, {self.window.stored}, {self.grouped_by!r}, {self.prefix!r}"
        return f"({names}, {{{fields}}}, ({held}))"

    def document_ids(self, keys: Keys) -> list[str]:
        """The `_id`s: prefix, the value of the column and the window's start."""
        before = f"{self.prefix}_" if self.prefix else ""
        if self.window is ALL_TIME:
            return [before + value for value in keys.values] if self.by else [self.prefix] * len(keys.values)
        starts = self.window.labels(keys.starts_ms)
        if not self.by:
            return [before + start for start in starts]
        return [f"{before}{value}_{start}" for value, start in zip(keys.values, starts, strict=True)]

    def columns(self, keys: Keys, figures: Figures) -> list[Values]:
        """The `_id`s and the fields of the documents, as in the schema."""
        return [self.document_ids(keys), *(field.values(keys, figures) for field in self.fields.values())]

    def layout(self, partitions: int) -> Layout:
        """The layout of the documents, whose `_rev` has a number for each source partition."""
        return Layout(self.schema()["properties"], partitions)

    def schema(self) -> dict[str, Any]:
        """The MongoDB JSON schema of the documents."""
        properties = {
            "_id": {"bsonType": "string"},
            **{name: dict(field.schema) for name, field in self.fields.items()},
        }
        return {"bsonType": "object", "required": list(properties), "properties": properties}


_FILM: Final[Mapping[str, Field]] = {
    "title": Title(),
    "genre": NewestGenre(),
    "views": Count(),
    "rated_views": Rated(),
    "avg_rating": Mean("rating"),
}

RESULTS: Final = (
    Result(
        "movies_aggregates",
        MINUTE,
        by="genre",
        fields={
            "genre": Genre(),
            "slug": Slug(),
            "window_start": Start(),
            "window_end": End(),
            "total_views": Count(),
            "unique_users": Distinct("user_id", lg_k=12),
            "rated_views": Rated(),
            "avg_rating": Mean("rating"),
            "max_rating": Max("rating"),
            "min_rating": Min("rating"),
            "total_duration": Sum("duration"),
        },
        indexes=({"window_start": 1}, {"genre": 1}, {"genre": 1, "window_start": -1}),
    ),
    Result(
        "top_movies",
        HOUR,
        prefix="top_movies",
        fields={"timestamp": Start(), "top_movies": Top(10, "movie_id", _FILM)},
    ),
    Result(
        "top_movies_daily",
        DAY,
        prefix="top_movies",
        fields={"date": Date(), "timestamp": Start(), "top_movies": Top(100, "movie_id", _FILM)},
    ),
    Result(
        "top_movies_all_time",
        ALL_TIME,
        prefix="top_movies_all_time",
        fields={"timestamp": Newest(), "top_movies": Top(100, "movie_id", _FILM)},
    ),
    Result(
        "category_stats",
        ALL_TIME,
        by="genre",
        prefix="genre_stats",
        fields={
            "genre": Genre(),
            "slug": Slug(),
            "timestamp": Newest(),
            "total_views": Count(),
            "unique_movies": Distinct("movie_id"),
            "unique_users": Distinct("user_id"),
            "rated_views": Rated(),
            "avg_rating": Mean("rating"),
            "total_revenue": Revenue(),
            "peak_hour": PeakHour(),
        },
        indexes=({"genre": 1, "timestamp": -1}, {"total_views": -1}),
    ),
    Result(
        "active_users",
        DAY,
        prefix="active_users",
        fields={
            "date": Date(),
            "timestamp": Start(),
            "total_users": Users(),
            "new_users": NewUsers(),
            "returning_users": ReturningUsers(),
            "sessions": Sessions(),
            "avg_session_duration": SessionMinutes(),
        },
    ),
    Result(
        "hourly_metrics",
        HOUR,
        prefix="hourly",
        fields={
            "timestamp": Start(),
            "total_views": Count(),
            "unique_users": Distinct("user_id"),
            "rated_views": Rated(),
            "avg_rating": Mean("rating"),
            "total_duration": Sum("duration"),
            "total_revenue": Revenue(),
        },
    ),
    Result(
        "daily_stats",
        DAY,
        by="genre",
        fields={
            "genre": Genre(),
            "slug": Slug(),
            "date": Date(),
            "timestamp": Start(),
            "daily_views": Count(),
            "unique_users": Distinct("user_id"),
            "rated_views": Rated(),
            "avg_daily_rating": Mean("rating"),
            "total_watch_time": Sum("duration"),
            "daily_revenue": Revenue(),
        },
    ),
    Result(
        "top_users",
        DAY,
        prefix="top_users",
        fields={"date": Date(), "timestamp": Start(), "top_users": TopUsers(10)},
    ),
    Result(
        "data_quality",
        HOUR,
        by="partition",
        prefix="data_quality",
        fields={
            "timestamp": Start(),
            "partition": Partition(),
            "records": Records(),
            "views": Count(),
            "bad": Refused("bad"),
            "late": Refused("late"),
            "without_rating": Without("rating"),
            "without_duration": Without("duration"),
            "without_price": Without("price"),
            "unique_movies": Distinct("movie_id"),
            "new_genres": NewGenres(),
            "retitled": Retitled(),
            "avg_delay_s": MeanDelay(),
            "max_delay_s": MaxDelay(),
            "refused": RefusedReasons(),
        },
        indexes=({"timestamp": 1}, {"partition": 1, "timestamp": 1}),
    ),
)
