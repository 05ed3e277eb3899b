"""The queries behind `show`, on documents of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from movie_stream.mongo import read
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.reference import DAY_MS, MINUTE_MS, Documents, expected, views
from tests.stored import store

T = 1_730_385_000_000
GENRES = ("Crime", "Drama", "Action")
EVENTS = [
    {
        "timestamp": T + day * DAY_MS + n * 17 * MINUTE_MS,
        "genre": GENRES[(n * n + day) % 3],
        "movie_id": f"m{n % 4}",
        "user_id": f"u{n % 5}",
        "rating": n % 5 if n % 3 else None,
    }
    for day in range(3)
    for n in range(20)
]

Query = Callable[[Database, int], Awaitable[Sequence[Any]]]
QUERIES: tuple[Query, ...] = (
    *(read.windows, read.genres, read.top_movies, read.active_users),
    *(read.top_users, read.hours, read.days),
)


@pytest.fixture
def documents() -> Documents:
    return expected([views(*EVENTS)]).documents


@pytest.fixture
async def db(settings: Settings, documents: Documents) -> AsyncIterator[Database]:
    async with opened(settings) as db:
        await ensure(db)
        await store(db, documents)
        yield db


async def test_nothing_there(settings: Settings) -> None:
    async with opened(settings) as db:
        for query in QUERIES:
            assert await query(db, 3) == []


async def test_windows_are_newest_first_and_by_views_within_a_minute(db: Database, documents: Documents) -> None:
    wanted = sorted(
        documents["movies_aggregates"].values(),
        key=lambda d: (-d["window_start"].timestamp(), -d["total_views"], d["_id"]),
    )
    for limit in (1, 2, 7, 1_000):
        assert await read.windows(db, limit) == wanted[:limit]


async def test_days_by_genre(db: Database, documents: Documents) -> None:
    wanted = sorted(
        documents["daily_stats"].values(),
        key=lambda d: (-d["timestamp"].timestamp(), -d["daily_views"], d["_id"]),
    )
    assert len({day["daily_views"] for day in wanted}) > 1
    for limit in (1, 4, 1_000):
        assert await read.days(db, limit) == wanted[:limit]


async def test_genres_with_most_views_first(db: Database, documents: Documents) -> None:
    wanted = sorted(documents["category_stats"].values(), key=lambda d: (-d["total_views"], d["_id"]))
    assert await read.genres(db, 10) == wanted
    assert await read.genres(db, 2) == wanted[:2]


@pytest.mark.parametrize(
    ("collection", "query"),
    [
        ("top_movies", read.top_movies),
        ("active_users", read.active_users),
        ("top_users", read.top_users),
        ("hourly_metrics", read.hours),
    ],
)
async def test_one_document_a_time_newest_first(
    db: Database, documents: Documents, collection: str, query: Query
) -> None:
    wanted = sorted(documents[collection].values(), key=lambda d: d["timestamp"], reverse=True)
    assert await query(db, 2) == wanted[:2]
    assert await query(db, 1_000) == wanted


async def test_the_newest_hour_is_what_one_gets_unasked(db: Database, documents: Documents) -> None:
    newest = max(documents["top_movies"].values(), key=lambda d: d["timestamp"])
    assert await read.top_movies(db) == [newest]
    assert len(await read.top_users(db)) == 1
