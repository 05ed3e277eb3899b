"""A topic of a test's own, made and read by aiokafka alone."""

from __future__ import annotations

from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

PARTITIONS: Final = 3


async def create_topic(servers: str, topic: str) -> None:
    """Makes it, with PARTITIONS partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        await admin.close()


async def read_topic(servers: str, topic: str) -> dict[int, list[tuple[bytes, bytes, int]]]:
    """Key, value and time of every record, by partition."""
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 24
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[int, list[tuple[bytes, bytes, int]]] = {number: [] for number in range(PARTITIONS)}
        while any(len(found[place.partition]) < end for place, end in ends.items()):
            for place, records in (await consumer.getmany(timeout_ms=1_000)).items():
                found[place.partition] += [(record.key, record.value, record.timestamp) for record in records]
        return found
    finally:
        await consumer.stop()
