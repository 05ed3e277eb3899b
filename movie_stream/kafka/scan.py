"""Reads whole partitions, from their beginning or from their end, without holding them in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from movie_stream.kafka.batches.unpack import single

_BLOCK_BYTES: Final = 4 << 20
_FIRST_BLOCK: Final = 100
_LARGEST_BLOCK: Final = 20_000


async def oldest_first(
    reader: AIOKafkaConsumer, place: TopicPartition, start: int, end: int
) -> AsyncIterator[list[Any]]:
    """The records with start <= offset < end, in lists as they come. Changes what the reader is assigned."""
    if start >= end:
        return
    reader.assign([place])
    reader.seek(place, start)
    while await reader.position(place) < end:
        fetched = (await reader.getmany(timeout_ms=500)).get(place, [])
        yield [record for record in single(fetched) if record.offset < end]


async def newest_first(
    reader: AIOKafkaConsumer, place: TopicPartition, start: int, end: int, block: int = _FIRST_BLOCK
) -> AsyncIterator[list[Any]]:
    """The same records from the last one on, in lists that hold the newest first.

    Read in blocks of `block` records at first, since whoever asks may want only a few; then of about the same bytes.
    """
    while end > start:
        begin = max(start, end - block)
        found = [record async for records in oldest_first(reader, place, begin, end) for record in records]
        yield found[::-1]
        size = sum(len(record.value or b"") + len(record.key or b"") + 200 for record in found) or 1
        block = max(1, min(_LARGEST_BLOCK, 4 * block, _BLOCK_BYTES * block // size))
        end = begin
