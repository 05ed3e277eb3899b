"""A wrong, hostile or unsupported request gets an error in OData's own form, with the status of its kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from movie_stream.odata.filters import DEEPEST
from movie_stream.settings import Settings
from movie_stream.web.server import application
from tests.support.mongo.mongo_server import MongoServer
from tests.support.odata.asking import SERVICE, answered, every, feed_over
from tests.support.web.asking import VIEWS
from tests.support.web.serving import fill

TOKEN = "the-token-of-a-feed"


async def refused(feed: httpx.AsyncClient, status: int, path: str, **options: str) -> dict[str, Any]:
    answer = await feed.get(path, params={f"${name}": text for name, text in options.items()})
    return said(answer, status)


def said(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")
    assert answer.headers["OData-Version"] == "4.0"
    error = answer.json()["error"]
    assert set(error) <= {"code", "message", "target"}
    assert error["code"]
    assert "\n" not in error["message"]
    found: dict[str, Any] = error
    return found


NONSENSE = [
    "",
    "genre",
    "nonsense eq 1",
    "genre eq",
    "genre eq 'a",
    "genre eq 'a' and",
    "(genre eq 'a'",
    "genre eq 'a'; drop",
    "genre eq a",
    "genre eq 1",
    "total_views gt 'x'",
    "total_views gt true",
    "total_views gt " + "9" * 401,
    "total_views gt 1e999",
    "window_start gt 2024-10-31T14:00:00",
    "window_start gt 2024-02-30T14:00:00Z",
    "window_start gt 9999-12-31T23:59:00-01:00",
    "date(window_start) eq 2024-02-31",
    "window_start eq '2024-10-31'",
    "contains(total_views,'x')",
    "contains(genre)",
    "startswith(genre,1)",
    "year(genre) eq 2024",
    "frobnicate(genre) eq 1",
    "$where eq 'sleep(1000)'",
    "genre eq {$ne: 1}",
    "$expr eq 1",
    "not genre eq 'a'",
    "genre eq 'a\0'",
    "genre in ()",
    "genre in 'a'",
    "genre eq ('a','b')",
    "not " * 30 + "(genre eq 'a')",
    "genre eq 'a' or genre eq '" + "x" * 5_000 + "'",
    "(" * 1_000 + "genre eq 'a'" + ")" * 1_000,
]


async def test_a_filter_that_cannot_be_meant(feed: httpx.AsyncClient) -> None:
    for text in NONSENSE:
        for path in ("movies_aggregates", "movies_aggregates/$count"):
            assert (await refused(feed, 400, path, filter=text))["target"] == "$filter", text


async def test_texts_are_texts_and_no_operators(settings: Settings) -> None:
    await fill(settings, [{**VIEWS[0], "genre": genre, "user_id": genre} for genre in ("$ne", "a.*c", "a", "O'Neil")])
    async with feed_over(settings) as feed:
        for text, genres in {
            "genre eq '$ne'": {"$ne"},
            "genre ne '$ne'": {"a.*c", "a", "O'Neil"},
            "contains(genre,'.*')": {"a.*c"},
            "startswith(genre,'$')": {"$ne"},
            "endswith(genre,'^')": set(),
            "genre in ('$ne','O''Neil')": {"$ne", "O'Neil"},
            "genre eq slug or genre eq '$slug'": {"$ne", "a.*c", "a"},
        }.items():
            assert {one["genre"] for one in await every(feed, "category_stats", filter=text)} == genres, text


ELSEWHERE: list[tuple[str, dict[str, str], str]] = [
    ("category_stats", {"filter": "tolower(genre) eq 'crime'"}, "tolower"),
    ("category_stats", {"filter": "total_views add 1 gt 2"}, "add"),
    ("category_stats", {"filter": "cast(total_views,'Edm.String') eq '1'"}, "cast"),
    ("top_movies", {"filter": "top_movies/any(f: f/views gt 3)"}, "any"),
    ("top_movies", {"filter": "top_movies eq null"}, "top_movies_flat"),
    ("category_stats", {"filter": "timestamp gt now()"}, "now"),
    ("category_stats", {"filter": "genre has 'x'"}, "has"),
    ("category_stats", {"filter": "(year(timestamp)) has 2 and genre eq 'x'"}, "has"),
    ("category_stats", {"filter": "total_views divby 2 gt 1"}, "divby"),
    ("category_stats", {"filter": "genre eq @p"}, "@p"),
    ("category_stats", {"filter": "genre in (@p,'x')"}, "@p"),
    ("category_stats", {"filter": "$it/genre eq 'x'"}, "$it"),
    ("category_stats", {"orderby": "@p"}, "@p"),
    ("category_stats(@k)", {}, "@k"),
    ("category_stats", {"apply": "aggregate($count as n)"}, "$apply"),
    ("category_stats", {"search": "crime"}, "$search"),
    ("category_stats", {"expand": "genre"}, "$expand"),
    ("category_stats", {"compute": "total_views mul 2 as x"}, "$compute"),
    ("category_stats", {"orderby": "year(timestamp) desc"}, "year(timestamp)"),
    ("top_movies", {"select": "top_movies/title"}, "top_movies/title"),
    ("category_stats('x')/genre", {}, "/genre"),
    ("category_stats/genre/$value", {}, "/genre"),
    ("$batch", {}, "$batch"),
    ("$crossjoin(category_stats,top_movies)", {}, "$crossjoin"),
]


async def test_an_unsupported_option_is_named(feed: httpx.AsyncClient) -> None:
    for path, options, named in ELSEWHERE:
        error = await refused(feed, 501, path, **options)
        assert named in error["message"], error
        assert error["target"] in ("path", *(f"${name}" for name in options))


ADDRESSES = [
    (404, "nothing_here"),
    (404, "nothing_here/$count"),
    (404, "category_stats('nothing')"),
    (404, "top_movies_flat('nothing')"),
    (404, "top_movies_flat('')"),
    (404, "category_stats(12)"),
    (404, "category_stats("),
    (400, "category_stats(genre='Crime')"),
    (400, "category_stats('%FF')"),
    (400, "category_stats('%00')"),
    (400, "category_stats?$top=-1"),
    (400, "category_stats?$top=1.5"),
    (400, "category_stats?$top=99999999999999999999"),
    (400, "category_stats?$skip=x"),
    (400, "category_stats?$count=yes"),
    (400, "category_stats?$top=1&$top=2"),
    (400, "category_stats?top=1"),
    (400, "category_stats?$frob=1"),
    (400, "category_stats?=genre"),
    (400, "category_stats?%5C$top=1"),
    (400, "category_stats?$select=genre,,slug"),
    (400, "category_stats?$select=$where"),
    (400, "category_stats?$orderby=genre%20sideways"),
    (400, "category_stats?$orderby=genre,genre%20desc"),
    (400, "top_movies?$orderby=top_movies"),
    (400, "category_stats?$filter=%FF"),
    (400, "category_stats?$skiptoken=abc"),
    (400, "category_stats?$skiptoken=%C3%A9"),
    (400, "category_stats('x')?$filter=genre%20eq%20'x'"),
    (400, "?$filter=genre%20eq%20'x'"),
    (400, "$metadata?$top=1"),
    (406, "category_stats?$format=atom"),
    (406, "$metadata?$format=json"),
    (400, "category_stats?" + "&".join(f"x{number}=1" for number in range(40))),
    (414, "category_stats?$filter=" + "x" * 9_000),
    (414, "category_stats?$skiptoken=" + "x" * 17_000),
]


async def test_an_address_that_cannot_be_meant(feed: httpx.AsyncClient) -> None:
    for status, path in ADDRESSES:
        said(await feed.get(f"{SERVICE}{path}"), status)


async def test_a_link_is_taken_for_its_own_query_alone(feed: httpx.AsyncClient) -> None:
    first = await answered(feed, "movies_aggregates", 3, filter="total_views ge 1", orderby="total_views desc")
    link = first["@odata.nextLink"]
    assert (await feed.get(link)).status_code == 200
    for old, new in (
        ("ge", "gt"),
        ("desc", "asc"),
        ("movies_aggregates", "daily_stats"),
        ("skiptoken=", "skiptoken=A"),
    ):
        assert (await feed.get(link.replace(old, new))).status_code == 400, new
    assert (await feed.get(f"{link}&$top=1")).status_code == 400


async def test_nothing_but_reading_is_possible(feed: httpx.AsyncClient) -> None:
    methods = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FROB")
    for method, path in [
        (method, path) for method in methods for path in ("", "category_stats", "category_stats('x')")
    ]:
        answer = await feed.request(method, path, content=b"{}" if method == "POST" else None)
        said(answer, 405)
        assert answer.headers["Allow"] == "GET, HEAD"


async def test_head_is_get_without_a_body(feed: httpx.AsyncClient) -> None:
    for path in ("", "$metadata", "category_stats", "category_stats/$count", "nothing"):
        got, head = await feed.get(path), await feed.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["Content-Length"] == str(len(got.content))


async def test_accepted_options(feed: httpx.AsyncClient) -> None:
    for accept in ("text/html", "application/atom+xml", "application/json;q=0", "application/json;odata.metadata=some"):
        said(await feed.get("category_stats", headers={"Accept": accept}), 406)
    excel = (
        "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9,text/plain;q=0.7"
    )
    headers = {"Accept": excel, "OData-MaxVersion": "4.0", "MaxDataServiceVersion": "3.0"}
    assert (await feed.get("category_stats", headers=headers)).status_code == 200
    for version in ("4.0;NetFx", "4.01; whatever", "5.0"):
        for name in ("OData-MaxVersion", "OData-Version"):
            assert (await feed.get("category_stats", headers={name: version})).status_code == 200, version
    for version in ("3.0", "3.0;NetFx", "x", ";", "4.0 NetFx"):
        said(await feed.get("category_stats", headers={"OData-MaxVersion": version}), 400)


async def test_the_links_name_the_host_that_was_asked(feed: httpx.AsyncClient) -> None:
    for proxies in ("https", "HTTPS , http"):
        headers = {"Host": "localhost:8080", "X-Forwarded-Proto": proxies}
        answer = await feed.get("daily_stats", headers={**headers, "Prefer": "odata.maxpagesize=1"})
        assert answer.json()["@odata.context"] == "https://localhost:8080/odata/$metadata#daily_stats"
        assert answer.json()["@odata.nextLink"].startswith("https://localhost:8080/odata/daily_stats?$skiptoken=")


async def test_a_name_and_the_token_as_password_let_in(settings: Settings) -> None:
    await fill(settings, VIEWS[:20])
    guarded = settings.model_copy(update={"api_token": SecretStr(TOKEN)})
    async with application(guarded) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=SERVICE) as client:
            for path in ("", "$metadata", "category_stats", "nothing"):
                answer = await client.get(path)
                assert "password" in said(answer, 401)["message"]
                challenges = answer.headers.get_list("WWW-Authenticate")
                assert [one.partition(" ")[0] for one in challenges] == ["Basic", "Bearer"]
                assert re.search('realm="[^"]+"', challenges[0])
            for name in ("", "any", "Ünï"):
                assert (await client.get("category_stats", auth=(name, TOKEN))).status_code == 200
            assert (await client.get("category_stats", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200
            # A browser sends what it was told to every address of the server; the API is for programs.
            api = await client.get("http://localhost/api/v1", auth=("any", TOKEN))
            assert api.status_code == 401
            assert api.headers.get_list("WWW-Authenticate") == ['Bearer realm="movie-stream"']
            wrong = [("any", "guess"), ("any", ""), (TOKEN, "")]
            for attempt in range(9):
                refused = said(await client.get("category_stats", auth=wrong[attempt % 3]), 401)
                assert "not the password" in refused["message"]
            said(await client.get("category_stats", headers={"Authorization": "Basic ???"}), 401)
            limited = await client.get("category_stats", auth=("any", "guess"))
            said(limited, 429)
            assert int(limited.headers["Retry-After"]) > 0
            assert (await client.get("category_stats", auth=("any", TOKEN))).status_code == 200


async def test_mongodb_away_is_503_with_a_time_to_come_again(settings: Settings, tmp_path: Path) -> None:
    with MongoServer(tmp_path) as mongo:
        there = settings.model_copy(update={"mongodb_uri": SecretStr(mongo.uri)})
        await fill(there, VIEWS[:20])
        async with feed_over(there) as feed:
            assert (await answered(feed, "category_stats"))["value"]
            mongo.kill()
            for path in ("daily_stats", "category_stats/$count", "category_stats('x')"):
                answer = await feed.get(path)
                assert "MongoDB" in said(answer, 503)["message"]
                assert int(answer.headers["Retry-After"]) > 0
            assert (await feed.get("$metadata")).status_code == 200


async def test_a_filter_as_deep_and_as_large_as_may_be_is_answered(feed: httpx.AsyncClient) -> None:
    search = "contains(genre,'r')"
    either, null, negated = search, search, "avg_rating gt 1"
    for _ in range(DEEPEST // 2 - 1):
        either = f"(({either}) eq null or {search})"
        negated = f"not({negated} and {search})"
    for _ in range(DEEPEST - 1):
        null = f"(({null}) eq null)"
    many = " or ".join(f"total_views eq {number}" for number in range(180))
    for text in (either, null, negated, many, f"genre in ({','.join(repr(str(number)) for number in range(500))})"):
        answer = await feed.get("movies_aggregates/$count", params={"$filter": text})
        assert answer.status_code == 200, answer.text
