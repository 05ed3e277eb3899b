"""The resources of the dashboard: their figures are those of the views, counted one by one."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from movie_stream.aggregates.results import RESULTS
from movie_stream.mongo.client import opened
from movie_stream.mongo.workers import WORKERS
from movie_stream.settings import Settings
from tests.support.reference import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.web.asking import VIEWS, asking, got, moment, timestamp_ms
from tests.support.web.serving import GENRES, MIDNIGHT_MS, fill, write
from tests.support.whole_path import PATIENCE_S

NAMES = [result.collection for result in RESULTS]


class Counting:
    """The views of a range, counted one by one."""

    def __init__(self, since_ms: int, until_ms: int, genre: str | None) -> None:
        self.views = [
            view
            for view in VIEWS
            if since_ms <= view["timestamp"] // MINUTE_MS * MINUTE_MS < until_ms
            and (genre is None or view["genre"] == genre)
        ]

    def by_genre(self) -> dict[str, int]:
        return dict(Counter(view["genre"] for view in self.views))

    def at(self, start_ms: int, step_ms: int) -> list[dict[str, Any]]:
        return [view for view in self.views if start_ms <= view["timestamp"] < start_ms + step_ms]


def average(views: Iterable[dict[str, Any]]) -> Any:
    ratings = [view["rating"] for view in views if view["rating"] is not None]
    return pytest.approx(sum(ratings) / len(ratings)) if ratings else None


async def test_any_range_is_that_of_its_views(api: httpx.AsyncClient) -> None:
    chance = random.Random(3)
    first_ms, end_ms = MIDNIGHT_MS - 2 * DAY_MS, MIDNIGHT_MS + DAY_MS
    for _ in range(60):
        since_ms, until_ms = sorted(chance.randrange(first_ms - HOUR_MS, end_ms + HOUR_MS) for _ in range(2))
        genre, points = chance.choice((None, None, *GENRES)), chance.choice((10, 30, 300, 500))
        within = {"since": moment(since_ms), "until": moment(until_ms)}
        one = {"genre": genre} if genre else {}
        wanted = Counting(since_ms, until_ms, genre)
        series = await got(api, "series", **within, **one, points=points)
        assert {line["genre"]: sum(line["views"]) for line in series["genres"]} == wanted.by_genre()
        assert len(series["times"]) <= points
        for at, start in enumerate(series["times"]):
            views = wanted.at(timestamp_ms(start), series["step_s"] * 1_000)
            assert series["views"][at] == len(views)
            assert series["avg_rating"][at] == average(views)
            if series["resolution"] != "day":
                ratings = [view["rating"] for view in views if view["rating"] is not None]
                assert series["min_rating"][at] == min(ratings, default=None)
                assert series["max_rating"][at] == max(ratings, default=None)
            else:
                assert (series["min_rating"][at], series["max_rating"][at]) == (None, None)
        summary = await got(api, "summary", **within, **one)
        assert summary["views"]["value"] == sum(summary["views"]["trend"]) == len(wanted.views)
        assert summary["avg_rating"]["value"] == average(wanted.views)
        assert len(summary["views"]["trend"]) <= 60
        genres = await got(api, "genres", **within, limit=1_000)
        assert {one["genre"]: one["views"] for one in genres["items"]} == Counting(since_ms, until_ms, None).by_genre()


async def test_all_time(api: httpx.AsyncClient) -> None:
    genres = (await got(api, "genres"))["items"]
    assert {one["genre"]: one["views"] for one in genres} == dict(Counter(view["genre"] for view in VIEWS))
    assert all(one["unique_users"] > 50 for one in genres)
    assert [one["views"] for one in genres] == sorted((one["views"] for one in genres), reverse=True)
    summary = await got(api, "summary", last="all", anchor="stream")
    assert (summary["views"]["value"], summary["since"], summary["until"]) == (len(VIEWS), None, None)
    newest_ms = max(view["timestamp"] for view in VIEWS) // MINUTE_MS * MINUTE_MS + MINUTE_MS
    assert timestamp_ms(summary["stream_time"]) == newest_ms
    today = [view["user_id"] for view in VIEWS if view["timestamp"] >= MIDNIGHT_MS]
    assert summary["active_users_today"]["value"] == len(set(today))
    assert summary["active_users_today"]["day"] == "2024-10-31"
    assert len(summary["active_users_today"]["trend"]) == 3
    assert (summary["workers"], summary["lag"]["value"], summary["database_empty"]) == (0, None, False)


async def test_the_stream_has_its_own_time(api: httpx.AsyncClient) -> None:
    series = await got(api, "series", last="15min", anchor="stream")
    assert (series["resolution"], series["step_s"], len(series["times"])) == ("minute", 60, 15)
    newest_ms = max(view["timestamp"] for view in VIEWS) // MINUTE_MS * MINUTE_MS
    assert timestamp_ms(series["times"][-1]) == newest_ms
    assert series["views"][-1] >= 1
    by_the_clock = await got(api, "series", last="15min")
    assert by_the_clock["views"] == [0] * 15
    assert datetime.fromisoformat(by_the_clock["until"]) - datetime.now(UTC) < timedelta(minutes=1)


async def test_very_long_ranges_have_whole_multiples_of_days(api: httpx.AsyncClient) -> None:
    for since, until in (
        ("1990-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"),
    ):
        series = await got(api, "series", since=since, until=until)
        assert series["resolution"] == "day"
        assert series["step_s"] % 86_400 == 0
        assert series["step_s"] > 86_400
        assert 250 <= len(series["times"]) <= 300
        assert sum(series["views"]) == len(VIEWS)
    empty = await got(api, "series", since="9999-12-31T00:00:00Z", until="9999-12-31T23:59:59.999Z")
    assert sum(empty["views"]) == 0


async def test_many_genres_are_grouped(settings: Settings) -> None:
    views = [{**view, "genre": f"G{number % 17:02}"} for number, view in enumerate(VIEWS)]
    await fill(settings, views)
    async with asking(settings) as client:
        lines = (await got(client, "series"))["genres"]
        assert [line["slug"] for line in lines[:-1]] == sorted({view["genre"].lower() for view in views})[:12]
        assert (lines[-1]["genre"], lines[-1]["slug"]) == (None, None)
        assert sum(sum(line["views"]) for line in lines) == len(views)


async def test_changes_show_immediately(api_of_my_own: httpx.AsyncClient, settings: Settings) -> None:
    """Hours that are kept are asked again when a view of them is counted."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("series", {"last": "48h", "anchor": "stream"}),
        ("summary", {"last": "1h", "anchor": "stream"}),
        ("genres", {"last": "6h", "anchor": "stream"}),
    ]

    async def views() -> list[int]:
        series, summary, genres = [await got(api_of_my_own, path, **more) for path, more in asked]
        return [sum(series["views"]), summary["views"]["value"], sum(one["views"] for one in genres["items"])]

    before = await views()
    extra = {**VIEWS[-1], "timestamp": VIEWS[-1]["timestamp"], "movie_id": "new", "rating": 5.0}
    async with opened(settings) as db:
        await write(db, [*VIEWS, extra], rev=2)
    wanted = [views + 1 for views in before]
    async with asyncio.timeout(PATIENCE_S):
        while await views() != wanted:
            pass


