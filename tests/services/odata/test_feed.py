"""The feed over real documents: everything that MongoDB has, in every order, page by page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import httpx

from movie_stream.aggregates.results import RESULTS
from movie_stream.mongo.client import opened
from movie_stream.odata.csdl import EDM
from movie_stream.odata.model import EntitySet, all_sets
from movie_stream.odata.pages import Pages
from movie_stream.settings import Settings
from movie_stream.web import odata_feed
from tests.support.odata.asking import SERVICE, answered, every, feed_over, pages, stored
from tests.support.web.asking import VIEWS
from tests.support.web.serving import fill

SETS = list(all_sets().values())


async def test_the_service_document_and_the_metadata_name_every_collection_and_flat_view(
    feed: httpx.AsyncClient, filled: Settings
) -> None:
    async with opened(filled) as db:
        views = set(await db.list_collection_names(filter={"type": "view"}))
    wanted = {result.collection for result in RESULTS} | views
    service = await answered(feed, "")
    assert service["@odata.context"] == f"{SERVICE}$metadata"
    assert {one["name"] for one in service["value"]} == wanted == {one["url"] for one in service["value"]}
    assert (await feed.get(SERVICE.removesuffix("/"))).json() == service
    answer = await feed.get("$metadata", headers={"Accept": "application/xml"})
    assert answer.headers["Content-Type"].startswith("application/xml")
    root = ElementTree.fromstring(answer.content)
    assert {one.get("Name") for one in root.iter(f"{{{EDM}}}EntitySet")} == wanted


async def test_all_of_every_set_is_what_mongodb_has(feed: httpx.AsyncClient, filled: Settings) -> None:
    async with opened(filled) as db:
        for entity_set in SETS:
            await compare_with({one["_id"]: one for one in await stored(db, entity_set)}, entity_set, feed)


async def compare_with(wanted: dict[str, dict[str, Any]], entity_set: EntitySet, feed: httpx.AsyncClient) -> None:
    size = max(2, len(wanted) // 5)
    found = await every(feed, entity_set.name, size)
    assert {one["_id"]: one for one in found} == wanted
    assert len(found) == len(wanted) > 0
    count = await feed.get(f"{entity_set.name}/$count")
    assert (count.text, count.headers["Content-Type"]) == (str(len(wanted)), "text/plain;charset=utf-8")
    first = found[0]
    by_key = await answered(feed, f"{entity_set.name}('{first['_id']}')")
    assert {name: value for name, value in by_key.items() if not name.startswith("@")} == first
    assert by_key["@odata.context"] == f"{SERVICE}$metadata#{entity_set.name}/$entity"


async def test_every_property_orders_both_ways_across_pages(feed: httpx.AsyncClient) -> None:
    for name, column in [(one.name, column) for one in SETS for column in one.properties]:
        if column.type is None:
            assert (await feed.get(name, params={"$orderby": column.name})).status_code == 400
            continue
        for direction in ("", " desc"):
            options = {"orderby": column.name + direction, "top": "8", "skip": "1", "select": f"{column.name},_id"}
            at_once = (await answered(feed, name, None, **options))["value"]
            assert await every(feed, name, 3, **options) == at_once
            values = [one[column.name] for one in at_once]
            key = [(value is not None, value if value is not None else 0) for value in values]
            assert key == sorted(key, reverse=direction == " desc"), (name, column.name)


async def test_an_order_by_time_is_that_of_all_documents_whatever_the_pages(
    feed: httpx.AsyncClient, filled: Settings
) -> None:
    some = [one for one in SETS if one.name in ("daily_stats", "movies_aggregates", "hourly_metrics", "top_users_flat")]
    for entity_set, direction in [(one, direction) for one in some for direction in ("asc", "desc")]:
        async with opened(filled) as db:
            documents = await stored(db, entity_set)
        start = entity_set.start or ""
        kept = [one for one in documents if one.get("unique_users", 2) > 1]
        kept.sort(key=lambda one: one["_id"])
        kept.sort(key=lambda one: one[start], reverse=direction == "desc")
        few = "unique_users gt 1" if "unique_users" in entity_set.named else "rank ge 1"
        for skip, size in ((0, 7 if len(kept) < 200 else 90), (3, len(kept) - 4)):
            found = await every(feed, entity_set.name, size, filter=few, orderby=f"{start} {direction}", skip=str(skip))
            assert found == kept[skip:], (entity_set.name, direction)


async def test_a_page_by_time_reads_no_more_than_it_needs(feed: httpx.AsyncClient, filled: Settings) -> None:
    async with opened(filled) as db:
        pages_by_time = Pages(all_sets()["movies_aggregates"], {}, (("window_start", -1),), None)
        middle = (await db["movies_aggregates"].find().sort("window_start").skip(900).to_list(1))[0]
        pipeline = pages_by_time.pipeline(10, 0, pages_by_time.position_of(middle))
        explain = {"aggregate": "movies_aggregates", "pipeline": pipeline, "cursor": {}}
        told = await db.command({"explain": explain, "verbosity": "executionStats"})
        examined = [int(number) for number in re.findall(r"'totalDocsExamined': (\d+)", str(told))]
        examined += [int(number) for number in re.findall(r"'totalDocsExamined': Int64\((\d+)\)", str(told))]
        assert examined
        assert max(examined) < 100


async def test_top_and_skip_count_over_pages(feed: httpx.AsyncClient) -> None:
    everything = await every(feed, "movies_aggregates")
    total = len(everything)
    for top, skip, size in ((10, 0, 3), (9, 4, 3), (3, 0, 3), (1, 0, 1), (5, total - 2, 4), (5, total, 4)):
        met = [page async for page in pages(feed, "movies_aggregates", size, top=str(top), skip=str(skip))]
        assert [one for page in met for one in page] == everything[skip : skip + top]
        assert all(len(page) == size for page in met[:-1])
    nothing = await answered(feed, "movies_aggregates", top="0", count="true")
    assert (nothing["value"], nothing["@odata.count"]) == ([], total)
    assert "@odata.nextLink" not in nothing


async def test_the_count_is_of_all_that_the_filter_finds(feed: httpx.AsyncClient) -> None:
    some = {"filter": "total_views ge 2 and avg_rating ne null"}
    everything = await every(feed, "movies_aggregates", None, **some)
    first = await answered(feed, "movies_aggregates", 3, **some, count="true", top="7")
    assert first["@odata.count"] == len(everything) > 7
    assert (await feed.get("movies_aggregates/$count", params={"$filter": some["filter"]})).text == str(len(everything))
    assert (await feed.get("movies_aggregates/$count", params={"$filter": "total_views lt 0"})).text == "0"


async def test_a_time_range_finds_what_lies_in_it(feed: httpx.AsyncClient, filled: Settings) -> None:
    since, until = datetime(2024, 10, 30, 6, tzinfo=UTC), datetime(2024, 10, 30, 12, tzinfo=UTC)
    async with opened(filled) as db:
        wanted = {
            one["_id"] async for one in db["movies_aggregates"].find({"window_start": {"$gte": since, "$lt": until}})
        }
    for text in (
        "window_start ge 2024-10-30T06:00:00Z and window_start lt 2024-10-30T12:00:00Z",
        "window_start ge 2024-10-30T08:00:00+02:00 and 2024-10-30T12:00:00.000Z gt window_start",
        "date(window_start) eq 2024-10-30 and hour(window_start) ge 6 and hour(window_start) lt 12",
        "not (window_start lt 2024-10-30T06:00:00Z or window_start ge 2024-10-30T12:00:00Z)",
    ):
        found = await every(feed, "movies_aggregates", 50, filter=text)
        assert {one["_id"] for one in found} == wanted != set(), text
    raw = await feed.get(f"{SERVICE}movies_aggregates/$count?$filter=window_start%20ge%202024-10-30T08:00:00+02:00")
    assert int(raw.text) > len(wanted)


async def test_documents_that_grow_between_two_pages_are_met_once(settings: Settings) -> None:
    await fill(settings, VIEWS)
    async with feed_over(settings) as feed, opened(settings) as db:
        for entity_set in [one for one in SETS if one.name in ("daily_stats", "top_movies_flat", "movies_aggregates")]:
            wanted = {one["_id"] for one in await stored(db, entity_set)}
            met: list[str] = []
            async for page in pages(feed, entity_set.name, len(wanted) // 4):
                met += [one["_id"] for one in page]
                field = "timestamp" if entity_set.flat else "unique_users"
                change = {"$currentDate": {field: True}} if entity_set.flat else {"$inc": {field: 1_000}}
                await db[entity_set.result.collection].update_many({"_id": {"$in": met}}, change)
                await db[entity_set.result.collection].update_many({"_id": {"$nin": met}}, change)
            assert (set(met), len(met)) == (wanted, len(wanted)), entity_set.name


async def test_what_the_answer_says_of_itself(feed: httpx.AsyncClient) -> None:
    async def asked(accept: str, path: str = "daily_stats?$top=1") -> tuple[dict[str, Any], httpx.Response]:
        answer = await feed.get(path, headers={"Accept": accept})
        assert answer.status_code == 200, answer.text
        return answer.json(), answer

    minimal, answer = await asked("application/json;odata.metadata=minimal;q=1.0,application/json;q=0.9,*/*;q=0.1")
    assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")
    assert set(minimal) == {"@odata.context", "value"}
    [row] = minimal["value"]
    assert not any("@" in name for name in row)
    none, _ = await asked("application/json;odata.metadata=none")
    assert set(none) == {"value"}
    full, answer = await asked("application/json;odata.metadata=full")
    [said] = full["value"]
    assert said["@odata.type"] == "#MovieStream.daily_stats"
    assert said["timestamp@odata.type"] == "#DateTimeOffset"
    assert {name: value for name, value in said.items() if "@" not in name} == row
    assert (await feed.get(said["@odata.id"])).json()["_id"] == row["_id"]
    text, answer = await asked("application/json;IEEE754Compatible=true", "daily_stats?$top=1&$count=true")
    assert isinstance(text["@odata.count"], str)
    assert text["value"][0]["daily_views"] == str(row["daily_views"])
    assert "IEEE754Compatible=true" in answer.headers["Content-Type"]
    lists, _ = await asked("application/json;odata.metadata=full", "top_movies?$top=1")
    assert lists["value"][0]["top_movies@odata.type"] == "#Collection(MovieStream.top_movies_entry)"


async def test_the_preferred_page_size_is_applied_and_kept(feed: httpx.AsyncClient) -> None:
    for asked, applied in (
        ("odata.maxpagesize=3", 3),
        ("return=minimal, maxpagesize=4", 4),
        ("odata.maxpagesize=99999", 5_000),
    ):
        answer = await feed.get("movies_aggregates", headers={"Prefer": asked})
        assert answer.headers["Preference-Applied"] == f"odata.maxpagesize={applied}"
        assert len(answer.json()["value"]) <= applied
    first = await answered(feed, "movies_aggregates", 3)
    second = await feed.get(first["@odata.nextLink"])
    assert len(second.json()["value"]) == 3
    for nonsense in ("odata.maxpagesize=0", "odata.maxpagesize=-1", "odata.maxpagesize=ten", "wait=10"):
        answer = await feed.get("daily_stats", headers={"Prefer": nonsense})
        assert answer.status_code == 200
        assert "Preference-Applied" not in answer.headers
    lists = await feed.get("top_movies_daily", headers={"Prefer": "odata.maxpagesize=99999"})
    assert lists.headers["Preference-Applied"] == f"odata.maxpagesize={odata_feed.MOST // 10}"


async def test_keys_with_every_character_are_found(settings: Settings) -> None:
    await fill(settings, VIEWS[:50])
    keys = ["O'Neil", "a/b", "100%", "%2F", "Noir 🎬", "a+b c", "'", "''", "$x", "(x)", "?#&=", "a\\b", "é\n"]
    async with opened(settings) as db:
        template = await db["category_stats"].find_one({})
        assert template is not None
        await db["category_stats"].insert_many(
            [{**template, "_id": key, "genre": key, "slug": key} for key in keys], bypass_document_validation=True
        )
    async with feed_over(settings) as feed:
        for key in keys:
            doubled = key.replace("'", "''")
            [row] = (await answered(feed, "category_stats", filter=f"genre eq '{doubled}'"))["value"]
            assert row["_id"] == key
            one = await feed.get(f"category_stats(_id='{quote(doubled, safe='')}')")
            assert one.json().get("_id") == key, one.text
            address = f"category_stats('{quote(doubled, safe='/()')}')"
            full = await feed.get(address, params={"$format": "application/json;odata.metadata=full"})
            assert (await feed.get(full.json()["@odata.id"])).json()["_id"] == key
        assert {one["_id"] for one in await every(feed, "category_stats", 2)} >= set(keys)
