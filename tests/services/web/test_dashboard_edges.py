"""The dashboard where a figure is not kept, or there is more than it shows: it says so, and shows nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx

from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from movie_stream.web.asking import Asker
from movie_stream.web.figures import Total
from movie_stream.web.rollup import Rollup
from tests.services.web.test_dashboard import Counting, average
from tests.support.reference import DAY_MS, HOUR_MS
from tests.support.web.asking import got, moment, timestamp_ms
from tests.support.web.serving import MIDNIGHT_MS


async def test_days_have_no_extremes_also_where_hours_are_at_their_edges(
    api: httpx.AsyncClient, filled: Settings
) -> None:
    """Ten points for two days and a half: the first day is made of hours, and the next ones are whole."""
    since = moment(MIDNIGHT_MS - 36 * HOUR_MS)
    series = await got(api, "series", since=since, until=moment(MIDNIGHT_MS + DAY_MS), points=10)
    assert (series["resolution"], sum(series["views"]) > 0) == ("day", True)
    assert series["min_rating"] == series["max_rating"] == [None] * 3
    async with opened(filled) as db:
        rows = await Rollup(Asker(db)).rows(MIDNIGHT_MS - 36 * HOUR_MS, MIDNIGHT_MS + DAY_MS, None)
    total = Total()
    for row in rows:
        total.add(row)
    assert (total.least, total.most) == (None, None)
    assert total.avg_rating == average(Counting(MIDNIGHT_MS - 36 * HOUR_MS, MIDNIGHT_MS + DAY_MS, None).views)


async def test_an_hour_has_no_extremes_where_a_minute_does_not_say_its_own(
    api_of_my_own: httpx.AsyncClient, settings: Settings
) -> None:
    within = {"since": moment(MIDNIGHT_MS), "until": moment(MIDNIGHT_MS + DAY_MS), "points": 30}
    async with opened(settings) as db:
        await db.command("collMod", "movies_aggregates", validator={})
        rated = {"window_start": {"$gte": datetime.fromtimestamp(MIDNIGHT_MS / 1_000, UTC)}, "rated_views": {"$gt": 0}}
        one = await db["movies_aggregates"].find_one(rated)
        assert one is not None
        await db["movies_aggregates"].update_one({"_id": one["_id"]}, {"$unset": {"min_rating": 1}})
    series = await got(api_of_my_own, "series", **within)
    hour = one["window_start"].hour
    assert series["resolution"] == "hour"
    assert (series["min_rating"][hour], series["max_rating"][hour]) == (None, None)
    assert sum(least is not None for least in series["min_rating"]) > 12


async def test_an_audience_of_very_many_days_says_from_when_on_it_is(
    api_of_my_own: httpx.AsyncClient, settings: Settings
) -> None:
    first = datetime(2020, 1, 1, tzinfo=UTC)
    async with opened(settings) as db:
        await db.command("collMod", "active_users", validator={})
        days = [first + timedelta(days=day) for day in range(500)]
        rows = [{"_id": f"d{day}", "timestamp": day, "date": f"{day.date()}", "total_users": 1} for day in days]
        await db["active_users"].insert_many(rows)
    since, until = moment(first.timestamp() * 1_000), moment(days[450].timestamp() * 1_000)
    cut = await got(api_of_my_own, "audience", since=since, until=until)
    assert [day["date"] for day in cut["days"]] == [f"{day.date()}" for day in days[50:450]]
    assert (timestamp_ms(cut["since"]), cut["until"]) == (days[50].timestamp() * 1_000, until)
    everything = await got(api_of_my_own, "audience")
    assert len(everything["days"]) == 400
    assert everything["since"] == f"{everything['days'][0]['date']}T00:00:00Z"
    assert everything["until"] is None
    later = moment(days[50].timestamp() * 1_000 + HOUR_MS)
    whole = await got(api_of_my_own, "audience", since=later, until=until)
    assert (len(whole["days"]), whole["since"]) == (400, later), "nothing is cut"
