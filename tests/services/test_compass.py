"""The queries for MongoDB Compass, from the files that it reads: their answers, and the indexes that give them."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from bson import json_util

from bi import generate
from bi.source import compass
from bi.source.saved import Query
from movie_stream.mongo.client import Database
from tests.support import reference_queries as ask
from tests.support.reference import HOUR_MS, Documents, expected, views
from tests.support.stored import store

FOLDER = generate.HERE / "compass"
T = int(compass.FROM.timestamp() * 1000)
Row = dict[str, Any]
DRAMA = ("Drama", "drama", "DRAMA")
FAVORITES = {
    "_id": str,
    "_name": str,
    "_ns": str,
    "_lastExecuted": datetime,
    "_dateModified": datetime,
    "_dateSaved": datetime,
}
"""The fields of a favourite query that Compass insists on, or writes."""


def documents() -> Documents:
    """Of two days before the one that the queries ask for, of it, and of the one after it."""
    chance = random.Random(7)
    return expected(
        [
            views(
                *(
                    {
                        "timestamp": T + (n - 200) * HOUR_MS // 4 + chance.randint(0, 1000),
                        "genre": chance.choice([DRAMA[n % 3], "Action", "Sci-Fi", "Crime", "Comedy", "Horror"]),
                        "movie_id": f"m{chance.randint(0, 30)}",
                        "user_id": f"u{chance.randint(0, 20)}",
                        "rating": chance.choice([None, 3, 4.5, 5]),
                        "duration": chance.randint(0, 90),
                    }
                    for n in range(400)
                )
            )
        ]
    ).documents


@pytest.fixture
async def db(db: Database) -> Database:
    """Filled with the documents of the reference."""
    await store(db, documents())
    return db


def stored(saved: Any) -> Row:
    """The file in which Compass keeps a query or a pipeline; its pipeline in MongoDB's types."""
    folder = "FavoriteQueries" if isinstance(saved, Query) else "SavedPipelines"
    text = (FOLDER / folder / f"{saved.id}.json").read_text()
    options = json_util.JSONOptions(tz_aware=True)
    found: Row = json_util.loads(text, json_options=options)
    if "pipelineText" in found:
        plain = re.sub(r"^//.*$", "", found["pipelineText"], flags=re.MULTILINE)
        plain = re.sub(r'ISODate\("(.*?)"\)', r'{"$date": "\1"}', plain)
        found["pipeline"] = json_util.loads(plain, json_options=options)
    return found


def in_range(documents: Documents, collection: str, start: str = "timestamp") -> list[Row]:
    rows = [{"_id": name, **row} for name, row in documents[collection].items()]
    return [row for row in rows if compass.FROM <= row[start] < compass.UNTIL]


def wanted(documents: Documents) -> dict[str, Any]:
    """The answers, by file, computed from plain documents."""
    minutes = in_range(documents, "movies_aggregates", "window_start")
    hours: Counter[int] = Counter()
    for row in in_range(documents, "hourly_metrics"):
        hours[row["timestamp"].hour] += row["total_views"]
    days: Counter[datetime] = Counter()
    for row in in_range(documents, "daily_stats"):
        days[row["timestamp"]] += row["daily_views"]
    top_users = {row["_id"]: row for row in in_range(documents, "top_users")}
    newest = max(documents["top_movies_daily"].values(), key=lambda row: row["timestamp"])
    return {
        "1-top-genres": ask.expected_top_genres(documents, 5),
        "2-well-rated-minutes": sorted(
            row["_id"] for row in minutes if row["avg_rating"] is not None and row["avg_rating"] >= 4.5
        ),
        "3-views-by-hour-of-day": sorted(hours.items(), key=lambda hour: (-hour[1], hour[0])),
        "4-most-active-users": ask.expected_most_active_users({"top_users": top_users}),
        "5-ratings-by-genre": ratings(in_range(documents, "daily_stats")),
        "6-growth-by-day": [(day, number, None) for day, number in sorted(days.items())],
        "7-films-of-the-newest-day": [(newest["date"], film["movie_id"]) for film in newest["top_movies"][:10]],
        "8-minutes-of-a-genre": sorted(
            (row["window_start"] for row in minutes if row["genre"].lower() == "drama"), reverse=True
        ),
    }


