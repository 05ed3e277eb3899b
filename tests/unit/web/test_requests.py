"""Requests are counted by route, method and status, and there are few of each whatever is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response, StreamingResponse

from movie_stream.metrics.endpoint import Collector
from movie_stream.metrics.values import Values
from movie_stream.web.access import Guarded
from movie_stream.web.requests import DECLARED, Requests
from movie_stream.web.session import Authenticator
from tests.unit.web.test_access import TOKEN, client


def told(requests: Requests) -> dict[tuple[str, ...], float]:
    """What a scrape would bring, but for buckets and sums."""
    registry, values = CollectorRegistry(), Values()
    requests.export(values)
    registry.register(Collector("serve", lambda: values))
    return {
        (sample.name.removeprefix("movie_stream_http_"), *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if "http" in sample.name and not sample.name.endswith(("_bucket", "_sum"))
    }


async def test_an_application_that_finds_its_paths_by_itself_says_the_route() -> None:
    app, requests = FastAPI(openapi_url=None), Requests()

    @app.get("/odata/{key:path}")
    async def feed(request: StarletteRequest, key: str) -> Response:
        request.scope[DECLARED] = "/odata/films({key})"
        return Response(key)

    async with client(Guarded(app, Authenticator(TOKEN), None, requests)) as asked:
        await asked.get("/odata/films('a')", headers={"Authorization": f"Bearer {TOKEN}"})
    assert told(requests)["requests_total", "GET", "/odata/films({key})", "200"] == 1


async def test_requests_by_route_method_and_status() -> None:
    app, requests = FastAPI(openapi_url=None), Requests()

    @app.get("/static/{name:path}")
    async def file(name: str) -> Response:
        assert requests.in_flight == 1
        return Response(name, 404 if name == "b" else 200)

    guarded = Guarded(app, Authenticator(TOKEN), None, requests)
    async with client(guarded) as asked:
        for path in ("/static/a", "/static/b", "/static/c/d", "/no/such/path", "/nor/this", "/api/v1/thing"):
            await asked.get(path)
        await asked.head("/static/a")
        await asked.post("/static/a")
        await asked.request("PROPFIND", "/static/a")
    assert told(requests) == {
        ("requests_in_flight",): 0,
        ("answers_total", "fine"): 9,
        ("answers_total", "failed"): 0,
        ("requests_total", "GET", "/static/{name:path}", "200"): 2,
        ("requests_total", "GET", "/static/{name:path}", "404"): 1,
        ("requests_total", "GET", "other", "404"): 2,
        ("requests_total", "GET", "other", "401"): 1,
        ("requests_total", "HEAD", "/static/{name:path}", "200"): 1,
        ("requests_total", "POST", "/static/{name:path}", "405"): 1,
        ("requests_total", "other", "/static/{name:path}", "405"): 1,
        ("request_duration_seconds_count", "GET", "/static/{name:path}"): 3,
        ("request_duration_seconds_count", "GET", "other"): 3,
        ("request_duration_seconds_count", "HEAD", "/static/{name:path}"): 1,
        ("request_duration_seconds_count", "POST", "/static/{name:path}"): 1,
        ("request_duration_seconds_count", "other", "/static/{name:path}"): 1,
    }


async def test_the_first_answer_that_fails_is_a_rise_from_nothing() -> None:
    app, requests = FastAPI(openapi_url=None), Requests()

    @app.get("/away")
    async def away() -> Response:
        return Response(status_code=503)

    assert {key: n for key, n in told(requests).items() if key[0] == "answers_total"} == {
        ("answers_total", "fine"): 0,
        ("answers_total", "failed"): 0,
    }
    async with client(Guarded(app, Authenticator(None), None, requests)) as asked:
        await asked.get("/away")
    assert told(requests)["answers_total", "failed"] == 1


async def test_a_stream_has_no_duration_and_one_who_has_gone_no_status() -> None:
    app, requests = FastAPI(openapi_url=None), Requests()
    hangs = asyncio.Event()

    @app.get("/changes")
    async def changes() -> Response:
        async def events() -> AsyncIterator[bytes]:
            assert requests.in_flight == 0
            yield b"data: {}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/hangs")
    async def for_ever() -> Response:
        hangs.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with client(Guarded(app, Authenticator(None), None, requests)) as asked:
        await asked.get("/changes")
        waiting = asyncio.create_task(asked.get("/hangs"))
        await hangs.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert told(requests) == {
        ("requests_in_flight",): 0,
        ("answers_total", "fine"): 1,
        ("answers_total", "failed"): 0,
        ("requests_total", "GET", "/changes", "200"): 1,
        ("requests_total", "GET", "/hangs", "none"): 1,
        ("request_duration_seconds_count", "GET", "/hangs"): 1,
    }
