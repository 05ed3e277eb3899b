"""Results read from Python are the documents, chosen by genre and time, and errors are in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from movie_stream import Results
from movie_stream.embedded.launch import free_port
from movie_stream.errors import MongoUnreachable, SettingMissing, SettingsError, UsageError
from movie_stream.events.event import slug_of
from movie_stream.mongo.client import Database
from movie_stream.settings import Settings
from tests.services.mongo.test_read import EVENTS, T, db, documents
from tests.support.reference import Documents
from tests.support.stored import store

__all__ = ["db", "documents"]  # fixtures

START = datetime.fromtimestamp(T / 1000, UTC)
DAY = timedelta(days=1)
ALL = 10_000


@pytest.fixture
async def results(settings: Settings, db: Database) -> AsyncIterator[Results]:
    async with Results(mongodb_uri=settings.require_mongodb(), database=settings.mongodb_database) as results:
        yield results


def named(found: Any) -> list[str]:
    return sorted(document["_id"] for document in found)


def wanted(documents: Mapping[str, Any], keep: Callable[[Any], bool]) -> list[str]:
    return sorted(name for name, document in documents.items() if keep(document))


@pytest.mark.parametrize(
    ("method", "collection"),
    [
        ("latest_windows", "movies_aggregates"),
        ("top_movies", "top_movies"),
        ("active_users", "active_users"),
        ("hours", "hourly_metrics"),
        ("days", "daily_stats"),
        ("top_users", "top_users"),
    ],
)
async def test_by_time(results: Results, documents: Documents, method: str, collection: str) -> None:
    query = getattr(results, method)
    held = documents[collection]
    start = "window_start" if method == "latest_windows" else "timestamp"
    middle = sorted(document[start] for document in held.values())[len(held) // 2]
    assert named(await query(ALL)) == sorted(held)
    assert named(await query(ALL, since=middle)) == wanted(held, lambda d: d[start] >= middle)
    assert named(await query(ALL, until=middle)) == wanted(held, lambda d: d[start] < middle)
    between = await query(ALL, since=START, until=START + DAY)
    assert named(between) == wanted(held, lambda d: START <= d[start] < START + DAY)
    newest = sorted((document[start] for document in held.values() if document[start] < middle), reverse=True)
    assert [document[start] for document in await query(2, until=middle)] == newest[:2]


@pytest.mark.parametrize(
    ("method", "collection"),
    [("latest_windows", "movies_aggregates"), ("genres", "category_stats"), ("days", "daily_stats")],
)
async def test_by_genre(results: Results, documents: Documents, method: str, collection: str) -> None:
    query = getattr(results, method)
    for genre in ("Crime", " cRIME ", "Drama", "none"):
        of_genre = wanted(documents[collection], lambda d, genre=genre: d["slug"] == slug_of(genre))  # type: ignore[misc]
        assert named(await query(ALL, genre=genre)) == of_genre
        assert len(await query(1, genre=genre)) == min(1, len(of_genre))


async def test_by_genre_and_time(results: Results, documents: Documents) -> None:
    found = await results.latest_windows(ALL, genre="drama", since=START + DAY)
    held = documents["movies_aggregates"]
    assert named(found) == wanted(held, lambda d: d["genre"] == "Drama" and d["window_start"] >= START + DAY)
    assert found
    assert set(found[0]) == set(held[found[0]["_id"]])


async def test_any_collection_by_its_name(results: Results, documents: Documents) -> None:
    for name, held in documents.items():
        assert named(await results.documents(name, ALL)) == sorted(held)
    newest = await results.documents("daily_stats", 1, genre="drama", until=START + DAY)
    assert newest == await results.days(1, genre="Drama", until=START + DAY)
    assert await results.documents("hours", since=START + DAY, until=START) == []
    with pytest.raises(UsageError, match=r"result: expected one of movies_aggregates, .* got 'films'"):
        await results.documents("films")
    with pytest.raises(UsageError, match=r"genre: expected a result by genre .* got 'top_movies'"):
        await results.documents("top_movies", genre="Drama")


async def test_how_many_views_are_counted(results: Results) -> None:
    assert await results.total_views() == len(EVENTS)


async def test_windows_as_they_change(results: Results, db: Database, documents: Documents) -> None:
    held = sorted(documents["movies_aggregates"].values(), key=lambda d: (d["window_start"], -d["total_views"]))
    newest = held[-1]
    async with aclosing(results.changes(3, every_s=0.01)) as changes:
        assert sorted([(await anext(changes))["_id"] for _ in range(3)]) == named(held[-3:])
        changed = {**newest, "total_views": newest["total_views"] + 1}
        await store(db, {"movies_aggregates": {newest["_id"]: changed}}, version=2)
        assert await anext(changes) == changed
        later = {**newest, "_id": "later", "window_start": newest["window_start"] + DAY}
        oldest = {**held[0], "total_views": 1_000}
        await store(db, {"movies_aggregates": {oldest["_id"]: oldest}}, version=2)
        await store(db, {"movies_aggregates": {"later": later}})
        assert (await anext(changes))["_id"] == "later"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(changes), 0.1)


# ---- what cannot be read -------------------------------------------------------------------------------------------


async def test_arguments_that_cannot_be_meant(results: Results) -> None:
    with pytest.raises(UsageError, match="limit: expected a whole number from 1, got '0'"):
        await results.hours(0)
    with pytest.raises(UsageError, match="since: expected a datetime with a time zone, got '2024-10-31T00:00:00'"):
        await results.days(since=datetime(2024, 10, 31))
    for every_s in (0, -1, float("nan")):
        with pytest.raises(UsageError, match="every_s: expected a number of seconds above 0"):
            await anext(results.changes(every_s=every_s))


async def test_settings_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no .env
    with pytest.raises(SettingsError, match="MONGODB_DATABASE: expected"):
        Results(database="no database")
    with pytest.raises(SettingMissing, match="MONGODB_URI is not set"):
        async with Results(Settings()):
            pass


async def test_no_mongodb() -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=200"
    async with Results(mongodb_uri=uri) as results:
        with pytest.raises(MongoUnreachable, match="no MongoDB answers"):
            await results.total_views()


async def test_only_within_the_block(settings: Settings) -> None:
    results = Results(settings)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="async with"):
            await results.total_views()
        async with results:
            assert await results.total_views() == 0
