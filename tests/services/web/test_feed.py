"""What changes in the results, from a change stream and by polling."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from pymongo import monitoring

from movie_stream.aggregates.results import RESULTS
from movie_stream.mongo import schema
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from movie_stream.web import feed as module
from movie_stream.web import sources
from movie_stream.web.feed import TooManyReaders
from movie_stream.web.sources import Polling
from tests.support.mongo.mongo_server import MongoServer
from tests.support.web.feed_readers import all_told, at, heartbeat, named, of, running, told, until
from tests.support.web.serving import documents_of, events, fill, write
from tests.support.whole_path import PATIENCE_S

VIEWS = events(40)


async def test_all_readers_are_notified_which_results_change(server: MongoServer, settings: Settings) -> None:
    streams = server._replica_set
    async with opened(at(server, settings)) as db:
        await schema.ensure(db)
        async with running(db) as feed, feed.subscribe() as first, feed.subscribe(detail=True) as second:
            for reader in (first, second):
                [status] = await until(reader, named("status"))
                source = "change stream" if streams else "polling"
                assert status.data == {"source": source, "mongodb": "up"}
            await write(db, VIEWS)
            wanted = of(documents_of(VIEWS))
            assert set(wanted) == {result.collection for result in RESULTS}
            assert await all_told(first, wanted) == wanted
            counted, documents = Counter[str](), set[tuple[str, str]]()
            while counted < wanted:
                [change] = await until(second, named("change"))
                counted.update(told([change]))
                assert (change.data["documents"] is not None) == streams
                documents |= {(one["collection"], one["_id"]) for one in change.data["documents"] or ()}
            if streams:
                assert documents == {(one.collection, one.id) for one in documents_of(VIEWS)}
            newest = max(one["window_end"] for one in await db["movies_aggregates"].find().to_list(None))
            assert change.data["stream_time"] == newest
            await db["_workers"].insert_one(heartbeat("a"))
            assert await all_told(first, Counter({"_workers": 1})) == {"_workers": 1}
            await db["daily_stats"].drop()
            assert set(await all_told(first, Counter({"daily_stats": 1}))) == {"daily_stats"}


async def test_a_reader_that_reconnects_gets_the_missed_changes(server: MongoServer, settings: Settings) -> None:
    async with opened(at(server, settings)) as db:
        await schema.ensure(db)
        async with running(db) as feed, feed.subscribe() as stays:
            async with feed.subscribe() as reader:
                [status] = await until(reader, named("status"))
            await until(stays, named("status"))
            await write(db, VIEWS)
            wanted = of(documents_of(VIEWS))
            await all_told(stays, wanted)
            async with feed.subscribe(status.id) as back:
                _, change = await until(back, named("change"))
                assert change.data["collections"] == wanted
            async with feed.subscribe(change.id) as again:
                _, nothing = await until(again, named("change"))
                assert (nothing.data["collections"], nothing.id) == ({}, change.id)
            async with feed.subscribe("of.another.feed") as stranger:
                _, reset = await until(stranger, named("reset"))
                assert reset.id == change.id


async def test_while_nobody_reads_nothing_is_asked_and_what_changes_then_is_not_lost(
    server: MongoServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_AFTER_S", 0.0)
    asked = Asked()
    async with opened(at(server, settings)) as others:
        await schema.ensure(others)
        monitoring._LISTENERS.command_listeners.append(asked)  # which is that of every client made from now on
        try:
            async with opened(at(server, settings)) as db, running(db) as feed:
                assert asked.commands == [], "nobody has read yet"
                async with feed.subscribe() as reader:
                    [status] = await until(reader, named("status"))
                async with asyncio.timeout(PATIENCE_S):
                    await feed.at_rest.wait()
                count = len(asked.commands)
                assert count > 0
                await write(others, VIEWS)
                await asyncio.sleep(3 * sources.LOOK_EVERY_S)
                assert len(asked.commands) == count, asked.commands[count:]
                async with feed.subscribe(status.id) as back:
                    assert await all_told(back, of(documents_of(VIEWS))) == of(documents_of(VIEWS))
        finally:
            monitoring._LISTENERS.command_listeners.remove(asked)


class Asked(monitoring.CommandListener):
    """The commands that are sent, but for those of the driver's own."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Of no interest."""


async def test_a_database_without_anything_is_empty_and_no_error(settings: Settings) -> None:
    async with opened(settings) as db, running(db) as feed, feed.subscribe() as reader:
        await until(reader, named("status"))
        await fill(settings, VIEWS)
        [*_, change] = await until(reader, named("change"))
        assert change.data["collections"]


async def test_readers_are_bounded_and_all_end_with_the_feed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READERS_AT_MOST", 2)
    async with opened(settings) as db, running(db) as feed, feed.subscribe() as first, feed.subscribe() as second:
        assert feed.is_full
        with pytest.raises(TooManyReaders, match="close one, or try again later"):
            async with feed.subscribe():
                pass
        ending = asyncio.create_task(until(second, named("reset")))
        await asyncio.sleep(0)
        feed.end()
        with pytest.raises(AssertionError, match="it ended after"):
            await ending
        with pytest.raises(StopAsyncIteration):
            await first.next(PATIENCE_S)


async def test_a_bug_is_logged_and_readers_are_still_served(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    once: list[None] = []
    look = Polling._look

    async def broken(self: Polling) -> dict[str, int]:
        if not once:
            once.append(None)
            raise ZeroDivisionError
        return await look(self)

    monkeypatch.setattr(Polling, "_look", broken)
    async with opened(settings) as db, running(db) as feed, feed.subscribe() as reader:
        events = await until(reader, lambda event: event.data.get("mongodb") == "up")
    assert events[0].data["mongodb"] == "down"
    assert "this is a bug in movie-stream" in caplog.text
