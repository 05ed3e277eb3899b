"""Reads the results from MongoDB, as stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from pymongo.errors import PyMongoError

from movie_stream.errors import UsageError
from movie_stream.mongo import read
from movie_stream.mongo.client import Database, explain, opened
from movie_stream.mongo.documents import (
    ActiveUsers,
    CategoryStats,
    DailyStats,
    HourlyMetrics,
    MoviesAggregates,
    TopMovies,
    TopUsers,
)
from movie_stream.settings import Settings, settings_with

T = TypeVar("T")


class Results:
    """The results, readable while the `async with` block runs.

        async with Results() as results:
            for window in await results.latest_windows(10, genre="Sci-Fi"):
                print(window["window_start"], window["total_views"])

    Settings are those of this process, unless `settings` are given; `mongodb_uri` and `database` override both.

    Each method returns at most `limit` documents, newest or largest first; their types are in
    `movie_stream.mongo.documents`. `since` and `until` (exclusive) select windows by their start, and are aware;
    `genre` may be in any spelling of the genre.

    All of them raise MongoUnreachable, MongoRefused, MongoFailed, QueryTooSlow, and UsageError for invalid arguments;
    entering raises SettingsError.
    """

    def __init__(
        self, settings: Settings | None = None, *, mongodb_uri: str | None = None, database: str | None = None
    ) -> None:
        self._settings = settings_with(settings, mongodb_uri=mongodb_uri, mongodb_database=database)
        self._db: Database | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._db = await stack.enter_async_context(opened(self._settings))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db = None
        await self._stack.aclose()

    async def total_views(self) -> int:
        """The number of counted views."""
        return await self._answer(read.total_views(self._opened()))

    async def documents(
        self,
        result: str,
        limit: int = 20,
        *,
        genre: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[dict[str, Any]]:
        """The newest documents of any collection of the results, by its name; without time, those with most views."""
        return await self._asked(result, limit, genre=genre, since=since, until=until)

    async def latest_windows(
        self,
        limit: int = 20,
        *,
        genre: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[MoviesAggregates]:
        """The newest minutes by genre; within a minute, the genres with most views first."""
        return await self._asked("movies_aggregates", limit, genre=genre, since=since, until=until)

    async def changes(
        self, limit: int = 100, *, genre: str | None = None, every_s: float = 1.0
    ) -> AsyncGenerator[MoviesAggregates]:
        """Yields the `limit` newest minutes by genre, and then each of them that is new or has changed.

        MongoDB is polled every `every_s` seconds: of several changes in between only the last one is seen. Changes of
        older windows, by late views, are not seen. The iteration never ends on its own.
        """
        if not every_s > 0:
            raise UsageError(argument="every_s", expected="a number of seconds above 0", got=str(every_s))
        known: dict[str, MoviesAggregates] = {}
        while True:
            windows = await self.latest_windows(limit, genre=genre)
            before, known = known, {window["_id"]: window for window in windows}
            for window in reversed(windows):
                if before.get(window["_id"]) != window:
                    yield window
            await asyncio.sleep(every_s)

    async def top_movies(
        self, limit: int = 1, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[TopMovies]:
        """The newest hours, each with the ten films with most views."""
        return await self._asked("top_movies", limit, since=since, until=until)

    async def genres(self, limit: int = 20, *, genre: str | None = None) -> list[CategoryStats]:
        """The genres with most views of all time, or one genre."""
        return await self._asked("category_stats", limit, genre=genre)

    async def active_users(
        self, limit: int = 7, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[ActiveUsers]:
        """The newest days, each with its number of users, and how long they stayed."""
        return await self._asked("active_users", limit, since=since, until=until)

    async def hours(
        self, limit: int = 24, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[HourlyMetrics]:
        """The newest hours."""
        return await self._asked("hourly_metrics", limit, since=since, until=until)

    async def days(
        self,
        limit: int = 20,
        *,
        genre: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[DailyStats]:
        """The newest days by genre; within a day, the genres with most views first."""
        return await self._asked("daily_stats", limit, genre=genre, since=since, until=until)

    async def top_users(
        self, limit: int = 1, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[TopUsers]:
        """The newest days, each with the ten users with most views."""
        return await self._asked("top_users", limit, since=since, until=until)

    async def _asked(self, result: str, limit: int, **choice: Any) -> list[Any]:
        return await self._answer(read.newest(self._opened(), result, limit, **choice))

    async def _answer(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except PyMongoError as error:
            raise explain(error, self._opened()) from error

    def _opened(self) -> Database:
        if self._db is None:
            raise RuntimeError("Results are read in an `async with` block")
        return self._db
