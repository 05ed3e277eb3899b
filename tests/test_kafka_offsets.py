"""Where partitions begin and end, on the real broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.settings import Settings
from tests.kafka_server import KafkaServer


async def test_ends_are_right_whatever_the_last_batch_holds(settings: Settings) -> None:
    await topics.ensure(settings)
    empty, one, many, both = places = [TopicPartition(settings.kafka_topic, p) for p in range(3)] + [
        TopicPartition(settings.kafka_partials_topic, 0)
    ]
    producer = await client.start_producer(settings)
    try:
        for place, sizes in ((one, [1]), (many, [40]), (both, [3, 1, 12])):
            for size in sizes:
                batch = producer.create_batch()
                for n in range(size):
                    batch.append(key=b"k", value=b"%d" % n, timestamp=None)
                await (await producer.send_batch(batch, place.topic, partition=place.partition))
    finally:
        await producer.stop()
    async with client.reader(settings) as reader:
        assert await offsets.ends(reader, places) == {empty: 0, one: 1, many: 40, both: 16}
        assert await offsets.ends(reader, places[:1]) == {empty: 0}
        assert await offsets.ends(reader, places) == {empty: 0, one: 1, many: 40, both: 16}, "a reader may ask again"
        assert await offsets.beginnings(reader, places) == dict.fromkeys(places, 0)
        assert reader.paused() == {one, many, both}, "nothing is fetched in the background"
        assert reader._client._topics == {place.topic for place in places}, "nor is metadata of other topics"


async def test_ends_are_right_though_the_last_record_is_deleted_meanwhile(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        await topics.ensure(there)
        place = TopicPartition(there.kafka_partials_topic, 0)
        producer = await client.start_producer(there)
        for _ in range(5):
            await producer.send_and_wait(place.topic, b"x", partition=0)
        await producer.stop()
        async with client.reader(there) as reader, client.admin(there) as admin:
            ask = reader.beginning_offsets

            async def delete_afterwards(places: list[TopicPartition]) -> object:
                oldest = await ask(places)
                await admin.delete_records({place: RecordsToDelete(before_offset=5)})
                return oldest

            monkeypatch.setattr(reader, "beginning_offsets", delete_afterwards)
            assert await offsets.ends(reader, [place]) == {place: 5}
            assert await offsets.beginnings(reader, [place]) == {place: 5}
