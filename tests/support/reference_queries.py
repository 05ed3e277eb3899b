"""The queries that people ask of the results, on a database (PyMongo's, not async) and on plain documents."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pymongo.database import Database

from tests.support.reference import Documents

Db = Database[dict[str, Any]]


def top_genres(db: Db, limit: int = 5) -> list[tuple[str, int]]:
    """(genre, views) of the genres with most views of all time."""
    found = db["category_stats"].aggregate(
        [
            {"$sort": {"total_views": -1, "genre": 1}},
            {"$limit": limit},
            {"$project": {"genre": 1, "total_views": 1}},
        ]
    )
    return [(row["genre"], row["total_views"]) for row in found]


def expected_top_genres(documents: Documents, limit: int = 5) -> list[tuple[str, int]]:
    genres = [(row["genre"], row["total_views"]) for row in documents["category_stats"].values()]
    return sorted(genres, key=lambda genre: (-genre[1], genre[0]))[:limit]


def well_rated_windows(db: Db, least: float = 4.5) -> list[str]:
    """The `_id`s of the minute windows whose mean rating is at least this, in order."""
    found = db["movies_aggregates"].find({"avg_rating": {"$gte": least}}, {"_id": 1}).sort("_id", 1)
    return [row["_id"] for row in found]


def expected_well_rated_windows(documents: Documents, least: float = 4.5) -> list[str]:
    return sorted(
        name
        for name, row in documents["movies_aggregates"].items()
        if row["avg_rating"] is not None and row["avg_rating"] >= least
    )


def views_by_hour_of_day(db: Db) -> dict[int, int]:
    """Hour of the day in UTC to views."""
    found = db["hourly_metrics"].aggregate(
        [{"$group": {"_id": {"$hour": "$timestamp"}, "views": {"$sum": "$total_views"}}}]
    )
    return {row["_id"]: row["views"] for row in found}


def expected_views_by_hour_of_day(documents: Documents) -> dict[int, int]:
    views: Counter[int] = Counter()
    for row in documents["hourly_metrics"].values():
        views[row["timestamp"].hour] += row["total_views"]
    return dict(views)


def most_active_users(db: Db, limit: int = 10) -> list[tuple[str, int, int]]:
    """(user, views, minutes) over all days' lists, most views first."""
    found = db["top_users"].aggregate(
        [
            {"$unwind": "$top_users"},
            {
                "$group": {
                    "_id": "$top_users.user_id",
                    "views": {"$sum": "$top_users.watch_count"},
                    "minutes": {"$sum": "$top_users.watch_time"},
                }
            },
            {"$sort": {"views": -1, "_id": 1}},
            {"$limit": limit},
        ]
    )
    return [(row["_id"], row["views"], row["minutes"]) for row in found]


def expected_most_active_users(documents: Documents, limit: int = 10) -> list[tuple[str, int, int]]:
    views: Counter[str] = Counter()
    minutes: Counter[str] = Counter()
    for day in documents["top_users"].values():
        for user in day["top_users"]:
            views[user["user_id"]] += user["watch_count"]
            minutes[user["user_id"]] += user["watch_time"]
    names = sorted(views, key=lambda name: (-views[name], name))[:limit]
    return [(name, views[name], minutes[name]) for name in names]
