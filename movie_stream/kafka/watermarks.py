"""How far the time of each source partition is, by the checkpoints of the workers."""

from __future__ import annotations

from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from movie_stream.errors import ChangelogError
from movie_stream.kafka import client, offsets
from movie_stream.kafka.scan import newest_first
from movie_stream.kafka.topics import Topics
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import BrokenChangelog, Cursor, decode


async def watermarks(settings: Settings, reader: AIOKafkaConsumer, partitions: int, run: int) -> dict[int, int]:
    """The watermark of each partition that has one in this run, in milliseconds, as its last checkpoint has it.

    A forecast: counting may have gone on since. Changes what the reader is assigned. Raises ChangelogError.
    """
    found = await last_cursors(settings, reader, partitions, lambda text: text.startswith(f"{run}:"))
    return {partition: at.watermark_ms for partition, at in found.items() if at.watermark_ms is not None}


async def last_cursors(
    settings: Settings, reader: AIOKafkaConsumer, partitions: int, is_meant: Callable[[str], bool]
) -> dict[int, Cursor]:
    """By source partition the last checkpoint of a run that is meant, where there is one.

    Changes what the reader is assigned. Raises ChangelogError.
    """
    changelog = Topics.of(settings).accumulate_changelog
    places = [TopicPartition(changelog, partition) for partition in range(partitions)]
    found = {}
    with client.explained(settings, f"reading {changelog}"):
        for place in places:
            cursor = await _last(reader, place, is_meant)
            if cursor is not None:
                found[place.partition] = cursor
    return found


async def _last(reader: AIOKafkaConsumer, place: TopicPartition, is_meant: Callable[[str], bool]) -> Cursor | None:
    while True:
        start = (await offsets.beginnings(reader, [place]))[place]
        end = (await offsets.ends(reader, [place]))[place]
        try:
            return await _last_before(reader, place, start, end, is_meant)
        except OffsetOutOfRangeError:  # a worker has cut its changelog meanwhile, behind a newer checkpoint
            continue


async def _last_before(
    reader: AIOKafkaConsumer, place: TopicPartition, start: int, end: int, is_meant: Callable[[str], bool]
) -> Cursor | None:
    async for records in newest_first(reader, place, start, end, block=1):  # the last record is a cursor, mostly
        for record in records:
            try:
                entry = decode(record.value)
            except BrokenChangelog as error:
                raise ChangelogError(
                    topic=place.topic, partition=place.partition, expected="checkpoints", got=str(error)
                ) from error
            if isinstance(entry, Cursor) and is_meant(entry.run):
                return entry
    return None
