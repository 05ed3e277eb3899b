"""The feed over a source whose changes these tests make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pymongo.errors import AutoReconnect

from movie_stream.mongo.client import Database
from movie_stream.web import feed as module
from movie_stream.web.coalesced import Event
from movie_stream.web.feed import Feed
from movie_stream.web.sources import Seen, Source
from tests.support.whole_path import PATIENCE_S

ONE = Seen({"movies_aggregates": 3}, [("movies_aggregates", "a")])
END = datetime(2024, 10, 31, 14, tzinfo=UTC)


class Made:
    """A source of changes that are put into it, for a feed whose question for the newest window waits for a gate."""

    name = "change stream"
    names_documents = True

    def __init__(self) -> None:
        self.changes = asyncio.Queue[Seen]()
        self.changes.put_nowait(Seen())
        self.gate = asyncio.Event()
        self.gate.set()
        self.asks = asyncio.Event()
        self.error: Exception | None = None
        self.forgotten = 0

    async def seen(self) -> Seen:
        return await self.changes.get()

    async def pause(self) -> None:
        """Nothing to be done."""

    async def newest_end(self) -> datetime:
        self.asks.set()
        await self.gate.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return END

    def invalidate(self) -> None:
        self.forgotten += 1


@pytest.fixture
def made() -> Made:
    return Made()


@asynccontextmanager
async def running(made: Made, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Feed]:
    async def streams(db: object) -> bool:
        return True

    monkeypatch.setattr(module, "has_change_streams", streams)
    monkeypatch.setattr(module, "RETRY_AT_FIRST_S", 0.0)
    monkeypatch.setattr(Feed, "_newest_end", lambda _: made.newest_end())
    feed = Feed(cast(Database, None), made.invalidate)
    feed._turn_to(cast(Source, made))
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def changes(event: Event | None) -> Any:
    assert event is not None
    return event.data.get("collections")


async def test_no_reader_is_told_before_what_is_kept_is_forgotten(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(made, monkeypatch) as feed, feed.subscribe() as reader:
        first = await reader.next(PATIENCE_S)
        assert first is not None
        made.gate.clear()
        made.asks.clear()
        made.changes.put_nowait(ONE)
        await made.asks.wait()
        before = made.forgotten
        assert await reader.next(0) is None, "answers of before are still given"
        async with feed.subscribe(first.id) as late:
            assert getattr(await late.next(PATIENCE_S), "name", None) == "status"
            assert changes(await late.next(0)) == {}
        made.gate.set()
        change = await reader.next(PATIENCE_S)
        assert changes(change) == ONE.writes
        assert made.forgotten == before + 1


async def test_what_has_changed_is_told_although_the_newest_window_cannot_be_asked_for(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(made, monkeypatch) as feed, feed.subscribe() as reader:
        await reader.next(PATIENCE_S)
        made.error = AutoReconnect("gone")
        monkeypatch.setattr(module, "explain", lambda error, db: error)
        made.changes.put_nowait(ONE)
        down = await reader.next(PATIENCE_S)
        assert down is not None
        assert (down.name, down.data["mongodb"]) == ("status", "down")
        made.changes.put_nowait(Seen())
        up, change = await reader.next(PATIENCE_S), await reader.next(PATIENCE_S)
        assert up is not None
        assert (up.name, up.data["mongodb"]) == ("status", "up")
        assert changes(change) == ONE.writes
