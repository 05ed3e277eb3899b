"""Transactions of others in the topic: open, aborted, committed, in the middle and at the end of a partition."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from typer.testing import CliRunner

from movie_stream.cli import app
from movie_stream.errors import WorkerFailed
from movie_stream.kafka import log as log_module
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.log import Broker, KafkaLog
from movie_stream.kafka.offsets import Ends, OpenTransaction
from movie_stream.runs import progress
from movie_stream.runs.progress import Progress, wait_until_counted
from movie_stream.settings import Settings
from tests.services.kafka.test_headers import send as send_as_is
from tests.services.kafka.test_log import read
from tests.services.mongo.test_workers import eventually
from tests.services.test_strangers import doctor
from tests.support.kafka_server import KafkaServer
from tests.support.reference import A_VIEW
from tests.support.waiting import until
from tests.support.whole_path import PATIENCE_S, database, environment, succeed

IMPATIENT: Final = (
    "from movie_stream.agents import broker_watch, owner, partition_watch; from movie_stream.runs import progress; "
    "owner.STALLED_AFTER_S, broker_watch.WATCH_EVERY_S, progress.OPEN_AT_MOST_S = 2.0, 0.5, 0.1; "
    "partition_watch.OPEN_LOGGED_AFTER_S = 1.0; "
    "from movie_stream.cli import main; main()"
)
"""A worker that ends once a partition has not moved for two seconds, and hardly waits for a transaction's end."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def there(kafka: KafkaServer, settings: Settings) -> Settings:
    """Settings for Apache Kafka: Tansu has no transactions."""
    return settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})


