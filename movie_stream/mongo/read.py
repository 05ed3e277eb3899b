"""What people ask of the results: the newest windows, the largest genres. Nothing in here writes.

Every query gives documents as they are stored, without `_rev` and `_run`, and raises the driver's errors as
they are: use it within `client.opened`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict, cast

from movie_stream.event import slug_of
from movie_stream.mongo.client import Database

_SHOWN: Final = {"_rev": 0, "_run": 0}


class MinuteWindow(TypedDict):
    """A document of movies_aggregates."""

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


class TopMovie(TypedDict):
    """A film in its hour or day, or of all time."""

    movie_id: str
    title: str
    genre: str
    views: int
    rated_views: int
    avg_rating: float | None


class TopMovies(TypedDict):
    """A document of top_movies, or the one of top_movies_all_time."""

    _id: str
    timestamp: datetime
    top_movies: list[TopMovie]


class TopMoviesOfDay(TypedDict):
    """A document of top_movies_daily."""

    _id: str
    date: str
    timestamp: datetime
    top_movies: list[TopMovie]


class GenreStats(TypedDict):
    """A document of category_stats."""

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
    """A document of active_users."""

    _id: str
    date: str
    timestamp: datetime
    total_users: int
    new_users: int
    returning_users: int
    sessions: int
    avg_session_duration: float | None


class Hour(TypedDict):
    """A document of hourly_metrics."""

    _id: str
    timestamp: datetime
    total_views: int
    unique_users: int
    rated_views: int
    avg_rating: float | None
    total_duration: int
    total_revenue: float


class GenreDay(TypedDict):
    """A document of daily_stats."""

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


class TopUser(TypedDict):
    """A user on a day; `watch_time` in minutes."""

    user_id: str
    watch_count: int
    watch_time: int


class TopUsers(TypedDict):
    """A document of top_users."""

    _id: str
    date: str
    timestamp: datetime
    top_users: list[TopUser]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which documents of a collection: those of a genre, however it is written, and of windows that begin in a time.

    >>> Selection(genre="Film  Noir").filter("timestamp")
    {'slug': 'film noir'}
    """

    genre: str | None = None
    since: datetime | None = None
    """The first start of a window, aware."""
    until: datetime | None = None
    """The first start that is too late, aware."""

    def filter(self, start: str) -> dict[str, Any]:
        """The query, for documents whose window begins at the field `start`."""
        times = {operator: time for operator, time in (("$gte", self.since), ("$lt", self.until)) if time is not None}
        query: dict[str, Any] = {} if self.genre is None else {"slug": slug_of(self.genre)}
        return query | ({start: times} if times else {})


ALL: Final = Selection()


async def total_views(db: Database) -> int:
    """The number of views that are counted: the sum over all genres."""
    cursor = db["category_stats"].aggregate([{"$group": {"_id": None, "views": {"$sum": "$total_views"}}}])
    found = await cursor.to_list(1)
    return int(found[0]["views"]) if found else 0


async def windows(db: Database, limit: int, of: Selection = ALL) -> list[MinuteWindow]:
    """The newest minute windows, of one minute those with most views first."""
    found = await _newest(db, "movies_aggregates", "window_start", "total_views", limit, of)
    return cast(list[MinuteWindow], found)


async def genres(db: Database, limit: int, of: Selection = ALL) -> list[GenreStats]:
    """The genres with most views of all time."""
    cursor = db["category_stats"].find(of.filter("timestamp"), _SHOWN).sort([("total_views", -1), ("_id", 1)])
    return cast(list[GenreStats], await cursor.limit(limit).to_list(limit))


async def top_movies(db: Database, hours: int = 1, of: Selection = ALL) -> list[TopMovies]:
    """The newest hours' lists of the films with most views."""
    return cast(list[TopMovies], await _latest(db, "top_movies", hours, of))


async def active_users(db: Database, days: int, of: Selection = ALL) -> list[ActiveUsers]:
    """The newest days' users."""
    return cast(list[ActiveUsers], await _latest(db, "active_users", days, of))


async def top_users(db: Database, days: int = 1, of: Selection = ALL) -> list[TopUsers]:
    """The newest days' lists of the users with most views."""
    return cast(list[TopUsers], await _latest(db, "top_users", days, of))


async def hours(db: Database, limit: int, of: Selection = ALL) -> list[Hour]:
    """The newest hours."""
    return cast(list[Hour], await _latest(db, "hourly_metrics", limit, of))


async def days(db: Database, limit: int, of: Selection = ALL) -> list[GenreDay]:
    """The newest days by genre, of one day the genres with most views first."""
    return cast(list[GenreDay], await _newest(db, "daily_stats", "timestamp", "daily_views", limit, of))


async def _latest(db: Database, collection: str, limit: int, of: Selection) -> list[dict[str, Any]]:
    """The newest documents of a collection that has one for each `timestamp`."""
    cursor = db[collection].find(of.filter("timestamp"), _SHOWN).sort("timestamp", -1)
    found: list[dict[str, Any]] = await cursor.limit(limit).to_list(limit)
    return found


async def _newest(
    db: Database, collection: str, start: str, views: str, limit: int, of: Selection
) -> list[dict[str, Any]]:
    """The newest documents of a collection that has several for each `start`."""
    # No index serves a sort by three fields: what is at least as new as the last that is shown is sorted.
    wanted = of.filter(start)
    oldest = await db[collection].find(wanted, {start: 1}).sort(start, -1).limit(limit).to_list(limit)
    if not oldest:
        return []
    newest = {**wanted, start: {**wanted.get(start, {}), "$gte": oldest[-1][start]}}
    cursor = db[collection].find(newest, _SHOWN).sort([(start, -1), (views, -1), ("_id", 1)])
    found: list[dict[str, Any]] = await cursor.limit(limit).to_list(limit)
    return found
