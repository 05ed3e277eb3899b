"""The documents of the results as types, for programs. Made by `make docs` from RESULTS."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict


class MoviesAggregates(TypedDict):
    """A document of movies_aggregates: by minute and genre."""

    _id: str
    genre: str
    """The genre as it is shown: of the spellings in the group the first by code points."""
    slug: str
    """The genre in small letters, with single blanks: what groups spellings of one genre."""
    window_start: datetime
    """The start of the window. Unit: UTC."""
    window_end: datetime
    """The end of the window, exclusive. Unit: UTC."""
    total_views: int
    """The number of views."""
    unique_users: int
    """The number of distinct users: exact up to 300, above that an estimate with a relative standard error of 1.6
    %.
    """
    rated_views: int
    """The number of views that have a rating: what the mean rating is over."""
    avg_rating: float | None
    """The mean of `rating` over the views that have one; null where none has. Unit: points, 0 to 5."""
    max_rating: float | None
    """The largest rating; null where no view has one. Unit: points, 0 to 5."""
    min_rating: float | None
    """The smallest rating; null where no view has one. Unit: points, 0 to 5."""
    total_duration: int
    """The sum of `duration` over the views that have one. Unit: minutes."""


class TopMoviesEntry(TypedDict):
    """An entry of top_movies."""

    movie_id: str
    """The film."""
    title: str
    """The title in the film's newest view; of views of one time the smallest."""
    genre: str
    """The genre in the film's newest view, as it is shown; of views of one time the smallest."""
    views: int
    """The number of views."""
    rated_views: int
    """The number of views that have a rating: what the mean rating is over."""
    avg_rating: float | None
    """The mean of `rating` over the views that have one; null where none has. Unit: points, 0 to 5."""


class TopMovies(TypedDict):
    """A document of top_movies: by hour."""

    _id: str
    timestamp: datetime
    """The start of the window. Unit: UTC."""
    top_movies: list[TopMoviesEntry]
    """The films with most views, 10 at most, the most viewed first."""


class TopMoviesDailyEntry(TypedDict):
    """An entry of top_movies."""

    movie_id: str
    """The film."""
    title: str
    """The title in the film's newest view; of views of one time the smallest."""
    genre: str
    """The genre in the film's newest view, as it is shown; of views of one time the smallest."""
    views: int
    """The number of views."""
    rated_views: int
    """The number of views that have a rating: what the mean rating is over."""
    avg_rating: float | None
    """The mean of `rating` over the views that have one; null where none has. Unit: points, 0 to 5."""


class TopMoviesDaily(TypedDict):
    """A document of top_movies_daily: by day."""

    _id: str
    date: str
    """The day, as 2024-10-31. Unit: day in UTC."""
    timestamp: datetime
    """The start of the window. Unit: UTC."""
    top_movies: list[TopMoviesDailyEntry]
    """The films with most views, 100 at most, the most viewed first."""


class TopMoviesAllTimeEntry(TypedDict):
    """An entry of top_movies."""

    movie_id: str
    """The film."""
    title: str
    """The title in the film's newest view; of views of one time the smallest."""
    genre: str
    """The genre in the film's newest view, as it is shown; of views of one time the smallest."""
    views: int
    """The number of views."""
    rated_views: int
    """The number of views that have a rating: what the mean rating is over."""
    avg_rating: float | None
    """The mean of `rating` over the views that have one; null where none has. Unit: points, 0 to 5."""


class TopMoviesAllTime(TypedDict):
    """The document of top_movies_all_time."""

    _id: str
    timestamp: datetime
    """The time of the newest view that counts here. Unit: UTC."""
    top_movies: list[TopMoviesAllTimeEntry]
    """The films with most views, 100 at most, the most viewed first."""


class CategoryStats(TypedDict):
    """A document of category_stats: by genre."""

    _id: str
    genre: str
    """The genre as it is shown: of the spellings in the group the first by code points."""
    slug: str
    """The genre in small letters, with single blanks: what groups spellings of one genre."""
    timestamp: datetime
    """The time of the newest view that counts here. Unit: UTC."""
    total_views: int
    """The number of views."""
    unique_movies: int
    """The number of distinct films: exact up to 300, above that an estimate with a relative standard error of 0.8
    %.
    """
    unique_users: int
    """The number of distinct users: exact up to 300, above that an estimate with a relative standard error of 0.8
    %.
    """
    rated_views: int
    """The number of views that have a rating: what the mean rating is over."""
    avg_rating: float | None
    """The mean of `rating` over the views that have one; null where none has. Unit: points, 0 to 5."""
    total_revenue: float
    """The sum of `price`; a view without one counts REVENUE_PER_VIEW. Unit: the unit of `price`."""
    peak_hour: str
    """The hour of the day with most views, as 20:00; of equals the earliest. Unit: hour in TIMEZONE."""