async def test_films_of_an_hour_and_their_former_ranks(api: httpx.AsyncClient) -> None:
    newest = await got(api, "top-movies")
    hours = [timestamp_ms(hour) for hour in newest["hours"]]
    assert len(hours) == 48
    assert hours == sorted(hours, reverse=True)
    assert timestamp_ms(newest["hour"]) == hours[0]
    asked = await got(api, "top-movies", at=moment(hours[3] + 1_234_567))
    assert (timestamp_ms(asked["hour"]), timestamp_ms(asked["previous"])) == (hours[3], hours[4])
    before = {one["movie_id"]: one["rank"] for one in (await got(api, "top-movies", at=moment(hours[4])))["items"]}
    assert {one["movie_id"]: one["previous_rank"] for one in asked["items"]} == {
        one["movie_id"]: before.get(one["movie_id"]) for one in asked["items"]
    }
    views = Counter(view["movie_id"] for view in VIEWS if view["timestamp"] // HOUR_MS * HOUR_MS == hours[3])
    assert [(one["movie_id"], one["views"]) for one in asked["items"]] == sorted(
        views.items(), key=lambda one: (-one[1], one[0])
    )[:10]
    nothing = await got(api, "top-movies", at="2020-01-01T00:00:00Z")
    assert (nothing["hour"], nothing["previous"], nothing["items"]) == ("2020-01-01T00:00:00Z", None, [])
    in_range = await got(api, "top-movies", until=moment(hours[10]))
    assert timestamp_ms(in_range["hour"]) == hours[11]


async def test_activity_is_in_the_time_zone(filled: Settings) -> None:
    for zone, ahead_h in (("UTC", 0), ("Europe/Berlin", 1), ("Asia/Kolkata", 5.5)):
        async with asking(filled.model_copy(update={"timezone": zone})) as client:
            activity = await got(client, "activity")
        wanted: dict[tuple[int, int], int] = defaultdict(int)
        for view in VIEWS:
            start = datetime.fromtimestamp(view["timestamp"] // HOUR_MS * 3_600, UTC) + timedelta(hours=ahead_h)
            wanted[start.weekday(), start.hour] += 1
        assert activity["timezone"] == zone
        assert {(day, hour): views for day, hour, views in activity["cells"]} == wanted


async def test_audience_and_users_of_days(api: httpx.AsyncClient) -> None:
    days = (await got(api, "audience"))["days"]
    assert [day["date"] for day in days] == ["2024-10-29", "2024-10-30", "2024-10-31"]
    assert [day["total_users"] for day in days] == [
        len({v["user_id"] for v in VIEWS if v["timestamp"] // DAY_MS == MIDNIGHT_MS // DAY_MS + back})
        for back in (-2, -1, 0)
    ]
    assert [day["date"] for day in (await got(api, "audience", last="15min", anchor="stream"))["days"]] == [
        "2024-10-31"
    ]
    users = await got(api, "top-users")
    assert (users["day"], users["days"]) == ("2024-10-31", ["2024-10-31", "2024-10-30", "2024-10-29"])
    for at in ("2024-10-30", "2024-10-30T23:59:59Z"):
        before = await got(api, "top-users", at=at)
        counts = Counter(v["user_id"] for v in VIEWS if v["timestamp"] // DAY_MS == MIDNIGHT_MS // DAY_MS - 1)
        assert before["day"] == "2024-10-30"
        assert [user["watch_count"] for user in before["items"]] == sorted(counts.values(), reverse=True)[:10]


async def test_an_empty_database_has_an_answer_to_everything(settings: Settings) -> None:
    async with asking(settings) as client:
        for name in NAMES:
            assert await got(client, name) == {"items": [], "next": None}
        summary = await got(client, "summary", last="1h", anchor="stream")
        assert (summary["database_empty"], summary["stream_time"], summary["views"]["value"]) == (True, None, 0)
        series = await got(client, "series")
        assert (series["times"], series["genres"], series["views"]) == ([], [], [])
        assert (await got(client, "top-movies"))["hour"] is None
        assert (await got(client, "top-users"))["days"] == []
        for path in ("genres", "workers", "dead-letters"):
            assert (await got(client, path))["items"] == []


async def test_workers_tell_how_fast_they_are(api_of_my_own: httpx.AsyncClient, settings: Settings) -> None:
    now = datetime.now(UTC)
    held = {"topic": "movie-events", "partition": 0, "position": 5, "lag": 3, "watermark": now}
    said = {"host": "h", "pid": 1, "version": "0", "group": "g", "run": None, "started": now, "state": "running"}
    about = {
        **said,
        "last_flush": None,
        "partitions": [held],
        "events": 1_000,
        "refused": {"late": 2},
        "delay_ms": 120.0,
    }
    async with opened(settings) as db:
        workers = db[WORKERS]
        for name in ("w", "s"):
            await workers.insert_one({"_id": name, "seen": now, **about}, bypass_document_validation=True)

        async def beat(name: str, ago_ms: int = 0) -> None:
            """A heartbeat by the clock of MongoDB, by which it is read, of a thousand events a second."""
            counted = {"$add": [1_000, {"$max": [0, {"$subtract": ["$$NOW", "$started"]}]}]}
            said = {"seen": {"$subtract": ["$$NOW", ago_ms]}, "events": counted}
            await workers.update_one({"_id": name}, [{"$set": said}], bypass_document_validation=True)

        await beat("s", ago_ms=40_000)
        await beat("w")
        first = await got(api_of_my_own, "summary")
        assert (first["workers"], first["lag"]["value"], first["delay_ms"]["value"]) == (1, 3, 120.0)
        async with asyncio.timeout(PATIENCE_S):
            while (summary := await got(api_of_my_own, "summary"))["events_per_s"]["value"] is None:
                assert summary["workers"] == 1
                await beat("w")
        await beat("w")
        await beat("s", ago_ms=40_000)
        listed = (await got(api_of_my_own, "workers"))["items"]
    assert summary["events_per_s"]["value"] == pytest.approx(1_000)
    assert {one["id"]: one["silent"] for one in listed} == {"w": False, "s": True}
    assert listed[0]["partitions"][0]["lag"] == 3
    assert await got(api_of_my_own, "dead-letters") == {"total": 4, "items": [{"reason": "late", "count": 4}]}


async def test_a_genre_may_be_called_anything(settings: Settings) -> None:
    names = ["a/b", "100%", "🎬" * 32, "𝔸" * 64, "C++ & D=E;F", "'\"<script>"]
    await fill(settings, [{**VIEWS[0], "genre": name} for name in names])
    async with asking(settings) as client:
        for name in names:
            answer = await client.get(f"category_stats?genre={quote(name, safe='')}")
            assert [one["genre"] for one in answer.json()["items"]] == [name]
            series = await client.get(f"series?genre={quote(name, safe='')}")
            assert [one["genre"] for one in series.json()["genres"]] == [name]
        for nobodys in ("$ne", "a\0b", "\ud800", "x" * 60_000):
            octets = nobodys.encode("utf-8", "surrogatepass")
            answer = await client.get(f"category_stats?genre={quote(octets)}")
            assert answer.status_code in (414, 422)
        assert (await got(client, "category_stats", genre="Unknown"))["items"] == []
