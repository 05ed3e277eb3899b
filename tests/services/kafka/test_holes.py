"""A reader at the end of a partition that several producers write to, at a broker that stores batches out of order."""

from __future__ import annotations

import asyncio
import random

from aiokafka import TopicPartition

from movie_stream.kafka.batches.holes import HOLES
from movie_stream.kafka.cluster import client, topics
from movie_stream.settings import Settings

PRODUCERS, RECORDS, BYTES = 6, 1_000, 20_000
"""Without an answer to it, a few of so many records are passed over."""


async def write(settings: Settings, place: TopicPartition, number: int, acknowledged: dict[int, bytes]) -> None:
    """Each record once the one before it is acknowledged."""
    chance, producer = random.Random(number), await client.start_producer(settings, linger_ms=0)
    try:
        for n in range(RECORDS):
            value = b"%d-%d" % (number, n)
            padded = value + b" " * chance.randrange(BYTES)
            sent = await producer.send_and_wait(place.topic, padded, partition=place.partition)
            acknowledged[sent.offset] = value
    finally:
        await producer.stop()


async def read(settings: Settings, place: TopicPartition) -> list[tuple[int, bytes]]:
    """The records of all producers, while they are written."""
    found = list[tuple[int, bytes]]()
    async with client.reader(settings) as reader:
        reader.assign([place])
        reader.seek(place, 0)
        while await reader.position(place) < PRODUCERS * RECORDS:
            for records in (await reader.getmany(timeout_ms=100)).values():
                found += [(record.offset, record.value.strip()) for record in records]
    return found


async def test_a_reader_gets_all_that_several_producers_write_at_once(settings: Settings) -> None:
    await topics.ensure(settings)
    await (await client.start_producer(settings)).stop()
    assert HOLES.waits, "at a broker without idempotent producers"
    place, acknowledged = TopicPartition(settings.kafka_partials_topic, 1), dict[int, bytes]()
    reading = asyncio.create_task(read(settings, place))
    await asyncio.gather(*(write(settings, place, number, acknowledged) for number in range(PRODUCERS)))
    found = await reading
    assert [offset for offset, _ in found] == list(range(PRODUCERS * RECORDS))
    assert dict(found) == acknowledged
