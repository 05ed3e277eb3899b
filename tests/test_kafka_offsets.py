"""Where partitions begin and end, on the real broker."""

from __future__ import annotations

from aiokafka import TopicPartition

from movie_stream.kafka import client, offsets, topics
from movie_stream.settings import Settings


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
