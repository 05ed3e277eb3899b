"""The heartbeats of workers, and how they are read; a MongoDB that is away disturbs nobody."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson.int64 import Int64
from pymongo.errors import WriteError

from movie_stream import __version__
from movie_stream.commands.show import workers as show_workers
from movie_stream.mongo import schema, workers
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from tests.services.test_strangers import doctor
from tests.support.in_process import initialize
from tests.support.whole_path import PATIENCE_S, database, started, succeed

NOON = datetime(2024, 10, 31, 12, tzinfo=UTC)
HELD = (
    workers.OwnedPartition("views", 0, 7, 3, NOON),
    workers.OwnedPartition("partials", 2, 0, None, None),
)


async def eventually(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(1_000_000):
            if await holds():
                return
            await asyncio.sleep(0.01)


async def test_a_worker_is_read_as_it_was_written_and_is_gone_when_it_ends(settings: Settings) -> None:
    async with opened(settings) as db:
        await schema.ensure(db)
        standing = workers.WorkerStatus("g", "starting")
        heartbeat = workers.Heartbeat(db, lambda: standing, host="h", pid=4)
        beating = asyncio.create_task(heartbeat.run())
        try:
            await eventually(lambda: workers.seen(db))
            refused = {"title: not UTF-8 (byte ...)": 2, "$where.late": 2**40}
            standing = workers.WorkerStatus("g", "running", 12, NOON, HELD, 2**40, refused, 212.5)
            heartbeat.send_now()

            async def runs() -> bool:
                return (await workers.seen(db))[0].status == standing

            await eventually(runs)
            [worker] = await workers.seen(db, "g")
            assert (worker.host, worker.pid, worker.version, worker.silent) == ("h", 4, __version__, False)
            assert worker.id.startswith("h-4-")
            assert await workers.seen(db, "another group") == []
            await db["_workers"].update_one({}, [{"$set": {"seen": {"$subtract": ["$$NOW", 20_000]}}}])
            [worker] = await workers.seen(db)
            assert worker.silent
            assert worker.age >= timedelta(seconds=20)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        await heartbeat.end()
        assert await workers.seen(db) == []


async def test_a_worker_of_another_version_is_read_as_far_as_it_is_known(settings: Settings) -> None:
    now = datetime.now(UTC)
    known = {"host": "h", "pid": 1, "version": "9", "group": "g", "started": now, "state": "draining", "seen": now}
    newer = {"topic": "views", "partition": 0, "position": Int64(7), "lag": None, "watermark": NOON, "epoch": 3}
    older = {"topic": "views", "partition": 1}
    async with opened(settings) as db:
        await db["_workers"].insert_one(
            {"_id": "a", **known, "flushes": 9, "partitions": [newer, older, {"shard": "s"}]},
        )
        await db["_workers"].insert_one({"_id": "b"})
        by_id = {worker.id: worker for worker in await workers.seen(db)}
        rows = await show_workers.answer(db, settings.kafka_group, 10)
    assert by_id["a"].status.partitions == (
        workers.OwnedPartition("views", 0, 7, None, NOON),
        workers.OwnedPartition("views", 1, 0),
    )
    assert (by_id["a"].silent, by_id["b"].silent) == (False, True)
    assert str(by_id["b"]) == "unknown, process 0"
    assert [row["partitions"] for row in rows.rows] == ["views 0-1"]


async def test_a_worker_reports_a_bounded_number_of_reasons(settings: Settings) -> None:
    refused = {f"reason {number}": number for number in range(1_000)}
    async with opened(settings) as db:
        await schema.ensure(db)
        heartbeat = workers.Heartbeat(db, lambda: workers.WorkerStatus("g", "running", refused=refused))
        beating = asyncio.create_task(heartbeat.run())
        try:
            await eventually(lambda: workers.seen(db))
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        [worker] = await workers.seen(db)
    assert worker.status.refused == {f"reason {number}": number for number in range(900, 1_000)}


@pytest.mark.parametrize(
    "more", [{}, {"events": 7, "refused": {}, "delay_ms": None}, {"events": None, "delay_ms": 3, "flushes": [1]}]
)
async def test_the_validator_takes_documents_of_older_and_newer_workers(
    settings: Settings, more: dict[str, Any]
) -> None:
    now = datetime.now(UTC)
    known = {"host": "h", "pid": 1, "version": "9", "group": "g", "started": now, "state": "running", "seen": now}
    async with opened(settings) as db:
        await schema.ensure(db)
        await db["_workers"].insert_one({"_id": "a", **known, "partitions": [], **more})
        [worker] = await workers.seen(db)
        assert (worker.status.events, worker.status.refused) == (more.get("events"), {})
        with pytest.raises(WriteError, match="failed validation"):
            await db["_workers"].update_one({"_id": "a"}, {"$set": {"events": -1}})


async def test_a_heartbeat_of_the_future_keeps_nobody_out(settings: Settings) -> None:
    later = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": 259_200}}
    known = {"host": "h", "pid": 1, "version": "9", "started": NOON, "state": "running", "partitions": []}
    async with opened(settings) as db:
        await db["_workers"].update_one(
            {"_id": "a"}, [{"$replaceWith": {"_id": "a", **known, "group": "other", "seen": later}}], upsert=True
        )
        [worker] = await workers.seen(db)
        assert worker.silent
        assert worker.silence.startswith("last heard of 2")
        assert worker.silence.endswith(" s ahead of MongoDB's clock")
        await workers.require_sole_group(db, settings.kafka_group)
        await db["_workers"].update_one({"_id": "a"}, [{"$set": {"seen": {"$add": ["$$NOW", 5_000]}}}])
        with pytest.raises(workers.DatabaseShared):
            await workers.require_sole_group(db, settings.kafka_group)


async def test_a_mongodb_that_is_away_is_logged_once_and_raises_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT_EVERY", timedelta(seconds=0.01))
    monkeypatch.setattr(workers, "_WRITTEN_WITHIN_S", 0.05)
    nowhere = settings.with_services(
        bootstrap_servers=settings.require_broker(), mongodb_uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=30"
    )
    looked: list[None] = []

    def look() -> workers.WorkerStatus:
        looked.append(None)
        return workers.WorkerStatus("g", "running")

    async with opened(nowhere) as db:
        heartbeat = workers.Heartbeat(db, look)
        beating = asyncio.create_task(heartbeat.run())

        async def thrice() -> bool:
            return len(looked) > 3

        with caplog.at_level(logging.WARNING, "movie_stream"):
            await eventually(thrice)
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            await heartbeat.end()
    [line] = [record.getMessage() for record in caplog.records if record.name == workers.__name__]
    assert line.startswith(
        "could not write to _workers where this worker stands, which disturbs nothing else: no MongoDB"
    )


@pytest.mark.timeout(240)
def test_a_real_worker_is_known_as_long_as_it_runs(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    initialize(settings)
    succeed(settings, "generate", "--to-topic", "--count", "90", "--bad-fraction", "0.1")
    with started(settings, "worker", log=log) as worker, database(settings) as db:
        deadline = time.monotonic() + PATIENCE_S
        all_flushed = {"events": {"$gt": 0}, "delay_ms": {"$gt": 0}, "last_flush": {"$ne": None}}
        while not (found := db["_workers"].find_one(all_flushed)):
            assert worker.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        assert found.keys() == {
            *("_id", "host", "pid", "version", "group", "run", "started", "seen", "last_flush", "state", "partitions"),
            *("events", "refused", "delay_ms", "rules"),
        }
        assert (found["events"] + sum(found["refused"].values()), len(found["refused"])) == (90, 6)
        assert found["delay_ms"] > 0
        assert (found["pid"], found["group"], found["state"]) == (worker.pid, settings.kafka_group, "running")
        assert isinstance(found["run"], Int64)
        assert {(held["topic"], held["partition"]) for held in found["partitions"]} == {
            (topic, partition)
            for topic in (settings.kafka_topic, settings.kafka_partials_topic)
            for partition in range(3)
        }
        [said] = [row.what for row in asyncio.run(doctor(settings)).rows if row.check == "heartbeats"]
        assert said == f"{found['host']}, process {worker.pid}: running, partitions: 6"
        now = datetime.now(UTC)
        db["_workers"].insert_many(
            [
                found | {"_id": "old", "host": "old", "version": "0.0.1", "seen": now},
                found | {"_id": "idle", "host": "idle", "state": "waiting for partitions", "seen": now},
                found | {"_id": "lost", "host": "lost", "seen": now - timedelta(seconds=20)},
            ]
        )
        rows = [row for row in asyncio.run(doctor(settings)).rows if row.check == "heartbeats"]
        assert {row.state for row in rows} == {"warn"}
        text = "; ".join(row.what for row in rows)
        assert f"of another version than {__version__}: old, process {worker.pid}: 0.0.1" in text
        assert f"without partitions: idle, process {worker.pid}" in text
        assert f"lost, process {worker.pid}: not heard of for " in text
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0, log.read_text()
        assert db["_workers"].find_one({"_id": found["_id"]}) is None
