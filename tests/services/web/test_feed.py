"""What changes in the results, from a change stream and by polling; MongoDB restarts, hangs and is away."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import monitoring
from pymongo.errors import OperationFailure

from movie_stream.aggregates.results import RESULTS
from movie_stream.mongo import schema
from movie_stream.mongo.client import Database, opened
from movie_stream.settings import Settings
from movie_stream.web import feed as module
from movie_stream.web import sources
from movie_stream.web.coalesced import Event
from movie_stream.web.feed import Feed, Reader, TooManyReaders
from movie_stream.web.sources import ChangeStream, Polling
from tests.support.mongo_server import MongoServer
from tests.support.web_fixture import documents_of, events, fill, write
from tests.support.whole_path import PATIENCE_S

VIEWS = events(40)


@pytest.fixture(params=["polling", "change stream"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MongoServer]:
    """A mongod of the test's own: alone, and as a replica set."""
    with MongoServer(tmp_path, replica_set=request.param == "change stream") as running:
        yield running


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
    """What is told until it is all that is wanted."""
    counted = Counter[str]()

    def enough(event: Event) -> bool:
        counted.update(told([event]))
        return counted >= wanted

    await until(reader, enough)
    return counted


async def test_all_readers_are_told_which_results_change(server: MongoServer, settings: Settings) -> None:
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


def heartbeat(name: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    known = {"host": "h", "pid": 1, "version": "9", "group": "g", "state": "running", "partitions": []}
    return {"_id": name, **known, "started": now, "seen": now}


async def test_who_comes_back_is_told_what_he_has_missed(server: MongoServer, settings: Settings) -> None:
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


async def test_a_restart_of_mongodb_is_told_and_nothing_is_lost(
    server: MongoServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    changed: list[None] = []
    async with opened(at(server, settings)) as db:
        await schema.ensure(db)
        async with running(db, changed=lambda: changed.append(None)) as feed, feed.subscribe() as reader:
            [status] = await until(reader, named("status"))
            with caplog.at_level(logging.WARNING, "movie_stream"):
                server.kill()
                await until(reader, lambda event: event.data.get("mongodb") == "down")
                before = len(changed)
                async with feed.subscribe(status.id) as late:
                    [down] = await until(late, named("status"))
                    assert (down.data["mongodb"], down.id) == ("down", None)
                server.start()
                await asyncio.to_thread(server.wait_until_ready)
                await write(db, VIEWS)
                back = await until(reader, lambda event: event.data.get("mongodb") == "up")
                assert len(changed) > before
                if server._replica_set:
                    assert await all_told(reader, of(documents_of(VIEWS))) == of(documents_of(VIEWS))
                else:  # its counters began afresh
                    assert [event.name for event in (*back, *await until(reader, named("reset")))][-1] == "reset"
            said = [record.getMessage() for record in caplog.records if record.name == module.__name__]
            assert len(said) == 1, said
            assert said[0].startswith("changes cannot be followed, tries again: no MongoDB answers at ")


async def test_a_mongodb_that_hangs_is_down_and_goes_on_where_it_was(
    server: MongoServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ANSWER_WITHIN_S", 1.0)
    async with opened(at(server, settings)) as db:
        await schema.ensure(db)
        async with running(db) as feed, feed.subscribe() as reader:
            await until(reader, named("status"))
            with server.paused():
                await until(reader, lambda event: event.data.get("mongodb") == "down")
            events = await until(reader, lambda event: event.data.get("mongodb") == "up")
            await db["_workers"].insert_one(heartbeat("a"))
            events += await until(reader, named("change"))
            assert "reset" not in {event.name for event in events}


async def test_a_stream_whose_past_is_gone_is_followed_from_now(tmp_path: Path, settings: Settings) -> None:
    with MongoServer(tmp_path, replica_set=True) as server:
        async with opened(at(server, settings)) as db:
            await schema.ensure(db)
            source = ChangeStream(db, ["_workers"])
            await source.seen()
            await source.rest()
            server.fails_once("aggregate", errorCode=286)  # ChangeStreamHistoryLost
            seen = await source.seen()
            assert seen.lost
            await db["_workers"].insert_one(heartbeat("a"))
            async with asyncio.timeout(PATIENCE_S):
                while not (seen := await source.seen()).writes:
                    assert not seen.lost
            assert seen.documents == [("_workers", "a")]
            await db.client.drop_database(db.name)
            async with asyncio.timeout(PATIENCE_S):
                while not (seen := await source.seen()).lost:
                    pass
            await source.rest()


async def test_without_the_right_to_a_change_stream_it_asks_again_and_again(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OperationFailure("not authorized", 13)

    with MongoServer(tmp_path, replica_set=True) as server:
        async with opened(at(server, settings)) as db:
            await schema.ensure(db)
            monkeypatch.setattr(type(db.delegate), "watch", refused)
            async with running(db) as feed, feed.subscribe() as reader:
                [status] = await until(reader, named("status"))
                assert status.data == {"source": "polling", "mongodb": "up"}
                await db["_workers"].insert_one(heartbeat("a"))
                await until(reader, named("change"))


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


async def test_what_is_a_bug_is_logged_and_does_not_leave_readers_alone(
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
