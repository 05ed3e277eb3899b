"""Answers to queries of every result, on documents of the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import total_ordering
from typing import Any

import pytest

from movie_stream.aggregates.results import RESULTS
from movie_stream.aggregates.shape import Shape
from movie_stream.mongo import read
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.query import DOWN, UP, Order, Query, result_named
from movie_stream.settings import Settings
from tests.support.reference import DAY_MS, MINUTE_MS, Document, Documents, expected, views
from tests.support.stored import store

NAMES = [result.collection for result in RESULTS]
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


@pytest.fixture
def documents() -> Documents:
    return expected([[*views(*EVENTS), (len(EVENTS), None, b"rubbish")]]).documents


@pytest.fixture
async def db(db: Database, documents: Documents) -> Database:
    await store(db, documents)
    return db


def order(query: Query) -> Callable[[Document], list[Any]]:
    """A key that sorts documents as the query does."""

    def key(document: Document) -> list[Any]:
        return [_Place(document[field], direction) for field, direction in query.sort]

    return key


@total_ordering
class _Place:
    """A value in its direction; null is the smallest."""

    def __init__(self, value: Any, direction: int) -> None:
        self._key, self._direction = (value is not None, 0 if value is None else value), direction

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and self._key == other._key

    def __lt__(self, other: _Place) -> bool:
        return self._key < other._key if self._direction > 0 else other._key < self._key


async def test_nothing_there(settings: Settings) -> None:
    async with opened(settings) as db:
        for name in NAMES:
            assert await read.page(db, Query(result_named(name), 3)) == read.Page([], None)


async def test_documents_are_read_in_order(db: Database, documents: Documents) -> None:
    for name in NAMES:
        query = Query(result_named(name), 1)
        wanted = sorted(documents[name].values(), key=order(query))
        for limit in (1, 2, 7, len(wanted), 1_000, 2**80):
            page = await read.page(db, replace(query, limit=limit))
            assert page.documents == wanted[:limit]
            assert (page.next is None) == (limit >= len(wanted))
        assert await read.newest(db, name, 2) == wanted[:2]


ORDERS: list[tuple[str, Order]] = [
    *((name, ()) for name in NAMES),
    ("movies_aggregates", (("avg_rating", DOWN), ("genre", UP))),
    ("movies_aggregates", (("max_rating", UP),)),
    ("daily_stats", (("timestamp", UP), ("avg_daily_rating", DOWN))),
    ("daily_stats", (("genre", DOWN), ("timestamp", DOWN))),
    ("hourly_metrics", (("avg_rating", UP),)),
]


async def test_page_after_page_is_all_of_it(db: Database, documents: Documents) -> None:
    for name, by in ORDERS:
        query = Query(result_named(name), 3, order=by)
        found: list[Document] = []
        while True:
            page = await read.page(db, query)
            found += page.documents
            if page.next is None:
                break
            query = replace(query, after=page.next)
        assert found == sorted(documents[name].values(), key=order(query)), (name, by)


async def test_a_time_within_a_millisecond_is_not_rounded_down(db: Database, documents: Documents) -> None:
    newest = max(document["timestamp"] for document in documents["hourly_metrics"].values())
    just_after = newest + timedelta(microseconds=1)
    assert await read.newest(db, "hourly_metrics", 5, since=just_after) == []
    assert (await read.newest(db, "hourly_metrics", 5, until=just_after))[0]["timestamp"] == newest


async def test_rows_are_those_of_the_flat_view(db: Database) -> None:
    for name in NAMES:
        shape = Shape.of(result_named(name))
        if shape.entries:
            rows = [row for document in await read.newest(db, name, 1_000) for row in shape.flat_rows(document)]
            flat = await db[f"{name}_flat"].find().to_list(None)
            assert sorted(rows, key=lambda row: row["_id"]) == sorted(flat, key=lambda row: row["_id"])
            assert rows


async def test_a_page_of_windows_looks_at_no_more_than_it_needs(db: Database, documents: Documents) -> None:
    """The index on the windows' start serves it, however many there are behind."""
    await db.command("profile", 2)
    await read.newest(db, "movies_aggregates", 3)
    await db.command("profile", 0)
    seen = [
        done["docsExamined"] async for done in db["system.profile"].find({"op": "query", "ns": {"$regex": "movies_a"}})
    ]
    assert len(seen) == 2
    assert len(documents["movies_aggregates"]) > 20
    assert max(seen) <= 6