def ratings(rows: list[Row]) -> dict[str, float]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for row in rows:
        sums[row["genre"]][0] += (row["avg_daily_rating"] or 0) * row["rated_views"]
        sums[row["genre"]][1] += row["rated_views"]
    return {genre: total / number for genre, (total, number) in sums.items() if number}


def answer(file: str, rows: list[Row]) -> Any:
    """Rows as `wanted` has them."""
    match file:
        case "1-top-genres":
            return [(row["genre"], row["total_views"]) for row in rows]
        case "2-well-rated-minutes":
            assert [row["avg_rating"] for row in rows] == sorted((row["avg_rating"] for row in rows), reverse=True)
            return sorted(row["_id"] for row in rows)
        case "3-views-by-hour-of-day":
            return [(row["_id"], row["total_views"]) for row in rows]
        case "4-most-active-users":
            return [(row["_id"], row["watch_count"], row["watch_time"]) for row in rows]
        case "5-ratings-by-genre":
            return pytest.approx({row["genre"]: row["avg_rating"] for row in rows})
        case "6-growth-by-day":
            return [(row["_id"], row["views"], row["growth"]) for row in rows]
        case "7-films-of-the-newest-day":
            return [(row["date"], row["movie_id"]) for row in rows]
        case _:
            return [row["window_start"] for row in rows]


async def test_each_answers_what_it_says(db: Database) -> None:
    right = wanted(documents())
    assert right.keys() == {saved.file for saved in compass.ALL}
    for saved in compass.ALL:
        kept, collection = stored(saved), db[saved.collection]
        if isinstance(saved, Query):
            cursor = collection.find(kept["filter"], kept.get("project")).sort(list(kept["sort"].items()))
            rows = await cursor.limit(kept.get("limit", 0)).to_list(None)
        else:
            rows = await collection.aggregate(kept["pipeline"]).to_list(None)
        assert rows, saved.file
        assert answer(saved.file, rows) == right[saved.file], saved.file


async def test_growth_is_null_on_a_first_day_only(db: Database) -> None:
    [growth] = [saved for saved in compass.ALL if saved.file == "6-growth-by-day"]
    rows = await db["daily_stats"].aggregate(stored(growth)["pipeline"][1:]).to_list(None)
    [first, second, *_] = rows
    assert (first["growth"], second["growth"]) == (None, second["views"] / first["views"] - 1)


async def test_each_has_an_index_behind_it(db: Database) -> None:
    for saved in compass.ALL:
        kept = stored(saved)
        asked: Row = (
            {"find": saved.collection, "filter": kept["filter"], "sort": kept["sort"], "limit": kept.get("limit", 0)}
            if isinstance(saved, Query)
            else {"aggregate": saved.collection, "pipeline": kept["pipeline"], "cursor": {}}
        )
        plan = json.dumps(await db.command("explain", asked, verbosity="queryPlanner"), default=str)
        assert f'"indexName": "{saved.index}"' in plan, saved.file
        assert "COLLSCAN" not in plan, saved.file


def test_the_files_have_the_fields_that_compass_wants() -> None:
    for saved in compass.ALL:
        kept = stored(saved)
        if isinstance(saved, Query):
            assert {name: type(kept[name]) for name in FAVORITES} == FAVORITES
            assert UUID(kept["_id"])
        else:
            assert (UUID(kept["id"]), kept["name"]) == (UUID(saved.id), saved.name)
            assert {type(kept[name]) for name in ("namespace", "pipelineText")} == {str}
            assert kept["pipelineText"] == (FOLDER / "paste" / f"{saved.file}.js").read_text()
    connection = json_util.loads((FOLDER / "connection.json").read_text())
    assert (connection["type"], connection["version"]) == ("Compass Connections", 1)
    [one] = connection["connections"]
    assert UUID(one["id"])
    assert one["connectionOptions"]["connectionString"] == "mongodb://reports@localhost:27017/?authSource=movies_db"