class ActiveUsers(TypedDict):
    """A document of active_users: by day."""

    _id: str
    date: str
    """The day, as 2024-10-31. Unit: day in UTC."""
    timestamp: datetime
    """The start of the window. Unit: UTC."""
    total_users: int
    """The number of users with a view on the day."""
    new_users: int
    """The number of users whose first view ever is on the day."""
    returning_users: int
    """The number of users with a view on the day and an earlier one on another day."""
    sessions: int
    """The number of sessions that began on the day."""
    avg_session_duration: float | None
    """The mean length of the sessions that began on the day; null where none did. Unit: minutes."""


class HourlyMetrics(TypedDict):
    """A document of hourly_metrics: by hour."""

    _id: str
    timestamp: datetime
    """The start of the window. Unit: UTC."""
    total_views: int
    """The number of views."""
    unique_users: int
    """The number of distinct users: exact up to 300, above that an estimate with a relative standard error of 0.8
    %.
    """
    rated_views: int
    """The number of views that have a rating: what the mean rating is over."""
    avg_rating: float | None
    """The mean of `rating` over the views that have one; null where none has. Unit: points, 0 to 5."""
    total_duration: int
    """The sum of `duration` over the views that have one. Unit: minutes."""
    total_revenue: float
    """The sum of `price`; a view without one counts REVENUE_PER_VIEW. Unit: the unit of `price`."""


class DailyStats(TypedDict):
    """A document of daily_stats: by day and genre."""

    _id: str
    genre: str
    """The genre as it is shown: of the spellings in the group the first by code points."""
    slug: str
    """The genre in small letters, with single blanks: what groups spellings of one genre."""
    date: str
    """The day, as 2024-10-31. Unit: day in UTC."""
    timestamp: datetime
    """The start of the window. Unit: UTC."""
    daily_views: int
    """The number of views."""
    unique_users: int
    """The number of distinct users: exact up to 300, above that an estimate with a relative standard error of 0.8
    %.
    """
    rated_views: int
    """The number of views that have a rating: what the mean rating is over."""
    avg_daily_rating: float | None
    """The mean of `rating` over the views that have one; null where none has. Unit: points, 0 to 5."""
    total_watch_time: int
    """The sum of `duration` over the views that have one. Unit: minutes."""
    daily_revenue: float
    """The sum of `price`; a view without one counts REVENUE_PER_VIEW. Unit: the unit of `price`."""


class TopUsersEntry(TypedDict):
    """An entry of top_users."""

    user_id: str
    """The user."""
    watch_count: int
    """The number of views."""
    watch_time: int
    """The sum of `duration` over the views that have one. Unit: minutes."""


class TopUsers(TypedDict):
    """A document of top_users: by day."""

    _id: str
    date: str
    """The day, as 2024-10-31. Unit: day in UTC."""
    timestamp: datetime
    """The start of the window. Unit: UTC."""
    top_users: list[TopUsersEntry]
    """The users with most views on the day, 10 at most, the most active first."""


class DataQualityEntry(TypedDict):
    """An entry of refused."""

    kind: str
    """`bad` or `late`."""
    reason: str
    """The reason, without what is different in every record."""
    count: int
    """The number of records refused for it."""


class DataQuality(TypedDict):
    """A document of data_quality: by hour and source partition."""

    _id: str
    timestamp: datetime
    """The start of the window. Unit: UTC."""
    partition: int
    """The partition of the topic of views that the records came by."""
    records: int
    """The number of records of every kind: views, refused ones, and copies whose original counts already."""
    views: int
    """The number of views."""
    bad: int
    """The number of records that were refused as bad."""
    late: int
    """The number of records that were refused as late."""
    without_rating: int
    """The number of views in which `rating` is null or absent."""
    without_duration: int
    """The number of views in which `duration` is null or absent."""
    without_price: int
    """The number of views in which `price` is null or absent."""
    unique_movies: int
    """The number of distinct films: exact up to 300, above that an estimate with a relative standard error of 0.8
    %.
    """
    new_genres: int
    """The number of genres whose first view ever in the partition is among the views."""
    retitled: int
    """The number of views whose title is another than that of the film's view before, in the partition."""
    avg_delay_s: float | None
    """The mean, over the views, of the record's Kafka timestamp minus the view's own; null where no record has
    one. Unit: seconds.
    """
    max_delay_s: float | None
    """The largest of these differences; null where no record has a Kafka timestamp. Unit: seconds."""
    refused: list[DataQualityEntry]
    """The refused records by reason, most first; those beyond 50 are summed up as `other reasons`."""
