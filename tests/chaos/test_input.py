"""Input: floods of bad records, idle partitions, a producer that dies in the middle of a file."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.kafka.cluster import client, topics
from movie_stream.settings import Settings
from tests.chaos.fleet import crashing, until
from tests.chaos.scenario import TIMEOUT_S, on_both_when_asked
from tests.chaos.stage import Kind, Stage
from tests.chaos.stream import BEGIN_MS
from tests.services.kafka import test_headers as headers
from tests.services.kafka import test_transactions as transactions
from tests.support import waiting
from tests.support.input.odd_records import plain
from tests.support.kafka_server import KafkaServer
from tests.support.whole_path import command, records, started, succeed

pytestmark = pytest.mark.timeout(TIMEOUT_S)

DAY_MS = 86_400_000


@on_both_when_asked
def test_half_of_the_stream_is_bad_and_workers_die(kind: Kind, tmp_path: Path) -> None:
    """And a thousand broken records in a row: every one is a dead letter, and the views among them count."""
    with Stage("half of the stream is bad", kind, tmp_path) as stage:
        asyncio.run(_send(stage, [b"{broken %d" % n for n in range(1_000)]))
        with stage.producing(stage.stream(bad=0.5), 10_000) as views:
            stage.fleet.fill(2)
            until(stage.owned, "all partitions are owned")
            while not views.done:
                stage.pause(2, 6)
                worker = stage.rng.choice(stage.fleet.alive)
                stage.fault(f"kill -9 of {worker.name}")
                worker.kill()
                stage.fleet.fill(2)
            views.wait()
            stage.recover()
            stage.leave()
            assert stage.verdict() >= 301_000


async def _send(stage: Stage, values: list[bytes], partition: int = 0) -> None:
    producer = await client.start_producer(stage.settings)
    try:
        for value in values:
            await producer.send(stage.settings.kafka_topic, value, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


@on_both_when_asked
def test_idle_partitions_wake_up_after_days(kind: Kind, tmp_path: Path) -> None:
    """Two of three partitions are silent for days of event time, then have a view that is still in time for them.

    The windows that it belongs to have left the memory long ago.
    """
    with Stage("two of three partitions idle for days", kind, tmp_path) as stage:
        users = [f"user_{n}" for n in range(600) if _partition(f"user_{n}") == 0]
        sleepers = [f"sleeper_{n}" for n in range(3_000) if _partition(f"sleeper_{n}") != 0]
        stage.fleet.start(crashing())  # without a crash; it keeps few rows in memory
        views = [_view(user, BEGIN_MS + 3_600_000 + n * 1_000) for n, user in enumerate(sleepers)]
        asyncio.run(_send_by_user(stage, views))
        days = 6
        busy = [
            _view(users[n % len(users)], BEGIN_MS + 3_600_000 + n * days * DAY_MS // 300_000) for n in range(300_000)
        ]
        sizes = []
        for at in range(0, len(busy), 100_000):
            asyncio.run(_send_by_user(stage, busy[at : at + 100_000]))
            stage.recover()
            sizes.append(psutil.Process(stage.fleet.alive[0].process.pid).memory_info().rss >> 20)
        stage.say(f"memory after each two days: {sizes} MB")
        stage.fault("kill -9")
        stage.fleet.alive[0].kill()
        stage.fleet.start(crashing())
        views = [_view(user, BEGIN_MS + 3_600_000 + n * 1_700) for n, user in enumerate(sleepers) if n % 7 == 0]
        asyncio.run(_send_by_user(stage, views))
        stage.recover()
        stage.leave()
        stage.verdict()
        assert sizes[2] < sizes[1] * 1.3 + 20, "memory grows with the days"
        letters = records(stage.settings, stage.settings.dead_letters_topic)
        assert not any(letters), "the views of those who slept were in time"


def _partition(user: str) -> int:
    return int(partitions_of([user.encode()], 3)[0])


def _view(user: str, time_ms: int) -> dict[str, object]:
    number = time_ms // 1_000
    return {
        "movie_id": f"m{number % 97}",
        "title": f"Film {number % 97}",
        "genre": ("Drama", "Comedy", "Horror")[number % 3],
        "user_id": user,
        "timestamp": time_ms,
        "rating": number % 11 / 2,
        "duration": number % 90,
    }


async def _send_by_user(stage: Stage, views: list[dict[str, object]]) -> None:
    producer = await client.start_producer(stage.settings)
    try:
        for view in views:
            key = str(view["user_id"]).encode()
            await producer.send(stage.settings.kafka_topic, json.dumps(view).encode(), key=key)
        await producer.flush()
    finally:
        await producer.stop()


@on_both_when_asked
def test_the_producer_is_killed_in_the_middle_of_a_file(kind: Kind, tmp_path: Path) -> None:
    """Again and again, and resumed: all of the file is there, once, and counted."""
    with Stage("the producer killed -9 and resumed", kind, tmp_path) as stage:
        stream = stage.stream(bad=0.0, latest=timedelta(minutes=30))
        file = tmp_path / "views.csv"
        with file.open("w") as written:
            stream.write_csv(written)
        stage.fleet.fill(1)
        until(stage.owned, "all partitions are owned")
        arguments = ("produce", "--file", str(file), "--rate", "20000", "--resume")
        for attempt in range(20):
            with started(stage.settings, *arguments, log=tmp_path / f"produce{attempt}.log") as producer:
                stage.pause(1.5, 4)
                if producer.poll() is not None:
                    break
                stage.fault("kill -9 of the producer")
        else:
            stage.command(*arguments)
        stage.recover()
        stage.leave()
        assert stage.verdict() == stream.count, "views are missing, or were sent twice"


@pytest.mark.chaos
async def test_a_transaction_is_open_for_longer_than_a_partition_may_stand_still(
    settings: Settings, tmp_path: Path
) -> None:
    """Its records, and those behind it, count after its end; the worker is one as users run it."""
    log = tmp_path / "worker.log"
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        await asyncio.to_thread(succeed, there, "init")
        await transactions.views(there, 10)
        async with transactions.transactional(there) as producer:
            with started(there, "worker", log=log) as worker:
                await asyncio.to_thread(waiting.until, lambda: transactions.counted(there) == 10, log, worker)
                await transactions.begin(producer, there)
                await transactions.views(there, 10)
                await asyncio.to_thread(transactions.live_on, worker, log, 100.0)
                assert transactions.counted(there) == 10
                await producer.commit_transaction()
                await asyncio.to_thread(waiting.until, lambda: transactions.counted(there) == 21, log, worker)


@pytest.mark.chaos
async def test_a_batch_whose_checksum_is_wrong_is_named_and_ends_workers_alone(
    settings: Settings, tmp_path: Path
) -> None:
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        await topics.ensure(there)
        for _ in range(2):
            await headers.send(there, there.kafka_topic, [(b"u", plain(number=n), []) for n in range(3)])
        [segment] = (tmp_path / "kafka").glob(f"data/{there.kafka_topic}-0/*.log")
        with segment.open("r+b") as written:
            written.seek(-5, 2)
            written.write(b"\xff")
        what = "before offset 6: a record batch is damaged (its checksum is wrong)"
        damaged = f"{there.kafka_topic}, partition 0, {what}"
        made = command(there, "generate", "--to-topic", "--count", "5")
        assert (made.returncode, made.stderr.count(damaged)) == (0, 1), made.stderr
        assert f"{damaged}; passed over" in made.stderr
        ended = command(there, "worker", "--until-end")
        [line] = ended.stderr.splitlines()
        assert (ended.returncode, line.startswith(f"error: {damaged}; have the topic's records up")) == (1, True), line
        # What stands before it stays counted when the remedy is taken.
        async with client.admin(there) as admin:
            await admin.delete_records({TopicPartition(there.kafka_topic, 0): RecordsToDelete(before_offset=6)})
        succeed(there, "worker", "--until-end")
        assert transactions.counted(there) == 3 + 5
