"""A partition as a log, on the real broker: order, offsets, ends, and what a broker without DeleteRecords does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from movie_stream.errors import BrokerUnreachable
from movie_stream.kafka import log as log_module
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.kafka.log import DELETION_ATTEMPTS, Broker, KafkaLog
from movie_stream.settings import Settings
from movie_stream.tables.log import LogTruncated


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Broker]:
    """A broker with the topics of these settings."""
    await topics.ensure(settings)
    producer = await client.start_producer(settings)
    try:
        async with client.admin(settings) as admin:
            yield Broker(settings, producer, admin)
    finally:
        await producer.stop()


async def read(log: KafkaLog, start: int | None = None, until: int | None = None) -> list[tuple[int, bytes | None]]:
    return [record async for record in log.read(start, until)]


async def end_of(settings: Settings, topic: str, partition: int = 0) -> int:
    place = TopicPartition(topic, partition)
    async with client.reader(settings) as reader:
        return (await offsets.ends(reader, [place]))[place]


async def test_appended_records_are_read_in_order_at_their_offsets(settings: Settings) -> None:
    values = [b"%d" % n for n in range(500)]
    async with connected(settings) as broker:
        log = KafkaLog(broker, Topics.of(settings).accumulate_changelog, 1)
        assert await read(log) == []
        assert await log.append(values[:1]) == [0]
        assert await log.append(values[1:]) == list(range(1, 500))
        assert await log.append([]) == []
        assert await read(log) == list(enumerate(values))
        assert await read(log, 490) == [(n, values[n]) for n in range(490, 500)]
        assert await read(log, None, 3) == [(n, values[n]) for n in range(3)]
        assert await read(log, 100, 102) == [(100, b"100"), (101, b"101")]
        assert await read(log, 500, 500) == []
        assert await read(KafkaLog(broker, Topics.of(settings).accumulate_changelog, 0)) == []


async def test_no_more_than_some_is_on_its_way(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SENT_AT_ONCE", 40)
    values = [b"%d" % n for n in range(500)]
    async with connected(settings) as broker:
        under_way, most = 0, 0
        send = broker.producer.send_batch

        async def counted(batch: Any, topic: str, **more: Any) -> asyncio.Future[Any]:
            nonlocal under_way, most
            records = batch.record_count()
            under_way, most = under_way + records, max(most, under_way + records)
            acknowledged = await send(batch, topic, **more)

            def done(_: object) -> None:
                nonlocal under_way
                under_way -= records

            acknowledged.add_done_callback(done)
            return acknowledged

        monkeypatch.setattr(broker.producer, "send_batch", counted)
        log = KafkaLog(broker, Topics.of(settings).accumulate_changelog, 1)
        assert await log.append(values) == list(range(500))
        assert await read(log) == list(enumerate(values))
    assert 10 < most <= 40


async def test_several_writers_and_readers_of_one_log_see_the_same(settings: Settings) -> None:
    async with connected(settings) as broker:
        log = KafkaLog(broker, Topics.of(settings).publish_changelog, 0)
        got = await asyncio.gather(*(log.append([b"%d-%d" % (writer, n) for n in range(20)]) for writer in range(3)))
        found = await asyncio.gather(read(log), read(log))
        assert found[0] == found[1]
        assert [offset for offset, _ in found[0]] == list(range(60))
        by_offset = dict(found[0])
        for writer, places in enumerate(got):
            assert places == sorted(places)
            assert [by_offset[place] for place in places] == [b"%d-%d" % (writer, n) for n in range(20)]


async def test_the_end_is_right_after_a_batch_of_many(settings: Settings) -> None:
    topic = Topics.of(settings).partials
    async with connected(settings) as broker:
        batch = broker.producer.create_batch()
        for n in range(7):
            batch.append(key=None, value=b"%d" % n, timestamp=None)
        await (await broker.producer.send_batch(batch, topic, partition=0))
        assert await end_of(settings, topic) == 7
        assert len(await read(KafkaLog(broker, topic, 0))) == 7
        await broker.send(topic, 0, [b"one more"])
        assert await end_of(settings, topic) == 8


async def test_a_record_of_900_kb_is_written_and_read_back(settings: Settings) -> None:
    large = bytes(range(256)) * 3_600
    async with connected(settings) as broker:
        log = KafkaLog(broker, Topics.of(settings).accumulate_changelog, 0)
        assert await log.append([b"small", large, b"small"]) == [0, 1, 2]
        assert await read(log, 1, 2) == [(1, large)]


@pytest.mark.parametrize(("key", "value"), [(None, None), (b"k", None), (None, b"v"), (b"", b"")])
async def test_any_record_can_be_sent_with_headers(settings: Settings, key: bytes | None, value: bytes | None) -> None:
    topic = Topics.of(settings).dead_letters
    async with connected(settings) as broker:
        await (await broker.send_record(topic, 2, key, value, [("reason", b"because")]))
        async with client.reader(settings) as reader:
            reader.assign([TopicPartition(topic, 2)])
            reader.seek(TopicPartition(topic, 2), 0)
            record = await reader.getone()
    assert (record.key, record.value, record.headers) == (key, value, (("reason", b"because"),))


async def test_a_broker_that_cannot_delete_is_asked_a_few_times_and_stays_usable(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(settings) as broker:
        logs = [KafkaLog(broker, Topics.of(settings).accumulate_changelog, partition) for partition in range(2)]
        await asyncio.gather(*(log.append([b"a", b"b"]) for log in logs))
        with caplog.at_level(logging.WARNING, "movie_stream"):
            for _ in range(DELETION_ATTEMPTS):
                await asyncio.gather(*(log.delete_before(1) for log in logs))
        [warning] = [record.message for record in caplog.records if record.name.startswith("movie_stream")]
        assert warning.startswith("the broker does not delete records (")
        assert warning.endswith("closed): the topics of this group only grow"), "it did not ask for a right"
        monkeypatch.setattr(broker, "admin", None)
        await logs[0].delete_before(1)
        assert await logs[0].append([b"c"]) == [2]
        assert await read(logs[0]) == [(0, b"a"), (1, b"b"), (2, b"c")]


async def test_a_worker_that_may_not_delete_says_what_right_it_lacks(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing:
        """As Apache Kafka answers; the embedded broker has no ACLs."""

        async def delete_records(self, _: object) -> None:
            raise TopicAuthorizationFailedError()

    nothing: Any = None
    refusing: Any = Refusing()
    broker = Broker(Settings(), nothing, refusing)
    for _ in range(DELETION_ATTEMPTS):
        await broker.delete_before("views", 0, 1)
    [warning] = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.endswith("only grow; give this worker's user Delete on views")


async def test_reading_from_before_the_oldest_record_is_a_cut_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The embedded broker deletes nothing, so only what it says of the beginning is made up here.
    async def beginnings(_: object, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 5)

    async with connected(settings) as broker:
        log = KafkaLog(broker, Topics.of(settings).accumulate_changelog, 0)
        await log.append([b"%d" % n for n in range(8)])
        monkeypatch.setattr(offsets, "beginnings", beginnings)
        with pytest.raises(LogTruncated, match="cut at 5, asked for 2"):
            await read(log, 2)
        assert await read(log) == [(n, b"%d" % n) for n in range(5, 8)]


async def test_a_broker_that_is_not_there_is_one_line() -> None:
    nowhere = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    with pytest.raises(BrokerUnreachable, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        await client.start_producer(nowhere)
    for opened in (client.admin, client.reader):
        with pytest.raises(BrokerUnreachable, match="movie-stream services"):
            async with opened(nowhere):
                pass
