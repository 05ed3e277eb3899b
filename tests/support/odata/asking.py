"""Asking the OData feed in this process, and what MongoDB has of the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from movie_stream.mongo.client import Database
from movie_stream.odata.model import EntitySet
from movie_stream.odata.payload import time_text
from movie_stream.settings import Settings
from movie_stream.web.server import application
from tests.support.web.asking import HOST

SERVICE = f"{HOST}/odata/"


@asynccontextmanager
async def feed_over(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with application(settings) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=SERVICE) as client:
            yield client


async def answered(client: httpx.AsyncClient, path: str, size: int | None = None, **options: str) -> dict[str, Any]:
    """The answer of a request with these options, given without their dollar."""
    headers = {} if size is None else {"Prefer": f"odata.maxpagesize={size}"}
    answer = await client.get(path, params={f"${name}": text for name, text in options.items()}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["OData-Version"] == "4.0"
    found: dict[str, Any] = answer.json()
    return found


async def pages(
    client: httpx.AsyncClient, path: str, size: int | None = None, **options: str
) -> AsyncIterator[list[dict[str, Any]]]:
    """The entities of all pages, by the links that lead from one to the next."""
    found = await answered(client, path, size, **options)
    while True:
        yield found["value"]
        link = found.get("@odata.nextLink")
        if link is None:
            return
        answer = await client.get(link)
        assert answer.status_code == 200, answer.text
        found = answer.json()


async def every(client: httpx.AsyncClient, path: str, size: int | None = None, **options: str) -> list[dict[str, Any]]:
    """The entities of all pages together."""
    return [one async for page in pages(client, path, size, **options) for one in page]


async def stored(db: Database, entity_set: EntitySet) -> list[dict[str, Any]]:
    """What MongoDB has, as JSON shows it: of flat sets what the view of that name has."""
    found = await db[entity_set.name].find({}, {"_rev": 0, "_run": 0}).to_list(None)
    return [{name: _shown(value) for name, value in one.items()} for one in found]


def _shown(value: Any) -> Any:
    return time_text(value) if hasattr(value, "isoformat") else value
