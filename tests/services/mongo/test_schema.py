"""The database as `ensure` leaves it, whatever it was before and whoever else ensures it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from movie_stream.mongo import alerts
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.guard import guarded
from movie_stream.mongo.schema import NameTaken, ensure, missing
from movie_stream.mongo.sink import Sink
from movie_stream.settings import Settings
from tests.support.reference import expected, same, views
from tests.support.stored import store

INDEXES = {
    "movies_aggregates": [
        [("window_start", 1)],
        [("genre", 1)],
        [("genre", 1), ("window_start", -1)],
    ],
    "category_stats": [[("genre", 1), ("timestamp", -1)], [("total_views", -1)]],
    "top_movies": [[("timestamp", 1)]],
    "top_movies_daily": [[("timestamp", 1)]],
    "top_movies_all_time": [[("timestamp", 1)]],
    "active_users": [[("timestamp", 1)]],
    "hourly_metrics": [[("timestamp", 1)]],
    "daily_stats": [[("timestamp", 1)]],
    "top_users": [[("timestamp", 1)]],
}
VIEWS = {"top_movies_flat", "top_movies_daily_flat", "top_movies_all_time_flat", "top_users_flat"}


@pytest.fixture
async def db(empty_db: Database) -> Database:
    return empty_db


@dataclass
class Result:
    """A result of a test's own."""

    properties: Mapping[str, Mapping[str, Any]]
    collection: str = "counts"
    indexes: Iterable[Mapping[str, int]] = ({"timestamp": 1},)

    def schema(self) -> Mapping[str, Any]:
        return {"bsonType": "object", "required": list(self.properties), "properties": self.properties}


INTERNAL = 4 + len(alerts.SCHEMAS) + len(alerts.EXPIRING) + sum(map(len, alerts.INDEXES.values()))
"""What there is beside results: of runs, partials and workers three collections and an index."""
COUNTS = Result({"views": {"bsonType": "int"}})


async def states(db: Database, *results: Result) -> Counter[str]:
    return Counter(thing.state for thing in await ensure(db, results))


async def test_the_contract_is_there_afterwards(db: Database) -> None:
    ensured = await ensure(db)
    assert {thing.state for thing in ensured} == {"created"}
    assert {thing.state for thing in await ensure(db)} == {"there"}

    everything = {found["name"]: found for found in await (await db.list_collections()).to_list(None)}
    collections = {name for name, found in everything.items() if found["type"] == "collection"}
    assert collections >= {*INDEXES, "_partials", "_runs", "_workers", *alerts.SCHEMAS}
    assert {name for name, found in everything.items() if found["type"] == "view"} >= VIEWS
    for name in (*INDEXES, "_partials", "_runs", "_workers", *alerts.SCHEMAS):
        assert "$jsonSchema" in everything[name]["options"]["validator"]
        assert everything[name]["options"].get("validationAction", "error") == "error"
    for name, wanted in INDEXES.items():
        found = await db[name].index_information()
        keys = [index["key"] for index_name, index in found.items() if index_name != "_id_"]
        assert sorted(keys) == sorted(wanted), name


async def test_the_documents_of_the_contract_are_valid(db: Database) -> None:
    await ensure(db)
    documents = expected(
        [views({"rating": 4.5, "duration": 100, "price": 2.5}, {"genre": "Crime"}, {"timestamp": 1})]
    ).documents
    await store(db, documents)
    assert same({name: await db[name].find().to_list(None) for name in documents}, documents) == []


@pytest.mark.parametrize("collection", list(INDEXES))
async def test_a_field_that_is_missing_or_of_another_type_is_refused(db: Database, collection: str) -> None:
    await ensure(db)
    ((name, good),) = expected([views({"rating": 4.5})]).documents[collection].items()
    del good["_id"]
    bad = {f"without {field}": {k: v for k, v in good.items() if k != field} for field in good}
    bad |= {f"{field} as bytes": {**good, field: b"x"} for field in good}
    documents = [guarded(collection, what, (1,), 1, body) for what, body in bad.items()]
    report = await Sink(db).write([*documents, guarded(collection, name, (1,), 1, good)])
    assert {parked.id for parked in report.parked} == set(bad)
    assert report.changed == 1
    for field in ("_rev", "_run"):
        await db[collection].update_one({"_id": name}, {"$set": {"note": "people may add to it"}})
        with pytest.raises(Exception, match="failed validation"):
            await db[collection].update_one({"_id": name}, {"$unset": {field: 1}})


