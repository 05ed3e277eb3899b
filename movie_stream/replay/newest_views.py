"""The newest view of each partition of the topic, looked up before anything is sent.

The last checkpoints of the workers have it up to their positions. The records after those, or all records if no worker
with these settings has counted yet, are read; if they are too many, samples at the beginning, the end and evenly
between. So the result is never newer than what a worker will see.
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
from movie_stream.kafka.scan import PassOver, oldest_first
from movie_stream.runs.fingerprint import earlier_lists, fingerprint, hash_of, rules_of
from movie_stream.runs.watermarks import last_cursors
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import Cursor

READ_AT_MOST: Final = 60_000
"""Records, over all partitions."""
READ_WITHIN_S: Final = 20.0
"""After that the result is what was found so far."""
SAMPLES: Final = 12
"""Of a partition with more records than are read."""
FETCH_BYTES: Final = 1 << 18

Extent = tuple[int, int]
"""Offsets, the end exclusive."""


async def newest_views(
    settings: Settings, partitions: int, read_at_most: int = READ_AT_MOST, samples: int = SAMPLES
) -> dict[int, int]:
    """The timestamp (ms) of the newest view found in each partition of the topic, without those that have none.

    Raises BrokerUnreachable, BrokerRefused, and BrokerForbids if the user may not read the topic.
    """
    found: dict[int, int] = {}
    cursors = await _cursors(settings, partitions)
    async with client.reader(settings, fetch_bytes=FETCH_BYTES) as reader:
        doing = f"looking for the newest views in {settings.kafka_topic}"
        with client.explained(settings, doing), suppress(TimeoutError):
            async with asyncio.timeout(READ_WITHIN_S):
                await _look(settings, reader, partitions, cursors, found, read_at_most // partitions, samples)
    return found


async def _look(
    settings: Settings,
    reader: AIOKafkaConsumer,
    partitions: int,
    cursors: Mapping[int, Cursor],
    found: dict[int, int],
    most: int,
    samples: int,
) -> None:
    """Adds to `found`."""
    topic = [TopicPartition(settings.kafka_topic, partition) for partition in range(partitions)]
    begin, end = await offsets.beginnings(reader, topic), await offsets.ends(reader, topic)
    start = dict(begin)
    for place in topic:
        cursor = cursors.get(place.partition)
        if cursor and cursor.watermark_ms is not None and begin[place] < cursor.position <= end[place]:
            found[place.partition] = cursor.watermark_ms
            start[place] = cursor.position
    tolerance_ms, pass_over = rules_of(settings).future_tolerance_ms, PassOver()
    for place in topic:
        for first, last in extents(start[place], end[place], most, samples):
            async for records in oldest_first(reader, place, first, last, pass_over):
                times_ms = [record.timestamp for record in records]
                decoded = decode([record.value for record in records], times_ms, tolerance_ms)
                if decoded.views:
                    newest_ms = int(decoded.timestamp_ms.max())
                    found[place.partition] = max(newest_ms, found.get(place.partition, newest_ms))


async def _cursors(settings: Settings, partitions: int) -> Mapping[int, Cursor]:
    """The last checkpoints of workers with these settings, by partition; empty if they cannot be read."""
    try:
        async with client.admin(settings) as admin:
            topology = await describe(settings, admin)
        names = frozenset(hash_of(fingerprint(settings, topology, results)) for results in earlier_lists())
        async with client.reader(settings, fetch_bytes=FETCH_BYTES) as reader:
            return await last_cursors(settings, reader, partitions, names)
    except (TopicMissing, BrokerForbids, BrokerRefused, ChangelogError):
        return {}  # a producer needs neither the workers' topics nor the permission to read them


def extents(start: int, end: int, most: int, samples: int) -> Iterator[Extent]:
    """The ranges of these offsets to read, about `most` records: all, or `samples` of equal length.

    >>> list(extents(0, 50, 100, 3)), list(extents(0, 1_000, 30, 3))
    ([(0, 50)], [(0, 10), (495, 505), (990, 1000)])
    """
    if end - start <= most:
        yield start, end
        return
    length = max(most // samples, 1)
    for first in np.linspace(start, end - length, samples).astype(int).tolist():
        yield first, first + length
