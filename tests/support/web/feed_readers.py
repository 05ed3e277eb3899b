"""A feed of changes in this process, and the events of its readers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from movie_stream.mongo.client import Database
from movie_stream.settings import Settings
from movie_stream.web.coalesced import Event
from movie_stream.web.feed import Feed, Reader
from tests.support.mongo.mongo_server import MongoServer
from tests.support.whole_path import PATIENCE_S


def at(server: MongoServer, settings: Settings) -> Settings:
    return settings.model_copy(update={"mongodb_uri": SecretStr(server.uri)})


@asynccontextmanager
async def running(db: Database, **more: Any) -> AsyncIterator[Feed]:
    """A feed that runs, and ends in order."""
    feed = Feed(db, **more)
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(reader: Reader, holds: Callable[[Event], object]) -> list[Event]:
    """The events up to the first that holds."""
    found: list[Event] = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in reader:
            found.append(event)
            if holds(event):
                return found
    raise AssertionError(f"it ended after {found}")


def named(name: str) -> Callable[[Event], bool]:
    return lambda event: event.name == name


def told(events: list[Event]) -> Counter[str]:
    counted = Counter[str]()
    for event in events:
        if event.name == "change":
            counted.update(event.data["collections"])
    return counted


def of(documents: list[Any]) -> Counter[str]:
    return Counter(document.collection for document in documents)


async def all_told(reader: Reader, wanted: Counter[str]) -> Counter[str]:
    """The events until all expected ones have arrived."""
    counted = Counter[str]()

    def enough(event: Event) -> bool:
        counted.update(told([event]))
        return counted >= wanted

    await until(reader, enough)
    return counted


def heartbeat(name: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    known = {"host": "h", "pid": 1, "version": "9", "group": "g", "state": "running", "partitions": []}
    return {"_id": name, **known, "started": now, "seen": now}
