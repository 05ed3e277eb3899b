"""The resources of the results: the documents of MongoDB, in every order, page by page and in three formats."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from movie_stream.aggregates.results import RESULTS
from movie_stream.aggregates.shape import Shape
from movie_stream.mongo import read
from movie_stream.mongo.client import opened
from movie_stream.mongo.query import Query
from movie_stream.mongo.workers import WORKERS
from movie_stream.settings import Settings
from tests.support.reference import HOUR_MS, MINUTE_MS
from tests.support.web.asking import API, HOST, VIEWS, asking, got, moment, timestamp_ms
from tests.support.web.serving import GENRES, MIDNIGHT_MS
from tests.support.whole_path import PATIENCE_S

NAMES = [result.collection for result in RESULTS]
LISTS = [result.collection for result in RESULTS if Shape.of(result).entries]


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


async def test_a_document_that_grows_between_two_pages_is_met_all_the_same(
    api_of_my_own: httpx.AsyncClient, settings: Settings
) -> None:
    views = {"daily_stats": "daily_views", "category_stats": "total_views", "movies_aggregates": "total_views"}
    async with opened(settings) as db:
        for name, field in views.items():
            wanted = {one["_id"] async for one in db[name].find({}, {"_id": 1})}
            met: list[str] = []
            async for page in pages(api_of_my_own, name, limit=len(wanted) // 3):
                met += [one["_id"] for one in page["items"]]
                ahead = await db[name].find({"_id": {"$nin": met}}, {"_id": 1}).to_list(None)
                grown = {"$in": [one["_id"] for one in ahead]}
                await db[name].update_many({"_id": grown}, {"$inc": {field: 1_000_000}})
            assert (set(met), len(met)) == (wanted, len(wanted)), name


# ---- results -------------------------------------------------------------------------------------------------------


async def test_the_index_has_all_results_and_leads_to_them(api: httpx.AsyncClient) -> None:
    index = await got(api, "")
    assert [one["name"] for one in index["results"]] == NAMES + [f"{name}_flat" for name in LISTS]
    hrefs = {*(one["href"] for one in index["results"]), *index["links"].values()}
    for href in hrefs - {f"{API}/changes"}:  # which has no end
        assert (await api.get(f"{HOST}{href}")).status_code == 200, href


@pytest.mark.parametrize("name", NAMES)
async def test_a_result_is_the_document_in_mongodb(api: httpx.AsyncClient, filled: Settings, name: str) -> None:
    """The newest first and then by `_id`, page after page, in all three formats."""
    async with opened(filled) as db:
        result = next(result for result in RESULTS if result.collection == name)
        stored = sorted((await read.page(db, Query(result, 10_000))).documents, key=lambda one: str(one["_id"]))
        if start := Shape.of(result).start:
            stored.sort(key=lambda one: one[start], reverse=True)
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
    wanted = [row for document in stored for row in shape.flat_rows(document)]
    assert wanted
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


async def test_an_unchanged_answer_is_not_sent_again(api: httpx.AsyncClient) -> None:
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


async def test_a_summary_is_not_sent_again_only_because_time_passes(api: httpx.AsyncClient) -> None:
    """What the workers do is sampled each second, and makes it another one: of a pair between two samples, no more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            first = await api.get("summary")
            again = await api.get("summary", headers={"If-None-Match": first.headers["etag"]})
            if again.status_code == 304:
                break
    assert (again.content, again.headers["etag"]) == (b"", first.headers["etag"])
    assert first.headers["etag"].startswith("W/"), "the time in it is another one"
    assert datetime.fromisoformat(first.json()["now"]).tzinfo is not None


async def test_documents_of_an_older_version(api_of_my_own: httpx.AsyncClient, settings: Settings) -> None:
    """They lack fields, or have others in their place; the other fields are returned."""
    async with opened(settings) as db:
        for name in NAMES:
            await db.command("collMod", name, validator={})
            start = Shape.of(next(result for result in RESULTS if result.collection == name)).start
            about = {start: datetime(2024, 10, 31, 12, tzinfo=UTC)} if start else {}
            await db[name].insert_one({"_id": "old", **about})
        await db["movies_aggregates"].insert_one({"_id": "older"})
        await db["category_stats"].insert_one({"_id": "nameless", "slug": "nameless", "total_views": 1_000_000})
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
    genres = (await got(api_of_my_own, "genres", limit=1_000))["items"]
    figures = {"views": 1_000_000, "avg_rating": None, "unique_users": None}
    assert genres[0] == {"genre": "nameless", "slug": "nameless", **figures}
    assert {one["genre"] for one in genres} == {"nameless", *GENRES}
    assert len((await got(api_of_my_own, "genres", limit=len(genres)))["items"]) == len(genres)
    [worker] = (await got(api_of_my_own, "workers"))["items"]
    assert (worker["id"], worker["host"], worker["silent"]) == ("w", None, False)