@asynccontextmanager
async def transactional(settings: Settings, name: str = "t") -> AsyncIterator[AIOKafkaProducer]:
    """Of whom the broker aborts no transaction for a quarter of an hour, which is the longest by default."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.require_broker(),
        transactional_id=f"{settings.kafka_group}-{name}",
        transaction_timeout_ms=900_000,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def view(number: int) -> bytes:
    return json.dumps({**A_VIEW, "user_id": f"u{number}"}).encode()


async def views(settings: Settings, count: int) -> None:
    """So many views outside of any transaction, in partition 0."""
    producer = await client.start_producer(settings)
    try:
        for number in range(count):
            await producer.send(settings.kafka_topic, view(number), key=b"k", partition=0)
    finally:
        await producer.stop()


async def begin(producer: AIOKafkaProducer, settings: Settings, partition: int = 0, count: int = 1) -> None:
    await producer.begin_transaction()
    for number in range(count):
        await producer.send_and_wait(settings.kafka_topic, view(1_000 + number), key=b"k", partition=partition)


async def test_the_two_ends_of_a_partition(there: Settings) -> None:
    await topics.ensure(there)
    places = [TopicPartition(there.kafka_topic, partition) for partition in range(3)]
    await views(there, 10)

    async def both() -> list[Ends]:
        async with client.reader(there) as reader:
            found = await offsets.both_ends(reader, places)
            return [found[place] for place in places]

    async def become(*wanted: Ends) -> None:
        """Waits for these; markers are written after the end of a transaction is acknowledged. Then asks otherwise."""
        async with asyncio.timeout(PATIENCE_S):
            while await both() != list(wanted):
                pass
        async with client.reader(there) as reader:
            assert list((await offsets.ends(reader, places)).values()) == [end.stable for end in wanted]
            held = [(at, end) for at, end in zip(places, wanted, strict=True) if end.stable < end.written]
            assert await offsets.open_transactions(reader, places) == [
                OpenTransaction(at, end.stable, end.written - end.stable) for at, end in held
            ]
        async with client.reader(there, committed=False) as reader:
            written = await offsets.ends(reader, places, committed=False)
            assert list(written.values()) == [end.written for end in wanted]

    await become(Ends(10, 10), Ends(0, 0), Ends(0, 0))
    async with transactional(there, "a") as producer, transactional(there, "b") as other:
        await begin(producer, there)
        await begin(other, there, 1, count=3)
        await views(there, 10)
        assert await both() == [Ends(10, 21), Ends(0, 3), Ends(0, 0)], "nothing of the second can be read at all"
        await become(Ends(10, 21), Ends(0, 3), Ends(0, 0))
        await producer.commit_transaction()
        await become(Ends(22, 22), Ends(0, 3), Ends(0, 0))  # a control record has an offset too
        await other.abort_transaction()
        await become(Ends(22, 22), Ends(4, 4), Ends(0, 0))


def test_held_records_in_a_line() -> None:
    of = [OpenTransaction(TopicPartition("t", number), 5, number + 1) for number in range(5)]
    assert offsets.describe_open_transactions(of[:1]).endswith(": t, partition 0, from offset 5 on: 1 record")
    assert offsets.describe_open_transactions(of).endswith(
        "; t, partition 2, from offset 5 on: 3 records; and 2 more partitions"
    )


async def test_the_end_of_a_transaction_is_waited_for_for_a_while(
    there: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topics.ensure(there)
    await views(there, 10)
    asked = asyncio.Event()

    async def counted(settings: Settings, tables: object, db: object, ends: offsets.Offsets, _: object) -> Progress:
        """As if everything were counted at once."""
        asked.set()
        return Progress(sum(ends.values()), sum(ends.values()))

    monkeypatch.setattr(progress, "_progress", counted)
    async with transactional(there) as producer:
        await begin(producer, there)
        await views(there, 10)
        place = TopicPartition(there.kafka_topic, 0)
        monkeypatch.setattr(progress, "OPEN_AT_MOST_S", 0.1)
        assert await wait_until_counted(there) == [OpenTransaction(place, 10, 11)]
        monkeypatch.setattr(progress, "OPEN_AT_MOST_S", PATIENCE_S)
        asked.clear()
        waiting = asyncio.create_task(wait_until_counted(there))
        await asked.wait()
        await producer.commit_transaction()
        assert await waiting == [], "it went on with what could be read then"


async def test_a_log_that_stands_still_says_why_and_ends(
    there: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await topics.ensure(there)
    changelog = topics.Topics.of(there).accumulate_changelog
    words = f"{changelog}, partition 0, cannot be read from offset 1 on"
    why = "a producer's transaction is open at offset 1, though nobody but workers is to write there"
    async with transactional(there) as stranger, client.admin(there) as admin:
        producer = await client.start_producer(there)
        try:
            log = KafkaLog(Broker(there, producer, admin), changelog, 0)
            await log.append([b"a"])
            await stranger.begin_transaction()
            await stranger.send_and_wait(changelog, b"x", partition=0)
            await log.append([b"b"])
            monkeypatch.setattr(log_module, "STALL_LOGGED_AFTER_S", 0.1)
            reading = asyncio.create_task(read(log, 0, 3))

            async def said() -> bool:
                return any(line.startswith(f"{words}, so there is no") for line in caplog.messages)

            with caplog.at_level(logging.WARNING, "movie_stream"):
                await eventually(said)
            assert why in caplog.text
            assert not reading.done()
            monkeypatch.setattr(log_module, "STALL_AT_MOST_S", 0.2)
            with pytest.raises(WorkerFailed) as failed:
                await reading
            assert str(failed.value).startswith(f"the worker stops: {words} for ")
            assert why in str(failed.value)
            assert str(failed.value).endswith(offsets.ENDED_BY)
            monkeypatch.setattr(log_module, "STALL_AT_MOST_S", PATIENCE_S)
            reading = asyncio.create_task(read(log, 0, 3))
            await stranger.commit_transaction()
            assert await reading == [(0, b"a"), (1, b"x"), (2, b"b")], "it goes on once it may"
        finally:
            await producer.stop()


async def test_doctor_names_transactions_in_our_own_topics(there: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    await topics.ensure(there)
    names = topics.Topics.of(there)
    monkeypatch.setattr(progress, "LOOK_AGAIN_AFTER_S", 0.1)
    async with transactional(there, "a") as one, transactional(there, "b") as other:
        for producer, topic in ((one, names.partials), (other, names.accumulate_changelog)):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"x", partition=2)
        [found] = [row for row in (await doctor(there)).rows if row.check == "transactions"]
    for topic in (names.partials, names.accumulate_changelog):
        assert f"{topic}, partition 2, from offset 0 on: 1 record" in found.what
    assert found.state == "warn"
    assert found.remedy.endswith(f"; nobody but workers is to write to {names.accumulate_changelog}, {names.partials}")


@contextmanager
def impatient(settings: Settings, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, *arguments], env=environment(settings), stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def counted(settings: Settings) -> int:
    with database(settings) as db:
        return sum(of["total_views"] for of in db["hourly_metrics"].find())


def live_on(process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """The process does not end so soon."""
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)
    assert process.poll() is None, log.read_text()


@pytest.mark.long
async def test_what_stands_behind_an_open_transaction_counts_once_it_ends(there: Settings, tmp_path: Path) -> None:
    """First an open one, then an aborted one at the very end, which nobody can read."""
    log = tmp_path / "worker.log"
    await asyncio.to_thread(succeed, there, "init")
    await views(there, 10)
    async with transactional(there) as producer:
        await begin(producer, there)
        await views(there, 10)
        words = f"{there.kafka_topic}, partition 0, from offset 10 on: 11 records"
        with impatient(there, log, "worker", "--until-end") as worker:
            assert await asyncio.to_thread(worker.wait, PATIENCE_S) == 0, log.read_text()
        assert [words in line for line in log.read_text().splitlines() if "not all is counted" in line] == [True]
        assert counted(there) == 10
        shown = await asyncio.to_thread(CliRunner().invoke, app, ["doctor"], env=environment(there))
        said = " ".join(shown.stdout.split())
        assert "0 of 10 events wait" in said
        assert words in said
        with impatient(there, log, "worker") as worker:
            await asyncio.to_thread(until, lambda: "goes on at offset 10" in log.read_text(), log, worker)
            await asyncio.to_thread(live_on, worker, log, 3.5)
            [warning] = [line for line in log.read_text().splitlines() if words in line]  # once: it goes on
            assert "WARNING" in warning
            assert warning.endswith(offsets.ENDED_BY)
            await producer.commit_transaction()
            await asyncio.to_thread(until, lambda: counted(there) == 21, log, worker)
            await begin(producer, there, count=5)
            await producer.abort_transaction()
    await send_as_is(there, there.kafka_topic, [(b"k", view(5), [(b"\xff\xfe", None)] * 101)])
    ended = await asyncio.to_thread(succeed, there, "worker", "--until-end")
    assert "not all is counted" not in ended
    assert counted(there) == 22, "headers of any name do not matter"
