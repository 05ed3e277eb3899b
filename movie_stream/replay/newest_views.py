"""How far the time of the topic is: the newest view of each partition, looked up before anything is sent.

The last checkpoints of the workers tell it at once, up to where they have counted. What stands behind that, or all
where no worker of these settings has counted yet, is read; of more than can be read in a moment, the beginning, the end
and places spread evenly between them. So what is found is never newer than what a worker will see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from movie_stream.errors import BrokerForbids, BrokerRefused, ChangelogError, TopicMissing
from movie_stream.events.event import decode
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import describe
from movie_stream.kafka.scan import oldest_first, pass_over
from movie_stream.runs.fingerprint import fingerprint, hash_of, rules_of
from movie_stream.runs.watermarks import last_cursors
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import Cursor

READ_AT_MOST: Final = 60_000
"""Records, over all partitions."""
READ_WITHIN_S: Final = 20.0
"""By then what was found so far has to do."""
PLACES: Final = 12
"""At so many a partition is looked at that has more records than can be read."""
FETCH_BYTES: Final = 1 << 18

Extent = tuple[int, int]
"""Offsets, the end not included."""


async def newest_views(
    settings: Settings, partitions: int, read_at_most: int = READ_AT_MOST, places: int = PLACES
) -> dict[int, int]:
    """The timestamp (ms) of the newest view that was found in each partition of the topic; none of an empty one.

    Raises BrokerUnreachable, BrokerRefused, and BrokerForbids where the user may not read the topic.
    """
    found: dict[int, int] = {}
    cursors = await _cursors(settings, partitions)
    async with client.reader(settings, fetch_bytes=FETCH_BYTES) as reader:
        doing = f"looking for the newest views in {settings.kafka_topic}"
        with client.explained(settings, doing), suppress(TimeoutError):
            async with asyncio.timeout(READ_WITHIN_S):
                await _look(settings, reader, partitions, cursors, found, read_at_most // partitions, places)
    return found


async def _look(
    settings: Settings,
    reader: AIOKafkaConsumer,
    partitions: int,
    cursors: Mapping[int, Cursor],
    found: dict[int, int],
    most: int,
    places: int,
) -> None:
    """Notes in `found` what it finds."""
    topic = [TopicPartition(settings.kafka_topic, partition) for partition in range(partitions)]
    begin, end = await offsets.beginnings(reader, topic), await offsets.ends(reader, topic)
    start = dict(begin)
    for place in topic:
        cursor = cursors.get(place.partition)
        if cursor and cursor.watermark_ms is not None and begin[place] < cursor.position <= end[place]:
            found[place.partition] = cursor.watermark_ms
            start[place] = cursor.position
    tolerance_ms = rules_of(settings).future_tolerance_ms
    for place in topic:
        for first, last in extents(start[place], end[place], most, places):
            async for records in oldest_first(reader, place, first, last, pass_over):
                times_ms = [record.timestamp for record in records]
                decoded = decode([record.value for record in records], times_ms, tolerance_ms)
                if decoded.views:
                    newest_ms = int(decoded.timestamp_ms.max())
                    found[place.partition] = max(newest_ms, found.get(place.partition, newest_ms))


async def _cursors(settings: Settings, partitions: int) -> Mapping[int, Cursor]:
    """The last checkpoints of workers that count this topic by these settings; none where that cannot be told."""
    try:
        async with client.admin(settings) as admin:
            name = hash_of(fingerprint(settings, await describe(settings, admin)))
        async with client.reader(settings, fetch_bytes=FETCH_BYTES) as reader:
            return await last_cursors(settings, reader, partitions, name)
    except (TopicMissing, BrokerForbids, BrokerRefused, ChangelogError):
        return {}  # whoever only sends need not have the workers' topics, nor be allowed to read them


def extents(start: int, end: int, most: int, places: int) -> Iterator[Extent]:
    """What of these offsets is read, if it is to be about `most` records: all, or as many at each of some places.

    >>> list(extents(0, 50, 100, 3)), list(extents(0, 1_000, 30, 3))
    ([(0, 50)], [(0, 10), (495, 505), (990, 1000)])
    """
    if end - start <= most:
        yield start, end
        return
    length = max(most // places, 1)
    for first in np.linspace(start, end - length, places).astype(int).tolist():
        yield first, first + length
