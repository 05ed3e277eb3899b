"""How far a group is, told by its commits."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from movie_stream.errors import TopicMissing
from movie_stream.kafka import client, topics
from movie_stream.kafka.progress import Progress, progress_of, records_held, wait_until_counted
from movie_stream.settings import Settings


async def produce(settings: Settings, topic: str, counts: list[int]) -> None:
    producer = await client.start_producer(settings)
    try:
        for partition, count in enumerate(counts):
            for n in range(count):
                await producer.send(topic, b"%d" % n, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


async def test_it_waits_for_the_events_in_all_partitions_and_then_for_the_partials(settings: Settings) -> None:
    events, partials = settings.kafka_topic, settings.kafka_partials_topic
    await topics.ensure(settings)
    await produce(settings, events, [5, 3, 0])
    seen: list[tuple[Progress, bool]] = []
    changed = asyncio.Event()

    def see(progress: Progress, of_partials: bool) -> None:
        if (progress, of_partials) not in seen:
            seen.append((progress, of_partials))
            changed.set()

    async def until_seen(progress: Progress, of_partials: bool) -> None:
        while (progress, of_partials) not in seen:
            changed.clear()
            await changed.wait()

    worker = AIOKafkaConsumer(
        events, partials, **client.options(settings), group_id=settings.kafka_group, enable_auto_commit=False
    )
    await worker.start()
    try:
        while not worker.assignment():
            await worker.getmany(timeout_ms=100)
        waiting = asyncio.create_task(wait_until_counted(settings, see))
        await until_seen(Progress(8, 0), False)
        await produce(settings, events, [1])  # after the ends were asked for: not waited for
        await worker.commit({TopicPartition(events, 0): 6})
        await until_seen(Progress(8, 5), False)
        await produce(settings, partials, [2, 0, 2])
        await worker.commit({TopicPartition(events, 1): 3, TopicPartition(partials, 0): 2})
        await until_seen(Progress(4, 2), True)
        assert not waiting.done()
        await worker.commit({TopicPartition(partials, 2): 2})
        await waiting
    finally:
        await worker.stop()
    assert (seen[-1][0].lag, seen[-1][1]) == (2, True)
    async with client.reader(settings) as reader, client.admin(settings) as admin:
        assert await progress_of(settings, reader, admin, events, 3) == Progress(9, 9)
        assert (await progress_of(settings, reader, admin, partials, 3)).lag == 0


async def test_an_empty_topic_is_counted_at_once(settings: Settings) -> None:
    await topics.ensure(settings)
    seen: list[Progress] = []
    await wait_until_counted(settings, lambda progress, _: seen.append(progress))
    assert seen == []


async def test_how_many_records_a_topic_holds(settings: Settings) -> None:
    with pytest.raises(TopicMissing):
        await records_held(settings, settings.kafka_topic)
    await topics.ensure(settings)
    assert await records_held(settings, settings.kafka_topic) == 0
    await produce(settings, settings.kafka_topic, [4, 0, 7])
    assert await records_held(settings, settings.kafka_topic) == 11