async def test_a_changed_validator_and_a_changed_view_are_replaced(db: Database) -> None:
    def listing(field: str) -> Result:
        items = {"bsonType": "object", "properties": {field: {"bsonType": "string"}}}
        return Result({"top": {"bsonType": "array", "items": items}})

    assert await states(db, listing("title")) == {"created": INTERNAL + 3}
    assert await states(db, listing("title")) == {"there": INTERNAL + 3}
    assert await states(db, listing("name")) == {"changed": 2, "there": INTERNAL + 1}
    assert await states(db, listing("name")) == {"there": INTERNAL + 3}
    body = {"top": [{"name": "a"}, {"name": "b"}]}
    assert (await Sink(db).write([guarded("counts", "x", (1,), 1, body)])).parked == []
    assert await db["counts_flat"].find().sort("rank", 1).to_list(None) == [
        {"_id": "x_1", "rank": 1, "name": "a"},
        {"_id": "x_2", "rank": 2, "name": "b"},
    ]


async def test_a_collection_that_was_there_without_validator(db: Database) -> None:
    await db["counts"].insert_one({"_id": "old", "anything": 1})
    await db["counts"].create_index([("timestamp", 1)], name="by_time")
    assert await states(db, COUNTS) == {"created": INTERNAL, "changed": 1, "there": 1}
    assert await states(db, COUNTS) == {"there": INTERNAL + 2}


async def test_many_at_the_same_time(db: Database, settings: Settings) -> None:
    async def one() -> None:
        async with opened(settings) as own:
            await ensure(own)

    await asyncio.gather(*(one() for _ in range(6)))
    assert {thing.state for thing in await ensure(db)} == {"there"}


async def test_many_change_it_at_the_same_time(db: Database, settings: Settings) -> None:
    await ensure(db, [COUNTS])

    async def one() -> None:
        async with opened(settings) as own:
            await ensure(own, [Result({"views": {"bsonType": "long"}})])

    await asyncio.gather(*(one() for _ in range(6)))
    assert await states(db, Result({"views": {"bsonType": "long"}})) == {"there": INTERNAL + 2}


async def test_a_name_that_something_else_has(db: Database) -> None:
    await db.create_collection("counts", viewOn="other", pipeline=[])
    with pytest.raises(NameTaken, match="counts in MongoDB: expected a collection, got a view; rename"):
        await ensure(db, [COUNTS])


async def test_flat_views(db: Database) -> None:
    await ensure(db)
    hour = datetime(2024, 10, 31, 14, tzinfo=UTC)
    films = [
        {"movie_id": "m1", "title": "Alien", "genre": "Sci-Fi", "views": 9, "rated_views": 2, "avg_rating": 4.5},
        {"movie_id": "m2", "title": "Heat", "genre": "Crime", "views": 8, "rated_views": 0, "avg_rating": None},
    ]
    users = [{"user_id": "u1", "watch_count": 3, "watch_time": 90}]
    day = {"date": "2024-10-31", "timestamp": hour.replace(hour=0)}
    report = await Sink(db).write(
        [
            guarded("top_movies", "top_movies_x", (1,), 1, {"timestamp": hour, "top_movies": films}),
            guarded("top_users", "top_users_x", (1,), 1, {**day, "top_users": users}),
        ]
    )
    assert report.parked == []
    assert await db["top_movies_flat"].find().sort("rank", 1).to_list(None) == [
        {"_id": f"top_movies_x_{rank}", "timestamp": hour, "rank": rank, **film} for rank, film in enumerate(films, 1)
    ]
    assert await db["top_users_flat"].find().to_list(None) == [{"_id": "top_users_x_1", **day, "rank": 1, **users[0]}]


async def test_workers_that_are_not_heard_of_expire(db: Database) -> None:
    await ensure(db, [COUNTS])
    await db["_workers"].drop_index("seen_1")
    await db["_workers"].create_index([("seen", 1)], expireAfterSeconds=7)
    assert "_workers.seen_1" in await missing(db, [COUNTS])
    await ensure(db, [COUNTS])
    assert await missing(db, [COUNTS]) == []
    assert (await db["_workers"].index_information())["seen_1"]["expireAfterSeconds"] == 60
