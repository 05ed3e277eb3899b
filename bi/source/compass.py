"""The queries for MongoDB Compass: the four of the reference, and some on the other results.

In a collection that grows without bounds, a query has a range of time, for which it uses an index; the range is that of
the sample in data/movies.csv, to be changed. The reference's four read everything.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from bi.source.saved import DATABASE, Pipeline, Query, Saved, as_stored

FROM: Final = datetime(2024, 10, 31, tzinfo=UTC)
UNTIL: Final = datetime(2024, 11, 1, tzinfo=UTC)
_RANGE: Final = {"$gte": FROM, "$lt": UNTIL}
_CHANGE: Final = "Change the times to the ones you want (UTC)."


def _weighted(average: str, counted_by: str = "$rated_views") -> dict[str, Any]:
    """The sum of an average weighted by its count; null is ignored."""
    return {"$sum": {"$multiply": [{"$ifNull": [average, 0]}, counted_by]}}


ALL: Final[tuple[Query | Pipeline, ...]] = (
    Query(
        "1-top-genres",
        "Top 5 genres",
        "The genres with most views of all time.",
        "category_stats",
        "total_views_-1",
        filter={},
        sort={"total_views": -1},
        project={"_id": 0, "genre": 1, "total_views": 1, "avg_rating": 1},
        limit=5,
    ),
    Query(
        "2-well-rated-minutes",
        "Well rated minutes",
        f"The minutes and genres with a mean rating of 4.5 or more, best first. {_CHANGE}",
        "movies_aggregates",
        "window_start_1",
        filter={"window_start": _RANGE, "avg_rating": {"$gte": 4.5}},
        sort={"avg_rating": -1, "_id": 1},
    ),
    Pipeline(
        "3-views-by-hour-of-day",
        "Views by hour of the day",
        f"The hours of the day (UTC), those with most views first. {_CHANGE}",
        "hourly_metrics",
        "timestamp_1",
        [
            {"$match": {"timestamp": _RANGE}},
            {"$group": {"_id": {"$hour": "$timestamp"}, "total_views": {"$sum": "$total_views"}}},
            {"$sort": {"total_views": -1, "_id": 1}},
        ],
    ),
    Pipeline(
        "4-most-active-users",
        "Most active users",
        "The users with most views, over the lists of the days. Views of a day on which a user was not among that "
        f"day's ten are missing. {_CHANGE}",
        "top_users",
        "timestamp_1",
        [
            {"$match": {"timestamp": _RANGE}},
            {"$unwind": "$top_users"},
            {
                "$group": {
                    "_id": "$top_users.user_id",
                    "watch_count": {"$sum": "$top_users.watch_count"},
                    "watch_time": {"$sum": "$top_users.watch_time"},
                }
            },
            {"$sort": {"watch_count": -1, "_id": 1}},
            {"$limit": 10},
        ],
    ),
    Pipeline(
        "5-ratings-by-genre",
        "Ratings by genre",
        "The mean rating of each genre over several days, weighted by the number of ratings: an average of the days' "
        f"averages would differ. {_CHANGE}",
        "daily_stats",
        "timestamp_1",
        [
            {"$match": {"timestamp": _RANGE}},
            {
                "$group": {
                    "_id": "$slug",
                    "genre": {"$min": "$genre"},
                    "views": {"$sum": "$daily_views"},
                    "rated_views": {"$sum": "$rated_views"},
                    "rating_sum": _weighted("$avg_daily_rating"),
                }
            },
            {
                "$project": {
                    "_id": 0,
                    "genre": 1,
                    "views": 1,
                    "rated_views": 1,
                    "avg_rating": {
                        "$cond": [{"$gt": ["$rated_views", 0]}, {"$divide": ["$rating_sum", "$rated_views"]}, None]
                    },
                }
            },
            {"$sort": {"avg_rating": -1, "genre": 1}},
        ],
    ),
    Pipeline(
        "6-growth-by-day",
        "Growth by day",
        f"The views of each day, and their growth relative to the day before, as a share of it or null. {_CHANGE}",
        "daily_stats",
        "timestamp_1",
        [
            {"$match": {"timestamp": _RANGE}},
            {"$group": {"_id": "$timestamp", "views": {"$sum": "$daily_views"}}},
            {
                "$setWindowFields": {
                    "sortBy": {"_id": 1},
                    "output": {
                        "before": {"$sum": "$views", "window": {"range": [-1, -1], "unit": "day"}},
                    },
                }
            },
            {
                "$project": {
                    "views": 1,
                    "growth": {
                        "$cond": [
                            {"$gt": ["$before", 0]},
                            {"$divide": [{"$subtract": ["$views", "$before"]}, "$before"]},
                            None,
                        ]
                    },
                }
            },
            {"$sort": {"_id": 1}},
        ],
    ),
    Pipeline(
        "7-films-of-the-newest-day",
        "Films of the newest day",
        "The ten films with most views on the last day with views (UTC).",
        "top_movies_daily",
        "timestamp_1",
        [
            {"$sort": {"timestamp": -1}},
            {"$limit": 1},
            {"$unwind": {"path": "$top_movies", "includeArrayIndex": "place"}},
            {"$match": {"place": {"$lt": 10}}},
            {"$replaceWith": {"$mergeObjects": [{"date": "$date"}, "$top_movies"]}},
        ],
    ),
    Query(
        "8-minutes-of-a-genre",
        "Minutes of a genre",
        "A genre's minutes, newest first, in any spelling of the genre. Change it in lower case, as in `slug`. "
        f"{_CHANGE}",
        "movies_aggregates",
        "window_start_1",
        filter={"slug": "drama", "window_start": _RANGE},
        sort={"window_start": -1},
    ),
)


def files() -> dict[str, str]:
    """All files by path in bi/compass: the connection, the text to paste, and the files that Compass stores."""
    made = {"connection.json": json.dumps(connection(), indent=2) + "\n"}
    for saved in ALL:
        folder = "FavoriteQueries" if isinstance(saved, Query) else "SavedPipelines"
        made[f"paste/{saved.file}.{'txt' if isinstance(saved, Query) else 'js'}"] = saved.text()
        made[f"{folder}/{saved.id}.json"] = as_stored(saved)
    return made


def connection() -> dict[str, Any]:
    """The connection to import into Compass, without a password, for which it asks."""
    uri = f"mongodb://reports@localhost:27017/?authSource={DATABASE}"
    of = Saved("connection", "movie-stream (reads only)", "", "", "")
    return {
        "type": "Compass Connections",
        "version": {"$numberInt": "1"},
        "connections": [
            {
                "id": of.id,
                "favorite": {"name": of.name, "color": "color4"},
                "savedConnectionType": "favorite",
                "connectionOptions": {"connectionString": uri},
            }
        ],
    }
