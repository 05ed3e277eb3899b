"""How far the time of each source partition is, by the checkpoints of the workers."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer

from movie_stream.kafka.counted import Checkpoints
from movie_stream.kafka.topics import Topics
from movie_stream.settings import Settings


async def watermarks(settings: Settings, reader: AIOKafkaConsumer, partitions: int, run: int) -> dict[int, int]:
    """The watermark of each partition that has one in this run, in milliseconds, as its last checkpoint has it.

    A forecast: counting may have gone on since. Changes what the reader is assigned. Raises ChangelogError.
    """
    checkpoints = Checkpoints(settings, reader, Topics.of(settings).accumulate_changelog, partitions)
    return {
        partition: cursor.watermark_ms
        for partition, cursor in (await checkpoints.furthest(run)).items()
        if cursor.watermark_ms is not None
    }
