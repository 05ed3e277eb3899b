"""The REST API over documents that the project has counted: its figures are those of the views."""

from __future__ import annotations

import asyncio
import csv
import io
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from movie_stream.aggregates.results import RESULTS
from movie_stream.aggregates.shape import Shape
from movie_stream.embedded.services import EmbeddedServices
from movie_stream.mongo import read
from movie_stream.mongo.client import opened
from movie_stream.mongo.query import Query
from movie_stream.mongo.workers import WORKERS
from movie_stream.settings import Settings
from movie_stream.web.server import application
from tests.support.reference import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.web_fixture import GENRES, MIDNIGHT_MS, events, fill, write

VIEWS = events()
HOST = "http://localhost"
API = "/api/v1"
NAMES = [result.collection for result in RESULTS]
LISTS = [result.collection for result in RESULTS if Shape.of(result).entries]


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with application(settings) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"{HOST}{API}/") as client:
            yield client


@pytest.fixture(scope="module")
def filled(services: EmbeddedServices) -> Settings:
    """Settings with a database of these views, which the tests of this module only read."""
    settings = Settings(
        kafka_bootstrap_servers=services.bootstrap_servers,
        mongodb_uri=services.mongodb_uri,
        mongodb_database=f"movies_{uuid.uuid4().hex[:8]}",
    )
    asyncio.run(fill(settings, VIEWS))
    return settings


