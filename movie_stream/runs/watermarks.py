"""The watermarks of the source partitions, by the checkpoints of the workers."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer

from movie_stream.kafka.cluster.topics import Topics
from movie_stream.runs.counted import Checkpoints
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import Cursor


async def watermarks(settings: Settings, reader: AIOKafkaConsumer, partitions: int, run: int) -> dict[int, int]:
    """The watermark (ms) in the last checkpoint of each partition that has one in this run.

    Workers may have counted on since. Changes the reader's assignment. Raises ChangelogError.
    """
    furthest = await last_cursors(settings, reader, partitions, run)
    return {partition: cursor.watermark_ms for partition, cursor in furthest.items() if cursor.watermark_ms is not None}


async def last_cursors(
    settings: Settings, reader: AIOKafkaConsumer, partitions: int, run: int | frozenset[str]
) -> Mapping[int, Cursor]:
    """The furthest cursor of a run, or of all runs with one of these fingerprints, by source partition.

    Changes the reader's assignment. Raises ChangelogError.
    """
    return await Checkpoints(settings, reader, Topics.of(settings).accumulate_changelog, partitions).furthest(run)
