"""The queries that people ask, in MongoDB and on plain documents: the same answers."""

from __future__ import annotations

import random
from typing import Any

from pymongo import MongoClient

from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.support import reference_queries as ask
from tests.support.reference import HOUR_MS, Documents, expected, views
from tests.support.stored import store

T = 1_730_385_000_000


def documents() -> Documents:
    chance = random.Random(5)
    return expected(
        [
            views(
                *(
                    {
                        "timestamp": T + n * HOUR_MS // 7,
                        "genre": chance.choice("ABCDEFG"),
                        "user_id": f"u{chance.randint(0, 14)}",
                        "rating": chance.choice([None, 3, 4.5, 5]),
                        "duration": chance.randint(0, 90),
                    }
                    for n in range(400)
                )
            )
        ]
    ).documents


async def test_the_same_answers(settings: Settings) -> None:
    wanted = documents()
    async with opened(settings) as db:
        await ensure(db)
        await store(db, wanted)
    client: MongoClient[dict[str, Any]]
    with MongoClient(settings.require_mongodb(), tz_aware=True) as client:
        results: ask.Db = client[settings.mongodb_database]
        assert ask.top_genres(results) == ask.expected_top_genres(wanted)
        assert ask.well_rated_windows(results) == ask.expected_well_rated_windows(wanted) != []
        assert ask.views_by_hour_of_day(results) == ask.expected_views_by_hour_of_day(wanted)
        assert ask.most_active_users(results) == ask.expected_most_active_users(wanted)


def test_by_hand() -> None:
    two = expected(
        [
            views(
                {"timestamp": T, "genre": "A", "rating": 4.5, "duration": 5},
                {"timestamp": T + 24 * HOUR_MS, "genre": "B", "rating": 4.4},
                {"timestamp": T + 25 * HOUR_MS, "genre": "B", "user_id": "u2"},
            )
        ]
    ).documents
    assert ask.expected_top_genres(two, 1) == [("B", 2)]
    assert ask.expected_well_rated_windows(two) == ["a_2024-10-31T14:30:00Z"]
    assert ask.expected_views_by_hour_of_day(two) == {14: 2, 15: 1}
    assert ask.expected_most_active_users(two) == [("u1", 2, 5), ("u2", 1, 0)]
