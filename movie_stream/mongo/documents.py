"""The documents of the results as types, for programs. Made by `make docs` from RESULTS."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict


class MoviesAggregates(TypedDict):
    """A document of movies_aggregates: by minute and genre."""

    _id: str
    genre: str
    slug: str
    window_start: datetime
    window_end: datetime
    total_views: int
    unique_users: int
    rated_views: int
    avg_rating: float | None
    max_rating: float | None
    min_rating: float | None
    total_duration: int


class TopMoviesEntry(TypedDict):
    """An entry of top_movies."""

    movie_id: str
    title: str
    genre: str
    views: int
    rated_views: int
    avg_rating: float | None


class TopMovies(TypedDict):
    """A document of top_movies: by hour."""

    _id: str
    timestamp: datetime
    top_movies: list[TopMoviesEntry]


class TopMoviesDailyEntry(TypedDict):
    """An entry of top_movies."""

    movie_id: str
    title: str
    genre: str
    views: int
    rated_views: int
    avg_rating: float | None


class TopMoviesDaily(TypedDict):
    """A document of top_movies_daily: by day."""

    _id: str
    date: str
    timestamp: datetime
    top_movies: list[TopMoviesDailyEntry]


class TopMoviesAllTimeEntry(TypedDict):
    """An entry of top_movies."""

    movie_id: str
    title: str
    genre: str
    views: int
    rated_views: int
    avg_rating: float | None


class TopMoviesAllTime(TypedDict):
    """The document of top_movies_all_time."""

    _id: str
    timestamp: datetime
    top_movies: list[TopMoviesAllTimeEntry]


class CategoryStats(TypedDict):
    """A document of category_stats: by genre."""

    _id: str
    genre: str
    slug: str
    timestamp: datetime
    total_views: int
    unique_movies: int
    unique_users: int
    rated_views: int
    avg_rating: float | None
    total_revenue: float
    peak_hour: str


class ActiveUsers(TypedDict):
    """A document of active_users: by day."""

    _id: str
    date: str
    timestamp: datetime
    total_users: int
    new_users: int
    returning_users: int
    sessions: int
    avg_session_duration: float | None


class HourlyMetrics(TypedDict):
    """A document of hourly_metrics: by hour."""

    _id: str
    timestamp: datetime
    total_views: int
    unique_users: int
    rated_views: int
    avg_rating: float | None
    total_duration: int
    total_revenue: float


class DailyStats(TypedDict):
    """A document of daily_stats: by day and genre."""

    _id: str
    genre: str
    slug: str
    date: str
    timestamp: datetime
    daily_views: int
    unique_users: int
    rated_views: int
    avg_daily_rating: float | None
    total_watch_time: int
    daily_revenue: float


class TopUsersEntry(TypedDict):
    """An entry of top_users."""

    user_id: str
    watch_count: int
    watch_time: int


class TopUsers(TypedDict):
    """A document of top_users: by day."""

    _id: str
    date: str
    timestamp: datetime
    top_users: list[TopUsersEntry]


class DataQualityEntry(TypedDict):
    """An entry of refused."""

    kind: str
    reason: str
    count: int


class DataQuality(TypedDict):
    """A document of data_quality: by hour and source partition."""

    _id: str
    timestamp: datetime
    partition: int
    records: int
    views: int
    bad: int
    late: int
    without_rating: int
    without_duration: int
    without_price: int
    unique_movies: int
    new_genres: int
    retitled: int
    avg_delay_s: float | None
    max_delay_s: float | None
    refused: list[DataQualityEntry]
