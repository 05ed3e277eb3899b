"""Asking the application of the web server in this process, over the views that these tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from movie_stream.settings import Settings
from movie_stream.web.server import application
from tests.support.web.serving import events

VIEWS = events()
HOST = "http://localhost"
API = "/api/v1"


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with application(settings) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"{HOST}{API}/") as client:
            yield client


def moment(timestamp_ms: float) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")


def timestamp_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


async def got(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()
