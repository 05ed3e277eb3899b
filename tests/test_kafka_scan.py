"""Whole partitions, from either end."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition

from movie_stream.kafka import scan
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.scan import newest_first, oldest_first
from movie_stream.settings import Settings


async def test_both_ends_bring_the_same_records(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_BLOCK_BYTES", 20_000)
    await topics.ensure(settings)
    place = TopicPartition(settings.kafka_topic, 0)
    producer = await client.start_producer(settings, linger_ms=1)
    for n in range(1_000):
        await producer.send(place.topic, b"%d" % n + b"x" * (n % 90), key=b"k", partition=0)
    await producer.stop()
    async with client.reader(settings) as reader:
        for start, end in ((0, 1_000), (3, 997), (500, 501), (7, 7)):
            blocks = [block async for block in newest_first(reader, place, start, end, block=10)]
            backwards = [record.offset for block in blocks for record in block]
            assert backwards == list(range(start, end))[::-1]
            forwards = [r.offset async for some in oldest_first(reader, place, start, end) for r in some]
            assert forwards == list(range(start, end))
        sizes = [len(block) async for block in newest_first(reader, place, 0, 1_000, block=10)]
        assert sizes[0] == 10, "whoever wants only a few waits for no more"
        assert max(sizes) < 150, "and whoever wants all never holds more than fits"
