"""What readers are told where MongoDB restarts, hangs, or lets nobody follow its changes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from movie_stream.mongo import schema
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from movie_stream.web import feed as module
from movie_stream.web import sources
from movie_stream.web.sources import ChangeStream
from tests.support.mongo.mongo_server import MongoServer
from tests.support.web.feed_readers import all_told, at, heartbeat, named, of, running, until
from tests.support.web.serving import documents_of, events, write
from tests.support.whole_path import PATIENCE_S

VIEWS = events(40)


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
            await source.pause()
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
            await source.pause()


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
