"""The newest view of each partition of the topic, looked up before anything is sent.

The workers' last checkpoints know it up to their positions. The records after those are read, or all records if no
worker with these settings has counted yet. If there are too many, only samples are read: at the beginning, at the end
and evenly spaced between. So the result is never newer than what a worker will see.
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
from movie_stream.kafka.scan import SkipAndLog, oldest_first
from movie_stream.runs.fingerprint import fingerprint, hash_of, possible_result_lists, rules_of
from movie_stream.runs.watermarks import last_cursors
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import Cursor

READ_AT_MOST: Final = 60_000
"""The most records to read, over all partitions."""
READ_WITHIN_S: Final = 20.0
"""When this time is up, the result is what was found so far."""
SAMPLES: Final = 12
"""Samples of a partition that has too many records to read all."""
FETCH_BYTES: Final = 1 << 18

Extent = tuple[int, int]
"""A range of offsets, the end exclusive."""


async def newest_views(
    settings: Settings, partitions: int, read_at_most: int = READ_AT_MOST, samples: int = SAMPLES
) -> dict[int, int]:
    """The timestamp (ms) of the newest view found in each partition of the topic, leaving out those without views.

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
    """Adds the newest view of each partition to `found`."""
    tps = [TopicPartition(settings.kafka_topic, partition) for partition in range(partitions)]
    begin, end = await offsets.beginnings(reader, tps), await offsets.ends(reader, tps)
    start = dict(begin)
    for tp in tps:
        cursor = cursors.get(tp.partition)
        if cursor and cursor.watermark_ms is not None and begin[tp] < cursor.position <= end[tp]:
            found[tp.partition] = cursor.watermark_ms
            start[tp] = cursor.position
    tolerance_ms, skip = rules_of(settings).future_tolerance_ms, SkipAndLog()
    for tp in tps:
        for first, last in extents(start[tp], end[tp], most, samples):
            async for records in oldest_first(reader, tp, first, last, skip):
                times_ms = [record.timestamp for record in records]
                decoded = decode([record.value for record in records], times_ms, tolerance_ms)
                if decoded.views:
                    newest_ms = int(decoded.timestamp_ms.max())
                    found[tp.partition] = max(newest_ms, found.get(tp.partition, newest_ms))


async def _cursors(settings: Settings, partitions: int) -> Mapping[int, Cursor]:
    """The last checkpoints of workers with these settings, by partition; empty if they cannot be read."""
    try:
        async with client.admin(settings) as admin:
            topology = await describe(settings, admin)
        names = frozenset(hash_of(fingerprint(settings, topology, results)) for results in possible_result_lists())
        async with client.reader(settings, fetch_bytes=FETCH_BYTES) as reader:
            return await last_cursors(settings, reader, partitions, names)
    except (TopicMissing, BrokerForbids, BrokerRefused, ChangelogError):
        return {}  # a producer needs neither the workers' topics nor the permission to read them


def extents(start: int, end: int, most: int, samples: int) -> Iterator[Extent]:
    """The ranges to read of these offsets, about `most` records: the whole range, or `samples` of equal length.

    >>> list(extents(0, 50, 100, 3)), list(extents(0, 1_000, 30, 3))
    ([(0, 50)], [(0, 10), (495, 505), (990, 1000)])
    """
    if end - start <= most:
        yield start, end
        return
    length = max(most // samples, 1)
    for first in np.linspace(start, end - length, samples).astype(int).tolist():
        yield first, first + length