@pytest.fixture
async def api(filled: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(filled) as client:
        yield client


@pytest.fixture
async def api_of_my_own(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The same over a database that may be changed."""
    await fill(settings, VIEWS)
    async with asking(settings) as client:
        yield client


def moment(timestamp_ms: float) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")


def timestamp_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


async def got(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def pages(client: httpx.AsyncClient, path: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
    """All pages, by the links that lead from one to the next."""
    answer = await client.get(path, params=parameters)
    while True:
        assert answer.status_code == 200, answer.text
        yield answer.json()
        if answer.json()["next"] is None:
            assert "link" not in answer.headers
            return
        answer = await client.get(f"{HOST}{answer.links['next']['url']}")


# ---- results -------------------------------------------------------------------------------------------------------


async def test_the_index_has_all_results_and_leads_to_them(api: httpx.AsyncClient) -> None:
    index = await got(api, "")
    assert [one["name"] for one in index["results"]] == NAMES + [f"{name}_flat" for name in LISTS]
    hrefs = {*(one["href"] for one in index["results"]), *index["links"].values()}
    for href in hrefs - {f"{API}/changes"}:  # which has no end
        assert (await api.get(f"{HOST}{href}")).status_code == 200, href


@pytest.mark.parametrize("name", NAMES)
async def test_a_result_is_what_stands_in_mongodb(api: httpx.AsyncClient, filled: Settings, name: str) -> None:
    """In the order of `show`, page after page, in all three formats."""
    async with opened(filled) as db:
        result = next(result for result in RESULTS if result.collection == name)
        stored = (await read.page(db, Query(result, 10_000))).documents
    wanted = orjson.loads(orjson.dumps(stored[:2_500], option=orjson.OPT_UTC_Z))
    limit = max(len(stored) // 3, 1)
    found = [item async for page in pages(api, name, limit=min(limit, 1_000)) for item in page["items"]]
    assert found[:2_500] == wanted
    assert len(found) == len(stored)
    lines = (await api.get(name, params={"format": "ndjson", "limit": 7})).text.splitlines()
    assert list(map(orjson.loads, lines)) == wanted[:7]
    text = (await api.get(name, params={"limit": 7}, headers={"Accept": "text/csv"})).text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    shape = Shape.of(result)
    assert [row["_id"] for row in rows] == [row["_id"] for document in stored[:7] for row in shape.rows(document)]


@pytest.mark.parametrize("name", LISTS)
async def test_a_flat_view_is_the_rows_of_its_lists(api: httpx.AsyncClient, filled: Settings, name: str) -> None:
    async with opened(filled) as db:
        result = next(result for result in RESULTS if result.collection == name)
        stored = (await read.page(db, Query(result, 10_000))).documents
        view = {row["_id"]: row async for row in db[f"{name}_flat"].find()}
    shape = Shape.of(result)
    wanted = [row for document in stored for row in shape.rows(document)]
    assert {row["_id"]: row for row in wanted} == view
    found = [item async for page in pages(api, f"{name}_flat", limit=83) for item in page["items"]]
    assert found == orjson.loads(orjson.dumps(wanted, option=orjson.OPT_UTC_Z))
    field = shape.entry[-1].name
    by_figure = [
        row async for page in pages(api, f"{name}_flat", limit=211, order=f"-{field},_id") for row in page["items"]
    ]
    assert [row["_id"] for row in by_figure] == [
        row["_id"] for row in sorted(wanted, key=lambda row: (row[field] is None, -(row[field] or 0), row["_id"]))
    ]


async def test_documents_are_chosen_by_time_and_genre(api: httpx.AsyncClient) -> None:
    for genre in (*GENRES, " film   NOIR "):
        spelled = " ".join(genre.split()).lower()
        since, until = MIDNIGHT_MS + 5 * HOUR_MS + 1, MIDNIGHT_MS + 11 * HOUR_MS
        asked = {"genre": genre, "since": moment(since), "until": moment(until), "limit": 1_000}
        windows = (await got(api, "movies_aggregates", **asked))["items"]
        views = Counter(
            view["timestamp"] // MINUTE_MS * MINUTE_MS for view in VIEWS if view["genre"].lower() == spelled
        )
        wanted = {at: count for at, count in views.items() if since <= at < until}
        assert {timestamp_ms(window["window_start"]): window["total_views"] for window in windows} == wanted
        assert wanted


@pytest.mark.parametrize(
    ("path", "status", "parameter"),
    [
        ("movies_aggregates?order=nothing", 422, "order"),
        ("movies_aggregates?order=-total_views,total_views", 422, "order"),
        ("movies_aggregates?order=$natural", 422, "order"),
        ("hourly_metrics?genre=Drama", 422, "genre"),
        ("category_stats?since=2024-10-31T00:00:00Z", 422, "since"),
        ("daily_stats?since=2024-11-01T00:00:00Z&until=2024-10-31T00:00:00Z", 422, "since"),
        ("daily_stats?limit=1001", 422, "limit"),
        ("daily_stats?skip=10", 422, "skip"),
        ("daily_stats?cursor=AAAA", 422, "cursor"),
        ("daily_stats?format=xml", 406, "format"),
        ("series?points=9", 422, "points"),
        ("series?limit=5", 422, "limit"),
        ("series?last=1h&since=2024-11-01T00:00:00Z", 422, "last"),
        ("workers?a=1", 422, "a"),
        ("health/live?a=1", 422, "a"),
        ("session?a=1", 422, "a"),
    ],
)
async def test_bad_parameters_say_what_was_expected(settings: Settings, path: str, status: int, parameter: str) -> None:
    async with asking(settings) as client:
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        problem = answer.json()
        assert (problem["type"], problem["status"]) == ("about:blank", status)
        assert [error["parameter"] for error in problem["errors"]] == [parameter]
        assert problem["errors"][0]["expected"]


async def test_unknown_paths_and_methods(settings: Settings) -> None:
    async with asking(settings) as client:
        for path in (
            "nothing",
            "movies_aggregates/",
            "_workers",
            "_partials",
            "movies_aggregates_flat",
            "%00",
            "a" * 900,
        ):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
            assert "/api/v1/top_movies_flat" in answer.json()["detail"]
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            answer = await client.request(method, "daily_stats")
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
            assert answer.json()["status"] == 405


async def test_a_cursor_is_of_its_query(api: httpx.AsyncClient) -> None:
    cursor = (await got(api, "daily_stats", limit=2))["next"]
    second = await got(api, "daily_stats", limit=3, cursor=cursor)
    assert len(second["items"]) == 3, "the limit may be another"
    for path, more in (
        ("daily_stats", {"genre": "Drama"}),
        ("daily_stats", {"order": "-daily_views"}),
        ("daily_stats", {"since": "2024-10-30T00:00:00Z"}),
        ("movies_aggregates", {}),
    ):
        answer = await api.get(path, params={"cursor": cursor, **more})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["parameter"] == "cursor"
    forged = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    assert (await api.get("daily_stats", params={"cursor": forged})).status_code == 422


async def test_what_is_known_already_is_not_sent_again(api: httpx.AsyncClient) -> None:
    for path in (
        "daily_stats?format=csv",
        "hourly_metrics",
        "top_users_flat?format=ndjson",
        "genres",
        "audience",
        "series",
        "",
    ):
        first = await api.get(path)
        again = await api.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        head = await api.head(path)
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", first.headers["etag"])


async def test_documents_of_an_older_version(api_of_my_own: httpx.AsyncClient, settings: Settings) -> None:
    """They lack fields, or have others in their place; what is left is told."""
    async with opened(settings) as db:
        for name in NAMES:
            await db.command("collMod", name, validator={})
            start = Shape.of(next(result for result in RESULTS if result.collection == name)).start
            about = {start: datetime(2024, 10, 31, 12, tzinfo=UTC)} if start else {}
            await db[name].insert_one({"_id": "old", **about})
        await db["movies_aggregates"].insert_one({"_id": "older"})
        await db["top_movies"].insert_one(
            {"_id": "odd", "top_movies": "none", "timestamp": datetime(2024, 11, 2, tzinfo=UTC)}
        )
        await db[WORKERS].insert_one({"_id": "w", "seen": datetime.now(UTC)}, bypass_document_validation=True)
    for name in NAMES:
        items = [item async for page in pages(api_of_my_own, name, limit=1_000) for item in page["items"]]
        old = next(item for item in items if item["_id"] == "old")
        fields = next(result for result in RESULTS if result.collection == name).fields
        assert old.keys() == {"_id", *fields}
        assert all(old[field] in (None, [], "2024-10-31T12:00:00Z") for field in fields)
    for path in ("summary", "series", "genres", "top-movies", "activity", "audience", "top-users", "dead-letters"):
        for last in ("all", "24h"):
            more = {} if path == "dead-letters" else {"last": last} | ({"anchor": "stream"} if last != "all" else {})
            assert (await api_of_my_own.get(path, params=more)).status_code == 200, path
    [worker] = (await got(api_of_my_own, "workers"))["items"]
    assert (worker["id"], worker["host"], worker["silent"]) == ("w", None, False)


# ---- the dashboard -------------------------------------------------------------------------------------------------


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


async def test_many_genres_are_told_together(settings: Settings) -> None:
    views = [{**view, "genre": f"G{number % 17:02}"} for number, view in enumerate(VIEWS)]
    await fill(settings, views)
    async with asking(settings) as client:
        lines = (await got(client, "series"))["genres"]
        assert [line["slug"] for line in lines[:-1]] == sorted({view["genre"].lower() for view in views})[:12]
        assert (lines[-1]["genre"], lines[-1]["slug"]) == (None, None)
        assert sum(sum(line["views"]) for line in lines) == len(views)


async def test_what_changes_shows_at_once(api_of_my_own: httpx.AsyncClient, settings: Settings) -> None:
    """Hours that are kept are asked again when a view of them is counted."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("series", {"last": "48h", "anchor": "stream"}),
        ("summary", {"last": "1h", "anchor": "stream"}),
        ("genres", {"last": "6h", "anchor": "stream"}),
    ]
    before = [await got(api_of_my_own, path, **more) for path, more in asked]
    extra = {**VIEWS[-1], "timestamp": VIEWS[-1]["timestamp"], "movie_id": "new", "rating": 5.0}
    async with opened(settings) as db:
        await write(db, [*VIEWS, extra], rev=2)
    after = before
    while after == before or any(a == b for a, b in zip(after, before, strict=True)):
        after = [await got(api_of_my_own, path, **more) for path, more in asked]
    assert sum(after[0]["views"]) == sum(before[0]["views"]) + 1
    assert after[1]["views"]["value"] == before[1]["views"]["value"] + 1
    assert sum(one["views"] for one in after[2]["items"]) == sum(one["views"] for one in before[2]["items"]) + 1


async def test_films_of_an_hour_and_where_they_stood_before(api: httpx.AsyncClient) -> None:
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
        await workers.insert_one({"_id": "w", "seen": now, **about}, bypass_document_validation=True)
        silent = {"_id": "s", "seen": now - timedelta(seconds=40), **about}
        await workers.insert_one(silent, bypass_document_validation=True)
        first = await got(api_of_my_own, "summary")
        assert (first["workers"], first["lag"]["value"], first["delay_ms"]["value"]) == (1, 3, 120.0)
        beat = {"$set": {"seen": now + timedelta(seconds=5), "events": 1_500}}
        await workers.update_one({"_id": "w"}, beat, bypass_document_validation=True)
        while (summary := await got(api_of_my_own, "summary"))["events_per_s"]["value"] is None:
            assert summary["workers"] == 1
    assert summary["events_per_s"]["value"] == 100.0
    listed = (await got(api_of_my_own, "workers"))["items"]
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


async def test_health_of_what_is_there(api: httpx.AsyncClient, filled: Settings) -> None:
    assert await got(api, "health/live") == {"status": "ok"}
    ready = await got(api, "health/ready")
    assert ready["status"] == "ok"
    assert {name: check["status"] for name, check in ready["checks"].items()} == {
        "mongodb": "ok",
        "broker": "ok",
        "workers": "warn",
        "lag": "warn",
        "newest_result": "warn",
    }
    nowhere = filled.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    async with asking(nowhere) as client:
        answer = await client.get("health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "failing")
        assert answer.json()["checks"]["broker"]["status"] == "fail"
        assert "127.0.0.1:1" in answer.json()["checks"]["broker"]["detail"]
